"""The files that set the course up agree with each other."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [
    Requirement(line)
    for line in PROJECT["dependencies"] + [one for extra in EXTRAS.values() for one in extra]
]
LOCK = dict(
    line.split("==")
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
)


def make(*arguments, **environment):
    command = ["make", "--no-print-directory", "-n", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout


needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.mark.parametrize("wanted", WANTED, ids=lambda one: one.name)
def test_the_lock_has_each_dependency_within_its_range(wanted):
    versions = {canonicalize_name(name): version for name, version in LOCK.items()}
    assert Version(versions[canonicalize_name(wanted.name)]) in wanted.specifier


def test_the_lock_pins_plain_versions_in_order():
    assert all("+" not in version for version in LOCK.values())
    assert list(LOCK) == sorted(LOCK, key=str.lower)
    assert LOCK["torch"] == "2.13.0"
    assert not {"recsys-course", "recsys_course"} & set(LOCK)


def test_no_extra_installs_both_faiss():
    names = {extra: {Requirement(one).name for one in lines} for extra, lines in EXTRAS.items()}
    assert "faiss-cpu" in names["cpu"]
    assert "faiss-gpu" in names["gpu"]
    for extra, inside in names.items():
        assert len({"faiss-cpu", "faiss-gpu"} & inside) <= 1, extra
    assert not any(one.startswith("faiss") for one in PROJECT["dependencies"])


def test_the_conda_environment_is_the_package_with_its_gpu_extra():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(
        one for one in environment["dependencies"] if isinstance(one, str) and one.startswith("python")
    )
    assert python.removeprefix("python").strip() == PROJECT["requires-python"]
    (pip,) = [one["pip"] for one in environment["dependencies"] if isinstance(one, dict)]
    (line,) = pip
    extra = re.fullmatch(r"-e \.\[(\w+)\]", line).group(1)
    assert extra == "gpu"
    assert extra in EXTRAS
    assert "pip" in environment["dependencies"]


@needs_make
def test_make_test_is_the_whole_of_ci():
    steps = make("test", "-W", "pyproject.toml")
    order = [
        "pip install",
        "ruff check .",
        "course build --check",
        "course data",
        "-m pytest -n 2",
        "--nbval-lax",
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert "COURSE_STRICT=1" in steps
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert "export CI=true" in (ROOT / ".ci" / "run").read_text()


@needs_make
def test_make_run_sets_up_fetches_and_runs():
    steps = make("run", "-W", "pyproject.toml")
    assert '-c requirements.lock -e ".[' in steps
    assert steps.index("pip install") < steps.index("course data") < steps.index("course run")


@needs_make
@pytest.mark.parametrize(("listed", "extra"), [("GPU 0: a card", "gpu"), ("", "cpu")])
def test_make_takes_the_gpu_extra_only_where_a_gpu_is_listed(tmp_path, listed, extra):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{listed}'\n")
    program.chmod(0o755)
    steps = make("run", "-W", "pyproject.toml", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert f'-e ".[{extra},dev]"' in steps


@needs_make
def test_make_installs_again_only_when_the_lock_or_the_project_changes(tmp_path):
    for name in ("Makefile", "setup.mk", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    stamp = tmp_path / ".venv" / "installed"
    stamp.touch()

    def steps(at):
        os.utime(stamp, (at, at))
        return subprocess.run(["make", "-n", "data"], cwd=tmp_path, capture_output=True, text=True).stdout

    now = (tmp_path / "pyproject.toml").stat().st_mtime
    assert "pip install" not in steps(now + 60)
    assert "pip install" in steps(now - 60)
    assert "-m venv" not in steps(now - 60)


def test_the_workflow_runs_the_same_command_in_a_debian_container():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["test"]
    assert job["container"]["image"] == "python:3.11-bookworm"
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert len(runs) == 1
    assert runs[0].endswith(".ci/run")
    (cache,) = [step["with"] for step in job["steps"] if "cache" in step.get("uses", "")]
    assert "hashFiles('requirements.lock')" in cache["key"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_work_build_and_data_are_not_committed():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"work/", "build/", ".venv/", "data/*", "!data/sample/"} <= set(ignored)
