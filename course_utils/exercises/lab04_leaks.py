"""The exercise of Lab 4 in which planted leaks are to be found (4.8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from course_utils.exercises.calls_lab04 import call_for_names
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.plain import Plain, describe
from course_utils.exercises.verdicts import NO_RETURN, Complaint, Property

Args = dict[str, Any]

LEAKS = ("shared_pairs", "future_in_training", "spared_negatives", "features_from_held_out")

_MISSED = {
    "shared_pairs": "Which pairs of a user and an item stand in both parts, whatever their times?",
    "future_in_training": "Which training rows are later than the test row of the same user?",
    "spared_negatives": "Which test pairs may the sampler never draw, and does training explain that?",
    "features_from_held_out": "What would popularity be, counted from the training rows alone?",
}
_FALSELY_ACCUSED = {
    "shared_pairs": "Does the same user have the same item in both parts, or do two users share an item?",
    "future_in_training": "Whose test row is that training row later than, and is the same moment later?",
    "spared_negatives": "Which exclusions concern a test pair, and which of those does training explain?",
    "features_from_held_out": "Does popularity differ from a count of the training rows, at any item?",
}


# ---- cases: a clean pipeline with things in it that look like leaks, and the leaks ----


def _clean(rng: np.random.Generator, n_users: int, n_items: int, plain: bool) -> Args:
    """Each user's last row is the test row; nothing leaks.

    What looks like a leak and is none: test items are in other users' training; the last items never occur
    in training; and, where it is not plain, other users' training rows are later, user 0 has a training row
    at the very moment of the test row, and two pairs are excluded that are neither training nor test.
    """
    train, test = [], []
    for user in range(n_users):
        items = rng.permutation(n_items - 2)[: int(rng.integers(4, 7))]
        times = np.sort(rng.choice(900, len(items), replace=False)) + 100 * (user % 3)
        if plain:
            times[-1] += 2000
        elif user == 0:
            times[-2] = times[-1]
        rows = np.column_stack([np.full(len(items), user), items, times]).tolist()
        train += rows[:-1]
        test += rows[-1:]
    own = [item for user, item, _ in train + test if user == 0]
    asked_for = {item for user, item, _ in test if user in (1, 2)}
    train += [[0, item, train[0][2]] for item in asked_for if item not in own]
    train, test = np.array(train), np.array(test)
    excluded = _pairs(train, n_users, n_items)
    free = np.argwhere(~excluded & ~_pairs(test, n_users, n_items))
    if not plain:
        excluded[tuple(rng.choice(free, 2, replace=False).T)] = True
    parts = {"train": rng.permutation(train), "test": rng.permutation(test), "excluded": excluded}
    return parts | _count(train, n_items)


def _count(train: np.ndarray, n_items: int) -> dict[str, np.ndarray]:
    return {"popularity": np.bincount(train[:, 1], minlength=n_items)}


def _pairs(rows: np.ndarray, n_users: int, n_items: int) -> np.ndarray:
    table = np.zeros((n_users, n_items), dtype=bool)
    table[rows[:, 0], rows[:, 1]] = True
    return table


def _plant(args: Args, leaks: tuple[str, ...], rng: np.random.Generator) -> Args:
    """The pipeline with these leaks, in a few rows only; where all are planted, all test pairs are spared."""
    train, test, excluded = args["train"], args["test"], args["excluded"].copy()
    n_items, extra = excluded.shape[1], []
    some = rng.permutation(len(test))
    if "shared_pairs" in leaks:  # at another time, as when a film is watched twice
        user, item, time = test[some[0]]
        extra.append([user, item, min(time, train[train[:, 0] == user, 2].min(initial=time)) - 1])
    if "future_in_training" in leaks:
        user, item, time = test[rng.choice(test[:, 2].argsort()[: len(test) // 2])]
        free = np.setdiff1d(np.arange(n_items - 2), [*train[train[:, 0] == user, 1], item])
        extra.append([user, rng.choice(free), time + 1])
    train = rng.permutation(np.vstack([train, *extra])) if extra else train
    excluded |= _pairs(train, *excluded.shape)
    if "spared_negatives" in leaks:
        spared = some if leaks == LEAKS else some[1 : 1 + len(test) // 2]
        excluded[tuple(test[spared, :2].T)] = True
    popularity = _count(train, n_items)["popularity"]
    if "features_from_held_out" in leaks:
        popularity = popularity + np.bincount(test[:, 1], minlength=n_items)
    return {"train": train, "test": test, "excluded": excluded, "popularity": popularity}


def _leak_cases(rng: np.random.Generator) -> list[Case]:
    def case(n_users, n_items, *leaks, plain=False):
        clean = _clean(rng, n_users, n_items, plain)
        return Case(f"a pipeline of {n_users} users and {n_items} items", _plant(clean, leaks, rng))

    # user 0: item 0, then 2 at the test; user 1: item 2, then 1 at the test, which is never drawn
    hand = {
        "train": np.array([[0, 0, 5], [1, 2, 8]]),
        "test": np.array([[0, 2, 7], [1, 1, 9]]),
        "excluded": np.array([[True, False, False], [False, True, True]]),
        "popularity": np.array([1, 0, 1]),
    }
    shared, future, spared, features = LEAKS
    stranger = case(5, 12, spared).args
    stranger["test"] = np.vstack([stranger["test"], [5, 1, 10]])
    stranger["excluded"] = np.vstack([stranger["excluded"], np.zeros((1, 12), dtype=bool)])
    unasked = case(6, 13, spared).args
    unasked["test"] = unasked["test"][unasked["test"][:, 0] != 3]
    swapped = case(8, 17).args  # in the count, some training rows are replaced by the test rows
    n_test = len(swapped["test"])
    swapped["popularity"] = _count(np.vstack([swapped["train"][n_test:], swapped["test"]]), 17)["popularity"]
    return [
        Case("two users", hand),
        case(6, 14),
        case(9, 20, shared, features),
        case(12, 20, future, spared),
        case(8, 16, *LEAKS),
        case(7, 15, shared, plain=True),
        case(10, 18, future, features),
        Case("a test user without any training row", stranger, edge=True),
        Case("a user without a test row", unasked, edge=True),
        Case("popularity of as many rows, some of them held out", swapped, edge=True),
    ]


# ---- the answer ----


def _shared(train, test, excluded, popularity):
    pairs = set(map(tuple, train[:, :2].tolist()))
    return any(tuple(pair) in pairs for pair in test[:, :2].tolist())


def _future(train, test, excluded, popularity, *, later=np.greater):
    asked = {user: time for user, _, time in test.tolist()}
    return any(later(time, asked.get(user, np.inf)) for user, _, time in train.tolist())


def _spared(train, test, excluded, popularity):
    unexplained = excluded & ~_pairs(train, *excluded.shape)
    return unexplained[test[:, 0], test[:, 1]].any()


def _features(train, test, excluded, popularity):
    return (popularity != _count(train, len(popularity))["popularity"]).any()


def _leaks_with(
    train,
    test,
    excluded,
    popularity,
    *,
    shared=_shared,
    future=_future,
    spared=_spared,
    features=_features,
    report=lambda found: found,
):
    """find_leaks with one thing done otherwise."""
    finders = zip(LEAKS, (shared, future, spared, features), strict=True)
    return report({name for name, finder in finders if finder(train, test, excluded, popularity)})


def _first_only(found):
    return {name for name in LEAKS if name in found and name == min(found, key=LEAKS.index)}


def _later_than_the_last(train, test, excluded, popularity):
    return train[:, 2].max() > test[:, 2].max()


def _of(leak: str, finder: Callable) -> Callable:
    names = dict(zip(LEAKS, ("shared", "future", "spared", "features"), strict=True))
    return partial(_leaks_with, **{names[leak]: finder})


def _check_leaks(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    names = got.array
    if names is None or names.ndim != 1 or (names.size and names.dtype.kind != "U"):
        ask = NO_RETURN if got.what == "None" else "Which names does the docstring list, and in what?"
        return Complaint(f"got {describe(got)}", "a set of names of leaks", ask)
    found, right = set(names.tolist()), set(expected.array.tolist())
    if unknown := sorted(found - set(LEAKS)):
        ask = "How are they spelt in the docstring?"
        return Complaint(f"got the name {unknown[0]!r}", f"only {', '.join(LEAKS)}", ask)
    for leak in LEAKS:
        if leak in right - found:
            return Complaint(f"got {_listed(found)}", _listed(right), _MISSED[leak])
        if leak in found - right:
            return Complaint(f"got {_listed(found)}", _listed(right), _FALSELY_ACCUSED[leak])
    return None


def _listed(names: set[str]) -> str:
    return ", ".join(name for name in LEAKS if name in names) or "no leak"


FIND_LEAKS = Exercise(
    id="4.8",
    title="Find the planted leaks",
    name="find_leaks",
    params=("train", "test", "excluded", "popularity"),
    points=3,
    minutes=14,
    difficulty=3,
    cases=_leak_cases,
    reference=_leaks_with,
    call=call_for_names,
    verdict=Property(_check_leaks),
    misconceptions=(
        Misconception(
            "items instead of pairs",
            _of("shared_pairs", lambda train, test, *_: np.isin(test[:, 1], train[:, 1]).any()),
            "You call it a shared pair when a test item stands in anybody's training rows. Of what does a "
            "pair consist?",
        ),
        Misconception(
            "whole rows compared",
            _of(
                "shared_pairs",
                lambda train, test, *_: bool(
                    set(map(tuple, train.tolist())) & set(map(tuple, test.tolist()))
                ),
            ),
            "You look for test rows that stand in training with the same time, or want all of them there. Is "
            "a pair unknown to the model if its time is another one, and how many does a leak take?",
        ),
        Misconception(
            "anybody's future",
            _of("future_in_training", lambda train, test, *_: train[:, 2].max() > test[:, 2].min()),
            "You compare the training rows with the earliest test row of all. In this split each user has a "
            "test moment of their own: whose should a training row be compared with?",
        ),
        Misconception(
            "only after the last test",
            _of("future_in_training", _later_than_the_last),
            "You compare the latest training row with the latest test row. What about a user who was asked "
            "early, and went on?",
        ),
        Misconception(
            "same moment is later",
            _of("future_in_training", partial(_future, later=np.greater_equal)),
            "A training row of the very moment of the test is the future with you. Is it later?",
        ),
        Misconception(
            "past called future",
            _of("future_in_training", partial(_future, later=np.less)),
            "You accuse training rows that are earlier than the test row. Which ones could not have been "
            "known?",
        ),
        Misconception(
            "every exclusion of a test pair",
            _of("spared_negatives", lambda train, test, excluded, _: excluded[test[:, 0], test[:, 1]].any()),
            "You accuse the sampler also when a test pair stands in training, which is another leak, and "
            "not the sampler's. Which exclusions does training not explain?",
        ),
        Misconception(
            "only when all are spared",
            _of(
                "spared_negatives",
                lambda train, test, excluded, _: (excluded & ~_pairs(train, *excluded.shape))[
                    test[:, 0], test[:, 1]
                ].all(),
            ),
            "You accuse the sampler only when it spares every test pair. What about one that spares half of "
            "them?",
        ),
        Misconception(
            "every unexplained exclusion",
            _of(
                "spared_negatives",
                lambda train, test, excluded, _: (excluded & ~_pairs(train, *excluded.shape)).any(),
            ),
            "You accuse the sampler of every exclusion that training does not explain. Does it give away an "
            "answer when it spares an item that nobody asks for?",
        ),
        Misconception(
            "items instead of pairs excluded",
            _of("spared_negatives", lambda train, test, excluded, _: excluded[:, test[:, 1]].any()),
            "You look whether a test item is excluded for anybody. For whom is it drawn or not drawn?",
        ),
        Misconception(
            "test pair can be drawn",
            _of(
                "spared_negatives", lambda train, test, excluded, _: (~excluded)[test[:, 0], test[:, 1]].any()
            ),
            "You accuse a sampler that may draw a test pair as a negative. What does it know, on the day of "
            "the training, about the day of the test?",
        ),
        Misconception(
            "popularity of everything expected",
            _of(
                "features_from_held_out",
                lambda train, test, _, popularity: (
                    popularity != _count(np.vstack([train, test]), len(popularity))["popularity"]
                ).any(),
            ),
            "You want popularity to be counted from all rows. Which of them may a feature know?",
        ),
        Misconception(
            "popularity of another length",
            _of(
                "features_from_held_out",
                lambda train, test, _, popularity: not np.array_equal(popularity, np.bincount(train[:, 1])),
            ),
            "Your count ends at the last item that occurs in training, so that it never has the length of "
            "popularity. Which argument of np.bincount sees to that?",
        ),
        Misconception(
            "popularity of test items",
            _of(
                "features_from_held_out",
                lambda train, test, _, popularity: (popularity[test[:, 1]] > 0).any(),
            ),
            "You accuse popularity when a test item has any. Could other users' training rows have given it?",
        ),
        Misconception(
            "only the first leak",
            partial(_leaks_with, report=_first_only),
            "You stop at the first leak (return and elif do that). Can a pipeline have several?",
        ),
        Misconception(
            "everything accused",
            lambda *_: set(LEAKS),
            "You accuse every pipeline of everything. What would a clean one look like?",
        ),
        Misconception(
            "the clean ones named",
            partial(_leaks_with, report=lambda found: set(LEAKS) - found),
            "You name the leaks that are not there. Which way round is each of your conditions?",
        ),
    ),
)


EXERCISES = (FIND_LEAKS,)
