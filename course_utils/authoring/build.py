"""One source, two notebooks: solutions/NN_topic.py -> the executed solution and the learner's notebook."""

import copy
import hashlib
import re
import tempfile
from collections import Counter
from pathlib import Path

import jupytext
import nbformat

import course_utils
from course_utils import exercises
from course_utils.authoring import execute
from course_utils.authoring.labs import BuildError, Lab, check_of, exercise_of, write_atomically

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
MARKER = re.compile(r"\s*#+\s*(BEGIN|END)\s+SOLUTION\b", re.IGNORECASE)
CHECK_OUTPUT = "# NBVAL_CHECK_OUTPUT"
JUPYTEXT_KEYS = "lines_to_"  # blank lines before and after a cell
TAGS = {"parameters", "setup", "solution"}
STUB = (
    "# Your code here (2-12 lines), then delete the next line.",
    'raise NotImplementedError("Exercise {exercise} is not written yet.")',
)


def build_lab(lab: Lab, run: bool = True) -> list[str]:
    """Write the learner's notebook and, when it runs to its end, the executed solution.

    Returns lines that tell what was done and which claims failed. Raises BuildError, or
    execute.ExecutionError when a cell fails.
    """
    cells, title = read_source(lab)
    learner = learner_notebook(lab, cells, title)
    write_atomically(lab.learner, as_text(learner))
    if not run:
        return [f"{lab.name}: learner notebook written"]
    solution = solution_notebook(lab, cells, title)
    with tempfile.TemporaryDirectory() as folder:
        environment = {"COURSE_FAST": "0", "COURSE_STRICT": "0"}
        executed = execute.execute(solution, lab, environment, Path(folder) / lab.solution.name)
    for cell, ran in zip(solution.cells, executed.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
    write_atomically(lab.solution, as_text(solution))
    failed = [found for found in execute.claims_in(solution) if found["ok"] is False]
    return [f"{lab.name}: learner notebook and executed solution written"] + [
        f"{lab.name}: claim {found['id']} {found['value']:.4f}: {found['verdict']}" for found in failed
    ]


def read_source(lab: Lab) -> tuple[list, str]:
    """The cells of a source with the metadata that both notebooks carry, and the title of the lab."""
    text = lab.source.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    title = notebook.metadata.get("title", lab.name)
    cells = notebook.cells
    if cells and cells[0].cell_type == "raw":  # where jupytext keeps the front matter that it does not know
        found = re.search(r"^title: *(.+)$", cells.pop(0).source, re.MULTILINE)
        title = found.group(1).strip("\"' ") if found else title
    starts = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"# %%(?!%)", line)]
    if len(starts) != len(cells):
        raise BuildError(
            f"{_path(lab)}: {len(cells)} cells, but {len(starts)} lines that start with '# %%': "
            "is there text before the first one?"
        )
    _check_regions(lab, text, dict(zip(starts, cells, strict=True)))
    points = {}
    for line, cell in zip(starts, cells, strict=True):
        cell.metadata = _metadata(cell, f"{_path(lab)}:{line}", points)
    unchecked = points.keys() - {check_of(cell) for cell in cells}
    if unchecked:
        raise BuildError(f"{_path(lab)}: exercise {min(unchecked)} has no check cell")
    return cells, title


def _check_regions(lab: Lab, text: str, cells: dict) -> None:
    """Raise BuildError unless each exercise cell, and no other, has closed solution regions in a function."""
    opened = start = None
    regions = dict.fromkeys(cells, 0)
    for number, line in enumerate([*text.splitlines(), "# %%"], 1):
        if number in cells or number > len(text.splitlines()):
            if opened:
                raise BuildError(f"{_path(lab)}:{opened}: {BEGIN} is never closed in its cell")
            start = number
        found = MARKER.match(line)
        if not found:
            continue
        where = f"{_path(lab)}:{number}"
        if line.strip() not in (BEGIN, END):
            raise BuildError(f"{where}: {line.strip()!r}: must be exactly {BEGIN!r} or {END!r}")
        if line.strip() == END:
            if not opened:
                raise BuildError(f"{where}: {END} without {BEGIN}")
            opened = None
            continue
        if opened:
            raise BuildError(f"{where}: {BEGIN} inside the region that starts in line {opened}")
        if "exercise" not in cells[start].metadata:
            raise BuildError(f"{where}: {BEGIN} outside an exercise cell")
        if line == BEGIN:
            raise BuildError(f"{where}: {BEGIN} must be indented, inside a function")
        opened, regions[start] = number, regions[start] + 1
    for start, cell in cells.items():
        if "exercise" in cell.metadata and not regions[start]:
            raise BuildError(f"{_path(lab)}:{start}: exercise {cell.metadata['exercise']} has no {BEGIN}")


def _metadata(cell, where: str, points: dict) -> dict:
    """The metadata of a cell in the notebooks, from its '# %%' line; points collects the exercises."""
    given = {key: value for key, value in cell.metadata.items() if not key.startswith(JUPYTEXT_KEYS)}
    tags = given.pop("tags", [])
    exercise, check = given.pop("exercise", None), given.pop("check", None)
    if given or set(tags) - TAGS:
        raise BuildError(
            f"{where}: unknown {sorted(given) or sorted(set(tags) - TAGS)}: "
            f"a cell may have exercise, check, or tags of {sorted(TAGS)}"
        )
    metadata = {"tags": tags} if tags else {}
    if exercise:
        if exercise in points:
            raise BuildError(f"{where}: exercise {exercise} appears twice")
        try:
            points[exercise] = exercises.get(exercise).points
        except KeyError as error:
            raise BuildError(f"{where}: {error}") from None
        metadata |= {"course": {"exercise": exercise}, "nbgrader": _nbgrader("exercise", exercise)}
    if check:
        if check not in points:
            raise BuildError(f"{where}: check {check} without an exercise {check} above it")
        if not re.fullmatch(rf'check\("{re.escape(check)}", \w+\)', cell.source):
            raise BuildError(f'{where}: a check cell must be exactly check("{check}", name)')
        metadata |= {"course": {"check": check}, "nbgrader": _nbgrader("check", check, points[check])}
        metadata |= {"deletable": False, "editable": False}
    return nbformat.from_dict(metadata)


def _nbgrader(kind: str, exercise: str, points: float | None = None) -> dict:
    """nbgrader's cell metadata, version 3: a solution cell, or a locked test cell with points."""
    graded = points is not None
    metadata = {
        "schema_version": 3,
        "grade_id": f"{kind}-{exercise.replace('.', '-')}",
        "grade": graded,
        "solution": not graded,
        "locked": graded,
        "task": False,
    }
    return metadata | ({"points": points} if graded else {})


def solution_notebook(lab: Lab, cells: list, title: str):
    """The solution, not yet executed: every cell of the source, and the hash of the source."""
    text = lab.source.read_text(encoding="utf-8")
    return _notebook(lab, copy.deepcopy(cells), title, "source_sha256", text)


def learner_notebook(lab: Lab, cells: list, title: str):
    """The learner's notebook: solution cells dropped, solution regions replaced by a stub, no outputs."""
    kept = [copy.deepcopy(cell) for cell in cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in kept:
        cell.source = cell.source.removeprefix(CHECK_OUTPUT).lstrip("\n")
        if exercise_of(cell):
            cell.source = _stub(cell.source, exercise_of(cell))
    return _notebook(lab, kept, title, "cells_sha256", "\0".join(cell.source for cell in kept))


def _stub(source: str, exercise: str) -> str:
    lines, inside = [], False
    for line in source.splitlines():
        if line.strip() == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + part.format(exercise=exercise) for part in STUB]
            inside = True
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def _notebook(lab: Lab, cells: list, title: str, hash_name: str, hashed: str):
    """A notebook with only the metadata named here, and cell ids that follow from the cells' content."""
    notebook = nbformat.v4.new_notebook()
    notebook.nbformat_minor = 5
    seen = Counter()
    for cell in cells:
        digest = hashlib.sha1(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.cells = cells
    notebook.metadata = nbformat.from_dict(
        {
            "course": {
                "lab": lab.name,
                "version": course_utils.__version__,
                hash_name: hashlib.sha256(hashed.encode()).hexdigest(),
            },
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            "title": title,
        }
    )
    nbformat.validate(notebook)
    return notebook


def as_text(notebook) -> str:
    """The notebook as it is written to a file."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _path(lab: Lab) -> str:
    return f"solutions/{lab.name}.py"
