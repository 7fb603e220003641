import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils import metrics

stars = st.floats(-10, 10)
pairs = st.lists(st.tuples(stars, stars), min_size=1, max_size=30)
both = pytest.mark.parametrize("metric", [metrics.rmse, metrics.mae])


def test_by_hand():
    # errors 1, 0, -2: squares 1 + 0 + 4 = 5, over 3; absolute 1 + 0 + 2 = 3, over 3
    predictions, ratings = [4, 3, 1], [3, 3, 3]
    assert metrics.rmse(predictions, ratings) == pytest.approx(math.sqrt(5 / 3))
    assert metrics.mae(predictions, ratings) == pytest.approx(1.0)


@both
def test_perfect_and_one_row(metric):
    assert metric([1.5, 2.0], [1.5, 2.0]) == 0.0
    assert metric([1], [5]) == 4.0  # the worst on a scale of 1 to 5
    assert type(metric([1], [5])) is float


@both
def test_lists_arrays_and_tensors_are_the_same(metric):
    predictions, ratings = [4.0, 3.0, 1.0], [3, 3, 3]
    expected = metric(predictions, ratings)
    assert metric(np.array(predictions, dtype=np.float32), np.array(ratings)) == expected
    assert metric(torch.tensor(predictions), torch.tensor(ratings)) == expected


@both
def test_whole_numbers_do_not_wrap(metric):
    # 1 - 5 is 252 in uint8
    assert metric(np.array([1], dtype=np.uint8), np.array([5], dtype=np.uint8)) == 4.0


@both
def test_shapes_that_would_broadcast_are_refused(metric):
    with pytest.raises(ValueError, match=r"predictions \[3, 1\], ratings \[3\]"):
        metric(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match="same shape"):
        metric([1, 2], [1])


@both
def test_empty_and_nan_are_refused(metric):
    with pytest.raises(ValueError, match="empty"):
        metric([], [])
    with pytest.raises(ValueError, match="2 of 3 predictions are nan"):
        metric([math.nan, 1, math.nan], [1, 1, 1])
    with pytest.raises(ValueError, match="1 of 3 ratings are nan"):
        metric([1, 1, 1], [1, math.nan, 1])


@given(pairs)
def test_equal_to_a_plain_loop(rows):
    predictions, ratings = [p for p, _ in rows], [r for _, r in rows]
    squares = absolute = 0.0
    for prediction, rating in rows:
        squares += (prediction - rating) ** 2
        absolute += abs(prediction - rating)
    assert metrics.rmse(predictions, ratings) == pytest.approx(math.sqrt(squares / len(rows)))
    assert metrics.mae(predictions, ratings) == pytest.approx(absolute / len(rows))


@given(pairs)
def test_properties(rows):
    predictions, ratings = np.array(rows).T
    rmse, mae = metrics.rmse(predictions, ratings), metrics.mae(predictions, ratings)
    worst = np.abs(predictions - ratings).max()
    assert -1e-9 <= mae <= rmse + 1e-9 <= worst + 2e-9
    assert metrics.rmse(ratings, predictions) == rmse
    assert metrics.rmse(3 * predictions, 3 * ratings) == pytest.approx(3 * rmse, abs=1e-9)
    assert metrics.mae(predictions[::-1], ratings[::-1]) == pytest.approx(mae)
