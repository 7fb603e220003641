import numpy as np
import pytest

from course_utils import evaluate, sampling


def world():
    """12 users, 40 items, three random models with ties; user u has seen u items."""
    rng = np.random.default_rng(0)
    seen = np.zeros((12, 40), dtype=bool)
    for user in range(12):
        seen[user, :user] = True
    tables = {name: rng.integers(0, 9, (12, 40)).astype(float) for name in ("a", "b", "c")}
    models = {name: lambda users, table=table: table[users] for name, table in tables.items()}
    users = rng.permutation(12)[:8]
    return models, users, rng.integers(20, 40, 8), sampling.interactions(*seen.nonzero(), 12, 40)


def figures(result):
    return result.hit_rate.tolist(), result.ndcg.tolist(), result.mrr.tolist(), result.k, result.n_neg


def test_a_leaderboard_is_leave_one_out_of_each_model():
    models, users, positives, seen = world()
    board = evaluate.leaderboard(models, users, positives, seen, k=3, n_neg=9, batch_size=3)
    assert list(board) == ["a", "b", "c"]
    for name, result in board.items():
        alone = evaluate.leave_one_out(models[name], users, positives, seen, k=3, n_neg=9)
        assert figures(result) == figures(alone)
    assert evaluate.leaderboard(models, users, positives, seen, n_neg=None)["a"].k == 10


def test_protocols_score_each_model_once():
    models, users, positives, seen = world()
    asked = []

    def counting(batch):
        asked.extend(batch.tolist())
        return models["a"](batch)

    found = evaluate.protocols({"a": counting}, users, positives, seen, 2, n_negs=(5, 20, None), batch_size=5)
    assert asked == users.tolist()
    assert list(found) == [5, 20, None]
    for n_neg, board in found.items():
        alone = evaluate.leave_one_out(models["a"], users, positives, seen, k=2, n_neg=n_neg)
        assert figures(board["a"]) == figures(alone)
    assert found[5]["a"].mean() > found[20]["a"].mean() > found[None]["a"].mean()


def test_users_with_too_few_unseen_items_are_counted():
    # 40 items, the positive apart: user u has 39 - u others unseen; 34 are too many for users 6 to 11
    models, _, _, seen = world()
    users, positives = np.arange(12), np.full(12, 39)
    with pytest.raises(ValueError, match=r"n_neg=34: 6 of 12 users have fewer .*the fewest 28.*leave"):
        evaluate.leaderboard(models, users, positives, seen, n_neg=34)
    with pytest.raises(ValueError, match="n_neg=34: 6 of 12"):
        evaluate.protocols(models, users, positives, seen, n_negs=(9, 34))
    assert len(evaluate.leaderboard(models, users[:6], positives[:6], seen, n_neg=34)["a"].ndcg) == 6


def test_recommend_is_top_k_in_any_batches():
    models, users, _, seen = world()
    expected = evaluate.top_k(models["a"](users), seen[users], 4).tolist()
    for batch_size in (1, 3, 256):
        found = evaluate.recommend(models["a"], users, seen, 4, batch_size=batch_size)
        assert found.tolist() == expected
    assert evaluate.recommend(models["a"], users, seen).shape == (8, 10)
