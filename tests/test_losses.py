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
