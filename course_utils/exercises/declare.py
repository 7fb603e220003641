"""How an exercise is declared: once, for the check in the lab, the tests and the grader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from course_utils.exercises.calling import Case, Subject
from course_utils.exercises.verdicts import Verdict

__all__ = ["Case", "Exercise", "Misconception"]


@dataclass(frozen=True)
class Misconception:
    """A known wrong way: how it is done, and what helps the learner who did it (never the answer)."""

    name: str
    wrong: Callable
    message: str


@dataclass(frozen=True, kw_only=True)
class Exercise(Subject):
    """One exercise.

    cases(rng) draws them, the first by hand and the core before the edge cases; the same rng, the same cases.
    reference and each misconception's `wrong` stand in for the learner's object. call, a function of its
    module that calls no reference, runs it on a case's arguments: a grader takes only that into its sandbox.
    difficulty: 1 warm-up, 2 usual, 3 tricky.
    """

    title: str
    points: int
    minutes: int
    difficulty: int
    cases: Callable[[np.random.Generator], list[Case]]
    reference: Callable
    verdict: Verdict
    misconceptions: tuple[Misconception, ...] = field(repr=False)

    @property
    def lab(self) -> str:
        """The number of its lab as in the file names: "01"."""
        return self.id.split(".")[0].zfill(2)

    def draw(self, seed: int) -> list[Case]:
        """The cases of a seed."""
        return self.cases(np.random.default_rng(seed))
