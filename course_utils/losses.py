"""Losses on tensors: predictions in, one number to minimise out."""

from __future__ import annotations

import torch
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


def in_batch_loss(
    user_vecs: Tensor,
    item_vecs: Tensor,
    temperature: float | Tensor = 0.07,
    items: Tensor | None = None,
    log_q: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Softmax over the items of the batch: each user's own item against those of all the others.

    user_vecs [B, D], item_vecs [C, D], usually C = B; the own item of user b is row first + b -> a single
    number, the mean over users. With items [C], other rows that hold a user's own item are left out: it is
    no negative of itself. log_q [C], the log of each item's share of the training rows, is taken off the
    logits: popular items are negatives more often and would be punished for it. A constant added to log_q
    changes nothing. ValueError when shapes do not fit.
    Source: Yi et al. (2019), "Sampling-bias-corrected neural modeling for large corpus item recommendations".
    """
    n_users, n_items = len(user_vecs), len(item_vecs)
    if not 0 <= first <= n_items - n_users:
        raise ValueError(f"{n_users} users with own items from row {first}, but {n_items} rows of item_vecs")
    for name, values in (("items", items), ("log_q", log_q)):
        if values is not None and values.shape != (n_items,):
            raise ValueError(f"{name} has shape {list(values.shape)}: must be [{n_items}], as item_vecs")
    logits = (user_vecs / temperature) @ item_vecs.T  # [B, C]: the largest array here, so changed in place
    own = torch.arange(first, first + n_users, device=logits.device)
    if log_q is not None:
        logits -= log_q
    if items is not None:
        hits = items[own, None] == items  # [B, C]
        hits[torch.arange(n_users, device=logits.device), own] = False
        logits.masked_fill_(hits, -torch.inf)
    return functional.cross_entropy(logits, own)


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
