"""An environment of its own for the libraries that the course is compared with, under build/peers."""

import subprocess
import venv
from pathlib import Path

from course_utils import runtime


def python_with(name: str, packages: tuple[str, ...]) -> Path:
    """The interpreter of build/peers/<name>, made when it is not there."""
    folder = runtime.course_root() / "build" / "peers" / name
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        ready.touch()
    return python


METRICS = (
    "ranx==0.3.21",
    "rectools==0.19.0",
    "scikit-learn==1.9.1",
    "torchmetrics==1.9.0",
    "torch==2.13.0",
    "numpy==1.26.4",
    "pandas==2.3.3",
    "scipy==1.17.1",
    "numba==0.68.1",
)
