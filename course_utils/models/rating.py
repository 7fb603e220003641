"""Models of ratings in stars: matrix factorization and its strongest relative."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MatrixFactorization(nn.Module):
    """Biased matrix factorization: mean + user bias + item bias + dot product of two vectors.

    mean is where the global bias starts: give the mean of the training ratings. init_std must be
    small: vectors from N(0, 1), the default of nn.Embedding, start with dot products of size
    sqrt(dim), far off the scale of ratings. Source: Koren, Bell and Volinsky (2009), equation 4.
    """

    def __init__(self, n_users: int, n_items: int, dim: int = 64, mean: float = 0.0, init_std: float = 0.01):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.global_bias = nn.Parameter(torch.tensor(float(mean)))
        nn.init.normal_(self.user_emb.weight, std=init_std)
        nn.init.normal_(self.item_emb.weight, std=init_std)
        nn.init.zeros_(self.user_bias.weight)
        nn.init.zeros_(self.item_bias.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> predicted ratings [B]."""
        match = (self.user_emb(users) * self.item_emb(items)).sum(-1)  # [B, D] -> [B]
        # squeeze(-1), because squeeze() would drop the batch as well when B is 1
        biases = self.user_bias(users).squeeze(-1) + self.item_bias(items).squeeze(-1)
        return self.global_bias + biases + match

    def score_all(self, users: Tensor) -> Tensor:
        """users [B] -> predicted ratings of every item [B, I]."""
        matches = self.user_emb(users) @ self.item_emb.weight.T  # [B, D] @ [D, I]
        return self.global_bias + self.user_bias(users) + self.item_bias.weight.T + matches


class FlippedSVDpp(nn.Module):
    """SVD++ in both directions, with linear side features: the strongest rating model of the course.

    To plain matrix factorization it adds, for a user, a vector for each item that they rated, summed and
    divided by the root of their number (SVD++, Koren 2008); flipped, for an item, a vector for each user
    who rated it (Rendle, Zhang and Koren 2019); and linear terms of the side features, in the bias and
    in the vector. Dropout is on the user vector, in training only.

    rated [U, I]: 1 where a rating is in the training set (nothing of the test set, or it leaks), else 0.
    user_features [U, F], item_features [I, G]: float, for example indicator columns.
    """

    def __init__(
        self,
        rated: Tensor,
        user_features: Tensor,
        item_features: Tensor,
        dim: int = 32,
        mean: float = 0.0,
        dropout: float = 0.3,
        init_std: float = 0.01,
    ):
        super().__init__()
        n_users, n_items = rated.shape
        self.mf = MatrixFactorization(n_users, n_items, dim, mean, init_std)
        self.item_implicit = nn.Parameter(init_std * torch.randn(n_items, dim))
        self.user_implicit = nn.Parameter(init_std * torch.randn(n_users, dim))
        self.user_map = nn.Parameter(init_std * torch.randn(user_features.shape[1], dim))
        self.item_map = nn.Parameter(init_std * torch.randn(item_features.shape[1], dim))
        self.user_weight = nn.Parameter(torch.zeros(user_features.shape[1]))
        self.item_weight = nn.Parameter(torch.zeros(item_features.shape[1]))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("user_features", user_features)
        self.register_buffer("item_features", item_features)
        self.register_buffer("rated_by_user", _over_root_of_count(rated))  # [U, I]
        self.register_buffer("raters_of_item", _over_root_of_count(rated.T))  # [I, U]

    def user_side(self) -> tuple[Tensor, Tensor]:
        """Vectors [U, D] and biases [U] of all users."""
        implicit = self.rated_by_user @ self.item_implicit  # [U, I] @ [I, D]
        vecs = self.mf.user_emb.weight + implicit + self.user_features @ self.user_map
        return self.dropout(vecs), self.mf.user_bias.weight.squeeze(
            -1
        ) + self.user_features @ self.user_weight

    def item_side(self) -> tuple[Tensor, Tensor]:
        """Vectors [I, D] and biases [I] of all items."""
        implicit = self.raters_of_item @ self.user_implicit  # [I, U] @ [U, D]
        vecs = self.mf.item_emb.weight + implicit + self.item_features @ self.item_map
        return vecs, self.mf.item_bias.weight.squeeze(-1) + self.item_features @ self.item_weight

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> predicted ratings [B]."""
        user_vecs, user_bias = self.user_side()
        item_vecs, item_bias = self.item_side()
        match = (user_vecs[users] * item_vecs[items]).sum(-1)
        return self.mf.global_bias + user_bias[users] + item_bias[items] + match

    def score_all(self, users: Tensor) -> Tensor:
        """users [B] -> predicted ratings of every item [B, I]."""
        user_vecs, user_bias = self.user_side()
        item_vecs, item_bias = self.item_side()
        return self.mf.global_bias + user_bias[users, None] + item_bias + user_vecs[users] @ item_vecs.T


def _over_root_of_count(rated: Tensor) -> Tensor:
    """Each row divided by the root of its sum; a row of zeros stays zeros."""
    return rated / rated.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
