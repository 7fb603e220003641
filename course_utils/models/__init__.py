"""Models in PyTorch: `forward` for chosen pairs, `score_all` for every item of a user."""

from course_utils.models.rating import FlippedSVDpp, MatrixFactorization

__all__ = ["FlippedSVDpp", "MatrixFactorization"]
