"""Read a notebook file that may be damaged: cells as {"type", "source", "exercise"}, without outputs."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field

MOST_BYTES = 1000 * 2**20
MOST_CELLS = 5000
_DROPPED = {"outputs", "attachments", "output"}  # gone as soon as they are read: they may be large
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass
class Read:
    """What could be read. problems: in words for the instructor; stamp: the lab's name, and version, as the
    course wrote them into the notebook, or ""."""

    cells: list[dict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    stamp: str = ""
    version: str = ""


def read_notebook(data: bytes) -> Read:
    """Never raises: what is not a notebook has no cells and a problem."""
    read = Read()
    if not data.strip():
        read.problems.append("the file is empty")
        return read
    text = _decode(data, read.problems)
    try:
        notebook = json.loads(text, object_pairs_hook=_without_outputs)
    except (ValueError, RecursionError, MemoryError):
        notebook = _of_what_is_left(text)
        found = len(notebook["cells"])
        read.problems.append(f"the file is damaged (no valid JSON); {found or 'no'} cells could be read")
    if isinstance(notebook, dict):
        read.cells = [cell for cell in map(_cell, _raw_cells(notebook)) if cell][:MOST_CELLS]
        _read_stamp(notebook, read)
        if notebook.get("nbformat") in (1, 2, 3):
            read.problems.append(f"an old format of notebooks ({notebook['nbformat']})")
    if not read.cells and not read.problems:
        read.problems.append("there is no cell in the file")
    return read


def _decode(data: bytes, problems: list[str]) -> str:
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        problems.append("the text is not UTF-8")
        return data.decode("cp1252", errors="replace")


def _without_outputs(pairs: list[tuple]) -> dict:
    return {key: value for key, value in pairs if key not in _DROPPED}


def _of_what_is_left(text: str) -> dict:
    """The whole cells of a file that was cut off, or is no JSON from some place on."""
    start = re.search(r'"cells"\s*:\s*\[', text)
    decoder, cells = json.JSONDecoder(object_pairs_hook=_without_outputs), []
    place = start.end() if start else len(text)
    while found := re.compile(r"[\s,]*(?=\{)").match(text, place):
        try:
            cell, place = decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError, MemoryError):
            break
        cells.append(cell)
    return {"cells": cells}


def _raw_cells(notebook: dict) -> list:
    """Those of format 4, or of the worksheets of older ones."""
    sheets = notebook.get("worksheets")
    sheets = sheets if isinstance(sheets, list) else []
    lists = [notebook.get("cells"), *(sheet.get("cells") for sheet in sheets if isinstance(sheet, dict))]
    return [cell for cells in lists if isinstance(cells, list) for cell in cells]


def _cell(raw: object) -> dict | None:
    if not isinstance(raw, dict):
        return None
    source = raw.get("source", raw.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return None
    course = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    course = course.get("course") if isinstance(course.get("course"), dict) else {}
    exercise = course.get("exercise")
    kind = "code" if raw.get("cell_type") == "code" else "text"
    source = source.encode("utf-8", "replace").decode("utf-8")  # half a character breaks what comes later
    return {"type": kind, "source": source, "exercise": exercise if isinstance(exercise, str) else None}


def _read_stamp(notebook: dict, read: Read) -> None:
    metadata = notebook.get("metadata")
    stamp = metadata.get("course") if isinstance(metadata, dict) else None
    if isinstance(stamp, dict):
        read.stamp, read.version = (str(stamp.get(key, ""))[:80] for key in ("lab", "version"))
