"""The second half of the exercises of Lab 3: what happens once there are vectors (3.7 to 3.10)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from course_utils import retrieval
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.guard import TimeOut
from course_utils.exercises.plain import MAX_SHOWN, Plain, describe, numbers, whole
from course_utils.exercises.verdicts import Complaint, Equal, Property, compare

Args = dict[str, Any]


# ---- 3.7 build_ivf ----


@cache
def _faiss():
    """By way of the one module that imports it; once, since that looks through all that is installed."""
    return retrieval._import_faiss()


_TOP = 5
_NO_INDEX, _INDEX, _NOT_TRAINED = range(3)


def _call_ivf(build_ivf, vectors, n_lists, n_probe, queries):
    """What came, as one of the three kinds; of an index its settings, and what it finds in all its lists.

    Which vector is in which list is left to the learner's training, and does not matter in a full search.
    """
    faiss = _faiss()
    n_threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index = build_ivf(vectors, n_lists, n_probe)
        if not isinstance(index, faiss.Index):
            return _NO_INDEX, index
        return _INDEX, *_look_into(index, queries)
    except RuntimeError as error:
        if "is_trained" not in str(error):
            raise
        return _NOT_TRAINED, 0
    finally:
        faiss.omp_set_num_threads(n_threads)


def _look_into(index, queries: np.ndarray) -> tuple:
    """Settings (in the order of _settings); items and scores [Q, 5] of a search through every list.

    Of a copy made by FAISS: an index of a class of one's own would say of itself what it likes.
    """
    index = _faiss().deserialize_index(_faiss().serialize_index(index))
    by_inner_product = index.metric_type == _faiss().METRIC_INNER_PRODUCT
    ivf = index if hasattr(index, "nlist") else _faiss().try_extract_index_ivf(index)
    lists = (ivf.nlist, ivf.nprobe) if ivf else (0, 0)
    settings = [by_inner_product, index.d, *lists, index.is_trained, index.ntotal]
    if ivf:
        ivf.nprobe = ivf.nlist
    if not index.is_trained or index.d != queries.shape[1]:
        return settings, -1, -1
    scores, items = index.search(queries, _TOP)
    return settings, items, scores


def _ivf_cases(rng: np.random.Generator) -> list[Case]:
    def random(n, dim, n_lists, n_probe, dtype=np.float32):
        centres = rng.normal(0, 2, (n_lists, dim))
        vectors = centres[rng.integers(0, n_lists, n)] + rng.normal(0, 0.7, (n, dim))
        return case(vectors.astype(dtype), n_lists, n_probe, rng.normal(0, 1, (4, dim)))

    def case(vectors, n_lists, n_probe, queries):
        queries = np.asarray(queries, dtype=np.float32)
        return {"vectors": vectors, "n_lists": n_lists, "n_probe": n_probe, "queries": queries}

    # k-means warns below 39 vectors a list, so there are no fewer
    steps = np.arange(1, 41)[:, None] / 100
    hand = np.concatenate([steps * [0, 1] + [3, 0], steps * [1, 0] + [0, 2]]).astype(np.float32)
    words = (
        "80 vectors, 40 from [3, 0.01] to [3, 0.4] and 40 from [0.01, 2] to [0.4, 2], in 2 lists, 1 of them "
        "probed"
    )
    return [
        Case(words, case(hand, 2, 1, [[1.0, 0.1], [0.1, 1.0]])),
        Case("200 vectors of 8, 4 lists, 2 of them probed", random(200, 8, 4, 2)),
        Case("400 vectors of 12, 8 lists, 3 of them probed", random(400, 12, 8, 3)),
        Case("150 vectors in 3 lists, all of them probed", random(150, 6, 3, 3), edge=True),
        Case("60 vectors in a single list", random(60, 5, 1, 1), edge=True),
        Case("200 vectors in float64", random(200, 8, 4, 2, np.float64), edge=True),
    ]


def _check_ivf(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    n, (kind, *rest) = len(args["vectors"]), got.parts
    if kind.array == _NO_INDEX:
        ask = "What did you build, and does your return line name it?"
        return Complaint(f"got {describe(rest[0])}", "a FAISS index", ask)
    if kind.array == _NOT_TRAINED:
        ask = "What does an IVF index have to know before it can put a vector into a list?"
        return Complaint(
            "got an index that refuses vectors ('is_trained' failed)", f"one that holds {n} vectors", ask
        )
    settings, items, scores = rest
    for setting, right, say, ask in _settings(args, settings.array):
        if setting != right:
            return Complaint(f"got an index {say(setting)}", f"one {say(right)}", ask)
    right_items, right_scores = expected.parts[2:]
    if not np.array_equal(items.array, right_items.array):
        ask = "Are the vectors in the index those that came in, in their order and of their lengths?"
        a, b = numbers(items.array[0]), numbers(right_items.array[0])
        return Complaint(f"got items {a} for the first query in a search of all lists", b, ask)
    if problem := compare(scores, right_scores, (), 1e-3, 1e-4):
        return Complaint(f"{problem.got} as scores of the right items", problem.expected, problem.ask)
    return None


def _settings(args: Args, settings: np.ndarray) -> list[tuple[int, int, Callable[[int], str], str]]:
    """Of each setting: what it is, what it should be, how to say it, and a question."""
    by_inner_product, dim, n_lists, n_probe, trained, n_total = settings.tolist()
    n, right_dim = args["vectors"].shape
    return [
        (dim, right_dim, lambda x: f"of vectors of {x}", "Which axis of vectors is the length of one?"),
        (
            n_lists > 0,
            True,
            lambda x: "with lists" if x else "without lists",
            "Which class of index groups the vectors?",
        ),
        (
            by_inner_product,
            1,
            lambda x: f"that compares by {'inner product' if x else 'distance'}",
            "How large is the score of a vector with itself? Which argument decides about that?",
        ),
        (n_lists, args["n_lists"], lambda x: f"with {x} list{'s' * (x != 1)}", "Which argument is that?"),
        (
            trained,
            1,
            lambda x: "that is trained" if x else "that is not trained",
            "What does an IVF index have to know before it can put a vector into a list?",
        ),
        (n_total, n, lambda x: f"that holds {x} vectors", "Which call puts vectors into an index?"),
        (
            n_probe,
            args["n_probe"],
            lambda x: f"that probes {x} of its lists",
            "How many lists does a search visit, and who has told the index?",
        ),
    ]


def _ivf_with(
    vectors,
    n_lists,
    n_probe,
    *,
    lists=lambda n_lists, n_probe, n: n_lists,
    probe=lambda n_lists, n_probe: n_probe,
    inner_product=True,
    prepare=lambda vectors: vectors,
    train=True,
    adds=1,
):
    """The reference; with keywords, one thing done otherwise."""
    faiss = _faiss()
    vectors = np.ascontiguousarray(prepare(vectors), dtype=np.float32)
    n, dim = vectors.shape
    metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists(n_lists, n_probe, n), metric)
    index.cp.min_points_per_centroid = 1  # no warning where a mistake makes too many lists
    if train:
        index.train(vectors)
    for _ in range(adds):
        index.add(vectors)
    index.nprobe = probe(n_lists, n_probe)
    return index


def _flat(vectors, n_lists, n_probe):
    index = _faiss().IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def _unit_length(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _normalised_in_place(vectors, n_lists, n_probe):
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return _ivf_with(vectors, n_lists, n_probe)


BUILD_IVF = Exercise(
    id="3.7",
    title="An index with lists",
    name="build_ivf",
    params=("vectors", "n_lists", "n_probe"),
    points=2,
    minutes=10,
    difficulty=2,
    cases=_ivf_cases,
    reference=_ivf_with,
    call=_call_ivf,
    verdict=Property(_check_ivf, rtol=1e-3, atol=1e-4),
    misconceptions=(
        Misconception(
            "distance",
            partial(_ivf_with, inner_product=False),
            "Your index looks for the smallest distance. IndexIVFFlat does so unless it is told otherwise, "
            "whatever its quantizer does: which of its arguments is the metric?",
        ),
        Misconception(
            "distance, one list probed",
            partial(_ivf_with, inner_product=False, probe=lambda n_lists, n_probe: 1),
            "Two settings are still FAISS' own: it looks for the smallest distance, and in a single list. "
            "Which argument and which attribute decide about that?",
        ),
        Misconception(
            "one list probed",
            partial(_ivf_with, probe=lambda n_lists, n_probe: 1),
            "Your index visits a single list per query, as FAISS does when nobody says otherwise. Which "
            "attribute of the index is that?",
        ),
        Misconception(
            "every list probed",
            partial(_ivf_with, probe=lambda n_lists, n_probe: n_lists),
            "Your index visits all of its lists: exact, and slower than an index without lists. Which "
            "argument says how many it should visit?",
        ),
        Misconception(
            "lists and probes swapped",
            partial(
                _ivf_with,
                lists=lambda n_lists, n_probe, n: n_probe,
                probe=lambda n_lists, n_probe: n_lists,
            ),
            "Your index has n_probe lists and visits n_lists of them. Which of the two numbers is the larger "
            "one, and which one does the constructor want?",
        ),
        Misconception(
            "own number of lists",
            partial(_ivf_with, lists=lambda n_lists, n_probe, n: round(n**0.5)),
            "Your index has the square root of the number of vectors as its number of lists, a good rule. "
            "But which number did the caller ask for?",
        ),
        Misconception(
            "not trained",
            partial(_ivf_with, train=False),
            "The index refuses vectors as long as it is not trained. What has to be known before a vector "
            "can be put into one of the lists, and which method learns it?",
        ),
        Misconception(
            "neither trained nor filled",
            partial(_ivf_with, train=False, adds=0),
            "You return an index that knows nothing yet. Which two calls come between the constructor and "
            "the return?",
        ),
        Misconception(
            "not filled",
            partial(_ivf_with, adds=0),
            "Your index has learned where its lists are, but they are empty: a search would find only -1. "
            "Does train put the vectors in?",
        ),
        Misconception(
            "filled twice",
            partial(_ivf_with, adds=2),
            "Every vector is in your index twice, the second time under a number that is no item. How often "
            "is add called?",
        ),
        Misconception(
            "flat",
            _flat,
            "Your index compares a query with every vector. Which class of index groups them in lists, and "
            "what does it need the flat one for?",
        ),
        Misconception(
            "vectors shortened",
            partial(_ivf_with, prepare=_unit_length),
            "The vectors in your index have length 1, and those that came in have not: the scores are "
            "cosines. Did the docstring ask for that?",
        ),
        Misconception(
            "vectors shortened in place",
            _normalised_in_place,
            "You made the caller's vectors length 1, in place (faiss.normalize_L2 does that too). Did the "
            "docstring ask for it, and who still needs them?",
        ),
    ),
)


# ---- 3.8 recall_at_k ----


def _recall_with(
    found,
    exact,
    *,
    per_query=lambda hits, n_found, k: hits / k,
    finish=np.mean,
):
    """The reference; with keywords, one thing done otherwise."""
    hits = np.array([len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)])
    return finish(per_query(hits, (found >= 0).sum(axis=1), exact.shape[1]))


def _recall_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_queries, k, n_items, missing=False):
        """Neighbours in any order, some of them wrong; of the first query none."""
        exact = np.array([rng.choice(n_items, k, replace=False) for _ in range(n_queries)])
        found = exact.copy()
        for row in range(1, n_queries):
            n_wrong = int(rng.integers(1, k))
            others = np.setdiff1d(np.arange(n_items), exact[row])
            found[row, k - n_wrong :] = rng.choice(others, n_wrong, replace=False)
            found[row] = rng.permutation(found[row])
        found[0] = np.roll(found[0], 1)
        if missing:
            found[1:, -int(rng.integers(1, k - 1)) :] = -1
            found[-1] = -1
        return {"found": found, "exact": exact}

    hand = {"found": np.array([[5, 2], [7, 4]]), "exact": np.array([[2, 5], [7, 2]])}
    single = random(2, 8, 20)
    return [
        Case("two queries", hand),
        Case("12 queries and k = 6", random(12, 6, 30)),
        Case("30 queries and k = 10, some of which found fewer", random(30, 10, 40, missing=True)),
        Case("k = 1", {"found": np.array([[3], [8], [-1]]), "exact": np.array([[3], [6], [8]])}, edge=True),
        Case("a single query", {name: rows[1:] for name, rows in single.items()}, edge=True),
        Case(
            "nothing found at all",
            {"found": np.full((2, 3), -1), "exact": rng.choice(20, (2, 3), replace=False)},
            edge=True,
        ),
    ]


RECALL_AT_K = Exercise(
    id="3.8",
    title="How much does an index miss?",
    name="recall_at_k",
    params=("found", "exact"),
    points=1,
    minutes=6,
    difficulty=1,
    cases=_recall_cases,
    reference=_recall_with,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "place by place",
            lambda found, exact: (found == exact).mean(),
            "You compare place by place, so that an item found one place lower counts as missed. Does the "
            "docstring say that the order matters?",
        ),
        Misconception(
            "one set for all queries",
            lambda found, exact: len(np.intersect1d(found, exact)) / len(np.unique(exact)),
            "You threw the items of all queries into one set. Does an item help the first query that was "
            "found for the second?",
        ),
        Misconception(
            "found by any query",
            lambda found, exact: np.isin(exact, found).mean(),
            "An item counts with you if any query found it. Does an item help the first query that was "
            "found for the second?",
        ),
        Misconception(
            "found for any query",
            lambda found, exact: np.isin(found, exact).mean(),
            "An item counts with you if it belongs to any query at all. Does an item help the first query "
            "that belongs to the second?",
        ),
        Misconception(
            "divided by what was found",
            partial(_recall_with, per_query=lambda hits, n_found, k: hits / np.maximum(n_found, 1)),
            "You divided by the number of items that were found, which is precision: an index that finds a "
            "single item would be perfect. Of which items do you want the share?",
        ),
        Misconception(
            "union below the line",
            partial(_recall_with, per_query=lambda hits, n_found, k: hits / (n_found + k - hits)),
            "You divided by all items of both lists (the Jaccard index). Of which items do you want the "
            "share?",
        ),
        Misconception(
            "counts",
            partial(_recall_with, per_query=lambda hits, n_found, k: hits),
            "That is a number of items, not a share. Of how many?",
        ),
        Misconception(
            "one per query",
            partial(_recall_with, finish=lambda x: x),
            "You have one share per query. How do they become one figure for the index?",
        ),
        Misconception(
            "sum over queries",
            partial(_recall_with, finish=np.sum),
            "Your figure grows with the number of queries. What is the largest it may become?",
        ),
        Misconception(
            "any hit",
            partial(_recall_with, per_query=lambda hits, n_found, k: hits > 0),
            "A query counts in full with you as soon as one item was found. What about the others?",
        ),
        Misconception(
            "all or nothing",
            partial(_recall_with, per_query=lambda hits, n_found, k: hits == k),
            "A query counts with you only if everything was found. What about one that misses a single item?",
        ),
        Misconception(
            "only the best item",
            lambda found, exact: (found == exact[:, :1]).any(axis=1).mean(),
            "You look only for the best item of each query (benchmarks call that 1-recall@k). How many of "
            "the exact ones should be found?",
        ),
        Misconception(
            "first place only",
            lambda found, exact: (found[:, 0] == exact[:, 0]).mean(),
            "You compare only the first item of each query. What are the other columns for?",
        ),
        Misconception(
            "share that was missed",
            partial(_recall_with, finish=lambda x: 1 - np.mean(x)),
            "That is the share that the index missed. Which one is recall?",
        ),
    ),
)


# ---- 3.9 retrieve_unseen ----

_MOST = 100_000  # items of a search, so that a loop which doubles them ends before memory does


def _call_unseen(retrieve_unseen, query, ranking, seen, k):
    return retrieve_unseen(_search_in(query, ranking), query, seen, k)


def _search_in(right_query: np.ndarray, ranking: np.ndarray) -> Callable:
    def search(query, n):
        """As an index does it: items [n], best first, and -1 at the end where there are no more."""
        if not np.array_equal(query, right_query):
            raise ValueError("search got another query than the one that came in")
        n = operator.index(n)
        if n > _MOST:
            raise MemoryError(f"search was asked for {n} items at once")
        return np.concatenate([ranking[: max(n, 0)], np.full(max(n - len(ranking), 0), -1)])

    return search


def _unseen_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_items, k, n_seen_best, n_seen):
        """So many seen items stand at the very top, the others anywhere behind."""
        ranking = rng.permutation(n_items)
        behind = rng.choice(ranking[n_seen_best:], n_seen - n_seen_best, replace=False)
        seen = rng.permutation(np.r_[ranking[:n_seen_best], behind])
        return {"query": query, "ranking": ranking, "seen": seen, "k": k}

    query = rng.normal(0, 1, 2).round(2)
    hand = {
        "query": np.array([1.0, 0.0]),
        "ranking": np.array([4, 1, 3, 0, 2]),
        "seen": np.array([3, 4]),
        "k": 2,
    }
    return [
        Case("five items", hand),
        Case("40 items, 9 of them seen", random(40, 6, 3, 9)),
        Case("80 items, of which the best 40 were seen", random(80, 3, 40, 40)),
        Case("300 items, of which the best 250 were seen", random(300, 4, 250, 250)),
        Case("nothing seen", random(9, 3, 0, 0), edge=True),
        Case("fewer than k unseen items", random(12, 5, 4, 9), edge=True),
        Case("everything seen", random(7, 3, 7, 7), edge=True),
    ]


def _check_unseen(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    items, right = got.array, expected.array
    if items is None or items.ndim != 1 or not whole(got):
        ask = "What does a list of recommendations look like?"
        return Complaint(f"got {describe(got)}", f"{len(right)} item numbers", ask)
    if np.array_equal(items, right):
        return None
    shown = describe(got)
    if (items < 0).any():
        ask = "What does search put where it finds nothing more, and who would watch that?"
        return Complaint(f"got {shown}", "item numbers from 0", ask)
    if (old := np.intersect1d(items, args["seen"])).size:
        ask = "At which step do the seen items leave?"
        known = numbers(old) if old.size <= MAX_SHOWN else str(old.size)
        return Complaint(f"got {shown}, of which {known} were seen", "only unseen items", ask)
    wanted = numbers(right) if right.size else "no items"
    if len(items) != len(right):
        ask = "How many items do you ask search for, how many are left, and when do you cut the list?"
        return Complaint(f"got {shown}", f"{wanted}, best first", ask)
    ask = "In which order did search return them, and which step has changed that?"
    return Complaint(f"got {shown}", f"{wanted}, best first", ask)


def _unseen_with(
    search,
    query,
    seen,
    k,
    *,
    n=lambda k, seen: k + len(seen),
    keep=lambda items, seen: items[~np.isin(items, seen) & (items >= 0)],
    cut=lambda items, k: items[:k],
):
    """The reference; with keywords, one thing done otherwise."""
    return cut(keep(search(query, n(k, seen)), seen), k)


def _minus_one_kept(items, seen):
    return items[~np.isin(items, seen)]


def _once_more(search, query, seen, k):
    n_seen = np.isin(search(query, k), seen).sum()
    return _unseen_with(search, query, seen, k, n=lambda k, seen: k + n_seen)


_MORE_AND_MORE = (
    "You fetch more and more until k unseen items are there. What happens when there are not that many, and "
    "how could you tell that search has nothing more?"
)


def _doubling(search, query, seen, k):
    n = k
    while True:
        items = search(query, n)
        items = items[~np.isin(items, seen) & (items >= 0)]
        if len(items) >= k:
            return items[:k]
        n *= 2


def _small_steps(search, query, seen, k):
    items = _unseen_with(search, query, seen, k)
    if len(items) < k:
        raise TimeOut  # as the check does in the end, when a loop waits for an item that does not exist
    return items


def _padded(search, query, seen, k):
    items = _unseen_with(search, query, seen, k)
    return np.r_[items, search(query, k)[: k - len(items)]]


def _places(search, query, seen, k):
    items = search(query, k + len(seen))
    return np.flatnonzero(~np.isin(items, seen) & (items >= 0))[:k]


RETRIEVE_UNSEEN = Exercise(
    id="3.9",
    title="Only what is new",
    name="retrieve_unseen",
    params=("search", "query", "seen", "k"),
    points=3,
    minutes=12,
    difficulty=3,
    cases=_unseen_cases,
    reference=_unseen_with,
    call=_call_unseen,
    verdict=Property(_check_unseen),
    misconceptions=(
        Misconception(
            "filtered after the top k",
            partial(_unseen_with, n=lambda k, seen: k),
            "You dropped the seen items from a list that was already cut to k, so that places stay empty. "
            "How many items does it take until k unseen ones must be among them?",
        ),
        Misconception(
            "twice as many",
            partial(_unseen_with, n=lambda k, seen: 2 * k),
            "How many you fetch does not grow with what was seen, so that for somebody the list runs empty. "
            "If the best 40 were seen, how many of those you fetch are left?",
        ),
        Misconception(
            "a fixed number more",
            partial(_unseen_with, n=lambda k, seen: k + 100),
            "You fetch a number that somebody can have seen in full. On what has it to depend?",
        ),
        Misconception(
            "item 0 dropped",
            partial(_unseen_with, keep=lambda items, seen: items[~np.isin(items, seen) & (items > 0)]),
            "Item 0 is missing. It is an item like any other: which one number is none?",
        ),
        Misconception(
            "one too few",
            partial(_unseen_with, n=lambda k, seen: k + len(seen) - 1),
            "You fetch nearly enough. If every seen item stands above every unseen one, at which place is "
            "the last that you need?",
        ),
        Misconception(
            "only once more",
            _once_more,
            "You count the seen items among the first k and fetch that many more. What if the ones you then "
            "get were seen too?",
        ),
        Misconception(
            "seen items kept",
            lambda search, query, seen, k: search(query, k),
            "You recommend what the user already knows. Which argument tells you what to leave out?",
        ),
        Misconception(
            "-1 kept",
            partial(_unseen_with, keep=_minus_one_kept),
            "There is a -1 among your items. What does search put where it finds nothing more?",
        ),
        Misconception(
            "order lost, then cut",
            partial(_unseen_with, keep=lambda items, seen: np.setdiff1d(items[items >= 0], seen)),
            "Your items are sorted by their number, and those with the lowest numbers were kept. Which step "
            "forgets the order of the search (np.setdiff1d and set do)?",
        ),
        Misconception(
            "order lost, then cut, -1 kept",
            partial(_unseen_with, keep=lambda items, seen: np.setdiff1d(items, seen)),
            "Your items are sorted by their number, those with the lowest numbers were kept, and -1 is taken "
            "for an item. Which step forgets the order of the search, and what does -1 mean?",
        ),
        Misconception(
            "order lost",
            partial(_unseen_with, cut=lambda items, k: np.sort(items[:k])),
            "The items are right, but sorted by their number. In which order should a reader find them?",
        ),
        Misconception(
            "best last",
            partial(_unseen_with, cut=lambda items, k: items[:k][::-1]),
            "The items are right, but the best comes last. Which place does a reader look at first?",
        ),
        Misconception(
            "not cut",
            partial(_unseen_with, cut=lambda items, k: items),
            "All items that you fetched and that are unseen come back. How many did the caller ask for?",
        ),
        Misconception(
            "endless doubling",
            _doubling,
            _MORE_AND_MORE,
        ),
        Misconception(
            "endless in small steps",
            _small_steps,
            _MORE_AND_MORE,
        ),
        Misconception(
            "padded with seen items",
            _padded,
            "Where fewer than k items are unseen, seen ones fill the end of your list. How long may the list "
            "be?",
        ),
        Misconception(
            "places in the list",
            _places,
            "Those are places in the list that search gave you. Which items stand there?",
        ),
    ),
)


# ---- 3.10 score_cold_item ----


def _call_cold(score_cold_item, user_vecs, content, item_tower):
    return score_cold_item(user_vecs, content, _encoder(**item_tower))


def _encoder(id_table: np.ndarray, content_table: np.ndarray) -> Callable:
    """A small item tower, as strict about shapes as a real one."""
    id_table, content_table = (torch.tensor(x, dtype=torch.float32) for x in (id_table, content_table))

    def encode_item(ids, content):
        for name, value, shape in (("ids", ids, "[B]"), ("content", content, "[B, F]")):
            if not isinstance(value, torch.Tensor):
                raise TypeError(
                    f"encode_item got {name} as a {type(value).__name__}: must be a tensor {shape}"
                )
            if value.ndim != shape.count(",") + 1:
                raise ValueError(f"encode_item got {name} of shape {list(value.shape)}: must be {shape}")
        if len(ids) != len(content):
            raise ValueError(f"encode_item got {len(ids)} ids, but content of {len(content)} items")
        return F.normalize(F.embedding(ids, id_table) + content @ content_table, dim=1)

    return encode_item


def _cold_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_users, dim, columns, n_columns):
        """A film that has these columns; every row of the id table, the one for unknown too, has numbers."""
        content = torch.zeros(n_columns, dtype=torch.float32)
        content[list(columns)] = 1
        tower = {
            "id_table": rng.normal(0, 0.8, (n_columns + 3, dim)),
            "content_table": rng.normal(0, 0.8, (n_columns, dim)),
        }
        users = torch.tensor(rng.normal(0, 1, (n_users, dim)), dtype=torch.float32)
        return {"user_vecs": F.normalize(users, dim=1), "content": content, "item_tower": tower}

    # row 0 + column 1: [1, 0] + [2, 4] = [3, 4] -> [.6, .8]
    hand = {
        "user_vecs": torch.eye(2, dtype=torch.float32),
        "content": torch.tensor([0, 1], dtype=torch.float32),
        "item_tower": {
            "id_table": np.array([[1.0, 0.0], [-5.0, 0.0], [-2.0, -3.0]]),
            "content_table": np.array([[1.0, -1.0], [2.0, 4.0]]),
        },
    }
    some = 1 + rng.choice(8, 3, replace=False)
    return [
        Case("users [1, 0] and [0, 1] and a film with the content [0, 1]", hand),
        Case("5 users with vectors of 4, and 4 columns of content", random(5, 4, (2, 3), 4)),
        Case("40 users with vectors of 6, and 9 columns of content", random(40, 6, some, 9)),
        Case("a single user", random(1, 4, (2, 3), 6), edge=True),
        Case("a film whose words are all unknown", random(3, 4, (0,), 5), edge=True),
        Case("a film without any content", random(3, 4, (), 5), edge=True),
    ]


def _cold_with(
    user_vecs,
    content,
    encode_item,
    *,
    row=lambda content: 0,
    describe_film=lambda content: content,
    score=lambda user_vecs, vec: user_vecs @ vec,
):
    """The reference; with keywords, one thing done otherwise."""
    ids = torch.full((1,), row(content), dtype=torch.long)
    return score(user_vecs, encode_item(ids, describe_film(content)[None])[0])


def _column_0_set(content):
    content = content.clone()
    content[0] = 1
    return content


def _column_by_column(user_vecs, content, encode_item):
    columns = torch.eye(len(content))[content > 0]
    vecs = encode_item(torch.zeros(len(columns), dtype=torch.long), columns)
    return user_vecs @ vecs.mean(dim=0)


SCORE_COLD_ITEM = Exercise(
    id="3.10",
    title="A film that nobody has seen",
    name="score_cold_item",
    params=("user_vecs", "content", "encode_item"),
    points=3,
    minutes=10,
    difficulty=2,
    cases=_cold_cases,
    reference=_cold_with,
    call=_call_cold,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "raw content",
            lambda users, content, encode_item: users @ content,
            "You compared the users with the raw columns of content, which happens to work only where a "
            "vector is as long as there are columns. What makes a vector of the users' space out of content?",
        ),
        Misconception(
            "another film's id",
            partial(_cold_with, row=lambda content: 1),
            "You gave the new film row 1 of the id table, which belongs to a film of the training. Which row "
            "is there for films that are not in it?",
        ),
        Misconception(
            "column as id",
            partial(_cold_with, row=lambda content: int(content.argmax())),
            "You looked up a column of content in the id table. A column is a genre or a word: which row of "
            "the id table is there for films that were not in training?",
        ),
        Misconception(
            "content left out",
            partial(_cold_with, describe_film=torch.zeros_like),
            "Your scores do not depend on content: all new films would get the same ones. What is known of "
            "a film on its first day?",
        ),
        Misconception(
            "column 0 of content set",
            partial(_cold_with, describe_film=_column_0_set),
            "You set column 0 of content as well, which says that a word of this film is unknown. Is it a "
            "word that is new here, or the film?",
        ),
        Misconception(
            "content as shares",
            partial(_cold_with, describe_film=lambda content: content / content.sum().clamp(min=1)),
            "You divided the content by the number of its columns. What did the tower see in training?",
        ),
        Misconception(
            "column by column",
            _column_by_column,
            "You encoded each column alone and took the mean. Did the tower ever see a film with a single "
            "column, and what is the length of a mean of vectors?",
        ),
        Misconception(
            "a column of scores",
            partial(_cold_with, score=lambda users, vec: users @ vec[:, None]),
            "Your scores stand in a column: the axis of the one film is still there. Which shape does the "
            "docstring ask for?",
        ),
        Misconception(
            "a row of scores",
            partial(_cold_with, score=lambda users, vec: vec[None] @ users.T),
            "Your scores stand in a row: the axis of the one film is still there. Which shape does the "
            "docstring ask for?",
        ),
        Misconception(
            "squeeze all",
            partial(_cold_with, score=lambda users, vec: (users @ vec[:, None]).squeeze()),
            "squeeze() without an argument drops every axis of size 1. Which axis has size 1 here that "
            "should stay?",
        ),
        Misconception(
            "not summed",
            partial(_cold_with, score=lambda users, vec: users * vec),
            "You multiplied the numbers of the two vectors, one by one. What is still to be done for a dot "
            "product?",
        ),
        Misconception(
            "mean instead of sum",
            partial(_cold_with, score=lambda users, vec: (users * vec).mean(dim=1)),
            "You took the mean of the products. Then the score of a vector with itself depends on its number "
            "of dimensions: what should it be?",
        ),
        Misconception(
            "sigmoid",
            partial(_cold_with, score=lambda users, vec: torch.sigmoid(users @ vec)),
            "You squeezed the scores into 0 to 1. How could they then be compared with those of the index?",
        ),
        Misconception(
            "softmax over the users",
            partial(_cold_with, score=lambda users, vec: torch.softmax(users @ vec, dim=0)),
            "Your scores add up to 1 over the users, so that each depends on who else came. How could they "
            "then be compared with those of the index?",
        ),
        Misconception(
            "distance",
            partial(_cold_with, score=lambda users, vec: (users - vec).norm(dim=1)),
            "Those are distances: the best user has the smallest. What does the index compare by?",
        ),
    ),
)


EXERCISES = (BUILD_IVF, RECALL_AT_K, RETRIEVE_UNSEEN, SCORE_COLD_ITEM)
