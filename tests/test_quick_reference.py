"""The page that students keep open: its code runs and agrees with the package, its figures are claims."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils import claims, losses, metrics, models, retrieval, sampling
from course_utils.data import load_movielens

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "notebooks" / "QUICK_REFERENCE.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page():
    """What stands in the namespace after all code blocks, run from top to bottom in the course's folder."""
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) >= 8
    namespace = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for block in blocks:
            exec(compile(block, "QUICK_REFERENCE.md", "exec"), namespace)
    return namespace


def same_output(one, other, *inputs):
    """Whether two models with the same weights, in the order of their parameters, give the same."""
    with torch.no_grad():
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            a.copy_(torch.randn_like(a))
            b.copy_(a)
        return torch.allclose(one(*inputs), other(*inputs))


def test_the_pair_models_are_those_of_the_package(page):
    users, items = torch.tensor([0, 3, 4]), torch.tensor([5, 0, 1])
    for name in ("MatrixFactorization", "NeuMF"):
        one, other = page[name](5, 6), getattr(models, name)(5, 6).eval()
        assert same_output(one, other, users, items)
        assert one(users[:1], items[:1]).shape == (1,)


def test_the_two_towers_give_unit_vectors_and_a_safe_temperature(page):
    model = page["TwoTower"](7, 9, dim=4)
    users, items = torch.randn(3, 7), torch.randn(3, 9)
    assert torch.allclose(model.encode_user(users).norm(dim=1), torch.ones(3))
    cosines = model.encode_user(users) @ model.encode_item(items).T
    assert torch.allclose(model(users, items), cosines / 0.07, atol=1e-5)
    with torch.no_grad():
        model.log_temperature.fill_(-50.0)
    assert torch.allclose(model(users, items), cosines / 0.01, atol=1e-4)


def test_the_metrics_are_those_of_the_package(page):
    rng = np.random.default_rng(0)
    for _ in range(200):
        relevances, k = rng.integers(0, 4, rng.integers(1, 8)), int(rng.integers(1, 9))
        more = np.append(relevances, rng.integers(0, 4, 3))
        for ideal in (None, more):
            ours = metrics.ndcg_at_k(relevances, k, ideal)
            assert page["ndcg_at_k"](relevances, k, ideal) == pytest.approx(ours, nan_ok=True)
        items = rng.permutation(10)[:6]
        assert page["hit_rate_at_k"](items, 3, k) == metrics.hit_rate_at_k(items, 3, k)
        relevant = [set(rng.choice(10, n, replace=False).tolist()) for n in (2, 4)]
        lists = np.array([rng.permutation(10)[:6] for _ in relevant])
        ours = np.mean(metrics.map_at_k(lists, relevant, k))
        assert page["map_at_k"](lists, relevant, k) == pytest.approx(ours)


def test_the_loss_is_that_of_the_package(page):
    users, vecs = torch.randn(6, 4), torch.randn(6, 4)
    more = {"items": torch.tensor([0, 1, 0, 2, 1, 3]), "log_q": torch.randn(6)}
    for settings in ({}, more):
        ours = losses.in_batch_loss(users, vecs, 0.2, **settings)
        assert torch.allclose(page["in_batch_loss"](users, vecs, 0.2, **settings), ours)


def test_negatives_are_what_the_user_lacks(page):
    rng = np.random.default_rng(0)
    drawn = page["sample_negatives"]([0, 1] * 200, 4, [{0, 2}, {1, 2, 3}], 3, rng)
    assert set(drawn[::2].ravel()) == {1, 3}
    assert set(drawn[1::2].ravel()) == {0}
    with pytest.raises(ValueError, match="user 0 has every item"):
        page["sample_negatives"]([0], 2, [{0, 1}], 1, rng)


def test_the_loader_gives_the_rows_of_the_file(page):
    sample, dataset = load_movielens("sample"), page["dataset"]
    assert len(dataset) == len(sample)
    assert np.array_equal(dataset.user_ids[dataset.users], sample.user_ids[sample.users])
    assert np.array_equal(dataset.item_ids[dataset.items], sample.item_ids[sample.items])
    user, item, rating = dataset.__getitems__([3, 5])[1]
    assert (user, item, rating) == dataset[5]
    assert page["users"].shape == page["items"].shape == page["ratings"].shape == (256,)


def test_the_index_finds_what_exact_search_finds(page):
    vectors = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    index = page["build_index"](vectors)
    items, scores = page["retrieve"](index, vectors[:3], 5)
    exact, exact_scores = retrieval.exact_search(vectors[:3], vectors, 5)
    assert np.array_equal(items, exact)
    assert np.allclose(scores, exact_scores)
    assert page["retrieve"](index, vectors[0], 5)[0].tolist() == exact[0].tolist()


def test_every_expected_figure_is_the_band_of_a_claim():
    table = TEXT.split("### Expected figures")[1].split("##")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if "`" in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert len(rows) >= 9
    declared = claims.load()
    for _, metric, interval, _, id in rows:
        claim = declared[id.strip("`")]
        assert metric == claim.metric
        assert tuple(map(float, interval.split(" to "))) == claim.band, id


def test_a_random_order_reaches_what_the_page_says():
    chance = np.arange(1, 101)  # ranks of the one positive among 100, equally likely
    assert np.mean(chance <= 10) == 0.100
    ndcg = np.where(chance <= 10, 1 / np.log2(chance + 1), 0).mean()
    assert f"{ndcg:.4f}".lstrip("0") in TEXT


def test_the_names_of_the_original_page_are_all_there(page):
    names = "MatrixFactorization NeuMF TwoTower ndcg_at_k hit_rate_at_k map_at_k in_batch_loss "
    names += "sample_negatives MovieLensDataset build_index retrieve"
    assert set(names.split()) <= set(page)
    assert hasattr(sampling, "MovieLensDataset")
