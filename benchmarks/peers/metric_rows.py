"""Which metric of which library is compared with which of ours. Needs only course_utils.

A row: the call here, the call there, whether they agree on the cases, and why or why not. Where they do not,
`same_as` is what theirs is in terms of ours. benchmarks/metrics_definitions.py measures.
"""

import numpy as np
from scipy import sparse

from course_utils import metrics

FULL = ("rankings@1", "rankings@3", "rankings@10", "rankings@30")
LISTS = (*FULL, "lists@5", "lists@20")  # also lists that lack some of what is relevant, and a k beyond them

NDCG = "metrics.ndcg_at_k(metrics.relevances_of(items, grades), k, grades)"
BINARY_NDCG = "metrics.ndcg_at_k(metrics.relevances_of(items, relevant), k, relevant)"
HIT_RATE = "metrics.hit_rate_at_k(items, relevant, k)"
PRECISION = "metrics.precision_at_k(items, relevant, k)"
RECALL = "metrics.recall_at_k(items, relevant, k)"
MRR = "metrics.mrr(items, relevant, k)"
MAP = "metrics.map_at_k(items, relevant, k)"
MAP_BY_RELEVANT = 'metrics.map_at_k(items, relevant, k, divide_by="relevant")'


def row(metric, library, ours, theirs, why="the same definition", *, cases, agrees=True, same_as=None):
    return {
        "metric": metric,
        "library": library,
        "ours": ours,
        "theirs": theirs,
        "agrees": agrees,
        "why": why,
        "same_as": same_as,
        "cases": list(cases),
    }


def ranx(name):
    return f'ranx.evaluate(qrels, run, f"{name}@{{k}}", return_mean=False)'


def rectools(call):
    return f"rectools.{call}.calc_per_user(reco, interactions)"


def torch(name, target="target"):
    return f"torchmetrics.retrieval_{name}(preds, {target}, top_k=k)"


ROWS = [
    row("NDCG", "ranx", NDCG, ranx("ndcg"), cases=LISTS),
    row("NDCG", "torchmetrics", NDCG, torch("normalized_dcg", "graded_target"), cases=FULL),
    row("NDCG", "scikit-learn", NDCG, "sklearn.ndcg_score([grades], [y_score], k=k)", cases=FULL),
    row(
        "NDCG", "RecTools", BINARY_NDCG, rectools("NDCG(k, divide_by_achievable=True)"),
        "the same definition, but of relevant or not: it takes no grades", cases=LISTS,
    ),
    row(
        "NDCG", "RecTools", BINARY_NDCG, rectools("NDCG(k)"),
        "by default it divides by the DCG of k relevant items, also where a user has fewer",
        cases=LISTS, agrees=False,
        same_as="metrics.ndcg_at_k(metrics.relevances_of(items, relevant), k, np.ones((len(items), k)))",
    ),
    row(
        "NDCG, exponential gain", "ranx", NDCG.replace("k, grades", 'k, grades, gain="exponential"'),
        ranx("ndcg_burges"), cases=LISTS,
    ),
    row("hit rate", "ranx", HIT_RATE, ranx("hit_rate"), cases=LISTS),
    row("hit rate", "torchmetrics", HIT_RATE, torch("hit_rate"), cases=FULL),
    row("hit rate", "RecTools", HIT_RATE, rectools("HitRate(k)"), cases=LISTS),
    row("precision", "ranx", PRECISION, ranx("precision"), cases=LISTS),
    row("precision", "torchmetrics", PRECISION, torch("precision"), cases=FULL),
    row("precision", "RecTools", PRECISION, rectools("Precision(k)"), cases=LISTS),
    row("recall", "ranx", RECALL, ranx("recall"), cases=LISTS),
    row("recall", "torchmetrics", RECALL, torch("recall"), cases=FULL),
    row("recall", "RecTools", RECALL, rectools("Recall(k)"), cases=LISTS),
    row("MRR", "ranx", MRR, ranx("mrr"), cases=LISTS),
    row("MRR", "torchmetrics", MRR, torch("reciprocal_rank"), cases=FULL),
    row("MRR", "RecTools", MRR, rectools("MRR(k)"), cases=LISTS),
    row(
        "MAP", "ranx", MAP, ranx("map"), "it divides by the number of relevant items, also when more than k",
        cases=LISTS, agrees=False, same_as=MAP_BY_RELEVANT,
    ),
    row(
        "MAP", "RecTools", MAP, rectools("MAP(k)"),
        "it divides by the number of relevant items, also when more than k",
        cases=LISTS, agrees=False, same_as=MAP_BY_RELEVANT,
    ),
    row(
        "MAP", "RecTools", MAP, rectools("MAP(k, divide_by_k=True)"),
        "on demand it divides by k, also where a user has fewer relevant items",
        cases=LISTS, agrees=False, same_as=f"{MAP} * np.minimum(n_relevant, k) / k",
    ),
    row(
        "MAP", "torchmetrics", MAP, torch("average_precision"),
        "it divides by the hits among the first k: what is missing from the list costs nothing",
        cases=FULL, agrees=False,
        same_as=f"{MAP} * np.minimum(n_relevant, k) / np.maximum({PRECISION} * k, 1)",
    ),
    row(
        "MAP", "scikit-learn", MAP, "sklearn.average_precision_score(y_true, y_score)",
        "the same when k is the whole ranking; it has no cut-off", cases=("rankings@30",),
    ),
    row("AUC", "scikit-learn", "metrics.auc(scores, relevant)", "sklearn.roc_auc_score(y_true, y_score)",
        cases=("rankings@30",)),
    row("AUC", "torchmetrics", "metrics.auc(scores, relevant)", "torchmetrics.retrieval_auroc(preds, target)",
        cases=("rankings@30",)),
    row(
        "catalogue coverage", "RecTools", "metrics.catalogue_coverage(items[:, :k], n_items)",
        "rectools.CatalogCoverage(k, normalize=True).calc(reco, catalog)",
        "the same definition; by default it counts items instead of giving their share", cases=LISTS,
    ),
    row(
        "novelty", "RecTools", "metrics.novelty(items[:, :k], counts, n_users)",
        "rectools.MeanInvUserFreq(k).calc_per_user(reco, profiles)",
        "the same definition; an item that nobody has counts as if one user had it", cases=LISTS,
    ),
    row(
        "popularity lift", "RecTools", "metrics.popularity_lift(items[:, :k], counts, relevant)",
        "rectools.AvgRecPopularity(k).calc(reco, profiles)"
        " / rectools.AvgRecPopularity(len(catalog)).calc(profiles, profiles) - 1",
        "it has the mean popularity of lists, of which the lift is a ratio", cases=LISTS,
    ),
    row(
        "intra-list diversity", "RecTools",
        "metrics.intra_list_diversity(items[:, :k], 1 - n_different)",
        "rectools.IntraListDiversity(k, distances).calc_per_user(reco)",
        "the same mean over pairs; there it is called with a distance instead of a similarity",
        cases=[case for case in LISTS if case != "rankings@1"],
    ),
    row(
        "intra-list diversity", "RecTools",
        "metrics.intra_list_diversity(items[:, :k], 1 - n_different)",
        "rectools.IntraListDiversity(k, distances).calc_per_user(reco)",
        "a list of one item has no pairs: not defined here (nan), 0 there",
        cases=["rankings@1"], agrees=False,
    ),
]  # fmt: skip

NOTHING = (
    "nothing relevant: not defined here, left out of the mean and counted; there it is 0 and lowers the mean"
)
ROWS += [
    row("recall", "ranx", RECALL, ranx("recall"), NOTHING, cases=["nothing relevant"], agrees=False),
    row("recall", "torchmetrics", RECALL, torch("recall"), NOTHING, cases=["nothing relevant"], agrees=False),
    row(
        "NDCG", "scikit-learn", NDCG, "sklearn.ndcg_score([grades], [y_score], k=k)", NOTHING,
        cases=["nothing relevant"], agrees=False,
    ),
    row(
        "recall", "RecTools", RECALL, rectools("Recall(k)"),
        "nothing relevant: left out in both; there without a trace", cases=["nothing relevant"], agrees=False,
    ),
    row(
        "precision", "RecTools", PRECISION, rectools("Precision(k)"),
        "an item twice in the list: it counts once here, twice there", cases=["an item twice"], agrees=False,
    ),
    row(
        "NDCG", "scikit-learn", NDCG, "sklearn.ndcg_score([grades], [y_score], k=k)",
        "tied scores: here the order of the list decides; there the mean over all orders is taken",
        cases=["tied scores"], agrees=False, same_as="metrics.expected_ndcg([0], [1], [2], k)",
    ),
    row(
        "NDCG", "torchmetrics", NDCG, torch("normalized_dcg", "graded_target"),
        "tied scores: here the order of the list decides; there the mean over all orders is taken",
        cases=["tied scores"], agrees=False, same_as="metrics.expected_ndcg([0], [1], [2], k)",
    ),
    row(
        "recall", "torchmetrics", RECALL, torch("recall"),
        "an item with a score of 0 or less counts as not retrieved there (in precision, recall, MAP and MRR,"
        " not in hit rate and NDCG): give it probabilities, not logits",
        cases=["scores below 0"], agrees=False, same_as="np.zeros(1)",
    ),
]  # fmt: skip


def evaluate(expression: str, given: dict) -> np.ndarray:
    """The value of one of our expressions for a case of the fixtures."""
    grades = sparse.csr_array(np.array(given["grades"]))
    features = np.array(given["features"])
    names = {
        "metrics": metrics,
        "np": np,
        "items": np.array(given["items"]),
        "scores": np.array(given["scores"]),
        "grades": grades,
        "relevant": grades.astype(bool),
        "n_relevant": (grades.toarray() > 0).sum(axis=1),
        "counts": (grades.toarray() > 0).sum(axis=0),
        "n_users": len(given["grades"]),
        "n_items": given["n_items"],
        "n_different": (features[:, None] != features).sum(axis=-1),
        "k": given["k"],
    }
    return np.atleast_1d(eval(expression, names))
