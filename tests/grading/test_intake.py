"""Submissions as platforms hand them out, and files in every state."""

import io
import json
import os
import unicodedata
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


def packed(files):
    """{path: bytes} as a zip archive, in bytes; whatever lies below an x.zip of a path, as one of its own."""
    data, inner = io.BytesIO(), {}
    with zipfile.ZipFile(data, "w") as archive:
        for path, made in files.items():
            outer, dot_zip, rest = path.partition(".zip/")
            if dot_zip:
                inner.setdefault(f"{outer}.zip", {})[rest] = made
            else:
                archive.writestr(path, made)
        for path, members in inner.items():
            archive.writestr(path, packed(members))
    return data.getvalue()


L1, L4 = f"{NAMES['01']}.ipynb", f"{NAMES['04']}.ipynb"
A, B = "Amy B_1_assignsubmission_file", "Ben C_2_assignsubmission_file"
PLAIN, CANVAS, MOODLE = ("amy", "ben"), ("amy_1", "ben_2"), ("Amy B_1", "Ben C_2")


@pytest.mark.parametrize(
    ("paths", "students"),
    [
        ([f"lab1/amy/{L1}", f"lab1/ben/{L1}", f"lab4/amy/{L4}", f"lab4/ben/{L4}"], PLAIN),
        ([f"amy/lab 1/{L1}", f"amy/lab 4/{L4}", f"ben/{L1}", f"ben/{L4}"], PLAIN),
        ([f"a/amy_1_2_{L1}", f"a/ben_2_3_{L1}", f"b/amy_1_8_{L4}", f"b/ben_2_9_{L4}"], CANVAS),
        ([f"X-Lab 1-11/{A}/{L1}", f"X-Lab 1-11/{B}/{L1}", f"X-12/{A}/{L4}", f"X-12/{B}/{L4}"], MOODLE),
        ([f"all.zip/spring/amy/{L1}", f"all.zip/spring/ben/{L1}", f"amy_{L4}", f"ben_{L4}"], PLAIN),
        ([f"submissions.zip/amy/{L1}", f"submissions.zip/amy/{L4}", f"ben/{L1}", f"ben/x/{L4}"], PLAIN),
        ([f"amy.zip/work/{L1}", f"amy.zip/old/{L4}", f"ben.zip/me/{L1}", f"ben.zip/me/{L4}"], PLAIN),
        ([f"x.zip/{A}/1.zip/{L1}", f"x.zip/{A}/{L4}", f"x.zip/{B}/a.zip/b/{L1}", f"x.zip/{B}/{L4}"], MOODLE),
        ([f"{A}/a.zip/b/{L1}", f"{A}/a.zip/c/{L4}", f"{B}/{L1}", f"{B}/{L4}"], MOODLE),
        (
            [f"amy_1_2_a.zip/b/{L1}", f"amy_1_2_a.zip/c/{L4}", f"ben_2_3_{L1}", f"ben_2_4_{L4}.txt"],
            CANVAS,
        ),
    ],
)
def test_layouts_of_two_students_and_two_labs(tmp_path, paths, students):
    files = {path: as_bytes(notebook("01" if L1 in path else "04", solved=False)) for path in paths}
    with zipfile.ZipFile(io.BytesIO(packed(files))) as archive:
        archive.extractall(tmp_path)
    assert set(found(tmp_path)) == {(student, number) for student in students for number in ("01", "04")}


@pytest.mark.parametrize(
    ("archive", "student"),
    [("amy_1_2_mine.zip", "amy_1"), (f"{A}/mine.zip", "Amy B_1"), ("amy/mine.zip", "amy")],
)
def test_nobody_hands_in_for_another(tmp_path, archive, student):
    forged = packed({f"ben_2_999_{L1[:-6]}-9.ipynb": b"{}", f"{B}/{L1}": b"{}", f"ben/{L1}": b"{}"})
    put(tmp_path, archive, forged)
    for path in (f"ben_2_3_{L1}", f"ben/{L1}"):
        put(tmp_path, path, notebook("01", solved=False))
    submissions = intake.find_submissions(tmp_path)
    assert {s.student for s in submissions} == {student, "ben_2", "ben"}
    assert all(s.cells and not s.flags for s in submissions if s.student.startswith("ben"))


def test_names_of_macs_and_of_others_are_the_same(tmp_path):
    put(tmp_path, f"{unicodedata.normalize('NFD', 'Zoë')}/{L1}", notebook("01", solved=False))
    put(tmp_path, f"{unicodedata.normalize('NFC', 'Zoë')}/{L4}", notebook("04", solved=False))
    assert set(found(tmp_path)) == {("Zoë", "01"), ("Zoë", "04")}


def test_a_later_file_counts_more_than_the_number_of_a_copy(tmp_path):
    copy = put(tmp_path, f"amy/{NAMES['01']} (2).ipynb", notebook("01", solved=False))
    put(tmp_path, f"amy/{L1}", notebook("01", solved=False))
    os.utime(copy, (1e9, 1e9))
    assert found(tmp_path)["amy", "01"].file == f"amy/{L1}"


def test_a_folder_of_many_that_is_taken_for_one_student_is_asked_about(tmp_path):
    for student in ("amy", "ben", "cid"):
        put(tmp_path, f"spring/{student}/{L1}", notebook("01", solved=False))
    put(tmp_path, f"dora/{L1}", notebook("01", solved=False))
    assert "3 folders: is spring one student?" in found(tmp_path)["spring", "01"].flags[0]


def test_students_without_a_notebook_are_not_forgotten(tmp_path):
    script = "\n".join(cell["source"] for cell in notebook("01")["cells"] if cell["cell_type"] == "code")
    put(tmp_path, "amy_1_2_lab1.pdf", b"%PDF")
    put(tmp_path, "ben/answers.rar", b"Rar!")
    put(tmp_path, "cid_LATE_3_4_lab1.py", script.encode())
    put(tmp_path, "readme.txt", b"of the instructor")
    put(tmp_path, f"dora/{L1}", notebook("01", solved=False))
    put(tmp_path, "dora/notes.txt", b"")
    submissions = found(tmp_path)
    assert set(submissions) == {("amy_1", "01"), ("ben", ""), ("cid_3", "01"), ("dora", "01")}
    assert submissions["amy_1", "01"].flags == ["no notebook; not read: amy_1_2_lab1.pdf"]
    assert submissions["cid_3", "01"].flags == ["late", "a script, no notebook"]
    assert "def rmse" in submissions["cid_3", "01"].cells[0]["source"]
    assert submissions["dora", "01"].flags == []


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
