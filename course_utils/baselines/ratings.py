"""Models of ratings in stars: regularised biases and item-based nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def _check_ids(name: str, ids: np.ndarray, n: int) -> None:
    if len(ids) and (ids.min() < 0 or ids.max() >= n):
        raise ValueError(f"{name} reach from {ids.min()} to {ids.max()}: must be dense indices, 0 to {n - 1}")


@dataclass(frozen=True)
class Biases:
    """A rating as the mean plus what is usual for the user and for the item."""

    mean: float
    user: np.ndarray  # [U]
    item: np.ndarray  # [I]

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """users [B], items [B] -> ratings [B], not clipped to 1-5."""
        return self.mean + self.user[users] + self.item[items]


def _shrunk_means(groups: np.ndarray, values: np.ndarray, n_groups: int, reg: float) -> np.ndarray:
    """sum / (reg + count) of the values [R] in each of n_groups; 0 for a group without values."""
    sums = np.bincount(groups, weights=values, minlength=n_groups)
    counts = np.bincount(groups, minlength=n_groups)
    return np.divide(sums, reg + counts, out=np.zeros(n_groups), where=counts > 0)


def fit_biases(
    users: np.ndarray,
    items: np.ndarray,
    ratings: np.ndarray,
    n_users: int,
    n_items: int,
    reg: float = 5.0,
    n_passes: int = 1,
) -> Biases:
    """Mean, user and item biases; each bias is pulled towards 0 as if reg more ratings were average.

    users, items, ratings [R]. Each pass computes first b_i = sum_u(r - mean - b_u) / (reg + n_i), then
    b_u = sum_i(r - mean - b_i) / (reg + n_u), starting from b_u = 0. No ratings -> bias 0.
    Source: Koren, "Factor in the Neighbors" (2010), section 2.1.
    """
    users, items = np.asarray(users), np.asarray(items)
    ratings = np.asarray(ratings, dtype=np.float64)
    if len(ratings) == 0:
        raise ValueError("ratings is empty: there is nothing to fit")
    _check_ids("users", users, n_users)
    _check_ids("items", items, n_items)
    mean = ratings.mean()
    user_bias, item_bias = np.zeros(n_users), np.zeros(n_items)
    for _ in range(n_passes):
        item_bias = _shrunk_means(items, ratings - mean - user_bias[users], n_items, reg)
        user_bias = _shrunk_means(users, ratings - mean - item_bias[items], n_users, reg)
    return Biases(float(mean), user_bias, item_bias)


def rating_matrix(
    users: np.ndarray, items: np.ndarray, values: np.ndarray, n_users: int, n_items: int
) -> tuple[np.ndarray, np.ndarray]:
    """A table from triples: users, items, values [R] -> (values [U, I], rated [U, I] bool).

    Values are float64 and 0 where nothing was rated: ask `rated`, because a rating's residual may be 0 too.
    """
    users, items = np.asarray(users), np.asarray(items)
    _check_ids("users", users, n_users)
    _check_ids("items", items, n_items)
    matrix = np.zeros((n_users, n_items))
    rated = np.zeros((n_users, n_items), dtype=bool)
    matrix[users, items] = values
    rated[users, items] = True
    return matrix, rated


def item_similarity(residuals: np.ndarray, rated: np.ndarray, shrinkage: float = 100.0) -> np.ndarray:
    """How alike two items are rated by the users who rated both.

    residuals [U, I], rated [U, I] -> [I, I]: the cosine over the n co-rating users, times
    n / (n + shrinkage), so that a match on three users counts little. 0 where nobody rated both, or
    where all residuals are 0.
    """
    rated = np.asarray(rated, dtype=np.float64)
    residuals = np.asarray(residuals, dtype=np.float64) * rated
    n_both = rated.T @ rated  # [I, I]
    dots = residuals.T @ residuals
    # squares[i, j]: the squared length of item i, over the users who rated j too
    squares = (residuals**2).T @ rated
    lengths = np.sqrt(squares * squares.T)
    cosine = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return cosine * n_both / np.maximum(n_both + shrinkage, 1)  # 1: nobody rated both, and no shrinkage


def knn_predict(
    similarity: np.ndarray,
    residuals: np.ndarray,
    rated: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    k: int = 40,
) -> np.ndarray:
    """Predict a residual as the weighted mean over the k most similar items that the user rated.

    similarity [I, I], residuals [U, I], rated [U, I] (training only), users [B], items [B] -> [B].
    The weights are the similarities; only positive ones count, and never the item itself. No such
    neighbour -> 0. Which of several items tied at place k is taken is left open.
    """
    if k < 1:
        raise ValueError(f"k={k}: must be at least 1")
    users, items = np.asarray(users), np.asarray(items)
    predictions = np.zeros(len(users))
    for user in np.unique(users):
        rows = np.flatnonzero(users == user)
        neighbours = np.flatnonzero(rated[user])
        predictions[rows] = _knn_one_user(similarity, residuals[user], neighbours, items[rows], k)
    return predictions


def _knn_one_user(
    similarity: np.ndarray, residuals: np.ndarray, neighbours: np.ndarray, items: np.ndarray, k: int
) -> np.ndarray:
    """similarity [I, I], residuals [I], neighbours [N] the items rated, items [B] -> [B]."""
    weights = similarity[np.ix_(items, neighbours)]  # [B, N]
    weights[(weights < 0) | (items[:, None] == neighbours)] = 0
    values = np.broadcast_to(residuals[neighbours], weights.shape)
    if len(neighbours) > k:
        nearest = np.argpartition(weights, -k, axis=1)[:, -k:]  # [B, k]
        weights = np.take_along_axis(weights, nearest, axis=1)
        values = np.take_along_axis(values, nearest, axis=1)
    total = weights.sum(axis=1)
    return np.divide((weights * values).sum(axis=1), total, out=np.zeros(len(items)), where=total > 0)
