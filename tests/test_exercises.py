"""The declarations keep their promises, and the check survives anything that a learner may hand it."""

import builtins
import dataclasses
import functools
import inspect
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings

import numpy as np
import pytest
import torch
from alternative_solutions import ALTERNATIVES
from torch import nn

from course_utils import baselines, exercises, metrics, models
from course_utils.exercises import check, guard, lab01, run_check
from course_utils.exercises.declare import Case, Exercise, Misconception
from course_utils.exercises.judge import alike, judge, traces
from course_utils.exercises.observe import observe
from course_utils.exercises.plain import describe, to_plain
from course_utils.exercises.verdicts import Equal

torch.set_num_threads(1)

ALL = [exercise for number in ("01", "02", "03", "04") for exercise in exercises.of_lab(number)]
MISTAKES = [(exercise, known) for exercise in ALL for known in exercise.misconceptions]
each = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
SEEDS = range(4)


def learners(exercise, package_object):
    """The same code as if a learner had written it: not the package's own by its module."""
    if exercise.method:
        written = getattr(package_object, exercise.method)
        return type(exercise.name, (package_object,), {exercise.method: lambda *args, _f=written: _f(*args)})
    return lambda *args, _f=package_object: _f(*args)


def with_method(exercise, function):
    """A class with the given __init__ whose method is this function; else the function itself."""
    if not exercise.method:
        return function
    return type(
        exercise.name, (ALTERNATIVES[exercise.id][0],), {exercise.method: lambda self, *a: function(*a)}
    )


def one_line(message):
    return " ".join(message.split())


def assert_well_formed(exercise, result):
    message = result.message
    assert message.startswith(f"[{exercise.id}] {exercise.name}: ")
    assert "Traceback" not in message
    assert "course_utils/" not in message
    assert all(len(line) <= 100 for line in message.splitlines() if " " in line.strip())
    for line in inspect.getsource(exercise.reference).splitlines():
        if len(line.strip()) > 25 and not line.strip().startswith(("def ", "class ", '"""')):
            assert line.strip() not in message


# ---- declarations ----


@each
def test_declaration_is_complete(exercise):
    assert exercise.points > 0
    assert 0 < exercise.minutes <= 30
    assert exercise.difficulty in (1, 2, 3)
    assert len(exercise.misconceptions) >= 3
    names = [known.name for known in exercise.misconceptions]
    assert len(set(names)) == len(names)
    for known in exercise.misconceptions:
        assert "?" in known.message, "a message asks"
    for seed in SEEDS:
        cases = exercise.draw(seed)
        edges = [case.edge for case in cases]
        assert edges == sorted(edges), "core before edge cases"
        assert not edges[0]
        assert any(edges)
    first, again = exercise.draw(0), exercise.draw(0)
    assert [case.what for case in first] == [case.what for case in again]
    assert repr(first[1].args) == repr(again[1].args)
    assert repr(first[1].args) != repr(exercise.draw(1)[1].args)
    assert repr(first[0].args) == repr(exercise.draw(1)[0].args), "the first is worked out by hand"


def test_every_exercise_has_another_correct_solution():
    assert {exercise.id for exercise in ALL} == {key for key, solutions in ALTERNATIVES.items() if solutions}


@each
def test_reference_passes(exercise):
    for seed in range(8):
        result = run_check(exercise.id, learners(exercise, exercise.reference), seed)
        assert result.passed, result.message
        assert result.message == f"[{exercise.id}] {exercise.name}: ok ({len(exercise.draw(seed))} cases)"


@pytest.mark.parametrize(
    ("exercise_id", "solution"),
    [(key, solution) for key, solutions in ALTERNATIVES.items() for solution in solutions],
    ids=lambda x: x if isinstance(x, str) else getattr(x, "__name__", "partial"),
)
def test_other_correct_solutions_pass(exercise_id, solution):
    for seed in SEEDS:
        result = run_check(exercise_id, solution, seed)
        assert result.passed, result.message


@each
def test_correct_code_is_checked_within_a_second(exercise):
    solution = ALTERNATIVES[exercise.id][0]
    start = time.process_time()
    run_check(exercise.id, solution)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(("exercise", "known"), MISTAKES, ids=[f"{e.id}-{k.name}" for e, k in MISTAKES])
def test_misconception_is_rejected_with_its_own_message(exercise, known):
    result = run_check(exercise.id, learners(exercise, known.wrong))
    assert not result.passed
    assert result.misconception == known.name, result.message
    assert known.message in one_line(result.message)
    assert_well_formed(exercise, result)


@each
def test_cases_tell_all_misconceptions_apart(exercise):
    """At every seed, since the grader draws its own; the reference is one of those to be told apart."""
    for seed in range(100, 104):
        cases = exercise.draw(seed)
        everyone = {"reference": exercise.reference} | {k.name: k.wrong for k in exercise.misconceptions}
        seen = {name: observe(exercise, f, cases, 60) for name, f in everyone.items()}
        for name, outcomes in seen.items():
            assert any(o.status == "returned" for o in outcomes) or outcomes[-1].status == "time-out", name
        kept = {name: traces(exercise, cases, outcomes) for name, outcomes in seen.items()}
        names = list(kept)
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                rows = zip(kept[a], kept[b], kept["reference"], strict=True)
                assert not all(alike(exercise, x, y, right) for x, y, right in rows), (seed, a, b)


def test_a_mistake_that_two_declared_mistakes_explain_is_not_named():
    twice = Misconception("doubled", lambda x: 2 * x, "Twice?")
    also = Misconception("added to itself", lambda x: x + x, "Added?")
    exercise = double_of(misconceptions=(twice, also))
    cases = exercise.draw(0)
    result = judge(exercise, cases, observe(exercise, lambda x: x * 2, cases))
    assert result.misconception == ""
    assert "got 2, expected 1, for x=1" in result.message


def test_a_known_mistake_is_named_too_when_the_edges_go_wrong_in_another_way():
    doubled = Misconception("doubled", lambda x: 2 * x, "Twice?")
    exercise = double_of(misconceptions=(doubled,))
    cases = exercise.draw(0)
    result = judge(exercise, cases, observe(exercise, lambda x: 2 * x if x < 2 else np.nan, cases))
    assert result.misconception == "doubled"
    only_at_the_edge = judge(exercise, cases, observe(exercise, lambda x: x if x < 2 else 2 * x, cases))
    assert only_at_the_edge.misconception == ""


def test_work_on_paper_is_asked_only_of_a_case_that_is_shown():
    exercise = double_of(cases=lambda rng: [Case("many", {"x": np.ones(40)})], reference=lambda x: x.sum())
    cases = exercise.draw(0)
    message = one_line(judge(exercise, cases, observe(exercise, lambda x: 0.0, cases)).message)
    assert "an example small enough for paper" in message
    assert "for this case" not in message


def double_of(**changes):
    fields = dict(
        id="9.1", title="", name="f", params=("x",), points=1, minutes=1, difficulty=1, verdict=Equal()
    ) | dict(cases=lambda rng: [Case("one", {"x": 1.0}), Case("two", {"x": 2.0}, edge=True)])
    return Exercise(**fields | dict(reference=lambda x: x, misconceptions=()) | changes)


# ---- what is not an answer yet ----


@each
def test_stub_is_reported_as_not_written(exercise):
    def stub(*args):
        raise NotImplementedError(f"Exercise {exercise.id} is not written yet.")

    result = run_check(exercise.id, with_method(exercise, stub))
    assert result.status == "not written"
    assert one_line(result.message).startswith(f"[{exercise.id}] {exercise.name}: not written yet. ")
    assert "delete the line that says `raise NotImplementedError`" in one_line(result.message)


def test_another_not_implemented_error_is_an_error_like_any_other():
    def unfinished(predictions, ratings):
        raise NotImplementedError("later")

    assert "raised NotImplementedError: later at line" in one_line(run_check("1.3", unfinished).message)


def test_an_unknown_name_is_asked_about_as_a_name():
    def misspelt(predictions, ratings):
        return predictions - rating  # noqa: F821

    message = one_line(run_check("1.3", misspelt).message)
    assert "raised NameError: name 'rating' is not defined" in message
    assert "Where does that name get its value" in message


@pytest.mark.parametrize(
    ("line", "question"),
    [
        (lambda: 1 / 0, "What is the number below the line here"),
        (lambda: ["a"].index("b"), "That is looked up where it does not stand"),
        (lambda: {"a": 1}["b"], "That is looked up where it does not stand"),
        (lambda: np.ones(2) @ np.ones(3), "what are the shapes and types there?"),
    ],
)
def test_an_error_is_asked_about_by_its_kind(line, question):
    assert question in one_line(run_check("1.3", lambda predictions, ratings: line()).message)


def test_an_unknown_name_in_a_method_may_be_an_attribute():
    class Tower(exercises.get("3.2").reference):
        def forward(self, features):
            return self.output(hidden(features))  # noqa: F821

    assert "or in __init__, on self?" in one_line(run_check("3.2", Tower).message)


@each
def test_package_object_is_refused(exercise):
    function = exercise.reference
    if exercise.method:
        inherited = type(exercise.name, (function,), {})
        disguises = [function, inherited, type(exercise.name, (function,), {"__init__": lambda self: None})]
    else:
        decorated = functools.wraps(function)(lambda *args: function(*args))
        bare = lambda *args: function(*args)  # noqa: E731  a decorator without functools.wraps
        disguises = [function, functools.partial(function), decorated, bare, functools.lru_cache(function)]
        disguises += [functools.partial(functools.partial(decorated)), types.MethodType(function, 1)]
    for disguise in disguises:
        result = run_check(exercise.id, disguise)
        assert result.status == "refused"
        assert "this is the package's own (course_utils." in one_line(result.message)


def test_package_functions_of_the_lab_are_refused_by_their_name():
    message = one_line(run_check("1.3", metrics.rmse).message)
    assert "(course_utils.metrics.errors.rmse); write yours" in message
    assert run_check("1.4", baselines.fit_biases).status == "refused"
    assert run_check("1.7", models.MatrixFactorization).status == "refused"


def test_unknown_id_lists_those_that_exist(capsys, monkeypatch):
    check("1.99", print)
    assert capsys.readouterr().out.startswith("exercise '1.99': must be one of 1.1, 1.2, 1.3")
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(KeyError, match="must be one of"):
        check("1.99", print)


@pytest.mark.parametrize("number", [1.3, 3, None])
def test_an_id_that_is_no_text_is_told_to_be_one(number, capsys):
    check(number, print)
    assert capsys.readouterr().out == f'exercise {number}: the id is a text, in quotes, as "1.3"\n'


def test_a_cut_by_interpolated_quantile_is_told_from_the_stated_position():
    # (1 - .3) * 7 = 4.9: position 4, so four rows are earlier; the quantile lies at 4.2, behind a fifth row.
    by_quantile = run_check("1.2", lambda times, f: split_at(times, np.quantile(times, 1 - f)))
    assert by_quantile.misconception == "interpolated quantile"

    def at_the_position(times, f):
        return split_at(times, np.sort(times)[int((1 - f) * len(times))])

    assert run_check("1.2", at_the_position).passed


def split_at(times, cut):
    return np.flatnonzero(times < cut), np.flatnonzero(times >= cut)


# ---- whatever is handed in ----


@pytest.fixture
def one_known(exercise, monkeypatch):
    """The exercise with a single known mistake, since these tests are not about telling mistakes apart."""
    reduced = dataclasses.replace(exercise, misconceptions=exercise.misconceptions[:1])
    monkeypatch.setitem(exercises._EXERCISES, exercise.id, reduced)


sturdy = pytest.mark.usefixtures("one_known")


class Strange:
    """Answers every question with an error or nonsense."""

    def __eq__(self, other):
        raise RuntimeError("no comparing")

    __hash__ = None

    def __bool__(self):
        raise RuntimeError("no truth")

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no numbers")

    def __len__(self):
        return -1

    def __getattr__(self, name):
        raise ValueError(name)

    def __repr__(self):
        raise RuntimeError("no words")


class Agreeable:
    """Equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __array__(self, dtype=None, copy=None):
        return np.array([self, self], dtype=object)


class AgreeableArray(np.ndarray):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


def endless(*args):
    while True:
        pass


async def later(*args):
    return 1.0


def one_by_one(*args):
    yield 1.0


def itself():
    loop = []
    loop.append(loop)
    return loop


HANDED_IN = [
    *(
        None,
        3,
        "text",
        [],
        {},
        np.zeros(3),
        torch.zeros(3),
        int,
        nn.Linear,
        nn.Linear(1, 1),
        Strange,
        Strange(),
    ),
    *(later, one_by_one, print, len, np.add, lambda: 1, lambda a: a, builtins.object(), Ellipsis),
]
RETURNED = {
    "None": lambda: None,
    "text": lambda: "4.5",
    "list": lambda: [1.0, 2.0, 3.0],
    "ragged list": lambda: [[1, 2], [3]],
    "list in itself": itself,
    "empty": lambda: [],
    "tuple of None": lambda: (None, None),
    "tuple of texts": lambda: (["a", "b"], ["c"]),
    "two texts": lambda: (np.array(list("abcde")), np.array(list("ab"))),
    "four": lambda: (1, "a", None, [2]),
    "dict": lambda: {"a": 1},
    "set": lambda: {1, 2},
    "nan": lambda: float("nan"),
    "array of nan": lambda: np.full(4, np.nan),
    "huge": lambda: 10**400,
    "complex": lambda: 1j,
    "booleans": lambda: np.array([True, False]),
    "objects": lambda: np.array([None, "a"], dtype=object),
    "texts": lambda: np.array(["a", "b"]),
    "dates": lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
    "records": lambda: np.zeros(2, dtype=[("a", int)]),
    "masked": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "meta": lambda: torch.zeros(2, device="meta"),
    "half": lambda: torch.zeros(2, dtype=torch.bfloat16),
    "sparse": lambda: torch.zeros(2, 2).to_sparse(),
    "needs a gradient": lambda: torch.zeros(2, requires_grad=True),
    "wrong shape": lambda: np.zeros((3, 2, 1)),
    "negative": lambda: (np.array([-5, -6]), np.array([-7])),
    "far out": lambda: (np.array([10**9]), np.array([10**9])),
    "no rows": lambda: (np.zeros(0), np.zeros((0, 3))),
    "generator": lambda: (x for x in [1]),
    "map": lambda: map(int, []),
    "coroutine": lambda: later(),
    "function": lambda: len,
    "class": lambda: int,
    "strange": lambda: Strange(),
    "list of strange": lambda: [Strange()],
    "agreeable": lambda: Agreeable(),
    "agreeable array": lambda: np.zeros(2).view(AgreeableArray),
    "not implemented": lambda: NotImplemented,
}


@sturdy
@each
def test_anything_may_be_handed_in(exercise):
    for thing in HANDED_IN:
        result = run_check(exercise.id, thing, seconds=0.5)
        assert result.status in ("refused", "wrong"), thing
        assert "expected" in result.message
        assert_well_formed(exercise, result)


@sturdy
@each
@pytest.mark.parametrize("what", RETURNED)
def test_anything_may_be_returned(exercise, what):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run_check(exercise.id, with_method(exercise, lambda *args: RETURNED[what]()), seconds=1)
    assert result.status == "wrong"
    assert not result.misconception
    assert_well_formed(exercise, result)
    assert not caught


def raising(error):
    def function(*args):
        raise error

    return function


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


ERRORS = [
    (ValueError("shapes (3,) and (4,)\nsecond line"), "raised ValueError: shapes (3,) and (4,) at line"),
    (SystemExit(3), "raised SystemExit: 3 at line"),
    (GeneratorExit(), "raised GeneratorExit at line"),
    (KeyError("x"), "raised KeyError: 'x' at line"),
    (Unspeakable(), "raised Unspeakable at line"),
    (MemoryError(), "raised MemoryError at line"),
    (ValueError("long " * 200), "..."),
    (NotImplementedError(), "raised NotImplementedError at line"),
]


@sturdy
@each
@pytest.mark.parametrize(("error", "words"), ERRORS, ids=lambda x: type(x).__name__)
def test_an_error_is_named_with_its_line(exercise, error, words):
    result = run_check(exercise.id, with_method(exercise, raising(error)))
    assert result.status == "wrong"
    assert words in one_line(result.message)
    assert "`raise error`" in result.message
    assert "second line" not in result.message
    assert_well_formed(exercise, result)


def test_the_line_is_the_innermost_one_of_the_learner():
    source = "def mine(p, r):\n    return helper(p)\n\ndef helper(p):\n    return np.sqrt(np.linalg.inv(p))\n"
    cell = "<cell>"
    import linecache

    linecache.cache[cell] = (len(source), None, source.splitlines(True), cell)
    space = {"np": np}
    exec(compile(source, cell, "exec"), space)
    message = one_line(run_check("1.3", space["mine"]).message)
    assert "raised LinAlgError: " in message
    assert "at line 5: `return np.sqrt(np.linalg.inv(p))`" in message


def test_endless_recursion_is_an_error():
    def forever(predictions, ratings):
        return forever(predictions, ratings)

    assert "raised RecursionError" in run_check("1.3", forever).message


@sturdy
@each
def test_wrong_number_of_arguments_names_the_signature(exercise):
    result = run_check(
        exercise.id, with_method(exercise, lambda: 1) if not exercise.method else no_arguments()
    )
    assert result.status == "refused"
    assert f"expected {exercise.signature}" in one_line(result.message)


def no_arguments():
    return type("Model", (nn.Module,), {"forward": lambda self: 1})


@sturdy
@each
def test_changed_arguments_are_noticed(exercise):
    if exercise.method:
        pytest.skip("a forward that writes into its indices gets other values")

    def vandal(*args):
        result = exercise.reference(*args)
        for arg in args:
            if isinstance(arg, np.ndarray) and arg.size:
                arg.fill(1)
            if isinstance(arg, torch.Tensor):
                arg.fill_(1)
            if isinstance(arg, list):
                arg.clear()
        return result

    before = exercise.draw(0)
    if all(isinstance(arg, int | float) for arg in before[0].args.values()):
        pytest.skip("numbers cannot be changed")
    result = run_check(exercise.id, lambda *args, _f=vandal: _f(*args))
    assert not result.passed
    assert repr(exercise.draw(0)[0].args) == repr(before[0].args)


def test_learners_variables_are_left_alone():
    scores = np.array([3.0, 1.0, 2.0])
    exercise = double_of(cases=lambda rng: [Case("scores", {"x": scores})], reference=lambda x: x.copy())

    def overwrite(x):
        x[:] = 0
        return x

    cases = exercise.draw(0)
    result = judge(exercise, cases, observe(exercise, overwrite, cases))
    assert scores.tolist() == [3.0, 1.0, 2.0]
    assert result.status == "wrong"


# ---- stopped in time ----


@sturdy
@each
def test_endless_loop_is_stopped(exercise):
    start = time.monotonic()
    result = run_check(exercise.id, with_method(exercise, endless), seconds=0.2)
    assert time.monotonic() - start < 5
    assert "was stopped after 0.2 seconds at line" in one_line(result.message)
    assert_well_formed(exercise, result)


def stubborn(*args):
    while True:
        try:
            return int("x")
        except:  # noqa: E722
            pass


def sleeper(*args):
    time.sleep(60)


def chatty(*args):
    while True:
        print("still here")


@pytest.mark.parametrize("loop", [stubborn, sleeper, chatty], ids=lambda f: f.__name__)
def test_stubborn_loops_are_stopped_too(loop):
    before = signal.getsignal(signal.SIGALRM)
    start = time.monotonic()
    message = one_line(run_check("1.3", loop, seconds=0.3).message)
    assert "was stopped after 0.3 seconds" in message
    assert time.monotonic() - start < 5
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_limit_is_for_all_cases_together():
    def slow(predictions, ratings):
        time.sleep(0.2)
        return metrics.rmse(predictions, ratings)

    result = run_check("1.3", slow, seconds=0.5)
    assert result.passed_cases == (True, True, False, False, False)
    assert run_check("1.3", slow, seconds=5).passed


def test_default_limit_is_five_seconds():
    assert guard.SECONDS == 5
    assert inspect.signature(run_check).parameters["seconds"].default == 5


@pytest.mark.parametrize("loop", [endless, stubborn], ids=lambda f: f.__name__)
def test_without_the_alarm_signal_a_timer_thread_stops(loop, monkeypatch):
    monkeypatch.delattr(signal, "setitimer")
    assert "was stopped after 0.3 seconds" in one_line(run_check("1.3", loop, seconds=0.3).message)
    assert run_check("1.3", ALTERNATIVES["1.3"][0]).passed
    assert threading.active_count() == 1


def test_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run_check("1.3", endless, seconds=0.3)))
    thread.start()
    thread.join(10)
    assert "was stopped after 0.3 seconds" in one_line(results[0].message)


def test_somebody_elses_alarm_still_rings():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        run_check("1.3", endless, seconds=0.1)
        deadline = time.monotonic() + 5
        while not rung and time.monotonic() < deadline:
            time.sleep(0.01)
        assert rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("fallback", [False, True])
def test_ctrl_c_stays_a_keyboard_interrupt(fallback, monkeypatch):
    if fallback:
        monkeypatch.delattr(signal, "setitimer")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_check("1.3", endless)
    timer.join()
    assert torch.equal(torch.get_rng_state(), before)
    assert sys.stdout is not None
    assert threading.active_count() == 1


# ---- what the learner sees and keeps ----


def test_prints_and_warnings_do_not_break_the_message(capsys):
    def noisy(predictions, ratings):
        print("errors:", predictions - ratings)
        print("to stderr", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        return metrics.rmse(predictions, ratings)

    check("1.3", noisy)
    captured = capsys.readouterr()
    assert captured.out == "[1.3] rmse: ok (5 cases)\n"
    assert captured.err == ""


def test_what_a_wrong_answer_printed_is_shown_shortened():
    def prints(predictions, ratings):
        print("x" * 500)
        print("the answer is", 3)

    message = one_line(run_check("1.3", prints).message)
    assert "got None, expected a single number" in message
    assert "(Your code printed: xxx" in message
    assert len(message) < 700


def test_check_returns_nothing_so_that_a_cell_shows_one_message(capsys):
    assert check("1.3", lambda p, r: 1.0) is None
    assert capsys.readouterr().out.startswith("[1.3] rmse: got 1, expected 1.581")


def test_strict_raises_what_would_have_been_printed(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(AssertionError, match=r"^\[1.3\] rmse: got 1, "):
        check("1.3", lambda p, r: 1.0)
    check("1.3", ALTERNATIVES["1.3"][0])
    assert capsys.readouterr().out == "[1.3] rmse: ok (5 cases)\n"


@sturdy
@each
def test_global_state_is_restored(exercise):
    def meddler(*args):
        random.seed(9)
        np.random.seed(9)  # noqa: NPY002
        torch.manual_seed(9)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(2)
        np.seterr(all="raise")
        warnings.simplefilter("error")
        sys.stdout = None
        raise ValueError

    stdout, filters, errors = sys.stdout, list(warnings.filters), np.geterr()
    torch.manual_seed(1)
    random.seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    for solution in (with_method(exercise, meddler), ALTERNATIVES[exercise.id][0]):
        run_check(exercise.id, solution)
        assert sys.stdout is stdout
        assert warnings.filters == filters
        assert np.geterr() == errors
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float32
        assert torch.get_num_threads() == 1
        now = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        assert now == states


@each
def test_passes_in_whatever_state_the_notebook_is(exercise):
    errors = np.geterr()
    try:
        torch.set_default_dtype(torch.float64)
        np.seterr(all="raise")
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run_check(exercise.id, ALTERNATIVES[exercise.id][0]).passed
            assert not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        np.seterr(**errors)


# ---- words ----


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (0.5, "0.5"),
        (3, "3"),
        (2.0, "2"),
        (1e-9, "1e-9"),
        (-0.0, "0"),
        (True, "True"),
        (None, "None"),
        ([1, 2.5], "[1, 2.5]"),
        (np.eye(2, dtype=int), "[[1, 0], [0, 1]]"),
        (np.zeros((5, 4)), "an array of shape [5, 4]"),
        (torch.zeros(40), "a tensor of shape [40]"),
        ([[1], [2, 3]], "a list of 2"),
        ("4.5", "a text"),
        (np.array([None]), "an array of dtype object"),
        ({1}, "a set"),
        (pytest, "a module"),
        (Exception(), "an Exception"),
        (torch.zeros(2, device="meta"), "a tensor on the device 'meta', which holds no numbers"),
    ],
    ids=str,
)
def test_describe(obj, words):
    assert describe(to_plain(obj)) == words


def test_a_list_in_itself_comes_to_an_end():
    assert describe(to_plain(itself())) == "a list of 1"


def test_equal_normalises_both_sides():
    shifted = Equal(normalise=lambda args, got: to_plain(got.array - got.array.mean()))
    a, b = to_plain(np.array([1.0, 2.0])), to_plain(np.array([11.0, 12.0]))
    assert shifted.complaint({}, a, b) is None
    assert shifted.complaint({}, a, to_plain(np.array([1.0, 3.0]))) is not None


def test_digits_show_a_small_difference():
    exercise = double_of(reference=lambda x: 1.00012345)
    cases = exercise.draw(0)
    message = judge(exercise, cases, observe(exercise, lambda x: 1.00032345, cases)).message
    assert "got 1.00032, expected 1.00012" in message


def test_edge_case_says_that_the_rest_is_right():
    exercise = double_of()
    cases = exercise.draw(0)
    message = one_line(judge(exercise, cases, observe(exercise, lambda x: 1.0, cases)).message)
    assert "f: right in the usual cases, but got 1, expected 2, for two: x=2." in message


# ---- Lab 1 ----


def test_lab_1_has_its_exercises():
    ids = [exercise.id for exercise in exercises.of_lab("01")]
    assert ids == ["1.1", "1.2", "1.3", "1.4", "1.5a", "1.5b", "1.6", "1.7", "1.8", "1.9"]
    assert exercises.get("1.3") is lab01.RMSE
    assert exercises.of_lab("77") == []
    assert sum(exercise.points for exercise in exercises.of_lab("01")) == 20


@pytest.mark.parametrize("order", ["numpy", "python", "torch"])
def test_shuffles_that_ignore_the_generator(order):
    def shuffle(n):
        if order == "numpy":
            return torch.as_tensor(np.random.permutation(n))  # noqa: NPY002
        if order == "python":
            return torch.tensor(random.sample(range(n), n))
        return torch.randperm(n)

    def epoch(model, optimizer, users, items, ratings, batch_size, generator):
        order = shuffle(len(users))
        return ALTERNATIVES["1.8"][0](
            model,
            optimizer,
            users[order],
            items[order],
            ratings[order],
            batch_size,
            torch.Generator().manual_seed(0),
        )

    assert run_check("1.8", epoch).misconception == "generator not used"


def test_a_known_mistake_is_named_whatever_the_shuffle():
    def epoch(model, optimizer, users, items, ratings, batch_size, generator):
        total = 0.0
        for rows in torch.randperm(len(users), generator=generator).flip(0).split(batch_size):
            loss = ((model(users[rows], items[rows]) - ratings[rows]) ** 2).mean()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        return total / len(users)

    assert run_check("1.8", epoch).misconception == "no zero_grad"


def test_gradients_cleared_between_backward_and_step_are_no_step():
    def epoch(model, optimizer, users, items, ratings, batch_size, generator):
        total = 0.0
        for rows in torch.randperm(len(users), generator=generator).split(batch_size):
            loss = ((model(users[rows], items[rows]) - ratings[rows]) ** 2).mean()
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
            total += loss.item() * len(rows)
        return total / len(users)

    assert run_check("1.8", epoch).misconception == "no step"


def test_users_shuffled_alone_are_noticed():
    def epoch(model, optimizer, users, items, ratings, batch_size, generator):
        shuffled = users[torch.randperm(len(users), generator=generator)]
        return ALTERNATIVES["1.8"][0](model, optimizer, shuffled, items, ratings, batch_size, generator)

    assert "stand together in no row" in one_line(run_check("1.8", epoch).message)


def test_an_init_that_was_changed_is_named():
    class Changed(nn.Module):
        def __init__(self, n_users, n_items, dim=64, mean=0.0):
            super().__init__()
            self.users = nn.Embedding(n_users, dim)

        def forward(self, users, items):
            return users

    message = one_line(run_check("1.7", Changed).message)
    assert "got a model with the weights users.weight, expected those of the given __init__" in message


def test_counting_from_one_in_any_order_of_ids():
    def dense_ids(raw_ids):
        index_of = {}
        return [index_of.setdefault(raw_id, len(index_of) + 1) for raw_id in raw_ids], list(index_of)

    assert run_check("1.1", dense_ids).misconception == "counts from 1"


def test_ties_divided_by_an_unstable_sort():
    def temporal_split(timestamps, test_fraction):
        order = np.lexsort((-np.arange(len(timestamps)), timestamps))
        position = int((1 - test_fraction) * len(order))
        return order[:position], order[position:]

    assert run_check("1.2", temporal_split).misconception == "ties divided"


def test_messages_in_a_fresh_process_without_pytest():
    code = """
        from course_utils.exercises import check

        def rmse(predictions, ratings):
            return predictions.nothing

        check("1.3", rmse)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    assert re.match(r"\[1.3\] rmse: raised AttributeError: ", done.stdout)
    assert done.stderr == ""
