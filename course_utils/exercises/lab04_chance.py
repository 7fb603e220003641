"""The exercises of Lab 4 on chance: sampled metrics, intervals, tests (4.5 to 4.7)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from scipy import stats

from course_utils import metrics
from course_utils.exercises.calls_lab04 import call_with_generator
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.plain import Plain, describe, numbers
from course_utils.exercises.verdicts import Complaint, Equal, Property, misfit

Args = dict[str, Any]

_FALSE_ALARM = 1e-9  # per case
_MANY = 8000  # draws, enough to tell one way from another


# ---- 4.5 expected_hit_rate ----


def _expected_cases(rng: np.random.Generator) -> list[Case]:
    def args(n_higher, n_others, n_neg, k):
        return {"n_higher": int(n_higher), "n_others": int(n_others), "n_neg": int(n_neg), "k": int(k)}

    near = rng.integers(90, 140)
    n = int(rng.integers(300, 900))
    return [
        Case("four other items", args(2, 4, 2, 1)),
        Case("k = 10 and 99 negatives", args(near, 1400 + rng.integers(200), 99, 10)),
        Case("k = 5 and 20 negatives", args(rng.integers(16, 22), 100 + rng.integers(9), 20, 5)),
        Case("all others as negatives", args(4, n, n, 5), edge=True),
        Case("all others as negatives, and place k + 1", args(5, n, n, 5), edge=True),
        Case("the best of all items", args(0, n, 99, 10), edge=True),
        Case("the worst of all items", args(n, n, 99, 10), edge=True),
        Case("k above the number of negatives", args(n // 2, n, 5, 10), edge=True),
    ]


def _expected_hit_rate(n_higher, n_others, n_neg, k):
    return float(metrics.expected_hit_rate([n_higher], [0], [n_others], k, n_neg)[0])


def _expected_with(
    n_higher,
    n_others,
    n_neg,
    k,
    *,
    higher=lambda n_higher: n_higher,
    others=lambda n_others: n_others,
    probability=lambda better, k: better.cdf(k - 1),
):
    """expected_hit_rate with one thing done otherwise; better: the number of better items drawn."""
    n_all = others(n_others)
    return probability(stats.hypergeom(n_all, min(higher(n_higher), n_all), min(n_neg, n_all)), k)


EXPECTED_HIT_RATE = Exercise(
    id="4.5",
    title="What sampling would give",
    name="expected_hit_rate",
    params=("n_higher", "n_others", "n_neg", "k"),
    points=1,
    minutes=6,
    difficulty=2,
    cases=_expected_cases,
    reference=_expected_hit_rate,
    verdict=Equal(atol=1e-9),
    misconceptions=(
        Misconception(
            "k better ones allowed",
            partial(_expected_with, probability=lambda better, k: better.cdf(k)),
            "You call it a hit when k better items are drawn. At which place does the positive stand then?",
        ),
        Misconception(
            "exactly k - 1 better ones",
            partial(_expected_with, probability=lambda better, k: better.pmf(k - 1)),
            "That is the probability that the positive comes exactly at place k. At which other places would "
            "it be a hit too?",
        ),
        Misconception(
            "no better one",
            partial(_expected_with, probability=lambda better, k: better.pmf(0)),
            "That is the probability that no better item is drawn, a hit at k = 1. How many may be drawn "
            "before the positive leaves the first k?",
        ),
        Misconception(
            "arguments in another order",
            lambda n_higher, n_others, n_neg, k: stats.hypergeom(n_higher, n_others, n_neg).cdf(k - 1),
            "scipy says nan to numbers that cannot be: you tell it that more are better than there are. "
            "Which of the three numbers is the size of the whole?",
        ),
        Misconception(
            "the miss",
            partial(_expected_with, probability=lambda better, k: better.sf(k - 1)),
            "That is the probability of a miss. What should the best of all items get?",
        ),
        Misconception(
            "with replacement",
            lambda n_higher, n_others, n_neg, k: stats.binom(n_neg, n_higher / n_others).cdf(k - 1),
            "You draw with replacement (a binomial), so that an item may be a negative twice. Which "
            "distribution counts draws that leave fewer behind?",
        ),
        Misconception(
            "rare events",
            lambda n_higher, n_others, n_neg, k: stats.poisson(n_neg * n_higher / n_others).cdf(k - 1),
            "You took a Poisson distribution, as if the draws had no end. How many better items can be drawn "
            "at most?",
        ),
        Misconception(
            "the positive among the others",
            partial(_expected_with, others=lambda n_others: n_others + 1),
            "You draw the negatives from one item too many. Is the positive one of the others?",
        ),
        Misconception(
            "the positive among the better ones",
            partial(_expected_with, higher=lambda n_higher: n_higher + 1),
            "You count one item too many as better. Does the positive stand above itself?",
        ),
        Misconception(
            "the rank on average",
            lambda n_higher, n_others, n_neg, k: float(n_neg * n_higher / n_others < k),
            "You ask whether the positive is a hit in an average draw. Some draws are kinder and some less: "
            "in which share of them is it a hit?",
        ),
        Misconception(
            "full ranking",
            lambda n_higher, n_others, n_neg, k: float(n_higher < k),
            "That is the hit rate among all others. Against how many of them is the positive ranked here?",
        ),
        Misconception(
            "chance",
            lambda n_higher, n_others, n_neg, k: min(k / (n_neg + 1), 1.0),
            "That is the chance level, which any item has when nothing is known. What do you know about this "
            "one?",
        ),
        Misconception(
            "number of better ones",
            lambda n_higher, n_others, n_neg, k: n_neg * n_higher / n_others,
            "That is how many better items are drawn on average. In which share of the draws are they few "
            "enough?",
        ),
    ),
)


# ---- what 4.6 and 4.7 share: a result of random draws ----


def _same(a: Plain, b: Plain) -> bool:
    return a.array is not None and b.array is not None and np.array_equal(a.array, b.array, equal_nan=True)


def _source(got: Plain) -> str:
    """Where the randomness comes from: the generator handed in, or another one."""
    _, few, again = (part.parts for part in got.parts)
    if not all(_same(a, b) for a, b in zip(few, again, strict=True)):
        return "another generator"
    return "a seed of its own" if all(_same(few[0], other) for other in few) else "rng"


def _check_source(got: Plain, may_stay: bool) -> Complaint | None:
    source = _source(got)
    if source == "another generator":
        ask = "Where does your randomness come from, and which argument is there for it?"
        return Complaint("got another result from a generator of the same seed", "the same again", ask)
    if source == "a seed of its own" and not may_stay:
        ask = "What does each call start from, and which argument is there for it?"
        return Complaint("got the same result from generators of eleven seeds", "one for each seed", ask)
    return None


def _is_numbers(plain: Plain, shape: tuple[int, ...]) -> bool:
    return (
        plain.array is not None
        and plain.array.shape == shape
        and plain.array.dtype.kind in "biuf"
        and bool(np.isfinite(plain.array).all())
    )


def _own_generator(function: Callable) -> Callable:
    return lambda one, other, n, rng: function(one, other, n, np.random.default_rng())


def _seeded_inside(function: Callable) -> Callable:
    return lambda one, other, n, rng: function(one, other, n, np.random.default_rng(0))


_OWN_GENERATOR = (
    "The same generator gave another result when it was used again. Which argument should all randomness "
    "come from, so that somebody else can repeat your figure?"
)
_SEEDED_INSIDE = (
    "Your result is the same whatever generator comes in. Do you draw at all, and if so, from which "
    "generator?"
)


# ---- 4.6 bootstrap_interval ----

_GRID = 48  # values are quarters and users have 1, 2, 3, 4 or 6 rows: every mean of a user is on this grid


def _bootstrap_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_users, n_resamples, n_rows=(1, 2, 3, 4, 6)):
        """Users differ, their own rows hardly; those with many do worse. Numbers with gaps, any order."""
        sizes = rng.permutation(np.resize(n_rows, n_users))
        level = np.clip(rng.integers(0, 5, n_users) - (sizes > 3), 0, 4)
        level[sizes.argmax()], level[sizes.argmin()] = 0, 4
        names = np.sort(rng.choice(900, n_users, replace=False))
        users, values = np.repeat(names, sizes), np.repeat(level, sizes)
        values = np.clip(values + (rng.random(len(users)) < 0.15), 0, 4) / 4
        order = rng.permutation(len(users))
        return args(users[order], values[order], n_resamples)

    def args(users, values, n_resamples):
        return {
            "users": np.array(users, dtype=int),
            "values": np.array(values, dtype=float),
            "n_resamples": n_resamples,
            "seed": int(rng.integers(2**31)),
        }

    hand = args([0, 0, 0, 1], [1, 1, 1, 0], 1000) | {"seed": 0}
    level = rng.integers(1, 4) / 4
    return [
        Case("user 0 with three rows, user 1 with one", hand),
        Case("40 users with 1 to 6 rows each, 8000 resamples", random(40, _MANY)),
        Case("25 users, 500 resamples", random(25, 500)),
        Case("one row for each user", random(30, 500, n_rows=(1,)), edge=True),
        Case("a single user", args([5, 5, 5], [0.25, 1, 0.25], 100), edge=True),
        Case("the same value in every row", args([3, 1, 3, 8, 1, 1], np.full(6, level), 100), edge=True),
    ]


def _of_users(users, values):
    """The mean of each user's rows."""
    _, index = np.unique(users, return_inverse=True)
    return np.bincount(index, values) / np.bincount(index)


def _rows_of_users(users, values):
    """The sum and the number of each user's rows [U, 2]."""
    _, index = np.unique(users, return_inverse=True)
    return np.column_stack([np.bincount(index, values), np.bincount(index)])


def _draw_users(of_users, n_resamples, rng):
    return rng.choice(of_users, (n_resamples, len(of_users)))


def _draw_other_users(of_users, n_resamples, rng):
    return rng.permuted(np.tile(of_users, (n_resamples, 1)), axis=1)


def _middle_95(figures):
    return np.percentile(figures, [2.5, 97.5])


def _interval_with(
    users,
    values,
    n_resamples,
    rng,
    *,
    figures=_of_users,
    draw=_draw_users,
    summarise=lambda drawn: drawn.mean(axis=1),
    ends=_middle_95,
    finish=lambda low, high: (low, high),
):
    """bootstrap_interval with one thing done otherwise."""
    return finish(*ends(summarise(draw(figures(users, values), n_resamples, rng))))


def _gaps_counted(users, values):
    """One figure for each number up to the largest, as np.bincount makes it; 0 where nobody has it."""
    counts = np.bincount(users)
    return np.bincount(users, values) / np.maximum(counts, 1)


def _pooled(drawn):
    """drawn [resamples, U, 2] -> the mean over all rows of the drawn users."""
    return drawn[..., 0].sum(axis=1) / drawn[..., 1].sum(axis=1)


def _values_of_users(users, values, n_resamples, rng):
    return tuple(np.percentile(_of_users(users, values), [2.5, 97.5]))


def _as_many_as_rows(users, values, n_resamples, rng):
    drawn = rng.choice(_of_users(users, values), (n_resamples, len(users)))
    return tuple(_middle_95(drawn.mean(axis=1)))


_INTERVALS: dict[str, Callable] = {
    "as many draws as rows": _as_many_as_rows,
    "right": _interval_with,
    "interactions resampled": partial(_interval_with, figures=lambda users, values: values),
    "rows of users pooled": partial(
        _interval_with,
        figures=_rows_of_users,
        draw=lambda pairs, n, rng: pairs[rng.integers(0, len(pairs), (n, len(pairs)))],
        summarise=_pooled,
    ),
    "without replacement": partial(_interval_with, draw=_draw_other_users),
    "n_resamples users": partial(
        _interval_with,
        draw=lambda of_users, n, rng: rng.choice(of_users, (40, n)),
    ),
    "spread of the users": _values_of_users,
    "90 percent": partial(_interval_with, ends=lambda figures: np.percentile(figures, [5, 95])),
    "shares taken for percentages": partial(
        _interval_with, ends=lambda figures: np.percentile(figures, [0.025, 0.975])
    ),
    "extremes": partial(_interval_with, ends=lambda figures: (figures.min(), figures.max())),
    "one standard error": partial(
        _interval_with,
        ends=lambda figures: (figures.mean() - figures.std(), figures.mean() + figures.std()),
    ),
    "mean and standard error": partial(_interval_with, ends=lambda figures: (figures.mean(), figures.std())),
    "sums": partial(_interval_with, summarise=lambda drawn: drawn.sum(axis=1)),
    "medians": partial(_interval_with, summarise=lambda drawn: np.median(drawn, axis=1)),
    "gaps counted": partial(_interval_with, figures=_gaps_counted),
}


_OF_FEW_DRAWS = ("extremes", "shares taken for percentages")  # of 8000: another generator gives others


@cache
def _known_intervals(users: tuple, values: tuple, n_resamples: int) -> dict[str, np.ndarray]:
    """The interval of each known way, from one generator."""
    users, values = np.array(users), np.array(values)
    return {
        name: np.array(way(users, values, n_resamples, np.random.default_rng(1)), dtype=float)
        for name, way in _INTERVALS.items()
    }


def _way_of_interval(args: Args, got: Plain) -> Plain:
    """Which known way comes nearest, where there are enough draws to tell, and where it drew from."""
    first = got.parts[0]
    if not _is_numbers(first, (2,)):
        return first
    ends, source = first.array.astype(float), _source(got)
    order = "upwards" if ends[0] <= ends[1] else "downwards"
    if args["n_resamples"] < _MANY:
        return Plain(order)
    known = _known_intervals(tuple(args["users"]), tuple(args["values"]), args["n_resamples"])
    distance = {name: abs(np.sort(ends) - np.sort(interval)).sum() for name, interval in known.items()}
    nearest = min(distance, key=distance.get)
    width = max(np.ptp(known[nearest]), np.ptp(known["right"]))
    room = 0.25 if nearest in _OF_FEW_DRAWS else 0.08
    return Plain(f"{nearest}, {order}, {source}") if distance[nearest] < room * width else first


def _distribution_of_mean(of_users: np.ndarray) -> np.ndarray:
    """P(sum of the resampled users = 0, 1, ... on the grid), exactly: one user's, folded with itself."""
    steps = np.rint(of_users * _GRID).astype(int)
    one = np.bincount(steps, minlength=_GRID + 1) / len(steps)
    size = _GRID * len(steps) + 1
    return np.fft.irfft(np.fft.rfft(one, 2 * size) ** len(steps), 2 * size)[:size].clip(0, 1)


def _quantile_is_possible(end: float, p: np.ndarray, n_users: int, share: float, n: int) -> bool:
    """Whether the empirical quantile of n draws from p can be there, but for a false alarm.

    Quantiles are defined in several ways; two draws more or less below them leave room for all of those.
    """
    means = np.arange(len(p)) / (_GRID * n_users)
    below, up_to = p[means < end - 1e-6].sum(), p[means <= end + 1e-6].sum()
    too_low = stats.binom.sf(share * n - 3, n, min(up_to, 1)) < _FALSE_ALARM / 4
    too_high = stats.binom.cdf(share * n + 2, n, min(below, 1)) < _FALSE_ALARM / 4
    return not (too_low or too_high)


def _check_interval(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    first = got.parts[0]
    if problem := misfit(first, Plain("array", np.zeros(2))):
        return problem
    if not _is_numbers(first, (2,)):
        ask = "Which division here has nothing to divide by, or which value is missing?"
        return Complaint(f"got {describe(first)}", "two numbers", ask)
    low, high = first.array.astype(float)
    if low > high:
        ask = "Which end does the docstring name first?"
        return Complaint(f"got {describe(first)}", "the lower end first", ask)
    of_users = _of_users(args["users"], args["values"])
    p = _distribution_of_mean(of_users)
    for end, share in ((low, 0.025), (high, 0.975)):
        if not _quantile_is_possible(end, p, len(of_users), share, args["n_resamples"]):
            ask = "What is drawn, how often, and of which figures are the ends taken?"
            right = numbers(expected.parts[0].array, 3)
            return Complaint(f"got {describe(first)}", f"about {right}", ask)
    return _check_source(got, may_stay=len(of_users) < 20)


_INTERVAL_MESSAGES = {
    "as many draws as rows": (
        "Each of your resamples holds as many figures as there are rows. How many figures was your own mean "
        "made of?"
    ),
    "interactions resampled": (
        "You resample rows. Those of one user are alike, so that your interval is far too narrow, as if each "
        "of them were news. Who was drawn at random into the test?"
    ),
    "rows of users pooled": (
        "You draw users, and then throw all their rows into one mean: somebody with six rows counts six "
        "times as much. What is the figure of one user?"
    ),
    "without replacement": (
        "Each of your resamples holds every user once, so that all of them have the same mean. How can a "
        "resample of the same size differ from the original?"
    ),
    "n_resamples users": (
        "Each of your resamples holds n_resamples users, so that they hardly differ. How many users was your "
        "own mean made of?"
    ),
    "spread of the users": (
        "That is where 95 % of the users lie. But how sure is their mean: of which figures do you want the "
        "percentiles?"
    ),
    "90 percent": (
        "You leave 5 % at either end, which makes an interval of 90 %. How much may lie outside altogether?"
    ),
    "shares taken for percentages": (
        "Both ends lie at the far left. Does np.percentile take numbers from 0 to 1 or from 0 to 100?"
    ),
    "extremes": (
        "Your interval runs from the smallest mean to the largest, and grows with the number of resamples. "
        "Which part of the means should lie outside?"
    ),
    "one standard error": (
        "Your interval is one standard deviation of the means to either side, which holds about 68 %. How "
        "much does the docstring ask for?"
    ),
    "mean and standard error": (
        "Those are the mean and the standard deviation of the resamples. Between which two values do 95 % of "
        "them lie?"
    ),
    "sums": "Your interval is one of sums. Which figure of each resample do you want?",
    "medians": "Your interval is one of medians. Which figure of each resample does the docstring name?",
    "gaps counted": (
        "Numbers that no user has count as users with the value 0. How many different users stand in the "
        "rows, and which function of numpy finds them?"
    ),
}

BOOTSTRAP_INTERVAL = Exercise(
    id="4.6",
    title="How sure is a mean?",
    name="bootstrap_interval",
    params=("users", "values", "n_resamples", "rng"),
    points=2,
    minutes=10,
    difficulty=2,
    cases=_bootstrap_cases,
    reference=_interval_with,
    call=call_with_generator,
    verdict=Property(_check_interval, normalise=_way_of_interval),
    misconceptions=(
        *(Misconception(name, _INTERVALS[name], message) for name, message in _INTERVAL_MESSAGES.items()),
        Misconception(
            "ends swapped",
            partial(_interval_with, finish=lambda low, high: (high, low)),
            "The ends are right, but the upper one comes first. Which does the docstring name first?",
        ),
        Misconception("own generator", _own_generator(_interval_with), _OWN_GENERATOR),
        Misconception("seeded inside", _seeded_inside(_interval_with), _SEEDED_INSIDE),
    ),
)


# ---- 4.7 paired_test ----

# Differences in quarters, of 16 users, so that means are exact: random signs give a sum as far from 0 as
# theirs with probability .388, the known wrong ways with others, all of them .04 apart or more.
_DIFFERENCES = np.r_[np.full(8, 2), np.full(4, -2), np.zeros(4, int)]
_LEVELS = np.rint(np.linspace(0, 12, 16)).astype(int)


def _paired_cases(rng: np.random.Generator) -> list[Case]:
    def many(sign):
        differences, levels = sign * rng.permutation(_DIFFERENCES), rng.permutation(_LEVELS)
        return args((levels + differences) / 4, levels / 4, _MANY)

    def random(n_users):
        a, b = rng.integers(0, 9, (2, n_users)) / 4
        return args(a, b, 500)

    def args(a, b, n_flips):
        return {
            "a": np.array(a, dtype=float),
            "b": np.array(b, dtype=float),
            "n_flips": n_flips,
            "seed": int(rng.integers(2**31)),
        }

    hand = args([1, 1, 0.5, 0], [0, 0.5, 0.5, 0], 1000) | {"seed": 0}
    level = rng.integers(0, 9, 32) / 4
    return [
        Case("four users", hand),
        Case("16 users, a ahead, 8000 flips", many(1)),
        Case("16 users, b ahead, 8000 flips", many(-1)),
        Case("64 users, 500 flips", random(64)),
        Case("two models that never differ", args(level, level, 200), edge=True),
        Case("32 users, all better off with a, 200 flips", args(level + 0.25, level, 200), edge=True),
    ]


def _signs(shape, rng):
    return rng.choice([-1, 1], shape)


def _flipped(a, b, n_flips, rng, signs):
    """Means [n_flips] of the differences with random weights."""
    return (signs((n_flips, len(a)), rng) * (a - b)).mean(axis=1)


def _shuffled_across(a, b, n_flips, rng):
    """Means [n_flips] of the difference after all values were dealt out anew to the two models."""
    drawn = rng.permuted(np.tile(np.concatenate([a, b]), (n_flips, 1)), axis=1)
    return drawn[:, : len(a)].mean(axis=1) - drawn[:, len(a) :].mean(axis=1)


def _resampled(a, b, n_flips, rng):
    return rng.choice(a - b, (n_flips, len(a))).mean(axis=1)


def _paired_with(
    a,
    b,
    n_flips,
    rng,
    *,
    signs=_signs,
    means=None,
    reached=lambda means, observed: abs(means) >= abs(observed),
    p=lambda count, n: (1 + count) / (1 + n),
):
    """paired_test with one thing done otherwise."""
    drawn = means(a, b, n_flips, rng) if means else _flipped(a, b, n_flips, rng, signs)
    return float(p(reached(drawn, (a - b).mean()).sum(), n_flips))


_TESTS: dict[str, Callable] = {
    "right": _paired_with,
    "one-sided": partial(_paired_with, reached=np.greater_equal),
    "ties not counted": partial(_paired_with, reached=lambda means, observed: abs(means) > abs(observed)),
    "smaller ones counted": partial(
        _paired_with, reached=lambda means, observed: abs(means) <= abs(observed)
    ),
    "pairs torn apart": partial(_paired_with, means=_shuffled_across),
    "one coin for all users": partial(
        _paired_with, signs=lambda shape, rng: rng.choice([-1, 1], (shape[0], 1)) * np.ones(shape)
    ),
    "half of the means": partial(_paired_with, signs=lambda shape, rng: rng.integers(0, 2, shape)),
    "users resampled": partial(_paired_with, means=_resampled),
    "normal weights": partial(_paired_with, signs=lambda shape, rng: rng.normal(size=shape)),
    "sum against mean": partial(
        _paired_with, reached=lambda means, observed: abs(means * len(_LEVELS)) >= abs(observed)
    ),
    "observed one not counted": partial(_paired_with, p=lambda count, n: count / n),
    "count": partial(_paired_with, p=lambda count, n: count),
    "difference": lambda a, b, n_flips, rng: float((a - b).mean()),
    "share that is nearer": partial(_paired_with, p=lambda count, n: 1 - (1 + count) / (1 + n)),
}


@cache
def _known_p_values(a: tuple, b: tuple, n_flips: int) -> dict[str, float]:
    """The p of each known way, from one generator."""
    a, b = np.array(a), np.array(b)
    return {name: way(a, b, n_flips, np.random.default_rng(1)) for name, way in _TESTS.items()}


def _is_share(p: float, n: int, observed: int) -> bool:
    """Whether p is a share of n flips and the observed one, counted in or not, to rounding."""
    count = p * (n + observed)
    return observed - 1e-3 < count < n + observed + 1e-3 and abs(count - round(count)) < 1e-3


def _form(p: float, n: int) -> str:
    return "counted in" if _is_share(p, n, 1) else "not counted in" if _is_share(p, n, 0) else "no share"


def _way_of_test(args: Args, got: Plain) -> Plain:
    """Which known way comes nearest, where there are enough flips to tell, how p is made, and of what."""
    first, n = got.parts[0], args["n_flips"]
    if not _is_numbers(first, ()):
        return first
    p = float(first.array)
    if n < _MANY:
        return Plain(_form(p, n))
    known = _known_p_values(tuple(args["a"]), tuple(args["b"]), n)
    distance = {name: abs(p - other) for name, other in known.items() if _form(other, n) == _form(p, n)}
    nearest = min(distance, key=distance.get, default="right")
    is_near = abs(p - known[nearest]) < 0.02 * max(1, 5 * known[nearest])
    return Plain(f"{nearest}, {_source(got)}") if is_near else first


def _probability_as_far(differences: np.ndarray) -> float:
    """P(the sum with random signs is at least as far from 0 as the sum itself), exactly."""
    steps = np.rint(differences * 4).astype(int)
    reach = abs(steps).sum()
    p = np.zeros(2 * reach + 1)
    p[reach] = 1
    for step in steps:
        p = (np.roll(p, step) + np.roll(p, -step)) / 2
    return min(p[abs(np.arange(-reach, reach + 1)) >= abs(steps.sum())].sum(), 1.0)


def _check_p(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    first, n = got.parts[0], args["n_flips"]
    if problem := misfit(first, Plain("number", np.array(1.0))):
        return problem
    right = numbers(expected.parts[0].array, 3)
    if not _is_numbers(first, ()):
        ask = "Which division here has nothing to divide by, or which value is missing?"
        return Complaint(f"got {describe(first)}", f"about {right}", ask)
    p, chance = float(first.array), _probability_as_far(args["a"] - args["b"])
    if not _is_share(p, n, 1):
        ask = "Of how many means is p a share, when the observed one is among them?"
        seen = f"got {describe(first)}, which is no share of {n} flips and the observed one"
        return Complaint(seen, f"a whole number / {n + 1}", ask)
    count = round(p * (n + 1)) - 1
    tails = stats.binom.cdf(count, n, chance), stats.binom.sf(count - 1, n, chance)
    if min(tails) < _FALSE_ALARM / 2:
        ask = "What is flipped, for whom, and which of the means count as at least as far from 0?"
        return Complaint(f"got {describe(first)}", f"about {right}", ask)
    return _check_source(got, may_stay=n < _MANY)


_TEST_MESSAGES = {
    "one-sided": ("You count only means on one side. Which of them lie as far from 0, whoever is ahead?"),
    "ties not counted": (
        'A mean that is exactly as far from 0 as the observed one does not count with you. What does "at '
        'least as far" say about it?'
    ),
    "smaller ones counted": (
        "You count the means that lie nearer to 0. Which ones would speak against the difference being real?"
    ),
    "share that is nearer": (
        "Your p grows with the evidence. If the two models never differ, should p be large or small?"
    ),
    "pairs torn apart": (
        "You deal all values out anew, so that what one user got with a may meet what another got with b. "
        "Users differ a lot: which two values belong together?"
    ),
    "one coin for all users": (
        "However your coins fall, the mean stays equally far from 0 (one coin for everybody does that, and "
        "so does a new order of the users). What could be flipped for each user alone?"
    ),
    "half of the means": (
        "You count half of what lies as far from 0: only the side of the one who is ahead, or your coins say "
        "0 or 1, which comes to the same. What becomes of a difference when two models change places, and "
        "who might then be ahead?"
    ),
    "users resampled": (
        "You resample users (the bootstrap), which asks how sure the difference is. What would the "
        "differences look like if it did not matter which model is which?"
    ),
    "normal weights": (
        "You multiply each difference by a random number of any size. Which values can it have when two "
        "models change places for a user?"
    ),
    "sum against mean": (
        "You compare sums with a mean, or the other way round: nearly all of yours lie far out. Which figure "
        "was observed?"
    ),
    "observed one not counted": (
        "Your p can become 0, as if something had been proven impossible by a few hundred flips. What does "
        "the docstring add above and below the line?"
    ),
    "count": "That is a number of flips. A share of how many should it become?",
    "difference": (
        "That is the observed difference. How often would random signs give one at least as far from 0?"
    ),
}

PAIRED_TEST = Exercise(
    id="4.7",
    title="Is the difference real?",
    name="paired_test",
    params=("a", "b", "n_flips", "rng"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_paired_cases,
    reference=_paired_with,
    call=call_with_generator,
    verdict=Property(_check_p, normalise=_way_of_test),
    misconceptions=(
        *(Misconception(name, _TESTS[name], message) for name, message in _TEST_MESSAGES.items()),
        Misconception(
            "observed one counted above the line only",
            partial(_paired_with, p=lambda count, n: (1 + count) / n),
            "Your p can become larger than 1. The observed mean is one more of those counted: is it also one "
            "more of all?",
        ),
        Misconception("own generator", _own_generator(_paired_with), _OWN_GENERATOR),
        Misconception("seeded inside", _seeded_inside(_paired_with), _SEEDED_INSIDE),
    ),
)


EXERCISES = (EXPECTED_HIT_RATE, BOOTSTRAP_INTERVAL, PAIRED_TEST)
