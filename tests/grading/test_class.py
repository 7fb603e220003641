"""The class as a whole: everybody gets exactly what they have earned."""

import hostile
import pytest
import students
from classroom import LABS

from course_utils import exercises

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
