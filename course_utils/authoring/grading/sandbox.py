"""A sandbox for one submission: Python with torch, the course's package without the answers, and nothing
else.

Its first process (inside/server.py) loads torch once and forks a process for each task. With bubblewrap: no
network, no file but Python's and the package's, no variable of the environment, a small temporary folder, and
limits on time, memory, processes, file size and output. "unshare" is weaker: the files that you can read are
there to be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from course_utils import runtime
from course_utils.authoring.grading import inside
from course_utils.authoring.grading.inside import server
from course_utils.authoring.grading.package import PACKAGE

INSTALL = "apt-get install bubblewrap (Debian, Ubuntu) or dnf install bubblewrap (Fedora)"
INSIDE = Path(inside.__file__).resolve().parent
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")
PRIVATE = ("/tmp", "/dev/shm")  # with bubblewrap: file systems of the sandbox's own
TEMPORARY = 64 * 2**20  # bytes that fit into each of them
START_SECONDS = 180.0  # torch, from a slow disk, on a busy machine
GRACE = 10.0  # beyond the server's own
MOST_ANSWER = 32 * 2**20
_LENGTH = struct.Struct(">Q")


class SandboxError(RuntimeError):
    """The sandbox cannot be made at all; the message says what to do."""


class Died(Exception):
    """The sandbox ended, or did not answer in time, while it did a task."""


def choose(wanted: str) -> str:
    """ "bwrap" or "unshare": what `wanted` ("auto", "bwrap" or "unshare") comes to. Raises SandboxError."""
    if wanted == "unshare":
        _try([*_unshare(), "true"], "unshare")
        return "unshare"
    if not shutil.which("bwrap"):
        raise SandboxError(
            f"bubblewrap is not installed, and submissions are not run without it. Install it: {INSTALL}. "
            "Weaker, only for submissions that you trust: --sandbox unshare"
        )
    _try(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], "bubblewrap")
    return "bwrap"


def _try(command: list[str], name: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        problem = "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise SandboxError(
            f"{name} is there, but cannot make a sandbox on this machine ({problem}). It needs user "
            "namespaces: in a container, start that with them allowed; on Ubuntu 24.04, look up "
            "kernel.apparmor_restrict_unprivileged_userns."
        )


class Sandbox:
    """Started at the first task, and again after one that ended it; use it in a `with`."""

    def __init__(self, kind: str):
        self.kind, self.process = kind, None
        self.folder = tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True)
        self.course = Path(self.folder.name) / "course"
        self.course.mkdir()
        self.temporary = None  # without bubblewrap, the folder of the server that runs

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for left in Path(self.folder.name).glob("tmp*"):
            with contextlib.suppress(OSError):
                server.empty([str(left)])  # which gets further than the next line
        self.folder.cleanup()

    def show(self, package: Path) -> str:
        """Let the sandbox see this copy of the package from now on; where it is found there."""
        place = self.course / package.name
        if not place.exists():
            # Without bubblewrap what is seen can be written to: then only copies.
            shutil.copytree(package, place, copy_function=_link if self.kind == "bwrap" else shutil.copyfile)
        return f"/course/{package.name}" if self.kind == "bwrap" else str(place)

    def do(self, task: dict[str, Any]) -> tuple[dict, bytes]:
        """The server's head and what the task wrote. Raises Died; the next task then gets a new server.

        A server that is gone before anything of the task has run was ended by what ran before: the task gets
        a new one. One that has begun never runs a second time.
        """
        data = pickle.dumps(task)
        try:
            if self.process is None or not self._begin(data):
                self.stop()
                self._start()
                if not self._begin(data):
                    raise Died("the server ended")
            # the server kills what does not end by itself; only if it cannot, its end is here
            return self._answer(time.monotonic() + task["seconds"] + 3 * GRACE)
        except (OSError, Died, ValueError) as error:
            self.stop()
            raise error if isinstance(error, Died) else Died(str(error)) from error

    def _begin(self, data: bytes) -> bool:
        """Send a task; whether the server has begun it."""
        try:
            self.process.stdin.write(_LENGTH.pack(len(data)) + data)
            self.process.stdin.flush()
            return "begun" in self._answer(time.monotonic() + 3 * GRACE)[0]
        except (OSError, Died, ValueError):
            return False

    def stop(self) -> None:
        """End the server and all that it started."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with bwrap goes its PID namespace, and all in it
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _start(self) -> None:
        self.temporary = tempfile.mkdtemp(prefix="tmp", dir=self.folder.name)
        with tempfile.TemporaryFile() as errors:
            try:
                self.process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment(self.kind, self.temporary),
                    cwd="/",
                    start_new_session=True,
                )
                self._answer(time.monotonic() + START_SECONDS)
            except (OSError, Died) as error:
                errors.seek(0)
                said = errors.read(2000).decode(errors="replace").strip()
                self.stop()
                raise SandboxError(f"the sandbox did not start: {said or error}") from error

    def _command(self) -> list[str]:
        server = [sys.executable, "-s", "-P", "-m", "server", os.readlink("/proc/self/ns/pid")]
        if self.kind == "unshare":  # which sees the machine's own /tmp: never that
            return [*_unshare(), *server, self.temporary]
        return ["bwrap", *_bwrap(str(self.course)), *server, *PRIVATE]

    def _answer(self, deadline: float) -> tuple[dict, bytes]:
        (size,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if size > MOST_ANSWER:
            raise Died("an answer that is too long")
        data = self._read(size, deadline)
        (length,) = _LENGTH.unpack_from(data)
        return json.loads(data[_LENGTH.size : _LENGTH.size + length]), data[_LENGTH.size + length :]

    def _read(self, n: int, deadline: float) -> bytes:
        pipe, parts = self.process.stdout.fileno(), []
        while n:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise Died("no answer in time")
            part = os.read(pipe, min(n, 2**20))
            if not part:
                raise Died("the server ended")
            parts.append(part)
            n -= len(part)
        return b"".join(parts)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def environment(kind: str, temporary: str) -> dict[str, str]:
    """All the variables that there are in a sandbox; temporary is the folder of one made by unshare."""
    home = "/tmp" if kind == "bwrap" else temporary
    path = "/grader" if kind == "bwrap" else str(INSIDE)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return one_thread | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HOME": home,
        "TMPDIR": home,
        "USER": "student",
        "LOGNAME": "student",
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "COURSE_HEADLESS": "1",
    }


def _bwrap(course: str) -> list[str]:
    """The arguments of bwrap. Where Python lies inside the course's folder, or the other way round, the
    course's own files are covered, and of that folder only Python is seen.
    """
    pythons = dict.fromkeys(
        str(Path(path).resolve() if resolved else Path(path))
        for path in (sys.prefix, sys.base_prefix, Path(sys.executable).resolve().parents[1])
        for resolved in (False, True)
    )
    root = runtime.course_root().resolve()
    # The server is the first process: bwrap's own would hold the pipes to the grader open for all to see.
    words = ["--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for path in (*SYSTEM, *(p for p in pythons if not Path(p).is_relative_to(root))):
        words += ["--ro-bind-try", path, path]
    seen = [Path(path) for path in (*SYSTEM, *pythons)]
    if any(root.is_relative_to(path) for path in seen):
        words += ["--tmpfs", str(root)]
    for path in pythons:
        if Path(path).is_relative_to(root):
            words += ["--ro-bind", path, path]
    if any(PACKAGE.is_relative_to(path) for path in seen):
        words += ["--tmpfs", str(PACKAGE), "--remount-ro", str(PACKAGE)]
    words += ["--ro-bind", course, "/course", "--ro-bind", str(INSIDE), "/grader"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for place in PRIVATE:
        words += ["--size", str(TEMPORARY), "--tmpfs", place]
    return [*words, "--remount-ro", "/", "--chdir", "/tmp"]


def _unshare() -> list[str]:
    """No network, processes of its own; files are as they are."""
    return [
        "unshare", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
    ]  # fmt: skip
