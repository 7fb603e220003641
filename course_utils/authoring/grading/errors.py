"""What may be said of a learner's error: its type, if Python knows it, and its place in the notebook.

Everything here comes out of the sandbox or stands in a notebook, so nothing is taken as it is, and nothing is
parsed: an error's message could hold a hidden case, its type and its line can not.
"""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass

from course_utils.authoring.grading.inside.statements import MOST_SOURCE
from course_utils.authoring.grading.package import GONE

OWN_KIND = "an error of its own kind"
STUB = GONE.split('"')[1]  # what the package's functions say in the sandbox where the answer was
_PYTHONS = [kind for kind in vars(builtins).values() if isinstance(kind, type)]
_NUMPYS = {"LinAlgError", "AxisError"}
_KNOWN = {kind.__name__ for kind in _PYTHONS if issubclass(kind, BaseException)} | _NUMPYS
_PLACE = re.compile(r"cell (\d{1,4}), line (\d{1,6})")
_NOT_RUN = re.compile(r"([a-z0-9, -]{1,40}): (\w{1,60})(?: ([A-Za-z_][\w.]{0,59}))?", re.ASCII)
_NO_MODULE = re.compile(r"No module named '([A-Za-z_][\w.]{0,59})'", re.ASCII)
_IMPORT = re.compile(
    r"^[ \t]*from[ \t]+course_utils[\w.]*[ \t]+import[ \t]*(\([^)]{0,2000}\)|[^\n(;]*)", re.MULTILINE
)


@dataclass(frozen=True)
class Said:
    """What may be said: the type's name, "cell 9, line 5" or "", and the module that was not there, or ""."""

    error: str = ""
    at: str = ""
    module: str = ""


def raised(cells: list[dict], error: str, at: str, text: str) -> Said:
    """Of a call: what inside/child.py gives as the error's name, place and message."""
    missing = _NO_MODULE.match(text) if error == "ModuleNotFoundError" else None
    return Said(_kind(error), place(cells, at), missing.group(1) if missing else "")


def not_run(cells: list[dict], problem: str) -> Said:
    """Of a statement that could not be run: "cell 9, line 5: ModuleNotFoundError surprise"; or nothing."""
    found = _NOT_RUN.fullmatch(problem)
    if not found:
        return Said()
    at, error, module = found.groups()
    return Said(_kind(error), place(cells, at), (module or "") if error == "ModuleNotFoundError" else "")


def _kind(error: str) -> str:
    return error if error in _KNOWN else OWN_KIND


def place(cells: list[dict], text: str) -> str:
    """ "cell 9, line 5" if there is such a line, else "".

    A cell that was split is read as one: lines after its end are those of the next cell of code.
    """
    found = _PLACE.fullmatch(text)
    number, line = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= len(cells) or line < 1:
        return ""
    for n, cell in enumerate(cells[number - 1 :], number):
        if n > number and (cell["type"] != "code" or not cell["source"].strip()):
            continue
        n_lines = len(re.split("\r\n|\r|\n", cell["source"]))
        if line <= n_lines:
            return f"cell {n}, line {line}"
        line -= n_lines
    return ""


def is_text(cells: list[dict], where: str) -> bool:
    """Whether "cell 9" is no cell of code."""
    found = re.fullmatch(r"cell (\d{1,4})", where)
    number = int(found.group(1)) if found else 0
    return 1 <= number <= len(cells) and cells[number - 1]["type"] != "code"


def imported(cells: list[dict], name: str) -> bool:
    """Whether a cell of code takes this name from the package: `from course_utils.metrics import name`."""
    for cell in cells:
        if cell["type"] != "code" or len(cell["source"]) > MOST_SOURCE:
            continue
        for names in _IMPORT.findall(cell["source"]):
            for part in re.sub(r"#[^\n]*", "", names).strip("()").split(","):
                words = part.split()
                if words[-1:] == [name] and (len(words) == 1 or words[1:-1] == ["as"]):
                    return True
    return False
