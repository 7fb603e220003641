import numpy as np
import pytest
import torch

from course_utils import data, evaluate, features, recipes, sampling, splits


@pytest.fixture(scope="module")
def parts():
    """The sample: rows before the last of each user, features, what was seen, the last rows."""
    sample = data.load_movielens("sample")
    train, validation, test = splits.leave_last_out(sample.users, sample.timestamps)
    rows = np.sort(np.concatenate([train, validation]))
    before = sample.take(rows)
    return {
        "users": before.users,
        "items": before.items,
        "user_features": features.build_user_features(sample, before.users),
        "item_features": features.build_item_features(sample, before.items),
        "seen": sampling.interactions(before.users, before.items, sample.n_users, sample.n_items),
        "test": sample.take(test),
        "history": sampling.earlier_items(sample.users, sample.items, sample.timestamps),
        "rows": rows,
        "test_rows": test,
    }


def train(parts, **options):
    names = ("users", "items", "user_features", "item_features")
    return recipes.train_two_tower(*(parts[name] for name in names), **options)


def hit_rate(parts, score_all):
    test = parts["test"]
    return evaluate.leave_one_out(score_all, test.users, test.items, parts["seen"]).mean("hit_rate")


def test_log_shares_by_hand():
    # 4 rows: item 0 three times, item 1 never (counted once), item 2 once
    assert recipes.log_shares(np.array([0, 2, 0, 0]), 3).exp().tolist() == pytest.approx([0.75, 0.25, 0.25])


def test_it_learns_more_than_an_untrained_model_knows(parts):
    model = train(parts, epochs=20)
    assert not model.training
    fresh = recipes.new_two_tower(parts["user_features"], parts["item_features"])
    assert hit_rate(parts, model.score_all) > hit_rate(parts, fresh.score_all) + 0.1


def test_the_seed_rules_everything_and_the_global_state_is_left_alone(parts):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, two, other = (train(parts, seed=seed, epochs=1, id_dropout=0.2) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    users = np.arange(20)
    assert torch.equal(one.score_all(users), two.score_all(users))
    assert not torch.equal(one.score_all(users), other.score_all(users))


def test_log_q_changes_what_is_learnt(parts):
    users = np.arange(20)
    with_, without = (train(parts, epochs=1, log_q=log_q) for log_q in (True, False))
    assert not torch.equal(with_.score_all(users), without.score_all(users))


def test_with_history_the_model_has_one(parts):
    model = train(parts, epochs=1, history=parts["history"][parts["rows"]])
    assert model.history
    latest = np.full((len(parts["user_features"]), 10), -1)
    latest[parts["test"].users] = parts["history"][parts["test_rows"]]
    assert 0 < hit_rate(parts, lambda users: model.score_all(users, latest[users])) < 1


def test_ids_only_and_content_only(parts):
    for kind in ("without_content", "without_ids"):
        model = recipes.train_two_tower(
            parts["users"],
            parts["items"],
            getattr(parts["user_features"], kind)(),
            getattr(parts["item_features"], kind)(),
            epochs=1,
        )
        assert 0 < hit_rate(parts, model.score_all) < 1
