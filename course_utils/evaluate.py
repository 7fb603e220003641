"""How well a model ranks: masks seen items, takes the top K, averages over users. Formulas are in `metrics`.

`score_all` is any function from users [B] (int64 array) to scores of every item [B, I] (array or tensor):
`model.score_all` of a trained model in eval mode. `seen` [U, I] is what `sampling.interactions` makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array

from course_utils import metrics

ScoreAll = Callable[[np.ndarray], "np.ndarray | torch.Tensor"]


@dataclass(frozen=True)
class LeaveOneOut:
    """One figure per user, in the order of the users given."""

    hit_rate: np.ndarray  # [B] at k
    ndcg: np.ndarray  # [B] at k
    mrr: np.ndarray  # [B] without a cut-off
    k: int
    n_neg: int | None  # None: ranked among all unseen items

    def mean(self, name: str = "hit_rate") -> float:
        """The mean over users of "hit_rate", "ndcg" or "mrr"."""
        return float(getattr(self, name).mean())

    def interval(self, name: str = "hit_rate") -> tuple[float, float]:
        """95 % interval of the mean, if the users are a sample of users: mean +- 1.96 standard errors."""
        values = getattr(self, name)
        half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
        return float(values.mean() - half), float(values.mean() + half)


def _is_unseen(shape: tuple[int, int], seen: csr_array) -> np.ndarray:
    """Where nothing was seen: [B, I] bool. The only place where seen items are masked."""
    if seen.shape != shape:
        raise ValueError(f"scores {list(shape)}, seen {list(seen.shape)}: must have the same shape")
    unseen = np.ones(shape, dtype=bool)
    unseen[seen.nonzero()] = False
    return unseen


def _as_scores(scores: np.ndarray | torch.Tensor) -> np.ndarray:
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
    scores = _as_scores(scores)
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
    scores = _as_scores(scores)
    unseen = _is_unseen(scores.shape, seen)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k={k}: must be between 1 and n_items={scores.shape[1]}")
    order = np.lexsort((-scores, ~unseen))[:, :k]  # unseen before seen, then by score
    return np.where(np.take_along_axis(unseen, order, axis=1), order, -1)


def _in_batches(score_all: ScoreAll, users: np.ndarray, batch_size: int, count) -> list[np.ndarray]:
    """count(scores, rows) of each batch of users, joined."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(users), batch_size):
            rows = slice(start, start + batch_size)
            parts.append(count(score_all(users[rows]), rows))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _measure(counts: list[np.ndarray], k: int, n_neg: int | None, drawn: int | None) -> LeaveOneOut:
    return LeaveOneOut(
        metrics.expected_hit_rate(*counts, k, n_neg),
        metrics.expected_ndcg(*counts, k, n_neg),
        metrics.expected_mrr(*counts, n_neg),
        k,
        drawn,
    )


def leave_one_out(
    score_all: ScoreAll,
    users: np.ndarray,
    pos_items: np.ndarray,
    seen: csr_array,
    k: int = 10,
    n_neg: int | None = 99,
    batch_size: int = 256,
) -> LeaveOneOut:
    """Rank each user's held-out item: users [B], pos_items [B], seen [U, I] (everything before that item).

    Against n_neg unseen items, in exact expectation over which ones are drawn, or (n_neg=None) against
    all. Ties in exact expectation too: a constant score gets a hit rate at 10 of .100 against 99.
    """
    users, pos_items = np.asarray(users), np.asarray(pos_items)
    counts = _in_batches(
        score_all,
        users,
        batch_size,
        lambda scores, rows: rank_positives(scores, pos_items[rows], seen[users[rows]]),
    )
    return _measure(counts, k, n_neg, n_neg)


def sampled_leave_one_out(
    score_all: ScoreAll,
    users: np.ndarray,
    pos_items: np.ndarray,
    negatives: np.ndarray,
    k: int = 10,
    batch_size: int = 256,
) -> LeaveOneOut:
    """As leave_one_out, against these negatives [B, N] (`sampling.evaluation_negatives`).

    Other negatives give other figures; the mean over all ways to draw them is what leave_one_out gives.
    """
    users, pos_items = np.asarray(users), np.asarray(pos_items)

    def count(scores, rows):
        scores = _as_scores(scores)
        pos_scores = np.take_along_axis(scores, pos_items[rows, None], axis=1)
        neg_scores = np.take_along_axis(scores, negatives[rows], axis=1)
        n_higher = (neg_scores > pos_scores).sum(axis=1)
        return n_higher, (neg_scores == pos_scores).sum(axis=1), np.full(len(scores), neg_scores.shape[1])

    return _measure(_in_batches(score_all, users, batch_size, count), k, None, negatives.shape[1])
