"""Models that need no gradient, on numpy and scipy: those of ratings, and those of clicks."""

from course_utils.baselines.implicit import (
    Factors,
    ItemWeights,
    Popularity,
    fit_ease,
    fit_ials,
    fit_item_knn,
    fit_popularity,
)
from course_utils.baselines.ratings import (
    Biases,
    fit_biases,
    item_similarity,
    knn_predict,
    rating_matrix,
)

__all__ = [
    "Biases",
    "Factors",
    "ItemWeights",
    "Popularity",
    "fit_biases",
    "fit_ease",
    "fit_ials",
    "fit_item_knn",
    "fit_popularity",
    "item_similarity",
    "knn_predict",
    "rating_matrix",
]
