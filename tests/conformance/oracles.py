"""The metrics again, as plainly as possible: one list, loops, no arrays. Not defined -> None."""

import math


def seen_places(items, relevant):
    """True for each place with a relevant item that has not stood at an earlier one."""
    return [item in relevant and item not in items[:place] for place, item in enumerate(items)]


def hit_rate(items, relevant, k):
    if not relevant:
        return None
    for hit in seen_places(items, relevant)[:k]:
        if hit:
            return 1.0
    return 0.0


def precision(items, relevant, k):
    return seen_places(items, relevant)[:k].count(True) / k if relevant else None


def recall(items, relevant, k):
    return seen_places(items, relevant)[:k].count(True) / len(relevant) if relevant else None


def average_precision(items, relevant, k, divide_by="min"):
    if not relevant:
        return None
    hits, total = seen_places(items, relevant), 0.0
    for place in range(1, min(k, len(items)) + 1):
        if hits[place - 1]:
            total += hits[:place].count(True) / place
    return total / (min(len(relevant), k) if divide_by == "min" else len(relevant))


def reciprocal_rank(items, relevant, k=None):
    if not relevant:
        return None
    for place, hit in enumerate(seen_places(items, relevant)[:k], start=1):
        if hit:
            return 1 / place
    return 0.0


def ndcg(relevances, k, all_relevances=None, gain="linear"):
    def dcg(ordered):
        total = 0.0
        for place, relevance in enumerate(ordered[:k], start=1):
            total += (relevance if gain == "linear" else 2**relevance - 1) / math.log2(place + 1)
        return total

    ideal = dcg(sorted(relevances if all_relevances is None else all_relevances, reverse=True))
    return dcg(relevances) / ideal if ideal else None


def auc(scores, relevant):
    won = [
        1.0 if scores[item] > scores[other] else 0.5 if scores[item] == scores[other] else 0.0
        for item in relevant
        for other in range(len(scores))
        if other not in relevant
    ]
    return sum(won) / len(won) if won else None


def coverage(lists, n_items):
    return sum(any(item in items for items in lists) for item in range(n_items)) / n_items


def gini(counts):
    n = len(counts)
    differences = sum(abs(a - b) for a in counts for b in counts) / n**2
    return differences / (2 * sum(counts) / n) if sum(counts) else None


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def novelty(items, counts, n_users):
    return mean(-math.log2(max(counts[item], 1) / n_users) for item in items if item >= 0)


def popularity_lift(lists, counts, profiles):
    both = [
        (mean(counts[item] for item in items if item >= 0), mean(counts[item] for item in profile))
        for items, profile in zip(lists, profiles, strict=True)
    ]
    both = [pair for pair in both if None not in pair]
    if not both:
        return None
    return mean(pair[0] for pair in both) / mean(pair[1] for pair in both) - 1


def diversity(items, similarity):
    items = [item for item in items if item >= 0]
    places = range(len(items))
    return mean(1 - similarity[items[a]][items[b]] for a in places for b in places if a < b)


def genre_shares(items, genres):
    """genres: the set of each item's genres."""
    with_genre = [item for item in items if item >= 0 and genres[item]]
    n_genres = 1 + max((genre for own in genres for genre in own), default=0)
    return [
        mean(1 / len(genres[item]) if genre in genres[item] else 0.0 for item in with_genre)
        for genre in range(n_genres)
    ]


def calibration(p, q, alpha):
    total = 0.0
    for ours, theirs in zip(p, q, strict=True):
        if ours > 0:
            total += ours * math.log(ours / ((1 - alpha) * theirs + alpha * ours))
    return total


def cosine(a, b):
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0
