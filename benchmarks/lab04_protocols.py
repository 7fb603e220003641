"""The course's models under six protocols, for Lab 4: two splits, and three sets of items to rank among.

Run: python benchmarks/lab04_protocols.py   (about 12 minutes on one quiet core)
Writes benchmarks/results/04_protocols.json after each model and goes on where it stopped; delete the file to
measure afresh. Splits: leave-last-out (last file row among ties), leave-random-out (a row drawn for each user
by the seed). Ranked among 99, 999 or all unseen items, in exact expectation; users with at least 999 of them.
"""

import json

import numpy as np
import torch
from tqdm import tqdm

from course_utils import evaluate, runtime, sampling, splits, zoo
from course_utils.authoring.labs import write_atomically
from course_utils.data import load_movielens

SEEDS = range(3)
N_NEGS = {"1+99": 99, "1+999": 999, "full": None}


def split_rows(name: str, ml, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(known, test) rows of "last" or "random"."""
    if name == "last":
        train, validation, test = splits.leave_last_out(ml.users, ml.timestamps)
    else:
        train, validation, test = splits.leave_random_out(ml.users, seed)
    return np.sort(np.concatenate([train, validation])), test


def measure(ml, split: str, name: str, seed: int) -> dict[str, dict[str, float]]:
    """{protocol: {metric: mean over users}} of one model."""
    known, test = split_rows(split, ml, seed)
    seen = sampling.interactions(ml.users[known], ml.items[known], ml.n_users, ml.n_items)
    enough = ml.n_items - 1 - np.diff(seen.indptr)[ml.users[test]] >= 999
    scores = zoo.scores(name, ml, known, test, seed)
    users, items = ml.users[test][enough], ml.items[test][enough]
    found = evaluate.protocols({name: scores.__getitem__}, users, items, seen, n_negs=tuple(N_NEGS.values()))
    return {
        label: {metric: round(found[n_neg][name].mean(metric), 5) for metric in ("hit_rate", "ndcg")}
        for label, n_neg in N_NEGS.items()
    }


def main() -> None:
    runtime.start()
    ml = load_movielens("100k")
    target = runtime.course_root() / "benchmarks" / "results" / "04_protocols.json"
    new = {"torch": torch.__version__.split("+")[0], "runs": []}
    recorded = json.loads(target.read_text()) if target.exists() else new
    done = {(run["split"], run["model"], run["seed"]) for run in recorded["runs"]}
    wanted = [(split, name, seed) for seed in SEEDS for split in ("last", "random") for name in zoo.MODELS]
    for split, name, seed in tqdm([run for run in wanted if run not in done], unit="model"):
        for protocol, figures in measure(ml, split, name, seed).items():
            row = {"split": split, "protocol": protocol, "model": name, "seed": seed} | figures
            recorded["runs"].append(row)
        write_atomically(target, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
