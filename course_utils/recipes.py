"""Train one model of the course the way its lab does, so that later labs and benchmarks need not repeat it.

`positives` [U, I] are the training interactions (`sampling.interactions`). The seed rules first weights,
negatives, the order of the rows and dropout; torch's global random state is left alone. The settings were
chosen on the validation rows of MovieLens 100K; the figures of Lab 2 come from models trained on training
and validation rows together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from course_utils import losses, models, sampling, training
from course_utils.data import Ratings
from course_utils.features import Features

BATCH_SIZE = 2048


def _seeded(seed: int, make: Callable[..., nn.Module], *arguments, **settings) -> nn.Module:
    """make(...), the first weights of what it gives ruled by the seed."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return make(*arguments, **settings)


def _rows(positives: csr_array) -> tuple[np.ndarray, np.ndarray]:
    users, items = positives.nonzero()
    return users.astype(np.int64), items.astype(np.int64)


def _fit(
    model,
    loss_fn,
    train,
    seed: int,
    epochs: int,
    lr: float,
    weight_decay: float = 0.0,
    scheduler=None,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Adam; scheduler: from the optimizer to the scheduler of its learning rate."""
    # fused: one pass over the weights
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    training.fit(
        model,
        optimizer,
        loss_fn,
        train,
        epochs=epochs,
        batch_size=batch_size,
        scheduler=scheduler and scheduler(optimizer),
        seed=seed,
        progress=False,
    )


def _cosine(n_steps: int) -> Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]:
    """A learning rate that falls to 0 along a cosine, as _fit takes it."""
    return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)


def train_mf(
    ratings: Ratings, seed: int = 0, *, epochs: int = 60, device: str | torch.device = "cpu"
) -> models.MatrixFactorization:
    """The model of stars of Lab 1, on all rows of ratings (`ml.take(train_rows)`)."""
    shape = ratings.n_users, ratings.n_items
    model = _seeded(seed, models.MatrixFactorization, *shape, mean=ratings.ratings.mean()).to(device)
    dataset = sampling.MovieLensDataset.from_ratings(ratings)
    train = tuple(column.to(device) for column in (dataset.users, dataset.items, dataset.ratings))

    def loss_fn(model: nn.Module, users: Tensor, items: Tensor, stars: Tensor) -> Tensor:
        return losses.mse(model(users, items), stars)

    _fit(model, loss_fn, train, seed, epochs, lr=1e-3, weight_decay=3e-4, batch_size=1024)
    return model


def fit_pointwise(
    model: nn.Module,
    positives: csr_array,
    seed: int,
    *,
    epochs: int,
    lr: float,
    n_neg: int = 4,
    weight_decay: float = 0.0,
    excluded: csr_array | None = None,
) -> None:
    """Train a model of logits on its device: binary cross-entropy, n_neg fresh negatives for each positive.

    For the last 30 % of the steps the learning rate falls to 0, which leaves less to the seed.
    excluded [U, I]: what is never drawn as a negative; the positives if None. (To put held-out items there is
    the leak of Lab 2.)
    """
    users, items = _rows(positives)
    excluded = positives if excluded is None else excluded
    rng = np.random.default_rng(seed)
    device = next(model.parameters()).device

    def fresh(epoch: int) -> tuple[Tensor, ...]:
        columns = sampling.with_negatives(users, items, excluded, n_neg, rng)
        return tuple(column.to(device) for column in columns)

    n_steps = epochs * -(-len(users) * (1 + n_neg) // BATCH_SIZE)

    def falling(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (1 - step / n_steps) / 0.3))

    def loss_fn(model: nn.Module, users: Tensor, items: Tensor, labels: Tensor) -> Tensor:
        return losses.bce(model(users, items), labels)

    _fit(model, loss_fn, fresh, seed, epochs, lr, weight_decay, falling)


def train_gmf(
    positives: csr_array,
    seed: int = 0,
    *,
    dim: int = 64,
    n_neg: int = 4,
    epochs: int = 15,
    excluded: csr_array | None = None,
    device: str | torch.device = "cpu",
) -> models.GMF:
    model = _seeded(seed, models.GMF, *positives.shape, dim=dim).to(device)
    settings = {"lr": 3e-3, "weight_decay": 1e-5, "n_neg": n_neg, "excluded": excluded}
    fit_pointwise(model, positives, seed, epochs=epochs, **settings)
    return model


def train_mlp(
    positives: csr_array, seed: int = 0, *, epochs: int = 8, device: str | torch.device = "cpu"
) -> models.MLP:
    model = _seeded(seed, models.MLP, *positives.shape).to(device)
    fit_pointwise(model, positives, seed, epochs=epochs, lr=5e-3)
    return model


def train_neumf(
    positives: csr_array, seed: int = 0, *, epochs: int = 12, device: str | torch.device = "cpu"
) -> models.NeuMF:
    """From scratch. `train_neumf_pretrained` is better."""
    model = _seeded(seed, models.NeuMF, *positives.shape, dropout=0.1).to(device)
    fit_pointwise(model, positives, seed, epochs=epochs, lr=2e-3)
    return model


def train_neumf_pretrained(
    positives: csr_array,
    seed: int = 0,
    *,
    gmf_epochs: int = 15,
    mlp_epochs: int = 8,
    alpha: float = 0.7,
    device: str | torch.device = "cpu",
) -> models.NeuMF:
    """GMF and MLP trained apart and fused. Further training did not help on the validation rows."""
    gmf = train_gmf(positives, seed, epochs=gmf_epochs, device=device)
    mlp = train_mlp(positives, seed, epochs=mlp_epochs, device=device)
    return _seeded(seed, models.fuse_pretrained, gmf, mlp, alpha).to(device).eval()


def train_bprmf(
    positives: csr_array,
    seed: int = 0,
    *,
    dim: int = 64,
    n_neg: int = 4,
    epochs: int = 19,
    device: str | torch.device = "cpu",
) -> models.BPRMF:
    model = _seeded(seed, models.BPRMF, *positives.shape, dim=dim).to(device)
    users, items = _rows(positives)
    rng = np.random.default_rng(seed)

    def fresh(epoch: int) -> tuple[Tensor, ...]:
        return tuple(column.to(device) for column in sampling.in_pairs(users, items, positives, n_neg, rng))

    _fit(model, lambda model, u, p, n: losses.bpr(model(u, p), model(u, n)), fresh, seed, epochs, lr=1e-3)
    return model


def train_history_neumf(
    users: np.ndarray,
    items: np.ndarray,
    history: np.ndarray,
    positives: csr_array,
    seed: int = 0,
    *,
    epochs: int = 8,
    device: str | torch.device = "cpu",
) -> models.HistoryNeuMF:
    """users, items [R], history [R, H] of the training rows (`sampling.earlier_items`), positives [U, I]."""
    settings = {"dropout": 0.1, "history_dropout": 0.3}
    model = _seeded(seed, models.HistoryNeuMF, *positives.shape, **settings).to(device)
    histories = torch.tensor(history, device=device)
    n_neg = 4
    rows = torch.arange(len(users), device=device).repeat_interleave(1 + n_neg)
    rng = np.random.default_rng(seed)

    def fresh(epoch: int) -> tuple[Tensor, ...]:
        columns = sampling.with_negatives(users, items, positives, n_neg, rng)
        return (*(column.to(device) for column in columns), rows)

    def loss_fn(model: nn.Module, users: Tensor, items: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        return losses.bce(model(users, items, histories[rows]), labels)

    scheduler = _cosine(epochs * -(-len(rows) // BATCH_SIZE))
    _fit(model, loss_fn, fresh, seed, epochs, 5e-3, scheduler=scheduler)
    return model


TWO_TOWER = {"temperature": 0.07, "lr": 4e-3, "cosine": True, "batch_size": 1024, "epochs": 7}
TWO_TOWER_HISTORY = {"temperature": 0.15, "lr": 2e-3, "cosine": False, "batch_size": 1024, "epochs": 7}


def log_shares(items: np.ndarray, n_items: int) -> Tensor:
    """The log of each item's share of the training rows, as if every item had at least one: [R] -> [I]."""
    counts = np.maximum(np.bincount(items, minlength=n_items), 1)
    return torch.from_numpy(np.log(counts / len(items))).float()


def new_two_tower(
    user_features: Features, item_features: Features, seed: int = 0, **settings
) -> models.TwoTower:
    """An untrained model, its first weights ruled by the seed; settings as of models.TwoTower."""
    return _seeded(seed, models.TwoTower, user_features, item_features, **settings)


def train_two_tower(
    users: np.ndarray,
    items: np.ndarray,
    user_features: Features,
    item_features: Features,
    seed: int = 0,
    *,
    history: np.ndarray | None = None,
    log_q: bool = True,
    epochs: int | None = None,
    id_dropout: float = 0.0,
    device: str | torch.device = "cpu",
) -> models.TwoTower:
    """In-batch softmax on users, items [R]; with history [R, H] (`sampling.earlier_items`) the model has one.

    log_q: correct for popular items being negatives more often. For ids or content only, see Features.
    """
    recipe = TWO_TOWER if history is None else TWO_TOWER_HISTORY
    settings = {} if history is None else {"history": True, "history_dropout": 0.3}
    settings |= {"temperature": recipe["temperature"], "id_dropout": id_dropout}
    model = new_two_tower(user_features, item_features, seed, **settings).to(device)
    shares = log_shares(items, len(item_features)).to(device) if log_q else None

    def loss_fn(model: models.TwoTower, users: Tensor, items: Tensor, *past: Tensor) -> Tensor:
        item_log_q = None if shares is None else shares[items]
        user_vecs, item_vecs = model.encode_user(users, *past), model.encode_item(items)
        return losses.in_batch_loss(user_vecs, item_vecs, model.temperature, items, item_log_q)

    columns = (users, items) if history is None else (users, items, history)
    train = tuple(torch.tensor(column, device=device) for column in columns)
    epochs, batch_size = epochs or recipe["epochs"], recipe["batch_size"]
    # falling to 0, the learning rate leaves less to the seed; with a history it costs a little of the figure
    scheduler = _cosine(epochs * -(-len(users) // batch_size)) if recipe["cosine"] else None
    _fit(model, loss_fn, train, seed, epochs, recipe["lr"], scheduler=scheduler, batch_size=batch_size)
    return model
