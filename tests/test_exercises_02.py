"""The exercises of Lab 2: what is theirs alone. What all exercises promise is in test_exercises.py."""

import random

import numpy as np
import pytest
import torch
from alternative_solutions_02 import LAB_02
from scipy.sparse import csr_array

from course_utils import evaluate, exercises, metrics, models, splits
from course_utils.exercises import lab02, run_check
from course_utils.exercises.observe import observe

torch.set_num_threads(1)


def one_line(message):
    return " ".join(message.split())


def test_lab_2_has_its_exercises():
    lab = exercises.of_lab("02")
    assert [exercise.id for exercise in lab] == [f"2.{number}" for number in range(1, 12)]
    assert sum(exercise.points for exercise in lab) == 20
    assert sum(exercise.minutes for exercise in lab) == 83


# ---- the references say what the package says ----


def test_leave_last_out_as_in_splits():
    rng = np.random.default_rng(0)
    users, timestamps = rng.permutation(np.repeat(np.arange(9), 7)), rng.integers(0, 12, 63)
    train, validation, test = splits.leave_last_out(users, timestamps)
    mine = lab02.LEAVE_LAST_OUT.reference(users, timestamps)
    assert np.array_equal(mine[0], np.union1d(train, validation))
    assert np.array_equal(mine[1], test)


def test_rank_of_positive_as_in_evaluate():
    scores = np.random.default_rng(0).integers(0, 4, 30) / 4
    seen = np.array([1, 5, 8])
    table = csr_array((np.ones(3), ([0, 0, 0], seen)), shape=(1, 30))
    counts = evaluate.rank_positives(scores[None], np.array([12]), table)
    assert lab02.RANK_OF_POSITIVE.reference(scores, 12, seen) == (counts[0][0], counts[1][0])


def test_hit_rate_and_ndcg_as_in_metrics():
    for rank in range(1, 15):
        counts = [rank - 1], [0], [40]
        expected = metrics.expected_hit_rate(*counts, k=10)[0], metrics.expected_ndcg(*counts, k=10)[0]
        assert np.allclose(lab02.HIT_RATE_AND_NDCG.reference(rank, 10), expected)


def test_fuse_as_in_models():
    gmf, mlp = models.GMF(3, 4, dim=5), models.MLP(3, 4, dim=2, layers=(6,))
    fused = models.fuse_pretrained(gmf, mlp, alpha=0.3)
    assert torch.equal(lab02.FUSE.reference(gmf.output.weight, mlp.output.weight, 0.3), fused.output.weight)


# ---- 2.2: randomness ----


def test_false_alarms_are_as_rare_as_promised(monkeypatch):
    """At one in 20 instead of one in a billion, so that it can be seen: exact tails keep the promise."""
    monkeypatch.setattr(lab02, "_FALSE_ALARM", 0.05)
    rng = np.random.default_rng(0)
    alarms = [
        any(
            lab02._improbable(counts, 400, 4) is not None
            for counts in rng.multinomial(400, np.full(6, 1 / 6), 4)
        )
        for _ in range(3000)
    ]
    assert 0.015 < np.mean(alarms) <= 0.05


def test_right_samplers_pass_at_many_seeds():
    for seed in range(20):
        result = run_check("2.2", LAB_02["2.2"][0], seed)
        assert result.passed, result.message


def biased(rng, free, weight):
    p = np.ones(len(free))
    p[0] = weight
    return rng.choice(free, p=p / p.sum())


def by_hand(draw, full=None):
    """A sampler that draws one by one; full: what happens for a user who has everything."""

    def sample_negatives(users, n_items, positives, n_neg, rng):
        rows = []
        for user in users.tolist():
            free = [item for item in range(n_items) if item not in positives[user]]
            if not free:
                if full is None:
                    raise ValueError(f"user {user}")
                return full(n_items, positives[user], rng)
            rows.append([draw(rng, free, n_items, positives[user]) for _ in range(n_neg)])
        return rows

    return sample_negatives


def test_an_item_twice_as_likely_is_noticed():
    sampler = by_hand(lambda rng, free, n_items, own: biased(rng, free, 2.5))
    message = one_line(run_check("2.2", sampler).message)
    assert "draws for user" in message
    assert "expected about 67, as for each of the 6 items that the user lacks" in message


def endless(n_items, own, rng):
    item = rng.integers(n_items)
    while item in own:
        item = rng.integers(n_items)


def test_a_real_endless_loop_is_the_known_one():
    result = run_check("2.2", by_hand(lambda rng, free, n, own: rng.choice(free), endless), seconds=1)
    assert result.misconception == "never ends"
    assert "right in the usual cases, but was stopped after 1 seconds" in one_line(result.message)


def redraw_once(rng, free, n_items, own):
    item = rng.integers(n_items)
    return rng.integers(n_items) if item in own else item


def next_free(rng, free, n_items, own):
    item = rng.integers(n_items)
    while item in own:
        item = (item + 1) % n_items
    return item


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda rng, free, n_items, own: rng.integers(n_items), "positives included"),
        (redraw_once, "drawn again only once"),
        (next_free, "next free item"),
        (lambda rng, free, n_items, own: np.random.choice(free), "rng not used"),  # noqa: NPY002
        (lambda rng, free, n_items, own: random.choice(free), "rng not used"),
    ],
    ids=["all", "once", "next", "numpy", "python"],
)
def test_a_mistake_is_named_though_other_items_are_drawn(draw, name):
    """Its code draws one by one, that of the declaration all at once."""

    def anything(n_items, own, rng):
        return np.zeros((3, 2), int)

    full = anything if name in ("positives included", "drawn again only once") else None
    for seed in range(3):
        assert run_check("2.2", by_hand(draw, full), seed).misconception == name


def test_no_mistake_is_named_by_chance():
    """What was drawn may differ; what is compared may not."""
    cases = lab02.SAMPLE_NEGATIVES.draw(3)
    for known in lab02.SAMPLE_NEGATIVES.misconceptions:
        other = lab02._sampler_cases(np.random.default_rng(3))
        for case in other:
            case.args["seed"] += 1
        mine, again = (observe(lab02.SAMPLE_NEGATIVES, known.wrong, c) for c in (cases, other))
        assert len(mine) == len(again)  # shorter than cases after a time-out
        for case, a, b in zip(cases, mine, again, strict=False):
            features = [
                lab02._sampler_features(case.args, outcome.value) if outcome.value else outcome.status
                for outcome in (a, b)
            ]
            assert repr(features[0]) == repr(features[1]), (known.name, case.what)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("user 17 has everything"), "raised a ValueError that does not name the user"),
        (IndexError("user 7"), "raised IndexError: user 7 at line"),
    ],
)
def test_another_error_for_a_user_who_has_everything(error, words):
    def full(n_items, own, rng):
        raise error

    message = one_line(run_check("2.2", by_hand(lambda rng, free, n, own: rng.choice(free), full)).message)
    assert f"right in the usual cases, but {words}" in message


# ---- the others ----


def test_a_tie_broken_at_random_is_wrong_without_a_name():
    def leave_last_out(users, timestamps):
        order = np.lexsort((np.random.default_rng(0).random(len(users)), timestamps))
        return LAB_02["2.1"][1](users[order], timestamps[order])

    result = run_check("2.1", leave_last_out)
    assert not result.passed
    assert result.misconception == ""


def test_sets_of_anything_else_are_no_items():
    result = run_check("2.3", lambda train, validation, test, user: ({"a"}, {1, "b"}))
    assert "in_training: got a set, expected a set of item numbers" in one_line(result.message)


def test_nothing_left_out_anywhere_has_no_name():
    result = run_check("2.3", lambda train, validation, test, user: (set(), set()))
    assert result.misconception == ""
    assert "in_training: got an empty set, expected {1, 2}" in one_line(result.message)


@pytest.mark.parametrize("exercise_id", ["2.7", "2.8", "2.9"])
def test_an_init_that_was_changed_is_named(exercise_id):
    given = LAB_02[exercise_id][0]

    class Changed(given):
        def __init__(self, *args, **sizes):
            super().__init__(*args, **sizes)
            self.scale = torch.nn.Parameter(torch.ones(1))

    message = one_line(run_check(exercise_id, Changed).message)
    assert "got a model with the weights scale, " in message
    assert "expected those of the given __init__, unchanged (" in message


@pytest.mark.parametrize("exercise_id", ["2.7", "2.8", "2.9"])
def test_every_weight_is_reached_in_core_cases(exercise_id):
    """Else a learner who cuts off a part could not be told from one who does not."""
    exercise = exercises.get(exercise_id)
    for seed in range(10):
        cases = [case for case in exercise.draw(seed) if not case.edge]
        for outcome in observe(exercise, exercise.reference, cases):
            assert outcome.value.parts[1].array.all()


def test_the_part_of_neumf_that_no_gradient_reaches_is_named():
    given = LAB_02["2.9"][0]

    class HalfDetached(given):
        def forward(self, users, items):
            gmf = self.gmf_user(users) * self.gmf_item(items)
            mlp = self.tower(torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=1)).detach()
            return self.output(torch.cat([gmf, mlp], dim=1)).squeeze(1)

    message = one_line(run_check("2.9", HalfDetached).message)
    assert "but no gradient reaches mlp_user.weight, mlp_item.weight, tower.0.weight, tower.0.bias" in message


def test_a_loss_as_a_python_number_carries_no_gradient():
    result = run_check("2.10", lambda pos, neg: torch.nn.functional.softplus(neg - pos).mean().item())
    assert result.misconception == "detached"
