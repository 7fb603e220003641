"""The exercises of the labs: `check("1.3", rmse)` says whether a learner is right, or what went wrong."""

from __future__ import annotations

from typing import Any

from course_utils import runtime
from course_utils.exercises import lab01, lab02, lab03, lab04
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.guard import SECONDS
from course_utils.exercises.judge import Result, judge, refuse
from course_utils.exercises.observe import observe, of_the_package

__all__ = ["Case", "Exercise", "Misconception", "Result", "check", "get", "of_lab", "run_check"]

_EXERCISES = {exercise.id: exercise for lab in (lab01, lab02, lab03, lab04) for exercise in lab.EXERCISES}


class UnknownExercise(KeyError):
    """No exercise has this id; the message lists those that exist."""

    def __str__(self) -> str:
        return str(self.args[0])


def get(exercise_id: str) -> Exercise:
    """The exercise with this id, as "1.3". Raises UnknownExercise (a KeyError)."""
    try:
        return _EXERCISES[exercise_id]
    except (KeyError, TypeError):
        if not isinstance(exercise_id, str):
            raise UnknownExercise(f'exercise {exercise_id}: the id is a text, in quotes, as "1.3"') from None
        raise UnknownExercise(f"exercise {exercise_id!r}: must be one of {', '.join(_EXERCISES)}") from None


def of_lab(number: str) -> list[Exercise]:
    """The exercises of lab "01", in their order; an empty list for a lab without any."""
    return [exercise for exercise in _EXERCISES.values() if exercise.lab == number]


def run_check(exercise_id: str, learners: Any, seed: int = 0, seconds: float = SECONDS) -> Result:
    """Run a learner's object on the cases of a seed, for at most so many seconds, and judge it."""
    exercise = get(exercise_id)
    if full_name := of_the_package(exercise, learners):
        return refuse(exercise, full_name)
    cases = exercise.draw(seed)
    return judge(exercise, cases, observe(exercise, learners, cases, seconds), seconds)


def check(exercise_id: str, learners: Any) -> None:
    """Print whether a learner's object is right, and what helps if not; with COURSE_STRICT, raise if not."""
    try:
        result = run_check(exercise_id, learners)
    except UnknownExercise as error:
        if runtime.is_strict():
            raise
        print(error)
        return
    if runtime.is_strict() and not result.passed:
        raise AssertionError(result.message)
    print(result.message)
