"""The exercises of Lab 1, collaborative filtering fundamentals.

Misconceptions are mistakes of real learners; a message says what they did, asks, and never gives the answer.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_utils import baselines, losses, metrics, models, splits
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.forward import check_forward, run_forward
from course_utils.exercises.plain import Plain, describe, numbers, whole
from course_utils.exercises.verdicts import (
    Complaint,
    Equal,
    Property,
    Trained,
    misfit,
    not_the_results,
    recording,
)

Args = dict[str, Any]


# ---- 1.1 dense_ids ----


def _dense_ids(raw_ids):
    ids, indices = np.unique(raw_ids, return_inverse=True)
    return indices, ids


def _dense_cases(rng: np.random.Generator) -> list[Case]:
    with_gaps = rng.choice(np.arange(100, 1000, 7), 15, replace=False)
    return [
        Case("four rows", {"raw_ids": np.array([30, 10, 30, 20])}),
        Case(
            "40 rows of 15 ids with gaps",
            {"raw_ids": rng.permutation(np.r_[with_gaps, rng.choice(with_gaps, 25)])},
        ),
        Case(
            "60 rows of the ids 1 to 20", {"raw_ids": rng.permutation(np.r_[1:21, rng.integers(1, 21, 40)])}
        ),
        Case("every id once", {"raw_ids": rng.permutation(np.arange(900, 909))}, edge=True),
        Case("one id only", {"raw_ids": np.full(3, 42)}, edge=True),
    ]


def _check_dense(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    raw = args["raw_ids"]
    if got.parts is None or len(got.parts) != 2:
        return not_the_results(got, ("indices", "ids"))
    indices, ids = got.parts
    if ids.array is None or ids.array.ndim != 1:
        ask = "ids[indices] must give raw_ids back: in which form can the ids be read by their position?"
        return Complaint(f"ids: got {describe(ids)}", "a list or array of ids", ask)
    if problem := misfit(indices, Plain("array", np.zeros(len(raw), int))):
        return Complaint(f"indices: {problem.got}", problem.expected, problem.ask)
    values, table = indices.array, ids.array
    if len(np.unique(table)) < len(table):
        ask = "An embedding table needs one row per id: how do you keep each only once?"
        return Complaint(f"ids: got {describe(ids)}, some twice", "each id once", ask)
    if values.min() < 0 or values.max() >= len(table):
        ask = "An embedding table of len(ids) rows: which row numbers does it have?"
        return Complaint(
            f"got indices from {values.min()} to {values.max()} with {len(table)} ids",
            f"0 to {len(table) - 1}",
            ask,
        )
    if not np.array_equal(table[values], raw):
        row = int(np.flatnonzero(table[values] != raw)[0])
        ask = "How do you make sure that indices and ids number the ids in the same way?"
        return Complaint(
            f"got ids[indices[{row}]] = {table[values[row]]}", f"raw_ids[{row}] = {raw[row]}", ask
        )
    if len(table) > len(np.unique(raw)):
        n = len(np.unique(raw))
        return Complaint(f"got {len(table)} ids", f"{n}, those that occur", "Which of them does no row have?")
    return None


def _any_order_of_ids(args: Args, got: Plain) -> Plain:
    """The ids in ascending order and the indices renumbered with them, where the answer can be read so."""
    if got.parts is None or len(got.parts) != 2:
        return got
    indices, ids = (part.array for part in got.parts)
    if indices is None or ids is None or ids.ndim != 1 or not indices.size or indices.dtype.kind not in "iu":
        return got
    first = indices.min()  # so that counting from 1 is one mistake in any order of ids
    if len(np.unique(ids)) < len(ids) or indices.max() - first >= len(ids):
        return got
    order = np.argsort(ids)
    renumbered = np.argsort(order)[indices - first] + first
    return Plain("tuple", None, (Plain("array", renumbered), Plain("array", ids[order])))


def _first_appearance(raw_ids):
    return list(dict.fromkeys(raw_ids.tolist()))


def _mismatched(raw_ids):
    seen = _first_appearance(raw_ids)
    return np.array([seen.index(r) for r in raw_ids]), np.unique(raw_ids)


def _first_positions(raw_ids):
    ids, positions = np.unique(raw_ids, return_index=True)
    return positions, ids


DENSE_IDS = Exercise(
    id="1.1",
    title="Raw ids to dense indices",
    name="dense_ids",
    params=("raw_ids",),
    points=1,
    minutes=5,
    difficulty=1,
    cases=_dense_cases,
    reference=_dense_ids,
    verdict=Property(_check_dense, normalise=_any_order_of_ids),
    misconceptions=(
        Misconception(
            "counts from 1",
            lambda raw: (_dense_ids(raw)[0] + 1, _dense_ids(raw)[1]),
            "Your numbering is consistent, but it starts at 1. Which index has the first row of an array?",
        ),
        Misconception(
            "raw ids kept",
            lambda raw: (raw, np.unique(raw)),
            "Those indices are still the raw ids. How large a table would they need, and how many of its "
            "rows would stay empty?",
        ),
        Misconception(
            "subtracts one",
            lambda raw: (raw - 1, np.unique(raw)),
            "Subtracting 1 works only while no id is missing. What happens to the gaps between raw ids?",
        ),
        Misconception(
            "subtracts the smallest",
            lambda raw: (raw - raw.min(), np.unique(raw)),
            "Subtracting the smallest id starts at 0, but the gaps are still there. Which number should "
            "the second smallest id get?",
        ),
        Misconception(
            "results swapped",
            lambda raw: _dense_ids(raw)[::-1],
            "Both results are right, but in the other order. What does the docstring return first?",
        ),
        Misconception(
            "rows numbered",
            lambda raw: (np.arange(len(raw)), raw),
            "You numbered the rows, so a user with ten ratings gets ten indices. What should two rows with "
            "the same raw id have in common?",
        ),
        Misconception(
            "first positions",
            _first_positions,
            "Those are the rows where each id occurs first: one per id. How many indices do you need, one "
            "per id or one per row?",
        ),
        Misconception(
            "two numberings",
            _mismatched,
            "The indices count ids in order of appearance, but ids are sorted: two different numberings. "
            "Which one of them do you want for both?",
        ),
    ),
)


# ---- 1.2 temporal_split ----


def _split_cases(rng: np.random.Generator) -> list[Case]:
    def at(times, test_fraction):
        return {"timestamps": rng.permutation(times), "test_fraction": test_fraction}

    bursts = np.cumsum(rng.integers(1, 9, 20) ** 3)  # a quiet start, then long and short gaps
    tied = np.sort(rng.choice(1000, 24, replace=False))
    tied[16:21] = tied[18]  # the cut falls at position 18
    return [
        Case("five rows", {"timestamps": np.array([50, 10, 40, 20, 30]), "test_fraction": 0.4}),
        Case("20 rows at 20 times", at(bursts, 0.25)),
        Case("24 rows, five of them at the time of the cut", at(tied, 0.25)),
        Case("ties that reach to the last row", at(np.r_[3, 5, 8, 9, 9, 9, 9, 9], 0.25), edge=True),
        Case(
            "a position that is no whole number",
            at(np.arange(11) * 10 + rng.integers(0, 9, 11), 0.2),
            edge=True,
        ),
        Case("position 4 of seven rows", at(np.arange(7) * 10 + rng.integers(0, 9, 7), 0.3), edge=True),
    ]


def _check_split(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    if got.parts is None or len(got.parts) != 2:
        return not_the_results(got, ("train", "test"))
    times = args["timestamps"]
    for name, part in zip(("train", "test"), got.parts, strict=True):
        array = part.array
        if array is None or array.ndim != 1 or not whole(part):
            kind = f" of dtype {array.dtype}" if array is not None else ""
            ask = "What would you put in the brackets of ratings[...] to pick those rows?"
            return Complaint(
                f"{name}: got {describe(part)}{kind}", "row numbers (a list of whole numbers)", ask
            )
        if array.size and (array.min() < 0 or array.max() >= len(times)):
            seen = f"{name}: got row numbers from {array.min()} to {array.max()}"
            ask = "Is what you return a row, or something that stands in that row?"
            return Complaint(seen, f"0 to {len(times) - 1}, as there are {len(times)} rows", ask)
    train, test = (np.sort(part.array).astype(int) for part in got.parts)
    right_train, right_test = (part.array for part in expected.parts)
    if np.array_equal(train, right_train) and np.array_equal(test, right_test):
        return None
    if len(times) <= 6:
        seen, wanted = (
            f"train {numbers(a)} and test {numbers(b)}" for a, b in ((train, test), (right_train, right_test))
        )
    elif (len(train), len(test)) != (len(right_train), len(right_test)):
        seen, wanted = (
            f"{len(train)} training and {len(test)} test rows",
            f"{len(right_train)} and {len(right_test)}",
        )
    else:
        astray = np.setdiff1d(train, right_train)
        seen = f"{len(astray)} of {len(train)} training rows that belong to the test"
        wanted = "every training row to be older than the cut"
    return Complaint(f"got {seen}", wanted, "Which timestamp is your cut, and which rows are older than it?")


def _times_of_rows(args: Args, got: Plain) -> Plain:
    """The timestamps of the rows, sorted: taking another of several tied rows is the same mistake."""
    times = args["timestamps"]
    parts = []
    for part in got.parts or ():
        rows = part.array
        usable = rows is not None and rows.ndim == 1 and rows.size and rows.dtype.kind in "iu"
        if not usable or rows.min() < 0 or rows.max() >= len(times):
            return got
        parts.append(Plain("array", np.sort(times[rows])))
    return Plain("tuple", None, tuple(parts))


def _position(timestamps, test_fraction):
    return int((1 - test_fraction) * len(timestamps))


def _cut_at(timestamps, cut):
    return np.flatnonzero(timestamps < cut), np.flatnonzero(timestamps >= cut)


def _file_order(timestamps, test_fraction):
    rows, position = np.arange(len(timestamps)), _position(timestamps, test_fraction)
    return rows[:position], rows[position:]


def _ties_divided(timestamps, test_fraction):
    order, position = np.argsort(timestamps, kind="stable"), _position(timestamps, test_fraction)
    return order[:position], order[position:]


def _ties_to_train(timestamps, test_fraction):
    cut = np.sort(timestamps)[_position(timestamps, test_fraction)]
    return np.flatnonzero(timestamps <= cut), np.flatnonzero(timestamps > cut)


def _sorted_in_place(timestamps, test_fraction):
    timestamps.sort()
    return splits.temporal_split(timestamps, test_fraction)


def _share_of_time(timestamps, test_fraction):
    first, last = timestamps.min(), timestamps.max()
    return _cut_at(timestamps, first + (1 - test_fraction) * (last - first))


def _masks(timestamps, test_fraction):
    cut = np.sort(timestamps)[_position(timestamps, test_fraction)]
    return timestamps < cut, timestamps >= cut


def _rounded_up(timestamps, test_fraction):
    n = len(timestamps)
    return _cut_at(timestamps, np.sort(timestamps)[n - int(test_fraction * n)])


def _quantile(timestamps, test_fraction):
    return _cut_at(timestamps, np.quantile(timestamps, 1 - test_fraction))


TEMPORAL_SPLIT = Exercise(
    id="1.2",
    title="A split in time",
    name="temporal_split",
    params=("timestamps", "test_fraction"),
    points=2,
    minutes=10,
    difficulty=2,
    cases=_split_cases,
    reference=splits.temporal_split,
    verdict=Property(_check_split, normalise=_times_of_rows),
    misconceptions=(
        Misconception(
            "file order",
            _file_order,
            "You cut the rows in the order of the file. Is the file sorted by time?",
        ),
        Misconception(
            "sorted in place",
            _sorted_in_place,
            "timestamps.sort() sorts the caller's own array, so the rows are no longer where they were. "
            "How do you sort without moving them?",
        ),
        Misconception(
            "ties divided",
            _ties_divided,
            "You cut at a position, so rows of one second can stand on both sides. What should decide "
            "where a row goes, its position or its time?",
        ),
        Misconception(
            "ties to train",
            _ties_to_train,
            "The rows at the time of the cut itself went to the training part. On which side of the "
            "cut does the task put them?",
        ),
        Misconception(
            "past as test",
            lambda t, f: (
                _ties_divided(-t, f) if len(np.unique(t)) == len(t) else splits.temporal_split(t, 1 - f)[::-1]
            ),
            "You train on the future and test on the past. Which of the two can a recommender know?",
        ),
        Misconception(
            "parts swapped",
            lambda t, f: splits.temporal_split(t, f)[::-1],
            "The two parts are right, but in the other order. Which does the docstring return first?",
        ),
        Misconception(
            "fraction of train",
            lambda t, f: splits.temporal_split(t, 1 - f),
            "Your training part has the size that the test part should have. Of what is test_fraction a "
            "fraction?",
        ),
        Misconception(
            "share of the time span",
            _share_of_time,
            "You divided the time between first and last rating; most of it may hold few ratings. Of what "
            "is the cut a position: of a time span or of the sorted rows?",
        ),
        Misconception(
            "masks",
            _masks,
            "Those are True and False for every row. They know the answer; how do you get the numbers of "
            "the rows from them?",
        ),
        Misconception(
            "timestamps returned",
            lambda t, f: tuple(t[rows] for rows in splits.temporal_split(t, f)),
            "Those are the timestamps of the right rows. How will ratings[train] find the rows?",
        ),
        Misconception(
            "rounded up",
            _rounded_up,
            "Your cut is one row too late here. What does the docstring do with a position that is not a "
            "whole number?",
        ),
        Misconception(
            "interpolated quantile",
            _quantile,
            "np.quantile puts the cut between two timestamps, at a share of the way from the first row to "
            "the last. Which row's own time is the cut in the docstring?",
        ),
    ),
)


# ---- 1.3 rmse ----


def _rmse_cases(rng: np.random.Generator) -> list[Case]:
    def pair(n, shift=0.6):
        ratings = rng.integers(1, 6, n).astype(float)
        return {"predictions": ratings + rng.normal(shift, 1, n), "ratings": ratings}

    return [
        Case("two ratings", {"predictions": np.array([3.0, 4.0]), "ratings": np.array([4.0, 2.0])}),
        Case("50 ratings", pair(50)),
        Case("8 ratings, predicted too low", pair(8, -1.5)),
        Case("one rating", {"predictions": np.array([2.5]), "ratings": np.array([4.0])}, edge=True),
        Case(
            "perfect predictions",
            {"predictions": np.array([4.0, 2.0, 5.0]), "ratings": np.array([4, 2, 5])},
            edge=True,
        ),
    ]


RMSE = Exercise(
    id="1.3",
    title="Root mean squared error",
    name="rmse",
    params=("predictions", "ratings"),
    points=1,
    minutes=5,
    difficulty=1,
    cases=_rmse_cases,
    reference=metrics.rmse,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "no root",
            lambda p, r: np.mean((p - r) ** 2),
            "That is the mean of the squared errors, in squared stars. What brings it back to stars?",
        ),
        Misconception(
            "halved, not rooted",
            lambda p, r: np.mean((p - r) ** 2) / 2,
            "That is half of the mean squared error. Did you write ** 1/2? Which does Python work out "
            "first there, the power or the division?",
        ),
        Misconception(
            "root of the number only",
            lambda p, r: np.sum((p - r) ** 2) / np.sqrt(len(p)),
            "You took the root of the number of ratings alone. Of which quantity should the root be taken?",
        ),
        Misconception(
            "absolute errors",
            lambda p, r: np.mean(np.abs(p - r)),
            "That is the mean absolute error. Here one error of 2 should weigh as much as four of 1: where "
            "does that come from?",
        ),
        Misconception(
            "no mean",
            lambda p, r: np.sqrt(np.sum((p - r) ** 2)),
            "That grows with the number of ratings: twice the data, a larger error. Which letter of RMSE "
            "is missing?",
        ),
        Misconception(
            "errors cancel",
            lambda p, r: np.sqrt(np.mean(p - r) ** 2),
            "Too high and too low cancel out in what you average. At which step do errors lose their sign?",
        ),
        Misconception(
            "standard deviation",
            lambda p, r: np.std(p - r),
            "That is the spread of the errors around their mean, so predictions that are all one star too "
            "low look perfect. From which value should errors be measured?",
        ),
        Misconception(
            "divided by n - 1",
            lambda p, r: np.sqrt(np.sum((p - r) ** 2) / (np.float64(len(p)) - 1)),
            "You divided by one less than the number of ratings, as for a sample variance. How many errors "
            "do you average?",
        ),
        Misconception(
            "root before the mean",
            lambda p, r: np.sqrt(np.sum((p - r) ** 2)) / len(p),
            "You took the root first and divided afterwards. In which order do the letters R, M, S, E "
            "apply, read from the right?",
        ),
        Misconception(
            "one per rating",
            lambda p, r: np.sqrt((p - r) ** 2),
            "You have one error per rating. How do you turn them into one number?",
        ),
    ),
)


# ---- 1.4 fit_biases ----


def _fit_biases(users, items, ratings, n_users, n_items, reg):
    biases = baselines.fit_biases(users, items, ratings, n_users, n_items, reg)
    return biases.mean, biases.user, biases.item


def _bias_cases(rng: np.random.Generator) -> list[Case]:
    def triples(n, n_users, n_items, reg, unrated_user=None, unrated_item=None):
        users = np.setdiff1d(np.arange(n_users), [] if unrated_user is None else [unrated_user])
        items = np.setdiff1d(np.arange(n_items), [] if unrated_item is None else [unrated_item])
        every = np.stack(np.meshgrid(users, items, indexing="ij"), -1).reshape(-1, 2)
        once = np.r_[  # everybody who may occur does, so that only the edge cases have gaps
            np.stack([users, rng.choice(items, len(users))], 1),
            np.stack([rng.choice(users, len(items)), items], 1),
        ]
        pairs = rng.permutation(np.unique(np.r_[once, rng.permutation(every)[:n]], axis=0))
        ratings = rng.integers(1, 6, len(pairs)).astype(float)
        return {
            "users": pairs[:, 0],
            "items": pairs[:, 1],
            "ratings": ratings,
            "n_users": n_users,
            "n_items": n_items,
            "reg": reg,
        }

    tiny = {"users": [0, 0, 1], "items": [0, 1, 0], "ratings": [5.0, 3.0, 4.0]}
    return [
        Case(
            "three ratings",
            {k: np.array(v) for k, v in tiny.items()} | {"n_users": 2, "n_items": 2, "reg": 1.0},
        ),
        Case("about 25 ratings by 6 users of 8 items", triples(15, 6, 8, 5.0)),
        Case("about 20 ratings by 5 users of 4 items, without regularisation", triples(12, 5, 4, 0.0)),
        Case("an item and a user without ratings", triples(10, 5, 6, 2.0, 1, 5), edge=True),
        Case(
            "an item and a user without ratings, and no regularisation",
            triples(10, 5, 6, 0.0, 4, 2),
            edge=True,
        ),
    ]


def _biases_with(
    users,
    items,
    ratings,
    n_users,
    n_items,
    reg,
    *,
    user_first=False,
    both_from_mean=False,
    centre=True,
    unbuffered=True,
    mean_reg=0.0,
    least=True,
    shrink=lambda sums, counts, reg: np.divide(sums, counts + reg, out=np.zeros(len(sums)), where=counts > 0),
):
    """fit_biases with one thing done otherwise."""

    def fit(groups, values, n):
        if not unbuffered:
            sums, counts = np.zeros(n), np.zeros(n)
            sums[groups] += values
            counts[groups] += 1
        else:
            sums = np.bincount(groups, values, minlength=n if least else 0)
            counts = np.bincount(groups, minlength=n if least else 0)
        return shrink(sums, counts, reg)

    mean = ratings.sum() / (len(ratings) + mean_reg * reg)
    rest = ratings - mean if centre else ratings
    if user_first:
        user_bias = fit(users, rest, n_users)
        item_bias = fit(items, rest - user_bias[users], n_items)
    else:
        item_bias = fit(items, rest, n_items)
        user_bias = fit(users, rest if both_from_mean else rest - item_bias[items], n_users)
    return mean, user_bias, item_bias


FIT_BIASES = Exercise(
    id="1.4",
    title="Regularised biases",
    name="fit_biases",
    params=("users", "items", "ratings", "n_users", "n_items", "reg"),
    points=2,
    minutes=12,
    difficulty=2,
    cases=_bias_cases,
    reference=_fit_biases,
    verdict=Equal(names=("mean", "user_bias", "item_bias")),
    misconceptions=(
        Misconception(
            "reg ignored",
            lambda u, i, r, nu, ni, reg: _fit_biases(u, i, r, nu, ni, 0.0),
            "Those are the plain averages. How far should a film with a single rating move away from 0, "
            "and which argument decides that?",
        ),
        Misconception(
            "users first",
            partial(_biases_with, user_first=True),
            "You fitted the users before the items. The first to be fitted takes what both share: which "
            "does the formula start with?",
        ),
        Misconception(
            "both from the mean",
            partial(_biases_with, both_from_mean=True),
            "You fitted both biases to the same deviations from the mean. What of a rating is left to "
            "explain when the item's bias is known?",
        ),
        Misconception(
            "not centred",
            partial(_biases_with, centre=False),
            "Your biases are as large as ratings. From which level should they be measured?",
        ),
        Misconception(
            "+= with repeated indices",
            partial(_biases_with, unbuffered=False),
            "In numpy, sums[items] += values adds only once where an index is repeated. Try it on "
            "items=[0, 0]: which functions add up every repetition?",
        ),
        Misconception(
            "shorter where nothing was rated",
            partial(_biases_with, least=False),
            "Your arrays end at the largest index that was rated. How long must they be so that every user "
            "and every item has a place?",
        ),
        Misconception(
            "0 / 0",
            partial(_biases_with, shrink=lambda sums, counts, reg: sums / (counts + reg)),
            "Without ratings and without regularisation you divide 0 by 0. Which bias does somebody have "
            "about whom nothing is known?",
        ),
        Misconception(
            "reg on every rating",
            partial(
                _biases_with,
                shrink=lambda sums, counts, reg: np.divide(
                    sums, counts * (1 + reg), out=np.zeros(len(sums)), where=counts > 0
                ),
            ),
            "You shrink every average by the same factor. Who should be shrunk less: a film with two "
            "ratings or one with five hundred?",
        ),
        Misconception(
            "mean regularised",
            partial(_biases_with, mean_reg=1.0),
            "Your mean is pulled towards 0 too. Which of the three quantities does the formula regularise?",
        ),
        Misconception(
            "user and item swapped",
            lambda *args: tuple(_fit_biases(*args)[i] for i in (0, 2, 1)),
            "The biases are right, but in the other order. What does the docstring return second?",
        ),
    ),
)


# ---- 1.5a item_similarity ----


def _residuals(rng: np.random.Generator, n_users: int, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    rated = rng.random((n_users, n_items)) < 0.6
    rated[:2] = True  # every two items have users who rated both
    return np.where(rated, rng.normal(0, 1, rated.shape), 0.0), rated


def _similarity_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_users, n_items, shrinkage):
        residuals, rated = _residuals(rng, n_users, n_items)
        return {"residuals": residuals, "rated": rated, "shrinkage": shrinkage}

    apart, nothing = random(6, 4, 2.0), random(6, 4, 1.0)
    for side, rows in ((0, slice(3, None)), (1, slice(None, 3))):  # items 0 and 1: no user rated both
        apart["rated"][rows, side] = False
        apart["residuals"][rows, side] = 0
    nothing["residuals"][:, 2] = 0  # always exactly as expected
    nothing["rated"][:, 2] = True
    no_shrinkage = {name: apart[name].copy() for name in ("residuals", "rated")} | {"shrinkage": 0.0}
    tiny = np.array([[1.0, 2.0], [1.0, 0.0], [-1.0, -1.0]])
    return [
        Case("three users and two items", {"residuals": tiny, "rated": tiny != 0, "shrinkage": 2.0}),
        Case("9 users and 5 items", random(9, 5, 10.0)),
        Case("12 users and 4 items, without shrinkage", random(12, 4, 0.0)),
        Case("two items that nobody rated both", apart, edge=True),
        Case("two items that nobody rated both, without shrinkage", no_shrinkage, edge=True),
        Case("an item whose residuals are all 0", nothing, edge=True),
    ]


def _similarity_with(
    residuals,
    rated,
    shrinkage,
    *,
    co_rated=True,
    both_lengths=True,
    cosine=True,
    guarded=True,
    centre=False,
    count=lambda rated: rated.T @ rated,
    weight=lambda n, shrinkage: n / np.maximum(n + shrinkage, 1),
):
    """item_similarity with one thing done otherwise."""
    rated = rated.astype(float)
    if centre:
        residuals = (residuals - residuals.sum(0) / np.maximum(rated.sum(0), 1)) * rated
    squares = (residuals**2).T @ (rated if co_rated else np.ones_like(rated))
    dots, lengths = residuals.T @ residuals, np.sqrt(squares * (squares.T if both_lengths else squares))
    if not cosine:
        lengths = np.ones_like(lengths)
    similarity = np.divide(dots, lengths, out=np.zeros_like(dots), where=(lengths > 0) if guarded else True)
    return similarity * weight(count(rated), shrinkage)


def _empty_diagonal(residuals, rated, shrinkage):
    similarity = baselines.item_similarity(residuals, rated, shrinkage)
    np.fill_diagonal(similarity, 0)
    return similarity


ITEM_SIMILARITY = Exercise(
    id="1.5a",
    title="Similar items",
    name="item_similarity",
    params=("residuals", "rated", "shrinkage"),
    points=2,
    minutes=12,
    difficulty=3,
    cases=_similarity_cases,
    reference=baselines.item_similarity,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "lengths over all raters",
            partial(_similarity_with, co_rated=False),
            "Your dot products are over the users who rated both, your lengths over everybody who rated "
            "one. Which users should the two lengths be about?",
        ),
        Misconception(
            "one length twice",
            partial(_similarity_with, both_lengths=False),
            "Your table says something else of items 0 and 1 than of items 1 and 0. Whose two lengths "
            "stand below the line?",
        ),
        Misconception(
            "True counted once",
            partial(
                _similarity_with, weight=lambda n, shrinkage: (n > 0) / np.maximum((n > 0) + shrinkage, 1)
            ),
            "Every pair is shrunk as if one user had rated both: True and True, added up, is still True. "
            "What must rated become before a product of it can count?",
        ),
        Misconception(
            "no shrinkage",
            partial(_similarity_with, weight=lambda n, shrinkage: (n > 0).astype(float)),
            "That is the bare cosine. Two films that three people both liked then look as sure as two with "
            "three hundred: which argument should tell them apart?",
        ),
        Misconception(
            "count missing above",
            partial(_similarity_with, weight=lambda n, shrinkage: (n > 0) / np.maximum(n + shrinkage, 1)),
            "Your similarities become smaller when more users agree. What stands above the line in the "
            "shrinkage factor?",
        ),
        Misconception(
            "dot product only",
            partial(_similarity_with, cosine=False),
            "That is the dot product with shrinkage: large residuals alone make it large. What turns it "
            "into a cosine between -1 and 1?",
        ),
        Misconception(
            "users instead of items",
            lambda residuals, rated, shrinkage: baselines.item_similarity(residuals.T, rated.T, shrinkage),
            "Those are similarities between users. Which axis of the table should be summed away?",
        ),
        Misconception(
            "0 / 0",
            partial(
                _similarity_with,
                guarded=False,
                weight=lambda n, shrinkage: n / (n + shrinkage),
            ),
            "Some pairs have nothing to compare, and you divide 0 by 0 there. Which similarity "
            "should they get?",
        ),
        Misconception(
            "counts of one item",
            partial(_similarity_with, count=lambda rated: np.minimum.outer(rated.sum(0), rated.sum(0))),
            "Your shrinkage counts the ratings of one of the items. How many users rated both, and how can "
            "a matrix product count that?",
        ),
        Misconception(
            "centred again",
            partial(_similarity_with, centre=True),
            "You subtracted each item's mean once more, which gives a correlation. What have the biases "
            "already taken out of the residuals?",
        ),
        Misconception(
            "empty diagonal",
            _empty_diagonal,
            "All pairs are right except an item with itself. What does the formula give there? (The "
            "prediction leaves the item out later.)",
        ),
    ),
)


# ---- 1.5b knn_predict ----


def _knn(similarity, residuals, rated, user, item, k):
    return float(
        baselines.knn_predict(similarity, residuals, rated, np.array([user]), np.array([item]), k)[0]
    )


def _knn_cases(rng: np.random.Generator) -> list[Case]:
    def table(n_items, k, rates=None, least=-0.4, item=1):
        upper = np.triu(rng.uniform(least, 0.9, (n_items, n_items)), 1)
        residuals, rated = _residuals(rng, 4, n_items)
        if rates is not None:
            rated[0] = np.isin(np.arange(n_items), rates)
            residuals[0] *= rated[0]
        similarity = upper + upper.T + np.eye(n_items)
        return dict(similarity=similarity, residuals=residuals, rated=rated, user=0, item=item, k=k)

    tiny_similarity = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, 0.1], [0.25, 0.1, 1.0]])
    tiny = np.array([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0]])
    disliked = table(6, 3, rates=[0, 2, 4])
    disliked["similarity"][1, [0, 2, 4]] = disliked["similarity"][[0, 2, 4], 1] = [-0.3, -0.1, -0.2]
    nearest_unrated = table(12, 2, rates=[3, 5, 8, 11], least=0.05)
    nearest_unrated["similarity"][1, 0] = nearest_unrated["similarity"][0, 1] = 0.97
    mixed = table(8, 4, rates=[0, 2, 3, 5, 6])
    mixed["similarity"][1, [0, 2, 3, 5, 6]] = mixed["similarity"][[0, 2, 3, 5, 6], 1] = [
        0.7,
        -0.5,
        -0.2,
        0.3,
        -0.4,
    ]
    return [
        Case(
            "user 0, who rated two of three items",
            dict(similarity=tiny_similarity, residuals=tiny, rated=tiny != 0, user=0, item=0, k=2),
        ),
        Case("8 neighbours, of which 3 count", table(10, 3, rates=[0, 2, 3, 4, 6, 7, 8, 9], least=0.05)),
        Case("similar items that the user has not rated", nearest_unrated),
        Case("neighbours with negative similarity", mixed),
        Case("an item that the user has rated", table(7, 2, rates=[0, 1, 3, 4, 6], least=0.05), edge=True),
        Case("fewer neighbours than k", table(6, 10, rates=[0, 3], least=0.05), edge=True),
        Case("no neighbour with positive similarity", disliked, edge=True),
        Case("a user without ratings", table(5, 2, rates=[]), edge=True),
    ]


def _knn_with(
    similarity,
    residuals,
    rated,
    user,
    item,
    k,
    *,
    itself=False,
    unrated=False,
    late=False,
    negative=False,
    farthest=False,
    size=lambda s: s,
    predict=lambda s, x, k: (s * x).sum() / s.sum() if len(s) else 0.0,
):
    """knn_predict with one thing done otherwise."""
    row = similarity[item]
    candidates = np.arange(len(row))
    if not itself:
        candidates = candidates[candidates != item]
    if not unrated and not late:
        candidates = candidates[rated[user, candidates]]
    if not negative:
        candidates = candidates[row[candidates] > 0]
    order = np.argsort(size(row[candidates]) if farthest else -size(row[candidates]))
    nearest = candidates[order][:k]
    if late:
        nearest = nearest[rated[user, nearest]]
    return predict(row[nearest], residuals[user, nearest], k)


def _over_sizes(s, x, k):
    return (s * x).sum() / np.abs(s).sum() if len(s) else 0.0


def _other_users(similarity, residuals, rated, user, item, k):
    values = residuals[rated[:, item], item]
    return values.mean() if len(values) else 0.0


KNN_PREDICT = Exercise(
    id="1.5b",
    title="Prediction from the nearest items",
    name="knn_predict",
    params=("similarity", "residuals", "rated", "user", "item", "k"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_knn_cases,
    reference=_knn,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "the item itself",
            partial(_knn_with, itself=True),
            "The item counts as its own neighbour, so the answer is among the inputs. What would that do "
            "to your score on the training ratings?",
        ),
        Misconception(
            "unrated items too",
            partial(_knn_with, unrated=True),
            "Items that the user never rated take part, with a residual of 0. Whose opinions do you want "
            "to average?",
        ),
        Misconception(
            "k before rated",
            partial(_knn_with, late=True),
            "You took the k most similar items of all and then dropped those that the user had not rated, "
            "so fewer than k are left. Among which items should the k be chosen?",
        ),
        Misconception(
            "negative similarities",
            partial(_knn_with, negative=True),
            "Neighbours with a negative similarity take part, and in the sum below they cancel the others. "
            "Which neighbours does the formula keep?",
        ),
        Misconception(
            "opposites, nearest first",
            partial(_knn_with, negative=True, predict=_over_sizes),
            "Neighbours with a negative similarity take part, turned round. That is another known formula. "
            "Which neighbours does the one above keep?",
        ),
        Misconception(
            "opposites, strongest first",
            partial(_knn_with, negative=True, size=np.abs, predict=_over_sizes),
            "Neighbours that are strongly unlike take places among the k, turned round. That is another "
            "known formula. Which neighbours does the one above keep?",
        ),
        Misconception(
            "least similar",
            partial(_knn_with, farthest=True),
            "You took the k least similar neighbours. In which order does a sort put them?",
        ),
        Misconception(
            "plain mean",
            partial(_knn_with, predict=lambda s, x, k: x.mean() if len(s) else 0.0),
            "Your neighbours all weigh the same. Which of them should have more of a say?",
        ),
        Misconception(
            "not divided",
            partial(_knn_with, predict=lambda s, x, k: (s * x).sum()),
            "That is the weighted sum: with more neighbours it grows. What makes it a mean?",
        ),
        Misconception(
            "divided by k",
            partial(_knn_with, predict=lambda s, x, k: (s * x).sum() / k),
            "You divided by k. When two neighbours with similarity 0.1 agree on +1, what should come out, "
            "and what comes out of yours?",
        ),
        Misconception(
            "divided by the number of neighbours",
            partial(_knn_with, predict=lambda s, x, k: (s * x).sum() / len(s) if len(s) else 0.0),
            "You divided by the number of neighbours. When two neighbours with similarity 0.1 agree on +1, "
            "what should come out, and what comes out of yours?",
        ),
        Misconception(
            "0 / 0",
            partial(_knn_with, predict=lambda s, x, k: (s * x).sum() / s.sum()),
            "Here no neighbour is left, and you divide 0 by 0. What is the best guess for a residual about "
            "which nothing is known?",
        ),
        Misconception(
            "other users' ratings",
            _other_users,
            "That is what other users thought of this item. Which row of residuals tells what this user "
            "thought of other items?",
        ),
    ),
)


# ---- 1.6 sgd_step ----


def _sgd_step(
    user_vec,
    item_vec,
    user_bias,
    item_bias,
    mean,
    rating,
    lr,
    reg,
    *,
    dot=True,
    biases=True,
    with_mean=True,
    sign=1,
    factor=1,
    bias_reg=True,
    decay=None,
    sequential=False,
    own_vector=False,
    summed=True,
):
    """The reference; with keywords, one thing done otherwise."""
    match = user_vec @ item_vec if summed else user_vec * item_vec
    prediction = with_mean * mean + biases * (user_bias + item_bias) + dot * match
    error = rating - prediction
    pull = lr * reg if decay is None else decay(lr, reg)
    step = sign * factor * lr * error
    across = (user_vec, item_vec) if own_vector else (item_vec, user_vec)
    new_user = user_vec + step * across[0] - pull * user_vec
    new_item = item_vec + step * (new_user if sequential else across[1]) - pull * item_vec
    new_biases = (bias + step - bias_reg * pull * bias for bias in (user_bias, item_bias))
    return new_user, new_item, *new_biases


def _in_place(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg):
    new_user, new_item, *biases = _sgd_step(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg)
    user_vec[:], item_vec[:] = new_user, new_item
    return user_vec, item_vec, *biases


def _changes_only(user_vec, item_vec, user_bias, item_bias, *numbers_):
    old = user_vec, item_vec, user_bias, item_bias
    return tuple(new - before for new, before in zip(_sgd_step(*old, *numbers_), old, strict=True))


def _in_place_one_by_one(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg):
    error = rating - (mean + user_bias + item_bias + user_vec @ item_vec)
    user_vec += lr * (error * item_vec - reg * user_vec)
    item_vec += lr * (error * user_vec - reg * item_vec)
    return (
        user_vec,
        item_vec,
        user_bias + lr * (error - reg * user_bias),
        item_bias + lr * (error - reg * item_bias),
    )


def _sgd_cases(rng: np.random.Generator) -> list[Case]:
    def state(dim, rating, lr=0.1, reg=0.2):
        p, q = rng.normal(0, 1, (2, dim)) * rng.uniform(0.8, 1.2)
        b_u, b_i = rng.uniform(0.2, 0.6, 2) * rng.choice([-1, 1], 2)
        return dict(
            user_vec=p, item_vec=q, user_bias=b_u, item_bias=b_i, mean=3.5, rating=rating, lr=lr, reg=reg
        )

    tiny = dict(user_vec=np.array([1.0, 0.5]), item_vec=np.array([0.5, 1.0]), user_bias=0.5, item_bias=-0.25)
    fits = state(3, 0.0, lr=0.5)
    fits["rating"] = float(3.5 + fits["user_bias"] + fits["item_bias"] + fits["user_vec"] @ fits["item_vec"])
    start = state(4, 5.0) | dict(user_vec=np.zeros(4), item_vec=np.zeros(4))
    return [
        Case("two factors", tiny | dict(mean=3.0, rating=5.0, lr=0.1, reg=0.2)),
        Case("three factors, a rating of 5", state(3, 5.0)),
        Case("eight factors, a rating of 1", state(8, 1.0, 0.05, 0.4)),
        Case("no regularisation", state(3, 4.0, reg=0.0), edge=True),
        Case("a prediction that is already right", fits, edge=True),
        Case("vectors of zeros", start, edge=True),
    ]


SGD_STEP = Exercise(
    id="1.6",
    title="One step of gradient descent by hand",
    name="sgd_step",
    params=("user_vec", "item_vec", "user_bias", "item_bias", "mean", "rating", "lr", "reg"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_sgd_cases,
    reference=_sgd_step,
    verdict=Equal(names=("user_vec", "item_vec", "user_bias", "item_bias"), rtol=1e-5, atol=1e-7),
    misconceptions=(
        Misconception(
            "one after the other",
            partial(_sgd_step, sequential=True),
            "Your item vector was moved with the user vector that had already been moved. At which point "
            "are the two gradients taken?",
        ),
        Misconception(
            "in place, one after the other",
            _in_place_one_by_one,
            "`+=` writes into the caller's array, and the item vector then sees the user vector after its "
            "step. How can both gradients be taken before anything changes?",
        ),
        Misconception(
            "in place",
            _in_place,
            "The values are right, but the caller's vectors were overwritten. Which operation makes a new "
            "array instead of writing into the old one?",
        ),
        Misconception(
            "uphill",
            partial(_sgd_step, sign=-1),
            "The error grows: the step goes up the slope. With a prediction that is too low, which way "
            "should the biases move?",
        ),
        Misconception(
            "no regularisation",
            partial(_sgd_step, decay=lambda lr, reg: 0.0),
            "The error's part is right. Which other term does the loss have, and which argument have you "
            "not used?",
        ),
        Misconception(
            "regularisation without lr",
            partial(_sgd_step, decay=lambda lr, reg: reg),
            "The regularisation pulls at full strength. Which parts of the gradient does the learning rate "
            "scale?",
        ),
        Misconception(
            "regularisation away from 0",
            partial(_sgd_step, decay=lambda lr, reg: -lr * reg),
            "The regularisation pushes the weights away from 0. In which direction does a penalty on large "
            "weights pull?",
        ),
        Misconception(
            "biases not regularised",
            partial(_sgd_step, bias_reg=False),
            "The vectors are right. The loss has a penalty on four quantities: which two did you leave out?",
        ),
        Misconception(
            "twice the error",
            partial(_sgd_step, factor=2),
            "Your error counts twice. The loss is written with a factor in front of the square: what does "
            "its derivative become?",
        ),
        Misconception(
            "prediction without biases",
            partial(_sgd_step, biases=False),
            "Your error is that of a prediction without the two biases. Of which parts does the prediction "
            "consist?",
        ),
        Misconception(
            "prediction without mean",
            partial(_sgd_step, with_mean=False),
            "Your error is that of a prediction that does not start from the mean. How large is a typical "
            "rating, and how large is a typical dot product?",
        ),
        Misconception(
            "dot product alone",
            partial(_sgd_step, biases=False, with_mean=False),
            "Your error is that of a prediction by the two vectors alone. Of which four parts does the "
            "prediction consist?",
        ),
        Misconception(
            "product not summed",
            partial(_sgd_step, summed=False),
            "Your error is an array with one number per factor, but a rating is a single number. What "
            "turns two vectors into one number?",
        ),
        Misconception(
            "changes only",
            _changes_only,
            "Those are the changes alone. What does the docstring want back: a change, or the new value?",
        ),
        Misconception(
            "own vector",
            partial(_sgd_step, own_vector=True),
            "You moved each vector along itself. Derive p @ q by p: what is left?",
        ),
    ),
)


# ---- 1.7 MatrixFactorization.forward ----

_WEIGHTS = ("user_emb.weight", "item_emb.weight", "user_bias.weight", "item_bias.weight", "global_bias")


def _forward(cls, n_users, n_items, dim, mean, weights, users, items):
    return run_forward(cls, dict(n_users=n_users, n_items=n_items, dim=dim, mean=mean), weights, users, items)


def _forward_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, dim, n_users=7, n_items=9):
        shapes = ((n_users, dim), (n_items, dim), (n_users, 1), (n_items, 1), ())
        weights = {name: rng.normal(0, 0.7, shape) for name, shape in zip(_WEIGHTS, shapes, strict=True)}
        weights["global_bias"] = np.array(3.6 + rng.uniform(-0.3, 0.3))
        users, items = rng.integers(0, n_users, batch), rng.integers(0, n_items, batch)
        users[0] = items[-1] = 6  # beyond what a table of five rows has
        return setup(n_users, n_items, dim, weights, users, items)

    def setup(n_users, n_items, dim, weights, users, items):
        sizes = dict(n_users=n_users, n_items=n_items, dim=dim, mean=3.0)
        return sizes | dict(weights=weights, users=torch.tensor(users), items=torch.tensor(items))

    hand = ([[1.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [0.5, 1.0]], [[0.5], [-0.5]], [[-1.0], [0.25]], 3.0)
    tiny = {name: np.array(values) for name, values in zip(_WEIGHTS, hand, strict=True)}
    words = (
        "users 0 and 1 (vectors [1, 0] and [1, 2], biases 0.5 and -0.5) with items 0 and 1 (vectors [2, 1] "
        "and [0.5, 1], biases -1 and 0.25), global bias 3"
    )
    return [
        Case(words, setup(2, 2, 2, tiny, [0, 1], [0, 1])),
        Case("a batch of 5 with 3 factors", random(5, 3)),
        Case("a batch of 32 with 8 factors", random(32, 8)),
        Case("a batch of one", random(1, 4), edge=True),
        Case("a batch of 4 with a single factor", random(4, 1), edge=True),
    ]


def _mf(forward) -> type[nn.Module]:
    return type("MatrixFactorization", (models.MatrixFactorization,), {"forward": forward})


def _dot(self, users, items):
    return (self.user_emb(users) * self.item_emb(items)).sum(1)


def _biases(self, users, items):
    return self.user_bias(users).squeeze(1) + self.item_bias(items).squeeze(1)


FORWARD = Exercise(
    id="1.7",
    title="Matrix factorization in PyTorch",
    name="MatrixFactorization",
    params=("users", "items"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_forward_cases,
    reference=models.MatrixFactorization,
    call=_forward,
    method="forward",
    verdict=Property(check_forward),
    misconceptions=(
        Misconception(
            "B x B",
            _mf(lambda m, u, i: _dot(m, u, i) + m.user_bias(u) + m.item_bias(i) + m.global_bias),
            "A bias looked up in a table has shape [B, 1]; added to [B] it is spread out to [B, B], "
            "without an error. Which shape should each term have before you add?",
        ),
        Misconception(
            "squeeze all",
            _mf(
                lambda m, u, i: (
                    (
                        (m.user_emb(u) * m.item_emb(i)).sum(1, keepdim=True) + m.user_bias(u) + m.item_bias(i)
                    ).squeeze()
                    + m.global_bias
                )
            ),
            "squeeze() without an argument drops every axis of size 1. Which axis has size 1 here that "
            "should stay?",
        ),
        Misconception(
            "column",
            _mf(
                lambda m, u, i: (
                    ((m.user_emb(u) * m.item_emb(i)).sum(1, keepdim=True) + m.user_bias(u) + m.item_bias(i))
                    + m.global_bias
                )
            ),
            "Your numbers stand in a column. The ratings they are compared with have shape [B]: which axis "
            "is too many?",
        ),
        Misconception(
            "all pairs",
            _mf(lambda m, u, i: m.user_emb(u) @ m.item_emb(i).T + _biases(m, u, i) + m.global_bias),
            "You multiplied every user of the batch with every item of the batch. With which item does "
            "each user go?",
        ),
        Misconception(
            "sum over the batch",
            _mf(
                lambda m, u, i: (m.user_emb(u) * m.item_emb(i)).sum(0) + _biases(m, u, i) + m.global_bias,
            ),
            "You summed over the batch, not over the factors. Which axis of [B, D] should be left?",
        ),
        Misconception(
            "sum over everything",
            _mf(lambda m, u, i: (m.user_emb(u) * m.item_emb(i)).sum() + _biases(m, u, i) + m.global_bias),
            "You summed over the factors and over the batch, so that every pair gets the same number. "
            "Which axis of [B, D] should be left?",
        ),
        Misconception(
            "mean over factors",
            _mf(lambda m, u, i: (m.user_emb(u) * m.item_emb(i)).mean(1) + _biases(m, u, i) + m.global_bias),
            "You averaged the products of the factors. What does a dot product do with them?",
        ),
        Misconception(
            "no user bias",
            _mf(lambda m, u, i: _dot(m, u, i) + m.item_bias(i).squeeze(1) + m.global_bias),
            "That is the prediction for a user who is neither generous nor strict. Which table have you "
            "not used?",
        ),
        Misconception(
            "no item bias",
            _mf(lambda m, u, i: _dot(m, u, i) + m.user_bias(u).squeeze(1) + m.global_bias),
            "That is the prediction for a film that is neither popular nor unpopular. Which table have you "
            "not used?",
        ),
        Misconception(
            "no global bias",
            _mf(lambda m, u, i: _dot(m, u, i) + _biases(m, u, i)),
            "Your predictions scatter around 0. Where do ratings scatter, and which weight knows that?",
        ),
        Misconception(
            "no vectors",
            _mf(lambda m, u, i: _biases(m, u, i) + m.global_bias),
            "Those are the biases alone: every user would get the same ranking of films. What makes it "
            "personal?",
        ),
        Misconception(
            "clipped",
            _mf(lambda m, u, i: (_dot(m, u, i) + _biases(m, u, i) + m.global_bias).clamp(1, 5)),
            "You clip to the scale from 1 to 5 in the model. Which gradient does a prediction get in "
            "training while it is clipped?",
        ),
        Misconception(
            "detached",
            _mf(lambda m, u, i: (_dot(m, u, i) + _biases(m, u, i) + m.global_bias).detach()),
            "The result is cut off from the weights, so that nothing could be learned. Which call does "
            "that (detach, data, item, no_grad)?",
        ),
    ),
)


# ---- 1.8 train_epoch ----

_LR = 0.05


class _Recorder(models.MatrixFactorization):
    """Matrix factorization that notes which pairs are predicted with gradients on."""

    def forward(self, users, items):
        predictions = super().forward(users, items)
        if torch.is_grad_enabled():
            self.seen.append((users.detach().flatten().tolist(), items.detach().flatten().tolist()))
        return predictions


class _Descent:
    """Plain gradient descent. torch.optim takes seconds at its first use in a process; a check may not."""

    def __init__(self, parameters):
        self.param_groups = [{"params": list(parameters), "lr": _LR}]

    def zero_grad(self, set_to_none: bool = True):
        for p in self.param_groups[0]["params"]:
            p.grad = None if set_to_none or p.grad is None else torch.zeros_like(p)

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p -= _LR * p.grad


def _prepared(setup: dict[str, Any]) -> tuple[_Recorder, _Descent]:
    model = _Recorder(setup["n_users"], setup["n_items"], 3, mean=3.0)
    model.seen = []
    generator = torch.Generator().manual_seed(setup["seed"])
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name != "global_bias":
                p.copy_(setup["std"] * torch.randn(p.shape, generator=generator))
    return model, _Descent(model.parameters())


def _flat(model: nn.Module) -> np.ndarray:
    return np.concatenate([p.detach().flatten().numpy() for p in model.parameters()])


def _run_epochs(train_epoch, users, items, ratings, batch_size, setup):
    """Two epochs in a row, with their batches; and once more with another state of the global generator."""
    row_of = {pair: row for row, pair in enumerate(zip(users.tolist(), items.tolist(), strict=True))}
    runs = []
    for noise in (1, 2):
        model, optimizer = _prepared(setup)
        generator = torch.Generator().manual_seed(setup["seed"])
        torch.default_generator.manual_seed(noise)
        epochs = []
        for _ in range(2):
            model.seen = []
            returned = train_epoch(model, optimizer, users, items, ratings, batch_size, generator)
            pairs = [zip(*batch, strict=False) for batch in model.seen]
            epochs.append((returned, [np.array([row_of.get(p, -1) for p in batch], int) for batch in pairs]))
        runs.append(recording(epochs, _flat(model)))
    return tuple(runs)


def _replay(
    args: Args, batches: list[np.ndarray], *, zero=True, step=True, reduction="mean", in_file_order=False
):
    """The weights after these batches and the mean loss of each; right, or in a known wrong way."""
    model, optimizer = _prepared(args["setup"])
    users, items, ratings = args["users"], args["items"], args["ratings"]
    losses_, start = np.zeros(len(batches)), 0
    for number, rows in enumerate(map(torch.as_tensor, batches)):
        predictions = model(users[rows], items[rows])
        positions = (start + torch.arange(len(rows))) % len(ratings)
        targets = ratings[positions if in_file_order else rows]
        start += len(rows)
        if zero:
            optimizer.zero_grad()
        loss = F.mse_loss(predictions, targets, reduction=reduction)
        loss.backward()
        if step:
            optimizer.step()
        losses_[number] = F.mse_loss(predictions, targets).item()
    return _flat(model), losses_


def _train_epoch(
    model,
    optimizer,
    users,
    items,
    ratings,
    batch_size,
    generator,
    *,
    order=lambda n, generator: torch.randperm(n, generator=generator),
    drop_last=False,
    zero=True,
    step=True,
    reduction="mean",
    in_file_order=False,
    loss_of_epoch=lambda losses, sizes: np.average(losses, weights=sizes),
):
    """The reference; with keywords, one thing done otherwise."""
    n = len(ratings)
    rows_of_epoch = order(n, generator)
    losses_, sizes = [], []
    for start in range(0, n - (batch_size - 1) * drop_last, batch_size):
        rows = rows_of_epoch[start : start + batch_size]
        targets = ratings[start : start + batch_size] if in_file_order else ratings[rows]
        predictions = model(users[rows], items[rows])
        loss = losses.mse(predictions, targets)
        if zero:
            optimizer.zero_grad()
        (loss * len(rows) if reduction == "sum" else loss).backward()
        if step:
            optimizer.step()
        losses_.append(loss.item())
        sizes.append(len(rows))
    return float(loss_of_epoch(np.array(losses_), np.array(sizes)))


def _one_batch(model, optimizer, users, items, ratings, batch_size, generator):
    return _train_epoch(model, optimizer, users, items, ratings, len(ratings), generator)


def _same_order(n, generator):
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))


def _epoch_cases(rng: np.random.Generator) -> list[Case]:
    def ratings_of(n, n_users, n_items, batch_size):
        pairs = rng.permutation(n_users * n_items)[:n]
        return dict(
            users=torch.tensor(pairs // n_items),
            items=torch.tensor(pairs % n_items),
            ratings=torch.tensor(rng.integers(1, 6, n), dtype=torch.float32),
            batch_size=batch_size,
            setup=dict(n_users=n_users, n_items=n_items, std=0.5, seed=int(rng.integers(1_000_000))),
        )

    tiny = dict(
        users=torch.tensor([0, 0, 1]),
        items=torch.tensor([0, 1, 0]),
        ratings=torch.tensor([5.0, 1.0, 4.0]),
        batch_size=2,
        setup=dict(n_users=2, n_items=2, std=0.0, seed=1),
    )
    return [
        Case("ratings 5, 1 and 4 in batches of 2, all predictions 3 at the start", tiny),
        Case("24 ratings in batches of 8", ratings_of(24, 5, 8, 8)),
        Case("30 ratings in batches of 10", ratings_of(30, 6, 7, 10)),
        Case("26 ratings in batches of 8: the last has 2", ratings_of(26, 6, 7, 8), edge=True),
        Case("15 ratings in a batch of 64", ratings_of(15, 5, 5, 64), edge=True),
    ]


TRAIN_EPOCH = Exercise(
    id="1.8",
    title="The training epoch",
    name="train_epoch",
    params=("model", "optimizer", "users", "items", "ratings", "batch_size", "generator"),
    points=4,
    minutes=12,
    difficulty=3,
    cases=_epoch_cases,
    reference=_train_epoch,
    call=_run_epochs,
    verdict=Trained(
        updates={
            "right": _replay,
            "no zero_grad": partial(_replay, zero=False),
            "no step": partial(_replay, step=False),
            "summed loss": partial(_replay, reduction="sum"),
            "ratings in file order": partial(_replay, in_file_order=True),
        },
        n_rows=lambda args: len(args["ratings"]),
    ),
    misconceptions=(
        Misconception(
            "no zero_grad",
            partial(_train_epoch, zero=False),
            "From the second batch on, your steps contain the gradients of the batches before. When are "
            "they cleared?",
        ),
        Misconception(
            "no step",
            partial(_train_epoch, step=False),
            "Gradients may be there, but no weight moved. Which call changes the weights, and are the "
            "gradients still there when it comes?",
        ),
        Misconception(
            "summed loss",
            partial(_train_epoch, reduction="sum"),
            "Your steps are larger by the number of rows in the batch. Should the step depend on how many "
            "rows a batch has?",
        ),
        Misconception(
            "ratings in file order",
            partial(_train_epoch, in_file_order=True),
            "Users and items were shuffled, the ratings were not: the model learns other people's ratings. "
            "How do you keep the three parts of a row together?",
        ),
        Misconception(
            "no shuffle",
            partial(_train_epoch, order=lambda n, generator: torch.arange(n)),
            "Every epoch goes through the file in the same order. What is the generator for?",
        ),
        Misconception(
            "generator not used",
            partial(_train_epoch, order=lambda n, generator: torch.randperm(n)),
            "You shuffle, but with torch's global randomness, so that a run cannot be repeated. Which "
            "argument should the shuffle draw from?",
        ),
        Misconception(
            "the same shuffle again",
            partial(_train_epoch, order=_same_order),
            "Your shuffle is seeded inside the function, so that every epoch has the same order. Who "
            "should decide about the seed?",
        ),
        Misconception(
            "last batch dropped",
            partial(_train_epoch, drop_last=True),
            "The rows of the last, smaller batch are never trained on. Where does your loop end, and where "
            "does the data?",
        ),
        Misconception(
            "one batch",
            _one_batch,
            "You made one step with all rows at once. How many steps should an epoch of n rows have?",
        ),
        Misconception(
            "mean of batch means",
            partial(_train_epoch, loss_of_epoch=lambda losses, sizes: losses.mean()),
            "In the loss that you return, a small last batch counts as much as a full one. How much "
            "should each batch count?",
        ),
        Misconception(
            "loss of the last batch",
            partial(_train_epoch, loss_of_epoch=lambda losses, sizes: losses[-1]),
            "You return the loss of the last batch only. What should the number say about the other batches?",
        ),
        Misconception(
            "sum of batch losses",
            partial(_train_epoch, loss_of_epoch=lambda losses, sizes: losses.sum()),
            "The loss that you return grows with the number of batches. Per what should it be?",
        ),
        Misconception(
            "sum over rows",
            partial(_train_epoch, loss_of_epoch=lambda losses, sizes: (losses * sizes).sum()),
            "You return the total over all rows. Could you compare it between data of different size?",
        ),
        Misconception(
            "batch means over rows",
            partial(_train_epoch, loss_of_epoch=lambda losses, sizes: losses.sum() / sizes.sum()),
            "You added up one mean per batch and divided by the number of rows: how many rows stand behind "
            "each mean?",
        ),
    ),
)


# ---- 1.9 top_k_unseen ----


def _top_k_unseen(scores, seen, k):
    masked = np.asarray(scores, dtype=float).copy()
    masked[seen] = -np.inf
    return np.argsort(-masked, kind="stable")[: min(k, len(scores) - len(np.unique(seen)))]


def _top_k_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_items, n_seen, k, shift=0.0):
        scores = rng.normal(0, 1, n_items) + shift
        best = np.argsort(-scores)
        seen = np.r_[
            best[:1], rng.choice(best[1:], max(n_seen - 1, 0), replace=False)
        ]  # the best one is seen
        return {"scores": scores, "seen": rng.permutation(seen), "k": k}

    tied = {"scores": np.array([0.5, 0.9, 0.5, 0.5, 0.1, 0.9]), "seen": np.array([1]), "k": 3}
    return [
        Case("four items", {"scores": np.array([0.1, 0.9, 0.5, 0.7]), "seen": np.array([1]), "k": 2}),
        Case("40 items, 10 of them seen", random(40, 10, 5)),
        Case("30 items with negative scores, 12 of them seen", random(30, 12, 8, shift=-6.0)),
        Case("tied scores", tied, edge=True),
        Case("nothing seen", random(9, 4, 3) | {"seen": np.array([], dtype=np.int64)}, edge=True),
        Case("fewer unseen items than k", random(8, 6, 5), edge=True),
        Case("everything seen", random(5, 5, 3), edge=True),
    ]


def _readable_items(args: Args, got: Plain) -> np.ndarray | None:
    items = got.array
    if items is None or items.ndim != 1 or not whole(got):
        return None
    items = items.astype(int)
    return items if ((items >= 0) & (items < len(args["scores"]))).all() else None


def _check_top_k(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    scores, seen, n = args["scores"], args["seen"], len(expected.array)
    if got.array is None or got.array.ndim != 1:
        ask = "What should a list of recommendations look like?"
        return Complaint(f"got {describe(got)}", f"{n} item numbers", ask)
    items = _readable_items(args, got)
    if items is None:
        ask = "Is what you return an item, or something that belongs to the item?"
        return Complaint(f"got {describe(got)}", f"item numbers between 0 and {len(scores) - 1}", ask)
    if len(items) != n:
        ask = "How many unseen items are there, and when do you cut the list?"
        return Complaint(f"got {numbers(items)}", "no items" if n == 0 else f"{n} item{'s' * (n > 1)}", ask)
    if len(np.unique(items)) < n:
        return Complaint(
            f"got {numbers(items)}", "each item at most once", "Where does an item come in twice?"
        )
    if (old := np.intersect1d(items, seen)).size:
        seen_words = f"got {numbers(items)}, of which {numbers(old)} were seen"
        return Complaint(seen_words, "only unseen items", "At which step do the seen items leave?")
    if not np.allclose(scores[items], scores[expected.array]):
        got_scores, right = numbers(scores[items], 3), numbers(scores[expected.array], 3)
        ask = "Which of the unseen items has the best score, and where is it in your list?"
        return Complaint(
            f"got items {numbers(items)} with the scores {got_scores}", f"the scores {right}", ask
        )
    return None


def _scores_of_items(args: Args, got: Plain) -> Plain:
    """Scores instead of items, so that tied items are the same answer."""
    items = _readable_items(args, got)
    if items is None or not items.size:
        return got
    was_seen = np.isin(items, args["seen"])
    return Plain("tuple", None, (Plain("array", args["scores"][items]), Plain("array", was_seen)))


def _top_k_with(scores, seen, k, *, copy=True, fill=-np.inf, mask=True, cut=True, sign=-1):
    masked = scores.copy() if copy else scores
    if mask:
        masked[seen] = fill
    n = min(k, len(scores) - len(seen)) if cut else k
    return np.argsort(sign * masked, kind="stable")[:n]


def _late_filter(scores, seen, k):
    best = np.argsort(-scores, kind="stable")[:k]
    return best[~np.isin(best, seen)]


def _without_seen(scores, seen, k):
    return np.argsort(-np.delete(scores, seen), kind="stable")[:k]


def _lowest_id_first(scores, seen, k):
    return np.sort(_top_k_unseen(scores, seen, k))


def _best_last(scores, seen, k):
    return _top_k_unseen(scores, seen, k)[::-1]


TOP_K_UNSEEN = Exercise(
    id="1.9",
    title="The best unseen films",
    name="top_k_unseen",
    params=("scores", "seen", "k"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_top_k_cases,
    reference=_top_k_unseen,
    verdict=Property(_check_top_k, normalise=_scores_of_items),
    misconceptions=(
        Misconception(
            "seen items kept",
            partial(_top_k_with, mask=False, cut=False),
            "You recommend what the user already knows. Which argument tells you what to leave out?",
        ),
        Misconception(
            "scores overwritten, list padded",
            partial(_top_k_with, copy=False, cut=False),
            "You wrote into the caller's scores, and they are needed again later. What could you work on "
            "instead?",
        ),
        Misconception(
            "scores overwritten",
            partial(_top_k_with, copy=False),
            "The items are right, but you wrote into the caller's scores. What could you work on instead?",
        ),
        Misconception(
            "padded with seen items",
            partial(_top_k_with, cut=False),
            "Fewer than k items are unseen, and seen ones fill the end of your list. How long can the list "
            "be?",
        ),
        Misconception(
            "seen items at zero",
            partial(_top_k_with, fill=0.0, cut=False),
            "You gave the seen items a score of 0. When all scores are negative, where does 0 stand?",
        ),
        Misconception(
            "filtered too late",
            _late_filter,
            "You took the top k first and dropped the seen ones afterwards, so that places stay empty. "
            "Which of the two steps should come first?",
        ),
        Misconception(
            "positions among the unseen",
            _without_seen,
            "Your numbers are positions in the shorter list of unseen items. Which items of the full list "
            "do they stand for?",
        ),
        Misconception(
            "worst first",
            lambda scores, seen, k: _top_k_unseen(-scores, seen, k),
            "Those are the worst of the unseen items. In which order does a sort put them?",
        ),
        Misconception(
            "best last",
            _best_last,
            "The items are right, but the best comes last. Which place does a reader look at first?",
        ),
        Misconception(
            "sorted by item number",
            _lowest_id_first,
            "The items are right, but in the order of their numbers. By what should a list of "
            "recommendations be sorted?",
        ),
        Misconception(
            "scores returned",
            lambda scores, seen, k: scores[_top_k_unseen(scores, seen, k)],
            "Those are the scores of the right items. Can you tell from a score which film it is?",
        ),
    ),
)


EXERCISES = (
    DENSE_IDS,
    TEMPORAL_SPLIT,
    RMSE,
    FIT_BIASES,
    ITEM_SIMILARITY,
    KNN_PREDICT,
    SGD_STEP,
    FORWARD,
    TRAIN_EPOCH,
    TOP_K_UNSEEN,
)
