"""MovieLens as numpy arrays: found, fetched, verified and cached.

    ratings = load_movielens("100k")   # or "1m", "32m"; "sample" is generated and needs no network

Ratings, users and genres are the same, bit for bit, whichever source they came from.
"""

import os
import tempfile
import warnings
from pathlib import Path

from .cache import cache_file, cache_folder, check_cache, locked, read_cache, root, write_cache
from .files import Files
from .movielens import read_100k
from .ratings import GENRES, DataError, Ratings
from .sizes import SIZES, Size, check
from .sources import SOURCES, NotThere, by_hand, from_path

__all__ = ["GENRES", "DataError", "Ratings", "cache_file", "check_cache", "load_movielens", "sample_path"]


def sample_path() -> Path:
    """The folder of the generated data set, data/sample."""
    return root() / "data" / "sample"


def load_movielens(size: str = "100k", source: str | os.PathLike | None = None) -> Ratings:
    """The ratings of MovieLens "100k", "1m" or "32m", or of the generated "sample" (200 users, 300 films).

    source names a folder or zip archive in GroupLens' own format; so does the environment variable
    COURSE_DATA_DIR (not for "sample"). What is named is used or refused, never replaced by something else.
    With neither, the data comes from the verified cache, else from files that were put by hand into data/,
    else from GroupLens, else ("100k") from the recbole wheel, and is then cached.
    Raises DataError that lists each source and why it failed.
    """
    if size == "sample":
        return _sample(Path(source) if source else sample_path())
    if size not in SIZES:
        raise ValueError(f"size={size!r}: allowed are {', '.join(map(repr, SIZES))} and 'sample'")
    source = source or os.environ.get("COURSE_DATA_DIR")
    if source:
        return _from_named(SIZES[size], Path(source).expanduser())
    try:
        ratings = read_cache(SIZES[size])
    except DataError:
        ratings = None  # said once, under the lock, where no other process is just replacing it
    return _fetch(SIZES[size]) if ratings is None else ratings


def _sample(path: Path) -> Ratings:
    with Files(path, ("u.data", "u.item", "u.user"), ("sample",), 1 << 20) as files:
        return read_100k("sample", files)


def _from_named(size: Size, path: Path) -> Ratings:
    ratings = from_path(size, path)
    with locked(size):
        _keep(size, ratings, path)
    return ratings


def _keep(size: Size, ratings: Ratings, where: object) -> None:
    """Caches what is GroupLens' own, and warns of what is odd. Raises DataError for altered data."""
    odd = check(size, ratings, where)
    if odd:
        warnings.warn(f"{where}: {odd}. Used as it is, not kept in the cache.", stacklevel=4)
    elif check_cache(size.name) is not None:
        write_cache(size, ratings)


def _fetch(size: Size) -> Ratings:
    with locked(size):
        try:
            ratings = read_cache(size)  # another process may have fetched it while this one waited
            if ratings is not None:
                return ratings
        except DataError as error:
            warnings.warn(f"{error}. It is replaced.", stacklevel=3)
        failed = [f"cache: {cache_file(size.name)} is not there or not whole"]
        for name, source in SOURCES.items():
            try:
                with tempfile.TemporaryDirectory() as temporary:
                    ratings = source(size, Path(temporary))
                _keep(size, ratings, name)
                return ratings
            except DataError as error:
                failed.append(f"{name}: {error}")
                if source is by_hand and not isinstance(error, NotThere):
                    warnings.warn(f"{error}. Left aside; the next source is tried.", stacklevel=3)
        raise DataError(_nothing_worked(size, failed))


def _nothing_worked(size: Size, failed: list[str]) -> str:
    by_hand_path = cache_folder() / f"{size.folder}.zip"
    return "\n".join(
        [
            f"MovieLens {size.name} could not be had from any source:",
            *(f"  {reason}" for reason in failed),
            f"To put it there by hand: where there is a network, fetch {size.folder}.zip from",
            f"https://grouplens.org/datasets/movielens/ and copy it, as it is, to {by_hand_path};",
            "or set COURSE_DATA_DIR to the folder that holds it.",
            "To begin without it: load_movielens('sample').",
        ]
    )
