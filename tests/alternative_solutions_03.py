"""Correct answers to Lab 3 that are written otherwise than the reference: each must pass its exercise."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def multi_hot_with_a_dictionary(values, vocabulary):
    column = {word: 1 + place for place, word in enumerate(vocabulary)}
    table = np.zeros((len(values), 1 + len(vocabulary)), dtype=bool)
    for row, words in enumerate(values):
        for word in words:
            table[row, column.get(word, 0)] = True
    return table


def multi_hot_as_lists(values, vocabulary):
    known = set(vocabulary)
    return [[int(not known.issuperset(words)), *(int(v in words) for v in vocabulary)] for words in values]


def multi_hot_in_torch(values, vocabulary):
    places = {word: number for number, word in enumerate(["?", *vocabulary])}
    table = torch.zeros(len(values), len(places))
    for row, words in zip(table, values, strict=True):
        row[[places.get(word, 0) for word in words]] = 1
    return table


class _GivenTower(nn.Module):
    """The __init__ as the lab gives it."""

    def __init__(self, n_features, dim=64, hidden=128):
        super().__init__()
        self.hidden = nn.Linear(n_features, hidden)
        self.output = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)


class TowerInSteps(_GivenTower):
    def forward(self, features):
        x = torch.relu(self.hidden(features))
        x = self.norm(self.output(x))
        return functional.normalize(x, dim=1)


class TowerByHand(_GivenTower):
    def forward(self, x):
        x = self.norm(self.output(self.hidden(x).clamp(min=0)))
        return x / (x * x).sum(-1, keepdim=True).sqrt()


class TowerWithNorm(_GivenTower):
    def forward(self, x):
        x = self.norm(self.output(nn.ReLU()(self.hidden(x))))
        return x / torch.linalg.vector_norm(x, dim=1).unsqueeze(1)


def in_batch_loss_with_cross_entropy(user_vecs, item_vecs, temperature):
    logits = torch.einsum("bd,cd->bc", user_vecs, item_vecs) / temperature
    return functional.cross_entropy(logits, torch.arange(len(user_vecs)))


def in_batch_loss_with_log_softmax(user_vecs, item_vecs, temperature):
    return -torch.log_softmax(user_vecs @ (item_vecs / temperature).T, dim=1).diagonal().mean()


def in_batch_loss_with_logsumexp(user_vecs, item_vecs, temperature):
    logits = user_vecs @ item_vecs.T / temperature
    own = (user_vecs * item_vecs).sum(1) / temperature
    return torch.mean(torch.logsumexp(logits, 1) - own)


def in_batch_loss_with_one_hot_labels(user_vecs, item_vecs, temperature):
    logits = (user_vecs @ item_vecs.T).div(temperature)
    return functional.cross_entropy(logits, torch.eye(len(logits)))


def in_batch_loss_one_by_one(user_vecs, item_vecs, temperature):
    total = 0.0
    for number, user_vec in enumerate(user_vecs):
        logits = item_vecs @ user_vec / temperature
        total = total - torch.log_softmax(logits, dim=0)[number]
    return total / len(user_vecs)


def logq_loss_with_cross_entropy(user_vecs, item_vecs, temperature, log_q):
    logits = user_vecs @ item_vecs.T / temperature - log_q[None, :]
    return functional.cross_entropy(logits, torch.arange(len(logits)))


def logq_loss_with_a_shift(user_vecs, item_vecs, temperature, log_q):
    """Shares of the batch instead of those of the training rows: a constant in log_q changes nothing."""
    return logq_loss_with_cross_entropy(user_vecs, item_vecs, temperature, log_q - log_q.logsumexp(0))


def logq_loss_with_weights(user_vecs, item_vecs, temperature, log_q):
    logits = user_vecs @ item_vecs.T / temperature
    weighted = (logits - log_q.expand_as(logits)).log_softmax(dim=-1)
    return -weighted.trace() / len(weighted)


def mask_accidental_hits_with_where(logits, items):
    hits = items.unsqueeze(1) == items.unsqueeze(0)
    hits = hits.fill_diagonal_(False)
    return torch.where(hits, -torch.inf, logits)


def mask_accidental_hits_with_loops(logits, items):
    masked = logits.clone()
    for row in range(len(items)):
        for column in range(len(items)):
            if row != column and items[row] == items[column]:
                masked[row, column] = -math.inf
    return masked


def mask_accidental_hits_with_a_large_number(logits, items):
    hits = (items.view(-1, 1) == items.view(1, -1)) & ~torch.eye(len(items), dtype=torch.bool)
    return logits.masked_fill(hits, torch.finfo(logits.dtype).min)


def mask_accidental_hits_then_own_again(logits, items):
    masked = logits.masked_fill(items[:, None] == items[None, :], float("-inf"))
    masked.diagonal().copy_(logits.diagonal())
    return masked


def effective_rank_in_numpy(vectors):
    values = np.linalg.svd(vectors)[1]
    p = values / np.sum(values)
    return np.exp(-np.sum(p * np.log(p + 1e-12)))


def effective_rank_in_torch(vectors):
    values = torch.linalg.svdvals(torch.as_tensor(vectors))
    return torch.distributions.Categorical(probs=values / values.sum()).entropy().exp()


def effective_rank_from_eigenvalues(vectors):
    values = np.sqrt(np.clip(np.linalg.eigvalsh(vectors.T @ vectors), 0, None))
    p = values / values.sum()
    p = p[p > 1e-9]
    return 2 ** -(p * np.log2(p)).sum()


def build_ivf_in_steps(vectors, n_lists, n_probe):
    import faiss

    dim = vectors.shape[1]
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFFlat(quantizer, dim, n_lists, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = n_probe
    index.train(vectors)
    index.add(vectors)
    return index


def build_ivf_by_factory(vectors, n_lists, n_probe):
    import faiss

    vectors = np.ascontiguousarray(vectors, dtype="float32")
    index = faiss.index_factory(vectors.shape[1], f"IVF{n_lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[::-1])
    index.add(vectors)
    faiss.ParameterSpace().set_index_parameter(index, "nprobe", n_probe)
    return index


def build_ivf_with_another_quantizer(vectors, n_lists, n_probe):
    """The centres of such an index have length 1: the nearest is the one of the largest product."""
    import faiss

    vectors = vectors.astype(np.float32)
    dim = vectors.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, n_lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    for start in range(0, len(vectors), 50):
        index.add(vectors[start : start + 50])
    index.nprobe = n_probe
    return index


def recall_at_k_with_sets(found, exact):
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
    return sum(shares) / len(shares)


def recall_at_k_in_one_table(found, exact):
    return (exact[:, :, None] == found[:, None, :]).any(axis=2).mean()


def recall_at_k_query_by_query(found, exact):
    hits = 0
    for row in range(len(exact)):
        hits += np.isin(exact[row], found[row]).sum()
    return hits / exact.size


def retrieve_unseen_in_a_list(search, query, seen, k):
    known = {*seen.tolist(), -1}
    return [item for item in search(query, k + len(known)).tolist() if item not in known][:k]


def retrieve_unseen_by_doubling(search, query, seen, k):
    n = k
    while True:
        items = search(query, n)
        unseen = items[(items != -1) & ~np.isin(items, seen)]
        if len(unseen) >= k or -1 in items:
            return unseen[:k]
        n *= 2


def retrieve_unseen_all_at_once(search, query, seen, k):
    items = search(query, 10_000)
    return torch.tensor([item for item in items if item >= 0 and item not in seen][:k], dtype=torch.long)


def score_cold_item_in_steps(user_vecs, content, encode_item):
    ids = torch.zeros(1, dtype=torch.long)
    vec = encode_item(ids, content.unsqueeze(0))  # [1, D]
    return (user_vecs @ vec.T).squeeze(1)


def score_cold_item_as_a_sum(user_vecs, content, encode_item):
    with torch.no_grad():
        vecs = encode_item(torch.tensor([0]), content[None, :])
    return (user_vecs * vecs).sum(dim=1).tolist()


def score_cold_item_for_each_user(user_vecs, content, encode_item):
    n_users = len(user_vecs)
    vecs = encode_item(torch.zeros(n_users, dtype=torch.int64), content.expand(n_users, -1))
    return functional.cosine_similarity(user_vecs, vecs).numpy()


LAB_03 = {
    "3.1": [multi_hot_with_a_dictionary, multi_hot_as_lists, multi_hot_in_torch],
    "3.2": [TowerInSteps, TowerByHand, TowerWithNorm],
    "3.3": [
        in_batch_loss_with_cross_entropy,
        in_batch_loss_with_log_softmax,
        in_batch_loss_with_logsumexp,
        in_batch_loss_with_one_hot_labels,
        in_batch_loss_one_by_one,
    ],
    "3.4": [logq_loss_with_cross_entropy, logq_loss_with_a_shift, logq_loss_with_weights],
    "3.5": [
        mask_accidental_hits_with_where,
        mask_accidental_hits_with_loops,
        mask_accidental_hits_with_a_large_number,
        mask_accidental_hits_then_own_again,
    ],
    "3.6": [effective_rank_in_numpy, effective_rank_in_torch, effective_rank_from_eigenvalues],
    "3.7": [build_ivf_in_steps, build_ivf_by_factory, build_ivf_with_another_quantizer],
    "3.8": [recall_at_k_with_sets, recall_at_k_in_one_table, recall_at_k_query_by_query],
    "3.9": [retrieve_unseen_in_a_list, retrieve_unseen_by_doubling, retrieve_unseen_all_at_once],
    "3.10": [score_cold_item_in_steps, score_cold_item_as_a_sum, score_cold_item_for_each_user],
}
