import math

import pytest
import torch

from course_utils import losses


def test_mse_by_hand():
    # errors 1, 0, -2: (1 + 0 + 4) / 3
    loss = losses.mse(torch.tensor([4.0, 3.0, 1.0]), torch.tensor([3.0, 3.0, 3.0]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(5 / 3)


def test_mse_gradient_by_hand():
    # d/dp mean (p - r)^2 = 2 (p - r) / B: 2 * 1 / 2 and 2 * -2 / 2
    predictions = torch.tensor([4.0, 1.0], requires_grad=True)
    losses.mse(predictions, torch.tensor([3.0, 3.0])).backward()
    assert predictions.grad.tolist() == [1.0, -2.0]


def test_mse_is_zero_when_perfect_and_takes_a_batch_of_one():
    assert losses.mse(torch.tensor([2.5]), torch.tensor([2.5])).item() == 0.0


@pytest.mark.parametrize(("a", "b"), [((4,), (4, 1)), ((4,), ()), ((1,), ()), ((4,), (1,)), ((4,), (3,))])
def test_mse_refuses_shapes_that_differ(a, b):
    with pytest.raises(ValueError, match="same shape"):
        losses.mse(torch.zeros(a), torch.zeros(b))


def test_bce_by_hand():
    # logit 0 is probability 1/2: -log(1/2). Logit log(3) is 3/4: -log(3/4) for label 1, -log(1/4) for 0
    logits = torch.tensor([0.0, math.log(3), math.log(3)])
    loss = losses.bce(logits, torch.tensor([1.0, 1.0, 0.0]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx((math.log(2) + math.log(4 / 3) + math.log(4)) / 3)


def test_bce_gradient_by_hand():
    # d/dlogit = (probability - label) / B: (1/2 - 1) / 2 and (3/4 - 0) / 2
    logits = torch.tensor([0.0, math.log(3)], requires_grad=True)
    losses.bce(logits, torch.tensor([1.0, 0.0])).backward()
    assert logits.grad.tolist() == pytest.approx([-0.25, 0.375])


def test_bpr_by_hand():
    # sigmoid(0) = 1/2 and sigmoid(log 3) = 3/4
    loss = losses.bpr(torch.tensor([2.0, 1 + math.log(3)]), torch.tensor([2.0, 1.0]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_bpr_gradient_by_hand():
    # d/dpos = -sigmoid(neg - pos) / B: -(1/2) / 2 and -(1/4) / 2; d/dneg is its opposite
    pos = torch.tensor([2.0, math.log(3)], requires_grad=True)
    neg = torch.tensor([2.0, 0.0], requires_grad=True)
    losses.bpr(pos, neg).backward()
    assert pos.grad.tolist() == pytest.approx([-0.25, -0.125])
    assert neg.grad.tolist() == pytest.approx([0.25, 0.125])


def test_losses_of_clicks_stay_finite_far_out():
    far = torch.tensor([200.0, -200.0], requires_grad=True)
    assert losses.bce(far, torch.tensor([0.0, 1.0])).item() == pytest.approx(200)
    loss = losses.bpr(far, -far)  # differences 400 and -400
    assert loss.item() == pytest.approx(200)
    loss.backward()
    assert torch.isfinite(far.grad).all()


@pytest.mark.parametrize("loss", [losses.bce, losses.bpr])
@pytest.mark.parametrize(("a", "b"), [((4,), (4, 1)), ((4,), ()), ((4,), (1,)), ((4,), (3,))])
def test_losses_of_clicks_refuse_shapes_that_differ(loss, a, b):
    with pytest.raises(ValueError, match="same shape"):
        loss(torch.zeros(a), torch.zeros(b))


# in_batch_loss


def random_batch(n_users=6, n_items=6, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_users, dim, generator=generator), torch.randn(n_items, dim, generator=generator)


def in_batch_by_loops(user_vecs, item_vecs, temperature, items=None, log_q=None, first=0):
    """The plain version: one sum of exponentials for each user."""
    total = 0.0
    for b, user in enumerate(user_vecs):
        own = first + b
        logits = []
        for c, item in enumerate(item_vecs):
            if c != own and items is not None and items[c] == items[own]:
                continue
            logits.append(float(user @ item) / temperature - (float(log_q[c]) if log_q is not None else 0))
        own_logit = float(user @ item_vecs[own]) / temperature - (
            float(log_q[own]) if log_q is not None else 0
        )
        total += math.log(sum(math.exp(logit) for logit in logits)) - own_logit
    return total / len(user_vecs)


def test_in_batch_by_hand():
    # dot products [[1, 0], [0, 2]], temperature .5: logits [[2, 0], [0, 4]]
    # user 0: ln(e^2 + 1) - 2 = ln(1 + e^-2); user 1: ln(1 + e^-4)
    user_vecs, item_vecs = torch.tensor([[1.0, 0], [0, 2]]), torch.eye(2)
    loss = losses.in_batch_loss(user_vecs, item_vecs, 0.5)
    assert loss.shape == ()
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-4))) / 2)


def test_in_batch_goes_from_users_to_items():
    # user 0 likes both items, user 1 none: over items each user is at ln 2; over users it would differ
    user_vecs, item_vecs = torch.tensor([[5.0, 5], [0, 0]]), torch.eye(2)
    assert losses.in_batch_loss(user_vecs, item_vecs, 1.0).item() == pytest.approx(math.log(2))


def test_log_q_by_hand():
    # logits all 0, shares 3/4 and 1/4: minus log q gives weights 4/3 and 4
    # user 0: -ln((4/3) / (16/3)) = ln 4; user 1: -ln(4 / (16/3)) = ln(4/3)
    zeros = torch.zeros(2, 3)
    loss = losses.in_batch_loss(zeros, zeros, log_q=torch.tensor([0.75, 0.25]).log())
    assert loss.item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)


def test_a_constant_in_log_q_changes_nothing():
    user_vecs, item_vecs = random_batch()
    log_q = torch.randn(6, generator=torch.Generator().manual_seed(1))
    loss = losses.in_batch_loss(user_vecs, item_vecs, log_q=log_q)
    torch.testing.assert_close(loss, losses.in_batch_loss(user_vecs, item_vecs, log_q=log_q + 5))
    torch.testing.assert_close(
        losses.in_batch_loss(user_vecs, item_vecs),
        losses.in_batch_loss(user_vecs, item_vecs, log_q=torch.full((6,), -3.0)),
    )


def test_the_same_item_twice_is_no_negative():
    # logits all 0; items 7, 7, 8: users 0 and 1 have one negative, user 2 has two
    zeros = torch.zeros(3, 2)
    loss = losses.in_batch_loss(zeros, zeros, items=torch.tensor([7, 7, 8]))
    assert loss.item() == pytest.approx((2 * math.log(2) + math.log(3)) / 3)
    # nothing but hits: each user has only the own item left, and the loss is 0 and not nan
    assert losses.in_batch_loss(zeros, zeros, items=torch.tensor([7, 7, 7])).item() == 0.0


@pytest.mark.parametrize("items", [None, [3, 1, 3, 2, 2, 3, 0, 1]])
@pytest.mark.parametrize("with_log_q", [False, True])
@pytest.mark.parametrize("first", [0, 2])
def test_in_batch_equals_the_loops(items, with_log_q, first):
    user_vecs, item_vecs = random_batch(6, 8)
    items = None if items is None else torch.tensor(items)
    log_q = torch.randn(8, generator=torch.Generator().manual_seed(1)) if with_log_q else None
    arguments = (user_vecs, item_vecs, 0.7, items, log_q, first)
    assert losses.in_batch_loss(*arguments).item() == pytest.approx(in_batch_by_loops(*arguments), rel=1e-5)


def test_in_batch_gradients_equal_finite_differences():
    user_vecs, item_vecs = (vecs.double().requires_grad_() for vecs in random_batch(4, 4))
    temperature = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    items, log_q = torch.tensor([1, 2, 1, 3]), torch.tensor([0.4, 0.3, 0.4, 0.3], dtype=torch.float64).log()
    assert torch.autograd.gradcheck(
        lambda *vecs_and_t: losses.in_batch_loss(*vecs_and_t, items, log_q),
        (user_vecs, item_vecs, temperature),
    )


def test_in_batch_leaves_its_inputs_alone():
    user_vecs, item_vecs = random_batch()
    before = user_vecs.clone(), item_vecs.clone()
    losses.in_batch_loss(user_vecs, item_vecs, 0.1, torch.zeros(6), torch.zeros(6))
    assert torch.equal(user_vecs, before[0])
    assert torch.equal(item_vecs, before[1])


def test_in_batch_refuses_what_does_not_fit():
    user_vecs, item_vecs = random_batch(3, 4)
    losses.in_batch_loss(user_vecs, item_vecs, first=1)
    with pytest.raises(ValueError, match="3 users with own items from row 2, but 4 rows"):
        losses.in_batch_loss(user_vecs, item_vecs, first=2)
    with pytest.raises(ValueError, match=r"items has shape \[3\]: must be \[4\]"):
        losses.in_batch_loss(user_vecs, item_vecs, items=torch.zeros(3))
    with pytest.raises(ValueError, match=r"log_q has shape \[4, 1\]: must be \[4\]"):
        losses.in_batch_loss(user_vecs, item_vecs, log_q=torch.zeros(4, 1))
