"""Six metrics at k by one library, timed. Run by benchmarks/metrics_speed.py, each library in a new process.

The arguments are the library, a file with items [B, L] and what is relevant (indptr, indices), k, and how
often to repeat. Prints one JSON object: processor seconds from the start of the process to the first results
and the least of the repetitions, which find the library's own structures made, and the values.
"""

import json
import sys
import time
import warnings

import numpy as np

NAMES = ("ndcg", "hit_rate", "precision", "recall", "map", "mrr")
warnings.filterwarnings("ignore")


def course(items, indptr, indices):
    from scipy.sparse import csr_array

    from course_utils import metrics

    shape = (len(items), 1 + max(items.max(), indices.max()))
    relevant = csr_array((np.ones(len(indices), dtype=bool), indices, indptr), shape=shape)

    def evaluate(k):
        values = (
            metrics.ndcg_at_k(metrics.relevances_of(items[:, :k], relevant), k, relevant),
            metrics.hit_rate_at_k(items, relevant, k),
            metrics.precision_at_k(items, relevant, k),
            metrics.recall_at_k(items, relevant, k),
            metrics.map_at_k(items, relevant, k, divide_by="relevant"),
            metrics.mrr(items, relevant, k),
        )
        return [metrics.mean_over_users(value).mean for value in values]

    return evaluate


def ranx(items, indptr, indices):
    """From arrays, as ranx has it fastest; its dictionaries take many times as long to make."""
    import ranx
    from numba.typed import List

    places = np.broadcast_to(np.arange(items.shape[1], 0, -1), items.shape)
    run = np.stack([items, places], axis=-1).astype(float)
    graded = np.stack([indices, np.ones(len(indices))], axis=-1)
    qrels = List(np.split(graded, indptr[1:-1]))

    def evaluate(k):
        wanted = [f"{name}@{k}" for name in NAMES]
        values = ranx.evaluate(qrels, run, wanted, threads=1)
        return [values[name] for name in wanted]

    return evaluate


def rectools(items, indptr, indices):
    import pandas as pd
    from rectools import metrics

    n_users, length = items.shape
    reco = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(n_users), length),
            "item_id": items.ravel(),
            "rank": np.tile(np.arange(1, length + 1), n_users),
        }
    )
    users = np.repeat(np.arange(n_users), np.diff(indptr))
    interactions = pd.DataFrame({"user_id": users, "item_id": indices})

    def evaluate(k):
        wanted = (
            metrics.NDCG(k, divide_by_achievable=True),
            metrics.HitRate(k),
            metrics.Precision(k),
            metrics.Recall(k),
            metrics.MAP(k),
            metrics.MRR(k),
        )
        values = metrics.calc_metrics(dict(zip(NAMES, wanted, strict=True)), reco, interactions)
        return [values[name] for name in NAMES]

    return evaluate


def torchmetrics(items, indptr, indices):
    """It is given the lists and which of their items are relevant, and sees no others."""
    import torch
    from torchmetrics import retrieval

    torch.set_num_threads(1)
    n_users, length = items.shape
    width = 1 + max(items.max(), indices.max())
    keys = np.repeat(np.arange(n_users), np.diff(indptr)) * width + indices
    is_relevant = np.isin(items + np.arange(n_users)[:, None] * width, keys)
    target = torch.from_numpy(is_relevant.ravel())
    preds = torch.arange(length, 0, -1, dtype=torch.float32).repeat(n_users)
    users = torch.arange(n_users).repeat_interleave(length)

    def evaluate(k):
        wanted = (
            retrieval.RetrievalNormalizedDCG(top_k=k),
            retrieval.RetrievalHitRate(top_k=k),
            retrieval.RetrievalPrecision(top_k=k),
            retrieval.RetrievalRecall(top_k=k),
            retrieval.RetrievalMAP(top_k=k),
            retrieval.RetrievalMRR(top_k=k),
        )
        return [float(metric(preds, target, indexes=users)) for metric in wanted]

    return evaluate


def main() -> None:
    library, path, k, n_times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with np.load(path) as arrays:
        given = [arrays[name] for name in ("items", "indptr", "indices")]
    evaluate = globals()[library](*given)
    values = evaluate(k)
    start_up = time.process_time()  # it counts from the start of the process
    warm = []
    for _ in range(n_times):
        before = time.process_time()
        evaluate(k)
        warm.append(time.process_time() - before)
    values = dict(zip(NAMES, map(float, values), strict=True))
    print(json.dumps({"start_up": start_up, "warm": min(warm), "values": values}))


if __name__ == "__main__":
    main()
