"""Where MovieLens comes from: files put there by hand, GroupLens, and the wheel of the recbole package.

Each source is a function (size, folder for temporary files) -> Ratings that raises DataError when it cannot:
NotThere when it has nothing of that size. SOURCES lists them in the order in which they are tried.
"""

import os
import subprocess
import sys
from pathlib import Path

import requests
from tqdm.auto import tqdm
from urllib3.util import Retry

from .cache import cache_folder
from .files import Files
from .movielens import read_recbole
from .ratings import DataError, Ratings
from .sizes import Size

GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
CONNECT_SECONDS, READ_SECONDS, PIP_SECONDS = 3, 10, 300
RETRIES, BACKOFF_SECONDS = 2, 0.3
RECBOLE = "recbole==1.2.1"
RECBOLE_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")


class NotThere(DataError):
    """This source does not have the data at all: not a fault."""


def from_path(size: Size, path: Path) -> Ratings:
    """Reads GroupLens' files from a zip, or from a folder that holds them, ml-<size>/ or ml-<size>.zip."""
    archive = path / f"{size.folder}.zip"
    unpacked = any((path / sub / size.names[0]).exists() for sub in ("", size.folder))
    if archive.is_file() and not unpacked:
        path = archive
    with Files(path, size.names, (size.folder,), size.max_bytes) as files:
        return size.read(size.name, files)


def by_hand(size: Size, _temporary: Path) -> Ratings:
    """ml-<size>.zip, or the unpacked folder ml-<size>, laid into the folder of the cache."""
    archive, unpacked = cache_folder() / f"{size.folder}.zip", cache_folder() / size.folder
    if not archive.exists() and not unpacked.exists():
        raise NotThere(f"neither {archive} nor {unpacked} is there")
    return from_path(size, archive if archive.exists() else unpacked)


def from_grouplens(size: Size, temporary: Path) -> Ratings:
    """Downloads the archive from GroupLens and reads it."""
    archive = temporary / f"{size.folder}.zip"
    download(f"{GROUPLENS}{archive.name}", archive, size.max_bytes)
    return from_path(size, archive)


def download(url: str, target: Path, max_bytes: int) -> None:
    """Fetches url into target. Raises DataError when it cannot be had, ends too early or is too large.

    A connection that fails and an answer 429, 500, 502, 503 or 504 are tried again after a growing pause,
    and so is a body that breaks off.
    """
    retry = Retry(
        total=RETRIES,
        connect=1,
        read=1,
        other=0,  # a bad certificate does not get better
        backoff_factor=BACKOFF_SECONDS,
        status_forcelist=(429, 500, 502, 503, 504),
        respect_retry_after_header=False,
    )
    with requests.Session() as session:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=retry))
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
        for attempt in range(RETRIES):
            try:
                _download_once(session, url, target, max_bytes)
                return
            except requests.exceptions.ChunkedEncodingError as error:
                if attempt == RETRIES - 1:
                    raise DataError(f"{url}: the answer broke off ({_reason(error)})") from error
            except (requests.RequestException, OSError) as error:
                raise DataError(f"{url}: {_reason(error)}") from error


def _download_once(session: requests.Session, url: str, target: Path, max_bytes: int) -> None:
    with session.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0)) or None
        bar = tqdm(total=total, unit="B", unit_scale=True, desc=target.name, disable=_headless())
        with bar, target.open("wb") as file:
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > max_bytes:
                    raise DataError(f"{url}: more than {max_bytes:,} bytes, given up")


def from_recbole(size: Size, temporary: Path) -> Ratings:
    """Lets pip fetch the wheel of recbole, which carries "100k"; nothing of it is installed."""
    if size.name != "100k":
        raise NotThere(f"it carries only MovieLens 100K, not {size.name}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--quiet", "--disable-pip-version-check", "--timeout=10", "--retries=2"]
    command += [f"--dest={temporary}", RECBOLE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"pip download {RECBOLE}: {_reason(error)}") from error
    wheels = sorted(temporary.glob("recbole-*.whl"))
    if done.returncode or not wheels:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise DataError(f"pip download {RECBOLE}: {said[-1]}")
    return read_wheel(size, wheels[0])


def read_wheel(size: Size, wheel: Path) -> Ratings:
    """MovieLens 100K out of the wheel of recbole."""
    with Files(wheel, RECBOLE_FILES, ("recbole/dataset_example/ml-100k",), size.max_bytes) as files:
        return read_recbole(size.name, files)


SOURCES = {"files put by hand": by_hand, "GroupLens": from_grouplens, "the recbole wheel": from_recbole}


def _headless() -> bool:
    return os.environ.get("COURSE_HEADLESS", "").lower() in ("1", "true", "yes")


def _reason(error: Exception) -> str:
    """The innermost words of an exception of requests, without its wrapping."""
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    return _reason(reason) if isinstance(reason, Exception) else f"{type(error).__name__}: {error}"
