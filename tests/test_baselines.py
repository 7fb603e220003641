import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils import baselines, metrics, splits


def random_ratings(seed, n_users=8, n_items=7, density=0.6):
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < density)
    return users, items, rng.integers(1, 6, len(users)).astype(float)


# biases

USERS, ITEMS, RATINGS = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 2, 1]), np.array([5, 3, 4, 2, 1])


def test_biases_by_hand():
    # mean 15 / 5 = 3, so the residuals are 2, 0, 1, -1, -2. With reg = 1:
    # items: (2 + 1) / (1 + 2) = 1;  (0 - 2) / (1 + 2) = -2/3;  -1 / (1 + 1) = -1/2
    # users: (2 - 1 + 0 + 2/3) / (1 + 2) = 5/9;  (1 - 1 - 1 + 1/2) / 3 = -1/6;  (-2 + 2/3) / 2 = -2/3
    biases = baselines.fit_biases(USERS, ITEMS, RATINGS, 3, 3, reg=1)
    assert biases.mean == 3
    assert biases.item == pytest.approx([1, -2 / 3, -1 / 2])
    assert biases.user == pytest.approx([5 / 9, -1 / 6, -2 / 3])
    # 3 + 5/9 - 1/2 and 3 - 2/3 + 1
    assert biases.predict([0, 2], [2, 0]) == pytest.approx([3 + 1 / 18, 10 / 3])


def test_predictions_are_not_clipped():
    biases = baselines.Biases(4.0, np.array([1.0]), np.array([1.5]))
    assert biases.predict(np.array([0]), np.array([0])).tolist() == [6.5]


@pytest.mark.parametrize("reg", [0, 5])
def test_no_ratings_no_bias(reg):
    biases = baselines.fit_biases(USERS, ITEMS, RATINGS, 5, 4, reg=reg)
    assert biases.user.shape == (5,)
    assert biases.user[3:].tolist() == [0, 0]
    assert biases.item[3] == 0
    assert np.isfinite(biases.predict(np.arange(5), np.zeros(5, dtype=int))).all()
    assert biases.predict([4], [3]).tolist() == [3]  # nothing known: the mean


@pytest.mark.parametrize("n_passes", [1, 2, 3])
@pytest.mark.parametrize("reg", [0, 2.5])
def test_biases_equal_a_plain_loop(n_passes, reg):
    users, items, ratings = random_ratings(seed=n_passes)
    rows = list(zip(users, items, ratings, strict=True))
    mean = sum(ratings) / len(ratings)
    user_bias, item_bias = [0.0] * 9, [0.0] * 7  # user 8 has rated nothing
    for _ in range(n_passes):
        for item in range(7):
            left = [r - mean - user_bias[u] for u, i, r in rows if i == item]
            item_bias[item] = sum(left) / (reg + len(left)) if left else 0.0
        for user in range(9):
            left = [r - mean - item_bias[i] for u, i, r in rows if u == user]
            user_bias[user] = sum(left) / (reg + len(left)) if left else 0.0
    biases = baselines.fit_biases(users, items, ratings, 9, 7, reg, n_passes)
    assert biases.user == pytest.approx(user_bias)
    assert biases.item == pytest.approx(item_bias)


def test_many_passes_reach_the_least_squares_fit():
    # without regularisation the residuals of every user and of every item end with mean 0
    users, items, ratings = random_ratings(seed=4)
    biases = baselines.fit_biases(users, items, ratings, 8, 7, reg=0, n_passes=300)
    residuals = ratings - biases.predict(users, items)
    assert np.bincount(users, residuals) == pytest.approx(np.zeros(8), abs=1e-9)
    assert np.bincount(items, residuals) == pytest.approx(np.zeros(7), abs=1e-9)


def test_more_regularisation_shrinks_towards_the_mean():
    users, items, ratings = random_ratings(seed=5)
    fits = [baselines.fit_biases(users, items, ratings, 8, 7, reg) for reg in (0, 5, 50, 1e9)]
    sizes = [np.abs(biases.item).sum() for biases in fits]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == pytest.approx(0, abs=1e-6)


def test_biases_do_not_lose_digits_in_float32():
    users, items, ratings = random_ratings(seed=6)
    wide = baselines.fit_biases(users, items, ratings, 8, 7)
    narrow = baselines.fit_biases(users, items, ratings.astype(np.float32), 8, 7)
    assert narrow.user.tolist() == wide.user.tolist()


def test_biases_refuse_raw_ids_and_no_rows():
    with pytest.raises(ValueError, match="users reach from 1 to 3: must be dense indices, 0 to 2"):
        baselines.fit_biases(USERS + 1, ITEMS, RATINGS, 3, 3)
    with pytest.raises(ValueError, match="items reach from -1"):
        baselines.fit_biases(USERS, ITEMS - 1, RATINGS, 3, 3)
    with pytest.raises(ValueError, match="empty"):
        baselines.fit_biases([], [], [], 3, 3)


# rating_matrix


def test_rating_matrix():
    values, rated = baselines.rating_matrix([0, 2], [1, 0], [0.0, -1.5], 3, 2)
    assert values.tolist() == [[0, 0], [0, 0], [-1.5, 0]]
    assert rated.tolist() == [[False, True], [False, False], [True, False]]  # a residual of 0 is rated
    with pytest.raises(ValueError, match="items reach from 1 to 2"):
        baselines.rating_matrix([0, 2], [1, 2], [1, 1], 3, 2)


# item_similarity


def test_similarity_by_hand():
    # items 0 and 1 are both rated by users 0 and 1: (1, 2) and (2, 1), cosine 4 / 5, times 2 / (2 + 2).
    # User 2's rating of item 0 must not lengthen its vector. Items 0 and 2 share user 2 only: (3) and (-1),
    # cosine -1, times 1 / (1 + 2). Items 1 and 2 share nobody.
    residuals = np.array([[1.0, 2, 0], [2, 1, 0], [3, 0, -1]])
    rated = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=bool)
    similarity = baselines.item_similarity(residuals, rated, shrinkage=2)
    assert similarity[0, 1] == pytest.approx(4 / 5 / 2)
    assert similarity[0, 2] == pytest.approx(-1 / 3)
    assert similarity[1, 2] == 0
    # the diagonal: cosine 1, times n / (n + 2) for 3, 2 and 1 users
    assert similarity.diagonal() == pytest.approx([3 / 5, 2 / 4, 1 / 3])


def plain_similarity(residuals, rated, shrinkage):
    n_items = rated.shape[1]
    similarity = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            both = rated[:, i] & rated[:, j]
            a, b = residuals[both, i], residuals[both, j]
            length = math.sqrt((a**2).sum()) * math.sqrt((b**2).sum())
            if length > 0:
                similarity[i, j] = (a * b).sum() / length * both.sum() / (both.sum() + shrinkage)
    return similarity


def random_residuals(seed, n_users=9, n_items=8, density=0.5):
    rng = np.random.default_rng(seed)
    rated = rng.random((n_users, n_items)) < density
    return np.where(rated, rng.normal(size=rated.shape), 0), rated


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([0, 0.5, 100]))
def test_similarity_equals_a_plain_loop(seed, density, shrinkage):
    residuals, rated = random_residuals(seed, density=density)
    residuals[:, 0] = 0  # an item whose every residual is 0
    similarity = baselines.item_similarity(residuals, rated, shrinkage)
    assert similarity == pytest.approx(plain_similarity(residuals, rated, shrinkage))
    assert np.abs(similarity).max() <= 1 + 1e-12
    assert similarity == pytest.approx(similarity.T)
    assert (similarity[0] == 0).all()


def test_similarity_ignores_what_stands_where_nothing_was_rated():
    residuals, rated = random_residuals(seed=3)
    junk = np.where(rated, residuals, 99.0)
    assert (baselines.item_similarity(junk, rated) == baselines.item_similarity(residuals, rated)).all()


# knn_predict

SIMILARITY = np.array([[0.9, 0.5, 0.3, -0.4, 0.1]] + [[0.0] * 5] * 4)


def test_knn_by_hand():
    # user 0 rated all five items. For item 0: not itself; k = 2 takes items 1 and 2:
    # (.5 * 1 + .3 * -2) / (.5 + .3) = -.125
    residuals = np.array([[7.0, 1, -2, 5, 3]])
    rated = np.ones((1, 5), dtype=bool)

    def predict(k):
        return baselines.knn_predict(SIMILARITY, residuals, rated, np.array([0]), np.array([0]), k)

    assert predict(1) == pytest.approx([1.0])
    assert predict(2) == pytest.approx([-0.125])
    # k = 4 and more than there are: item 3 is dissimilar and never counts
    # (.5 - .6 + .1 * 3) / (.5 + .3 + .1) = .2 / .9
    assert predict(4) == pytest.approx([2 / 9])
    assert predict(40) == pytest.approx([2 / 9])


def test_knn_uses_rated_items_only_and_knows_when_it_knows_nothing():
    residuals = np.array([[0.0, 0, -2, 5, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    rated = np.array([[0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=bool)
    # user 0: item 2 alone; user 1 rated only the item itself; user 2 rated nothing
    predictions = baselines.knn_predict(SIMILARITY, residuals, rated, [0, 1, 2], [0, 0, 0])
    assert predictions.tolist() == [-2, 0, 0]


def plain_knn(similarity, residuals, rated, user, item, k):
    neighbours = [j for j in np.flatnonzero(rated[user]) if j != item and similarity[item, j] > 0]
    nearest = sorted(neighbours, key=lambda j: -similarity[item, j])[:k]
    total = sum(similarity[item, j] for j in nearest)
    return sum(similarity[item, j] * residuals[user, j] for j in nearest) / total if nearest else 0.0


@given(st.integers(0, 1000), st.integers(1, 9), st.sampled_from([0.1, 0.5, 1.0]))
def test_knn_equals_a_plain_loop(seed, k, density):
    residuals, rated = random_residuals(seed, density=density)
    similarity = np.random.default_rng(seed).uniform(-1, 1, (8, 8))  # no ties
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(9), np.arange(8)))  # not sorted by user
    before = similarity.copy(), residuals.copy(), rated.copy()
    predictions = baselines.knn_predict(similarity, residuals, rated, users, items, k)
    expected = [plain_knn(similarity, residuals, rated, u, i, k) for u, i in zip(users, items, strict=True)]
    assert predictions == pytest.approx(expected)
    for array, copy in zip((similarity, residuals, rated), before, strict=True):
        assert (array == copy).all()


def test_knn_takes_no_rows_and_refuses_k_0():
    residuals, rated = random_residuals(seed=1)
    none = np.array([], dtype=np.int64)
    assert baselines.knn_predict(np.eye(8), residuals, rated, none, none).shape == (0,)
    with pytest.raises(ValueError, match="k=0"):
        baselines.knn_predict(np.eye(8), residuals, rated, none, none, k=0)


def test_each_step_predicts_better_where_there_is_something_to_find():
    # Two tastes and two kinds of film: users like films of their own kind. Neighbours see it, biases cannot.
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((120, 60)) < 0.4)
    ratings = 3 + rng.normal(0, 0.5, 60)[items] + np.where(users % 2 == items % 2, 1, -1)
    ratings = ratings + rng.normal(0, 0.5, len(users))
    train, test = splits.random_split(len(users))
    biases = baselines.fit_biases(users[train], items[train], ratings[train], 120, 60)
    left = ratings[train] - biases.predict(users[train], items[train])
    residuals, rated = baselines.rating_matrix(users[train], items[train], left, 120, 60)
    similarity = baselines.item_similarity(residuals, rated, shrinkage=10)
    from_biases = biases.predict(users[test], items[test])
    taste = baselines.knn_predict(similarity, residuals, rated, users[test], items[test], k=10)
    mean = np.full(len(test), biases.mean)
    models = (mean, from_biases, from_biases + taste)
    errors = [metrics.rmse(predictions, ratings[test]) for predictions in models]
    # sqrt(.5^2 + 1 + .5^2) = 1.22 is left by the mean, sqrt(1 + .5^2) = 1.12 by perfect biases, .5 is noise
    assert errors[0] > errors[1] + 0.05
    assert errors[1] > 1.1
    assert errors[2] < 0.65
