"""What is known of users and items besides who met whom: ids and content, as arrays for a model's towers.

The vocabularies hold what occurs in training and nothing else. What is not in them goes to row or column 0,
so that an item that nobody has seen yet has features too: no id of its own, but its genres, decade and words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from course_utils.data import Ratings

AGE_STARTS = (0, 18, 25, 35, 45, 50, 56)  # the brackets of MovieLens 1M, used for every size
_YEAR = re.compile(r"\s*\(\d{4}\)$")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Of N users or N items.

    ids [N] int64: a row of the id table of n_ids + 1 rows; 0 = not in training. content [N, F] float32: 1 in
    the column of each value that holds. vocabularies: of each field its values, in the order of the columns,
    each field behind a column for values that are not in its vocabulary.
    """

    ids: np.ndarray
    n_ids: int
    content: np.ndarray
    vocabularies: dict[str, tuple]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Features({len(self):,} rows, {self.n_ids:,} ids, {self.content.shape[1]} columns of content)"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of content: "genre: ?" (not in the vocabulary), "genre: Action", ..."""
        fields = self.vocabularies.items()
        return tuple(f"{field}: {value}" for field, values in fields for value in ("?", *values))

    def take(self, rows: np.ndarray) -> Features:
        """The features of these rows, in this order."""
        return replace(self, ids=self.ids[rows], content=self.content[rows])

    def without_ids(self) -> Features:
        """Content only: every row as if it were new."""
        return replace(self, ids=np.zeros_like(self.ids), n_ids=0)

    def without_content(self) -> Features:
        """Ids only."""
        return replace(self, content=self.content[:, :0], vocabularies={})


def multi_hot(values: Sequence[Iterable], vocabulary: Sequence) -> np.ndarray:
    """Sets of values as rows of 0 and 1: N sets, V known values -> float32 [N, 1 + V].

    Column 1 + v is 1 where the set holds the v-th value of the vocabulary; column 0 where it holds a value
    that is not in it. An empty set -> a row of zeros. ValueError for a vocabulary that lists a value twice.
    """
    column = {value: number for number, value in enumerate(vocabulary, start=1)}
    if len(column) < len(vocabulary):
        raise ValueError(f"vocabulary of {len(vocabulary)} values, {len(column)} of them different: one each")
    table = np.zeros((len(values), 1 + len(vocabulary)), dtype=np.float32)
    for row, one in enumerate(values):
        table[row, [column.get(value, 0) for value in one]] = 1
    return table


def build_user_features(ratings: Ratings, train_users: np.ndarray) -> Features:
    """Id, age bracket, gender and occupation of every user of a data set, learnt from the training rows.

    train_users [R]: the users of the training rows, repeated or not -> Features of all U users. Where a data
    set has no user attributes there are ids only.
    """
    known = np.flatnonzero(np.bincount(train_users))
    fields = {}
    if ratings.ages is not None:
        fields = _user_fields(ratings.ages, ratings.genders, ratings.occupations)
    return _fit(_id_rows(known, ratings.n_users), len(known), fields, known)


def build_item_features(ratings: Ratings, train_items: np.ndarray, min_count: int = 3) -> Features:
    """Id, genres, decade and title words of every item of a catalogue, learnt from the training rows.

    train_items [R]: the items of the training rows, repeated or not -> Features of all I items. A word needs
    min_count titles in training to get a column of its own.
    """
    known = np.flatnonzero(np.bincount(train_items))
    fields = _item_fields(ratings.titles, ratings.years, ratings.genres, ratings.genre_names)
    return _fit(_id_rows(known, ratings.n_items), len(known), fields, known, {"word": min_count})


def describe_users(like: Features, ages, genders, occupations) -> Features:
    """Users that came after training (ages, genders, occupations [N]), in the columns of `like`; id 0."""
    return _describe(like, _user_fields(ages, genders, occupations))


def describe_items(like: Features, titles, years, genres, genre_names: Sequence[str]) -> Features:
    """Items that came after training (titles, years [N], genres [N, G] bool), in the columns of `like`; id 0.

    Year 0 means unknown.
    """
    return _describe(like, _item_fields(titles, years, genres, genre_names))


def words(title: str) -> set[str]:
    """The words of a title in small letters, without the year: "Toy Story (1995)" -> {"toy", "story"}."""
    return set(_WORD.findall(_YEAR.sub("", title).lower()))


def _user_fields(ages, genders, occupations) -> dict[str, list]:
    starts = [AGE_STARTS[np.searchsorted(AGE_STARTS, age, side="right") - 1] for age in ages]
    return {
        "age": [[f"{start}+"] for start in starts],
        "gender": [[str(gender)] for gender in genders],
        "occupation": [[str(occupation)] for occupation in occupations],
    }


def _item_fields(titles, years, genres, genre_names) -> dict[str, list]:
    names = np.array(genre_names)
    return {
        "genre": [names[row].tolist() for row in np.asarray(genres, dtype=bool)],
        "decade": [[f"{year // 10 * 10}s" if year else None] for year in years],
        "word": [sorted(words(str(title))) for title in titles],
    }


def _id_rows(known: np.ndarray, n: int) -> np.ndarray:
    """Dense index -> row of the id table: known ids get 1, 2, ...; the others 0."""
    rows = np.zeros(n, dtype=np.int64)
    rows[known] = np.arange(1, len(known) + 1)
    return rows


def _fit(ids, n_ids, fields, known, min_counts=None) -> Features:
    vocabularies = {}
    for field, values in fields.items():
        counts = Counter(value for row in known for value in values[row] if value is not None)
        enough = (min_counts or {}).get(field, 1)
        vocabularies[field] = tuple(sorted(value for value, count in counts.items() if count >= enough))
    return Features(ids, n_ids, _content(fields, vocabularies, len(ids)), vocabularies)


def _describe(like: Features, fields: dict[str, list]) -> Features:
    n_rows = len(next(iter(fields.values())))
    return replace(
        like, ids=np.zeros(n_rows, dtype=np.int64), content=_content(fields, like.vocabularies, n_rows)
    )


def _content(fields, vocabularies, n_rows) -> np.ndarray:
    parts = [multi_hot(fields[field], vocabulary) for field, vocabulary in vocabularies.items()]
    return np.concatenate([np.zeros((n_rows, 0), dtype=np.float32), *parts], axis=1)
