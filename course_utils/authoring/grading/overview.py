"""class.html: how the class did, and where it went wrong in the same way."""

from __future__ import annotations

from collections import Counter
from html import escape

from course_utils import exercises
from course_utils.authoring.grading.kit import labs

RULE = (
    "Points: three quarters when every usual case is right; each special case that is right as well adds its "
    "share of the rest."
)
N_BINS = 10


def body(records: list[dict]) -> str:
    """The sections of the page, lab by lab, then the flags."""
    parts = [
        f"<p>{len({r['student'] for r in records})} students, {len(records)} notebooks. {escape(RULE)}</p>"
    ]
    for number, name in labs().items():
        of_lab = [r for r in records if r["lab"] == number]
        if of_lab:
            parts += [
                f"<h2>{escape(name)}</h2>",
                _distribution(of_lab),
                _hardest(of_lab),
                _misconceptions(of_lab),
            ]
    return "\n".join([*parts, _flags(records)])


def _distribution(records: list[dict]) -> str:
    shares = []
    for record in records:
        found = record["exercises"].values()
        shares.append(sum(e["points"] for e in found) / max(sum(e["of"] for e in found), 1))
    bins = Counter(min(int(share * N_BINS), N_BINS - 1) for share in shares)
    most = max(bins.values())
    rows = [
        f"<tr><td class=n>{100 * b // N_BINS} to {100 * (b + 1) // N_BINS} %<td style='width:70%'>"
        f"<div class=bar style='width:{100 * bins[b] / most:.0f}%'></div><td class=n>{bins[b]}</tr>"
        for b in reversed(range(N_BINS))
    ]
    middle = sorted(shares)[len(shares) // 2]
    head = f"<p>Mean {100 * sum(shares) / len(shares):.0f} % of the points, median {100 * middle:.0f} %.</p>"
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
        for share, id, *counts in sorted(rows)
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


def _flags(records: list[dict]) -> str:
    rows = [(r["student"], labs().get(r["lab"], "?"), "; ".join(r["all_flags"])) for r in records]
    lines = [f"<tr>{''.join(f'<td>{escape(cell)}' for cell in row)}</tr>" for row in rows if row[2]]
    table = f"<table>{''.join(lines)}</table>" if lines else "<p>None.</p>"
    return f"<h2>Flags</h2><p>For you to look at; none of them costs points.</p>{table}"
