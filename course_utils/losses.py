"""Losses on tensors: predictions in, one number to minimise out."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def _check_same_shape(name: str, values: Tensor, other_name: str, other: Tensor) -> None:
    if values.shape != other.shape:
        raise ValueError(
            f"{name} {list(values.shape)}, {other_name} {list(other.shape)}: must have the same shape"
        )


def mse(predictions: Tensor, ratings: Tensor) -> Tensor:
    """Mean squared error: predictions [B], ratings [B] -> a single number.

    ValueError when the shapes differ: [B] against [B, 1] would broadcast to [B, B] without a word.
    """
    _check_same_shape("predictions", predictions, "ratings", ratings)
    return ((predictions - ratings) ** 2).mean()


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of logits [B] against labels [B] (0 or 1) -> a single number, the mean.

    The sigmoid is inside: give logits, not probabilities. ValueError when the shapes differ.
    """
    _check_same_shape("logits", logits, "labels", labels)
    return functional.binary_cross_entropy_with_logits(logits, labels)


def bpr(pos_scores: Tensor, neg_scores: Tensor) -> Tensor:
    """Bayesian personalised ranking: -log sigmoid(positive - negative) -> a single number, the mean.

    pos_scores [B], neg_scores [B]: pair by pair. ValueError when the shapes differ.
    Source: Rendle et al., "BPR" (2009).
    """
    _check_same_shape("pos_scores", pos_scores, "neg_scores", neg_scores)
    return -functional.logsigmoid(pos_scores - neg_scores).mean()
