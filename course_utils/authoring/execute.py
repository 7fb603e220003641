"""Runs a notebook in a kernel of its own, and reads the claims from its outputs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course_utils.authoring.labs import Lab, describe_cell
from course_utils.claims import MIME_TYPE

CELL_SECONDS = 1800


class ExecutionError(Exception):
    """A cell failed, or the kernel died; the message names the cell."""


def execute(
    notebook, lab: Lab, environment: dict, parameters: dict | None = None, output: Path | None = None
):
    """Run all cells of a notebook with papermill in the root of the course; return the executed notebook.

    environment is set for the kernel, beside COURSE_HEADLESS. `output`, when given, receives the executed
    notebook even when a cell fails. A progress bar is shown on a terminal only. Raises ExecutionError.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    bar = {"desc": lab.name, "leave": False} if sys.stderr.isatty() else False
    with _environment({"COURSE_HEADLESS": "1", **environment}):
        try:
            return papermill.execute_notebook(
                notebook, output, parameters or {}, kernel_name="python3", cwd=lab.root, progress_bar=bar,
                execution_timeout=CELL_SECONDS, extra_arguments=["--log-level=CRITICAL"],
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            cells = [cell for cell in notebook.cells if cell.cell_type != "raw"]
            index = _index_of(cells, error.source)
            where = (
                describe_cell(cells, index)
                if index is not None
                else f"the cell of the parameters {parameters}"
            )
            raise ExecutionError(f"{where}: {error.ename}: {error.evalue}") from error
        except CellTimeoutError as error:
            raise ExecutionError(f"a cell ran longer than {CELL_SECONDS} s") from error
        except DeadKernelError as error:
            raise ExecutionError("the kernel died") from error


def _index_of(cells: list, source: str) -> int | None:
    """Which cell has this source; papermill counts with the cells that it injects, so look by content."""
    return next((index for index, cell in enumerate(cells) if cell.source == source), None)


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
