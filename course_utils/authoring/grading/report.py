"""What comes out: grades.csv, a page of feedback for each notebook, and class.html.

A record is what grade.grade_task returns. Feedback shows nothing of the hidden cases: only how many were
right, the message of a recognised misconception, or the question that goes with what was wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections import defaultdict
from html import escape
from pathlib import Path

from course_utils import exercises
from course_utils.authoring.grading import overview
from course_utils.authoring.grading.kit import labs, solution_trees
from course_utils.authoring.labs import write_atomically

SMALL = 60  # nodes of a syntax tree; what is smaller, two people write alike
OVERRIDES = ("student", "exercise", "points", "reason")
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;"
    "text-align:left;vertical-align:top}th{overflow-wrap:normal}td:first-child{min-width:8rem}"
    ".n{text-align:right;white-space:nowrap}.bar{background:#3b6ea5;height:.8em}small{color:#555}"
)
SAID = {
    "ok": "Everything is right.",
    "not written": "It is not written yet.",
    "time-out": "It did not come to an end in time. Which condition should end the loop?",
    "crashed": "It ended the process that it ran in.",
}
REFUSED = {
    "own": "It is the package's own, which does not count: write yours, under the name {name}.",
    "calls": "It calls the package's own version of this exercise or of a later one, which does not count "
    "and is not there while it is graded: write its steps yourself.",
    "undefined": "Its definition could not be run: {before}.",
    "signature": "It could not be called as {signature}: is it of that kind, with as many arguments?",
}
NO_DATA = (
    "While it is graded there are the lab's set-up cell and what you defined yourself, but no data: what it "
    "works on has to come in as arguments."
)
NO_LINE = "Try it with small inputs: what does it take and give back, of which types and shapes?"
COUNTED = "Cells are counted from the top of the notebook, those of text among them."
NO_MODULE = "While it is graded there are Python and the packages of the course, and no others."


def write_reports(out: Path, records: list[dict]) -> list[str]:
    """Write them all; lines for the instructor: what is wrong in overrides.csv, and where the reports are."""
    from course_utils.authoring.grading.grade import lab_name, safe_name

    problems = apply_overrides(out / "overrides.csv", records)
    for record in records:
        record["page"] = f"feedback/{safe_name(record['student'])}/{lab_name(record['lab'])}.html"
        path, text = out / record["page"], feedback(record)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    alike = same_code(records)
    for record in records:
        record["all_flags"] = [*record["flags"], *_flags_of_exercises(record)]
    write_atomically(out / "class.html", page("The class", overview.body(records, alike)))
    for record in records:
        record["all_flags"] += _flags_of_same_code(record, alike)
    write_atomically(out / "grades.csv", grades(records).encode("utf-8-sig"))  # Excel wants the mark
    files = (out / "grades.csv", out / "class.html", out / "feedback")
    return [*problems, f"written: {', '.join(map(str, files))}"]


def _flags_of_exercises(record: dict) -> list[str]:
    flags, missing = [], defaultdict(list)
    for id, found in record["exercises"].items():
        if found["status"] in ("time-out", "crashed"):
            flags.append(f"{id} {found['status']}")
        flags += [f"{id} {flag}" for flag in found["flags"]]
        if found["status"] == "missing":
            missing[found["note"]].append(id)
        if "override" in found:
            flags.append(f"{id} set to {found['points']:g} by hand: {found['override']}")
    return [*flags, *(f"{', '.join(ids)} missing: {note}" for note, ids in missing.items())]


# ---- points ----


def grades(records: list[dict]) -> str:
    """grades.csv: one row per student and lab."""
    ids = [
        e.id
        for number in labs()
        for e in exercises.of_lab(number)
        if any(e.id in r["exercises"] for r in records)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "lab", *ids, "total", "of", "flags", "file"])
    for record in records:
        found = record["exercises"]
        points = [f"{found[id]['points']:g}" if id in found else "" for id in ids]
        earned, most = overview.total(record)
        row = [record["student"], labs().get(record["lab"], ""), *points, f"{earned:g}", most]
        writer.writerow([_harmless(cell) for cell in (*row, "; ".join(record["all_flags"]), record["file"])])
    return text.getvalue()


def _harmless(cell: object) -> str:
    """What a spreadsheet would take for a formula starts with an apostrophe instead."""
    text = str(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def apply_overrides(path: Path, records: list[dict]) -> list[str]:
    """Put an instructor's points in place of the machine's; a line for each row that fits nothing."""
    if not path.exists():
        return []
    try:
        text = _decode(path.read_bytes())
        delimiter = max(",;\t", key=text.split("\n")[0].count)
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        names, rows = rows.fieldnames or (), list(rows)
    except (OSError, ValueError, csv.Error) as error:
        return [f"overrides.csv could not be read, and changed nothing: {error}; save it as CSV in UTF-8"]
    if not set(OVERRIDES) <= {(name or "").strip() for name in names}:
        return [f"overrides.csv: the first line must name {', '.join(OVERRIDES)}"]
    problems = []
    for number, raw in enumerate(rows, 2):
        row = {
            (key or "").strip(): (value or "").strip() for key, value in raw.items() if isinstance(value, str)
        }
        problem = _override(row, records)
        if problem:
            problems.append(f"overrides.csv, line {number}: {problem}")
    return problems


def _decode(data: bytes) -> str:
    """As spreadsheets write CSV: UTF-8, UTF-16 with its mark, or cp1252. Raises UnicodeDecodeError."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _same_name(one: str, other: str) -> bool:
    """Whether two names are the same letters, however accents are written."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _override(row: dict[str, str], records: list[dict]) -> str:
    student, id = row.get("student", ""), row.get("exercise", "")
    own = [record for record in records if _same_name(record["student"], student)]
    found = [record["exercises"][id] for record in own if id in record["exercises"]]
    if not found:
        return f"no notebook of student {student!r} with exercise {id!r}"
    try:
        points = float(row.get("points", "").replace(",", "."))
    except ValueError:
        return f"points {row.get('points', '')!r}: must be a number"
    if not 0 <= points <= found[0]["of"]:
        return f"points {points:g}: must be from 0 to {found[0]['of']}"
    found[0] |= {"points": points, "override": row.get("reason", "") or "no reason given"}
    return ""


# ---- feedback ----


def feedback(record: dict) -> str:
    """The page for a student about one notebook."""
    earned, most = overview.total(record)
    rows = [_row(exercises.get(id), found) for id, found in record["exercises"].items()]
    lines = [f"<p><b>{earned:g} of {most} points.</b></p>"]
    lines += [f"<p>Note: {escape(flag)}.</p>" for flag in record["flags"]]
    lines += ["<table><tr><th>Exercise<th class=n>Points<th>What was seen</tr>", *rows, "</table>"]
    lines.append(f"<p><small>{escape(overview.RULE)} {escape(COUNTED)}</small></p>")
    return page(f"{record['student']}, {overview.title_of(record['lab'])}", "\n".join(lines))


def _row(exercise: exercises.Exercise, found: dict) -> str:
    said = what_was_seen(exercise, found)
    if "override" in found:
        said = f"Points given by your instructor: {found['override']}"
    title = f"{exercise.id} {exercise.title}"
    return f"<tr><td>{escape(title)}<td class=n>{found['points']:g} of {found['of']}<td>{escape(said)}</tr>"


def what_was_seen(exercise: exercises.Exercise, found: dict) -> str:
    """A few sentences for the student."""
    status = found["status"]
    if status == "missing":
        return f"It could not be graded: {found['note']}."
    if status in ("ok", "not written"):
        return SAID[status]
    before = _error(found["error_before"], found["at_before"])
    if status == "refused":
        words = {"name": exercise.name, "signature": exercise.signature}
        said = REFUSED[found["note"]].format(before=before or "nothing tells why", **words)
        return " ".join([said, _what_is_there(found)]).strip()
    (core, n_core), (edge, n_edge) = found["core"], found["edge"]
    right = f"{core} of {n_core} usual cases are right"
    if core == n_core:
        right = f"The usual cases are right, and {edge} of {n_edge} special ones"
    known = next((m for m in exercise.misconceptions if m.name == found["misconception"]), None)
    said = [f"{right}."]
    if before:
        said.append(f"A statement that it needs could not be run: {before}.")
    if found["error"] and status == "wrong":
        said.append(f"It raised {_error(found['error'], found['at'])}.")
    hint = SAID.get(status, found["hint"] if found["at"] or not found["error"] else NO_LINE)
    if before and found["error"] == "NameError":
        hint = ""  # why there is no such name has been said
    said += [known.message if known else hint, _what_is_there(found)]
    return " ".join(sentence for sentence in said if sentence)


def _error(error: str, at: str) -> str:
    """ "KeyError (cell 9, line 5)"."""
    return f"{error} ({at})" if at else error


def _what_is_there(found: dict) -> str:
    """What a learner has to know of the place where it was graded, if it failed for want of something."""
    failed = (found["error"], found["error_before"])
    return NO_MODULE if "ModuleNotFoundError" in failed else NO_DATA if "NameError" in failed else ""


def page(title: str, body: str) -> str:
    """A page that stands alone."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


# ---- code that two have in common ----


def same_code(records: list[dict]) -> list[overview.Alike]:
    """(students, exercises, whether it is the course's) where what they wrote is the same but for names of
    functions and comments; for a human to look at, it costs nothing.
    """
    users = defaultdict(set)
    for record in records:
        for id, found in record["exercises"].items():
            if found["nodes"] >= SMALL and found["status"] != "not written":
                users[id, found["tree"]].add(record["student"])
    groups = defaultdict(list)
    for (id, tree), students in users.items():
        courses = tree in solution_trees(id)
        if courses or len(students) > 1:
            groups[tuple(sorted(students)), courses].append(id)
    return [(list(students), ids, courses) for (students, courses), ids in groups.items()]


def _flags_of_same_code(record: dict, alike: list[overview.Alike]) -> list[str]:
    whose = {}
    for students, ids, courses in alike:
        if record["student"] in students:
            others = [student for student in students if student != record["student"]]
            whose |= dict.fromkeys(ids, "the course's solution" if courses else ", ".join(others))
    own = defaultdict(list)
    for id in record["exercises"]:
        if id in whose:
            own[whose[id]].append(id)
    return [f"{', '.join(ids)} same code as {other}" for other, ids in own.items()]
