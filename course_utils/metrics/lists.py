"""Metrics of ranked lists: of one list, as a number, or of many users' lists at once, as an array [B].

`items` [L] is one list of items, best first; [B, L] the lists of B users. -1 is padding. An item that stands
in a list twice counts at its first place only; the later one keeps its place and is not relevant.

`relevant` is what a user turned out to like, in any order: an item or a collection of items. For B users it
is a sparse array [B, I] with a value other than 0 for each relevant item, or a sequence of B items or
collections.

Where nothing is relevant, a metric is not defined: it is nan, and `mean_over_users` leaves it out and counts
it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from course_utils.metrics.relevance import Relevant, as_table, canonical, check_k, hits_among_first, plain


class UserMean(NamedTuple):
    """A mean over the users for whom the metric is defined, and how many there are of either kind."""

    mean: float
    n_users: int
    n_left_out: int


def mean_over_users(values: ArrayLike) -> UserMean:
    """The mean over the n_users whose value is a number: values [B]; nan is left out and counted.

    (nan, 0, B) when no value is a number.
    """
    values = np.asarray(values, dtype=np.float64)
    known = values[~np.isnan(values)]
    return UserMean(float(known.mean()) if len(known) else np.nan, len(known), len(values) - len(known))


def hit_rate_at_k(items: ArrayLike, relevant: Relevant, k: int) -> float | np.ndarray:
    """1 if a relevant item is among the first k, else 0: items [L] -> float, [B, L] -> [B]."""
    hits, n_relevant = hits_among_first(items, relevant, k)
    return _where_defined(hits.any(axis=-1), n_relevant)


def precision_at_k(items: ArrayLike, relevant: Relevant, k: int) -> float | np.ndarray:
    """How much of the first k is relevant, 0 to 1: items [L] -> float, [B, L] -> [B].

    Divides by k, so that places left empty by a shorter list count as misses.
    """
    hits, n_relevant = hits_among_first(items, relevant, k)
    return _where_defined(hits.sum(axis=-1) / k, n_relevant)


def recall_at_k(items: ArrayLike, relevant: Relevant, k: int) -> float | np.ndarray:
    """How much of what is relevant is among the first k, 0 to 1: items [L] -> float, [B, L] -> [B].

    Divides by the number of relevant items: with more than k of them, 1 is out of reach.
    """
    hits, n_relevant = hits_among_first(items, relevant, k)
    return _where_defined(hits.sum(axis=-1), n_relevant, divide_by=n_relevant)


def map_at_k(items: ArrayLike, relevant: Relevant, k: int, divide_by: str = "min") -> float | np.ndarray:
    """Average precision, whose mean over users is MAP@k; 0 to 1: items [L] -> float, [B, L] -> [B].

    The precision at the place of each relevant item among the first k, summed, and divided by
    min(number of relevant items, k), so that the best list gets 1. divide_by="relevant" divides by the number
    of relevant items, as ranx and RecTools do: with more than k of them, 1 is out of reach.
    """
    if divide_by not in ("min", "relevant"):
        raise ValueError(f'divide_by={divide_by!r}: must be "min" or "relevant"')
    hits, n_relevant = hits_among_first(items, relevant, k)
    precisions = hits.cumsum(axis=-1) / np.arange(1, hits.shape[-1] + 1)  # at each place
    n_summands = np.minimum(n_relevant, k) if divide_by == "min" else n_relevant
    return _where_defined((precisions * hits).sum(axis=-1), n_relevant, divide_by=n_summands)


def mrr(items: ArrayLike, relevant: Relevant, k: int | None = None) -> float | np.ndarray:
    """1 / the place of the first relevant item, counted from 1: items [L] -> float, [B, L] -> [B].

    0 when none is among the first k (None: in the list). The mean over users is the mean reciprocal rank.
    """
    hits, n_relevant = hits_among_first(items, relevant, k)
    reciprocals = 1 / np.arange(1, hits.shape[-1] + 1)
    return _where_defined((hits * reciprocals).max(axis=-1, initial=0), n_relevant)


def ndcg_at_k(
    relevances: ArrayLike,
    k: int,
    all_relevances: ArrayLike | sparse.csr_array | None = None,
    gain: str = "linear",
) -> float | np.ndarray:
    """Normalised discounted cumulative gain: the DCG of the list over that of the best possible list, 0 to 1.

    relevances [L], 0 or more, in the order of the list -> float; [B, L] -> [B]; `relevances_of` makes them
    from items. all_relevances [M] or [B, M]: those of every relevant item, in the list or not, in any order
    (pad with 0), or a sparse array [B, I]. None: there are no others than in the list; its best k make the
    ideal, not its first k. DCG@k is the sum of gain / log2(place + 1) over the places 1 to k; relevance r has
    the gain r ("linear") or 2**r - 1 ("exponential"). Nothing relevant -> nan. Source: Järvelin and
    Kekäläinen (2002).
    """
    check_k(k)
    relevances = _grades(relevances, "relevances")
    if all_relevances is None:
        all_relevances = relevances
    elif sparse.issparse(all_relevances):
        all_relevances = _padded(canonical(all_relevances))
    all_relevances = _grades(all_relevances, "all_relevances")
    if relevances.shape[:-1] != all_relevances.shape[:-1]:
        raise ValueError(
            f"relevances {list(relevances.shape)}, all_relevances {list(all_relevances.shape)}: "
            "must be [L] and [M], or [B, L] and [B, M]"
        )
    dcg = _dcg(relevances[..., :k], gain)
    best_first = np.sort(all_relevances, axis=-1)[..., ::-1]
    ideal = _dcg(best_first[..., :k], gain)
    if (dcg > ideal * (1 + 1e-9)).any():
        raise ValueError("a list has more than its ideal: all_relevances must hold what is in the list too")
    return _where_defined(np.minimum(dcg, ideal), ideal, divide_by=ideal)  # minimum: rounding


def auc(scores: ArrayLike, relevant: Relevant | np.ndarray) -> float | np.ndarray:
    """Share of the pairs of a relevant and another item in which the relevant one scores higher, 0 to 1.

    scores [I] of every item -> float; [B, I] -> [B]. A pair with equal scores counts half. relevant may also
    be a bool mask in the shape of scores. Nothing relevant, or everything -> nan.
    """
    from scipy.stats import rankdata  # takes longer to import than everything else here together

    scores = np.asarray(scores)
    if n_nan := int(np.isnan(scores).sum()):
        raise ValueError(f"{n_nan} of {scores.size} scores are nan: they cannot be ranked")
    mask = _as_mask(relevant, scores.shape)
    ranks = rankdata(scores, axis=-1)  # from 1, the lowest score; the mean of their ranks where tied
    n_relevant = mask.sum(axis=-1)
    n_pairs = n_relevant * (scores.shape[-1] - n_relevant)
    n_won = (ranks * mask).sum(axis=-1) - n_relevant * (n_relevant + 1) / 2
    return _where_defined(n_won, n_pairs, divide_by=n_pairs)


def _as_mask(relevant: Relevant | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """relevant as bool, in the shape of the scores, [I] or [B, I]."""
    if isinstance(relevant, np.ndarray) and relevant.dtype == bool:
        mask = relevant
    elif len(shape) == 1:
        mask = as_table([plain(relevant)], shape[0]).toarray()[0]
    else:
        mask = as_table(relevant, shape[1]).astype(bool).toarray()
    if mask.shape != shape:
        raise ValueError(f"scores {list(shape)}, relevant {list(mask.shape)}: must have the same shape")
    return mask


def _where_defined(
    values: np.ndarray, n_relevant: np.ndarray, divide_by: ArrayLike = 1
) -> float | np.ndarray:
    """values / divide_by, nan where nothing is relevant; of one list a float."""
    nan = np.full(np.shape(values), np.nan)
    values = np.divide(values, divide_by, out=nan, where=n_relevant > 0)
    return values if values.ndim else float(values)


def _grades(relevances: ArrayLike, name: str) -> np.ndarray:
    grades = np.asarray(relevances, dtype=np.float64)
    if grades.ndim not in (1, 2):
        raise ValueError(f"{name} {list(grades.shape)}: must be of one list or of one list per user")
    if grades.size and not 0 <= grades.min() <= grades.max() < np.inf:  # also false for nan
        raise ValueError(f"{name} from {grades.min()} to {grades.max()}: must be numbers of 0 or more")
    return grades


def _padded(table: sparse.csr_array) -> np.ndarray:
    """The stored values of each row, then zeros: [B, I] -> [B, M], M the most that a row has."""
    lengths = np.diff(table.indptr)
    padded = np.zeros((len(lengths), lengths.max(initial=0)))
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = table.data
    return padded


def _dcg(relevances: np.ndarray, gain: str) -> np.ndarray:
    """[L] -> [], [B, L] -> [B]."""
    if gain not in ("linear", "exponential"):
        raise ValueError(f'gain={gain!r}: must be "linear" or "exponential"')
    gains = relevances if gain == "linear" else np.exp2(relevances) - 1
    return gains @ (1 / np.log2(np.arange(relevances.shape[-1]) + 2))  # place 1 is divided by log2(2)
