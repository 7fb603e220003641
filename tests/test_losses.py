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
