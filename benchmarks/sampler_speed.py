"""Negatives per second: sampling.sample_negatives against the loop with one np.random call per draw.

Run: python benchmarks/sampler_speed.py   (a few seconds on one core)
Writes benchmarks/results/sampler_speed.json. Both draw four negatives for each training row of MovieLens 100K
under leave-last-out, on one thread, in turn, three times; recorded are the best times, in processor seconds,
so that other programs on the machine disturb less. Floor: 20 times.
"""

import json
import sys
import time

import numpy as np

from course_utils import runtime, sampling, splits
from course_utils.authoring.labs import write_atomically
from course_utils.data import load_movielens

N_NEG, ROUNDS, FLOOR = 4, 3, 20.0


def loop(users: np.ndarray, n_items: int, positives: list[set[int]], n_neg: int) -> list[list[int]]:
    """What most tutorials do: draw an item, and draw again if the user has it."""
    negatives = []
    for user in users:
        own = []
        while len(own) < n_neg:
            item = np.random.randint(0, n_items)  # noqa: NPY002  the loop to beat
            if item not in positives[user]:
                own.append(item)
        negatives.append(own)
    return negatives


def seconds(function, *arguments) -> float:
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def main() -> None:
    runtime.start()
    ml = load_movielens("100k")
    train, _, _ = splits.leave_last_out(ml.users, ml.timestamps)
    users = ml.users[train]
    positives = sampling.interactions(users, ml.items[train], ml.n_users, ml.n_items)
    sets = [set(row.indices.tolist()) for row in positives]
    rng = np.random.default_rng(0)
    fast, slow = [], []
    for _ in range(ROUNDS):
        slow.append(seconds(loop, users.tolist(), ml.n_items, sets, N_NEG))
        fast.append(seconds(sampling.sample_negatives, users, ml.n_items, positives, N_NEG, rng))
    ratio = min(slow) / min(fast)
    n_draws = len(users) * N_NEG
    result = {
        "negatives": n_draws,
        "loop_per_second": round(n_draws / min(slow)),
        "sample_negatives_per_second": round(n_draws / min(fast)),
        "ratio": round(ratio, 1),
        "floor": FLOOR,
    }
    target = runtime.course_root() / "benchmarks" / "results" / "sampler_speed.json"
    write_atomically(target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if ratio < FLOOR:
        sys.exit(f"{ratio:.1f} times the loop: below the floor of {FLOOR}")


if __name__ == "__main__":
    main()
