import dataclasses

import numpy as np
import pytest

from course_utils import data, features
from course_utils.data import Ratings


def make(**changes):
    """Three users, four films; a Western, a Drama and a War film, and one of unknown year."""
    genre_names = ("Drama", "War", "Western")
    fields = {
        "name": "toy",
        "users": [0, 1, 1, 2],
        "items": [0, 2, 0, 3],
        "ratings": [5, 4, 3, 2],
        "timestamps": [1, 2, 3, 4],
        "user_ids": [10, 20, 30],
        "item_ids": [1, 2, 3, 4],
        "titles": ["Rio Bravo (1959)", "El Dorado (1966)", "Rio Grande (1950)", "unknown"],
        "years": [1959, 1966, 1950, 0],
        "genres": [[0, 0, 1], [0, 0, 1], [0, 1, 1], [1, 0, 0]],
        "genre_names": genre_names,
        "ages": [17, 18, 70],
        "genders": ["F", "M", "F"],
        "occupations": ["writer", "artist", "pilot"],
    }
    return Ratings(**(fields | changes))


# multi_hot


def test_multi_hot_by_hand():
    table = features.multi_hot([["a"], ["c", "a"], ["x"], ["x", "b", "y"], []], ["a", "b", "c"])
    assert table.dtype == np.float32
    assert table.tolist() == [[0, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_multi_hot_counts_a_value_once_and_takes_an_empty_vocabulary():
    assert features.multi_hot([["a", "a"]], ["a"]).tolist() == [[0, 1]]
    assert features.multi_hot([["a"], []], []).tolist() == [[1], [0]]
    assert features.multi_hot([], ["a"]).shape == (0, 2)


def test_multi_hot_refuses_a_vocabulary_with_repeats():
    with pytest.raises(ValueError, match="3 values, 2 of them different"):
        features.multi_hot([["a"]], ["a", "b", "a"])


# items


def test_item_features_by_hand():
    # trained on items 0 and 2: Western and War, decade 50s, words rio (twice), bravo, grande
    toy = make()
    found = features.build_item_features(toy, np.array([2, 0, 0]), min_count=1)
    assert found.ids.tolist() == [1, 0, 2, 0]
    assert found.n_ids == 2
    assert found.columns == (
        *("genre: ?", "genre: War", "genre: Western"),
        *("decade: ?", "decade: 1950s"),
        *("word: ?", "word: bravo", "word: grande", "word: rio"),
    )
    assert found.content.tolist() == [
        [0, 0, 1, 0, 1, 0, 1, 0, 1],
        [0, 0, 1, 1, 0, 1, 0, 0, 0],  # El Dorado: its decade and words were not in training
        [0, 1, 1, 0, 1, 0, 0, 1, 1],
        [1, 0, 0, 1, 0, 1, 0, 0, 0],
    ]
    assert found.content.dtype == np.float32
    assert len(found) == 4


def test_a_rare_word_is_unknown():
    # rio stands in two titles of training, bravo and grande in one each
    found = features.build_item_features(make(), np.array([0, 2]), min_count=2)
    assert found.vocabularies["word"] == ("rio",)
    assert found.content[:, -2:].tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]


def test_vocabularies_know_nothing_of_items_outside_training():
    # Another catalogue that differs in what is not in training: the vocabularies must not notice.
    toy = make()
    other = make(
        titles=["Rio Bravo (1959)", "The Alamo (1960)", "Rio Grande (1950)", "Hondo (1953)"],
        years=[1959, 1960, 1950, 1953],
        genres=[[0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]],
    )
    one, two = (features.build_item_features(each, np.array([0, 2]), 1) for each in (toy, other))
    assert one.vocabularies == two.vocabularies
    assert np.array_equal(one.ids, two.ids)
    assert np.array_equal(one.content[[0, 2]], two.content[[0, 2]])


def test_an_item_of_the_catalogue_that_was_never_seen_equals_one_that_came_later():
    toy = make()
    found = features.build_item_features(toy, np.array([0, 2]), min_count=1)
    later = features.describe_items(found, toy.titles[1:2], toy.years[1:2], toy.genres[1:2], toy.genre_names)
    assert later.columns == found.columns
    assert later.ids.tolist() == [0]
    assert np.array_equal(later.content, found.content[1:2])


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Toy Story (1995)", {"toy", "story"}),
        ("The City of Lost Children (La Cité des enfants perdus) (1995)",
         {"the", "city", "of", "lost", "children", "la", "cité", "des", "enfants", "perdus"}),
        ("2001: A Space Odyssey (1968)", {"a", "space", "odyssey"}),
        ("1900", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_words(title, expected):
    assert features.words(title) == expected


# users


def test_user_features_by_hand():
    found = features.build_user_features(make(), np.array([1, 0, 1]))
    assert found.ids.tolist() == [1, 2, 0]
    assert found.columns == (
        *("age: ?", "age: 0+", "age: 18+"),
        *("gender: ?", "gender: F", "gender: M"),
        *("occupation: ?", "occupation: artist", "occupation: writer"),
    )
    assert found.content.tolist() == [
        [0, 1, 0, 0, 1, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 1, 0, 1, 0],  # 18 belongs to the bracket it begins
        [1, 0, 0, 0, 1, 0, 1, 0, 0],  # nobody of 56 or more and no pilot in training
    ]


def test_users_that_come_later():
    found = features.build_user_features(make(), np.array([0, 1]))
    later = features.describe_users(found, [24, 30], ["M", "X"], ["writer", "writer"])
    assert later.ids.tolist() == [0, 0]
    assert later.content.tolist() == [[0, 0, 1, 0, 0, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0, 0, 0, 1]]


def test_without_attributes_there_are_ids_only():
    found = features.build_user_features(make(ages=None, genders=None, occupations=None), np.array([2, 0]))
    assert found.ids.tolist() == [1, 0, 2]
    assert found.content.shape == (3, 0)
    assert found.columns == ()


# Features


def test_take_without_ids_and_without_content():
    found = features.build_item_features(make(), np.array([0, 2]), min_count=1)
    part = found.take([2, 0])
    assert part.ids.tolist() == [2, 1]
    assert np.array_equal(part.content, found.content[[2, 0]])
    content_only = found.without_ids()
    assert content_only.ids.tolist() == [0, 0, 0, 0]
    assert content_only.n_ids == 0
    assert np.array_equal(content_only.content, found.content)
    ids_only = found.without_content()
    assert np.array_equal(ids_only.ids, found.ids)
    assert ids_only.content.shape == (4, 0)
    assert ids_only.columns == ()
    assert found.ids.tolist() == [1, 0, 2, 0]  # untouched
    assert dataclasses.is_dataclass(found)


def test_features_of_the_sample():
    sample = data.load_movielens("sample")
    found = features.build_item_features(sample, sample.items)
    assert found.content.shape == (sample.n_items, len(found.columns))
    assert set(np.unique(found.content)) == {0, 1}
    rated = np.unique(sample.items)
    assert sorted(found.ids[rated]) == list(range(1, len(rated) + 1))
    assert (found.content[rated][:, found.columns.index("genre: ?")] == 0).all()
