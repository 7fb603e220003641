"""The exercises of Lab 2, neural collaborative filtering.

Misconceptions are mistakes of real learners; a message says what they did, asks, and never gives the answer.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import bdtr, bdtrc
from torch import nn
from torch.nn import functional as F

from course_utils import baselines, losses, models, sampling
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.forward import check_forward, run_forward
from course_utils.exercises.guard import TimeOut
from course_utils.exercises.plain import Plain, describe, numbers, whole
from course_utils.exercises.verdicts import CUT_OFF, Complaint, Equal, Property, compare, misfit

Args = dict[str, Any]


# ---- 2.1 leave_last_out ----


def _leave_last_out(
    users,
    timestamps,
    *,
    ties=lambda rows: rows[-1:],
    latest=lambda times: times == times.max(),
    least_rows=2,
    singles_train=True,
):
    """The reference; with keywords, one thing done otherwise."""
    test, dropped = [], []
    for user in np.unique(users):
        rows = np.flatnonzero(users == user)
        if len(rows) >= least_rows:
            test.extend(ties(rows[latest(timestamps[rows])]))
        elif not singles_train:
            dropped.extend(rows)
    test = np.array(sorted(test), dtype=int)
    return np.setdiff1d(np.arange(len(users)), np.r_[test, np.array(dropped, int)]), test


def _last_out_cases(rng: np.random.Generator) -> list[Case]:
    def rows(counts, ids=None, tied=False):
        """Rows of users with so many rows each, in a random order; tied: the last moment holds several."""
        users, times = [], []
        for user, n in zip(range(len(counts)) if ids is None else ids, counts, strict=True):
            own = np.sort(rng.choice(1000, n, replace=False))
            own[-int(rng.integers(2, 4)) if tied else n - 1 :] = own[-1]
            users.append(np.full(n, user))
            times.append(own)
        order = rng.permutation(sum(counts))
        return {"users": np.concatenate(users)[order], "timestamps": np.concatenate(times)[order]}

    hand = {"users": np.array([0, 1, 0, 1, 0]), "timestamps": np.array([10, 5, 30, 40, 20])}
    return [
        Case("five rows", hand),
        Case("24 rows of 5 users", rows(rng.permutation([3, 4, 4, 6, 7]))),
        Case("40 rows of 5 users, whose last moments hold several rows", rows([6, 7, 8, 9, 10], tied=True)),
        Case("two users with a single row", rows(rng.permutation([1, 1, 3, 4])), edge=True),
        Case("user numbers with gaps", rows([2, 3, 3], np.sort(rng.choice(90, 3, False)) + 9), edge=True),
        Case(
            "one user, all rows at one moment", {"users": np.zeros(4, int), "timestamps": np.full(4, 7)}, True
        ),
    ]


def _check_last_out(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    if got.parts is None or len(got.parts) != 2:
        ask = "What stands in your return line, and in which order?"
        return Complaint(f"got {describe(got)}", "2 results (train, test)", ask)
    users, times = args["users"], args["timestamps"]
    for name, part in zip(("train", "test"), got.parts, strict=True):
        if (rows := _rows(part, len(users))) is None:
            kind = "" if part.array is None or whole(part) else f" of dtype {part.array.dtype}"
            ask = "What would you put in the brackets of ratings[...] to pick those rows?"
            want = f"row numbers between 0 and {len(users) - 1}"
            return Complaint(f"{name}: got {describe(part)}{kind}", want, ask)
        if len(np.unique(rows)) < len(rows):
            return Complaint(
                f"{name}: got {describe(part)}", "each row once", "Where does a row come in twice?"
            )
    train, test = (_rows(part, len(users)) for part in got.parts)
    right_train, right_test = (part.array for part in expected.parts)
    if np.array_equal(train, right_train) and np.array_equal(test, right_test):
        return None
    ask = "Which is the last row of each user, and where do all other rows go?"
    if len(users) <= 6:
        seen, wanted = (
            f"train {numbers(a)} and test {numbers(b)}" for a, b in ((train, test), (right_train, right_test))
        )
        return Complaint(f"got {seen}", wanted, ask)
    for user in np.unique(users):
        mine, right = (rows[users[rows] == user] for rows in (test, right_test))
        if not np.array_equal(mine, right):
            seen, wanted = (_test_rows(rows, times) for rows in (mine, right))
            return Complaint(f"got {seen} for user {user}", wanted, ask)
    if (both := np.intersect1d(train, test)).size:
        return Complaint(f"got {len(both)} test rows that also train", "no row in both parts", ask)
    return Complaint(f"got {len(train)} training rows", f"{len(right_train)}, all that do not test", ask)


def _rows(part: Plain, n_rows: int) -> np.ndarray | None:
    """Row numbers in ascending order, or None when it is something else."""
    rows = part.array
    if rows is None or rows.ndim != 1 or not whole(part):
        return None
    rows = np.sort(rows).astype(int)
    return rows if not rows.size or (rows[0] >= 0 and rows[-1] < n_rows) else None


def _test_rows(rows: np.ndarray, times: np.ndarray) -> str:
    if not rows.size:
        return "no test row"
    several = "s" * (len(rows) > 1)
    return f"test row{several} {', '.join(map(str, rows))} (time {', '.join(map(str, times[rows]))})"


def _sorted_rows(args: Args, got: Plain) -> Plain:
    """Both parts in ascending order, where they can be read so."""
    parts = tuple(_rows(part, len(args["users"])) for part in got.parts or ())
    if len(parts) != 2 or any(rows is None for rows in parts):
        return got
    return Plain("tuple", None, tuple(Plain("array", rows) for rows in parts))


def _last_in_file(users, timestamps):
    return _leave_last_out(users, np.arange(len(users)))


def _latest_of_all(users, timestamps):
    order = np.argsort(timestamps, kind="stable")
    n = len(np.unique(users))
    return order[:-n], order[-n:]


def _positions(users, timestamps):
    order = np.lexsort((timestamps, users))
    _, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    test = (starts + counts - 1)[counts >= 2]
    return np.setdiff1d(np.arange(len(users)), test), test


def _as_masks(users, timestamps):
    is_test = np.isin(np.arange(len(users)), _leave_last_out(users, timestamps)[1])
    return ~is_test, is_test


LEAVE_LAST_OUT = Exercise(
    id="2.1",
    title="Leave the last one out",
    name="leave_last_out",
    params=("users", "timestamps"),
    points=2,
    minutes=12,
    difficulty=2,
    cases=_last_out_cases,
    reference=_leave_last_out,
    verdict=Property(_check_last_out, normalise=_sorted_rows),
    misconceptions=(
        Misconception(
            "last in the file",
            _last_in_file,
            "You took the row of each user that stands last in the file. Is the file sorted by time?",
        ),
        Misconception(
            "first of the tied rows",
            partial(_leave_last_out, ties=lambda rows: rows[:1]),
            "Where several rows share the last moment you took the first of them. Which one does the "
            "docstring take, and which does your search or your sort meet first?",
        ),
        Misconception(
            "all tied rows",
            partial(_leave_last_out, ties=lambda rows: rows),
            "Every row at a user's last moment went to the test. How many test rows should each user have?",
        ),
        Misconception(
            "oldest row",
            partial(_leave_last_out, latest=lambda times: times == times.min()),
            "You test on each user's oldest row, and train on what came later. In which direction does "
            "your sort run?",
        ),
        Misconception(
            "latest rows of all",
            _latest_of_all,
            "You took the latest rows of the whole file, so that some users have several test rows and "
            "others none. Within which rows is a row the last?",
        ),
        Misconception(
            "positions after sorting",
            _positions,
            "Those are positions in the sorted list. Which row of the file stands at such a position?",
        ),
        Misconception(
            "training keeps the test rows",
            lambda u, t: (np.arange(len(u)), _leave_last_out(u, t)[1]),
            "The test rows are right, but they are training rows too: the model learns the answers. How "
            "does a row leave the training part?",
        ),
        Misconception(
            "single rows tested",
            partial(_leave_last_out, least_rows=1),
            "A user with a single row gave it to the test, so that training never meets this user. What "
            "does the docstring do with such a row?",
        ),
        Misconception(
            "single rows lost",
            partial(_leave_last_out, singles_train=False),
            "The rows of users with a single row are in neither part. Where does the docstring keep them?",
        ),
        Misconception(
            "parts swapped",
            lambda u, t: _leave_last_out(u, t)[::-1],
            "The two parts are right, but in the other order. Which does the docstring return first?",
        ),
        Misconception(
            "masks",
            _as_masks,
            "Those are True and False for every row. They know the answer; how do you get the numbers of "
            "the rows from them?",
        ),
    ),
)


# ---- 2.2 sample_negatives ----

# A right sampler is rejected less than once in a billion checks: the cells of a case share this.
_FALSE_ALARM = 1e-9 / 2  # two cases with many draws
_MANY = 100  # draws per row, from which on frequencies are looked at


def _call_sampler(sample_negatives, users, n_items, positives, n_neg, seed):
    """Two calls in a row with one generator, a third with a new one of the same seed; and the refusal.

    refusal: -1 none, 1 a ValueError that names a user who has everything, 0 one that does not.
    """
    full = _full_users({"users": users, "n_items": n_items, "positives": positives})
    try:
        rng = np.random.default_rng(seed)
        calls = [sample_negatives(users, n_items, positives, n_neg, rng) for _ in range(2)]
        again = sample_negatives(users, n_items, positives, n_neg, np.random.default_rng(seed))
    except ValueError as error:
        if not full:
            raise
        return None, None, None, int(re.search(rf"\b{full[0]}\b", str(error)) is not None)
    return *calls, again, -1


def _full_users(args: Args) -> list[int]:
    """The users of the batch who have every item."""
    return [user for user in args["users"].tolist() if len(args["positives"][user]) == args["n_items"]]


def _sampler_cases(rng: np.random.Generator) -> list[Case]:
    def args(users, n_items, positives, n_neg):
        sets = [{int(item) for item in items} for items in positives]
        return {
            "users": np.array(users),
            "n_items": n_items,
            "positives": sets,
            "n_neg": n_neg,
            "seed": int(rng.integers(1_000_000)),
        }

    def many():
        """6 of 12 items each, some in a row; nobody has item 5, and of the batch's users nobody item 11."""
        starts = rng.permutation([[0, 6], [1, 7], [0, 7], [1, 6], [0, 8]])[:3]
        positives = [[0, 2, 4, 6, 8, 11], [1, 2, 3, 9, 10, 11], [3, 4, 6, 7, 9, 11], [0, 3, 4, 7, 8, 11]] * 4
        batch = [4, 7, 4, 13]
        for user, (a, b) in zip(sorted(set(batch)), starts, strict=True):
            positives[user] = [*range(a, a + 4), b, b + 2]
        return args(batch, 12, positives, 400)

    def usual(batch, n_users, n_items, n_neg):
        sizes = rng.integers(5, n_items // 3, n_users)
        positives = [rng.choice(n_items, n, replace=False) for n in sizes]
        return args(rng.integers(0, n_users, batch), n_items, positives, n_neg)

    nearly = rng.permutation(12)[:11]
    hand = args([1, 0], 5, [[0, 1, 2], [3]], 3) | {"seed": 0}
    return [
        Case("users 1 and 0 of two", hand),
        Case("400 negatives each of four rows, every user with 6 of 12 items", many()),
        Case("4 negatives each of 64 rows, 50 items", usual(64, 30, 50, 4)),
        Case("a user without any item", args([1, 0], 6, [[2, 3], []], 200), edge=True),
        Case("a batch of one, one negative", usual(1, 3, 20, 1), edge=True),
        Case("a user who has all items but one", args([0, 1], 12, [[4], nearly], 5), edge=True),
        Case("user 7, who has every item", args([2, 7, 2], 5, [[1]] * 7 + [range(5)], 2), edge=True),
    ]


def _check_sampler(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    first, second, again, refusal = got.parts
    if expected.parts[3].array == 1:
        return _check_refusal(args, first, refusal)
    shape = (len(args["users"]), args["n_neg"])
    if problem := misfit(first, Plain("array", np.zeros(shape, int))):
        return problem
    if problem := _check_range(args, first.array):
        return problem
    if not _equal(first, again):
        ask = "Where does your randomness come from, and which argument is there for it?"
        return Complaint("got other negatives from a generator of the same seed", "the same again", ask)
    if args["n_neg"] < _MANY:
        return None
    if problem := _check_frequencies(args, first.array):
        return problem
    if _twice_alike(args, first.array):
        ask = "How often does your code draw for a user who stands in several rows?"
        return Complaint("got the same negatives in two rows of one user", "new ones in each row", ask)
    if _equal(first, second):
        ask = "What does each call start from?"
        return Complaint("got the same negatives from two calls in a row", "new ones at every call", ask)
    return None


def _equal(a: Plain, b: Plain) -> bool:
    return a.array is not None and b.array is not None and np.array_equal(a.array, b.array)


def _check_refusal(args: Args, first: Plain, refusal: Plain) -> Complaint | None:
    if refusal.array == 1:
        return None
    want = f"a ValueError that names user {_full_users(args)[0]}"
    if refusal.array == 0:
        ask = "Somebody reads it in the middle of the night: which of a thousand users is it about?"
        return Complaint("raised a ValueError that does not name the user", want, ask)
    ask = "Which items could be drawn for somebody who has them all?"
    return Complaint(f"got {describe(first)}", want, ask)


def _check_range(args: Args, negatives: np.ndarray) -> Complaint | None:
    n_items = args["n_items"]
    outside = negatives[(negatives < 0) | (negatives >= n_items)]
    if outside.size:
        ask = "Which is the first number that your draw can give, and which the last?"
        return Complaint(f"got item {int(outside[0])}", f"items between 0 and {n_items - 1}", ask)
    for user, drawn in zip(args["users"].tolist(), negatives.tolist(), strict=True):
        if old := set(map(int, drawn)) & args["positives"][user]:
            seen = f"got item {min(old)}, which user {user} has, among the negatives of user {user}"
            return Complaint(seen, "only items that this user does not have", "What keeps such an item out?")
    return None


def _twice_alike(args: Args, negatives: np.ndarray) -> bool:
    rows = np.column_stack([args["users"], negatives])
    return len(np.unique(rows, axis=0)) < len(rows)


def _check_frequencies(args: Args, negatives: np.ndarray) -> Complaint | None:
    n_items, n = args["n_items"], negatives.shape[1]
    for user, drawn in zip(args["users"].tolist(), negatives, strict=True):
        free = [item for item in range(n_items) if item not in args["positives"][user]]
        counts = np.bincount(drawn.astype(int), minlength=n_items)[free]
        if (odd := _improbable(counts, n, len(negatives))) is not None:
            often = f"{counts[odd]} times" if counts[odd] else "never"
            own = args["positives"][user] or "none"
            seen = f"got item {free[odd]} {often} in {n} draws for user {user}, who has {own}"
            want = f"about {n / len(free):.0f}, as for each of the {len(free)} items that the user lacks"
            return Complaint(seen, want, "What makes one of these items more likely than another?")
    return None


def _improbable(counts: np.ndarray, n: int, n_rows: int) -> int | None:
    """The cell that is least probable if all are equally likely, where that is no chance; exact."""
    p = 1 / len(counts)
    tails = np.minimum(bdtr(counts, n, p), np.where(counts > 0, bdtrc(counts - 1, n, p), 1))
    worst = int(np.argmin(tails))
    return worst if 2 * tails[worst] < _FALSE_ALARM / (n_rows * len(counts)) else None


def _sampler_features(args: Args, got: Plain) -> Plain:
    """What tells one way to sample from another, whatever was drawn: only many draws are sure to tell."""
    first, second, again, refusal = got.parts
    if refusal.array != -1:
        return refusal
    if args["n_neg"] < _MANY:
        return Plain("drawn")
    if first.array is None:
        return Plain(first.what)
    shape = (len(args["users"]), args["n_neg"])
    if first.array.shape != shape or not whole(first):
        return Plain("tuple", None, (Plain("shape", np.array(first.array.shape)),))
    features = [_equal(first, again), _equal(first, second), _twice_alike(args, first.array)]
    if first.array.min() >= 0 and first.array.max() < args["n_items"]:
        counts = np.array([np.bincount(drawn, minlength=args["n_items"]) for drawn in first.array])
        lacks = np.ones_like(counts, dtype=bool)
        for row, user in enumerate(args["users"]):
            lacks[row, list(args["positives"][user])] = False
        features += [*(counts > 0).flat, _shape_of_counts(counts, lacks)]
    return Plain("array", np.array(features, dtype=float))


def _shape_of_counts(counts: np.ndarray, lacks: np.ndarray) -> bool:
    """What the counts [B, I] of each row and item tell besides which are 0.

    Where every item was drawn, whether more than 3 of 8 draws are positives; where exactly the free ones
    were, whether some are improbable.
    """
    drawn = counts > 0
    if drawn.all():
        return counts[~lacks].sum() > 3 / 8 * counts.sum()
    rows = zip(counts, lacks, strict=True)
    return np.array_equal(drawn, lacks) and any(
        _improbable(row[free], row.sum(), len(counts)) is not None for row, free in rows
    )


def _as_table(positives, n_items):
    users = np.repeat(np.arange(len(positives)), [len(items) for items in positives])
    items = np.array([item for own in positives for item in own], dtype=np.int64)
    return sampling.interactions(users, items, len(positives), n_items)


def _sample_negatives(users, n_items, positives, n_neg, rng):
    return sampling.sample_negatives(users, n_items, _as_table(positives, n_items), n_neg, rng)


def _choose(free, n_neg, rng, user):
    if not free:
        raise ValueError(f"user {user}: no item is left")
    return rng.choice(free, n_neg)


def _choose_without_a_word(free, n_neg, rng, user):
    return rng.choice(free, n_neg)  # of nothing: numpy's own ValueError


def _wait_for_one(free, n_neg, rng, user):
    if not free:
        raise TimeOut  # as the check does in the end, when a loop waits for a free item
    return rng.choice(free, n_neg)


def _take_any(free, n_neg, rng, user):
    return rng.choice(free, n_neg) if free else np.zeros(n_neg, int)


def _choose_distinct(free, n_neg, rng, user):
    return rng.choice(free, n_neg, replace=False)


def _wait_for_distinct(free, n_neg, rng, user):
    if len(free) < n_neg:
        raise TimeOut
    return rng.choice(free, n_neg, replace=False)


def _sampler_with(
    users,
    n_items,
    positives,
    n_neg,
    rng,
    *,
    excluded=lambda row, user, positives: positives[user],
    pool=lambda n_items, positives: range(n_items),
    choose=_choose,
    join=np.stack,
):
    """sample_negatives with one thing done otherwise."""
    rows = []
    for row, user in enumerate(users.tolist()):
        without = excluded(row, user, positives)
        free = [item for item in pool(n_items, positives) if item not in without]
        rows.append(choose(free, n_neg, rng, user))
    return join(rows)


def _has(users, items, positives, n_items):
    """Which of items [B, N] the user of their row has."""
    return (_as_table(positives, n_items).toarray() > 0)[users[:, None], items]


def _drawn_again_once(users, n_items, positives, n_neg, rng):
    items, others = rng.integers(0, n_items, (2, len(users), n_neg))
    return np.where(_has(users, items, positives, n_items), others, items)


def _next_free_item(users, n_items, positives, n_neg, rng):
    for user in users:
        if len(positives[user]) == n_items:
            raise ValueError(f"user {user} has everything")
    items = rng.integers(0, n_items, (len(users), n_neg))
    while (had := _has(users, items, positives, n_items)).any():
        items = np.where(had, (items + 1) % n_items, items)
    return items


def _dropped(users, n_items, positives, n_neg, rng):
    draws = rng.integers(0, n_items, (len(users), n_neg)).tolist()
    return [[i for i in row if i not in positives[user]] for user, row in zip(users, draws, strict=True)]


def _once_per_user(users, n_items, positives, n_neg, rng):
    distinct, rows = np.unique(users, return_inverse=True)
    return _sample_negatives(distinct, n_items, positives, n_neg, rng)[rows]


def _anywhere(users, n_items, positives, n_neg, rng):
    return rng.integers(0, n_items, (len(users), n_neg))


def _own_generator(users, n_items, positives, n_neg, rng):
    return _sample_negatives(users, n_items, positives, n_neg, np.random.default_rng())


def _seeded_inside(users, n_items, positives, n_neg, rng):
    return _sample_negatives(users, n_items, positives, n_neg, np.random.default_rng(0))


SAMPLE_NEGATIVES = Exercise(
    id="2.2",
    title="Sampling negatives",
    name="sample_negatives",
    params=("users", "n_items", "positives", "n_neg", "rng"),
    points=4,
    minutes=12,
    difficulty=3,
    cases=_sampler_cases,
    reference=_sample_negatives,
    call=_call_sampler,
    verdict=Property(_check_sampler, normalise=_sampler_features),
    misconceptions=(
        Misconception(
            "positives included",
            _anywhere,
            "You draw from all items, so that a film the user watched can be called a negative. Which "
            "argument knows what the user has?",
        ),
        Misconception(
            "drawn again only once",
            _drawn_again_once,
            "You replace a positive by a second draw. What if the second draw is a positive too?",
        ),
        Misconception(
            "sets mixed up",
            partial(_sampler_with, excluded=lambda row, user, positives: positives[row]),
            "You leave out the items of another user: positives is indexed by user, and you index it by "
            "the place in the batch. Which number is which?",
        ),
        Misconception(
            "everybody's items left out",
            partial(_sampler_with, excluded=lambda row, user, positives: set().union(*positives)),
            "You leave out what anybody has, so that only films that nobody watched become negatives. "
            "Whose items should be left out for a row?",
        ),
        Misconception(
            "next free item",
            _next_free_item,
            "From a positive you move on to the next item, so that an item behind several positives comes "
            "several times as often. How could all the items that the user lacks get the same chance?",
        ),
        Misconception(
            "popular items more often",
            partial(
                _sampler_with, pool=lambda n_items, positives: [i for own in positives for i in sorted(own)]
            ),
            "You draw from the interactions of all users: popular items come often, and an item that "
            "nobody has never. What should each item's chance depend on?",
        ),
        Misconception(
            "last item never drawn",
            partial(_sampler_with, pool=lambda n_items, positives: range(n_items - 1)),
            "The item with the highest number is never drawn. Is the upper end of your draw included?",
        ),
        Misconception(
            "positives dropped",
            _dropped,
            "You draw n_neg items and drop the positives among them, so that rows come out shorter. How "
            "many negatives should every row have?",
        ),
        Misconception(
            "once per user",
            _once_per_user,
            "A user who stands in two rows gets the same negatives in both. How many draws does each row "
            "need?",
        ),
        Misconception(
            "flat",
            partial(_sampler_with, join=np.concatenate),
            "All negatives stand in one long row. Which shape does the docstring promise, and what should "
            "each of its rows belong to?",
        ),
        Misconception(
            "without replacement",
            partial(_sampler_with, choose=_choose_distinct),
            "You never draw an item twice for a row, so that a user who lacks only two items cannot have "
            "three negatives. Does the docstring ask for different items?",
        ),
        Misconception(
            "distinct, never ends",
            partial(_sampler_with, choose=_wait_for_distinct),
            "You wait for n_neg different items, but a user who lacks only two cannot have three. Does the "
            "docstring ask for different items?",
        ),
        Misconception(
            "never ends",
            partial(_sampler_with, choose=_wait_for_one),
            "You draw until an item is free, and for a user who has everything that never happens. When "
            "could your code notice that nothing is left, and what should its caller hear?",
        ),
        Misconception(
            "gives up in silence",
            partial(_sampler_with, choose=_take_any),
            "For a user who has everything you return something all the same: no negative at all, and nobody "
            "will notice. What should the caller hear instead?",
        ),
        Misconception(
            "an error without the user",
            partial(_sampler_with, choose=_choose_without_a_word),
            "For a user who has everything you stop with an error, but it does not say who it is. What would "
            "you want to read if this happened with a thousand users?",
        ),
        Misconception(
            "rng not used",
            _own_generator,
            "Your draws cannot be repeated: they come from a randomness of their own. Which argument should "
            "they come from?",
        ),
        Misconception(
            "seeded inside",
            _seeded_inside,
            "Every call gives the same negatives, because the generator starts anew inside the function. "
            "Who should decide about the seed?",
        ),
    ),
)


# ---- 2.3 excluded_items ----


def _excluded_items(train, validation, test, user):
    return train[user], train[user] | validation[user]


def _call_excluded(excluded_items, train, validation, test, user):
    """Sets come back as sorted lists."""
    answer = excluded_items(train, validation, test, user)
    if not isinstance(answer, list | tuple):
        return answer
    return tuple(sorted(part) if _is_set_of_items(part) else part for part in answer)


def _is_set_of_items(part: Any) -> bool:
    return isinstance(part, set | frozenset) and all(isinstance(item, int | np.integer) for item in part)


def _excluded_cases(rng: np.random.Generator) -> list[Case]:
    def histories(n_users, n_items, user, sizes=(8, 1, 1)):
        parts: tuple[list, list, list] = ([], [], [])
        for _ in range(n_users):
            items = rng.permutation(n_items).tolist()
            for part, start, n in zip(parts, np.cumsum((0, *sizes)), sizes, strict=False):
                part.append(set(items[start : start + n]))
        train, validation, test = parts
        return {"train": train, "validation": validation, "test": test, "user": user}

    def emptied(args, *names):
        for name in names:
            args[name][args["user"]] = set()
        return args

    hand = {"train": [{4}, {1, 2}], "validation": [{3}, {5}], "test": [{1}, {0}], "user": 1}
    return [
        Case("two users, films 0 to 5", hand),
        Case("3 users, films 0 to 30", histories(3, 31, int(rng.integers(3)))),
        Case("12 users, films 0 to 60", histories(12, 61, int(rng.integers(12)), (15, 1, 1))),
        Case(
            "a user of whom nothing is held out",
            emptied(histories(3, 20, 1), "validation", "test"),
            edge=True,
        ),
        Case("a user without training items", emptied(histories(2, 20, 0), "train"), edge=True),
    ]


_PARTS = ("in_training", "at_test")


def _item_set(part: Plain) -> np.ndarray | None:
    items = part.array
    if items is None or items.ndim != 1 or not whole(part):
        return None
    return np.unique(items).astype(int)


def _check_excluded(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    if got.parts is None or len(got.parts) != 2:
        ask = "What stands in your return line, and in which order?"
        return Complaint(f"got {describe(got)}", "2 results (in_training, at_test)", ask)
    for name, part, wanted in zip(_PARTS, got.parts, expected.parts, strict=True):
        right = _item_set(wanted)
        if (items := _item_set(part)) is None:
            ask = "What do train[user] and its like consist of?"
            return Complaint(f"{name}: got {describe(part)}", "a set of item numbers", ask)
        if np.array_equal(items, right):
            continue
        ask = "At that moment, what can be known about this user?"
        return Complaint(f"{name}: got {_as_set(items)}", _as_set(right), ask)
    return None


def _as_set(items: np.ndarray) -> str:
    return f"{{{', '.join(map(str, items))}}}" if items.size else "an empty set"


def _as_item_sets(args: Args, got: Plain) -> Plain:
    """Each part without repeats in ascending order, where it can be read so."""
    parts = tuple(_item_set(part) for part in got.parts or ())
    if len(parts) != 2 or any(items is None for items in parts):
        return got
    return Plain("tuple", None, tuple(Plain("array", items) for items in parts))


def _one_set_extended(train, validation, test, user):
    in_training = train[user]
    at_test = train[user]
    at_test |= validation[user]
    return in_training, at_test


def _train_updated(train, validation, test, user):
    in_training = set(train[user])
    train[user].update(validation[user])
    return in_training, train[user]


EXCLUDED_ITEMS = Exercise(
    id="2.3",
    title="Find the leak",
    name="excluded_items",
    params=("train", "validation", "test", "user"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_excluded_cases,
    reference=_excluded_items,
    call=_call_excluded,
    verdict=Property(_check_excluded, normalise=_as_item_sets),
    misconceptions=(
        Misconception(
            "the leak",
            lambda train, val, test, u: (train[u] | val[u] | test[u], train[u] | val[u]),
            "Your sampler spares the held-out items: of all the films that the user lacks, only the answers "
            "are never pushed down. Could a service that trains today spare what its users will watch "
            "tomorrow?",
        ),
        Misconception(
            "the leak, and the test item hidden",
            lambda train, val, test, u: (train[u] | val[u] | test[u],) * 2,
            "One set of everything for both moments. In training it gives the future away, at the test it "
            "hides the very item that should be found. What is known at each of the two moments?",
        ),
        Misconception(
            "half the leak",
            lambda train, val, test, u: (train[u] | val[u], train[u] | val[u]),
            "Your sampler spares the validation item, which is held out to choose between models. Has the "
            "user already watched it when training begins?",
        ),
        Misconception(
            "future spared, past drawn",
            lambda train, val, test, u: (val[u] | test[u], train[u] | val[u]),
            "Your sampler leaves out exactly the held-out items, and draws what the user was trained on as "
            "a negative. Which of the three parts may a sampler look at?",
        ),
        Misconception(
            "test item hidden",
            lambda train, val, test, u: (train[u], train[u] | val[u] | test[u]),
            "The sampler is right. But at the test you leave out the test item too: can a film be found "
            "that is not in the ranking?",
        ),
        Misconception(
            "validation item ranked",
            lambda train, val, test, u: (train[u], train[u]),
            "The sampler is right. At the test the validation item is ranked as if the user might still "
            "watch it. What has the user watched before the test item?",
        ),
        Misconception(
            "only the validation item left out",
            lambda train, val, test, u: (train[u], val[u]),
            "The sampler is right. At the test the films of the training part compete with the test item. "
            "What has the user watched before it?",
        ),
        Misconception(
            "nothing left out at the test",
            lambda train, val, test, u: (train[u], set()),
            "The sampler is right. At the test, films that the user knows take the best places. Would you "
            "recommend them?",
        ),
        Misconception(
            "nothing left out in training",
            lambda train, val, test, u: (set(), train[u] | val[u]),
            "Your sampler leaves out nothing, so that the same film is a positive and a negative. What "
            "does the training part say about this user?",
        ),
        Misconception(
            "parts swapped",
            lambda train, val, test, u: _excluded_items(train, val, test, u)[::-1],
            "Both sets are right, but in the other order. Which does the docstring return first?",
        ),
        Misconception(
            "everybody's items",
            lambda train, val, test, u: (set().union(*train), set().union(*train, *val)),
            "You leave out what any user has. Whose negatives are drawn here, and whose test item is ranked?",
        ),
        Misconception(
            "one set under two names",
            _one_set_extended,
            "Both results are the same set, train[user] itself, and what you add to one is added to all "
            "three. What makes a new set instead of changing the old one?",
        ),
        Misconception(
            "training set extended",
            _train_updated,
            "Both results are right, but the caller's training set has grown by the validation item: from "
            "now on the sampler knows it. What makes a new set instead of changing the old one?",
        ),
    ),
)


# ---- 2.4 rank_of_positive ----


def _rank_of_positive(
    scores,
    positive,
    seen,
    *,
    mask_seen=True,
    itself=False,
    higher=np.greater,
    tied=np.equal,
):
    """The reference; with keywords, one thing done otherwise. Floats, so that any kind of count is right."""
    others = np.ones(len(scores), dtype=bool)
    if mask_seen:
        others[seen] = False
    others[positive] = itself
    rest = scores[others]
    return float(higher(rest, scores[positive]).sum()), float(tied(rest, scores[positive]).sum())


def _rank_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_items, n_seen, levels=None, place=0.5):
        scores = rng.permutation(n_items) / 10 if levels is None else rng.integers(0, levels, n_items) / 2
        order = np.argsort(-scores, kind="stable")
        positive = int(order[int(place * n_items)])
        best, worst, same = order[0], order[-1], np.flatnonzero(scores == scores[positive])[-1:]
        chosen = np.unique(np.r_[best, worst, same])
        rest = np.setdiff1d(order, np.r_[chosen, positive])
        seen = np.r_[chosen, rng.choice(rest, n_seen, replace=False)]
        return {"scores": scores, "positive": positive, "seen": rng.permutation(seen[seen != positive])}

    hand = {"scores": np.array([0.9, 0.4, 0.7, 0.4, 0.6]), "positive": 1, "seen": np.array([0])}
    apart = random(10, 3)
    nothing = random(9, 0, 3) | {"seen": np.array([], dtype=np.int64)}
    best = {
        "scores": np.array([0.2, 0.8, 0.5, 0.3]) + rng.integers(0, 5),
        "positive": 1,
        "seen": np.array([2]),
    }
    constant = {"scores": np.full(8, rng.integers(1, 9) / 4), "positive": 3, "seen": np.array([6, 0])}
    return [
        Case("five items", hand),
        Case("30 items with different scores, about 10 of them seen", random(30, 8)),
        Case("40 items with only five different scores, about 12 of them seen", random(40, 9, 5)),
        Case("negative scores", apart | {"scores": apart["scores"] - 5}),
        Case("nothing seen", nothing, edge=True),
        Case("the positive first", best, edge=True),
        Case("the same score for every item", constant, edge=True),
    ]


def _seen_at_zero(scores, positive, seen):
    masked = scores.copy()
    masked[seen] = 0
    return _rank_of_positive(masked, positive, seen[:0])


def _seen_overwritten(scores, positive, seen):
    answer = _rank_of_positive(scores, positive, seen)
    scores[seen] = -np.inf
    return answer


def _index_after_deletion(scores, positive, seen):
    rest = np.delete(scores, seen)
    return int((rest > rest[positive]).sum()), int((rest == rest[positive]).sum()) - 1


def _place_in_the_sort(scores, positive, seen):
    order = np.argsort(-scores, kind="stable")
    order = order[~np.isin(order, seen)]
    n_tied = _rank_of_positive(scores, positive, seen)[1]
    return int(np.flatnonzero(order == positive)[0]), n_tied


RANK_OF_POSITIVE = Exercise(
    id="2.4",
    title="The rank of one positive",
    name="rank_of_positive",
    params=("scores", "positive", "seen"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_rank_cases,
    reference=_rank_of_positive,
    verdict=Equal(names=("n_higher", "n_tied")),
    misconceptions=(
        Misconception(
            "tied with itself",
            partial(_rank_of_positive, itself=True),
            "n_tied is one too many everywhere: the positive has the same score as itself. Which items "
            "should it be compared with?",
        ),
        Misconception(
            "seen items counted",
            partial(_rank_of_positive, mask_seen=False),
            "Films that the user has seen compete too. Which argument tells you what to leave out?",
        ),
        Misconception(
            "seen items counted, and itself",
            partial(_rank_of_positive, mask_seen=False, itself=True),
            "You compare the positive with all items: with those the user has seen, and with itself. Which "
            "items could a recommender show in its place?",
        ),
        Misconception(
            "ties counted as higher",
            partial(_rank_of_positive, higher=np.greater_equal),
            "Items with the same score count as higher and as tied, so twice. What does `>=` let in?",
        ),
        Misconception(
            "lower instead of higher",
            partial(_rank_of_positive, higher=np.less),
            "You counted the items below the positive. Which ones stand between it and the top?",
        ),
        Misconception(
            "rank from 1",
            lambda s, p, seen: (_rank_of_positive(s, p, seen)[0] + 1, _rank_of_positive(s, p, seen)[1]),
            "Your first result is a rank that starts at 1. How many items are above the one at rank 1?",
        ),
        Misconception(
            "place in the sorted list",
            _place_in_the_sort,
            "Your first result is the place in a sorted list, where a sort puts tied items in some order of "
            "its own. Which of the items in front of the positive really have a higher score?",
        ),
        Misconception(
            "no ties",
            lambda s, p, seen: (_rank_of_positive(s, p, seen)[0], 0),
            "You report no ties. A model that gives every film the same score would then be perfect: how "
            "many items share the positive's score?",
        ),
        Misconception(
            "index after deletion",
            _index_after_deletion,
            "After the seen items are deleted, the later ones move up, and the number of the positive now "
            "belongs to another film. When should its score be looked up?",
        ),
        Misconception(
            "seen items at zero",
            _seen_at_zero,
            "You gave the seen items a score of 0. Where does 0 stand when the positive's score is negative?",
        ),
        Misconception(
            "scores overwritten",
            _seen_overwritten,
            "The counts are right, but you wrote into the caller's scores. What could you work on instead?",
        ),
        Misconception(
            "results swapped",
            lambda s, p, seen: _rank_of_positive(s, p, seen)[::-1],
            "Both counts are right, but in the other order. Which does the docstring return first?",
        ),
    ),
)


# ---- 2.5 hit_rate_and_ndcg ----


def _hit_rate_and_ndcg(
    rank,
    k,
    *,
    is_hit=lambda rank, k: rank <= k,
    hit=lambda rank, k: 1.0,
    gain=lambda rank, k: 1 / np.log2(rank + 1),
    cut=True,
):
    """The reference; with keywords, one thing done otherwise. Numpy's numbers, so that 1 / log2(1) is inf."""
    rank = np.float64(rank)
    inside = is_hit(rank, k)
    return (hit(rank, k) if inside else 0.0), (float(gain(rank, k)) if inside or not cut else 0.0)


def _metric_cases(rng: np.random.Generator) -> list[Case]:
    def at(rank, k):
        return {"rank": int(rank), "k": int(k)}

    k = rng.integers(8, 21)
    return [
        Case("rank 3 of at most 10", at(3, 10)),
        Case("a rank within k", at(rng.integers(4, k), k)),
        Case("a rank beyond k", at(k + rng.integers(2, 40), k)),
        Case("the first place", at(1, rng.integers(5, 20))),
        Case("the last place that counts", at(k, k), edge=True),
        Case("the first place that does not count", at(k + 1, k), edge=True),
        Case("a list of one", at(1, 1), edge=True),
    ]


def _ideal_of_k(rank, k):
    return 1 / np.log2(rank + 1) / (1 / np.log2(np.arange(k) + 2)).sum()


HIT_RATE_AND_NDCG = Exercise(
    id="2.5",
    title="Hit rate and NDCG of one positive",
    name="hit_rate_and_ndcg",
    params=("rank", "k"),
    points=1,
    minutes=5,
    difficulty=1,
    cases=_metric_cases,
    reference=_hit_rate_and_ndcg,
    verdict=Equal(names=("hit_rate", "ndcg")),
    misconceptions=(
        Misconception(
            "log2 of the rank",
            partial(_hit_rate_and_ndcg, gain=lambda rank, k: 1 / np.log2(rank)),
            "You divide by log2(rank). What is that at rank 1, and what should the first place be worth?",
        ),
        Misconception(
            "rank from zero",
            partial(
                _hit_rate_and_ndcg,
                is_hit=lambda rank, k: rank < k,
                gain=lambda rank, k: 1 / np.log2(rank + 2),
            ),
            "Your formulas are for ranks that start at 0. What is the best rank that can come in here?",
        ),
        Misconception(
            "gain from zero",
            partial(_hit_rate_and_ndcg, gain=lambda rank, k: 1 / np.log2(rank + 2)),
            "Your NDCG is that of the next place. At rank 1 it should be 1: what stands in the logarithm "
            "then?",
        ),
        Misconception(
            "rank k missed",
            partial(_hit_rate_and_ndcg, is_hit=lambda rank, k: rank < k),
            "The last place of the list does not count with you. How many ranks should be hits when k is 10?",
        ),
        Misconception(
            "natural logarithm",
            partial(_hit_rate_and_ndcg, gain=lambda rank, k: 1 / np.log(rank + 1)),
            "That is the natural logarithm. Which base makes the first place worth exactly 1?",
        ),
        Misconception(
            "reciprocal rank",
            partial(_hit_rate_and_ndcg, gain=lambda rank, k: 1 / rank),
            "That is the reciprocal rank (MRR). What makes NDCG fall more gently with the rank?",
        ),
        Misconception(
            "no cut-off",
            partial(_hit_rate_and_ndcg, cut=False),
            "Your NDCG is above 0 for a rank that nobody looks at. What does the @k in its name say?",
        ),
        Misconception(
            "ideal of k relevant items",
            partial(_hit_rate_and_ndcg, gain=_ideal_of_k),
            "You divide by the best list of k relevant items. How many relevant items are there here, and "
            "how good can the best list be?",
        ),
        Misconception(
            "not the inverse",
            partial(_hit_rate_and_ndcg, gain=lambda rank, k: np.log2(rank + 1)),
            "Your NDCG grows with the rank: the worse the place, the better the figure. Which way should "
            "it go?",
        ),
        Misconception(
            "precision",
            partial(_hit_rate_and_ndcg, hit=lambda rank, k: 1 / k),
            "Your first result is the share of the list that was a hit, which is precision. Of one user "
            "and one positive, what does the hit rate say?",
        ),
        Misconception(
            "results swapped",
            lambda rank, k: _hit_rate_and_ndcg(rank, k)[::-1],
            "Both figures are right, but in the other order. Which does the docstring return first?",
        ),
    ),
)


# ---- 2.6 ease ----


def _ease(x, reg):
    return baselines.fit_ease(csr_array(x), reg).weights


def _ease_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_users, n_items, reg):
        x = (rng.random((n_users, n_items)) < 0.4).astype(float)
        x[0] = 1  # every two items have a user in common
        x[np.arange(1, n_items + 1)] = np.eye(n_items)  # and without regularisation there is an inverse
        return {"x": rng.permutation(x), "reg": reg}

    nobody = random(12, 5, 2.0)
    nobody["x"][:, 3] = 0
    return [
        Case("3 users and 2 items", {"x": np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), "reg": 1.0}),
        Case("20 users and 6 items", random(20, 6, 3.0)),
        Case("30 users and 8 items", random(30, 8, 10.0)),
        Case("an item that nobody has", nobody, edge=True),
        Case(
            "a single user with three of five items",
            {"x": rng.permutation([1.0, 1.0, 1.0, 0.0, 0.0])[None], "reg": 4.0},
            edge=True,
        ),
    ]


def _ease_with(
    x,
    reg,
    *,
    gram=lambda x: x.T @ x,
    regularise=lambda g, reg: g + reg * np.eye(len(g)),
    invert=np.linalg.inv,
    divide=lambda p, g: p / -np.diag(p),
    zero=True,
):
    """ease with one thing done otherwise."""
    g = regularise(gram(x), reg)
    weights = divide(invert(g), g)
    if zero:
        np.fill_diagonal(weights, 0)
    return weights


def _ridge(x, reg, zero=True):
    gram = x.T @ x
    weights = np.linalg.solve(gram + reg * np.eye(len(gram)), gram)
    if zero:
        np.fill_diagonal(weights, 0)
    return weights


EASE = Exercise(
    id="2.6",
    title="EASE in closed form",
    name="ease",
    params=("x", "reg"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_ease_cases,
    reference=_ease,
    verdict=Equal(rtol=1e-3, atol=1e-5),
    misconceptions=(
        Misconception(
            "diagonal kept",
            partial(_ease_with, zero=False),
            "All weights are right except those of an item to itself. What would an item that predicts "
            "itself have learned?",
        ),
        Misconception(
            "reg forgotten",
            partial(_ease_with, regularise=lambda g, reg: g),
            "Those are the weights without regularisation, and without it X'X need not have an inverse. "
            "Which argument have you not used?",
        ),
        Misconception(
            "transposed",
            partial(_ease_with, divide=lambda p, g: p / -np.diag(p)[:, None]),
            "You divided row i by P_ii, which gives the weights transposed. Which of the two items in B_ij "
            "is the one that is predicted?",
        ),
        Misconception(
            "sign",
            partial(_ease_with, divide=lambda p, g: p / np.diag(p)),
            "All weights have the wrong sign: items that are watched together push each other down. Which "
            "sign is in the formula?",
        ),
        Misconception(
            "not divided",
            partial(_ease_with, divide=lambda p, g: -p),
            "That is the inverse with its sign changed. By what does the formula divide each column?",
        ),
        Misconception(
            "divided by the diagonal of X'X",
            partial(_ease_with, divide=lambda p, g: p / -np.diag(g)),
            "You divided by the diagonal of the matrix before it was inverted. Of which matrix is P_jj an "
            "entry?",
        ),
        Misconception(
            "reg in every cell",
            partial(_ease_with, regularise=lambda g, reg: g + reg),
            "You added reg to every cell of X'X, as if every two items had that many more users in common. "
            "Where in the matrix does the penalty belong?",
        ),
        Misconception(
            "reg taken off",
            partial(_ease_with, regularise=lambda g, reg: g - reg * np.eye(len(g))),
            "You took reg off the diagonal. Does a penalty make the diagonal larger or smaller?",
        ),
        Misconception(
            "users instead of items",
            partial(_ease_with, gram=lambda x: x @ x.T),
            "Those are weights between users. Which axis of X should be summed away?",
        ),
        Misconception(
            "element by element",
            partial(_ease_with, invert=lambda g: 1 / g),
            "You took 1 over each cell. What does the inverse of a matrix give when the two are multiplied?",
        ),
        Misconception(
            "ridge, diagonal emptied",
            _ridge,
            "Those are the weights of a ridge regression in which an item predicts itself, with the diagonal "
            "emptied afterwards: the other weights had counted on it. What does the closed form do so that "
            "they do not?",
        ),
        Misconception(
            "ridge",
            partial(_ridge, zero=False),
            "Those are the weights of a ridge regression in which an item predicts itself. What does EASE "
            "forbid, and how does its formula differ?",
        ),
    ),
)


# ---- 2.7 GMF.forward, 2.8 MLP.forward, 2.9 NeuMF.forward ----


def _call_model(cls: type, sizes, weights, users, items):
    return run_forward(cls, sizes, weights, users, items)


def _pairs(rng: np.random.Generator, batch: int) -> dict[str, torch.Tensor]:
    users, items = rng.integers(0, _SIZES["n_users"], batch), rng.integers(0, _SIZES["n_items"], batch)
    return {"users": torch.tensor(users), "items": torch.tensor(items)}


_SIZES = {"n_users": 9, "n_items": 9}  # as many, so that tables mixed up give wrong numbers and no error


def _tables(rng: np.random.Generator, dim: int, user: str, item: str) -> dict[str, np.ndarray]:
    return {f"{name}.weight": rng.normal(0, 0.8, (9, dim)) for name in (user, item)}


def _tower(rng: np.random.Generator, n_in: int, layers: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Biases above 0, so that most units are active."""
    weights = {}
    for place, (n_from, n_to) in enumerate(zip((n_in, *layers), layers, strict=False)):
        weights[f"tower.{3 * place}.weight"] = rng.normal(0, 0.5, (n_to, n_from))
        weights[f"tower.{3 * place}.bias"] = rng.uniform(0.5, 1.2, n_to)
    return weights


def _output(rng: np.random.Generator, n_in: int) -> dict[str, np.ndarray]:
    return {"output.weight": rng.normal(0, 1, (1, n_in)), "output.bias": rng.uniform(-1.5, -0.5, 1)}


def _by_hand(sizes: dict[str, Any], weights: dict[str, list]) -> dict[str, Any]:
    pair = {"users": torch.tensor([0, 1]), "items": torch.tensor([1, 0])}
    return {
        "sizes": {"n_users": 2, "n_items": 2} | sizes,
        "weights": {name: np.array(values) for name, values in weights.items()},
    } | pair


def _model(base: type, forward) -> type[nn.Module]:
    return type(base.__name__, (base,), {"forward": forward})


_SIGMOID = (
    "Those are probabilities. The loss of this lab has the sigmoid inside: what happens to the gradients "
    "when it is taken twice?"
)
_SQUEEZE = (
    "squeeze() without an argument drops every axis of size 1. Which axis has size 1 here that should stay?"
)
_COLUMN = (
    "Your logits stand in a column. The labels they are compared with have shape [B]: which axis is too many?"
)
_DETACHED = (
    "The result is cut off from the weights, so that nothing could be learned. Which call does that "
    "(detach, data, item, no_grad)?"
)
_RELU = (
    "Your logits are never below 0, so that no pair could be called improbable. After which layers does the "
    "ReLU belong?"
)


def _gmf_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, dim):
        weights = _tables(rng, dim, "user_emb", "item_emb") | _output(rng, dim)
        return {"sizes": _SIZES | {"dim": dim}, "weights": weights} | _pairs(rng, batch)

    hand = {
        "user_emb.weight": [[1.0, 2.0], [0.0, 1.0]],
        "item_emb.weight": [[3.0, 1.0], [5.0, -1.0]],
        "output.weight": [[1.0, 0.5]],
        "output.bias": [-1.0],
    }
    words = (
        "users 0 and 1 (vectors [1, 2] and [0, 1]) with items 1 and 0 (vectors [5, -1] and [3, 1]), output "
        "weights [1, 0.5] and bias -1"
    )
    return [
        Case(words, _by_hand({"dim": 2}, hand)),
        Case("a batch of 5 with 3 factors", random(5, 3)),
        Case("a batch of 32 with 8 factors", random(32, 8)),
        Case("a batch of one", random(1, 4), edge=True),
        Case("a batch of 4 with a single factor", random(4, 1), edge=True),
    ]


_gmf = partial(_model, models.GMF)


def _match(model, users, items):
    return model.user_emb(users) * model.item_emb(items)


GMF = Exercise(
    id="2.7",
    title="Generalised matrix factorization",
    name="GMF",
    params=("users", "items"),
    points=1,
    minutes=5,
    difficulty=1,
    cases=_gmf_cases,
    reference=models.GMF,
    call=_call_model,
    method="forward",
    verdict=Property(check_forward),
    misconceptions=(
        Misconception(
            "plain dot product",
            _gmf(lambda m, u, i: _match(m, u, i).sum(1)),
            "That is the plain dot product, in which every factor weighs the same. Which layer of __init__ "
            "have you not used?",
        ),
        Misconception(
            "dot product before the output",
            _gmf(lambda m, u, i: _match(m, u, i).sum(1) * m.output.weight.sum() + m.output.bias),
            "You added up the factors before the output layer could weigh them. What should go into the "
            "layer, one number per pair or one per factor?",
        ),
        Misconception(
            "bias left out",
            _gmf(lambda m, u, i: _match(m, u, i) @ m.output.weight[0]),
            "The factors are weighed right, but every logit is off by the same number. What else does the "
            "output layer hold?",
        ),
        Misconception(
            "added",
            _gmf(lambda m, u, i: m.output(m.user_emb(u) + m.item_emb(i)).squeeze(1)),
            "You added the two vectors. With a sum, everybody would get the same ranking of films: what "
            "makes a match depend on both?",
        ),
        Misconception(
            "sigmoid",
            _gmf(lambda m, u, i: torch.sigmoid(m.output(_match(m, u, i))).squeeze(1)),
            _SIGMOID,
        ),
        Misconception("squeeze all", _gmf(lambda m, u, i: m.output(_match(m, u, i)).squeeze()), _SQUEEZE),
        Misconception("column", _gmf(lambda m, u, i: m.output(_match(m, u, i))), _COLUMN),
        Misconception(
            "all pairs",
            _gmf(lambda m, u, i: (m.user_emb(u) * m.output.weight) @ m.item_emb(i).T + m.output.bias),
            "You matched every user of the batch with every item of the batch. With which item does each "
            "user go?",
        ),
        Misconception(
            "item not looked up",
            _gmf(lambda m, u, i: m.output(m.user_emb(u) * m.item_emb(u)).squeeze(1)),
            "The items of the batch make no difference: both tables are looked up with the same numbers. "
            "Which number belongs to which table?",
        ),
        Misconception(
            "relu at the end", _gmf(lambda m, u, i: F.relu(m.output(_match(m, u, i))).squeeze(1)), _RELU
        ),
        Misconception(
            "detached", _gmf(lambda m, u, i: m.output(_match(m, u, i)).squeeze(1).detach()), _DETACHED
        ),
    ),
)


def _mlp_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, dim, layers):
        weights = _tables(rng, dim, "user_emb", "item_emb") | _tower(rng, 2 * dim, layers)
        weights |= _output(rng, layers[-1])
        return {"sizes": _SIZES | {"dim": dim, "layers": layers}, "weights": weights} | _pairs(rng, batch)

    hand = {
        "user_emb.weight": [[1.0], [2.0]],
        "item_emb.weight": [[3.0], [-1.0]],
        "tower.0.weight": [[1.0, 2.0], [1.0, 1.0]],
        "tower.0.bias": [0.0, 1.0],
        "output.weight": [[1.0, 0.5]],
        "output.bias": [-1.0],
    }
    words = (
        "users 0 and 1 (vectors [1] and [2]) with items 1 and 0 (vectors [-1] and [3]), a layer with the "
        "weights [[1, 2], [1, 1]] and biases [0, 1], output weights [1, 0.5] and bias -1"
    )
    return [
        Case(words, _by_hand({"dim": 1, "layers": (2,)}, hand)),
        Case("a batch of 5 with layers of 8 and 6 units", random(5, 3, (8, 6))),
        Case("a batch of 32 with layers of 12, 8 and 5 units", random(32, 4, (12, 8, 5))),
        Case("a batch of one", random(1, 4, (8, 8)), edge=True),
        Case("a batch of 4 with layers of 6 and 1 units", random(4, 2, (6, 1)), edge=True),
    ]


_mlp = partial(_model, models.MLP)


def _both(model, users, items):
    return torch.cat([model.user_emb(users), model.item_emb(items)], dim=1)


MLP = Exercise(
    id="2.8",
    title="A multi-layer perceptron",
    name="MLP",
    params=("users", "items"),
    points=1,
    minutes=6,
    difficulty=2,
    cases=_mlp_cases,
    reference=models.MLP,
    call=_call_model,
    method="forward",
    verdict=Property(check_forward),
    misconceptions=(
        Misconception(
            "item first",
            _mlp(
                lambda m, u, i: m.output(m.tower(torch.cat([m.item_emb(i), m.user_emb(u)], dim=1))).squeeze(1)
            ),
            "You put the item's vector in front. The first layer has other weights for the left half: in "
            "which order does the docstring join the two?",
        ),
        Misconception(
            "item not looked up",
            _mlp(
                lambda m, u, i: m.output(m.tower(torch.cat([m.user_emb(u), m.user_emb(u)], dim=1))).squeeze(1)
            ),
            "The user's vector stands on both sides, so that all films get the same score. Which table "
            "belongs to the second half?",
        ),
        Misconception(
            "multiplied as well",
            _mlp(
                lambda m, u, i: m.output(
                    m.tower(torch.cat([m.user_emb(u), m.user_emb(u) * m.item_emb(i)], dim=1))
                ).squeeze(1)
            ),
            "The second half is a product of the two vectors. Who should find out how they go together, "
            "you or the layers?",
        ),
        Misconception(
            "no relu",
            _mlp(
                lambda m, u, i: m.output(
                    nn.Sequential(*(layer for layer in m.tower if isinstance(layer, nn.Linear)))(
                        _both(m, u, i)
                    )
                ).squeeze(1)
            ),
            "You left out the ReLUs between the layers. What do several linear layers in a row amount to?",
        ),
        Misconception(
            "output layer left out",
            _mlp(lambda m, u, i: m.tower(_both(m, u, i)).sum(1)),
            "You added up what comes out of the tower. Which layer of __init__ have you not used?",
        ),
        Misconception(
            "sigmoid",
            _mlp(lambda m, u, i: torch.sigmoid(m.output(m.tower(_both(m, u, i)))).squeeze(1)),
            _SIGMOID,
        ),
        Misconception(
            "squeeze all", _mlp(lambda m, u, i: m.output(m.tower(_both(m, u, i))).squeeze()), _SQUEEZE
        ),
        Misconception("column", _mlp(lambda m, u, i: m.output(m.tower(_both(m, u, i)))), _COLUMN),
        Misconception(
            "relu at the end",
            _mlp(lambda m, u, i: F.relu(m.output(m.tower(_both(m, u, i)))).squeeze(1)),
            _RELU,
        ),
        Misconception(
            "detached",
            _mlp(lambda m, u, i: m.output(m.tower(_both(m, u, i))).squeeze(1).detach()),
            _DETACHED,
        ),
    ),
)


def _neumf_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, gmf_dim, mlp_dim, layers):
        weights = _tables(rng, gmf_dim, "gmf_user", "gmf_item") | _tables(
            rng, mlp_dim, "mlp_user", "mlp_item"
        )
        weights |= _tower(rng, 2 * mlp_dim, layers) | _output(rng, gmf_dim + layers[-1])
        sizes = _SIZES | {"gmf_dim": gmf_dim, "mlp_dim": mlp_dim, "layers": layers}
        return {"sizes": sizes, "weights": weights} | _pairs(rng, batch)

    hand = {
        "gmf_user.weight": [[1.0], [2.0]],
        "gmf_item.weight": [[4.0], [-3.0]],
        "mlp_user.weight": [[1.0], [2.0]],
        "mlp_item.weight": [[3.0], [-1.0]],
        "tower.0.weight": [[1.0, 2.0]],
        "tower.0.bias": [1.0],
        "output.weight": [[0.5, 1.0]],
        "output.bias": [-1.0],
    }
    words = (
        "users 0 and 1 with items 1 and 0; gmf_user [1] and [2], gmf_item [-3] and [4], mlp_user [1] and "
        "[2], mlp_item [-1] and [3], a layer with weights [1, 2] and bias 1, output weights [0.5, 1] and "
        "bias -1"
    )
    return [
        Case(words, _by_hand({"gmf_dim": 1, "mlp_dim": 1, "layers": (1,)}, hand)),
        Case("a batch of 6 with 4 factors on both sides, layers of 8 and 4 units", random(6, 4, 4, (8, 4))),
        Case("a batch of 32 with 3 and 5 factors, layers of 12 and 6 units", random(32, 3, 5, (12, 6))),
        Case("a batch of one", random(1, 4, 3, (8, 5)), edge=True),
        Case("a batch of one with a single factor", random(1, 1, 2, (8, 2)), edge=True),
    ]


_neumf = partial(_model, models.NeuMF)


def _neumf_logits(
    model,
    users,
    items,
    *,
    gmf=lambda m, u, i: m.gmf_user(u) * m.gmf_item(i),
    before=lambda m, u, i: [m.mlp_user(u), m.mlp_item(i)],
    tower=lambda m, both: m.tower(both),
    join=lambda gmf, mlp: torch.cat([gmf, mlp], dim=1),
    finish=lambda logits: logits.squeeze(1),
):
    """NeuMF.forward; with keywords, one thing done otherwise."""
    mlp = tower(model, torch.cat(before(model, users, items), dim=1))
    return finish(model.output(join(gmf(model, users, items), mlp)))


def _neumf_with(**changes) -> type[nn.Module]:
    return _neumf(lambda m, u, i: _neumf_logits(m, u, i, **changes))


NEUMF = Exercise(
    id="2.9",
    title="NeuMF, both parts joined",
    name="NeuMF",
    params=("users", "items"),
    points=3,
    minutes=8,
    difficulty=2,
    cases=_neumf_cases,
    reference=models.NeuMF,
    call=_call_model,
    method="forward",
    verdict=Property(check_forward),
    misconceptions=(
        Misconception("sigmoid", _neumf_with(finish=lambda x: torch.sigmoid(x).squeeze(1)), _SIGMOID),
        Misconception("squeeze all", _neumf_with(finish=lambda x: x.squeeze()), _SQUEEZE),
        Misconception(
            "sigmoid and squeeze all",
            _neumf_with(finish=lambda x: torch.sigmoid(x).squeeze()),
            "Two things at once: those are probabilities where the loss wants logits, and squeeze() also "
            "drops the axis of a batch of one. Which steps after the output layer are needed at all?",
        ),
        Misconception("column", _neumf_with(finish=lambda x: x), _COLUMN),
        Misconception("relu at the end", _neumf_with(finish=lambda x: F.relu(x).squeeze(1)), _RELU),
        Misconception("detached", _neumf_with(finish=lambda x: x.squeeze(1).detach()), _DETACHED),
        Misconception(
            "mlp first",
            _neumf_with(join=lambda gmf, mlp: torch.cat([mlp, gmf], dim=1)),
            "You put the MLP part in front, so that each output weight meets another number than it was "
            "made for. In which order does the docstring join the parts?",
        ),
        Misconception(
            "item first in the tower",
            _neumf_with(before=lambda m, u, i: [m.mlp_item(i), m.mlp_user(u)]),
            "In front of the tower the item's vector comes first. In which order does the docstring join "
            "the two?",
        ),
        Misconception(
            "no gmf part",
            _neumf_with(join=lambda gmf, mlp: torch.cat([torch.zeros_like(gmf), mlp], dim=1)),
            "Your logits do not depend on the product of gmf_user and gmf_item. What should the first "
            "gmf_dim inputs of the output layer be?",
        ),
        Misconception(
            "no mlp part",
            _neumf_with(join=lambda gmf, mlp: torch.cat([gmf, torch.zeros_like(mlp)], dim=1)),
            "Your logits do not depend on what comes out of the tower. What should the last inputs of the "
            "output layer be?",
        ),
        Misconception(
            "one pair of tables",
            _neumf_with(before=lambda m, u, i: [m.gmf_user(u), m.gmf_item(i)]),
            "Both parts read the tables of GMF, and mlp_user and mlp_item are never used. Why does "
            "__init__ make two pairs of tables?",
        ),
        Misconception(
            "tables mixed up",
            _neumf_with(
                gmf=lambda m, u, i: m.mlp_user(u) * m.mlp_item(i),
                before=lambda m, u, i: [m.gmf_user(u), m.gmf_item(i)],
            ),
            "The GMF part reads the tables of the MLP, and the MLP those of GMF. What do their names say?",
        ),
        Misconception(
            "added in the gmf part",
            _neumf_with(gmf=lambda m, u, i: m.gmf_user(u) + m.gmf_item(i)),
            "In the GMF part you added the two vectors. What did your GMF do with them?",
        ),
        Misconception(
            "tower left out",
            _neumf_with(
                before=lambda m, u, i: [m.mlp_user(u) * m.mlp_item(i)], tower=lambda m, product: product
            ),
            "The second part is a product of the MLP's vectors, as in GMF, and no layer of the tower is "
            "used. What should happen to the two vectors before the output layer?",
        ),
    ),
)


# ---- 2.10 bpr_loss ----


def _call_loss(bpr_loss, pos_scores, neg_scores):
    """The loss, and whether its gradient reaches both kinds of scores."""
    scores = [tensor.clone().requires_grad_() for tensor in (pos_scores, neg_scores)]
    loss = bpr_loss(*scores)
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        loss.sum().backward()
    return loss, [tensor.grad is not None and bool(tensor.grad.any()) for tensor in scores]


def _check_loss(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    loss, reached = got.parts
    if problem := compare(loss, expected.parts[0], (), 1e-4, 1e-6):
        return problem
    if not reached.array.all():
        return Complaint("got the right value, but no gradient reaches the scores", "one for each", CUT_OFF)
    return None


def _bpr_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, shift, scale=1.0):
        pos, neg = rng.normal(shift, scale, batch), rng.normal(0, scale, batch)
        return dict(
            pos_scores=torch.tensor(pos, dtype=torch.float32),
            neg_scores=torch.tensor(neg, dtype=torch.float32),
        )

    hand = {"pos_scores": torch.tensor([2.0, 0.5]), "neg_scores": torch.tensor([0.0, 1.5])}
    far_off = {"pos_scores": torch.tensor([-60.0, 3.0, -80.0]), "neg_scores": torch.tensor([70.0, 2.0, 60.0])}
    return [
        Case("two pairs", hand),
        Case("6 pairs", random(6, 0.8)),
        Case("200 pairs", random(200, -0.5, 1.5)),
        Case("one pair", random(1, 1.0), edge=True),
        Case("negatives that stand far above", far_off, edge=True),
    ]


def _bpr_with(
    pos_scores,
    neg_scores,
    *,
    difference=lambda pos, neg: pos - neg,
    per_pair=lambda x: -F.logsigmoid(x),
    reduce=torch.mean,
):
    """bpr_loss with one thing done otherwise."""
    return reduce(per_pair(difference(pos_scores, neg_scores)))


BPR_LOSS = Exercise(
    id="2.10",
    title="BPR loss",
    name="bpr_loss",
    params=("pos_scores", "neg_scores"),
    points=1,
    minutes=6,
    difficulty=1,
    cases=_bpr_cases,
    reference=losses.bpr,
    call=_call_loss,
    verdict=Property(_check_loss, atol=1e-7),
    misconceptions=(
        Misconception(
            "wrong way round",
            partial(_bpr_with, difference=lambda pos, neg: neg - pos),
            "Your loss is small where the negative stands above the positive. Which of the two should be "
            "the higher one?",
        ),
        Misconception(
            "sign",
            partial(_bpr_with, per_pair=F.logsigmoid),
            "Your loss is negative, and the better the order the larger it is. What does an optimiser do "
            "with a loss?",
        ),
        Misconception(
            "no logarithm",
            partial(_bpr_with, per_pair=lambda x: -torch.sigmoid(x)),
            "That is minus the probability of the right order, not minus its logarithm. Which step of the "
            "formula is missing?",
        ),
        Misconception(
            "probability of the wrong order",
            partial(_bpr_with, per_pair=lambda x: 1 - torch.sigmoid(x)),
            "That is the probability of the wrong order, which hardly changes where the order is very wrong. "
            "Which step of the formula is missing?",
        ),
        Misconception(
            "no sigmoid",
            partial(_bpr_with, per_pair=lambda x: -x),
            "That is minus the difference: a pair in the right order by a mile can pay for many wrong ones. "
            "What turns a difference into a probability?",
        ),
        Misconception(
            "sum",
            partial(_bpr_with, reduce=torch.sum),
            "Your loss grows with the number of pairs. Should the step depend on how large a batch is?",
        ),
        Misconception(
            "one per pair",
            partial(_bpr_with, reduce=lambda x: x),
            "You have one loss per pair. How do you turn them into one loss per batch?",
        ),
        Misconception(
            "logarithm of the mean",
            lambda pos, neg: -torch.log(torch.sigmoid(pos - neg).mean()),
            "You took the mean of the probabilities and then the logarithm. In which order does the formula "
            "do the two?",
        ),
        Misconception(
            "difference of the means",
            lambda pos, neg: -F.logsigmoid(pos.mean() - neg.mean()),
            "You compare the average positive with the average negative. Which negative does each positive "
            "go with?",
        ),
        Misconception(
            "every pair with every pair",
            partial(_bpr_with, difference=lambda pos, neg: pos[:, None] - neg),
            "You compare every positive with every negative of the batch, those of other users too. Which "
            "negative does each positive go with?",
        ),
        Misconception(
            "pointwise",
            lambda pos, neg: -(F.logsigmoid(pos) + F.logsigmoid(-neg)).mean(),
            "That is the pointwise loss: each score is judged alone, positives against 0 and negatives "
            "against 0. What does BPR compare a positive with?",
        ),
        Misconception(
            "hinge",
            partial(_bpr_with, per_pair=lambda x: F.relu(1 - x)),
            "That is a hinge loss with a margin of 1. Which smooth function does the formula use instead?",
        ),
        Misconception(
            "log of zero",
            partial(_bpr_with, per_pair=lambda x: -torch.log(torch.sigmoid(x))),
            "Where the difference is far below 0 the sigmoid is rounded to 0, and its logarithm is infinite. "
            "Is there a function in torch.nn.functional that takes both steps at once?",
        ),
        Misconception(
            "a small number added",
            partial(_bpr_with, per_pair=lambda x: -torch.log(torch.sigmoid(x) + 1e-10)),
            "The small number in your logarithm keeps it finite, but a pair in the wrong order by far then "
            "costs the same as one that is much worse, and gives no gradient. Is there a function that "
            "takes logarithm and sigmoid at once?",
        ),
        Misconception(
            "detached",
            lambda pos, neg: losses.bpr(pos, neg).detach(),
            _DETACHED.replace("weights", "scores"),
        ),
    ),
)


# ---- 2.11 fuse ----


def _fuse(
    gmf_weight,
    mlp_weight,
    alpha,
    *,
    shares=lambda alpha: (alpha, 1 - alpha),
    join=lambda gmf, mlp: torch.cat([gmf, mlp], dim=1),
):
    """The reference; with keywords, one thing done otherwise."""
    share, rest = shares(alpha)
    return join(share * gmf_weight, rest * mlp_weight)


def _fuse_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_gmf, n_mlp, alpha):
        gmf, mlp = (torch.tensor(rng.normal(0, 1, (1, n)), dtype=torch.float32) for n in (n_gmf, n_mlp))
        return {"gmf_weight": gmf, "mlp_weight": mlp, "alpha": alpha}

    hand = {
        "gmf_weight": torch.tensor([[1.0, 2.0]]),
        "mlp_weight": torch.tensor([[4.0, -8.0]]),
        "alpha": 0.25,
    }
    return [
        Case("two weights each", hand),
        Case("3 and 5 weights", random(3, 5, 0.3)),
        Case("32 and 16 weights, half and half", random(32, 16, 0.5)),
        Case("alpha 1: GMF alone", random(3, 2, 1.0), edge=True),
        Case("alpha 0: MLP alone", random(2, 3, 0.0), edge=True),
    ]


def _fuse_in_place(gmf_weight, mlp_weight, alpha):
    gmf_weight *= alpha
    mlp_weight *= 1 - alpha
    return torch.cat([gmf_weight, mlp_weight], dim=1)


FUSE = Exercise(
    id="2.11",
    title="Fusing two trained models",
    name="fuse",
    params=("gmf_weight", "mlp_weight", "alpha"),
    points=1,
    minutes=5,
    difficulty=1,
    cases=_fuse_cases,
    reference=_fuse,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "alpha not used",
            partial(_fuse, shares=lambda alpha: (1, 1)),
            "Both parts keep their full weight, so that the logits are the sum of two models, about twice "
            "as large as either. Which argument divides the say between them?",
        ),
        Misconception(
            "alpha for the mlp",
            partial(_fuse, shares=lambda alpha: (1 - alpha, alpha)),
            "The shares are the other way round. With alpha = 1, which of the two models should be left?",
        ),
        Misconception(
            "alpha for both",
            partial(_fuse, shares=lambda alpha: (alpha, alpha)),
            "Both parts got the share alpha. What should the two shares add up to?",
        ),
        Misconception(
            "alpha only for gmf",
            partial(_fuse, shares=lambda alpha: (alpha, 1)),
            "The MLP part keeps its full weight. What should the two shares add up to?",
        ),
        Misconception(
            "mlp first",
            partial(_fuse, join=lambda gmf, mlp: torch.cat([mlp, gmf], dim=1)),
            "The MLP's weights stand in front. In which order do the parts arrive at the output layer in "
            "NeuMF's forward?",
        ),
        Misconception(
            "stacked",
            partial(_fuse, join=lambda gmf, mlp: torch.cat([gmf, mlp], dim=0)),
            "You put one row below the other, which makes an output layer with two outputs (and an error "
            "where the rows differ in length). Along which axis do the inputs of a Linear layer run?",
        ),
        Misconception(
            "mixed",
            partial(_fuse, join=lambda gmf, mlp: gmf + mlp),
            "You added the two rows, which works only where they happen to be of one length. Do the two "
            "parts arrive at the output layer on top of each other or side by side?",
        ),
        Misconception(
            "flat",
            partial(_fuse, join=lambda gmf, mlp: torch.cat([gmf[0], mlp[0]])),
            "The numbers are right, but stand in a single axis. Which shape has the weight of a Linear layer "
            "with one output?",
        ),
        Misconception(
            "column",
            partial(_fuse, join=lambda gmf, mlp: torch.cat([gmf, mlp], dim=1).T),
            "The numbers are right, but stand in a column. Which comes first in the weight of a Linear "
            "layer, its outputs or its inputs?",
        ),
        Misconception(
            "in place",
            _fuse_in_place,
            "The result is right, but you scaled the trained models' own weights: neither works any more. "
            "Which operation makes a new tensor?",
        ),
    ),
)


EXERCISES = (
    LEAVE_LAST_OUT,
    SAMPLE_NEGATIVES,
    EXCLUDED_ITEMS,
    RANK_OF_POSITIVE,
    HIT_RATE_AND_NDCG,
    EASE,
    GMF,
    MLP,
    NEUMF,
    BPR_LOSS,
    FUSE,
)
