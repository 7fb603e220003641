"""The exercises of Lab 4 on what a list is besides right: diverse, and like its reader (4.9 to 4.11)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from course_utils import metrics, rerank
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.verdicts import Equal

Args = dict[str, Any]


def _similarity(rng: np.random.Generator, n: int) -> np.ndarray:
    """Symmetric, from 0 to 1, and 1 with itself; no two values are alike but by chance."""
    values = rng.uniform(0, 1, (n, n)).round(3)
    similarity = np.triu(values, 1)
    return similarity + similarity.T + np.eye(n)


# ---- 4.9 intra_list_diversity ----


def _diversity_cases(rng: np.random.Generator) -> list[Case]:
    def random(k, n_items):
        return {"items": rng.permutation(n_items)[:k], "similarity": _similarity(rng, n_items)}

    similarity = np.array([[1, 0.5, 0, 0.25], [0.5, 1, 1, 0.75], [0, 1, 1, 0.5], [0.25, 0.75, 0.5, 1]])
    alike = {"items": rng.permutation(8)[:4], "similarity": np.ones((8, 8))}
    return [
        Case("items 3, 0 and 2 of four", {"items": np.array([3, 0, 2]), "similarity": similarity}),
        Case("5 of 12 items", random(5, 12)),
        Case("10 of 40 items", random(10, 40)),
        Case("two items", random(2, 5), edge=True),
        Case("items that are all alike", alike, edge=True),
        Case("a single item", random(1, 4), edge=True),
    ]


def _diversity_with(
    items,
    similarity,
    *,
    part=lambda items, similarity: similarity[np.ix_(items, items)],
    pairs=lambda k: ~np.eye(k, dtype=bool),
    distance=lambda s: 1 - s,
    finish=np.mean,
):
    """intra_list_diversity with one thing done otherwise; pairs: which of [k, k] count."""
    of_list = part(items, similarity)
    counted = distance(of_list[pairs(len(of_list))])
    return finish(counted) if counted.size else np.nan


INTRA_LIST_DIVERSITY = Exercise(
    id="4.9",
    title="How different are the items of a list?",
    name="intra_list_diversity",
    params=("items", "similarity"),
    points=1,
    minutes=5,
    difficulty=1,
    cases=_diversity_cases,
    reference=metrics.intra_list_diversity,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "self pairs counted",
            partial(_diversity_with, pairs=lambda k: np.ones((k, k), dtype=bool)),
            "You count each item's pair with itself, so that no list, however diverse, comes up to 1. How "
            "many pairs of two items are there among k?",
        ),
        Misconception(
            "self pairs counted once",
            partial(_diversity_with, pairs=lambda k: np.triu(np.ones((k, k), dtype=bool))),
            "Your triangle includes the diagonal, where each item meets itself. Which argument of np.triu or "
            "np.triu_indices moves it by one?",
        ),
        Misconception(
            "self pairs in the number only",
            lambda items, similarity: np.triu(1 - similarity[np.ix_(items, items)]).sum() / len(items) ** 2,
            "You sum over each pair once, and divide by k times k. How many pairs are there in your sum?",
        ),
        Misconception(
            "diagonal looked up",
            lambda items, similarity: (1 - similarity[items, items]).mean(),
            "You took the similarity of each item with itself (similarity[items, items] pairs the numbers "
            "one by one). How do you get all rows and all columns of the list?",
        ),
        Misconception(
            "similarity",
            partial(_diversity_with, distance=lambda s: s),
            "That is the mean similarity: a list of copies would get the most. What is the opposite of it, "
            "from 0 to 1?",
        ),
        Misconception(
            "neighbours only",
            partial(_diversity_with, pairs=lambda k: np.eye(k, k=1, dtype=bool)),
            "You compare each item with the next one only. Which other pairs does a reader see?",
        ),
        Misconception(
            "first against the others",
            partial(_diversity_with, pairs=lambda k: (np.arange(k)[:, None] == 0) & (np.arange(k) > 0)),
            "You compare the others with the first item only. What if they are all alike among themselves?",
        ),
        Misconception(
            "whole catalogue",
            partial(_diversity_with, part=lambda items, similarity: similarity),
            "That is the diversity of all items. Which of them are in the list?",
        ),
        Misconception(
            "list against the catalogue",
            lambda items, similarity: (1 - similarity[items]).mean(),
            "You compare the items of the list with all items (similarity[items] holds whole rows). Which "
            "columns belong to the list?",
        ),
        Misconception(
            "first rows of the table",
            partial(
                _diversity_with,
                part=lambda items, similarity: similarity[: len(items), : len(items)],
            ),
            "You compare the first items of the table, whatever stands in the list. Which numbers are in "
            "items?",
        ),
        Misconception(
            "sum",
            partial(_diversity_with, pairs=lambda k: np.tri(k, k=-1, dtype=bool), finish=np.sum),
            "Your figure grows with the length of the list. Which one would allow lists of 5 and of 10 to be "
            "compared?",
        ),
        Misconception(
            "sum per item",
            lambda items, similarity: (1 - similarity[np.ix_(items, items)]).sum() / len(items),
            "You divided by the number of items. How many pairs are in your sum?",
        ),
        Misconception(
            "nearest pair",
            partial(_diversity_with, finish=np.min),
            "That is the distance of the two items that are most alike. What about the other pairs?",
        ),
        Misconception(
            "0 for a single item",
            lambda items, similarity: 0.0 if len(items) < 2 else _diversity_with(items, similarity),
            "A list of one item has no pair. Is 0, the diversity of copies, what the docstring says about "
            "that?",
        ),
        Misconception(
            "1 for a single item",
            lambda items, similarity: 1.0 if len(items) < 2 else _diversity_with(items, similarity),
            "A list of one item has no pair. Is 1, the diversity of items that have nothing in common, what "
            "the docstring says about that?",
        ),
    ),
)


# ---- 4.10 mmr ----


def _mmr_cases(rng: np.random.Generator) -> list[Case]:
    def random(n, k, lambda_):
        """Scores in the scale of the similarities; the choice is never close."""
        while True:
            args = {
                "scores": rng.uniform(0, 1, n).round(3),
                "similarity": _similarity(rng, n),
                "k": k,
                "lambda_": lambda_,
            }
            if not _is_close(**args):
                return args

    hand = {
        "scores": np.array([0.9, 0.8, 0.4]),
        "similarity": np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]),
        "k": 2,
        "lambda_": 0.5,
    }
    return [
        Case("three candidates", hand),
        Case("8 candidates, k = 5 and lambda_ = 0.7", random(8, 5, 0.7)),
        Case("15 candidates, k = 8 and lambda_ = 0.3", random(15, 8, 0.3)),
        Case("lambda_ = 1", random(9, 5, 1.0), edge=True),
        Case("k = 1", random(6, 1, 0.4), edge=True),
        Case("all candidates chosen", random(6, 6, 0.5), edge=True),
    ]


def _is_close(scores, similarity, k, lambda_) -> bool:
    """Whether two candidates are so near to each other at some step that rounding could decide."""
    chosen: list[int] = []
    for _ in range(k):
        values = _mmr_values(scores, similarity, lambda_, chosen)
        best = np.sort(np.delete(values, chosen))[::-1]
        if len(best) > 1 and best[0] - best[1] < 1e-3:
            return True
        chosen.append(int(np.argmax(np.where(np.isin(np.arange(len(scores)), chosen), -np.inf, values))))
    return False


def _weighed(scores, near, lambda_):
    return lambda_ * scores - (1 - lambda_) * near


def _mmr_values(
    scores, similarity, lambda_, chosen, over=lambda table: table.max(axis=1), weigh=_weighed
) -> np.ndarray:
    """The value of every candidate, given the places chosen so far."""
    near = over(similarity[:, chosen]) if len(chosen) else np.zeros(len(scores))
    return weigh(scores, near, lambda_)


def _mmr_with(
    scores,
    similarity,
    k,
    lambda_,
    *,
    over=lambda table: table.max(axis=1),
    weigh=_weighed,
    compared_with=lambda chosen, n: chosen,
    drop=True,
    pick=np.argmax,
    finish=lambda chosen, scores: chosen,
):
    """mmr with one thing done otherwise."""
    chosen: list[int] = []
    for _ in range(k):
        near_to = compared_with(chosen, len(scores))
        values = _mmr_values(scores, similarity, lambda_, near_to, over, weigh)
        if drop:
            values[chosen] = -np.inf if pick is np.argmax else np.inf
        chosen.append(int(pick(values)))
    return finish(np.array(chosen), scores)


def _all_at_once(scores, similarity, k, lambda_):
    """Each candidate against the best one, then one sort."""
    best = scores.argmax()
    values = _weighed(scores, similarity[:, best], lambda_)
    values[best] = np.inf
    return np.argsort(-values, kind="stable")[:k]


MMR = Exercise(
    id="4.10",
    title="Maximal marginal relevance",
    name="mmr",
    params=("scores", "similarity", "k", "lambda_"),
    points=3,
    minutes=12,
    difficulty=3,
    cases=_mmr_cases,
    reference=rerank.mmr,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "sign",
            partial(_mmr_with, weigh=lambda scores, near, lambda_: lambda_ * scores + (1 - lambda_) * near),
            "You add the similarity, so that each next item is as like the others as can be. Should being "
            "alike help or harm a candidate?",
        ),
        Misconception(
            "mean instead of max",
            partial(_mmr_with, over=lambda table: table.mean(axis=1)),
            "You take the mean similarity to those chosen. A copy of one of them would get away with it in a "
            "long list: which of the similarities tells that it is a copy?",
        ),
        Misconception(
            "sum instead of max",
            partial(_mmr_with, over=lambda table: table.sum(axis=1)),
            "You sum the similarities to those chosen, so that relevance counts for less and less as the "
            "list grows. Which of them matters?",
        ),
        Misconception(
            "min instead of max",
            partial(_mmr_with, over=lambda table: table.min(axis=1)),
            "You take the similarity to the chosen item that is least alike. Which of them would a reader "
            "see as a repetition?",
        ),
        Misconception(
            "lambda reversed",
            partial(_mmr_with, weigh=lambda scores, near, lambda_: (1 - lambda_) * scores - lambda_ * near),
            "Your lambda_ weighs the similarity, and 1 - lambda_ the score. Which ranking should lambda_ = 1 "
            "give?",
        ),
        Misconception(
            "score not weighed",
            partial(_mmr_with, weigh=lambda scores, near, lambda_: scores - (1 - lambda_) * near),
            "Only the similarity is weighed. What stands before the score in the formula?",
        ),
        Misconception(
            "similarity not weighed",
            partial(_mmr_with, weigh=lambda scores, near, lambda_: lambda_ * scores - near),
            "Only the score is weighed. What stands before the similarity in the formula, and what becomes "
            "of it at lambda_ = 1?",
        ),
        Misconception(
            "similarity weighed by lambda too",
            partial(_mmr_with, weigh=lambda scores, near, lambda_: lambda_ * (scores - near)),
            "Both terms have the same weight, which changes nothing. What are the two weights in the "
            "formula?",
        ),
        Misconception(
            "diversity ignored",
            partial(_mmr_with, weigh=lambda scores, near, lambda_: scores + 0 * near),
            "That is the ranking by score. What did the similarity to those chosen change?",
        ),
        Misconception(
            "against the last one only",
            partial(_mmr_with, compared_with=lambda chosen, n: chosen[-1:]),
            "You compare a candidate with the item chosen last. Could it be a copy of an earlier one?",
        ),
        Misconception(
            "against the first one only",
            _all_at_once,
            "You compare every candidate with the best one, once, and sort. Which of them are in the list "
            "by the time when the third is chosen?",
        ),
        Misconception(
            "against all candidates",
            partial(
                _mmr_with,
                compared_with=lambda chosen, n: np.arange(n),
                over=lambda table: (table - np.eye(len(table))).max(axis=1),
            ),
            "You compare a candidate with all the others, also with those that nobody will see. With which "
            "ones should it be compared?",
        ),
        Misconception(
            "chosen again",
            partial(_mmr_with, drop=False),
            "An item stands in your list twice. What keeps one that was chosen from being chosen again?",
        ),
        Misconception(
            "worst first",
            partial(_mmr_with, pick=np.argmin),
            "You choose the candidate with the lowest value at each step. Which one should it be?",
        ),
        Misconception(
            "order lost",
            partial(_mmr_with, finish=lambda chosen, scores: np.sort(chosen)),
            "The items are the right ones, but sorted by their number. In which order were they chosen?",
        ),
        Misconception(
            "ordered by score",
            partial(_mmr_with, finish=lambda chosen, scores: chosen[np.argsort(-scores[chosen])]),
            "The items are the right ones, but sorted by score again. In which order were they chosen?",
        ),
        Misconception(
            "scores",
            partial(_mmr_with, finish=lambda chosen, scores: scores[chosen]),
            "Those are the scores of the items. Which places do they have among the candidates?",
        ),
    ),
)


# ---- 4.11 calibration ----


def _shares(counts) -> np.ndarray:
    counts = np.asarray(counts, dtype=float)
    return counts / counts.sum()


def _calibration_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_genres, alpha):
        """A genre that only the list has, one that only the history has, and one that neither has."""
        history, shown = rng.integers(1, 9, (2, n_genres))
        history[[0, 2]], shown[[1, 2]] = 0, 0
        order = rng.permutation(n_genres)
        return args(_shares(history[order]), _shares(shown[order]), alpha)

    def args(history, shown, alpha):
        return {"history_shares": np.array(history), "list_shares": np.array(shown), "alpha": alpha}

    same = _shares(rng.integers(1, 9, 4))
    two = _shares(rng.integers(1, 9, 2))
    return [
        Case("two genres", args([0.5, 0.5], [1.0, 0.0], 0.5)),
        Case("6 genres", random(6, 0.1)),
        Case("18 genres", random(18, 0.01)),
        Case("5 genres, all of them in both", args(*map(_shares, rng.integers(1, 9, (2, 5))), 0.2)),
        Case("a list just like the history", args(same, same, 0.01), edge=True),
        Case("nothing in common", args([*two, 0, 0], [0, 0, *two[::-1]], 0.01), edge=True),
    ]


def _kl(p, q):
    """The sum of p log(p / q) over the genres in p."""
    return p[p > 0] * np.log(p[p > 0] / q[p > 0])


def _smoothed(p, q, alpha):
    return p, (1 - alpha) * q + alpha * p


def _calibration_with(history_shares, list_shares, alpha, *, smooth=_smoothed, terms=_kl, finish=np.sum):
    """calibration with one thing done otherwise."""
    return finish(terms(*smooth(history_shares, list_shares, alpha)))


def _with_all_genres(p, q):
    return p * np.log(p / q)


_WEIGHTED_BY_THE_LIST = (
    "Your sum is weighted by the shares of the list, with the history below the line. Which stands where in "
    "the formula?"
)

CALIBRATION = Exercise(
    id="4.11",
    title="Like its reader?",
    name="calibration",
    params=("history_shares", "list_shares", "alpha"),
    points=1,
    minutes=6,
    difficulty=2,
    cases=_calibration_cases,
    reference=metrics.calibration,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "not smoothed",
            partial(_calibration_with, smooth=lambda p, q, alpha: (p, q)),
            "A genre of the history that the list lacks makes your sum infinite. What does alpha mix into "
            "the shares of the list?",
        ),
        Misconception(
            "alpha reversed",
            partial(_calibration_with, smooth=lambda p, q, alpha: (p, alpha * q + (1 - alpha) * p)),
            "Your mixture is mostly the history itself, so that every list looks calibrated. Which part of "
            "it should be small?",
        ),
        Misconception(
            "smoothed with equal shares",
            partial(_calibration_with, smooth=lambda p, q, alpha: (p, (1 - alpha) * q + alpha / len(q))),
            "You mix in the same share for each genre. Then even a list just like the history is not at 0: "
            "what should be mixed in?",
        ),
        Misconception(
            "alpha added",
            partial(_calibration_with, smooth=lambda p, q, alpha: (p, q + alpha)),
            "You add alpha to every share, so that they no longer add up to 1. What is mixed with what?",
        ),
        Misconception(
            "history added",
            partial(_calibration_with, smooth=lambda p, q, alpha: (p, q + alpha * p)),
            "You add a little of the history, and take nothing away, so that the shares add up to more than "
            "1. What is the weight of the list in the mixture?",
        ),
        Misconception(
            "history smoothed",
            partial(_calibration_with, smooth=lambda p, q, alpha: ((1 - alpha) * p + alpha * q, q)),
            "You smoothed the shares of the history. Which of the two stands below the line, where a 0 does "
            "harm?",
        ),
        Misconception(
            "reversed",
            partial(
                _calibration_with,
                smooth=lambda p, q, alpha: (q, (1 - alpha) * p + alpha * q),
            ),
            "You ask how surprising the list would be to somebody who expects the history (all roles are "
            "swapped). Which of the two is the measure that the other is held against?",
        ),
        Misconception(
            "sum weighted by the list",
            partial(_calibration_with, terms=lambda p, q: _kl(q, p)[p[q > 0] > 0]),
            _WEIGHTED_BY_THE_LIST,
        ),
        Misconception(
            "sum weighted by the list, over its genres",
            partial(_calibration_with, terms=lambda p, q: _kl(q, p)),
            _WEIGHTED_BY_THE_LIST,
        ),
        Misconception(
            "always one per cent",
            partial(_calibration_with, smooth=lambda p, q, alpha: _smoothed(p, q, 0.01)),
            "Your mixture holds one per cent of the history, whatever comes in. Which argument have you not "
            "used?",
        ),
        Misconception(
            "minus sign",
            partial(_calibration_with, finish=lambda terms: -terms.sum()),
            "Your figure is never above 0. Which of the two shares stands above the line in the logarithm?",
        ),
        Misconception(
            "cross-entropy",
            partial(_calibration_with, terms=lambda p, q: -p * np.log(q + (p == 0))),
            "That is the cross-entropy: a list just like the history is not at 0. What must still be taken "
            "off?",
        ),
        Misconception(
            "logarithm of base 2",
            partial(_calibration_with, finish=lambda terms: terms.sum() / np.log(2)),
            "Those are bits. Which logarithm does the docstring name?",
        ),
        Misconception(
            "not weighted",
            partial(_calibration_with, terms=lambda p, q: np.log(p[p > 0] / q[p > 0])),
            "A genre that makes 1 % of the history counts with you as much as one that makes half. What "
            "stands before the logarithm?",
        ),
        Misconception(
            "mean",
            lambda p, q, alpha: _calibration_with(p, q, alpha) / len(p),
            "You took the mean over the genres. What does the formula do with its terms?",
        ),
        Misconception(
            "genres of 0",
            partial(_calibration_with, terms=_with_all_genres),
            "A genre that the history lacks makes your sum nan. What does a term p log(p / q) become as p "
            "goes to 0?",
        ),
        Misconception(
            "absolute differences",
            partial(_calibration_with, terms=lambda p, q: abs(p - q)),
            "You sum absolute differences, for which 1 % instead of 0 is as little as 51 % instead of 50. "
            "Which formula does the lab use?",
        ),
    ),
)


EXERCISES = (INTRA_LIST_DIVERSITY, MMR, CALIBRATION)
