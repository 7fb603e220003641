"""Correct answers that are written otherwise than the reference: each must pass its exercise."""

import math
from collections import defaultdict
from functools import partial

import numpy as np
import pandas as pd
import torch
from alternative_solutions_02 import LAB_02
from alternative_solutions_03 import LAB_03
from alternative_solutions_04 import LAB_04
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def dense_ids_by_appearance(raw_ids):
    index_of = {}
    indices = [index_of.setdefault(raw_id, len(index_of)) for raw_id in raw_ids]
    return indices, list(index_of)


def dense_ids_by_search(raw_ids):
    ids = np.array(sorted(set(raw_ids.tolist())))
    return np.searchsorted(ids, raw_ids), ids


def dense_ids_with_pandas(raw_ids):
    return pd.factorize(raw_ids)


def dense_ids_descending(raw_ids):
    ids, indices = torch.unique(torch.as_tensor(raw_ids), return_inverse=True)
    return len(ids) - 1 - indices, ids.flip(0)


def temporal_split_in_time_order(timestamps, test_fraction):
    order = np.argsort(timestamps)
    cut = timestamps[order[math.floor(len(order) * (1 - test_fraction))]]
    n_train = np.searchsorted(timestamps[order], cut)
    return order[:n_train], order[n_train:]


def temporal_split_with_lists(timestamps, test_fraction):
    cut = sorted(timestamps)[int((1 - test_fraction) * len(timestamps))]
    train = [row for row, time in enumerate(timestamps) if time < cut]
    return [train, [row for row, time in enumerate(timestamps) if time >= cut]]


def temporal_split_with_masks(timestamps, test_fraction):
    times = torch.as_tensor(timestamps)
    cut = times.sort().values[int((1 - test_fraction) * len(times))]
    return (times < cut).nonzero().flatten(), (times >= cut).nonzero().flatten()


def rmse_with_a_loop(predictions, ratings):
    total = 0
    for prediction, rating in zip(predictions, ratings, strict=True):
        total += (prediction - rating) ** 2
    return math.sqrt(total / len(ratings))


def rmse_as_array(predictions, ratings):
    return np.array(np.linalg.norm(predictions - ratings) / np.sqrt(len(ratings)))


def rmse_in_torch(predictions, ratings):
    loss = nn.functional.mse_loss(torch.as_tensor(predictions), torch.as_tensor(ratings, dtype=torch.float64))
    return loss.sqrt()


def rmse_in_single_precision(predictions, ratings):
    return np.sqrt(np.mean((predictions - ratings).astype(np.float32) ** 2))


def fit_biases_with_loops(users, items, ratings, n_users, n_items, reg):
    mean = sum(ratings) / len(ratings)
    by_item, by_user = defaultdict(list), defaultdict(list)
    for _, item, rating in zip(users, items, ratings, strict=True):
        by_item[item].append(rating - mean)
    item_bias = [sum(by_item[i]) / (reg + len(by_item[i])) if by_item[i] else 0.0 for i in range(n_items)]
    for user, item, rating in zip(users, items, ratings, strict=True):
        by_user[user].append(rating - mean - item_bias[item])
    user_bias = [sum(by_user[u]) / (reg + len(by_user[u])) if by_user[u] else 0.0 for u in range(n_users)]
    return mean, user_bias, item_bias


def fit_biases_with_add_at(users, items, ratings, n_users, n_items, reg):
    def shrunk(groups, values, n):
        sums, counts = np.zeros(n), np.zeros(n)
        np.add.at(sums, groups, values)
        np.add.at(counts, groups, 1)
        return sums / np.where(counts == 0, 1, counts + reg)

    mean = np.mean(ratings)
    item_bias = shrunk(items, ratings - mean, n_items)
    return mean, shrunk(users, ratings - mean - item_bias[items], n_users), item_bias


def item_similarity_with_loops(residuals, rated, shrinkage):
    n_items = residuals.shape[1]
    similarity = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            both = rated[:, i] & rated[:, j]
            x, y, n = residuals[both, i], residuals[both, j], both.sum()
            if n and np.linalg.norm(x) * np.linalg.norm(y) > 0:
                similarity[i, j] = x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) * n / (n + shrinkage)
    return similarity.tolist()


def item_similarity_without_warnings(residuals, rated, shrinkage):
    mask = torch.as_tensor(rated, dtype=torch.float64)
    r = torch.as_tensor(residuals)
    n = mask.T @ mask
    squares = (r**2).T @ mask
    cosine = (r.T @ r) / (squares * squares.T).sqrt()
    return torch.nan_to_num(cosine * n / (n + shrinkage), nan=0.0)


def knn_predict_sorted(similarity, residuals, rated, user, item, k):
    weighted = sorted(
        ((similarity[item, j], residuals[user, j]) for j in np.flatnonzero(rated[user]) if j != item),
        reverse=True,
    )
    weighted = [(s, x) for s, x in weighted[:k] if s > 0]
    total = sum(s for s, _ in weighted)
    return sum(s * x for s, x in weighted) / total if weighted else 0


def knn_predict_masked(similarity, residuals, rated, user, item, k):
    weights = np.where(rated[user], similarity[item], 0).clip(min=0)
    weights[item] = 0
    weights[np.argsort(-weights)[k:]] = 0
    return np.float32(weights @ residuals[user] / max(weights.sum(), 1e-12))


def sgd_step_with_loops(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg):
    e = rating - mean - user_bias - item_bias - sum(p * q for p, q in zip(user_vec, item_vec, strict=True))
    new_user = [p + lr * (e * q - reg * p) for p, q in zip(user_vec, item_vec, strict=True)]
    new_item = [q + lr * (e * p - reg * q) for p, q in zip(user_vec, item_vec, strict=True)]
    return new_user, new_item, user_bias + lr * (e - reg * user_bias), item_bias + lr * (e - reg * item_bias)


def sgd_step_with_autograd(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg):
    weights = [
        torch.tensor(w, dtype=torch.float64, requires_grad=True)
        for w in (user_vec, item_vec, user_bias, item_bias)
    ]
    p, q, b_u, b_i = weights
    loss = 0.5 * (rating - mean - b_u - b_i - p @ q) ** 2 + 0.5 * reg * sum((w**2).sum() for w in weights)
    loss.backward()
    return tuple((w - lr * w.grad).detach() for w in weights)


class _Given(nn.Module):
    """The __init__ as the lab gives it."""

    def __init__(self, n_users, n_items, dim=64, mean=0.0):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.global_bias = nn.Parameter(torch.tensor(float(mean)))


class ForwardWithColumns(_Given):
    def forward(self, users, items):
        dot = (self.user_emb(users) * self.item_emb(items)).sum(1, keepdim=True)
        return (dot + self.user_bias(users) + self.item_bias(items) + self.global_bias).squeeze(1)


class ForwardWithEinsum(_Given):
    def forward(self, u, i):
        dot = torch.einsum("bd,bd->b", self.user_emb.weight[u], self.item_emb.weight[i])
        return dot + self.user_bias.weight[u, 0] + self.item_bias(i)[:, 0] + self.global_bias


class ForwardWithMatmul(_Given):
    def forward(self, users, items):
        dot = torch.bmm(self.user_emb(users).unsqueeze(1), self.item_emb(items).unsqueeze(2))
        return (
            self.global_bias
            + dot.flatten()
            + self.user_bias(users).flatten()
            + self.item_bias(items).flatten()
        )


def train_epoch_with_split(model, optimizer, users, items, ratings, batch_size, generator):
    squared = []
    for rows in torch.randperm(len(users), generator=generator).split(batch_size):
        errors = (model(users[rows], items[rows]) - ratings[rows]) ** 2
        optimizer.zero_grad()
        errors.mean().backward()
        optimizer.step()
        squared.append(errors.detach())
    return torch.cat(squared).mean()


def train_epoch_shuffled_first(model, optimizer, users, items, ratings, batch_size, generator):
    order = torch.randperm(len(ratings), generator=generator)
    users, items, ratings = users[order], items[order], ratings[order]
    total, start = 0.0, 0
    while start < len(ratings):
        part = slice(start, start + batch_size)
        loss = nn.functional.mse_loss(model(users[part], items[part]), ratings[part])
        loss.backward()
        optimizer.step()
        model.zero_grad()
        total += float(loss) * len(ratings[part]) / len(ratings)
        start += batch_size
    return total


def train_epoch_with_loader(model, optimizer, users, items, ratings, batch_size, generator):
    rows = TensorDataset(users, items, ratings)
    total = 0.0
    for u, i, r in DataLoader(rows, batch_size=batch_size, shuffle=True, generator=generator):
        optimizer.zero_grad()
        loss = nn.MSELoss()(model(u, i), r)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(r)
    return total / len(rows)


def top_k_unseen_sorted(scores, seen, k):
    unseen = set(range(len(scores))) - set(seen.tolist())
    return sorted(unseen, key=lambda item: (-scores[item], -item))[:k]  # ties: the highest number first


def top_k_unseen_by_filter(scores, seen, k):
    order = np.argsort(scores)[::-1]
    return order[~np.isin(order, seen)][:k]


def top_k_unseen_in_torch(scores, seen, k):
    masked = torch.as_tensor(scores).clone()
    masked[torch.as_tensor(seen)] = -torch.inf
    best = masked.topk(min(k, len(masked)))
    return best.indices[best.values > -torch.inf]


def _forwards(function, *args):
    return function(*args)


ALTERNATIVES = {
    "1.1": [dense_ids_by_appearance, dense_ids_by_search, dense_ids_with_pandas, dense_ids_descending],
    "1.2": [temporal_split_in_time_order, temporal_split_with_lists, temporal_split_with_masks],
    "1.3": [
        rmse_with_a_loop,
        rmse_as_array,
        rmse_in_torch,
        rmse_in_single_precision,
        partial(_forwards, rmse_with_a_loop),
    ],
    "1.4": [fit_biases_with_loops, fit_biases_with_add_at],
    "1.5a": [item_similarity_with_loops, item_similarity_without_warnings],
    "1.5b": [knn_predict_sorted, knn_predict_masked],
    "1.6": [sgd_step_with_loops, sgd_step_with_autograd],
    "1.7": [ForwardWithColumns, ForwardWithEinsum, ForwardWithMatmul],
    "1.8": [train_epoch_with_split, train_epoch_shuffled_first, train_epoch_with_loader],
    "1.9": [top_k_unseen_sorted, top_k_unseen_by_filter, top_k_unseen_in_torch],
} | LAB_02 | LAB_03 | LAB_04
