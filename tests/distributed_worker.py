"""What each process of test_distributed.py runs: torchrun distributed_worker.py <folder of results>."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import distributed

from course_utils import distributed as ours
from course_utils import models

USERS, ITEMS = torch.tensor([0, 1, 2, 3, 0, 4]), torch.tensor([1, 2, 1, 0, 3, 3])  # items come twice
LOG_Q = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64).log()
MANY_USERS, MANY_ITEMS = torch.arange(47) * 3 % 5, torch.arange(47) * 7 % 4
BATCH_SIZE, EPOCHS, LR = 10, 3, 0.01


def make():
    """5 users, 4 items, in double precision, the same on every process."""
    torch.manual_seed(0)
    users, items = (
        SimpleNamespace(ids=np.arange(n) + 1, n_ids=n, content=torch.rand(n, 3).numpy()) for n in (5, 4)
    )
    return models.TwoTower(users, items, dim=4, hidden=8, learnable=True).double()


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def main(folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, world = distributed.get_rank(), distributed.get_world_size()
    mine = slice(rank * len(USERS) // world, (rank + 1) * len(USERS) // world)
    results = {"gathered": ours.gather(ITEMS[mine])}
    for with_options in (False, True):
        model = make()
        options = (ITEMS[mine], LOG_Q[ITEMS[mine]]) if with_options else ()
        loss = ours.in_batch_loss(
            model.encode_user(USERS[mine]), model.encode_item(ITEMS[mine]), model.temperature, *options
        )
        loss.backward()
        ours.average_gradients(model)
        results[with_options] = (loss.detach(), gradients(model))
    model = make()
    results["losses"] = ours.train(
        model, MANY_USERS, MANY_ITEMS, LOG_Q, epochs=EPOCHS, batch_size=BATCH_SIZE, lr=LR
    )
    results["weights"] = model.state_dict()
    results["rows"] = list(ours.my_rows(47, BATCH_SIZE, torch.Generator().manual_seed(0)))
    try:
        list(ours.my_rows(47, 9, torch.Generator()))
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
