"""Measure the band of every claim of a lab: run its solution in full with ten seeds and record the figures.

Run: python benchmarks/measure_claims.py 1   (ten times the lab, about 20 minutes on one quiet core)
Writes benchmarks/results/NN_claims.json after each seed: an interrupted measurement goes on where it
stopped; delete the file to measure afresh, e.g. after an upgrade of torch. At the end prints the band of
each claim, mean +- 5 sd, rounded outwards, to be copied into claims.toml; a test compares the two.
"""

import json
import math
import tempfile
from pathlib import Path

import click
import torch
from tqdm import tqdm

from course_utils import claims, runtime
from course_utils.authoring import build, execute
from course_utils.authoring.labs import Lab, find_labs, write_atomically

SEEDS = range(10)


def claims_of_seed(lab: Lab, seed: int) -> list[dict]:
    """Run the lab in full with this seed; the claims it makes, in or out of their bands."""
    notebook = build.solution_notebook(lab, *build.read_source(lab))
    with tempfile.TemporaryDirectory() as folder:
        environment = {"COURSE_FAST": "0", "COURSE_STRICT": "0"}
        output = Path(folder) / "lab.ipynb"
        return execute.claims_in(execute.execute(notebook, lab, environment, output, {"SEED": seed}))


def measure(lab: Lab, target: Path) -> dict:
    """Fill the recorded file up to all seeds."""
    new = {"torch": torch.__version__.split("+")[0], "seeds": [], "claims": {}}
    recorded = json.loads(target.read_text()) if target.exists() else new
    for seed in tqdm(SEEDS, unit="seed", desc=lab.name):
        if seed in recorded["seeds"]:
            continue
        for one in claims_of_seed(lab, seed):
            figures = recorded["claims"].setdefault(one["id"], {"values": [], "controls": []})
            figures["values"].append(round(one["value"], 6))
            figures["controls"].append(round(one["control_value"], 6))
        recorded["seeds"].append(seed)
        write_atomically(target, json.dumps(recorded, indent=1) + "\n")
    return recorded


@click.command()
@click.argument("lab")
def main(lab: str) -> None:
    runtime.start()
    (found,) = find_labs(runtime.course_root(), (lab,))
    target = runtime.course_root() / "benchmarks" / "results" / f"{found.name[:2]}_claims.json"
    for id, figures in measure(found, target)["claims"].items():
        lo, hi = claims.prediction_interval(figures["values"])
        lo, hi = math.floor(lo * 1e4) / 1e4, math.ceil(hi * 1e4) / 1e4
        click.echo(f"{id:25} band = [{lo:.4f}, {hi:.4f}]   control_value = {figures['controls'][0]:.4f}")


if __name__ == "__main__":
    main()
