"""`course nbgrader` against the real nbgrader: a class of five in a toy lab."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import requests
from click.testing import CliRunner
from toy_lab import LAB, TOY, make_course

from course_utils.authoring import build, nbgrader, sandboxed_kernel
from course_utils.authoring.labs import Lab, check_of, exercise_of, exercise_sources
from course_utils.cli import main

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
IN_CI = os.environ.get("CI") == "true"  # there, what is missing is an error
needs_nbgrader = pytest.mark.skipif(
    not IN_CI and not (BIN / "nbgrader").exists(), reason="nbgrader is not installed"
)
needs_bwrap = pytest.mark.skipif(
    not IN_CI and not shutil.which("bwrap"), reason="bubblewrap is not installed"
)

# Points of the toy lab: 1 for rmse (1.3), 1 for dense_ids (1.1).
NOISE = """
    import logging, os, sys, warnings
    warnings.warn("careful")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").warning("logged")
    os.write(2, b"past Python\\n")
"""
NOISY_LOGGER = """import logging, sys
logging.getLogger("mine").addHandler(logging.StreamHandler(sys.stderr))
"""
CURIOUS = """
import os, pathlib, socket
for path in ({folder!r}, {folder!r} + "/gradebook.db", {folder!r} + "/source", {root!r} + "/solutions"):
    print(path, os.path.exists(path))
print("SECRET" in os.environ)
socket.create_connection(("127.0.0.1", {port}), 1)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of an instructor whose Jupyter has no settings of its own."""
    home = tmp_path_factory.mktemp("home")
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    others = {key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "JUPYTER"))}
    return {**others, **own, "IPYTHONDIR": str(home / "ipython"), "SECRET": "of the instructor"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, environment):
    """A course folder with a class of five, through generate_assignment, autograde and generate_feedback."""
    lab = Lab(LAB, make_course(tmp_path_factory.mktemp("toy") / "course", **{LAB: TOY}))
    folder = tmp_path_factory.mktemp("nbgrader") / "course"
    nbgrader.make_course(folder, [lab])
    run(folder, environment, "generate_assignment")
    hand_in(folder, "perfect", solutions(folder))
    hand_in(folder, "unsolved", {})
    hand_in(folder, "wrong", {**solutions(folder), "1.3": "def rmse(predictions, ratings):\n    return 1.0"})
    noisy = {id: with_noise(source) for id, source in solutions(folder).items()}
    hand_in(folder, "noisy", {**noisy, "1.3": NOISY_LOGGER + noisy["1.3"]})
    with socket.socket() as door:  # something on this machine that would answer
        door.bind(("127.0.0.1", 0))
        door.listen()
        curious = CURIOUS.format(folder=str(folder), root=str(ROOT), port=door.getsockname()[1])
        hand_in(folder, "curious", {"1.3": curious, "1.1": solutions(folder)["1.1"]})
        run(folder, environment, "autograde", "--student=noisy", "--IgnorePattern.enabled=False")
        (folder.parent / "with nbgrader's own settings").write_text(json.dumps(scores(folder)["noisy"]))
        run(folder, environment, "autograde", "--force")
    run(folder, environment, "generate_feedback")
    return folder


def run(folder, environment, command, *options):
    call = [BIN / "nbgrader", command, LAB, *options]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def notebook_in(folder, *where):
    return nbformat.read(folder.joinpath(*where, LAB, f"{LAB}.ipynb"), as_version=4)


def solutions(folder):
    return exercise_sources(notebook_in(folder, "source").cells)


def with_noise(source):
    return source.replace("\n    ### BEGIN", NOISE + "    ### BEGIN")


def hand_in(folder, student, sources):
    """Put the released notebook with these exercise cells where nbgrader looks for it."""
    notebook = notebook_in(folder, "release")
    for cell in notebook.cells:
        cell.source = sources.get(exercise_of(cell), cell.source)
    target = folder / "submitted" / student / LAB / f"{LAB}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def scores(folder):
    """{student: {exercise: points}} from the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        return {
            submission.student.id: {
                grade.cell.name.removeprefix("check-").replace("-", "."): grade.score
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in book.find_assignment(LAB).submissions
        }


# ---- generate_assignment, autograde, generate_feedback ----


@needs_nbgrader
def test_the_assignment_is_the_learners_notebook(folder, tmp_path):
    lab = Lab(LAB, make_course(tmp_path / "course", **{LAB: TOY}))
    learner = build.learner_notebook(lab, *build.read_source(lab))
    released = notebook_in(folder, "release")
    assert released.metadata["course"] == learner.metadata["course"]
    assert [cell.id for cell in released.cells] == [cell.id for cell in learner.cells]
    for ours, theirs in zip(learner.cells, released.cells, strict=True):
        assert theirs.source == ours.source.replace(f"Exercise {exercise_of(ours)}", "This exercise")
    assert not any("SOLUTION" in cell.source for cell in released.cells)


@needs_nbgrader
def test_each_submission_has_its_points_and_none_waits_for_a_person(folder):
    right, wrong = 1.0, 0.0
    assert scores(folder) == {
        "perfect": {"1.3": right, "1.1": right},
        "unsolved": {"1.3": wrong, "1.1": wrong},
        "wrong": {"1.3": wrong, "1.1": right},
        "noisy": {"1.3": right, "1.1": right},
        "curious": {"1.3": wrong, "1.1": right},
    }


@needs_nbgrader
def test_the_noise_would_have_cost_all_points(folder):
    before = json.loads((folder.parent / "with nbgrader's own settings").read_text())
    assert before == {"1.3": 0.0, "1.1": 0.0}


@needs_nbgrader
@pytest.mark.parametrize(
    ("student", "text"),
    [
        ("perfect", "[1.3] rmse: ok (5 cases)"),
        ("unsolved", "[1.3] rmse: not written yet"),
        ("wrong", "[1.3] rmse: got 1"),
    ],
)
def test_feedback_shows_what_the_check_said(folder, student, text):
    page = (folder / "feedback" / student / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    assert text in page


@needs_nbgrader
@needs_bwrap
def test_what_a_student_wrote_sees_no_gradebook_no_source_no_secret_and_no_network(folder):
    cells = notebook_in(folder, "autograded", "curious").cells
    (cell,) = (cell for cell in cells if exercise_of(cell) == "1.3")
    printed, error = cell.outputs
    paths = (folder, folder / "gradebook.db", folder / "source", ROOT / "solutions")
    assert printed.text.splitlines() == [*(f"{path} False" for path in paths), "False"]
    assert error.ename == "ConnectionRefusedError"


# ---- formgrader ----


@pytest.fixture
def server(folder, environment):
    """A Jupyter server with formgrader: a function that asks it, (method, path) -> the answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    command = [BIN / "jupyter-server", "--no-browser", "--allow-root", f"--IdentityProvider.token={token}"]
    process = subprocess.Popen(
        [*command, f"--port={port}", "--ServerApp.port_retries=0"],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}/formgrader"
    headers = {"Authorization": f"token {token}"}

    def ask(method, path):
        return requests.request(method, address + path, headers=headers, timeout=120)

    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                ask("GET", "/api/status")
                break
            except requests.ConnectionError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield ask
    finally:
        process.terminate()
        process.wait()


@needs_nbgrader
def test_formgrader_lists_the_class_and_grades_a_submission_again(folder, server):
    assert server("GET", "/api/status").json()["status"] is True
    (assignment,) = server("GET", "/api/assignments").json()
    assert (assignment["name"], assignment["max_score"], assignment["num_submissions"]) == (LAB, 2, 5)
    assert server("GET", f"/gradebook/{LAB}/{LAB}").status_code == 200
    hand_in(folder, "unsolved", {"1.1": solutions(folder)["1.1"]})
    answer = server("POST", f"/api/submission/{LAB}/unsolved/autograde").json()
    assert answer["success"] is True, answer
    assert scores(folder)["unsolved"] == {"1.3": 0.0, "1.1": 1.0}


# ---- the folder ----


@pytest.fixture
def toy(tmp_path, monkeypatch):
    lab = Lab(LAB, make_course(tmp_path / "course", **{LAB: TOY}))
    monkeypatch.setenv("COURSE_ROOT", str(lab.root))
    return lab


def test_the_command_makes_what_nbgrader_expects(toy, tmp_path):
    result = CliRunner().invoke(main, ["nbgrader", str(tmp_path / "folder"), "1"])
    assert result.exit_code == 0, result.output
    made = {path.relative_to(tmp_path / "folder").as_posix() for path in (tmp_path / "folder").rglob("*")}
    assert {f"source/{LAB}/{LAB}.ipynb", "nbgrader_config.py", "submitted"} <= made
    assert "jupyter/kernels/recsys-course/kernel.json" in made
    cells = notebook_in(tmp_path / "folder", "source").cells
    assert sum(cell.metadata.nbgrader.points for cell in cells if check_of(cell)) == 2
    assert all("### BEGIN SOLUTION" in cell.source for cell in cells if exercise_of(cell))
    assert not any("solution" in cell.metadata.get("tags", []) for cell in cells)


def test_what_an_instructor_changed_stays(toy, tmp_path):
    nbgrader.make_course(tmp_path, [toy])
    config, source = tmp_path / "nbgrader_config.py", tmp_path / "source" / LAB / f"{LAB}.ipynb"
    changed = config.read_text() + "c.Execute.timeout = 7\n"
    config.write_text(changed)
    before = source.read_text()
    lines = nbgrader.make_course(tmp_path, [toy])
    assert "nbgrader_config.py: was changed, so it is left as it is" in lines[1]
    assert lines[0] == f"source/{LAB}/{LAB}.ipynb: written"
    assert (config.read_text(), source.read_text()) == (changed, before)


def test_a_source_that_breaks_a_rule_is_a_message(toy, tmp_path):
    toy.source.write_text(TOY.replace("    ### END SOLUTION\n", "", 1), encoding="utf-8")
    result = CliRunner().invoke(main, ["nbgrader", str(tmp_path / "folder")])
    assert result.exit_code == 1
    assert "is never closed" in result.output
    assert not (tmp_path / "folder").exists()


def test_without_bubblewrap_the_kernel_is_a_plain_one_and_the_command_says_so(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    lines = nbgrader.make_course(tmp_path, [toy])
    assert lines[-1].startswith("WARNING: without bubblewrap, autograde will run what students wrote")
    assert "apt-get install bubblewrap" in lines[-1]
    spec = json.loads((tmp_path / "jupyter/kernels/recsys-course/kernel.json").read_text())
    assert spec["argv"] == [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert spec["env"]["COURSE_STRICT"] == "1"
    with pytest.raises(SystemExit, match="needs bubblewrap"):
        sandboxed_kernel.main("connection.json")


# ---- the sandboxed kernel ----

QUESTIONS = """
import os, sys
print(sorted(os.listdir("/")), os.getcwd(), sorted(key for key in os.environ if key.startswith("COURSE")))
---
open({package!r} + "/mine.py", "w")
---
open("/mine", "w")
---
open({mine!r}, "w").write("a file of mine")
---
import time
time.sleep(60)
---
print("still here")
---
bytearray(9 * 2**30)
---
open("/run/kernel/sockets/mine", "w")
time.sleep(60)
---
print("still here")
"""


@needs_bwrap
def test_the_kernel_is_held_to_its_sandbox(tmp_path, monkeypatch):
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    spec = tmp_path / "kernels" / "sandboxed" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(nbgrader.kernel_spec(sandboxed=True)))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("SECRET", "of the instructor")
    mine = f"/tmp/{secrets.token_hex()}"
    questions = QUESTIONS.format(package=str(ROOT / "course_utils"), mine=mine).strip().split("\n---\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in questions])
    late = {"ename": "Late", "evalue": "", "traceback": []}
    client = NotebookClient(
        notebook, kernel_name="sandboxed", interrupt_on_timeout=True, error_on_timeout=late,
        timeout_func=lambda cell: 3 if "sleep" in cell.source else 100, allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    )  # fmt: skip
    with pytest.raises(DeadKernelError):  # by what it wrote among its sockets
        client.execute()
    (seen,), (package_error,), (root_error,), (written,), _, (alive,), (memory,), _, last = (
        cell.outputs for cell in notebook.cells
    )
    assert "'tmp'" in seen.text
    assert "home" not in seen.text
    names = ["COURSE_FAST", "COURSE_HEADLESS", "COURSE_ROOT", "COURSE_STRICT"]
    assert f"/tmp {names}" in seen.text
    assert package_error.evalue.startswith("[Errno 30] Read-only file system")
    assert root_error.evalue.startswith("[Errno 30] Read-only file system")
    assert written.data["text/plain"] == "14"
    assert not Path(mine).exists()
    assert alive.text == "still here\n"
    assert memory.ename == "MemoryError"
    assert last == []
