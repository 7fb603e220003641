"""Six metrics of ranked lists: the course against ranx, RecTools and torchmetrics, one thread, in one run.

Run: python benchmarks/metrics_speed.py   (five minutes on one quiet core, most of them torchmetrics; once
a few more for the peers' environment, build/peers/metrics, which this script makes). Writes
benchmarks/results/metrics_speed.json.

NDCG, hit rate, precision, recall, MAP and MRR at k, means over users, in processor seconds (other programs on
the machine disturb them less). `start_up` is a new process from its start to the first results, with imports,
and compiled code taken from its cache; `warm` has the library's own structures at hand. Each is the best of
several; the processes take turns. What is computed must be the same. Floor: ahead of every peer.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy
from peers import environment

from course_utils import runtime
from course_utils.authoring.labs import write_atomically

PEERS = ("ranx", "rectools", "torchmetrics")
SIZES = {  # users, length of their lists, items, k
    "943 x 1682": (943, 1682, 1682, 10),
    "100,000 x top-100": (100_000, 100, 10_000, 100),
}
ROUNDS = 3
FLOOR = 1.0
# torchmetrics sees only the relevant items of a list, and its MAP divides by the hits.
COMPARABLE = {"torchmetrics": ("hit_rate", "precision", "mrr")}


def write_lists(path: Path, n_users: int, length: int, n_items: int) -> None:
    """Lists of different items; up to 20 relevant items for each user, about half of them in the list."""
    rng = np.random.default_rng(0)
    steps = np.flatnonzero(np.gcd(np.arange(n_items), n_items) == 1)  # with these a walk meets no item twice
    start, step = rng.integers(n_items, size=(n_users, 1)), rng.choice(steps, size=(n_users, 1))
    items = (start + step * np.arange(length)) % n_items
    users = np.repeat(np.arange(n_users), rng.integers(1, 21, n_users))
    listed = items[users, rng.integers(length, size=len(users))]
    relevant = np.where(rng.random(len(users)) < 0.5, listed, rng.integers(n_items, size=len(users)))
    users, relevant = np.divmod(np.unique(users * n_items + relevant), n_items)
    indptr = np.append(0, np.bincount(users, minlength=n_users).cumsum())
    np.savez(path, items=items, indptr=indptr, indices=relevant)


def run_one(library: str, path: Path, k: int, n_times: int) -> dict:
    python = sys.executable
    if library != "course":
        python = environment.python_with("metrics", environment.METRICS)
    script = Path(__file__).parent / "peers" / "metric_times.py"
    threads = {
        name: "1"
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    done = subprocess.run(
        [python, script, library, path, str(k), str(n_times)],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        env=os.environ | threads,
    )
    return json.loads(done.stdout.splitlines()[-1])


def check_same(library: str, values: dict, ours: dict) -> None:
    for name in COMPARABLE.get(library, ours):
        if abs(values[name] - ours[name]) > 1e-6:
            sys.exit(f"{name}: {values[name]} by {library}, {ours[name]} here: not the same computation")


def measure(size: str) -> dict:
    """{library: seconds, and the ratios to ours} for one size."""
    n_users, length, n_items, k = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.npz"
        write_lists(path, n_users, length, n_items)
        runs = {library: [] for library in ("course", *PEERS)}
        for round_ in range(ROUNDS):
            for library, done in runs.items():
                takes_minutes = library == "torchmetrics" and n_users > 1000
                if not (takes_minutes and round_):
                    n_times = 1 if takes_minutes else 10
                    done.append(run_one(library, path, k, n_times))
                check_same(library, done[-1]["values"], runs["course"][0]["values"])
    best = {
        library: {clock: min(run[clock] for run in done) for clock in ("start_up", "warm")}
        for library, done in runs.items()
    }
    return {
        "k": k,
        "seconds": {library: {c: float(f"{s:.3g}") for c, s in own.items()} for library, own in best.items()},
        "times_as_fast": {
            library: {
                clock: round(best[library][clock] / best["course"][clock], 2) for clock in best["course"]
            }
            for library in PEERS
        },
    }


def main() -> None:
    versions = dict(package.split("==") for package in environment.METRICS)
    versions |= {"course_numpy": np.__version__, "course_scipy": scipy.__version__}
    result = {
        "versions": versions,
        "threads": 1,
        "floor": FLOOR,
        "sizes": {size: measure(size) for size in SIZES},
    }
    target = runtime.course_root() / "benchmarks" / "results" / "metrics_speed.json"
    write_atomically(target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    for size, measured in result["sizes"].items():
        for library, ratios in measured["times_as_fast"].items():
            if min(ratios.values()) < FLOOR:
                sys.exit(f"{size}: {ratios} times {library}: below the floor of {FLOOR}")


if __name__ == "__main__":
    main()
