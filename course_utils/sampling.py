"""From rows to what a model is trained and tested on: negatives, histories, minibatches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from course_utils.data import Ratings


def _as_tensor(values, dtype: torch.dtype) -> Tensor:
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.array(values))  # a copy: the arrays of Ratings are read-only
    return values.to(dtype)


class MovieLensDataset(Dataset):
    """Ratings for torch's DataLoader: users, items (dense, 0-based, int64) and ratings (float32), each [R].

    Works with a plain `DataLoader(dataset, batch_size=1024)`. With `collate_fn=MovieLensDataset.collate`
    the batches are the same and come about twenty times faster, because no sample is made one by one.
    """

    def __init__(self, users, items, ratings):
        if not len(users) == len(items) == len(ratings):
            lengths = f"{len(users)} users, {len(items)} items, {len(ratings)} ratings"
            raise ValueError(f"{lengths}: must be as many")
        self.users = _as_tensor(users, torch.int64)
        self.items = _as_tensor(items, torch.int64)
        self.ratings = _as_tensor(ratings, torch.float32)

    @classmethod
    def from_ratings(cls, ratings: Ratings) -> MovieLensDataset:
        return cls(ratings.users, ratings.items, ratings.ratings)

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        """(user, item, rating) of one row: three tensors without a dimension."""
        return self.users[row], self.items[row], self.ratings[row]

    def __getitems__(self, rows: Sequence[int]) -> MovieLensDataset:
        """The rows of a batch, as a smaller dataset. DataLoader asks for it when it exists."""
        rows = torch.as_tensor(rows, dtype=torch.int64)
        return MovieLensDataset(self.users[rows], self.items[rows], self.ratings[rows])

    @staticmethod
    def collate(batch: MovieLensDataset) -> tuple[Tensor, Tensor, Tensor]:
        """(users [B], items [B], ratings [B]) of what `__getitems__` returned."""
        return batch.users, batch.items, batch.ratings


def minibatches(
    tensors: Sequence[Tensor],
    batch_size: int,
    generator: torch.Generator | None = None,
    shuffle: bool = True,
) -> Iterator[tuple[Tensor, ...]]:
    """One epoch: tensors, each [R, ...] -> tuples of [B, ...]; each row once, the last batch may be smaller.

    Slicing whole tensors is several times faster than fetching row by row. The order is drawn anew at
    every call, from generator (torch's global one if None).
    """
    n_rows = len(tensors[0])
    if any(len(tensor) != n_rows for tensor in tensors):
        raise ValueError(f"tensors of {[len(tensor) for tensor in tensors]} rows: must be as many")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: must be at least 1")
    order = torch.randperm(n_rows, generator=generator) if shuffle else torch.arange(n_rows)
    order = order.to(tensors[0].device)
    for start in range(0, n_rows, batch_size):
        rows = order[start : start + batch_size]
        yield tuple(tensor.index_select(0, rows) for tensor in tensors)  # quicker than tensor[rows]


def interactions(users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> csr_array:
    """Who has which item: users, items [R] -> [U, I] of ones (float32), stored sparse; twice counts once.

    This is what `positives` and `seen` mean everywhere in the package.
    """
    users, items = np.asarray(users), np.asarray(items)
    for name, ids, n in (("users", users, n_users), ("items", items, n_items)):
        if len(ids) and (ids.min() < 0 or ids.max() >= n):
            raise ValueError(f"{name} reach from {ids.min()} to {ids.max()}: must be dense, 0 to {n - 1}")
    ones = np.ones(len(users), dtype=np.float32)
    table = csr_array((ones, (users, items)), shape=(n_users, n_items))
    table.sum_duplicates()  # also sorts the items of each user
    table.data[:] = 1
    return table


def _items_outside(rows: np.ndarray, ranks: np.ndarray, table: csr_array) -> np.ndarray:
    """The item at place `rank`, from 0, among the items that a row of the table does not have.

    rows [B], ranks [B, N] -> items [B, N]. In a row with items p_0 < p_1 < ..., p_j - j other items come
    before p_j; so the item wanted is the rank plus the number of p_j with p_j - j <= rank. Adding
    row * n_items makes the p_j - j of all rows one ascending array, in which one search answers for all.
    """
    n_items = table.shape[1]
    counts = np.diff(table.indptr)
    own_rows = np.repeat(np.arange(table.shape[0]), counts)
    before = table.indices - (np.arange(table.nnz) - table.indptr[own_rows])  # p_j - j
    shift = rows[:, None] * np.int64(n_items)
    n_smaller = np.searchsorted(own_rows * np.int64(n_items) + before, shift + ranks, side="right")
    return ranks + n_smaller - table.indptr[rows, None]


def _check_table(name: str, table: csr_array, n_items: int) -> None:
    if table.shape[1] != n_items:
        raise ValueError(f"{name} has {table.shape[1]} items, n_items={n_items}: must be as many")
    if not table.has_canonical_format:
        raise ValueError(f"{name} has duplicates, or items in no order: make it with sampling.interactions")


def sample_negatives(
    users: np.ndarray, n_items: int, positives: csr_array, n_neg: int, rng: np.random.Generator
) -> np.ndarray:
    """For each user n_neg items that they do not have: users [B], positives [U, I] -> items [B, n_neg].

    Exactly uniform over these items, with replacement. No draw is rejected, so a user who has nearly
    everything costs no more than any other; one who has everything is a ValueError that names them.
    """
    users = np.asarray(users, dtype=np.int64)
    _check_table("positives", positives, n_items)
    n_free = n_items - np.diff(positives.indptr)[users]  # [B]
    if (n_free == 0).any():
        raise ValueError(f"user {users[n_free == 0][0]} has all {n_items} items: no negative is left")
    ranks = rng.integers(0, n_free[:, None], (len(users), n_neg))
    return _items_outside(users, ranks, positives)


def evaluation_negatives(
    users: np.ndarray, pos_items: np.ndarray, seen: csr_array, n: int = 99, seed: int = 0
) -> np.ndarray:
    """n distinct unseen items to rank each positive against: users, pos_items [B], seen [U, I] -> [B, n].

    Uniform, without replacement, never the positive nor a seen item. ValueError that names a user with
    fewer than n such items.
    """
    users, pos_items = np.asarray(users), np.asarray(pos_items)
    n_items = seen.shape[1]
    rows = np.arange(len(users))
    own_rows, own_items = seen[users].nonzero()
    excluded = interactions(
        np.concatenate([own_rows, rows]), np.concatenate([own_items, pos_items]), len(users), n_items
    )
    n_free = n_items - np.diff(excluded.indptr)
    if (n_free < n).any():
        row = np.flatnonzero(n_free < n)[0]
        raise ValueError(f"n={n}, but user {users[row]} has only {n_free[row]} unseen items")
    rng = np.random.default_rng(seed)
    ranks = np.array([rng.choice(free, n, replace=False) for free in n_free]).reshape(len(users), n)
    return _items_outside(rows, ranks, excluded)


def save_negatives(
    path: str | Path, negatives: np.ndarray, users: np.ndarray, pos_items: np.ndarray, seed: int
) -> None:
    """Store evaluation negatives [B, N] with what they were drawn for. Nobody sees a half-written file."""
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        try:
            np.savez_compressed(file, negatives=negatives, users=users, pos_items=pos_items, seed=seed)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


def load_negatives(path: str | Path, users: np.ndarray, pos_items: np.ndarray, seed: int) -> np.ndarray:
    """Stored negatives [B, N]. ValueError when they were drawn for other users, positives or seed."""
    with np.load(path) as stored:
        for name, wanted in (("users", users), ("pos_items", pos_items), ("seed", seed)):
            if not np.array_equal(stored[name], wanted):
                raise ValueError(f"{path} was made for other {name}: draw the negatives anew")
        return stored["negatives"]


def with_negatives(
    users: np.ndarray, pos_items: np.ndarray, excluded: csr_array, n_neg: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One epoch for a pointwise loss: each positive, and n_neg fresh negatives for it.

    users, pos_items [R], excluded [U, I] (the training interactions) -> users, items (int64) and labels
    (float32, 1 or 0), each [R * (1 + n_neg)].
    """
    neg_items = sample_negatives(users, excluded.shape[1], excluded, n_neg, rng)
    items = np.column_stack([pos_items, neg_items])  # [R, 1 + n_neg]
    labels = torch.zeros(items.shape)
    labels[:, 0] = 1
    all_users = torch.from_numpy(np.repeat(users, 1 + n_neg))
    return all_users, torch.from_numpy(items.ravel()), labels.flatten()


def in_pairs(
    users: np.ndarray, pos_items: np.ndarray, excluded: csr_array, n_neg: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One epoch for a pairwise loss: each positive n_neg times, each time next to a fresh negative.

    users, pos_items [R], excluded [U, I] (the training interactions) -> users, pos_items and neg_items
    (int64), each [R * n_neg].
    """
    neg_items = sample_negatives(users, excluded.shape[1], excluded, n_neg, rng)
    repeated = (torch.from_numpy(np.repeat(ids, n_neg)) for ids in (users, pos_items))
    return *repeated, torch.from_numpy(neg_items.ravel())


def earlier_items(users: np.ndarray, items: np.ndarray, timestamps: np.ndarray, n: int = 10) -> np.ndarray:
    """For each row, the user's last n items from strictly earlier moments: [R] each -> [R, n].

    Latest first, padded with -1. What was rated at the same moment is left out: in MovieLens whole pages
    were rated in one second, so that the neighbours of a row would give it away.
    """
    users, items, timestamps = np.asarray(users), np.asarray(items), np.asarray(timestamps)
    order = np.lexsort((timestamps, users))
    users, items, timestamps = users[order], items[order], timestamps[order]
    starts = np.searchsorted(users, users)  # [R] where the rows of the user begin
    new_moment = np.ones(len(users), dtype=bool)
    new_moment[1:] = (users[1:] != users[:-1]) | (timestamps[1:] != timestamps[:-1])
    moments = np.maximum.accumulate(np.where(new_moment, np.arange(len(users)), 0))  # where the moment begins
    places = moments[:, None] - 1 - np.arange(n)  # [R, n] in the sorted rows
    history = np.empty((len(users), n), dtype=np.int64)
    history[order] = np.where(places >= starts[:, None], items[np.maximum(places, 0)], -1)
    return history
