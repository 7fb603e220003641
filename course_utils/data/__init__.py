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
from .sources import by_hand, from_grouplens, from_path, from_recbole

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
    odd = check(size, ratings, path)
    if odd:
        warnings.warn(f"{path}: {odd}. Used as it is, not kept in the cache.", stacklevel=3)
    else:
        with locked(size):
            if check_cache(size.name):
                write_cache(size, ratings)
    return ratings


def _fetch(size: Size) -> Ratings:
    with locked(size):
        try:
            ratings = read_cache(size)  # another process may have fetched it while this one waited
            if ratings is not None:
                return ratings
        except DataError as error:
            warnings.warn(f"{error}. It is replaced.", stacklevel=3)
        sources = {"files put by hand": by_hand, "GroupLens": from_grouplens}
        if size.name == "100k":
            sources["the recbole wheel"] = from_recbole
        failed = [f"cache: {cache_file(size.name)} is not there or not whole"]
        for name, source in sources.items():
            try:
                with tempfile.TemporaryDirectory() as temporary:
                    ratings = source(size, Path(temporary))
                odd = check(size, ratings, "its content")
                if odd:
                    raise DataError(odd)
            except DataError as error:
                failed.append(f"{name}: {error}")
            else:
                write_cache(size, ratings)
                return ratings
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
