import io
import json
import math
import statistics
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from course_utils import claims

ROOT = Path(__file__).parents[1]
DECLARED = list(claims.load().values())
ENTRY = {
    "id": "toy",
    "lab": "01_toy",
    "what": "a toy model",
    "metric": "RMSE",
    "split": "random",
    "protocol": "one run",
    "target": "<= 0.95",
    "band": [0.90, 0.94],
    "control": "biases only",
    "control_value": 1.0,
    "recorded": "benchmarks/results/toy.json",
}


def declare(folder, *entries):
    """A claims file with these entries, each ENTRY with changes; None leaves a key out."""
    text = ""
    for changes in entries:
        entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
        text += "[[claim]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    path = folder / "claims.toml"
    path.write_text(text)
    return path


@pytest.fixture
def toy(tmp_path):
    return claims.load(declare(tmp_path, {}))["toy"]


@pytest.fixture
def only_toy(tmp_path, monkeypatch):
    """claim() reads a file that declares the toy alone, with every switch off."""
    declared = claims.load(declare(tmp_path, {}))
    monkeypatch.setattr(claims, "load", lambda: declared)
    for switch in ("COURSE_FAST", "COURSE_STRICT"):
        monkeypatch.delenv(switch, raising=False)


def printed(*args, **kwargs):
    out = io.StringIO()
    with redirect_stdout(out):
        claims.claim(*args, **kwargs)
    return out.getvalue()


# ---- what the labs declare ----


def test_the_claims_of_the_course_are_declared():
    assert {"mf-rmse-random", "mf-stretch-rmse-random"} <= {one.id for one in DECLARED}


@pytest.mark.parametrize("declared", DECLARED, ids=lambda one: one.id)
class TestEachDeclaration:
    def test_the_gate_passes_inside_the_band_and_fails_on_either_side(self, declared):
        lo, hi = declared.band
        step = (hi - lo) / 1000
        for value, passes in ((lo, True), (hi, True), (lo - step, False), (hi + step, False)):
            assert declared.passes(value) is passes
            assert claims.judge(declared, value, declared.control_value).ok is passes

    def test_the_gate_fails_for_the_control(self, declared):
        middle = sum(declared.band) / 2
        assert not declared.passes(declared.control_value)
        result = claims.judge(declared, middle, control=middle)
        assert result.ok is False
        assert "control" in result.verdict

    def test_the_lab_exists(self, declared):
        assert (ROOT / "solutions" / f"{declared.lab}.py").is_file()

    def test_the_recorded_seeds_give_the_declared_band_and_control(self, declared):
        path = ROOT / declared.recorded
        recorded = json.loads(path.read_text())["claims"][declared.id]
        lo, hi = claims.prediction_interval(recorded["values"])
        outwards = (math.floor(lo * 1e4) / 1e4, math.ceil(hi * 1e4) / 1e4)
        assert declared.band == pytest.approx(outwards, abs=1e-9), f"the seeds give band = {list(outwards)}"
        assert declared.control_value == pytest.approx(recorded["controls"][0], abs=5e-5)
        assert not any(declared.passes(control) for control in recorded["controls"])


# ---- the page that declares them ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": None}, r"claims.toml: claim 'toy': missing \['split'\]"),
        ({"id": None}, r"claim '\(no id\)': missing \['id'\]"),
        ({"taget": "<= 1"}, r"unknown \['taget'\]"),
        ({"target": "< 0.95"}, "target='< 0.95'"),
        ({"target": "<= nan"}, "target='<= nan'"),
        ({"band": [0.94, 0.90]}, "low below high"),
        ({"band": [0.90]}, "low below high"),
        ({"band": [0.90, 0.96]}, "not inside the target <= 0.95"),
        ({"target": ">= 0.91"}, "not inside the target >= 0.91"),
        ({"control_value": 0.92}, "control_value=0.92 must fail the gate"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        claims.load(declare(tmp_path, changes))


def test_an_id_declared_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'toy' is declared twice"):
        claims.load(declare(tmp_path, {}, {"lab": "02_other"}))


def test_a_target_from_below(tmp_path):
    changes = {"target": ">= 0.65", "band": [0.66, 0.68], "control_value": 0.41}
    declared = claims.load(declare(tmp_path, changes))["toy"]
    assert declared.meets_target(0.65)
    assert not declared.meets_target(0.64)
    assert claims.judge(declared, 0.67, 0.41).ok


# ---- making a claim ----


@pytest.mark.parametrize(
    ("value", "control", "verdict"),
    [
        (0.92, 1.0, "ok"),
        (0.97, 1.0, "misses its target"),
        (0.945, 1.0, "outside its band"),
        (0.85, 1.0, "outside its band"),
        (0.92, 0.91, claims.CONTROL_PASSES),
    ],
)
def test_the_verdicts(toy, value, control, verdict):
    result = claims.judge(toy, value, control)
    assert (result.verdict, result.ok) == (verdict, verdict == "ok")


def test_the_line_that_a_learner_reads(only_toy):
    assert printed("toy", 0.92, control=1.0) == (
        "toy: RMSE 0.9200, target <= 0.95, band 0.9000 to 0.9400, control 1.0000 fails: ok\n"
    )


def test_an_unknown_id_names_those_that_exist(only_toy):
    with pytest.raises(ValueError, match=r"id='tyo': claims.toml declares \['toy'\]"):
        claims.claim("tyo", 0.92, control=1.0)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_nan_is_no_figure(only_toy, number, monkeypatch):
    monkeypatch.setenv("COURSE_FAST", "1")  # not even where nothing is gated
    with pytest.raises(ValueError, match=r"value=(nan|inf)"):
        claims.claim("toy", number, control=1.0)
    with pytest.raises(ValueError, match=r"control=(nan|inf)"):
        claims.claim("toy", 0.92, control=number)


def test_strict_raises_after_it_has_shown_the_line(only_toy, monkeypatch, capsys):
    assert "misses its target" in printed("toy", 0.97, control=1.0)
    monkeypatch.setenv("COURSE_STRICT", "1")
    assert "ok" in printed("toy", 0.92, control=1.0)
    with pytest.raises(claims.ClaimError, match="misses its target"):
        claims.claim("toy", 0.97, control=1.0)
    assert "misses its target" in capsys.readouterr().out


def test_fast_gates_nothing(only_toy, monkeypatch):
    monkeypatch.setenv("COURSE_FAST", "1")
    monkeypatch.setenv("COURSE_STRICT", "1")
    assert printed("toy", 1.3, control=1.0) == "toy: RMSE 1.3000, target <= 0.95, not gated (FAST)\n"


# ---- the band ----


def test_the_prediction_interval_by_hand():
    # mean 2; squared distances 10 * 1, variance 10 / 9, sd 1.0541
    values = [1.0] * 5 + [3.0] * 5
    lo, hi = claims.prediction_interval(values)
    assert (lo, hi) == pytest.approx((2 - 5 * 1.0540926, 2 + 5 * 1.0540926))
    assert statistics.stdev(values) == pytest.approx(1.0540926)
    # the same figure with every seed: only the last digits may differ on another processor
    assert claims.prediction_interval([0.4085] * 10) == pytest.approx((0.408, 0.409))


def test_too_few_seeds_give_no_band():
    with pytest.raises(ValueError, match="9 values: at least 10"):
        claims.prediction_interval([1.0, 2.0] * 4 + [1.0])
