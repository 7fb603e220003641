import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import course_utils
from course_utils import cli, data, doctor

COMMANDS = {"data", "lab", "reset", "progress", "build", "run", "release", "nbgrader", "grade", "doctor"}


def invoke(*arguments):
    return CliRunner().invoke(cli.main, arguments)


def test_the_commands_are_those_of_the_readme():
    assert set(cli.main.commands) == COMMANDS
    for name in COMMANDS:
        result = invoke(name, "--help")
        assert result.exit_code == 0
        assert len(result.output.splitlines()) > 3


def test_the_version():
    assert invoke("--version").output == f"course, version {course_utils.__version__}\n"


def test_the_installed_command_starts_without_loading_torch():
    """`course --help` answers at once: what is slow to import is imported by the command that needs it."""
    code = "import sys; from course_utils.cli import main; main.main(['--help'], standalone_mode=False); "
    code += "print({'torch', 'papermill', 'jupytext', 'nbconvert'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "set()"


def test_an_unknown_lab_is_a_usage_error():
    for command in ("build", "run", "progress"):
        result = invoke(command, "77")
        assert result.exit_code == 2
        assert re.search("lab '77': must be one of 01_", result.output)


def test_data_says_what_it_has(monkeypatch):
    sample = data.load_movielens("sample")
    monkeypatch.setattr(data, "load_movielens", lambda size: sample)
    result = invoke("data")
    assert result.exit_code == 0
    assert f"{len(sample):,} ratings, {sample.n_users:,} users" in result.output


def test_data_that_cannot_be_had_is_a_message(monkeypatch):
    def fail(size):
        raise data.DataError(f"MovieLens {size} could not be had")

    monkeypatch.setattr(data, "load_movielens", fail)
    result = invoke("data", "1m")
    assert (result.exit_code, result.output) == (1, "Error: MovieLens 1m could not be had\n")
    assert invoke("data", "2m").exit_code == 2


@pytest.mark.parametrize("ok", [True, False])
def test_doctor_exits_with_1_when_something_is_wrong(monkeypatch, ok):
    findings = [doctor.Finding("torch", "2.0"), doctor.Finding("data", "x", "" if ok else "course data")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    result = invoke("doctor")
    assert result.exit_code == int(not ok)
    assert ("course data" in result.output) is not ok


def test_the_command_line_holds_no_logic():
    assert len(Path(cli.__file__).read_text().splitlines()) < 220
