"""One held-out item per user: how high do models rank it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from course_utils import metrics
from course_utils.evaluate.ranking import ScoreAll, as_scores, in_batches, rank_positives


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


def _measure(counts: list[np.ndarray], k: int, n_neg: int | None, drawn: int | None) -> LeaveOneOut:
    n_unseen = counts[2]
    if n_neg is not None and (n_short := int((n_unseen < n_neg).sum())):
        raise ValueError(
            f"n_neg={n_neg}: {n_short} of {len(n_unseen)} users have fewer unseen items besides the positive "
            f"(the fewest {n_unseen.min()}); leave these users out, or draw fewer"
        )
    return LeaveOneOut(
        metrics.expected_hit_rate(*counts, k, n_neg),
        metrics.expected_ndcg(*counts, k, n_neg),
        metrics.expected_mrr(*counts, n_neg),
        k,
        drawn,
    )


def _counts(
    score_all: ScoreAll, users: np.ndarray, pos_items: np.ndarray, seen: csr_array, batch_size: int
) -> list[np.ndarray]:
    users, pos_items = np.asarray(users), np.asarray(pos_items)

    def count(scores, rows):
        return rank_positives(scores, pos_items[rows], seen[users[rows]])

    return in_batches(score_all, users, batch_size, count)


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
    return _measure(_counts(score_all, users, pos_items, seen, batch_size), k, n_neg, n_neg)


def protocols(
    models: Mapping[str, ScoreAll],
    users: np.ndarray,
    pos_items: np.ndarray,
    seen: csr_array,
    k: int = 10,
    n_negs: Sequence[int | None] = (99, 999, None),
    batch_size: int = 256,
) -> dict[int | None, dict[str, LeaveOneOut]]:
    """The same models under several protocols: {n_neg: {name: result}}; each model scores every user once.

    users, pos_items [B], seen [U, I], n_neg as in `leave_one_out`.
    """
    counts = {
        name: _counts(score_all, users, pos_items, seen, batch_size) for name, score_all in models.items()
    }
    return {
        n_neg: {name: _measure(counts[name], k, n_neg, n_neg) for name in models} for n_neg in n_negs
    }


def leaderboard(
    models: Mapping[str, ScoreAll],
    users: np.ndarray,
    pos_items: np.ndarray,
    seen: csr_array,
    k: int = 10,
    n_neg: int | None = 99,
    batch_size: int = 256,
) -> dict[str, LeaveOneOut]:
    """Many models under one protocol, in the order given: {name: its `leave_one_out`}, on the same users."""
    return protocols(models, users, pos_items, seen, k, (n_neg,), batch_size)[n_neg]


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
        scores = as_scores(scores)
        pos_scores = np.take_along_axis(scores, pos_items[rows, None], axis=1)
        neg_scores = np.take_along_axis(scores, negatives[rows], axis=1)
        n_higher = (neg_scores > pos_scores).sum(axis=1)
        return n_higher, (neg_scores == pos_scores).sum(axis=1), np.full(len(scores), neg_scores.shape[1])

    return _measure(in_batches(score_all, users, batch_size, count), k, None, negatives.shape[1])
