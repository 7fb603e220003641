"""Start an IPython kernel inside bubblewrap: what the kernel of nbgrader's autograde does with student code.

The kernel sees Python, the course's package, data and recorded results, all read-only, and a temporary
folder of its own; no network, no other file, no variable of the environment but those of the course. It
speaks over sockets in files, and this process, outside, hands on between them and Jupyter's ports. That
protects the machine and the other students, not the score: what runs in a kernel can print what it likes.

Called by Jupyter as `python -P -m course_utils.authoring.sandboxed_kernel CONNECTION_FILE [ARGUMENT]...`;
-P, because the current folder is the student's.
"""

import asyncio
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import course_utils
from course_utils import runtime

HANDED_ON = ("COURSE_FAST", "COURSE_STRICT", "COURSE_HEADLESS", "COURSE_THREADS", "LANG")
DATA = ("COURSE_DATA_CACHE", "COURSE_DATA_DIR")  # folders
GIB = 2**30
LIMITS = {
    resource.RLIMIT_AS: 8 * GIB,  # addresses, of which torch reserves more than it uses
    resource.RLIMIT_CPU: 1800,
    resource.RLIMIT_FSIZE: GIB // 2,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NPROC: 4096,  # threads of the same user elsewhere count too; root is not held to it
}
TEMPORARY = GIB  # bytes that fit into each of the folders that can be written to
INSIDE = "/run/kernel"


def main(connection_file: str, *arguments: str) -> int:
    """Run a kernel until it ends, or until Jupyter does; its exit code."""
    bwrap = shutil.which("bwrap")
    if not bwrap:
        sys.exit("The kernel of this course needs bubblewrap: `course nbgrader` says how to install it.")
    for limit, value in LIMITS.items():
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard),) * 2)
    connection = json.loads(Path(connection_file).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="kernel-") as name:
        folder = Path(name)
        (folder / "sockets").mkdir()
        inside = json.dumps(connection | {"transport": "ipc", "ip": f"{INSIDE}/sockets/port"})
        (folder / "connection.json").write_text(inside, encoding="utf-8")
        kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", f"{INSIDE}/connection.json", *arguments]
        command = [bwrap, *sandbox(runtime.course_root(), folder), *kernel]
        return asyncio.run(_run(command, connection, folder))


def sandbox(root: Path, folder: Path) -> list[str]:
    """The arguments of bwrap for a kernel of the course in `root`, with the connection file in `folder`."""
    seen = [sys.prefix, sys.base_prefix, *(f"/{name}" for name in ("usr", "bin", "lib", "lib64"))]
    seen += ["/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives"]
    package = Path(course_utils.__file__).parent
    seen += map(str, (package, root / "data", root / "benchmarks/results"))
    seen += [os.environ[name] for name in DATA if name in os.environ]
    environment = {name: os.environ[name] for name in HANDED_ON + DATA if name in os.environ}
    environment |= {"COURSE_ROOT": str(root), "PYTHONPATH": str(package.parent)}
    environment |= {"HOME": "/tmp", "USER": "student", "PATH": "/usr/bin:/bin"}
    return [
        "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
        "--proc", "/proc", "--dev", "/dev", "--size", str(TEMPORARY), "--tmpfs", "/tmp",
        *(word for path in dict.fromkeys(seen) for word in ("--ro-bind-try", path, path)),
        "--size", str(TEMPORARY), "--tmpfs", str(root / "build"),
        "--ro-bind", f"{folder}/connection.json", f"{INSIDE}/connection.json",
        "--bind", f"{folder}/sockets", f"{INSIDE}/sockets", "--remount-ro", "/", "--chdir", "/tmp",
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
    ]  # fmt: skip


async def _run(command: list[str], connection: dict, folder: Path) -> int:
    """Hand on what goes between Jupyter and the kernel until the kernel ends, or Jupyter has."""
    with open(folder / "errors", "w+", encoding="utf-8", errors="replace") as errors:
        kernel = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=errors)
        end, parent, begun = asyncio.ensure_future(kernel.wait()), os.getppid(), False
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, kernel.kill)  # and tidy up
        servers = []  # kept, so that none is collected
        for port in (value for name, value in connection.items() if name.endswith("_port")):
            to_socket = functools.partial(_hand_on, folder / "sockets" / f"port-{port}")
            servers.append(await asyncio.start_server(to_socket, connection["ip"], port))
        while not end.done():
            await asyncio.wait([end], timeout=1)
            begun = begun or any((folder / "sockets").iterdir())
            abandoned = os.getppid() != parent
            if kernel.returncode is None and (abandoned or not _only_sockets(folder / "sockets")):
                kernel.kill()
        if not begun:  # else it is what the student's code wrote, which is in the notebook
            errors.seek(0)
            print(errors.read(2000), file=sys.stderr)
    return end.result()


def _only_sockets(folder: Path) -> bool:
    """Whether the one folder of the machine that the kernel can write to holds only what it needs there."""
    modes = [path.lstat().st_mode for path in folder.iterdir()]
    return len(modes) <= 5 and all(map(stat.S_ISSOCK, modes))


async def _hand_on(socket: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        from_kernel, to_kernel = await asyncio.open_unix_connection(socket)
    except OSError:  # not open yet: Jupyter will try again
        writer.close()
        return
    with contextlib.suppress(asyncio.CancelledError):  # at the end of all, which is nothing to report
        await asyncio.gather(_pump(reader, to_kernel), _pump(from_kernel, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
