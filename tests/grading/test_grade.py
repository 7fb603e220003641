"""The run over a class, without a sandbox: resumed, deterministic, with any names; and the scoring rule."""

import csv
import json

import pytest
from classroom import NAMES, notebook, put

from course_utils import exercises
from course_utils.authoring.grading import grade, one
from course_utils.authoring.grading.score import complete, judge_safely, points
from course_utils.exercises.observe import Outcome
from course_utils.exercises.plain import Plain, to_plain

RMSE = exercises.get("1.3")  # 1 point; 3 core cases, 2 edge cases
CASES = RMSE.draw(1)


@pytest.fixture
def without_sandbox(monkeypatch):
    """Everything that is handed in is right; the students that were graded."""
    done = []

    def graded(task):
        done.append(task["submission"]["student"])
        found = {}
        for exercise in exercises.of_lab(task["submission"]["lab"]):
            found[exercise.id] = one._missing(exercise, "") | {
                "status": "ok",
                "points": float(exercise.points),
            }
        record = {name: task["submission"][name] for name in ("student", "lab", "file", "flags")}
        return record | {"fingerprint": task["fingerprint"], "exercises": found}

    monkeypatch.setattr(grade, "choose", lambda wanted: "bwrap")
    monkeypatch.setattr(grade, "grade_task", graded)
    return done


@pytest.fixture
def submissions(tmp_path):
    for student in ("amy", "ben", "cid"):
        put(tmp_path / "submissions", f"{student}/{NAMES['01']}.ipynb", notebook("01", solved=False))
    return tmp_path / "submissions"


def test_an_interrupted_run_goes_on(without_sandbox, submissions, tmp_path, monkeypatch):
    whole = grade.grade_task

    def stopped(task):
        if without_sandbox:
            raise KeyboardInterrupt
        return whole(task)

    monkeypatch.setattr(grade, "grade_task", stopped)
    with pytest.raises(KeyboardInterrupt):
        grade.grade_class(submissions, tmp_path / "out")
    assert (tmp_path / "out" / "feedback" / "amy" / f"{NAMES['01']}.html").exists()
    monkeypatch.setattr(grade, "grade_task", whole)
    lines = grade.grade_class(submissions, tmp_path / "out")
    assert without_sandbox == ["amy", "ben", "cid"]
    assert lines[0].startswith("2 graded, 1 unchanged")


def test_the_seed_is_random_kept_and_can_be_given(without_sandbox, submissions, tmp_path):
    out = tmp_path / "out"
    grade.grade_class(submissions, out)
    first = json.loads((out / "grading.json").read_text())["seed"]
    assert len(first) == 32
    grade.grade_class(submissions, out)
    assert json.loads((out / "grading.json").read_text())["seed"] == first
    assert len(without_sandbox) == 3
    grade.grade_class(submissions, out, seed="mine")
    assert json.loads((out / "grading.json").read_text())["seed"] == "mine"
    assert len(without_sandbox) == 6
    grade.grade_class(submissions, tmp_path / "other")
    assert json.loads((tmp_path / "other" / "grading.json").read_text())["seed"] != first


def test_cases_follow_from_the_seed_and_differ_between_seeds():
    def drawn(seed):
        return str([case.args for case in one.cases_of(RMSE, seed)])

    assert drawn("a") == drawn("a") != drawn("b")


@pytest.mark.parametrize(
    "student", ["=cmd|' /C calc'!A0", "..", "a\nb", "Ünï, Cödé", "<b>x</b>", "-", "x" * 200]
)
def test_any_name_of_a_student_is_safe(without_sandbox, tmp_path, student):
    record = grade.grade_task(
        {"submission": vars(grade.Submission(student, "01", "f.ipynb")), "fingerprint": "x"}
    )
    out = tmp_path / "out"
    grade._save(out, record)
    grade.report.write_reports(out, [record])
    written = [path.relative_to(out).parts for path in out.rglob("*.html") if path.name != "class.html"]
    assert len(written) == 1
    assert len(written[0]) == 3
    with open(out / "grades.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["student"].lstrip("'") == student
    assert not row["student"].startswith(("=", "-"))
    assert "<b>x" not in (out / "class.html").read_text(encoding="utf-8")


def test_names_that_had_to_be_changed_stay_different():
    assert len({grade.safe_name(name) for name in ("a/b", "a:b", "a_b", "..", ".", "")}) == 6


def test_a_folder_without_notebooks_is_said_to_be_so(without_sandbox, tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(grade.GradingError, match="no notebook"):
        grade.grade_class(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        ((True, True, True, True, True), 1.0),
        ((True, True, True, True, False), 0.88),  # .75 + .25 / 2 = .875
        ((True, True, True, False, False), 0.75),
        ((True, True, False, True, True), 0.0),
        ((False,) * 5, 0.0),
    ],
)
def test_edge_cases_count_after_the_core(passed, expected):
    assert points(RMSE, CASES, passed) == expected


def right(case):
    return Outcome("returned", to_plain(RMSE.reference(**case.args)))


def test_what_was_right_before_a_crash_stays_right():
    outcomes = complete([right(case) for case in CASES[:4]], len(CASES))
    assert outcomes[-1].status == "crashed"
    result = judge_safely(RMSE, CASES, outcomes, 5)
    assert result.passed_cases == (True, True, True, True, False)
    assert judge_safely(RMSE, CASES, [], 5).passed_cases == (False,) * 5


def test_a_forged_value_is_wrong_and_ends_nothing():
    trained = exercises.get("1.8")
    cases = trained.draw(1)
    for forged in (
        Plain("tuple", None, ()),
        Plain("x"),
        to_plain((((1.0, (to_plain([10**18]).array,)),), 1.0)),
        to_plain(
            ((((1.0, [to_plain([10**12]).array]), (1.0, [to_plain([0]).array])), to_plain([1.0]).array),) * 2
        ),
    ):
        result = judge_safely(trained, cases, [Outcome("returned", forged)] * len(cases), 5)
        assert result.passed_cases == (False,) * len(cases)
