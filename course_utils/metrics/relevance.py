"""Which places of a ranked list hold a relevant item: what all metrics of lists start from.

`items` [L] is one list of items, best first; [B, L] the lists of B users. -1 is padding. An item that stands
in a list twice counts at its first place only; the later one keeps its place and is not relevant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

# What one user turned out to like, in any order: an item or a collection of items. For B users a sparse array
# [B, I] with a value other than 0 for each relevant item, or a sequence of B items or collections.
Relevant = int | Iterable[int] | Sequence[int | Iterable[int]] | sparse.csr_array

DENSE_BYTES = 2**20  # how much of a sparse array is made dense at once


def check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k={k}: must be at least 1")


def relevances_of(items: ArrayLike, relevant: Relevant) -> np.ndarray:
    """How relevant the item at each place is: items [L] -> [L], [B, L] -> [B, L]; 0 where it is not.

    The values of a sparse array are its relevances (ratings, say); in a collection each item has True.
    """
    items, table = _lists_and_table(items, relevant)
    found = _look_up(np.atleast_2d(items), table)
    return found.reshape(items.shape)


def hits_among_first(items: ArrayLike, relevant: Relevant, k: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Which of the first k places are relevant, and how many items are.

    items [L] -> bool [at most k], a number; [B, L] -> bool [B, at most k], [B]. None: all places.
    """
    if k is not None:
        check_k(k)
    items, table = _lists_and_table(items, relevant, k)
    found = _look_up(np.atleast_2d(items), table.astype(bool))
    return found.reshape(items.shape), np.diff(table.indptr).reshape(items.shape[:-1])


def as_table(relevant: Relevant, n_items: int) -> sparse.csr_array:
    """relevant of B users as a sparse array [B, I], no duplicates or zeros stored, I at least n_items."""
    if sparse.issparse(relevant):
        return canonical(relevant)
    of_each = [list(one) if isinstance(one, Iterable) else [one] for one in map(plain, plain(relevant))]
    users = np.repeat(np.arange(len(of_each)), [len(one) for one in of_each])
    items = item_numbers(list(chain.from_iterable(of_each)), "relevant items", lowest=0)
    shape = (len(of_each), max(n_items, 1 + items.max(initial=-1)))
    return sparse.csr_array((np.ones(len(items), dtype=bool), (users, items)), shape=shape)


def canonical(table: sparse.sparray) -> sparse.csr_array:
    """A copy with each place stored once, and none with a zero."""
    table = sparse.csr_array(table, copy=True)
    table.sum_duplicates()
    table.eliminate_zeros()
    return table


def plain(relevant: Relevant) -> Relevant:
    """Arrays and tensors as lists and numbers of Python; anything else as it is."""
    return relevant.tolist() if hasattr(relevant, "tolist") else relevant


def item_numbers(items: ArrayLike, name: str, lowest: int) -> np.ndarray:
    items = np.asarray(items)
    if items.size and (items.dtype.kind not in "iu" or items.min() < lowest):
        raise ValueError(
            f"{name} of type {items.dtype} from {items.min()}: must be whole numbers from {lowest}"
        )
    return items.astype(np.int64, copy=False)


def _lists_and_table(
    items: ArrayLike, relevant: Relevant, k: int | None = None
) -> tuple[np.ndarray, sparse.csr_array]:
    """The first k of each list, [L] or [B, L], and what is relevant, [B, I]; B is 1 for one list."""
    items = np.asarray(items)
    if items.ndim not in (1, 2):
        raise ValueError(f"items {list(items.shape)}: must be one list [L] or lists of as many users [B, L]")
    items = item_numbers(items[..., :k], "items", lowest=-1)
    n_lists = 1 if items.ndim == 1 else len(items)
    n_items = 1 + items.max(initial=-1)
    table = as_table([plain(relevant)] if items.ndim == 1 else relevant, n_items)
    if table.shape[0] != n_lists:
        raise ValueError(f"{n_lists} lists, but relevant items of {table.shape[0]}: must be as many")
    if table.shape[1] < n_items:
        raise ValueError(f"items reach to {n_items - 1}, but relevant has only {table.shape[1]} columns")
    return items, table


def _look_up(items: np.ndarray, table: sparse.csr_array) -> np.ndarray:
    """The table's value for each place of each list, 0 where an item is repeated: [B, L], [B, I] -> [B, L].

    A few users at a time, so that their part of the table, made dense, fits into the processor's cache. It
    has one column more, which stays 0: the one that -1 leads to.
    """
    found = np.zeros(items.shape, dtype=table.dtype)
    width = table.shape[1] + 1
    step = 1 + min(len(items), DENSE_BYTES // (width * table.dtype.itemsize))
    starts = np.arange(step)[:, None] * width
    cells = np.repeat(np.arange(len(items)) % step * width, np.diff(table.indptr)) + table.indices
    dense = np.zeros(step * width, dtype=table.dtype)
    place_of_cell = np.empty(step * width, dtype=np.int64)
    for first in range(0, len(items), step):
        last = min(first + step, len(items))
        stored = slice(table.indptr[first], table.indptr[last])
        dense[cells[stored]] = table.data[stored]
        listed = (items[first:last] + starts[: last - first]).ravel()
        values = dense.take(listed)
        dense[cells[stored]] = 0
        hits = np.flatnonzero(values)
        place_of_cell[listed[hits[::-1]]] = hits[::-1]  # backwards: of an item's places, the first stays
        values[hits[place_of_cell[listed[hits]] != hits]] = 0
        found[first:last] = values.reshape(last - first, -1)
    return found
