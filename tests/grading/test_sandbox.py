"""The sandbox itself: what it takes, what it refuses, and that it touches nothing but its own."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from course_utils.authoring.grading import package, sandbox
from course_utils.authoring.grading.inside import wire
from course_utils.exercises.observe import Outcome
from course_utils.exercises.plain import Plain

RIGHT = "def rmse(p, r):\n    return p + r"


@pytest.fixture(params=["bwrap", "unshare"])
def kind(request):
    """Each kind of sandbox; bubblewrap must be there, the other is not everywhere."""
    try:
        sandbox.choose(request.param)
    except sandbox.SandboxError as error:
        if request.param == "bwrap":
            raise
        pytest.skip(str(error))
    return request.param


def task(box, source, seconds=10.0):
    """What a function rmse of this source gives for one case."""
    head, output = box.do(
        {
            "kind": "observe",
            "course": box.show(package.package_at("1.3")),
            "subject": {"id": "1.3", "name": "rmse", "params": ("p", "r"), "method": None},
            "call": None,
            "name": "rmse",
            "program": [(source, "cell 1")],
            "cases": pickle.dumps([{"p": 1, "r": 2}]),
            "seconds": seconds,
        }
    )
    return head["end"], wire.decode(output, 1, Outcome, Plain)


def test_a_sandbox_runs_a_task_and_empties_only_its_own_folder(kind):
    source = (
        "def rmse(p, r):\n    import os, tempfile\n    left = os.listdir(tempfile.gettempdir())\n"
        "    open(os.path.join(tempfile.gettempdir(), 'x'), 'w').close()\n    return p + r + 10 * len(left)"
    )
    with tempfile.NamedTemporaryFile() as mine, sandbox.Sandbox(kind) as box:
        for _ in range(2):
            end, (outcome,) = task(box, source)
            assert end == "exit"
            assert outcome.value.array == 3
        assert Path(mine.name).exists()
    assert not Path(box.folder.name).exists()


@pytest.mark.parametrize(
    "lines",
    [
        "os.mkdir('a'); open('a/x', 'w').close(); os.chmod('a', 0o500)",
        "os.makedirs('a/b/c'); os.chmod('a/b', 0); os.chmod('.', 0)",
        "os.symlink('/etc', '0'); os.mkdir('1'); os.mkdir('1/0'); os.mkfifo('1/0/f'); os.chmod('1', 0o500)",
        "[(os.mkdir('0'), os.chdir('0')) for n in range(5000)]",
    ],
)
def test_what_a_task_leaves_is_not_there_for_the_next(kind, lines):
    lines = f"os.chdir(tempfile.gettempdir()); {lines}; return 3"
    leave = f"import os, tempfile\ndef rmse(p, r): {lines}"
    look = f"import os, tempfile\n{RIGHT} + 10 * len(os.listdir(tempfile.gettempdir()))"
    with sandbox.Sandbox(kind) as box:
        assert task(box, leave)[1][0].value.array == 3
        first = box.process
        assert task(box, look)[1][0].value.array == 3
        assert box.process is first
        task(box, leave)
    assert not Path(box.folder.name).exists()


def test_a_server_that_is_gone_before_a_task_has_begun_costs_that_task_nothing(needs_bwrap):
    with sandbox.Sandbox("bwrap") as box:
        task(box, RIGHT)
        os.killpg(box.process.pid, signal.SIGKILL)
        box.process.wait()
        end, (outcome,) = task(box, RIGHT)
        assert (end, outcome.value.array) == ("exit", 3)


def test_a_task_that_ends_the_server_does_not_run_again(monkeypatch, needs_bwrap):
    starts = []
    start = sandbox.Sandbox._start
    monkeypatch.setattr(sandbox.Sandbox, "_start", lambda box: (starts.append(box), start(box)))
    with sandbox.Sandbox("bwrap") as box:
        task(box, RIGHT)
        with pytest.raises(sandbox.Died):
            box.do({"what the server cannot load": task, "seconds": 1.0})
        assert len(starts) == 1
        assert task(box, RIGHT)[1][0].value.array == 3
        assert len(starts) == 2


def test_nothing_runs_without_bubblewrap_unless_one_asks_for_less(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(sandbox.SandboxError, match=r"apt-get install bubblewrap.*--sandbox unshare"):
        sandbox.choose("auto")


def test_bubblewrap_that_does_not_work_here_is_refused_with_its_reason(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create a new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(
        sandbox.SandboxError, match=r"No permissions to create a new namespace.*user namespaces"
    ):
        sandbox.choose("auto")


def test_a_sandbox_that_cannot_start_is_no_fault_of_the_student(monkeypatch, needs_bwrap):
    monkeypatch.setattr(sandbox, "INSIDE", Path("/usr"))  # no server there
    with (
        sandbox.Sandbox("bwrap") as box,
        pytest.raises(sandbox.SandboxError, match=r"did not start: .*server"),
    ):
        task(box, "def rmse(p, r): return 1")


def test_the_server_empties_nothing_outside_a_namespace_of_its_own():
    own = os.readlink("/proc/self/ns/pid")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x").touch()
        command = [sys.executable, str(sandbox.INSIDE / "server.py"), own, folder]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=60)
        assert b"namespace of its own" in done.stderr
        assert (Path(folder) / "x").exists()
