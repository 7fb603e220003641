"""Memory and time of the two-tower pipeline as data grows: 100k, 1M, 10M and 32M made-up interactions.

Run: python benchmarks/scale.py            all sizes, one after the other, each in a process of its own
     python benchmarks/scale.py 100000     one size
Writes benchmarks/results/scale.json after each size. One thread, timed by the processor time of the process:
on a quiet core that is the time on the wall. Steps: make the data, build the table of
who has what, build features, train, encode all items, index them, serve. Training is timed over whole
batches of 1,024 for at most TRAIN_SECONDS; `epoch_seconds` is what a whole epoch takes at that speed.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import faiss
import numpy as np
import torch

from course_utils import features, losses, recipes, retrieval, runtime, sampling
from course_utils.authoring.labs import write_atomically
from course_utils.data import synthetic

SIZES = (100_000, 1_000_000, 10_000_000, 32_000_204)
TRAIN_SECONDS, WARM_UP, BATCH_SIZE, N_QUERIES = 10, 5, 1024, 1000


def peak_gib() -> float:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # bytes there, KiB on Linux


class Steps:
    """Seconds of each step and the peak memory after it."""

    def __init__(self):
        self.seconds, self.peak_gib = {}, {}
        self._started = time.process_time()

    def done(self, name: str) -> None:
        self.seconds[name] = round(time.process_time() - self._started, 3)
        self.peak_gib[name] = round(peak_gib(), 2)
        self._started = time.process_time()


def train(model, users: torch.Tensor, items: torch.Tensor, log_q: torch.Tensor) -> float:
    """Train for a while, with gradients as large as the tables, as in the lab -> rows per second."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    model.train()
    n_rows, number, started = 0, 0, time.process_time()
    while number < WARM_UP + 2 or time.process_time() - started < TRAIN_SECONDS:
        for u, i in sampling.minibatches((users, items), BATCH_SIZE, torch.Generator().manual_seed(number)):
            if number == WARM_UP:  # the first batches pay for allocations
                n_rows, started = 0, time.process_time()
            user_vecs, item_vecs = model.encode_user(u), model.encode_item(i)
            loss = losses.in_batch_loss(user_vecs, item_vecs, model.temperature, i, log_q[i])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            n_rows, number = n_rows + len(u), number + 1
            if number > WARM_UP and time.process_time() - started > TRAIN_SECONDS:
                break
    return n_rows / (time.process_time() - started)


def serve(model, index, seen) -> float:
    """Users per second: encode, search, leave out what was seen; batches of 100 users."""
    users = np.arange(min(N_QUERIES, len(model.user_ids)))
    started = time.process_time()
    for batch in np.array_split(users, max(1, len(users) // 100)):
        queries = model.encode_user(torch.from_numpy(batch))
        own = [seen.indices[seen.indptr[user] : seen.indptr[user + 1]] for user in batch]
        retrieval.retrieve_unseen(index, queries, own, k=10)
    return len(users) / (time.process_time() - started)


def measure(n_ratings: int) -> dict:
    """One row of the table."""
    steps = Steps()
    ratings = synthetic.make_ratings(n_ratings)
    steps.done("make the data")
    seen = sampling.interactions(ratings.users, ratings.items, ratings.n_users, ratings.n_items)
    steps.done("table of interactions")
    user_features = features.build_user_features(ratings, ratings.users)
    item_features = features.build_item_features(ratings, ratings.items)
    steps.done("features")
    model = recipes.new_two_tower(user_features, item_features)
    users, items = torch.tensor(ratings.users), torch.tensor(ratings.items)
    rows_per_second = train(model, users, items, recipes.log_shares(ratings.items, ratings.n_items))
    steps.done("train")
    model.eval()
    with torch.no_grad():
        parts = torch.arange(ratings.n_items).split(8192)
        item_vecs = torch.cat([model.encode_item(part) for part in parts])
        steps.done("encode all items")
        index = retrieval.build_index(item_vecs, use_gpu=False)
        steps.done("index")
        users_per_second = serve(model, index, seen)
        steps.done("serve")
    return {
        "interactions": len(ratings),
        "users": ratings.n_users,
        "items": ratings.n_items,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "index": type(index).__name__,
        "train_rows_per_second": round(rows_per_second),
        "epoch_seconds": round(len(ratings) / rows_per_second, 1),
        "served_users_per_second": round(users_per_second),
        "peak_gib": round(peak_gib(), 2),
        "step_seconds": steps.seconds,
        "peak_gib_after_step": steps.peak_gib,
    }


def target() -> Path:
    return runtime.course_root() / "benchmarks" / "results" / "scale.json"


def record(row: dict) -> None:
    """Put the row in the place of an older one of its size."""
    new = {"torch": torch.__version__.split("+")[0], "threads": 1, "batch_size": BATCH_SIZE, "rows": []}
    recorded = json.loads(target().read_text()) if target().exists() else new
    rows = [old for old in recorded["rows"] if old["interactions"] != row["interactions"]]
    recorded["rows"] = sorted([*rows, row], key=lambda each: each["interactions"])
    write_atomically(target(), json.dumps(recorded, indent=1) + "\n")


@click.command()
@click.argument("n_ratings", default=0)
def main(n_ratings: int) -> None:
    if n_ratings:
        runtime.start()
        faiss.omp_set_num_threads(1)
        row = measure(n_ratings)
        record(row)
        click.echo(json.dumps(row))
        return
    for size in SIZES:  # peak memory never falls within a process
        subprocess.run([sys.executable, __file__, str(size)], check=True)


if __name__ == "__main__":
    main()
