import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

from course_utils import training


def noisy_line(n_rows=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_rows, 3, generator=generator)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(n_rows, generator=generator)
    return x, y


def squared_error(model, x, y):
    return ((model(x).squeeze(-1) - y) ** 2).mean()


def make(dropout=0.0, lr=0.05):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 1))
    return model, torch.optim.Adam(model.parameters(), lr=lr)


def run(dropout=0.0, lr=0.05, loss_fn=squared_error, **kwargs):
    model, optimizer = make(dropout, lr)
    kwargs = {"epochs": 3, "batch_size": 16, "progress": False} | kwargs
    return model, training.fit(model, optimizer, loss_fn, noisy_line(), **kwargs)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).tolist()


class OneNumber(nn.Module):
    """Goes up by exactly 1 at each step of SGD with lr 1, so that its value counts the steps."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def fit(self, loss_fn=lambda model, rows: -model.value, n_rows=1, **kwargs):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return training.fit(self, optimizer, loss_fn, (torch.zeros(n_rows),), progress=False, **kwargs)


def scripted(values):
    """A validate function that returns these values, one per epoch."""
    values = iter(values)
    return lambda model: next(values)


# the loop


def test_fit_equals_the_loop_written_out():
    model, optimizer = make()
    x, y = noisy_line()
    generator = torch.Generator().manual_seed(7)
    expected_losses = []
    for _ in range(3):
        total = 0.0
        for rows in torch.randperm(50, generator=generator).split(16):  # 16, 16, 16, 2
            loss = squared_error(model, x[rows], y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        expected_losses.append(total / 50)
    fitted, history = run(seed=7)
    assert weights(fitted) == weights(model)
    assert history.train_loss == pytest.approx(expected_losses)


def test_fit_learns():
    model, history = run(epochs=60)
    assert model[1].weight[0].tolist() == pytest.approx([1.0, -2.0, 0.5], abs=0.1)
    assert history.train_loss[-1] < 0.02 < 1 < history.train_loss[0]  # the noise is .1^2 = .01


def test_train_loss_is_the_mean_over_rows_not_over_batches():
    # rows 0 1 2 3 6 in batches of 2, 2 and 1; whatever the order, the mean over rows is 12 / 5
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    rows = torch.tensor([0.0, 1, 2, 3, 6])
    history = training.fit(
        model,
        optimizer,
        lambda model, rows: rows.mean() + 0 * model.weight.sum(),
        (rows,),
        epochs=4,
        batch_size=2,
        progress=False,
    )
    assert history.train_loss == pytest.approx([2.4] * 4)


def test_history_without_validation():
    model, history = run()
    assert len(history.train_loss) == 3
    assert history.validation == []
    assert history.best_epoch is None
    assert history.interrupted is False
    assert 0 < history.seconds < 60
    assert model.training is False
    with pytest.raises(FrozenInstanceError):
        history.seconds = 0


def test_train_mode_in_training_and_eval_mode_without_gradients_in_validation():
    modes = []

    def loss_fn(model, x, y):
        modes.append(("train", model.training, torch.is_grad_enabled()))
        return squared_error(model, x, y)

    def validate(model):
        modes.append(("validate", model.training, torch.is_grad_enabled()))
        return 1.0

    run(loss_fn=loss_fn, validate=validate, epochs=2, batch_size=50)
    assert modes == [("train", True, True), ("validate", False, False)] * 2


def test_validation_may_return_a_tensor():
    _, history = run(validate=lambda model: torch.tensor(0.5))
    assert history.validation == [0.5, 0.5, 0.5]
    assert type(history.validation[0]) is float


# seeds


def test_deterministic_by_seed_with_one_thread():
    assert torch.get_num_threads() == 1
    (first, first_history), (again, again_history) = run(dropout=0.5, seed=1), run(dropout=0.5, seed=1)
    assert weights(first) == weights(again)
    assert first_history.train_loss == again_history.train_loss
    assert weights(first) != weights(run(dropout=0.5, seed=2)[0])


def test_the_seed_rules_dropout_whatever_was_drawn_before():
    results = []
    for draws in (0, 5):
        model, optimizer = make(dropout=0.5)
        torch.rand(draws)
        training.fit(model, optimizer, squared_error, noisy_line(), epochs=2, progress=False)
        results.append(weights(model))
    assert results[0] == results[1]


def test_global_random_state_is_left_alone():
    model, optimizer = make(dropout=0.5)
    torch.manual_seed(3)
    expected = torch.rand(3).tolist()
    torch.manual_seed(3)
    training.fit(model, optimizer, squared_error, noisy_line(), epochs=2, progress=False)
    assert torch.rand(3).tolist() == expected


def test_validation_changes_nothing():
    plain = run(epochs=4)[0]
    validated = run(epochs=4, validate=lambda model: squared_error(model, *noisy_line(seed=1)).item())[0]
    assert weights(plain) == weights(validated)


# early stopping


def test_early_stopping_restores_the_best_weights():
    # the best is epoch 3; two epochs without improvement later it stops, after epoch 5
    model = OneNumber()
    history = model.fit(epochs=10, validate=scripted([5, 4, 3, 3.5, 3, 1]), patience=2)
    assert history.validation == [5, 4, 3, 3.5, 3]
    assert history.train_loss == [0, -1, -2, -3, -4]
    assert history.best_epoch == 3
    assert model.value.item() == 3


def test_an_improvement_starts_the_patience_anew():
    model = OneNumber()
    history = model.fit(epochs=10, validate=scripted([5, 6, 4, 6, 3, 6, 6, 0]), patience=2)
    assert len(history.validation) == 7
    assert (history.best_epoch, model.value.item()) == (5, 5)


def test_patience_restores_also_when_the_epochs_run_out():
    model = OneNumber()
    history = model.fit(epochs=3, validate=scripted([1, 2, 3]), patience=5)
    assert (len(history.validation), history.best_epoch, model.value.item()) == (3, 1, 1)


def test_without_patience_the_last_weights_are_kept():
    model = OneNumber()
    history = model.fit(epochs=4, validate=scripted([1, 2, 3, 4]))
    assert (len(history.validation), history.best_epoch, model.value.item()) == (4, 1, 4)


# interrupts


def interrupt_after(n_calls, function):
    calls = 0

    def wrapped(*args):
        nonlocal calls
        calls += 1
        if calls > n_calls:
            raise KeyboardInterrupt
        return function(*args)

    return wrapped


def test_interrupt_in_training_keeps_what_is_done():
    # 2 rows in batches of 1: two steps an epoch. The interrupt comes in epoch 3, after one of its steps.
    model = OneNumber()
    loss_fn = interrupt_after(5, lambda model, rows: -model.value)
    history = model.fit(loss_fn, n_rows=2, epochs=10, batch_size=1)
    assert history.interrupted is True
    assert history.train_loss == [-0.5, -2.5]  # (0 - 1) / 2, (-2 - 3) / 2
    assert model.value.item() == 5
    assert model.training is False


def test_interrupt_in_validation_keeps_whole_epochs_in_the_history():
    model = OneNumber()
    history = model.fit(epochs=10, validate=interrupt_after(2, scripted([3, 4])))
    assert history.interrupted is True
    assert (history.train_loss, history.validation, history.best_epoch) == ([0, -1], [3, 4], 1)
    assert model.value.item() == 3


def test_interrupt_with_patience_restores_the_best_weights():
    model = OneNumber()
    history = model.fit(epochs=10, validate=interrupt_after(3, scripted([3, 2, 4])), patience=5)
    assert (history.interrupted, history.best_epoch, model.value.item()) == (True, 2, 2)


def test_interrupt_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(3).tolist()
    torch.manual_seed(3)
    OneNumber().fit(interrupt_after(1, lambda model, rows: -model.value), epochs=5)
    assert torch.rand(3).tolist() == expected


# errors


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_loss_that_is_not_finite_is_named_before_it_spoils_the_weights(bad):
    # 3 rows in batches of 1: the fifth step is batch 2 of epoch 2
    extra = iter([0.0, 0.0, 0.0, 0.0, bad])
    model = OneNumber()
    with pytest.raises(FloatingPointError, match=f"loss is {bad} in epoch 2, batch 2.*smaller learning rate"):
        model.fit(lambda model, rows: -model.value + next(extra), n_rows=3, epochs=5, batch_size=1)
    assert model.value.item() == 4


def test_a_learning_rate_that_is_too_large_is_caught():
    model, _ = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e6)
    with pytest.raises(FloatingPointError, match="Try a smaller learning rate"):
        training.fit(model, optimizer, squared_error, noisy_line(), epochs=50, batch_size=16, progress=False)


def test_a_validation_that_is_not_finite_is_named():
    with pytest.raises(FloatingPointError, match="validate gave nan after epoch 2"):
        run(validate=scripted([1.0, math.nan]))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="epochs=0"):
        run(epochs=0)
    with pytest.raises(ValueError, match=r"patience=2.*needs a validate"):
        run(patience=2)
    with pytest.raises(ValueError, match="patience=0"):
        run(patience=0, validate=lambda model: 1.0)
    with pytest.raises(ValueError, match="no rows"):
        OneNumber().fit(n_rows=0, epochs=1)


# progress


def test_progress_bar(monkeypatch, capfd):
    monkeypatch.delenv("COURSE_HEADLESS", raising=False)
    run(progress=True, validate=lambda model: 0.123456)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "3/3" in shown.err
    assert "loss=" in shown.err
    assert "validation=0.123" in shown.err


def test_progress_is_quiet_when_headless_or_unwanted(monkeypatch, capfd):
    monkeypatch.setenv("COURSE_HEADLESS", "1")
    run(progress=True)
    monkeypatch.delenv("COURSE_HEADLESS")
    run(progress=False)
    assert capfd.readouterr() == ("", "")


# fresh rows, and a schedule


def test_a_function_gives_the_rows_of_each_epoch():
    asked, seen = [], []

    def fresh(epoch):
        asked.append(epoch)
        return (torch.full((epoch,), float(epoch)),)  # 1 row in epoch 1, 2 in epoch 2

    def loss_fn(model, rows):
        seen.extend(rows.tolist())
        return rows.mean() + 0 * model.value

    model = OneNumber()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    history = training.fit(model, optimizer, loss_fn, fresh, epochs=3, batch_size=2, progress=False)
    assert asked == [1, 2, 3]
    assert seen == [1, 2, 2, 3, 3, 3]
    assert history.train_loss == [1, 2, 3]


def test_a_function_of_the_same_rows_is_the_rows():
    plain = run(epochs=2, dropout=0.3)[0]
    model, optimizer = make(dropout=0.3)
    training.fit(
        model, optimizer, squared_error, lambda epoch: noisy_line(), epochs=2, batch_size=16, progress=False
    )
    assert weights(model) == weights(plain)


def test_a_function_that_gives_no_rows_is_named():
    model = OneNumber()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ValueError, match="no rows"):
        training.fit(model, optimizer, None, lambda epoch: (torch.zeros(0),), epochs=1, progress=False)


def test_the_scheduler_takes_a_step_after_each_batch():
    # the rate goes 1, .75, .5, .25 over 2 epochs of 2 batches: the number grows by their sum, 2.5
    model = OneNumber()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-9, total_iters=4)
    rates = []

    def loss_fn(model, rows):
        rates.append(optimizer.param_groups[0]["lr"])
        return -model.value

    rows = (torch.zeros(4),)
    training.fit(model, optimizer, loss_fn, rows, epochs=2, batch_size=2, scheduler=scheduler, progress=False)
    assert rates == pytest.approx([1, 0.75, 0.5, 0.25])
    assert model.value.item() == pytest.approx(2.5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-8)
