"""Train the two-tower model on several processes, each with its part of the batch, all with all negatives.

    torchrun --nproc-per-node 2 -m course_utils.distributed --size sample

In-batch negatives are why this is more than averaging gradients: with W processes of B rows, each user is to
be told apart from W * B items, so item vectors travel, and gradients travel back. The loss and the gradients
are those of one process with the whole batch.
"""

from __future__ import annotations

import os
import time

import click
import numpy as np
import torch
from torch import Tensor, distributed, nn

from course_utils import evaluate, features, losses, recipes, runtime, sampling, splits
from course_utils.data import load_movielens
from course_utils.models import TwoTower


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)  # each process used my rows in its loss: their gradients add up
        return gradient.chunk(distributed.get_world_size())[distributed.get_rank()]


def gather(tensor: Tensor) -> Tensor:
    """The rows of all processes, by rank: [B, ...], as many everywhere -> [W * B, ...], with gradients."""
    return _Gather.apply(tensor) if tensor.is_floating_point() else _Gather.forward(None, tensor)


def in_batch_loss(
    user_vecs: Tensor,
    item_vecs: Tensor,
    temperature: float | Tensor = 0.07,
    items: Tensor | None = None,
    log_q: Tensor | None = None,
) -> Tensor:
    """losses.in_batch_loss of this process's users, [B] rows each, against the items of all processes.

    The mean of what the processes get is the loss of the whole batch.
    """
    return losses.in_batch_loss(
        user_vecs,
        gather(item_vecs),
        temperature,
        None if items is None else gather(items),
        None if log_q is None else gather(log_q),
        first=distributed.get_rank() * len(user_vecs),
    )


def average_gradients(model: nn.Module) -> None:
    """After backward: give every process the mean of all processes' gradients, in one message."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def my_rows(n_rows: int, batch_size: int, generator: torch.Generator):
    """One epoch: this process's part of each batch of batch_size rows, as row numbers.

    Every process gives a generator of the same seed. What does not divide by the number of processes is left
    out of the last batch.
    """
    world, rank = distributed.get_world_size(), distributed.get_rank()
    if batch_size % world:
        raise ValueError(f"batch_size={batch_size}: must be a multiple of the {world} processes")
    for batch in torch.randperm(n_rows, generator=generator).split(batch_size):
        part = len(batch) // world
        if part:
            yield batch[rank * part : (rank + 1) * part]


def train(
    model: TwoTower,
    users: Tensor,
    items: Tensor,
    log_q: Tensor,
    *,
    epochs: int = recipes.TWO_TOWER["epochs"],
    batch_size: int = recipes.TWO_TOWER["batch_size"],
    lr: float = 2e-3,
    seed: int = 0,
) -> list[float]:
    """Train the same model on every process: users, items [R] all rows, log_q [I] -> mean loss per epoch.

    batch_size counts the rows of all processes together; the learning rate stays as it is. Models must start
    equal: seed before building.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    generator = torch.Generator().manual_seed(seed)
    history = []
    model.train()
    for _ in range(epochs):
        total, n_rows = torch.zeros(2, device=users.device)
        for rows in my_rows(len(users), batch_size, generator):
            loss = _loss(model, users[rows], items[rows], log_q)
            optimizer.zero_grad()
            loss.backward()
            average_gradients(model)
            optimizer.step()
            total += loss.detach() * len(rows)
            n_rows += len(rows)
        distributed.all_reduce(total)
        distributed.all_reduce(n_rows)
        history.append((total / n_rows).item())
    model.eval()
    return history


def _loss(model: TwoTower, users: Tensor, items: Tensor, log_q: Tensor) -> Tensor:
    return in_batch_loss(
        model.encode_user(users), model.encode_item(items), model.temperature, items, log_q[items]
    )


@click.command()
@click.option("--size", default="100k", help="MovieLens 100k, 1m or 32m, or sample.")
@click.option("--epochs", default=recipes.TWO_TOWER["epochs"])
@click.option("--batch-size", default=recipes.TWO_TOWER["batch_size"], help="Rows of all processes together.")
@click.option("--seed", default=0)
def main(size: str, epochs: int, batch_size: int, seed: int) -> None:
    """Train the two-tower model on all processes that torchrun started, and say how well it ranks."""
    device = runtime.start(seed)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        ratings = load_movielens(size)
        train_rows, validation, test = splits.leave_last_out(ratings.users, ratings.timestamps)
        before = ratings.take(np.sort(np.concatenate([train_rows, validation])))
        model = recipes.new_two_tower(
            features.build_user_features(ratings, before.users),
            features.build_item_features(ratings, before.items),
            seed,
            temperature=recipes.TWO_TOWER["temperature"],
        ).to(device)
        columns = (torch.tensor(column, device=device) for column in (before.users, before.items))
        log_q = recipes.log_shares(before.items, ratings.n_items).to(device)
        started = time.perf_counter()
        loss = train(model, *columns, log_q, epochs=epochs, batch_size=batch_size, seed=seed)[-1]
        if distributed.get_rank() == 0:
            seconds = time.perf_counter() - started
            seen = sampling.interactions(before.users, before.items, ratings.n_users, ratings.n_items)
            ranks = evaluate.leave_one_out(model.score_all, ratings.users[test], ratings.items[test], seen)
            click.echo(
                f"{distributed.get_world_size()} processes, {epochs} epochs in {seconds:.1f} s: "
                f"loss {loss:.3f}, HR@10 {ranks.mean('hit_rate'):.3f} (leave last out, 1+99 in expectation)"
            )
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
