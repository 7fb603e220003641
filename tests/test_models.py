import numpy as np
import pytest
import torch

from course_utils import baselines, losses, metrics, models, sampling, training


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


# Models of clicks


def make_clicks(name, n_users=5, n_items=4, seed=0):
    """As make: every parameter is different."""
    torch.manual_seed(seed)
    dims = {"GMF": {"dim": 3}, "BPRMF": {"dim": 3}, "MLP": {"dim": 3, "layers": (5, 2)}}
    sizes = dims.get(name, {"gmf_dim": 3, "mlp_dim": 2, "layers": (5, 2)})
    model = getattr(models, name)(n_users, n_items, **sizes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


every_click_model = pytest.mark.parametrize("name", ["BPRMF", "GMF", "MLP", "NeuMF"])


def fill(embedding, rows):
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor(rows))


def test_gmf_by_hand():
    model = models.GMF(2, 2, dim=2)
    fill(model.user_emb, [[1.0, 2], [0, 1]])
    fill(model.item_emb, [[0.5, -1], [2, 0.25]])
    fill(model.output, [[3.0, -4]])
    torch.nn.init.constant_(model.output.bias, 0.5)
    # user 0, item 1: products 2 and .5: 3 * 2 - 4 * .5 + .5; user 1, item 0: 0 and -1: 4 + .5
    assert model(torch.tensor([0, 1]), torch.tensor([1, 0])).tolist() == pytest.approx([4.5, 4.5])


def test_bprmf_by_hand():
    model = models.BPRMF(1, 2, dim=2)
    fill(model.user_emb, [[1.0, 2]])
    fill(model.item_emb, [[0.5, -1], [2, 0.25]])
    fill(model.item_bias, [[0.1], [-0.2]])
    assert model(torch.tensor([0, 0]), torch.tensor([0, 1])).tolist() == pytest.approx([-1.4, 2.3])


def test_mlp_by_hand():
    model = models.MLP(1, 1, dim=1, layers=(2,))
    fill(model.user_emb, [[2.0]])
    fill(model.item_emb, [[3.0]])
    fill(model.tower[0], [[1.0, 1], [1, -1]])
    torch.nn.init.constant_(model.tower[0].bias, 0.5)
    fill(model.output, [[10.0, 100]])
    torch.nn.init.constant_(model.output.bias, 1)
    # 2 + 3 + .5 = 5.5 and 2 - 3 + .5 = -.5, of which ReLU leaves 0: 10 * 5.5 + 1
    assert model(torch.tensor([0]), torch.tensor([0])).tolist() == [56]


def test_neumf_by_hand():
    model = models.NeuMF(1, 1, gmf_dim=1, mlp_dim=1, layers=(1,))
    for embedding, value in (
        (model.gmf_user, 2.0),
        (model.gmf_item, 3),
        (model.mlp_user, 5),
        (model.mlp_item, 7),
    ):
        fill(embedding, [[value]])
    fill(model.tower[0], [[1.0, 2]])
    fill(model.output, [[10.0, 100]])
    torch.nn.init.zeros_(model.tower[0].bias)
    torch.nn.init.constant_(model.output.bias, 0.5)
    # GMF 2 * 3 = 6; MLP 5 + 2 * 7 = 19; 10 * 6 + 100 * 19 + .5
    assert model(torch.tensor([0]), torch.tensor([0])).tolist() == [1960.5]


def test_sizes_of_the_paper():
    model = models.NeuMF(30, 20, gmf_dim=8, mlp_dim=32, layers=(64, 32, 16))
    assert model.gmf_user.weight.shape == (30, 8)
    assert model.mlp_item.weight.shape == (20, 32)
    shapes = [tuple(m.weight.shape) for m in model.tower if isinstance(m, torch.nn.Linear)]
    assert shapes == [(64, 64), (32, 64), (16, 32)]
    assert model.output.weight.shape == (1, 8 + 16)


@every_click_model
def test_click_models_start_small(name):
    torch.manual_seed(0)
    model = getattr(models, name)(300, 200)
    for embedding in (m for m in model.modules() if isinstance(m, torch.nn.Embedding)):
        if embedding.embedding_dim > 1:
            # 6,400 draws at least: the standard error of their spread is .01 / sqrt(2 * 6400) = .00009
            assert embedding.weight.std().item() == pytest.approx(0.01, abs=0.0005)
    with torch.no_grad():
        logits = model.eval().score_all(torch.arange(50))
    assert logits.std() < 0.02


@every_click_model
def test_click_score_all_equals_forward_pair_by_pair(name):
    model = make_clicks(name)
    users = torch.tensor([3, 0, 3, 1])
    scores = model.score_all(users)
    assert scores.shape == (4, 4)
    for row, user in enumerate(users):
        for item in range(4):
            pair = model(user.reshape(1), torch.tensor([item]))
            torch.testing.assert_close(scores[row, item], pair[0])
    assert torch.equal(model.score_all(users.numpy()), scores)  # an array of users


@every_click_model
def test_click_batch_of_one_and_of_none(name):
    model = make_clicks(name)
    users, items = torch.tensor([0, 2, 4]), torch.tensor([1, 1, 3])
    together = model(users, items)
    assert together.shape == (3,)
    for row in range(3):
        alone = model(users[row : row + 1], items[row : row + 1])
        assert alone.shape == (1,)
        torch.testing.assert_close(alone[0], together[row])
    assert model.score_all(users[:1]).shape == (1, 4)
    assert model(users[:0], items[:0]).shape == (0,)


@every_click_model
def test_forward_gives_logits_and_predict_probabilities(name):
    model = make_clicks(name)
    users, items = torch.arange(5), torch.tensor([0, 1, 2, 3, 0])
    logits = model(users, items)
    assert logits.min() < 0 or logits.max() > 1  # no sigmoid inside
    torch.testing.assert_close(model.predict(users, items), 1 / (1 + torch.exp(-logits)))


@every_click_model
def test_click_gradients_are_finite_and_reach_every_parameter(name):
    model = make_clicks(name).train()
    users, items = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0, 1, 2, 3, 0])
    losses.bce(model(users, items), torch.tensor([1.0, 0, 1, 0, 1])).backward()
    for label, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), label
        assert parameter.grad.any(), label


@pytest.mark.parametrize("name", ["MLP", "NeuMF"])
def test_dropout_is_in_the_tower_and_in_training_only(name):
    torch.manual_seed(0)
    model = getattr(models, name)(5, 4, dropout=0.5)
    users, items = torch.arange(4), torch.arange(4)
    assert not torch.equal(model(users, items), model(users, items))
    model.eval()
    assert torch.equal(model(users, items), model(users, items))
    assert [m.p for m in model.tower if isinstance(m, torch.nn.Dropout)] == [0.5] * 3


@pytest.mark.parametrize("alpha", [0.5, 0.2, 1.0])
def test_fused_logits_are_the_mixture_of_both(alpha):
    gmf, mlp = make_clicks("GMF", seed=1), make_clicks("MLP", seed=2)
    fused = models.fuse_pretrained(gmf, mlp, alpha).eval()
    users, items = torch.tensor([0, 4, 2]), torch.tensor([3, 0, 1])
    expected = alpha * gmf(users, items) + (1 - alpha) * mlp(users, items)
    torch.testing.assert_close(fused(users, items), expected)
    assert all(parameter.requires_grad for parameter in fused.parameters())


def test_fusing_copies_and_keeps_the_dropout():
    gmf, mlp = make_clicks("GMF"), models.MLP(5, 4, dim=2, layers=(5, 2), dropout=0.3)
    fused = models.fuse_pretrained(gmf, mlp)
    before = gmf(torch.tensor([0]), torch.tensor([0])).item()
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter.zero_()
    assert gmf(torch.tensor([0]), torch.tensor([0])).item() == before
    assert fused.tower[2].p == 0.3
    assert [m.out_features for m in fused.tower if isinstance(m, torch.nn.Linear)] == [5, 2]


@every_click_model
def test_click_models_refuse_raw_ids(name):
    with pytest.raises(IndexError):
        make_clicks(name)(torch.tensor([5]), torch.tensor([0]))  # users are 0 to 4


BOARD = 20
# Little room: the right answer is a negative in training, and a model with more room learns that by heart.
SMALL = {
    "BPRMF": {"dim": 2},
    "GMF": {"dim": 2},
    "MLP": {"dim": 2, "layers": (8,)},
    "NeuMF": {"gmf_dim": 1, "mlp_dim": 2, "layers": (8,)},
}


def checkerboard_of_clicks():
    """Users have the items of their own colour, all but one: the right answer, against the other colour."""
    users, items = np.indices((BOARD, BOARD)).reshape(2, -1)
    answers = (np.arange(BOARD) + 4) % BOARD
    rows = ((users + items) % 2 == 0) & (items != answers[users])
    return users[rows], items[rows], sampling.interactions(users[rows], items[rows], BOARD, BOARD), answers


@every_click_model
def test_click_models_learn_the_checkerboard(name):
    users, items, positives, answers = checkerboard_of_clicks()
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    model = getattr(models, name)(BOARD, BOARD, **SMALL[name])
    untrained = model.eval().score_all(np.arange(BOARD)).detach()
    if name == "BPRMF":
        fresh, loss_fn = sampling.in_pairs, lambda m, u, p, n: losses.bpr(m(u, p), m(u, n))
    else:
        fresh, loss_fn = sampling.with_negatives, lambda m, u, i, y: losses.bce(m(u, i), y)
    training.fit(
        model,
        torch.optim.Adam(model.parameters(), lr=0.01),
        loss_fn,
        lambda epoch: fresh(users, items, positives, 3, rng),
        epochs=40,
        batch_size=32,
        progress=False,
    )

    def hits(scores):
        scores = scores.clone()
        scores[positives.toarray() > 0] = -torch.inf
        return int((scores.argmax(dim=1).numpy() == answers).sum())

    assert hits(model.score_all(np.arange(BOARD)).detach()) == BOARD
    assert hits(untrained) < BOARD / 2  # the control: one unseen item in eleven is right by chance


# NeuMF with a history


def make_history(**settings):
    torch.manual_seed(0)
    model = models.HistoryNeuMF(5, 4, gmf_dim=3, mlp_dim=2, layers=(5, 2), **settings)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


HISTORY = torch.tensor([[3, 1, -1], [0, -1, -1], [-1, -1, -1], [2, 3, 0]])


def test_the_history_is_the_mean_of_its_items_on_both_sides():
    # the parts written out; row i + 1 of a history embedding belongs to item i
    model = make_history()
    users, items = torch.tensor([4, 0, 1, 1]), torch.tensor([0, 2, 3, 3])
    logits = model(users, items, HISTORY)
    for row, own in enumerate([[3, 1], [0], [], [2, 3, 0]]):
        places = torch.tensor(own, dtype=torch.int64) + 1
        gmf_mean, mlp_mean = (
            bag.weight[places].sum(dim=0) / max(len(own), 1) for bag in (model.gmf_history, model.mlp_history)
        )
        user, item = users[row], items[row]
        gmf = (model.gmf_user.weight[user] + gmf_mean) * model.gmf_item.weight[item]
        vecs = [model.mlp_user.weight[user], model.mlp_item.weight[item], mlp_mean]
        expected = model.output(torch.cat([gmf, model.tower(torch.cat(vecs))]))
        torch.testing.assert_close(logits[row : row + 1], expected)


def test_history_score_all_equals_forward_pair_by_pair():
    model = make_history()
    users = torch.tensor([3, 0, 3, 1])
    scores = model.score_all(users, HISTORY)
    assert scores.shape == (4, 4)
    for row in range(4):
        for item in range(4):
            pair = model(users[row : row + 1], torch.tensor([item]), HISTORY[row : row + 1])
            assert pair.shape == (1,)
            torch.testing.assert_close(scores[row, item], pair[0])
    assert torch.equal(model.score_all(users.numpy(), HISTORY.numpy()), scores)
    probabilities = model.predict(users, torch.arange(4), HISTORY)
    torch.testing.assert_close(probabilities, torch.sigmoid(scores.diagonal()))


def test_the_order_of_a_history_says_nothing():
    model = make_history()
    users, items = torch.arange(4), torch.arange(4)
    torch.testing.assert_close(model(users, items, HISTORY), model(users, items, HISTORY.flip(1)))


def test_history_gradients_reach_every_parameter_but_no_item():
    model = make_history().train()
    losses.bce(model(torch.arange(4), torch.arange(4), HISTORY), torch.tensor([1.0, 0, 1, 0])).backward()
    for label, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), label
        assert parameter.grad.any(), label
    assert not model.gmf_history.weight.grad[0].any()  # the row of "no item"


def test_history_dropout_leaves_items_out_in_training_only():
    model = make_history(history_dropout=1.0)
    users, items, nothing = torch.arange(4), torch.arange(4), torch.full((4, 3), -1)
    with_history, without = model(users, items, HISTORY), model(users, items, nothing)
    assert not torch.allclose(with_history, without)
    torch.testing.assert_close(model.train()(users, items, HISTORY), without)
