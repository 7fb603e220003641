import math

import numpy as np
import pytest
import torch
from scipy import sparse

from course_utils import metrics

AT_K = [metrics.hit_rate_at_k, metrics.precision_at_k, metrics.recall_at_k, metrics.map_at_k, metrics.mrr]
at_k = pytest.mark.parametrize("metric", AT_K)
D2, D3, D4 = (math.log2(place + 1) for place in (2, 3, 4))  # discounts; that of place 1 is 1

# Three users and six items: 2 of 3 relevant items at places 1 and 3; none of 1; nothing relevant.
LISTS = np.array([[4, 0, 2, 1], [0, 1, 2, 3], [5, 4, 3, 2]])
RELEVANT = [[2, 4, 5], [5], []]
TABLE = sparse.csr_array([[0, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (metrics.hit_rate_at_k, 1, 1.0),
        (metrics.precision_at_k, 1, 1.0),
        (metrics.precision_at_k, 2, 1 / 2),
        (metrics.precision_at_k, 3, 2 / 3),
        (metrics.recall_at_k, 2, 1 / 3),
        (metrics.recall_at_k, 3, 2 / 3),
        (metrics.map_at_k, 1, 1.0),  # 1/1 over min(3, 1)
        (metrics.map_at_k, 2, 1 / 2),  # 1/1 over min(3, 2)
        (metrics.map_at_k, 3, 5 / 9),  # 1/1 + 2/3 over 3
        (metrics.mrr, 3, 1.0),
    ],
)
def test_one_list_by_hand(metric, k, expected):
    value = metric(LISTS[0], RELEVANT[0], k)
    assert type(value) is float
    assert value == pytest.approx(expected, abs=1e-15)
    assert metric(LISTS, RELEVANT, k) == pytest.approx([expected, 0, np.nan], abs=1e-15, nan_ok=True)


def test_average_precision_by_the_other_convention():
    # 1/1 over all 3 relevant items, although only one of them fits
    assert metrics.map_at_k(LISTS[0], RELEVANT[0], 1, divide_by="relevant") == pytest.approx(1 / 3)
    assert metrics.map_at_k(LISTS, RELEVANT, 3, divide_by="relevant")[0] == pytest.approx(5 / 9)
    with pytest.raises(ValueError, match="divide_by='hits'"):
        metrics.map_at_k(LISTS, RELEVANT, 3, divide_by="hits")


def test_mrr_by_hand():
    # the relevant item stands at place 3
    assert metrics.mrr([7, 8, 9], 9) == pytest.approx(1 / 3)
    assert metrics.mrr([7, 8, 9], 9, k=2) == 0
    assert metrics.mrr([7, 8, 9], [9, 8]) == 1 / 2
    assert metrics.mrr([[7, 8, 9], [9, 8, 7]], [9, 9]) == pytest.approx([1 / 3, 1])


@at_k
def test_perfect_and_worst(metric):
    assert metric([3, 1], [1, 3], 2) == 1
    assert metric([3, 1], [0, 2], 2) == 0


@at_k
def test_nothing_relevant_is_not_defined(metric):
    assert math.isnan(metric([1, 2], [], 2))
    assert math.isnan(metric([], [], 2))


@at_k
def test_an_empty_list_is_a_miss(metric):
    assert metric([], [1], 2) == 0
    assert metric([-1, -1], [1], 2) == 0
    assert metric(np.zeros((2, 0), dtype=int), [[1], []], 2).tolist() == pytest.approx(
        [0, np.nan], nan_ok=True
    )
    assert metric(np.zeros((0, 3), dtype=int), [], 2).shape == (0,)


def test_k_beyond_the_list():
    assert metrics.hit_rate_at_k([4, 0], 0, 10) == 1
    assert metrics.precision_at_k([4, 0], 0, 10) == 1 / 10  # the empty places are misses
    assert metrics.recall_at_k([4, 0], [0, 5], 10) == 1 / 2
    assert metrics.map_at_k([4, 0], [0, 5], 10) == 1 / 2 / 2
    assert metrics.ndcg_at_k([0, 1], 10) == pytest.approx(1 / D2)


def test_padding_is_no_item():
    # -1 is neither relevant nor the last column of the table
    items = [[-1, 5, -1, 2]]
    table = sparse.csr_array([[0, 0, 1, 0, 0, 1]])
    assert metrics.relevances_of(items, table).tolist() == [[0, 1, 0, 1]]
    assert metrics.relevances_of([-1, 2], [2, 5]).tolist() == [False, True]
    assert metrics.map_at_k(items, table, 4) == pytest.approx([(1 / 2 + 2 / 4) / 2])


def test_an_item_counts_once():
    # 3 at places 1 and 2: place 2 is a miss and stays
    items = [3, 3, 1]
    assert metrics.relevances_of(items, [1, 3]).tolist() == [True, False, True]
    assert metrics.precision_at_k(items, [1, 3], 2) == 1 / 2
    assert metrics.recall_at_k(items, [1, 3], 2) == 1 / 2
    assert metrics.map_at_k(items, [1, 3], 3) == pytest.approx((1 + 2 / 3) / 2)
    # the same item in the lists of two users is none of this
    assert metrics.hit_rate_at_k([[3], [3]], [3, 3], 1).tolist() == [1, 1]
    # nor is it a second relevant item when named twice
    assert metrics.recall_at_k(items, [3, 3, 0], 1) == 1 / 2


def test_an_item_counts_once_in_long_lists():
    items = np.random.default_rng(0).integers(0, 3, size=(20, 300))
    found = metrics.relevances_of(items, [[0, 1]] * 20)
    expected = np.zeros(items.shape, dtype=bool)
    for user, own in enumerate(items.tolist()):
        expected[user, [own.index(0), own.index(1)]] = True
    assert (found == expected).all()


def with_other_formats(table):
    """The same table as scipy may hold it: matrix, other layout, zeros stored, values in two parts."""
    rows, columns = table.nonzero()
    with_a_zero = np.append(table.data, 0), (np.append(rows, 2), np.append(columns, 3))
    zeros = sparse.csr_array(with_a_zero, shape=table.shape)
    parts = sparse.coo_array((np.tile(table.data, 2), (np.tile(rows, 2), np.tile(columns, 2))), table.shape)
    unsummed = sparse.csr_array(table.astype(float))
    unsummed.indices, unsummed.data = np.repeat(unsummed.indices, 2), np.repeat(unsummed.data, 2)
    unsummed.indptr = unsummed.indptr * 2
    return [table, sparse.csr_matrix(table), table.tocsc(), table.astype(bool), zeros, parts, unsummed]


@pytest.mark.parametrize("relevant", with_other_formats(TABLE))
@at_k
def test_sparse_arrays_of_all_kinds(metric, relevant):
    before = relevant.copy()
    assert metric(LISTS, relevant, 3) == pytest.approx(metric(LISTS, RELEVANT, 3), nan_ok=True)
    assert (before != relevant).nnz == 0
    assert before.nnz == relevant.nnz  # not even tidied


@pytest.mark.parametrize(
    "relevant",
    [
        [{2, 4, 5}, {5}, set()],
        [np.array([2, 4, 5]), 5, ()],
        ((5, 4, 2), [5], []),
        [torch.tensor([2, 4, 5]), torch.tensor(5), torch.tensor([], dtype=torch.int64)],
    ],
)
@at_k
def test_collections_of_all_kinds(metric, relevant):
    expected = metric(LISTS, RELEVANT, 3)
    assert metric(LISTS, relevant, 3) == pytest.approx(expected, nan_ok=True)
    assert metric(torch.tensor(LISTS), relevant, 3) == pytest.approx(expected, nan_ok=True)
    assert metric(LISTS.astype(np.uint8), relevant, 3) == pytest.approx(expected, nan_ok=True)
    assert metric(LISTS[0], relevant[0], 3) == pytest.approx(expected[0])


@pytest.mark.parametrize("positives", [[2, 5, 4], np.array([2, 5, 4]), torch.tensor([2, 5, 4])])
@at_k
def test_one_relevant_item_per_user(metric, positives):
    # place 3, not there, place 2; with one relevant item AP is 1 / place
    expected = {
        "hit_rate_at_k": [1, 0, 1],
        "precision_at_k": [1 / 3, 0, 1 / 3],
        "recall_at_k": [1, 0, 1],
        "map_at_k": [1 / 3, 0, 1 / 2],
        "mrr": [1 / 3, 0, 1 / 2],
    }
    assert metric(LISTS, positives, 3) == pytest.approx(expected[metric.__name__])
    assert metric(LISTS[0], positives[0], 3) == pytest.approx(expected[metric.__name__][0])


def test_many_users_are_looked_up_in_parts(monkeypatch):
    expected = metrics.map_at_k(LISTS, TABLE, 4)
    monkeypatch.setattr("course_utils.metrics.relevance.DENSE_BYTES", 1)  # a user at a time
    assert metrics.map_at_k(LISTS, TABLE, 4) == pytest.approx(expected, nan_ok=True)


@at_k
def test_what_cannot_be_is_refused(metric):
    with pytest.raises(ValueError, match="k=0: must be at least 1"):
        metric([1], [1], 0)
    with pytest.raises(ValueError, match=r"items of type float64 from 1\.5: must be whole numbers from -1"):
        metric([1.5], [1], 1)
    with pytest.raises(ValueError, match="items of type int64 from -2"):
        metric([-2], [1], 1)
    with pytest.raises(ValueError, match=r"items \[1, 1, 1\]: must be one list"):
        metric([[[1]]], [[1]], 1)
    with pytest.raises(ValueError, match="relevant items of type bool"):
        metric([0, 1], np.array([True, False]), 1)  # a mask
    with pytest.raises(ValueError, match="relevant items of type int64 from -1"):
        metric([0, 1], [-1], 1)
    with pytest.raises(ValueError, match="3 lists, but relevant items of 2"):
        metric(LISTS, RELEVANT[:2], 1)
    with pytest.raises(ValueError, match="items reach to 6, but relevant has only 6 columns"):
        metric([[6], [0], [0]], TABLE, 1)


# NDCG


def test_ndcg_by_hand():
    # the defect that the quick reference had: at k = 2 the ideal is 3, 1, not the ideal of the first two
    assert metrics.ndcg_at_k([1, 0, 3], 2) == pytest.approx(1 / (3 + 1 / D2))
    assert metrics.ndcg_at_k([1, 0, 3], 3) == pytest.approx((1 + 3 / D3) / (3 + 1 / D2))
    # gains 2**1 - 1 = 1 and 2**3 - 1 = 7
    assert metrics.ndcg_at_k([1, 0, 3], 3, gain="exponential") == pytest.approx((1 + 7 / D3) / (7 + 1 / D2))
    assert type(metrics.ndcg_at_k([1, 0, 3], 2)) is float


def test_ndcg_with_relevant_items_that_were_not_retrieved():
    everything = [1, 2, 3, 0]
    expected = (1 + 3 / D3) / (3 + 2 / D2 + 1 / D3)
    assert metrics.ndcg_at_k([1, 0, 3], 3, everything) == pytest.approx(expected)
    both = metrics.ndcg_at_k([[1, 0, 3], [0, 0, 0]], 3, [everything, [5, 0, 0, 0]])
    assert both == pytest.approx([expected, 0])
    assert metrics.ndcg_at_k([], 3, [1]) == 0


def test_ndcg_of_items_with_ratings():
    ratings = sparse.csr_array([[0, 0, 5, 0, 4, 1.0], [0, 3, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    relevances = metrics.relevances_of(LISTS, ratings)
    assert relevances.tolist() == [[4, 0, 5, 0], [0, 3, 0, 0], [0, 0, 0, 0]]
    at_2, at_4 = (metrics.ndcg_at_k(relevances, k, ratings) for k in (2, 4))
    assert at_2 == pytest.approx([4 / (5 + 4 / D2), 1 / D2, np.nan], nan_ok=True)
    assert at_4 == pytest.approx([(4 + 5 / D3) / (5 + 4 / D2 + 1 / D3), 1 / D2, np.nan], nan_ok=True)
    assert metrics.ndcg_at_k(relevances, 4, ratings.toarray()) == pytest.approx(at_4, nan_ok=True)


@pytest.mark.parametrize("all_relevances", with_other_formats(TABLE)[:5])
def test_ndcg_with_sparse_arrays_of_all_kinds(all_relevances):
    relevances = metrics.relevances_of(LISTS, TABLE)
    expected = [(1 + 1 / D3) / (1 + 1 / D2 + 1 / D3), 0, np.nan]
    assert metrics.ndcg_at_k(relevances, 3, all_relevances) == pytest.approx(expected, nan_ok=True)


def test_ndcg_of_perfect_and_empty_lists():
    assert metrics.ndcg_at_k([3, 2, 2, 0], 4) == 1
    assert metrics.ndcg_at_k([0, 0, 1], 2) == 0
    assert math.isnan(metrics.ndcg_at_k([0, 0], 2))
    assert math.isnan(metrics.ndcg_at_k([], 2))
    assert metrics.ndcg_at_k(np.zeros((0, 3)), 2).shape == (0,)


def test_ndcg_of_a_perfect_list_is_not_above_1_by_rounding():
    best = np.sort(np.random.default_rng(0).integers(0, 10, size=(2000, 6)) / 9, axis=1)[:, ::-1].copy()
    best[:, 0] = 1
    with_others = np.concatenate([best, np.zeros((2000, 3))], axis=1)
    values = metrics.ndcg_at_k(best, 8, with_others)
    assert values.max() == 1
    assert values == pytest.approx(1)


def test_ndcg_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="k=0"):
        metrics.ndcg_at_k([1], 0)
    with pytest.raises(ValueError, match=r"relevances from -1\.0 to 1\.0"):
        metrics.ndcg_at_k([1, -1], 1)
    with pytest.raises(ValueError, match="all_relevances from nan"):
        metrics.ndcg_at_k([1], 1, [np.nan])
    with pytest.raises(ValueError, match="to inf"):
        metrics.ndcg_at_k([np.inf], 1)
    with pytest.raises(ValueError, match="must hold what is in the list too"):
        metrics.ndcg_at_k([3, 1], 2, [1, 1])
    with pytest.raises(ValueError, match=r"relevances \[2, 1\], all_relevances \[3\]"):
        metrics.ndcg_at_k([[1], [2]], 2, [1, 2, 3])
    with pytest.raises(ValueError, match=r"relevances \[\]: must be"):
        metrics.ndcg_at_k(1, 2)
    with pytest.raises(ValueError, match="gain='log'"):
        metrics.ndcg_at_k([1], 2, gain="log")


# AUC


def test_auc_by_hand():
    # relevant .9 and .4 against .5 and .1: three of four pairs are in order
    scores, relevant = [0.9, 0.5, 0.4, 0.1], [0, 2]
    assert metrics.auc(scores, relevant) == 3 / 4
    assert type(metrics.auc(scores, relevant)) is float
    # equal scores count half
    assert metrics.auc([0.9, 0.4, 0.4, 0.1], relevant) == 3.5 / 4
    assert metrics.auc([1, 1, 1, 1], relevant) == 1 / 2
    assert metrics.auc(scores, 3) == 0
    assert metrics.auc(scores, [0, 1]) == 1


def test_auc_of_many_users():
    scores = np.array([[0.9, 0.5, 0.4, 0.1]] * 4)
    table = sparse.csr_array([[1, 0, 1, 0], [0, 0, 0, 5], [0, 0, 0, 0], [1, 1, 1, 1]])
    expected = pytest.approx([3 / 4, 0, np.nan, np.nan], nan_ok=True)
    assert metrics.auc(scores, table) == expected
    assert metrics.auc(scores, table.toarray() > 0) == expected
    assert metrics.auc(scores, [[0, 2], 3, [], range(4)]) == expected
    assert metrics.auc(torch.tensor(scores), table) == expected
    assert metrics.auc(scores[0], np.array([True, False, True, False])) == 3 / 4


def test_auc_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="1 of 2 scores are nan"):
        metrics.auc([1, np.nan], [1])
    with pytest.raises(ValueError, match=r"scores \[2\], relevant \[3\]"):
        metrics.auc([1, 2], [2])
    with pytest.raises(ValueError, match=r"scores \[1, 2\], relevant \[2, 2\]"):
        metrics.auc([[1, 2]], [[0], [1]])


def test_mean_over_users():
    assert metrics.mean_over_users([1, np.nan, 0, 0.5]) == (0.5, 3, 1)
    result = metrics.mean_over_users([np.nan, np.nan])
    assert math.isnan(result.mean)
    assert (result.n_users, result.n_left_out) == (0, 2)
    assert metrics.mean_over_users([]).n_users == 0
