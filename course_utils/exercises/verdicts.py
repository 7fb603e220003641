"""How the outcome of a case is compared with the reference's: equal, by a property, or as a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_utils.exercises.plain import Plain, close, describe, numbers, pair, same, whole

NO_RETURN = "Does every path through your function end in a return with a value?"
CUT_OFF = "Which call cuts a tensor off from its past?"
ON_PAPER = "Work it out on paper for this case, then print your steps: which is the first that differs?"
ON_PAPER_SMALLER = (
    "Print your steps for an example small enough for paper, as the one worked out by hand in the lab: "
    "which is the first that differs?"
)


@dataclass(frozen=True)
class Complaint:
    """What was seen, what was expected, and a question for when no known mistake explains it."""

    got: str
    expected: str
    ask: str


def compare(
    got: Plain, expected: Plain, names: tuple[str, ...], rtol: float, atol: float
) -> Complaint | None:
    """The first difference: kind, then shape, dtype, nan, values. names are those of the parts."""
    if expected.parts is not None and len(names) == len(expected.parts):
        if got.parts is None or len(got.parts) != len(names):
            return not_the_results(got, names)
        for name, part, wanted in zip(names, got.parts, expected.parts, strict=True):
            if problem := compare(part, wanted, (), rtol, atol):
                return Complaint(f"{name}: {problem.got}", problem.expected, problem.ask)
        return None
    return misfit(got, expected) or _values(got, expected, rtol, atol)


def not_the_results(got: Plain, names: tuple[str, ...]) -> Complaint:
    """Something else came back than the results of these names."""
    ask = NO_RETURN if got.what == "None" else "What stands in your return line, and in which order?"
    return Complaint(f"got {describe(got)}", f"{len(names)} results ({', '.join(names)})", ask)


def misfit(got: Plain, expected: Plain) -> Complaint | None:
    """The first difference in kind, shape or dtype, whatever the values."""
    return _shape(got, expected) or _dtype(got, expected)


def _shape(got: Plain, expected: Plain) -> Complaint | None:
    shape = expected.array.shape
    want = "a single number" if shape == () else f"shape {list(shape)}"
    if got.array is None:
        ask = {
            "None": NO_RETURN,
            "list": "Do all rows have the same length, and is everything in it a number?",
        }.get(got.what, "How do you turn it into numbers before you return it?")
        return Complaint(f"got {describe(got)}", want if shape == () else f"numbers of {want}", ask)
    if got.array.shape != shape:
        if got.array.size > 1:
            kind = "an array" if got.what == "array" else f"a {got.what}"
            seen = f"got {kind} of shape {list(got.array.shape)}"
        else:
            seen = f"got {describe(got)}" + (" (a single number)" if got.array.shape == () else "")
        return Complaint(
            seen, want, "Print the shape after each step: where does it first differ from your plan?"
        )
    return None


def _dtype(got: Plain, expected: Plain) -> Complaint | None:
    dtype = got.array.dtype
    if whole(expected) and not whole(got) and expected.array.size:
        ask = "They are used as row numbers later: what makes them something else?"
        return Complaint(f"got numbers of dtype {dtype}", "whole numbers (an integer dtype)", ask)
    if expected.array.dtype.kind in "iuf" and dtype.kind not in "biuf":
        return Complaint(f"got dtype {dtype}", "real numbers", "Where do they turn into something else?")
    return None


def _values(got: Plain, expected: Plain, rtol: float, atol: float) -> Complaint | None:
    wrong = ~close(got.array, expected.array, rtol, atol)
    if not wrong.any():
        return None
    finite = np.isfinite(got.array) | ~np.isfinite(expected.array)
    ask = ON_PAPER
    if not finite.all():
        wrong, ask = ~finite, "Which division here has nothing to divide by, or which value is missing?"
    if got.array.size <= 6:
        a, b = pair(got.array, expected.array)
        return Complaint(f"got {a}", b, ask)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    a, b = pair(got.array[place], expected.array[place])
    share = f"{int(wrong.sum())} of {wrong.size} values {'are not numbers' if not finite.all() else 'differ'}"
    return Complaint(f"got {a} at [{', '.join(map(str, place))}] ({share})", b, ask)


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """normalise(args, got) brings several right answers, or several ways of one mistake, into one form.

    It leaves alone what it cannot read.
    """

    normalise: Callable[[dict[str, Any], Plain], Plain] = lambda args, got: got
    rtol: float = 1e-4
    atol: float = 1e-6

    def same(self, a: Plain, b: Plain, expected: Plain) -> bool:
        """Whether two values are the same answer, all three normalised."""
        return same(a, b, expected, self.rtol, self.atol)


@dataclass(frozen=True)
class Equal(_Compared):
    """The same numbers as the reference, to a tolerance. names: of the parts, where a tuple is returned."""

    names: tuple[str, ...] = ()

    def complaint(self, args: dict[str, Any], got: Plain, expected: Plain) -> Complaint | None:
        """What is wrong with a returned value, or None."""
        got, expected = self.normalise(args, got), self.normalise(args, expected)
        return compare(got, expected, self.names, self.rtol, self.atol)


@dataclass(frozen=True)
class Property(_Compared):
    """Right when it has the property: check(args, got, expected) -> Complaint or None."""

    check: Callable[[dict[str, Any], Plain, Plain], Complaint | None]

    def complaint(self, args: dict[str, Any], got: Plain, expected: Plain) -> Complaint | None:
        """What is wrong with a returned value, or None."""
        return self.check(args, got, expected)


# Epochs cannot be told from file order, or from each other, by chance: 1 / 13! is below 1e-9.
_ENOUGH_ROWS = 13


@dataclass(frozen=True)
class Epoch:
    """One epoch as it was recorded: what the learner's code returned, and the rows of each batch in turn."""

    returned: Plain
    batches: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Trained:
    """A training epoch is right when each row is seen once, shuffled, and every update is the reference's.

    The exercise's `call` runs two epochs in a row, twice, with the same generator but another global state,
    and returns recording(...) of both runs. Shuffling is free: each of the updates, "right" and known wrong
    ones, is replayed on the recorded batches: update(args, batches) -> (parameters [P], loss of each batch).
    """

    updates: dict[str, Callable[[dict[str, Any], list[np.ndarray]], tuple[np.ndarray, np.ndarray]]]
    n_rows: Callable[[dict[str, Any]], int]
    rtol: float = 1e-3
    atol: float = 1e-5

    def complaint(self, args: dict[str, Any], got: Plain, expected: Plain) -> Complaint | None:
        """What is wrong with the recorded runs, or None; of the updates only the right one is replayed."""
        n = self.n_rows(args)
        runs = _runs(got, n)
        epochs, parameters = runs[0]
        if problem := misfit(epochs[0].returned, Plain("number", np.array(1.0))):
            return problem
        for number, epoch in enumerate(epochs, 1):
            if problem := _coverage(epoch.batches, n, args["batch_size"], number):
                return problem
        if problem := _order(runs, n):
            return problem
        right, losses = self.updates["right"](args, _joined(epochs))
        if not self._close(parameters, right):
            return self._moved(parameters, right, self.updates["right"](args, [])[0])
        for number, (epoch, (batch_losses, sizes)) in enumerate(
            zip(epochs, _by_epoch(losses, epochs), strict=True), 1
        ):
            mean = Plain("number", np.average(batch_losses, weights=sizes))
            if problem := compare(epoch.returned, mean, (), self.rtol, self.atol):
                ask = "Is the loss of a batch taken before its step, and for how many rows does it stand?"
                seen = f"trained right, but {problem.got} as the loss of epoch {number}"
                return Complaint(seen, problem.expected, ask if problem.ask == ON_PAPER else problem.ask)
        return None

    def _moved(self, parameters: np.ndarray, right: np.ndarray, start: np.ndarray) -> Complaint:
        ask = "Which calls come between a prediction and the changed weights, and in which order?"
        if np.array_equal(parameters, start):
            return Complaint(
                "got weights that had not changed after two epochs", "every batch to change them", ask
            )
        i = int(np.nanargmax(abs(parameters - right))) if not np.isnan(parameters).all() else 0
        a, b = pair(parameters[i] - start[i], right[i] - start[i])
        return Complaint(f"got a weight that had moved by {a} after two epochs", f"a move by {b}", ask)

    def normalise(self, args: dict[str, Any], got: Plain) -> dict[str, Any]:
        """What tells one way of training from another, whatever the order of the shuffle."""
        n = self.n_rows(args)
        runs = _runs(got, n)
        epochs, parameters = runs[0]
        batches = _joined(epochs)
        features = {
            "sizes": [len(batch) for batch in epochs[0].batches],
            "rows": sorted(np.bincount(_order_of(epochs[0]) + 1, minlength=n + 1).tolist()),
            **_orders(runs, n),
        }
        if not batches or not all(len(batch) and batch.min() >= 0 for batch in batches):
            return features  # nothing that could be replayed
        for update, replay in self.updates.items():
            end, losses = replay(args, batches)
            if self._close(parameters, end):
                return features | {"update": update, "loss": self._formula(epochs, losses, n)}
        return features | {"update": "another"}

    def _formula(self, epochs: list[Epoch], losses: np.ndarray, n: int) -> str:
        """How the returned loss of the first epoch was made of those of the batches."""
        losses, sizes = _by_epoch(losses, epochs)[0]
        formulas = {
            "mean per row": np.average(losses, weights=sizes),
            "mean of batches": losses.mean(),
            "last batch": losses[-1],
            "sum of batches": losses.sum(),
            "sum over rows": (losses * sizes).sum(),
            "sum of batches over rows": losses.sum() / n,
        }
        returned = epochs[0].returned
        if returned.array is None or returned.array.shape != ():
            return returned.what
        return next((name for name, x in formulas.items() if self._close(returned.array, x)), "another")

    def same(self, a: dict[str, Any], b: dict[str, Any], expected: dict[str, Any]) -> bool:
        """Whether two runs trained in the same way, all three normalised."""
        return a == b

    def _close(self, a: Any, b: Any) -> bool:
        return bool(np.allclose(a, b, self.rtol, self.atol))


def recording(epochs: list[tuple[Any, list[np.ndarray]]], parameters: np.ndarray) -> tuple:
    """A run, as a Trained exercise's `call` returns it: (returned, batches) per epoch, and weights [P]."""
    return tuple((returned, tuple(batches)) for returned, batches in epochs), parameters


def _runs(got: Plain, n_rows: int) -> list[tuple[list[Epoch], np.ndarray]]:
    """The recorded runs. ValueError for what no recording of n_rows rows looks like: then it was forged."""
    runs = []
    for run in got.parts:
        epochs, parameters = run.parts
        parts = [epoch.parts for epoch in epochs.parts]
        runs.append(
            ([Epoch(r, tuple(b.array for b in batches.parts)) for r, batches in parts], parameters.array)
        )
    for batch in (batch for epochs, _ in runs for epoch in epochs for batch in epoch.batches):
        if batch.ndim != 1 or ((batch < -1) | (batch >= n_rows)).any():
            raise ValueError("a batch is no list of rows")
    return runs


def _joined(epochs: list[Epoch]) -> list[np.ndarray]:
    return [batch for epoch in epochs for batch in epoch.batches]


def _order_of(epoch: Epoch) -> np.ndarray:
    return np.concatenate(epoch.batches) if epoch.batches else np.zeros(0, int)


def _by_epoch(losses: np.ndarray, epochs: list[Epoch]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The losses of all batches -> of each epoch, the loss of its batches and their sizes."""
    ends = np.cumsum([len(epoch.batches) for epoch in epochs])
    sizes = [np.array([len(batch) for batch in epoch.batches]) for epoch in epochs]
    return list(zip(np.split(losses, ends[:-1]), sizes, strict=True))


def _coverage(batches: tuple[np.ndarray, ...], n: int, size: int, epoch: int) -> Complaint | None:
    rows = np.concatenate(batches) if batches else np.zeros(0, int)
    if (rows < 0).any():
        seen = f"got {int((rows < 0).sum())} pairs of a user and an item that stand together in no row"
        ask = "How do you take a batch out of each of the three?"
        return Complaint(seen, "the user, item and rating of one row together", ask)
    counts = np.bincount(rows, minlength=n)
    if (counts != 1).any():
        never, often = int((counts == 0).sum()), int((counts > 1).sum())
        seen = " and ".join(
            [f"left out {never} of {n} rows"] * (never > 0)
            + [f"predicted {often} of {n} rows more than once"] * (often > 0)
        )
        ask = "Which rows does each batch take, and which are left at the end?"
        wanted_once = "each row to be predicted once with gradients on"
        return Complaint(f"in epoch {epoch}, {seen}", wanted_once, ask)
    sizes = [len(batch) for batch in batches]
    wanted = [size] * (n // size) + [n % size] * (n % size > 0)
    if sizes != wanted:
        return Complaint(
            f"got batches of sizes {numbers(sizes)}", numbers(wanted), "Where does batch_size come in?"
        )
    return None


def _orders(runs: list[tuple[list[Epoch], np.ndarray]], n: int) -> dict[str, bool]:
    orders, again = ([_order_of(epoch) for epoch in epochs] for epochs, _ in runs)
    if n < _ENOUGH_ROWS:
        return {}
    return {
        "file order": any(np.array_equal(order, np.arange(n)) for order in orders),
        "repeated": np.array_equal(*orders),
        "repeatable": all(np.array_equal(a, b) for a, b in zip(orders, again, strict=True)),
    }


def _order(runs: list[tuple[list[Epoch], np.ndarray]], n: int) -> Complaint | None:
    found = _orders(runs, n)
    if found.get("file order"):
        ask = "Which line decides the order in which rows are taken?"
        return Complaint("got the rows in file order", "a new shuffle at every epoch", ask)
    if found.get("repeated"):
        ask = "What does the shuffle of each epoch start from?"
        return Complaint("got the same order in two epochs", "a new shuffle at every epoch", ask)
    if not found.get("repeatable", True):
        ask = "Where does the randomness of your shuffle come from?"
        return Complaint("got another order from a generator of the same seed", "the same order again", ask)
    return None


Verdict = Equal | Property | Trained
