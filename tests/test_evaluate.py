import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils import evaluate, metrics, sampling

# Two users, five items. User 0 has seen item 4 (the highest score); the positive is item 1. User 1 has seen
# nothing; the positive is item 3, tied with item 0.
SCORES = np.array([[0.2, 0.5, 0.7, 0.1, 0.9], [0.4, 0.6, 0.1, 0.4, 0.3]])
SEEN = sampling.interactions([0], [4], 2, 5)
POSITIVES = np.array([1, 3])
USERS = np.array([0, 1])


def score_all(users):
    return SCORES[users]


# rank_positives


def test_ranks_by_hand():
    # user 0: item 2 is higher, item 4 is masked; items 0, 2, 3 are unseen. User 1: item 1 higher, item 0 tied
    n_higher, n_tied, n_unseen = evaluate.rank_positives(SCORES, POSITIVES, SEEN)
    assert n_higher.tolist() == [1, 1]
    assert n_tied.tolist() == [0, 1]
    assert n_unseen.tolist() == [3, 4]


@st.composite
def worlds(draw):
    """scores [B, I] with many ties, positives [B], seen [B, I]; now and then the positive is also seen."""
    n_users, n_items = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    scores = rng.integers(-2, 3, (n_users, n_items)).astype(draw(st.sampled_from([np.float32, np.float64])))
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    seen = rng.random(scores.shape) < 0.3
    return scores, rng.integers(0, n_items, n_users), sampling.interactions(*seen.nonzero(), *seen.shape)


@given(worlds())
def test_ranks_equal_a_plain_loop(world):
    scores, positives, seen = world
    before = scores.copy(), seen.toarray()
    counts = evaluate.rank_positives(scores, positives, seen)
    for row, positive in enumerate(positives):
        others = [i for i in range(scores.shape[1]) if i != positive and not seen.toarray()[row, i]]
        higher = [i for i in others if scores[row, i] > scores[row, positive]]
        tied = [i for i in others if scores[row, i] == scores[row, positive]]
        assert [count[row] for count in counts] == [len(higher), len(tied), len(others)]
    assert (scores == before[0]).all()
    assert (seen.toarray() == before[1]).all()


def test_ranks_take_tensors_with_gradients():
    tensor = torch.tensor(SCORES, requires_grad=True)
    expected = evaluate.rank_positives(SCORES, POSITIVES, SEEN)
    assert [c.tolist() for c in evaluate.rank_positives(tensor, POSITIVES, SEEN)] == [
        c.tolist() for c in expected
    ]


def test_ranks_refuse_nan_and_shapes_that_differ():
    scores = SCORES.copy()
    scores[0, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 10 scores are nan"):
        evaluate.rank_positives(scores, POSITIVES, SEEN)
    with pytest.raises(ValueError, match=r"scores \[2, 4\], seen \[2, 5\]"):
        evaluate.rank_positives(SCORES[:, :4], POSITIVES, SEEN)


# top_k


def test_top_k_by_hand():
    assert evaluate.top_k(SCORES, SEEN, 2).tolist() == [[2, 1], [1, 0]]
    # user 0 has four unseen items; user 1 has a tie of items 0 and 3
    assert evaluate.top_k(SCORES, SEEN, 5).tolist() == [[2, 1, 0, 3, -1], [1, 0, 3, 4, 2]]
    for k in (0, 6):
        with pytest.raises(ValueError, match=f"k={k}: must be between 1 and n_items=5"):
            evaluate.top_k(SCORES, SEEN, k)


@given(worlds(), st.integers(1, 7))
def test_top_k_equals_a_plain_sort(world, k):
    scores, _, seen = world
    k = min(k, scores.shape[1])
    for row, items in enumerate(evaluate.top_k(scores, seen, k).tolist()):
        unseen = [i for i in range(scores.shape[1]) if not seen.toarray()[row, i]]
        expected = sorted(unseen, key=lambda i: (-scores[row, i], i))[:k]
        assert items == expected + [-1] * (k - len(expected))


# leave_one_out


def test_leave_one_out_by_hand():
    # full ranking: user 0 is second of 4; user 1 second or third of 5
    result = evaluate.leave_one_out(score_all, USERS, POSITIVES, SEEN, k=2, n_neg=None)
    assert result.hit_rate.tolist() == [1, 0.5]
    assert result.ndcg == pytest.approx([1 / np.log2(3), 1 / np.log2(3) / 2])
    assert result.mrr == pytest.approx([1 / 2, (1 / 2 + 1 / 3) / 2])
    assert (result.k, result.n_neg) == (2, None)
    assert result.mean() == result.mean("hit_rate") == 0.75
    # against one: it is item 2 in a third of the cases for user 0; for user 1 higher in a quarter, tied in
    # another, which costs half: 1 - 1/4 - 1/8
    against_one = evaluate.leave_one_out(score_all, USERS, POSITIVES, SEEN, k=1, n_neg=1)
    assert against_one.hit_rate == pytest.approx([2 / 3, 5 / 8])


def test_interval_by_hand():
    # values 1, .5, .5, 0: mean .5, standard deviation sqrt(.5 / 3), of the mean sqrt(.5 / 3 / 4)
    values = np.array([1, 0.5, 0.5, 0])
    result = evaluate.LeaveOneOut(values, values, 1 - values, k=10, n_neg=99)
    half = 1.96 * np.sqrt(0.5 / 3 / 4)
    assert result.interval() == pytest.approx((0.5 - half, 0.5 + half))
    assert result.mean("mrr") == 0.5


@given(worlds(), st.sampled_from([1, 2, 3, 256]), st.none() | st.just(1), st.integers(0, 9))
def test_leave_one_out_is_rank_positives_and_metrics_in_any_batches(world, batch_size, n_neg, seed):
    scores, positives, seen = world
    users = np.random.default_rng(seed).permutation(len(scores))  # not in the order of the rows of seen
    counts = evaluate.rank_positives(scores[users], positives, seen[users])
    if n_neg is not None and counts[2].min() < n_neg:
        return
    result = evaluate.leave_one_out(
        lambda batch: scores[batch], users, positives, seen, k=2, n_neg=n_neg, batch_size=batch_size
    )
    assert result.hit_rate.tolist() == metrics.expected_hit_rate(*counts, 2, n_neg).tolist()
    assert result.ndcg.tolist() == metrics.expected_ndcg(*counts, 2, n_neg).tolist()
    assert result.mrr.tolist() == metrics.expected_mrr(*counts, n_neg).tolist()


def test_a_constant_score_is_chance_and_the_extremes_are_the_extremes():
    users, positives = np.arange(20), np.arange(20) * 7
    seen = sampling.interactions(users, positives + 1, 20, 150)
    is_positive = np.zeros((20, 150))
    is_positive[users, positives] = 1

    def hit_rate(scores):
        return evaluate.leave_one_out(lambda batch: scores[batch], users, positives, seen).mean()

    assert hit_rate(np.zeros((20, 150))) == pytest.approx(0.1, abs=1e-12)
    assert hit_rate(is_positive) == pytest.approx(1.0)
    assert hit_rate(-is_positive) == pytest.approx(0.0, abs=1e-12)


def test_what_the_user_has_seen_does_not_count():
    # the scores of seen items may be anything
    rng = np.random.default_rng(0)
    seen = sampling.interactions(np.repeat(np.arange(5), 10), np.tile(np.arange(10), 5), 5, 150)
    scores = rng.normal(size=(5, 150))
    users, positives = np.arange(5), np.arange(20, 25)
    plain = evaluate.leave_one_out(lambda batch: scores[batch], users, positives, seen)
    scores[:, :10] = 1e9
    lifted = evaluate.leave_one_out(lambda batch: scores[batch], users, positives, seen)
    assert plain.hit_rate.tolist() == lifted.hit_rate.tolist()


def test_scores_come_without_gradients():
    weight = torch.nn.Parameter(torch.ones(()))
    modes = []

    def with_gradients(users):
        modes.append(torch.is_grad_enabled())
        return weight * torch.from_numpy(SCORES[users])

    result = evaluate.leave_one_out(with_gradients, USERS, POSITIVES, SEEN, k=2, n_neg=None)
    assert modes == [False]
    assert result.hit_rate.tolist() == [1, 0.5]


# sampled_leave_one_out


def test_sampled_by_hand():
    # user 0 against items 2 (higher) and 0; user 1 against items 0 (tied) and 2
    negatives = np.array([[2, 0], [0, 2]])
    result = evaluate.sampled_leave_one_out(score_all, USERS, POSITIVES, negatives, k=1)
    assert result.hit_rate.tolist() == [0, 0.5]
    assert result.ndcg.tolist() == [0, 0.5]
    assert result.mrr == pytest.approx([1 / 2, (1 + 1 / 2) / 2])
    assert (result.k, result.n_neg) == (1, 2)


def test_the_mean_of_drawn_negatives_is_the_exact_expectation():
    # 200 draws for 40 users, 1 + 9: the mean of the draws is within 5 standard errors of the expectation
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 15, (40, 30)).astype(float)  # ties
    users, positives = np.arange(40), rng.integers(0, 30, 40)
    is_seen = rng.random((40, 30)) < 0.2
    seen = sampling.interactions(*is_seen.nonzero(), 40, 30)
    exact = evaluate.leave_one_out(lambda batch: scores[batch], users, positives, seen, k=3, n_neg=9)
    drawn = [
        evaluate.sampled_leave_one_out(
            lambda batch: scores[batch],
            users,
            positives,
            sampling.evaluation_negatives(users, positives, seen, 9, seed),
            k=3,
            batch_size=16,
        )
        for seed in range(200)
    ]
    for name in ("hit_rate", "ndcg", "mrr"):
        means = np.array([result.mean(name) for result in drawn])
        error = means.std(ddof=1) / np.sqrt(200)
        assert 0.0001 < error < 0.01
        assert abs(means.mean() - exact.mean(name)) < 5 * error
