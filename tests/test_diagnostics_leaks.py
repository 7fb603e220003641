import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils import diagnostics, sampling, splits
from course_utils.evaluate import LeaveOneOut

# Three users. Training: user 0 has items 0 and 1, user 1 has items 1 and 2, user 2 has item 0.
TRAIN_USERS, TRAIN_ITEMS, TRAIN_TIMES = [0, 0, 1, 1, 2], [0, 1, 1, 2, 0], [10, 20, 10, 30, 50]
TRAIN = sampling.interactions(TRAIN_USERS, TRAIN_ITEMS, 3, 4)


def test_a_finding_in_words():
    found = diagnostics.shared_pairs(TRAIN_USERS, TRAIN_ITEMS, [0, 1], [1, 3])
    assert str(found) == "shared_pairs: LEAK, 1 of 2 test pairs are in training"
    assert found == diagnostics.Finding("shared_pairs", True, 1, "1 of 2 test pairs are in training")
    clean = diagnostics.shared_pairs(TRAIN_USERS, TRAIN_ITEMS, [0], [3])
    assert str(clean) == "shared_pairs: ok, 0 of 1 test pairs are in training"


def numbers(finding):
    assert finding.found == (finding.n > 0)
    return finding.n


# shared_pairs

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@given(pairs, pairs)
def test_shared_pairs_equal_a_plain_count(train, test):
    columns = [np.array(rows, dtype=np.int64).reshape(-1, 2).T for rows in (train, test)]
    assert numbers(diagnostics.shared_pairs(*columns[0], *columns[1])) == sum(row in train for row in test)


def test_pairs_are_told_apart_whatever_their_items():
    assert numbers(diagnostics.shared_pairs([0], [3], [3], [0])) == 0
    assert numbers(diagnostics.shared_pairs([3], [0], [0], [3])) == 0
    assert numbers(diagnostics.shared_pairs([], [], [0], [3])) == 0


# future_in_training


def test_future_by_hand():
    # user 0 is tested at 20: its row of the same moment is no future. User 1 at 20: the row at 30 is.
    # Of user 2's test rows, at 40 and 70, the earliest counts: the row at 50 is later. User 9 has none.
    found = diagnostics.future_in_training(TRAIN_USERS, TRAIN_TIMES, [0, 1, 2, 2, 9], [20, 20, 40, 70, 0])
    assert numbers(found) == 2
    assert found.what == "2 of 5 training rows are later than a test row of their user"
    assert numbers(diagnostics.future_in_training(TRAIN_USERS, TRAIN_TIMES, [0, 1], [20, 30])) == 0


def test_the_future_is_in_a_random_split_and_not_in_the_last_row():
    rng = np.random.default_rng(0)
    users, times = np.repeat(np.arange(30), 10), rng.integers(0, 99, 300)
    parts = {"last": splits.leave_last_out(users, times), "random": splits.leave_random_out(users)}
    found = {
        name: diagnostics.future_in_training(users[train], times[train], users[test], times[test])
        for name, (train, _, test) in parts.items()
    }
    assert numbers(found["last"]) == 0
    # half of the 8 training rows of each user, fewer for ties: about 120 of 240
    assert 80 < numbers(found["random"]) < 160


# spared_negatives


def test_spared_negatives_by_hand():
    # spared are (0, 2) and (1, 3); that (1, 1) is in training is another leak; (2, 2) may be drawn
    excluded = sampling.interactions([*TRAIN_USERS, 0, 1], [*TRAIN_ITEMS, 2, 3], 3, 4)
    found = diagnostics.spared_negatives(excluded, TRAIN, [0, 1, 1, 2], [2, 3, 1, 2])
    assert numbers(found) == 2
    assert found.what == "2 of 4 test pairs are not in training, yet never drawn as negatives"
    assert numbers(diagnostics.spared_negatives(TRAIN, TRAIN, [0, 1, 1, 2], [2, 3, 1, 2])) == 0


# features_from_held_out


def test_features_by_hand():
    # counts of each item in training rows, and in all rows with (0, 3) and (1, 3)
    from_training = np.bincount(TRAIN_ITEMS, minlength=4)
    used = np.bincount([*TRAIN_ITEMS, 3, 3], minlength=4)
    found = diagnostics.features_from_held_out(used, from_training)
    assert numbers(found) == 1
    assert found.what == "1 of 4 rows of features need more than training rows to be built"
    rounded = (from_training / 3).astype(np.float32)
    assert numbers(diagnostics.features_from_held_out(rounded, from_training / 3)) == 0
    # rows of histories; a row counts once however much of it differs
    used, from_training = np.array([[[1, 2]], [[3, 4]]]), np.array([[[1, 2]], [[0, 0]]])
    assert numbers(diagnostics.features_from_held_out(used, from_training)) == 1
    assert numbers(diagnostics.features_from_held_out([[1, np.nan]], [[1, np.nan]])) == 0
    assert numbers(diagnostics.features_from_held_out([[1, np.nan]], [[1, 0]])) == 1


# too_good


def result(hits, mrr=None, k=10, n_neg=99):
    hits = np.array(hits, dtype=float)
    return LeaveOneOut(hits, hits, hits if mrr is None else np.array(mrr), k, n_neg)


def test_too_good_by_hand():
    baseline = result([1, 0.5, 0.5, 0], mrr=[0.5, 0.5, 0.5, 0])
    odd = result([1, 1, 0.5, 0.25], mrr=[0.5, 1, 0.4, 0.1])  # .6875 against .5; two users are ranked better
    found = diagnostics.too_good(odd, baseline)
    assert numbers(found) == 2
    assert found.what == "HR@10 0.688 is +0.188 from the baseline; +0.15 is credible"
    assert numbers(diagnostics.too_good(odd, baseline, margin=0.2)) == 0
    assert numbers(diagnostics.too_good(baseline, odd)) == 0
    assert numbers(diagnostics.too_good(result([1, 1]), result([0.5, 0.5]), margin=0.5)) == 0  # just at it


@pytest.mark.parametrize("other", [result([1, 0], k=5), result([1, 0], n_neg=None), result([1, 0, 1])])
def test_only_the_same_protocol_can_be_compared(other):
    with pytest.raises(ValueError, match=r"k, n_neg and number of users are .10, 99, 2. and"):
        diagnostics.too_good(result([1, 0]), other)


def test_columns_of_different_lengths_are_refused():
    message = r"train_users \[2\], train_{}s \[1\]: must be one-dimensional and of one length"
    with pytest.raises(ValueError, match=message.format("item")):
        diagnostics.shared_pairs([0, 1], [0], [0], [0])
    with pytest.raises(ValueError, match=message.format("time")):
        diagnostics.future_in_training([0, 1], [0], [0], [0])
    with pytest.raises(ValueError, match=r"test_users \[1\], test_items \[2\]"):
        diagnostics.spared_negatives(TRAIN, TRAIN, [0], [0, 1])
    with pytest.raises(ValueError, match=r"excluded \[3, 4\], train \[3, 5\]"):
        diagnostics.spared_negatives(TRAIN, sampling.interactions([0], [0], 3, 5), [0], [0])
    with pytest.raises(ValueError, match=r"used \[3\], from_training \[2\]"):
        diagnostics.features_from_held_out([1, 2, 3], [1, 2])
