import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_utils import losses, models, sampling, training


def side(n_rows, n_columns, known, seed=0):
    """Features of n_rows: the first `known` have an id, and each row its own content."""
    rng = np.random.default_rng(seed)
    ids = np.where(np.arange(n_rows) < known, np.arange(n_rows) + 1, 0)
    content = (rng.random((n_rows, n_columns)) < 0.5).astype(np.float32)
    return SimpleNamespace(ids=ids, n_ids=known, content=content)


def make(history=False, seed=0, **options):
    """5 users, one of them new; 6 items, two of them new; all parameters different."""
    torch.manual_seed(seed)
    model = models.TwoTower(side(5, 3, 4), side(6, 4, 4), dim=8, hidden=10, history=history, **options)
    for name, parameter in model.named_parameters():
        if name != "log_temperature":
            torch.nn.init.normal_(parameter)
    return model.eval()


USERS, ITEMS = torch.tensor([0, 3, 4, 1]), torch.tensor([5, 2, 0, 2])
HISTORY = torch.tensor([[2, 5, -1], [-1, -1, -1], [0, 1, 2], [3, -1, -1]])


def arguments(history):
    return (USERS, ITEMS, HISTORY) if history else (USERS, ITEMS)


either = pytest.mark.parametrize("history", [False, True])


@either
def test_vectors_have_length_one(history):
    model = make(history)
    for vecs in (model.encode_user(USERS, HISTORY if history else None), model.encode_item(ITEMS)):
        assert vecs.shape == (4, 8)
        torch.testing.assert_close(vecs.norm(dim=1), torch.ones(4))


@either
def test_forward_is_the_cosine_over_the_temperature(history):
    model = make(history, temperature=0.2)
    user_vecs = model.encode_user(USERS, HISTORY if history else None)
    logits = model(*arguments(history))
    assert logits.shape == (4, 4)
    expected = torch.cosine_similarity(user_vecs[:, None], model.encode_item(ITEMS)[None], dim=2) / 0.2
    torch.testing.assert_close(logits, expected)


@either
def test_score_all_equals_forward_pair_by_pair(history):
    model = make(history)
    scores = model.score_all(USERS, HISTORY if history else None)
    assert scores.shape == (4, 6)
    for row in range(4):
        for item in range(6):
            past = (HISTORY[row : row + 1],) if history else ()
            pair = model(USERS[row : row + 1], torch.tensor([item]), *past)
            assert pair.shape == (1, 1)  # a batch of one is a batch
            torch.testing.assert_close(scores[row, item], pair[0, 0])


@either
def test_score_all_takes_arrays(history):
    model = make(history)
    past = (HISTORY,) if history else ()
    expected = model.score_all(USERS, *past)
    assert torch.equal(model.score_all(USERS.numpy(), *(one.numpy() for one in past)), expected)


@either
def test_gradients_are_finite_and_reach_every_parameter(history):
    model = make(history, learnable=True).train()
    past = (HISTORY,) if history else ()
    loss = losses.in_batch_loss(
        model.encode_user(USERS, *past), model.encode_item(ITEMS), model.temperature, ITEMS
    )
    loss.backward()
    for label, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), label
        assert parameter.grad.any(), label


@either
def test_weights_move_by_state_dict(history):
    model, other = make(history), make(history, seed=1)
    expected = model(*arguments(history))
    assert not torch.equal(other(*arguments(history)), expected)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(*arguments(history)), expected)


def test_it_starts_in_many_directions_and_with_the_unknown_at_zero():
    torch.manual_seed(0)
    model = models.TwoTower(side(50, 3, 40), side(60, 4, 40))
    for tower in (model.user_tower, model.item_tower):
        assert not tower.id_emb.weight[0].any()
        assert tower.id_emb.weight[1:].any(dim=1).all()
    assert model.temperature.item() == pytest.approx(0.07)


def test_items_without_an_id_are_told_apart_by_content_alone():
    model = make()
    new = torch.tensor([4, 5])  # without ids
    assert not torch.allclose(*model.encode_item(new))
    # an item that came after training is encoded from its features
    outside = model.item_tower(torch.zeros(1, dtype=torch.int64), model.item_content[5:6])
    torch.testing.assert_close(outside, model.encode_item(new[1:]))


def test_a_side_without_content_is_ids_only():
    torch.manual_seed(0)
    model = models.TwoTower(side(5, 0, 4), side(6, 0, 4), dim=8)
    assert model.encode_user(torch.tensor([0, 1])).shape == (2, 8)
    torch.testing.assert_close(*model.encode_item(torch.tensor([4, 5])))  # nothing is known of either


def test_features_are_copied():
    item_features = side(6, 4, 4)
    model = models.TwoTower(side(5, 3, 4), item_features)
    item_features.content[:] = 9
    assert model.item_content.max() <= 1


def test_raw_ids_are_refused():
    with pytest.raises(IndexError):
        make()(torch.tensor([5]), torch.tensor([0]))  # users are 0 to 4


# history


def test_history_by_hand():
    # the id vectors of items 2, 0 and 3 at places 0, 1, 3: weights 1, 1/2, 1/8, over 1.625
    model = make(history=True, history_decay=0.5)
    vecs = model.item_tower.id_emb.weight[model.item_ids[[2, 0, 3]]]
    past = ((vecs[0] + vecs[1] / 2 + vecs[2] / 8) / 1.625)[None]
    expected = model.user_tower(model.user_ids[1:2], model.user_content[1:2], past)
    torch.testing.assert_close(model.encode_user(torch.tensor([1]), torch.tensor([[2, 0, -1, 3]])), expected)


def test_without_decay_history_is_a_mean_in_which_order_and_padding_do_not_count():
    model = make(history=True, history_decay=1.0)
    user = torch.tensor([1])
    one = model.encode_user(user, torch.tensor([[2, 0, -1, -1]]))
    torch.testing.assert_close(one, model.encode_user(user, torch.tensor([[-1, 0, 2]])))
    # twice each: the same mean
    torch.testing.assert_close(one, model.encode_user(user, torch.tensor([[2, 0, 0, 2]])))
    assert not torch.allclose(one, model.encode_user(user, torch.tensor([[2, -1, -1, -1]])))


def test_no_history_is_a_zero_vector():
    model = make(history=True)
    nothing = model.encode_user(torch.tensor([1, 2]), torch.full((2, 3), -1))
    assert torch.isfinite(nothing).all()
    torch.testing.assert_close(nothing, model.encode_user(torch.tensor([1, 2]), torch.empty(2, 0).long()))


def test_a_model_with_history_asks_for_it():
    with pytest.raises(ValueError, match="history"):
        make(history=True).encode_user(USERS)
    with pytest.raises(ValueError, match="history"):
        make().encode_user(USERS, HISTORY)


# dropout


def test_id_dropout_trains_the_row_of_the_unknown_only_in_training():
    model = make(id_dropout=0.5)
    assert torch.equal(model.encode_item(ITEMS), model.encode_item(ITEMS))
    torch.manual_seed(0)
    items = torch.zeros(2000, dtype=torch.int64)
    with_id = model.encode_item(items[:1])
    without_id = model.item_tower(torch.zeros(1, dtype=torch.int64), model.item_content[:1])
    vecs = model.train().encode_item(items)
    is_dropped = (vecs - without_id).abs().amax(dim=1) < 1e-5
    assert torch.equal(is_dropped, (vecs - with_id).abs().amax(dim=1) > 1e-5)
    # 2000 coins: the standard error of the share is .011
    assert is_dropped.float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_history_dropout_is_off_in_eval():
    model = make(history=True, history_dropout=0.5)
    assert torch.equal(model(*arguments(True)), model(*arguments(True)))
    model.train()
    assert not torch.equal(model(*arguments(True)), model(*arguments(True)))


# temperature


def test_a_fixed_temperature_is_not_trained():
    model = make(temperature=0.07)
    assert not model.log_temperature.requires_grad
    assert model.temperature.item() == pytest.approx(0.07)


@pytest.mark.parametrize("temperature", [0.0, -0.07, 0.009, 1.01, math.nan])
def test_a_temperature_outside_is_refused(temperature):
    with pytest.raises(ValueError, match=r"must be between 0.01 and 1.0"):
        make(temperature=temperature)


@pytest.mark.parametrize(("push", "limit"), [(+1, 0.01), (-1, 1.0)])
def test_a_temperature_neither_crosses_zero_nor_explodes_and_comes_back(push, limit):
    model = make(learnable=True)
    optimizer = torch.optim.SGD([model.log_temperature], lr=10.0)

    def step(sign):
        optimizer.zero_grad()
        (sign * model.temperature).backward()
        optimizer.step()

    for _ in range(200):
        step(push)
        assert 0.00999 < model.temperature.item() < 1.00001
    assert model.temperature.item() == pytest.approx(limit)
    step(-push)  # at the limit the gradient still leads back
    assert model.temperature.item() != pytest.approx(limit)


def test_a_learnable_temperature_learns():
    # every user has one item, and the cosines are right already: the colder, the better
    model = make(learnable=True)
    optimizer = torch.optim.SGD([model.log_temperature], lr=0.1)
    vecs = torch.eye(4)
    before = model.temperature.item()
    for _ in range(5):
        optimizer.zero_grad()
        losses.in_batch_loss(vecs, vecs, model.temperature).backward()
        optimizer.step()
    assert model.temperature.item() < before


# learning


def test_it_learns_the_checkerboard():
    # Users have the items of their own colour, but one of them is held out.
    size = 12
    users, items = np.indices((size, size)).reshape(2, -1)
    likes = (users + items) % 2 == 0
    is_train = likes & (items != users)
    positives = sampling.interactions(users[is_train], items[is_train], size, size)
    torch.manual_seed(0)
    model = models.TwoTower(side(size, 0, size), side(size, 0, size), dim=8, hidden=16, temperature=0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    training.fit(
        model,
        optimizer,
        lambda model, users, items: losses.in_batch_loss(
            model.encode_user(users), model.encode_item(items), model.temperature, items
        ),
        (torch.tensor(users[is_train]), torch.tensor(items[is_train])),
        epochs=60,
        batch_size=20,
        progress=False,
    )
    with torch.no_grad():
        scores = model.score_all(torch.arange(size)).numpy()
    scores[positives.nonzero()] = -np.inf
    assert (scores.argmax(axis=1) == np.arange(size)).all()
