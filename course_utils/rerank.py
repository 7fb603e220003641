"""Reorder a list of candidates for more than relevance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def to_unit(scores: ArrayLike) -> np.ndarray:
    """Each row of scores [..., C] scaled to 0 (its lowest) to 1 (its highest); a constant row becomes 0.

    Scores of any model can then be weighed against similarities.
    """
    scores = np.asarray(scores, dtype=np.float64)
    lowest = scores.min(axis=-1, keepdims=True)
    span = scores.max(axis=-1, keepdims=True) - lowest
    return (scores - lowest) / np.where(span > 0, span, 1)


def _check(scores: np.ndarray, similarity: np.ndarray, k: int, lambda_: float) -> None:
    if scores.ndim not in (1, 2) or similarity.shape != (*scores.shape, scores.shape[-1]):
        raise ValueError(
            f"scores {list(scores.shape)}, similarity {list(similarity.shape)}: "
            "must be [C] and [C, C], or [B, C] and [B, C, C]"
        )
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"k={k}: must be between 1 and the number of candidates, {scores.shape[-1]}")
    if not 0 <= lambda_ <= 1:
        raise ValueError(f"lambda_={lambda_}: must be between 0 and 1")
    for name, values in (("scores", scores), ("similarities", similarity)):
        if n_odd := int((~np.isfinite(values)).sum()):
            raise ValueError(f"{n_odd} of {values.size} {name} are nan or infinite: must all be numbers")


def mmr(scores: ArrayLike, similarity: ArrayLike, k: int, lambda_: float) -> np.ndarray:
    """Maximal marginal relevance: the places of k of the C candidates, in the order in which to show them.

    scores [C], similarity [C, C] -> places [k]; for B users at once [B, C], [B, C, C] -> [B, k]. Each next
    place goes to the candidate with the highest lambda_ * score - (1 - lambda_) * its similarity to the most
    similar of those chosen (0 when none is chosen); ties: lowest place. lambda_ 1 gives the ranking by score.
    Scores should be on the scale of the similarities (`to_unit`). Source: Carbonell and Goldstein (1998).
    """
    scores, similarity = np.asarray(scores, dtype=np.float64), np.asarray(similarity)
    _check(scores, similarity, k, lambda_)
    if scores.ndim == 1:
        return mmr(scores[None], similarity[None], k, lambda_)[0]
    users = np.arange(len(scores))
    relevance = lambda_ * scores
    nearest = np.zeros(scores.shape)  # [B, C] similarity to the most similar of those chosen
    chosen = np.empty((len(scores), k), dtype=np.int64)
    for place in range(k):
        best = (relevance - (1 - lambda_) * nearest).argmax(axis=1)
        chosen[:, place] = best
        relevance[users, best] = -np.inf
        to_best = similarity[users, best]
        nearest = np.maximum(nearest, to_best) if place else to_best  # they may be negative
    return chosen
