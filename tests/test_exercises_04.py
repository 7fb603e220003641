"""The exercises of Lab 4: what is theirs alone. What all exercises promise is in test_exercises.py."""

import ast
import itertools
import math

import numpy as np
import pytest
import torch
from alternative_solutions_04 import LAB_04
from scipy.sparse import csr_array

from course_utils import diagnostics, evaluate, exercises, metrics, rerank
from course_utils.exercises import calls_lab04, lab04, lab04_chance, lab04_leaks, run_check
from course_utils.exercises.observe import observe
from course_utils.exercises.plain import to_plain

torch.set_num_threads(1)


def one_line(message):
    return " ".join(message.split())


def test_lab_4_has_its_exercises():
    lab = exercises.of_lab("04")
    assert [exercise.id for exercise in lab] == [f"4.{number}" for number in range(1, 12)]
    assert sum(exercise.points for exercise in lab) == 20
    assert sum(exercise.minutes for exercise in lab) == 91


# worked out by hand
BY_HAND = {
    "4.1": 1 / (3 + 1 / math.log2(3)),  # 1 at place 1 and 3 too late; the ideal is 3, 1
    "4.2": (1 / 2, 1 / 3),  # of 7 and 2, one is among 2, 4, 5
    "4.3": (1 / 1 + 2 / 3) / 2,  # hits at places 1 and 3, both of the relevant items
    "4.4": [1 / 2, 0],  # place 3: 1 / log2(4); a miss
    "4.5": 1 / 6,  # the one pair of six without either of the two better items
    "4.8": ["spared_negatives"],
    "4.9": (1 + 0.75 + 0.5) / 3,  # 1 - .5, 1 - .25 and 1 - 0 of items 3, 0 and 2
    "4.10": [0, 2],  # .4 - .1 against .8 - .9, halved
    "4.11": 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25),  # q = .5 [1, 0] + .5 [.5, .5]
}


@pytest.mark.parametrize("exercise_id", BY_HAND)
def test_the_first_case_has_the_answer_worked_out_by_hand(exercise_id):
    exercise = exercises.get(exercise_id)
    got = observe(exercise, exercise.reference, exercise.draw(0)[:1])[0].value
    got = got.parts[0] if exercise_id == "4.4" else got
    if exercise_id == "4.8":
        assert got.array.tolist() == BY_HAND["4.8"]
    elif exercise_id == "4.9":  # 3 with 0: .25, 3 with 2: .5, 0 with 2: 0
        assert np.isclose(got.array, (0.75 + 0.5 + 1) / 3)
    else:
        assert np.allclose(got.array, BY_HAND[exercise_id])


def test_the_example_of_the_style_guide():
    def ndcg_at_k(relevances, k, all_relevances):
        best = np.sort(relevances[:k])[::-1]
        return lab04.NDCG_AT_K.reference(relevances, k, best) if best.any() else np.nan

    result = run_check("4.1", ndcg_at_k)
    assert result.misconception == "ideal of the truncated list"
    assert one_line(result.message).startswith(
        "[4.1] ndcg_at_k: got 1, expected 0.2754, for relevances=[1, 0, 3], k=2, all_relevances=[3, 1]. Your "
    )


# ---- the references say what the package says ----


def test_users_at_once_as_in_metrics():
    args = exercises.get("4.4").draw(3)[2].args
    mine = lab04.NDCG_OF_USERS.reference(**args)
    relevances = metrics.relevances_of(args["ranked"], args["positives"])
    assert np.allclose(mine, metrics.ndcg_at_k(relevances, args["k"], np.ones((len(mine), 1))))


def test_expected_hit_rate_is_the_mean_over_all_draws():
    for n_higher, n_others, n_neg, k in [(2, 6, 3, 1), (3, 7, 4, 2), (5, 6, 6, 3), (0, 4, 2, 1)]:
        draws = list(itertools.combinations(range(n_others), n_neg))
        hits = sum(sum(item < n_higher for item in draw) < k for draw in draws)
        mine = lab04_chance.EXPECTED_HIT_RATE.reference(n_higher, n_others, n_neg, k)
        assert math.isclose(mine, hits / len(draws))


def test_interval_as_in_evaluate():
    args = exercises.get("4.6").draw(0)[1].args
    of_users = lab04_chance._of_users(args["users"], args["values"])
    mine = lab04_chance.BOOTSTRAP_INTERVAL.reference(
        args["users"], args["values"], 20_000, np.random.default_rng(0)
    )
    assert np.allclose(mine, evaluate.bootstrap_interval(of_users, n_resamples=20_000), atol=0.004)


def test_p_as_in_evaluate():
    args = exercises.get("4.7").draw(0)[1].args
    mine = lab04_chance.PAIRED_TEST.reference(args["a"], args["b"], 20_000, np.random.default_rng(0))
    assert abs(mine - evaluate.paired_test(args["a"], args["b"], 20_000)[1]) < 0.02


def test_leaks_as_in_diagnostics():
    for seed in range(20):
        for case in exercises.get("4.8").draw(seed):
            train, test, excluded, popularity = case.args.values()
            users, items, times = train.T
            pairs = csr_array((np.ones(len(train)), (users, items)), shape=excluded.shape)
            counts = np.bincount(items, minlength=len(popularity))
            findings = [
                diagnostics.shared_pairs(users, items, test[:, 0], test[:, 1]),
                diagnostics.future_in_training(users, times, test[:, 0], test[:, 2]),
                diagnostics.spared_negatives(csr_array(excluded), pairs, test[:, 0], test[:, 1]),
                diagnostics.features_from_held_out(popularity, counts),
            ]
            assert tuple(finding.name for finding in findings) == lab04_leaks.LEAKS
            names = {finding.name for finding in findings if finding.found}
            assert lab04_leaks.FIND_LEAKS.reference(*case.args.values()) == names


def test_mmr_by_running_maximum_as_in_rerank():
    for case in exercises.get("4.10").draw(5):
        assert np.array_equal(LAB_04["4.10"][1](*case.args.values()), rerank.mmr(**case.args))


# ---- 4.4: one by one is noticed ----


def value(items, positive, k):
    places = np.flatnonzero(np.asarray(items)[:k] == positive)
    return 1 / np.log2(places[0] + 2) if len(places) else 0.0


LOOPS = {
    "zip": lambda ranked, positives, k: [value(*pair, k) for pair in zip(ranked, positives, strict=True)],
    "index": lambda ranked, positives, k: [value(ranked[u], positives[u], k) for u in range(len(ranked))],
    "index of both axes": lambda ranked, positives, k: np.array(
        [value(ranked[u, :], positives[u], k) for u in range(len(ranked))]
    ),
    "lists": lambda ranked, positives, k: [
        value(*pair, k) for pair in zip(ranked.tolist(), positives, strict=True)
    ],
    "hits": lambda ranked, positives, k: [
        value(row, True, k) for row in ranked == np.asarray(positives)[:, None]
    ],
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_over_the_users_is_noticed(name):
    result = run_check("4.4", LOOPS[name])
    assert result.misconception == "user by user"
    assert "got the right values, but in 300 steps of Python, row by row, for 300 users" in one_line(
        result.message
    )


def test_watched_rows_count_single_rows_only():
    rows = np.arange(12).reshape(4, 3)

    def steps(function):
        return calls_lab04.call_watched(lambda ranked, positives, k: function(ranked), rows, rows[:, 0], 1)[1]

    assert steps(lambda ranked: ranked[:, 1] + ranked[1:2].sum() + ranked[ranked > 3].sum()) == 0
    assert steps(lambda ranked: (ranked == 1).any(axis=1)) == 0
    assert steps(lambda ranked: [row for row in ranked]) == 4
    assert steps(lambda ranked: [ranked[1] for _ in range(7)]) == 7
    assert steps(lambda ranked: [column for column in (ranked + 1).T]) == 3
    assert steps(lambda ranked: ranked.tolist()) == 4
    assert steps(lambda ranked: torch.as_tensor(ranked).sum()) == 0


# ---- 4.6 and 4.7: chance ----


def test_the_distribution_of_the_mean_is_exact():
    of_users = np.array([0.25, 1.0, 1.0])
    sums = [sum(draw) for draw in itertools.product(of_users, repeat=3)]
    p = lab04_chance._distribution_of_mean(of_users)
    for total in set(sums):
        assert math.isclose(p[round(total * 48)], sums.count(total) / 27)
    assert math.isclose(p.sum(), 1)


def test_the_probability_of_signs_is_exact():
    differences = np.array([0.5, -0.25, 1.0, 0.0, 0.25])
    signs = np.array(list(itertools.product([-1, 1], repeat=5)))
    sums = abs(signs @ differences)
    exact = lab04_chance._probability_as_far(differences)
    assert math.isclose(exact, (sums >= abs(differences.sum())).mean())


@pytest.mark.parametrize("exercise_id", ["4.6", "4.7"])
def test_right_draws_pass_at_many_seeds(exercise_id):
    for seed in range(25):
        for solution in LAB_04[exercise_id][:2]:
            result = run_check(exercise_id, solution, seed)
            assert result.passed, result.message


def test_ends_are_refused_as_rarely_as_promised(monkeypatch):
    """At one in 20 instead of one in a billion, so that it can be seen: exact tails keep the promise."""
    monkeypatch.setattr(lab04_chance, "_FALSE_ALARM", 0.05)
    rng = np.random.default_rng(0)
    of_users = rng.integers(0, 49, 30) / 48
    p = lab04_chance._distribution_of_mean(of_users)
    refused = 0
    for _ in range(400):
        means = np.sort(of_users[rng.integers(0, 30, (500, 30))].mean(axis=1))
        ends = ((means[12], 0.025), (means[487], 0.975))
        refused += any(not lab04_chance._quantile_is_possible(end, p, 30, share, 500) for end, share in ends)
    assert refused / 400 < 0.05


def bootstrap(draw, ends):
    """One resample after the other; draw: users, values, rng -> the figures of one resample."""

    def bootstrap_interval(users, values, n_resamples, rng):
        means = [np.mean(draw(users, values, rng)) for _ in range(n_resamples)]
        return np.percentile(means, ends)

    return bootstrap_interval


def rows(users, values, rng):
    return values[rng.integers(0, len(values), len(values))]


def rows_of_users(users, values, rng):
    names = np.unique(users)
    drawn = np.bincount(np.searchsorted(names, rng.choice(names, len(names))), minlength=len(names))
    return np.repeat(values, drawn[np.searchsorted(names, users)])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (bootstrap(rows, [2.5, 97.5]), "interactions resampled"),
        (bootstrap(rows_of_users, [2.5, 97.5]), "rows of users pooled"),
    ],
    ids=["rows", "pooled"],
)
def test_intervals_as_learners_write_them(written, name):
    result = run_check("4.6", written, seconds=30)
    assert result.misconception == name, result.message


def test_an_interval_from_the_global_generator():
    def bootstrap_interval(users, values, n_resamples, rng):
        own = lab04_chance._of_users(users, values)
        means = np.random.choice(own, (n_resamples, len(own))).mean(axis=1)  # noqa: NPY002
        return np.percentile(means, 2.5), np.percentile(means, 97.5)

    assert run_check("4.6", bootstrap_interval).misconception == "own generator"


@pytest.mark.parametrize("exercise_id", ["4.6", "4.7"])
def test_randomness_of_its_own_is_seen_every_time(exercise_id):
    """Results of few draws are often the same by chance; a verdict must not hang on one pair of them."""
    [exercise] = (e for e in lab04_chance.EXERCISES if e.id == exercise_id)
    unseeded = lab04_chance._own_generator(exercise.reference)
    case = exercise.draw(0)[1]  # of several users; two may well have the same interval again and again
    for _ in range(100):
        got = to_plain(calls_lab04.call_with_generator(unseeded, **case.args | {exercise.params[2]: 1}))
        assert lab04_chance._source(got) == "another generator"


@pytest.mark.parametrize("width", [80, 99])
def test_another_width_is_noticed(width):
    def bootstrap_interval(users, values, n_resamples, rng):
        own = lab04_chance._of_users(users, values)
        means = rng.choice(own, (n_resamples, len(own))).mean(axis=1)
        return np.percentile(means, [50 - width / 2, 50 + width / 2])

    for seed in range(4):
        message = one_line(run_check("4.6", bootstrap_interval, seed).message)
        assert "of which figures are the ends taken?" in message


def test_one_side_by_the_sign_of_the_difference():
    def paired_test(a, b, n_flips, rng):
        differences = (a - b) * np.sign((a - b).sum() or 1)
        means = (rng.choice([-1, 1], (n_flips, len(a))) * differences).mean(axis=1)
        return (1 + (means >= differences.mean()).sum()) / (1 + n_flips)

    assert run_check("4.7", paired_test).misconception == "half of the means"


@pytest.mark.parametrize(
    ("p", "name"),
    [
        (lambda reached: reached.mean(), "observed one not counted"),
        (lambda reached: (1 + reached.sum()) / len(reached), "observed one counted above the line only"),
    ],
)
def test_shares_without_the_observed_one(p, name):
    def paired_test(a, b, n_flips, rng):
        signs = 1 - 2 * rng.integers(0, 2, (n_flips, len(a)))
        return p(abs(signs @ (a - b)) >= abs((a - b).sum()))

    for seed in range(5):
        assert run_check("4.7", paired_test, seed).misconception == name


def test_a_p_that_is_no_share_is_noticed():
    result = run_check("4.7", lambda a, b, n_flips, rng: 0.5 + rng.random() / 100)
    assert "which is no share of 1000 flips and the observed one" in one_line(result.message)
    assert result.misconception == ""


def test_pairs_torn_apart_by_another_order_of_the_draws():
    def paired_test(a, b, n_flips, rng):
        both, count = np.concatenate([a, b]), 0
        for _ in range(n_flips):
            dealt = rng.permutation(both)
            count += abs(dealt[: len(a)].mean() - dealt[len(a) :].mean()) >= abs(a.mean() - b.mean())
        return (1 + count) / (1 + n_flips)

    for seed in range(2):
        assert run_check("4.7", paired_test, seed, seconds=30).misconception == "pairs torn apart"


# ---- 4.8: how names may come ----


@pytest.mark.parametrize("form", [list, tuple, frozenset, sorted, lambda names: [*names, *names]])
def test_names_in_any_form_and_order(form):
    assert run_check("4.8", lambda *rows: form(LAB_04["4.8"][0](*rows))).passed


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"future"}, "got the name 'future', expected only shared_pairs, future_in_training, "),
        (set(), "got no leak, expected spared_negatives"),
        (
            {"spared_negatives", "shared_pairs"},
            "got shared_pairs, spared_negatives, expected spared_negatives",
        ),
        ("spared_negatives", "got a text, expected a set of names of leaks"),
        ({"spared_negatives": True}, "got a dict, expected a set of names of leaks"),
        (1, "got 1, expected a set of names of leaks"),
        (None, "got None, expected a set of names of leaks"),
    ],
)
def test_what_is_no_list_of_the_leaks_is_described(returned, words):
    result = run_check("4.8", lambda *rows: returned)
    assert words in one_line(result.message)


def test_pipelines_have_the_leaks_that_were_planted():
    shared, future, spared, features = lab04_leaks.LEAKS
    planted = [
        {spared},
        set(),
        {shared, features},
        {future, spared},
        {shared, future, spared, features},
        {shared},
        {future, features},
        {spared},
        {spared},
        {features},
    ]
    for seed in range(30):
        cases = exercises.get("4.8").draw(seed)
        for case, leaks in zip(cases, planted, strict=True):
            assert lab04_leaks.FIND_LEAKS.reference(*case.args.values()) == leaks
            train, test = case.args["train"], case.args["test"]
            assert len(np.unique(train[:, :2], axis=0)) == len(train)
            assert len(np.unique(test[:, 0])) == len(test)


def test_two_figures_may_come_in_an_array_or_a_list():
    for kind in (np.array, list):
        assert run_check("4.2", lambda *args, kind=kind: kind(LAB_04["4.2"][0](*args))).passed


# ---- where the calls stand ----


def test_calls_hold_no_answers():
    """They run next to the learner's code, where no reference may be."""
    with open(calls_lab04.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"__future__", "collections.abc", "typing"}
