"""The exercises of Lab 3, two-tower retrieval; from 3.7 on they stand in lab03_retrieval.

Misconceptions are mistakes of real learners; a message says what they did, asks, and never gives the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_utils import diagnostics, features, losses
from course_utils.exercises import lab03_retrieval
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.forward import check_forward, run_forward
from course_utils.exercises.plain import Plain, numbers
from course_utils.exercises.verdicts import CUT_OFF, Complaint, Equal, Property, compare, misfit

Args = dict[str, Any]


def _float(values: Any) -> torch.Tensor:
    """float32, whatever the default of the notebook is."""
    return torch.tensor(values, dtype=torch.float32)


# ---- 3.1 multi_hot ----

_WORDS = (
    "action",
    "black",
    "day",
    "fargo",
    "ghost",
    "heart",
    "island",
    "king",
    "knight",  # holds "night"
    "love",
    "night",
    "sea",
)


def _call_multi_hot(multi_hot, values, vocabulary):
    return multi_hot(values.tolist(), vocabulary)


def _lists(rows: list[list[str]]) -> np.ndarray:
    """As an array [N] of lists, whatever their lengths, which a message can show."""
    return np.fromiter(rows, dtype=object, count=len(rows))


def _multi_hot_cases(rng: np.random.Generator) -> list[Case]:
    def random(n_rows, n_known):
        """Among others: a list without a word, one without a known one, one with both, one with all known."""
        words = rng.permutation(_WORDS).tolist()
        known, unknown = words[:n_known], words[n_known:]
        rows = [rng.choice(words, rng.integers(1, 5), replace=False).tolist() for _ in range(n_rows - 3)]
        rows += [unknown[:1], [known[1], unknown[1], known[0]], known[::-1]]
        return {"values": _lists([rows[i] for i in rng.permutation(n_rows)]), "vocabulary": known}

    a, b, c, d = rng.choice(_WORDS, 4, replace=False).tolist()
    hand = {"values": _lists([["noir"], ["drama", "comedy"]]), "vocabulary": ["comedy", "drama"]}
    return [
        Case("two lists and two known words", hand),
        Case("15 lists and 5 known words", random(15, 5)),
        Case("40 lists and 8 known words", random(40, 8)),
        Case("an empty list", {"values": _lists([[], [b], [a]]), "vocabulary": [a, b]}, edge=True),
        Case(
            "words that stand in a list twice, and two unknown ones",
            {"values": _lists([[a, b, a], [c, d], [b, c, a]]), "vocabulary": [a, b]},
            edge=True,
        ),
    ]


def _multi_hot_with(
    values,
    vocabulary,
    *,
    n_columns=lambda vocabulary: 1 + len(vocabulary),
    known=lambda place: place + 1,
    unknown=lambda vocabulary: [0],
    read=lambda words: words,
    count=False,
    finish=lambda table, values: table,
):
    """multi_hot with one thing done otherwise; known, unknown: place in the vocabulary -> column."""
    table = np.zeros((len(values), n_columns(vocabulary)))
    for row, words in enumerate(values):
        for word in read(words):
            places = [known(vocabulary.index(word))] if word in vocabulary else unknown(vocabulary)
            for place in places:
                table[row, place] = table[row, place] + 1 if count else 1
    return finish(table, values)


def _unknown_when_alone(table, values):
    table[table[:, 1:].any(axis=1), 0] = 0
    return table


def _unknown_when_empty(table, values):
    table[[not words for words in values], 0] = 1
    return table


MULTI_HOT = Exercise(
    id="3.1",
    title="Words as columns",
    name="multi_hot",
    params=("values", "vocabulary"),
    points=1,
    minutes=6,
    difficulty=1,
    cases=_multi_hot_cases,
    reference=features.multi_hot,
    call=_call_multi_hot,
    verdict=Equal(),
    misconceptions=(
        Misconception(
            "unknown words dropped",
            partial(_multi_hot_with, unknown=lambda vocabulary: []),
            "Words outside the vocabulary leave no trace. Which column is there for them?",
        ),
        Misconception(
            "no column for unknown words",
            partial(_multi_hot_with, n_columns=len, known=lambda p: p, unknown=lambda vocabulary: []),
            "Your table has one column per known word and none for the others. How would a film whose "
            "words are all new differ from a film without words?",
        ),
        Misconception(
            "unknown in the last column",
            partial(_multi_hot_with, known=lambda p: p, unknown=lambda vocabulary: [len(vocabulary)]),
            "Words outside the vocabulary have your last column. Which one does the docstring give them, "
            "and where do the known words go then?",
        ),
        Misconception(
            "off by one",
            partial(_multi_hot_with, known=lambda p: p),
            "The first known word shares its column with the unknown ones, and your last column stays "
            "empty. In which column does the vocabulary begin?",
        ),
        Misconception(
            "unknown marks the last word",
            partial(_multi_hot_with, unknown=lambda vocabulary: [-1]),
            "A word outside the vocabulary marks the column of the last known word. Which column does numpy "
            "take for the place -1?",
        ),
        Misconception(
            "counts",
            partial(_multi_hot_with, count=True),
            "You count how often a word stands there. Which two values may occur in this table?",
        ),
        Misconception(
            "unknown only when alone",
            partial(_multi_hot_with, finish=_unknown_when_alone),
            "You mark the unknown column only where no word of the list is known. What about a list that "
            "has words of both kinds?",
        ),
        Misconception(
            "an empty list is unknown",
            partial(_multi_hot_with, finish=_unknown_when_empty),
            "A list without words is marked as if it had an unknown one. How many columns should be 1 in "
            "its row?",
        ),
        Misconception(
            "first word only",
            partial(_multi_hot_with, read=lambda words: words[:1]),
            "Only the first word of each list is marked. Does something end your inner loop too early?",
        ),
        Misconception(
            "last word only",
            partial(_multi_hot_with, read=lambda words: words[-1:]),
            "Only the last word of each list is marked. Does each word start the row anew?",
        ),
        Misconception(
            "shares",
            partial(
                _multi_hot_with,
                finish=lambda table, values: table / np.maximum(table.sum(axis=1, keepdims=True), 1),
            ),
            "Your rows add up to 1, so that a film with many words has little of each. Which two values may "
            "occur in this table?",
        ),
        Misconception(
            "transposed",
            partial(_multi_hot_with, finish=lambda table, values: table.T),
            "Your table has a row per word and a column per list. Which of the two are the rows in the "
            "docstring?",
        ),
        Misconception(
            "column numbers",
            lambda values, vocabulary: [
                [vocabulary.index(word) + 1 if word in vocabulary else 0 for word in words]
                for words in values
            ],
            "Those are the numbers of the columns. What stands in the table at these places, and what in all "
            "the others?",
        ),
    ),
)


# ---- 3.2 Tower.forward ----


class Tower(nn.Module):
    """What is known of a user or an item -> a vector of length 1."""

    def __init__(self, n_features: int, dim: int = 64, hidden: int = 128):
        super().__init__()
        self.hidden = nn.Linear(n_features, hidden)
        self.output = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features [B, F] -> vectors [B, D] of length 1: hidden layer, ReLU, output layer, LayerNorm."""
        return F.normalize(self.norm(self.output(F.relu(self.hidden(features)))), dim=-1)


def _call_tower(cls: type, sizes, weights, features):
    return run_forward(cls, sizes, weights, features)


def _tower_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, n_features, hidden, dim):
        """Biases above 0, so that most units are active; a LayerNorm that is no longer fresh."""
        weights = {
            "hidden.weight": rng.normal(0, 0.7, (hidden, n_features)),
            "hidden.bias": rng.uniform(0.2, 1.0, hidden),
            "output.weight": rng.normal(0, 0.7, (dim, hidden)),
            "output.bias": rng.normal(0, 0.5, dim),
            "norm.weight": rng.uniform(0.5, 2.0, dim),
            "norm.bias": rng.normal(0, 0.8, dim),
        }
        values = rng.integers(0, 2, (batch, n_features)) + rng.normal(0, 0.2, (batch, n_features))
        return {
            "sizes": {"n_features": n_features, "dim": dim, "hidden": hidden},
            "weights": weights,
            "features": _float(values),
        }

    # [1, 0] -> [1, 1] -> [1, 2] -> LayerNorm [-1, 1] / 2 + 3.5 = [3, 4] -> [.6, .8]
    # [0, 1] -> [2, -1] -> [2, 0] -> [2, 0] -> [1, -1] / 2 + 3.5 = [4, 3] -> [.8, .6]
    hand = {
        "sizes": {"n_features": 2, "dim": 2, "hidden": 2},
        "weights": {
            "hidden.weight": np.array([[1.0, 2.0], [1.0, -1.0]]),
            "hidden.bias": np.zeros(2),
            "output.weight": np.array([[1.0, 0.0], [0.0, 2.0]]),
            "output.bias": np.zeros(2),
            "norm.weight": np.full(2, 0.5),
            "norm.bias": np.full(2, 3.5),
        },
        "features": _float(np.eye(2)),
    }
    words = (
        "features [1, 0] and [0, 1], hidden weights [[1, 2], [1, -1]], output weights [[1, 0], [0, 2]], no "
        "biases, and a LayerNorm with the weights [0.5, 0.5] and biases [3.5, 3.5]"
    )
    nothing = random(3, 5, 6, 4)
    nothing["features"][1] = 0
    return [
        Case(words, hand),
        Case("a batch of 4 and vectors of 4", random(4, 6, 8, 4)),
        Case("a batch of 32 and vectors of 10", random(32, 9, 12, 10)),
        Case("a batch of one", random(1, 5, 8, 6), edge=True),
        Case("a row without any feature", nothing, edge=True),
    ]


def _before_the_length(model, features):
    return model.norm(model.output(F.relu(model.hidden(features))))


def _tower(forward: Callable) -> type[nn.Module]:
    return type("Tower", (Tower,), {"forward": forward})


def _finished(finish: Callable) -> type[nn.Module]:
    """The tower with another last step."""
    return _tower(lambda model, features: finish(_before_the_length(model, features)))


TOWER = Exercise(
    id="3.2",
    title="A tower",
    name="Tower",
    params=("features",),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_tower_cases,
    reference=Tower,
    call=_call_tower,
    method="forward",
    verdict=Property(check_forward),
    misconceptions=(
        Misconception(
            "not normalised",
            _finished(lambda x: x),
            "Your vectors have all sorts of lengths, so that a long one wins every dot product. What does "
            "the docstring say about their length?",
        ),
        Misconception(
            "wrong axis",
            _finished(lambda x: F.normalize(x, dim=0)),
            "You scaled each column over the batch, so that a vector depends on who else is in the batch. "
            "Along which axis does one vector run?",
        ),
        Misconception(
            "one length for the whole batch",
            _finished(lambda x: x / x.norm()),
            "You divided by the length of the whole batch, as if it were one long vector. Of which numbers "
            "is the length of one vector made?",
        ),
        Misconception(
            "keepdim forgotten",
            _finished(lambda x: x / x.norm(dim=1)),
            "Each column was divided by the length of another row's vector, which goes through in silence "
            "only where the batch is as large as a vector is long. Which shape has what you divide by, and "
            "which would it need?",
        ),
        Misconception(
            "squared length",
            _finished(lambda x: x / (x**2).sum(dim=1, keepdim=True)),
            "You divided by the squared length. Which step lies between the sum of squares and a length?",
        ),
        Misconception(
            "divided by the sum",
            _finished(lambda x: F.normalize(x, p=1, dim=1)),
            "You divided by the sum of the absolute values. Which kind of length has a vector whose dot "
            "product with itself is 1?",
        ),
        Misconception(
            "softmax",
            _finished(lambda x: x.softmax(dim=1)),
            "Your vectors are positive and add up to 1, as after a softmax. Is a vector a set of "
            "probabilities?",
        ),
        Misconception(
            "normalised before LayerNorm",
            _tower(lambda m, x: m.norm(F.normalize(m.output(F.relu(m.hidden(x))), dim=1))),
            "You made the vectors length 1 and then let LayerNorm change them again. Which step has to be "
            "the last?",
        ),
        Misconception(
            "LayerNorm left out",
            _tower(lambda m, x: F.normalize(m.output(F.relu(m.hidden(x))), dim=1)),
            "The vectors have length 1, but one layer of __init__ was never used. Which one?",
        ),
        Misconception(
            "neither LayerNorm nor length",
            _tower(lambda m, x: m.output(F.relu(m.hidden(x)))),
            "Your tower ends with the output layer. Which two steps follow it in the docstring?",
        ),
        Misconception(
            "ReLU left out",
            _tower(lambda m, x: F.normalize(m.norm(m.output(m.hidden(x))), dim=1)),
            "Between your two Linear layers is nothing that bends. What can two of them do, one after the "
            "other, that a single one could not?",
        ),
        Misconception(
            "ReLU after the output layer",
            _tower(lambda m, x: F.normalize(m.norm(F.relu(m.output(F.relu(m.hidden(x))))), dim=1)),
            "There is a ReLU behind the output layer too. Between which layers does the docstring put one?",
        ),
        Misconception(
            "ReLU at the end",
            _tower(lambda m, x: F.normalize(F.relu(_before_the_length(m, x)), dim=1)),
            "Your vectors have no negative numbers, so that no two of them can point away from each other. "
            "Between which layers does the docstring put the ReLU?",
        ),
        Misconception(
            "squeeze",
            _finished(lambda x: F.normalize(x.squeeze(), dim=-1)),
            "squeeze() drops every axis of size 1. Which axis has size 1 here that should stay?",
        ),
        Misconception(
            "detached",
            _finished(lambda x: F.normalize(x, dim=1).detach()),
            "The result is cut off from the weights, so that nothing could be learned. Which call does that "
            "(detach, data, item, no_grad)?",
        ),
    ),
)


# ---- 3.3 in_batch_loss, 3.4 logq_loss ----

_LOSS_DETACHED = (
    "The loss is cut off from the vectors, so that nothing could be learned. Which call does that (detach, "
    "data, item, no_grad)?"
)


_MINUS_FORGOTTEN = (
    "The right number, with the other sign: to make yours smaller is to make the own items less likely. "
    "Which sign has the logarithm of a probability?"
)
_NO_LOGARITHM = (
    "That is minus the probability of the own item, not minus its logarithm. Which step of the formula is "
    "missing?"
)


def _call_loss(loss_fn, user_vecs, item_vecs, **more):
    """The loss, and whether its gradient reaches the vectors of users and of items."""
    vecs = [tensor.clone().requires_grad_() for tensor in (user_vecs, item_vecs)]
    loss = loss_fn(*vecs, *more.values())
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        loss.sum().backward()
    return loss, [tensor.grad is not None and bool(tensor.grad.any()) for tensor in vecs]


def _check_loss(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    (loss, reached), (right, to_reach) = got.parts, expected.parts
    if problem := compare(loss, right, (), 1e-4, 1e-5):
        return problem
    cut = to_reach.array & ~reached.array
    if cut.any():
        names = " or ".join(
            name for name, is_cut in zip(("user_vecs", "item_vecs"), cut, strict=True) if is_cut
        )
        return Complaint(f"got the right value, but no gradient reaches {names}", "one for both", CUT_OFF)
    return None


def _loss_verdict() -> Property:
    return Property(_check_loss, atol=1e-5)


def _unit(vecs: np.ndarray) -> torch.Tensor:
    return _float(vecs / np.linalg.norm(vecs, axis=1, keepdims=True))


def _batch(rng: np.random.Generator, batch: int, dim: int, temperature: float, noise: float = 1.0) -> Args:
    """Unit vectors; those of items lie near their users': the nearer, the less noise."""
    users = rng.normal(0, 1, (batch, dim))
    items = users + rng.normal(0, noise, (batch, dim))
    return {"user_vecs": _unit(users), "item_vecs": _unit(items), "temperature": temperature}


def _hand_batch() -> Args:
    return {
        "user_vecs": _float([[1, 0, 0], [0, 1, 0]]),  # not square: a missing .T cannot go through
        "item_vecs": _float([[0.6, 0.8, 0], [0, 1, 0]]),
        "temperature": 0.5,
    }


def _in_batch_cases(rng: np.random.Generator) -> list[Case]:
    cold = _batch(rng, 5, 8, 0.01, noise=0.05)
    cold["item_vecs"] = cold["item_vecs"][[1, 0, 2, 3, 4]]  # two users are wrong, so there is a gradient
    return [
        Case("two users and their items", _hand_batch()),
        Case("a batch of 6", _batch(rng, 6, 4, 0.2)),
        Case("a batch of 40", _batch(rng, 40, 8, 0.1)),
        Case("a batch of one, which has no negatives", _batch(rng, 1, 3, 0.3), edge=True),
        Case("a very low temperature", cold, edge=True),
    ]


def _in_batch_loss(user_vecs, item_vecs, temperature):
    return losses.in_batch_loss(user_vecs, item_vecs, temperature)


def _own(logits: torch.Tensor, **how: Any) -> torch.Tensor:
    return F.cross_entropy(logits, torch.arange(len(logits)), **how)


def _in_batch_with(user_vecs, item_vecs, temperature, *, logits=lambda scores, t: scores / t, loss=_own):
    """in_batch_loss with one thing done otherwise."""
    return loss(logits(user_vecs @ item_vecs.T, temperature))


def _no_logarithm(logits):
    return -logits.softmax(dim=1).diagonal().mean()


def _without_own(logits):
    own = torch.eye(len(logits), dtype=torch.bool)
    return -(logits.diagonal() - logits.masked_fill(own, -torch.inf).logsumexp(dim=1)).mean()


IN_BATCH_LOSS = Exercise(
    id="3.3",
    title="Softmax over the batch",
    name="in_batch_loss",
    params=("user_vecs", "item_vecs", "temperature"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_in_batch_cases,
    reference=_in_batch_loss,
    call=_call_loss,
    verdict=_loss_verdict(),
    misconceptions=(
        Misconception(
            "temperature multiplied",
            partial(_in_batch_with, logits=lambda scores, t: scores * t),
            "You multiplied by the temperature. A low temperature should make the softmax sharper: what "
            "does it do to your logits?",
        ),
        Misconception(
            "temperature forgotten",
            partial(_in_batch_with, logits=lambda scores, t: scores),
            "Your logits are plain cosines between -1 and 1, from which no softmax becomes sharp. Which "
            "argument have you not used?",
        ),
        Misconception(
            "transposed",
            partial(_in_batch_with, loss=lambda x: _own(x.T)),
            "Your softmax runs over the users: it asks who an item belongs to. Which question does a "
            "recommender answer, and what then stands in the rows of your table?",
        ),
        Misconception(
            "both directions",
            partial(_in_batch_with, loss=lambda x: (_own(x) + _own(x.T)) / 2),
            "You took the mean of two softmaxes, one over items and one over users. Which of the two does "
            "the docstring ask for?",
        ),
        Misconception(
            "first item for everybody",
            partial(_in_batch_with, loss=lambda x: F.cross_entropy(x, torch.zeros(len(x), dtype=torch.long))),
            "Every user has the first item of the batch as the right answer. In which column stands the own "
            "item of user b?",
        ),
        Misconception(
            "each cell on its own",
            partial(
                _in_batch_with,
                loss=lambda x: F.binary_cross_entropy_with_logits(x, torch.eye(len(x))),
            ),
            "You ask of each cell, alone, whether it is a match, and with a large batch nearly all are not. "
            "What should the items of one row compete for?",
        ),
        Misconception(
            "one softmax over the table",
            partial(
                _in_batch_with,
                loss=lambda x: -x.flatten().log_softmax(dim=0).view_as(x).diagonal().mean(),
            ),
            "Your probabilities add up to 1 over the whole table, so that users compete with each other. "
            "Over which axis should they add up to 1?",
        ),
        Misconception(
            "sum",
            partial(_in_batch_with, loss=partial(_own, reduction="sum")),
            "Your loss grows with the number of users. Should the step depend on how large a batch is?",
        ),
        Misconception(
            "one per user",
            partial(_in_batch_with, loss=partial(_own, reduction="none")),
            "You have one loss per user. How do you turn them into one loss per batch?",
        ),
        Misconception(
            "positives only",
            partial(_in_batch_with, loss=lambda x: -x.diagonal().mean()),
            "Your loss looks at each user's own item only. What would it give if all vectors were the same, "
            "and which cells of the table would object?",
        ),
        Misconception(
            "softmax twice",
            partial(_in_batch_with, loss=lambda x: _own(x.softmax(dim=1))),
            "You gave probabilities to a loss that takes the softmax itself. What does cross_entropy expect?",
        ),
        Misconception("no logarithm", partial(_in_batch_with, loss=_no_logarithm), _NO_LOGARITHM),
        Misconception(
            "own item not in the sum",
            partial(_in_batch_with, loss=_without_own),
            "Below the fraction line you have only the other items, so that the loss can fall below 0. Over "
            "which items does the sum of a softmax run?",
        ),
        Misconception(
            "overflow",
            partial(
                _in_batch_with, loss=lambda x: -torch.log(x.exp().diagonal() / x.exp().sum(dim=1)).mean()
            ),
            "At a low temperature the exponential of a logit is larger than float32 can hold. Is there a "
            "function in torch.nn.functional that takes softmax and logarithm at once?",
        ),
        Misconception("minus forgotten", lambda u, v, t: -_in_batch_loss(u, v, t), _MINUS_FORGOTTEN),
        Misconception(
            "mean over all cells",
            partial(_in_batch_with, loss=lambda x: -x.log_softmax(dim=1).mean()),
            "You took the mean over all cells of the table, as if every item were right for every user. "
            "Which one cell of a row counts?",
        ),
        Misconception("detached", lambda u, v, t: _in_batch_loss(u, v, t).detach(), _LOSS_DETACHED),
    ),
)


def _logq_cases(rng: np.random.Generator) -> list[Case]:
    def random(batch, dim, temperature):
        shares = rng.dirichlet(np.full(batch, 1.5)) * 0.5 + 1e-3
        return _batch(rng, batch, dim, temperature) | {"log_q": _float(np.log(shares))}

    level = {"log_q": _float(np.full(5, np.log(rng.uniform(0.001, 0.1))))}
    return [
        Case("two users and their items", _hand_batch() | {"log_q": _float([-1, -3])}),
        Case("a batch of 6", random(6, 4, 0.3)),
        Case("a batch of 40", random(40, 8, 0.2)),
        Case("items that are all equally popular", _batch(rng, 5, 4, 0.2) | level, edge=True),
        Case("a batch of one, which has no negatives", random(1, 3, 0.3), edge=True),
    ]


def _logq_loss(user_vecs, item_vecs, temperature, log_q):
    return losses.in_batch_loss(user_vecs, item_vecs, temperature, log_q=log_q)


def _logq_with(
    user_vecs,
    item_vecs,
    temperature,
    log_q,
    *,
    logits=lambda scores, t: scores / t,
    correct=lambda logits, log_q, t: logits - log_q,
    loss=_own,
):
    """logq_loss with one thing done otherwise."""
    return loss(correct(logits(user_vecs @ item_vecs.T, temperature), log_q, temperature))


LOGQ_LOSS = Exercise(
    id="3.4",
    title="Popular items are no better negatives",
    name="logq_loss",
    params=("user_vecs", "item_vecs", "temperature", "log_q"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_logq_cases,
    reference=_logq_loss,
    call=_call_loss,
    verdict=_loss_verdict(),
    misconceptions=(
        Misconception(
            "sign",
            partial(_logq_with, correct=lambda x, log_q, t: x + log_q),
            "You added log_q, which lowers the logits of rare items most, although popular ones already come "
            "up as negatives more often. In which direction should the correction go?",
        ),
        Misconception(
            "only the own item",
            partial(_logq_with, correct=lambda x, log_q, t: x - torch.diag(log_q)),
            "You corrected the diagonal only. Which cells of the table are items that came into the batch "
            "by their popularity?",
        ),
        Misconception(
            "only the negatives",
            partial(_logq_with, correct=lambda x, log_q, t: x - log_q + torch.diag(log_q)),
            "You corrected every cell but the diagonal, so that own items and negatives are measured "
            "differently. Does the docstring make an exception?",
        ),
        Misconception(
            "divided by the temperature too",
            partial(_logq_with, correct=lambda x, log_q, t: x - log_q / t),
            "Your correction was divided by the temperature as well. Which of the two steps comes first, and "
            "what are logits at that moment?",
        ),
        Misconception(
            "no correction left",
            partial(_logq_with, correct=lambda x, log_q, t: x - log_q[:, None]),
            "That is the loss without any correction. If log_q is in your code: what does a softmax do with "
            "a number that is taken off a whole row, and to which axis of the table do the items belong?",
        ),
        Misconception(
            "share instead of its logarithm",
            partial(_logq_with, correct=lambda x, log_q, t: x - log_q.exp()),
            "You took off the share itself, which is far too small to matter. Is what comes in a share or "
            "already its logarithm?",
        ),
        Misconception(
            "logarithm twice",
            partial(_logq_with, correct=lambda x, log_q, t: x - torch.log(log_q)),
            "You took a logarithm of something that is negative. Is what comes in a share or already its "
            "logarithm?",
        ),
        Misconception(
            "taken off the loss",
            lambda u, v, t, log_q: _in_batch_loss(u, v, t) - log_q.mean(),
            "You took log_q off the loss, where it is a constant that no gradient sees. Before which step "
            "does it still make a difference?",
        ),
        Misconception(
            "temperature forgotten",
            partial(_logq_with, logits=lambda scores, t: scores),
            "The correction is there, but the cosines were never divided. Which argument have you not used?",
        ),
        Misconception(
            "temperature multiplied",
            partial(_logq_with, logits=lambda scores, t: scores * t),
            "The correction is there, but you multiplied by the temperature. What should a low temperature "
            "do to the logits?",
        ),
        Misconception(
            "transposed",
            partial(_logq_with, loss=lambda x: _own(x.T)),
            "Your softmax runs over the users. Which axis did the softmax of your in_batch_loss run over?",
        ),
        Misconception(
            "sum",
            partial(_logq_with, loss=partial(_own, reduction="sum")),
            "Your loss grows with the number of users. Should the step depend on how large a batch is?",
        ),
        Misconception(
            "minus forgotten", lambda u, v, t, log_q: -_logq_loss(u, v, t, log_q), _MINUS_FORGOTTEN
        ),
        Misconception("no logarithm", partial(_logq_with, loss=_no_logarithm), _NO_LOGARITHM),
        Misconception("detached", lambda u, v, t, q: _logq_loss(u, v, t, q).detach(), _LOSS_DETACHED),
    ),
)


# ---- 3.5 mask_accidental_hits ----


def _call_mask(mask, logits, items):
    """The result, and, when it is a tensor, whether gradients go from it to the logits."""
    result = mask(logits, items)
    if not isinstance(result, torch.Tensor):
        return result, True
    try:
        again = mask(logits.clone().requires_grad_() * 1, items)
    except RuntimeError:  # by way of numpy
        return result, False
    return result, again.requires_grad or not again.dtype.is_floating_point

_AS_GOOD_AS_MINUS_INF = -1e8  # a softmax makes the same 0 of it


def _mask_cases(rng: np.random.Generator) -> list[Case]:
    def random(items):
        items = rng.permutation(np.array(items)) * 7 + rng.integers(100)
        logits = rng.normal(0, 5, (len(items), len(items)))
        return {"logits": _float(logits), "items": torch.tensor(items)}

    hand = {
        "logits": _float([[5, 1, 4], [2, 6, 1], [3, 2, 7]]),
        "items": torch.tensor([8, 3, 8]),
    }
    return [
        Case("three rows, two of them with film 8", hand),
        Case("8 rows, with two films that stand there twice", random([0, 0, 1, 1, 2, 3, 4, 5])),
        Case(
            "20 rows, with films that stand there up to four times",
            random([0] * 4 + [1] * 3 + [*range(2, 15)]),
        ),
        Case("all films different", random(range(4)), edge=True),
        Case("the same film in every row", random([0] * 3), edge=True),
        Case("a batch of one", random([0]), edge=True),
    ]


def _mask_with(
    logits,
    items,
    *,
    hits=lambda same, own: same & ~own,
    fill=lambda logits, hits: logits.masked_fill(hits, -torch.inf),
):
    """The reference; with keywords, one thing done otherwise."""
    same = items[:, None] == items
    return fill(logits, hits(same, torch.eye(len(items), dtype=torch.bool)))


def _mask_features(args: Args, got: Plain) -> Plain:
    masked, reached = got.parts
    return Plain("tuple", None, (_far_below(masked), reached))


def _far_below(got: Plain) -> Plain:
    """Whatever is so low that a softmax makes 0 of it, as minus infinity."""
    if got.array is None or got.array.dtype.kind != "f":
        return got
    return Plain(got.what, np.where(got.array < _AS_GOOD_AS_MINUS_INF, -np.inf, got.array))


def _check_mask(args: Args, got: Plain, expected: Plain) -> Complaint | None:
    (got, reached), (expected, _) = got.parts, expected.parts
    if got.array is not None and got.what != "tensor":
        kind = "a numpy array" if got.what == "array" else f"a {got.what}"
        return Complaint(
            f"got {kind}", "a tensor", "Which step leaves torch, and can the gradient follow it?"
        )
    if problem := misfit(got, expected):
        return problem
    mine, right = _far_below(got).array, expected.array
    wrong = ~((mine == right) | np.isclose(mine, right, rtol=1e-4, atol=1e-6))
    if not wrong.any() and not reached.array:
        return Complaint("got the right values, but no gradient reaches logits", "one that does", CUT_OFF)
    if not wrong.any():
        return None
    row, column = (int(i) for i in np.argwhere(wrong)[0])
    own, other = (int(args["items"][i]) for i in (row, column))
    where = f"where row {row} has film {own} and row {column} film {other}"
    if row == column:
        where = f"the logit of row {row}'s own film"
    n = int(wrong.sum())
    ask = "For this cell: is the film of the column a negative for the row, the row's own, or neither?"
    seen = f"got {numbers(mine[row, column])} at [{row}, {column}], {where}"
    return Complaint(f"{seen} ({n} of {wrong.size} values differ)", numbers(right[row, column]), ask)


def _columns_of_repeats(same, own):
    """Every column whose film has stood in an earlier one, for all rows but their own."""
    return same.triu(1).any(dim=0) & ~own


MASK_ACCIDENTAL_HITS = Exercise(
    id="3.5",
    title="Accidental hits",
    name="mask_accidental_hits",
    params=("logits", "items"),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_mask_cases,
    reference=_mask_with,
    call=_call_mask,
    verdict=Property(_check_mask, normalise=_mask_features),
    misconceptions=(
        Misconception(
            "the diagonal too",
            partial(_mask_with, hits=lambda same, own: same),
            "You masked the diagonal as well, and with it the right answer of every row: the loss becomes "
            "infinite. With whom does every row have its film in common?",
        ),
        Misconception(
            "nothing masked",
            partial(_mask_with, hits=lambda same, own: same & False),
            "No cell was masked. Which call gives back a new tensor, and is that what you return? And where "
            "are two rows compared?",
        ),
        Misconception(
            "everything masked",
            partial(_mask_with, hits=lambda same, own: same | True),
            "Every cell was masked. If you compare items with itself, each film meets only itself: which "
            "shapes make a table of all pairs?",
        ),
        Misconception(
            "only the diagonal",
            partial(_mask_with, hits=lambda same, own: own),
            "You masked the diagonal, the right answer of every row, and nothing else. Which cells are the "
            "accidents?",
        ),
        Misconception(
            "true negatives masked",
            partial(_mask_with, hits=lambda same, own: ~same),
            "You masked the films that differ from the row's own, and kept those that are the same. Which of "
            "the two are no negatives?",
        ),
        Misconception(
            "zero",
            partial(_mask_with, fill=lambda logits, hits: logits.masked_fill(hits, 0.0)),
            "The right cells were set to 0. What does a softmax make of a logit of 0, and of which logit "
            "does it make a probability of 0?",
        ),
        Misconception(
            "plus infinity",
            partial(_mask_with, fill=lambda logits, hits: logits.masked_fill(hits, torch.inf)),
            "The right cells, but infinity: a softmax would give them everything. Which sign takes a cell "
            "out of the race?",
        ),
        Misconception(
            "zero times infinity",
            partial(_mask_with, fill=lambda logits, hits: logits + hits * -torch.inf),
            "Most of your cells are nan. What is 0 times infinity, and is there a call that writes only "
            "where a mask is True?",
        ),
        Misconception(
            "only one of the two rows",
            partial(_mask_with, hits=lambda same, own: same.triu(1)),
            "Of two rows with the same film only the upper one was masked. Is the other one's negative not "
            "an accident too?",
        ),
        Misconception(
            "only the later row",
            partial(_mask_with, hits=lambda same, own: same.tril(-1)),
            "Of two rows with the same film only the lower one was masked. Is the other one's negative not "
            "an accident too?",
        ),
        Misconception(
            "repeated columns for everybody",
            partial(_mask_with, hits=_columns_of_repeats),
            "You masked the whole column of a film that stands there again. For which rows is it an "
            "accident, and for which a good negative?",
        ),
        Misconception(
            "repeated rows",
            partial(_mask_with, hits=lambda same, own: (same & ~own).any(dim=1, keepdim=True) & ~own),
            "A row whose film stands there again has lost all its negatives. Which of them are the accident?",
        ),
        Misconception(
            "written into the logits",
            partial(_mask_with, fill=lambda logits, hits: logits.masked_fill_(hits, -torch.inf)),
            "The cells are right, but you wrote into the caller's logits. Which call makes a new tensor?",
        ),
        Misconception(
            "the diagonal too, in place",
            partial(
                _mask_with,
                hits=lambda same, own: same,
                fill=lambda logits, hits: logits.masked_fill_(hits, -torch.inf),
            ),
            "Two things at once: the diagonal, the right answer of every row, was masked as well, and you "
            "wrote into the caller's logits. With whom does every row have its film in common, and which "
            "call makes a new tensor?",
        ),
        Misconception(
            "detached",
            partial(_mask_with, fill=lambda logits, hits: logits.detach().masked_fill(hits, -torch.inf)),
            "The cells are right, but your result is cut off from the logits, so that nothing could be "
            "learned. Which call does that (detach, data, numpy, torch.tensor)?",
        ),
        Misconception(
            "the mask itself",
            lambda logits, items: _mask_with(torch.zeros_like(logits), items) < 0,
            "That is the right mask, True and False. How do you use it on the logits?",
        ),
    ),
)


# ---- 3.6 effective_rank ----


def _rank_cases(rng: np.random.Generator) -> list[Case]:
    def random(n, dim, decay=0.8, shift=0.0):
        """Directions that matter less and less, and what all the vectors have in common."""
        mixed = rng.normal(0, 1, (n, dim)) * decay ** np.arange(dim)
        return {"vectors": mixed @ np.linalg.qr(rng.normal(0, 1, (dim, dim)))[0] + shift}

    flat = random(8, 5)["vectors"] * np.array([1, 1, 1, 0, 0]) * rng.uniform(1, 2)
    same = np.tile(rng.normal(0, 1, 4), (6, 1))
    return [
        Case("two vectors, at right angles", {"vectors": np.array([[3.0, 0.0], [0.0, 1.0]])}),
        Case("20 vectors of 6", random(20, 6)),
        Case("50 vectors of 8 with something in common", random(50, 8, 0.5, shift=0.6)),
        Case("two columns of zeros", {"vectors": flat}, edge=True),
        Case("six times the same vector", {"vectors": same}, edge=True),
        Case("fewer vectors than dimensions", random(3, 7), edge=True),
    ]


def _effective_rank_with(
    vectors,
    *,
    prepare=lambda vectors: vectors,
    measure=lambda values: values,
    shares=lambda x: x / x.sum(),
    entropy=lambda p: -(p[p > 0] * np.log(p[p > 0])).sum(),
    finish=np.exp,
):
    """effective_rank with one thing done otherwise."""
    values = measure(np.linalg.svd(prepare(vectors), compute_uv=False))
    return finish(entropy(shares(values)))


def _centred(vectors):
    return vectors - vectors.mean(axis=0)


EFFECTIVE_RANK = Exercise(
    id="3.6",
    title="In how many directions do vectors differ?",
    name="effective_rank",
    params=("vectors",),
    points=2,
    minutes=8,
    difficulty=2,
    cases=_rank_cases,
    reference=diagnostics.effective_rank,
    verdict=Equal(rtol=1e-3, atol=1e-5),
    misconceptions=(
        Misconception(
            "entropy itself",
            partial(_effective_rank_with, finish=lambda x: x),
            "That is the entropy, which is 0 for a single direction. What turns it into a number of "
            "directions?",
        ),
        Misconception(
            "squares",
            partial(_effective_rank_with, measure=lambda s: s**2),
            "Your shares are those of the squared singular values (the eigenvalues, the variance). Which of "
            "the two does the docstring share out?",
        ),
        Misconception(
            "centred",
            partial(_effective_rank_with, prepare=_centred),
            "You took off the mean vector first. What all vectors have in common is a direction too: does "
            "the docstring take it away?",
        ),
        Misconception(
            "covariance",
            partial(_effective_rank_with, prepare=_centred, measure=lambda s: s**2),
            "That is what the eigenvalues of the covariance give: the mean was taken off, and the singular "
            "values are squared. What does the docstring start from?",
        ),
        Misconception(
            "rows of length 1",
            partial(
                _effective_rank_with,
                prepare=lambda vectors: vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            ),
            "You made all vectors the same length first. Does the docstring say so?",
        ),
        Misconception(
            "not shared out",
            partial(_effective_rank_with, shares=lambda s: s),
            "An entropy is one of probabilities. What should the numbers add up to that go into your "
            "logarithm?",
        ),
        Misconception(
            "shares of the largest",
            partial(_effective_rank_with, shares=lambda s: s / s.max()),
            "You divided by the largest singular value. What should shares add up to?",
        ),
        Misconception(
            "nan at zero",
            partial(_effective_rank_with, entropy=lambda p: -(p * np.log(p)).sum()),
            "Where a share is 0, your logarithm is infinite, and 0 times infinity is nan. How much should a "
            "direction add that no vector has?",
        ),
        Misconception(
            "sign",
            partial(_effective_rank_with, entropy=lambda p: (p[p > 0] * np.log(p[p > 0])).sum()),
            "Your result is below 1: less than one direction. Which sign has the logarithm of a share?",
        ),
        Misconception(
            "base 2 and base e",
            partial(_effective_rank_with, entropy=lambda p: -(p[p > 0] * np.log2(p[p > 0])).sum()),
            "Your logarithm has base 2, and exp has base e. Which two belong together?",
        ),
        Misconception(
            "base e and base 2",
            partial(_effective_rank_with, finish=np.exp2),
            "Your logarithm has base e, and then you took a power of 2. Which two belong together?",
        ),
        Misconception(
            "one over the sum of squares",
            partial(_effective_rank_with, entropy=lambda p: 1 / (p**2).sum(), finish=lambda x: x),
            "That is the participation ratio, a cousin: 1 over the sum of the squared shares. What does the "
            "docstring do with the shares?",
        ),
        Misconception(
            "plain rank",
            lambda vectors: np.linalg.matrix_rank(vectors),
            "That is the plain rank: a direction counts in full, however little the vectors differ in it. "
            "How should a small singular value count?",
        ),
    ),
)


EXERCISES = (
    MULTI_HOT,
    TOWER,
    IN_BATCH_LOSS,
    LOGQ_LOSS,
    MASK_ACCIDENTAL_HITS,
    EFFECTIVE_RANK,
    *lab03_retrieval.EXERCISES,
)
