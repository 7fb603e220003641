"""`Ratings`: a rating data set as dense numpy arrays, with the way back to the raw ids."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


class DataError(Exception):
    """The data cannot be found, or a file is not what it should be; the message says which, where and why."""


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """R ratings by U users of I items. Ids are dense and 0-based, rows are in the order of the file.

    users, items [R] int64; ratings [R] float32 (stars); timestamps [R] int64 (seconds since 1970).
    user_ids [U], item_ids [I]: raw id of each dense user or item, ascending. titles [I] str with the year,
    "Toy Story (1995)"; years [I] int64, 0 = unknown; genres [I, 19] bool, columns named by genre_names.
    ages [U] int64, genders [U] str, occupations [U] str, or None where the data set has no user attributes.
    Titles need not be unique (MovieLens 100K lists 18 films twice): tell films apart by index, not by title.
    All arrays are read-only; raises ValueError when lengths do not fit together.
    """

    name: str
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    timestamps: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray
    years: np.ndarray
    genres: np.ndarray
    genre_names: tuple[str, ...] = GENRES
    ages: np.ndarray | None = None
    genders: np.ndarray | None = None
    occupations: np.ndarray | None = None

    def __post_init__(self):
        n_rows, n_users, n_items = np.size(self.users), np.size(self.user_ids), np.size(self.item_ids)
        shapes = {
            "users": (np.int64, (n_rows,)),
            "items": (np.int64, (n_rows,)),
            "ratings": (np.float32, (n_rows,)),
            "timestamps": (np.int64, (n_rows,)),
            "user_ids": (np.int64, (n_users,)),
            "item_ids": (np.int64, (n_items,)),
            "titles": (np.str_, (n_items,)),
            "years": (np.int64, (n_items,)),
            "genres": (np.bool_, (n_items, len(self.genre_names))),
            "ages": (np.int64, (n_users,)),
            "genders": (np.str_, (n_users,)),
            "occupations": (np.str_, (n_users,)),
        }
        for field, (dtype, shape) in shapes.items():
            if getattr(self, field) is None:
                continue
            array = np.asarray(getattr(self, field), dtype=dtype).view()
            if array.shape != shape:
                raise ValueError(f"{field} has shape {array.shape}, expected {shape}")
            array.flags.writeable = False
            object.__setattr__(self, field, array)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        counts = f"{len(self):,} ratings, {self.n_users:,} users, {self.n_items:,} items"
        return f"Ratings({self.name!r}: {counts})"

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def take(self, rows: np.ndarray) -> "Ratings":
        """The ratings at these rows (indices, or bool [R]), in this order; users and items keep their ids."""
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            ratings=self.ratings[rows],
            timestamps=self.timestamps[rows],
        )


def digests(ratings: Ratings) -> dict[str, str]:
    """SHA-256 of the content, in four parts: ratings (with the id maps), users, genres, titles (with years).

    Numbers are hashed as little-endian bytes, strings as UTF-8, one a line: the same on every machine.
    """
    r = ratings
    return {
        "ratings": _sha256([r.user_ids, r.item_ids, r.users, r.items, r.ratings, r.timestamps]),
        "users": _sha256([r.ages, r.genders, r.occupations] if r.ages is not None else []),
        "genres": _sha256([np.array(r.genre_names), r.genres]),
        "titles": _sha256([r.titles, r.years]),
    }


def _sha256(arrays: Iterable[np.ndarray]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        if array.dtype.kind == "U":
            content = "\n".join(array.tolist()).encode()
        else:
            content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).view(np.uint8).data
        sha.update(f"{array.dtype.kind}{array.shape};".encode())
        sha.update(content)
    return sha.hexdigest()
