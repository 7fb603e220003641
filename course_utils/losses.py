"""Losses on tensors: predictions in, one number to minimise out."""

from __future__ import annotations

from torch import Tensor


def mse(predictions: Tensor, ratings: Tensor) -> Tensor:
    """Mean squared error: predictions [B], ratings [B] -> a single number.

    ValueError when the shapes differ: [B] against [B, 1] would broadcast to [B, B] without a word.
    """
    if predictions.shape != ratings.shape:
        raise ValueError(
            f"predictions {list(predictions.shape)}, ratings {list(ratings.shape)}: must have the same shape"
        )
    return ((predictions - ratings) ** 2).mean()
