"""Who computes which metric how: the course against ranx, RecTools, torchmetrics and scikit-learn.

Run: python benchmarks/metrics_definitions.py   (seconds, and once a few minutes for the peers' environment,
build/peers/metrics, which this script makes). Writes benchmarks/results/metrics_definitions.json, the table
of Lab 4, and tests/conformance/fixtures/metrics_by_peers.json, the inputs and all their values for the tests.
Ends with an error when a row's `agrees` is not what was measured.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from peers import environment
from peers.metric_rows import ROWS, evaluate

from course_utils import metrics, runtime
from course_utils.authoring.labs import write_atomically

N_USERS, N_ITEMS = 12, 30
TOLERANCE = {"torchmetrics": 1e-6}  # it computes in single precision
DOUBLE = 1e-12


def random_inputs() -> dict[str, dict]:
    """Rankings of all items, and lists of ten; grades 0 to 4, at least one of them above 0 for each user."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.permuted(np.tile(np.arange(1, N_ITEMS + 1), (N_USERS, 1)), axis=1) / N_ITEMS, 6)
    grades = rng.integers(1, 5, scores.shape) * (
        rng.random(scores.shape) < rng.uniform(0.05, 0.5, (N_USERS, 1))
    )
    grades[:, 0] = 1
    items = np.argsort(-scores, axis=1)
    common = {
        "scores": scores.tolist(),
        "grades": grades.tolist(),
        "n_items": N_ITEMS,
        "features": rng.integers(0, 2, (N_ITEMS, 4)).tolist(),
    }
    rankings = {f"rankings@{k}": common | {"items": items.tolist(), "k": k} for k in (1, 3, 10, N_ITEMS)}
    return rankings | {f"lists@{k}": common | {"items": items[:, :10].tolist(), "k": k} for k in (5, 20)}


def edge_inputs() -> dict[str, dict]:
    def case(items, scores, grades, k):
        given = {"items": [items], "scores": [scores], "grades": [grades], "k": k}
        return given | {"n_items": len(scores), "features": [[0]] * len(scores)}

    return {
        "nothing relevant": case([0, 1, 2], [0.9, 0.8, 0.7], [0, 0, 0], 2),
        "an item twice": case([0, 0, 1], [0.9, 0.8, 0.7], [1, 1, 0], 3),
        "tied scores": case([0, 1, 2], [0.9, 0.9, 0.1], [0, 1, 0], 1),
        "scores below 0": case([0, 1, 2], [-0.1, -0.2, -0.3], [0, 1, 0], 2),
    }


def values_of_peers(inputs: dict, rows: list[dict]) -> dict:
    python = environment.python_with("metrics", environment.METRICS)
    script = Path(__file__).parent / "peers" / "metric_values.py"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"inputs": inputs, "rows": rows}, file)
        file.flush()
        done = subprocess.run(
            [python, "-W", "ignore", script, file.name], check=True, text=True, stdout=subprocess.PIPE
        )
    return json.loads(done.stdout.splitlines()[-1])


def difference(ours: np.ndarray, theirs: list) -> float:
    """The largest difference; infinite where only one is defined, or when there are not as many."""
    theirs = np.array(theirs, dtype=float)
    if ours.shape != theirs.shape or (np.isnan(ours) != np.isnan(theirs)).any():
        return np.inf
    return float(np.nanmax(np.abs(ours - theirs), initial=0))


def table_row(row: dict, values: dict[str, list], inputs: dict) -> dict:
    """A row as it is shown: with the means at k = 10, or where they differ most if only elsewhere."""
    tolerance = TOLERANCE.get(row["library"], DOUBLE)
    ours = {case: evaluate(row["ours"], inputs[case]) for case in row["cases"]}
    largest = {case: difference(ours[case], values[case]) for case in row["cases"]}
    agrees = max(largest.values()) <= tolerance
    if agrees != row["agrees"]:
        sys.exit(f"{row['metric']}, {row['library']}: agrees is {agrees}: differences {largest}")
    at_10 = largest.get("rankings@10", -np.inf)
    shown = "rankings@10" if at_10 > tolerance or (agrees and at_10 >= 0) else max(largest, key=largest.get)
    mean = metrics.mean_over_users(ours[shown]).mean
    return {
        "metric": row["metric"],
        "library": row["library"],
        "ours": row["ours"],
        "theirs": row["theirs"],
        "agrees": agrees,
        "why": row["why"],
        "case": shown,
        "our_mean": None if np.isnan(mean) else round(mean, 6),
        "their_mean": round(float(np.mean(values[shown])), 6) if values[shown] else None,
    }


def main() -> None:
    inputs = random_inputs() | edge_inputs()
    recorded = values_of_peers(inputs, ROWS)
    table = [table_row(*both, inputs) for both in zip(ROWS, recorded["values"], strict=True)]
    root = runtime.course_root()
    result = {"versions": recorded["versions"], "users": N_USERS, "items": N_ITEMS, "rows": table}
    target = root / "benchmarks" / "results" / "metrics_definitions.json"
    write_atomically(target, json.dumps(result, indent=1) + "\n")
    fixtures = root / "tests" / "conformance" / "fixtures" / "metrics_by_peers.json"
    fixture = {
        "versions": recorded["versions"],
        "inputs": inputs,
        "rows": [row | {"values": values} for row, values in zip(ROWS, recorded["values"], strict=True)],
    }
    write_atomically(fixtures, json.dumps(fixture) + "\n")
    for shown in table:
        print(*(shown[name] for name in ("metric", "library", "agrees", "case", "our_mean", "their_mean")))


if __name__ == "__main__":
    main()
