import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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
