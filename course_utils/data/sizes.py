"""The sizes of MovieLens: where each is published, which files it has, and what must come out."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .files import Files
from .movielens import read_1m, read_32m, read_100k
from .ratings import DataError, Ratings, digests


@dataclass(frozen=True)
class Size:
    """One size. `pins` are SHA-256 sums as `ratings.digests` gives them; where there are none, `counts` tells
    whether a copy is whole: (ratings, users, items that have a rating)."""

    name: str
    folder: str
    names: tuple[str, ...]
    read: Callable[[str, Files], Ratings]
    counts: tuple[int, int, int]
    max_bytes: int  # of the archive, and of each file in it
    pins: dict[str, str] = field(default_factory=dict)


MEBIBYTE = 1 << 20
SIZES = {
    "100k": Size(
        name="100k",
        folder="ml-100k",
        names=("u.data", "u.item", "u.user"),
        read=read_100k,
        counts=(100_000, 943, 1_682),
        max_bytes=32 * MEBIBYTE,
        pins={
            "ratings": "da572555581b0d3d71c9a69e0a46e124b52fe99295000cd4094042145cfb6e0d",
            "users": "ce4eccec5c771b882d69fcce1bade6f50a3a0770be80262bde3f080d851cf3ff",
            "genres": "091cd41e01d7c0d90c01cf66a5d8f9e494722db2cb558097755c46ccdedb6fc6",
            "titles": "1d9db5966ebfdb3dbabad1e8609715259d009cd9cdad32894ae1b05cfeed42ba",
        },
    ),
    "1m": Size(
        name="1m",
        folder="ml-1m",
        names=("ratings.dat", "movies.dat", "users.dat"),
        read=read_1m,
        counts=(1_000_209, 6_040, 3_706),
        max_bytes=128 * MEBIBYTE,
    ),
    "32m": Size(
        name="32m",
        folder="ml-32m",
        names=("ratings.csv", "movies.csv"),
        read=read_32m,
        counts=(32_000_204, 200_948, 84_432),
        max_bytes=2048 * MEBIBYTE,
    ),
}


def check(size: Size, ratings: Ratings, where: object) -> str:
    """What is odd about these ratings, in words; "" when they are GroupLens' own, and whole.

    Raises DataError when a pinned part other than the titles differs: no figure of the course would hold.
    A title may be spelt differently (a copy that went through a spreadsheet or lost its accents): only odd.
    """
    counts = (len(ratings), ratings.n_users, ratings.n_items)
    if size.pins and counts != size.counts:
        raise DataError(f"{where}: {_words(counts)}, but {size.folder} has {_words(size.counts)}")
    if counts != size.counts:
        return f"it has {_words(counts)}, GroupLens publishes {_words(size.counts)}"
    found = digests(ratings)
    differs = [part for part, pin in size.pins.items() if found[part] != pin]
    wrong = [part for part in differs if part != "titles"]
    if wrong:
        parts = " and the ".join(wrong)
        raise DataError(f"{where}: altered, the checksum of the {parts} is not that of {size.folder}")
    return "some titles or years are not those of GroupLens" if differs else ""


def _words(counts: tuple[int, int, int]) -> str:
    return "{:,} ratings, {:,} users and {:,} rated items".format(*counts)
