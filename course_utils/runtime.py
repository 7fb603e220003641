"""Where and how a lab runs: folder, device, threads, seeds, and the FAST / STRICT / HEADLESS switches.

torch is imported inside the functions that need it, so that asking for the folder stays quick.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _switch(name: str) -> bool:
    value = os.environ.get(name, "")
    if value.lower() in ("1", "true", "yes"):
        return True
    if value in ("", "0"):
        return False
    raise ValueError(f"{name}={value!r}: must be 1, true or yes for on; 0, empty or unset for off")


def is_fast() -> bool:
    """Whether labs take their short cuts (COURSE_FAST): a few seconds a lab, claims not gated."""
    return _switch("COURSE_FAST")


def is_strict() -> bool:
    """Whether a claim outside its band raises (COURSE_STRICT), as in CI."""
    return _switch("COURSE_STRICT")


def is_headless() -> bool:
    """Whether nobody is watching (COURSE_HEADLESS): no progress bars, no widgets."""
    return _switch("COURSE_HEADLESS")


def course_root() -> Path:
    """The folder of the course: COURSE_ROOT, or the folder that holds course_utils/."""
    root = os.environ.get("COURSE_ROOT")
    return Path(root) if root else Path(__file__).resolve().parent.parent


def device() -> torch.device:
    """The device to train on: COURSE_DEVICE, or "cuda" where there is a GPU, else "cpu"."""
    import torch

    return torch.device(os.environ.get("COURSE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  for libraries that still draw from the global state
    torch.manual_seed(seed)


def start(seed: int = 0) -> torch.device:
    """Set the number of threads (COURSE_THREADS, default 1), seed everything, return the device.

    One thread is bit-identical from run to run, and models of this size gain little from a second.
    """
    import torch

    threads = os.environ.get("COURSE_THREADS") or "1"
    if not threads.isdecimal() or int(threads) < 1:
        raise ValueError(f"COURSE_THREADS={threads!r}: must be a whole number, 1 or more")
    torch.set_num_threads(int(threads))
    seed_everything(seed)
    return device()
