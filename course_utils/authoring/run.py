"""Executes the solutions and gathers the claims they make."""

import ast
import hashlib
import json
import sys
import time
from pathlib import Path

import click
import nbformat
from rich.console import Console
from rich.table import Table

from course_utils import claims, runtime
from course_utils.authoring import build, execute
from course_utils.authoring.labs import Lab, describe_cell, find_labs, write_atomically


def run_labs(labs: list[Lab], parameters: dict, resume: bool = False) -> int:
    """Run each lab in a kernel of its own and print every claim; the exit code is 1 when anything failed.

    Writes build/<lab>.ipynb, build/<lab>.html and, after each lab, build/results.json. `resume` skips the
    labs that finished well and whose source, package, parameters and FAST switch are unchanged. Raises
    click.UsageError for a parameter that a lab does not have.
    """
    root = labs[0].root
    notebooks = {lab: _notebook(lab) for lab in labs}
    for lab, notebook in notebooks.items():
        if isinstance(notebook, nbformat.NotebookNode):
            _refuse_unknown(lab, notebook, parameters)
    results = _finished(root, parameters) if resume else {}
    _write_results(root, results)
    problems = []
    for lab, notebook in notebooks.items():
        if lab.name in results:
            click.echo(f"{lab.name}: finished before and unchanged, skipped")
            continue
        results[lab.name], found = _run_lab(lab, notebook, parameters)
        problems += found
        _write_results(root, results)
    _print_claims(root, [lab for lab in labs if lab.name in results])
    for problem in problems:
        click.echo(problem)
    return int(bool(problems))


def _write_results(root: Path, results: dict) -> None:
    write_atomically(root / "build" / "results.json", json.dumps({"labs": results}, indent=1) + "\n")


def parse_value(text: str):
    """A parameter from the command line: a Python literal, true or false, else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _notebook(lab: Lab):
    """The solution to run, or the error that its source gives: it fails this lab only."""
    try:
        return build.solution_notebook(lab, *build.read_source(lab))
    except build.BuildError as error:
        return error


def _refuse_unknown(lab: Lab, notebook, parameters: dict) -> None:
    from papermill import inspect_notebook

    if parameters:
        known = inspect_notebook(notebook)
        for name in parameters:
            if name not in known:
                raise click.UsageError(f"parameter {name!r}: {lab.name} has {', '.join(known) or 'none'}")


def _run_lab(lab: Lab, notebook, parameters: dict) -> tuple[dict, list[str]]:
    """One lab's entry in results.json and what went wrong, one line each."""
    click.echo(f"{lab.name}: ", nl=False)
    begin, output = time.monotonic(), _output(lab)
    output.parent.mkdir(exist_ok=True)
    output.unlink(missing_ok=True)
    problems = []
    try:
        if isinstance(notebook, build.BuildError):
            raise notebook
        environment = {"COURSE_FAST": str(int(_fast(parameters))), "COURSE_STRICT": "0"}
        notebook.metadata["course"]["run"] = _fingerprint(lab, parameters)
        execute.execute(notebook, lab, environment, output, parameters)
    except (build.BuildError, execute.ExecutionError) as error:
        problems = [f"{lab.name}: {error}"]
    found = []
    if output.exists():
        executed = nbformat.read(output, as_version=4)
        found = execute.claims_in(executed)
        problems += _claim_problems(lab, executed.cells, found, complete=not problems)
        _write_html(executed, output.with_suffix(".html"))
    seconds = round(time.monotonic() - begin, 1)
    status = "failed" if problems else "ok"
    click.echo(f"{status} in {seconds:.0f} s, {len(found)} claims")
    keys = ("id", "value", "lo", "hi", "target", "ok")
    entry = {
        "status": status,
        "seconds": seconds,
        "claims": [{key: one[key] for key in keys} for one in found],
    }
    return entry, problems


def _claim_problems(lab: Lab, cells: list, found: list[dict], complete: bool) -> list[str]:
    """Claims that failed their gate, that belong to another lab, or, in a complete run, were never made."""
    problems = [
        f"{lab.name}: {describe_cell(cells, one['index'])}: "
        f"claim {one['id']} {one['value']:.4f}: {one['verdict']}"
        for one in found
        if one["ok"] is False
    ]
    made = {one["id"] for one in found}
    declared = {one.id for one in claims.load().values() if one.lab == lab.name}
    problems += [f"{lab.name}: claim {id} is declared for another lab" for id in sorted(made - declared)]
    if complete:
        problems += [f"{lab.name}: claim {id} is declared but was not made" for id in sorted(declared - made)]
    return problems


def _write_html(notebook, path: Path) -> None:
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter().from_notebook_node(notebook)
    write_atomically(path, text)


def _output(lab: Lab) -> Path:
    return lab.root / "build" / f"{lab.name}.ipynb"


def _fast(parameters: dict) -> bool:
    """FAST given as a parameter counts for the claims too, which read the switch."""
    return bool(parameters.get("FAST", runtime.is_fast()))


def _fingerprint(lab: Lab, parameters: dict) -> str:
    """A hash of what decides a lab's result: its source, the package, the parameters and the FAST switch."""
    digest = hashlib.sha256(json.dumps([parameters, _fast(parameters)], sort_keys=True, default=str).encode())
    package = Path(claims.__file__).parent
    files = [path for path in sorted(package.rglob("*")) if path.suffix in (".py", ".toml")]
    for path in [lab.source, *files]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _finished(root: Path, parameters: dict) -> dict:
    """The entries of build/results.json that finished well and would come out the same again."""
    try:
        entries = json.loads((root / "build" / "results.json").read_text(encoding="utf-8"))["labs"]
    except FileNotFoundError:
        return {}
    return {
        lab.name: entries[lab.name]
        for lab in find_labs(root)
        if entries.get(lab.name, {}).get("status") == "ok"
        and _output(lab).exists()
        and _executed(lab).metadata["course"]["run"] == _fingerprint(lab, parameters)
    }


def _executed(lab: Lab):
    return nbformat.read(_output(lab), as_version=4)


def _print_claims(root: Path, labs: list[Lab]) -> None:
    """A table of every claim: figure, band, target, control, and whether the gate passed."""
    table = Table("claim", "figure", "band", "target", "control", "gate", title="Claims")
    for column in table.columns:
        column.overflow = "fold"
    for lab in labs:
        for one in execute.claims_in(_executed(lab)) if _output(lab).exists() else []:
            colour = {True: "green", False: "red", None: "yellow"}[one["ok"]]
            table.add_row(
                one["id"],
                f"{one['metric']} {one['value']:.4f}",
                f"{one['lo']:.4f}..{one['hi']:.4f}",
                one["target"],
                f"{one['control_value']:.4f} {one['control']}",
                f"[{colour}]{one['verdict']}[/]",
            )
    width = None if sys.stdout.isatty() else 140
    if table.row_count:
        Console(width=width).print(table)
