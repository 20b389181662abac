"""Figures of several runs show what these recorded, and what was printed."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from dynlib.report.figures import across

RESULTS = Path(__file__).resolve().parents[2] / "results" / "cpu"


@pytest.fixture(scope="module")
def metrics():
    """Those of the committed references."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["metrics"]
        for path in RESULTS.glob("*.json")
    }


@pytest.fixture(scope="module")
def printed():
    """Values that are easy to find again."""
    claims = {f"{claim}-distribution": [3.0, 2.0] for _, claim in across.SYSTEMS.values()}
    times = {f"{system}-divergence-printed-model": [2.5] for system in ("lorenz", "rossler")}
    return claims | times


def dots(axes, marker: str) -> list[tuple[float, float]]:
    """Places of the marks of a kind."""
    return [
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() == marker
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def test_table_1_has_every_ratio_and_the_printed_one(metrics, printed):
    panels = across.table_1(metrics, printed).figure.axes
    assert len(panels) == len(across.SYSTEMS)
    for axes, run in zip(panels, across.SYSTEMS, strict=True):
        assert dots(axes, "D") == [(1.5, 0)]
        names = ("w1_ratio", "greedy_w1_ratio_matched", "markov_w1_ratio",
                 "best_ngram_w1_ratio", "recall_w1_ratio")  # fmt: skip
        values = [metrics[run][name]["value"] for name in names]
        assert dots(axes, "o") == list(zip(values, range(1, 6), strict=True))


def test_a_run_of_the_printed_model_is_an_open_circle(metrics, printed):
    extra = {"paper/henon_tokens": {"kept_greedy_w1_ratio": {"value": 7.0, "low": None}}}
    axes = across.table_1(metrics | extra, printed).figure.axes[3]
    (line,) = (line for line in axes.lines if line.get_fillstyle() == "none")
    assert list(line.get_xdata()) == [7.0]


def test_divergence_times_stand_in_rows_with_the_printed_time(metrics, printed):
    (axes,) = across.divergence(["rossler_tokens"], metrics, printed).figure.axes
    found = metrics["rossler_tokens"]
    prefixes = ("markov_", "", "sampled_", "ngram4_", "best_ngram_", "recall_", "true_")
    values = [found[f"{prefix}divergence_time"]["value"] for prefix in prefixes]
    assert dots(axes, "o") == list(zip(values, range(7), strict=True))
    assert dots(axes, ">") == [(found["true_divergence_time"]["high"], 6)]  # a lower bound
    assert [x for x, _ in dots(axes, "None") if x == 2.5]


def test_noise_is_a_line_a_method_and_the_horizon_a_ceiling(metrics, printed):
    (axes,) = across.noise(metrics, printed).figure.axes
    found = metrics["lorenz_comparison"]
    ceiling, *curves = axes.lines
    assert ceiling.get_ydata()[0] == found["horizon_lyapunov"]["value"]
    reservoir = [found[f"reservoir_valid_time{end}"]["value"]
                 for end in ("", "_noise1e4", "_noise1e3", "_noise1e2")]  # fmt: skip
    assert list(curves[0].get_ydata()) == reservoir
    assert [len(each.get_xdata()) for each in curves] == [4] * 6 + [2, 2]  # networks: two levels


def test_readings_are_values_over_printed_ones(metrics, printed):
    (axes,) = across.readings(metrics, printed).figure.axes
    value = metrics["henon_tokens"]["sampling_10x1000_w1"]["value"]
    assert dots(axes, "o")[0] == (pytest.approx(value / 2.0), 0)
    assert sum(len(dots(axes, mark)) for mark in "os^vD") == 8 * 5


def test_the_grids_have_three_panels_with_all_methods(metrics, printed):
    panels = across.lorenz_grids(metrics, printed).figure.axes
    names = [{text.get_text() for text in axes.texts} for axes in panels]
    assert names[0] == {"printed", "GPT-2, T = 1", "GPT-2, greedy", "Markov chain",
                        "training replay"}  # fmt: skip
    assert names[1] == {"Markov chain", "4-gram", "best n-gram", "GPT-2, T = 1"}
    assert names[2] == {"GPT-2, greedy", "best n-gram", "training replay", "true trajectory"}


@pytest.mark.parametrize("name", across.FIGURES)
def test_what_has_no_value_is_left_out(name, metrics, printed):
    empty = {"value": None, "low": None, "high": None}
    few = {run: dict.fromkeys(each, empty) for run, each in metrics.items()}
    horizon = metrics["lorenz_comparison"]["horizon_lyapunov"]
    few["lorenz_comparison"]["horizon_lyapunov"] = horizon
    shown = across.FIGURES[name](few, printed)
    assert shown.name.startswith(name.split("-")[0])
    plt.close("all")


def test_a_figure_names_the_runs_that_it_reads():
    assert across.RUNS.keys() == across.FIGURES.keys()
