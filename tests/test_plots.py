"""Plots: what is drawn is what came in, and nothing that the style forbids."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from course_utils import plots

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_lines_are_told_apart_without_colour():
    ax = plots.lines({name: [3, 2, 1] for name in "abcd"}, "epoch", "RMSE", baseline=("Biases", 2.5))
    styles = {(line.get_linestyle(), line.get_marker()) for line in ax.lines}
    assert len(styles) == 5
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c", "d", "Biases"]


def test_lines_start_at_epoch_one_unless_x_is_given():
    assert plots.lines({"a": [3, 2]}, "epoch", "RMSE").lines[0].get_xdata().tolist() == [1, 2]
    assert plots.lines({"a": [3, 2]}, "week", "ratings", x=[0, 5]).lines[0].get_xdata().tolist() == [0, 5]


def test_five_lines_are_refused():
    with pytest.raises(ValueError, match="5 curves"):
        plots.lines({name: [1] for name in "abcde"}, "epoch", "RMSE")


def test_a_model_has_one_colour_everywhere():
    bar = plots.bars({"MF": 0.9}, "RMSE").patches[0].get_facecolor()
    group = plots.grouped_bars({"random": {"MF": 0.9}}, "RMSE").patches[0].get_facecolor()
    line = plots.lines({"MF": [1, 2]}, "epoch", "RMSE").lines[0].get_color()
    assert mpl.colors.to_hex(bar) == mpl.colors.to_hex(group) == mpl.colors.to_hex(line)


def test_bars_start_at_zero_and_the_first_is_on_top():
    ax = plots.bars({"first": 2.0, "second": 1.0}, "seconds")
    assert ax.get_xlim()[0] == 0
    bottom, top = ax.get_ylim()
    assert bottom > top  # turned round: row 0 on top
    assert [patch.get_width() for patch in ax.patches] == [2.0, 1.0]


def test_grouped_bars_keep_their_groups():
    ax = plots.grouped_bars({"warm": {"A": 1.0, "B": 2.0}, "cold": {"A": 3.0, "B": 4.0}}, "RMSE")
    by_bar = {container.get_label(): container.datavalues.tolist() for container in ax.containers}
    assert by_bar == {"A": [1.0, 3.0], "B": [2.0, 4.0]}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["warm", "cold"]


def test_intervals_reach_half_a_width_to_each_side():
    ax = plots.intervals({"MF": 0.9}, {"MF": 0.02}, "RMSE")
    ends = ax.collections[0].get_segments()[0][:, 0]
    np.testing.assert_allclose(ends, [0.88, 0.92])


def test_counts_of_each_value_with_its_share():
    ax = plots.counts(np.array([1, 1, 1, 5]), "stars", "ratings")
    assert [patch.get_height() for patch in ax.patches] == [3, 1]
    assert [text.get_text() for text in ax.texts] == ["75%", "25%"]


def test_long_tail_names_the_share_of_the_head():
    # 10 films; the top 10 % is one film, with 90 of 99 ratings: 91 %
    ax = plots.long_tail(np.array([1] * 9 + [90]))
    assert "91%" in ax.texts[0].get_text()


def test_film_map_writes_no_title_over_another():
    points = np.array([[0.0, 0.0], [0.001, 0.0], [1.0, 1.0]])
    ax = plots.film_map(points, ["first", "under the first", "far away"], "one", "two")
    assert [text.get_text() for text in ax.texts] == ["first", "far away"]
    assert len(ax.collections[0].get_offsets()) == 3  # the point itself stays


def test_axes_are_labelled_and_given_axes_are_used():
    _, given = plt.subplots()
    ax = plots.lines({"a": [1]}, "epoch", "RMSE (stars)", title="A title", ax=given)
    assert ax is given
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("epoch", "RMSE (stars)", "A title")
