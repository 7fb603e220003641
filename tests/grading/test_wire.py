"""Outcomes cross the wire unchanged, and nothing else does."""

import contextlib
import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils.authoring.grading.inside import wire
from course_utils.exercises.observe import Outcome
from course_utils.exercises.plain import Plain, to_plain


def there_and_back(*outcomes, n_most=100):
    return wire.decode(b"".join(map(wire.encode, outcomes)), n_most, Outcome, Plain)


def assert_same(a, b):
    assert (a is None) == (b is None)
    if a is None:
        return
    assert a.what == b.what
    assert (a.array is None) == (b.array is None)
    if a.array is not None:
        assert a.array.dtype == b.array.dtype
        np.testing.assert_array_equal(a.array, b.array)
    assert (a.parts is None) == (b.parts is None)
    for one, other in zip(a.parts or (), b.parts or (), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(
    "value",
    [
        1,
        2.5,
        True,
        float("nan"),
        None,
        "text",
        {"a": 1},
        [],
        (),
        [1, 2, 3],
        [[1, 2], [3]],
        (np.arange(3), [1.5], None),
        np.zeros((0, 3)),
        np.zeros((2, 0), dtype=np.int8),
        np.array(["a", "bc"]),
        np.arange(6, dtype=">i4").reshape(2, 3).T,
        np.array([1 + 2j]),
        torch.arange(4).reshape(2, 2),
        torch.tensor([1.0, float("inf")], dtype=torch.float16),
        [np.ones(2), np.zeros(2)],
        [[[[[1]]]]],
    ],
    ids=repr,
)  # fmt: skip
def test_values_come_back_as_they_were(value):
    outcome = Outcome("returned", to_plain(value), changed=("x",), printed="hello")
    (back,) = there_and_back(outcome)
    assert (back.status, back.changed, back.printed) == ("returned", ("x",), "hello")
    expected = to_plain(value)
    if expected.array is not None:
        native = expected.array.astype(expected.array.dtype.newbyteorder("="))
        expected = Plain(expected.what, native, expected.parts)
    assert_same(back.value, expected)


def test_texts_are_cut():
    (back,) = there_and_back(Outcome("raised", error="E" * 1000, text="ü" * 1000))
    assert (len(back.error), len(back.text)) == (wire.LONGEST_TEXT, wire.LONGEST_TEXT)


def test_no_more_than_asked_and_nothing_half():
    outcomes = [Outcome("returned", to_plain(i)) for i in range(5)]
    assert len(there_and_back(*outcomes, n_most=3)) == 3
    data = b"".join(map(wire.encode, outcomes))
    assert len(wire.decode(data[:-1], 9, Outcome, Plain)) == 4


def frame(head, arrays=b""):
    text = json.dumps(head).encode()
    body = struct.pack(">I", len(text)) + text + arrays
    return struct.pack(">I", len(body)) + body


def head(value, status="returned", changed=()):
    texts = dict.fromkeys(wire.TEXTS, "") | {"status": status}
    return {"outcome": texts | {"changed": list(changed)}, "value": value}


def node(array, parts=None, what="array"):
    return {"what": what, "array": array, "parts": parts}


@pytest.mark.parametrize(
    "forged",
    [
        frame({}),
        frame([]),
        frame(head(None)),
        frame(head(node(None), status="perfect")),
        frame(head(node(None), status="crashed")),
        frame(head(node(["<f8", [10**9]]))),
        frame(head(node(["<f8", [-1]]))),
        frame(head(node(["<f8", [1.5]]))),
        frame(head(node(["<f8", [True]]), changed=[1])),
        frame(head(node(["|O8", [1]])), bytes(8)),
        frame(head(node(["<U0", [10**15]]))),
        frame(head(node(["<V8", [1]])), bytes(8)),
        frame(head(node(["f8,f8", [1]])), bytes(16)),
        frame(head(node(["<f8", [0, 10**18, 10**18]]))),
        frame(head(node(["<f8", [1] * 40])), bytes(8)),
        frame(head(node("parts", []))) + b"",
        frame(head(node("parts", [node(["<f8", [1]]), node(["<f8", [2]])])), bytes(24)),
        frame(head({"what": "x" * 1000, "array": None, "parts": None})),
        frame(head({"what": "", "array": None, "parts": None})),
        frame(head(node(None, 7))),
        struct.pack(">I", 4) + b"\xff\xff\xff\xff",
        struct.pack(">I", 2) + b"ab",
        struct.pack(">I", 100_004) + struct.pack(">I", 100_000) + b"[" * 100_000,
    ],
)
def test_what_no_honest_process_writes_is_refused_or_harmless(forged):
    try:
        outcomes = wire.decode(forged, 9, Outcome, Plain)
    except wire.Forged:
        return
    assert all(o.value.array is None or o.value.array.size == 0 for o in outcomes)


@given(st.binary(max_size=200))
def test_noise_never_ends_the_grader(data):
    for forged in (data, struct.pack(">I", len(data)) + data):
        with contextlib.suppress(wire.Forged):
            wire.decode(forged, 9, Outcome, Plain)
