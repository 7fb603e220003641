"""From outcomes to points.

An exercise has core cases and edge cases. If every core case is right, three quarters of its points are
earned; each edge case that is right then adds its equal share of the rest. Without all of the core there are
none.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import replace

from course_utils.exercises.calling import Case
from course_utils.exercises.declare import Exercise
from course_utils.exercises.guard import time_limit
from course_utils.exercises.judge import Result, judge
from course_utils.exercises.observe import Outcome

CORE = 0.75
JUDGE_SECONDS = 120.0
_MEMORY = 4 * 2**30  # addresses that a comparison may take
_ENDS = ("time-out", "not written", "refused", "crashed")


def points(exercise: Exercise, cases: list[Case], passed: tuple[bool, ...]) -> float:
    """The points for these cases, in hundredths."""
    core = [ok for case, ok in zip(cases, passed, strict=True) if not case.edge]
    edge = [ok for case, ok in zip(cases, passed, strict=True) if case.edge]
    if not all(core):
        return 0.0
    return round(exercise.points * (CORE + (1 - CORE) * sum(edge) / len(edge) if edge else 1), 2)


def judge_safely(exercise: Exercise, cases: list[Case], outcomes: list[Outcome], seconds: float) -> Result:
    """`judge`, for outcomes that may be forged: whatever makes the comparison itself fail is wrong."""
    outcomes = complete(outcomes, len(cases))
    try:
        with memory_limit(_MEMORY), time_limit(JUDGE_SECONDS):
            result = judge(exercise, cases, outcomes, seconds)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a TimeOut is no Exception
        return Result(exercise, "wrong", "", (False,) * len(cases), hint="What came back could not be read.")
    return replace(result, passed_cases=result.passed_cases or (False,) * len(cases))


def complete(outcomes: list[Outcome], n_cases: int) -> list[Outcome]:
    """With "crashed" where the process ended before its time."""
    if len(outcomes) < n_cases and not (outcomes and outcomes[-1].status in _ENDS):
        return [*outcomes, Outcome("crashed")]
    return outcomes


@contextlib.contextmanager
def memory_limit(extra: int) -> Iterator[None]:
    """At most so many more bytes of addresses for this process; then MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limit = used + extra
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
