"""Every metric of the package against a plain loop, on thousands of small random cases, to 1e-12."""

import numpy as np
import oracles
import pytest
from scipy import sparse

from course_utils import metrics

N_CASES = 3000
N_ITEMS = 12  # few, so that lists repeat items and meet what is relevant

PAIRS = {
    "hit_rate": (metrics.hit_rate_at_k, oracles.hit_rate),
    "precision": (metrics.precision_at_k, oracles.precision),
    "recall": (metrics.recall_at_k, oracles.recall),
    "map": (metrics.map_at_k, oracles.average_precision),
    "mrr": (metrics.mrr, oracles.reciprocal_rank),
}
pairs = pytest.mark.parametrize(("metric", "oracle"), PAIRS.values(), ids=PAIRS.keys())


def agree(value, expected):
    """To 1e-12; None of an oracle is nan here."""
    value, expected = np.asarray(value), np.array(expected, dtype=float)  # None becomes nan
    assert value.shape == expected.shape
    same = (np.abs(value - expected) <= 1e-12) | (np.isnan(value) & np.isnan(expected))
    assert same.all(), f"{value}, expected {expected}"


def random_lists(rng, n_lists):
    """Lists of one length with repeated items and padding, and sets of relevant items, some of them empty."""
    items = rng.integers(-1, N_ITEMS, size=(n_lists, rng.integers(0, 9)))
    if rng.random() < 0.5:  # as recommenders make them
        items = rng.permuted(np.tile(np.arange(N_ITEMS), (n_lists, 1)), axis=1)[:, : rng.integers(1, 13)]
    relevant = [set(rng.integers(N_ITEMS, size=rng.integers(0, 7)).tolist()) for _ in range(n_lists)]
    return items, relevant


def as_sparse(relevant):
    users = np.repeat(np.arange(len(relevant)), [len(own) for own in relevant])
    items = np.array([item for own in relevant for item in own], dtype=int)
    return sparse.csr_array((np.ones(len(items)), (users, items)), shape=(len(relevant), N_ITEMS))


@pairs
def test_one_list(metric, oracle):
    rng = np.random.default_rng(1)
    for _ in range(N_CASES):
        (items,), (relevant,) = random_lists(rng, 1)
        k = int(rng.integers(1, 14))
        agree(metric(items, relevant, k), oracle(items.tolist(), relevant, k))


@pairs
def test_many_lists(metric, oracle):
    rng = np.random.default_rng(2)
    for _ in range(N_CASES // 10):
        items, relevant = random_lists(rng, 10)
        k = int(rng.integers(1, 14))
        expected = [oracle(own, ours, k) for own, ours in zip(items.tolist(), relevant, strict=True)]
        agree(metric(items, as_sparse(relevant), k), expected)
        agree(metric(items, relevant, k), expected)


def test_average_precision_by_the_other_convention_and_mrr_without_a_cut():
    rng = np.random.default_rng(3)
    for _ in range(N_CASES):
        (items,), (relevant,) = random_lists(rng, 1)
        k = int(rng.integers(1, 14))
        expected = oracles.average_precision(items.tolist(), relevant, k, "relevant")
        agree(metrics.map_at_k(items, relevant, k, divide_by="relevant"), expected)
        agree(metrics.mrr(items, relevant), oracles.reciprocal_rank(items.tolist(), relevant))


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_ndcg(gain):
    rng = np.random.default_rng(4)
    for _ in range(N_CASES):
        relevances = rng.integers(0, 6, size=rng.integers(0, 9)) * (rng.random() < 0.9)
        everything = rng.permutation(np.append(relevances, rng.integers(0, 6, size=rng.integers(0, 4))))
        k = int(rng.integers(1, 12))
        agree(metrics.ndcg_at_k(relevances, k, gain=gain), oracles.ndcg(relevances.tolist(), k, gain=gain))
        expected = oracles.ndcg(relevances.tolist(), k, everything.tolist(), gain)
        agree(metrics.ndcg_at_k(relevances, k, everything, gain), expected)


def test_ndcg_of_items_with_ratings():
    rng = np.random.default_rng(5)
    for _ in range(N_CASES // 10):
        items, _ = random_lists(rng, 10)
        ratings = rng.integers(0, 6, size=(10, N_ITEMS)) * (rng.random((10, N_ITEMS)) < 0.3)
        k = int(rng.integers(1, 12))
        expected = []
        for own, stars in zip(items.tolist(), ratings.tolist(), strict=True):
            hits = oracles.seen_places(own, {item for item in range(N_ITEMS) if stars[item]})
            relevances = [stars[item] if hit else 0 for item, hit in zip(own, hits, strict=True)]
            expected.append(oracles.ndcg(relevances, k, stars))
        table = sparse.csr_array(ratings)
        agree(metrics.ndcg_at_k(metrics.relevances_of(items, table), k, table), expected)


def test_auc():
    rng = np.random.default_rng(6)
    for _ in range(N_CASES // 5):
        scores = rng.integers(0, rng.choice([3, 1000]), size=(5, 8)) / 7  # with many ties, and with few
        relevant = [set(rng.choice(8, size=rng.integers(0, 9), replace=False).tolist()) for _ in range(5)]
        expected = [oracles.auc(row, own) for row, own in zip(scores.tolist(), relevant, strict=True)]
        agree(metrics.auc(scores, relevant), expected)
        agree(metrics.auc(scores[0], relevant[0]), expected[0])


def test_coverage_gini_and_novelty():
    rng = np.random.default_rng(7)
    for _ in range(N_CASES):
        items, _ = random_lists(rng, 4)
        counts = rng.integers(0, rng.choice([1, 5, 50]), size=N_ITEMS)
        agree(metrics.catalogue_coverage(items, N_ITEMS), oracles.coverage(items.tolist(), N_ITEMS))
        agree(metrics.gini(counts), oracles.gini(counts.tolist()))
        expected = [oracles.novelty(own, counts.tolist(), 60) for own in items.tolist()]
        agree(metrics.novelty(items, counts, 60), expected)
        agree(metrics.novelty(items[0], counts, 60), expected[0])


def test_popularity_lift():
    rng = np.random.default_rng(8)
    for _ in range(N_CASES):
        items, profiles = random_lists(rng, 4)
        counts = rng.integers(1, 50, size=N_ITEMS)
        expected = oracles.popularity_lift(items.tolist(), counts.tolist(), profiles)
        agree(metrics.popularity_lift(items, counts, as_sparse(profiles)), expected)


def test_diversity_and_cosine():
    rng = np.random.default_rng(9)
    for _ in range(N_CASES // 3):
        rows = rng.integers(-2, 3, size=(N_ITEMS, 3))
        similarity = [
            [1.0 if a == b else oracles.cosine(rows[a].tolist(), rows[b].tolist()) for b in range(N_ITEMS)]
            for a in range(N_ITEMS)
        ]
        agree(metrics.cosine_similarity(rows), similarity)
        items, _ = random_lists(rng, 4)
        expected = [oracles.diversity(own, similarity) for own in items.tolist()]
        agree(metrics.intra_list_diversity(items, similarity), expected)
        agree(metrics.intra_list_diversity(items[0], similarity), expected[0])


def test_genre_shares_and_calibration():
    rng = np.random.default_rng(10)
    for _ in range(N_CASES):
        genres = rng.random((N_ITEMS, 4)) < 0.4
        genres[0, 3] = True  # so that the oracle sees that there are four
        sets = [set(np.flatnonzero(row).tolist()) for row in genres]
        items, histories = random_lists(rng, 3)
        list_shares = metrics.genre_shares(items, genres)
        agree(list_shares, [oracles.genre_shares(own, sets) for own in items.tolist()])
        history_shares = metrics.genre_shares(as_sparse(histories), genres)
        agree(history_shares, [oracles.genre_shares(own, sets) for own in histories])
        alpha = rng.uniform(0.001, 0.5)
        expected = [
            None if np.isnan(both).any() else oracles.calibration(*both.tolist(), alpha)
            for both in np.stack([history_shares, list_shares], axis=1)
        ]
        agree(metrics.calibration(history_shares, list_shares, alpha), expected)
