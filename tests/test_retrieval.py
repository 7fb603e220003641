import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils import retrieval
from course_utils.data import synthetic

faiss = pytest.importorskip("faiss")
faiss.omp_set_num_threads(1)
N_GPUS = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
needs_gpu = pytest.mark.skipif(not N_GPUS, reason="faiss sees no GPU here")
every_kind = pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])


def random_vectors(n=300, dim=16, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def same_answers(one, two):
    assert np.array_equal(one[0], two[0])
    np.testing.assert_allclose(one[1], two[1], rtol=1e-5, atol=1e-6)


def by_sorting(queries, vectors, k):
    """The plain oracle, in numpy and float64."""
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    items = np.argsort(-scores, axis=1)[:, :k]
    return items, np.take_along_axis(scores, items, axis=1)


# exact_search


def test_exact_search_by_hand():
    vectors = np.array([[1.0, 0], [0, 1], [-1, 0], [3, 3]])
    # dot products with (1, 2): 1, 2, -1, 9
    items, scores = retrieval.exact_search(np.array([1.0, 2]), vectors, 3)
    assert items.tolist() == [3, 1, 0]
    assert scores.tolist() == [9, 2, 1]
    assert (items.dtype, scores.dtype) == (np.int64, np.float32)


def test_exact_search_equals_sorting_also_past_its_block_of_queries():
    queries, vectors = random_vectors(retrieval._ROWS_AT_ONCE + 5, 4, seed=1), random_vectors(50, 4)
    same_answers(retrieval.exact_search(queries, vectors, 7), by_sorting(queries, vectors, 7))


def test_exact_search_takes_tensors():
    queries, vectors = random_vectors(3, seed=1), random_vectors()
    grown = torch.tensor(vectors, requires_grad=True)
    same_answers(
        retrieval.exact_search(torch.tensor(queries), grown, 5), retrieval.exact_search(queries, vectors, 5)
    )


@pytest.mark.parametrize("k", [0, 301])
def test_exact_search_refuses_k(k):
    with pytest.raises(ValueError, match=f"k={k}: must be between 1 and n_items=300"):
        retrieval.exact_search(random_vectors(2), random_vectors(), k)


# build_index and retrieve


def test_flat_equals_exact_search_item_by_item():
    queries, vectors = random_vectors(40, seed=1), random_vectors()
    index = retrieval.build_index(vectors, "flat", use_gpu=False)
    same_answers(retrieval.retrieve(index, queries, 300), retrieval.exact_search(queries, vectors, 300))


@every_kind
def test_search_is_by_inner_product_not_by_distance(kind):
    # (10, 0) has the largest product with (1, 0); the nearest vector is (1, .1)
    vectors = np.array([[1, 0.1], [10, 0], [0, 1], [-5, 2]], dtype=np.float32)
    index = retrieval.build_index(vectors, kind, use_gpu=False)
    items, scores = retrieval.retrieve(index, np.array([1.0, 0]), 2)
    assert items.tolist() == [1, 0]
    assert scores.tolist() == [10, 1]


@every_kind
def test_one_query_is_a_batch_without_its_dimension(kind):
    queries, vectors = random_vectors(5, seed=1), random_vectors()
    index = retrieval.build_index(vectors, kind, use_gpu=False)
    items, scores = retrieval.retrieve(index, queries, 4)
    assert items.shape == scores.shape == (5, 4)
    assert (items.dtype, scores.dtype) == (np.int64, np.float32)
    assert (np.diff(scores, axis=1) <= 0).all()
    for row in range(5):
        same_answers(retrieval.retrieve(index, queries[row], 4), (items[row], scores[row]))


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(np.float64),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        torch.tensor,
        lambda a: torch.tensor(a, requires_grad=True),
        lambda a: torch.tensor(a.T.copy()).T,
    ],
    ids=["float64", "column by column", "strided", "tensor", "with gradient", "transposed tensor"],
)
def test_any_array_of_numbers_will_do(convert):
    queries, vectors = random_vectors(3, seed=1), random_vectors()
    index = retrieval.build_index(convert(vectors), "flat", use_gpu=False)
    same_answers(retrieval.retrieve(index, convert(queries), 5), by_sorting(queries, vectors, 5))


def test_the_rule_for_auto(monkeypatch):
    monkeypatch.setattr(retrieval, "EXACT_BELOW", 300)
    assert isinstance(retrieval.build_index(random_vectors(299), use_gpu=False), faiss.IndexFlat)
    index = retrieval.build_index(random_vectors(300), use_gpu=False)
    assert isinstance(index, faiss.IndexIVFFlat)
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    assert index.nlist == 17  # round(sqrt(300)) = round(17.3)
    assert index.nprobe == 8  # 17 // 32 = 0, at least 8
    assert isinstance(retrieval.build_index(random_vectors(300), "flat", use_gpu=False), faiss.IndexFlat)
    assert retrieval.build_index(random_vectors(9), "ivf", use_gpu=False).nprobe == 3  # no more than nlist


def test_exact_below_a_hundred_thousand():
    assert retrieval.EXACT_BELOW == 100_000


def test_nlist_and_nprobe_can_be_chosen():
    queries, vectors = random_vectors(20, seed=1), random_vectors()
    index = retrieval.build_index(vectors, "ivf", use_gpu=False, nlist=10, nprobe=10)
    assert (index.nlist, index.nprobe) == (10, 10)
    same_answers(retrieval.retrieve(index, queries, 30), by_sorting(queries, vectors, 30))  # all lists: exact


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "lsh"}, "kind='lsh': must be one of 'auto', 'flat', 'ivf', 'hnsw'"),
        ({"kind": "flat", "nprobe": 3}, "belong to kind='ivf'"),
        ({"kind": "hnsw", "nlist": 3}, "belong to kind='ivf'"),
        ({"kind": "ivf", "nlist": 301}, "nlist=301: must be between 1"),
        ({"kind": "ivf", "nlist": 4, "nprobe": 5}, "nprobe=5: must be between 1 and nlist=4"),
        ({"kind": "ivf", "nprobe": -1}, "nprobe=-1"),
        ({"kind": "flat", "use_gpu": "yes"}, "use_gpu='yes'"),
        ({"kind": "hnsw", "use_gpu": True}, "keeps this kind on the CPU"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        retrieval.build_index(random_vectors(), **options)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_without_a_product_are_refused(bad):
    vectors = random_vectors(4)
    vectors[2, 3] = bad
    with pytest.raises(ValueError, match="1 of 4 vectors have nan or infinite"):
        retrieval.build_index(vectors)
    with pytest.raises(ValueError, match="must be"):
        retrieval.build_index(vectors[0])


def test_queries_that_do_not_fit_are_refused():
    index = retrieval.build_index(random_vectors(), "flat", use_gpu=False)
    with pytest.raises(ValueError, match="queries of 15 numbers, index of 16"):
        retrieval.retrieve(index, random_vectors(2, 15), 3)
    for k in (0, 301):
        with pytest.raises(ValueError, match=f"k={k}: must be between 1 and the 300 items"):
            retrieval.retrieve(index, random_vectors(2), k)


def test_minus_one_never_reaches_a_user():
    vectors, queries = random_vectors(), random_vectors(10, seed=1)
    index = retrieval.build_index(vectors, "ivf", use_gpu=False, nlist=50, nprobe=1)
    assert (index.search(queries, 40)[1] == -1).any(axis=1).all()  # a list has about 6 vectors
    items, scores = retrieval.retrieve(index, queries, 40)
    same_answers((items, scores), by_sorting(queries, vectors, 40))
    assert index.nprobe == 1  # and it is as quick as before
    # only the queries that came short are searched again
    assert (index.search(queries, 2)[1] >= 0).any()
    assert (retrieval.retrieve(index, queries, 300)[0] >= 0).all()


def test_minus_one_never_reaches_a_user_of_a_graph(monkeypatch):
    vectors, queries = random_vectors(), random_vectors(3, seed=1)
    index = retrieval.build_index(vectors, "hnsw", use_gpu=False)
    found = index.search

    def search_that_comes_short(queries, k):
        scores, items = found(queries, k)
        items[1, -1] = -1
        return scores, items

    short = SimpleNamespace(
        search=search_that_comes_short, storage=index.storage, ntotal=index.ntotal, d=index.d
    )
    items, scores = retrieval.retrieve(short, queries, 5)
    same_answers((items[1], scores[1]), [one[1] for one in by_sorting(queries, vectors, 5)])
    assert (items >= 0).all()


# retrieve_unseen


@every_kind
def test_unseen_by_hand(kind):
    vectors = np.array([[1.0], [2], [3], [4], [5]], dtype=np.float32)
    index = retrieval.build_index(vectors, kind, use_gpu=False)
    items, scores = retrieval.retrieve_unseen(index, np.array([1.0]), [4, 2], 2)
    assert (items.tolist(), scores.tolist()) == ([3, 1], [4, 2])
    items, _ = retrieval.retrieve_unseen(index, np.array([[1.0], [-1]]), [[4, 4, 3], []], 2)
    assert items.tolist() == [[2, 1], [0, 1]]


@given(st.data())
def test_unseen_always_returns_k_when_they_exist(draw):
    vectors, queries = random_vectors(60, 4), random_vectors(3, 4, seed=1)
    seen = draw.draw(st.lists(st.lists(st.integers(0, 59), max_size=59), min_size=3, max_size=3))
    k = draw.draw(st.integers(1, 60 - max(len(set(one)) for one in seen)))
    kind = draw.draw(st.sampled_from(["flat", "ivf"]))
    index = retrieval.build_index(vectors, kind, use_gpu=False)
    items, scores = retrieval.retrieve_unseen(index, queries, seen, k)
    assert items.shape == scores.shape == (3, k)
    masked = queries @ vectors.T
    for row, one in enumerate(seen):
        assert len(set(items[row])) == k
        assert not set(items[row]) & set(one)
        np.testing.assert_allclose(scores[row], masked[row, items[row]], rtol=1e-4)
        if kind == "flat":
            masked[row, one] = -np.inf
            assert items[row].tolist() == np.argsort(-masked[row])[:k].tolist()


def test_the_best_hundred_may_all_be_seen():
    vectors = np.arange(200, dtype=np.float32)[:, None]
    index = retrieval.build_index(vectors, "flat", use_gpu=False)
    items, _ = retrieval.retrieve_unseen(index, np.array([1.0]), np.arange(100, 200), 3)
    assert items.tolist() == [99, 98, 97]


def test_too_few_unseen_names_the_query():
    index = retrieval.build_index(random_vectors(10), "flat", use_gpu=False)
    with pytest.raises(ValueError, match="k=3, but of the 10 items only 2 are unseen in query 1"):
        retrieval.retrieve_unseen(index, random_vectors(2), [[], range(8)], 3)
    with pytest.raises(ValueError, match="2 queries, seen of 1"):
        retrieval.retrieve_unseen(index, random_vectors(2), [[0]], 3)
    with pytest.raises(ValueError, match="k=0"):
        retrieval.retrieve_unseen(index, random_vectors(2), [[], []], 0)


# save_index and load_index


@every_kind
def test_a_stored_index_gives_the_same_answers(kind, tmp_path):
    queries, vectors = random_vectors(20, seed=1), random_vectors()
    options = {"nlist": 30, "nprobe": 7} if kind == "ivf" else {}
    index = retrieval.build_index(vectors, kind, use_gpu=False, **options)
    retrieval.save_index(index, tmp_path / "items.faiss")
    loaded = retrieval.load_index(tmp_path / "items.faiss", use_gpu=False)
    assert type(loaded) is type(index)
    assert [path.name for path in tmp_path.iterdir()] == ["items.faiss"]
    for one, two in zip(
        retrieval.retrieve(index, queries, 9), retrieval.retrieve(loaded, queries, 9), strict=True
    ):
        assert np.array_equal(one, two)
    if kind == "ivf":
        assert (loaded.nlist, loaded.nprobe) == (30, 7)


def test_saving_replaces_the_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "items.faiss"
    retrieval.save_index(retrieval.build_index(random_vectors(5), use_gpu=False), path)
    before = path.read_bytes()

    def fails_half_way(index, name):
        with open(name, "wb") as file:
            file.write(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(faiss, "write_index", fails_half_way)
    with pytest.raises(RuntimeError, match="disk full"):
        retrieval.save_index(retrieval.build_index(random_vectors(6), use_gpu=False), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["items.faiss"]


def test_loading_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no index is stored there"):
        retrieval.load_index(tmp_path / "items.faiss")


# faiss itself


def installed(*names):
    return lambda: [SimpleNamespace(metadata={"Name": name}) for name in names]


@pytest.mark.parametrize("gpu", ["faiss-gpu", "faiss-gpu-cu12"])
def test_both_distributions_installed_is_one_clear_error(monkeypatch, gpu):
    monkeypatch.setattr(retrieval.metadata, "distributions", installed("numpy", "faiss-cpu", gpu))
    with pytest.raises(ImportError, match=f"faiss-cpu and {gpu} are installed side by side"):
        retrieval.build_index(random_vectors())


def test_one_distribution_listed_twice_is_no_error(monkeypatch):
    # an egg-info and a dist-info of the same package, as an upgrade may leave behind
    monkeypatch.setattr(retrieval.metadata, "distributions", installed("faiss-cpu", "Faiss-CPU"))
    assert retrieval.build_index(random_vectors(), use_gpu=False).ntotal == 300


def test_without_faiss_exact_search_still_works(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ImportError, match="faiss is not installed"):
        retrieval.build_index(random_vectors())
    assert retrieval.exact_search(random_vectors(2), random_vectors(), 3)[0].shape == (2, 3)


@pytest.mark.skipif(N_GPUS > 0, reason="faiss sees a GPU here")
def test_without_a_gpu_auto_stays_on_the_cpu_and_true_is_an_error():
    assert isinstance(retrieval.build_index(random_vectors(), use_gpu="auto"), faiss.IndexFlat)
    with pytest.raises(RuntimeError, match="faiss sees no GPU"):
        retrieval.build_index(random_vectors(), use_gpu=True)


def test_a_gpu_is_asked_for_only_where_there_is_one(monkeypatch):
    asked = []
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: "resources", raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(
        faiss, "index_cpu_to_gpu", lambda *args: asked.append(args[:2]) or args[2], raising=False
    )
    retrieval.build_index(random_vectors(), use_gpu="auto")
    assert asked == [("resources", 0)]
    retrieval.build_index(random_vectors(), use_gpu=False)
    retrieval.build_index(random_vectors(), "hnsw")
    assert len(asked) == 1


@needs_gpu
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_on_a_gpu_the_answers_are_those_of_the_cpu(kind, tmp_path):
    queries, vectors = random_vectors(20, seed=1), random_vectors()
    options = {"nlist": 10, "nprobe": 10} if kind == "ivf" else {}
    index = retrieval.build_index(vectors, kind, use_gpu=True, **options)
    assert isinstance(index, faiss.GpuIndex)
    same_answers(retrieval.retrieve(index, queries, 30), by_sorting(queries, vectors, 30))
    retrieval.save_index(index, tmp_path / "items.faiss")
    loaded = retrieval.load_index(tmp_path / "items.faiss", use_gpu=False)
    same_answers(retrieval.retrieve(loaded, queries, 30), by_sorting(queries, vectors, 30))


@needs_gpu
def test_on_a_gpu_minus_one_never_reaches_a_user():
    vectors, queries = random_vectors(), random_vectors(10, seed=1)
    index = retrieval.build_index(vectors, "ivf", use_gpu=True, nlist=50, nprobe=1)
    assert (retrieval.retrieve(index, queries, 40)[0] >= 0).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_exact_search_on_a_gpu():
    queries, vectors = random_vectors(20, seed=1), random_vectors()
    same_answers(retrieval.exact_search(queries, vectors, 9, "cuda"), by_sorting(queries, vectors, 9))


# a catalogue of the kind that an index is for


def test_ivf_finds_nearly_all_in_a_clustered_catalogue():
    vectors = synthetic.clustered_vectors(20_000, seed=0)
    queries = synthetic.clustered_vectors(100, seed=0, draw=1)
    exact, _ = retrieval.exact_search(queries, vectors, 100)
    index = retrieval.build_index(vectors, "ivf", use_gpu=False)
    found, _ = retrieval.retrieve(index, queries, 100)
    recall = np.mean([len(np.intersect1d(*pair)) / 100 for pair in zip(found, exact, strict=True)])
    assert recall >= 0.95
    # the control: one list of 141 is not enough
    index.nprobe = 1
    found, _ = retrieval.retrieve(index, queries, 100)
    assert np.mean([len(np.intersect1d(*pair)) / 100 for pair in zip(found, exact, strict=True)]) < 0.95


def test_the_recorded_curve_shows_ivf_five_times_as_fast_as_flat_at_a_recall_of_95():
    path = Path(__file__).parents[1] / "benchmarks" / "results" / "03_faiss_100000.json"
    default = {row["kind"]: row for row in json.loads(path.read_text())["rows"] if row["is_default"]}
    assert default["ivf"]["recall"] >= 0.95
    assert default["ivf"]["queries_per_second"] >= 5 * default["flat"]["queries_per_second"]
