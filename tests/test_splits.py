import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from course_utils import splits

fractions = st.floats(0.05, 0.95)
times = st.lists(st.integers(0, 30), min_size=2, max_size=60)  # few values, so that ties are common


def assert_parts(train, test, n_rows):
    """Disjoint, sum to the whole, ascending, int64."""
    assert sorted([*train, *test]) == list(range(n_rows))
    for part in (train, test):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


# random_split


@given(st.integers(2, 200), fractions, st.integers(0, 5))
def test_random_split_parts(n_rows, fraction, seed):
    train, test = splits.random_split(n_rows, fraction, seed)
    assert_parts(train, test, n_rows)
    assert len(train) >= 1
    assert abs(len(test) - fraction * n_rows) <= 1
    assert len(test) >= 1


def test_random_split_size_and_seed():
    train, test = splits.random_split(10)
    assert (len(train), len(test)) == (8, 2)
    assert splits.random_split(1000, seed=1)[1].tolist() == splits.random_split(1000, seed=1)[1].tolist()
    assert splits.random_split(1000, seed=1)[1].tolist() != splits.random_split(1000, seed=2)[1].tolist()


def test_random_split_tests_each_row_equally_often():
    # 2,000 draws of 2 in 10: each row expects 400, standard deviation sqrt(2000 * .2 * .8) = 17.9
    counts = Counter(row for seed in range(2000) for row in splits.random_split(10, seed=seed)[1].tolist())
    assert all(abs(counts[row] - 400) < 6 * 17.9 for row in range(10))


# k_fold


@given(st.data())
def test_k_fold_tests_each_row_once(data):
    n_rows = data.draw(st.integers(2, 100))
    n_folds = data.draw(st.integers(2, n_rows))
    folds = splits.k_fold(n_rows, n_folds, seed=data.draw(st.integers(0, 5)))
    assert len(folds) == n_folds
    for train, test in folds:
        assert_parts(train, test, n_rows)
    assert sorted(row for _, test in folds for row in test) == list(range(n_rows))
    assert {len(test) for _, test in folds} <= {n_rows // n_folds, math.ceil(n_rows / n_folds)}


def test_k_fold_is_random_and_seeded():
    first, again, other = (splits.k_fold(100, 5, seed)[0][1].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first != list(range(20))


# official_folds


def test_official_folds_are_fifths_in_row_order():
    rows = np.zeros(100_000, dtype=np.int64)
    folds = splits.official_folds(rows, rows)
    assert len(folds) == 5
    for number, (train, test) in enumerate(folds):
        assert test.tolist() == list(range(number * 20_000, (number + 1) * 20_000))
        assert len(train) == 80_000
        assert len(np.intersect1d(train, test)) == 0
        assert (np.diff(train) > 0).all()


def test_official_folds_exist_only_for_100k():
    with pytest.raises(ValueError, match=r"got 99999 users .* 100000 rows"):
        splits.official_folds(np.zeros(99_999), np.zeros(99_999))


# temporal_split


def test_temporal_split_by_hand():
    # in time order 10 20 30 40 50; position floor(.8 * 5) = 4, so the cut is 50
    train, test = splits.temporal_split([30, 10, 50, 20, 40], 0.2)
    assert (train.tolist(), test.tolist()) == ([0, 1, 3, 4], [2])
    # position floor(.5 * 5) = 2, so the cut is 30
    assert splits.temporal_split([30, 10, 50, 20, 40], 0.5)[1].tolist() == [0, 2, 4]


def test_temporal_split_moves_ties_at_the_cut_to_test():
    # in time order 1 2 3 3 3; position 4 has time 3: all three threes test
    train, test = splits.temporal_split([3, 1, 3, 2, 3], 0.2)
    assert (train.tolist(), test.tolist()) == ([1, 3], [0, 2, 4])


def test_temporal_split_is_not_thrown_by_floating_point():
    # (1 - .9) * 10 is .9999999999999998 in floating point; one row in ten trains
    train, test = splits.temporal_split(np.arange(10), 0.9)
    assert (train.tolist(), test.tolist()) == ([0], list(range(1, 10)))


@given(times, fractions)
def test_temporal_split_properties(timestamps, fraction):
    timestamps = np.array(timestamps)
    try:
        train, test = splits.temporal_split(timestamps, fraction)
    except ValueError:
        position = math.floor((1 - fraction) * len(timestamps))
        assert sorted(timestamps.tolist())[position] == timestamps.min()
        return
    assert_parts(train, test, len(timestamps))
    # nothing from the future, and no timestamp on both sides
    assert timestamps[train].max() < timestamps[test].min()
    # at least the fraction is tested, and without the ties at the cut it would not be more
    assert len(test) >= fraction * len(timestamps) - 1e-6
    assert (timestamps[test] > timestamps[test].min()).sum() < fraction * len(timestamps) + 1


@given(times, fractions, st.randoms())
def test_temporal_split_does_not_depend_on_row_order(timestamps, fraction, random):
    assume(sorted(timestamps)[math.floor((1 - fraction) * len(timestamps))] > min(timestamps))
    shuffled = list(timestamps)
    random.shuffle(shuffled)
    one, other = splits.temporal_split(timestamps, fraction), splits.temporal_split(shuffled, fraction)
    assert sorted(np.array(timestamps)[one[1]]) == sorted(np.array(shuffled)[other[1]])


def test_temporal_split_needs_something_to_train_on():
    with pytest.raises(ValueError, match="training part would be empty"):
        splits.temporal_split([7, 7, 7], 0.2)
    with pytest.raises(ValueError, match="empty"):
        splits.temporal_split([], 0.2)


# per_user_last


def test_per_user_last_by_hand():
    # user 0 has 6 rows: ceil(.2 * 6) = 2, the times 50 and 60. User 1 has 2: ceil(.4) = 1, time 9.
    # User 2 has a single row: it trains.
    users = [0, 1, 0, 0, 2, 0, 1, 0, 0]
    timestamps = [60, 9, 10, 50, 5, 20, 8, 30, 40]
    train, test = splits.per_user_last(users, timestamps, 0.2)
    assert test.tolist() == [0, 1, 3]
    assert train.tolist() == [2, 4, 5, 6, 7, 8]


def test_per_user_last_breaks_ties_by_row_order():
    assert splits.per_user_last([0, 0, 0, 0], [5, 5, 5, 1], 0.2)[1].tolist() == [2]


def test_per_user_last_is_not_thrown_by_floating_point():
    # .07 * 100 is 7.000000000000001 in floating point
    assert len(splits.per_user_last(np.zeros(100), np.arange(100), 0.07)[1]) == 7


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=60), fractions)
def test_per_user_last_equals_a_plain_loop(rows, fraction):
    users = np.array([user for user, _ in rows], dtype=np.int64)
    timestamps = np.array([time for _, time in rows], dtype=np.int64)
    train, test = splits.per_user_last(users, timestamps, fraction)
    assert_parts(train, test, len(rows))
    expected = []
    for user in set(users.tolist()):
        own = sorted(np.flatnonzero(users == user).tolist(), key=lambda row: (timestamps[row], row))
        n_test = min(math.ceil(fraction * len(own)), len(own) - 1)
        expected += own[len(own) - n_test :]
    assert test.tolist() == sorted(expected)
    for user in set(users.tolist()):
        own_train, own_test = train[users[train] == user], test[users[test] == user]
        assert len(own_train) >= 1  # nobody is tested who was not trained on
        if len(own_test):
            assert timestamps[own_train].max() <= timestamps[own_test].min()


# errors


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, math.nan])
def test_fraction_must_lie_between(fraction):
    message = f"test_fraction={fraction}: must lie between 0 and 1"
    with pytest.raises(ValueError, match=message):
        splits.random_split(10, fraction)
    with pytest.raises(ValueError, match=message):
        splits.temporal_split([1, 2, 3], fraction)
    with pytest.raises(ValueError, match=message):
        splits.per_user_last([0, 0], [1, 2], fraction)


def test_other_errors():
    with pytest.raises(ValueError, match="n_rows=1"):
        splits.random_split(1)
    for n_folds in (1, 11):
        with pytest.raises(ValueError, match=f"n_folds={n_folds}.*n_rows=10"):
            splits.k_fold(10, n_folds)
    with pytest.raises(ValueError, match="2 users but 3 timestamps"):
        splits.per_user_last([0, 0], [1, 2, 3])


# leave_last_out


def test_leave_last_out_by_hand():
    # user 0: times 10 (row 0), 30 (row 1), 20 (row 4), 40 (row 5): test row 5, validation row 1.
    # User 1 has two rows and user 7 one: they train.
    users = [0, 0, 1, 1, 0, 0, 7]
    timestamps = [10, 30, 5, 6, 20, 40, 99]
    train, validation, test = splits.leave_last_out(users, timestamps)
    assert (train.tolist(), validation.tolist(), test.tolist()) == ([0, 2, 3, 4, 6], [1], [5])


def test_leave_last_out_rules_for_ties():
    # rows 1, 2 and 3 share the last moment; their items are 8, 9, 7
    users, timestamps, items = [0] * 4, [1, 5, 5, 5], [6, 8, 9, 7]

    def parts(ties):
        train, validation, test = splits.leave_last_out(users, timestamps, ties, items=items)
        return train.tolist(), validation.tolist(), test.tolist()

    assert parts("last row") == ([0, 1], [2], [3])
    assert parts("first row") == ([0, 3], [2], [1])
    assert parts("highest item") == ([0, 3], [1], [2])
    assert splits.leave_last_out(users, timestamps)[2].tolist() == [3]  # the default


def test_leave_last_out_random_ties_are_fair_and_seeded():
    # 3,000 users with 3 rows at one moment: each row is last for 1,000, sd sqrt(3000 * 1/3 * 2/3) = 25.8
    users, timestamps = np.repeat(np.arange(3000), 3), np.zeros(9000)
    first, again, other = (splits.leave_last_out(users, timestamps, "random", seed) for seed in (0, 0, 1))
    assert first[2].tolist() == again[2].tolist() != other[2].tolist()
    for part in first:
        counts = np.bincount(part % 3, minlength=3)
        assert (np.abs(counts - 1000) < 5 * 25.8).all()


def test_random_ties_never_overrule_time():
    users, timestamps = np.repeat(np.arange(50), 4), np.tile([3, 1, 2, 0], 50)
    _, validation, test = splits.leave_last_out(users, timestamps, "random", seed=4)
    assert (test % 4 == 0).all()
    assert (validation % 4 == 2).all()


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=50),
    st.sampled_from(["last row", "first row", "random", "highest item"]),
)
def test_leave_last_out_properties(rows, ties):
    users = np.array([user for user, _ in rows], dtype=np.int64)
    timestamps = np.array([time for _, time in rows], dtype=np.int64)
    items = np.random.default_rng(0).permutation(len(rows))
    train, validation, test = splits.leave_last_out(users, timestamps, ties, items=items)
    assert sorted([*train, *validation, *test]) == list(range(len(rows)))
    for part in (train, validation, test):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    counts = Counter(users.tolist())
    large = sorted(user for user in counts if counts[user] >= 3)
    assert sorted(users[test]) == sorted(users[validation]) == large
    places = {"last row": range(len(rows)), "first row": range(0, -len(rows), -1), "highest item": items}
    key = places.get(ties)
    for user in large:
        own = np.flatnonzero(users == user).tolist()
        (last,) = set(own) & set(test.tolist())
        (second,) = set(own) & set(validation.tolist())
        before = timestamps[sorted(set(own) - {last, second})].max()
        assert before <= timestamps[second] <= timestamps[last]
        if key is not None:
            assert sorted(own, key=lambda row: (timestamps[row], key[row]))[-2:] == [second, last]


def test_leave_last_out_errors():
    with pytest.raises(ValueError, match=r"ties='last'.*'last row', 'first row', 'random', 'highest item'"):
        splits.leave_last_out([0], [0], ties="last")
    with pytest.raises(ValueError, match="needs items"):
        splits.leave_last_out([0], [0], ties="highest item")
    with pytest.raises(ValueError, match="2 users but 1 timestamps"):
        splits.leave_last_out([0, 1], [0])


# leave_random_out


@given(st.lists(st.integers(0, 6), max_size=50), st.integers(0, 5))
def test_leave_random_out_parts(rows, seed):
    users = np.array(rows, dtype=np.int64)
    train, validation, test = splits.leave_random_out(users, seed)
    assert sorted([*train, *validation, *test]) == list(range(len(rows)))
    for part in (train, validation, test):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    large = sorted(user for user, count in Counter(rows).items() if count >= 3)
    assert sorted(users[test]) == sorted(users[validation]) == large


def test_leave_random_out_is_fair_and_seeded():
    # 3,000 users with 4 rows: each place is drawn for 750, sd sqrt(3000 * 1/4 * 3/4) = 23.7
    users = np.repeat(np.arange(3000), 4)
    first, again, other = (splits.leave_random_out(users, seed) for seed in (0, 0, 1))
    assert first[2].tolist() == again[2].tolist() != other[2].tolist()
    for part in first[1:]:
        assert (np.abs(np.bincount(part % 4, minlength=4) - 750) < 5 * 23.7).all()
