"""Figures of several runs, drawn from what these recorded.

`metrics` holds the metrics of every run by its name, as a results file does; `printed` holds the
numbers of a paper by the claims that quote them. A metric that a run does not have, or that has no
value, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from dynlib.report import style
from dynlib.report.style import COLOURS, LABELS, Shown

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]
Printed = Mapping[str, Sequence[float]]

# The systems of the first paper in the order of its Table I: run, words, prefix of its claims.
SYSTEMS = {
    "lorenz_tokens_20": ("Lorenz, 20", "lorenz-20"),
    "lorenz_tokens_35": ("Lorenz, 35", "lorenz-35"),
    "lorenz_tokens_50": ("Lorenz, 50", "lorenz-50"),
    "henon_tokens": ("Hénon, 50", "henon"),
    "rossler_tokens": ("Rössler, 50", "rossler"),
}
LORENZ = {20: "lorenz_tokens_20", 35: "lorenz_tokens_35", 50: "lorenz_tokens_50"}
SHORT = {"sindy_fd2": "SINDy, order 2"}


def _entry(metrics: Metrics, run: str, name: str) -> Mapping[str, Any] | None:
    """A metric that has a value, or None."""
    entry = metrics.get(run, {}).get(name)
    return None if entry is None or entry["value"] is None else entry


def _dot(axes: Axes, entry: Mapping[str, Any] | None, row: float, colour: str, **options) -> None:
    """A value and its interval in a row of a dot plot; nothing for a metric that is not there."""
    if entry is None:
        return
    if entry["low"] is not None:
        axes.plot([entry["low"], entry["high"]], [row] * 2, color=colour, linewidth=1.3)
    axes.plot(entry["value"], row, "o", color=colour, markersize=5, **options)


def table_1(metrics: Metrics, printed: Printed) -> Shown:
    """Ratios of distances of all systems, with the printed ones."""
    methods = {
        "w1_ratio": "model", "greedy_w1_ratio_matched": "greedy", "markov_w1_ratio": "markov",
        "best_ngram_w1_ratio": "best_ngram", "recall_w1_ratio": "recall",
    }  # fmt: skip
    figure, panels = style.figure(6.4, len(SYSTEMS), 1, sharex=True)
    for axes, (run, (words, claim)) in zip(panels, SYSTEMS.items(), strict=True):
        axes.axvline(1, color=style.MUTED, linestyle="--", linewidth=1)
        generated, true = printed[f"{claim}-distribution"][:2]
        axes.plot(generated / true, 0, "D", color=style.INK, markersize=5)
        for row, (name, method) in enumerate(methods.items(), start=1):
            _dot(axes, _entry(metrics, run, name), row, COLOURS[method])
        greedy = "kept_greedy_w1_ratio" + "_matched" * (run != "henon_tokens")
        for name, method in (("kept_w1_ratio", "model"), (greedy, "greedy")):
            row = 1 + list(methods.values()).index(method)
            entry = _entry(metrics, f"paper/{run}", name)
            _dot(axes, entry, row + 0.4, COLOURS[method], fillstyle="none")
        axes.set(xscale="log", ylim=(5.7, -0.7), yticks=[])
        axes.set_ylabel(words, rotation=0, ha="right", va="center")
    style.plain(panels[-1].xaxis)
    panels[-1].set_xlabel("W₁(generated, true) / W₁(true, true)")
    names = {"true": "◆ printed"} | {method: LABELS[method] for method in methods.values()}
    style.legend(panels[0], names)
    return style.shown(
        figure,
        "table-1",
        caption="Table I as ratios: how far generated states are from true ones, over how far two "
        "sets of true states are from each other (dashed: equal). From above in each panel: the "
        "printed value, our small GPT-2 sampled and greedy (matched with the true continuations), "
        "then three methods without a network. Bars are intervals. Open circles, where there are "
        "any: the printed model.",
        alt="Five panels of dots on a logarithmic axis, one for each system. Printed values lie "
        "near one. Most intervals reach one; greedy decoding on Hénon and on the Lorenz "
        "grid of 35 cells, and the Markov chain on Rössler, lie well above.",
    )


def divergence(runs: Sequence[str], metrics: Metrics, printed: Printed) -> Shown:
    """Divergence times of every method on one or more runs, a row a method."""
    methods = {
        "markov": "Markov chain", "model": "GPT-2, greedy", "half": "GPT-2, sampled",
        "ngram4": "4-gram", "best_ngram": "best n-gram", "recall": "training replay",
        "pair": "true trajectory",
    }  # fmt: skip
    prefixes = {"model": "", "half": "sampled_", "pair": "true_"}
    several = len(runs) > 1
    figure, axes = style.figure(4.4 if several else 2.9)
    shifts = np.linspace(-0.25, 0.25, len(runs)) if several else [0.0]
    for row, method in enumerate(methods):
        name = f"{prefixes.get(method, f'{method}_')}divergence_time"
        for run, shift in zip(runs, shifts, strict=True):
            entry = _entry(metrics, run, name)
            _dot(axes, entry, row + shift, COLOURS[method])
            if entry and method == "pair":  # the search finds longer ones the longer it takes
                axes.plot(
                    entry["high"] or entry["value"], row + shift, ">", ms=5, c=COLOURS["pair"]
                )
            if entry and several and row == 0:
                axes.annotate(
                    SYSTEMS[run][0].split(", ")[1], (entry["high"] or entry["value"], row + shift),
                    xytext=(4, 0), textcoords="offset points", va="center",
                    fontsize=style.SMALL, color=style.MUTED,
                )  # fmt: skip
    system = runs[-1].split("_")[0]
    time = printed[f"{system}-divergence-printed-model"][0]
    axes.axvline(time, color=style.MUTED, linestyle=":", linewidth=1)
    axes.annotate(
        "printed", (time, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), ha="center",
        textcoords="offset points", fontsize=style.SMALL, color=style.MUTED,
    )  # fmt: skip
    axes.set(xscale="log", xlabel="divergence time, units of time", ylim=(len(methods) - 0.5, -0.5))
    axes.set_yticks(range(len(methods)), list(methods.values()))
    style.plain(axes.xaxis)
    grids = " Three dots a row: 20, 35 and 50 cells per axis, from above." if several else ""
    return style.shown(
        figure,
        f"divergence-{system}",
        caption=f"How long a continuation agrees with some true trajectory, cell by cell.{grids} "
        "Bars are intervals; the dotted line is the printed time of the printed model. All times "
        "are lower bounds, that of a true trajectory in place of a model most of all (arrows).",
        alt="Dots with bars on a logarithmic axis, one row per method. The Markov chain is "
        "shortest, GPT-2 and n-grams lie together, the training replay is longer, and a true "
        "trajectory longest.",
    )


def noise(metrics: Metrics, printed: Printed) -> Shown:
    """Valid times against the noise on the data."""
    names = (
        "reservoir", "sindy_fd6", "sindy_fd2", "polynomial_3", "polynomial_5", "sindy_weak",
        "stnn", "control",
    )  # fmt: skip
    found = metrics["lorenz_comparison"]
    suffixes = {0.0: "", 1.0: "_noise1e4", 2.0: "_noise1e3", 3.0: "_noise1e2"}
    figure, axes = style.figure(4.2)
    horizon = found["horizon_lyapunov"]["value"]
    axes.axhline(horizon, color=style.MUTED, linestyle=":", linewidth=1)
    ends: dict[str, tuple[float, float]] = {}
    for name in names:
        points = [
            (x, entry["value"])
            for x, suffix in suffixes.items()
            if (entry := _entry(metrics, "lorenz_comparison", f"{name}_valid_time{suffix}"))
        ]
        if not points:
            continue
        dashes = {"control": "--", "polynomial_5": "--", "sindy_weak": ":"}.get(name, "-")
        axes.plot(*np.transpose(points), dashes, marker="o", markersize=4, color=COLOURS[name])
        ends[name] = points[-1]
    axes.set(ylim=(0, 1.08 * horizon), ylabel="valid time, Lyapunov times")
    axes.set_xticks(list(suffixes), ["clean", "10⁻⁴", "10⁻³", "10⁻²"])
    axes.set_xlabel("noise, share of the attractor's spread")
    late = {name: end for name, end in ends.items() if end[0] == 3}
    _name_ends(axes, late, 0.066 * horizon)
    for name, lift in (("stnn", -12), ("control", -22)):
        if name in ends:
            style.note(axes, *ends[name], LABELS[name], name, offset=(-6, lift), ha="right")
    axes.annotate(
        "horizon: at least half never left", (0, horizon), xytext=(0, 4), color=style.MUTED,
        textcoords="offset points", fontsize=style.SMALL,
    )  # fmt: skip
    return style.shown(
        figure,
        "noise",
        caption="How long forecasts stay valid after a fit to noisy data, median over the starts. "
        "At the dotted line at least half of the forecasts last to the horizon, so that a longer "
        "time is not seen. The networks were trained on clean data and at one level of noise.",
        alt="Falling lines of valid time against noise on the data. The reservoir falls last, "
        "then SINDy with differences; polynomial maps and the weak form fall first.",
    )


def _name_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], gap: float) -> None:
    """Name curves at their right ends on a linear axis, `gap` or more apart."""
    order = sorted(ends, key=lambda name: ends[name][1])
    heights = np.array([ends[name][1] for name in order])
    for _ in range(200):
        for i in np.flatnonzero(np.diff(heights) < gap):
            short = gap - (heights[i + 1] - heights[i])
            heights[i : i + 2] += [-short / 2, short / 2]
    for name, y in zip(order, heights, strict=True):
        style.note(axes, ends[name][0], y, SHORT.get(name, LABELS[name]), name)


def readings(metrics: Metrics, printed: Printed) -> Shown:
    """What each reading of the printed distance gives, over the printed value."""
    marks = {
        "henon_tokens": ("greedy", "o"), "rossler_tokens": ("control", "s"),
        "lorenz_tokens_20": ("stnn_p2", "^"), "lorenz_tokens_35": ("stnn", "v"),
        "lorenz_tokens_50": ("stnn_p6", "D"),
    }  # fmt: skip
    kinds = {"w1": "Euclidean", "w2sq": "squared", "w1_cells": "Euclidean, cells",
             "w2sq_cells": "squared, cells"}  # fmt: skip
    rows = [(size, kind) for size in ("10x1000", "200x500") for kind in kinds]
    figure, axes = style.figure(4.8)
    axes.axvspan(2 / 3, 3 / 2, color=style.GRID, alpha=0.5, linewidth=0)
    axes.axvline(1, color=style.MUTED, linestyle="--", linewidth=1)
    heights = [row + 0.8 * (row >= len(kinds)) for row in range(len(rows))]
    for row, (size, kind) in zip(heights, rows, strict=True):
        for run, (method, mark) in marks.items():
            entry = _entry(metrics, run, f"sampling_{size}_{kind}")
            if entry is None:
                continue
            true = printed[f"{SYSTEMS[run][1]}-distribution"][1]
            axes.plot(entry["value"] / true, row, mark, color=COLOURS[method], markersize=6)
    axes.set(xscale="log", xlabel="W₁(true, true), ours / printed", ylim=(8.3, -1.1))
    axes.set_yticks(heights, [kinds[kind] for _, kind in rows])
    style.plain(axes.xaxis, (1,))
    for row, words in ((0, "ten thousand states"), (len(kinds), "a hundred thousand")):
        axes.annotate(
            words, (0.01, heights[row] - 0.7), xycoords=("axes fraction", "data"),
            color=style.MUTED, va="center", fontsize=style.SMALL,
        )  # fmt: skip
    signs = {"o": "●", "s": "■", "^": "▲", "v": "▼", "D": "◆"}
    style.legend(
        axes, {method: f"{signs[mark]} {SYSTEMS[run][0]}" for run, (method, mark) in marks.items()}
    )
    return style.shown(
        figure,
        "readings",
        caption="Which distance was printed? Each row is one reading of W₁(true, true), each mark "
        "a system: our value over the printed one. A reading that fits the paper has all five "
        "marks in the shaded band, a factor of one and a half around the printed value. None "
        "does.",
        alt="Eight rows of five marks on a logarithmic axis. In no row are all five marks in the "
        "shaded band around one; they spread over two decades or more.",
    )


def lorenz_grids(metrics: Metrics, printed: Printed) -> Shown:
    """The Lorenz chapter at a glance: ratio, cross-entropy and divergence time by grid."""
    figure, panels = style.figure(6.6, 3, 1, sharex=True)
    ratio, surprise, time = panels
    places = list(LORENZ)
    values = [printed[f"lorenz-{n}-distribution"] for n in places]
    ratio.plot(
        places, [each[0] / each[1] for each in values], "D--", color=style.INK, markersize=5, lw=0.8
    )
    ratio.axhline(1, color=style.MUTED, linewidth=0.8)
    ends: dict[Axes, dict[str, tuple[float, float]]] = {axes: {} for axes in panels}
    ends[ratio]["true"] = (places[-1] + 1.5, values[-1][0] / values[-1][1])

    def line(axes: Axes, method: str, name: str, shift: float = 0.0) -> None:
        found = [(n, _entry(metrics, run, name)) for n, run in LORENZ.items()]
        points = [(n + shift, each) for n, each in found if each]
        if not points:
            return
        for x, each in points:
            if each["low"] is not None:
                axes.plot([x, x], [each["low"], each["high"]], color=COLOURS[method], linewidth=1.2)
        xs, ys = [x for x, _ in points], [each["value"] for _, each in points]
        axes.plot(xs, ys, "o-", color=COLOURS[method], markersize=4, linewidth=1)
        ends[axes][method] = (places[-1] + 1.5 * (axes is ratio), ys[-1])

    for shift, (method, name) in enumerate(
        {"model": "w1_ratio", "greedy": "greedy_w1_ratio_matched", "markov": "markov_w1_ratio",
         "recall": "recall_w1_ratio"}.items(), start=-2,
    ):  # fmt: skip
        line(ratio, method, name, 0.5 * shift)
    for method, name in {"markov": "markov_", "ngram4": "ngram4_", "best_ngram": "best_ngram_",
                         "model": ""}.items():  # fmt: skip
        line(surprise, method, f"{name}cross_entropy")
    for method, name in {"greedy": "", "best_ngram": "best_ngram_", "recall": "recall_",
                         "pair": "true_"}.items():  # fmt: skip
        line(time, method, f"{name}divergence_time")
    titles = {
        ratio: "distance of states, W₁ ratio", surprise: "surprise, nats per token",
        time: "divergence time, units of time",
    }  # fmt: skip
    for axes, title in titles.items():
        axes.set(yscale="log", title=title)
        axes.margins(x=0.06)
        style.plain(axes.yaxis)
        style.name_ends(axes, ends[axes], LABELS | {"true": "printed", "pair": "true trajectory"})
    time.xaxis.set_major_locator(FixedLocator(places))
    time.set(xlabel="cells per axis")
    return style.shown(
        figure,
        "lorenz-grids",
        caption="The three grids at a glance, with intervals. Above: the distance from the truth, "
        "over that of two true sets, which is one at the grey line; greedy is matched with the "
        "true continuations. Middle: cross-entropy of the next token, lower is better. Below: how "
        "long a continuation stays true.",
        alt="Three panels against 20, 35 and 50 cells per axis. Ratios have wide intervals about "
        "one, except greedy decoding at 35 cells. Cross-entropy of GPT-2 and of the best n-gram "
        "lie together, far below the Markov chain. A true trajectory stays true ten times as long "
        "as GPT-2.",
    )


#: Figures by the name that pages give to them.
FIGURES: dict[str, Callable[[Metrics, Printed], Shown]] = {
    "table-1": table_1,
    "divergence-lorenz": lambda *given: divergence(list(LORENZ.values()), *given),
    "divergence-rossler": lambda *given: divergence(["rossler_tokens"], *given),
    "noise": noise,
    "readings": readings,
    "lorenz-grids": lorenz_grids,
}
#: The runs that each of them shows.
RUNS = {
    "table-1": tuple(SYSTEMS),
    "divergence-lorenz": tuple(LORENZ.values()),
    "divergence-rossler": ("rossler_tokens",),
    "noise": ("lorenz_comparison",),
    "readings": tuple(SYSTEMS),
    "lorenz-grids": tuple(LORENZ.values()),
}
