"""Whether vectors have collapsed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

COLLAPSED_BELOW = 0.1  # effective rank, as a share of what the shape allows


def _as_vectors(vectors: ArrayLike) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise ValueError(f"vectors have shape {list(vectors.shape)}: must be [N, D] with at least two rows")
    if n_odd := int((~np.isfinite(vectors)).any(axis=1).sum()):
        raise ValueError(f"{n_odd} of {len(vectors)} vectors have nan or infinite values")
    return vectors


def mean_pairwise_cosine(vectors: ArrayLike) -> float:
    """Mean cosine over all pairs of different rows: vectors [N, D] -> -1..1.

    1: all point the same way; about 0: spread over all directions. ValueError when a row is all zeros.
    """
    vectors = _as_vectors(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(
            f"{int((lengths == 0).sum())} of {len(vectors)} vectors are zero: they have no cosine"
        )
    # |sum of the unit vectors|^2 holds every pair twice and each vector with itself once
    total = np.sum((vectors / lengths).sum(axis=0) ** 2)
    n = len(vectors)
    return float((total - n) / (n * (n - 1)))


def effective_rank(vectors: ArrayLike) -> float:
    """In how many directions the vectors really differ: vectors [N, D] -> 1..min(N, D), or 0 if all are zero.

    exp(entropy of the singular values as shares of their sum). The vectors are not centred: what all have
    in common counts as one direction. Source: Roy and Vetterli (2007), "The effective rank".
    """
    values = np.linalg.svd(_as_vectors(vectors), compute_uv=False)
    if not values.any():
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


@dataclass(frozen=True)
class CollapseReport:
    """Whether vectors have become nearly the same for everybody."""

    n: int
    dim: int
    mean_cosine: float
    effective_rank: float

    @property
    def collapsed(self) -> bool:
        """Judged by the effective rank: a fresh network, with nothing wrong, has a cosine near 1 too."""
        return self.effective_rank < COLLAPSED_BELOW * min(self.n, self.dim)

    def __str__(self) -> str:
        verdict = "collapsed" if self.collapsed else "not collapsed"
        return (
            f"{self.n:,} vectors of {self.dim}: effective rank {self.effective_rank:.1f}, "
            f"mean cosine {self.mean_cosine:.3f}: {verdict}"
        )


def collapse_report(vectors: ArrayLike) -> CollapseReport:
    """Measure vectors [N, D], for example those of all items."""
    vectors = _as_vectors(vectors)
    return CollapseReport(*vectors.shape, mean_pairwise_cosine(vectors), effective_rank(vectors))
