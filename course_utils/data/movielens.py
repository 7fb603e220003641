"""The layouts in which MovieLens is published, each read into `Ratings`.

Each reader takes `files`, which opens a file by name and gives its label for messages (see `files.py`).
"""

import csv
import io

import numpy as np

from .files import Files
from .formats import Items, RatingFormat, Users, assemble, genre_row, integer, read_rows
from .ratings import GENRES, DataError, Ratings
from .titles import normalise_title

# The ages of "1m" are brackets, given by their lower end (1 = under 18); its occupations are numbered so.
OCCUPATIONS_1M = (
    "other", "educator", "artist", "clerical", "student", "customer service", "doctor", "executive", "farmer",
    "homemaker", "K-12 student", "lawyer", "programmer", "retired", "salesman", "scientist", "self-employed",
    "technician", "tradesman", "unemployed", "writer",
)  # fmt: skip


def read_100k(name: str, files: Files) -> Ratings:
    """u.data (tab separated), u.item and u.user ("|", latin-1): "100k" and the sample."""
    with files.open("u.data") as file:
        rows = read_rows(file, files.label("u.data"), RatingFormat("\t"))
    columns = ["id", "title", "release date", "video release date", "URL", *GENRES]
    items = _Catalogue(files.label("u.item"))
    for where, fields in files.lines("u.item", "|", columns, "latin-1"):
        flags = fields[5:]
        if not set(flags) <= {"0", "1"}:
            raise DataError(f"{where}: the genre flags are {'|'.join(flags)}, expected 0 or 1 each")
        items.add(where, fields[0], fields[1], [flag == "1" for flag in flags])
    users = _People(files.label("u.user"))
    for where, (user_id, age, gender, occupation, _zip) in files.lines(
        "u.user", "|", ["id", "age", "gender", "occupation", "zip code"], "latin-1"
    ):
        users.add(where, user_id, age, gender, occupation)
    return assemble(name, rows, items.table(), users.table())


def read_recbole(name: str, files: Files) -> Ratings:
    """ml-100k.inter, .item and .user of the recbole wheel (tab separated, UTF-8, typed headers)."""
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    with files.open("ml-100k.inter") as file:
        rows = read_rows(file, files.label("ml-100k.inter"), RatingFormat("\t", header))
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    items = _Catalogue(files.label("ml-100k.item"))
    for where, (item_id, title, year, genres) in files.lines(
        "ml-100k.item", "\t", ["id", "title", "year", "genres"], "utf-8", header
    ):
        # Item 267 has neither title nor year: GroupLens writes "unknown", here both read "unkonwn". The year
        # of item 1412 is still in its title, in the column stands the "V" of "(V)".
        known = title if title != "unkonwn" else "unknown"
        if year not in ("unkonwn", "V"):
            known = f"{title} ({integer(where, 'year', year)})"
        items.add(where, item_id, known, genre_row(where, genres.split()))
    header = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
    users = _People(files.label("ml-100k.user"))
    for where, (user_id, age, gender, occupation, _zip) in files.lines(
        "ml-100k.user", "\t", ["id", "age", "gender", "occupation", "zip code"], "utf-8", header
    ):
        users.add(where, user_id, age, gender, occupation)
    return assemble(name, rows, items.table(), users.table())


def read_1m(name: str, files: Files) -> Ratings:
    """ratings.dat, movies.dat and users.dat ("::", latin-1)."""
    with files.open("ratings.dat") as file:
        rows = read_rows(file, files.label("ratings.dat"), RatingFormat("::"))
    items = _Catalogue(files.label("movies.dat"))
    columns = ["id", "title", "genres"]
    for where, (item_id, title, genres) in files.lines("movies.dat", "::", columns, "latin-1"):
        items.add(where, item_id, title, genre_row(where, genres.split("|")))
    users = _People(files.label("users.dat"))
    columns = ["id", "gender", "age", "occupation", "zip code"]
    for where, (user_id, gender, age, occupation, _zip) in files.lines("users.dat", "::", columns, "latin-1"):
        number = integer(where, "occupation", occupation)
        if number >= len(OCCUPATIONS_1M):
            raise DataError(f"{where}: occupation is {number}, allowed are 0 to {len(OCCUPATIONS_1M) - 1}")
        users.add(where, user_id, age, gender, OCCUPATIONS_1M[number])
    return assemble(name, rows, items.table(), users.table())


def read_32m(name: str, files: Files) -> Ratings:
    """ratings.csv (half stars) and movies.csv (UTF-8); no user attributes.

    The genres are put into the 19 columns of the other sizes: "Children" is "Children's", "(no genres
    listed)" is "unknown", and "IMAX", which says where a film is shown and not what it is, is left out.
    """
    with files.open("ratings.csv") as file:
        half_stars = RatingFormat(",", "userId,movieId,rating,timestamp", step=0.5)
        rows = read_rows(file, files.label("ratings.csv"), half_stars)
    renamed = {"Children": "Children's", "(no genres listed)": "unknown"}
    label = files.label("movies.csv")
    items = _Catalogue(label)
    with files.open("movies.csv") as file:
        reader = csv.reader(io.TextIOWrapper(file, "utf-8", newline=""), strict=True)
        try:
            for fields in reader:
                where = f"{label}, line {reader.line_num}"
                if reader.line_num == 1 and fields != ["movieId", "title", "genres"]:
                    raise DataError(f"{where}: the header is {fields}, expected movieId,title,genres")
                if len(fields) != 3:
                    raise DataError(f"{where}: {len(fields)} columns, expected 3 (movieId, title, genres)")
                if reader.line_num > 1:
                    genres = [renamed.get(genre, genre) for genre in fields[2].split("|") if genre != "IMAX"]
                    items.add(where, fields[0], fields[1], genre_row(where, genres))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{label}, line {reader.line_num + 1}: {error}") from error
    return assemble(name, rows, items.table(), None)


class _Catalogue:
    """Collects films line by line; an id that comes twice is an error."""

    def __init__(self, label: str):
        self._label, self._rows = label, {}

    def add(self, where: str, item_id: str, raw_title: str, genres: list[bool]) -> None:
        number = integer(where, "id", item_id)
        if number in self._rows:
            raise DataError(f"{where}: item {number} is listed twice")
        self._rows[number] = (*normalise_title(raw_title), genres)

    def table(self) -> Items:
        if not self._rows:
            raise DataError(f"{self._label}: no items in it")
        titles, years, genres = zip(*self._rows.values(), strict=True)
        return Items(np.array(list(self._rows)), np.array(titles), np.array(years), np.array(genres))


class _People:
    """Collects users line by line; an id that comes twice is an error."""

    def __init__(self, label: str):
        self._label, self._rows = label, {}

    def add(self, where: str, user_id: str, age: str, gender: str, occupation: str) -> None:
        number = integer(where, "id", user_id)
        if number in self._rows:
            raise DataError(f"{where}: user {number} is listed twice")
        if gender not in ("F", "M"):
            raise DataError(f"{where}: gender is {gender!r}, expected F or M")
        self._rows[number] = (integer(where, "age", age), gender, occupation)

    def table(self) -> Users:
        if not self._rows:
            raise DataError(f"{self._label}: no users in it")
        ages, genders, occupations = zip(*self._rows.values(), strict=True)
        return Users(np.array(list(self._rows)), np.array(ages), np.array(genders), np.array(occupations))
