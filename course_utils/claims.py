"""The figures that the labs state: each with a target, a band and a control that must fail the same gate."""

import math
import re
import statistics
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from course_utils import runtime

CLAIMS_FILE = Path(__file__).with_name("claims.toml")
MIME_TYPE = "application/vnd.recsys-course.claim+json"
LAST_DIGITS = 0.0005
CONTROL_PASSES = "a gate that the control passes proves nothing"
TARGET = re.compile(r"(<=|>=) (\d+(?:\.\d+)?)")


class ClaimError(AssertionError):
    """A figure failed its gate while COURSE_STRICT was set."""


@dataclass(frozen=True)
class Declaration:
    """One entry of claims.toml; the page itself explains the fields."""

    id: str
    lab: str
    what: str
    metric: str
    split: str
    protocol: str
    target: str
    band: tuple[float, float]
    control: str
    control_value: float
    recorded: str

    def meets_target(self, value: float) -> bool:
        """Is the figure on the promised side of the target?"""
        sign, limit = TARGET.fullmatch(self.target).groups()
        return value <= float(limit) if sign == "<=" else value >= float(limit)

    def passes(self, value: float) -> bool:
        """The gate: the figure lies in the band (ends included) and meets the target."""
        lo, hi = self.band
        return lo <= value <= hi and self.meets_target(value)


@dataclass(frozen=True)
class Result:
    """A claim made in a lab: what `course run` collects. `ok` is None where FAST leaves it ungated."""

    id: str
    lab: str
    metric: str
    value: float
    lo: float
    hi: float
    target: str
    control: str
    control_value: float
    ok: bool | None
    verdict: str

    def line(self) -> str:
        """The claim as the learner reads it."""
        figure = f"{self.id}: {self.metric} {self.value:.4f}, target {self.target}, "
        if self.ok is None:
            return figure + self.verdict
        fails = "passes" if self.verdict == CONTROL_PASSES else "fails"
        band = f"band {self.lo:.4f} to {self.hi:.4f}"
        return f"{figure}{band}, control {self.control_value:.4f} {fails}: {self.verdict}"


def load(path: Path = CLAIMS_FILE) -> dict[str, Declaration]:
    """Read the declared claims, by id. Raises ValueError that names the claim and what is wrong with it."""
    claims = {}
    for entry in tomllib.loads(Path(path).read_text(encoding="utf-8")).get("claim", []):
        declared = _declaration(entry, f"{Path(path).name}: claim {entry.get('id', '(no id)')!r}")
        if declared.id in claims:
            raise ValueError(f"{Path(path).name}: claim {declared.id!r} is declared twice")
        claims[declared.id] = declared
    return claims


def _declaration(entry: dict, where: str) -> Declaration:
    names = {field.name for field in fields(Declaration)}
    if set(entry) != names:
        missing, unknown = sorted(names - set(entry)), sorted(set(entry) - names)
        raise ValueError(f"{where}: missing {missing}, unknown {unknown}")
    if not TARGET.fullmatch(entry["target"]):
        raise ValueError(f"{where}: target={entry['target']!r}: must be '<= number' or '>= number'")
    band = tuple(entry["band"])
    if len(band) != 2 or not band[0] < band[1]:
        raise ValueError(f"{where}: band={entry['band']}: must be [low, high], low below high")
    declared = Declaration(**{**entry, "band": band})
    if not all(declared.meets_target(end) for end in band):
        raise ValueError(f"{where}: band={entry['band']} is not inside the target {declared.target}")
    if declared.passes(declared.control_value):
        raise ValueError(f"{where}: control_value={declared.control_value} must fail the gate")
    return declared


def judge(declared: Declaration, value: float, control: float, fast: bool = False) -> Result:
    """Compare a figure and its control with the declared gate. Raises ValueError for nan or infinity."""
    for name, number in (("value", value), ("control", control)):
        if not math.isfinite(number):
            raise ValueError(f"claim {declared.id!r}: {name}={number}: must be a finite number")
    if fast:
        ok, verdict = None, "not gated (FAST)"
    elif not declared.meets_target(value):
        ok, verdict = False, "misses its target"
    elif not declared.passes(value):
        ok, verdict = False, "outside its band"
    elif declared.passes(control):
        ok, verdict = False, CONTROL_PASSES
    else:
        ok, verdict = True, "ok"
    lo, hi = declared.band
    return Result(
        declared.id, declared.lab, declared.metric, float(value), lo, hi,
        declared.target, declared.control, float(control), ok, verdict,
    )  # fmt: skip


def claim(id: str, value: float, control: float) -> None:
    """Show a figure of the lab beside its target and band, and keep it in the cell's output.

    control is the figure of the declared control, measured in the same way. Raises ClaimError under
    COURSE_STRICT when the gate fails, ValueError for an id that claims.toml does not declare.
    """
    claims = load()
    if id not in claims:
        raise ValueError(f"claim id={id!r}: claims.toml declares {sorted(claims)}")
    result = judge(claims[id], value, control, fast=runtime.is_fast())
    _show(result)
    if result.ok is False and runtime.is_strict():
        raise ClaimError(result.line())


def _show(result: Result) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(result.line())
    else:
        display({"text/plain": result.line(), MIME_TYPE: asdict(result)}, raw=True)


def prediction_interval(values: list[float]) -> tuple[float, float]:
    """Where the figure of one more run will lie: mean +- 5 sd of at least 10 runs.

    At least +- LAST_DIGITS: what does not depend on the seed still differs a little between processors.
    """
    if len(values) < 10:
        raise ValueError(f"{len(values)} values: at least 10 seeds are needed")
    mean = statistics.fmean(values)
    half = max(5 * statistics.stdev(values), LAST_DIGITS)
    return mean - half, mean + half
