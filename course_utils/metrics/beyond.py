"""Beyond accuracy: what a model recommends to whom, and how often the same.

`items` [k] is one list of recommended items, [B, k] the lists of B users; -1 is padding and left out.
`counts` [I] is how many users have each item in the training data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import rel_entr

from course_utils.metrics.relevance import canonical, item_numbers


def catalogue_coverage(items: ArrayLike, n_items: int) -> float:
    """Share of the n_items that stand in at least one of the lists, 0 to 1: items [B, k]."""
    items = _items_below(n_items, items)
    return len(np.unique(items[items >= 0])) / n_items


def gini(counts: ArrayLike) -> float:
    """How unequal counts [I] are: 0 when all are the same, 1 - 1/I when one item has everything.

    The mean difference of two items drawn at random, over twice the mean. All 0 -> nan. Count also the items
    that were never recommended: `np.bincount(items[items >= 0], minlength=n_items)`.
    """
    counts = np.sort(np.asarray(counts, dtype=np.float64))
    if len(counts) == 0 or counts[0] < 0:
        raise ValueError(f"counts {counts[:3]}: must be at least one number, each 0 or more")
    if counts.sum() == 0:
        return np.nan
    places = np.arange(1, len(counts) + 1)  # place 1 has the least
    return float(2 * (places @ counts) / (len(counts) * counts.sum()) - (len(counts) + 1) / len(counts))


def novelty(items: ArrayLike, counts: ArrayLike, n_users: int) -> float | np.ndarray:
    """Mean surprise -log2(counts / n_users) of the items of a list, in bits: [k] -> float, [B, k] -> [B].

    0 when everybody has them; an item that nobody has counts as if one user had it, so that the surprise is
    at most log2(n_users). An empty list -> nan. Source: Zhou et al. (2010), self-information.
    """
    counts = np.asarray(counts)
    if counts.min(initial=0) < 0 or counts.max(initial=0) > n_users:
        raise ValueError(f"counts from {counts.min()} to {counts.max()}: must be 0 to n_users={n_users}")
    surprise = -np.log2(np.maximum(counts, 1) / n_users)
    return _mean_of_lists(items, surprise)


def popularity_lift(items: ArrayLike, counts: ArrayLike, profiles: sparse.csr_array) -> float:
    """How much more popular the lists are than what their users chose: .5 is 50 % more, 0 the same.

    items [B, k], counts [I], profiles [B, I] with a value for each item that the user has. The popularity of
    a list is the mean of counts over its items, that of a group the mean over its users; returned is
    (lists - profiles) / profiles. Users with an empty list or profile are left out; none left -> nan.
    Source: Abdollahpouri et al. (2019), "The unfairness of popularity bias in recommendation": Delta GAP.
    """
    counts = np.asarray(counts, dtype=np.float64)
    of_lists = _mean_of_lists(np.atleast_2d(items), counts)
    profiles = canonical(profiles).astype(bool)
    n_owned = np.diff(profiles.indptr)
    if len(of_lists) != len(n_owned):
        raise ValueError(f"{len(of_lists)} lists, {len(n_owned)} profiles: must be as many")
    both = (n_owned > 0) & ~np.isnan(of_lists)
    if not both.any():
        return np.nan
    of_profiles = (profiles @ counts)[both] / n_owned[both]
    return float(of_lists[both].mean() / of_profiles.mean() - 1)


def cosine_similarity(rows: ArrayLike) -> np.ndarray:
    """Cosine of the angle between each two rows, -1 to 1: rows [I, F] -> [I, I], 1 on the diagonal.

    A row of zeros has similarity 0 with all others.
    """
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    similarity = np.clip(unit @ unit.T, -1, 1)
    np.fill_diagonal(similarity, 1)
    return similarity


def intra_list_diversity(items: ArrayLike, similarity: ArrayLike) -> float | np.ndarray:
    """Mean 1 - similarity over all pairs of different places of a list: [k] -> float, [B, k] -> [B].

    similarity [I, I], 1 for the same. A place is not paired with itself. Fewer than two items -> nan.
    Source: Smyth and McClave (2001).
    """
    similarity = np.asarray(similarity)
    items = _items_below(len(similarity), items)
    if items.ndim == 1:
        return float(intra_list_diversity(items[None], similarity)[0])
    there = items >= 0
    pairs = there[:, :, None] & there[:, None, :]  # [B, k, k]
    pairs[:, np.arange(items.shape[1]), np.arange(items.shape[1])] = False
    distances = 1 - similarity[items[:, :, None], items[:, None, :]]
    n_pairs = pairs.sum(axis=(1, 2))
    return _divide((distances * pairs).sum(axis=(1, 2)), n_pairs)


def genre_shares(items: ArrayLike | sparse.csr_array, genres: ArrayLike) -> np.ndarray:
    """The share of each genre in a list, summing to 1: items [k] -> [G], [B, k] -> [B, G].

    Histories may be a sparse array [B, I] with a value for each item. genres [I, G] bool. An item is shared
    out evenly among its genres; one without any is left out. Nothing left -> nan. Source: Steck (2018),
    all items of equal weight.
    """
    genres = np.asarray(genres, dtype=bool)
    of_item = genres / np.maximum(genres.sum(axis=1, keepdims=True), 1)  # [I, G]
    if sparse.issparse(items):
        total = canonical(items).astype(bool) @ of_item
    else:
        items = _items_below(len(genres), items)
        total = (of_item[items] * (items >= 0)[..., None]).sum(axis=-2)
    return _divide(total, total.sum(axis=-1, keepdims=True))


def calibration(history_shares: ArrayLike, list_shares: ArrayLike, alpha: float = 0.01) -> float | np.ndarray:
    """How far the genres of a list are from those of the history, in nats: [G] -> float, [B, G] -> [B].

    The Kullback-Leibler divergence of the list's shares q from the history's p: 0 when they are the same, at
    most log(1 / alpha). q is mixed with alpha of p, so that a genre that the list lacks does not cost
    infinitely much; lower is better. Shares of nan -> nan. Source: Steck (2018).
    """
    p, q = np.asarray(history_shares, dtype=np.float64), np.asarray(list_shares, dtype=np.float64)
    if p.shape != q.shape:
        raise ValueError(
            f"history_shares {list(p.shape)}, list_shares {list(q.shape)}: must have the same shape"
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha}: must be between 0 and 1")
    divergence = rel_entr(p, (1 - alpha) * q + alpha * p).sum(axis=-1)  # p log(p / q), 0 where p is 0
    return divergence if divergence.ndim else float(divergence)


def _mean_of_lists(items: ArrayLike, value_of_item: np.ndarray) -> float | np.ndarray:
    """The mean of value_of_item [I] over a list: items [k] -> float, [B, k] -> [B]; an empty list -> nan."""
    items = _items_below(len(value_of_item), items)
    there = items >= 0
    means = _divide((value_of_item[items] * there).sum(axis=-1), there.sum(axis=-1))
    return means if means.ndim else float(means)


def _divide(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """values / by, nan where by is 0."""
    return np.divide(values, by, out=np.full(np.shape(values), np.nan), where=by > 0)


def _items_below(n_items: int, items: ArrayLike) -> np.ndarray:
    items = item_numbers(items, "items", lowest=-1)
    if items.max(initial=-1) >= n_items:
        raise ValueError(f"items reach to {items.max()}: must be below the number of items, {n_items}")
    return items
