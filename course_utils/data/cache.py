"""The cache: one file data/ml-<size>.npz with the arrays of `Ratings`, written whole or not at all.

np.savez without compression: it loads in a moment, zip's own checksums find bits that changed, and the
SHA-256 of the content is compared at each load (with the pinned one for "100k", else with the stored one).
"""

import contextlib
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np

from .ratings import DataError, Ratings, digests
from .sizes import SIZES, Size

LOCK_SECONDS = 1800  # longest wait for another process that fetches the same data


def root() -> Path:
    """The folder of the course (COURSE_ROOT, else the one that holds course_utils)."""
    return Path(os.environ.get("COURSE_ROOT") or Path(__file__).parents[2])


def cache_folder() -> Path:
    """Where fetched data is kept: COURSE_DATA_CACHE, else data/ in the folder of the course."""
    return Path(os.environ.get("COURSE_DATA_CACHE") or root() / "data")


def cache_file(size: str = "100k") -> Path:
    """The file in which this size is kept once it has been fetched."""
    return cache_folder() / f"{SIZES[size].folder}.npz"


def check_cache(size: str = "100k") -> str | None:
    """None when the cache of this size is there and verified, else what is wrong with it, in words."""
    try:
        return None if read_cache(SIZES[size]) else "not fetched yet"
    except DataError as error:
        return str(error)


def read_cache(size: Size) -> Ratings | None:
    """The verified ratings, None when nothing is cached; raises DataError when the file is damaged."""
    path = cache_file(size.name)
    try:
        # opened here, because np.load leaves the file open when it is no archive
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        own = dict(arrays.pop("digests").tolist())
        genre_names = tuple(arrays.pop("genre_names").tolist())
        ratings = Ratings(name=size.name, genre_names=genre_names, **arrays)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error})") from error
    found = digests(ratings)
    differs = [part for part, sha in found.items() if sha != (size.pins or own).get(part)]
    if differs:
        raise DataError(f"{path}: the checksum of the {' and the '.join(differs)} is wrong")
    return ratings


def write_cache(size: Size, ratings: Ratings) -> None:
    """Keeps the ratings; call it under `locked`. A folder that cannot be written to is only a warning."""
    path = cache_file(size.name)
    fields = {name: value for name, value in vars(ratings).items() if name != "name" and value is not None}
    own = np.array(sorted(digests(ratings).items()))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for left_over in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed
            left_over.unlink(missing_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, digests=own, **fields)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}): fetched again next time", stacklevel=2)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(size: Size) -> Iterator[None]:
    """Lets one process at a time fetch this size; the lock ends with the process that holds it."""
    lock = filelock.FileLock(str(cache_folder() / f".{size.folder}.lock"), timeout=LOCK_SECONDS)
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        message = f"another process has been fetching {size.folder} for {LOCK_SECONDS} s; end it"
        raise DataError(message) from error
    except OSError:  # read-only: nothing will be written there, so there is nothing to guard
        yield
        return
    try:
        yield
    finally:
        lock.release()
