"""How well a model ranks: masks seen items, takes the top K, averages, gives intervals. No formulas."""

from course_utils.evaluate.held_out import (
    LeaveOneOut,
    leaderboard,
    leave_one_out,
    protocols,
    sampled_leave_one_out,
)
from course_utils.evaluate.ranking import ScoreAll, rank_positives, recommend, top_k
from course_utils.evaluate.statistics import Segment, bootstrap_interval, by_segment, holm, paired_test

__all__ = [
    "LeaveOneOut",
    "ScoreAll",
    "Segment",
    "bootstrap_interval",
    "by_segment",
    "holm",
    "leaderboard",
    "leave_one_out",
    "paired_test",
    "protocols",
    "rank_positives",
    "recommend",
    "sampled_leave_one_out",
    "top_k",
]
