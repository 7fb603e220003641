import numpy as np
import pytest
import torch

from course_utils import baselines, losses, metrics, models, training


def make(name, n_users=5, n_items=4):
    """A small model whose parameters are all different, so that none can be forgotten or swapped."""
    torch.manual_seed(0)
    if name == "MatrixFactorization":
        model = models.MatrixFactorization(n_users, n_items, dim=3, mean=3.5)
    else:
        rated = (torch.rand(n_users, n_items) < 0.5).float()
        rated[0] = 0  # a user without ratings
        rated[:, 0] = 0  # an item without ratings
        model = models.FlippedSVDpp(rated, torch.rand(n_users, 2), torch.rand(n_items, 3), dim=3, mean=3.5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


every_model = pytest.mark.parametrize("name", ["MatrixFactorization", "FlippedSVDpp"])


# MatrixFactorization


def test_mf_by_hand():
    model = models.MatrixFactorization(2, 2, dim=2, mean=3.0)
    with torch.no_grad():
        model.user_emb.weight.copy_(torch.tensor([[1.0, 2], [0, 1]]))
        model.item_emb.weight.copy_(torch.tensor([[0.5, -1], [2, 0.25]]))
        model.user_bias.weight.copy_(torch.tensor([[0.1], [-0.2]]))
        model.item_bias.weight.copy_(torch.tensor([[0.3], [0.05]]))
    # user 0, item 1: 3 + .1 + .05 + (1 * 2 + 2 * .25) = 5.65
    # user 1, item 0: 3 - .2 + .3 + (0 * .5 + 1 * -1) = 2.1
    predictions = model(torch.tensor([0, 1]), torch.tensor([1, 0]))
    assert predictions.tolist() == pytest.approx([5.65, 2.1])


def test_mf_starts_at_the_mean():
    torch.manual_seed(0)
    model = models.MatrixFactorization(300, 200, mean=3.5)
    assert model.user_emb.weight.shape == (300, 64)
    assert model.item_emb.weight.shape == (200, 64)
    assert model.global_bias.item() == 3.5
    assert not model.user_bias.weight.any()
    assert not model.item_bias.weight.any()
    # a dot product of 64 terms of spread .01 * .01 has spread .01^2 * 8 = .0008
    assert (model.score_all(torch.arange(300)) - 3.5).abs().max() < 0.01
    # 19,200 draws: the standard error of their spread is .01 / sqrt(2 * 19200) = .00005
    assert model.user_emb.weight.std().item() == pytest.approx(0.01, abs=0.0003)


def test_mf_takes_another_spread():
    torch.manual_seed(0)
    model = models.MatrixFactorization(300, 200, init_std=1.0)
    assert model.user_emb.weight.std().item() == pytest.approx(1.0, abs=0.03)
    assert model.item_emb.weight.std().item() == pytest.approx(1.0, abs=0.03)
    assert model.global_bias.item() == 0


def test_mf_learns_the_checkerboard():
    # Users like (5 or 1 stars) the items of their own colour. Two cells of each user are held out, one of
    # each kind: one right answer per user, and means say nothing, because every row and column has both.
    size = 8
    users, items = np.indices((size, size)).reshape(2, -1)
    likes = (users + items) % 2 == 0
    held_out = (items == users) | (items == (users + 3) % size)
    ratings = np.where(likes, 5.0, 1.0)
    train = (
        torch.tensor(users[~held_out]),
        torch.tensor(items[~held_out]),
        torch.tensor(ratings[~held_out], dtype=torch.float32),
    )
    torch.manual_seed(0)
    model = models.MatrixFactorization(size, size, dim=4, mean=3.0, init_std=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    training.fit(
        model,
        optimizer,
        lambda model, users, items, ratings: losses.mse(model(users, items), ratings),
        train,
        epochs=150,
        batch_size=16,
        progress=False,
    )
    with torch.no_grad():
        scores = model.score_all(torch.arange(size)).numpy()
    assert metrics.rmse(scores[~likes.reshape(size, size)], np.ones(size * size // 2)) < 0.5
    for user in range(size):
        assert scores[user, user] > scores[user, (user + 3) % size] + 3
    # the control: biases alone do not see colours
    biases = baselines.fit_biases(users[~held_out], items[~held_out], ratings[~held_out], size, size)
    assert metrics.rmse(biases.predict(users[held_out], items[held_out]), ratings[held_out]) > 1.9


# all models


@every_model
def test_score_all_equals_forward_pair_by_pair(name):
    model = make(name)
    users = torch.tensor([3, 0, 3, 1])
    scores = model.score_all(users)
    assert scores.shape == (4, 4)
    for row, user in enumerate(users):
        for item in range(4):
            pair = model(user.reshape(1), torch.tensor([item]))
            torch.testing.assert_close(scores[row, item], pair[0])


@every_model
def test_a_batch_of_one_is_a_batch(name):
    model = make(name)
    users, items = torch.tensor([0, 2, 4]), torch.tensor([1, 1, 3])
    together = model(users, items)
    assert together.shape == (3,)
    for row in range(3):
        alone = model(users[row : row + 1], items[row : row + 1])
        assert alone.shape == (1,)
        torch.testing.assert_close(alone[0], together[row])
    assert model.score_all(users[:1]).shape == (1, 4)
    assert model(users[:0], items[:0]).shape == (0,)


@every_model
def test_gradients_are_finite_and_reach_every_parameter(name):
    model = make(name).train()
    users, items = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0, 1, 2, 3, 0])
    losses.mse(model(users, items), torch.tensor([1.0, 2, 3, 4, 5])).backward()
    for label, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), label
        assert parameter.grad.any(), label


def test_mf_leaves_rows_outside_the_batch_alone():
    model = make("MatrixFactorization")
    model(torch.tensor([1]), torch.tensor([2])).sum().backward()
    assert model.user_emb.weight.grad.any(dim=1).tolist() == [False, True, False, False, False]
    assert model.item_emb.weight.grad.any(dim=1).tolist() == [False, False, True, False]


@every_model
def test_weights_move_by_state_dict(name):
    model = make(name)
    users, items = torch.tensor([0, 2]), torch.tensor([1, 3])
    expected = model(users, items)
    other = make(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not torch.equal(other(users, items), expected)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(users, items), expected)


@every_model
def test_raw_ids_are_refused(name):
    with pytest.raises(IndexError):
        make(name)(torch.tensor([5]), torch.tensor([0]))  # users are 0 to 4
