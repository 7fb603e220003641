"""Grade one submission: plain data in, plain data out, so that it can run in another process or on another
machine.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from typing import Any

from course_utils import exercises
from course_utils.authoring.grading import errors
from course_utils.authoring.grading.inside import wire
from course_utils.authoring.grading.kit import kit_of
from course_utils.authoring.grading.package import call_program, package_at
from course_utils.authoring.grading.sandbox import Died, Sandbox
from course_utils.authoring.grading.score import judge_safely, points
from course_utils.exercises.calling import Case
from course_utils.exercises.declare import Exercise
from course_utils.exercises.observe import Outcome
from course_utils.exercises.plain import Plain

SECONDS = 20.0  # for all cases of an exercise: four times what the check in the lab gives
RECOVER_SECONDS = 30.0
ERRORS = ("error", "at", "error_before", "at_before")  # of a record


def cases_of(exercise: Exercise, seed: str) -> list[Case]:
    """The cases of an exercise for a seed (any text), the same for the whole class."""
    digest = hashlib.sha256(f"{seed}/{exercise.id}".encode()).digest()
    return exercise.draw(int.from_bytes(digest[:8], "big"))


def grade_cells(
    cells: list[dict], number: str, seed: str, sandbox: str, seconds: float = SECONDS
) -> dict[str, Any]:
    """{exercise id: its record} for the cells of a notebook of lab `number`; see `_record`."""
    lab = exercises.of_lab(number)
    if not cells:
        return {
            exercise.id: _missing(exercise, "the notebook has no cells that could be read")
            for exercise in lab
        }
    with Sandbox(sandbox) as box:
        found = _recover(box, cells, number)
        return {e.id: _grade(box, cells, e, found.get(e.id), cases_of(e, seed), seconds) for e in lab}


def _recover(box: Sandbox, cells: list[dict], number: str) -> dict[str, dict]:
    """What inside/recover.py finds; {} when the notebook's source ends even the parser."""
    task = {"kind": "recover", "cells": cells, "lab": kit_of(number), "seconds": RECOVER_SECONDS}
    try:
        head, output = box.do(task)
        return json.loads(output) if head["end"] == "exit" else {}
    except Died:
        return {}


def _grade(
    box: Sandbox, cells: list[dict], exercise: Exercise, found: dict | None, cases: list[Case], seconds: float
) -> dict:
    """The record of the best version of the object; later ones are tried while something is wrong."""
    if found is None:
        return _missing(exercise, "the notebook's code could not be read at all")
    versions = found["versions"]
    if not versions and errors.imported(cells, exercise.name):
        return _missing(exercise, "own") | {"status": "refused", "flags": ["is the package's own"]}
    if not versions:
        lost = found["problem"]
        return _missing(exercise, f"its cell is no Python ({lost})" if lost else "it is not in the notebook")
    best, winner = None, 0
    for n, version, program in [(n, v, p) for n, v in enumerate(versions) for p in v["programs"]]:
        record = _run(box, cells, exercise, version, program, cases, seconds)
        if best is None or record["points"] > best["points"]:
            best, winner = record, n
        if best["points"] == exercise.points:
            break
    if winner:
        best["flags"].append(f"{len(versions)} versions of it, the best counts")
    return best


def _run(
    box: Sandbox,
    cells: list[dict],
    exercise: Exercise,
    version: dict,
    program: list,
    cases: list[Case],
    seconds: float,
) -> dict:
    task = {
        "kind": "observe",
        "course": box.show(package_at(exercise.id)),
        "subject": {n: getattr(exercise, n) for n in ("id", "name", "params", "method")},
        "call": call_program(exercise.id),
        "name": version["name"],
        "program": program,
        "cases": pickle.dumps([case.args for case in cases]),
        "seconds": seconds,
    }
    flags, end, took = [], "killed", 0.0
    outcomes: list[Outcome] = []
    try:
        head, output = box.do(task)
        end, took = head["end"], head["seconds"]
        outcomes = wire.decode(output, len(cases), Outcome, Plain)
    except Died:
        flags.append("ended its sandbox")
    except wire.Forged:
        end, outcomes = "forged", []
        flags.append("sent something that the grader's own code never sends")
    if end == "time":
        outcomes.append(Outcome("time-out"))
    elif end in ("memory", "processes", "output"):
        flags.append(
            {"memory": "too much memory", "processes": "too many processes", "output": "too much output"}[end]
        )
    result = judge_safely(exercise, cases, outcomes, seconds)
    ends = {outcome.status for outcome in outcomes}
    crashed = len(outcomes) < len(cases) and not ends & {"time-out", "not written", "refused"}
    status = (
        "time-out" if "time-out" in ends else "crashed" if crashed and not result.passed else result.status
    )
    record = _record(
        exercise, version, result, status, points(exercise, cases, result.passed_cases), cases, flags, took
    )
    if errors.is_text(cells, version["where"]):
        flags.append(f"was found in a cell of text ({version['where']})")
    if not result.passed:
        _explain(record, cells, outcomes, result.passed_cases)
    return record


def _record(exercise, version, result, status, earned, cases, flags, took) -> dict:
    """What a report needs: nothing of the cases but how many were right, and nothing that the learner's code
    said.

    status: "ok", "wrong", "not written", "refused", "time-out", "crashed" or "missing". note: why it is
    missing, in words; or of what is refused "own" or "calls" (the package's), "undefined" or "signature".
    error, at: the type and the place of what was raised; error_before, at_before: of the first statement that
    could not be run.
    """
    groups = {"core": [], "edge": []}
    for case, ok in zip(cases, result.passed_cases, strict=True):
        groups["edge" if case.edge else "core"].append(ok)
    return {
        "points": earned,
        "of": exercise.points,
        "status": status,
        "misconception": result.misconception,
        "hint": result.hint,
        "core": [sum(groups["core"]), len(groups["core"])],
        "edge": [sum(groups["edge"]), len(groups["edge"])],
        "where": version["where"],
        "name": version["name"],
        "tree": version["tree"],
        "nodes": version["nodes"],
        "seconds": took,
        "flags": flags,
        "note": "",
        **dict.fromkeys(ERRORS, ""),
    }


def _explain(record: dict, cells: list[dict], outcomes: list[Outcome], passed: tuple[bool, ...]) -> None:
    """Add why the object could not be called, or what was raised in the first case that is not right; and
    the first of its statements that could not be run.
    """
    index = passed.index(False)
    outcome = outcomes[index] if index < len(outcomes) else Outcome("crashed")
    said, before = errors.Said(), errors.not_run(cells, outcome.printed)
    if outcome.status == "refused":
        notes = {wire.NOT_DEFINED: "undefined", wire.PACKAGES_OWN: "own"}
        record["note"] = notes.get(outcome.text, "signature")
    elif outcome.status == "raised":
        said = errors.raised(cells, outcome.error, outcome.line, outcome.text)
        if outcome.error == "NotImplementedError" and outcome.text == errors.STUB:
            record |= {"status": "refused", "note": "calls"}
    record |= {"error": said.error, "at": said.at, "error_before": before.error, "at_before": before.at}
    if record["note"] in ("own", "calls"):
        verb = "is" if record["note"] == "own" else "calls"
        record["flags"].append(f"{verb} the package's own")
    elif "ModuleNotFoundError" in (said.error, before.error):
        module = said.module or before.module
        record["flags"].append(f"needs a module that is not installed{f': {module}' if module else ''}")
    elif before.error:
        record["flags"].append(f"needs {before.at or 'a line'}, which could not be run ({before.error})")


def _missing(exercise: Exercise, why: str) -> dict:
    keys = ("misconception", "hint", "where", "name", "tree", *ERRORS)
    return dict.fromkeys(keys, "") | {
        "points": 0.0,
        "of": exercise.points,
        "status": "missing",
        "core": [0, 0],
        "edge": [0, 0],
        "nodes": 0,
        "seconds": 0.0,
        "flags": [],
        "note": why,
    }
