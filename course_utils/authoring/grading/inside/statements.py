"""Top-level statements: what each binds and needs, and which of them a name takes to be defined.

Only syntax is looked at; nothing is run.
"""

import ast
import builtins
import hashlib
import symtable
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MOST_SOURCE = 200_000  # characters of a cell that anybody writes by hand
STAR = "*"  # what `from x import *` binds: whatever nobody else does


@dataclass(frozen=True)
class Statement:
    """text is padded with empty lines, so that line numbers are those of the cell; where names the cell.

    binds: the names that it gives; changes: those that it writes through, to what is there already.
    """

    text: str
    where: str
    binds: frozenset[str]
    needs: frozenset[str]
    changes: frozenset[str]
    node: ast.stmt = field(compare=False, repr=False)

    @property
    def defines(self) -> bool:
        """Whether it is a def or a class, and no assignment."""
        return isinstance(self.node, _DEFINITIONS)

    @property
    def imports(self) -> bool:
        """Whether it is an import."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


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
    if isinstance(node, _DEFINITIONS):
        text = "\n".join(lines[first - 1 : node.end_lineno])
    else:  # other statements may share a line
        text = ast.unparse(node)
    text = "\n" * (first - 1) + text
    binds, needs = _names(text)
    return Statement(text, where, binds, needs, _changes(node), node)


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


def _changes(node: ast.stmt) -> frozenset[str]:
    """The names through which a statement writes, in a block too: `x[0] = y`, `x.a += y`, `del x[0]`,
    `setattr(x, ...)`, and `x.append(y)` where nobody takes what it returns. What a function does when it is
    called is not looked at.
    """
    names, waiting = set(), [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (*_DEFINITIONS, ast.Lambda)):
            continue
        waiting += ast.iter_child_nodes(part)
        if isinstance(part, ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
            names.add(_root(part))
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            call = part.value
            if isinstance(call.func, ast.Attribute) or _is_setattr(call):
                names.add(_root(call.args[0] if _is_setattr(call) else call.func))
    return frozenset(names - {None})


def _root(node: ast.expr) -> str | None:
    """x of `x.a[0]` and of `x.get(0).b`; None where no name stands there, as in `X().a`."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func
        else:
            return None
    return node.id


def stores_attribute(node: ast.stmt, owner: str, name: str) -> bool:
    """Whether a statement holds `owner.name = ...` or `setattr(owner, "name", ...)`."""
    pairs = []
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            pairs.append((part.value, part.attr))
        elif isinstance(part, ast.Call) and _is_setattr(part):
            pairs.append((part.args[0], getattr(part.args[1], "value", None)))
    return any(isinstance(of, ast.Name) and (of.id, attribute) == (owner, name) for of, attribute in pairs)


def _is_setattr(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) > 1


def closure(
    start: Statement, resolve: Callable[[str], list[Statement]], more: Iterable[Statement] = ()
) -> list[Statement]:
    """start, more and, one step after the other, what resolve finds for the names that are needed; in no
    order.
    """
    chosen, met = dict.fromkeys([start, *more]), set(start.binds)
    waiting = [name for statement in chosen for name in statement.needs]
    while waiting:
        name = waiting.pop()
        if name in met:
            continue
        met.add(name)
        for statement in resolve(name):
            if statement not in chosen:
                chosen[statement] = None
                waiting += statement.needs
    return list(chosen)


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
