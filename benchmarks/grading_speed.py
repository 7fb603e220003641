"""How long a class of 100 takes to grade: `course grade` with one and two jobs, and nbgrader's autograde.

The class: the solution of one lab, the notebook as learners get it, and notebooks with half the exercises
solved, in equal parts. All of it runs one after the other on a quiet machine; the figures are seconds of wall
clock, and seconds per notebook. `nbgrader` stands for autograde on the same notebooks, when the script
benchmarks/grading_nbgrader.py is there to run it.

    python benchmarks/grading_speed.py [--students 100] [--lab 01]
"""

import argparse
import importlib.util
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from course_utils import runtime
from course_utils.authoring import build
from course_utils.authoring.grading import grade
from course_utils.authoring.labs import exercise_of, find_labs, write_atomically

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "grading_speed.json"
NBGRADER = HERE / "grading_nbgrader.py"  # has seconds(submissions: Path, lab) -> float


def make_class(folder, lab, n_students):
    """Write folder/<student>/<lab>.ipynb."""
    cells, title = build.read_source(lab)
    solutions = {exercise_of(cell): cell.source for cell in cells if exercise_of(cell)}
    for student in range(n_students):
        made = build.learner_notebook(lab, cells, title)
        for place, cell in enumerate(c for c in made.cells if exercise_of(c)):
            if student % 3 == 0 or (student % 3 == 1 and place % 2 == 0):
                cell.source = solutions[exercise_of(cell)]
        write_atomically(folder / f"student{student:03}" / f"{lab.name}.ipynb", build.as_text(made))


def timed(function, *args, **kwargs):
    started = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - started


def measure(n_students, lab):
    """{who: seconds for the class}."""
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder) / "submissions"
        make_class(submissions, lab, n_students)
        seconds = {
            f"course grade, {jobs} job{'s' * (jobs > 1)}": timed(
                grade.grade_class, submissions, Path(folder) / f"out{jobs}", jobs=jobs
            )
            for jobs in (1, 2)
        }
        if NBGRADER.exists():
            spec = importlib.util.spec_from_file_location("grading_nbgrader", NBGRADER)
            spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
            seconds["nbgrader autograde"] = module.seconds(submissions, lab)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--lab", default="01")
    options = parser.parse_args()
    (lab,) = find_labs(runtime.course_root(), (options.lab,))
    load = os.getloadavg()[0]
    seconds = measure(options.students, lab)
    for who, total in seconds.items():
        print(f"{who:24} {total:8.1f} s {total / options.students:8.2f} s a notebook")
    result = {
        "lab": lab.name,
        "students": options.students,
        "seconds": {who: round(total, 1) for who, total in seconds.items()},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_at_start": round(load, 1),
    }
    write_atomically(RESULTS, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
