"""NeuMF, training samples per second: the course against RecBole 1.2.1, one thread, in one run.

Run: python benchmarks/neumf_speed.py   (about two minutes on one quiet core, and once a few for the peer's
environment, build/peers/recbole, which this script makes). Writes benchmarks/results/neumf_speed.json.

Same rows (MovieLens 100K without each user's last two), sizes, batches, rate, Adam, and four fresh negatives
per positive and epoch; drawing them is part of the time. Both sides take turns; recorded is the best epoch of
each, per second of processor time (other programs on the machine disturb it less) and of the clock.
Floor: 1.5 times.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peers.environment import python_with

from course_utils import losses, models, runtime, sampling, splits, training
from course_utils.authoring.labs import write_atomically
from course_utils.data import load_movielens

SETTINGS = {"gmf_dim": 32, "mlp_dim": 32, "layers": [64, 32, 16], "n_neg": 4, "batch_size": 2048, "lr": 2e-3}
PEER = ("recbole==1.2.1", "torch==2.13.0", "numpy==1.26.4", "pandas<2.3", "scipy<1.14", "setuptools<81")
ROUNDS, EPOCHS, FLOOR = 3, 3, 1.5


def run_peer(python: Path) -> dict:
    script = Path(__file__).parent / "peers" / "recbole_neumf.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        wanted = json.dumps(SETTINGS | {"epochs": EPOCHS, "folder": folder})
        done = subprocess.run(
            [python, "-W", "ignore", script, wanted],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
    return json.loads(done.stdout.splitlines()[-1])


def run_course() -> dict:
    """The recipe's loop, one call of fit per epoch so that each has a time."""
    ml = load_movielens("100k")
    rows, _, _ = splits.leave_last_out(ml.users, ml.timestamps)
    users, items = ml.users[rows], ml.items[rows]
    positives = sampling.interactions(users, items, ml.n_users, ml.n_items)
    sizes = (SETTINGS["gmf_dim"], SETTINGS["mlp_dim"], tuple(SETTINGS["layers"]))
    model = models.NeuMF(ml.n_users, ml.n_items, *sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=SETTINGS["lr"], fused=True)
    rng = np.random.default_rng(0)
    wall, processor = [], []
    for epoch in range(EPOCHS):
        started = time.perf_counter(), time.process_time()
        training.fit(
            model,
            optimizer,
            lambda model, users, items, labels: losses.bce(model(users, items), labels),
            lambda _: sampling.with_negatives(users, items, positives, SETTINGS["n_neg"], rng),
            epochs=1,
            batch_size=SETTINGS["batch_size"],
            seed=epoch,
            progress=False,
        )
        wall.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    samples = len(rows) * (1 + SETTINGS["n_neg"])
    return {"samples": samples, "parameters": n_parameters, "wall": wall, "processor": processor}


def where_the_time_goes(n_largest: int = 8) -> dict[str, float]:
    """Share of the processor time of a step by torch operation, backward included."""
    torch.manual_seed(0)
    model = models.NeuMF(943, 1682)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    users, items = torch.randint(943, (50, 2048)), torch.randint(1682, (50, 2048))
    labels = torch.rand(50, 2048).round()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for batch in zip(users, items, labels, strict=True):
            loss = losses.bce(model(*batch[:2]), batch[2])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return {event.key: round(event.self_cpu_time_total / total, 3) for event in events[:n_largest]}


def per_second(runs: list[dict], clock: str) -> int:
    return round(max(run["samples"] / seconds for run in runs for seconds in run[clock]))


def main() -> None:
    runtime.start()
    python = python_with("recbole", PEER)
    course, peer = [], []
    for _ in range(ROUNDS):
        course.append(run_course())
        peer.append(run_peer(python))
    if course[0]["samples"] != peer[0]["samples"]:
        sys.exit(f"{course[0]['samples']} samples an epoch here, {peer[0]['samples']} there: must be as many")
    rates = {
        clock: {"course": per_second(course, clock), "recbole": per_second(peer, clock)}
        for clock in ("processor", "wall")
    }
    ratio = rates["processor"]["course"] / rates["processor"]["recbole"]
    result = {
        "settings": SETTINGS,
        "threads": 1,
        "versions": peer[0]["versions"] | {"course_torch": torch.__version__.split("+")[0]},
        "samples_per_epoch": course[0]["samples"],
        "parameters": {"course": course[0]["parameters"], "recbole": peer[0]["parameters"]},
        "samples_per_second": rates,
        "ratio": round(ratio, 2),
        "floor": FLOOR,
        "profile_of_a_step": where_the_time_goes(),
    }
    target = runtime.course_root() / "benchmarks" / "results" / "neumf_speed.json"
    write_atomically(target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if ratio < FLOOR:
        sys.exit(f"{ratio:.2f} times RecBole: below the floor of {FLOOR}")


if __name__ == "__main__":
    main()
