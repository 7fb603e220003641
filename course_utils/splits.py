"""Ways to divide ratings into training and test rows.

Every function returns row numbers (int64, ascending), training first.
"""

from __future__ import annotations

import numpy as np

# .07 * 100 is 7.000000000000001 in floating point: without this, such dust would move a whole row.
_DUST = 1e-9


def _check_fraction(test_fraction: float) -> None:
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction={test_fraction}: must lie between 0 and 1, both excluded")


def _two_parts(is_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def random_split(n_rows: int, test_fraction: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A random part of the rows as test: the nearest whole number to test_fraction * n_rows.

    At least one row on each side; ValueError when there are fewer than two rows.
    """
    _check_fraction(test_fraction)
    if n_rows < 2:
        raise ValueError(f"n_rows={n_rows}: must be at least 2, one for each side")
    n_test = min(max(round(test_fraction * n_rows), 1), n_rows - 1)
    is_test = np.zeros(n_rows, dtype=bool)
    is_test[np.random.default_rng(seed).permutation(n_rows)[:n_test]] = True
    return _two_parts(is_test)


def k_fold(n_rows: int, n_folds: int = 5, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random folds: each row is in the test part of exactly one fold; sizes differ by at most one."""
    if not 2 <= n_folds <= n_rows:
        raise ValueError(f"n_folds={n_folds}: must be between 2 and n_rows={n_rows}")
    fold = np.empty(n_rows, dtype=np.int64)  # [R] the fold in which a row is test
    fold[np.random.default_rng(seed).permutation(n_rows)] = np.arange(n_rows) % n_folds
    return [_two_parts(fold == f) for f in range(n_folds)]


def official_folds(users: np.ndarray, items: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The folds u1 to u5 that MovieLens 100K comes with.

    users [R], items [R] in the row order of u.data: fold K tests rows (K-1)*20,000 to K*20,000. They are
    not random: the first rows come from the first users, so that u1 tests only 459 of the 943.
    ValueError unless there are 100,000 rows.
    """
    if len(users) != 100_000 or len(items) != 100_000:
        raise ValueError(
            f"got {len(users)} users and {len(items)} items: "
            "the official folds exist only for the 100000 rows of MovieLens 100K"
        )
    fold = np.arange(100_000) // 20_000
    return [_two_parts(fold == f) for f in range(5)]


def temporal_split(timestamps: np.ndarray, test_fraction: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Train on the past, test on the future: no timestamp is on both sides.

    timestamps [R]. The cut is the timestamp at position floor((1 - test_fraction) * R) in time order;
    rows before the cut train, rows at the cut and later test (so ties can enlarge the test part).
    ValueError when nothing is left to train on.
    """
    _check_fraction(test_fraction)
    timestamps = np.asarray(timestamps)
    if len(timestamps) == 0:
        raise ValueError("timestamps is empty: there is nothing to split")
    position = int(np.floor((1 - test_fraction) * len(timestamps) + _DUST))
    cut = np.sort(timestamps)[position]
    is_test = timestamps >= cut
    if is_test.all():
        raise ValueError(
            f"test_fraction={test_fraction} of {len(timestamps)} rows: no row is older than the cut ({cut}), "
            "so the training part would be empty"
        )
    return _two_parts(is_test)


def per_user_last(
    users: np.ndarray, timestamps: np.ndarray, test_fraction: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """The last ratings of each user as test: ceil(test_fraction * n) of a user with n rows.

    users [R], timestamps [R]. Rows of equal time keep their row order. Every user keeps at least one
    row in training; a user with a single row has no test row. Other users' training rows may be later
    than a test row: only a temporal split has nothing from the future.
    """
    _check_fraction(test_fraction)
    users, timestamps = np.asarray(users), np.asarray(timestamps)
    if len(users) != len(timestamps):
        raise ValueError(f"{len(users)} users but {len(timestamps)} timestamps: must be as many")
    order = np.lexsort((timestamps, users))  # by user, then time; a stable sort, so ties keep row order
    _, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    n_test = np.minimum(np.ceil(test_fraction * counts - _DUST).astype(np.int64), counts - 1)
    position = np.arange(len(users)) - np.repeat(starts, counts)  # place of a row within its user
    is_test = np.zeros(len(users), dtype=bool)
    is_test[order] = position >= np.repeat(counts - n_test, counts)
    return _two_parts(is_test)


TIES = ("last row", "first row", "random", "highest item")


def leave_last_out(
    users: np.ndarray,
    timestamps: np.ndarray,
    ties: str = "last row",
    seed: int = 0,
    items: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each user's last row as test and the one before it as validation -> (train, validation, test).

    users, timestamps, items [R]. Rows of one user at the same moment need a rule for which comes last:
    "last row" or "first row" (in the order given), "random" (by seed), or "highest item" (needs items).
    A user with fewer than three rows keeps them all in the training part.
    """
    users, timestamps = np.asarray(users), np.asarray(timestamps)
    if len(users) != len(timestamps):
        raise ValueError(f"{len(users)} users but {len(timestamps)} timestamps: must be as many")
    if ties not in TIES:
        raise ValueError(f"ties={ties!r}: must be one of {', '.join(map(repr, TIES))}")
    place = np.arange(len(users))  # [R] among rows of one moment, the one with the highest place is last
    if ties == "first row":
        place = -place
    elif ties == "random":
        place = np.random.default_rng(seed).permutation(len(users))
    elif ties == "highest item":
        if items is None or len(items) != len(users):
            raise ValueError("ties='highest item' needs items, as many as users")
        place = np.asarray(items)
    return _leave_two_out(users, np.lexsort((place, timestamps, users)))


def leave_random_out(users: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each user one random row as test and another as validation -> (train, validation, test).

    users [R]. A user with fewer than three rows keeps them all in the training part. What the user did
    after the test row is in training: compare with `leave_last_out` before trusting a figure.
    """
    users = np.asarray(users)
    place = np.random.default_rng(seed).permutation(len(users))
    return _leave_two_out(users, np.lexsort((place, users)))


def _leave_two_out(users: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """order: rows by user. Each user's last of them is test, the one before it validation."""
    _, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    ends = (starts + counts)[counts >= 3]
    validation, test = order[ends - 2], order[ends - 1]
    is_train = np.ones(len(users), dtype=bool)
    is_train[validation] = is_train[test] = False
    return np.flatnonzero(is_train), np.sort(validation), np.sort(test)
