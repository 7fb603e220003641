"""The training loop: knows no particular model."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils import runtime, sampling


@dataclass(frozen=True)
class History:
    """What happened in training, one entry per finished epoch."""

    train_loss: list[float]  # [E] mean over rows, while the weights were changing
    validation: list[float]  # [E], or [] without a validate function
    seconds: float
    best_epoch: int | None  # counted from 1; None without a validate function
    interrupted: bool


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[..., Tensor],
    train: tuple[Tensor, ...] | Callable[[int], tuple[Tensor, ...]],
    *,
    epochs: int,
    batch_size: int = 1024,
    validate: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    seed: int = 0,
    progress: bool = True,
) -> History:
    """Train a model, for a fixed number of epochs or until it stops improving.

    train: tensors, each [R, ...], or a function from the epoch, counted from 1, to such tensors (for fresh
    negatives); loss_fn(model, *batch) -> a single number; validate(model) -> a number, lower is better,
    called after each epoch in eval mode and without gradients. A scheduler takes a step after each batch.
    Without patience the last weights are kept; with it, training stops after that many epochs without
    improvement and the best weights are kept. An interrupt (the stop button) keeps what is done. The model
    is left in eval mode. The seed rules the order of the rows and dropout; torch's global random state is
    left alone.
    FloatingPointError when a loss or a validation is not finite.
    """
    if epochs < 1:
        raise ValueError(f"epochs={epochs}: must be at least 1")
    if patience is not None and (validate is None or patience < 1):
        raise ValueError(f"patience={patience}: must be at least 1, and needs a validate function")
    started = time.perf_counter()
    train_loss, validation = [], []
    best_epoch, best_weights, interrupted = None, None, False
    generator = torch.Generator().manual_seed(seed)
    bar = tqdm(range(1, epochs + 1), unit="epoch", disable=not progress or runtime.is_headless())
    with bar, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        try:
            for epoch in bar:
                rows = train(epoch) if callable(train) else train
                loss = _train_epoch(model, optimizer, loss_fn, rows, batch_size, generator, epoch, scheduler)
                if validate is not None:
                    validation.append(_validation(model, validate, epoch))
                    if best_epoch is None or validation[-1] < validation[best_epoch - 1]:
                        best_epoch = epoch
                        if patience is not None:
                            best_weights = copy.deepcopy(model.state_dict())
                train_loss.append(loss)
                bar.set_postfix(loss=loss, **({"validation": validation[-1]} if validation else {}))
                if patience is not None and epoch - best_epoch >= patience:
                    break
        except KeyboardInterrupt:
            interrupted = True
    if best_weights is not None:
        model.load_state_dict(best_weights)
    model.eval()
    return History(train_loss, validation, time.perf_counter() - started, best_epoch, interrupted)


def _train_epoch(model, optimizer, loss_fn, train, batch_size, generator, epoch, scheduler) -> float:
    """One pass over the training rows in random order -> the mean loss per row."""
    if len(train[0]) == 0:
        raise ValueError("train has no rows: there is nothing to learn from")
    model.train()
    total = 0.0
    for number, batch in enumerate(sampling.minibatches(train, batch_size, generator), start=1):
        loss = loss_fn(model, *batch)
        value = loss.item()
        if not math.isfinite(value):  # asked before the step, so that the weights stay as they were
            raise FloatingPointError(
                f"the loss is {value} in epoch {epoch}, batch {number}. "
                "Try a smaller learning rate, or smaller initial weights; and look for nan in the data."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        total += value * len(batch[0])  # the last batch may be smaller: weigh by rows
    return total / len(train[0])


def _validation(model, validate, epoch) -> float:
    model.eval()
    with torch.no_grad():
        value = float(validate(model))
    if not math.isfinite(value):
        raise FloatingPointError(f"validate gave {value} after epoch {epoch}: it must be a finite number")
    return value
