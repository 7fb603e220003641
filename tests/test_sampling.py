import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch.utils.data import DataLoader

from course_utils import sampling


def make(n_rows=10):
    return sampling.MovieLensDataset(np.arange(n_rows), np.arange(n_rows) * 10, np.arange(n_rows) % 5 + 1)


def rows_of(batches):
    return [row for batch in batches for row in zip(*(column.tolist() for column in batch), strict=True)]


# MovieLensDataset


def test_dataset_gives_rows():
    dataset = make()
    assert len(dataset) == 10
    user, item, rating = dataset[3]
    assert (user.item(), item.item(), rating.item()) == (3, 30, 4.0)
    assert (user.dtype, item.dtype, rating.dtype) == (torch.int64, torch.int64, torch.float32)
    assert user.shape == item.shape == rating.shape == ()


def test_dataset_copies_read_only_arrays_without_a_warning():
    ratings = SimpleNamespace(
        users=np.array([1, 0]), items=np.array([0, 2]), ratings=np.array([3.5, 4], dtype=np.float32)
    )
    for array in vars(ratings).values():
        array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = sampling.MovieLensDataset.from_ratings(ratings)
    dataset.users[0] = 7
    assert ratings.users[0] == 1
    assert dataset[1][2].item() == 4.0


def test_dataset_refuses_columns_that_do_not_fit():
    with pytest.raises(ValueError, match="2 users, 3 items, 2 ratings"):
        sampling.MovieLensDataset([0, 1], [0, 1, 2], [3, 4])


@given(st.lists(st.integers(0, 9), max_size=12))
def test_getitems_equals_getitem(rows):
    dataset = make()
    batch = dataset.__getitems__(rows)
    assert len(batch) == len(rows)
    assert list(batch) == [dataset[row] for row in rows]
    assert rows_of([dataset.collate(batch)]) == [tuple(x.item() for x in dataset[row]) for row in rows]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("collate_fn", [None, sampling.MovieLensDataset.collate])
def test_dataset_in_a_dataloader(num_workers, collate_fn):
    dataset = make()
    loader = DataLoader(dataset, batch_size=4, num_workers=num_workers, collate_fn=collate_fn)
    batches = list(loader)
    assert [len(users) for users, _, _ in batches] == [4, 4, 2]
    assert [column.dtype for column in batches[0]] == [torch.int64, torch.int64, torch.float32]
    assert rows_of(batches) == [tuple(x.item() for x in row) for row in dataset]


def test_shuffled_dataloader_gives_each_row_once():
    dataset = make(50)
    loader = DataLoader(dataset, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0))
    rows = rows_of(loader)
    assert sorted(rows) == [tuple(x.item() for x in row) for row in dataset]
    assert rows != sorted(rows)


# minibatches


@given(st.integers(0, 40), st.integers(1, 50), st.booleans(), st.integers(0, 3))
def test_minibatches_cover_each_row_once(n_rows, batch_size, shuffle, seed):
    ids = torch.arange(n_rows)
    vecs = torch.stack([ids * 2.0, ids * 3.0], dim=1)  # [R, 2]: more than one dimension is fine
    generator = torch.Generator().manual_seed(seed)
    batches = list(sampling.minibatches((ids, vecs), batch_size, generator, shuffle))
    sizes = [len(batch_ids) for batch_ids, _ in batches]
    assert sum(sizes) == n_rows
    assert all(size == batch_size for size in sizes[:-1])
    assert all(0 < size <= batch_size for size in sizes[-1:])
    seen = [row for batch_ids, _ in batches for row in batch_ids.tolist()]
    assert sorted(seen) == list(range(n_rows))
    assert shuffle or seen == sorted(seen)
    for batch_ids, batch_vecs in batches:  # the columns stay together
        assert batch_vecs.tolist() == [[row * 2.0, row * 3.0] for row in batch_ids.tolist()]


def test_minibatches_draw_a_new_order_each_epoch_and_repeat_by_seed():
    ids = (torch.arange(100),)

    def epochs(seed):
        generator = torch.Generator().manual_seed(seed)
        return [rows_of(sampling.minibatches(ids, 32, generator)) for _ in range(2)]

    first, second = epochs(0)
    assert first != second
    assert epochs(0) == [first, second]
    assert epochs(1) != [first, second]


def test_minibatches_without_a_generator_follow_the_global_seed():
    ids = (torch.arange(100),)
    torch.manual_seed(5)
    first = rows_of(sampling.minibatches(ids, 32))
    torch.manual_seed(5)
    assert rows_of(sampling.minibatches(ids, 32)) == first


def test_minibatches_errors():
    with pytest.raises(ValueError, match=r"\[3, 2\] rows"):
        list(sampling.minibatches((torch.zeros(3), torch.zeros(2)), 2))
    with pytest.raises(ValueError, match="batch_size=0"):
        list(sampling.minibatches((torch.zeros(3),), 0))


# interactions


def test_interactions_by_hand():
    table = sampling.interactions([1, 0, 1, 1], [2, 0, 0, 2], 3, 4)  # (1, 2) twice
    assert table.toarray().tolist() == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert table.dtype == np.float32
    assert table.has_canonical_format
    assert table[[1]].indices.tolist() == [0, 2]
    assert sampling.interactions([], [], 2, 3).toarray().tolist() == [[0] * 3] * 2


def test_interactions_refuse_raw_ids():
    with pytest.raises(ValueError, match="users reach from 1 to 3: must be dense, 0 to 2"):
        sampling.interactions([1, 3], [0, 0], 3, 4)
    with pytest.raises(ValueError, match="items reach from -1 to 0"):
        sampling.interactions([1, 2], [0, -1], 3, 4)


# sample_negatives


def table_of(sets, n_items):
    """Positives from a list of sets, one per user."""
    users = [user for user, items in enumerate(sets) for _ in items]
    return sampling.interactions(users, [item for items in sets for item in items], len(sets), n_items)


some_sets = st.lists(st.sets(st.integers(0, 7), max_size=7), min_size=1, max_size=6)  # one item is left


@given(some_sets, st.integers(0, 5), st.integers(0, 99))
def test_the_rank_of_an_item_outside_is_its_place_in_a_plain_list(sets, n_users, seed):
    rows = np.random.default_rng(seed).integers(0, len(sets), n_users)
    for rank in range(8):
        outside = [sorted(set(range(8)) - sets[row]) for row in rows]
        kept = np.array([rank < len(items) for items in outside], dtype=bool)
        found = sampling._items_outside(rows[kept], np.full((kept.sum(), 1), rank), table_of(sets, 8))
        assert found[:, 0].tolist() == [items[rank] for items in outside if rank < len(items)]


@given(some_sets, st.integers(0, 4), st.integers(0, 99))
def test_negatives_are_never_positives(sets, n_neg, seed):
    rng = np.random.default_rng(seed)
    users = rng.integers(0, len(sets), 9)
    negatives = sampling.sample_negatives(users, 8, table_of(sets, 8), n_neg, rng)
    assert negatives.shape == (9, n_neg)
    assert negatives.dtype == np.int64
    for user, items in zip(users, negatives.tolist(), strict=True):
        assert set(items) <= set(range(8)) - sets[user]


def test_negatives_are_uniform():
    # user 1 lacks the items 0, 2, 3 and 5: 40,000 draws, 10,000 each, sd sqrt(40000 * 1/4 * 3/4) = 87
    positives = table_of([set(range(6)), {1, 4}, set()], 6)
    negatives = sampling.sample_negatives(np.ones(10_000, int), 6, positives, 4, np.random.default_rng(0))
    counts = np.bincount(negatives.ravel(), minlength=6)
    assert counts[[1, 4]].tolist() == [0, 0]
    assert (np.abs(counts[[0, 2, 3, 5]] - 10_000) < 5 * 87).all()


def test_negatives_are_drawn_with_replacement_and_independently():
    # two items are left: both columns the same in half of the rows, sd sqrt(4000) / 2 = 31.6
    positives = table_of([{1, 2}], 4)
    negatives = sampling.sample_negatives(np.zeros(4000, int), 4, positives, 2, np.random.default_rng(0))
    assert abs((negatives[:, 0] == negatives[:, 1]).sum() - 2000) < 5 * 31.6


def test_negatives_by_seed():
    positives = table_of([{1}, set()], 50)
    draws = [
        sampling.sample_negatives([0, 1], 50, positives, 5, np.random.default_rng(seed)).tolist()
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_the_last_item_left_is_found_at_once():
    n_items = 1_000_000
    positives = table_of([set(range(n_items)) - {777}], n_items)
    negatives = sampling.sample_negatives([0, 0], n_items, positives, 3, np.random.default_rng(0))
    assert negatives.tolist() == [[777] * 3] * 2


def test_keys_of_many_users_and_items_do_not_wrap():
    # 3,000 users times 1,000,000 items pass 2^31: the indices of scipy are int32
    users = np.array([0, 2999])
    positives = sampling.interactions([0, 2999], [5, 999_999], 3000, 1_000_000)
    negatives = sampling.sample_negatives(users, 1_000_000, positives, 100, np.random.default_rng(0))
    assert (negatives >= 0).all()
    assert (negatives < 1_000_000).all()
    assert 999_999 not in negatives[1]


def test_sample_negatives_errors():
    rng = np.random.default_rng(0)
    positives = table_of([{0}, {0, 1, 2}], 3)
    with pytest.raises(ValueError, match="user 1 has all 3 items"):
        sampling.sample_negatives([0, 1], 3, positives, 2, rng)
    assert sampling.sample_negatives([0], 3, positives, 2, rng).shape == (1, 2)  # user 1 is not asked for
    assert sampling.sample_negatives([], 3, positives, 2, rng).shape == (0, 2)
    with pytest.raises(ValueError, match="positives has 3 items, n_items=4"):
        sampling.sample_negatives([0], 4, positives, 2, rng)
    unsorted = csr_array((np.ones(2), [2, 0], [0, 2]), shape=(1, 3))
    with pytest.raises(ValueError, match="duplicates, or items in no order"):
        sampling.sample_negatives([0], 3, unsorted, 2, rng)


# evaluation_negatives


@given(some_sets, st.integers(0, 99))
def test_evaluation_negatives_are_distinct_and_unseen(sets, seed):
    rng = np.random.default_rng(seed)
    users = rng.permutation(len(sets))
    # a positive among the unseen, which all have
    positives = np.array([rng.choice(sorted(set(range(8)) - sets[user])) for user in users])
    left = [set(range(8)) - sets[user] - {item} for user, item in zip(users, positives, strict=True)]
    n = min(len(items) for items in left)
    negatives = sampling.evaluation_negatives(users, positives, table_of(sets, 8), n, seed)
    assert negatives.shape == (len(sets), n)
    for row, items in zip(negatives.tolist(), left, strict=True):
        assert len(set(row)) == n
        assert set(row) <= items


def test_evaluation_negatives_are_uniform_and_seeded():
    # 5,000 rows of user 0, who has item 1; positive 3: two of 0, 2, 4, 5. Each in half, sd sqrt(5000) / 2
    users, positives = np.zeros(5000, int), np.full(5000, 3)
    first, again, other = (
        sampling.evaluation_negatives(users, positives, table_of([{1}], 6), 2, seed) for seed in (0, 0, 1)
    )
    assert first.tolist() == again.tolist() != other.tolist()
    counts = np.bincount(first.ravel(), minlength=6)
    assert counts[[1, 3]].tolist() == [0, 0]
    assert (np.abs(counts[[0, 2, 4, 5]] - 2500) < 5 * 35.4).all()


def test_a_positive_that_is_also_seen_counts_once():
    negatives = sampling.evaluation_negatives([0], [2], table_of([{2}], 4), 3)
    assert sorted(negatives[0].tolist()) == [0, 1, 3]


def test_too_few_unseen_items_name_the_user():
    with pytest.raises(ValueError, match="n=3, but user 1 has only 2 unseen items"):
        sampling.evaluation_negatives([0, 1], [0, 0], table_of([set(), {1}], 4), 3)


def test_negatives_are_stored_and_found_again(tmp_path):
    users, positives, negatives = np.array([0, 2]), np.array([1, 1]), np.array([[3, 4], [0, 2]])
    path = tmp_path / "negatives.npz"
    sampling.save_negatives(path, negatives, users, positives, seed=3)
    assert sampling.load_negatives(path, users, positives, seed=3).tolist() == negatives.tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["negatives.npz"]
    sampling.save_negatives(path, negatives + 1, users, positives, seed=3)  # in its place
    assert sampling.load_negatives(path, users, positives, seed=3).tolist() == (negatives + 1).tolist()
    for name, (u, p, seed) in {
        "users": (users + 1, positives, 3),
        "pos_items": (users, positives[::-1] + 1, 3),
        "seed": (users, positives, 4),
    }.items():
        with pytest.raises(ValueError, match=f"was made for other {name}"):
            sampling.load_negatives(path, u, p, seed)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "negatives.npz"
    path.write_text("old")

    def break_off(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", break_off)
    with pytest.raises(OSError, match="disk full"):
        sampling.save_negatives(path, np.zeros((1, 1)), [0], [0], 0)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("negatives.npz", "old")]


# epochs


def test_with_negatives():
    positives = table_of([{0, 1}, {3}], 4)
    users, items = np.array([0, 1, 0]), np.array([0, 3, 1])
    rng = np.random.default_rng(0)
    all_users, all_items, labels = sampling.with_negatives(users, items, positives, 2, rng)
    assert all_users.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert labels.tolist() == [1, 0, 0] * 3
    assert all_items[::3].tolist() == [0, 3, 1]
    assert (all_users.dtype, all_items.dtype, labels.dtype) == (torch.int64, torch.int64, torch.float32)
    is_positive = positives.toarray()[all_users, all_items]
    assert is_positive.tolist() == labels.tolist()
    assert sampling.with_negatives(users, items, positives, 0, rng)[1].tolist() == [0, 3, 1]


def test_in_pairs():
    positives = table_of([{0, 1}, {3}], 4)
    users, pos_items, neg_items = sampling.in_pairs(
        np.array([0, 1]), np.array([1, 3]), positives, 3, np.random.default_rng(0)
    )
    assert users.tolist() == [0, 0, 0, 1, 1, 1]
    assert pos_items.tolist() == [1, 1, 1, 3, 3, 3]
    assert not positives.toarray()[users, neg_items].any()
    assert users.dtype == pos_items.dtype == neg_items.dtype == torch.int64


def test_epochs_draw_fresh_negatives():
    positives = table_of([{0}], 1000)
    rng = np.random.default_rng(0)
    first, second = (
        sampling.with_negatives(np.array([0]), np.array([0]), positives, 9, rng)[1] for _ in range(2)
    )
    assert first.tolist() != second.tolist()


# earlier_items


def test_earlier_items_by_hand():
    # user 0 in time order: item 4 (time 1), items 5 and 6 (time 2), item 7 (time 3); user 1: item 8
    users, items, timestamps = [0, 0, 1, 0, 0], [7, 5, 8, 6, 4], [3, 2, 9, 2, 1]
    history = sampling.earlier_items(users, items, timestamps, n=2)
    assert history.tolist() == [[6, 5], [4, -1], [-1, -1], [4, -1], [-1, -1]]
    assert history.dtype == np.int64


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=40), st.integers(1, 4))
def test_earlier_items_equal_a_plain_loop(rows, n):
    users = np.array([user for user, _ in rows], dtype=np.int64)
    timestamps = np.array([time for _, time in rows], dtype=np.int64)
    items = np.arange(len(rows)) + 100
    history = sampling.earlier_items(users, items, timestamps, n)
    assert history.shape == (len(rows), n)
    for row, (user, time) in enumerate(rows):
        earlier = [r for r in range(len(rows)) if users[r] == user and timestamps[r] < time]
        latest = sorted(earlier, key=lambda r: (timestamps[r], r), reverse=True)[:n]
        assert history[row].tolist() == [100 + r for r in latest] + [-1] * (n - len(latest))
