"""The exercises of Lab 4, evaluation; those on chance, on leaks and on diversity stand in lab04_*.py.

Misconceptions are mistakes of real learners; a message says what they did, asks, and never gives the answer.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from course_utils import metrics
from course_utils.exercises import lab04_chance, lab04_diversity, lab04_leaks
from course_utils.exercises.calls_lab04 import call_watched
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.plain import Plain
from course_utils.exercises.verdicts import Complaint, Equal, Property, compare

Args = dict[str, Any]


# ---- 4.1 ndcg_at_k ----


def _ndcg_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_list, n_relevant, n_retrieved, k):
        """The best item comes late, others come not at all; the first is relevant, but not the most."""
        everything = np.r_[3, 3, 3, 2, 2, rng.integers(1, 4, n_relevant - 5)]
        retrieved = np.r_[3, 2, rng.permutation(everything[4:])[: n_retrieved - 3]]
        behind = rng.permutation(np.r_[retrieved, np.zeros(n_list - 1 - len(retrieved), int)])
        relevances = np.r_[2, behind]
        if (relevances[k:] == 0).all() or (relevances[1:k] <= 2).all() or relevances[1:k].all():
            return random(n_list, n_relevant, n_retrieved, k)
        return args(relevances, k, rng.permutation(everything))

    def args(relevances, k, everything):
        return {
            "relevances": np.array(relevances, dtype=int),
            "k": k,
            "all_relevances": np.array(everything, dtype=int),
        }

    few = rng.integers(1, 4, 2)
    return [
        Case("a list of three", args([1, 0, 3], 2, [3, 1])),
        Case("a list of 10 and k = 5", random(10, 9, 6, 5)),
        Case("a list of 20 and k = 10", random(20, 16, 9, 10)),
        Case("k beyond the end of the list", args([*few, 0], 5, [*few, 3, 1]), edge=True),
        Case("nothing relevant found", args([0, 0, 0], 2, few), edge=True),
        Case("nothing relevant at all", args(np.zeros(4), 3, []), edge=True),
        Case("an empty list", args([], 3, few), edge=True),
    ]


def _discount(places):
    return 1 / np.log2(places + 1)


def _without_a_discount_at_the_top(places):
    return 1 / np.maximum(np.log2(places), 1)


def _best(relevances, k, everything):
    return np.sort(everything)[::-1][:k]


def _ndcg_with(
    relevances,
    k,
    all_relevances,
    *,
    cut=lambda relevances, k: relevances[:k],
    gain=lambda relevances: relevances,
    discount=_discount,
    ideal=_best,
    divide=lambda dcg, best, k: dcg / best,
    undefined=np.nan,
):
    """ndcg_at_k with one thing done otherwise."""

    def dcg(values):
        return (gain(values) * discount(np.arange(1, len(values) + 1))).sum()

    if all_relevances.sum() == 0:
        return undefined
    return divide(dcg(cut(relevances, k)), dcg(ideal(relevances, k, all_relevances)), k)


def _ndcg_of_full_length(relevances, k, all_relevances):
    weights = _discount(np.arange(1, k + 1))
    best = np.sort(all_relevances)[::-1][:k]
    if not len(best):
        return np.nan
    return (relevances[:k] * weights).sum() / (best * weights[: len(best)]).sum()


NDCG_AT_K = Exercise(
    id="4.1",
    title="NDCG of one list",
    name="ndcg_at_k",
    params=("relevances", "k", "all_relevances"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_ndcg_cases,
    reference=metrics.ndcg_at_k,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "ideal of the truncated list",
            partial(_ndcg_with, ideal=lambda relevances, k, everything: np.sort(relevances[:k])[::-1]),
            "Your ideal list is made of the items that made it into the first k, so that a list that misses "
            "the best one can still be perfect. Which item could have been at the top?",
        ),
        Misconception(
            "ideal of the whole list",
            partial(_ndcg_with, ideal=lambda relevances, k, everything: _best(relevances, k, relevances)),
            "Your ideal list is made of the items in the list. What about those that are relevant and were "
            "never shown: which argument knows them?",
        ),
        Misconception(
            "ideal not cut",
            partial(_ndcg_with, ideal=lambda relevances, k, everything: np.sort(everything)[::-1]),
            "Your ideal list is longer than k, so that no list of k items can reach 1. How many places does "
            "the best list have?",
        ),
        Misconception(
            "ideal not sorted",
            partial(_ndcg_with, ideal=lambda relevances, k, everything: everything[:k]),
            "Your ideal list takes all_relevances in the order in which they come. In which order would the "
            "best list show them?",
        ),
        Misconception(
            "ideal sorted upwards",
            partial(_ndcg_with, ideal=lambda relevances, k, everything: np.sort(everything)[:k]),
            "Your ideal list begins with the least relevant item. In which order does np.sort put them?",
        ),
        Misconception(
            "ideal of the highest grade",
            partial(_ndcg_with, ideal=lambda relevances, k, everything: np.full(k, everything.max())),
            "Your ideal list has the highest relevance at each of its k places. Are there that many such "
            "items?",
        ),
        Misconception(
            "not divided",
            partial(_ndcg_with, divide=lambda dcg, best, k: dcg),
            "That is the DCG. What must it be compared with, so that a perfect list gets 1?",
        ),
        Misconception(
            "divided by k",
            partial(_ndcg_with, divide=lambda dcg, best, k: dcg / k),
            "You divided the DCG by k. What would a perfect list get, and what should it get?",
        ),
        Misconception(
            "log2 of the rank",
            partial(_ndcg_with, discount=lambda places: 1 / np.log2(places)),
            "You divide by log2(place), which is 0 at place 1. By what should the first place be divided?",
        ),
        Misconception(
            "log2 of the rank, except at the top",
            partial(_ndcg_with, discount=_without_a_discount_at_the_top),
            "You divide by log2(place) from place 2 on, so that the first two places count the same (the "
            "DCG of 2000 did so). What stands below the line in the lab's formula?",
        ),
        Misconception(
            "one place too low",
            partial(_ndcg_with, discount=lambda places: 1 / np.log2(places + 2)),
            "Your first place is divided by log2(3). Is its number 0, 1 or 2, and what is added to it?",
        ),
        Misconception(
            "reciprocal rank",
            partial(_ndcg_with, discount=lambda places: 1 / places),
            "You divide each gain by its place. That falls faster than the discount of the lab: which "
            "function of the place stands there?",
        ),
        Misconception(
            "no discount",
            partial(_ndcg_with, discount=lambda places: np.ones(len(places))),
            "A hit at place k counts with you as much as one at the top. What does the formula divide each "
            "gain by?",
        ),
        Misconception(
            "gains ignored",
            partial(_ndcg_with, gain=lambda relevances: relevances > 0),
            "An item counts 1 with you, whether it was loved or only fine. What is the gain of an item of "
            "relevance 3?",
        ),
        Misconception(
            "exponential gain",
            partial(_ndcg_with, gain=lambda relevances: 2.0**relevances - 1),
            "Your gain is 2 to the relevance, minus 1: the other convention, in which an item of grade 3 "
            "counts seven times one of grade 1. Which one does the docstring ask for?",
        ),
        Misconception(
            "not cut",
            partial(_ndcg_with, cut=lambda relevances, k: relevances),
            "Items below place k count too. Which places does @k mean?",
        ),
        Misconception(
            "list sorted first",
            partial(_ndcg_with, cut=lambda relevances, k: np.sort(relevances)[::-1][:k]),
            "You sorted the list by relevance before you measured it. Whose order is it that should be "
            "judged?",
        ),
        Misconception(
            "0 when nothing is relevant",
            partial(_ndcg_with, undefined=0.0),
            "When there is nothing relevant, every list is as good as any other. Is 0, the worst grade, what "
            "the docstring says about that?",
        ),
        Misconception(
            "1 when nothing is relevant",
            partial(_ndcg_with, undefined=1.0),
            "When there is nothing relevant, every list is as good as any other. Is 1, the best grade, what "
            "the docstring says about that?",
        ),
        Misconception(
            "list of k expected",
            _ndcg_of_full_length,
            "You make k discounts, but a list may be shorter than k. How many places are there to discount?",
        ),
    ),
)


# ---- 4.2 precision_and_recall ----


def _list_and_relevant(rng: np.random.Generator, n_items, n_list, n_relevant, k) -> Args:
    """Some hits in the first k, not all in a row, some further down, and some items that are not listed."""
    while True:
        order = rng.permutation(n_items)
        relevant = rng.choice(n_items, n_relevant, replace=False)
        hit = np.isin(order[:n_list], relevant)
        first, found = hit[:k].sum(), hit.sum()
        if 2 <= first < k and first < found < n_relevant and not hit[:first].all():
            return _list_args(order[:n_list], relevant, k)


def _list_args(items, relevant, k) -> Args:
    return {"items": np.array(items, dtype=int), "relevant": np.array(relevant, dtype=int), "k": k}


def _precision_recall_cases(rng: np.random.Generator) -> list[Case]:
    a, b, c, d, e = rng.permutation(9)[:5].tolist()
    return [
        Case("a list of four", _list_args([7, 2, 9, 4], [2, 4, 5], 2)),
        Case("a list of 12 and k = 8", _list_and_relevant(rng, 20, 12, 6, 8)),
        Case("a list of 30 and k = 10", _list_and_relevant(rng, 60, 30, 25, 10)),
        Case("a list shorter than k", _list_args([a, b, c], [c, d], 5), edge=True),
        Case("no hit", _list_args([a, b, c], [d, e], 2), edge=True),
        Case("nothing relevant", _list_args([a, b, c], [], 2), edge=True),
        Case("an item that stands in the list twice", _list_args([a, a, a, c, b], [a, c, d], 3), edge=True),
    ]


def _precision_recall_with(
    items,
    relevant,
    k,
    *,
    cut=lambda items, k: items[:k],
    n_hits=lambda items, relevant: len(set(items.tolist()) & set(relevant.tolist())),
    precision=lambda hits, k, n_shown, n_relevant: hits / k,
    recall=lambda hits, k, n_shown, n_relevant: hits / n_relevant,
    undefined=(np.nan, np.nan),
    finish=lambda precision, recall: (precision, recall),
):
    """precision_and_recall with one thing done otherwise."""
    if len(relevant) == 0:
        return undefined
    shown = cut(items, k)
    counts = n_hits(shown, relevant), k, len(shown), len(relevant)
    return finish(precision(*counts), recall(*counts))


def _call_for_two(precision_and_recall, items, relevant, k):
    """Two numbers in a list or an array are as good as in a tuple."""
    result = precision_and_recall(items, relevant, k)
    return tuple(result) if isinstance(result, list | np.ndarray) and np.shape(result) == (2,) else result


def _reference_precision_recall(items, relevant, k):
    return metrics.precision_at_k(items, relevant, k), metrics.recall_at_k(items, relevant, k)


PRECISION_AND_RECALL = Exercise(
    id="4.2",
    title="Precision and recall",
    name="precision_and_recall",
    params=("items", "relevant", "k"),
    points=1,
    minutes=6,
    difficulty=1,
    cases=_precision_recall_cases,
    reference=_reference_precision_recall,
    call=_call_for_two,
    verdict=Equal(names=("precision", "recall")),
    misconceptions=(
        Misconception(
            "swapped",
            partial(_precision_recall_with, finish=lambda precision, recall: (recall, precision)),
            "Both figures are right, but they come back in the other order. Which one divides by k?",
        ),
        Misconception(
            "not cut",
            partial(_precision_recall_with, cut=lambda items, k: items),
            "Hits below place k count too. Which places does @k mean?",
        ),
        Misconception(
            "not cut, divided by the list",
            partial(
                _precision_recall_with,
                cut=lambda items, k: items,
                precision=lambda hits, k, n_shown, n_relevant: hits / n_shown,
            ),
            "You measure the whole list. How much of it does a reader see who looks at the first k?",
        ),
        Misconception(
            "precision divided by what was shown",
            partial(
                _precision_recall_with,
                precision=lambda hits, k, n_shown, n_relevant: hits / max(n_shown, 1),
            ),
            "You divide the hits by the number of items that are there. A list shorter than k leaves places "
            "empty: does the docstring forgive that?",
        ),
        Misconception(
            "both divided by k",
            partial(_precision_recall_with, recall=lambda hits, k, n_shown, n_relevant: hits / k),
            "You divide the hits by k both times. Of which items does recall say how many were found?",
        ),
        Misconception(
            "both divided by the relevant",
            partial(_precision_recall_with, precision=lambda hits, k, n_shown, n_relevant: hits / n_relevant),
            "You divide the hits by the number of relevant items both times. Of which places does precision "
            "say how many are well used?",
        ),
        Misconception(
            "recall divided by at most k",
            partial(
                _precision_recall_with, recall=lambda hits, k, n_shown, n_relevant: hits / min(k, n_relevant)
            ),
            "Your recall reaches 1 as soon as the k places are full of hits. If 25 items are relevant and 10 "
            "were found, which share was found?",
        ),
        Misconception(
            "hit or miss",
            partial(
                _precision_recall_with, n_hits=lambda items, relevant: int(np.isin(items, relevant).any())
            ),
            "One hit counts with you as much as five. How many of the first k are relevant?",
        ),
        Misconception(
            "counts",
            partial(
                _precision_recall_with,
                precision=lambda hits, k, n_shown, n_relevant: hits,
                recall=lambda hits, k, n_shown, n_relevant: hits,
            ),
            "Those are numbers of hits. Shares of what should they become?",
        ),
        Misconception(
            "shares of the misses",
            partial(_precision_recall_with, finish=lambda precision, recall: (1 - precision, 1 - recall)),
            "Those are the shares of the misses. What should a perfect list get?",
        ),
        Misconception(
            "whole numbers",
            partial(
                _precision_recall_with,
                precision=lambda hits, k, n_shown, n_relevant: hits // k,
                recall=lambda hits, k, n_shown, n_relevant: hits // n_relevant,
            ),
            "Your divisions forget what is behind the point. Which sign does Python use for a division that "
            "does not?",
        ),
        Misconception(
            "an item counted twice",
            partial(_precision_recall_with, n_hits=lambda items, relevant: np.isin(items, relevant).sum()),
            "An item that stands in the list twice is two hits with you. How many different items has the "
            "reader found?",
        ),
        Misconception(
            "0 when nothing is relevant",
            partial(_precision_recall_with, undefined=(0.0, 0.0)),
            "When there is nothing relevant, no list can do better or worse. Is 0 what the docstring says "
            "about that?",
        ),
        Misconception(
            "precision 0 when nothing is relevant",
            partial(_precision_recall_with, undefined=(0.0, np.nan)),
            "When there is nothing relevant, your precision is 0, the worst grade. Could any list have got a "
            "better one, and what does the docstring say?",
        ),
    ),
)


# ---- 4.3 map_at_k ----


def _map_cases(rng: np.random.Generator) -> list[Case]:
    a, b, c, d, e = rng.permutation(9)[:5].tolist()
    return [
        Case("a list of four", _list_args([5, 8, 1, 3], [1, 5], 3)),
        Case("a list of 12 and k = 8", _list_and_relevant(rng, 20, 12, 6, 8)),
        Case("25 relevant items and k = 10", _list_and_relevant(rng, 60, 30, 25, 10)),
        Case("a list shorter than k", _list_args([a, b, c], [c, d, e, 9], 5), edge=True),
        Case("no hit", _list_args([a, b, c], [d, e], 2), edge=True),
        Case("nothing relevant", _list_args([a, b, c], [], 2), edge=True),
    ]


def _precision_at(hits, places):
    return hits.cumsum() / places


def _map_with(
    items,
    relevant,
    k,
    *,
    cut=lambda items, k: items[:k],
    precision=_precision_at,
    at=lambda hits: hits,
    divide_by=lambda n_hits, n_relevant, k: min(n_relevant, k),
    undefined=np.nan,
):
    """map_at_k with one thing done otherwise; at: hits -> the places whose precision is summed."""
    if len(relevant) == 0:
        return undefined
    hits = np.isin(cut(items, k), relevant)
    precisions = precision(hits, np.arange(1, len(hits) + 1))
    return (precisions * at(hits)).sum() / max(divide_by(hits.sum(), len(relevant), k), 1)


def _recall_at(hits, places):
    return hits.cumsum() / hits.sum()


MAP_AT_K = Exercise(
    id="4.3",
    title="Average precision",
    name="map_at_k",
    params=("items", "relevant", "k"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_map_cases,
    reference=metrics.map_at_k,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "divided by k",
            partial(_map_with, divide_by=lambda n_hits, n_relevant, k: k),
            "You divide by k, so that a user with two relevant items never gets 1, however good the list. "
            "How many hits can there be at most?",
        ),
        Misconception(
            "divided by the hits",
            partial(_map_with, divide_by=lambda n_hits, n_relevant, k: n_hits),
            "You divide by the number of hits, so that a list with a single hit, at the top, is perfect. "
            "What about the relevant items that it misses?",
        ),
        Misconception(
            "divided by the relevant",
            partial(_map_with, divide_by=lambda n_hits, n_relevant, k: n_relevant),
            "You divide by the number of relevant items: another convention, by which somebody with 25 of "
            "them cannot get 1 at k = 10. Which one does the docstring ask for?",
        ),
        Misconception(
            "divided by the larger",
            partial(_map_with, divide_by=lambda n_hits, n_relevant, k: max(n_relevant, k)),
            "You divide by the larger of two numbers. Which of them limits how many hits there can be?",
        ),
        Misconception(
            "not divided",
            partial(_map_with, divide_by=lambda n_hits, n_relevant, k: 1),
            "That is the sum of the precisions. What would a perfect list get, and what should it get?",
        ),
        Misconception(
            "precision averaged at every rank",
            partial(_map_with, at=np.ones_like, divide_by=lambda n_hits, n_relevant, k: k),
            "You average the precision over all k places. At which places is it looked at?",
        ),
        Misconception(
            "precision summed at every rank",
            partial(_map_with, at=np.ones_like),
            "You sum the precision at every place, also where nothing was found. At which places is it "
            "looked at?",
        ),
        Misconception(
            "only the last precision",
            partial(
                _map_with,
                precision=lambda hits, places: hits.sum() / len(hits) * np.ones(len(hits)),
                at=lambda hits: np.arange(len(hits)) == 0,
                divide_by=lambda n_hits, n_relevant, k: 1,
            ),
            "That is the precision at k, whatever the order of the first k. How high up was each of them "
            "found?",
        ),
        Misconception(
            "reciprocal ranks",
            partial(_map_with, precision=lambda hits, places: 1 / places),
            "A hit counts 1 / place with you. How many of the items down to that place are relevant, besides "
            "the one that stands there?",
        ),
        Misconception(
            "reciprocal rank of the first hit",
            partial(
                _map_with,
                precision=lambda hits, places: 1 / places,
                at=lambda hits: hits & (hits.cumsum() == 1),
                divide_by=lambda n_hits, n_relevant, k: 1,
            ),
            "That is the reciprocal rank of the first hit. What about the other hits?",
        ),
        Misconception(
            "recall instead of precision",
            partial(_map_with, precision=_recall_at),
            "At each hit you took the share of the hits that have come so far. What stands below the line "
            "of a precision?",
        ),
        Misconception(
            "hit itself not counted",
            partial(_map_with, precision=lambda hits, places: (hits.cumsum() - hits) / places),
            "At each hit you count only the hits before it. Is the hit at place 1 one of the relevant items "
            "down to place 1?",
        ),
        Misconception(
            "places from 0",
            partial(_map_with, precision=lambda hits, places: hits.cumsum() / np.maximum(places - 1, 1)),
            "Your places start at 0 (the first two count alike). How many items has somebody seen who has "
            "come to the third one?",
        ),
        Misconception(
            "not cut",
            partial(_map_with, cut=lambda items, k: items),
            "Hits below place k count too. Which places does @k mean?",
        ),
        Misconception(
            "0 when nothing is relevant",
            partial(_map_with, undefined=0.0),
            "When there is nothing relevant, no list can do better or worse. Is 0, the worst grade, what the "
            "docstring says about that?",
        ),
    ),
)


# ---- 4.4 ndcg_of_users ----

_MANY = 100  # users; a loop over fewer is not looked at


def _users_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_users, n_list, k, n_items, padded=False):
        """Positives at any place, the first and some beyond k too; some are not in their user's list."""
        ranked = np.array([rng.permutation(n_items)[:n_list] for _ in range(n_users)])
        places = rng.permutation(np.r_[0, k - 1, k, rng.integers(0, n_list, n_users - 3)])
        positives = ranked[np.arange(n_users), places]
        for user in rng.choice(n_users, n_users // 4, replace=False):
            others = np.setdiff1d(np.arange(n_items), ranked[user])
            positives[user] = rng.choice(others)
        if padded:
            ranked[: n_users // 2, n_list // 2 :] = -1
        return {"ranked": ranked, "positives": positives, "k": k}

    hand = {"ranked": np.array([[4, 2, 7, 0], [1, 0, 5, 3]]), "positives": np.array([7, 6]), "k": 3}
    square = random(5, 5, 3, 12)
    one = {"ranked": square["ranked"][:1], "positives": square["ranked"][0, 1:2], "k": 3}
    missed = {"ranked": np.array([[0, 1, 2], [2, 0, 3]]), "positives": rng.integers(4, 9, 2), "k": 2}
    return [
        Case("two users", hand),
        Case("as many users as places", square),
        Case("300 users, lists of 20 and k = 10", random(300, 20, 10, 50)),
        Case("k beyond the end of the lists", random(6, 4, 3, 9) | {"k": 8}, edge=True),
        Case("one user", one, edge=True),
        Case("nobody's item found", missed, edge=True),
        Case("lists of different lengths, filled up with -1", random(8, 6, 3, 15, padded=True), edge=True),
    ]


def _users_with(
    ranked,
    positives,
    k,
    *,
    cut=lambda ranked, k: ranked[:, :k],
    compare=lambda ranked, positives: ranked == positives[:, None],
    gain=lambda places: 1 / np.log2(places + 1),
    missed=0.0,
    finish=lambda values, found: values,
):
    """ndcg_of_users with one thing done otherwise."""
    hits = compare(cut(np.asarray(ranked), k), positives)
    found = hits.any(axis=1)
    values = np.where(found, gain(hits.argmax(axis=1) + 1.0), missed)
    return finish(values, found)


def _divided_by_k_hits(ranked, positives, k):
    return _users_with(ranked, positives, k) / _discount(np.arange(1, k + 1)).sum()


def _user_by_user(ranked, positives, k):
    values = []
    for items, positive in zip(ranked, positives, strict=True):
        places = np.flatnonzero(items[:k] == positive)
        values.append(1 / np.log2(places[0] + 2) if len(places) else 0.0)
    return np.array(values)


def _without_the_column(ranked, positives, k):
    hits = np.asarray(ranked)[:, :k] == positives[:k]
    return (hits / np.log2(np.arange(hits.shape[1]) + 2)).sum(axis=1)


def _check_users(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    values, looks = got.parts
    if problem := compare(values, expected.parts[0], (), 1e-4, 1e-6):
        return problem
    n_users = len(args["ranked"])
    if _looped(args, looks):
        ask = "Which comparison finds the hits of all users in one line, and which shape does it need?"
        seen = f"got the right values, but in {looks.array} steps of Python, row by row, for {n_users} users"
        return Complaint(seen, "a few steps on whole arrays", ask)
    return None


def _looped(args: Args, looks: Plain) -> bool:
    return len(args["ranked"]) >= _MANY and bool(looks.array >= len(args["ranked"]))


def _values_and_loop(args: Args, got: Plain) -> Plain:
    values, looks = got.parts
    return Plain("tuple", None, (values, Plain("number", np.array(_looped(args, looks)))))


NDCG_OF_USERS = Exercise(
    id="4.4",
    title="All users at once",
    name="ndcg_of_users",
    params=("ranked", "positives", "k"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_users_cases,
    reference=_users_with,
    call=call_watched,
    verdict=Property(_check_users, normalise=_values_and_loop),
    misconceptions=(
        Misconception(
            "user by user",
            _user_by_user,
            "The values are right, but Python goes through the users one by one. Which shape must positives "
            "have, so that one comparison with ranked finds all hits?",
        ),
        Misconception(
            "column forgotten",
            _without_the_column,
            "You compare place r of every list with the item of user r. That goes through where there are as "
            "many users as places. Which shape must positives have, so that each row meets its own item?",
        ),
        Misconception(
            "column forgotten, all users",
            lambda ranked, positives, k: _users_with(ranked, positives, k, compare=lambda r, p: r == p),
            "You compare each list with all the users' items at once, [B, k] with [B]: numpy lines up the "
            "last dimensions. Which shape must positives have, so that each row meets its own item?",
        ),
        Misconception(
            "anybody's item",
            partial(_users_with, compare=lambda ranked, positives: np.isin(ranked, positives)),
            "An item counts as a hit with you if it is anybody's (np.isin asks that). Whose item should be "
            "in a user's list?",
        ),
        Misconception(
            "missed is found at the top",
            partial(_users_with, finish=lambda values, found: np.where(found, values, 1.0)),
            "Users whose item is not in the list get 1. What does argmax say of a row without any hit?",
        ),
        Misconception(
            "missed is nan",
            partial(_users_with, missed=np.nan),
            "Users whose item was missed get nan, and would be left out of the mean. Is a miss undefined, or "
            "is it bad?",
        ),
        Misconception(
            "missed left out",
            partial(_users_with, finish=lambda values, found: values[found]),
            "Users whose item was missed have no value at all. How many users does the docstring promise?",
        ),
        Misconception(
            "hit rate",
            partial(_users_with, gain=np.ones_like),
            "That is the hit rate: a hit at place k counts with you as much as one at the top. What is a hit "
            "at place r worth?",
        ),
        Misconception(
            "reciprocal rank",
            partial(_users_with, gain=lambda places: 1 / places),
            "A hit at place r counts 1 / r with you. Which function of the place does NDCG use?",
        ),
        Misconception(
            "log2 of the rank",
            partial(_users_with, gain=lambda places: 1 / np.log2(places)),
            "You divide by log2(place), which is 0 at place 1. What should a hit at the top be worth?",
        ),
        Misconception(
            "one place too low",
            partial(_users_with, gain=lambda places: 1 / np.log2(places + 2)),
            "A hit at the top is not worth 1 with you. Is the number of its place 0 or 1, and what is added "
            "to it?",
        ),
        Misconception(
            "natural logarithm",
            partial(_users_with, gain=lambda places: 1 / np.log(places + 1)),
            "A hit at the top is worth more than 1. Which base has your logarithm?",
        ),
        Misconception(
            "divided by an ideal of k hits",
            _divided_by_k_hits,
            "You divide by the DCG of a list of k hits. How many items of a user can be found here?",
        ),
        Misconception(
            "not cut",
            partial(_users_with, cut=lambda ranked, k: ranked),
            "Hits below place k count too. Which places does @k mean?",
        ),
        Misconception(
            "one place short",
            partial(_users_with, cut=lambda ranked, k: ranked[:, : k - 1]),
            "A hit at place k is a miss with you. Is k one of the first k places?",
        ),
        Misconception(
            "mean over the users",
            partial(_users_with, finish=lambda values, found: values.mean()),
            "That is one figure for all users. Which shape does the docstring promise? (Whoever wants an "
            "interval or a segment needs one value per user.)",
        ),
    ),
)


EXERCISES = (
    NDCG_AT_K,
    PRECISION_AND_RECALL,
    MAP_AT_K,
    NDCG_OF_USERS,
    *lab04_chance.EXERCISES,
    *lab04_leaks.EXERCISES,
    *lab04_diversity.EXERCISES,
)
