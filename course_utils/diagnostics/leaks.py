"""Is a figure honest? Each finder looks for one way in which a test can leak into a model.

Rows are given as users [R], items [R], times [R], of training and of test. A finder that finds nothing only
says that this leak is not in what it was shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from course_utils.evaluate import LeaveOneOut


@dataclass(frozen=True)
class Finding:
    """What one finder saw."""

    name: str  # of the finder
    found: bool
    n: int  # how many rows, users or items are concerned
    what: str  # in words

    def __str__(self) -> str:
        return f"{self.name}: {'LEAK, ' if self.found else 'ok, '}{self.what}"


def _finding(name: str, n: int, what: str) -> Finding:
    return Finding(name, n > 0, n, what)


def _as_rows(**columns: ArrayLike) -> list[np.ndarray]:
    arrays = [np.asarray(column) for column in columns.values()]
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
        shapes = ", ".join(f"{name} {list(a.shape)}" for name, a in zip(columns, arrays, strict=True))
        raise ValueError(f"{shapes}: must be one-dimensional and of one length")
    return arrays


def _is_among(users: np.ndarray, items: np.ndarray, of_users: np.ndarray, of_items: np.ndarray) -> np.ndarray:
    """Which of the pairs users, items [R] are among the pairs of_users, of_items -> [R] bool."""
    n_items = 1 + max(items.max(initial=0), of_items.max(initial=0))
    keys = [u.astype(np.int64) * n_items + i for u, i in ((users, items), (of_users, of_items))]
    return np.isin(*keys)


def shared_pairs(
    train_users: ArrayLike, train_items: ArrayLike, test_users: ArrayLike, test_items: ArrayLike
) -> Finding:
    """Test pairs (user, item) that are in training too: counts test rows."""
    train_users, train_items = _as_rows(train_users=train_users, train_items=train_items)
    test_users, test_items = _as_rows(test_users=test_users, test_items=test_items)
    n = int(_is_among(test_users, test_items, train_users, train_items).sum())
    return _finding("shared_pairs", n, f"{n:,} of {len(test_users):,} test pairs are in training")


def future_in_training(
    train_users: ArrayLike, train_times: ArrayLike, test_users: ArrayLike, test_times: ArrayLike
) -> Finding:
    """Training rows later than the same user's earliest test row: counts them. The same moment is not later.

    Other users' rows may be later: only a split at one moment (`splits.temporal_split`) excludes that.
    """
    train_users, train_times = _as_rows(train_users=train_users, train_times=train_times)
    test_users, test_times = _as_rows(test_users=test_users, test_times=test_times)
    users, index = np.unique(np.concatenate([train_users, test_users]), return_inverse=True)
    train, test = np.split(index, [len(train_users)])
    first = np.full(len(users), np.inf)
    np.minimum.at(first, test, test_times)
    n = int((train_times > first[train]).sum())
    what = f"{n:,} of {len(train):,} training rows are later than a test row of their user"
    return _finding("future_in_training", n, what)


def spared_negatives(
    excluded: csr_array, train: csr_array, test_users: ArrayLike, test_items: ArrayLike
) -> Finding:
    """Test pairs that the sampler never draws as negatives although they are not in training.

    excluded, train [U, I]: what is never drawn, what is trained on. Counts test rows. A model that has met
    every item but those as a negative can tell which they are.
    """
    if excluded.shape != train.shape:
        raise ValueError(f"excluded {list(excluded.shape)}, train {list(train.shape)}: must be of one shape")
    test_users, test_items = _as_rows(test_users=test_users, test_items=test_items)
    never_drawn = _is_among(test_users, test_items, *excluded.nonzero())
    n = int((never_drawn & ~_is_among(test_users, test_items, *train.nonzero())).sum())
    what = f"{n:,} of {len(test_users):,} test pairs are not in training, yet never drawn as negatives"
    return _finding("spared_negatives", n, what)


def features_from_held_out(used: ArrayLike, from_training: ArrayLike) -> Finding:
    """Features [N, ...] that are not what the training rows alone give: counts rows of N users or items.

    used: what the model gets; from_training: the same features, built anew from training rows only. (A
    user's history and an item's popularity are such features.) Equal up to rounding is equal.
    """
    used, from_training = np.asarray(used, dtype=np.float64), np.asarray(from_training, dtype=np.float64)
    if used.shape != from_training.shape or used.ndim == 0:
        raise ValueError(
            f"used {list(used.shape)}, from_training {list(from_training.shape)}: must be alike, [N, ...]"
        )
    same = np.isclose(used, from_training, rtol=1e-5, atol=1e-8, equal_nan=True)
    n = int((~same.reshape(len(used), -1).all(axis=1)).sum())
    what = f"{n:,} of {len(used):,} rows of features need more than training rows to be built"
    return _finding("features_from_held_out", n, what)


def too_good(result: LeaveOneOut, baseline: LeaveOneOut, margin: float = 0.15) -> Finding:
    """A mean hit rate more than margin ahead of a strong honest baseline's (EASE): too good to be true?

    Same users and protocol for both, or ValueError. Counts the users it ranks better than the baseline (by
    reciprocal rank). A suspicion, no proof: on MovieLens 100K no honest model of the course is .15 ahead.
    """
    ours, theirs = ((r.k, r.n_neg, len(r.hit_rate)) for r in (result, baseline))
    if ours != theirs:
        raise ValueError(f"k, n_neg and number of users are {ours} and {theirs}: must be the same")
    ahead = result.mean() - baseline.mean()
    n = int((result.mrr > baseline.mrr).sum()) if ahead > margin else 0
    what = f"HR@{result.k} {result.mean():.3f} is {ahead:+.3f} from the baseline; {margin:+.2f} is credible"
    return Finding("too_good", ahead > margin, n, what)
