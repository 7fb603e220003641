"""Child process of `course progress`: runs a learner's cells and checks, and reports each as it goes.

Reads {"setup": [source], "others": [source], "exercises": [[id, name, source]]} from stdin and writes one
JSON list a line, [id, status, note], with status "passed", "not yet" or "not written",
after one ["", "begun", ""] when the set-up is done. Of the others only what they define is run. The learner's
code may print, loop for ever or end the process: the parent watches.
"""

import ast
import json
import os
import re
import sys

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_utils import exercises


def main() -> None:
    """Run the cells that stdin names, in one namespace."""
    task = json.load(sys.stdin)
    reports = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))  # for %time and its like
    for source in task["setup"]:
        _execute(shell, source)
    for source in task["others"]:
        for definition in definitions(shell, source):
            _execute(shell, definition)
    print(json.dumps(["", "begun", ""]), file=reports)
    for id, name, source in task["exercises"]:
        print(json.dumps([id, *_attempt(shell, id, name, source)]), file=reports)
    reports.flush()
    os._exit(0)  # threads that the learner's code left behind are not waited for


def definitions(shell: InteractiveShell, source: str) -> list[str]:
    """The statements of a cell that define something; empty when it is no Python.

    Functions, classes, imports, and names for values that take no call: `K = 10`, `half = lambda x: x / 2`.
    """
    source = re.sub(r"\A\s*%%.*", "", source)  # %%time and its like, which hide what they run
    try:
        statements = ast.parse(shell.transform_cell(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [ast.unparse(statement) for statement in statements if _defines(statement)]


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        is_lambda = isinstance(statement.value, ast.Lambda)
        return is_lambda or not any(isinstance(node, ast.Call) for node in ast.walk(statement))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    return isinstance(statement, kinds)


def _attempt(shell: InteractiveShell, id: str, name: str, source: str) -> tuple[str, str]:
    shell.user_ns.pop(name, None)  # not one that another cell defines
    problem = _execute(shell, source)
    if problem:
        return "not yet", problem
    if name not in shell.user_ns:
        return "not yet", f"{name} is not defined in its cell"
    status = exercises.run_check(id, shell.user_ns[name]).status
    return {"ok": "passed", "not written": "not written"}.get(status, "not yet"), ""


def _execute(shell: InteractiveShell, source: str) -> str:
    """Run one cell; what it raised, in a few words, or ""."""
    result = shell.run_cell(source)
    error = result.error_before_exec or result.error_in_exec
    if isinstance(error, SyntaxError):  # without the cell's made-up file name
        error = type(error)(f"{error.msg} (line {error.lineno})")
    return f"the cell raised {type(error).__name__}: {error}" if error else ""


if __name__ == "__main__":
    main()
