"""The exercises of Lab 3: what is theirs alone. What all exercises promise is in test_exercises.py."""

import numpy as np
import pytest
import torch
from alternative_solutions_03 import LAB_03, build_ivf_in_steps
from torch.nn import functional

from course_utils import exercises, losses, retrieval
from course_utils.exercises import lab03, lab03_retrieval, run_check
from course_utils.exercises.observe import observe
from course_utils.models.two_tower import Tower

torch.set_num_threads(1)
faiss = pytest.importorskip("faiss")


def one_line(message):
    return " ".join(message.split())


def test_lab_3_has_its_exercises():
    lab = exercises.of_lab("03")
    assert [exercise.id for exercise in lab] == [f"3.{number}" for number in range(1, 11)]
    assert sum(exercise.points for exercise in lab) == 20
    assert sum(exercise.minutes for exercise in lab) == 84


# ---- the references say what the package says ----


def test_tower_as_in_models():
    mine, package = lab03.Tower(5, dim=4, hidden=6), Tower(0, 5, dim=4, hidden=6)
    content = torch.rand(3, 5)
    first, _, output, norm = package.mlp
    with torch.no_grad():  # the package's tower has one more linear layer below, and the id beside it
        mine.hidden.weight[:] = first.weight[:, 4:] @ package.content.weight
        mine.hidden.bias[:] = first.bias
    mine.output, mine.norm = output, norm
    vecs = package(torch.zeros(3, dtype=torch.long), content)
    assert torch.allclose(mine(content), vecs, atol=1e-6)


def test_mask_as_in_the_loss_of_the_package():
    rng = np.random.default_rng(0)
    batch = lab03._batch(rng, 30, 6, 0.2)
    items = torch.tensor(rng.integers(0, 12, 30))
    logits = batch["user_vecs"] @ batch["item_vecs"].T / 0.2
    masked = lab03.MASK_ACCIDENTAL_HITS.reference(logits, items)
    mine = functional.cross_entropy(masked, torch.arange(30))
    assert torch.allclose(mine, losses.in_batch_loss(**batch, items=items))


def test_index_and_unseen_items_as_in_retrieval():
    rng = np.random.default_rng(0)
    vectors, query = rng.normal(0, 1, (400, 6)).astype(np.float32), rng.normal(0, 1, 6).astype(np.float32)
    mine = lab03_retrieval.BUILD_IVF.reference(vectors, 5, 2)
    package = retrieval.build_index(vectors, "ivf", use_gpu=False, nlist=5, nprobe=2)
    for a, b in zip(mine.search(query[None], 9), package.search(query[None], 9), strict=True):
        assert np.array_equal(a, b)
    flat = retrieval.build_index(vectors, "flat", use_gpu=False)
    seen = np.union1d(retrieval.retrieve(flat, query, 7)[0], np.arange(20))
    items = lab03_retrieval.RETRIEVE_UNSEEN.reference(
        lambda query, n: retrieval.retrieve(flat, query, n)[0], query, seen, 8
    )
    assert np.array_equal(items, retrieval.retrieve_unseen(flat, query, seen, 8)[0])


def test_a_cold_item_goes_through_the_item_tower_of_the_package():
    tower = Tower(4, 5, dim=3, hidden=6).eval()
    user_vecs, content = functional.normalize(torch.rand(2, 3), dim=1), torch.tensor([0.0, 1, 0, 1, 1])
    vec = tower(torch.tensor([0]), content[None])[0]
    for solution in (lab03_retrieval.SCORE_COLD_ITEM.reference, LAB_03["3.10"][0]):
        assert torch.allclose(solution(user_vecs, content, tower), user_vecs @ vec)


# ---- 3.2 to 3.5: models and losses ----


def test_an_init_that_was_changed_is_named():
    class Changed(LAB_03["3.2"][0]):
        def __init__(self, *args, **sizes):
            super().__init__(*args, **sizes)
            self.scale = torch.nn.Parameter(torch.ones(1))

    message = one_line(run_check("3.2", Changed).message)
    assert "got a model with the weights scale, " in message
    assert "expected those of the given __init__, unchanged (" in message


@pytest.mark.parametrize("exercise_id", ["3.2", "3.3", "3.4"])
def test_gradients_reach_everything_in_core_cases(exercise_id):
    """Else a learner who cuts off a part could not be told from one who does not."""
    exercise = exercises.get(exercise_id)
    for seed in range(10):
        cases = [case for case in exercise.draw(seed) if not case.edge]
        for outcome in observe(exercise, exercise.reference, cases):
            assert outcome.value.parts[1].array.all()


def test_the_vectors_that_no_gradient_reaches_are_named():
    result = run_check("3.3", lambda u, v, t: losses.in_batch_loss(u, v.detach(), t))
    assert "got the right value, but no gradient reaches item_vecs, expected one for both" in one_line(
        result.message
    )
    assert result.misconception == ""


def test_a_loss_as_a_python_number_carries_no_gradient():
    result = run_check("3.4", lambda u, v, t, q: losses.in_batch_loss(u, v, t, log_q=q).item())
    assert result.misconception == "detached"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (lambda logits, items: logits.masked_fill(items == items, -torch.inf), "everything masked"),
        (
            lambda logits, items: (logits.masked_fill(items[:, None] == items, -1e9), logits)[1],
            "nothing masked",
        ),
        (lambda logits, items: logits.masked_fill(items[:, None] == items, -1e9), "the diagonal too"),
    ],
)
def test_masks_as_learners_write_them(written, name):
    assert run_check("3.5", written).misconception == name


def test_logits_that_left_torch_are_noticed():
    result = run_check("3.5", lambda logits, items: LAB_03["3.5"][0](logits, items).numpy())
    assert "got a numpy array, expected a tensor" in one_line(result.message)


@pytest.mark.parametrize("to_numpy", [torch.Tensor.numpy, lambda masked: masked.detach().numpy()])
def test_logits_that_went_by_way_of_numpy_are_cut_off(to_numpy):
    result = run_check("3.5", lambda logits, items: torch.tensor(to_numpy(LAB_03["3.5"][0](logits, items))))
    assert "got the right values, but no gradient reaches logits" in one_line(result.message)
    assert result.misconception == "detached"


def test_words_are_compared_as_a_whole():
    def multi_hot(values, vocabulary):
        known = [[float(word in " ".join(words)) for word in vocabulary] for words in values]
        unknown = [float(any(word not in vocabulary for word in words)) for words in values]
        return np.column_stack([unknown, known])

    for seed in range(4):
        assert not run_check("3.1", multi_hot, seed).passed


# ---- 3.7: faiss ----


def test_an_index_that_was_not_trained_is_known_by_its_refusal():
    def build_ivf(vectors, n_lists, n_probe):
        dim = vectors.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, n_lists, faiss.METRIC_INNER_PRODUCT)
        index.add(vectors)
        return index

    assert run_check("3.7", build_ivf).misconception == "not trained"


def test_other_errors_of_faiss_stay_errors():
    def build_ivf(vectors, n_lists, n_probe):
        return faiss.index_factory(vectors.shape[1], "IVF of any kind")

    message = one_line(run_check("3.7", build_ivf).message)
    assert "raised RuntimeError: " in message
    assert "faiss.index_factory" in message


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            lambda index, vectors: faiss.IndexFlatIP(7),
            "got an index of vectors of 7, expected one of vectors of 2",
        ),
        (lambda index, vectors: faiss.IndexHNSWFlat(2, 8), "got an index without lists"),
        (lambda index, vectors: index.search(vectors[:1], 2), "expected a FAISS index"),
        (lambda index, vectors: index.add(vectors), "got None, expected a FAISS index"),
    ],
    ids=["dim", "hnsw", "search", "add"],
)
def test_what_is_no_such_index_is_described(made, words):
    result = run_check("3.7", lambda vectors, *how: made(build_ivf_in_steps(vectors, *how), vectors))
    assert words in one_line(result.message)


def test_an_index_of_other_vectors_is_noticed():
    def build_ivf(vectors, n_lists, n_probe):
        return build_ivf_in_steps(vectors[::-1], n_lists, n_probe)

    assert "for the first query in a search of all lists" in one_line(run_check("3.7", build_ivf).message)


def test_faiss_is_quiet_and_keeps_its_threads(capfd):
    before = faiss.omp_get_max_threads()
    assert run_check("3.7", build_ivf_in_steps).passed
    assert faiss.omp_get_max_threads() == before
    assert capfd.readouterr() == ("", "")  # k-means warns where vectors are few


# ---- 3.9: searches without an end ----


def more_and_more(larger, seconds=1):
    def retrieve_unseen(search, query, seen, k):
        n, unseen = k, []
        while len(unseen) < k:
            unseen = [item for item in search(query, n).tolist() if item >= 0 and item not in seen]
            n = larger(n)
        return unseen[:k]

    return run_check("3.9", retrieve_unseen, seconds=seconds)


def test_doubling_without_an_end_is_known():
    result = more_and_more(lambda n: 2 * n, seconds=5)
    assert result.misconception == "endless doubling"
    assert "right in the usual cases, but raised MemoryError: search was asked for" in one_line(
        result.message
    )


def test_small_steps_without_an_end_are_known():
    assert more_and_more(lambda n: n + 1).misconception == "endless in small steps"


def test_another_query_is_no_query():
    result = run_check("3.9", lambda search, query, seen, k: search(seen, k))
    assert "raised ValueError: search got another query than the one that came in" in one_line(result.message)


# ---- 3.10: what the encoder takes ----


@pytest.mark.parametrize(
    ("ids", "batch", "words"),
    [
        (0, True, "encode_item got ids as a int: must be a tensor [B]"),
        (torch.tensor(0), True, "encode_item got ids of shape []: must be [B]"),
        (torch.tensor([0]), False, "must be [B, F]"),
        (torch.tensor([0, 0]), True, "encode_item got 2 ids, but content of 1 items"),
    ],
)
def test_shapes_that_the_encoder_refuses(ids, batch, words):
    def score_cold_item(user_vecs, content, encode_item):
        return user_vecs @ encode_item(ids, content[None] if batch else content)[0]

    assert words in one_line(run_check("3.10", score_cold_item).message)
