"""Runs a notebook in a kernel of its own, and reads the claims from its outputs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from course_utils.authoring.labs import Lab, describe_cell
from course_utils.claims import MIME_TYPE

CELL_SECONDS = 1800


class ExecutionError(Exception):
    """A cell failed, or the kernel died; the message names the cell."""


def execute(notebook, lab: Lab, environment: dict, output: Path, parameters: dict | None = None):
    """Run all cells of a notebook with papermill in the root of the course; return the executed notebook.

    environment is set for the kernel, beside COURSE_HEADLESS. `output` receives the executed notebook, also
    when a cell fails. A progress bar is shown on a terminal only. Raises ExecutionError.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    bar = {"desc": lab.name, "leave": False} if sys.stderr.isatty() else False
    nbformat.write(notebook, output)
    with _environment({"COURSE_HEADLESS": "1", **environment}):
        try:
            return papermill.execute_notebook(
                output, output, parameters or {}, kernel_name="python3", cwd=lab.root, progress_bar=bar,
                execution_timeout=CELL_SECONDS, extra_arguments=["--log-level=CRITICAL"],
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            reason = f"{error.ename}: {error.evalue}"
        except CellTimeoutError:
            reason = f"took longer than {CELL_SECONDS} s"
        except DeadKernelError:
            reason = "the kernel died"
    raise ExecutionError(f"{_where_stopped(output)}: {reason}")


def _where_stopped(output: Path) -> str:
    """Name the last cell that papermill began; the cells that it adds itself do not count."""
    cells = [
        cell
        for cell in nbformat.read(output, as_version=4).cells
        if not {"papermill-error-cell-tag", "injected-parameters"} & set(cell.metadata.get("tags", []))
    ]
    begun = [bool(cell.metadata.get("papermill", {}).get("start_time")) for cell in cells]
    if not any(begun):
        return "before the first cell"
    return describe_cell(cells, max(index for index, is_begun in enumerate(begun) if is_begun))


@contextmanager
def _environment(changes: dict) -> Iterator[None]:
    """Environment variables for the kernels started inside; papermill hands on the whole of os.environ."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def claims_in(notebook) -> list[dict]:
    """Every claim that an executed notebook shows, in order, each with the `index` of its cell."""
    return [
        dict(output.data[MIME_TYPE], index=index)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "display_data" and MIME_TYPE in output.data
    ]
