"""Models of clicks: matrix factorization with BPR, GMF, MLP, NeuMF, and NeuMF with a history.

`forward` gives logits for a loss that has the sigmoid inside; `predict` gives probabilities. Embeddings start
small: from N(0, 1), the default of nn.Embedding, these models learn far worse. `score_all` takes a tensor
or an array of users; call it in eval mode and without gradients.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

INIT_STD = 0.01


def _embedding(n: int, dim: int) -> nn.Embedding:
    embedding = nn.Embedding(n, dim)
    nn.init.normal_(embedding.weight, std=INIT_STD)
    return embedding


def _tower(n_inputs: int, layers: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Linear, ReLU and dropout, for each size in layers.

    He's initialisation keeps the size of what goes through; with that of nn.Linear each layer shrinks it to
    some 40 %, and a tower on small embeddings takes epochs to wake up.
    """
    modules = []
    for n_in, n_out in zip((n_inputs, *layers), layers, strict=False):
        linear = nn.Linear(n_in, n_out)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        modules += [linear, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*modules)


class _Implicit(nn.Module):
    """What the models have in common: probabilities, and all items of a user."""

    def __init__(self, n_users: int, n_items: int):
        super().__init__()
        self.n_users, self.n_items = n_users, n_items

    def predict(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> probabilities [B]."""
        return torch.sigmoid(self(users, items))

    def score_all(self, users: Tensor | np.ndarray) -> Tensor:
        """users [B] -> logits of every item [B, I]."""
        device = next(self.parameters()).device
        items = torch.arange(self.n_items, device=device)
        users = torch.as_tensor(users, device=device)
        # user by user: what is between the layers then stays small enough for the processor's cache
        return torch.stack([self(user.expand(self.n_items), items) for user in users])


class BPRMF(_Implicit):
    """Dot product of two vectors plus an item bias, to be trained on pairs with `losses.bpr`.

    There is no user bias: it would cancel in the difference of two items.
    Source: Rendle et al., "BPR" (2009).
    """

    def __init__(self, n_users: int, n_items: int, dim: int = 64):
        super().__init__(n_users, n_items)
        self.user_emb = _embedding(n_users, dim)
        self.item_emb = _embedding(n_items, dim)
        self.item_bias = nn.Embedding(n_items, 1)
        nn.init.zeros_(self.item_bias.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> scores [B]."""
        match = (self.user_emb(users) * self.item_emb(items)).sum(-1)  # [B, D] -> [B]
        return match + self.item_bias(items).squeeze(-1)

    def score_all(self, users: Tensor | np.ndarray) -> Tensor:
        """users [B] -> scores of every item [B, I]."""
        users = torch.as_tensor(users, device=self.user_emb.weight.device)
        return self.user_emb(users) @ self.item_emb.weight.T + self.item_bias.weight.T


class GMF(_Implicit):
    """Generalised matrix factorization: a dot product whose dimensions have weights, and a bias.

    Source: He et al., "Neural Collaborative Filtering" (2017), section 3.2.
    """

    def __init__(self, n_users: int, n_items: int, dim: int = 32):
        super().__init__(n_users, n_items)
        self.user_emb = _embedding(n_users, dim)
        self.item_emb = _embedding(n_items, dim)
        self.output = nn.Linear(dim, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> logits [B]."""
        match = self.user_emb(users) * self.item_emb(items)  # [B, D]
        return self.output(match).squeeze(-1)

    def score_all(self, users: Tensor | np.ndarray) -> Tensor:
        """users [B] -> logits of every item [B, I]."""
        users = torch.as_tensor(users, device=self.user_emb.weight.device)
        weighted = self.user_emb(users) * self.output.weight  # [B, D] * [1, D]
        return weighted @ self.item_emb.weight.T + self.output.bias


class MLP(_Implicit):
    """Two vectors side by side through a tower of layers.

    Source: He et al., "Neural Collaborative Filtering" (2017), section 3.3.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int = 32,
        layers: tuple[int, ...] = (64, 32, 16),
        dropout: float = 0.0,
    ):
        super().__init__(n_users, n_items)
        self.user_emb = _embedding(n_users, dim)
        self.item_emb = _embedding(n_items, dim)
        self.tower = _tower(2 * dim, layers, dropout)
        self.output = nn.Linear(layers[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> logits [B]."""
        both = torch.cat([self.user_emb(users), self.item_emb(items)], dim=-1)  # [B, 2 D]
        return self.output(self.tower(both)).squeeze(-1)


class NeuMF(_Implicit):
    """GMF and MLP with embeddings of their own, joined in one output layer.

    Source: He et al., "Neural Collaborative Filtering" (2017), section 3.4.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        gmf_dim: int = 32,
        mlp_dim: int = 32,
        layers: tuple[int, ...] = (64, 32, 16),
        dropout: float = 0.0,
    ):
        super().__init__(n_users, n_items)
        self.gmf_user = _embedding(n_users, gmf_dim)
        self.gmf_item = _embedding(n_items, gmf_dim)
        self.mlp_user = _embedding(n_users, mlp_dim)
        self.mlp_item = _embedding(n_items, mlp_dim)
        self.tower = _tower(2 * mlp_dim, layers, dropout)
        self.output = nn.Linear(gmf_dim + layers[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """users [B], items [B] -> logits [B]."""
        gmf = self.gmf_user(users) * self.gmf_item(items)  # [B, D]
        mlp = self.tower(torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=-1))
        return self.output(torch.cat([gmf, mlp], dim=-1)).squeeze(-1)


class HistoryNeuMF(NeuMF):
    """NeuMF that also sees the last items of the user: the mean of their vectors, on both sides.

    It is added to the user's vector in the GMF part, and goes into the tower as a third vector. A history
    [B, H] holds items, and -1 where there are fewer (`sampling.earlier_items` makes it); an empty one gives
    zeros.
    In training each item of the history is left out with probability history_dropout.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        gmf_dim: int = 32,
        mlp_dim: int = 32,
        layers: tuple[int, ...] = (64, 32, 16),
        dropout: float = 0.0,
        history_dropout: float = 0.0,
    ):
        super().__init__(n_users, n_items, gmf_dim, mlp_dim, layers, dropout)
        self.tower = _tower(3 * mlp_dim, layers, dropout)
        self.gmf_history = _history_embedding(n_items, gmf_dim)
        self.mlp_history = _history_embedding(n_items, mlp_dim)
        self.history_dropout = history_dropout

    def forward(self, users: Tensor, items: Tensor, history: Tensor) -> Tensor:
        """users [B], items [B], history [B, H] -> logits [B]."""
        return self._logits(users, items, *self._past(history))

    def _past(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """history [B, H] -> its mean vectors [B, D] in the GMF part and in the MLP part."""
        history = history + 1  # row 0 of the history embeddings stands for "no item" and does not count
        if self.training and self.history_dropout > 0:
            history = history * (torch.rand(history.shape, device=history.device) >= self.history_dropout)
        return self.gmf_history(history), self.mlp_history(history)

    def _logits(self, users: Tensor, items: Tensor, gmf_past: Tensor, mlp_past: Tensor) -> Tensor:
        gmf = (self.gmf_user(users) + gmf_past) * self.gmf_item(items)  # [B, D]
        mlp = self.tower(torch.cat([self.mlp_user(users), self.mlp_item(items), mlp_past], dim=-1))
        return self.output(torch.cat([gmf, mlp], dim=-1)).squeeze(-1)

    def predict(self, users: Tensor, items: Tensor, history: Tensor) -> Tensor:
        """users [B], items [B], history [B, H] -> probabilities [B]."""
        return torch.sigmoid(self(users, items, history))

    def score_all(self, users: Tensor | np.ndarray, history: Tensor | np.ndarray) -> Tensor:
        """users [B], history [B, H] -> logits of every item [B, I]."""
        device = self.output.weight.device
        items = torch.arange(self.n_items, device=device)
        users, history = torch.as_tensor(users, device=device), torch.as_tensor(history, device=device)
        n = self.n_items
        logits = []
        for user, *past in zip(users, *self._past(history), strict=True):
            logits.append(self._logits(user.expand(n), items, *(vec.expand(n, -1) for vec in past)))
        return torch.stack(logits)


def _history_embedding(n_items: int, dim: int) -> nn.EmbeddingBag:
    bag = nn.EmbeddingBag(n_items + 1, dim, mode="mean", padding_idx=0)
    nn.init.normal_(bag.weight, std=INIT_STD)
    return bag


def fuse_pretrained(gmf: GMF, mlp: MLP, alpha: float = 0.5) -> NeuMF:
    """A NeuMF that starts where a trained GMF and a trained MLP ended: alpha * GMF + (1 - alpha) * MLP.

    Its logits are that mixture of the two models' logits. The weights are copies.
    Source: He et al., "Neural Collaborative Filtering" (2017), section 3.4.1.
    """
    layers = tuple(module.out_features for module in mlp.tower if isinstance(module, nn.Linear))
    dropout = next(module.p for module in mlp.tower if isinstance(module, nn.Dropout))
    gmf_dim, mlp_dim = gmf.user_emb.embedding_dim, mlp.user_emb.embedding_dim
    neumf = NeuMF(gmf.n_users, gmf.n_items, gmf_dim, mlp_dim, layers, dropout)
    neumf.gmf_user.load_state_dict(gmf.user_emb.state_dict())
    neumf.gmf_item.load_state_dict(gmf.item_emb.state_dict())
    neumf.mlp_user.load_state_dict(mlp.user_emb.state_dict())
    neumf.mlp_item.load_state_dict(mlp.item_emb.state_dict())
    neumf.tower.load_state_dict(mlp.tower.state_dict())
    with torch.no_grad():
        parts = [alpha * gmf.output.weight, (1 - alpha) * mlp.output.weight]
        neumf.output.weight.copy_(torch.cat(parts, dim=1))
        neumf.output.bias.copy_(alpha * gmf.output.bias + (1 - alpha) * mlp.output.bias)
    return neumf
