"""Search for the items with the largest dot product: exact in torch, exact or approximate in FAISS.

Every search returns (items, scores), best first: [k] each for one query [D], [B, k] for queries [B, D].
This is the only module that imports faiss, and only when an index is built, loaded or saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

EXACT_BELOW = 100_000  # with fewer vectors than this a flat index is quick enough
KINDS = ("auto", "flat", "ivf", "hnsw")
_ROWS_AT_ONCE = 1024  # queries for which exact_search holds all scores in memory


def _import_faiss():
    installed = {dist.metadata["Name"].lower() for dist in metadata.distributions() if dist.metadata["Name"]}
    faiss_names = sorted(name for name in installed if name.startswith(("faiss-cpu", "faiss-gpu")))
    if len(faiss_names) > 1:
        raise ImportError(
            f"{' and '.join(faiss_names)} are installed side by side; they overwrite each other's files. "
            f"Uninstall them all, then install the one you want."
        )
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "faiss is not installed: install the extra [cpu] or [gpu] of this package, "
            "or use retrieval.exact_search, which needs torch only"
        ) from error
    return faiss


def as_vectors(vectors: np.ndarray | Tensor) -> np.ndarray:
    """Array or tensor on any device [N, D] -> what faiss takes: float32, row after row in memory.

    ValueError for another shape, and for nan or infinity: a search would never find such an item.
    """
    if isinstance(vectors, Tensor):
        vectors = vectors.detach().cpu().numpy()
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"vectors have shape {list(vectors.shape)}: must be [N, D]")
    if n_odd := int((~np.isfinite(vectors)).any(axis=1).sum()):
        raise ValueError(f"{n_odd} of {len(vectors)} vectors have nan or infinite values")
    return vectors


def build_index(
    vectors: np.ndarray | Tensor,
    kind: str = "auto",
    use_gpu: bool | str = "auto",
    nlist: int | None = None,
    nprobe: int | None = None,
):
    """A FAISS index on the inner product of item vectors [I, D]; item i is row i.

    kind: "flat" compares a query with every vector; "ivf" with those of the nprobe nearest of nlist groups,
    by default 1/32 of sqrt(I) groups, at least 8; "hnsw" walks a graph of neighbours, quick and slow to
    build. "auto" is flat below EXACT_BELOW vectors, ivf from there on. use_gpu: True, False, or "auto":
    where faiss sees a GPU. An hnsw index stays on the CPU.
    """
    faiss = _import_faiss()
    vectors = as_vectors(vectors)
    n_items, dim = vectors.shape
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: must be one of {', '.join(map(repr, KINDS))}")
    if kind == "auto":
        kind = "flat" if n_items < EXACT_BELOW else "ivf"
    if kind != "ivf" and (nlist is not None or nprobe is not None):
        raise ValueError(f"kind={kind!r} with nlist={nlist}, nprobe={nprobe}: they belong to kind='ivf'")
    if kind == "ivf":
        index = _empty_ivf(faiss, n_items, dim, nlist, nprobe)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = 64
    else:
        index = faiss.IndexFlatIP(dim)
    if kind != "hnsw":  # faiss has no graph on the GPU
        index = _to_gpu(faiss, index, use_gpu)
    elif use_gpu is True:
        raise ValueError("kind='hnsw' with use_gpu=True: faiss keeps this kind on the CPU")
    index.train(vectors)  # only ivf has something to learn
    index.add(vectors)
    return index


def _empty_ivf(faiss, n_items: int, dim: int, nlist: int | None, nprobe: int | None):
    nlist = nlist or max(1, round(n_items**0.5))
    if not 1 <= nlist <= n_items:
        raise ValueError(f"nlist={nlist}: must be between 1 and the number of vectors, {n_items}")
    nprobe = nprobe or min(nlist, max(8, nlist // 32))
    if not 1 <= nprobe <= nlist:
        raise ValueError(f"nprobe={nprobe}: must be between 1 and nlist={nlist}")
    # the metric must be said twice: IndexIVFFlat takes L2 unless told otherwise, whatever its quantizer
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, nlist, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = nprobe
    # k-means warns below 39 vectors a group; a warning helps nobody who asked for that many groups
    index.cp.min_points_per_centroid = 1
    return index


def _to_gpu(faiss, index, use_gpu: bool | str):
    n_gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if use_gpu not in (True, False, "auto"):
        raise ValueError(f"use_gpu={use_gpu!r}: must be True, False or 'auto'")
    if use_gpu is True and not n_gpus:
        raise RuntimeError(
            "use_gpu=True, but faiss sees no GPU; exact_search runs on any GPU that torch sees"
        )
    if use_gpu and n_gpus:  # before asking for StandardGpuResources: the CPU build does not have it
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    return index


def retrieve(index, queries: np.ndarray | Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best items: queries [D] or [B, D] -> (items int64, scores float32), [k] or [B, k] each.

    Always k items: where an approximate search finds fewer and fills up with -1, that query is searched
    again in full. ValueError for k outside 1..number of items.
    """
    if not 1 <= k <= index.ntotal:
        raise ValueError(f"k={k}: must be between 1 and the {index.ntotal} items of the index")
    single = queries.ndim == 1
    queries = as_vectors(queries[None] if single else queries)
    if queries.shape[1] != index.d:
        raise ValueError(f"queries of {queries.shape[1]} numbers, index of {index.d}: must be as many")
    scores, items = index.search(queries, k)
    short = (items < 0).any(axis=1)
    if short.any():
        scores[short], items[short] = _search_in_full(index, queries[short], k)
    return (items[0], scores[0]) if single else (items, scores)


def _search_in_full(index, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores, items) [B, k] over all vectors of an approximate index."""
    if hasattr(index, "nlist"):
        nprobe = index.nprobe
        index.nprobe = index.nlist
        try:
            return index.search(queries, k)
        finally:
            index.nprobe = nprobe
    return index.storage.search(queries, k)  # the vectors under the graph of an hnsw index


def retrieve_unseen(
    index, queries: np.ndarray | Tensor, seen: Sequence[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best items that the user has not seen, by fetching as many more as the user has seen.

    queries [D] with seen a list or array of items, or queries [B, D] with seen B of them, of any lengths
    -> (items, scores), [k] or [B, k] each. ValueError that names a query with fewer than k unseen items.
    """
    if queries.ndim == 1:
        items, scores = retrieve_unseen(index, queries[None], [seen], k)
        return items[0], scores[0]
    if len(seen) != len(queries):
        raise ValueError(f"{len(queries)} queries, seen of {len(seen)}: must be as many")
    if k < 1:
        raise ValueError(f"k={k}: must be at least 1")
    seen = [np.unique(np.asarray(one, dtype=np.int64)) for one in seen]
    for number, one in enumerate(seen):
        if index.ntotal - len(one) < k:
            left = index.ntotal - len(one)
            raise ValueError(
                f"k={k}, but of the {index.ntotal} items only {left} are unseen in query {number}"
            )
    n_fetched = k + max(map(len, seen), default=0)
    items, scores = retrieve(index, queries, n_fetched)
    # [B, k] places of the first k unseen ones: at most len(seen) of those fetched can be seen
    unseen = np.array([~np.isin(row, one) for row, one in zip(items, seen, strict=True)])
    places = np.argsort(~unseen.reshape(items.shape), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(items, places, axis=1), np.take_along_axis(scores, places, axis=1)


def exact_search(
    queries: np.ndarray | Tensor, vectors: np.ndarray | Tensor, k: int, device: str | torch.device = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """What every index is measured against: all dot products, in torch, on the CPU or any GPU.

    queries [D] or [B, D], vectors [I, D] -> (items int64, scores float32), [k] or [B, k] each.
    """
    single = queries.ndim == 1
    queries = torch.as_tensor(as_vectors(queries[None] if single else queries), device=device)
    vectors = torch.as_tensor(as_vectors(vectors), device=device)
    if queries.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"queries of {queries.shape[1]} numbers, vectors of {vectors.shape[1]}: must be as many"
        )
    if not 1 <= k <= len(vectors):
        raise ValueError(f"k={k}: must be between 1 and n_items={len(vectors)}")
    parts = [(part @ vectors.T).topk(k) for part in queries.split(_ROWS_AT_ONCE)]
    items = torch.cat([part.indices for part in parts]).cpu().numpy()
    scores = torch.cat([part.values for part in parts]).cpu().numpy()
    return (items[0], scores[0]) if single else (items, scores)


def save_index(index, path: str | Path) -> None:
    """Write an index with its vectors and settings; nobody sees a half-written file."""
    faiss = _import_faiss()
    if hasattr(faiss, "GpuIndex") and isinstance(index, faiss.GpuIndex):
        index = faiss.index_gpu_to_cpu(index)
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / path.name
        faiss.write_index(index, str(whole))
        whole.replace(path)


def load_index(path: str | Path, use_gpu: bool | str = "auto"):
    """What save_index wrote, with the same answers. FileNotFoundError where there is nothing."""
    faiss = _import_faiss()
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no index is stored there")
    index = faiss.read_index(str(path))
    return index if hasattr(index, "hnsw") else _to_gpu(faiss, index, use_gpu)
