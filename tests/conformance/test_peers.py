"""The metrics against recorded values of ranx, RecTools, torchmetrics and scikit-learn, and why they differ.

benchmarks/metrics_definitions.py recorded them; the libraries are not needed here.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from course_utils import runtime

ROOT = runtime.course_root()
RECORDED = json.loads((Path(__file__).parent / "fixtures" / "metrics_by_peers.json").read_text())
TABLE = json.loads((ROOT / "benchmarks" / "results" / "metrics_definitions.json").read_text())["rows"]


def load_rows():
    spec = importlib.util.spec_from_file_location("rows", ROOT / "benchmarks" / "peers" / "metric_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROWS = load_rows()
NAMES = [f"{row['metric']}-{row['library']}-{row['cases'][0]}" for row in RECORDED["rows"]]
each_row = pytest.mark.parametrize("row", RECORDED["rows"], ids=NAMES)


def is_same(value, expected, library):
    expected = np.array(expected, dtype=float)
    tolerance = 1e-6 if library == "torchmetrics" else 1e-12  # single precision there
    return value.shape == expected.shape and np.allclose(
        value, expected, rtol=0, atol=tolerance, equal_nan=True
    )


@each_row
def test_agreement_is_as_stated(row):
    same = [
        is_same(ROWS.evaluate(row["ours"], RECORDED["inputs"][case]), row["values"][case], row["library"])
        for case in row["cases"]
    ]
    assert all(same) == row["agrees"]


@each_row
def test_the_difference_is_the_one_stated(row):
    if row["same_as"]:
        for case in row["cases"]:
            theirs = ROWS.evaluate(row["same_as"], RECORDED["inputs"][case])
            assert is_same(theirs, row["values"][case], row["library"])
    else:
        assert row["agrees"] or row["cases"][0] in ("nothing relevant", "an item twice", "rankings@1")


def test_what_is_recorded_is_what_is_compared():
    kept = [{name: value for name, value in row.items() if name != "values"} for row in RECORDED["rows"]]
    assert kept == ROWS.ROWS


def test_the_table_is_of_these_rows():
    for shown, row in zip(TABLE, RECORDED["rows"], strict=True):
        assert all(
            shown[name] == row[name] for name in ("metric", "library", "ours", "theirs", "agrees", "why")
        )
        ours = ROWS.evaluate(row["ours"], RECORDED["inputs"][shown["case"]])
        expected = np.nan if shown["our_mean"] is None else shown["our_mean"]
        assert np.isnan(ours).all() == np.isnan(expected)
        assert np.isnan(expected) or np.nanmean(ours) == pytest.approx(expected, abs=1e-6)
