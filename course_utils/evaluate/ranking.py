"""From scores to ranks and lists, batch by batch. Here, and only here, seen items are masked.

`score_all` is any function from users [B] (int64 array) to scores of every item [B, I] (array or tensor):
`model.score_all` of a trained model in eval mode. `seen` [U, I] is what `sampling.interactions` makes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array

ScoreAll = Callable[[np.ndarray], "np.ndarray | torch.Tensor"]


def _is_unseen(shape: tuple[int, int], seen: csr_array) -> np.ndarray:
    """Where nothing was seen: [B, I] bool."""
    if seen.shape != shape:
        raise ValueError(f"scores {list(shape)}, seen {list(seen.shape)}: must have the same shape")
    unseen = np.ones(shape, dtype=bool)
    unseen[seen.nonzero()] = False
    return unseen


def as_scores(scores: np.ndarray | torch.Tensor) -> np.ndarray:
    """scores as an array; ValueError for nan."""
    if isinstance(scores, torch.Tensor):
        scores = scores.detach().cpu().numpy()
    if n_nan := int(np.isnan(scores).sum()):
        raise ValueError(f"{n_nan} of {scores.size} scores are nan: they cannot be ranked")
    return scores


def rank_positives(
    scores: np.ndarray | torch.Tensor, pos_items: np.ndarray, seen: csr_array
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each row's positive stands among the items not seen -> (n_higher, n_tied, n_unseen), [B] each.

    scores [B, I], pos_items [B], seen [B, I]. Counted are the unseen items besides the positive: those
    scored higher, those scored the same, all. ValueError for nan.
    """
    scores = as_scores(scores)
    rows = np.arange(len(scores))
    others = _is_unseen(scores.shape, seen)
    others[rows, pos_items] = False
    pos_scores = scores[rows, pos_items][:, None]
    counted = ((scores > pos_scores) & others, (scores == pos_scores) & others, others)
    return tuple(which.sum(axis=1) for which in counted)


def top_k(scores: np.ndarray | torch.Tensor, seen: csr_array, k: int) -> np.ndarray:
    """The k unseen items with the highest scores, best first: scores [B, I], seen [B, I] -> items [B, k].

    Ties: lowest item first. -1 where fewer than k items are unseen.
    """
    scores = as_scores(scores)
    unseen = _is_unseen(scores.shape, seen)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k={k}: must be between 1 and n_items={scores.shape[1]}")
    order = np.lexsort((-scores, ~unseen))[:, :k]  # unseen before seen, then by score
    return np.where(np.take_along_axis(unseen, order, axis=1), order, -1)


def in_batches(score_all: ScoreAll, users: np.ndarray, batch_size: int, count) -> list[np.ndarray]:
    """count(scores, rows) of each batch of users, joined."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(users), batch_size):
            rows = slice(start, start + batch_size)
            parts.append(count(score_all(users[rows]), rows))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def recommend(
    score_all: ScoreAll, users: np.ndarray, seen: csr_array, k: int = 10, batch_size: int = 256
) -> np.ndarray:
    """Each user's k best unseen items, best first: users [B], seen [U, I] -> items [B, k]. See `top_k`."""
    users = np.asarray(users)

    def count(scores, rows):
        return (top_k(scores, seen[users[rows]], k),)

    return in_batches(score_all, users, batch_size, count)[0]
