"""Find the submissions in a folder as it was downloaded: folders, flat files, zip archives.

The student is told by a name. Canvas writes <student>_<user id>_<submission id>_<file>, with _LATE in it
where it was; Moodle <name>_<id>_assignsubmission_file... as a folder or in front of the file. Without such a
mark it is the first folder that is not called like a collection (lab1, week 2, work, ...), or
<student>_<lab>.ipynb. The ids that tell two students of one name apart stay in the name. Whatever stands in a
student's own archive or folder is that student's, however it is called there.
"""

from __future__ import annotations

import io
import os
import re
import stat
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

import course_utils
from course_utils.authoring.grading.kit import lab_of, labs
from course_utils.authoring.grading.notebook import MOST_BYTES, Read, read_notebook

MOST_MEMBERS = 20_000  # of an archive
_SKIPPED = {"__MACOSX", ".ipynb_checkpoints"}
_CANVAS = re.compile(r"(?P<name>[^_]+?)(?P<late>_LATE)?_(?P<user>\d+)_(?P<submission>\d+)_(?P<file>.+)")
_MOODLE = re.compile(r"(?P<name>.+)_(?P<user>\d+)_assignsubmission_file_?(?P<file>.*)")
_FLAT = re.compile(r"(?P<name>.+?)[_-](?P<file>(?:0?[1-9]_|lab[_ -]?0?[1-9]).*)", re.IGNORECASE)
_NOTEBOOK = re.compile(r"\.ipynb(?:\.txt|\.json)?$", re.IGNORECASE)  # some browsers add the second ending
_COLLECTION = re.compile(
    r"(?:lab|week|hw|homework|assignment|exercise|sheet|submission|download|hand[ _-]?in|work|notebook|"
    r"solution|backup|class|all|students|home|course)s?(?:[ _.-]*\d+)*|recsys-course.*",
    re.IGNORECASE,
)


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
    parts: tuple[str, ...]  # of the path; names of archives without .zip among them, but for those of a class
    n_own: int  # the student's name stands among so many first parts
    file: str
    when: float
    read: Callable[[], bytes]


@dataclass(frozen=True)
class _Owner:
    """What a path tells. file: the file's name without the student's; certain: whether it names a student."""

    student: str
    file: str
    certain: bool = True
    late: bool = False
    attempt: int = 0  # Canvas adds -1, -2 to the names of later ones


class _Refused(Exception):
    """A file that is not read, with the reason."""


def find_submissions(folder: Path) -> list[Submission]:
    """One for each student and lab, in the order of their names; of several files the latest counts.

    A student without any notebook is there too, with a script (.py) or with what could not be read.
    """
    versions, others = defaultdict(list), defaultdict(list)
    for item in sorted(_walk(folder), key=lambda f: f.file):
        owner = _who(item)
        if _NOTEBOOK.search(item.parts[-1]):
            submission = _read(item, owner)
            rank = (owner.attempt, item.when, _copy_number(owner.file), item.file)
            versions[submission.student, submission.lab].append((rank, submission, item.parts[:-1]))
        elif owner.certain:
            others[owner.student].append((item, owner))
    chosen = {key: _latest(found) for key, found in versions.items()}
    with_notebook = {student for student, _ in chosen}
    for student, files in others.items():
        if student not in with_notebook:
            submission = _without_notebook(student, files)
            chosen[student, submission.lab] = submission
    return [chosen[key] for key in sorted(chosen)]


def _latest(versions: list[tuple]) -> Submission:
    """The one that counts, with the others in its flags."""
    *others, (_, submission, _) = sorted(versions, key=lambda version: version[0])
    if others:
        names = ", ".join(sorted(other.file for _, other, _ in others))
        folders = {place for *_, place in versions}
        question = ""
        if len(folders) > 2:
            question = f" (from {len(folders)} folders: is {submission.student} one student?)"
        submission.flags.append(f"several files{question}; not read: {names}")
    return submission


def _copy_number(file: str) -> int:
    """2 of "lab (2).ipynb"."""
    found = re.search(r"\((\d+)\)\.\w+$", file)
    return int(found.group(1)) if found else 0


# ---- files, on the disk and in archives ----


def _walk(folder: Path) -> Iterator[_Found]:
    """Every file that somebody may have handed in; of archives their members."""
    paths = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        paths += [Path(place) / name for name in sorted(files) if not name.startswith(".")]
    n_common = _common_folders([path.relative_to(folder).parts for path in paths])
    for path in paths:
        file = str(path.relative_to(folder))
        parts = _normal(path.relative_to(folder).parts[n_common:])
        if _is_archive(parts[-1]):
            yield from _unzip(lambda p=path: _read_file(p), (*parts[:-1], parts[-1][:-4]), file)
        else:
            when = os.lstat(path).st_mtime
            yield _Found(parts, len(parts), file, when, lambda p=path: _read_file(p))


def _normal(parts: tuple[str, ...]) -> tuple[str, ...]:
    """With each accented letter as one character: Macs write two, and would make two students of one."""
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def _counts(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of those whose folders tell how a class was packed."""
    return _NOTEBOOK.search(parts[-1]) is not None or _is_archive(parts[-1])


def _is_archive(name: str) -> bool:
    return name.lower().endswith(".zip")


def _common_folders(paths: list[tuple[str, ...]]) -> int:
    """How many folders all have in common, but for the last two parts: student and file."""
    paths = list(filter(_counts, paths))
    n = min((len(parts) for parts in paths), default=0) - 2
    common = 0
    for level in zip(*(parts[: max(n, 0)] for parts in paths), strict=True):
        if len(set(level)) > 1:
            break
        common += 1
    return common if len(paths) > 1 else 0


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


def _unzip(
    read: Callable[[], bytes], place: tuple[str, ...], file: str, inside: bool = False
) -> Iterator[_Found]:
    """The members of an archive; nothing is written to disk, so it does not matter where one wants to go.

    place: its path, without .zip; inside: it lies in another archive itself, and is one student's.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(read()))
        listed = archive.infolist()[:MOST_MEMBERS]
    except (zipfile.BadZipFile, _Refused, OSError, ValueError, NotImplementedError) as error:
        reason = f"its zip archive cannot be read: {error}"
        yield _Found((*place, ".ipynb"), len(place), f"{file}/.ipynb", 0.0, lambda: _refuse(reason))
        return
    members = {}
    for member in listed:
        parts = _normal(PurePosixPath(member.filename.replace("\\", "/")).parts)
        parts = tuple(part for part in parts if part not in ("/", "..", "."))
        hidden = not parts or parts[-1].startswith(".") or _SKIPPED & set(parts)
        if not hidden and not member.is_dir():
            members[parts] = member
    of_class = not inside and not _is_students(place) and _holds_a_class(place[-1], list(members))
    n_common = _common_folders(list(members)) if of_class else 0
    anything = False
    for parts, member in members.items():
        above, n_own = (place[:-1], None) if of_class else (place, len(place))
        whole, name = (*above, *parts[n_common:]), f"{file}/{'/'.join(parts)}"
        anything |= of_class or _NOTEBOOK.search(parts[-1]) is not None
        get = lambda m=member: _read_member(archive, m)  # noqa: E731
        if not _is_archive(parts[-1]):
            yield _Found(whole, n_own or len(whole), name, _when(member.date_time), get)
        elif not inside:
            anything = True
            inner = (*whole[:-1], whole[-1][:-4])
            for found in _unzip(get, inner, name, inside=True):
                own = n_own or found.n_own
                yield _Found(found.parts, own, found.file, found.when, found.read)
    if not anything:
        reason = "no notebook in its zip archive"
        yield _Found((*place, ".ipynb"), len(place), f"{file}/.ipynb", 0.0, lambda: _refuse(reason))


def _is_students(place: tuple[str, ...]) -> bool:
    """Whether an archive is one student's by its path: a platform's mark, or a folder that is theirs."""
    return any(map(_mark, place)) or _first_name(place[:-1]) != ""


def _holds_a_class(name: str, members: list[tuple[str, ...]]) -> bool:
    """Whether an archive's files are of several students: in several folders, or by their names.

    One folder is enough where the archive is called like a collection.
    """
    if any(_mark(part) for parts in members for part in parts):
        return True
    members, n_common = list(filter(_counts, members)), _common_folders(members)
    flat = {found["name"] for parts in members if len(parts) == 1 and (found := _FLAT.fullmatch(parts[0]))}
    folders = {part for parts in members if (part := _first_name(parts[n_common:-1]))}
    n_students = max(len(folders), len(flat))
    return n_students > 1 or (n_students == 1 and _is_collection(name))


def _refuse(reason: str) -> bytes:
    raise _Refused(reason)


def _when(date_time: tuple) -> float:
    """The time of an archive's member, as that of a file."""
    try:
        return datetime(*date_time).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


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


# ---- whose it is ----


def _mark(part: str) -> re.Match | None:
    return _MOODLE.fullmatch(part) or _CANVAS.fullmatch(part)


def _first_name(folders: tuple[str, ...]) -> str:
    """The first that is not called like a collection, or ""."""
    return next((part for part in folders if not _is_collection(part)), "")


def _is_collection(part: str) -> bool:
    return _COLLECTION.fullmatch(part) is not None or part in labs().values()


def _who(item: _Found) -> _Owner:
    own, file = item.parts[: item.n_own], item.parts[-1]
    for part in reversed(own):
        if mark := _mark(part):
            file = mark["file"] if part is file and mark["file"] else file
            given = mark.groupdict()
            number = re.search(r"-(\d+)\.\w+$", file) if "submission" in given else None
            attempt = int(number.group(1)) if number else 0
            return _Owner(f"{mark['name']}_{mark['user']}", file, True, bool(given.get("late")), attempt)
    folders = own if item.n_own < len(item.parts) else own[:-1]
    if student := _first_name(folders):
        return _Owner(student, file)
    if found := _FLAT.fullmatch(file):
        return _Owner(found["name"], found["file"])
    stem = _NOTEBOOK.sub("", file)
    if folders and (_is_collection(stem) or item.n_own < len(item.parts)):
        return _Owner(folders[-1], file)
    return _Owner(stem, file, certain=False)


# ---- what it is ----


def _read(item: _Found, owner: _Owner, kind: Callable[[bytes], Read] = read_notebook) -> Submission:
    try:
        read = kind(item.read())
    except (_Refused, OSError, MemoryError) as error:
        read = Read(problems=[str(error) or type(error).__name__])
    flags = ["late"] * owner.late + read.problems
    number = lab_of(owner.file, read.cells, read.stamp) or ""
    if not number:
        flags.append("nothing tells which lab this is")
    elif read.stamp and read.stamp != labs()[number]:
        flags.append(f"made from {read.stamp}")
    if read.version and read.version != course_utils.__version__:
        flags.append(f"made from version {read.version} of the course, graded by {course_utils.__version__}")
    return Submission(owner.student, number, item.file, read.cells, flags)


def _without_notebook(student: str, files: list[tuple[_Found, _Owner]]) -> Submission:
    """The latest script with exercises in it; or else nothing but the names of what was handed in."""
    scripts = [pair for pair in files if pair[0].parts[-1].lower().endswith(".py")]
    for item, owner in sorted(scripts, key=lambda pair: pair[0].when, reverse=True):
        submission = _read(item, owner, _read_script)
        if submission.lab and submission.cells:
            return submission
    names = [item.file for item, _ in files]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    late = ["late"] * any(owner.late for _, owner in files)
    numbers = [number for _, owner in files if (number := lab_of(owner.file, [], ""))]
    flags = [*late, f"no notebook; not read: {', '.join(names[:5])}{more}"]
    return Submission(student, numbers[0] if numbers else "", names[0], [], flags)


def _read_script(data: bytes) -> Read:
    cell = {"type": "code", "source": data.decode("utf-8", "replace"), "exercise": None}
    return Read([cell], ["a script, no notebook"])
