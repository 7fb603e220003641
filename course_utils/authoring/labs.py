"""Where a lab's files lie, and how a notebook file is written and its cells are found."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

DEFINITION = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)


class BuildError(ValueError):
    """The source of a lab breaks a rule, or a notebook does not fit it; the message names the file."""


@dataclass(frozen=True)
class Lab:
    """A lab by its name, as "01_collaborative_filtering", under the root of the course."""

    name: str
    root: Path

    @property
    def source(self) -> Path:
        """The one file that is edited."""
        return self.root / "solutions" / f"{self.name}.py"

    @property
    def solution(self) -> Path:
        """The executed solution, generated."""
        return self.root / "solutions" / f"{self.name}.ipynb"

    @property
    def learner(self) -> Path:
        """The learner's notebook, generated."""
        return self.root / "notebooks" / f"{self.name}.ipynb"

    @property
    def copy(self) -> Path:
        """The copy in which a learner works."""
        return self.root / "work" / f"{self.name}.ipynb"


def find_labs(root: Path, wanted: tuple[str, ...] = (), room: str = "solutions") -> list[Lab]:
    """The labs with a source in solutions/, or a notebook in the room "notebooks", that are wanted: all, or
    "1", "01" or the whole name.

    Raises ValueError for a lab that does not exist.
    """
    suffix = ".py" if room == "solutions" else ".ipynb"
    names = sorted(path.stem for path in (root / room).glob(f"[0-9][0-9]_*{suffix}"))
    if not wanted:
        return [Lab(name, root) for name in names]
    chosen = set()
    for word in wanted:
        matches = [name for name in names if word == name or word.zfill(2) == name[:2]]
        if not matches:
            raise ValueError(f"lab {word!r}: must be one of {', '.join(names) or '(no labs found)'}")
        chosen.update(matches)
    return [Lab(name, root) for name in sorted(chosen)]


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write the whole file or nothing: to a temporary file beside it, which then takes its name."""
    content = content if isinstance(content, bytes) else content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def first_line(source: str) -> str:
    """The first line of a cell that says something, to name the cell by."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")]
    return (code or lines or ["(empty cell)"])[0]


def describe_cell(cells: list, index: int) -> str:
    """Name a cell so that a reader finds it: its number, the heading above it and its first line."""
    heading = ""
    for cell in cells[: index + 1]:
        if cell["cell_type"] == "markdown":
            headings = re.findall(r"^#+ +(.+)$", "".join(cell["source"]), re.MULTILINE)
            heading = headings[-1] if headings else heading
    under = f' under "{heading}"' if heading else ""
    return f"cell {index + 1}{under} ({first_line(''.join(cells[index]['source']))})"


def exercise_of(cell: dict) -> str | None:
    """The exercise that this cell holds, or None."""
    return cell["metadata"].get("course", {}).get("exercise")


def exercise_sources(cells: list) -> dict[str, str]:
    """{exercise: the source of its cell} of a lab's cells."""
    return {exercise_of(cell): cell["source"] for cell in cells if exercise_of(cell)}


def check_of(cell: dict) -> str | None:
    """The exercise that this cell checks, or None."""
    return cell["metadata"].get("course", {}).get("check")
