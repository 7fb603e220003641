"""What of course_utils the sandbox sees: everything but the answers to the exercise at hand and to later
ones.

No declaration, no recorded figure and nothing of `authoring`; and of each function that is an exercise's own,
or as good as that, only the head. What an exercise's reference takes from the package is found in its source;
TWINS names what else would give the answer away.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import py_compile
import tempfile
from functools import cache
from pathlib import Path

from course_utils import exercises
from course_utils.authoring.grading.inside.statements import Statement, binding, closure, statements_of
from course_utils.exercises.calling import call_function
from course_utils.exercises.declare import Exercise

PACKAGE = Path(exercises.__file__).resolve().parents[1]
REFERENCE_FREE = ("calling", "observe", "plain", "guard", "forward", "verdicts")
LEFT_OUT = {"authoring", "exercises", "cli", "doctor", "claims", "zoo", "distributed", "recipes"}
GONE = 'raise NotImplementedError("the course\'s own version is not there while this exercise is graded")'

# What references use that answers nothing by itself.
HARMLESS = {("losses", "mse"), ("sampling", "interactions")}

# Exercise -> functions of a module, or "Class.method", which compute the same. "*.*": all methods; "*": all.
TWINS = {
    "1.1": {"data.formats": ("_positions", "assemble"), "features": ("_id_rows",)},
    "1.2": {"splits": ("_two_parts",)},
    "1.3": {"metrics.errors": ("*",)},
    "1.4": {"baselines.ratings": ("_shrunk_means", "fit_biases")},
    "1.5a": {"baselines.implicit": ("fit_item_knn",), "metrics.beyond": ("cosine_similarity",)},
    "1.5b": {"baselines.ratings": ("_knn_one_user",)},
    "1.7": {"models.rating": ("*.*",)},
    "1.8": {"training": ("fit", "_train_epoch")},
    "1.9": {"evaluate.ranking": ("top_k", "recommend"), "retrieval": ("retrieve_unseen",)},
    "2.1": {"splits": ("leave_last_out", "_leave_two_out", "per_user_last", "leave_random_out")},
    "2.2": {"sampling": ("_items_outside", "evaluation_negatives", "with_negatives", "in_pairs")},
    "2.4": {"evaluate.ranking": ("rank_positives",), "evaluate.held_out": ("*",)},
    "2.5": {"metrics.ranks": ("*",), "metrics.lists": ("*",)},
    "2.7": {"models.implicit": ("*.*",)},
    "2.8": {"models.implicit": ("*.*",)},
    "2.9": {"models.implicit": ("*.*",)},
    "2.10": {"models.implicit": ("BPRMF.forward",)},
    "2.11": {"models.implicit": ("fuse_pretrained",)},
    "3.1": {"features": ("_content", "_fit", "_describe")},
    "3.2": {"models.two_tower": ("*.*",)},
    "3.5": {"losses": ("in_batch_loss",)},
    "3.6": {"diagnostics.vectors": ("*",)},
    "3.7": {"retrieval": ("build_index", "_empty_ivf")},
    "3.8": {"metrics.lists": ("*",)},
    "3.9": {"retrieval": ("retrieve_unseen",)},
    "3.10": {"models.two_tower": ("*.*",)},
    "4.4": {"metrics.lists": ("*",), "evaluate.held_out": ("*",)},
    "4.5": {"metrics.ranks": ("*",)},
    "4.7": {"evaluate.statistics": ("*",)},
    "4.8": {"diagnostics.leaks": ("*",)},
    "4.10": {"rerank": ("*",)},
    "4.11": {"metrics.beyond": ("*",)},
}


# ---- how an exercise's object is called, without the rest of its declaration ----


@cache
def call_program(exercise_id: str) -> dict | None:
    """The statements that define an exercise's `call`, by (text, where), and its name; None for a plain call.

    Raises ValueError where the call is no function of its module.
    """
    call = exercises.get(exercise_id).call
    if call is call_function:
        return None
    path = Path(inspect.getsourcefile(call))
    statements = _module(path)
    definitions = [s for s in binding(statements, call.__name__) if s.defines]
    if len(definitions) != 1:
        raise ValueError(f"exercise {exercise_id}: its call must be a function at the top of {path.name}")
    chosen = closure(definitions[0], lambda name: binding(statements, name))
    program = [(s.text, path.name) for s in statements if s in chosen]
    return {"name": call.__name__, "program": program}


@cache
def _module(path: Path) -> list[Statement]:
    return statements_of(path.read_text(encoding="utf-8"), path.name)


# ---- what is hidden ----


@cache
def answers(exercise_id: str) -> frozenset[tuple[str, str]]:
    """(module, function or Class.method or "*") of the package that would answer this exercise."""
    exercise = exercises.get(exercise_id)
    twins = TWINS.get(exercise_id, {})
    found = {(module, name) for module, names in twins.items() for name in names}
    return frozenset((found | _behind_the_reference(exercise)) - HARMLESS)


def _behind_the_reference(exercise: Exercise) -> set[tuple[str, str]]:
    """What the reference is, or calls, of the package."""
    reference = inspect.unwrap(getattr(exercise.reference, "func", exercise.reference))
    path = Path(inspect.getsourcefile(reference)).resolve()
    if not path.is_relative_to(PACKAGE / "exercises"):
        return _named(path, reference.__qualname__, exercise.method)
    statements = _module(path)
    found = set()
    for start in binding(statements, reference.__name__):
        for statement in closure(start, lambda name: binding(statements, name)):
            for node in ast.walk(statement.node):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    found |= _attribute(node.value.id, node.attr)
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_utils."):
                    room = node.module.removeprefix("course_utils.")
                    found |= set().union(*(_attribute(room, alias.name) for alias in node.names))
    return found


def _attribute(room: str, name: str) -> set[tuple[str, str]]:
    """What `room.name` is, when room is a room of the package and name a function there."""
    path = PACKAGE.joinpath(*room.split("."))
    if room.split(".")[0] in LEFT_OUT or not (path.is_dir() or path.with_suffix(".py").exists()):
        return set()
    function = getattr(importlib.import_module(f"course_utils.{room}"), name, None)
    if not inspect.isfunction(function) or function.__name__.startswith("_import"):
        return set()
    return _named(Path(inspect.getsourcefile(function)).resolve(), function.__qualname__, None)


def _named(path: Path, name: str, method: str | None) -> set[tuple[str, str]]:
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return {(module, f"{name}.{method}" if method else name)}


@cache
def all_ids() -> tuple[str, ...]:
    """The ids of all exercises, in the order of the course."""
    return tuple(exercise.id for number in range(1, 10) for exercise in exercises.of_lab(f"{number:02}"))


def hidden_at(exercise_id: str) -> frozenset[tuple[str, str]]:
    """All that is hidden while this exercise is graded: its answers and those of all that come after it."""
    ids = all_ids()
    return frozenset().union(*(answers(later) for later in ids[ids.index(exercise_id) :]))


# ---- the copy ----


@cache
def _store() -> tempfile.TemporaryDirectory:
    """Where this process keeps the copies; removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="course-")


def package_at(exercise_id: str) -> Path:
    """A folder with course_utils as the sandbox may see it while this exercise is graded; made once."""
    return _package(hidden_at(exercise_id))


@cache
def _package(hidden: frozenset[tuple[str, str]]) -> Path:
    folder = Path(_store().name) / hashlib.sha256(repr(sorted(hidden)).encode()).hexdigest()[:12]
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        if place.with_suffix("").parts[0] in LEFT_OUT:
            continue
        module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
        _put(folder / "course_utils" / place, path, _names_in(module, hidden))
    for name in REFERENCE_FREE:
        _put(
            folder / "course_utils" / "exercises" / f"{name}.py",
            PACKAGE / "exercises" / f"{name}.py",
            frozenset(),
        )
    (folder / "course_utils" / "exercises" / "__init__.py").touch()
    return folder


def _names_in(module: str, hidden: frozenset[tuple[str, str]]) -> frozenset[str]:
    above = {".".join(module.split(".")[:n]) for n in range(1, module.count(".") + 1)}
    return frozenset(name for place, name in hidden if place == module or (name == "*" and place in above))


def _put(target: Path, path: Path, names: frozenset[str]) -> None:
    """The stripped source and its bytecode, which is not looked up in the source again."""
    source, bytecode = _stripped(path, names)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)
    compiled = Path(importlib.util.cache_from_source(str(target)))
    compiled.parent.mkdir(exist_ok=True)
    os.link(bytecode, compiled)


@cache
def _stripped(path: Path, names: frozenset[str]) -> tuple[Path, Path]:
    text = without_bodies(path.read_text(encoding="utf-8"), names)
    digest = hashlib.sha256(f"{path}\0{text}".encode()).hexdigest()[:16]
    source, bytecode = (Path(_store().name) / f"{digest}.{end}" for end in ("py", "pyc"))
    source.write_text(text, encoding="utf-8")
    shown = str(path.relative_to(PACKAGE.parent))
    never = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), str(bytecode), dfile=shown, doraise=True, invalidation_mode=never)
    return source, bytecode


def without_bodies(source: str, names: frozenset[str]) -> str:
    """The source with the bodies of these functions and methods gone.

    "*.*" is every method, "*" every function as well; constructors stay, since the stubs give them too.
    """
    if not names:
        return source
    tree = ast.parse(source)
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for member in members:
            if not isinstance(member, ast.FunctionDef) or member.name in ("__init__", "__post_init__"):
                continue
            if names & {"*", "*.*" if owner else "*", owner + member.name}:
                docstring = member.body[:1] if ast.get_docstring(member) else []
                member.body = [*docstring, *ast.parse(GONE).body]
    return ast.unparse(tree)
