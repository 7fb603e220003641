"""How sure a mean over users is, and whether two models differ.

Values [B] are one figure per user, such as `LeaveOneOut.ndcg`. What is drawn are users: the interactions of
one user belong together. nan (a user for whom the figure does not exist) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def _measured(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values have shape {list(values.shape)}: must be [B], one figure per user")
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise ValueError("no user has a figure: there is nothing to average")
    return values


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean over users, values [B]: percentiles of the means of resampled users.

    Give it the difference of two models, user by user, for the interval of their difference. Source: Efron
    and Tibshirani (1993), "An Introduction to the Bootstrap", ch. 13. ValueError without any number.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: must lie between 0 and 1, both excluded")
    values = _measured(values)
    rng = np.random.default_rng(seed)
    n = len(values)
    means = [values[rng.integers(0, n, n)].mean() for _ in range(n_resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_test(
    a: ArrayLike, b: ArrayLike, n_resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Do a and b [B], figures of the same users, differ? -> (mean of a - b, p), two-sided.

    If they did not, each user's difference could as well have the other sign: p is the share of random signs
    that give a mean at least as far from 0, the one observed counted in: (1 + count) / (1 + n_resamples).
    A user with nan in either is left out. Source: Smucker, Allan and Carterette (2007).
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a {list(a.shape)}, b {list(b.shape)}: must be figures of the same users")
    differences = _measured(a - b)
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()  # rounding must not break a tie
    rng = np.random.default_rng(seed)
    differing = differences[differences != 0]  # a sign changes nothing for the others
    count = 0
    for start in range(0, n_resamples, 500):  # in blocks, to bound the memory
        shape = min(500, n_resamples - start), len(differing)
        signs = rng.integers(0, 2, shape, dtype=np.int8) * 2 - 1
        count += int((np.abs(signs @ differing) >= observed).sum())
    return float(differences.mean()), (1 + count) / (1 + n_resamples)


def holm(p_values: ArrayLike) -> np.ndarray:
    """p-values of M comparisons [M], adjusted for there being M -> [M] in the same order, at most 1.

    To call those up to .05 different keeps the chance of any false alarm at 5 %. The smallest is multiplied
    by M, the next by M - 1, and so on, none falling below the one before it. Source: Holm (1979).
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p_values {p_values.tolist()}: must be [M], each between 0 and 1")
    order = np.argsort(p_values, kind="stable")
    raised = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return adjusted


@dataclass(frozen=True)
class Segment:
    """The mean of one part of the users, with its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int  # users with a figure


def by_segment(
    values: ArrayLike, segments: ArrayLike, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> dict[object, Segment]:
    """values [B] by the segment [B] that each user belongs to -> {label: Segment}, labels in sorted order.

    A segment in which nobody has a figure is left out.
    """
    values, segments = np.asarray(values, dtype=np.float64), np.asarray(segments)
    if values.shape != segments.shape:
        raise ValueError(f"values {list(values.shape)}, segments {list(segments.shape)}: must be [B] each")
    found = {}
    for label in np.unique(segments).tolist():
        own = values[segments == label]
        if n := int((~np.isnan(own)).sum()):
            low, high = bootstrap_interval(own, level, n_resamples, seed)
            found[label] = Segment(float(np.nanmean(own)), low, high, n)
    return found
