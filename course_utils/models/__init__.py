"""Models in PyTorch: `forward` for chosen pairs, `score_all` for every item of a user."""

from course_utils.models.implicit import BPRMF, GMF, MLP, HistoryNeuMF, NeuMF, fuse_pretrained
from course_utils.models.rating import FlippedSVDpp, MatrixFactorization
from course_utils.models.two_tower import TwoTower

__all__ = [
    "BPRMF",
    "GMF",
    "MLP",
    "FlippedSVDpp",
    "HistoryNeuMF",
    "MatrixFactorization",
    "NeuMF",
    "TwoTower",
    "fuse_pretrained",
]
