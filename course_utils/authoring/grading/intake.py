"""Find the submissions in a folder as it was downloaded: folders, flat files, zip archives.

The student is told by the name: of the folder (SUBMISSIONS/<student>/<lab>.ipynb), or of the file. Canvas
writes <student>_<user id>_<submission id>_<file> with _LATE in it where it was; Moodle
<name>_<id>_assignsubmission_file... as a folder or in front of the file; and <student>_<lab>.ipynb is how
others do. The ids that tell two students of one name apart stay in the name.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import course_utils
from course_utils.authoring.grading.kit import lab_of, labs
from course_utils.authoring.grading.notebook import MOST_BYTES, Read, read_notebook

MOST_MEMBERS = 20_000  # of an archive
_SKIPPED = {"__MACOSX", ".ipynb_checkpoints"}
_CANVAS = re.compile(r"(?P<name>[^_]+?)(?P<late>_LATE)?_(?P<user>\d+)_(?P<submission>\d+)_(?P<file>.+)")
_MOODLE = re.compile(r"(?P<name>.+)_(?P<user>\d+)_assignsubmission_file_?(?P<file>.*)")
_FLAT = re.compile(r"(?P<name>.+?)[_-](?P<file>(?:0?[1-9]_|lab[_ -]?0?[1-9]).*)", re.IGNORECASE)


@dataclass
class Submission:
    """A student's notebook for a lab (its number, or "" when nothing tells), and what is odd about it."""

    student: str
    lab: str
    file: str  # where it was found, from the folder of the submissions
    cells: list[dict] = field(default_factory=list, repr=False)
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    parts: tuple[str, ...]  # of the path, an archive's name without .zip among them
    file: str
    when: float
    read: Callable[[], bytes]


class _Refused(Exception):
    """A file that is not read, with the reason."""


def find_submissions(folder: Path) -> list[Submission]:
    """One for each student and lab, in the order of their names; of several files the latest counts."""
    found = [f for f in _walk(folder) if f.file.lower().endswith(".ipynb")]
    n_common = _common_folders(found)
    latest: dict[tuple[str, str], tuple] = {}
    for item in sorted(found, key=lambda f: f.file):
        submission, attempt = _read(item, n_common)
        key = (submission.student, submission.lab)
        rank = (attempt, item.when, item.file)
        if key not in latest or rank > latest[key][0]:
            others = latest[key][1] + [latest[key][2].file] if key in latest else []
            latest[key] = (rank, others, submission)
        else:
            latest[key][1].append(submission.file)
    for _, others, submission in latest.values():
        if others:
            submission.flags.append(f"several files; not read: {', '.join(sorted(others))}")
    return [latest[key][2] for key in sorted(latest)]


def _walk(folder: Path) -> Iterator[_Found]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(files):
            path = Path(place) / name
            relative = path.relative_to(folder)
            if name.lower().endswith(".zip"):
                yield from _unzip(path, relative)
            else:
                yield _Found(
                    relative.parts, str(relative), os.lstat(path).st_mtime, lambda p=path: _read_file(p)
                )


def _read_file(path: Path) -> bytes:
    """Only a plain file: what a link points to is not the student's, and a pipe would never end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        reason = "a link, no file" if path.is_symlink() else error.strerror
        raise _Refused(f"{reason}: not read") from error
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _Refused("no plain file: not read")
        if status.st_size > MOST_BYTES:
            raise _Refused(f"{status.st_size / 2**20:.0f} MB, more than {MOST_BYTES // 2**20}: not read")
        return file.read()


def _unzip(path: Path, relative: Path) -> Iterator[_Found]:
    """The notebooks of an archive; nothing is written to disk, so it does not matter where a member wants to
    go.
    """
    above, name = relative.parts[:-1], relative.stem
    try:
        archive = zipfile.ZipFile(io.BytesIO(_read_file(path)))
        listed = archive.infolist()[:MOST_MEMBERS]
    except (zipfile.BadZipFile, _Refused, OSError, ValueError, NotImplementedError) as error:
        reason = f"its zip archive cannot be read: {error}"
        yield _Found((*above, name, ".ipynb"), f"{relative}/.ipynb", 0.0, lambda: _refuse(reason))
        return
    members = {}
    for member in listed:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        parts = tuple(part for part in parts if part not in ("/", "..", "."))
        if parts and parts[-1].lower().endswith(".ipynb") and not _SKIPPED & set(parts):
            members[parts] = member
    if not members:
        yield _Found(
            (*above, name, ".ipynb"),
            f"{relative}/.ipynb",
            0.0,
            lambda: _refuse("no notebook in its zip archive"),
        )
    of_class = _holds_a_class(list(members))
    for parts, member in members.items():
        whose = parts if of_class else (name, *parts)
        file = f"{relative}/{'/'.join(parts)}"
        yield _Found(
            (*above, *whose), file, _seconds(member.date_time), lambda m=member: _read_member(archive, m)
        )


def _holds_a_class(members: list[tuple[str, ...]]) -> bool:
    """Whether an archive's notebooks are of several students: in several folders, or by their names."""
    folders = {parts[0] for parts in members if len(parts) > 1}
    named = any(p.fullmatch(parts[0]) for parts in members for p in (_CANVAS, _MOODLE))
    students = {
        found["name"] for parts in members if len(parts) == 1 and (found := _FLAT.fullmatch(parts[0]))
    }
    return named or len(folders) > 1 or len(students) > 1


def _refuse(reason: str) -> bytes:
    raise _Refused(reason)


def _seconds(date_time: tuple) -> float:
    """Only for telling which is later."""
    seconds = 0
    for part in date_time:
        seconds = seconds * 100 + part
    return float(seconds)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as file:
            data = file.read(MOST_BYTES + 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise _Refused(f"damaged in its zip archive: {error}") from error
    except Exception as error:  # zlib.error and its like
        raise _Refused("damaged in its zip archive") from error
    if len(data) > MOST_BYTES:
        raise _Refused(f"more than {MOST_BYTES // 2**20} MB: not read")
    return data


def _common_folders(found: list[_Found]) -> int:
    """How many folders all files have in common, but for the last two parts: student and file."""
    n = min((len(f.parts) for f in found), default=0) - 2
    heads = [f.parts[: max(n, 0)] for f in found]
    common = 0
    for level in zip(*heads, strict=True):
        if len(set(level)) > 1:
            break
        common += 1
    return common if len(found) > 1 else 0


def _read(item: _Found, n_common: int) -> tuple[Submission, int]:
    """The submission, and which attempt its name says it is (Canvas adds -1, -2 to the name)."""
    student, file, flags = _who(item.parts[n_common:])
    try:
        read = read_notebook(item.read())
    except (_Refused, OSError, MemoryError) as error:
        read = Read(problems=[str(error) or type(error).__name__])
    flags += read.problems
    number = lab_of(file, read.cells, read.stamp) or ""
    if not number:
        flags.append("nothing tells which lab this is")
    elif read.stamp and read.stamp != labs()[number]:
        flags.append(f"made from {read.stamp}")
    if read.version and read.version != course_utils.__version__:
        flags.append(f"made from version {read.version} of the course, graded by {course_utils.__version__}")
    attempt = re.search(r"[-(](\d+)\)?\.ipynb$", file)
    return Submission(student, number, item.file, read.cells, flags), int(attempt.group(1)) if attempt else 0


def _who(parts: tuple[str, ...]) -> tuple[str, str, list[str]]:
    """(student, the file's name without the student's, flags) from a path."""
    if len(parts) > 1:
        found = _MOODLE.fullmatch(parts[0]) or _CANVAS.fullmatch(parts[0])
        return (f"{found['name']}_{found['user']}" if found else parts[0]), parts[-1], []
    name = parts[0]
    if found := _CANVAS.fullmatch(name):
        return f"{found['name']}_{found['user']}", found["file"], ["late"] if found["late"] else []
    if found := _MOODLE.fullmatch(name):
        return f"{found['name']}_{found['user']}", found["file"], []
    if found := _FLAT.fullmatch(name):
        return found["name"], found["file"], []
    return re.sub(r"\.ipynb$", "", name, flags=re.IGNORECASE), name, []
