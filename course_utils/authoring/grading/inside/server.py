"""The first process in the sandbox: loads torch once, then forks a process for each task it is sent.

Called as `python -m server PID_NAMESPACE FOLDER...`, where PID_NAMESPACE is that of whoever started the
sandbox: this process must have another, since it ends all processes that it sees after each task. The folders
are the sandbox's own, made for it: they are emptied after each task.

Tasks come on stdin, each 8 bytes length and a pickle (they come from the grader, which is trusted). Answers
go to stdout, each 8 bytes length, a head in JSON of 8 bytes length, and what the process wrote to its pipe,
unread. A task has two: one before anything of it runs, and its end.
"""

import contextlib
import ctypes
import itertools
import json
import os
import pickle
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Iterable

LENGTH = struct.Struct(">Q")
GRACE = 5.0  # seconds from the limit that a task keeps by itself until its process is killed
MIB = 2**20
MOST_OUTPUT = 16 * MIB
MOST_MEMORY = 2048 * MIB  # beyond what the server takes, for all processes of a task together
MOST_PROCESSES = 32
MOST_FILE = 32 * MIB
_LOOK = 0.02  # seconds between two looks at a running task
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_DUMPABLE = 4


def main(outer_pids: str, *own_folders: str) -> None:
    """Serve until stdin ends."""
    if os.readlink("/proc/self/ns/pid") == outer_pids or os.getpid() != 1:
        sys.exit("the server must be the first process of a PID namespace of its own")
    tasks, answers = 0, os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    # Nobody else in the sandbox may read this process's memory or its open files.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    import torch  # and numpy with it

    torch.set_num_threads(1)
    os.dup2(nothing, 2)
    _write(answers, {"ready": True}, b"")
    while task := _read(tasks):
        keep = {tasks, answers}
        _write(answers, {"begun": True}, b"")
        _write(answers, *_run(pickle.loads(task), keep))
        empty(own_folders)


def _read(fd: int) -> bytes:
    head = _exactly(fd, LENGTH.size)
    return _exactly(fd, LENGTH.unpack(head)[0]) if head else b""


def _exactly(fd: int, n: int) -> bytes:
    parts = []
    while n and (part := os.read(fd, n)):
        parts.append(part)
        n -= len(part)
    return b"".join(parts) if not n else b""


def _write(fd: int, head: dict, payload: bytes) -> None:
    text = json.dumps(head).encode()
    data = memoryview(
        LENGTH.pack(LENGTH.size + len(text) + len(payload)) + LENGTH.pack(len(text)) + text + payload
    )
    while data:
        data = data[os.write(fd, data) :]


def _run(task: dict, private: set[int]) -> tuple[dict, bytes]:
    """Fork a process for the task; how it ended ("exit", "killed", "time", "output", "memory" or
    "processes"), and what it wrote.
    """
    reading, writing = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _become_child(writing, private | {reading})
            import child

            child.work(task, 3)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    end, output = _watch(pid, reading, started + task["seconds"] + GRACE)
    os.close(reading)
    _kill_all()
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    return {"end": end, "seconds": round(time.monotonic() - started, 3)}, output


def _become_child(writing: int, private: set[int]) -> None:
    """Only the pipe as file 3, and limits."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    out = os.dup2(writing, max(64, writing + 1))
    os.dup2(out, 3, inheritable=False)
    os.closerange(4, 4096)
    assert not {fd for fd in private if fd > 3 and _is_open(fd)}
    limits = {
        resource.RLIMIT_AS: _used_addresses() + MOST_MEMORY,
        resource.RLIMIT_FSIZE: MOST_FILE,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 256,
    }
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value, value) if hard == -1 else (min(value, hard),) * 2)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _used_addresses() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * _PAGE


def _watch(pid: int, reading: int, deadline: float) -> tuple[str, bytes]:
    """Read the pipe until the process has ended or has to be ended."""
    os.set_blocking(reading, False)
    parts, size, own = [], 0, _resident(os.getpid())
    ended = None
    while True:
        ready = select.select([reading], [], [], 0 if ended else _LOOK)[0]
        data = b""
        if ready:
            try:
                data = os.read(reading, MIB)
            except BlockingIOError:
                data = b""
        if data:
            parts.append(data)
            size += len(data)
            if size > MOST_OUTPUT:
                return "output", b""
            continue
        if ended:
            return ended, b"".join(parts)
        if ready:  # the pipe is closed: nothing more will come, but the process may run on
            time.sleep(_LOOK)
        if time.monotonic() > deadline:
            ended = "time"
        elif problem := _too_much(own):
            ended = problem
        else:
            ended = _reap(pid)
        if ended in ("time", "memory", "processes"):
            _kill_all()


def _reap(pid: int) -> str | None:
    """How the process ended, if it has; what it has left behind is this one's to reap."""
    while True:
        done, status = os.waitpid(-1, os.WNOHANG)
        if done == pid:
            return "exit" if status == 0 else "killed"
        if not done:
            return None


def _kill_all() -> None:
    """End whatever there is but this process, the first of its namespace."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def _too_much(own: int) -> str:
    others = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    others = [pid for pid in others if pid != os.getpid()]
    if len(others) > MOST_PROCESSES:
        return "processes"
    if sum(max(0, _resident(pid) - own) for pid in others) > MOST_MEMORY:
        return "memory"
    return ""


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


def empty(folders: Iterable[str]) -> None:
    """The next exercise starts without what this one left, be it write-protected or deeply nested. Where that
    fails, the sandbox ends, and a new one is made.

    What lies in a folder moves up before that goes, so that no path and no stack of calls gets long.
    """
    for top in folders:
        if os.path.islink(top):
            raise OSError(f"{top} is not the folder that it was")
        os.chmod(top, 0o700)
        free = (path for n in itertools.count() if not os.path.lexists(path := f"{top}/{n}"))
        while entries := _some_of(top):
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)
                while inner := _some_of(entry.path):
                    for path in (part.path for part in inner if not part.is_dir(follow_symlinks=False)):
                        os.unlink(path)
                    for path in (part.path for part in inner if part.is_dir(follow_symlinks=False)):
                        os.chmod(path, 0o700)  # only who may write into a folder may move it
                        os.rename(path, next(free))
                os.rmdir(entry.path)


def _some_of(folder: str) -> list[os.DirEntry]:
    """There may be more of them than fit into memory."""
    with os.scandir(folder) as entries:
        return list(itertools.islice(entries, 10_000))


if __name__ == "__main__":
    main(*sys.argv[1:])
