"""Do the two notebooks of a lab fit its source? Outputs are not compared: they differ between processors."""

import json
from pathlib import Path

from course_utils.authoring.build import (
    CHECK_OUTPUT,
    as_text,
    learner_notebook,
    read_source,
    solution_notebook,
)
from course_utils.authoring.labs import Lab, describe_cell


def check_lab(lab: Lab) -> list[str]:
    """What is wrong with the two notebooks of a lab, one line each; empty when they fit the source."""
    solution = json.loads(as_text(solution_notebook(lab, *read_source(lab))))
    return check_learner(lab) + _compare(lab.solution, solution, outputs=True)


def check_learner(lab: Lab) -> list[str]:
    """What is wrong with the learner's notebook alone."""
    learner = json.loads(as_text(learner_notebook(lab, *read_source(lab))))
    return _compare(lab.learner, learner, outputs=False)


def _compare(path: Path, expected: dict, outputs: bool) -> list[str]:
    name = f"{path.parent.name}/{path.name}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cells = found["cells"]
        problems = _cell_problems(name, cells, expected["cells"])
        if outputs:
            problems += _output_problems(name, cells)
    except FileNotFoundError:
        return [f"{name}: missing"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"{name}: not a notebook ({error})"]
    if found.get("metadata") != expected["metadata"]:
        problems.append(f"{name}: made from another version of the source or the course")
    if not outputs and not problems and found != expected:
        problems.append(f"{name}: has outputs or fields that the build does not write")
    return problems


def _cell_problems(name: str, cells: list, expected: list) -> list[str]:
    """The first cell that is not as built; what follows it is usually shifted."""
    for index, (cell, want) in enumerate(zip(cells, expected, strict=False)):
        for field in ("cell_type", "source", "metadata", "id"):
            if cell.get(field) != want.get(field):
                return [f"{name}: {describe_cell(cells, index)}: its {field} is not that of the source file"]
    if len(cells) != len(expected):
        return [f"{name}: {len(cells)} cells, the source gives {len(expected)}"]
    return []


def _output_problems(name: str, cells: list) -> list[str]:
    problems = []
    for index, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or not source.strip():
            continue
        if cell["execution_count"] is None:
            problem = "was not executed"
        elif any(output["output_type"] == "error" for output in cell["outputs"]):
            problem = "ended in an error"
        elif source.startswith(CHECK_OUTPUT) and not cell["outputs"]:
            problem = f"marked {CHECK_OUTPUT}, but has no output"
        else:
            continue
        problems.append(f"{name}: {describe_cell(cells, index)}: {problem}")
    return problems


def check_strays(root: Path, labs: list[Lab]) -> list[str]:
    """Generated notebooks under notebooks/ and solutions/ whose source does not exist."""
    names = {lab.name for lab in labs}
    found = [path for room in ("notebooks", "solutions") for path in sorted((root / room).glob("*.ipynb"))]
    return [f"{path.parent.name}/{path.name}: has no source" for path in found if path.stem not in names]
