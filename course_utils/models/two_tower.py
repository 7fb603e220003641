"""The two-tower model of retrieval: user and item meet only in a dot product, so items can be indexed."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Tower(nn.Module):
    """Id and content of a user or an item, and whatever else is known -> a vector of length 1.

    Row 0 of the id table stands for everybody unknown; it starts at zero, and with id_dropout it is trained
    in place of that part of the ids, so that the tower learns to do without.
    """

    def __init__(
        self,
        n_ids: int,
        n_columns: int,
        dim: int = 64,
        hidden: int = 128,
        id_dropout: float = 0.0,
        n_more: int = 0,
    ):
        super().__init__()
        self.id_dropout = id_dropout
        self.id_emb = nn.Embedding(n_ids + 1, dim)
        self.content = nn.Linear(n_columns, dim, bias=False) if n_columns else None
        n_inputs = dim + (dim if n_columns else 0) + n_more
        self.mlp = nn.Sequential(
            nn.Linear(n_inputs, hidden), nn.ReLU(), nn.Linear(hidden, dim), nn.LayerNorm(dim)
        )
        nn.init.normal_(self.id_emb.weight, std=0.1)
        with torch.no_grad():
            self.id_emb.weight[0] = 0
        if self.content is not None:
            nn.init.normal_(self.content.weight, std=0.1)

    def forward(self, ids: Tensor, content: Tensor, more: Tensor | None = None) -> Tensor:
        """ids [B], content [B, F], more [B, M] if the tower was made for it -> unit vectors [B, D]."""
        if self.training and self.id_dropout:
            ids = ids * (torch.rand(ids.shape, device=ids.device) >= self.id_dropout)
        parts = [self.id_emb(ids)]
        if self.content is not None:
            parts.append(self.content(content))  # [B, F] -> [B, D]
        if more is not None:
            parts.append(more)
        return functional.normalize(self.mlp(torch.cat(parts, dim=1)), dim=1)


class TwoTower(nn.Module):
    """Cosine of a user's and an item's vector, over a temperature: a softmax over items wants it that way.

    user_features, item_features: of all U users and I items, as features.build_user_features and
    build_item_features give them. With learnable, the temperature is trained, as its logarithm, which can
    never lead it below zero, and put back into TEMPERATURES wherever a step leaves it. With history, a user
    is also a weighted mean of the id vectors of the items that came before, latest first: the weights fall
    by the factor history_decay from one to the next, and in training each of these items is left out with
    probability history_dropout.
    Source: Yi et al. (2019), "Sampling-bias-corrected neural modeling for large corpus item recommendations".
    """

    TEMPERATURES = (0.01, 1.0)

    def __init__(
        self,
        user_features,
        item_features,
        dim: int = 64,
        hidden: int = 128,
        temperature: float = 0.07,
        learnable: bool = False,
        id_dropout: float = 0.0,
        history: bool = False,
        history_dropout: float = 0.0,
        history_decay: float = 0.6,
    ):
        super().__init__()
        low, high = self.TEMPERATURES
        if not low <= temperature <= high:
            raise ValueError(f"temperature={temperature}: must be between {low} and {high}")
        for name, features in (("user", user_features), ("item", item_features)):
            # from_numpy would share the memory with the caller's arrays
            self.register_buffer(f"{name}_ids", torch.tensor(features.ids))
            self.register_buffer(f"{name}_content", torch.tensor(features.content))
        self.history, self.history_dropout, self.history_decay = history, history_dropout, history_decay
        n_users, n_items = user_features.n_ids, item_features.n_ids
        n_columns = self.user_content.shape[1], self.item_content.shape[1]
        n_more = dim if history else 0
        self.user_tower = Tower(n_users, n_columns[0], dim, hidden, id_dropout, n_more)
        self.item_tower = Tower(n_items, n_columns[1], dim, hidden, id_dropout)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)), requires_grad=learnable)

    @property
    def temperature(self) -> Tensor:
        """The number that divides the cosines, within TEMPERATURES."""
        # the parameter itself is put back: clamping only its value would stop its gradient for good
        with torch.no_grad():
            self.log_temperature.clamp_(*(math.log(limit) for limit in self.TEMPERATURES))
        return self.log_temperature.exp()

    def encode_user(self, users: Tensor, history: Tensor | None = None) -> Tensor:
        """users [B], history [B, H] (items; -1 = nothing) where the model has one -> vectors [B, D]."""
        if self.history != (history is not None):
            came = "none" if history is None else "one"
            raise ValueError(
                f"history={self.history} when the model was made, but {came} came with the users"
            )
        past = self._mean_of(history) if self.history else None
        return self.user_tower(self.user_ids[users], self.user_content[users], past)

    def _mean_of(self, history: Tensor) -> Tensor:
        """Weighted mean id vector of each row's items: history [B, H] -> [B, D], zeros for no item."""
        is_item = history >= 0
        if self.training and self.history_dropout:
            is_item &= torch.rand(history.shape, device=history.device) >= self.history_dropout
        places = torch.arange(history.shape[1], device=history.device)
        weights = is_item * self.history_decay**places  # [B, H]
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)
        vecs = self.item_tower.id_emb(self.item_ids[history])  # [B, H, D]
        return (weights.unsqueeze(1) @ vecs).squeeze(1)  # [B, 1, H] @ [B, H, D]

    def encode_item(self, items: Tensor) -> Tensor:
        """items [B] -> vectors [B, D] of length 1. For an item that is not in the catalogue of the model,
        call item_tower(ids, content) with what features.describe_items gives."""
        return self.item_tower(self.item_ids[items], self.item_content[items])

    def forward(self, users: Tensor, items: Tensor, history: Tensor | None = None) -> Tensor:
        """users [B], items [B] -> logits [B, B]: each user against each item; its own at [b, b]."""
        return self.encode_user(users, history) @ self.encode_item(items).T / self.temperature

    def score_all(self, users: Tensor | np.ndarray, history: Tensor | np.ndarray | None = None) -> Tensor:
        """users [B], history [B, H] where the model has one -> logits of every item [B, I]."""
        device = self.item_ids.device
        items = torch.arange(len(self.item_ids), device=device)
        users = _as_tensor(users, device)
        if history is not None:
            history = _as_tensor(history, device)
        return self.encode_user(users, history) @ self.encode_item(items).T / self.temperature


def _as_tensor(ids: Tensor | np.ndarray, device: torch.device) -> Tensor:
    if not isinstance(ids, Tensor):
        ids = torch.tensor(ids)  # a copy: arrays of a data set are read-only
    return ids.to(device)
