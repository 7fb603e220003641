"""What `course doctor` prints: what a student would paste into a question."""

import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import course_utils
from course_utils import runtime

LOWEST_PYTHON = (3, 11)
PIP = f'"{sys.executable}" -m pip'


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was found, and the command that mends it when it is not ok."""

    name: str
    found: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to mend."""
        return not self.mend

    def line(self) -> str:
        """As it is printed: "torch     ok   2.13.0"."""
        return f"{self.name:9} {'ok ' if self.ok else 'NO '} {self.found}" + (
            f"\n              mend it with:  {self.mend}" if self.mend else ""
        )


def examine() -> list[Finding]:
    """All findings, in the order in which they should be mended."""
    return [
        _course(), _python(), _torch(), _faiss(), _device(), _threads(), _kernel(), _jupyterlab(), _data()
    ]  # fmt: skip


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _install() -> str:
    extra = "gpu" if shutil.which("nvidia-smi") else "cpu"
    return f'{PIP} install -c requirements.lock -e ".[{extra}]"'


def _course() -> Finding:
    found = f"version {course_utils.__version__} in {runtime.course_root()}"
    installed = _version("recsys-course")
    if installed is None:
        return Finding("course", found + ", not installed", _install())
    if installed != course_utils.__version__:
        return Finding("course", f"{found}, installed as {installed}", _install())
    return Finding("course", found)


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.platform()} ({sys.executable})"
    if sys.version_info < LOWEST_PYTHON:
        return Finding("python", found, "install Python 3.11 or newer, delete .venv, and set up again")
    return Finding("python", found)


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", f"cannot be imported ({error})", _install())
    return Finding("torch", torch.__version__)


def _faiss() -> Finding:
    """faiss-cpu and faiss-gpu fill one folder: with both, one has overwritten the other."""
    found = {name: _version(name) for name in ("faiss-cpu", "faiss-gpu")}
    installed = [f"{name} {version}" for name, version in found.items() if version]
    if len(installed) == 2:
        mend = f"{PIP} uninstall -y faiss-cpu faiss-gpu && {_install()}"
        return Finding("faiss", f"{' and '.join(installed)}: only one may be installed", mend)
    if not installed or not util.find_spec("faiss"):
        mend = f"{PIP} uninstall -y faiss-cpu faiss-gpu && {_install()}"
        return Finding(
            "faiss", "not installed" if not installed else f"{installed[0]}: its files are gone", mend
        )
    return Finding("faiss", installed[0])


def _device() -> Finding:
    """The device that labs will use; a COURSE_DEVICE that this torch cannot use is not ok."""
    try:
        import torch

        device = runtime.device()
        torch.zeros(1, device=device)
    except (ImportError, OSError):
        return Finding("device", "unknown without torch", "mend torch first")
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get("COURSE_DEVICE")
        return Finding(
            "device", f"COURSE_DEVICE={wanted}: {str(error).splitlines()[0]}", "unset COURSE_DEVICE"
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} processors"
    return Finding("device", f"{device} ({name})")


def _threads() -> Finding:
    threads = os.environ.get("COURSE_THREADS") or "1"
    if not threads.isdecimal() or int(threads) < 1:
        return Finding("threads", f"COURSE_THREADS={threads!r}", "unset COURSE_THREADS")
    return Finding("threads", f"{threads} for torch (COURSE_THREADS)")


def _kernel() -> Finding:
    """The Jupyter kernel "python3" must run this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    mend = f'"{sys.executable}" -m ipykernel install --sys-prefix'
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except (NoSuchKernel, json.JSONDecodeError) as error:
        return Finding("kernel", f"python3: {error}", mend)
    program = spec.argv[0]
    own = program in (
        "python",
        "python3",
        f"python3.{sys.version_info[1]}",
    )  # Jupyter puts its own Python there
    if not own and Path(program).absolute().parent != Path(sys.executable).absolute().parent:
        return Finding("kernel", f"python3 runs {program}, not this Python", mend)
    return Finding("kernel", f"python3 in {spec.resource_dir}")


def _jupyterlab() -> Finding:
    version = _version("jupyterlab")
    return Finding("jupyter", f"jupyterlab {version}", "" if version else _install())


def _data() -> Finding:
    from course_utils.data import cache_file, check_cache

    problem = check_cache("100k")
    if problem:
        return Finding("data", f"MovieLens 100k: {problem}", "course data")
    return Finding("data", f"MovieLens 100k, verified, in {cache_file('100k')}")
