import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils import rerank

# Four candidates: 0 and 1 are nearly the same film, 2 is somewhat like them, 3 like none.
SCORES = [1.0, 0.9, 0.6, 0.3]
SIMILARITY = [[1, 0.9, 0.5, 0], [0.9, 1, 0.5, 0], [0.5, 0.5, 1, 0.2], [0, 0, 0.2, 1]]


# to_unit


def test_to_unit_by_hand():
    assert rerank.to_unit([3, 1, 2]).tolist() == [1, 0, 0.5]
    assert rerank.to_unit([[-4, 0], [7, 7]]).tolist() == [[0, 1], [0, 0]]


# mmr


def test_mmr_by_hand():
    # first the highest score, 0. Then: 1 has .45 - .45 = 0, 2 has .3 - .25 = .05, 3 has .15 - 0 = .15: 3.
    # Then 1 has .45 - .45 = 0 (nearest is 0), 2 has .3 - .25 = .05: 2.
    assert rerank.mmr(SCORES, SIMILARITY, 4, 0.5).tolist() == [0, 3, 2, 1]
    # .8: 1 has .72 - .18 = .54, 2 has .48 - .1 = .38, 3 has .24; then 2 has .38 still, 3 .24
    assert rerank.mmr(SCORES, SIMILARITY, 3, 0.8).tolist() == [0, 1, 2]
    # .7: 1 has .63 - .27 = .36, 2 has .42 - .15 = .27, 3 has .21
    assert rerank.mmr(SCORES, SIMILARITY, 2, 0.7).tolist() == [0, 1]


def test_only_similarity_counts_at_lambda_0():
    # nothing chosen: all are level, and the lowest place goes first; then the one least like it
    assert rerank.mmr([0, 1, 2], [[1, 0.2, 0.1], [0.2, 1, 0], [0.1, 0, 1]], 3, 0.0).tolist() == [0, 2, 1]


def test_the_most_similar_counts_not_the_mean():
    # after 0 and 1: candidate 2 is like 0 alone (1 and 0), candidate 3 a little like both (.6 and .6)
    similarity = np.eye(4)
    similarity[0, 2] = similarity[2, 0] = 1
    similarity[3, :2] = similarity[:2, 3] = 0.6
    assert rerank.mmr([1, 0.95, 0, 0], similarity, 3, 0.5).tolist() == [0, 1, 3]


def test_negative_similarities_are_not_taken_for_0():
    # after 0: 1 has .25 + .4 = .65, 2 has .3 + .3 = .6; as if 0 the order were 2, 1
    similarity = [[1, -0.8, -0.6], [-0.8, 1, 0], [-0.6, 0, 1]]
    assert rerank.mmr([1, 0.5, 0.6], similarity, 2, 0.5).tolist() == [0, 1]


def one_by_one(scores, similarity, k, lambda_):
    chosen = []
    for _ in range(k):

        def value(place):
            nearest = max((similarity[place][other] for other in chosen), default=0)
            return lambda_ * scores[place] - (1 - lambda_) * nearest

        left = [place for place in range(len(scores)) if place not in chosen]
        chosen.append(max(left, key=lambda place: (value(place), -place)))
    return chosen


@given(st.integers(1, 4), st.integers(1, 7), st.sampled_from([0, 0.25, 0.5, 0.75, 1]), st.integers(0, 9999))
def test_many_users_equal_the_plain_loop(n_users, n, lambda_, seed):
    rng = np.random.default_rng(seed)  # eighths: sums are exact, and ties common
    scores = rng.integers(-8, 9, (n_users, n)) / 8
    similarity = rng.integers(-8, 9, (n_users, n, n)) / 8
    similarity = np.maximum(similarity, similarity.transpose(0, 2, 1))
    k = int(rng.integers(1, n + 1))
    before = scores.copy(), similarity.copy()
    places = rerank.mmr(scores, similarity, k, lambda_)
    assert places.tolist() == [one_by_one(*user, k, lambda_) for user in zip(scores, similarity, strict=True)]
    assert (scores == before[0]).all()
    assert (similarity == before[1]).all()


@given(st.integers(1, 7), st.integers(0, 9999))
def test_lambda_1_is_the_ranking_itself(n, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (3, n)) / 4
    places = rerank.mmr(scores, rng.random((3, n, n)), n, 1)
    assert places.tolist() == np.argsort(-scores, axis=1, kind="stable").tolist()


@pytest.mark.parametrize(
    ("scores", "similarity", "k", "lambda_", "message"),
    [
        ([1, 2], np.eye(3), 1, 1, r"scores \[2\], similarity \[3, 3\]"),
        ([[1, 2]], np.eye(2), 1, 1, r"scores \[1, 2\], similarity \[2, 2\]"),
        ([1, 2], np.eye(2), 3, 1, "k=3: must be between 1 and the number of candidates, 2"),
        ([1, 2], np.eye(2), 0, 1, "k=0"),
        ([1, 2], np.eye(2), 1, 1.5, "lambda_=1.5: must be between 0 and 1"),
        ([1, np.nan], np.eye(2), 1, 1, "1 of 2 scores are nan"),
        ([1, 2], np.full((2, 2), np.inf), 1, 1, "4 of 4 similarities"),
    ],
)
def test_what_cannot_be_reranked_is_refused(scores, similarity, k, lambda_, message):
    with pytest.raises(ValueError, match=message):
        rerank.mmr(scores, similarity, k, lambda_)
