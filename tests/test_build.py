import json
import re

import jsonschema
import nbformat
import pytest
from click.testing import CliRunner
from toy_lab import LAB, TOY, make_course

from course_utils import __version__
from course_utils.authoring import build, execute, verify
from course_utils.authoring.labs import Lab, find_labs
from course_utils.cli import main

# nbgrader's documented cell metadata, version 3, for cells that it knows
NBGRADER = {
    "type": "object",
    "properties": {
        "schema_version": {"const": 3},
        "grade": {"type": "boolean"},
        "solution": {"type": "boolean"},
        "locked": {"type": "boolean"},
        "task": {"const": False},
        "grade_id": {"type": "string", "pattern": r"^[a-zA-Z0-9_\-]+$"},
        "points": {"type": "number", "minimum": 0},
    },
    "required": ["schema_version", "grade", "solution", "locked", "grade_id"],
    "additionalProperties": False,
    "if": {"properties": {"grade": {"const": True}}},
    "then": {"required": ["points"]},
    "else": {"not": {"required": ["points"]}},
}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """The toy, not built; COURSE_ROOT names its folder."""
    root = make_course(tmp_path / "course", **{LAB: TOY})
    monkeypatch.setenv("COURSE_ROOT", str(root))
    return Lab(LAB, root)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The toy, built once for the tests that only read."""
    lab = Lab(LAB, make_course(tmp_path_factory.mktemp("built") / "course", **{LAB: TOY}))
    build.build_lab(lab)
    return lab


@pytest.fixture
def copy_of_built(built, lab):
    """A built toy that a test may spoil."""
    lab.learner.parent.mkdir()
    lab.learner.write_bytes(built.learner.read_bytes())
    lab.solution.write_bytes(built.solution.read_bytes())
    assert verify.check_lab(lab) == []
    return lab


def learner_cells(text, tmp_path):
    lab = Lab(LAB, make_course(tmp_path / "other", **{LAB: text}))
    build.build_lab(lab, run=False)
    return nbformat.read(lab.learner, as_version=4).cells


def edit(path, change):
    """Change a notebook file through its JSON."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    change(notebook)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


# ---- the learner's notebook ----


def test_the_learner_gets_a_stub_and_nothing_of_the_solution(built):
    text = built.learner.read_text(encoding="utf-8")
    for hidden in (
        "np.sqrt",
        "np.unique",
        "BEGIN SOLUTION",
        "END SOLUTION",
        "only in the solution",
        "The answer",
    ):
        assert hidden not in text
    stub = next(cell for cell in nbformat.reads(text, as_version=4).cells if "def rmse" in cell.source)
    assert stub.source.splitlines() == [
        "def rmse(predictions, ratings):",
        '    """Root of the mean squared error; predictions [B], ratings [B] -> float."""',
        "    # Your code here (2-12 lines), then delete the next line.",
        '    raise NotImplementedError("Exercise 1.3 is not written yet.")',
    ]


def test_hints_stay_and_outputs_and_nbval_marks_do_not(built):
    notebook = nbformat.read(built.learner, as_version=4)
    assert any("<details><summary>Hint 1" in cell.source for cell in notebook.cells)
    assert not any("NBVAL" in cell.source for cell in notebook.cells)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_the_learner_notebook_is_the_same_bytes_each_time(built, lab):
    build.build_lab(lab, run=False)
    first = lab.learner.read_bytes()
    assert first == built.learner.read_bytes()
    build.build_lab(lab, run=False)
    assert lab.learner.read_bytes() == first
    assert "é" in first.decode()


def test_the_learner_notebook_runs_to_its_end_with_nothing_solved(built, tmp_path):
    notebook = nbformat.read(built.learner, as_version=4)
    ran = execute.execute(notebook, built, {"COURSE_FAST": "1", "COURSE_STRICT": "0"}, tmp_path / "ran.ipynb")
    said = "".join(output.text for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs)
    assert "[1.3] rmse: not written yet" in said
    assert "[1.1] dense_ids: not written yet" in said


def test_cell_ids_follow_from_the_content(built, tmp_path):
    before = nbformat.read(built.learner, as_version=4).cells
    after = learner_cells(TOY.replace("What is under the root?", "Root of what?"), tmp_path)
    changed = [old.source for old, new in zip(before, after, strict=True) if old.id != new.id]
    assert len(changed) == 1
    assert "What is under the root?" in changed[0]


def test_cells_with_the_same_content_have_ids_of_their_own(tmp_path):
    cells = learner_cells("# %%\n1 + 1\n\n# %%\n1 + 1\n\n# %% [markdown]\n# 1 + 1\n", tmp_path)
    first, second, text = (cell.id for cell in cells)
    assert second == f"{first}-2"
    assert text not in (first, second)
    assert re.fullmatch("[0-9a-f]{8}", first)


# ---- the executed solution ----


def test_the_solution_is_executed_and_keeps_every_cell(built):
    notebook = nbformat.read(built.solution, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = "".join(output.text for cell in code for output in cell.outputs)
    assert "[1.3] rmse: ok" in said
    assert "[1.1] dense_ids: ok" in said
    assert "seed 0" in said
    assert "only in the solution" in said
    assert len(notebook.cells) == len(nbformat.read(built.learner, as_version=4).cells) + 2


def test_only_the_named_metadata_is_kept(built):
    for path, own in ((built.solution, "source_sha256"), (built.learner, "cells_sha256")):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert set(notebook.metadata) == {"course", "kernelspec", "language_info", "title"}
        assert set(notebook.metadata.course) == {"lab", "version", own}
        assert notebook.metadata.course.version == __version__
        assert notebook.metadata.kernelspec.name == "python3"
        assert notebook.metadata.title == "A toy lab"
        keys = {key for cell in notebook.cells for key in cell.metadata}
        assert keys <= {"tags", "course", "nbgrader", "deletable", "editable"}
        assert "papermill" not in path.read_text(encoding="utf-8")


def test_the_cell_metadata_is_nbgraders(built):
    for path in (built.solution, built.learner):
        cells = nbformat.read(path, as_version=4).cells
        known = [cell.metadata for cell in cells if "nbgrader" in cell.metadata]
        for metadata in known:
            jsonschema.validate(metadata.nbgrader, NBGRADER)
        ids = [metadata.nbgrader.grade_id for metadata in known]
        assert ids == ["exercise-1-3", "check-1-3", "exercise-1-1", "check-1-1"]
        exercise, check = known[:2]
        assert (exercise.nbgrader.solution, exercise.nbgrader.grade, exercise.nbgrader.locked) == (
            True,
            False,
            False,
        )
        assert (check.nbgrader.solution, check.nbgrader.grade, check.nbgrader.locked) == (False, True, True)
        assert check.nbgrader.points > 0
        assert (check.deletable, check.editable) == (False, False)
        assert not {"deletable", "editable"} & set(exercise)


def test_a_failing_cell_leaves_the_solution_as_it_was(copy_of_built):
    lab = copy_of_built
    before = lab.solution.read_bytes()
    lab.source.write_text(TOY.replace('print("seed", SEED)', "1 / 0"), encoding="utf-8")
    result = CliRunner().invoke(main, ["build"])
    assert result.exit_code == 1
    assert (
        f'{LAB}: cell 8 under "Exercise 1.3: RMSE" (1 / 0): ZeroDivisionError: division by zero'
        in result.output
    )
    assert lab.solution.read_bytes() == before
    assert sorted(path.name for path in lab.solution.parent.iterdir()) == [f"{LAB}.ipynb", f"{LAB}.py"]


def test_the_command_builds_and_tells(lab):
    result = CliRunner().invoke(main, ["build", "--no-execute", "1"])
    assert (result.exit_code, result.output) == (0, f"{LAB}: learner notebook written\n")
    assert lab.learner.exists()
    assert not lab.solution.exists()


def test_a_claim_that_fails_is_named_by_the_build(lab):
    claim = 'claims.claim("mf-rmse-random", 1.2, control=2.0)'
    lab.source.write_text(TOY.replace('print("seed", SEED)', f"print()\n{claim}"), encoding="utf-8")
    lines = build.build_lab(lab)
    assert lines[1:] == [f"{LAB}: claim mf-rmse-random 1.2000: misses its target"]


# ---- errors in the source ----

BEGIN, END = "    ### BEGIN SOLUTION\n", "    ### END SOLUTION\n"
FIRST_BEGIN = TOY[: TOY.index(BEGIN)].count("\n") + 1


def line_of(text):
    return TOY[: TOY.index(text)].count("\n") + 1


EXERCISE_LINE = line_of('# %% exercise="1.3"')


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (END, "", FIRST_BEGIN, "BEGIN SOLUTION is never closed in its cell"),
        (BEGIN, "", FIRST_BEGIN + 2, "END SOLUTION without ### BEGIN SOLUTION"),
        (BEGIN, BEGIN + BEGIN, FIRST_BEGIN + 1, f"inside the region that starts in line {FIRST_BEGIN}"),
        (BEGIN, "    ## begin solution\n", FIRST_BEGIN, "must be exactly '### BEGIN SOLUTION'"),
        (END, "    ### END SOLUTION here\n", FIRST_BEGIN + 3, "must be exactly '### BEGIN SOLUTION'"),
        (BEGIN, "### BEGIN SOLUTION\n", FIRST_BEGIN, "must be indented, inside a function"),
        (' exercise="1.3"', "", FIRST_BEGIN, "BEGIN SOLUTION outside an exercise cell"),
        (' exercise="1.3"', ' exercize="1.3"', FIRST_BEGIN, "outside an exercise cell"),
        (' check="1.3"', ' chekc="1.3"', EXERCISE_LINE + 8, r"unknown \['chekc'\]"),
        (' tags=["setup"]', ' tags=["set-up"]', line_of('# %% tags=["setup"]'), r"unknown \['set-up'\]"),
        (' exercise="1.3"', ' exercise="7.7"', EXERCISE_LINE, "exercise '7.7': must be one of 1.1"),
        (' exercise="1.1"', ' exercise="1.3"', line_of('# %% exercise="1.1"'), "exercise 1.3 appears twice"),
        (
            ' check="1.1"',
            ' check="1.2"',
            line_of('# %% check="1.1"'),
            "check 1.2 without an exercise 1.2 above it",
        ),
        (
            'check("1.3", rmse)',
            'check("1.1", rmse)',
            EXERCISE_LINE + 8,
            r'must be exactly check\("1.3", name\)',
        ),
    ],
)
def test_an_error_in_the_source_names_file_and_line(lab, old, new, line, message):
    assert old in TOY
    lab.source.write_text(TOY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(build.BuildError, match=rf"^solutions/{LAB}.py:{line}: .*{message}"):
        build.build_lab(lab)
    assert not lab.learner.exists()


def test_an_exercise_needs_a_region_and_a_check(lab):
    empty = TOY.replace(BEGIN, "", 1).replace(END, "", 1)
    lab.source.write_text(empty, encoding="utf-8")
    with pytest.raises(build.BuildError, match=f"py:{EXERCISE_LINE}: exercise 1.3 has no ### BEGIN SOLUTION"):
        build.build_lab(lab)
    lab.source.write_text(TOY.replace(' check="1.3"', ""), encoding="utf-8")
    with pytest.raises(build.BuildError, match=r"exercise 1\.3 has no check cell"):
        build.build_lab(lab)


def test_text_before_the_first_cell_is_an_error(lab):
    lab.source.write_text("import this\n\n# %%\n1\n", encoding="utf-8")
    with pytest.raises(build.BuildError, match="2 cells, but 1 lines that start with"):
        build.build_lab(lab)


def test_one_wrong_lab_does_not_keep_the_others_from_being_built(lab):
    (lab.root / "solutions" / "02_next.py").write_text("# %%\n1\n", encoding="utf-8")
    lab.source.write_text(TOY.replace(END, "", 1), encoding="utf-8")
    result = CliRunner().invoke(main, ["build", "--no-execute"])
    assert result.exit_code == 1
    assert "02_next: learner notebook written" in result.output


# ---- build --check ----


def test_check_passes_what_was_built_whatever_the_outputs_say(copy_of_built):
    lab = copy_of_built

    def other_digits(notebook):
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                output["text"] = ["another processor\n"]

    edit(lab.solution, other_digits)
    lab.learner.write_bytes(lab.learner.read_bytes().replace(b"\n", b"\r\n"))  # as git on Windows may do
    result = CliRunner().invoke(main, ["build", "--check"])
    assert (result.exit_code, result.output) == (0, f"{LAB}: both notebooks fit their source\n")


def test_check_sees_an_edited_source(copy_of_built):
    lab = copy_of_built
    lab.source.write_text(TOY.replace("under the root?", "under it?"), encoding="utf-8")
    result = CliRunner().invoke(main, ["build", "--check"])
    assert result.exit_code == 1
    hint = "<details><summary>Hint 1</summary>What is under the root?</details>"
    named = f'cell 4 under "Exercise 1.3: RMSE" ({hint})'
    for room in ("notebooks", "solutions"):
        assert f"{room}/{LAB}.ipynb: {named}: its source is not that of the source file" in result.output


def test_check_sees_a_source_whose_notebook_cells_are_the_same(copy_of_built):
    lab = copy_of_built
    lab.source.write_text(TOY + "\n\n", encoding="utf-8")
    problems = verify.check_lab(lab)
    assert problems == [f"solutions/{LAB}.ipynb: made from another version of the source or the course"]


def set_source(index, text):
    return lambda notebook: notebook["cells"][index].update(source=text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_source(4, "def rmse(): return 0"), r"cell 5 .*\(def rmse\(\): return 0\): its source"),
        (lambda notebook: notebook["cells"].pop(), r"10 cells|its source|cells, the source gives"),
        (lambda notebook: notebook["cells"][0].update(id="other"), "cell 1 .*: its id"),
        (lambda notebook: notebook["cells"][5]["metadata"].update(editable=True), "cell 6 .*: its metadata"),
        (lambda notebook: notebook["cells"][1].update(execution_count=3), "outputs or fields that the build"),
        (lambda notebook: notebook["metadata"].update(extra=1), "made from another version"),
    ],
)
def test_check_sees_an_edited_learner_notebook(copy_of_built, change, message):
    edit(copy_of_built.learner, change)
    problems = verify.check_lab(copy_of_built)
    assert len(problems) == 1
    assert re.match(rf"notebooks/{LAB}.ipynb: .*({message})", problems[0])


def marked(notebook):
    return next(cell for cell in notebook["cells"] if "NBVAL" in "".join(cell["source"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda notebook: marked(notebook).update(outputs=[]),
            "marked # NBVAL_CHECK_OUTPUT, but has no output",
        ),
        (lambda notebook: marked(notebook).update(execution_count=None), "was not executed"),
        (
            lambda notebook: marked(notebook).update(
                outputs=[{"output_type": "error", "ename": "E", "evalue": "", "traceback": []}]
            ),
            "ended in an error",
        ),
    ],
)
def test_check_sees_what_is_wrong_with_the_outputs(copy_of_built, change, message):
    edit(copy_of_built.solution, change)
    where = f'solutions/{LAB}.ipynb: cell 8 under "Exercise 1.3: RMSE" (print("seed", SEED))'
    assert verify.check_lab(copy_of_built) == [f"{where}: {message}"]


def test_check_sees_missing_damaged_and_stray_notebooks(copy_of_built):
    lab = copy_of_built
    lab.learner.unlink()
    lab.solution.write_text("{", encoding="utf-8")
    (lab.root / "notebooks" / "05_gone.ipynb").write_text("{}", encoding="utf-8")
    result = CliRunner().invoke(main, ["build", "--check"])
    assert result.exit_code == 1
    missing, damaged, stray = result.output.splitlines()
    assert missing == f"notebooks/{LAB}.ipynb: missing"
    assert damaged.startswith(f"solutions/{LAB}.ipynb: not a notebook")
    assert stray == "notebooks/05_gone.ipynb: has no source"


# ---- finding labs ----


def test_labs_are_named_by_number_or_name(tmp_path):
    root = make_course(tmp_path / "course", **{"_01_a": "", "_02_b": "", "_10_c": "", "notes": ""})
    assert [lab.name for lab in find_labs(root)] == ["01_a", "02_b", "10_c"]
    assert [lab.name for lab in find_labs(root, ("10_c", "1", "01"))] == ["01_a", "10_c"]
    with pytest.raises(ValueError, match="lab '3': must be one of 01_a, 02_b, 10_c"):
        find_labs(root, ("3",))


def test_no_labs_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    result = CliRunner().invoke(main, ["build"])
    assert result.exit_code == 2
    assert "no labs in" in result.output
