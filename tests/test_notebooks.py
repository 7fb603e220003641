"""The labs themselves: both notebooks run in FAST, and every lab keeps the course's rhythm."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from course_utils import claims, exercises
from course_utils.authoring import build, execute
from course_utils.authoring.labs import check_of, exercise_of, find_labs

ROOT = Path(__file__).parents[1]
LABS = find_labs(ROOT)
FAST = {"COURSE_FAST": "1", "COURSE_STRICT": "0"}
DIFFICULTY = {1: "easy", 2: "medium", 3: "hard"}
each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def checks_in(notebook):
    return {check_of(cell): text_of(cell) for cell in notebook.cells if check_of(cell)}


@each_lab
def test_the_solution_runs_in_fast_and_passes_every_check(lab, tmp_path):
    notebook = build.solution_notebook(lab, *build.read_source(lab))
    executed = execute.execute(notebook, lab, FAST, tmp_path / "lab.ipynb")
    messages = checks_in(executed)
    assert list(messages) == [exercise.id for exercise in exercises.of_lab(lab.name[:2])]
    for exercise, message in messages.items():
        assert re.match(rf"\[{re.escape(exercise)}\] \w+: ok \(\d+ cases\)", message), message
    made = execute.claims_in(executed)
    assert {one["id"] for one in made} == {one.id for one in claims.load().values() if one.lab == lab.name}
    assert all(one["ok"] is None for one in made)  # FAST gates nothing


@each_lab
def test_the_learners_notebook_runs_with_nothing_solved(lab, tmp_path):
    notebook = nbformat.read(lab.learner, as_version=4)
    messages = checks_in(execute.execute(notebook, lab, FAST, tmp_path / "lab.ipynb"))
    assert len(messages) == len(exercises.of_lab(lab.name[:2]))
    for exercise, message in messages.items():
        assert message.startswith(f"[{exercise}]"), message
        assert "not written yet" in message


@each_lab
def test_each_exercise_says_what_its_declaration_says(lab):
    source = lab.source.read_text(encoding="utf-8")
    for exercise in exercises.of_lab(lab.name[:2]):
        points = f"{exercise.points} point" + ("s" if exercise.points > 1 else "")
        heading = f"# ### Exercise {exercise.id}: {exercise.title}\n"
        effort = f"# *{DIFFICULTY[exercise.difficulty]} · {exercise.minutes} minutes · {points}*\n"
        assert heading + effort in source


@each_lab
def test_the_rhythm_of_a_lab(lab):
    cells = jupytext.read(lab.source).cells
    for cell in cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 25 or exercise_of_source(cell), cell.source
    for index, cell in enumerate(cells):
        if exercise_of_source(cell):
            before, after = cells[index - 1], cells[index + 1]
            assert before.source.count("<details>") == before.source.count("</details>") == 2, before.source
            assert after.source.startswith(f'check("{exercise_of_source(cell)}", ')


def exercise_of_source(cell):
    return cell.metadata.get("exercise")


@each_lab
def test_a_sentence_below_each_plot_says_what_it_shows(lab):
    cells = jupytext.read(lab.source).cells
    plotted = [index for index, cell in enumerate(cells) if "plt.show()" in cell.source]
    assert plotted
    for index in plotted:
        following = [cell.source for cell in cells[index + 1 : index + 3] if cell.cell_type == "markdown"]
        assert following, cells[index].source
        assert following[0].startswith("*"), following[0]


def test_an_exercise_is_found_in_both_notebooks():
    for lab in LABS:
        ids = [exercise.id for exercise in exercises.of_lab(lab.name[:2])]
        for path in (lab.solution, lab.learner):
            cells = nbformat.read(path, as_version=4).cells
            assert [exercise_of(cell) for cell in cells if exercise_of(cell)] == ids
