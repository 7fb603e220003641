import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_lab import LAB, TOY, make_course

from course_utils.authoring import build, release
from course_utils.authoring.labs import BuildError, Lab
from course_utils.cli import main

ROOT = Path(__file__).parents[1]

# What a student does first: copies, one exercise, its check, progress, reset. Arguments: none; prints JSON.
FIRST_HOUR = """
import contextlib, io, json, pathlib
import course_utils
from course_utils import cli
from course_utils.authoring import workspace

workspace.open_lab = lambda root, arguments: 0  # JupyterLab itself is not what is tested here

def course(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        cli.main(list(arguments), standalone_mode=False)
    return printed.getvalue()

said = {"package": course_utils.__file__, "lab": course("lab")}
path = next(pathlib.Path("work").glob("01_*.ipynb"))
notebook = json.loads(path.read_text(encoding="utf-8"))
(cell,) = (cell for cell in notebook["cells"] if cell["metadata"].get("course") == {"exercise": "1.3"})
cell["source"] = "def rmse(predictions, ratings):\\n    return np.sqrt(np.mean((predictions - ratings) ** 2))"
path.write_text(json.dumps(notebook), encoding="utf-8")
names = {}
with contextlib.redirect_stdout(io.StringIO()) as printed:
    for cell in notebook["cells"]:
        tags, role = cell["metadata"].get("tags", []), cell["metadata"].get("course", {})
        if "setup" in tags or role == {"exercise": "1.3"}:
            exec("".join(cell["source"]), names)
    names["check"]("1.3", names["rmse"])
said["check"] = printed.getvalue()
said["progress"] = course("progress", "1")
said["reset"] = course("reset", "1.3")
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def unzipped(tmp_path_factory):
    """The folder that a student has after unzipping."""
    folder = tmp_path_factory.mktemp("student")
    release.write_release(ROOT, folder / "course.zip")
    with zipfile.ZipFile(folder / "course.zip") as archive:
        archive.extractall(folder)
    (inside,) = (path for path in folder.iterdir() if path.is_dir())
    return inside


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_students_need_is_there_and_what_they_should_not_have_is_not(unzipped):
    files = files_in(unzipped)
    assert unzipped.name == release.NAME
    assert {"README.md", "Makefile", "pyproject.toml", "requirements.lock", "environment.yml"} <= files
    assert {"course_utils/cli.py", "course_utils/claims.toml"} <= files
    assert {f"notebooks/{path.name}" for path in (ROOT / "notebooks").iterdir()} <= files
    assert {name.split("/")[0] for name in files if "/" in name} == {
        "benchmarks", "course_utils", "data", "notebooks"
    }  # fmt: skip
    assert not [name for name in files if name.startswith("benchmarks/") and not name.endswith(".json")]
    assert not [name for name in files if name.endswith((".pyc", ".npz", ".zip"))]
    assert {name for name in files if name.startswith("data/")} == {
        "data/README.md", "data/sample/u.data", "data/sample/u.item", "data/sample/u.user"
    }  # fmt: skip


def test_no_solution_is_in_a_notebook_and_no_answer(unzipped):
    notebooks = sorted((unzipped / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any("SOLUTION" in "".join(cell["source"]) for cell in cells)
        assert not any("solution" in cell["metadata"].get("tags", []) for cell in cells)


def test_the_recorded_results_that_the_labs_read_are_there(unzipped):
    text = "".join(path.read_text(encoding="utf-8") for path in (unzipped / "notebooks").glob("*.ipynb"))
    read = set(re.findall(r"benchmarks/results/\w+\.json", text))
    recorded = {path.name for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert recorded == {path.name for path in (unzipped / "benchmarks" / "results").iterdir()}
    assert "benchmarks/results/01_embedding_size.json" in read
    assert read <= files_in(unzipped)


def test_a_student_can_copy_solve_check_see_progress_and_reset(unzipped):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COURSE_")}
    environment |= {"PYTHONPATH": str(unzipped), "COURSE_ROOT": str(unzipped)}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_HOUR], cwd=unzipped, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["package"] == str(unzipped / "course_utils" / "__init__.py")
    assert f"work/{LAB}.ipynb: new" in said["lab"]
    assert said["check"] == "[1.3] rmse: ok (5 cases)\n"
    assert re.search(r"1\.3 .*passed", said["progress"])
    assert re.search(r"1\.2 .*not written", said["progress"])
    assert "Exercise 1.3 is as it was at the start." in said["reset"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_lab_installs_fetches_and_opens(unzipped):
    command = ["make", "--no-print-directory", "-n", "lab"]
    steps = subprocess.run(command, cwd=unzipped, capture_output=True, text=True, check=True).stdout
    order = ["-m venv .venv", 'pip install -q -c requirements.lock -e ".[', "course data", "course lab"]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert "dev" not in steps


def test_every_path_that_the_students_readme_names_is_there(unzipped):
    text = (unzipped / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+[\w.]*)`", text)) - {"work/", "work/NN_topic.ipynb"}
    assert {"notebooks/", "course_utils/exercises/", "data/README.md"} <= named
    assert not [name for name in named if not (unzipped / name).exists()]


# ---- how it is written ----


@pytest.fixture
def toy(tmp_path, monkeypatch):
    lab = Lab(LAB, make_course(tmp_path / "course", **{LAB: TOY}))
    build.build_lab(lab, run=False)
    monkeypatch.setenv("COURSE_ROOT", str(lab.root))
    return lab


def test_the_same_course_gives_the_same_bytes(toy, tmp_path):
    release.write_release(toy.root, tmp_path / "a.zip")
    os.utime(toy.learner, (0, 0))
    toy.learner.chmod(0o600)
    release.write_release(toy.root, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}
        assert archive.namelist() == sorted(archive.namelist())


def test_an_interrupted_release_leaves_the_zip_that_was_there(toy, tmp_path, monkeypatch):
    target = tmp_path / "course.zip"
    target.write_bytes(b"the last one")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        release.write_release(toy.root, target)
    assert target.read_bytes() == b"the last one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course", "course.zip"]


def test_a_notebook_that_does_not_fit_its_source_is_not_released(toy, tmp_path):
    toy.source.write_text(TOY.replace("A toy lab", "Another lab"), encoding="utf-8")
    result = CliRunner().invoke(main, ["release", str(tmp_path / "course.zip")])
    assert result.exit_code == 1
    assert f"notebooks/{LAB}.ipynb: cell 1" in result.output
    assert "`course build` first" in result.output
    assert not (tmp_path / "course.zip").exists()


def test_a_lab_that_is_not_built_yet_is_named(toy):
    (toy.root / "solutions" / "02_next.py").write_text(TOY, encoding="utf-8")
    result = CliRunner().invoke(main, ["release"])
    assert result.exit_code == 0, result.output
    assert f"labs: {LAB}\nleft out, as not built yet: 02_next\n" in result.output
    assert (toy.root / "build" / f"{release.NAME}.zip").exists()


def test_nothing_is_released_from_a_students_folder(toy, tmp_path):
    toy.source.unlink()
    with pytest.raises(BuildError, match="in the course's own folder"):
        release.write_release(toy.root, tmp_path / "course.zip")


def test_a_course_without_notebooks_has_nothing_to_release(tmp_path):
    with pytest.raises(BuildError, match="`course build` first"):
        release.write_release(make_course(tmp_path / "course", **{LAB: TOY}), tmp_path / "course.zip")
