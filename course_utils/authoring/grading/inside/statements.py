"""Top-level statements: what each binds and needs, and which of them a name takes to be defined.

Only syntax is looked at; nothing is run.
"""

import ast
import builtins
import hashlib
import symtable
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

STAR = "*"  # what `from x import *` binds: whatever nobody else does


@dataclass(frozen=True)
class Statement:
    """text is padded with empty lines, so that line numbers are those of the cell; where names the cell."""

    text: str
    where: str
    binds: frozenset[str]
    needs: frozenset[str]
    node: ast.stmt = field(compare=False, repr=False)

    @property
    def defines(self) -> bool:
        """Whether it is a def or a class, and no assignment."""
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def statements_of(source: str, where: str) -> list[Statement]:
    """The top-level statements of a source, imports one by one. Raises SyntaxError, or ValueError."""
    lines = source.split("\n")
    return [_statement(node, lines, where) for top in ast.parse(source).body for node in _one_by_one(top)]


def _one_by_one(node: ast.stmt) -> Iterable[ast.stmt]:
    if isinstance(node, ast.Import):
        return [ast.copy_location(ast.Import([alias]), node) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [
            ast.copy_location(ast.ImportFrom(node.module, [alias], node.level), node) for alias in node.names
        ]
    return [node]


def _statement(node: ast.stmt, lines: list[str], where: str) -> Statement:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        text = "\n".join(lines[first - 1 : node.end_lineno])
    else:  # other statements may share a line
        text = ast.unparse(node)
    text = "\n" * (first - 1) + text
    binds, needs = _names(text)
    return Statement(text, where, binds, needs, node)


def _names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that are bound at the top, and those that the top or a function inside takes from there."""
    top = symtable.symtable(text, "cell", "exec")
    binds = {
        s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()
    }
    needs = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    waiting = top.get_children()
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        needs |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
    if "import *" in text and text.lstrip().startswith("from "):
        binds.add(STAR)
    return frozenset(binds), frozenset(needs)


def closure(start: Statement, resolve: Callable[[str], list[Statement]]) -> list[Statement]:
    """start and, one step after the other, what resolve finds for the names that are needed; in no order."""
    chosen, waiting, met = [start], list(start.needs), set(start.binds)
    while waiting:
        name = waiting.pop()
        if name in met:
            continue
        met.add(name)
        for statement in resolve(name):
            if statement not in chosen:
                chosen.append(statement)
                waiting += statement.needs
    return chosen


def binding(statements: Iterable[Statement], name: str) -> list[Statement]:
    """Those that bind a name. A plain assignment to the name of a builtin is left out: a slip in a cell
    elsewhere, from which a kernel's restart would have saved its author."""
    shadows = hasattr(builtins, name)
    return [s for s in statements if name in s.binds and (s.defines or not shadows)]


# ---- what the learner wrote, for a comparison ----


def method_of(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """The method of this name in a class, or None."""
    return next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == name), None)


def written_part(node: ast.stmt, method: str | None):
    """The function in which the learner writes, where there is one."""
    if isinstance(node, ast.ClassDef) and method:
        return method_of(node, method) or node
    return node


def body_of(node) -> list[ast.stmt]:
    """The statements of a function without its docstring; of anything else, itself."""
    body = getattr(node, "body", [node])
    if not isinstance(body, list):
        return [node]
    has_docstring = body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return body[1:] if has_docstring else body


def fingerprint(node: ast.stmt, method: str | None) -> tuple[str, int]:
    """A hash of the syntax tree of what the learner wrote, without name and docstring; its size in nodes."""
    part = written_part(node, method)
    args = [part.args] if isinstance(part, ast.FunctionDef) else []
    trees = [*args, *body_of(part)]
    text = "\n".join(ast.dump(tree) for tree in trees)
    return hashlib.sha256(text.encode()).hexdigest()[:20], sum(1 for tree in trees for _ in ast.walk(tree))
