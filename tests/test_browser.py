"""A learner in a real JupyterLab: a wrong answer, its message, the right answer, its message."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course_utils.authoring import progress
from course_utils.authoring.labs import Lab, check_of, exercise_of

ROOT = Path(__file__).parents[1]
LAB = "01_collaborative_filtering"
BROWSERS = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 90
WRONG = "return float(np.mean((np.asarray(predictions) - np.asarray(ratings)) ** 2))"
RIGHT = "return float(np.sqrt(np.mean((np.asarray(predictions) - np.asarray(ratings)) ** 2)))"


@pytest.fixture(scope="module")
def browser():
    """Any Chrome or Chromium of this machine, headless."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        message = "no Chrome or Chromium found: install one, on Debian `apt-get install chromium`"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A course folder with the notebooks of this one and nothing in work/ yet."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setenv("COURSE_ROOT", str(tmp_path))
    return Lab(LAB, tmp_path)


@pytest.fixture
def jupyterlab(lab, tmp_path):
    """`course lab` as a learner starts it, on a free port of this machine; the address of its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    # fmt: off
    command = [
        sys.executable, "-c", "from course_utils.cli import main; main()", "lab", "--no-browser",
        "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.expose_app_in_browser=True", "--allow-root",
    ]
    # fmt: on
    home = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    settings = {f"JUPYTERLAB_{name}_DIR": str(tmp_path / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, env={**os.environ, **home, **settings}, stdout=log, stderr=log)
    try:
        end = time.monotonic() + SECONDS
        while not answers(f"http://127.0.0.1:{port}/api?token={token}"):
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/{LAB}.ipynb?token={token}"
    finally:
        server.terminate()  # its kernels end with it
        server.wait(SECONDS)
        log.close()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


class Page:
    """What the test does in the notebook's page, in words."""

    def __init__(self, page):
        self.page = page

    def run(self, index):
        """Run a cell as the menu does, and wait until it is done."""
        self.page.evaluate(
            """async index => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.sessionContext.ready;
                panel.content.activeCellIndex = index;
                await window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )

    def edit(self, index, keys, text):
        """Click into a cell, press the keys that select what to replace, and type."""
        self.page.evaluate(
            """async index => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                await notebook.scrollToItem(index, 'center');
            }""",
            index,
        )
        editor = self.page.locator(".jp-Notebook .jp-Cell.jp-mod-active .cm-content")
        editor.click()
        for key in keys:
            self.page.keyboard.press(key)
        self.page.keyboard.type(text)

    def run_this_and_the_next(self):
        """Shift+Enter twice: the exercise, then its check."""
        self.page.keyboard.press("Shift+Enter")
        self.page.keyboard.press("Shift+Enter")

    def message(self, text):
        """The output that contains this text, as the learner reads it."""
        output = self.page.locator(".jp-Notebook .jp-OutputArea-output", has_text=text).first
        output.wait_for(state="visible")
        return output.inner_text()

    def save(self):
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


@pytest.fixture
def page(browser, jupyterlab):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    page.goto(jupyterlab)
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.content?.widgets?.length > 0")
    yield Page(page)
    context.close()


@pytest.mark.browser
def test_a_learner_types_a_wrong_and_then_a_right_answer(page, lab):
    cells = json.loads(lab.learner.read_text(encoding="utf-8"))["cells"]
    setup = next(i for i, cell in enumerate(cells) if "setup" in cell["metadata"].get("tags", []))
    exercise = next(i for i, cell in enumerate(cells) if exercise_of(cell) == "1.3")
    assert check_of(cells[exercise + 1]) == "1.3"
    page.run(setup)

    stub = ("Control+End", "Shift+ArrowUp", "Shift+Home")  # the comment and the raise
    page.edit(exercise, stub, WRONG)
    page.run_this_and_the_next()
    wrong = page.message("[1.3] rmse: got")
    assert "expected" in wrong
    assert "?" in wrong  # it asks, and does not give the answer away
    assert "Traceback" not in wrong
    assert "sqrt" not in wrong

    page.edit(exercise, ("Control+End", "Shift+Home"), RIGHT)
    page.run_this_and_the_next()
    assert page.message("[1.3] rmse: ok").startswith("[1.3] rmse: ok (")

    page.save()  # what JupyterLab writes is still known to `course progress`
    standing = {one.id: one.status for one in progress.standings(lab)}
    assert standing.pop("1.3") == "passed"
    assert set(standing.values()) == {"not written"}
