"""What the sandbox sees of the course: enough to call a learner's object, and no answer."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils import exercises
from course_utils.authoring.grading import package
from course_utils.authoring.grading.inside import wire
from course_utils.authoring.grading.sandbox import INSIDE
from course_utils.exercises.observe import Outcome, observe
from course_utils.exercises.plain import Plain

IDS = package.all_ids()
each = pytest.mark.parametrize("id", IDS)


def judged(exercise, cases, outcomes):
    """Whether every case is right."""
    expected = observe(exercise, exercise.reference, cases, 60)
    try:
        return not any(
            exercise.verdict.complaint(case.args, got.value, right.value)
            for case, got, right in zip(cases, outcomes, expected, strict=True)
        )
    except Exception:
        return False


@each
def test_the_call_knows_neither_reference_nor_misconceptions(id):
    exercise = exercises.get(id)
    program = package.call_program(id)
    if program is None:
        return
    known = {exercise.reference, *(m.wrong for m in exercise.misconceptions)}
    names = {getattr(function, "__name__", "") for function in known} - {"<lambda>", ""}
    text = "\n".join(part for part, _ in program["program"])
    defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert not defined & names
    imported = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]
    allowed = {f"course_utils.exercises.{name}" for name in package.REFERENCE_FREE}
    for node in imported:
        if (node.module or "").startswith("course_utils.exercises"):
            assert node.module in allowed


@each
def test_no_declaration_is_in_the_copy(id):
    folder = package.package_at(id)
    names = {path.stem for path in (folder / "course_utils" / "exercises").glob("*.py")}
    assert names == {"__init__", *package.REFERENCE_FREE}
    assert not (folder / "course_utils" / "authoring").exists()
    assert not [path for path in folder.rglob("*") if path.suffix not in (".py", ".pyc", "")]


def test_earlier_answers_are_there_and_later_ones_are_not():
    metrics = (package.package_at("1.4") / "course_utils" / "metrics" / "errors.py").read_text()
    ratings = (package.package_at("1.4") / "course_utils" / "baselines" / "ratings.py").read_text()
    assert "not there while" not in metrics
    assert "not there while" in ratings


def test_bodies_go_and_constructors_stay():
    source = (
        'def f(x):\n    """Doc."""\n    return 1\n\n'
        "class A:\n    def __init__(self):\n        self.x = 1\n    def g(self):\n        return 2\n"
        "    def h(self):\n        return 3\n"
    )
    stripped = package.without_bodies(source, frozenset({"f", "A.g"}))
    assert "Doc." in stripped
    assert "self.x = 1" in stripped
    assert "return 3" in stripped
    assert "return 1" not in stripped
    assert "return 2" not in stripped
    assert "return 3" not in package.without_bodies(source, frozenset({"*"}))
    assert "self.x = 1" in package.without_bodies(source, frozenset({"*"}))
    methods = package.without_bodies(source, frozenset({"*.*"}))
    assert "return 1" in methods
    assert "return 3" not in methods


def test_no_function_of_the_copy_answers_an_exercise():
    # Each function of the package is called as the learner's would be. Without any hiding this finds dozens.
    tasks, cases = {}, {}
    for id in IDS:
        exercise = exercises.get(id)
        cases[id] = [case for case in exercise.draw(5) if not case.edge][1:3]
        subject = {name: getattr(exercise, name) for name in ("id", "name", "params")} | {"method": None}
        args = [case.args for case in cases[id]]
        tasks[id] = (str(package.package_at(id)), subject, package.call_program(id), args)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "hunt.py")],
        input=pickle.dumps(tasks),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(INSIDE), "COURSE_HEADLESS": "1", "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answering = [
        f"{id}: {name}"
        for id, found in pickle.loads(done.stdout).items()
        for name, data in found.items()
        if judged(exercises.get(id), cases[id], wire.decode(data, len(cases[id]), Outcome, Plain))
    ]
    assert answering == []
