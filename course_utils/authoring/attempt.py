"""Child process of `course progress`: runs a learner's cells and checks, and reports each as it goes.

Reads {"setup": [source], "exercises": [[id, name, source]]} from stdin and writes one JSON list a line,
[id, status, note], with status "passed", "not yet" or "not written",
after one ["", "begun", ""] when the set-up is done. The learner's code may print,
loop for ever or end the process: the parent watches.
"""

import json
import os
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
    print(json.dumps(["", "begun", ""]), file=reports)
    for id, name, source in task["exercises"]:
        print(json.dumps([id, *_attempt(shell, id, name, source)]), file=reports)
    reports.flush()
    os._exit(0)  # threads that the learner's code left behind are not waited for


def _attempt(shell: InteractiveShell, id: str, name: str, source: str) -> tuple[str, str]:
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
