import numpy as np
import pytest

from course_utils import diagnostics
from course_utils.data import synthetic


def test_ratings_of_the_size_asked_for():
    made = synthetic.make_ratings(100_000)
    assert (len(made), made.n_users, made.n_items) == (100_000, 943, 1_682)
    assert set(np.unique(made.ratings)) == {1, 2, 3, 4, 5}
    assert made.genres.any(axis=1).all()
    assert made.titles[0].startswith("Film 1 (")


def test_nobody_rates_an_item_twice_and_rows_are_ordered_by_user():
    made = synthetic.make_ratings(50_000, seed=3)
    keys = made.users * made.n_items + made.items
    assert (np.diff(keys) > 0).all()


def test_the_same_seed_makes_the_same_ratings():
    one, two, other = (synthetic.make_ratings(10_000, seed) for seed in (0, 0, 1))
    for name in ("users", "items", "ratings", "timestamps", "ages", "years"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.items, other.items)


def test_popularity_and_activity_have_a_long_tail():
    made = synthetic.make_ratings(100_000)
    for ids, n in ((made.users, made.n_users), (made.items, made.n_items)):
        counts = np.sort(np.bincount(ids, minlength=n))[::-1]
        assert counts[: n // 10].sum() > 0.25 * len(made)  # the top tenth has far more than a tenth
    assert np.bincount(made.users).max() < made.n_items / 2


def test_users_have_a_favourite_genre():
    made = synthetic.make_ratings(100_000)
    by_genre = np.zeros((made.n_users, made.genres.shape[1]))
    np.add.at(by_genre, made.users, made.genres[made.items])
    share = by_genre / by_genre.sum(axis=1, keepdims=True)
    usual = made.genres[made.items].mean(axis=0)
    lift = (share / np.maximum(usual / usual.sum(), 1e-9)).max(axis=1)
    assert np.median(lift) > 2


def test_sizes_between_the_published_ones_lie_between():
    made = synthetic.make_ratings(300_000)
    assert 943 < made.n_users < 6_040
    assert 1_682 < made.n_items < 3_706
    assert synthetic._shape(32_000_204) == (200_948, 84_432)


@pytest.mark.parametrize("n", [9_999, 32_000_205])
def test_sizes_outside_are_refused(n):
    with pytest.raises(ValueError, match=f"n_ratings={n}: must be between 10000 and 32000204"):
        synthetic.make_ratings(n)


def test_clustered_vectors_are_unit_vectors_in_clusters():
    vectors = synthetic.clustered_vectors(3_000, dim=32, n_clusters=5, spread=0.1)
    assert (vectors.shape, vectors.dtype) == ((3_000, 32), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors[:50] @ vectors.T
    # the noise has length .1, so the cosine within a cluster is about 1 / (1 + .1^2), or far below
    near = cosines > 0.9
    assert near.mean() > 0.1
    assert ((cosines > 0.7) == near).mean() > 0.999
    assert diagnostics.effective_rank(vectors) < 20


def test_another_draw_has_the_same_clusters():
    one, two = (synthetic.clustered_vectors(500, n_clusters=4, spread=0.1, draw=draw) for draw in (0, 1))
    other = synthetic.clustered_vectors(500, n_clusters=4, spread=0.1, seed=1)
    assert not np.array_equal(one, two)
    assert (two @ one.T).max(axis=1).min() > 0.9
    assert (other @ one.T).max(axis=1).min() < 0.9
