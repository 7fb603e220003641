import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.sparse import csr_array

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


# Clicks. The checkerboard: users have the items of their own colour, all but one; that one is right.

SIZE = 12


def checkerboard():
    users, items = np.indices((SIZE, SIZE)).reshape(2, -1)
    held_out = items == (users + 4) % SIZE  # of the user's own colour
    rows = ((users + items) % 2 == 0) & ~held_out
    return clicks(users[rows], items[rows], SIZE, SIZE), (np.arange(SIZE) + 4) % SIZE


def clicks(users, items, n_users, n_items):
    table = csr_array((np.ones(len(users), np.float32), (users, items)), shape=(n_users, n_items))
    table.sum_duplicates()
    return table


def random_clicks(seed, n_users=9, n_items=7, density=0.4):
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < density)
    return clicks(users, items, n_users, n_items)


@pytest.mark.parametrize(
    "fit",
    [
        lambda positives: baselines.fit_item_knn(positives, k=4),
        lambda positives: baselines.fit_ease(positives, reg=1.0),
        lambda positives: baselines.fit_ials(positives, dim=4, reg=0.01),
    ],
)
def test_click_models_learn_the_checkerboard(fit):
    positives, answers = checkerboard()
    scores = fit(positives).score_all(np.arange(SIZE)).astype(float)
    scores[positives.toarray() > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == answers.tolist()
    # the control: every item is as popular as any other
    assert len(set(baselines.fit_popularity(positives).counts)) == 1


@pytest.mark.parametrize("name", ["fit_popularity", "fit_item_knn", "fit_ease", "fit_ials"])
def test_click_models_score_users_in_any_order_and_leave_positives_alone(name):
    positives = random_clicks(0)
    before = positives.toarray()
    model = getattr(baselines, name)(positives)
    everyone = model.score_all(np.arange(9))
    assert everyone.shape == (9, 7)
    assert model.score_all(np.array([4, 0, 4])) == pytest.approx(everyone[[4, 0, 4]])
    assert model.score_all(np.array([2])).shape == (1, 7)
    assert np.isfinite(everyone).all()
    assert (positives.toarray() == before).all()


def test_popularity_by_hand():
    model = baselines.fit_popularity(clicks([0, 1, 2, 2], [1, 1, 1, 0], 3, 3))
    assert model.counts.tolist() == [1, 3, 0]
    assert model.score_all(np.array([2, 0])).tolist() == [[1, 3, 0]] * 2


# item-kNN


def test_item_knn_by_hand():
    # item 0: users 0 1; item 1: users 0 1 2; item 2: user 2. Cosines: 2 / sqrt(2 * 3), 1 / sqrt(3 * 1), 0
    positives = clicks([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 1, 2], 3, 4)  # nobody has item 3
    a, b = 2 / math.sqrt(6), 1 / math.sqrt(3)
    model = baselines.fit_item_knn(positives, k=2)
    assert model.weights == pytest.approx(np.array([[0, a, 0, 0], [a, 0, b, 0], [0, b, 0, 0], [0] * 4]))
    # user 0 has the items 0 and 1
    assert model.score_all(np.array([0])) == pytest.approx(np.array([[a, a, b, 0]]))
    # k = 1: each item (column) keeps its nearest; item 1 keeps item 0 and not item 2
    nearest = baselines.fit_item_knn(positives, k=1).weights
    assert nearest == pytest.approx(np.array([[0, a, 0, 0], [a, 0, b, 0], [0] * 4, [0] * 4]))


@given(st.integers(0, 1000), st.integers(1, 9))
def test_item_knn_equals_a_plain_loop(seed, k):
    positives = random_clicks(seed, n_users=30, density=0.3)
    x = positives.toarray().astype(float)
    expected = np.zeros((7, 7))
    for j in range(7):
        cosine = {}
        for i in range(7):
            if i != j and x[:, i].any() and x[:, j].any():
                cosine[i] = x[:, i] @ x[:, j] / math.sqrt(x[:, i].sum() * x[:, j].sum())
        kept = sorted(cosine.values(), reverse=True)[:k]
        for i, value in cosine.items():
            expected[i, j] = value if value in kept else 0
        # ties at place k: any choice is right
        assume(len(kept) < k or len([v for v in cosine.values() if v == kept[-1]]) == kept.count(kept[-1]))
    model = baselines.fit_item_knn(positives, k)
    assert model.weights == pytest.approx(expected)
    assert model.score_all(np.arange(30)) == pytest.approx(x @ expected)


def test_item_knn_refuses_k_0():
    with pytest.raises(ValueError, match="k=0"):
        baselines.fit_item_knn(random_clicks(0), k=0)


# EASE


@given(st.integers(0, 1000), st.sampled_from([0.5, 3.0, 200.0]))
def test_ease_equals_a_ridge_regression_for_each_item(seed, reg):
    # The oracle does not know the closed form: item j is predicted from all the others, by least squares.
    positives = random_clicks(seed)
    x = positives.toarray().astype(float)
    weights = np.zeros((7, 7))
    for j in range(7):
        others = [i for i in range(7) if i != j]
        ridge = np.vstack([x[:, others], math.sqrt(reg) * np.eye(6)])
        weights[others, j] = np.linalg.lstsq(ridge, np.concatenate([x[:, j], np.zeros(6)]), rcond=None)[0]
    model = baselines.fit_ease(positives, reg)
    assert model.weights == pytest.approx(weights)
    assert model.weights.diagonal().tolist() == [0] * 7
    assert model.score_all(np.arange(9)) == pytest.approx(x @ weights)


def test_ease_by_hand():
    # two items, both with users 0 and 1, item 1 also with user 2: item 1 from item 0: 2 / (2 + 1);
    # item 0 from item 1: 2 / (3 + 1)
    model = baselines.fit_ease(clicks([0, 0, 1, 1, 2], [0, 1, 0, 1, 1], 3, 2), reg=1.0)
    assert model.weights == pytest.approx(np.array([[0, 2 / 3], [2 / 4, 0]]))


def test_ease_refuses_reg_0():
    with pytest.raises(ValueError, match="reg=0: must be above 0"):
        baselines.fit_ease(random_clicks(0), reg=0)


# iALS


def ials_objective(x, user_vecs, item_vecs, alpha, reg):
    """The sum over cells, and penalties by number of positives, written out."""
    scores = user_vecs @ item_vecs.T
    n_users, n_items = x.shape
    loss = (x * (1 - scores) ** 2).sum() + alpha * (scores**2).sum()
    for vec, n in zip(user_vecs, x.sum(axis=1), strict=True):
        loss += reg * (n + alpha * n_items) * (vec @ vec)
    for vec, n in zip(item_vecs, x.sum(axis=0), strict=True):
        loss += reg * (n + alpha * n_users) * (vec @ vec)
    return loss


def test_ials_never_gets_worse_and_ends_where_nothing_moves():
    positives = random_clicks(1)
    x = positives.toarray().astype(float)
    fits = [baselines.fit_ials(positives, dim=3, alpha=0.2, reg=0.1, n_passes=n) for n in (1, 2, 4, 8, 500)]
    values = [ials_objective(x, fit.user_vecs, fit.item_vecs, 0.2, 0.1) for fit in fits]
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(values))
    # at the end no small step in any direction helps
    end, rng = fits[-1], np.random.default_rng(0)
    for _ in range(50):
        users, items = (1e-3 * rng.normal(size=vecs.shape) for vecs in (end.user_vecs, end.item_vecs))
        moved = ials_objective(x, end.user_vecs + users, end.item_vecs + items, 0.2, 0.1)
        assert moved >= values[-1] - 1e-9


def test_the_last_half_pass_of_ials_solves_each_item():
    # the gradient of the objective with respect to the item vectors is 0, by finite differences
    positives = random_clicks(2)
    x = positives.toarray().astype(float)
    fit = baselines.fit_ials(positives, dim=2, alpha=0.5, reg=0.05, n_passes=3)
    for item in range(7):
        for d in range(2):
            step = np.zeros((7, 2))
            step[item, d] = 1e-4
            up = ials_objective(x, fit.user_vecs, fit.item_vecs + step, 0.5, 0.05)
            down = ials_objective(x, fit.user_vecs, fit.item_vecs - step, 0.5, 0.05)
            assert (up - down) / 2e-4 == pytest.approx(0, abs=1e-6)


def test_ials_by_seed_and_without_clicks():
    positives = random_clicks(3)
    first, again, other = (baselines.fit_ials(positives, n_passes=1, seed=s).user_vecs for s in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    lonely = clicks([0, 1], [0, 0], 3, 2)  # user 2 has nothing, nobody has item 1
    fit = baselines.fit_ials(lonely, dim=2)
    assert not fit.user_vecs[2].any()
    assert not fit.item_vecs[1].any()
