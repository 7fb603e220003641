"""HR@10 of the click models over ten seeds, and of GMF by embedding size and number of negatives, for Lab 2.

Run: python benchmarks/lab02_sweeps.py   (about 25 minutes on one quiet core)
Writes benchmarks/results/02_sweeps.json after each run and goes on where it stopped; delete the file to
measure afresh. Protocol: leave-last-out (last file row among ties), trained on training and validation rows,
1+99 in exact expectation. The seeds rule first weights, negatives and order.
"""

import json

import numpy as np
import torch
from tqdm import tqdm

from course_utils import baselines, evaluate, recipes, runtime, sampling, splits
from course_utils.authoring.labs import write_atomically
from course_utils.data import load_movielens

SEEDS = range(10)
MODELS = {
    "iALS": lambda seen, seed: baselines.fit_ials(seen, seed=seed),
    "BPR-MF": recipes.train_bprmf,
    "GMF": recipes.train_gmf,
    "MLP": recipes.train_mlp,
    "NeuMF from scratch": recipes.train_neumf,
    "NeuMF": recipes.train_neumf_pretrained,
}
KNOBS = {"dim": ("dim", (8, 16, 32, 64, 128)), "negatives": ("n_neg", (1, 2, 4, 8))}


def main() -> None:
    runtime.start()
    ml = load_movielens("100k")
    train, validation, test = splits.leave_last_out(ml.users, ml.timestamps)
    known = np.sort(np.concatenate([train, validation]))
    seen = sampling.interactions(ml.users[known], ml.items[known], ml.n_users, ml.n_items)
    target = runtime.course_root() / "benchmarks" / "results" / "02_sweeps.json"
    new = {"torch": torch.__version__.split("+")[0]}
    recorded = json.loads(target.read_text()) if target.exists() else new

    runs = [("models", name, train_one) for name, train_one in MODELS.items()]
    for knob, (argument, values) in KNOBS.items():
        for value in values:
            # the default argument keeps this value: a lambda looks names up when it is called
            settings = {argument: value}
            runs.append((knob, str(value), lambda seen, seed, s=settings: recipes.train_gmf(seen, seed, **s)))
    for group, name, train_one in tqdm(runs, unit="model"):
        figures = recorded.setdefault(group, {}).setdefault(name, [])
        for seed in SEEDS[len(figures) :]:
            model = train_one(seen, seed)
            measured = evaluate.leave_one_out(model.score_all, ml.users[test], ml.items[test], seen)
            figures.append(round(measured.mean("hit_rate"), 5))
            write_atomically(target, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
