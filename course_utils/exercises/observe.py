"""Run a learner's object on the cases of an exercise and write down what happens, as plain data.

Nothing here knows the right answer: this half can run in a process of its own, and judge.py elsewhere.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils.exercises.calling import Case, Subject
from course_utils.exercises.guard import SECONDS, TimeOut, fresh_state, quiet, time_limit
from course_utils.exercises.plain import Plain, to_plain

PACKAGE = Path(__file__).resolve().parents[1]
_NOT_THE_LEARNERS = tuple(
    str(Path(folder))
    for folder in (PACKAGE, *(sysconfig.get_path(p) for p in ("stdlib", "purelib", "platlib")))
)
_MAX_TEXT = 160  # characters of a foreign text in a message


class Refused(Exception):
    """Raised by an exercise's `call` when the object cannot be run at all: says what was got and expected."""


@dataclass(frozen=True)
class Outcome:
    """What happened in one call.

    status: "returned", "raised", "time-out", "not written", "refused", or, which only a grader sees,
    "crashed".
    """

    status: str
    value: Plain | None = None
    error: str = ""  # the name of the exception
    text: str = ""  # its message, or why the object was refused
    line: str = ""  # "line 3: `...`" of the learner's code
    changed: tuple[str, ...] = ()  # arguments that the call changed
    printed: str = ""


def observe(exercise: Subject, learners: Any, cases: list[Case], seconds: float = SECONDS) -> list[Outcome]:
    """Call the object on each case, within so many seconds in total, until one never returns.

    Arguments are copied, so that nothing the learner holds is touched. Not a list per case when the object is
    not written yet or cannot be called at all: then the one outcome that says so.
    """
    return list(observe_each(exercise, learners, cases, seconds))


def observe_each(exercise: Subject, learners: Any, cases: list[Case], seconds: float) -> Iterator[Outcome]:
    """The outcomes of `observe`, each as soon as it is there."""
    deadline = time.monotonic() + seconds
    for case in cases:
        outcome = _observe_one(exercise, learners, case, deadline - time.monotonic())
        yield outcome
        if outcome.status in ("time-out", "not written", "refused"):
            return


def _observe_one(exercise: Subject, learners: Any, case: Case, seconds: float) -> Outcome:
    args = copy.deepcopy(case.args)
    seen: dict[str, Any] = {}
    with fresh_state(), quiet() as printed:
        try:
            with time_limit(seconds):
                if problem := cannot_be_called(exercise, learners):
                    return Outcome("refused", text=problem)
                seen["value"] = to_plain(exercise.call(learners, **args))
                seen["status"] = "returned"
        except KeyboardInterrupt:
            raise
        except TimeOut as stop:
            seen = {"status": "time-out", "line": _line(stop)}
        except Refused as refusal:
            return Outcome("refused", text=str(refusal))
        except BaseException as error:
            seen = _raised(error)
    changed = tuple(name for name in args if not _unchanged(args[name], case.args[name]))
    return Outcome(**seen, changed=changed, printed=_shorten(printed.getvalue()[-2000:].strip().splitlines()))


def _raised(error: BaseException) -> dict[str, str]:
    try:
        text = _shorten(str(error).strip().splitlines()[:1])
    except Exception:
        text = ""
    if isinstance(error, NotImplementedError) and "not written yet" in text:
        return {"status": "not written"}
    return {"status": "raised", "error": type(error).__name__, "text": text, "line": _line(error)}


def _line(error: BaseException) -> str:
    """The innermost line that is neither a library's nor the course's: where the learner can look."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THE_LEARNERS)
    ]
    frames = [f for f in frames if f.line and not f.filename.startswith("<frozen")]
    return f"line {frames[-1].lineno}: `{_shorten([frames[-1].line.strip()])}`" if frames else ""


def _shorten(lines: list[str]) -> str:
    text = " / ".join(line.strip() for line in lines[-3:])
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."


def _unchanged(now: Any, before: Any) -> bool:
    if isinstance(before, np.ndarray):
        return (
            now.shape == before.shape
            and now.dtype == before.dtype
            and np.array_equal(now, before, equal_nan=before.dtype.kind == "f")
        )
    if isinstance(before, torch.Tensor):
        return now.shape == before.shape and now.dtype == before.dtype and torch.equal(now, before)
    if isinstance(before, dict):
        return now.keys() == before.keys() and all(_unchanged(now[key], before[key]) for key in before)
    return bool(now == before)


# ---- before the first call ----


def cannot_be_called(exercise: Subject, learners: Any) -> str:
    """Why the object is of the wrong kind or takes other arguments, or "" when it can be called."""
    kind = "class" if exercise.method else "function"
    if isinstance(learners, type) != (kind == "class") or not callable(learners):
        return f"got {_kind(learners)}, expected the {kind} itself: check({exercise.id!r}, {exercise.name})"
    if kind == "class" and not issubclass(learners, torch.nn.Module):
        return f"got a class that is not an nn.Module, expected class {exercise.name}(nn.Module)"
    function = getattr(learners, exercise.method) if exercise.method else learners
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # a built-in without a signature: the call will tell
    try:
        signature.bind(*exercise.params, *(["self"] if exercise.method else []))
    except TypeError:
        name = exercise.method or exercise.name
        return f"got a function that is called as {name}{_bare(signature)}, expected {exercise.signature}"
    return ""


def _bare(signature: inspect.Signature) -> str:
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))


def _kind(obj: Any) -> str:
    if isinstance(obj, type):
        return "a class"
    if inspect.isroutine(obj):
        return "a function"
    if isinstance(obj, torch.nn.Module):
        return "a model"
    plain = to_plain(obj)
    return "a number" if plain.what == "number" else plain.what if plain.array is None else f"a {plain.what}"


def of_the_package(exercise: Subject, learners: Any) -> str:
    """The full name of the package's object when the learner's is that, or a thin wrapper of it; else ""."""
    if isinstance(learners, type) and exercise.method:
        learners = getattr(learners, exercise.method, None)
    for layer in _layers(learners):
        if (getattr(layer, "__module__", None) or "").split(".")[0] == PACKAGE.name:
            return f"{layer.__module__}.{getattr(layer, '__qualname__', type(layer).__name__)}"
    return ""


def _layers(obj: Any) -> Iterator[Callable]:
    """The callable and what it wraps: partials, methods, decorators with or without functools.wraps."""
    waiting, met = [obj], []
    while waiting and len(met) < 20:
        layer = waiting.pop()
        if not callable(layer) or any(layer is other for other in met):
            continue
        met.append(layer)
        yield layer
        with contextlib.suppress(
            Exception
        ):  # an object may answer anything when it is asked for an attribute
            waiting += [getattr(layer, name, None) for name in ("func", "__wrapped__", "__func__", "pyfunc")]
        for cell in getattr(layer, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # an empty cell
                waiting.append(cell.cell_contents)
