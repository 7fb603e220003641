"""Run somebody else's code: stopped in time, heard but not shown, and nothing global left changed."""

from __future__ import annotations

import contextlib
import ctypes
import io
import random
import signal
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import torch

SECONDS = 5.0
_AGAIN = 0.1  # seconds until a stop that the code swallowed (`except:`) is repeated


class TimeOut(BaseException):
    """The time is up. Not an Exception, so that `except Exception` in the code does not swallow it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeOut in this thread's Python code after so many seconds, again and again until it gets out.

    With the alarm signal in the main thread, which also wakes a sleep; elsewhere (Windows, other threads)
    from a timer thread. A call into C ends first. The interrupt of a person stays a KeyboardInterrupt.
    """
    with_signal = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    start, stop = _signal_alarm() if with_signal else _thread_alarm()
    start(max(seconds, 0.001))
    try:
        yield
    finally:
        while True:
            try:
                stop()
                break
            except TimeOut:  # it rang while it was being stopped
                continue


def _signal_alarm():
    stopped = False
    before, since = (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)), time.monotonic()

    def ring(*_):
        if not stopped:
            raise TimeOut

    def start(seconds):
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)

    def stop():
        nonlocal stopped
        stopped = True
        handler, (delay, interval) = before
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if delay:  # somebody else's alarm: what is left of it
            signal.setitimer(signal.ITIMER_REAL, max(delay - (time.monotonic() - since), 0.001), interval)

    return start, stop


def _thread_alarm():
    raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
    target, done, timer = ctypes.c_ulong(threading.get_ident()), threading.Event(), None

    def ring(seconds):
        while not done.wait(seconds):
            raise_in_thread(target, ctypes.py_object(TimeOut))
            seconds = _AGAIN

    def start(seconds):
        nonlocal timer
        timer = threading.Thread(target=ring, args=(seconds,), daemon=True)
        timer.start()

    def stop():
        done.set()
        timer.join()
        raise_in_thread(target, None)  # one that is on its way

    return start, stop


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Collect what is printed, and drop warnings; both come back as they were."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield printed


@contextlib.contextmanager
def fresh_state() -> Iterator[None]:
    """Seeded generators, gradients on, float32; afterwards the caller's state again."""
    python, numpy, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    gradients, dtype, threads = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    try:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.default_generator.manual_seed(0)  # not torch.manual_seed: other devices are left alone
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(tensors)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
