"""The learner's copies in work/: made from notebooks/, never overwritten, put back one exercise at a time."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path

from course_utils.authoring.labs import (
    DEFINITION,
    check_of,
    exercise_of,
    find_labs,
    first_line,
    write_atomically,
)


class WorkspaceError(Exception):
    """Something about work/ needs the learner; the message says what to do."""


def make_copies(root: Path) -> list[str]:
    """Copy the notebooks that are not in work/ yet; one line for each that is new or of another version.

    Pages to read, such as the quick reference, are copied each time: nobody writes in them.
    """
    labs = find_labs(root, room="notebooks")
    if not labs:
        raise WorkspaceError(f"{root / 'notebooks'} holds no notebooks: is this the folder of the course?")
    lines = []
    (root / "work").mkdir(exist_ok=True)
    for page in (root / "notebooks").glob("*.md"):
        shutil.copyfile(page, root / "work" / page.name)
    for lab in labs:
        if not lab.copy.exists():
            shutil.copyfile(lab.learner, lab.copy)
            lines.append(f"work/{lab.copy.name}: new")
            continue
        mine, current = (_made_from(path) for path in (lab.copy, lab.learner))
        if mine != current:
            versions = f"{mine.get('version', 'unknown')}, now {current['version']}"
            lines.append(
                f"work/{lab.copy.name}: of another version of the lab ({versions}); it stays as it is. "
                "For the new one, rename yours and start again."
            )
    return lines


def _made_from(path: Path) -> dict:
    """The course version and the hash of the cells in a notebook; empty when it cannot be read."""
    try:
        return read_notebook(path)["metadata"].get("course", {})
    except (WorkspaceError, KeyError):
        return {}


def open_lab(root: Path, arguments: tuple[str, ...]) -> int:
    """Start JupyterLab in work/ in place of this process; arguments are handed on to it."""
    command = [sys.executable, "-m", "jupyterlab", str(root / "work"), *arguments]
    if os.name == "nt":  # there, exec gives the terminal back while JupyterLab runs on
        return subprocess.call(command)
    os.execv(sys.executable, command)


def reset_exercise(root: Path, wanted: str) -> list[str]:
    """Put an exercise back as it was, "1.5" also its parts 1.5a and 1.5b; a backup of the notebook is kept.

    Returns one line for each. Raises WorkspaceError for an unknown exercise or a copy that cannot be read.
    """
    given = {lab: read_notebook(lab.learner)["cells"] for lab in find_labs(root, room="notebooks")}
    known = [(lab, exercise_of(cell)) for lab, cells in given.items() for cell in cells if exercise_of(cell)]
    chosen = [(lab, id) for lab, id in known if re.fullmatch(rf"{re.escape(wanted)}[a-z]?", id)]
    if not chosen:
        ids = ", ".join(id for _, id in known)
        raise WorkspaceError(f"exercise {wanted!r}: must be one of {ids or '(there are no notebooks)'}")
    lab = chosen[0][0]
    if not lab.copy.exists():
        raise WorkspaceError(f"work/{lab.copy.name} does not exist yet: `course lab` makes it")
    notebook = read_notebook(lab.copy)
    lines = [_put_back(notebook["cells"], given[lab], id) for _, id in chosen]
    backup = _backup(lab.copy)
    write_atomically(lab.copy, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    lines.append(f"Your notebook as it was: {backup.relative_to(root)}")
    lines.append("If it is open in JupyterLab: File > Reload Notebook from Disk.")
    return lines


def read_notebook(path: Path) -> dict:
    """A notebook as plain JSON, so that what is not touched stays as it is."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        sound = all(isinstance(cell["metadata"], dict) and "source" in cell for cell in notebook["cells"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not sound:
        raise _damaged(path, "a cell is not a cell")
    return notebook


def _damaged(path: Path, reason: str) -> WorkspaceError:
    return WorkspaceError(
        f"{path.parent.name}/{path.name} is damaged ({reason}). "
        "Rename it, and `course lab` gives you a fresh copy; earlier versions may be in work/backups."
    )


def _backup(path: Path) -> Path:
    folder = path.parent / "backups"
    folder.mkdir(exist_ok=True)
    backup = folder / f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S-%f}.ipynb"
    shutil.copyfile(path, backup)
    return backup


def _put_back(cells: list, given: list, id: str) -> str:
    """Replace the exercise's cell among the learner's cells; when it is gone, insert it before its check.

    Further copies of the cell, which would define the learner's object again, are taken out.
    """
    fresh = copy.deepcopy(next(cell for cell in given if exercise_of(cell) == id))
    found, *copies = find_exercise(cells, fresh) or [None]
    if found is not None:
        if "id" in cells[found]:
            fresh["id"] = cells[found]["id"]
        cells[found] = fresh
        for place in reversed(copies):
            del cells[place]
        also = f" {len(copies)} more with the same exercise taken out." if copies else ""
        return f"Exercise {id} is as it was at the start.{also}"
    if fresh["id"] in {cell.get("id") for cell in cells}:
        fresh["id"] = uuid.uuid4().hex[:8]
    check = next(cell for cell in given if check_of(cell) == id)
    place = next((index for index, cell in enumerate(cells) if _is_check(cell, check)), None)
    if place is None:
        cells.extend([fresh, copy.deepcopy(check)])
        return f"Exercise {id} and its check were gone: both are now at the end of the notebook."
    cells.insert(place, fresh)
    return f"Exercise {id} was gone: it is now before its check."


def find_exercise(cells: list, given: dict) -> list[int]:
    """Where the learner's cells of an exercise are: by their metadata, which copies keep; else the first cell
    that defines the name; empty when there is neither.
    """
    by_metadata = [index for index, cell in enumerate(cells) if exercise_of(cell) == exercise_of(given)]
    name = DEFINITION.search("".join(given["source"])).group(1)
    by_name = (
        index
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code"
        and not exercise_of(cell)
        and name in DEFINITION.findall("".join(cell["source"]))
    )
    return by_metadata or list(by_name)[:1]


def _is_check(cell: dict, check: dict) -> bool:
    return check_of(cell) == check_of(check) or first_line("".join(cell["source"])) == "".join(
        check["source"]
    )
