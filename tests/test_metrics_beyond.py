import math

import numpy as np
import pytest
from scipy import sparse

from course_utils import metrics

LISTS = np.array([[0, 1], [1, -1], [-1, -1]])


def test_catalogue_coverage():
    assert metrics.catalogue_coverage(LISTS, 5) == 2 / 5  # -1 is no item
    assert metrics.catalogue_coverage([[2, 1, 0]], 3) == 1
    assert metrics.catalogue_coverage([[-1]], 3) == 0
    assert metrics.catalogue_coverage([[]], 3) == 0
    with pytest.raises(ValueError, match="items reach to 3: must be below the number of items, 3"):
        metrics.catalogue_coverage([[3]], 3)


def test_gini():
    assert metrics.gini([2, 2, 2]) == pytest.approx(0, abs=1e-15)
    assert metrics.gini([0, 0, 0, 7]) == pytest.approx(3 / 4)
    # differences of the 4 ordered pairs: 0, 2, 2, 0, mean 1; over twice the mean of 1 and 3
    assert metrics.gini([3, 1]) == pytest.approx(1 / 4)
    assert math.isnan(metrics.gini([0, 0]))
    assert type(metrics.gini([3, 1])) is float
    for counts in ([], [1, -1]):
        with pytest.raises(ValueError, match="at least one number, each 0 or more"):
            metrics.gini(counts)


def test_novelty():
    # of 8 users all have item 0 (0 bits), 2 have item 1 (2 bits), nobody has item 2 (as if one: 3 bits)
    counts = [8, 2, 0]
    assert metrics.novelty([0, 1], counts, 8) == 1
    assert metrics.novelty([0, 1, 2, -1], counts, 8) == pytest.approx(5 / 3)
    assert type(metrics.novelty([0, 1], counts, 8)) is float
    assert metrics.novelty(LISTS, counts, 8) == pytest.approx([1, 2, np.nan], nan_ok=True)
    with pytest.raises(ValueError, match="counts from 0 to 8: must be 0 to n_users=7"):
        metrics.novelty([0], counts, 7)
    with pytest.raises(ValueError, match="counts from -1"):
        metrics.novelty([0], [-1, 1], 7)


def test_popularity_lift():
    counts = [8, 2, 1]
    profiles = sparse.csr_array([[1, 1, 1], [0, 1, 1], [1, 0, 0]])
    # lists: 5 and 2, mean 3.5; profiles: 11/3 and 3/2, mean 31/12; the third user got nothing
    assert metrics.popularity_lift(LISTS, counts, profiles) == pytest.approx(3.5 / (31 / 12) - 1)
    # a profile's values are not weights
    assert metrics.popularity_lift(LISTS, counts, 5 * profiles) == pytest.approx(3.5 / (31 / 12) - 1)
    assert metrics.popularity_lift([[0, 1, 2]], counts, profiles[:1]) == 0
    # a user without a profile is left out too
    assert metrics.popularity_lift([[0], [1]], counts, sparse.csr_array([[0, 0, 0], [1, 0, 0]])) == -3 / 4
    assert math.isnan(metrics.popularity_lift(LISTS[2:], counts, profiles[2:]))
    with pytest.raises(ValueError, match="3 lists, 2 profiles"):
        metrics.popularity_lift(LISTS, counts, profiles[:2])


def test_cosine_similarity():
    root = 1 / math.sqrt(2)
    expected = [[1, 0, root, 0], [0, 1, root, 0], [root, root, 1, 0], [0, 0, 0, 1]]
    assert metrics.cosine_similarity([[2, 0], [0, 3], [1, 1], [0, 0]]) == pytest.approx(np.array(expected))
    assert metrics.cosine_similarity([[1, 0], [-2, 0]])[0, 1] == -1
    rows = np.random.default_rng(0).normal(size=(20, 3))
    similarity = metrics.cosine_similarity(np.concatenate([rows, 2 * rows, rows / 3]))  # 1 for many pairs
    assert (similarity == similarity.T).all()
    assert (np.diag(similarity) == 1).all()
    assert np.abs(similarity).max() == 1


def test_intra_list_diversity():
    similarity = np.array([[1, 0.5, 0], [0.5, 1, -1], [0, -1, 1]])
    assert metrics.intra_list_diversity([0, 1], similarity) == 0.5
    # distances .5, 1, 2 of the three pairs; with the pairs of an item with itself it would be less
    assert metrics.intra_list_diversity([0, 1, 2], similarity) == pytest.approx(3.5 / 3)
    assert metrics.intra_list_diversity([0, -1, 2], similarity) == 1
    # the same item at two places: no distance
    assert metrics.intra_list_diversity([0, 0, 2], similarity) == pytest.approx(2 / 3)
    assert type(metrics.intra_list_diversity([0, 1], similarity)) is float
    both = metrics.intra_list_diversity([[0, 1, 2], [2, -1, -1]], similarity)
    assert both == pytest.approx([3.5 / 3, np.nan], nan_ok=True)
    assert math.isnan(metrics.intra_list_diversity([], similarity))


GENRES = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)


def test_genre_shares():
    # item 0 gives 1 to genre 0; item 1 gives 1/2 to genres 0 and 1; item 3 has none
    assert metrics.genre_shares([0, 1, 3, -1], GENRES) == pytest.approx([3 / 4, 1 / 4, 0])
    expected = np.array([[3 / 4, 1 / 4, 0], [1 / 2, 1 / 2, 0], [np.nan] * 3])
    assert metrics.genre_shares(LISTS, GENRES) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(metrics.genre_shares([3], GENRES)).all()
    # -1 is not the last item
    assert metrics.genre_shares([0, -1], GENRES[:3]).tolist() == [1, 0, 0]


def test_genre_shares_of_histories():
    histories = sparse.csr_array([[5, 1, 0, 2], [0, 0, 1, 0], [0, 0, 0, 3]])  # the values are not weights
    expected = np.array([[3 / 4, 1 / 4, 0], [0, 0, 1], [np.nan] * 3])
    assert metrics.genre_shares(histories, GENRES) == pytest.approx(expected, nan_ok=True)


def test_calibration():
    assert metrics.calibration([0.5, 0.5], [0.5, 0.5]) == 0
    # q = (1, 0), mixed with 1 % of p: .995 and .005
    expected = 0.5 * math.log(0.5 / 0.995) + 0.5 * math.log(0.5 / 0.005)
    assert metrics.calibration([0.5, 0.5], [1, 0]) == pytest.approx(expected)
    assert type(metrics.calibration([0.5, 0.5], [1, 0])) is float
    # a genre outside the history costs only by what it takes from the others
    assert metrics.calibration([1, 0], [0.5, 0.5]) == pytest.approx(-math.log(0.99 * 0.5 + 0.01))
    # nothing in common: the most there can be
    assert metrics.calibration([1, 0], [0, 1], alpha=0.1) == pytest.approx(math.log(10))
    many = metrics.calibration([[0.5, 0.5], [1, 0], [np.nan] * 2], [[1, 0], [1, 0], [1, 0]])
    assert many == pytest.approx([expected, 0, np.nan], nan_ok=True)


def test_calibration_refuses_what_cannot_be():
    with pytest.raises(ValueError, match=r"history_shares \[2\], list_shares \[1, 2\]"):
        metrics.calibration([1, 0], [[1, 0]])
    for alpha in (0, 1):
        with pytest.raises(ValueError, match=f"alpha={alpha}: must be between 0 and 1"):
            metrics.calibration([1, 0], [1, 0], alpha)


@pytest.mark.parametrize(
    "metric",
    [
        lambda items: metrics.catalogue_coverage(items, 3),
        lambda items: metrics.novelty(items, [1, 1, 1], 2),
        lambda items: metrics.popularity_lift(items, [1, 1, 1], sparse.csr_array([[1, 1, 1]])),
        lambda items: metrics.intra_list_diversity(items, np.eye(3)),
        lambda items: metrics.genre_shares(items, GENRES[:3]),
    ],
)
def test_items_that_cannot_be_are_refused(metric):
    with pytest.raises(ValueError, match="items reach to 3"):
        metric([[0, 3]])
    with pytest.raises(ValueError, match="items of type int64 from -2"):
        metric([[0, -2]])
    with pytest.raises(ValueError, match="items of type float64"):
        metric([[0.0, 1.0]])
