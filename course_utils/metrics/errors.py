"""How far predicted ratings are off."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def _errors(predictions: ArrayLike, ratings: ArrayLike) -> np.ndarray:
    predictions = np.asarray(predictions, dtype=np.float64)
    ratings = np.asarray(ratings, dtype=np.float64)
    if predictions.shape != ratings.shape:
        raise ValueError(
            f"predictions {list(predictions.shape)}, ratings {list(ratings.shape)}: must have the same shape"
        )
    if predictions.size == 0:
        raise ValueError("predictions and ratings are empty: there is nothing to average")
    for name, values in (("predictions", predictions), ("ratings", ratings)):
        if n_nan := int(np.isnan(values).sum()):
            raise ValueError(f"{n_nan} of {values.size} {name} are nan: must all be numbers")
    return predictions - ratings


def rmse(predictions: ArrayLike, ratings: ArrayLike) -> float:
    """Root mean squared error, in stars: predictions [B], ratings [B] -> 0 (perfect) or more.

    One error of 2 weighs as much as four of 1. ValueError when shapes differ, for no rows, for nan.
    """
    return float(np.sqrt(np.mean(_errors(predictions, ratings) ** 2)))


def mae(predictions: ArrayLike, ratings: ArrayLike) -> float:
    """Mean absolute error, in stars: predictions [B], ratings [B] -> 0 (perfect) or more, never above rmse.

    ValueError when shapes differ, for no rows, for nan.
    """
    return float(np.mean(np.abs(_errors(predictions, ratings))))
