import io
import json
import os
import time

import pytest
from click.testing import CliRunner
from rich.console import Console
from toy_lab import LAB, TOY, make_course

from course_utils.authoring import build, progress, workspace
from course_utils.authoring.labs import Lab, exercise_of
from course_utils.cli import main

RMSE = """def rmse(predictions, ratings):
    error = np.asarray(predictions) - np.asarray(ratings)
    return float(np.sqrt(np.mean(error**2)))
"""

STUBBORN = """def rmse(predictions, ratings):
    while True:
        try:
            1
        except:
            pass
"""
DENSE_IDS = """%time print("with a magic")
def dense_ids(raw_ids):
    ids, indices = np.unique(raw_ids, return_inverse=True)
    return indices, ids
"""


@pytest.fixture(scope="session")
def learner_notebook(tmp_path_factory):
    """The toy's learner notebook, as text."""
    lab = Lab(LAB, make_course(tmp_path_factory.mktemp("toy") / "course", **{LAB: TOY}))
    build.build_lab(lab, run=False)
    return lab.learner.read_text(encoding="utf-8")


@pytest.fixture
def lab(tmp_path, monkeypatch, learner_notebook):
    """The toy with its copy in work/; COURSE_ROOT names its folder."""
    lab = Lab(LAB, make_course(tmp_path / "course", **{LAB: TOY}))
    lab.learner.parent.mkdir()
    lab.learner.write_text(learner_notebook, encoding="utf-8")
    monkeypatch.setenv("COURSE_ROOT", str(lab.root))
    workspace.make_copies(lab.root)
    return lab


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def edit(lab, change):
    """Change the cells of the learner's copy, as JupyterLab would write them."""
    notebook = json.loads(lab.copy.read_text(encoding="utf-8"))
    change(notebook["cells"])
    lab.copy.write_text(json.dumps(notebook), encoding="utf-8")


def index_of(cells, exercise):
    return next(index for index, cell in enumerate(cells) if exercise_of(cell) == exercise)


def write(exercise, source):
    """A change that gives an exercise's cell this source."""
    return lambda cells: cells[index_of(cells, exercise)].update(source=source)


def reset(*arguments):
    return CliRunner().invoke(main, ["reset", *arguments])


# ---- copies ----


def test_copies_are_made_once_and_never_overwritten(lab):
    assert lab.copy.read_bytes() == lab.learner.read_bytes()
    edit(lab, write("1.3", "# mine"))
    mine = lab.copy.read_bytes()
    assert workspace.make_copies(lab.root) == []
    assert lab.copy.read_bytes() == mine


def test_a_new_lab_is_added_beside_the_others(lab):
    (lab.root / "notebooks" / "02_next.ipynb").write_text(lab.learner.read_text())
    assert workspace.make_copies(lab.root) == ["work/02_next.ipynb: new"]


def test_pages_to_read_are_copied_beside_the_notebooks_and_kept_fresh(lab):
    page = lab.root / "notebooks" / "PAGE.md"
    for text in ("first", "second"):
        page.write_text(text, encoding="utf-8")
        assert workspace.make_copies(lab.root) == []
        assert (lab.root / "work" / "PAGE.md").read_text(encoding="utf-8") == text


def test_a_copy_of_another_version_is_told_in_one_line(lab):
    notebook = json.loads(lab.learner.read_text())
    notebook["metadata"]["course"]["version"] = "9.9.9"
    lab.learner.write_text(json.dumps(notebook))
    (line,) = workspace.make_copies(lab.root)
    assert line.startswith(f"work/{LAB}.ipynb: of another version of the lab (0.")
    assert "now 9.9.9" in line
    assert "stays as it is" in line


def test_a_damaged_copy_does_not_keep_the_lab_from_opening(lab):
    lab.copy.write_text("{")
    (line,) = workspace.make_copies(lab.root)
    assert "another version" in line
    assert lab.copy.read_text() == "{"


def test_lab_opens_jupyterlab_in_work_with_the_arguments(lab, monkeypatch):
    seen = []
    monkeypatch.setattr(workspace, "open_lab", lambda root, arguments: seen.append((root, arguments)) or 0)
    result = CliRunner().invoke(main, ["lab", "--no-browser", "--port", "8890"])
    assert result.exit_code == 0, result.output
    assert seen == [(lab.root, ("--no-browser", "--port", "8890"))]


def test_lab_without_notebooks_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    result = CliRunner().invoke(main, ["lab"])
    assert result.exit_code == 1
    assert "holds no notebooks" in result.output


# ---- reset ----


def test_reset_puts_one_cell_back_and_leaves_the_others(lab):
    edit(lab, write("1.3", "my wrong idea"))
    edit(lab, write("1.1", "my good idea"))
    edit(lab, lambda cells: cells.insert(2, {**cells[0], "id": "mine", "source": "my note"}))
    before, text = cells_of(lab.copy), lab.copy.read_text()

    result = reset("1.3")
    assert result.exit_code == 0, result.output
    after, place = cells_of(lab.copy), index_of(before, "1.3")
    assert after[place]["source"] == cells_of(lab.learner)[index_of(cells_of(lab.learner), "1.3")]["source"]
    assert after[place]["id"] == before[place]["id"]
    assert [cell for i, cell in enumerate(after) if i != place] == [
        cell for i, cell in enumerate(before) if i != place
    ]
    (backup,) = (lab.root / "work" / "backups").iterdir()
    assert backup.read_text() == text
    assert f"work/backups/{backup.name}" in result.output.replace(os.sep, "/")
    assert "Reload Notebook from Disk" in result.output


def test_each_reset_keeps_a_backup_of_its_own(lab):
    for _ in range(3):
        assert reset("1.3").exit_code == 0
    assert len(list((lab.root / "work" / "backups").iterdir())) == 3


def test_reset_of_a_deleted_cell_puts_it_before_its_check(lab):
    edit(lab, lambda cells: cells.pop(index_of(cells, "1.3")))
    assert "is now before its check" in reset("1.3").output
    assert (
        lab.copy.read_text()
        == json.dumps(json.loads(lab.learner.read_text()), indent=1, ensure_ascii=False) + "\n"
    )


def test_reset_when_the_check_is_gone_too(lab):
    def delete(cells):
        place = index_of(cells, "1.3")
        del cells[place : place + 2]

    edit(lab, delete)
    assert "both are now at the end" in reset("1.3").output
    assert [cell["metadata"]["course"] for cell in cells_of(lab.copy)[-2:]] == [
        {"exercise": "1.3"},
        {"check": "1.3"},
    ]


def test_reset_finds_a_cell_that_lost_its_metadata_by_what_it_defines(lab):
    def retype(cells):
        place = index_of(cells, "1.3")
        cells[place] = {**cells[place], "metadata": {}, "source": ["def rmse(a, b):\n", "    return 1"]}
        cells.insert(0, {**cells[place], "id": "helper", "source": "def helper():\n    return rmse(1, 2)"})

    edit(lab, retype)
    n_cells = len(cells_of(lab.copy))
    assert "as it was at the start" in reset("1.3").output
    cells = cells_of(lab.copy)
    assert len(cells) == n_cells
    assert "not written yet" in "".join(cells[index_of(cells, "1.3")]["source"])
    assert "helper" in cells[0]["source"]


def test_reset_takes_out_further_copies_of_the_cell(lab):
    def thrice(cells):
        place = index_of(cells, "1.3")
        cells[place]["source"] = RMSE
        cells.insert(place + 1, {**cells[place], "id": "second"})
        cells.append({**cells[place], "id": "third"})

    edit(lab, thrice)
    assert "2 more with the same exercise taken out." in reset("1.3").output
    assert cells_of(lab.copy) == cells_of(lab.learner)
    assert "taken out" not in reset("1.3").output


def test_reset_of_an_exercise_with_parts_resets_each(lab):
    for path in (lab.learner, lab.copy):
        text = path.read_text().replace('"1.1"', '"1.5a"').replace('"1.3"', '"1.5b"')
        path.write_text(text)
    edit(lab, write("1.5a", "mine"))
    edit(lab, write("1.5b", "mine"))
    result = reset("1.5")
    assert "Exercise 1.5a is" in result.output
    assert "Exercise 1.5b is" in result.output
    assert cells_of(lab.copy) == cells_of(lab.learner)


def test_reset_of_an_unknown_exercise_names_the_known(lab):
    before = lab.copy.read_bytes()
    for wanted in ("7.7", "1", "1.", ".*"):
        result = reset(wanted)
        assert result.exit_code == 1
        assert f"exercise '{wanted}': must be one of 1.3, 1.1" in result.output
    assert lab.copy.read_bytes() == before


def test_reset_without_a_copy_says_how_to_get_one(lab):
    lab.copy.unlink()
    assert "does not exist yet: `course lab` makes it" in reset("1.3").output


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cells": 3}', '{"cells": [{"source": ""}]}', '{"cells": [1]}']
)
def test_a_damaged_copy_is_named_and_left_alone(lab, text):
    lab.copy.write_text(text)
    result = reset("1.3")
    assert result.exit_code == 1
    assert f"work/{LAB}.ipynb is damaged" in result.output
    assert lab.copy.read_text() == text
    assert "Traceback" not in result.output


# ---- progress ----


def states(lab):
    return {one.id: (one.status, one.note) for one in progress.standings(lab)}


def test_progress_tells_passed_from_wrong_from_not_written(lab):
    assert states(lab) == {"1.3": ("not written", ""), "1.1": ("not written", "")}
    edit(lab, write("1.3", RMSE))
    edit(lab, write("1.1", "def dense_ids(raw_ids):\n    return raw_ids, raw_ids"))
    assert states(lab) == {"1.3": ("passed", ""), "1.1": ("not yet", "")}


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("def rmse(predictions, ratings)\n    return 1", "the cell raised SyntaxError: "),
        ("1 / 0", "the cell raised ZeroDivisionError: "),
        ("import sys\nsys.exit(3)", "the cell raised SystemExit: 3"),
        ("import os\nos._exit(3)", "ended Python"),
        ("def rmse(predictions, ratings):\n    import os\n    os._exit(0)", "ended Python"),
        ("def rsme(predictions, ratings):\n    return 1", "rmse is not defined in its cell"),
        ("while True:\n    pass", "did not end within 4 s"),
        (STUBBORN, ""),
    ],
    ids=["syntax", "raises", "exit", "crash", "crash-in-call", "name", "loop-in-cell", "loop-in-call"],
)
def test_code_that_fails_in_any_way_affects_its_own_exercise_only(lab, monkeypatch, source, note):
    monkeypatch.setattr(progress, "EXERCISE_SECONDS", 4 if "did not end" in note else 20)
    edit(lab, write("1.3", source))
    edit(lab, write("1.1", DENSE_IDS))
    begin = time.monotonic()
    seen = states(lab)
    assert seen["1.1"] == ("passed", "")
    assert seen["1.3"][0] == "not yet"
    assert seen["1.3"][1].startswith(note)
    assert time.monotonic() - begin < 40


def test_a_set_up_that_ends_python_is_said_once_for_all(lab):
    edit(lab, lambda cells: cells[1].update(source="import os\nos._exit(1)"))
    assert set(states(lab).values()) == {("not yet", "the set-up cell ended Python")}


HELPERS = """%%time
import math as maths
print(maths.sqrt(-1))
half = lambda x: x / 2
POWER, unknown = 2, not_there
POWER = 2
"""
USES_HELPERS = """def rmse(predictions, ratings):
    return maths.sqrt(half(2 * mean_square([p - r for p, r in zip(predictions, ratings)])))
"""
MEAN_SQUARE = """while True: pass
def mean_square(errors):
    return sum(error**POWER for error in errors) / len(errors)
"""


def code(source):
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}


def test_helpers_that_a_learner_wrote_in_other_cells_are_seen(lab):
    edit(lab, write("1.3", USES_HELPERS))
    assert states(lab)["1.3"] == ("not yet", "")
    edit(lab, lambda cells: cells.extend(code(source) for source in (HELPERS, MEAN_SQUARE, "! ls\ndef f(:")))
    assert states(lab) == {"1.3": ("passed", ""), "1.1": ("not written", "")}


def test_an_object_of_another_cell_does_not_stand_in_for_the_exercise(lab):
    edit(lab, write("1.3", "# nothing here"))
    edit(lab, lambda cells: cells.append(code(RMSE)))
    assert states(lab)["1.3"] == ("not yet", "rmse is not defined in its cell")


def test_of_several_copies_of_an_exercise_the_last_counts(lab):
    def twice(cells):
        place = index_of(cells, "1.3")
        cells.insert(place + 1, {**cells[place], "id": "second", "source": RMSE})

    edit(lab, twice)
    assert states(lab)["1.3"] == ("passed", "")


def test_a_deleted_exercise_is_told_with_its_remedy(lab):
    edit(lab, lambda cells: cells.pop(index_of(cells, "1.3")))
    assert states(lab)["1.3"] == ("not yet", "its cell is gone: course reset 1.3")


def test_the_learners_stray_prints_and_children_do_not_confuse_progress(lab):
    noisy = 'import os\nprint(\'["1.3", "passed", ""]\', flush=True)\nos.write(1, b"[]\\n")\n'
    edit(lab, write("1.1", noisy + "def dense_ids(raw_ids):\n    return 1, 2"))
    assert states(lab) == {"1.3": ("not written", ""), "1.1": ("not yet", "")}


def test_the_table_counts_points_and_minutes(lab):
    edit(lab, write("1.3", RMSE))
    console = Console(width=120, file=io.StringIO())
    progress.print_progress([lab], console)
    text = console.file.getvalue()
    table = [[part.strip() for part in line.split("│")] for line in text.splitlines()]
    rows = {row[1]: row for row in table if len(row) > 1}
    assert rows["1.3"][3] == "passed"
    assert rows["1.1"][3] == "not written"
    assert "points; about" in text


def test_progress_without_copies_says_what_to_do(lab):
    lab.copy.unlink()
    result = CliRunner().invoke(main, ["progress"])
    assert (result.exit_code, "`course lab`" in result.output) == (0, True)


def test_progress_of_a_damaged_copy_is_a_message(lab):
    lab.copy.write_text("{")
    result = CliRunner().invoke(main, ["progress"])
    assert result.exit_code == 1
    assert "is damaged" in result.output
