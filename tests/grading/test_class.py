"""The class as a whole: everybody gets exactly what they have earned."""

import html
import re
import shutil
import urllib.parse

import hostile
import pytest
import students
from classroom import LABS, cells_for_recovery, notebook, put
from graded_class import SECONDS, Graded

from course_utils import exercises
from course_utils.authoring.grading import grade, one, report
from course_utils.authoring.grading.sandbox import choose

ATTACKS = [
    (number, id, what, points)
    for number, attacks in (
        ("01", hostile.LAB_1 | {"1.7": hostile.LAB_1_FORWARD}),
        ("02", hostile.LAB_2 | hostile.LAB_2_FORWARD),
        ("03", hostile.LAB_3 | hostile.LAB_3_FORWARD),
    )
    for id, (what, points, _) in attacks.items()
]


def of(number):
    return {exercise.id: exercise.points for exercise in exercises.of_lab(number)}


@pytest.mark.parametrize("number", LABS)
def test_the_solutions_get_every_point(graded, number):
    assert graded.points("perfect", number) == of(number)


def test_a_stub_gets_none_and_is_said_to_be_unwritten(graded):
    assert set(graded.points("empty_11", "01").values()) == {0}
    assert "It is not written yet." in graded.feedback("empty_11", "01")
    assert graded.rows["empty_11", "01"]["flags"] == ""


def test_a_syntax_error_costs_its_own_exercise(graded):
    assert graded.points("partial_12", "02") == of("02") | {"2.2": 0}
    assert "late" in graded.rows["partial_12", "02"]["flags"]
    assert "no Python" in graded.feedback("partial_12", "02")


def test_whatever_is_right_gets_its_points(graded):
    assert graded.points("fair", "01") == of("01")


def test_mistakes_cost_what_they_should(graded):
    expected = of("01") | {id: points for id, (points, _, _) in students.MISTAKES.items()}
    assert graded.points("Mistaken Student_13", "01") == expected


def test_damage_costs_what_is_lost(graded):
    assert graded.points("damaged", "01") == students.DAMAGED


def test_of_a_file_that_was_cut_off_the_whole_cells_are_graded(graded):
    points = graded.points("cut", "01")
    assert [points[id] for id in ("1.1", "1.2", "1.3", "1.4", "1.5a", "1.5b")] == [1, 2, 1, 2, 2, 2]
    assert [points[id] for id in ("1.6", "1.7", "1.8", "1.9")] == [0, 0, 0, 0]
    assert "damaged" in graded.rows["cut", "01"]["flags"]


@pytest.mark.parametrize(
    ("student", "flag"),
    [
        ("nothing", "the file is empty"),
        ("linked", "a link, no file"),
        ("noise", "damaged"),
        ("broken", "zip archive"),
    ],
)
def test_what_cannot_be_read_is_reported(graded, student, flag):
    row = next(row for (name, _), row in graded.rows.items() if name == student)
    assert flag in row["flags"]
    assert float(row["total"]) == 0


def test_there_are_as_many_attacks_as_promised():
    assert len(ATTACKS) >= 25


@pytest.mark.parametrize(
    ("number", "id", "what", "points"), ATTACKS, ids=[f"{a[1]} {a[2][:40]}" for a in ATTACKS]
)
def test_an_attack_gets_exactly_what_it_has_earned(graded, number, id, what, points):
    assert graded.points("hostile", number)[id] == points, what


def test_nothing_that_ran_can_be_seen_outside(graded):
    assert not any((path / "was-here").exists() for path in (graded.out, graded.submissions))


# ---- what is written ----


def test_feedback_names_the_misconception_and_shows_no_hidden_case(graded):
    page = graded.feedback("Mistaken Student_13", "01")
    known = {m.name: m.message for m in exercises.get("1.1").misconceptions}
    assert html.escape(known["counts from 1"]) in page
    assert "The usual cases are right, and 2 of 4 special ones." in page
    assert "It raised NameError (cell " in page  # the type and the place, and nothing of the message
    for word in ("expected", "undefined_name", "[1, ", "nan"):
        assert word not in page.lower(), word


def test_feedback_never_says_what_a_learners_code_said(graded):
    for number in LABS[:3]:
        page = graded.feedback("hostile", number)
        assert "SCORE" not in page
        assert "<script" not in page


def test_the_overview_counts_misconceptions_time_outs_and_flags(graded):
    page = (graded.out / "class.html").read_text(encoding="utf-8")
    n = sum(lab == "01" for _, lab in graded.rows)
    assert f"2 of {n}<td>1.1 Raw ids to dense indices: <b>counts from 1</b>" in page
    assert "2.1 time-out" in page
    assert "1.5b too many processes" in page or "1.5b time-out" in page
    assert "hardest" in page.lower()


def test_the_overview_links_to_every_page_of_feedback(graded):
    page = (graded.out / "class.html").read_text(encoding="utf-8")
    links = {urllib.parse.unquote(html.unescape(link)) for link in re.findall('href="([^"]+)"', page)}
    pages = {str(path.relative_to(graded.out)) for path in (graded.out / "feedback").rglob("*.html")}
    assert links == pages
    assert "<h2>Lab 1: Collaborative filtering" in page


def test_what_was_graded_from_a_cell_of_text_is_flagged(graded):
    assert "1.5a was found in a cell of text (cell " in graded.rows["damaged", "01"]["flags"]


ANSWERS = {
    "4.1": "from course_utils.metrics import (\n    hit_rate_at_k, ndcg_at_k\n)",
    "4.2": "def precision_and_recall(items, relevant, k):\n"
    "    return metrics.precision_at_k(items, relevant, k), metrics.recall_at_k(items, relevant, k)",
    "4.3": "def map_at_k(items, relevant):\n    return 0.0",
    "4.5": "from surprise import SVD\n\n\ndef expected_hit_rate(n_higher, n_others, n_neg, k):\n"
    "    return SVD().fit(n_higher, n_others)",
    "4.7": "def paired_test(a, b, n_flips, rng):\n    return ml.users[0]",
    "4.9": "intra_list_diversity = make_it(3)",
    "4.10": "def mmr(scores, similarity, k, lambda_):\n    chosen = {}\n    return chosen[7]",
}
SAID = {
    "4.1": "It is the package's own, which does not count: write yours, under the name ndcg_at_k.",
    "4.2": "It calls the package's own version of this exercise or of a later one, which does not count",
    "4.3": "It could not be called as map_at_k(items, relevant, k)",
    "4.5": "A statement that it needs could not be run: ModuleNotFoundError (cell ",
    "4.7": "It raised NameError (cell ",
    "4.9": "Its definition could not be run: NameError (cell ",
    "4.10": "line 3). That is looked up where it does not stand.",
}
FLAGGED = {
    "4.1": ["is the package's own"],
    "4.2": ["calls the package's own"],
    "4.5": ["needs a module that is not installed: surprise"],
}


def test_why_nothing_could_be_computed_is_told():
    cells = cells_for_recovery(notebook("04", ANSWERS, solved=False))
    found = one.grade_cells(cells, "04", "any seed", choose("auto"), SECONDS)
    for id in ANSWERS:
        assert found[id]["points"] == 0
        said = report.what_was_seen(exercises.get(id), found[id])
        assert SAID[id] in said, said
        assert found[id]["flags"] == FLAGGED.get(id, found[id]["flags"])
    said = report.what_was_seen(exercises.get("4.7"), found["4.7"])
    assert "no data: what it works on has to come in as arguments" in said


def test_pasted_code_is_flagged_and_costs_nothing(graded):
    page = (graded.out / "class.html").read_text(encoding="utf-8")
    assert re.search(r"<tr><td>[^<]*perfect[^<]*<td>[^<]*1\.4[^<]*<td>as the course has it</tr>", page)
    flags = graded.rows["perfect", "01"]["flags"].split("; ")
    assert any(flag.startswith("1.4, ") and "same code as the course's solution" in flag for flag in flags)
    assert sum("same code" in flag for flag in flags) == 1
    assert "same code" not in graded.rows["empty_11", "01"]["flags"]
    assert "same code" not in graded.feedback("perfect", "01")


def test_totals_add_up(graded):
    for (student, number), row in graded.rows.items():
        assert float(row["total"]) == pytest.approx(sum(graded.points(student, number).values())), student


def test_a_rerun_grades_only_what_changed(graded, monkeypatch):
    again = []
    work = grade._work
    monkeypatch.setattr(grade, "_work", lambda tasks, *more: (again.extend(tasks), work(tasks, *more))[1])
    before = {path: path.stat().st_mtime_ns for path in (graded.out / "records").rglob("*.json")}
    grade.grade_class(graded.submissions, graded.out, seconds=SECONDS)
    assert again == []
    put(graded.submissions, "nothing/lab1.ipynb", notebook("01", solved=False))
    grade.grade_class(graded.submissions, graded.out, seconds=SECONDS)
    assert [task["submission"]["student"] for task in again] == ["nothing"]
    after = {path: path.stat().st_mtime_ns for path in (graded.out / "records").rglob("*.json")}
    assert {path.parent.name for path in after if after[path] != before.get(path)} == {"nothing"}
    put(graded.submissions, "nothing/lab1.ipynb", b"")


def test_an_instructors_points_win_and_show(graded):
    path = graded.out / "overrides.csv"
    path.write_text(
        "student,exercise,points,reason\n"
        'damaged,1.8,3,"a typing error, shown in class"\n'
        "damaged,1.9,99,too many\nnobody,1.1,1,who\nperfect,1.1,x,what\n",
        encoding="utf-8",
    )
    try:
        lines = grade.grade_class(graded.submissions, graded.out, seconds=SECONDS)
        now = Graded(graded.submissions, graded.out, lines)
    finally:
        path.unlink()
    assert now.points("damaged", "01") == students.DAMAGED | {"1.8": 3}
    assert "1.8 set to 3 by hand: a typing error, shown in class" in now.rows["damaged", "01"]["flags"]
    assert "Points given by your instructor: a typing error" in now.feedback("damaged", "01")
    assert [line[:22] for line in lines if "overrides" in line] == [
        f"overrides.csv, line {n}:"[:22] for n in (3, 4, 5)
    ]
    grade.grade_class(graded.submissions, graded.out, seconds=SECONDS)
    assert "by your instructor" not in graded.feedback("damaged", "01")


def test_the_same_seed_gives_the_same_scores_on_a_cluster(graded, tmp_path):
    distributed = pytest.importorskip("distributed")
    for student in ("fair.zip", "damaged"):
        (tmp_path / "submissions").mkdir(exist_ok=True)
        (tmp_path / "submissions" / student).symlink_to(graded.submissions / student)
    shutil.copytree(tmp_path / "submissions", tmp_path / "some", symlinks=False)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        lines = grade.grade_class(
            tmp_path / "some", tmp_path / "out", seed="a secret", scheduler=address, seconds=SECONDS
        )
    assert not [line for line in lines if "not graded" in line]
    there = Graded(tmp_path / "some", tmp_path / "out", lines)
    for student in ("fair", "damaged"):
        assert there.points(student, "01") == graded.points(student, "01")
        assert (
            there.record(student, "01")["exercises"].keys()
            == graded.record(student, "01")["exercises"].keys()
        )
