import numpy as np
import pytest

from course_utils import data, splits, zoo


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """The sample, its known rows and its last rows; the cache in a folder of its own."""
    monkeypatch.setattr(zoo.runtime, "course_root", lambda: tmp_path)
    sample = data.load_movielens("sample")
    train, validation, test = splits.leave_last_out(sample.users, sample.timestamps)
    return sample, np.sort(np.concatenate([train, validation])), test


@pytest.mark.parametrize("name", zoo.MODELS)
def test_every_model_scores_every_user_and_item(parts, name):
    sample, known, test = parts
    table = zoo.scores(name, sample, known, test, fast=True)
    assert table.dtype == np.float32
    assert table.shape == (sample.n_users, sample.n_items)
    assert np.isfinite(table).all()


def test_a_model_is_trained_once_for_the_same_arguments(parts, monkeypatch):
    sample, known, test = parts
    trained = []
    fit = zoo.baselines.fit_popularity
    monkeypatch.setattr(zoo.baselines, "fit_popularity", lambda seen: trained.append(1) or fit(seen))
    first = zoo.scores("Popularity", sample, known, test)
    assert np.array_equal(zoo.scores("Popularity", sample, known, test), first)
    assert len(trained) == 1
    zoo.scores("Popularity", sample, known[1:], test)  # other rows
    zoo.scores("Popularity", sample, known, test, seed=1)
    assert len(trained) == 3
    monkeypatch.setattr(zoo, "_code", lambda: "other code")
    zoo.scores("Popularity", sample, known, test)
    assert len(trained) == 4


def test_the_history_is_that_of_the_test_row_and_not_the_row_itself(parts):
    sample, known, test = parts
    name = "Two-tower + history"
    one = zoo.scores(name, sample, known, test, fast=True)
    items = sample.items.copy()
    items[test] = (items[test] + 1) % sample.n_items  # other films in the test rows: nothing may change
    other = type(sample)(**{**vars(sample), "items": items})
    assert np.array_equal(zoo.scores(name, other, known, test, fast=True), one)


def test_an_unknown_model_is_refused_by_name(parts):
    with pytest.raises(ValueError, match=r"name='SVD': must be one of Popularity, .*history"):
        zoo.scores("SVD", *parts)
