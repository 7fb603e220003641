"""Find a learner's objects, with what they need, in the cells of a notebook that may be damaged.

Only syntax is looked at; nothing is run. It still belongs into the sandbox: a hostile source can end the
parser.
"""

import ast
import re
from collections.abc import Collection

from statements import (
    MOST_SOURCE,
    STAR,
    Statement,
    binding,
    body_of,
    closure,
    fingerprint,
    method_of,
    statements_of,
    stores_attribute,
    written_part,
)

MOST_VERSIONS = 3  # of one object, that are tried
MOST_PARTS = 4  # cells that one was split into
_JOIN_AT_MOST = 40  # lines at the margin that one damaged statement may span
_NOT_WRITTEN = "is not written yet"
_MAGIC = re.compile(r"^(\s*)(?:[%!]|\w[\w, ]*=\s*[%!]|\?|[\w.]+\?+\s*$)")
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_PYTHON_MAGICS = {"time", "timeit", "capture", "prun"}
_HEAD = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)


class Notebook:
    """The statements of a notebook's code cells, those of its text cells, and what could not be read."""

    def __init__(self, cells: list[dict], given: Collection[str] = ()):
        """given: the sources of cells that came with the lab, which hold nobody's work."""
        self.code, self.text, self.problems = [], [], {}
        self.exercise_of = {}  # where -> exercise
        self.sources, self.given = {}, set()
        for number, cell in enumerate(cells, 1):
            where, source = f"cell {number}", _tidy(cell["source"])
            if not source.strip() or len(source) > MOST_SOURCE:
                continue
            if cell.get("exercise"):
                self.exercise_of[where] = cell["exercise"]
            if source.strip() in given:
                self.given.add(where)
            if cell["type"] == "code":
                self.sources[where] = source
            elif _HEAD.search(source) and where not in self.given:
                self.text += _salvage(source, where)[0]
        self._read_code()

    def _read_code(self) -> None:
        before = []  # cells before, to which one that cannot stand alone may belong
        for where, source in list(self.sources.items()):
            statements, problem = _read(source, where)
            if problem and self._join(before, source):
                continue
            if problem:
                statements, lost = _salvage(source, where)
                self.problems |= lost
            self.code += statements
            before = [*before, where][-MOST_PARTS + 1 :]

    def _join(self, before: list[str], source: str) -> bool:
        """Put a cell back behind those that it was split from, where together they can be read."""
        for n in range(1, len(before) + 1):
            parts = before[-n:]
            joined = "\n".join([*(self.sources[part] for part in parts), source])
            statements, problem = _read(joined, parts[0])
            if not problem:
                self.code = [s for s in self.code if s.where not in parts] + statements
                self.sources |= {part: "" for part in parts} | {parts[0]: joined}
                lost = tuple(f"{part}," for part in parts)
                self.problems = {name: p for name, p in self.problems.items() if not p.startswith(lost)}
                return True
        return False

    def changes(self, name: str) -> list[Statement]:
        """The learner's own statements that write through a name, in whatever cell: `TABLE[0] = 1`."""
        return [s for s in self.code if name in s.changes and s.where not in self.given]

    def changes_of(self, target: Statement, name: str) -> list[Statement]:
        """Of those, the ones that meet this object of the name: they stand behind it, and before the next
        one. What stands before all of them belongs to the first.
        """
        changes = set(self.changes(name))
        found, owner = [], next((s for s in self.code if name in s.binds and not s.imports), target)
        for statement in self.code if changes else ():
            if name in statement.binds and not statement.imports:
                owner = statement
            elif statement in changes and owner is target:
                found.append(statement)
        return found

    def checked_name(self, exercise: str) -> str | None:
        """The name that a check cell hands over: check("1.3", this)."""
        call = re.compile(rf"""check\(\s*["']{re.escape(exercise)}["']\s*,\s*(\w+)\s*\)""")
        found = [name for source in self.sources.values() for name in call.findall(source)]
        return found[-1] if found else None


def _tidy(source: str) -> str:
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").lstrip("\ufeff")


def _read(source: str, where: str) -> tuple[list[Statement], str]:
    """The statements of a code cell, or why there are none."""
    problem = ""
    for text in (source, without_magics(source)):
        try:
            return statements_of(text, where), ""
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            problem = _what(error)
    return [], problem


def _what(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return type(error).__name__


def without_magics(source: str) -> str:
    """The cell without lines that only IPython understands; the other lines keep their numbers."""
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if found := _CELL_MAGIC.match(lines[first]):
        if found.group(1) not in _PYTHON_MAGICS:
            return ""
        lines[first] = ""
    return "\n".join(found.group(1) + "pass" if (found := _MAGIC.match(line)) else line for line in lines)


def _salvage(source: str, where: str) -> tuple[list[Statement], dict[str, str]]:
    """Of a source that does not parse, the statements that do; and {name: why} of the definitions that do
    not.

    A statement starts at the margin, and takes as many lines as it needs to parse.
    """
    lines = without_magics(source).split("\n")
    starts = [i for i, line in enumerate(lines) if line[:1].strip() and line[0] not in ")]}#"] + [len(lines)]
    found, lost, at = [], {}, 0
    while at < len(starts) - 1:
        problem = ""
        for end in range(at + 1, min(at + 1 + _JOIN_AT_MOST, len(starts))):
            text = "\n" * starts[at] + "\n".join(lines[starts[at] : starts[end]])
            try:
                found += statements_of(text, where)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                problem = problem or _what(error)
            else:
                at = end
                break
        else:
            if name := _HEAD.match(lines[starts[at]]):
                lost[name.group(1)] = f"{where}, {problem}"
            at += 1
    return found, lost


# ---- one exercise ----


def recover(cells: list[dict], lab: dict) -> dict[str, dict]:
    """For each exercise of a lab its versions, the best guess first.

    lab: "setup", the source of its first code cell; "given", those of the cells that hold no exercise; and
    "exercises": in order, dicts of id, name, method, params, docstring and solution (a source, or ""). Gives
    {id: {"versions": [version], "problem": why there are none}}; a version: name, where, tree (a hash) and
    nodes (how many) of what the learner wrote, and up to three programs, lists of (text, where): with the
    course's earlier objects; where those differ, without what changes an object after its definition, and
    with the learner's own earlier objects.
    """
    notebook = Notebook(cells, {source.strip() for source in lab["given"]})
    setup, problem = _read(lab["setup"], "the set-up cell")
    earlier, found = {}, {}
    for exercise in lab["exercises"]:
        versions = []
        for statement, name in candidates(notebook, exercise)[:MOST_VERSIONS]:
            programs = _programs(notebook, setup, earlier, statement, name)
            tree, nodes = fingerprint(statement.node, exercise["method"])
            versions.append(
                {"name": name, "where": statement.where, "tree": tree, "nodes": nodes, "programs": programs}
            )
        problem = notebook.problems.get(exercise["name"], "")
        found[exercise["id"]] = {"versions": versions, "problem": problem}
        solution = _read(exercise["solution"], "the course")[0]
        earlier |= {s_name: s for s in solution for s_name in s.binds if s_name == exercise["name"]}
    return found


def candidates(notebook: Notebook, exercise: dict) -> list[tuple[Statement, str]]:
    """Where the object may be, the most likely first: the last one of its name, else a renamed one.

    A stub comes last of all, since a copy of the cell, or another name, may hold the work.
    """
    name = exercise["name"]
    last_first = binding(notebook.code, name)[::-1]
    named = [(s, name) for s in last_first if s.defines]
    assigned = [
        (s, name) for s in last_first if isinstance(s.node, _ASSIGNS) and s.where not in notebook.given
    ]
    in_text = [(s, name) for s in reversed(binding(notebook.text, name)) if s.defines]
    renamed = _renamed(notebook, exercise)
    if any(_is_function(s.node, name) for s, _ in _written(notebook, [*named, *assigned], exercise)):
        renamed = []  # a helper may look like the object, and has its cell's mark
    every = [*named, *assigned, *renamed, *in_text]
    return _written(notebook, every, exercise) or every[:1]


# Or inside an `if` or a `try`. An import is nobody's work.
_ASSIGNS = (ast.Assign, ast.AnnAssign, ast.If, ast.Try, ast.With)


def _renamed(notebook: Notebook, exercise: dict) -> list[tuple[Statement, str]]:
    """Objects of other names: by what the check is given, by the mark of their cell, by the docstring."""
    other = notebook.checked_name(exercise["id"])
    checked = binding(notebook.code, other)[::-1] if other and other != exercise["name"] else []
    definitions = [s for s in reversed(notebook.code) if s.defines and _fits(s.node, exercise)]
    in_its_cell = [s for s in definitions if notebook.exercise_of.get(s.where) == exercise["id"]]
    same_words = [
        s for s in definitions if exercise["docstring"] and _first_line(s.node) == exercise["docstring"]
    ]
    return [(s, other) for s in checked] + [(s, s.node.name) for s in (*in_its_cell, *same_words)]


def _written(
    notebook: Notebook, found: list[tuple[Statement, str]], exercise: dict
) -> list[tuple[Statement, str]]:
    """Those that are no stubs, each once."""
    method, distinct = exercise["method"], {}
    for statement, name in found:
        changes = notebook.changes_of(statement, name)
        attached = method and any(stores_attribute(s.node, name, method) for s in changes)
        if attached or not _is_stub(statement.node, method):
            key = ast.dump(statement.node), *(s.text for s in changes)
            distinct.setdefault(key, (statement, name))
    return list(distinct.values())


def _is_function(node: ast.stmt, name: str) -> bool:
    """Whether this surely makes the name a function or a class; `rmse = my_rmse(p, r)` may be a number."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return isinstance(node.value, ast.Lambda)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(isinstance(part, kinds) and part.name == name for part in ast.walk(node))


def _fits(node: ast.stmt, exercise: dict) -> bool:
    """Whether a definition is of the kind that the exercise asks for, with as many parameters."""
    if exercise["method"]:
        return isinstance(node, ast.ClassDef) and method_of(node, exercise["method"]) is not None
    return isinstance(node, ast.FunctionDef) and len(node.args.args) == len(exercise["params"])


def _first_line(node: ast.stmt) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0].strip()


def _is_stub(node: ast.stmt, method: str | None) -> bool:
    """Nothing but a docstring and the line that says so, or nothing at all."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return False
    body = body_of(written_part(node, method))
    return all(
        isinstance(s, ast.Pass) or (isinstance(s, ast.Raise) and _NOT_WRITTEN in ast.unparse(s)) for s in body
    )


def _programs(
    notebook: Notebook, setup: list[Statement], earlier: dict[str, Statement], target: Statement, name: str
) -> list[list]:
    """What may define the target, the likeliest first. The one without changes is there in case that one of
    them never ends, or spoils something.
    """
    program, borrowed = _program(notebook, setup, earlier, target, name)
    programs = [program, _program(notebook, setup, earlier, target, name, changed=False)[0]]
    if borrowed:
        programs.append(_program(notebook, setup, {}, target, name)[0])
    return [p for n, p in enumerate(programs) if p not in programs[:n]]


def _program(
    notebook: Notebook,
    setup: list[Statement],
    earlier: dict[str, Statement],
    target: Statement,
    name: str,
    changed: bool = True,
) -> tuple[list, bool]:
    """What it takes to define the target, in order, and to change it and what it needs as the learner did;
    and whether an earlier exercise is the course's instead of the learner's.
    """
    borrowed = False

    def resolve(needed: str) -> list[Statement]:
        nonlocal borrowed
        own = [s for s in binding(notebook.code, needed) if name not in s.binds]
        if needed in earlier:
            borrowed |= bool(own)
            return [earlier[needed]]
        found = binding(setup, needed) + own
        is_module = all(s.imports for s in found)  # of which np.random.seed(0) and plt.show() change nothing
        if changed and not is_module:
            found += [s for s in notebook.changes(needed) if name not in s.binds]
        return found or [s for s in (*setup, *notebook.code) if STAR in s.binds]

    chosen = set(closure(target, resolve, notebook.changes_of(target, name) if changed else ()))
    course = [s for s in (*setup, *earlier.values()) if s in chosen]
    own = [s for s in notebook.code if s in chosen and s not in course]
    if target not in own:
        own.append(target)
    return [(s.text, s.where) for s in (*course, *own)], borrowed
