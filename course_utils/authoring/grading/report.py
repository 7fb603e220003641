"""What comes out: grades.csv, a page of feedback for each notebook, and class.html.

A record is what grade.grade_task returns. Feedback shows nothing of the hidden cases: only how many were
right, the message of a recognised misconception, or the question that goes with what was wrong.
"""

from __future__ import annotations

import csv
import io
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
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;"
    "text-align:left;vertical-align:top}.n{text-align:right;white-space:nowrap}.bar{background:#3b6ea5;height:.8em}"
    "small{color:#555}"
)
SAID = {
    "ok": "Everything is right.",
    "not written": "It is not written yet.",
    "refused": "It could not be called as {signature}, or is the package's own.",
    "time-out": "It did not come to an end in time. Which condition should end the loop?",
    "crashed": "It ended the process that it ran in.",
}


def write_reports(out: Path, records: list[dict]) -> list[str]:
    """Write them all; lines for the instructor: what is wrong in overrides.csv, and where the reports are."""
    from course_utils.authoring.grading.grade import lab_name, safe_name

    problems = apply_overrides(out / "overrides.csv", records)
    for record in records:
        path = out / "feedback" / safe_name(record["student"]) / f"{lab_name(record['lab'])}.html"
        text = feedback(record)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    alike = same_code(records)
    for record in records:
        record["all_flags"] = [
            *record["flags"],
            *_flags_of_exercises(record),
            *alike[record["student"], record["lab"]],
        ]
    write_atomically(out / "grades.csv", grades(records))
    write_atomically(out / "class.html", page("The class", overview.body(records)))
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


def total(record: dict) -> tuple[float, int]:
    """Points, and how many there are in the lab."""
    found = record["exercises"].values()
    return round(sum(e["points"] for e in found), 2), sum(e["of"] for e in found)


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
        earned, most = total(record)
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
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first and "," not in first else ",")
    if not set(OVERRIDES) <= {(name or "").strip() for name in rows.fieldnames or ()}:
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


def _override(row: dict[str, str], records: list[dict]) -> str:
    student, id = row.get("student", ""), row.get("exercise", "")
    found = [r["exercises"][id] for r in records if r["student"] == student and id in r["exercises"]]
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
    earned, most = total(record)
    lab = labs().get(record["lab"], "a notebook of no lab")
    rows = [_row(exercises.get(id), found) for id, found in record["exercises"].items()]
    lines = [f"<p><b>{earned:g} of {most} points.</b></p>"]
    lines += [f"<p>Note: {escape(flag)}.</p>" for flag in record["flags"]]
    lines += ["<table><tr><th>Exercise<th class=n>Points<th>What was seen</tr>", *rows, "</table>"]
    lines.append(f"<p><small>{escape(overview.RULE)}</small></p>")
    return page(f"{record['student']}: {lab}", "\n".join(lines))


def _row(exercise: exercises.Exercise, found: dict) -> str:
    said = what_was_seen(exercise, found)
    if "override" in found:
        said = f"Points given by your instructor: {found['override']}"
    title = f"{exercise.id} {exercise.title}"
    return f"<tr><td>{escape(title)}<td class=n>{found['points']:g} of {found['of']}<td>{escape(said)}</tr>"


def what_was_seen(exercise: exercises.Exercise, found: dict) -> str:
    """Two sentences for the student."""
    status = found["status"]
    if status == "missing":
        return f"It could not be graded: {found['note']}."
    said = SAID.get(status, "").format(signature=exercise.signature)
    if status in ("ok", "not written", "refused"):
        return said
    (core, n_core), (edge, n_edge) = found["core"], found["edge"]
    right = f"{core} of {n_core} usual cases are right"
    if core == n_core:
        right = f"The usual cases are right, and {edge} of {n_edge} special ones"
    known = next((m for m in exercise.misconceptions if m.name == found["misconception"]), None)
    return f"{right}. {known.message if known else said or found['hint']}"


def page(title: str, body: str) -> str:
    """A page that stands alone."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


# ---- code that two have in common ----


def same_code(records: list[dict]) -> dict[tuple[str, str], list[str]]:
    """{(student, lab): flags} where what was written is, but for names of functions and comments, the same as
    the course's or another student's; for a human to look at, it costs nothing.
    """
    users = defaultdict(set)
    for record in records:
        for id, found in record["exercises"].items():
            if found["nodes"] >= SMALL and found["status"] != "not written":
                users[id, found["tree"]].add(record["student"])
    flags: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in records:
        for id, found in record["exercises"].items():
            others = users.get((id, found["tree"]), set()) - {record["student"]}
            key = (record["student"], record["lab"])
            if found["nodes"] >= SMALL and found["tree"] in solution_trees(id):
                flags[key].append(f"{id} same code as the course's solution")
            elif others:
                flags[key].append(f"{id} same code as {', '.join(sorted(others))}")
    return flags
