"""class.html: how the class did, and where it went wrong in the same way."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from html import escape
from statistics import mean, median
from urllib.parse import quote

from course_utils import exercises, runtime
from course_utils.authoring.grading.kit import labs
from course_utils.authoring.labs import Lab

RULE = (
    "Points: three quarters when every usual case is right; each special case that is right as well adds its "
    "share of the rest."
)
N_BINS = 10
COSTS = (
    "A flag by itself costs nothing; but what is missing, crashed, did not end in time or could not be read "
    "has no points for what it did not show. overrides.csv changes that."
)
Alike = tuple[list[str], list[str], bool]  # students, exercises, whether it is the course's


@cache
def title_of(number: str) -> str:
    """The title of a lab, as its notebook's first heading has it: "Lab 1: Collaborative filtering"."""
    if number not in labs():
        return "a notebook of no lab"
    lab = Lab(labs()[number], runtime.course_root())
    for path, heading in ((lab.source, r"^# # (.+)$"), (lab.learner, r'^ *"# (.+?)(?:\\n)?",?$')):
        found = path.exists() and re.search(heading, path.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return _short(number)


def _short(number: str) -> str:
    return f"Lab {int(number)}" if number else "No lab"


def total(record: dict) -> tuple[float, int]:
    """Points, and how many there are in the lab."""
    found = record["exercises"].values()
    return round(sum(e["points"] for e in found), 2), sum(e["of"] for e in found)


def body(records: list[dict], alike: list[Alike]) -> str:
    """The sections of the page: the students, lab by lab, then the flags. alike is report.same_code's."""
    n_students = len({record["student"] for record in records})
    parts = [
        f"<p>{_count(n_students, 'student')}, {_count(len(records), 'notebook')}. {escape(RULE)}</p>",
        _students(records),
    ]
    for number in labs():
        of_lab = [r for r in records if r["lab"] == number]
        if of_lab:
            parts += [
                f"<h2>{escape(title_of(number))}</h2>",
                _distribution(of_lab),
                _hardest(of_lab),
                _misconceptions(of_lab),
            ]
    return "\n".join([*parts, _alike(alike), _flags(records)])


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _students(records: list[dict]) -> str:
    """A row for each student; the points are the link to the page of feedback."""
    numbers = sorted({record["lab"] for record in records}, key=lambda number: number or "~")
    pages = {(record["student"], record["lab"]): record for record in records}
    lines = []
    for student in sorted({record["student"] for record in records}):
        cells = [pages.get((student, number)) for number in numbers]
        lines.append(f"<tr><td>{escape(student)}{''.join(map(_points, cells))}</tr>")
    head = "".join(f"<th class=n>{_short(number)}" for number in numbers)
    return (
        "<h2>Students</h2><p>The points lead to what the student is told.</p>"
        f"<table><tr><th>Student{head}</tr>{''.join(lines)}</table>"
    )


def _points(record: dict | None) -> str:
    if record is None:
        return "<td class=n>"
    earned, most = total(record)
    points = f"{earned:g} of {most}" if record["exercises"] else "not graded"
    return f'<td class=n><a href="{escape(quote(record["page"]))}">{points}</a>'


def _distribution(records: list[dict]) -> str:
    shares = []
    for record in records:
        earned, of = total(record)
        shares.append(earned / max(of, 1))
    bins = Counter(min(int(share * N_BINS), N_BINS - 1) for share in shares)
    most = max(bins.values())
    rows = [
        f"<tr><td class=n>{100 * b // N_BINS} to {100 * (b + 1) // N_BINS} %<td style='width:70%'>"
        f"<div class=bar style='width:{100 * bins[b] / most:.0f}%'></div><td class=n>{bins[b]}</tr>"
        for b in reversed(range(N_BINS))
    ]
    head = f"<p>Mean {100 * mean(shares):.0f} % of the points, median {100 * median(shares):.0f} %.</p>"
    return f"{head}<table><tr><th class=n>Points<th><th class=n>Students</tr>{''.join(rows)}</table>"


def _hardest(records: list[dict]) -> str:
    rows = []
    for id in records[0]["exercises"]:
        found = [r["exercises"][id] for r in records if id in r["exercises"]]
        share = sum(e["points"] for e in found) / sum(e["of"] for e in found)
        counts = Counter(
            "not handed in" if e["status"] in ("not written", "missing") else e["status"] for e in found
        )
        full = sum(e["points"] == e["of"] for e in found)
        rows.append((share, id, full, counts["not handed in"], counts["time-out"], counts["crashed"]))
    lines = [
        f"<tr><td>{id} {escape(exercises.get(id).title)}<td class=n>{100 * share:.0f} %"
        + "".join(f"<td class=n>{n}" for n in counts)
        + "</tr>"
        for share, id, *counts in sorted(rows, key=lambda row: row[0])
    ]
    head = (
        "<tr><th>Hardest first<th class=n>Points<th class=n>All right<th class=n>Nothing<th class=n>Time-outs"
    )
    return f"<h3>Exercises</h3><table>{head}<th class=n>Crashes</tr>{''.join(lines)}</table>"


def _misconceptions(records: list[dict]) -> str:
    counts = Counter(
        (id, e["misconception"]) for r in records for id, e in r["exercises"].items() if e["misconception"]
    )
    lines = []
    for (id, name), n in counts.most_common():
        known = next((m.message for m in exercises.get(id).misconceptions if m.name == name), "")
        title = f"{id} {exercises.get(id).title}"
        lines.append(
            f"<tr><td class=n>{n} of {len(records)}<td>{escape(title)}: <b>{escape(name)}</b><br>"
            f"<small>{escape(known)}</small></tr>"
        )
    table = f"<table>{''.join(lines)}</table>" if lines else "<p>None was recognised.</p>"
    return f"<h3>The misconceptions of the class</h3>{table}"


def _alike(groups: list[Alike]) -> str:
    if not groups:
        return ""
    lines = [
        f"<tr><td>{escape(', '.join(students))}<td>{', '.join(ids)}"
        f"<td>{'as the course has it' if courses else 'as each other'}</tr>"
        for students, ids, courses in groups
    ]
    return (
        "<h2>The same code</h2><p>But for names of functions and comments; it costs nothing.</p>"
        f"<table><tr><th>Students<th>Exercises<th>The same</tr>{''.join(lines)}</table>"
    )


def _flags(records: list[dict]) -> str:
    lines = [
        f"<tr><td>{escape(r['student'])}<td style='white-space:nowrap'>{_short(r['lab'])}"
        f"<td>{'<br>'.join(map(escape, r['all_flags']))}</tr>"
        for r in records
        if r["all_flags"]
    ]
    table = f"<table>{''.join(lines)}</table>" if lines else "<p>None.</p>"
    return f"<h2>Flags</h2><p>For you to look at. {escape(COSTS)}</p>{table}"
