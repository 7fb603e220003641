"""Measures of quality: pure functions on arrays."""

from course_utils.metrics.beyond import (
    calibration,
    catalogue_coverage,
    cosine_similarity,
    genre_shares,
    gini,
    intra_list_diversity,
    novelty,
    popularity_lift,
)
from course_utils.metrics.errors import mae, rmse
from course_utils.metrics.lists import (
    UserMean,
    auc,
    hit_rate_at_k,
    map_at_k,
    mean_over_users,
    mrr,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)
from course_utils.metrics.ranks import expected_hit_rate, expected_mrr, expected_ndcg
from course_utils.metrics.relevance import relevances_of

__all__ = [
    "UserMean",
    "auc",
    "calibration",
    "catalogue_coverage",
    "cosine_similarity",
    "expected_hit_rate",
    "expected_mrr",
    "expected_ndcg",
    "genre_shares",
    "gini",
    "hit_rate_at_k",
    "intra_list_diversity",
    "mae",
    "map_at_k",
    "mean_over_users",
    "mrr",
    "ndcg_at_k",
    "novelty",
    "popularity_lift",
    "precision_at_k",
    "recall_at_k",
    "relevances_of",
    "rmse",
]
