"""What a learner's code returned, as plain data: words and arrays, to be compared or sent elsewhere."""

from __future__ import annotations

import contextlib
import inspect
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

_DEEPEST = 12  # lists in lists, so that a list that contains itself comes to an end
MAX_SHOWN = 12  # numbers; a larger array is described by its shape


@dataclass(frozen=True)
class Plain:
    """A returned object: what it was, its numbers where it has any, its parts where it is a list or tuple."""

    what: str  # "tensor", "array", "list", "tuple", "number", or what else it is, with its article
    array: np.ndarray | None = None
    parts: tuple[Plain, ...] | None = None


def to_plain(obj: Any, depth: int = 0) -> Plain:
    """Copy an object of any kind; what is neither numbers nor text keeps only its description."""
    if obj is None:
        return Plain("None")
    if isinstance(obj, bool | int | float | complex | np.generic):
        return _numbers(obj, "number")
    if isinstance(obj, torch.Tensor):
        return _tensor(obj)
    if isinstance(obj, str):
        return Plain("a text")
    if isinstance(obj, list | tuple | range):
        return _sequence(obj, depth)
    if isinstance(obj, dict):
        return Plain("a dict")
    if inspect.iscoroutine(obj):
        obj.close()
        return Plain("a coroutine (from `async def`)")
    if inspect.isgenerator(obj) or isinstance(obj, map | filter | zip):
        return Plain(f"a {type(obj).__name__}, which has computed nothing yet")
    if inspect.isroutine(obj):
        return Plain("a function, not what it computes")
    if isinstance(obj, np.ndarray):
        return _numbers(obj, "array")
    if hasattr(type(obj), "__array__"):
        with contextlib.suppress(Exception):  # whatever it says, it is no array then
            return _numbers(obj, "array")
    name = type(obj).__name__
    return Plain(f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}")


def _numbers(obj: Any, what: str) -> Plain:
    array = np.array(obj)
    if array.dtype.kind not in "biufcSU":
        return Plain(f"{'a number' if what == 'number' else 'an array'} of dtype {array.dtype}")
    return Plain(what, array)


def _tensor(tensor: torch.Tensor) -> Plain:
    if tensor.device.type == "meta":
        return Plain("a tensor on the device 'meta', which holds no numbers")
    tensor = tensor.detach().cpu()
    tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return Plain("tensor", np.array(tensor.resolve_conj().resolve_neg().numpy()))


def _sequence(obj: list | tuple | range, depth: int) -> Plain:
    what = "tuple" if isinstance(obj, tuple) else "list"
    if depth == _DEEPEST:
        return Plain(f"a {what} in {depth} others")
    parts = tuple(to_plain(part, depth + 1) for part in obj)
    arrays = [part.array for part in parts]
    regular = all(a is not None for a in arrays) and len({a.shape for a in arrays}) <= 1
    return Plain(what, np.array(arrays) if regular else None, parts)


def same(a: Plain, b: Plain, expected: Plain, rtol: float, atol: float) -> bool:
    """Whether two results are equal (nan is nan); where whole numbers are expected, by their dtype too."""
    if expected.parts is not None and a.parts is not None and b.parts is not None:
        if len(a.parts) != len(b.parts):
            return False
        wanted = expected.parts if len(expected.parts) == len(a.parts) else a.parts
        return all(same(x, y, e, rtol, atol) for x, y, e in zip(a.parts, b.parts, wanted, strict=True))
    if a.array is None or b.array is None:
        return a.array is None and b.array is None and a.what == b.what
    if a.array.shape != b.array.shape:
        return False
    if whole(expected) and whole(a) != whole(b):
        return False
    return close(a.array, b.array, rtol, atol).all()


def whole(plain: Plain) -> bool:
    """Whether the numbers are whole by their dtype; an empty array counts, since numpy gives it floats."""
    return plain.array is not None and (plain.array.dtype.kind in "iu" or plain.array.size == 0)


def close(a: np.ndarray, b: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Where two arrays of one shape agree; nan agrees with nan, and text with the same text."""
    if a.dtype.kind in "SU" or b.dtype.kind in "SU":
        return np.asarray(a == b)
    return np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)


# ---- in words ----


def describe(plain: Plain) -> str:
    """Two words or the numbers themselves: "None", "0.5", "[1, 2]", "a tensor of shape [40, 3]"."""
    if plain.array is None:
        return plain.what if plain.parts is None else f"a {plain.what} of {len(plain.parts)}"
    if plain.array.size <= MAX_SHOWN:
        return numbers(plain.array)
    article = "an" if plain.what == "array" else "a"
    return f"{article} {plain.what} of shape {list(plain.array.shape)}"


def numbers(array: Any, digits: int = 4) -> str:
    """The numbers of an array, short: 1.25, [1, 0.3333], [[1, 0], [0, 1]]."""
    array = np.asarray(array)
    if array.ndim:
        return "[" + ", ".join(numbers(row, digits) for row in array) + "]"
    if array.dtype.kind == "f":
        return re.sub(r"e([+-])0*", r"e\1", f"{array.item() + 0.0:.{digits}g}").replace("e+", "e")
    return str(array.item())


def pair(got: np.ndarray, expected: np.ndarray) -> tuple[str, str]:
    """Both written with as few digits as show that they differ."""
    for digits in (4, 6, 9, 17):
        a, b = numbers(got, digits), numbers(expected, digits)
        if a != b:
            return a, b
    return a, b
