"""The models of the course, trained by their recipes on the same rows, as tables of scores to be compared.

What was trained once is kept under build/cache/, one file per model, and trained again when the seed, the
rows, a setting or any code of the package has changed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import torch

from course_utils import baselines, features, recipes, runtime, sampling
from course_utils.data import Ratings

MODELS = (
    "Popularity",
    "Item-kNN",
    "MF (stars)",
    "EASE",
    "iALS",
    "GMF",
    "NeuMF",
    "Two-tower, no logQ",
    "Two-tower",
    "Two-tower + history",
)
_NO_RECIPE = {"exercises", "authoring", "cli.py", "plots.py", "claims.py", "doctor.py", "__pycache__"}


def scores(
    name: str, ml: Ratings, known: np.ndarray, test: np.ndarray, seed: int = 0, fast: bool = False
) -> np.ndarray:
    """Scores of every user for every item by one of MODELS, float32 [U, I], from the cache or trained now.

    known: the rows to train on; test: the rows to be predicted, of which the model with a history uses who
    and when, never what. fast: one epoch instead of the recipe's. ValueError for a name not in MODELS.
    """
    if name not in MODELS:
        raise ValueError(f"name={name!r}: must be one of {', '.join(MODELS)}")
    memory = joblib.Memory(runtime.course_root() / "build" / "cache", verbose=0)
    return memory.cache(_train)(name, ml, known, test, seed, fast, _code())


@cache
def _code() -> str:
    """A hash of the package's code and of torch's version: other code, other scores."""
    package = Path(__file__).parent
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in _NO_RECIPE:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _train(name, ml, known, test, seed, fast, code) -> np.ndarray:
    """The last argument is there for the cache, which knows a call by its arguments."""
    scorer = _scorer(name, ml, known, test, seed, {"epochs": 1} if fast else {})
    with torch.no_grad():
        table = scorer(np.arange(ml.n_users))
    return np.asarray(table.cpu() if isinstance(table, torch.Tensor) else table, dtype=np.float32)


def _scorer(name, ml, known, test, seed, few):
    """users [B] -> scores [B, I] of the trained model."""
    seen = sampling.interactions(ml.users[known], ml.items[known], ml.n_users, ml.n_items)
    device = runtime.device()
    if name == "Popularity":
        return baselines.fit_popularity(seen).score_all
    if name == "Item-kNN":
        return baselines.fit_item_knn(seen, k=100).score_all
    if name == "EASE":
        return baselines.fit_ease(seen, reg=500).score_all
    if name == "iALS":
        return baselines.fit_ials(seen, seed=seed).score_all
    if name == "MF (stars)":
        model = recipes.train_mf(ml.take(known), seed, device=device, **few)
        return lambda users: model.score_all(torch.as_tensor(users, device=device))
    if name == "GMF":
        return recipes.train_gmf(seen, seed, device=device, **few).score_all
    if name == "NeuMF":
        both = {"gmf_epochs": 1, "mlp_epochs": 1} if few else {}
        return recipes.train_neumf_pretrained(seen, seed, device=device, **both).score_all
    few |= {"device": device, "log_q": name != "Two-tower, no logQ"}
    history = sampling.earlier_items(ml.users, ml.items, ml.timestamps) if "history" in name else None
    return two_tower_scorer(ml, known, test, history, seed, **few)


def two_tower_scorer(ml, known, test, history=None, seed=0, **settings):
    """users [B] -> scores [B, I] of a two-tower model trained on the known rows.

    history [R, H]: the items that came before each row of ml; a user has that of their test row.
    """
    users, items = ml.users[known], ml.items[known]
    content = features.build_user_features(ml, users), features.build_item_features(ml, items)
    past = None if history is None else history[known]
    model = recipes.train_two_tower(users, items, *content, seed, history=past, **settings)
    if history is None:
        return model.score_all
    latest = np.full((ml.n_users, history.shape[1]), -1)
    latest[ml.users[test]] = history[test]
    return lambda users: model.score_all(users, latest[users])
