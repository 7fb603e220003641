"""What recovery has to know of a lab: its set-up cell, the cells that came with it, and its exercises."""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import textwrap
from functools import cache

from course_utils import exercises, runtime
from course_utils.authoring import build
from course_utils.authoring.grading.inside.statements import fingerprint
from course_utils.authoring.labs import Lab, exercise_of, exercise_sources, find_labs


@cache
def labs() -> dict[str, str]:
    """{number: name} of the labs with exercises, as {"01": "01_collaborative_filtering"}."""
    named = {lab.name[:2]: lab.name for lab in find_labs(runtime.course_root())}
    numbers = (f"{number:02}" for number in range(1, 10))
    return {n: named.get(n, f"lab_{n}") for n in numbers if exercises.of_lab(n)}


@cache
def kit_of(number: str) -> dict:
    """For inside/recover.py. A lab whose solution is not there has no set-up cell and no solutions: learners'
    own imports and earlier objects are then all that there is."""
    cells = []
    lab = Lab(labs()[number], runtime.course_root())
    if lab.source.exists():
        cells, title = build.read_source(lab)
    solutions = exercise_sources(cells)
    given = build.learner_notebook(lab, cells, title).cells if cells else []
    return {
        "setup": next((c.source for c in cells if "setup" in c.metadata.get("tags", [])), ""),
        "given": [cell.source for cell in given if not exercise_of(cell)],
        "exercises": [
            _described(exercise, solutions.get(exercise.id, "")) for exercise in exercises.of_lab(number)
        ],
    }


def _described(exercise: exercises.Exercise, solution: str) -> dict:
    definition = next((node for node in ast.parse(solution).body if hasattr(node, "name")), None)
    docstring = (ast.get_docstring(definition) or "") if definition else ""
    return {
        "id": exercise.id,
        "name": exercise.name,
        "method": exercise.method,
        "params": exercise.params,
        "docstring": docstring.split("\n")[0].strip(),
        "solution": solution,
    }


@cache
def solution_trees(exercise_id: str) -> frozenset[str]:
    """Fingerprints of the course's own code for an exercise: the solution's and the package's."""
    exercise = exercises.get(exercise_id)
    described = {e["id"]: e for e in kit_of(exercise.lab)["exercises"]}
    sources = [described[exercise_id]["solution"]]
    with contextlib.suppress(OSError, TypeError):
        sources.append(textwrap.dedent(inspect.getsource(exercise.reference)))
    nodes = [node for source in sources for node in ast.parse(source).body]
    return frozenset(fingerprint(node, exercise.method)[0] for node in nodes)


def lab_of(text: str, cells: list[dict], stamp: str) -> str | None:
    """The number of the lab that a notebook is of: by its file's name, where no other lab's exercises stand
    in it.

    Else by its stamp, or by its exercises. text: the name without the student's; None: nothing tells.
    """
    found = re.search(r"(?:^|[^0-9])0?([1-9])[_ -]|lab[_ -]?0?([1-9])(?![0-9])", text.lower())
    by_name = next((n for n in found.groups() if n), "").zfill(2) if found else ""
    counts = {number: _n_exercises(cells, number) for number in labs()}
    best = max(counts, key=counts.get)
    if by_name in counts and (counts[by_name] or not counts[best]):
        return by_name
    if counts.get(stamp[:2], 0):
        return stamp[:2]
    return best if counts[best] else None


def _n_exercises(cells: list[dict], number: str) -> int:
    """How many of a lab's exercises leave a trace: their cell's mark, their check, or a definition."""
    sources = "\n".join(cell["source"] for cell in cells)
    marked = {cell.get("exercise") for cell in cells}
    return sum(
        exercise.id in marked
        or f'check("{exercise.id}"' in sources
        or re.search(rf"^\s*(?:def|class)\s+{exercise.name}\b", sources, re.MULTILINE) is not None
        for exercise in exercises.of_lab(number)
    )
