"""Correct answers to Lab 4 that are written otherwise than the reference: each must pass its exercise."""

import itertools
import math
import random

import numpy as np
import pandas as pd
import torch
from scipy import special, stats


def ndcg_at_k_with_arrays(relevances, k, all_relevances):
    best = np.sort(all_relevances)[::-1]
    dcg, ideal = (np.sum(part[:k] / np.log2(np.arange(2, len(part[:k]) + 2))) for part in (relevances, best))
    return dcg / ideal if ideal > 0 else np.nan


def ndcg_at_k_with_a_loop(relevances, k, all_relevances):
    dcg = ideal = 0.0
    for place, relevance in enumerate(relevances[:k]):
        dcg += relevance / math.log(place + 2)  # of any base: it cancels
    for place, relevance in enumerate(sorted(all_relevances, reverse=True)[:k]):
        ideal += relevance / math.log(place + 2)
    return dcg / ideal if ideal else float("nan")


def ndcg_at_k_in_torch(relevances, k, all_relevances):
    discounts = 1 / torch.log2(torch.arange(k) + 2.0)
    shown, best = torch.zeros(k), torch.zeros(k)
    shown[: len(relevances)] = torch.as_tensor(relevances[:k], dtype=torch.float32)
    best[: len(all_relevances)] = torch.as_tensor(
        np.sort(all_relevances)[::-1][:k].copy(), dtype=torch.float32
    )
    return (shown @ discounts) / (best @ discounts)  # 0 / 0 is nan


def precision_and_recall_with_sets(items, relevant, k):
    if len(relevant) == 0:
        return float("nan"), float("nan")
    hits = len(set(items[:k]) & set(relevant))
    return hits / k, hits / len(relevant)


def precision_and_recall_from_the_relevant(items, relevant, k):
    found = np.isin(relevant, items[:k])
    return [found.sum() / k if len(found) else np.nan, found.mean()]  # the mean of nothing is nan


def map_at_k_with_arrays(items, relevant, k):
    if len(relevant) == 0:
        return np.nan
    hits = np.isin(items[:k], relevant)
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return precisions[hits].sum() / min(len(relevant), k)


def map_at_k_with_a_loop(items, relevant, k):
    hits, total = 0, 0.0
    for place, item in enumerate(items[:k], start=1):
        if item in relevant:
            hits += 1
            total += hits / place
    return total / min(k, len(relevant)) if len(relevant) > 0 else math.nan


def map_at_k_by_hits(items, relevant, k):
    places = np.flatnonzero(np.isin(items, relevant)) + 1
    places = places[places <= k]
    return np.sum(np.arange(1, len(places) + 1) / places) / np.float64(min(k, len(relevant)))


def ndcg_of_users_summed(ranked, positives, k):
    hits = ranked[:, :k] == positives[:, None]  # [B, k]
    return (hits / np.log2(np.arange(hits.shape[1]) + 2)).sum(axis=1)


def ndcg_of_users_by_matrix_product(ranked, positives, k):
    hits = np.equal(ranked, positives.reshape(-1, 1))
    places = np.arange(1, hits.shape[1] + 1)
    return hits @ np.where(places <= k, 1 / np.log2(places + 1), 0)


def ndcg_of_users_by_place(ranked, positives, k):
    values = np.zeros(len(ranked))
    for place in range(min(k, ranked.shape[1])):
        values[ranked[:, place] == positives] = 1 / np.log2(place + 2)
    return values


def ndcg_of_users_by_column(ranked, positives, k):
    return sum((items == positives) / math.log2(r) for r, items in enumerate(ranked.T[:k], start=2))


def ndcg_of_users_where_found(ranked, positives, k):
    users, places = np.nonzero(ranked[:, :k] == positives[:, None])
    values = np.zeros(len(positives))
    values[users] = 1 / np.log2(places + 2)
    return values


def ndcg_of_users_in_torch(ranked, positives, k):
    hits = torch.as_tensor(ranked)[:, :k] == torch.as_tensor(positives).unsqueeze(1)
    return (hits / torch.log2(torch.arange(hits.shape[1]) + 2.0)).sum(1)


def expected_hit_rate_with_scipy(n_higher, n_others, n_neg, k):
    return stats.hypergeom.cdf(k - 1, n_others, n_higher, n_neg)


def expected_hit_rate_with_its_arguments_swapped(n_higher, n_others, n_neg, k):
    """The distribution is symmetric in them."""
    return 1 - stats.hypergeom.sf(k - 1, n_others, n_neg, n_higher)


def expected_hit_rate_by_counting(n_higher, n_others, n_neg, k):
    ways = sum(
        math.comb(n_higher, h) * math.comb(n_others - n_higher, n_neg - h) for h in range(min(k, n_neg + 1))
    )
    return ways / math.comb(n_others, n_neg)


def expected_hit_rate_as_a_sum(n_higher, n_others, n_neg, k):
    return stats.hypergeom.pmf(np.arange(k), n_others, n_higher, n_neg).sum()


def bootstrap_interval_with_a_loop(users, values, n_resamples, rng):
    _, index = np.unique(users, return_inverse=True)
    of_user = np.bincount(index, values) / np.bincount(index)
    means = []
    for _ in range(n_resamples):
        means.append(rng.choice(of_user, len(of_user)).mean())
    return np.percentile(means, 2.5), np.percentile(means, 97.5)


def bootstrap_interval_with_pandas(users, values, n_resamples, rng):
    of_user = pd.Series(values).groupby(users).mean().to_numpy()
    n = len(of_user)
    means = of_user[rng.integers(0, n, (n, n_resamples))].mean(axis=0)
    return np.quantile(means, [0.025, 0.975])


def bootstrap_interval_by_weights(users, values, n_resamples, rng):
    """How often each user is drawn: multinomial."""
    of_user = np.array([values[users == user].mean() for user in sorted(set(users))])
    n = len(of_user)
    means = np.sort(rng.multinomial(n, np.full(n, 1 / n), n_resamples) @ of_user / n)
    return means[int(0.025 * n_resamples)], means[int(0.975 * n_resamples)]


def bootstrap_interval_in_python(users, values, n_resamples, rng):
    draw = random.Random(int(rng.integers(2**32)))
    own = {}
    for user, value in zip(users.tolist(), values.tolist(), strict=True):
        own.setdefault(user, []).append(value)
    figures = [sum(rows) / len(rows) for rows in own.values()]
    means = sorted(sum(draw.choices(figures, k=len(figures))) / len(figures) for _ in range(n_resamples))
    return [means[round(0.025 * (n_resamples - 1))], means[round(0.975 * (n_resamples - 1))]]


def paired_test_with_a_loop(a, b, n_flips, rng):
    differences = a - b
    observed = abs(differences.mean())
    count = 0
    for _ in range(n_flips):
        signs = rng.choice([-1, 1], len(differences))
        count += abs((signs * differences).mean()) >= observed
    return (1 + count) / (1 + n_flips)


def paired_test_by_swapping(a, b, n_flips, rng):
    swap = rng.random((n_flips, len(a))) < 0.5
    means = np.where(swap, b, a).mean(axis=1) - np.where(swap, a, b).mean(axis=1)
    return (1 + (abs(means) >= abs(a.mean() - b.mean())).sum()) / (1 + n_flips)


def paired_test_with_sums(a, b, n_flips, rng):
    signs = 1 - 2 * rng.integers(0, 2, (len(a), n_flips))
    sums = np.append((a - b) @ signs, (a - b).sum())
    return np.mean(np.abs(sums) >= abs(sums[-1]))


def find_leaks_with_a_table(train, test, excluded, popularity):
    users, items, times = train.T
    test_users, test_items, test_times = test.T
    trained = np.zeros_like(excluded)
    trained[users, items] = True
    test_time = np.full(len(excluded), np.inf)
    test_time[test_users] = test_times
    leaks = set()
    if trained[test_users, test_items].any():
        leaks.add("shared_pairs")
    if (times > test_time[users]).any():
        leaks.add("future_in_training")
    if (excluded & ~trained)[test_users, test_items].any():
        leaks.add("spared_negatives")
    if (np.bincount(items, minlength=len(popularity)) != popularity).any():
        leaks.add("features_from_held_out")
    return leaks


def find_leaks_with_loops(train, test, excluded, popularity):
    pairs = {(user, item) for user, item, _ in train.tolist()}
    counts = [0] * len(popularity)
    for _, item, _ in train.tolist():
        counts[item] += 1
    leaks = []
    for user, item, time in test.tolist():
        if (user, item) in pairs:
            leaks.append("shared_pairs")
        elif excluded[user, item]:
            leaks.append("spared_negatives")
        if any(other == user and then > time for other, _, then in train.tolist()):
            leaks.append("future_in_training")
    return leaks + ["features_from_held_out"] * (counts != popularity.tolist())


def find_leaks_with_pandas(train, test, excluded, popularity):
    train, test = (pd.DataFrame(rows, columns=["user", "item", "time"]) for rows in (train, test))
    together = train.merge(test, on="user", suffixes=("", "_test"))
    new = test.merge(train[["user", "item"]], how="left", on=["user", "item"], indicator=True)
    new = new[new._merge == "left_only"]
    found = {
        "shared_pairs": len(train.merge(test, on=["user", "item"])) > 0,
        "future_in_training": (together.time > together.time_test).any(),
        "spared_negatives": excluded[new.user, new.item].any(),
        "features_from_held_out": (
            train.item.value_counts().reindex(range(len(popularity)), fill_value=0) != popularity
        ).any(),
    }
    return tuple(name for name, there in found.items() if there)


def intra_list_diversity_of_combinations(items, similarity):
    distances = [1 - similarity[a, b] for a, b in itertools.combinations(items, 2)]
    return sum(distances) / len(distances) if distances else float("nan")


def intra_list_diversity_without_the_diagonal(items, similarity):
    k = len(items)
    if k < 2:
        return np.nan
    of_list = similarity[items][:, items]
    return 1 - (of_list.sum() - np.trace(of_list)) / (k * (k - 1))


def intra_list_diversity_of_a_triangle(items, similarity):
    places = np.triu_indices(len(items), k=1)
    return np.mean(1 - similarity[np.ix_(items, items)][places])


def mmr_in_a_list(scores, similarity, k, lambda_):
    chosen, left = [], list(range(len(scores)))
    while len(chosen) < k:
        best = max(
            left,
            key=lambda place: (
                lambda_ * scores[place]
                - (1 - lambda_) * max((similarity[place, other] for other in chosen), default=0)
            ),
        )
        chosen.append(best)
        left.remove(best)
    return chosen


def mmr_with_a_running_maximum(scores, similarity, k, lambda_):
    nearest, free, chosen = np.zeros(len(scores)), np.ones(len(scores), dtype=bool), []
    for _ in range(k):
        values = np.where(free, lambda_ * scores - (1 - lambda_) * nearest, -np.inf)
        chosen.append(values.argmax())
        free[chosen[-1]] = False
        nearest = np.maximum(nearest, similarity[chosen[-1]])
    return np.array(chosen)


def mmr_in_torch(scores, similarity, k, lambda_):
    scores, similarity = torch.as_tensor(scores), torch.as_tensor(similarity)
    chosen = [int(scores.argmax())]
    for _ in range(k - 1):
        values = lambda_ * scores - (1 - lambda_) * similarity[:, chosen].max(dim=1).values
        values[chosen] = -torch.inf
        chosen.append(int(values.argmax()))
    return torch.tensor(chosen)


def calibration_with_scipy(history_shares, list_shares, alpha):
    return special.rel_entr(history_shares, alpha * history_shares + (1 - alpha) * list_shares).sum()


def calibration_as_entropy(history_shares, list_shares, alpha):
    return stats.entropy(history_shares, alpha * history_shares + (1 - alpha) * list_shares)


def calibration_with_a_loop(history_shares, list_shares, alpha):
    total = 0.0
    for p, q in zip(history_shares, list_shares, strict=True):
        if p > 0:
            total += p * (math.log(p) - math.log((1 - alpha) * q + alpha * p))
    return total


def calibration_in_torch(history_shares, list_shares, alpha):
    p, q = torch.as_tensor(history_shares), torch.as_tensor(list_shares)
    return torch.nn.functional.kl_div(
        ((1 - alpha) * q + alpha * p).log().nan_to_num(neginf=0.0), p, reduction="sum"
    )


LAB_04 = {
    "4.1": [ndcg_at_k_with_arrays, ndcg_at_k_with_a_loop, ndcg_at_k_in_torch],
    "4.2": [precision_and_recall_with_sets, precision_and_recall_from_the_relevant],
    "4.3": [map_at_k_with_arrays, map_at_k_with_a_loop, map_at_k_by_hits],
    "4.4": [
        ndcg_of_users_summed,
        ndcg_of_users_by_matrix_product,
        ndcg_of_users_by_place,
        ndcg_of_users_by_column,
        ndcg_of_users_where_found,
        ndcg_of_users_in_torch,
    ],
    "4.5": [
        expected_hit_rate_with_scipy,
        expected_hit_rate_with_its_arguments_swapped,
        expected_hit_rate_by_counting,
        expected_hit_rate_as_a_sum,
    ],
    "4.6": [
        bootstrap_interval_with_pandas,
        bootstrap_interval_by_weights,
        bootstrap_interval_with_a_loop,
        bootstrap_interval_in_python,
    ],
    "4.7": [paired_test_by_swapping, paired_test_with_sums, paired_test_with_a_loop],
    "4.8": [find_leaks_with_a_table, find_leaks_with_loops, find_leaks_with_pandas],
    "4.9": [
        intra_list_diversity_of_combinations,
        intra_list_diversity_without_the_diagonal,
        intra_list_diversity_of_a_triangle,
    ],
    "4.10": [mmr_in_a_list, mmr_with_a_running_maximum, mmr_in_torch],
    "4.11": [calibration_with_scipy, calibration_as_entropy, calibration_with_a_loop, calibration_in_torch],
}
