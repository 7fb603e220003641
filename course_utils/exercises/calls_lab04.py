"""How the learner's functions of Lab 4 are called where a plain call will not do. No answer stands here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_FEW = 50  # resamples, where only the source of the randomness is looked at
_N_SEEDS = 11  # two results of few resamples are the same by chance in at most one of ten pairs: never in all


class WatchedRows(np.ndarray):
    """A table that counts how often a single row is taken out of it, or out of what is computed from it."""

    def __array_finalize__(self, parent):
        self.count = getattr(parent, "count", None) or [0]

    def __getitem__(self, key):
        found = super().__getitem__(key)  # first, since a loop asks for one row more than there are
        first = key[0] if isinstance(key, tuple) and key else key
        if self.ndim == 2 and isinstance(first, int | np.integer):
            self.count[0] += 1
        return found

    def tolist(self):
        """A loop over lists is a loop too."""
        self.count[0] += len(self)
        return super().tolist()


def call_watched(function: Callable, ranked: np.ndarray, positives: np.ndarray, k: int) -> tuple[Any, int]:
    """What comes back, and how often a single row was looked at."""
    watched = ranked.view(WatchedRows)
    watched.count = [0]
    return function(watched, positives, k), watched.count[0]


def call_with_generator(function: Callable, **args: Any) -> tuple[Any, list, list]:
    """The result of n draws; then those of few draws with each of eleven seeds, and all of them once more.

    args: two arrays, n and a seed, in this order.
    """
    one, other, n, seed = args.values()
    first = function(one, other, n, np.random.default_rng(seed))
    few, again = (
        [function(one, other, _FEW, np.random.default_rng(seed + i)) for i in range(_N_SEEDS)]
        for _ in range(2)
    )
    return first, few, again


def call_for_names(function: Callable, **args: np.ndarray) -> Any:
    """A set, list or tuple of names as an array in alphabetical order, each once; anything else as it is."""
    names = function(*args.values())
    if isinstance(names, set | frozenset | list | tuple) and all(isinstance(name, str) for name in names):
        return np.array(sorted(set(names)), dtype=np.str_)
    return names
