"""Outcomes as bytes. What is read here was written by a process that ran a stranger's code: nothing is
unpickled, every type is checked, and whatever does not fit is `Forged`.

A frame: 4 bytes length, then a head in JSON and behind it the arrays, one after the other. The head is 4
bytes length, then {"outcome": {...}, "value": a node or null}; a node has "what", "parts" or null, and
"array": [dtype, shape] or null, with the arrays in the order of the nodes.
"""

import json
import math
import re
import struct

import numpy as np

LENGTH = struct.Struct(">I")
LONGEST_TEXT = 300
DEEPEST = 20
MOST_AXES = 16
TEXTS = ("status", "error", "text", "line", "printed")
STATUSES = ("returned", "raised", "time-out", "not written", "refused")
NOT_DEFINED, PACKAGES_OWN = "its definition could not be run", "the package's own"  # why it is refused
_DTYPE = re.compile(r"[<|][biufcSU][1-9]\d{0,3}")


class Forged(ValueError):
    """Bytes that no honest process writes."""


def encode(outcome) -> bytes:
    """An Outcome -> one frame."""
    arrays = []
    head = {
        "outcome": {name: str(getattr(outcome, name))[:LONGEST_TEXT] for name in TEXTS}
        | {"changed": [str(name) for name in outcome.changed]},
        "value": None if outcome.value is None else _node(outcome.value, arrays),
    }
    text = json.dumps(head).encode()
    body = b"".join([LENGTH.pack(len(text)), text, *arrays])
    return LENGTH.pack(len(body)) + body


def _node(plain, arrays: list) -> dict:
    array = plain.array
    if array is not None and plain.parts is None:
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        arrays.append(little.tobytes())
        described = [little.dtype.str, list(little.shape)]
    else:  # that of a list is made of its parts again
        described = None if array is None else "parts"
    parts = None if plain.parts is None else [_node(part, arrays) for part in plain.parts]
    return {"what": plain.what[:LONGEST_TEXT], "array": described, "parts": parts}


def decode(data: bytes, n_most: int, make_outcome, make_plain) -> list:
    """The first n_most frames as outcomes; a frame that was cut off is left out. Raises Forged."""
    outcomes, place = [], 0
    while len(outcomes) < n_most and place + LENGTH.size <= len(data):
        (length,) = LENGTH.unpack_from(data, place)
        place += LENGTH.size
        if place + length > len(data):
            break
        try:
            outcomes.append(_outcome(memoryview(data)[place : place + length], make_outcome, make_plain))
        except Forged:
            raise
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError, struct.error) as error:
            raise Forged(f"{type(error).__name__}: {error}") from error
        place += length
    return outcomes


def _outcome(frame: memoryview, make_outcome, make_plain):
    (length,) = LENGTH.unpack_from(frame)
    head = json.loads(bytes(frame[LENGTH.size : LENGTH.size + length]))
    given, value = head["outcome"], head["value"]
    texts = {name: given[name] for name in TEXTS}
    changed = given["changed"]
    _require(all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts.values()), "a text")
    _require(isinstance(changed, list) and all(isinstance(name, str) for name in changed), "changed")
    _require(texts["status"] in STATUSES, "status")
    _require((texts["status"] == "returned") == (value is not None), "a value without a return")
    arrays = _Arrays(frame[LENGTH.size + length :])
    plain = None if value is None else _plain(value, arrays, make_plain, 0)
    return make_outcome(value=plain, changed=tuple(changed), **texts)


class _Arrays:
    """Takes one array after the other from a buffer."""

    def __init__(self, buffer: memoryview):
        self.buffer = buffer

    def take(self, dtype: str, shape: list) -> np.ndarray:
        _require(_DTYPE.fullmatch(dtype) is not None, "dtype")
        _require(all(type(n) is int and n >= 0 for n in shape) and len(shape) <= MOST_AXES, "shape")
        kind = np.dtype(dtype)
        size = kind.itemsize * math.prod(shape)
        _require(size <= len(self.buffer), "an array longer than its bytes")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        array = np.frombuffer(data, kind) if size else np.zeros(math.prod(shape), kind)
        return array.reshape(shape).astype(kind.newbyteorder("="))


def _plain(node: dict, arrays: _Arrays, make_plain, depth: int):
    what, described, parts = node["what"], node["array"], node["parts"]
    _require(isinstance(what, str) and 0 < len(what) <= LONGEST_TEXT and depth <= DEEPEST, "a value")
    array = arrays.take(*described) if isinstance(described, list) else None
    if parts is None:
        return make_plain(what, array)
    _require(isinstance(parts, list), "parts")
    made = tuple(_plain(part, arrays, make_plain, depth + 1) for part in parts)
    if described == "parts":
        array = np.array([part.array for part in made])
        _require(array.dtype.kind in "biufcSU", "parts of different shapes")
    return make_plain(what, array, made)


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise Forged(what)
