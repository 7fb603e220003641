import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils import evaluate

nan = np.nan

# bootstrap_interval


def test_interval_of_two_values_by_hand():
    # the mean of two draws from 0 and 1 is 0, .5, 1 with probability 1/4, 1/2, 1/4
    assert evaluate.bootstrap_interval([0, 1], level=0.8) == (0, 1)
    assert evaluate.bootstrap_interval([0, 1], level=0.4) == (0.5, 0.5)


def test_interval_of_many_values_is_the_normal_one():
    values = np.random.default_rng(0).exponential(size=2000)
    low, high = evaluate.bootstrap_interval(values, n_resamples=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_true_mean():
    # 300 samples of 60 users; 95 % intervals of so few cover a little less: 265 of 300 are 88 %
    rng = np.random.default_rng(0)
    intervals = [evaluate.bootstrap_interval(rng.normal(3, 1, 60), n_resamples=400) for _ in range(300)]
    assert 265 <= sum(low <= 3 <= high for low, high in intervals) < 300


def test_interval_is_seeded_leaves_nan_out_and_refuses_what_it_cannot_do():
    values = np.random.default_rng(0).random(50)
    first = evaluate.bootstrap_interval(values, seed=1)
    assert evaluate.bootstrap_interval(values, seed=1) == first != evaluate.bootstrap_interval(values, seed=2)
    assert evaluate.bootstrap_interval([nan, *values, nan], seed=1) == first
    with pytest.raises(ValueError, match="no user has a figure"):
        evaluate.bootstrap_interval([nan, nan])
    with pytest.raises(ValueError, match=r"shape \[1, 2\]"):
        evaluate.bootstrap_interval([[1, 2]])
    with pytest.raises(ValueError, match="level=95"):
        evaluate.bootstrap_interval([1, 2], level=95)


# paired_test


def all_signs(differences):
    """The share of all sign patterns whose mean is at least as far from 0."""
    observed = abs(sum(differences))
    patterns = list(itertools.product([-1, 1], repeat=len(differences)))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in patterns]
    return sum(value >= observed - 1e-12 for value in sums) / len(patterns)


@pytest.mark.parametrize(
    "differences", [[1] * 5, [0.3, 0.1, -0.2], [3, 1, 1, -0.5, 0, 2], [0.7, 0.1, 0.2, 0.3], [2, -2, 0.1]]
)
def test_p_is_the_share_of_sign_patterns(differences):
    # [1] * 5: two of 32 patterns are as far. 20,000 draws: standard error at most .0036
    # (.7 + .1 + .2 + .3 depends on the order of adding: p must not)
    difference, p = evaluate.paired_test(differences, np.zeros(len(differences)), n_resamples=20_000)
    assert difference == pytest.approx(np.mean(differences))
    assert p == pytest.approx(all_signs(differences), abs=5 * 0.0036)


def test_p_is_two_sided_seeded_and_never_0():
    rng = np.random.default_rng(0)
    a, b = rng.random(40), rng.random(40)
    difference, p = evaluate.paired_test(a, b, seed=3)
    assert evaluate.paired_test(b, a, seed=3) == (-difference, p) == evaluate.paired_test(b, a, seed=3)
    assert evaluate.paired_test(a, b, seed=4)[1] != p
    assert evaluate.paired_test(a + 10, a, n_resamples=1200)[1] == 1 / 1201
    assert evaluate.paired_test(a, a) == (0, 1)


def test_p_is_uniform_where_nothing_differs():
    # 400 pairs of equally good models: p up to .1 in 40 of them, standard deviation 6
    rng = np.random.default_rng(0)
    p = [evaluate.paired_test(*rng.normal(size=(2, 30)), n_resamples=500)[1] for _ in range(400)]
    assert 40 - 5 * 6 < np.sum(np.array(p) <= 0.1) < 40 + 5 * 6


def test_the_pairing_counts():
    # users differ by far more than the models: only pair by pair can the difference be seen
    rng = np.random.default_rng(0)
    level = rng.normal(0, 10, 100)
    a, b = level + 0.2 + rng.normal(0, 0.1, 100), level + rng.normal(0, 0.1, 100)
    assert evaluate.paired_test(a, b)[1] < 0.001
    assert evaluate.paired_test(a, rng.permutation(b))[1] > 0.1


def test_a_user_without_a_figure_in_either_is_left_out():
    difference, p = evaluate.paired_test([1, nan, 3, 5], [0, 7, nan, 3])
    assert difference == (1 + 2) / 2
    assert p == pytest.approx(0.5, abs=0.02)  # both up or both down: two of four
    with pytest.raises(ValueError, match=r"a \[2\], b \[3\]"):
        evaluate.paired_test([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="no user"):
        evaluate.paired_test([1, nan], [nan, 1])


# holm


def test_holm_by_hand():
    # .01 * 4, .02 * 3 = .06, .03 * 2 = .06, .5 * 1
    assert evaluate.holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    # .02 * 2 = .04; .03 * 1 would fall below it
    assert evaluate.holm([0.02, 0.03]) == pytest.approx([0.04, 0.04])
    assert evaluate.holm([0.6, 0.7, 0.8]).tolist() == [1, 1, 1]
    assert evaluate.holm([0.04]).tolist() == [0.04]
    assert evaluate.holm([]).tolist() == []
    with pytest.raises(ValueError, match="each between 0 and 1"):
        evaluate.holm([0.5, 1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_stepping_down_rejects(p_values, alpha):
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if p_values[place] * (len(p_values) - step) > alpha:
            break
        rejected.add(place)
    assert set(np.flatnonzero(evaluate.holm(p_values) <= alpha).tolist()) == rejected


# by_segment


def test_segments_by_hand():
    found = evaluate.by_segment([1, 0, nan, 0.5, nan], ["m", "f", "f", "m", "x"])
    assert list(found) == ["f", "m"]  # nobody in "x" has a figure
    assert found["f"] == evaluate.Segment(0, 0, 0, 1)
    assert (found["m"].mean, found["m"].n) == (0.75, 2)


def test_a_segment_has_the_bootstrap_interval_of_its_users():
    rng = np.random.default_rng(0)
    values, segments = rng.random(90), rng.integers(0, 3, 90)
    found = evaluate.by_segment(values, segments, level=0.9, n_resamples=300, seed=5)
    for label in range(3):
        low, high = evaluate.bootstrap_interval(values[segments == label], 0.9, 300, 5)
        assert (found[label].low, found[label].high) == (low, high)
    with pytest.raises(ValueError, match=r"values \[3\], segments \[2\]"):
        evaluate.by_segment([1, 2, 3], [0, 1])
