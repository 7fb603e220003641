"""The generated sample: the same bytes at each run, and real structure in it."""

import numpy as np

from course_utils.data import load_movielens, sample_path
from course_utils.data.sample import make_sample


def test_the_generator_writes_the_committed_files_byte_for_byte(tmp_path):
    make_sample(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in sample_path().iterdir()}
    assert sorted(written) == ["u.data", "u.item", "u.user"]


def test_shape_of_the_sample():
    r = load_movielens("sample")
    assert repr(r) == "Ratings('sample': 10,000 ratings, 200 users, 300 items)"
    assert set(r.ratings.tolist()) == {1, 2, 3, 4, 5}
    assert np.bincount(r.users).min() >= 10
    assert len(set(r.titles)) == 300
    assert (r.genres.sum(axis=1) >= 1).all()
    assert r.titles[r.years == 0].tolist() == ["unknown"]
    assert any("é" in title for title in r.titles)
    # raw ids have holes, so that dense + 1 is not the raw id
    assert r.user_ids[-1] > r.n_users
    assert r.item_ids[-1] > r.n_items
    assert (r.user_ids != np.arange(200) + 1).all()


def test_time_in_the_sample():
    r = load_movielens("sample")
    span = (r.timestamps.max() - r.timestamps.min()) / 86_400
    assert 180 < span < 240  # days
    assert (np.diff(r.timestamps) < 0).any()  # u.data is not sorted by time
    last = np.zeros(r.n_users, np.int64)
    np.maximum.at(last, r.users, r.timestamps)
    n_last = np.bincount(r.users[r.timestamps == last[r.users]])
    assert (n_last > 1).mean() > 0.3  # many users have ties at their last timestamp, as in the real data


def test_a_low_rank_model_beats_biases_clearly():
    r = load_movielens("sample")
    order = np.random.default_rng(0).permutation(len(r))
    test, train = order[:2000], order[2000:]
    stars = r.ratings.astype(float)
    mean = stars[train].mean()
    item_bias = _shrunk_mean(r.items[train], stars[train] - mean, r.n_items)
    user_bias = _shrunk_mean(r.users[train], stars[train] - mean - item_bias[r.items[train]], r.n_users)
    residuals = stars - mean - item_bias[r.items] - user_bias[r.users]

    user_vecs, item_vecs = _als(r.users[train], r.items[train], residuals[train], r.n_users, r.n_items)
    low_rank = residuals - (user_vecs[r.users] * item_vecs[r.items]).sum(1)

    rmse = {
        "mean": _rms(stars[test] - mean),
        "popularity": _rms(stars[test] - mean - item_bias[r.items[test]]),
        "biases": _rms(residuals[test]),
        "low rank": _rms(low_rank[test]),
    }
    assert rmse["biases"] < rmse["popularity"] - 0.1
    assert rmse["low rank"] < rmse["biases"] - 0.05


def test_a_linear_model_ranks_better_than_popularity():
    r = load_movielens("sample")
    order = np.random.default_rng(0).permutation(len(r))
    seen = np.zeros((r.n_users, r.n_items))
    held_out = seen.copy()
    seen[r.users[order[2000:]], r.items[order[2000:]]] = 1
    held_out[r.users[order[:2000]], r.items[order[:2000]]] = 1
    inverse = np.linalg.inv(seen.T @ seen + 50 * np.eye(r.n_items))  # EASE
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)

    def precision_at_10(scores):
        top = np.argsort(np.where(seen > 0, -np.inf, scores), axis=1)[:, -10:]
        return np.take_along_axis(held_out, top, axis=1).mean()

    popularity = precision_at_10(np.tile(seen.sum(0), (r.n_users, 1)))
    assert precision_at_10(seen @ weights) > 1.25 * popularity
    assert popularity > 2 * held_out.mean()  # and there is a long tail for popularity to find


def _shrunk_mean(index, values, n):
    return np.bincount(index, values, n) / (5 + np.bincount(index, minlength=n))


def _als(users, items, residuals, n_users, n_items, dim=5, reg=4.0, n_passes=8):
    """Alternating least squares: the vectors of users, then of items, each a small ridge regression."""
    user_vecs, item_vecs = np.zeros((n_users, dim)), np.random.default_rng(0).normal(0, 0.1, (n_items, dim))
    for _ in range(n_passes):
        for own, own_index, other, other_index in (
            (user_vecs, users, item_vecs, items),
            (item_vecs, items, user_vecs, users),
        ):
            for i in range(len(own)):
                rows = own_index == i
                x = other[other_index[rows]]
                own[i] = np.linalg.solve(x.T @ x + reg * np.eye(dim), x.T @ residuals[rows])
    return user_vecs, item_vecs


def _rms(errors):
    return float(np.sqrt(np.mean(errors**2)))
