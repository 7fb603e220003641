"""The run over a class, without a sandbox: resumed, deterministic, with any names; and the scoring rule."""

import csv
import json
import sys
import unicodedata

import pytest
from classroom import NAMES, notebook, put
from click.testing import CliRunner

from course_utils import cli, exercises
from course_utils.authoring import grading
from course_utils.authoring.grading import errors, grade, one, overview, report
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


class Interrupting:
    """An importer that is interrupted while it looks for the grader, as by Ctrl-C in the first seconds."""

    def find_spec(self, name, path=None, target=None):
        if name == grade.__name__:
            raise KeyboardInterrupt


def test_an_interrupt_while_the_grader_is_loaded_is_said_like_any_other(submissions, tmp_path, monkeypatch):
    monkeypatch.delattr(grading, "grade")
    monkeypatch.delitem(sys.modules, grade.__name__)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    done = CliRunner().invoke(cli.main, ["grade", str(submissions), "--out", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert "the same command goes on from there" in done.output


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


@pytest.mark.parametrize("content", [b"", b"{}", b'{"seed": 7}', b'{"seed": "ab', b"\xff\xfe\0", b"[]"])
def test_a_damaged_seed_is_an_error_that_says_what_to_do(without_sandbox, submissions, tmp_path, content):
    put(tmp_path, "out/grading.json", content)
    with pytest.raises(grade.GradingError, match=r"expected the seed of the last run.*--seed"):
        grade.grade_class(submissions, tmp_path / "out")
    assert (tmp_path / "out" / "grading.json").read_bytes() == content
    grade.grade_class(submissions, tmp_path / "out", seed="mine")
    assert len(without_sandbox) == 3


# ---- overrides.csv as spreadsheets write it ----

ROWS = "student,exercise,points,reason\nZoë,1.3,0.5,späte Abgabe\n"


def overridden(tmp_path, data, student="Zoë"):
    """The points and what is said when overrides.csv holds these bytes."""
    records = [{"student": student, "exercises": {"1.3": {"points": 0.0, "of": 1}}}]
    (tmp_path / "overrides.csv").write_bytes(data)
    said = report.apply_overrides(tmp_path / "overrides.csv", records)
    return records[0]["exercises"]["1.3"]["points"], said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_overrides_are_read_as_spreadsheets_write_them(tmp_path, encoding, delimiter):
    assert overridden(tmp_path, ROWS.replace(",", delimiter).encode(encoding)) == (0.5, [])


def test_an_accent_may_be_written_in_two_ways(tmp_path):
    data = unicodedata.normalize("NFD", ROWS).encode()
    assert overridden(tmp_path, data, unicodedata.normalize("NFC", "Zoë")) == (0.5, [])


@pytest.mark.parametrize("data", [b"", b"\x81\x8d\x8f", b"PK\3\4\0\0\0", b"\xff\xfe\0", b"a,b\n1,2\n"])
def test_overrides_that_cannot_be_read_change_nothing_and_end_nothing(tmp_path, data):
    points, (said,) = overridden(tmp_path, data)
    assert points == 0
    assert said.startswith("overrides.csv")


# ---- what may be said of an error ----

CELLS = [
    {"type": "text", "source": "# A", "exercise": None},
    {"type": "code", "source": "a = 1\nb = 2", "exercise": None},
    {"type": "text", "source": "# B", "exercise": None},
    {"type": "code", "source": "c = 3", "exercise": None},
]


@pytest.mark.parametrize(
    ("error", "at", "said"),
    [
        ("KeyError", "cell 2, line 2", ("KeyError", "cell 2, line 2")),
        ("KeyError", "cell 2, line 3", ("KeyError", "cell 4, line 1")),  # one cell, split in two
        ("KeyError", "cell 2, line 4", ("KeyError", "")),
        ("KeyError", "cell 99, line 1", ("KeyError", "")),
        ("KeyError", "<b>the hidden case is 7</b>", ("KeyError", "")),
        ("TheAnswerIs42", "cell 2, line 1", (errors.OWN_KIND, "cell 2, line 1")),
    ],
)
def test_of_an_error_only_its_type_and_its_place_are_said(error, at, said):
    found = errors.raised(CELLS, error, at, "any message")
    assert (found.error, found.at, found.module) == (*said, "")


@pytest.mark.parametrize(
    ("problem", "module"),
    [
        ("cell 2, line 1: ModuleNotFoundError surprise", "surprise"),
        ("cell 2, line 1: ModuleNotFoundError <script>", None),
        ("cell 2, line 1: NameError surprise", ""),
        ("cell 2, line 1: ModuleNotFoundError " + "x" * 100, None),
    ],
)
def test_of_a_module_only_a_name_is_said(problem, module):
    found = errors.not_run(CELLS, problem)
    assert found == errors.Said() if module is None else found.module == module


@pytest.mark.parametrize(
    ("source", "is_it"),
    [
        ("from course_utils.metrics import rmse", True),
        ("if True:\n    from course_utils.metrics.errors import mae, rmse  # mine", True),
        ("from course_utils.metrics import (\n    mae,\n    rmse_ as rmse,\n)", True),
        ("from course_utils.metrics import rmse as theirs", False),
        ("from course_utils import metrics", False),
        ("from my_course_utils import rmse", False),
        ("# from course_utils.metrics import rmse", False),
        ("from course_utils" + " " * 200_000, False),
    ],
)
def test_imports_of_the_packages_own_are_seen(source, is_it):
    assert errors.imported([{"type": "code", "source": source, "exercise": None}], "rmse") == is_it


@pytest.mark.parametrize("number", NAMES)
def test_no_cell_of_a_lab_itself_looks_like_answering_with_the_package(number):
    made = [cell for cell in notebook(number)["cells"] if cell["cell_type"] == "code"]
    cells = [{"type": "code", "source": cell["source"], "exercise": None} for cell in made]
    assert not [e.id for e in exercises.of_lab(number) if errors.imported(cells, e.name)]


def test_what_was_raised_outside_the_notebook_has_no_line_to_look_at():
    found = one._missing(RMSE, "") | {"status": "wrong", "error": "TypeError", "hint": "Try that line."}
    assert report.what_was_seen(RMSE, found).endswith(f"It raised TypeError. {report.NO_LINE}")


def test_a_group_that_wrote_the_same_stands_in_one_line(tmp_path):
    written = {"status": "ok", "points": 1.0, "of": 1, "nodes": 99}
    records = [
        {"student": student, "lab": "01", "file": "", "flags": []}
        | {"exercises": {id: one._missing(RMSE, "") | written | {"tree": f"t{id}"} for id in ("1.1", "1.3")}}
        for student in "dacb"
    ]
    report.write_reports(tmp_path, records)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert page.count("<tr><td>a, b, c, d<td>1.1, 1.3<td>as each other</tr>") == 1
    assert "same code as" not in page
    assert (tmp_path / "grades.csv").read_text(encoding="utf-8").count('"1.1, 1.3 same code as a, b, c"') == 1


@pytest.mark.parametrize(("totals", "words"), [((0, 1), "median 50 %"), ((0, 0, 1), "median 0 %")])
def test_the_median_of_an_even_class_lies_between(totals, words):
    records = [{"exercises": {"1.3": {"points": float(total), "of": 1}}} for total in totals]
    assert words in overview._distribution(records)


VERSION = {"name": "rmse", "where": "cell 1", "tree": "", "nodes": 0}


@pytest.mark.parametrize(
    ("points_of_programs", "tried", "flags"),
    [
        ([[1.0], [1.0]], 1, []),  # what came first is all right: the rest is not looked at
        ([[0.0], [1.0], [0.0]], 2, ["3 versions of it, the best counts"]),
        ([[0.0, 0.75], [0.75]], 3, []),  # the second is no better
        ([[0.0], [0.0]], 2, []),
    ],
)
def test_a_second_version_is_tried_and_flagged_only_where_it_helps(
    monkeypatch, points_of_programs, tried, flags
):
    done = []

    def run(box, cells, exercise, version, program, cases, seconds):
        done.append(program)
        return one._missing(exercise, "") | {"points": program, "flags": []}

    monkeypatch.setattr(one, "_run", run)
    versions = [VERSION | {"programs": programs} for programs in points_of_programs]
    record = one._grade(None, [], RMSE, {"versions": versions, "problem": ""}, CASES, 5)
    assert len(done) == tried
    assert record["flags"] == flags
    assert record["points"] == max(map(max, points_of_programs))


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
    with open(out / "grades.csv", encoding="utf-8-sig", newline="") as file:
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
