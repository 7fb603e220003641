"""Data of any size, made up: what one machine takes can be measured where the real data cannot be fetched.

Figures of speed and memory carry over to real data of the same size; figures of quality do not.
"""

import numpy as np

from .ratings import GENRES, Ratings

# What MovieLens publishes: ratings -> users, items. Sizes between are interpolated on logarithmic axes.
MOVIELENS = {
    100_000: (943, 1_682),
    1_000_209: (6_040, 3_706),
    10_000_054: (69_878, 10_677),
    32_000_204: (200_948, 84_432),
}
OCCUPATIONS = ("student", "educator", "engineer", "librarian", "writer", "artist", "retired", "other")
START, YEARS = 875_000_000, 10


def make_ratings(n_ratings: int, seed: int = 0) -> Ratings:
    """n_ratings invented ratings, by as many users and of as many items as a MovieLens of that size has (the
    smallest: 100K).

    Popularity and activity have a long tail, users have a favourite genre; no user rates an item twice.
    Rows are ordered by user, as in MovieLens 32M. ValueError outside 10,000 to 32,000,204 ratings.
    """
    if not 10_000 <= n_ratings <= max(MOVIELENS):
        raise ValueError(f"n_ratings={n_ratings}: must be between 10000 and {max(MOVIELENS)}")
    rng = np.random.default_rng(seed)
    n_users, n_items = _shape(n_ratings)
    item_genre = np.sort(rng.integers(1, len(GENRES), n_items))  # column 0 is "unknown"
    popularity = 1 / (10 + rng.permutation(n_items)) ** 0.9
    user_genre = rng.integers(1, len(GENRES), n_users)
    users, items = _pairs(rng, n_ratings, item_genre, popularity, user_genre)
    liking = np.where(item_genre[items] == user_genre[users], 4.0, 3.3) + rng.normal(0, 1, n_ratings)
    genres = np.zeros((n_items, len(GENRES)), dtype=bool)
    genres[np.arange(n_items), item_genre] = True
    genres[np.arange(n_items), rng.integers(1, len(GENRES), n_items)] = True
    years = rng.integers(1930, 2024, n_items)
    return Ratings(
        name=f"made of {n_ratings:,}",
        users=users,
        items=items,
        ratings=np.clip(np.rint(liking), 1, 5).astype(np.float32),
        timestamps=START + rng.integers(0, YEARS * 365 * 86_400, n_ratings),
        user_ids=np.arange(1, n_users + 1),
        item_ids=np.arange(1, n_items + 1),
        titles=np.array([f"Film {item} ({year})" for item, year in enumerate(years, start=1)]),
        years=years,
        genres=genres,
        ages=rng.integers(12, 80, n_users),
        genders=np.where(rng.random(n_users) < 0.5, "F", "M"),
        occupations=rng.choice(OCCUPATIONS, n_users),
    )


def _shape(n_ratings: int) -> tuple[int, int]:
    known = np.log(list(MOVIELENS))
    by_size = np.log(list(MOVIELENS.values()))
    users, items = (np.exp(np.interp(np.log(n_ratings), known, column)) for column in by_size.T)
    return round(users), round(items)


def _pairs(rng, n_ratings, item_genre, popularity, user_genre) -> tuple[np.ndarray, np.ndarray]:
    """n_ratings different pairs (user, item), ordered by user, then item. Items are ordered by genre."""
    n_users, n_items = len(user_genre), len(item_genre)
    # nobody sees much of the catalogue: the search for pairs that are new would not end
    activity = np.cumsum(np.minimum(rng.lognormal(0, 1.2, n_users) + 0.2, 12))
    edges = np.concatenate([[0], np.cumsum(popularity)])
    first = edges[np.searchsorted(item_genre, np.arange(len(GENRES)))]
    last = edges[np.searchsorted(item_genre, np.arange(len(GENRES)), side="right")]
    keys = np.empty(0, dtype=np.int64)  # user * n_items + item
    while len(keys) < n_ratings:
        n = (n_ratings - len(keys)) * 5 // 4 + 100
        users = np.searchsorted(activity, rng.random(n) * activity[-1], side="right")
        genre = user_genre[users]
        own = rng.random(n) < 0.3  # that share of what a user sees is of the favourite genre
        low, high = np.where(own, first[genre], 0), np.where(own, last[genre], edges[-1])
        items = np.searchsorted(edges, low + rng.random(n) * (high - low), side="right") - 1
        drawn = users * np.int64(n_items) + np.minimum(items, n_items - 1)
        keys = np.sort(np.concatenate([keys, drawn]))
        keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique hashes, ten times slower on keys like these
    surplus = rng.choice(len(keys), len(keys) - n_ratings, replace=False)
    users, items = np.divmod(np.delete(keys, surplus), n_items)
    return users, items


def clustered_vectors(
    n: int, dim: int = 64, n_clusters: int = 200, spread: float = 0.6, seed: int = 0, draw: int = 0
) -> np.ndarray:
    """Unit vectors in clusters of unequal size, as trained item vectors are: float32 [n, dim].

    spread is the length of the noise around a centre of length 1, on average. The same seed gives the same
    centres: with another draw, queries that belong to the catalogue. Isotropic vectors (a large spread)
    have no near neighbours, and make every approximate index look useless.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_clusters, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    sizes = rng.dirichlet(np.full(n_clusters, 2.0))
    rng = np.random.default_rng([seed, draw])
    vectors = rng.normal(0, spread / dim**0.5, (n, dim)).astype(np.float32)
    vectors += centres[rng.choice(n_clusters, n, p=sizes)].astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
