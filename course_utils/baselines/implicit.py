"""Models of clicks: popularity, item-based nearest neighbours, EASE, and alternating least squares.

All are fitted to `positives` [U, I], a scipy.sparse.csr_array of ones (`sampling.interactions` makes it), and
score every item for chosen users with `score_all(users)`. Seen items are not masked: see `evaluate`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array


@dataclass(frozen=True)
class Popularity:
    """The same list for everybody."""

    counts: np.ndarray  # [I] number of users of each item

    def score_all(self, users: np.ndarray) -> np.ndarray:
        """users [B] -> scores [B, I]."""
        return np.tile(self.counts, (len(users), 1))


@dataclass(frozen=True)
class ItemWeights:
    """A linear model: an item's score is the sum of its weights to the items that the user has."""

    positives: csr_array  # [U, I]
    weights: np.ndarray  # [I, I] from an item that the user has (row) to the scored item (column)

    def score_all(self, users: np.ndarray) -> np.ndarray:
        """users [B] -> scores [B, I]."""
        return self.positives[users] @ self.weights


@dataclass(frozen=True)
class Factors:
    """A dot product of two vectors."""

    user_vecs: np.ndarray  # [U, D]
    item_vecs: np.ndarray  # [I, D]

    def score_all(self, users: np.ndarray) -> np.ndarray:
        """users [B] -> scores [B, I]."""
        return self.user_vecs[users] @ self.item_vecs.T


def fit_popularity(positives: csr_array) -> Popularity:
    """Count the users of each item."""
    return Popularity(np.asarray(positives.sum(axis=0), dtype=np.float64))


def fit_item_knn(positives: csr_array, k: int = 100) -> ItemWeights:
    """Item-based nearest neighbours: cosine of the columns, only the k most similar items of each kept.

    An item is scored by those of its own k neighbours that the user has. Of several items tied at place k
    the one with the lowest number is kept, so that the result is the same on every processor.
    """
    if k < 1:
        raise ValueError(f"k={k}: must be at least 1")
    both = (positives.T @ positives).toarray().astype(np.float64)  # [I, I] users of both items
    lengths = np.sqrt(np.outer(both.diagonal(), both.diagonal()))
    cosine = np.divide(both, lengths, out=np.zeros_like(both), where=lengths > 0)
    np.fill_diagonal(cosine, 0)
    dropped = np.argsort(-cosine, axis=0, kind="stable")[k:]  # the least similar, by column
    np.put_along_axis(cosine, dropped, 0, axis=0)
    return ItemWeights(positives, cosine)


def fit_ease(positives: csr_array, reg: float = 500.0) -> ItemWeights:
    """EASE: the weights [I, I] that best rebuild each item from the others, in closed form.

    With P = (X'X + reg * identity)^-1, the weight from item i to item j is -P_ij / P_jj, and 0 from an
    item to itself. Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019), equation 8.
    """
    if reg <= 0:
        raise ValueError(f"reg={reg}: must be above 0")
    gram = (positives.T @ positives).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += reg
    inverse = np.linalg.inv(gram)
    weights = inverse / -inverse.diagonal()  # each column j by its P_jj
    np.fill_diagonal(weights, 0)
    return ItemWeights(positives, weights)


def fit_ials(
    positives: csr_array,
    dim: int = 64,
    alpha: float = 0.3,
    reg: float = 0.01,
    n_passes: int = 8,
    seed: int = 0,
) -> Factors:
    """iALS: least squares in turn for all users and for all items, over every cell of the table.

    Minimises sum over positives of (1 - s)^2 + alpha * sum over all cells of s^2, s being the dot product,
    + reg * (n + alpha * N) * |vector|^2 for each vector, where n is the number of its positives and N the
    number of vectors on the other side. Sources: Hu, Koren and Volinsky (2008); this form, and how to
    choose its numbers, is of Rendle, Krichene, Zhang and Koren, "Revisiting iALS" (2022).
    """
    rng = np.random.default_rng(seed)
    n_users, n_items = positives.shape
    user_vecs = rng.normal(0, 0.1 / np.sqrt(dim), (n_users, dim))
    item_vecs = rng.normal(0, 0.1 / np.sqrt(dim), (n_items, dim))
    by_item = positives.T.tocsr()
    for _ in range(n_passes):
        _solve_side(positives, user_vecs, item_vecs, alpha, reg)
        _solve_side(by_item, item_vecs, user_vecs, alpha, reg)
    return Factors(user_vecs, item_vecs)


def _solve_side(
    positives: csr_array, vecs: np.ndarray, other_vecs: np.ndarray, alpha: float, reg: float
) -> None:
    """Set each row of vecs [U, D] to the least-squares answer to other_vecs [I, D], in place."""
    everywhere = alpha * other_vecs.T @ other_vecs  # [D, D]
    identity = np.eye(vecs.shape[1])
    for row, (start, end) in enumerate(zip(positives.indptr, positives.indptr[1:], strict=False)):
        own = other_vecs[positives.indices[start:end]]  # [n, D]
        penalty = reg * (end - start + alpha * len(other_vecs))
        vecs[row] = np.linalg.solve(everywhere + own.T @ own + penalty * identity, own.sum(axis=0))
