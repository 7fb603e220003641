"""Downloads from a real local server that is slow, breaks off, lies or is not there; two at once."""

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile

import pytest
from movielens_files import small_1m, zipped

from course_utils.data import DataError, check_cache, load_movielens, sources
from course_utils.data.sources import download

BODY = bytes(range(256)) * 400


class Script(http.server.BaseHTTPRequestHandler):
    """Plays one step of `server.steps` a request, the last one again and again."""

    def do_GET(self):
        steps = self.server.steps
        self.server.paths.append(self.path)
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        with contextlib.suppress(OSError):  # the client has hung up
            step(self)

    def log_message(self, *_args):
        pass


def answers(body, declared=None, status=200):
    """A step that sends this body, with a Content-Length that may lie."""

    def step(request):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body) if declared is None else declared))
        request.end_headers()
        request.wfile.write(body)

    return step


def waits(seconds, then):
    def step(request):
        request.server.stop.wait(seconds)
        then(request)

    return step


def endless(request):
    request.send_response(200)
    request.end_headers()
    while not request.server.stop.is_set():
        request.wfile.write(BODY)


@pytest.fixture
def serve(monkeypatch):
    """serve(step, ...) starts a server; its url ends with a slash, its paths are the requests so far."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COURSE_HEADLESS", "1")
    servers = []

    def start(*steps):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script)
        server.steps, server.paths, server.stop = list(steps), [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def archive(tmp_path):
    """The bytes of a small ml-1m.zip."""
    return zipped(small_1m(tmp_path / "ml-1m"), tmp_path / "ml-1m.zip", "ml-1m").read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("COURSE_DATA_CACHE", str(folder))
    monkeypatch.delenv("COURSE_DATA_DIR", raising=False)
    return folder


def test_a_whole_body_is_saved(serve, tmp_path):
    server = serve(answers(BODY))
    download(server.url + "x", tmp_path / "x", 1 << 20)
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.paths == ["/x"]


def test_a_busy_server_is_asked_again_after_a_pause(serve, tmp_path):
    server = serve(answers(b"", status=503), answers(b"", status=503), answers(BODY))
    start = time.monotonic()
    download(server.url + "x", tmp_path / "x", 1 << 20)
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(server.paths) == 3
    assert time.monotonic() - start > 0.5  # no pause, then 2 * 0.3 s


def test_a_connection_that_is_dropped_is_tried_again(serve, tmp_path):
    server = serve(lambda request: None, answers(BODY))
    download(server.url + "x", tmp_path / "x", 1 << 20)
    assert len(server.paths) == 2


def test_a_server_that_stays_busy_is_given_up(serve, tmp_path):
    server = serve(answers(b"", status=503))
    with pytest.raises(DataError, match="too many 503"):
        download(server.url + "x", tmp_path / "x", 1 << 20)
    assert len(server.paths) == 3


def test_not_found_is_not_asked_again(serve, tmp_path):
    server = serve(answers(b"", status=404))
    with pytest.raises(DataError, match="404"):
        download(server.url + "x", tmp_path / "x", 1 << 20)
    assert len(server.paths) == 1


def test_a_body_that_breaks_off_is_fetched_again(serve, tmp_path):
    server = serve(answers(BODY[:5000], declared=len(BODY)), answers(BODY))
    download(server.url + "x", tmp_path / "x", 1 << 20)
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(server.paths) == 2


def test_a_body_that_always_breaks_off_is_given_up(serve, tmp_path):
    server = serve(answers(BODY[:5000], declared=len(BODY)))
    with pytest.raises(DataError, match="broke off"):
        download(server.url + "x", tmp_path / "x", 1 << 20)
    assert len(server.paths) == 2


def test_a_body_without_end_is_given_up(serve, tmp_path):
    with pytest.raises(DataError, match="more than 300,000 bytes"):
        download(serve(endless).url + "x", tmp_path / "x", 300_000)


def test_a_silent_server_is_given_up(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "READ_SECONDS", 0.2)
    server = serve(waits(30, answers(BODY)))
    start = time.monotonic()
    with pytest.raises(DataError, match=r"Read ?[Tt]ime"):
        download(server.url + "x", tmp_path / "x", 1 << 20)
    assert time.monotonic() - start < 3


def test_a_host_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(sources, "CONNECT_SECONDS", 0.2)
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill the queue: the kernel then drops further attempts without a word
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        start = time.monotonic()
        with pytest.raises(DataError, match=r"ConnectTimeout"):
            download(f"http://127.0.0.1:{listener.getsockname()[1]}/x", tmp_path / "x", 1 << 20)
    assert 0.35 < time.monotonic() - start < 3  # two attempts


def test_no_host_at_all_fails_quickly_with_a_readable_reason(tmp_path):
    start = time.monotonic()
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/x: .*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x", 1 << 20)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Please log in to the guest network</html>", "not a whole zip archive"),
        (None, "unsafe archive"),
    ],
)
def test_an_answer_that_is_not_the_archive_is_refused(
    serve, archive, cache, tmp_path, monkeypatch, body, words
):
    if body is None:
        (tmp_path / "unsafe.zip").write_bytes(archive)
        with zipfile.ZipFile(tmp_path / "unsafe.zip", "a") as unsafe:
            unsafe.writestr("../../outside", "x")
        body = (tmp_path / "unsafe.zip").read_bytes()
    monkeypatch.setattr(sources, "GROUPLENS", serve(answers(body)).url)
    with pytest.raises(DataError, match=words):
        load_movielens("1m")
    assert not list(tmp_path.rglob("outside"))
    assert check_cache("1m") == "not fetched yet"


# Several processes. They are real ones; only the address and the expected counts differ from the course's.

PROCESS = """
import sys, warnings
from dataclasses import replace
from course_utils.data import load_movielens, sources
from course_utils.data.sizes import SIZES
warnings.simplefilter("error")
sources.GROUPLENS = sys.argv[1]
SIZES["1m"] = replace(SIZES["1m"], counts=(4, 2, 3))
print(load_movielens("1m").timestamps.tolist())
"""


def launch(server):
    command = [sys.executable, "-c", PROCESS, server.url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_fetch_it_once(serve, archive, cache):
    server = serve(waits(1.5, answers(archive)))
    both = [launch(server), launch(server)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (out, err) == ("[978300760, 978302109, 978301968, 9783]\n", "")
    assert server.paths == ["/ml-1m.zip"]
    assert sorted(os.listdir(cache)) == [".ml-1m.lock", "ml-1m.npz"]


def test_a_killed_process_blocks_nobody(serve, archive, cache):
    server = serve(waits(60, answers(archive)), answers(archive))
    first = launch(server)
    while not server.paths and first.poll() is None:
        time.sleep(0.02)
    first.kill()
    first.communicate()
    out, err = launch(server).communicate(timeout=60)
    assert (out, err) == ("[978300760, 978302109, 978301968, 9783]\n", "")
    assert len(server.paths) == 2


@pytest.mark.parametrize("headless", ["1", ""])
def test_the_bar_is_silent_when_headless(serve, archive, cache, headless):
    server = serve(answers(archive))
    process = subprocess.run(
        [sys.executable, "-c", PROCESS, server.url],
        capture_output=True,
        text=True,
        env={**os.environ, "COURSE_HEADLESS": headless},
    )
    assert process.returncode == 0, process.stderr
    assert ("ml-1m.zip" in process.stderr) == (not headless)
