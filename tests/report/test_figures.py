"""Figures show the recorded numbers: what is drawn is read back from the axes."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynlib.report import forecast_tables, record, style
from dynlib.report.figures import tokens as figures


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def drawn(axes, style: str) -> list[list[list[float]]]:
    """Coordinates of the lines of a marker."""
    return [
        [list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))]
        for line in axes.lines
        if line.get_marker() == style
    ]


def test_context_curves_are_those_of_networks_and_counts(axes):
    networks = np.array([[3.0, 2.0, 1.5], [3.1, 2.1, 1.6]])
    figures.context_curves(axes, [1, 3, 4], networks, np.array([3.0, 2.5]), 1.2)
    assert drawn(axes, "o") == [[[1, 3, 4], [3.0, 2.0, 1.5]], [[1, 3, 4], [3.1, 2.1, 1.6]]]
    assert drawn(axes, "s") == [[[1, 2], [3.0, 2.5]]]
    assert [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None"] == [1.2]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "4"]
    assert {text.get_text() for text in axes.texts} == {
        "entropy rate of the system", "n-grams", "GPT-2"
    }  # fmt: skip


def test_ratios_show_every_unit_the_value_and_the_interval():
    model = record.metric("w1_ratio", [1.0, 2.0, 4.0], over="seeds")
    record.metric("markov_w1_ratio", 3.0)
    record.metric("parrot_w1_ratio", None)
    (axes,) = figures.ratio(["model", "markov", "parrot"]).figure.axes
    assert drawn(axes, "o") == [[[1, 2, 4], [0, 0, 0]], [[3], [1]]]
    assert drawn(axes, "|") == [[[2.0], [0]], [[3.0], [1]]]
    interval, level = drawn(axes, "None")
    assert interval == [[model["low"], model["high"]], [0, 0]]
    assert level[0] == [1, 1]
    names = [style.LABELS[name] for name in ("model", "markov", "parrot")]
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    assert axes.get_xscale() == "log"
    assert axes.get_ylim() == (2.5, -0.5)


def test_a_figure_has_the_common_width():
    figure, axes = style.figure(2.0, rows=1, columns=2)
    assert tuple(figure.get_size_inches()) == (style.WIDTH, 2.0)
    assert len(axes) == 2
    plt.close(figure)


@pytest.mark.parametrize("method", style.COLOURS)
def test_names_of_methods_can_be_read_by_day_and_by_night(method):
    word = style.WORDS[method]
    assert style.contrast(word, style.PAPER) >= 4.5
    assert style.contrast(style.DARK.get(word, word), style.NIGHT) >= 4.5
    kept = style.contrast(style.COLOURS[method], style.PAPER) >= 4.5
    assert (word == style.COLOURS[method]) == kept  # no darker than it must be


def test_no_colour_is_replaced_twice_for_the_night():
    assert not style.DARK.keys() & set(style.DARK.values())


def test_curves_that_end_together_are_named_one_below_the_other():
    figure, axes = style.figure(3.0)
    axes.set(yscale="log", ylim=(1e-3, 1e3), xlim=(0, 10))
    style.name_ends(axes, {"stnn": (10, 1.0), "ffnn": (10, 1.1), "dmd": (10, 900.0)}, style.LABELS)
    stnn, ffnn, dmd = (text.xy[1] for text in axes.texts)
    inches = axes.bbox.height / figure.dpi
    plt.close(figure)
    assert np.log10(ffnn / stnn) == pytest.approx(1.2 * 10 / 72 / inches * 6)
    assert dmd == pytest.approx(900)


def test_every_method_has_a_colour_and_a_label_of_its_own():
    assert style.COLOURS.keys() == style.LABELS.keys()
    assert len(set(style.LABELS.values())) == len(style.LABELS)


def test_the_style_needs_no_jupyter(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib_inline.backend_inline", None)
    with plt.rc_context({"svg.fonttype": "none"}):
        style.use_style()
        assert plt.rcParams["svg.fonttype"] == "path"
        assert plt.rcParams["figure.figsize"][0] == style.WIDTH


def test_a_row_of_the_arena_shows_every_measure_once():
    for measure, value in {
        "accumulated_mse_100": 0.5, "accumulated_mse_horizon": 20.0, "valid_time": 1.25,
        "failures": 2,
    }.items():  # fmt: skip
        record.metric(f"stnn_{measure}_noisy", value)
    assert forecast_tables.show_row("stnn", "_noisy") == ["5.0e-01", "2.0e+01", "1.25", "2"]


def test_a_shown_figure_is_displayed_once_with_its_words():
    figure, _ = style.figure()
    shown = style.shown(figure, "curve", caption="A curve.", alt="A curve that rises.")
    assert plt.get_fignums() == []
    data, words = shown._repr_mimebundle_()
    assert data["image/svg+xml"].rstrip().endswith("</svg>")
    assert words == {
        "figure": {"name": "curve", "caption": "A curve.", "alt": "A curve that rises."}
    }


@pytest.mark.parametrize("wrong", [{"name": "Two words"}, {"caption": ""}, {"alt": "no full stop"}])
def test_a_figure_without_words_is_refused(wrong):
    words = {"name": "curve", "caption": "A curve.", "alt": "A curve."} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        style.shown(plt.figure(), words.pop("name"), **words)
