"""Metrics of one positive among unseen items, from its rank, in exact expectation.

Of the n_unseen other items, n_higher are scored higher than the positive and n_tied the same. Every
arrangement of the tied items is equally likely, and so is every choice of n_neg of the others as the
negatives; the functions give the mean over all of these, exactly, without drawing any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln

from course_utils.metrics.relevance import check_k


def _rank_counts(
    n_higher: ArrayLike, n_tied: ArrayLike, n_unseen: ArrayLike, n_neg: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    higher, tied, unseen = (np.asarray(counts, dtype=np.int64) for counts in (n_higher, n_tied, n_unseen))
    if not higher.shape == tied.shape == unseen.shape or higher.ndim != 1:
        shapes = ", ".join(str(list(counts.shape)) for counts in (higher, tied, unseen))
        raise ValueError(f"n_higher, n_tied, n_unseen of shapes {shapes}: must be [B] each")
    if (higher < 0).any() or (tied < 0).any() or (higher + tied > unseen).any():
        raise ValueError("counts must be 0 or more, and n_higher + n_tied at most n_unseen")
    if n_neg is not None and (n_neg < 1 or (unseen < n_neg).any()):
        raise ValueError(f"n_neg={n_neg}: must be between 1 and {unseen.min()}, the fewest of n_unseen")
    return higher, tied, unseen


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """log of n over k; -inf where k > n or k < 0."""
    possible = (k >= 0) & (k <= n)
    n, k = np.where(possible, n, 0), np.where(possible, k, 0)
    return np.where(possible, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)


def _at_most(n_marked: np.ndarray, n_all: np.ndarray, n_drawn: int, length: int) -> np.ndarray:
    """P(at most h are marked) for h = 0 .. length-1, when n_drawn of n_all are drawn -> [B, length]."""
    h = np.arange(length)
    marked, total = n_marked[:, None], n_all[:, None]
    ways = _log_choose(marked, h) + _log_choose(total - marked, n_drawn - h)
    return np.exp(ways - _log_choose(total, np.int64(n_drawn))).cumsum(axis=1)


def _rank_probabilities(
    higher: np.ndarray, tied: np.ndarray, unseen: np.ndarray, n_neg: int | None, length: int
) -> np.ndarray:
    """P(exactly h items stand above the positive) for h = 0 .. length-1 -> [B, length].

    With m of n negatives drawn and r better items it is hypergeometric, C(r, h) C(n - r, m - h) / C(n, m),
    and ties make r uniform on n_higher .. n_higher + n_tied. The sum over r needs no loop. Put the n items
    and the positive in a row of n + 1 places, and choose m + 1: C(r, h) C(n - r, m - h) of the choices have
    place r as their (h+1)th. So the sum over all r below R counts the choices with more than h of their
    places among the first R, and that is the tail of another hypergeometric.
    """
    if n_neg is None:
        h = np.arange(length)
        among_ties = (higher[:, None] <= h) & (h <= (higher + tied)[:, None])
        return among_ties / (tied[:, None] + 1)
    above = _at_most(higher, unseen + 1, n_neg + 1, length)
    above_and_tied = _at_most(higher + tied + 1, unseen + 1, n_neg + 1, length)
    return (above - above_and_tied) * ((unseen + 1) / (n_neg + 1) / (tied + 1))[:, None]


def expected_hit_rate(
    n_higher: ArrayLike, n_tied: ArrayLike, n_unseen: ArrayLike, k: int = 10, n_neg: int | None = None
) -> np.ndarray:
    """Probability that the positive is among the first k: counts [B] each -> [B], 0 to 1.

    Among all unseen items (n_neg=None), or among n_neg of them drawn at random, in exact expectation.
    """
    check_k(k)
    return _rank_probabilities(*_rank_counts(n_higher, n_tied, n_unseen, n_neg), n_neg, k).sum(axis=1)


def expected_ndcg(
    n_higher: ArrayLike, n_tied: ArrayLike, n_unseen: ArrayLike, k: int = 10, n_neg: int | None = None
) -> np.ndarray:
    """Expected NDCG@k of one positive, 1 / log2(1 + rank) with rank from 1, else 0: counts [B] -> [B].

    Among all unseen items (n_neg=None), or among n_neg of them drawn at random.
    """
    check_k(k)
    gains = 1 / np.log2(np.arange(k) + 2)
    return _rank_probabilities(*_rank_counts(n_higher, n_tied, n_unseen, n_neg), n_neg, k) @ gains


def expected_mrr(
    n_higher: ArrayLike, n_tied: ArrayLike, n_unseen: ArrayLike, n_neg: int | None = None
) -> np.ndarray:
    """Expected reciprocal rank of one positive, without a cut-off: counts [B] each -> [B], above 0 to 1."""
    higher, tied, unseen = _rank_counts(n_higher, n_tied, n_unseen, n_neg)
    if n_neg is None:  # 1 / (r + 1), averaged over r: a difference of harmonic numbers
        return (digamma(higher + tied + 2) - digamma(higher + 1)) / (tied + 1)
    probabilities = _rank_probabilities(higher, tied, unseen, n_neg, n_neg + 1)
    return probabilities @ (1 / np.arange(1, n_neg + 2))
