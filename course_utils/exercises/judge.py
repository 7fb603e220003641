"""Compare what was observed with the reference and the known mistakes, in words for the learner."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.guard import SECONDS, fresh_state, quiet
from course_utils.exercises.observe import Outcome, observe
from course_utils.exercises.plain import MAX_SHOWN, numbers
from course_utils.exercises.verdicts import ON_PAPER, ON_PAPER_SMALLER, Complaint

_WIDTH = 100
_TRUSTED = 60.0  # seconds for the course's own code


@dataclass(frozen=True)
class Result:
    """The verdict on an exercise: the message for the learner, and what a grader counts.

    status: "ok", "wrong", "not written" or "refused". passed_cases: one per case, False where it was not
    reached. misconception: the name of the known mistake, when exactly one explains everything that was seen,
    or all that was seen in the usual cases where those fail already. hint: what helps, without the case and
    without what was seen in it.
    """

    exercise: Exercise
    status: str
    message: str
    passed_cases: tuple[bool, ...] = ()
    misconception: str = ""
    hint: str = ""

    @property
    def passed(self) -> bool:
        """Whether every case is right."""
        return self.status == "ok"


def judge(exercise: Exercise, cases: list[Case], outcomes: list[Outcome], seconds: float = SECONDS) -> Result:
    """The result for a learner's outcomes on these cases; seconds is the limit that they ran under."""
    last = outcomes[-1]
    failed = (False,) * len(cases)
    if last.status == "not written":
        where = f" in {exercise.name}" if exercise.method else ""
        text = f"not written yet. Replace the comment{where} by your code and run the cell."
        tip = "Is your code already there? Then delete the line that says `raise NotImplementedError`."
        return Result(exercise, "not written", message(exercise, text, tip), failed)
    if last.status == "refused":
        return Result(exercise, "refused", message(exercise, f"{last.text}."), failed)
    with fresh_state(), quiet():
        expected = observe(exercise, exercise.reference, cases, _TRUSTED)
        complaints = [
            _complaint(exercise, *seen, seconds) for seen in zip(cases, outcomes, expected, strict=False)
        ]
        passed = tuple(c is None for c in complaints) + (False,) * (len(cases) - len(complaints))
        if all(passed):
            n = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
            return Result(exercise, "ok", message(exercise, f"ok ({n})"), passed)
        known = recognise(exercise, cases, outcomes, expected)
        index = passed.index(False)
        if known is None and not cases[index].edge:  # one mistake, and another or none at the edges
            usual = sum(not case.edge for case in cases)
            known = recognise(exercise, cases[:usual], outcomes[:usual], expected[:usual])
    seen = _seen(exercise, cases, passed, complaints[index], index)
    help_text = known.message if known else complaints[index].ask
    hint = ON_PAPER_SMALLER if help_text == ON_PAPER else help_text
    lines = [help_text if show(cases[index].args) else hint]
    if outcomes[index].printed:
        lines.append(f"(Your code printed: {outcomes[index].printed})")
    name = known.name if known else ""
    return Result(exercise, "wrong", message(exercise, seen, *lines), passed, name, hint)


def refuse(exercise: Exercise, full_name: str) -> Result:
    """The result for the package's own object."""
    text = f"this is the package's own ({full_name}); write yours in the cell above and check that."
    return Result(exercise, "refused", message(exercise, text), ())


def message(exercise: Exercise, text: str, *more: str) -> str:
    """ "[1.3] rmse: text", with the further lines indented to below the name."""
    head = f"[{exercise.id}] "
    first = textwrap.wrap(
        f"{head}{exercise.name}: {text}", _WIDTH, subsequent_indent=" " * len(head), **_WRAP
    )
    return "\n".join([*first, *(line for part in more for line in _indented(part, len(head)))])


_WRAP = {"break_long_words": False, "break_on_hyphens": False}


def _indented(text: str, indent: int) -> list[str]:
    space = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=space, subsequent_indent=space, **_WRAP)


# ---- one case ----


def _complaint(
    exercise: Exercise, case: Case, got: Outcome, expected: Outcome, seconds: float
) -> Complaint | None:
    """What is wrong in a case, or None; in the order: did it run, shape, value, changed arguments."""
    at = f" at {got.line}" if got.line else ""
    if got.status == "time-out":
        ask = "Which condition should end the loop, and does something in the loop bring it nearer?"
        return Complaint(f"was stopped after {seconds:g} seconds{at}", "an answer in less than one", ask)
    if got.status == "crashed":
        ask = "Does it end Python, start processes, or ask for more memory than there is?"
        return Complaint("ended the process that it ran in", "an answer", ask)
    if got.status == "raised":
        text = f"{got.error}: {got.text}" if got.text else got.error
        ask = "Try that line in a cell of its own, with small inputs: what are the shapes and types there?"
        if got.error in ("NameError", "UnboundLocalError"):
            ask = "Where does that name get its value: among the arguments, or on a line before this one?"
            if exercise.method:
                ask = f"{ask[:-1]}, or in __init__, on self?"
        elif got.error == "ZeroDivisionError":
            ask = "What is the number below the line here, and what does the docstring say about such a case?"
        elif got.error == "KeyError" or "is not in list" in got.text:
            ask = "That is looked up where it does not stand. What is to be done with it in that case?"
        return Complaint(f"raised {text}{at}", "an answer", ask)
    if problem := exercise.verdict.complaint(case.args, got.value, expected.value):
        return problem
    if got.changed:
        ask = "The caller still needs them as they were: which line writes into them?"
        return Complaint(f"wrote into {' and '.join(got.changed)}", "every argument left as it was", ask)
    return None


def _seen(
    exercise: Exercise, cases: list[Case], passed: tuple[bool, ...], problem: Complaint, index: int
) -> str:
    case = cases[index]
    shown = show(case.args)
    where = f"{case.what}: {shown}" if case.edge and shown else shown or case.what
    core_is_right = case.edge and all(ok for ok, c in zip(passed, cases, strict=True) if not c.edge)
    lead = "right in the usual cases, but " if core_is_right else ""
    return f"{lead}{problem.got}, expected {problem.expected}, for {where}."


def show(args: dict[str, Any]) -> str:
    """The arguments themselves when they are few numbers: "k=2, scores=[0.5, 1]"; else ""."""
    arrays = {}
    for name, value in args.items():
        if isinstance(value, dict):
            return ""
        arrays[name] = value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if (
        any(a.size > MAX_SHOWN for a in arrays.values())
        or sum(a.size for a in arrays.values()) > 2 * MAX_SHOWN
    ):
        return ""
    return ", ".join(f"{name}={numbers(array)}" for name, array in arrays.items())


# ---- known mistakes ----


def recognise(
    exercise: Exercise, cases: list[Case], outcomes: list[Outcome], expected: list[Outcome]
) -> Misconception | None:
    """The one known mistake that does what the learner's object does in all these cases, or None."""
    mine, right = traces(exercise, cases, outcomes), traces(exercise, cases, expected)

    def explains(known: Misconception) -> bool:
        for case, seen, wanted in zip(cases, mine, right, strict=False):
            other = _trace(exercise, case, observe(exercise, known.wrong, [case], _TRUSTED)[0])
            if not alike(exercise, seen, other, wanted):
                return False
        return True

    matches = [known for known in exercise.misconceptions if explains(known)]
    return matches[0] if len(matches) == 1 else None


def traces(exercise: Exercise, cases: list[Case], outcomes: list[Outcome]) -> list[tuple]:
    """Of each outcome what tells one mistake from another, for `alike`."""
    return [_trace(exercise, case, outcome) for case, outcome in zip(cases, outcomes, strict=False)]


def _trace(exercise: Exercise, case: Case, outcome: Outcome) -> tuple:
    if outcome.status != "returned":
        return (outcome.status, outcome.error), None
    return ("returned", outcome.changed), exercise.verdict.normalise(case.args, outcome.value)


def alike(exercise: Exercise, a: tuple, b: tuple, right: tuple) -> bool:
    """Whether two traces of a case are the same; right is the reference's."""
    (kind, value), (other_kind, other_value) = a, b
    return kind == other_kind and (value is None or exercise.verdict.same(value, other_value, right[1]))
