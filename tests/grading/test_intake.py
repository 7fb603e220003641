"""Submissions as platforms hand them out, and files in every state."""

import io
import json
import os
import zipfile

import pytest
from classroom import LABS, NAMES, notebook, put, put_zip

from course_utils.authoring.grading import intake
from course_utils.authoring.grading.notebook import read_notebook


def as_bytes(made):
    return json.dumps(made).encode()


def found(folder):
    return {(s.student, s.lab): s for s in intake.find_submissions(folder)}


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("amy/{lab}.ipynb", "amy"),
        ("amy/deeper/still/homework.ipynb", "amy"),
        ("amy_{lab}.ipynb", "amy"),
        ("amy b. c_{lab} (1).ipynb", "amy b. c"),
        ("amy_lab1_final.ipynb", "amy"),
        ("amybee_4711_90210_{lab}.ipynb", "amybee_4711"),
        ("amybee_4711_90210_{lab}-2.ipynb", "amybee_4711"),
        ("amybee_4711_90210_anything.ipynb", "amybee_4711"),
        ("Amy Bee_4711_assignsubmission_file_/{lab}.ipynb", "Amy Bee_4711"),
        ("Amy Bee_4711_assignsubmission_file_{lab}.ipynb", "Amy Bee_4711"),
        ("émilie/{lab}.IPYNB", "émilie"),
    ],
)
def test_the_student_is_told_by_the_name(tmp_path, path, student):
    put(tmp_path, path.format(lab=NAMES["01"]), notebook("01", solved=False))
    put(tmp_path, f"other/{NAMES['01']}.ipynb", notebook("01", solved=False))
    assert set(found(tmp_path)) == {(student, "01"), ("other", "01")}


def test_a_late_canvas_file_is_flagged(tmp_path):
    put(tmp_path, f"amybee_LATE_4711_90210_{NAMES['01']}.ipynb", notebook("01"))
    assert found(tmp_path)["amybee_4711", "01"].flags == ["late"]


@pytest.mark.parametrize("number", LABS)
@pytest.mark.parametrize("stripped", [False, True])
def test_the_lab_is_told_by_content(tmp_path, number, stripped):
    made = notebook(number)
    if stripped:  # only the code is left
        made["metadata"] = {}
        made["cells"] = [cell | {"metadata": {}} for cell in made["cells"]]
    put(tmp_path, "amy/homework.ipynb", made)
    assert set(found(tmp_path)) == {("amy", number)}


def test_content_is_believed_more_than_a_name_that_contradicts_it(tmp_path):
    put(tmp_path, f"amy/{NAMES['02']}.ipynb", notebook("01"))
    assert set(found(tmp_path)) == {("amy", "01")}


def test_of_several_files_the_latest_counts_and_the_others_are_named(tmp_path):
    put(tmp_path, f"amybee_1_2_{NAMES['01']}.ipynb", notebook("01"))
    put(tmp_path, f"amybee_1_2_{NAMES['01']}-1.ipynb", notebook("01"))
    chosen = found(tmp_path)["amybee_1", "01"]
    assert chosen.file.endswith("-1.ipynb")
    assert chosen.flags == [f"several files; not read: amybee_1_2_{NAMES['01']}.ipynb"]


def test_checkpoints_and_what_macs_leave_are_no_submissions(tmp_path):
    put(tmp_path, "amy/01.ipynb", notebook("01"))
    put(tmp_path, "amy/.ipynb_checkpoints/01-checkpoint.ipynb", notebook("01"))
    put_zip(tmp_path / "ben.zip", {"__MACOSX/01.ipynb": b"x", "01.ipynb": notebook("01")})
    assert set(found(tmp_path)) == {("amy", "01"), ("ben", "01")}


def test_archives_of_one_student_and_of_a_class(tmp_path):
    lab = f"{NAMES['01']}.ipynb"
    put_zip(tmp_path / "amy.zip", {f"home/amy/{lab}": notebook("01")})
    put_zip(tmp_path / "all.zip", {f"ben_1_2_{lab}": notebook("01"), f"cid_3_4_{lab}": notebook("01")})
    put_zip(tmp_path / "folders.zip", {f"dora/{lab}": notebook("01"), f"../../eve/{lab}": notebook("01")})
    students = {student for student, _ in found(tmp_path)}
    assert students == {"amy", "ben_1", "cid_3", "dora", "eve"}
    assert not (tmp_path.parent / "eve").exists()


def test_a_folder_around_the_students_is_looked_through(tmp_path):
    put(tmp_path, "hw1/amy/01.ipynb", notebook("01"))
    put(tmp_path, "hw1/ben/01.ipynb", notebook("01"))
    assert set(found(tmp_path)) == {("amy", "01"), ("ben", "01")}


def test_what_is_no_plain_file_is_not_read(tmp_path):
    secret = put(tmp_path / "elsewhere", "x.ipynb", notebook("01"))
    (tmp_path / "all" / "amy").mkdir(parents=True)
    (tmp_path / "all" / "amy" / "lab1.ipynb").symlink_to(secret)
    (tmp_path / "all" / "ben").mkdir()
    os.mkfifo(tmp_path / "all" / "ben" / "lab1.ipynb")
    submissions = found(tmp_path / "all")
    assert all(not s.cells for s in submissions.values())
    assert "a link" in submissions["amy", "01"].flags[0]
    assert "no plain file" in submissions["ben", "01"].flags[0]


def test_damaged_archives_are_reported(tmp_path):
    (tmp_path / "amy.zip").write_bytes(b"PK\3\4 and then nothing")
    put_zip(tmp_path / "ben.zip", {"readme.txt": b"sorry"})
    put_zip(tmp_path / "cid.zip", {"01.ipynb": notebook("01")})
    data = bytearray((tmp_path / "cid.zip").read_bytes())
    data[60:400] = bytes(340)
    (tmp_path / "cid.zip").write_bytes(data)
    flags = {s.student: s.flags for s in intake.find_submissions(tmp_path)}
    assert "cannot be read" in flags["amy"][0]
    assert "no notebook" in flags["ben"][0]
    assert "damaged" in flags["cid"][0]


def test_another_version_of_the_course_is_flagged(tmp_path):
    made = notebook("01")
    made["metadata"]["course"]["version"] = "0.0.7"
    put(tmp_path, "amy/01.ipynb", made)
    assert "made from version 0.0.7" in found(tmp_path)["amy", "01"].flags[0]


# ---- the file itself ----


def sources(data):
    return [cell["source"] for cell in read_notebook(data).cells]


SOURCES = [cell["source"] for cell in notebook("01")["cells"]]


def test_outputs_are_dropped_however_large_they_are():
    made = notebook("01")
    made["cells"][3]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 200_000_000}]
    assert sources(as_bytes(made)) == SOURCES


def test_an_old_format_is_read():
    cells = [
        {"cell_type": "markdown", "source": ["a", "b"]},
        {"cell_type": "code", "input": ["x = 1\n", "y"], "outputs": []},
    ]
    read = read_notebook(as_bytes({"nbformat": 3, "worksheets": [{"cells": cells}], "metadata": {}}))
    assert [(cell["type"], cell["source"]) for cell in read.cells] == [("text", "ab"), ("code", "x = 1\ny")]
    assert "old format" in read.problems[0]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_of_a_file_that_was_cut_off_the_whole_cells_are_read(share):
    data = as_bytes(notebook("01"))
    read = sources(data[: int(share * len(data))])
    assert 0 < len(read) < len(SOURCES)
    assert read == SOURCES[: len(read)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_unicode_is_read(encoding):
    text = json.dumps(notebook("01"), ensure_ascii=False)
    assert sources(text.encode(encoding)) == SOURCES


def test_what_is_not_utf8_is_read_and_reported():
    read = read_notebook(
        json.dumps({"cells": [{"cell_type": "code", "source": "# ü"}]}, ensure_ascii=False).encode("latin-1")
    )
    assert read.cells[0]["source"] == "# ü"
    assert read.problems == ["the text is not UTF-8"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   \n",
        b"null",
        b"[1, 2]",
        b'"cells"',
        b"[" * 200_000,
        b'{"cells": ' + b"[" * 200_000,
        b'{"cells": [1, null, "x", [], {}, {"source": 5}, {"source": {"a": 1}}]}',
        b'{"cells": {"a": 1}, "worksheets": 3, "metadata": []}',
        b'{"cells": [{"cell_type": "code", "source": "x", "metadata": {"course": {"exercise": ["1.1"]}}}]}',
        b"<html><body>Please log in</body></html>",
        bytes(range(256)) * 50,
    ],
)
def test_nothing_in_a_file_ends_the_grader(data):
    read = read_notebook(data)
    assert all(isinstance(cell["source"], str) and cell["exercise"] is None for cell in read.cells)
    assert len("".join(cell["source"] for cell in read.cells)) <= 1


def test_an_archive_that_unpacks_to_too_much_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MOST_BYTES", 10_000)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("01.ipynb", b" " * 1_000_000)
    (tmp_path / "amy.zip").write_bytes(data.getvalue())
    (submission,) = intake.find_submissions(tmp_path)
    assert submission.cells == []
    assert "more than" in submission.flags[0]
