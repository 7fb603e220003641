"""What is wrong with a model, its vectors or its figures."""

from course_utils.diagnostics.leaks import (
    Finding,
    features_from_held_out,
    future_in_training,
    shared_pairs,
    spared_negatives,
    too_good,
)
from course_utils.diagnostics.vectors import (
    COLLAPSED_BELOW,
    CollapseReport,
    collapse_report,
    effective_rank,
    mean_pairwise_cosine,
)

__all__ = [
    "COLLAPSED_BELOW",
    "CollapseReport",
    "Finding",
    "collapse_report",
    "effective_rank",
    "features_from_held_out",
    "future_in_training",
    "mean_pairwise_cosine",
    "shared_pairs",
    "spared_negatives",
    "too_good",
]
