"""Recall against speed of Flat, IVF and HNSW on clustered vectors, recorded for Lab 3.

Run: python benchmarks/faiss_curve.py            100,000 vectors, about a minute on one quiet core
     python benchmarks/faiss_curve.py 1000000    a million; the graph alone takes minutes
Writes benchmarks/results/03_faiss_<vectors>.json. One thread, timed by the processor time of this process:
what else the machine does counts little, and on a quiet core it is the time on the wall. Queries go in all at
once; each point is the quickest of three passes.
"""

import json
import time

import click
import faiss
import numpy as np
from tqdm import tqdm

from course_utils import retrieval, runtime
from course_utils.authoring.labs import write_atomically
from course_utils.data import synthetic

K, N_QUERIES, DIM, SEED = 100, 500, 64, 0
NPROBES, EF_SEARCH = (1, 2, 4, 8, 16, 32), (32, 64, 128, 256, 512)


def timed(index, queries: np.ndarray) -> tuple[np.ndarray, float]:
    """Items [B, K] and queries per second."""
    best = np.inf
    for _ in range(3):
        started = time.process_time()
        items, _ = retrieval.retrieve(index, queries, K)
        best = min(best, time.process_time() - started)
    return items, len(queries) / best


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(*pair)) / K for pair in zip(found, exact, strict=True)]))


def measure(n_vectors: int, n_clusters: int) -> list[dict]:
    """One row per index and setting: recall@100 against flat, queries per second, seconds to build."""
    vectors = synthetic.clustered_vectors(n_vectors, DIM, n_clusters, seed=SEED)
    queries = synthetic.clustered_vectors(N_QUERIES, DIM, n_clusters, seed=SEED, draw=1)
    rows, exact = [], None
    settings = {"flat": [None], "ivf": NPROBES, "hnsw": EF_SEARCH}
    for kind, values in settings.items():
        started = time.process_time()
        index = retrieval.build_index(vectors, kind, use_gpu=False)
        build_seconds = time.process_time() - started
        by_rule = index.nprobe if kind == "ivf" else None
        for value in tqdm(sorted({*values, by_rule} - {None}) or [None], desc=kind):
            if kind == "ivf":
                index.nprobe = value
            elif kind == "hnsw":
                index.hnsw.efSearch = value
            found, per_second = timed(index, queries)
            exact = found if exact is None else exact
            rows.append(
                {
                    "kind": kind,
                    "setting": value,
                    "is_default": kind == "flat" or value == by_rule or (kind == "hnsw" and value == 64),
                    "recall": round(recall(found, exact), 4),
                    "queries_per_second": round(per_second, 1),
                    "build_seconds": round(build_seconds, 2),
                }
            )
    return rows


@click.command()
@click.argument("n_vectors", default=100_000)
def main(n_vectors: int) -> None:
    runtime.start()
    faiss.omp_set_num_threads(1)
    n_clusters = max(200, n_vectors // 500)
    recorded = {
        "faiss": faiss.__version__,
        "vectors": n_vectors,
        "clusters": n_clusters,
        "dim": DIM,
        "queries": N_QUERIES,
        "k": K,
        "threads": 1,
        "rows": measure(n_vectors, n_clusters),
    }
    target = runtime.course_root() / "benchmarks" / "results" / f"03_faiss_{n_vectors}.json"
    write_atomically(target, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
