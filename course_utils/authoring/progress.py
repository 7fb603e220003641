"""Which exercises pass in the learner's copies; the learner's code runs in a child process.

Not the whole notebook: its set-up, the cells of the exercises (of several copies the last, as when all cells
are run), and what other cells define, as a helper function that the learner wrote in a cell of its own.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from course_utils import exercises
from course_utils.authoring.labs import Lab, exercise_of
from course_utils.authoring.workspace import find_exercise, read_notebook
from course_utils.exercises.guard import SECONDS

SETUP_SECONDS = 120  # importing torch on a slow disk
EXERCISE_SECONDS = 4 * SECONDS  # a check stops itself after SECONDS; an endless loop in the cell does not
SETUP = {"setup", "parameters"}  # tags of the cells that are run first
COLOURS = {"passed": "green", "not yet": "red", "not written": "dim"}


@dataclass(frozen=True)
class Standing:
    """One exercise of a learner: status "passed", "not yet" or "not written", and a note where it helps."""

    id: str
    status: str
    note: str = ""


def standings(lab: Lab) -> list[Standing]:
    """How each exercise of a lab stands in the learner's copy. Raises WorkspaceError for a damaged copy."""
    given = [cell for cell in read_notebook(lab.learner)["cells"] if exercise_of(cell)]
    cells = read_notebook(lab.copy)["cells"]
    code = [(_tags(cell), "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    setup = [source for tags, source in code if tags & SETUP]
    others = [source for tags, source in code if not tags & SETUP]
    found, tasks = {}, []
    for cell in given:
        id, places = exercise_of(cell), find_exercise(cells, cell)
        if not places:
            found[id] = Standing(id, "not yet", f"its cell is gone: course reset {id}")
        else:
            tasks.append([id, exercises.get(id).name, "".join(cells[places[-1]]["source"])])
    while tasks:
        results = _attempt(lab, {"setup": setup, "others": others, "exercises": tasks})
        found |= {standing.id: standing for standing in results}
        tasks = tasks[len(results) :]
    return [found[exercise_of(cell)] for cell in given]


def _tags(cell: dict) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def _attempt(lab: Lab, task: dict) -> list[Standing]:
    """Run the exercises in a child; the results end with the first that hung or ended the child."""
    tasks = task["exercises"]
    child = subprocess.Popen(
        [sys.executable, "-m", "course_utils.authoring.attempt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=lab.copy.parent,
        env={**os.environ, "COURSE_HEADLESS": "1", "COURSE_STRICT": "0", "MPLBACKEND": "agg"},
        encoding="utf-8",
    )
    reports = queue.Queue()
    threading.Thread(target=_listen, args=(child, reports), daemon=True).start()
    results, problem, limit = [], "", SETUP_SECONDS
    try:
        with contextlib.suppress(BrokenPipeError):  # it ended at once: the reports say so
            child.stdin.write(json.dumps(task))
            child.stdin.close()
        while len(results) < len(tasks) and not problem:
            report = reports.get(timeout=limit)
            if report is None:
                problem = "ended Python"
            elif report[1] == "begun":
                limit = EXERCISE_SECONDS
            else:
                results.append(Standing(*report))
    except queue.Empty:
        problem = f"did not end within {limit:g} s"
    finally:
        child.kill()
        child.wait()
    if problem and limit == SETUP_SECONDS:
        return [Standing(id, "not yet", f"the set-up cell {problem}") for id, *_ in tasks]
    if problem:
        results.append(Standing(tasks[len(results)][0], "not yet", problem))
    return results


def _listen(child: subprocess.Popen, reports: queue.Queue) -> None:
    """Queue the child's reports, and None at their end."""
    for line in child.stdout:
        reports.put(json.loads(line))
    reports.put(None)


def print_progress(labs: list[Lab], console: Console) -> None:
    """A table of the exercises, with the points reached and the minutes that are left."""
    for lab in labs:
        table = Table("exercise", "title", "state", "points", "minutes left", "note", title=lab.name)
        points = reached = left = 0
        for standing in standings(lab):
            exercise, passed = exercises.get(standing.id), standing.status == "passed"
            minutes = 0 if passed else exercise.minutes
            points, reached, left = (
                points + exercise.points,
                reached + passed * exercise.points,
                left + minutes,
            )
            table.add_row(
                standing.id,
                exercise.title,
                f"[{COLOURS[standing.status]}]{standing.status}[/]",
                f"{passed * exercise.points} of {exercise.points}",
                str(minutes or ""),
                escape(standing.note),
            )
        console.print(table)
        console.print(f"{reached} of {points} points; about {left} minutes left.")
