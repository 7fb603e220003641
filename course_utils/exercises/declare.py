"""How an exercise is declared: once, for the check in the lab, the tests and the grader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course_utils.exercises.verdicts import Verdict


@dataclass(frozen=True)
class Case:
    """One call: what it is, in words that follow "for", and its arguments by name, in the learner's order."""

    what: str
    args: dict[str, Any]
    edge: bool = False


@dataclass(frozen=True)
class Misconception:
    """A known wrong way: how it is done, and what helps the learner who did it (never the answer)."""

    name: str
    wrong: Callable
    message: str


def call_function(learners: Callable, **args: Any) -> Any:
    """The plain way to call what a learner wrote: by position, so that they may rename arguments."""
    return learners(*args.values())


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    cases(rng) draws them, the first by hand and the core before the edge cases; the same rng, the same cases.
    reference and each misconception's `wrong` stand in for the learner's object. call(learners, **args) runs
    it on a case's arguments; where the object is a class, method names what the learner writes in it.
    difficulty: 1 warm-up, 2 usual, 3 tricky.
    """

    id: str
    title: str
    name: str
    params: tuple[str, ...]
    points: int
    minutes: int
    difficulty: int
    cases: Callable[[np.random.Generator], list[Case]]
    reference: Callable
    verdict: Verdict
    misconceptions: tuple[Misconception, ...] = field(repr=False)
    call: Callable = call_function
    method: str | None = None

    @property
    def lab(self) -> str:
        """The number of its lab as in the file names: "01"."""
        return self.id.split(".")[0].zfill(2)

    @property
    def signature(self) -> str:
        """As in the stub: "rmse(predictions, ratings)"."""
        name, params = (self.method, ("self", *self.params)) if self.method else (self.name, self.params)
        return f"{name}({', '.join(params)})"

    def draw(self, seed: int) -> list[Case]:
        """The cases of a seed."""
        return self.cases(np.random.default_rng(seed))
