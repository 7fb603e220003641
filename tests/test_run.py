import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from toy_lab import CLAIMS, LAB, make_course

from course_utils import claims
from course_utils.authoring.run import parse_value
from course_utils.cli import main

QUIET = '# %% tags=["parameters"]\nFAST = False\nSHIFT = 0.0\nSEED = 0\n\n# %%\nprint("seed", SEED)\n'
BROKEN = "# %% [markdown]\n# ## The broken part\n\n# %%\nraise ValueError('what came')\n"
IDS = [one.id for one in claims.load().values() if one.lab == LAB]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Makes a course folder from named sources and lets COURSE_ROOT name it."""
    for switch in ("COURSE_FAST", "COURSE_STRICT"):
        monkeypatch.delenv(switch, raising=False)

    def make(**sources):
        root = make_course(tmp_path / "course", **sources)
        monkeypatch.setenv("COURSE_ROOT", str(root))
        return root

    return make


def run(*arguments):
    result = CliRunner().invoke(main, ["run", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def results(root):
    return json.loads((root / "build" / "results.json").read_text())["labs"]


def test_a_lab_that_holds_its_claims(course):
    root = course(**{LAB: CLAIMS})
    result = run()
    assert result.exit_code == 0, result.output
    progress = [line for line in result.output.splitlines() if line.startswith(f"{LAB}: ")]
    assert len(progress) == 1
    assert "ok in " in progress[0]
    for declared in claims.load().values():
        if declared.lab == LAB:
            assert declared.id in result.output
            assert declared.target in result.output

    lab = results(root)[LAB]
    assert set(lab) == {"status", "seconds", "claims"}
    assert lab["status"] == "ok"
    assert lab["seconds"] > 0
    assert [one["id"] for one in lab["claims"]] == IDS
    for one in lab["claims"]:
        assert set(one) == {"id", "value", "lo", "hi", "target", "ok"}
        assert one["lo"] <= one["value"] <= one["hi"]
        assert one["ok"] is True
    assert sorted(path.name for path in (root / "build").iterdir()) == [
        f"{LAB}.html",
        f"{LAB}.ipynb",
        "results.json",
    ]
    assert IDS[0] in (root / "build" / f"{LAB}.html").read_text()


def test_a_failing_lab_is_named_and_does_not_stop_the_others(course):
    root = course(
        _02_broken=BROKEN, _03_dead="# %%\nimport os\nos._exit(3)\n", _04_odd="x = 1\n", _05_fine=QUIET
    )
    result = run()
    assert result.exit_code == 1
    last = result.output.splitlines()[-3:]
    broken = (
        """02_broken: cell 2 under "The broken part" (raise ValueError('what came')): ValueError: what came"""
    )
    assert last[0] == broken
    assert last[1] == "03_dead: cell 1 (import os): the kernel died"
    assert last[2].startswith("04_odd: solutions/04_odd.py: 1 cells")
    assert [lab["status"] for lab in results(root).values()] == ["failed", "failed", "failed", "ok"]
    assert "ValueError" in (root / "build" / "02_broken.html").read_text()


def test_a_claim_outside_its_band_fails_the_lab_and_the_others_are_still_made(course):
    root = course(**{LAB: CLAIMS.replace("+ SHIFT", f"+ (9 if one.id == {IDS[0]!r} else 0)")})
    result = run()
    assert result.exit_code == 1
    assert (
        f'{LAB}: cell 3 under "The figures" (from course_utils import claims): claim {IDS[0]} '
        in result.output
    )
    assert [one["ok"] for one in results(root)[LAB]["claims"]] == [False] + [True] * (len(IDS) - 1)
    assert results(root)[LAB]["status"] == "failed"


def test_a_claim_that_is_not_made_fails_the_lab(course):
    root = course(**{LAB: CLAIMS.replace("for one in", f"made = {IDS[1:]}\nfor one in").replace(
        'one.lab == "01_collaborative_filtering"', "one.id in made")})  # fmt: skip
    result = run()
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == f"{LAB}: claim {IDS[0]} is declared but was not made"
    assert len(results(root)[LAB]["claims"]) == len(IDS) - 1


def test_a_claim_of_another_lab_fails(course):
    course(_09_other=CLAIMS)
    result = run()
    assert result.exit_code == 1
    assert f"09_other: claim {IDS[0]} is declared for another lab" in result.output


# ---- parameters and FAST ----


def test_parameters_reach_the_lab(course):
    root = course(_01_quiet=QUIET)
    assert run("-p", "SEED", "3").exit_code == 0
    assert "seed 3" in (root / "build" / "01_quiet.ipynb").read_text()


def test_an_unknown_parameter_is_refused_before_anything_runs(course):
    root = course(_01_quiet=QUIET, _02_none="# %%\n1\n")
    result = run("-p", "SEDE", "3")
    assert result.exit_code == 2
    assert "parameter 'SEDE': 01_quiet has FAST, SHIFT, SEED" in result.output
    result = run("2", "-p", "SEED", "3")
    assert result.exit_code == 2
    assert "parameter 'SEED': 02_none has none" in result.output
    assert not (root / "build").exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("[1, 2]", [1, 2]),
        ("None", None),
        ("a b", "a b"),
    ],
)
def test_values_from_the_command_line(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize("by_parameter", [True, False])
def test_fast_gates_nothing(course, monkeypatch, by_parameter):
    root = course(**{LAB: CLAIMS.replace("SHIFT = 0.0", "SHIFT = 9.0")})
    if not by_parameter:
        monkeypatch.setenv("COURSE_FAST", "1")
    result = run(*(("-p", "FAST", "true") if by_parameter else ()))
    assert result.exit_code == 0
    assert result.output.count("not gated") == len(IDS)
    assert {one["ok"] for one in results(root)[LAB]["claims"]} == {None}


def test_strict_in_the_environment_does_not_cut_the_run_short(course, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    root = course(**{LAB: CLAIMS.replace("SHIFT = 0.0", "SHIFT = 9.0")})
    assert run().exit_code == 1
    assert len(results(root)[LAB]["claims"]) == len(IDS)
    assert os.environ["COURSE_STRICT"] == "1"


# ---- resume ----


def skipped(result):
    return [line.split(":")[0] for line in result.output.splitlines() if "skipped" in line]


def test_resume_skips_what_is_finished_and_unchanged(course):
    root = course(**{LAB: CLAIMS, "_02_quiet": QUIET, "_03_broken": BROKEN})
    assert run().exit_code == 1
    before = results(root)

    result = run("--resume")
    assert skipped(result) == [LAB, "02_quiet"]
    assert IDS[0] in result.output  # in the table, from the earlier run
    assert result.exit_code == 1
    assert {name: results(root)[name] for name in (LAB, "02_quiet")} == {
        name: before[name] for name in (LAB, "02_quiet")
    }

    (root / "solutions" / "02_quiet.py").write_text(QUIET + "\n# %%\n1\n")
    (root / "solutions" / "03_broken.py").write_text(QUIET)
    result = run("--resume")
    assert skipped(result) == [LAB]
    assert result.exit_code == 0
    assert {lab["status"] for lab in results(root).values()} == {"ok"}


def test_resume_runs_again_when_parameters_or_fast_have_changed(course, monkeypatch):
    course(_01_quiet=QUIET)
    run()
    assert skipped(run("--resume", "-p", "SEED", "3")) == []
    assert skipped(run("--resume", "-p", "SEED", "3")) == ["01_quiet"]
    monkeypatch.setenv("COURSE_FAST", "1")
    assert skipped(run("--resume", "-p", "SEED", "3")) == []


def test_without_resume_everything_runs_and_old_results_go(course):
    root = course(_01_quiet=QUIET, _02_quiet=QUIET)
    run()
    result = run("2")
    assert skipped(result) == []
    assert list(results(root)) == ["02_quiet"]


def test_resume_of_one_lab_keeps_the_others(course):
    root = course(_01_quiet=QUIET, _02_quiet=QUIET)
    run("1")
    run("2", "--resume")
    assert list(results(root)) == ["01_quiet", "02_quiet"]


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process")
def test_an_interrupt_keeps_what_is_finished_and_leaves_no_kernel(course):
    slow = (
        "# %%\nimport os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(60)\n"
    )
    root = course(_01_quiet=QUIET, _02_slow=slow)
    process = subprocess.Popen(
        [sys.executable, "-c", "from course_utils.cli import main; main()", "run"],
        stdout=subprocess.PIPE,
        text=True,
    )
    until(lambda: (root / "pid").exists() and (root / "pid").read_text())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "course run --resume" in output
    assert {name: lab["status"] for name, lab in results(root).items()} == {"01_quiet": "ok"}
    until(lambda: not alive(int((root / "pid").read_text())))


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
