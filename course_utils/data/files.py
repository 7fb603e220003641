"""Open the files of a data set by name, from a folder or straight out of a zip archive.

Nothing is ever unpacked to disk: the known members are read in place. An archive that holds a member which
would land outside its folder, a link, or more than it may weigh, is refused as a whole all the same.
"""

import contextlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .formats import read_lines
from .ratings import DataError

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError)


class Files:
    """The files `names` in `path`: a folder or a zip, which hold them directly or in one of `subfolders`.

    Raises DataError when one is missing, when the archive is damaged or unsafe, or when a file has more than
    max_bytes.
    """

    def __init__(self, path: Path, names: tuple[str, ...], subfolders: tuple[str, ...], max_bytes: int):
        self.path, self._zip = path, None
        if path.is_file():
            self._zip = _open_archive(path)
            sizes = {info.filename: info.file_size for info in self._zip.infolist()}
        elif path.is_dir():
            found = [Path(sub, name) for sub in ("", *subfolders) for name in names]
            sizes = {at.as_posix(): (path / at).stat().st_size for at in found if (path / at).is_file()}
        else:
            raise DataError(f"{path}: no such file or folder")
        prefixes = ["", *(f"{subfolder}/" for subfolder in subfolders)]
        self._prefix = max(prefixes, key=lambda prefix: sum(prefix + name in sizes for name in names))
        for name in names:
            size = sizes.get(self._prefix + name)
            if size is None:
                raise DataError(f"{path}: {name} is missing")
            if size > max_bytes:
                raise DataError(f"{self.label(name)}: {size:,} bytes, at most {max_bytes:,} are allowed")

    def label(self, name: str) -> str:
        """What to call this file in a message."""
        return str(self.path / (self._prefix + name))

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        where = self._prefix + name
        try:
            with self._zip.open(where) if self._zip else (self.path / where).open("rb") as file:
                yield file
        except (
            *_UNREADABLE,
            RuntimeError,
            NotImplementedError,
        ) as error:  # the last two: encrypted, odd packing
            raise DataError(f"{self.label(name)}: {error or 'ends too early'}") from error

    def lines(self, name: str, separator: str, columns: list[str], encoding: str, header: str | None = None):
        """(where, fields) of each line; see `formats.read_lines`."""
        with self.open(name) as file:
            yield from read_lines(file, self.label(name), separator, columns, encoding, header)

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_exc) -> None:
        if self._zip:
            self._zip.close()


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise DataError(f"{path}: not a whole zip archive ({error})") from error
    for info in archive.infolist():
        parts = info.filename.replace("\\", "/").split("/")
        outside = info.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            archive.close()
            kind = "leads outside its folder" if outside else "is a link"
            raise DataError(f"{path}: unsafe archive, member {info.filename!r} {kind}")
    return archive
