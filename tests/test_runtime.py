import random
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils import runtime

SWITCHES = {
    "COURSE_FAST": runtime.is_fast,
    "COURSE_STRICT": runtime.is_strict,
    "COURSE_HEADLESS": runtime.is_headless,
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in [*SWITCHES, "COURSE_THREADS", "COURSE_DEVICE", "COURSE_ROOT"]:
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("true", True), ("TRUE", True), ("Yes", True), ("0", False), ("", False), (None, False)],
)
def test_switch(monkeypatch, name, value, expected):
    if value is not None:
        monkeypatch.setenv(name, value)
    assert SWITCHES[name]() is expected
    others = [switch for other, switch in SWITCHES.items() if other != name]
    assert not any(switch() for switch in others)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["on", "2", "false", " 1"])
def test_a_switch_that_is_misspelt_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name}='{value}'.*1, true or yes"):
        SWITCHES[name]()


def test_course_root(monkeypatch, tmp_path):
    assert (runtime.course_root() / "course_utils" / "runtime.py").exists()
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    assert runtime.course_root() == Path(tmp_path)


def test_device(monkeypatch):
    assert runtime.device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setenv("COURSE_DEVICE", "meta")
    assert runtime.device() == torch.device("meta")


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_seed_everything():
    runtime.seed_everything(3)
    first = draws()
    assert draws() != first
    runtime.seed_everything(3)
    assert draws() == first
    runtime.seed_everything(4)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_start_sets_threads_and_seed(monkeypatch):
    torch.set_num_threads(2)
    assert runtime.start(seed=3) == runtime.device()
    assert torch.get_num_threads() == 1
    first = draws()
    runtime.seed_everything(3)
    assert draws() == first
    monkeypatch.setenv("COURSE_THREADS", "2")
    runtime.start()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_threads_must_be_a_positive_whole_number(monkeypatch, value):
    monkeypatch.setenv("COURSE_THREADS", value)
    with pytest.raises(ValueError, match=f"COURSE_THREADS='{value}'.*1 or more"):
        runtime.start()
