"""Figures of the token models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from dynlib.report import record, style
from dynlib.report.flows import Draws, Separation
from dynlib.report.scene import Scene
from dynlib.report.tokens import lyapunov_name
from dynlib.tokens.grid import Grid
from dynlib.tokens.shadowing import divergence_steps


def _shade(axes: Axes, centres: np.ndarray, size: np.ndarray, **options) -> None:
    """Fill cells, given by their centres (n, 2) and their size (2,)."""
    squares = [Rectangle(corner, *size) for corner in centres - size / 2]
    axes.add_collection(PatchCollection(squares, linewidth=options.pop("linewidth", 0), **options))


def cells(grid: Grid, states: np.ndarray) -> style.Shown:
    """States (T, 2) of a map over the cells that are tokens."""
    figure, axes = style.figure(3.6)
    _shade(axes, grid.centres, grid.cell_size, facecolor=style.GRID, linewidth=None)
    axes.plot(*states.T, ".", markersize=1.2, color=style.COLOURS["model"], rasterized=True)
    axes.set(xlabel="x", ylabel="y", xlim=_axis(grid, 0), ylim=_axis(grid, 1))
    return style.shown(
        figure,
        "cells",
        caption=(
            "The attractor of the Hénon map, and the cells that training trajectories visit. Each "
            "of these cells is one token; its centre stands for every state in it. The "
            "trajectories start in the block at the upper left."
        ),
        alt="Scatter of the Hénon attractor, a folded curve, over shaded grid cells along it.",
    )


def _axis(grid: Grid, i: int) -> tuple[float, float]:
    return grid.low[i], grid.high[i]


def context_curves(
    axes: Axes,
    lengths: Sequence[int],
    networks: np.ndarray,
    counts: np.ndarray,
    floor: float | None,
) -> None:
    """Cross-entropy against tokens of context, over the entropy rate of the system if it is known.

    `networks` is (models, len(lengths)), `counts` holds n-grams of 1, 2, … tokens, `floor` is
    in nats a token.
    """
    if floor is not None:
        axes.axhline(floor, color=style.MUTED, linewidth=1)
        axes.annotate(
            "entropy rate of the system", (1, floor), xytext=(0, 5), textcoords="offset points",
            fontsize=10, color=style.MUTED,
        )  # fmt: skip
    for curve in networks:
        axes.plot(lengths, curve, "o-", markersize=3.5, color=style.COLOURS["model"])
    orders = range(1, len(counts) + 1)
    axes.plot(orders, counts, "s--", markersize=4, color=style.COLOURS["ngram4"])
    few = min(3, len(counts))  # where the curves are apart, and nothing is below
    style.note(axes, few, counts[few - 1], "n-grams", "ngram4", offset=(-6, -8), ha="right")
    style.note(
        axes, lengths[-1], networks[0][-1], "GPT-2", "model", offset=(4, 10), ha="right"
    )  # fmt: skip
    axes.set(xscale="log", xlabel="tokens of context", ylabel="cross-entropy, nats per token")
    ticks = [n for n in lengths if n & (n - 1) == 0]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()


#: What follows from the figure of memory, for a map and for a flow; its lowest cross-entropy.
CONTEXT: dict[str, tuple[str, float | None]] = {
    "map": (
        "Counting predicts as well as the network from few tokens. It improves until its contexts "
        "become too rare; the network levels off where counting is at its best.",
        None,
    ),
    "flow": (
        "Both improve far beyond four tokens, counting until its contexts become too rare.",
        0.0,
    ),
}


def context(
    lengths: Sequence[int], networks: np.ndarray, counts: np.ndarray, *, floor: float, kind: str
) -> style.Shown:
    """What :func:`dynlib.report.tokens.memory` returns, over an entropy rate `floor`.

    `kind` is ``"map"`` or ``"flow"``.
    """
    figure, axes = style.figure(3.4)
    finding, bottom = CONTEXT[kind]
    context_curves(axes, lengths, networks, counts, floor)
    axes.set_ylim(bottom=bottom)
    best = int(np.argmin(counts))
    return style.shown(
        figure,
        "context",
        caption=(
            "Cross-entropy of the next token against the number of tokens seen, all on the same "
            f"test targets. {finding}"
        ),
        alt=(
            "Curves of cross-entropy against context length on a logarithmic axis, above a "
            "horizontal line, the Pesin entropy rate. From one token to many, the n-grams start "
            f"at {counts[0]:.2f}, reach {counts[best]:.2f} at {best + 1} tokens and end at "
            f"{counts[-1]:.2f}; GPT-2 starts at {networks[0][0]:.2f} and ends at "
            f"{networks[0][-1]:.2f}."
        ),
    )


def density(samples: Mapping[str, np.ndarray], grid: Grid) -> style.Shown:
    """Visits of each cell of a plane by the tokens of four methods."""
    figure, panels = style.figure(4.6, 2, 2, sharex=True, sharey=True)
    for axes, (method, sample) in zip(panels.flat, samples.items(), strict=True):
        share = np.bincount(sample.ravel(), minlength=grid.vocabulary) / sample.size
        visited = np.full((grid.n_cells, grid.n_cells), np.nan)
        visited[tuple(grid.cells.T)] = np.where(share > 0, share, np.nan)
        picture = axes.imshow(
            visited.T, origin="lower", extent=(*_axis(grid, 0), *_axis(grid, 1)), aspect="auto",
            norm="log", cmap="viridis",
        )  # fmt: skip
        picture.set_clim(1e-5, 3e-2)
        axes.set_title(style.LABELS[method])
    for axes in panels[1]:
        axes.set_xlabel("x")
    for axes in panels[:, 0]:
        axes.set_ylabel("y")
    figure.colorbar(picture, ax=panels, label="share of states", shrink=0.8)
    return style.shown(
        figure,
        "density",
        caption=(
            "How often each cell is visited, on one logarithmic scale. To the eye, GPT-2 sampled "
            "at temperature 1 looks like the truth. So does a Markov chain that remembers a "
            "single token."
        ),
        alt=(
            "Four maps of the Hénon attractor coloured by visits per cell: truth, GPT-2 at "
            "temperature one, GPT-2 greedy, Markov chain."
        ),
    )


def dots(axes: Axes, methods: Sequence[str], measure: str) -> None:
    """One row a method: every unit's value of a measure, the median and the interval."""
    for row, method in enumerate(methods):
        entry = record.metrics()[record.named(method, measure)]
        colour = style.COLOURS[method]
        if entry["value"] is None:
            continue
        axes.plot(entry["samples"], [row] * len(entry["samples"]), "o", color=colour, alpha=0.5)
        if entry["low"] is not None:
            axes.plot([entry["low"], entry["high"]], [row, row], color=colour)
        axes.plot(entry["value"], row, "|", color=colour, markersize=14, mew=2)
    axes.set_yticks(range(len(methods)), [style.LABELS[m] for m in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)


def ratio(methods: Sequence[str], *, finding: str = "") -> style.Shown:
    """Recorded ratios of distances, a row a method; `finding` ends the caption."""
    figure, axes = style.figure(0.85 + 0.29 * len(methods))
    dots(axes, methods, "w1_ratio")
    axes.axvline(1, color=style.MUTED, linestyle="--", linewidth=1)
    axes.set(xscale="log", xlabel="W1 to truth / W1 of truth to truth")
    style.plain(axes.xaxis)
    over = record.metrics()["w1_ratio"]["over"]
    return style.shown(
        figure,
        "ratio",
        caption=(
            "Distance from the truth, over the distance between two true samples of the same size "
            f"(dashed: equal). Dots are {over}, bars their intervals. The training replay copies "
            "true trajectories: its distance from one is chance. Where the Markov chain is near "
            "one as well, this measure does not show that a network has learned more than one "
            f"token of memory. {finding}"
        ).strip(),
        alt=(
            f"Dot plot on a logarithmic axis of Wasserstein ratios for {len(methods)} methods, "
            "with a dashed line at one."
        ),
    )


def lyapunov(methods: Sequence[str], reference: float) -> style.Shown:
    """Exponents that :func:`dynlib.report.tokens.estimated_exponents` recorded, a row a method."""
    figure, axes = style.figure(3.0)
    axes.axvline(reference, color=style.MUTED, linewidth=1)
    for row, method in enumerate(methods):
        colour = style.COLOURS[method]
        for suffix, shift, face in (("", -0.15, colour), ("_fit5", 0.15, "none")):
            values = record.metrics()[lyapunov_name(method) + suffix]["samples"]
            axes.plot(
                values, [row + shift] * len(values), "o", markersize=5, color=colour,
                markerfacecolor=face, alpha=0.8,
            )  # fmt: skip
    axes.set_yticks(range(len(methods)), [style.LABELS[m] for m in methods])
    axes.invert_yaxis()
    axes.set(xlabel="estimated exponent, nats per iteration")
    return style.shown(
        figure,
        "lyapunov",
        caption=(
            "The exponent that the paper's estimator finds, with products of all lengths as "
            "printed (filled) and without the shortest (open); one mark for each seed or batch. "
            "The vertical line is the exponent of the map. Rounding true orbits to cell centres "
            "lowers the estimate. Decoded greedily, the network's seeds scatter far more widely."
        ),
        alt=(
            "Dot plot of estimated Lyapunov exponents by source of the states: true orbits, true "
            "tokens, GPT-2 sampled and greedy, and n-grams, with a vertical line at the map's "
            "exponent."
        ),
    )


def lively(grid: Grid, prompts: np.ndarray) -> int:
    """The row of the prompt whose last eight steps go furthest along the first axis."""
    return int(np.argmax(np.abs(np.diff(grid.decode(prompts)[:, -9:, 0])).sum(axis=1)))


def scheme(
    grid: Grid,
    plane: Sequence[int],
    *,
    prompt: np.ndarray,
    paths: Mapping[str, np.ndarray],
    following: np.ndarray,
) -> style.Shown:
    """How a trajectory is written on, in four panels.

    Parameters
    ----------
    grid : Grid
        The cells.
    plane : sequence of int
        The two coordinates to draw.
    prompt : numpy.ndarray
        Tokens (T,).
    paths : mapping of str to numpy.ndarray
        Tokens that follow, ``"true"`` and the ``"model"``'s.
    following : numpy.ndarray
        The model's probabilities of the token after the prompt, (V,).
    """
    side, low = grid.cell_size[plane], grid.low[plane]
    past, future, continued = (
        grid.decode(tokens)[:, plane]
        for tokens in (prompt[-12:], paths["true"][:18], paths["model"][:18])
    )
    likely = np.argsort(following)[-8:]
    strength = np.clip(following[likely] / following[likely[-1]], 0.08, 0.9)
    blue, orange = style.COLOURS["model"], style.COLOURS["greedy"]
    figure, ((first, second), (third, fourth)) = style.figure(5.0, 2, 2, sharex=True, sharey=True)
    first.set_title("a trajectory …")
    first.plot(*past.T, ".-", color=style.INK)
    second.set_title("… is a sentence of cells")
    _shade(second, past, side, facecolor=blue, alpha=np.linspace(0.2, 0.9, len(past)))
    third.set_title("what comes next?")
    third.plot(*past.T, ".-", color=style.MUTED, linewidth=1)
    _shade(third, grid.centres[likely][:, plane], side, facecolor=orange, alpha=strength)
    third.plot(*future[:1].T, "x", color=style.INK)
    fourth.set_title("one after the other")
    fourth.plot(*past.T, ".-", color=style.MUTED, linewidth=1)
    fourth.plot(*future.T, ".-", color=style.INK)
    fourth.plot(*continued.T, "o", color=blue, markersize=4)
    drawn = np.concatenate([past, future, continued])
    start, end = drawn.min(axis=0) - 2.5 * side, drawn.max(axis=0) + 2.5 * side
    edges = low + side * np.arange(grid.n_cells + 1)[:, None]
    for axes in (first, second, third, fourth):
        for i, ticks in enumerate((axes.set_xticks, axes.set_yticks)):
            ticks(edges[(edges[:, i] > start[i]) & (edges[:, i] < end[i]), i], [])
        axes.tick_params(length=0)
        axes.grid(linewidth=0.4)
    first.set(xlim=(start[0], end[0]), ylim=(start[1], end[1]))
    return style.shown(
        figure,
        "scheme",
        caption=(
            "The scheme, with cells, probabilities and continuation of this run. A trajectory "
            "(upper left) becomes the row of cells that it visits, a sentence of tokens (upper "
            "right, later is stronger). GPT-2 gives each token a probability to come next (lower "
            "left, likelier is stronger; the cross is where the trajectory goes). One of them is "
            "taken, its centre is the next state, and so on (lower right: the trajectory without "
            "colour, the centres that GPT-2 writes in colour)."
        ),
        alt=(
            "Four panels of the same stretch of a trajectory: as a curve over a grid, as shaded "
            "cells, with the probabilities of the next cell, and with its continuation."
        ),
    )


def trajectories(
    grid: Grid, plane: Sequence[int], paths: Mapping[str, np.ndarray], names: Sequence[str]
) -> style.Shown:
    """A true continuation and two by the model, tokens (T,), in two coordinates."""
    figure, panels = style.figure(2.4, 1, 3, sharex=True, sharey=True)
    for axes, (method, path) in zip(panels, paths.items(), strict=True):
        states = grid.decode(path)[:, plane]
        axes.plot(*states.T, color=style.COLOURS[method], linewidth=0.8)
        axes.set_title(style.LABELS[method])
        axes.set_xlabel(names[plane[0]])
    panels[0].set_ylabel(names[plane[1]])
    return style.shown(
        figure,
        "trajectories",
        caption=(
            "Three continuations of one prompt, seen from one side: the true one and two that "
            "GPT-2 writes, sampled and greedy. All start from the same tokens; chaos drives them "
            "apart. Sampled, the shape stays."
        ),
        alt=(
            "Three panels, projections of three trajectories: the true continuation, GPT-2 "
            "sampled at temperature one, and GPT-2 decoded greedily."
        ),
    )


def scene(grid: Grid, paths: Mapping[str, np.ndarray], names: Sequence[str]) -> Scene:
    """The same in three dimensions."""
    states = {method: grid.decode(path) for method, path in paths.items()}
    return Scene(states, axes=names, alt="The true continuation of a prompt and two by GPT-2")


def accuracy(
    orbits: Sequence[np.ndarray],
    *,
    counting: Mapping[int, np.ndarray],
    networks: Sequence[np.ndarray],
) -> style.Shown:
    """Mean steps until divergence against the recorded accuracy of the next token.

    Parameters
    ----------
    orbits : sequence of numpy.ndarray
        For each prompt, tokens (n, T) of the true trajectories found.
    counting : mapping of int to numpy.ndarray
        Greedy continuations (C, T) by n-grams, by their memory.
    networks : sequence of numpy.ndarray
        The same by the model, one a training seed.
    """
    metrics = record.metrics()
    right = [metrics[f"ngram{k}_top1_accuracy"]["value"] for k in counting]
    reached = [divergence_steps(orbits, each).mean() for each in counting.values()]
    seeds = metrics["top1_accuracy"]["samples"]
    steps = [divergence_steps(orbits, each).mean() for each in networks]
    curve = np.linspace(0.4, 0.97, 200)
    figure, axes = style.figure(3.2)
    axes.plot(curve, curve / (1 - curve), color=style.MUTED, linewidth=1)
    axes.plot(right, reached, "s", color=style.COLOURS["ngram4"], markersize=5)
    for k, x, y in zip(counting, right, reached, strict=True):
        if right[-1] - x > 0.03 or k == max(counting):  # the others crowd there
            style.note(axes, x, y, str(k), "ngram4", offset=(-4, 8), ha="right")
    axes.plot(
        seeds, steps, "o", color=style.COLOURS["model"], markersize=9, fillstyle="none", mew=2
    )  # open, and above the squares
    style.note(axes, seeds[-1], steps[-1], "GPT-2", "model", offset=(9, -26), ha="left")
    axes.set(
        xlabel="accuracy a of the next token", ylabel="steps until divergence", yscale="log"
    )  # fmt: skip
    style.plain(axes.yaxis)
    return style.shown(
        figure,
        "accuracy",
        caption=(
            "Mean number of steps until a greedy continuation matches no true trajectory that was "
            "found, against the accuracy a of predicting the next token: n-grams with 1, 2, 3, … "
            "tokens of memory, and GPT-2. The line is a / (1 - a), the mean number of correct "
            "guesses in a row if each were correct with probability a."
        ),
        alt=(
            "Scatter of mean matched steps against accuracy for n-grams and GPT-2, rising along "
            "the curve a over one minus a."
        ),
    )


def draws(found: Draws, *, inverse: float) -> style.Shown:
    """Mean divergence times against the number of draws, and the `inverse` exponent, a time."""
    figure, axes = style.figure(3.2)
    axes.axhline(inverse, color=style.MUTED, linewidth=1)
    pair = np.log(np.asarray(found.curves["true"]) / inverse)
    end = -1 if abs(pair[-1]) > abs(pair[0]) else 0  # where the pair is far from the line
    axes.annotate(
        "1 / Lyapunov exponent", (found.counts[end], inverse), color=style.MUTED,
        xytext=(0, -4 if pair[end] > 0 else 4), va="top" if pair[end] > 0 else "bottom",
        ha="right" if end else "left", textcoords="offset points", fontsize=style.SMALL,
    )  # fmt: skip
    names = {"true": "true pair", "model": "GPT-2, greedy", "best_ngram": "best n-gram"}
    for method in names:
        colour = style.COLOURS[{"true": "pair"}.get(method, method)]
        axes.plot(found.counts, found.curves[method], "o-", markersize=4, color=colour)
    ends = {name: found.curves[name][-1] for name in names}
    axes.set(xscale="log", yscale="log", xlabel="states drawn around each prompt")
    axes.set_ylabel("divergence time, units of time")
    axes.margins(y=0.12)  # room for a name below the lowest curve
    style.plain(axes.yaxis)
    shift = {"true": 6, "model": 6, "best_ngram": -14}
    if ends["best_ngram"] > ends["model"]:
        shift |= {"model": -14, "best_ngram": 6}
    for method, label in names.items():
        style.note(
            axes, found.counts[-1], ends[method], label, {"true": "pair"}.get(method, method),
            offset=(0, shift[method]), ha="right",
        )  # fmt: skip
    return style.shown(
        figure,
        "draws",
        caption=(
            "Mean divergence time against the number of states drawn in search of true "
            "trajectories. The search finds more and closer ones the longer it takes, so that "
            "every time is a lower bound. Times are compared at equal draws. The horizontal line "
            "is the inverse of the Lyapunov exponent."
        ),
        alt=(
            "Three rising curves of divergence time against the number of draws, both on "
            "logarithmic axes: a true pair, GPT-2 decoded greedily and the best n-gram, with a "
            "horizontal line at the inverse of the Lyapunov exponent."
        ),
    )


def separation(found: Separation, *, exponent: float, prompt: int, tau: float) -> style.Shown:
    """Mean distances of trajectories with the same prompt, against time.

    Parameters
    ----------
    found : dynlib.report.flows.Separation
        The curves.
    exponent : float
        Largest Lyapunov exponent, per unit of time.
    prompt : int
        Steps of the prompt.
    tau : float
        Time of a step.
    """
    figure, axes = style.figure(3.4)
    times = tau * np.arange(len(found.curves["model"]))
    axes.axhspan(*sorted(found.bounds), color=style.GRID, alpha=0.4, linewidth=0)
    axes.axhline(found.spread, color=style.MUTED, linestyle="--", linewidth=1)
    axes.axvline(prompt * tau, color=style.MUTED, linestyle=":", linewidth=1)
    for method, curve in found.curves.items():
        axes.plot(times, curve, color=style.COLOURS[method])
    for height, text, method in ((0.14, "GPT-2 and truth", "model"), (0.05, "a true pair", "pair")):
        style.place(axes, 0.98, height, text, method, ha="right")
    late = np.flatnonzero(found.curves["pair"] > found.bounds[0])
    if len(late):
        begin = max(0, late[0] - int(2 / exponent / tau))
        guide = times[begin : late[0] + 1]
        height = 0.4 * found.bounds[0] * np.exp(exponent * (guide - guide[-1]))
        axes.plot(guide, height, color=style.INK, linewidth=1)
    axes.set(yscale="log", xlabel="units of time", ylabel="mean distance")
    axes.set_ylim(top=3 * found.spread)
    return style.shown(
        figure,
        "separation",
        caption=(
            "Mean distance between two trajectories with the same first tokens (up to the dotted "
            "line): GPT-2's continuation and the truth, and a true pair. The dashed line is the "
            "mean distance of independent trajectories. Slopes are measured in the shaded range. "
            "The thin straight line grows at the Lyapunov exponent. True pairs start much closer "
            "than the width of a cell, so they separate later."
        ),
        alt=(
            "Two curves of mean distance against time on a logarithmic axis: that of GPT-2 rises "
            "right after the prompt, that of true pairs much later; both approach a dashed line."
        ),
    )
