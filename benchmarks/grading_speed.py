"""How long a class of 100 takes to grade: `course grade` with one and two jobs, and nbgrader's autograde.

The class: the solution of one lab, the notebook as learners get it, and notebooks with half the exercises
solved, in equal parts. All of it runs one after the other on a quiet machine; the figures are seconds of wall
clock, and seconds per notebook. nbgrader grades the first of these notebooks only (12 by default), in the
course folder that `course nbgrader` makes, since it takes minutes for each dozen.

    python benchmarks/grading_speed.py [--students 100] [--nbgrader-students 12] [--lab 01]
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_utils import runtime
from course_utils.authoring import build, nbgrader
from course_utils.authoring.grading import grade
from course_utils.authoring.labs import exercise_of, exercise_sources, find_labs, write_atomically

RESULTS = Path(__file__).resolve().parent / "results" / "grading_speed.json"


def make_class(folder, lab, n_students):
    """Write folder/<student>/<lab>.ipynb."""
    cells, title = build.read_source(lab)
    solutions = exercise_sources(cells)
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


def autograde(folder, lab):
    """nbgrader's own command, in a course folder with submissions."""
    command = [Path(sys.executable).with_name("nbgrader"), "autograde", lab.name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def with_nbgrader(submissions, lab, folder, n_students):
    """Seconds of autograde for the first n_students."""
    nbgrader.make_course(folder, [lab])
    command = [Path(sys.executable).with_name("nbgrader"), "generate_assignment", lab.name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for student in sorted(submissions.iterdir())[:n_students]:
        shutil.copytree(student, folder / "submitted" / student.name / lab.name)
    return timed(autograde, folder, lab)


def measure(n_students, n_nbgrader, lab):
    """{who: [seconds, notebooks]}."""
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder) / "submissions"
        make_class(submissions, lab, n_students)
        seconds = {}
        for jobs in (1, 2):
            out = Path(folder) / f"out{jobs}"
            took = timed(grade.grade_class, submissions, out, jobs=jobs)
            seconds[f"course grade, {jobs} job{'s' * (jobs > 1)}"] = [took, n_students]
        took = with_nbgrader(submissions, lab, Path(folder) / "nbgrader", n_nbgrader)
        seconds["nbgrader autograde"] = [took, n_nbgrader]
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--nbgrader-students", type=int, default=12)
    parser.add_argument("--lab", default="01")
    options = parser.parse_args()
    (lab,) = find_labs(runtime.course_root(), (options.lab,))
    load = os.getloadavg()[0]
    measured = measure(options.students, options.nbgrader_students, lab)
    for who, (total, n) in measured.items():
        print(f"{who:24} {total:8.1f} s for {n:4} notebooks, {total / n:6.2f} s each")
    result = {
        "lab": lab.name,
        "seconds": {
            who: {"notebooks": n, "total": round(total, 1), "each": round(total / n, 2)}
            for who, (total, n) in measured.items()
        },
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_at_start": round(load, 1),
    }
    write_atomically(RESULTS, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
