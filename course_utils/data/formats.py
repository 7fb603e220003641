"""Parse the files of MovieLens and check every row; an error names file and line.

A rating file is read in blocks of whole lines, fast, by pandas. Only when a block does not parse is it read
again line by line, to say which line is wrong and why. That keeps 32 million rows in bounds.
"""

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pandas as pd

from .ratings import GENRES, DataError, Ratings

BLOCK_BYTES = 1 << 24
COLUMNS = {"user": np.int32, "item": np.int32, "rating": np.float32, "timestamp": np.int64}
_INTEGER = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class RatingFormat:
    """How a rating file is written: separator, first line (None: the data starts at once), smallest step."""

    separator: str
    header: str | None = None
    step: float = 1.0  # 1: whole stars 1..5; 0.5: half stars 0.5..5

    def allows(self, ratings: np.ndarray) -> np.ndarray:
        return (ratings >= self.step) & (ratings <= 5) & (ratings % self.step == 0)


@dataclass(frozen=True)
class Rows:
    """The columns of a rating file as they stand there, raw ids, and where they came from."""

    label: str
    first_line: int  # line number of row 0
    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray
    timestamp: np.ndarray

    def error(self, row: int, what: str) -> DataError:
        return DataError(f"{self.label}, line {self.first_line + row}: {what}")


@dataclass(frozen=True)
class Items:
    """A catalogue of films: raw ids, titles, years and genres [n, 19], in the order of the file."""

    ids: np.ndarray
    titles: np.ndarray
    years: np.ndarray
    genres: np.ndarray


@dataclass(frozen=True)
class Users:
    """The attributes of users: raw ids, ages, genders, occupations, in the order of the file."""

    ids: np.ndarray
    ages: np.ndarray
    genders: np.ndarray
    occupations: np.ndarray


def read_rows(file: BinaryIO, label: str, fmt: RatingFormat) -> Rows:
    """All rows of a rating file, in its order. Raises DataError for the first row that is malformed."""
    line = 1
    if fmt.header is not None:
        header = file.readline().decode("utf-8", "replace").rstrip("\r\n")
        if header != fmt.header:
            raise DataError(f"{label}, line 1: the header is {header!r}, expected {fmt.header!r}")
        line = 2
    first_line, parts = line, {column: [] for column in COLUMNS}
    for block in _blocks(file):
        table = _parse(block, line, label, fmt)
        for column in COLUMNS:
            parts[column].append(table[column].to_numpy())
        line += len(table)
    if line == first_line:
        raise DataError(f"{label}: no ratings in it")
    # pop: one column at a time is in memory twice, not all four
    return Rows(label, first_line, **{column: np.concatenate(parts.pop(column)) for column in COLUMNS})


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(BLOCK_BYTES):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
    if rest:
        yield rest


def _parse(block: bytes, line: int, label: str, fmt: RatingFormat) -> pd.DataFrame:
    text = block.replace(fmt.separator.encode(), b"\t") if fmt.separator != "\t" else block
    n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    try:
        table = pd.read_csv(
            io.BytesIO(text),
            sep="\t",
            header=None,
            names=list(COLUMNS),
            dtype=COLUMNS,
            quoting=3,
            skip_blank_lines=False,
        )
    except (ValueError, OverflowError) as error:
        _explain(block, line, label, fmt)
        raise DataError(f"{label}, from line {line} on: {error}") from error
    # Every row has at least four numbers by now, so the count of separators shows whether one has more.
    if text.count(b"\t") != 3 * n_lines or not fmt.allows(table["rating"].to_numpy()).all():
        _explain(block, line, label, fmt)
        raise DataError(f"{label}, from line {line} on: not {n_lines} rows of four columns")
    return table


def _explain(block: bytes, line: int, label: str, fmt: RatingFormat) -> None:
    """Raises DataError for the first bad line of a block."""
    lines = block.decode("latin-1").removesuffix("\n").split("\n")
    for number, text in enumerate(lines, start=line):
        fields = text.removesuffix("\r").split(fmt.separator)
        if len(fields) != 4:
            raise DataError(f"{label}, line {number}: {_count(fields)}, expected 4 ({', '.join(COLUMNS)})")
        for (column, dtype), field in zip(COLUMNS.items(), fields, strict=True):
            pattern = _DECIMAL if column == "rating" else _INTEGER
            if not pattern.fullmatch(field):
                raise DataError(f"{label}, line {number}: {column} is {field!r}, expected a number")
            if column != "rating" and int(field) > np.iinfo(dtype).max:
                raise DataError(f"{label}, line {number}: {column} {field} is too large")
        if not fmt.allows(np.float64(fields[2])):
            allowed = f"{fmt.step:g} to 5 in steps of {fmt.step:g}"
            raise DataError(f"{label}, line {number}: rating is {fields[2]}, allowed are {allowed}")


def read_lines(file: BinaryIO, label: str, separator: str, columns: list[str], encoding: str, header=None):
    """Yields (where, fields) for each line of a small file; `where` is "file, line n" for messages."""
    try:
        text = file.read().decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{label}, line {line}: not {encoding}: {error.reason}") from error
    lines = text.removesuffix("\n").split("\n")
    if header is not None:
        first = lines.pop(0).removesuffix("\r")
        if first != header:
            raise DataError(f"{label}, line 1: the header is {first!r}, expected {header!r}")
    for number, line in enumerate(lines, start=1 if header is None else 2):
        fields = line.removesuffix("\r").split(separator)
        where = f"{label}, line {number}"
        if len(fields) != len(columns):
            raise DataError(f"{where}: {_count(fields)}, expected {len(columns)} ({', '.join(columns)})")
        yield where, fields


def _count(fields: list[str]) -> str:
    return "1 column" if len(fields) == 1 else f"{len(fields)} columns"


def integer(where: str, column: str, field: str) -> int:
    """The field as an int; raises DataError at `where` when it is not one."""
    if not _INTEGER.fullmatch(field):
        raise DataError(f"{where}: {column} is {field!r}, expected a number")
    return int(field)


def genre_row(where: str, names: Iterable[str]) -> list[bool]:
    """One row of the genre table. Raises DataError for a name that is not one of the 19."""
    names = list(names)
    for name in names:
        if name not in GENRES:
            raise DataError(f"{where}: genre {name!r} is not one of {', '.join(GENRES)}")
    return [name in names for name in GENRES]


def assemble(name: str, rows: Rows, items: Items, users: Users | None) -> Ratings:
    """Ratings with dense ids. Users and items that have no rating are left out of the maps.

    Raises DataError, with file and line, for an id that is not listed and for a pair that is rated twice.
    """
    _refuse_unknown(rows, "item", items.ids)
    if users is not None:
        _refuse_unknown(rows, "user", users.ids)
    user_ids, item_ids = np.sort(pd.unique(rows.user)), np.sort(pd.unique(rows.item))
    dense_users, dense_items = np.searchsorted(user_ids, rows.user), np.searchsorted(item_ids, rows.item)
    _refuse_duplicates(rows, dense_users * len(item_ids) + dense_items)
    item_rows = _positions(items.ids, item_ids)
    attributes = {}
    if users is not None:
        user_rows = _positions(users.ids, user_ids)
        attributes = {
            "ages": users.ages[user_rows],
            "genders": users.genders[user_rows],
            "occupations": users.occupations[user_rows],
        }
    return Ratings(
        name=name,
        users=dense_users,
        items=dense_items,
        ratings=rows.rating,
        timestamps=rows.timestamp,
        user_ids=user_ids,
        item_ids=item_ids,
        titles=items.titles[item_rows],
        years=items.years[item_rows],
        genres=items.genres[item_rows],
        **attributes,
    )


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(ids)
    return order[np.searchsorted(ids, wanted, sorter=order)]


def _refuse_unknown(rows: Rows, column: str, known: np.ndarray) -> None:
    ids = getattr(rows, column)
    bad = ~np.isin(ids, known)
    if bad.any():
        row = int(bad.argmax())
        raise rows.error(row, f"{column} {ids[row]} is not in the list of {column}s")


def _refuse_duplicates(rows: Rows, pairs: np.ndarray) -> None:
    in_order = np.sort(pairs)
    if (in_order[1:] != in_order[:-1]).all():
        return
    order = np.argsort(pairs, kind="stable")
    again = np.flatnonzero(pairs[order][1:] == pairs[order][:-1]) + 1
    at = again[np.argmin(order[again])]
    row, earlier = int(order[at]), int(order[at - 1])
    first = rows.first_line + earlier
    raise rows.error(row, f"user {rows.user[row]} rates item {rows.item[row]} again (first in line {first})")
