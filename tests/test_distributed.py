"""Two processes on this machine against one with the same whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import distributed_worker as worker
import pytest
import torch

from course_utils import losses

ROOT = Path(__file__).parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(*arguments, **environment):
    return subprocess.run(
        [*TORCHRUN, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "COURSE_DEVICE": "cpu"} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes got."""
    folder = tmp_path_factory.mktemp("ranks")
    done = run(str(ROOT / "tests" / "distributed_worker.py"), str(folder))
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def alone(with_options):
    model = worker.make()
    options = (worker.ITEMS, worker.LOG_Q[worker.ITEMS]) if with_options else ()
    loss = losses.in_batch_loss(
        model.encode_user(worker.USERS), model.encode_item(worker.ITEMS), model.temperature, *options
    )
    loss.backward()
    return loss.detach(), worker.gradients(model)


def test_rows_are_gathered_by_rank(both):
    for results in both:
        assert torch.equal(results["gathered"], worker.ITEMS)


@pytest.mark.parametrize("with_options", [False, True])
def test_loss_and_gradients_are_those_of_one_process(both, with_options):
    loss, gradients = alone(with_options)
    mean = sum(results[with_options][0] for results in both) / 2
    torch.testing.assert_close(mean, loss, rtol=1e-12, atol=0)
    for results in both:
        assert results[with_options][1].keys() == gradients.keys()
        for name, gradient in gradients.items():
            assert gradient.any(), name
            torch.testing.assert_close(results[with_options][1][name], gradient, rtol=1e-9, atol=1e-14)


def test_the_negatives_of_the_other_process_count(both):
    # the control: without gathering, each process has 3 items instead of 6, and another loss
    model = worker.make()
    first = slice(0, 3)
    own = losses.in_batch_loss(
        model.encode_user(worker.USERS[first]), model.encode_item(worker.ITEMS[first]), model.temperature
    )
    assert own.item() < both[0][False][0].item() - 0.1


def test_each_epoch_is_divided_without_overlap(both):
    # 47 rows in batches of 10: 5 and 5 four times, then 7 are left: 3 and 3, one is left out
    ranks = [results["rows"] for results in both]
    assert [[len(part) for part in parts] for parts in ranks] == [[5, 5, 5, 5, 3]] * 2
    order = torch.randperm(47, generator=torch.Generator().manual_seed(0))
    together = torch.cat([part for pair in zip(*ranks, strict=True) for part in pair])
    assert torch.equal(together, order[:46])


def test_training_ends_where_one_process_ends(both):
    model = worker.make().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=worker.LR)
    generator = torch.Generator().manual_seed(0)
    expected = []
    for _ in range(worker.EPOCHS):
        total = 0.0
        for batch in torch.randperm(47, generator=generator)[:46].split(worker.BATCH_SIZE):
            users, items = worker.MANY_USERS[batch], worker.MANY_ITEMS[batch]
            loss = losses.in_batch_loss(
                model.encode_user(users),
                model.encode_item(items),
                model.temperature,
                items,
                worker.LOG_Q[items],
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        expected.append(total / 46)
    for results in both:
        assert results["losses"] == pytest.approx(expected, rel=1e-5)  # summed in single precision
        for name, weights in model.state_dict().items():
            torch.testing.assert_close(results["weights"][name], weights, rtol=1e-6, atol=1e-9)
    assert expected[-1] < expected[0]


def test_a_batch_that_cannot_be_divided_is_refused(both):
    assert both[0]["error"] == "batch_size=9: must be a multiple of the 2 processes"


def test_torchrun_trains_on_the_sample():
    done = run("-m", "course_utils.distributed", "--size", "sample", "--epochs", "1", "--batch-size", "512")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes, 1 epochs in ") == 1  # said once, not by each
    hit_rate = float(done.stdout.split("HR@10 ")[1].split(" ")[0])
    assert 0.1 < hit_rate < 0.9
