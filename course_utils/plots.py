"""Plots of the course: arrays in, `Axes` out, nothing computed on the way."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

# One colour per model in the whole course (Okabe and Ito's palette, safe for colour-blind readers).
MODEL_COLOURS = {
    "Global mean": "#7f7f7f",
    "Biases": "#000000",
    "Popularity": "#7f7f7f",
    "Item-kNN": "#E69F00",
    "MF": "#0072B2",
    "MF (stars)": "#000000",
    "SVD++ flipped": "#009E73",
    "EASE": "#56B4E9",
    "iALS": "#8C564B",
    "BPR-MF": "#0072B2",
    "GMF": "#CC79A7",
    "MLP": "#E69F00",
    "NeuMF": "#D55E00",
    "Two-tower": "#332288",
    "Two-tower, no logQ": "#AA99CC",
    "Two-tower + history": "#882255",
}
_OTHER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")
SIZE = (6, 3.5)  # inches


def new_axes(xlabel: str, ylabel: str, title: str = "", ax: Axes | None = None) -> Axes:
    """Labelled axes in the course's size and style; draws into `ax` when one is given."""
    if ax is None:
        _, ax = plt.subplots(figsize=SIZE, layout="constrained")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def lines(
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    x: Sequence[float] | None = None,
    baseline: tuple[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """At most four curves, told apart by dash and marker as well as colour.

    curves: name -> y [E]; x [E], by default 1..E; baseline: (name, y) drawn as a thin horizontal line.
    Raises ValueError for more than four curves.
    """
    if len(curves) > len(_DASHES):
        raise ValueError(f"{len(curves)} curves: at most {len(_DASHES)} can be told apart in one plot")
    ax = new_axes(xlabel, ylabel, title, ax)
    for number, (name, y) in enumerate(curves.items()):
        ax.plot(
            np.arange(1, len(y) + 1) if x is None else x,
            y,
            _DASHES[number],
            color=MODEL_COLOURS.get(name, _OTHER_COLOURS[number]),
            marker=_MARKERS[number],
            markevery=max(1, len(y) // 8),
            markersize=4.5,
            label=name,
        )
    if baseline is not None:
        name, level = baseline
        ax.axhline(
            level, color=MODEL_COLOURS.get(name, "#7f7f7f"), linewidth=1, linestyle=(0, (1, 1)), label=name
        )
    ax.legend(frameon=False)
    return ax


def bars(
    values: Mapping[str, float], xlabel: str, digits: int = 3, title: str = "", ax: Axes | None = None
) -> Axes:
    """Horizontal bars from zero, first entry on top, each with its figure."""
    ax = new_axes(xlabel, "", title, ax)
    names = list(values)
    colours = [MODEL_COLOURS.get(name, _OTHER_COLOURS[0]) for name in names]
    drawn = ax.barh(names, list(values.values()), color=colours, height=0.65)
    ax.bar_label(drawn, fmt=f"{{:,.{digits}f}}", padding=3)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.14 * max(values.values()))
    return ax


def intervals(
    values: Mapping[str, float],
    half_widths: Mapping[str, float],
    xlabel: str,
    digits: int = 3,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A dot for each figure with its interval, value +- half-width; first entry on top."""
    ax = new_axes(xlabel, "", title, ax)
    for row, (name, value) in enumerate(values.items()):
        colour = MODEL_COLOURS.get(name, _OTHER_COLOURS[0])
        ax.errorbar(value, row, xerr=half_widths[name], fmt="o", color=colour, capsize=4)
        ax.annotate(
            f"{value:.{digits}f}", (value, row), xytext=(0, 7), textcoords="offset points", ha="center"
        )
    ax.set_yticks(range(len(values)), list(values.keys()))
    ax.set_ylim(len(values) - 0.5, -0.6)
    ax.grid(axis="x", alpha=0.3)
    return ax


def grouped_bars(
    values: Mapping[str, Mapping[str, float]],
    xlabel: str,
    digits: int = 3,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Horizontal bars from zero in groups: values[group][bar]; each group has the same bars, at most 4."""
    ax = new_axes(xlabel, "", title, ax)
    groups, names = list(values), list(next(iter(values.values())))
    height = 0.8 / len(names)
    for number, name in enumerate(names):
        rows = np.arange(len(groups)) + (number - (len(names) - 1) / 2) * height
        widths = [values[group][name] for group in groups]
        colour = MODEL_COLOURS.get(name, _OTHER_COLOURS[number % len(_OTHER_COLOURS)])
        drawn = ax.barh(rows, widths, height=0.9 * height, color=colour, label=name)
        ax.bar_label(drawn, fmt=f"%.{digits}f", padding=3, fontsize=8)
    ax.set_yticks(np.arange(len(groups)), groups)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.14 * max(max(group.values()) for group in values.values()))
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(names))
    return ax


def counts(values: np.ndarray, xlabel: str, ylabel: str, title: str = "", ax: Axes | None = None) -> Axes:
    """A bar for each distinct value [N], with how often it occurs and its share."""
    ax = new_axes(xlabel, ylabel, title, ax)
    distinct, occurrences = np.unique(values, return_counts=True)
    drawn = ax.bar([f"{value:g}" for value in distinct], occurrences, color=_OTHER_COLOURS[0], width=0.7)
    ax.bar_label(drawn, labels=[f"{share:.0%}" for share in occurrences / len(values)], padding=2)
    ax.set_ylim(0, 1.1 * occurrences.max())
    ax.yaxis.set_major_formatter(_THOUSANDS)
    return ax


def long_tail(
    ratings_per_item: np.ndarray, head_share: float = 0.1, title: str = "", ax: Axes | None = None
) -> Axes:
    """Ratings of each item [I], most rated first, with the share of all ratings that the head has."""
    ax = new_axes("film, most rated first", "ratings", title, ax)
    ordered = np.sort(ratings_per_item)[::-1]
    n_head = max(1, round(head_share * len(ordered)))
    rank = np.arange(1, len(ordered) + 1)
    ax.fill_between(rank, ordered, color=_OTHER_COLOURS[0], alpha=0.35, step="mid")
    ax.fill_between(rank[:n_head], ordered[:n_head], color=_OTHER_COLOURS[0], step="mid")
    share = ordered[:n_head].sum() / ordered.sum()
    ax.annotate(
        f"the top {head_share:.0%} of the films\nget {share:.0%} of the ratings",
        (n_head, ordered[n_head - 1]),
        xytext=(40, 45),
        textcoords="offset points",
        arrowprops={"arrowstyle": "->"},
    )
    ax.set(xlim=(0, len(ordered)), ylim=(0, None))
    ax.xaxis.set_major_formatter(_THOUSANDS)
    return ax


def film_map(
    points: np.ndarray, titles: Sequence[str], xlabel: str, ylabel: str, ax: Axes | None = None
) -> Axes:
    """Films as points [N, 2]; a title is written only where it covers no title already written.

    The first titles are placed first, so order the films by how much they should be seen.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 6.5), layout="constrained")
    ax = new_axes(xlabel, ylabel, ax=ax)
    ax.scatter(points[:, 0], points[:, 1], s=12, color=_OTHER_COLOURS[0], alpha=0.6)
    ax.margins(0.12)
    ax.figure.canvas.draw()
    taken = []
    for (x, y), title in zip(points, titles, strict=True):
        text = ax.annotate(title, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
        box = text.get_window_extent().expanded(1.03, 1.15)
        inside = ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1
        if not inside or any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)
    return ax


_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
