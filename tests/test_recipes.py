"""The recipes on a small world with something to find: two tastes, and films seen one after the other."""

import inspect

import numpy as np
import pytest
import torch

from course_utils import baselines, evaluate, models, recipes, sampling

N_USERS, N_ITEMS = 60, 40
RECIPES = {
    "train_gmf": (recipes.train_gmf, models.GMF),
    "train_mlp": (recipes.train_mlp, models.MLP),
    "train_neumf": (recipes.train_neumf, models.NeuMF),
    "train_neumf_pretrained": (recipes.train_neumf_pretrained, models.NeuMF),
    "train_bprmf": (recipes.train_bprmf, models.BPRMF),
}
BRIEF = {"train_neumf_pretrained": {"gmf_epochs": 1, "mlp_epochs": 1}}
every_recipe = pytest.mark.parametrize("name", RECIPES)


def two_tastes():
    """Users like films of their own kind; one of these is held out for each -> users, items, held out."""
    rng = np.random.default_rng(0)
    likes = (np.arange(N_USERS)[:, None] + np.arange(N_ITEMS)) % 2 == 0
    likes &= rng.random(likes.shape) < 0.6
    held_out = np.array([rng.choice(np.flatnonzero(row)) for row in likes])
    likes[np.arange(N_USERS), held_out] = False
    return (*likes.nonzero(), held_out)


USERS, ITEMS, HELD_OUT = two_tastes()
POSITIVES = sampling.interactions(USERS, ITEMS, N_USERS, N_ITEMS)


def hit_rate(score_all):
    return evaluate.leave_one_out(score_all, np.arange(N_USERS), HELD_OUT, POSITIVES, k=10, n_neg=None).mean()


def state(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@every_recipe
def test_a_recipe_gives_its_model_in_eval_mode_by_seed(name):
    train, kind = RECIPES[name]
    torch.manual_seed(5)
    expected = torch.rand(3).tolist()
    torch.manual_seed(5)
    brief = BRIEF.get(name, {"epochs": 1})
    first = train(POSITIVES, 0, **brief)
    assert torch.rand(3).tolist() == expected  # the global random state is left alone
    assert type(first) is kind
    assert first.training is False
    assert torch.equal(state(first), state(train(POSITIVES, 0, **brief)))
    assert not torch.equal(state(first), state(train(POSITIVES, 1, **brief)))


# so few rows make one batch an epoch: many epochs for as many steps
EPOCHS = {name: {"epochs": 300} for name in RECIPES} | {
    "train_gmf": {"epochs": 120},
    "train_neumf_pretrained": {"gmf_epochs": 120, "mlp_epochs": 150},
}


@every_recipe
def test_a_recipe_finds_the_tastes(name):
    model = RECIPES[name][0](POSITIVES, **EPOCHS[name])
    # about 28 items are unseen, 8 of them of the user's kind, all of which fit into the first 10
    assert hit_rate(model.score_all) > 0.85
    # the control: no recipe gets there with popularity alone
    assert hit_rate(baselines.fit_popularity(POSITIVES).score_all) < 0.6


def test_what_is_excluded_is_never_a_negative(monkeypatch):
    drawn = []
    original = sampling.sample_negatives

    def spy(users, n_items, positives, n_neg, rng):
        negatives = original(users, n_items, positives, n_neg, rng)
        drawn.append((np.repeat(users, n_neg), negatives.ravel()))
        return negatives

    monkeypatch.setattr(sampling, "sample_negatives", spy)
    users, everyone = np.arange(N_USERS), np.append(USERS, np.arange(N_USERS))
    excluded = sampling.interactions(everyone, np.append(ITEMS, HELD_OUT), N_USERS, N_ITEMS)
    recipes.train_gmf(POSITIVES, epochs=20)
    recipes.train_gmf(POSITIVES, epochs=20, excluded=excluded)
    plain, leaking = (np.concatenate(part, axis=1) for part in (drawn[:20], drawn[20:]))
    table = np.zeros((N_USERS, N_ITEMS), dtype=int)
    table[users, HELD_OUT] = 1
    assert table[tuple(plain)].sum() > 100  # as it should be: training does not know the held-out items
    assert table[tuple(leaking)].sum() == 0
    for pairs in (plain, leaking):
        assert not POSITIVES.toarray()[tuple(pairs)].any()


def test_the_leak_helps():
    excluded = POSITIVES + sampling.interactions(np.arange(N_USERS), HELD_OUT, N_USERS, N_ITEMS)
    excluded.sum_duplicates()
    honest = recipes.train_gmf(POSITIVES, epochs=300)
    leaking = recipes.train_gmf(POSITIVES, epochs=300, excluded=excluded)

    def reciprocal_rank(model):
        result = evaluate.leave_one_out(model.score_all, np.arange(N_USERS), HELD_OUT, POSITIVES, n_neg=None)
        return result.mean("mrr")

    assert reciprocal_rank(leaking) > reciprocal_rank(honest) + 0.02


def test_the_history_recipe_learns_what_comes_next():
    # after film i comes film i + 1 of a ring: the last film says all, the user nothing
    rng = np.random.default_rng(0)
    starts = rng.integers(0, N_ITEMS, N_USERS)
    users = np.repeat(np.arange(N_USERS), 8)
    items = (starts[:, None] + np.arange(8)).ravel() % N_ITEMS
    timestamps = np.tile(np.arange(8), N_USERS)
    history = sampling.earlier_items(users, items, timestamps, n=1)
    train, test = timestamps < 7, timestamps == 7
    positives = sampling.interactions(users[train], items[train], N_USERS, N_ITEMS)
    model = recipes.train_history_neumf(users[train], items[train], history[train], positives, epochs=200)
    assert type(model) is models.HistoryNeuMF
    assert model.training is False
    result = evaluate.leave_one_out(
        lambda batch: model.score_all(batch, history[test][batch]),
        users[test],
        items[test],
        positives,
        k=3,
        n_neg=None,
    )
    assert result.mean() > 0.7  # chance is 3 of 33


def test_every_recipe_takes_a_seed_and_a_device():
    for name, function in inspect.getmembers(recipes, inspect.isfunction):
        if name.startswith("train_"):
            parameters = inspect.signature(function).parameters
            assert parameters["seed"].default == 0
            assert parameters["device"].default == "cpu"
