"""What it takes to run a learner's object on a case: nothing here knows an answer.

A grader's sandbox holds this module, observe, plain, guard, forward and verdicts, and no declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One call: what it is, in words that follow "for", and its arguments by name, in the learner's order."""

    what: str
    args: dict[str, Any]
    edge: bool = False


def call_function(learners: Callable, **args: Any) -> Any:
    """The plain way to call what a learner wrote: by position, so that they may rename arguments."""
    return learners(*args.values())


@dataclass(frozen=True, kw_only=True)
class Subject:
    """How an exercise's object is called: its name, its parameters, and call(learners, **args).

    Where the object is a class, method names what the learner writes in it.
    """

    id: str
    name: str
    params: tuple[str, ...]
    call: Callable = call_function
    method: str | None = None

    @property
    def signature(self) -> str:
        """As in the stub: "rmse(predictions, ratings)"."""
        name, params = (self.method, ("self", *self.params)) if self.method else (self.name, self.params)
        return f"{name}({', '.join(params)})"
