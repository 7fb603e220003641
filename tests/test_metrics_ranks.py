import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from course_utils import metrics

# Metrics of one positive, in exact expectation. The oracle writes every case out: every arrangement of the
# tied items, and every set of negatives.


def expectation(value_of_rank, n_higher, n_tied, n_unseen, n_neg=None):
    """Mean of value_of_rank(rank from 0) over all arrangements of the ties and all sets of n_neg items."""
    others = ["higher"] * n_higher + ["tied"] * n_tied + ["lower"] * (n_unseen - n_higher - n_tied)
    values = []
    for chosen in itertools.combinations(others, n_unseen if n_neg is None else n_neg):
        # the positive stands before, between or behind the ties, each equally likely
        ranks = [chosen.count("higher") + before for before in range(chosen.count("tied") + 1)]
        values.append(sum(map(value_of_rank, ranks)) / len(ranks))
    return sum(values) / len(values)


def hit_at(k):
    return lambda rank: float(rank < k)


def gain_at(k):
    return lambda rank: 1 / math.log2(rank + 2) if rank < k else 0.0


def assert_equals_the_enumeration(n_higher, n_tied, n_unseen, n_neg, k):
    counts = [n_higher], [n_tied], [n_unseen]
    given_counts = n_higher, n_tied, n_unseen, n_neg
    hit_rate = metrics.expected_hit_rate(*counts, k=k, n_neg=n_neg)
    assert hit_rate == pytest.approx([expectation(hit_at(k), *given_counts)])
    ndcg = metrics.expected_ndcg(*counts, k=k, n_neg=n_neg)
    assert ndcg == pytest.approx([expectation(gain_at(k), *given_counts)])
    mrr = metrics.expected_mrr(*counts, n_neg=n_neg)
    assert mrr == pytest.approx([expectation(lambda rank: 1 / (rank + 1), *given_counts)])


def test_expectation_equals_the_enumeration_of_all_cases():
    for n_unseen in range(1, 6):
        for n_higher in range(n_unseen + 1):
            for n_tied in range(n_unseen - n_higher + 1):
                for n_neg in (None, *range(1, n_unseen + 1)):
                    for k in (1, 2, n_unseen, n_unseen + 3):
                        assert_equals_the_enumeration(n_higher, n_tied, n_unseen, n_neg, k)


@st.composite
def rank_counts(draw):
    n_unseen = draw(st.integers(1, 12))
    n_higher = draw(st.integers(0, n_unseen))
    n_tied = draw(st.integers(0, n_unseen - n_higher))
    return n_higher, n_tied, n_unseen, draw(st.none() | st.integers(1, n_unseen)), draw(st.integers(1, 14))


@given(rank_counts())
def test_expectation_equals_the_enumeration(counts):
    assert_equals_the_enumeration(*counts)


def test_expectation_by_hand():
    # 3 of 4 unseen items are higher, 2 are drawn: of C(4, 2) = 6 sets, 3 hold two higher ones, 3 only one
    counts = [3], [0], [4]
    assert metrics.expected_hit_rate(*counts, k=2, n_neg=2) == pytest.approx([1 / 2])
    assert metrics.expected_ndcg(*counts, k=2, n_neg=2) == pytest.approx([1 / 2 / math.log2(3)])
    assert metrics.expected_mrr(*counts, n_neg=2) == pytest.approx([1 / 2 / 2 + 1 / 2 / 3])
    # all items: place 4
    assert metrics.expected_hit_rate(*counts, k=3).tolist() == [0]
    assert metrics.expected_ndcg(*counts, k=4) == pytest.approx([1 / math.log2(5)])
    assert metrics.expected_mrr(*counts) == pytest.approx([1 / 4])
    # tied with one of 4, below none: place 1 or 2
    counts = [0], [1], [4]
    assert metrics.expected_hit_rate(*counts, k=1).tolist() == [0.5]
    assert metrics.expected_mrr(*counts) == pytest.approx([(1 + 1 / 2) / 2])


def test_a_constant_score_gets_chance_exactly():
    # all are tied: each of the 100 places is equally likely, whatever n_unseen is
    counts = [0, 0], [1500, 99], [1500, 99]
    assert metrics.expected_hit_rate(*counts, n_neg=99) == pytest.approx([0.1] * 2, abs=1e-12)
    gain = sum(1 / math.log2(place + 1) for place in range(1, 11)) / 100
    assert gain == pytest.approx(0.0454, abs=5e-5)
    assert metrics.expected_ndcg(*counts, n_neg=99) == pytest.approx([gain] * 2, abs=1e-12)
    harmonic = sum(1 / place for place in range(1, 101)) / 100
    assert metrics.expected_mrr(*counts, n_neg=99) == pytest.approx([harmonic] * 2, abs=1e-12)


def test_expectation_equals_scipy_at_the_size_of_movielens():
    # scipy's own hypergeometric distribution, the ties summed one by one
    higher, tied, unseen = np.array([0, 7, 160, 900, 1500]), np.array([0, 3, 0, 40, 0]), np.full(5, 1542)
    hit_rate, ndcg = [], []
    for r, e in zip(higher, tied, strict=True):
        above = stats.hypergeom(1542, np.arange(r, r + e + 1)[:, None], 99).pmf(np.arange(10)).mean(axis=0)
        hit_rate.append(above.sum())
        ndcg.append((above / np.log2(np.arange(10) + 2)).sum())
    assert metrics.expected_hit_rate(higher, tied, unseen, n_neg=99) == pytest.approx(hit_rate, abs=1e-9)
    assert metrics.expected_ndcg(higher, tied, unseen, n_neg=99) == pytest.approx(ndcg, abs=1e-9)


def test_expectation_at_the_size_of_the_large_movielens():
    # 80,000 unseen items, where six digits are left: the best place is certain, the last impossible, and half
    # way the number above is that of heads among 99 coins
    counts = [0, 80_000, 40_000], [0, 0, 0], [80_000] * 3
    hit_rate = metrics.expected_hit_rate(*counts, n_neg=99)
    binomial = sum(math.comb(99, h) for h in range(10)) / 2**99
    assert hit_rate == pytest.approx([1, 0, binomial], abs=1e-6)
    assert metrics.expected_mrr(*counts, n_neg=99)[:2] == pytest.approx([1, 1 / 100], abs=1e-6)


@given(rank_counts())
def test_properties_of_expectations(counts):
    n_higher, n_tied, n_unseen, n_neg, k = counts
    arguments = [n_higher], [n_tied], [n_unseen]
    (hit_rate,) = metrics.expected_hit_rate(*arguments, k=k, n_neg=n_neg)
    (ndcg,) = metrics.expected_ndcg(*arguments, k=k, n_neg=n_neg)
    (mrr,) = metrics.expected_mrr(*arguments, n_neg=n_neg)
    assert -1e-12 <= ndcg <= hit_rate + 1e-12 <= 1 + 2e-12
    assert 0 < mrr <= 1 + 1e-12
    # fewer rivals never hurt, and all unseen items as negatives are the full ranking
    (full,) = metrics.expected_hit_rate(*arguments, k=k)
    assert hit_rate >= full - 1e-12
    assert metrics.expected_hit_rate(*arguments, k=k, n_neg=n_unseen) == pytest.approx([full])
    assert metrics.expected_ndcg(*arguments, k=k, n_neg=n_unseen) == pytest.approx(
        metrics.expected_ndcg(*arguments, k=k)
    )
    assert metrics.expected_mrr(*arguments, n_neg=n_unseen) == pytest.approx(metrics.expected_mrr(*arguments))


@pytest.mark.parametrize("metric", [metrics.expected_hit_rate, metrics.expected_ndcg, metrics.expected_mrr])
def test_impossible_counts_are_refused(metric):
    with pytest.raises(ValueError, match=r"n_higher \+ n_tied at most n_unseen"):
        metric([3], [2], [4])
    with pytest.raises(ValueError, match="0 or more"):
        metric([-1], [2], [4])
    with pytest.raises(ValueError, match=r"shapes \[2\], \[1\], \[1\]"):
        metric([1, 2], [0], [4])
    with pytest.raises(ValueError, match="n_neg=5: must be between 1 and 4"):
        metric([1, 1], [0, 0], [4, 9], n_neg=5)
    assert metric([], [], []).shape == (0,)


def test_k_below_1_is_refused():
    for metric in (metrics.expected_hit_rate, metrics.expected_ndcg):
        with pytest.raises(ValueError, match="k=0"):
            metric([1], [0], [4], k=0)
