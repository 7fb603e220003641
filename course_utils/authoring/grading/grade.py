"""Grade a class: find, compare with what was graded before, grade what is new or changed, report.

DIR holds grading.json (the seed), records/<student>/<lab>.json (what the reports are made of, and what it was
made from), feedback/, grades.csv and class.html; overrides.csv there is read. Records and feedback are
written as each submission is done, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from course_utils import runtime
from course_utils.authoring.grading import one, report
from course_utils.authoring.grading.intake import Submission, find_submissions
from course_utils.authoring.grading.kit import labs
from course_utils.authoring.grading.package import PACKAGE
from course_utils.authoring.grading.sandbox import SandboxError, choose
from course_utils.authoring.labs import write_atomically

WARNING = (
    "WARNING: without bubblewrap, submissions can read your files, the solutions among them, and change what "
    "you can change. Only the network is closed to them, and limits hold. Use it for those that you trust."
)


class GradingError(Exception):
    """The class cannot be graded; the message says why."""


def grade_class(
    submissions: Path,
    out: Path,
    *,
    seed: str | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    sandbox: str = "auto",
    seconds: float = one.SECONDS,
) -> list[str]:
    """Grade what is new or changed, and write all reports; lines that tell what was done. Raises
    GradingError.
    """
    try:
        kind = choose(sandbox)
    except SandboxError as error:
        raise GradingError(str(error)) from error
    if kind == "unshare":
        click.echo(WARNING, err=True)
    found = find_submissions(submissions)
    if not found:
        raise GradingError(f"{submissions} holds no notebook and no zip archive")
    settings = {"seed": _seed(out, seed), "sandbox": kind, "seconds": seconds, "course": course_hash()}
    records, tasks = {}, []
    for submission in found:
        fingerprint = _fingerprint(submission, settings)
        known = _read_record(_record_path(out, submission), fingerprint)
        if known:
            records[known["student"], known["lab"]] = _with_flags(known, submission)
        else:
            tasks.append({"submission": vars(submission), "fingerprint": fingerprint, "settings": settings})
    reused, failed = len(records), []
    for record in tqdm(_work(tasks, jobs, scheduler), total=len(tasks), unit="notebook", disable=None):
        if "error" in record:
            failed.append(f"{record['student']}, lab {record['lab']}: not graded: {record['error']}")
            continue
        records[record["student"], record["lab"]] = record
        _save(out, record)
    lines = report.write_reports(out, [records[key] for key in sorted(records)])
    done = f"{len(records) - reused} graded, {reused} unchanged since the last run"
    return [f"{done}; seed {settings['seed']}", *failed, *lines]


def _seed(out: Path, wanted: str | None) -> str:
    """The given seed, else that of the last run, else a new one; it is written down. Raises GradingError."""
    path = out / "grading.json"
    known = _known_seed(path, must=not wanted) if path.exists() else None
    seed = wanted or known or secrets.token_hex(16)
    if seed != known:
        write_atomically(path, json.dumps({"seed": seed}, indent=1) + "\n")
    return seed


def _known_seed(path: Path, must: bool) -> str | None:
    text = ""
    try:
        text = path.read_bytes().decode(errors="replace")
        seed = json.loads(text)["seed"]
        if seed and isinstance(seed, str):
            return seed
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        text = text or str(error)
    if not must:
        return None
    raise GradingError(
        f'{path}: got {text[:60]!r}, expected the seed of the last run, as {{"seed": "..."}}. Put the file '
        "back; or give a seed with --seed; or delete the file: then all is graded again, on other cases."
    )


@cache
def course_hash() -> str:
    """Of everything that scores depend on."""
    sources = [*PACKAGE.rglob("*.py"), *(runtime.course_root() / "solutions").glob("*.py")]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _fingerprint(submission: Submission, settings: dict) -> str:
    made_from = [submission.lab, submission.cells, settings]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def safe_name(name: str) -> str:
    """As a folder's or a file's name; names that had to be changed stay different from each other."""
    safe = re.sub(r"[^\w .@+-]", "_", name).strip(" .")[:80]
    if safe == name:
        return safe
    return f"{safe or 'student'}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def _record_path(out: Path, submission: Submission) -> Path:
    return out / "records" / safe_name(submission.student) / f"{lab_name(submission.lab)}.json"


def lab_name(number: str) -> str:
    """The name of a lab, for files; "unknown" for a notebook of none."""
    return labs().get(number, "unknown")


def _read_record(path: Path, fingerprint: str) -> dict | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record["fingerprint"] == fingerprint else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _with_flags(record: dict, submission: Submission) -> dict:
    return record | {"flags": submission.flags, "file": submission.file}


def _save(out: Path, record: dict) -> None:
    """The record last: when it is there, the feedback is."""
    student, lab = safe_name(record["student"]), lab_name(record["lab"])
    write_atomically(out / "feedback" / student / f"{lab}.html", report.feedback(record))
    write_atomically(out / "records" / student / f"{lab}.json", json.dumps(record, indent=1) + "\n")


def _work(tasks: list[dict], jobs: int, scheduler: str | None) -> Iterator[dict]:
    """The records, as they come."""
    if scheduler:
        yield from _on_cluster(tasks, scheduler)
    elif jobs == 1 or len(tasks) < 2:
        yield from map(grade_task, tasks)
    else:
        import joblib

        run = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        yield from run(joblib.delayed(grade_task)(task) for task in tasks)


def _on_cluster(tasks: list[dict], address: str) -> Iterator[dict]:
    try:
        from dask.distributed import Client, as_completed
    except ImportError as error:
        raise GradingError('--scheduler needs dask: pip install -e ".[grading]"') from error
    try:
        client = Client(address, timeout="30s")
    except (OSError, ValueError) as error:
        raise GradingError(f"no scheduler answers at {address}: {error}") from error
    with client:
        futures = client.map(grade_task, tasks, pure=False)
        for future in as_completed(futures):
            yield future.result()


def grade_task(task: dict[str, Any]) -> dict[str, Any]:
    """The record of a submission; one with an "error" when it could not be graded, which is no fault of its
    own.
    """
    submission, settings = task["submission"], task["settings"]
    record = {name: submission[name] for name in ("student", "lab", "file", "flags")}
    if settings["course"] != course_hash():
        return record | {"error": "this machine has another version of the course"}
    try:
        graded = {}
        if submission["lab"]:
            given = (settings[name] for name in ("seed", "sandbox", "seconds"))
            graded = one.grade_cells(submission["cells"], submission["lab"], *given)
    except Exception as error:  # the others are still to be graded
        return record | {"error": f"{type(error).__name__}: {error}"}
    return record | {"fingerprint": task["fingerprint"], "exercises": graded}
