"""RMSE of matrix factorization by embedding size: ten seeds each, recorded for Lab 1.

Run: python benchmarks/lab01_embedding_size.py   (about 8 minutes on one core)
Writes benchmarks/results/01_embedding_size.json. Split: first of five random folds (seed 0), which stays
the same; the seeds vary first weights and batches. Recipe: that of the lab (Adam 1e-3, batches of 1,024,
weight decay 3e-4, 60 epochs, last weights, predictions clipped to 1..5).
"""

import json

import numpy as np
import torch
from tqdm import tqdm

from course_utils import losses, metrics, models, runtime, sampling, splits, training
from course_utils.authoring.labs import write_atomically
from course_utils.data import Ratings, load_movielens

SIZES = (2, 4, 8, 16, 32, 64, 128)
SEEDS = range(10)


def rmse_of_size(ml: Ratings, train_rows: np.ndarray, test_rows: np.ndarray, dim: int, seed: int) -> float:
    """RMSE in stars on the test rows after the last epoch."""
    torch.manual_seed(seed)
    train = sampling.MovieLensDataset.from_ratings(ml.take(train_rows))
    test = sampling.MovieLensDataset.from_ratings(ml.take(test_rows))
    model = models.MatrixFactorization(ml.n_users, ml.n_items, dim, train.ratings.mean())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=3e-4)
    training.fit(
        model,
        optimizer,
        lambda model, users, items, ratings: losses.mse(model(users, items), ratings),
        (train.users, train.items, train.ratings),
        epochs=60,
        seed=seed,
        progress=False,
    )
    with torch.no_grad():
        return metrics.rmse(model(test.users, test.items).clamp(1, 5), test.ratings)


def main() -> None:
    runtime.start()
    ml = load_movielens("100k")
    fold = splits.k_fold(len(ml), n_folds=5, seed=0)[0]
    runs = {str(dim): [] for dim in SIZES}
    for dim in tqdm(SIZES, unit="size"):
        runs[str(dim)] = [round(rmse_of_size(ml, *fold, dim, seed), 5) for seed in SEEDS]
    target = runtime.course_root() / "benchmarks" / "results" / "01_embedding_size.json"
    write_atomically(target, json.dumps({"torch": torch.__version__, "rmse": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
