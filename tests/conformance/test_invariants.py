"""What must hold of every metric, whatever the lists."""

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from course_utils import metrics

AT_K = {
    "hit_rate": metrics.hit_rate_at_k,
    "precision": metrics.precision_at_k,
    "recall": metrics.recall_at_k,
    "map": metrics.map_at_k,
    "mrr": metrics.mrr,
    "ndcg": lambda items, relevant, k: metrics.ndcg_at_k(metrics.relevances_of(items, relevant), k, relevant),
}
at_k = pytest.mark.parametrize("metric", AT_K.values(), ids=AT_K.keys())
N_USERS, N_ITEMS, N_ROUNDS = 40, 15, 25


def cases(seed):
    """N_ROUNDS of: a ranking of all items for each user, what is relevant (nothing for some users), k."""
    rng = np.random.default_rng(seed)
    for _ in range(N_ROUNDS):
        items = rng.permuted(np.tile(np.arange(N_ITEMS), (N_USERS, 1)), axis=1)
        relevant = sparse.csr_array(rng.random((N_USERS, N_ITEMS)) < rng.uniform(0.02, 0.6))
        yield rng, items, relevant, int(rng.integers(1, N_ITEMS + 3))


def graded(rng):
    """Relevances [N_USERS, 6], at least one above 0 for each user, and k."""
    relevances = rng.integers(0, 5, size=(N_USERS, 6)).astype(float)
    relevances[:, 0] += 1
    return rng.permuted(relevances, axis=1), int(rng.integers(1, 8))


@at_k
def test_between_0_and_1_and_defined_where_something_is_relevant(metric):
    for _, items, relevant, k in cases(1):
        values = metric(items, relevant, k)
        is_defined = relevant.sum(axis=1) > 0
        assert (np.isnan(values) == ~is_defined).all()
        assert ((values[is_defined] >= 0) & (values[is_defined] <= 1)).all()


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_ndcg_of_grades_is_between_0_and_1_and_1_only_when_the_best_k_are_in_order(gain):
    rng = np.random.default_rng(2)
    for _ in range(N_ROUNDS):
        relevances, k = graded(rng)
        values = metrics.ndcg_at_k(relevances, k, gain=gain)
        assert ((values >= 0) & (values <= 1)).all()
        best = -np.sort(-relevances, axis=1)
        assert metrics.ndcg_at_k(best, k, gain=gain) == pytest.approx(1, abs=1e-12)
        in_order = (relevances[:, :k] == best[:, :k]).all(axis=1)
        assert (np.isclose(values, 1, rtol=0, atol=1e-9) == in_order).all()


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_dcg_grows_with_each_relevance_among_the_first_k(gain):
    rng = np.random.default_rng(3)
    ideal = np.full((N_USERS, 6), 9.0)  # the same before and after: what changes is the DCG
    for _ in range(N_ROUNDS):
        relevances, k = graded(rng)
        before = metrics.ndcg_at_k(relevances, k, ideal, gain)
        for place in range(relevances.shape[1]):
            more = relevances.copy()
            more[:, place] += 1
            gained = metrics.ndcg_at_k(more, k, ideal, gain) - before
            assert (gained > 1e-12).all() if place < k else (gained == 0).all()


@at_k
def test_a_better_ranking_is_never_worse(metric):
    # one step up for a relevant item, past one that is not
    for rng, items, relevant, k in cases(4):
        place = int(rng.integers(1, N_ITEMS))
        hits = metrics.relevances_of(items, relevant)
        swapped = items.copy()
        is_up = hits[:, place] & ~hits[:, place - 1]
        swapped[is_up, place - 1], swapped[is_up, place] = items[is_up, place], items[is_up, place - 1]
        assert not (metric(swapped, relevant, k) < metric(items, relevant, k) - 1e-12).any()


@pytest.mark.parametrize("metric", [AT_K[name] for name in ("hit_rate", "recall", "mrr", "ndcg")])
def test_one_positive_grows_with_k(metric):
    for rng, items, _, _ in cases(5):
        positives = rng.integers(N_ITEMS, size=N_USERS)
        table = sparse.csr_array((np.ones(N_USERS), (np.arange(N_USERS), positives)), (N_USERS, N_ITEMS))
        values = np.stack([metric(items, table, k) for k in range(1, N_ITEMS + 2)])
        assert (np.diff(values, axis=0) >= 0).all()
        assert (values[N_ITEMS - 1] > 0).all()  # by then it is found


def test_one_positive_makes_the_metrics_one_another():
    # hit rate = recall = k times precision; AP = MRR cut at k, by both conventions
    for rng, items, _, k in cases(6):
        positives = rng.integers(N_ITEMS, size=N_USERS)
        hit_rate = metrics.hit_rate_at_k(items, positives, k)
        assert (metrics.recall_at_k(items, positives, k) == hit_rate).all()
        assert metrics.precision_at_k(items, positives, k) * k == pytest.approx(hit_rate)
        mrr = metrics.mrr(items, positives, k)
        for divide_by in ("min", "relevant"):
            assert metrics.map_at_k(items, positives, k, divide_by) == pytest.approx(mrr)


def test_one_positive_is_what_its_rank_says():
    # the metrics of lists and those of ranks, which the leave-one-out evaluation uses
    for rng, items, _, k in cases(7):
        positives = rng.integers(N_ITEMS, size=N_USERS)
        n_higher = np.argmax(items == positives[:, None], axis=1)
        counts = n_higher, np.zeros(N_USERS), np.full(N_USERS, N_ITEMS - 1)
        hit_rate = metrics.hit_rate_at_k(items, positives, k)
        assert metrics.expected_hit_rate(*counts, k) == pytest.approx(hit_rate)
        assert metrics.expected_mrr(*counts) == pytest.approx(metrics.mrr(items, positives))
        ndcg = metrics.ndcg_at_k(metrics.relevances_of(items, positives), k, np.ones((N_USERS, 1)))
        assert metrics.expected_ndcg(*counts, k) == pytest.approx(ndcg)


@at_k
def test_relabelled_items_change_nothing(metric):
    for rng, items, relevant, k in cases(8):
        new_name = rng.permutation(N_ITEMS)
        renamed = relevant[:, np.argsort(new_name)]
        np.testing.assert_allclose(
            metric(new_name[items], renamed, k), metric(items, relevant, k), rtol=0, atol=1e-12
        )


def beyond_accuracy(lists, counts, profiles, rows, scores):
    return [
        metrics.catalogue_coverage(lists, N_ITEMS),
        metrics.gini(counts),
        metrics.popularity_lift(lists, counts, profiles),
        *metrics.novelty(lists, counts, 30),
        *metrics.intra_list_diversity(lists, metrics.cosine_similarity(rows)),
        *metrics.genre_shares(lists, rows > 0).ravel(),
        *metrics.auc(scores, profiles),
    ]


def test_relabelled_items_change_nothing_beyond_accuracy():
    for rng, items, profiles, _ in cases(9):
        lists, counts = items[:, :4], rng.integers(1, 30, N_ITEMS)
        rows, scores = rng.normal(size=(N_ITEMS, 3)), rng.normal(size=(N_USERS, N_ITEMS))
        new_name = rng.permutation(N_ITEMS)
        old = np.argsort(new_name)
        before = beyond_accuracy(lists, counts, profiles, rows, scores)
        after = beyond_accuracy(new_name[lists], counts[old], profiles[:, old], rows[old], scores[:, old])
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)


def test_users_do_not_touch_one_another():
    for rng, items, relevant, k in cases(10):
        order = rng.permutation(N_USERS)
        for metric in AT_K.values():
            whole, part = metric(items, relevant, k)[order], metric(items[order[:7]], relevant[order[:7]], k)
            np.testing.assert_allclose(part, whole[:7], rtol=0, atol=1e-12)


def test_chance_level_is_exact():
    # the mean over all 120 rankings of 5 items, 2 of them relevant
    rankings = np.array(list(itertools.permutations(range(5))))
    table = sparse.csr_array([[1, 1, 0, 0, 0]] * 120)
    for k in range(1, 6):
        of_all = {name: np.mean(metric(rankings, table, k)) for name, metric in AT_K.items()}
        discounts = [1 / math.log2(place + 1) for place in range(1, k + 1)]
        assert of_all["precision"] == pytest.approx(2 / 5, abs=1e-12)
        assert of_all["recall"] == pytest.approx(k / 5, abs=1e-12)
        assert of_all["hit_rate"] == pytest.approx(1 - math.comb(3, k) / math.comb(5, k), abs=1e-12)
        assert of_all["ndcg"] == pytest.approx(2 / 5 * sum(discounts) / sum(discounts[:2]), abs=1e-12)
    assert np.mean(metrics.auc(rankings, table)) == pytest.approx(1 / 2, abs=1e-12)


def test_a_constant_score_is_chance():
    counts = [0], [14], [14]
    for k in range(1, 16):
        assert metrics.expected_hit_rate(*counts, k=k) == pytest.approx([k / 15], abs=1e-12)
        assert metrics.expected_hit_rate(*counts, k=k, n_neg=9) == pytest.approx([min(k, 10) / 10], abs=1e-12)
    assert metrics.auc(np.zeros((1, 15)), [[3]]) == [1 / 2]


def test_auc_counts_the_pairs_both_ways():
    for rng, _, relevant, _ in cases(11):
        scores = rng.integers(0, 4, size=(N_USERS, N_ITEMS))
        value = metrics.auc(scores, relevant)
        assert metrics.auc(-scores, relevant) == pytest.approx(1 - value, abs=1e-12, nan_ok=True)
        assert metrics.auc(np.exp(scores), relevant) == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_calibration_is_0_only_for_the_same_shares_and_bounded():
    rng = np.random.default_rng(12)
    p, q = rng.dirichlet(np.full(5, 0.3), size=(2, 500))
    for alpha in (0.001, 0.01, 0.3):
        values = metrics.calibration(p, q, alpha)
        assert ((values > 0) & (values < math.log(1 / alpha))).all()
        assert metrics.calibration(p, p, alpha) == pytest.approx(0, abs=1e-12)
