"""Correct answers to Lab 2 that are written otherwise than the reference: each must pass its exercise."""

import math
import random

import numpy as np
import pandas as pd
import torch
from torch import nn


def leave_last_out_by_sorting(users, timestamps):
    order = np.lexsort((timestamps, users))
    is_last = np.append(users[order][1:] != users[order][:-1], True)
    is_first = np.append(True, users[order][1:] != users[order][:-1])
    return order[~is_last | is_first], order[is_last & ~is_first]


def leave_last_out_with_a_dictionary(users, timestamps):
    last, counts = {}, {}
    for row, (user, time) in enumerate(zip(users, timestamps, strict=True)):
        counts[user] = counts.get(user, 0) + 1
        if user not in last or time >= timestamps[last[user]]:
            last[user] = row
    test = [row for user, row in last.items() if counts[user] > 1]
    return [row for row in range(len(users)) if row not in test], test


def leave_last_out_with_pandas(users, timestamps):
    rows = pd.DataFrame({"user": users, "time": timestamps}).sort_values("time", kind="stable")
    rows = rows[rows.groupby("user").time.transform("size") > 1]
    test = rows.groupby("user").tail(1).index
    return np.setdiff1d(np.arange(len(users)), test), test.to_numpy()


def sample_negatives_by_choice(users, n_items, positives, n_neg, rng):
    rows = []
    for user in users:
        free = [item for item in range(n_items) if item not in positives[user]]
        if not free:
            raise ValueError(f"user {user} has all {n_items} items: no negative is left")
        rows.append(rng.choice(free, n_neg))
    return np.array(rows)


def sample_negatives_by_rejection(users, n_items, positives, n_neg, rng):
    negatives = np.empty((len(users), n_neg), dtype=int)
    for row, user in enumerate(users):
        if len(positives[user]) == n_items:
            raise ValueError("nothing is left for user", user)
        for column in range(n_neg):
            item = rng.integers(n_items)
            while item in positives[user]:
                item = rng.integers(n_items)
            negatives[row, column] = item
    return negatives.tolist()


def sample_negatives_in_torch(users, n_items, positives, n_neg, rng):
    weights = torch.ones(len(users), n_items)
    for row, user in enumerate(users):
        weights[row, list(positives[user])] = 0
        if not weights[row].any():
            raise ValueError(f"user {user}")
    generator = torch.Generator().manual_seed(int(rng.integers(2**40)))
    return torch.multinomial(weights, n_neg, replacement=True, generator=generator)


def sample_negatives_with_python(users, n_items, positives, n_neg, rng):
    source = random.Random(int(rng.integers(2**40)))
    rows = []
    for user in users.tolist():
        free = sorted(set(range(n_items)) - positives[user])
        if len(free) == 0:
            raise ValueError(f"no item left for user {user}!")
        rows.append(source.choices(free, k=n_neg))
    return rows


def excluded_items_by_union(train, validation, test, user):
    return set(train[user]), train[user].union(validation[user])


def excluded_items_as_lists(train, validation, test, user):
    known = [*train[user], *validation[user]]
    return known[: len(train[user])], known


def excluded_items_as_arrays(train, validation, test, user):
    in_training = np.array(sorted(train[user]), dtype=int)
    return [in_training, np.union1d(in_training, np.array(list(validation[user]), dtype=int))]


def rank_of_positive_with_a_loop(scores, positive, seen):
    n_higher = n_tied = 0
    for item, score in enumerate(scores):
        if item == positive or item in seen:
            continue
        n_higher += score > scores[positive]
        n_tied += score == scores[positive]
    return n_higher, n_tied


def rank_of_positive_masked(scores, positive, seen):
    masked = scores.copy()
    masked[seen] = -np.inf
    return (masked > scores[positive]).sum(), (masked == scores[positive]).sum() - 1


def rank_of_positive_in_torch(scores, positive, seen):
    others = torch.as_tensor(np.delete(scores, [*seen, positive]))
    return torch.sum(others > scores[positive]), torch.sum(others == scores[positive])


def hit_rate_and_ndcg_with_math(rank, k):
    hit = int(rank <= k)
    return hit, hit / math.log2(rank + 1)


def hit_rate_and_ndcg_in_numpy(rank, k):
    relevant = np.zeros(max(rank, k))
    relevant[rank - 1] = 1
    gains = 1 / np.log2(np.arange(2, k + 2))
    return relevant[:k].any(), np.float32(relevant[:k] @ gains)


def ease_from_identity(x, reg):
    precision = np.linalg.inv(x.T @ x + reg * np.identity(x.shape[1]))
    return np.eye(x.shape[1]) - precision / np.diag(precision)


def ease_one_item_at_a_time(x, reg):
    weights = np.zeros((x.shape[1], x.shape[1]))
    for item in range(x.shape[1]):
        rest = np.delete(np.arange(x.shape[1]), item)
        others = x[:, rest]
        weights[rest, item] = np.linalg.solve(
            others.T @ others + reg * np.eye(len(rest)), others.T @ x[:, item]
        )
    return weights


def ease_in_torch(x, reg):
    x = torch.as_tensor(x, dtype=torch.float32)
    gram = x.T @ x
    gram.diagonal().add_(reg)
    precision = torch.linalg.inv(gram)
    return (-precision / precision.diag()).fill_diagonal_(0)


class _GivenGMF(nn.Module):
    """The __init__ as the lab gives it."""

    def __init__(self, n_users, n_items, dim=32):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        self.output = nn.Linear(dim, 1)


class GMFInOneLine(_GivenGMF):
    def forward(self, users, items):
        return self.output(self.user_emb(users) * self.item_emb(items))[:, 0]


class GMFByHand(_GivenGMF):
    def forward(self, u, i):
        match = torch.einsum("bd,bd,d->b", self.user_emb(u), self.item_emb(i), self.output.weight[0])
        return match + self.output.bias


def _tower(n_inputs, layers, dropout):
    modules = []
    for n_in, n_out in zip((n_inputs, *layers), layers, strict=False):
        modules += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*modules)


class _GivenMLP(nn.Module):
    """The __init__ as the lab gives it."""

    def __init__(self, n_users, n_items, dim=32, layers=(64, 32, 16), dropout=0.0):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        self.tower = _tower(2 * dim, layers, dropout)
        self.output = nn.Linear(layers[-1], 1)


class MLPInSteps(_GivenMLP):
    def forward(self, users, items):
        x = torch.cat((self.user_emb(users), self.item_emb(items)), -1)
        for layer in self.tower:
            x = layer(x)
        return self.output(x).flatten()


class MLPWithHstack(_GivenMLP):
    def forward(self, users, items):
        x = torch.hstack([self.user_emb.weight[users], self.item_emb.weight[items]])
        return (self.output(self.tower(x)).T)[0]


class _GivenNeuMF(nn.Module):
    """The __init__ as the lab gives it."""

    def __init__(self, n_users, n_items, gmf_dim=32, mlp_dim=32, layers=(64, 32, 16), dropout=0.0):
        super().__init__()
        self.gmf_user = nn.Embedding(n_users, gmf_dim)
        self.gmf_item = nn.Embedding(n_items, gmf_dim)
        self.mlp_user = nn.Embedding(n_users, mlp_dim)
        self.mlp_item = nn.Embedding(n_items, mlp_dim)
        self.tower = _tower(2 * mlp_dim, layers, dropout)
        self.output = nn.Linear(gmf_dim + layers[-1], 1)


class NeuMFInSteps(_GivenNeuMF):
    def forward(self, users, items):
        gmf = self.gmf_user(users) * self.gmf_item(items)
        mlp = self.tower(torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=1))
        return self.output(torch.cat([gmf, mlp], dim=1)).squeeze(1)


class NeuMFAsASum(_GivenNeuMF):
    def forward(self, users, items):
        gmf = self.gmf_user(users) * self.gmf_item(items)
        mlp = self.tower(torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=1))
        left, right = self.output.weight[0].split([gmf.shape[1], mlp.shape[1]])
        return gmf @ left + mlp @ right + self.output.bias


def bpr_loss_with_softplus(pos_scores, neg_scores):
    return nn.functional.softplus(neg_scores - pos_scores).mean()


def bpr_loss_as_cross_entropy(pos_scores, neg_scores):
    difference = pos_scores - neg_scores
    return nn.functional.binary_cross_entropy_with_logits(difference, torch.ones_like(difference))


def bpr_loss_with_logaddexp(pos_scores, neg_scores):
    losses = torch.logaddexp(torch.zeros(1), neg_scores - pos_scores)
    return losses.sum() / len(losses)


def fuse_with_hstack(gmf_weight, mlp_weight, alpha):
    return torch.hstack([gmf_weight * alpha, mlp_weight * (1 - alpha)])


def fuse_into_a_layer(gmf_weight, mlp_weight, alpha):
    layer = nn.Linear(gmf_weight.shape[1] + mlp_weight.shape[1], 1)
    with torch.no_grad():
        layer.weight[:, : gmf_weight.shape[1]] = alpha * gmf_weight
        layer.weight[:, gmf_weight.shape[1] :] = mlp_weight - alpha * mlp_weight
    return layer.weight


LAB_02 = {
    "2.1": [leave_last_out_by_sorting, leave_last_out_with_a_dictionary, leave_last_out_with_pandas],
    "2.2": [
        sample_negatives_by_choice,
        sample_negatives_by_rejection,
        sample_negatives_in_torch,
        sample_negatives_with_python,
    ],
    "2.3": [excluded_items_by_union, excluded_items_as_lists, excluded_items_as_arrays],
    "2.4": [rank_of_positive_with_a_loop, rank_of_positive_masked, rank_of_positive_in_torch],
    "2.5": [hit_rate_and_ndcg_with_math, hit_rate_and_ndcg_in_numpy],
    "2.6": [ease_from_identity, ease_one_item_at_a_time, ease_in_torch],
    "2.7": [GMFInOneLine, GMFByHand],
    "2.8": [MLPInSteps, MLPWithHstack],
    "2.9": [NeuMFInSteps, NeuMFAsASum],
    "2.10": [bpr_loss_with_softplus, bpr_loss_as_cross_entropy, bpr_loss_with_logaddexp],
    "2.11": [fuse_with_hstack, fuse_into_a_layer],
}
