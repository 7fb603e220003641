import numpy as np
import pytest

from course_utils import diagnostics


def random_vectors(n=50, dim=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim))


# mean_pairwise_cosine


def test_cosine_by_hand():
    # pairs: (1,0)-(0,2): 0; (1,0)-(3,0): 1; (0,2)-(3,0): 0
    assert diagnostics.mean_pairwise_cosine([[1, 0], [0, 2], [3, 0]]) == pytest.approx(1 / 3)


def test_cosine_of_opposite_and_of_equal_vectors():
    assert diagnostics.mean_pairwise_cosine([[1, 2], [-2, -4]]) == pytest.approx(-1)
    assert diagnostics.mean_pairwise_cosine([[1, 2], [2, 4], [3, 6]]) == pytest.approx(1)


def test_cosine_equals_the_loop_over_pairs():
    vectors = random_vectors()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [unit[a] @ unit[b] for a in range(50) for b in range(a)]
    assert diagnostics.mean_pairwise_cosine(vectors) == pytest.approx(np.mean(pairs))


def test_a_zero_vector_has_no_cosine():
    with pytest.raises(ValueError, match="1 of 2 vectors are zero"):
        diagnostics.mean_pairwise_cosine([[1, 0], [0, 0]])


# effective_rank


def test_rank_of_orthogonal_vectors_of_equal_length_is_their_number():
    assert diagnostics.effective_rank(3 * np.eye(5)) == pytest.approx(5)
    # each direction twice: still equal shares
    assert diagnostics.effective_rank(np.repeat(np.eye(4), 2, axis=0)) == pytest.approx(4)


def test_rank_by_hand():
    # singular values 3 and 1, shares 3/4 and 1/4: exp(-(.75 ln .75 + .25 ln .25)) = exp(.56234) = 1.75477
    assert diagnostics.effective_rank([[3, 0], [0, 1]]) == pytest.approx(1.75477, abs=1e-5)


def test_rank_of_one_direction_is_one_and_of_nothing_zero():
    assert diagnostics.effective_rank(np.outer([1, -2, 5], [3, 4])) == pytest.approx(1)
    assert diagnostics.effective_rank(np.zeros((3, 2))) == 0


def test_rank_knows_neither_scale_nor_rotation_and_does_not_centre():
    vectors = random_vectors()
    rank = diagnostics.effective_rank(vectors)
    turn, _ = np.linalg.qr(random_vectors(8, 8, seed=1))
    assert diagnostics.effective_rank(7 * vectors @ turn) == pytest.approx(rank)
    assert diagnostics.effective_rank(vectors + 100) < 2 < 7 < rank


# collapse_report


def test_report_tells_collapse_from_cosine_near_one():
    rng = np.random.default_rng(0)
    common = rng.normal(size=64)
    alike = common + 0.2 * rng.normal(size=(500, 64))  # cosine near 1, but every direction is in use
    same = common + 0.001 * rng.normal(size=(500, 64))
    fresh, collapsed = diagnostics.collapse_report(alike), diagnostics.collapse_report(same)
    assert fresh.mean_cosine > 0.9
    assert not fresh.collapsed
    assert collapsed.collapsed
    assert (collapsed.n, collapsed.dim) == (500, 64)
    assert str(collapsed).startswith("500 vectors of 64: effective rank ")
    assert str(collapsed).endswith(": collapsed")
    assert str(fresh).endswith(": not collapsed")


@pytest.mark.parametrize("function", ["mean_pairwise_cosine", "effective_rank", "collapse_report"])
@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([1.0, 2.0], "must be"),
        ([[1.0, 2.0]], "at least two"),
        ([[1.0, np.nan], [1, 2]], "1 of 2 vectors have nan"),
    ],
)
def test_what_cannot_be_measured_is_refused(function, vectors, message):
    with pytest.raises(ValueError, match=message):
        getattr(diagnostics, function)(vectors)
