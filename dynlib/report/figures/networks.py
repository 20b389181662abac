"""Figures of the networks of the Lorenz system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import LogLocator

from dynlib.networks.recipes import Trained
from dynlib.networks.scores import rollout
from dynlib.report import record, style
from dynlib.report.networks import label, title
from dynlib.report.style import COLOURS, LABELS


def data(trajectories: np.ndarray) -> style.Shown:
    """A hundred trajectories at most in the plane of x and z, and all initial states."""
    figure, axes = style.figure(3.6)
    for states in trajectories[:100]:
        axes.plot(
            states[:, 0], states[:, 2], linewidth=0.3, color="#8a949e", alpha=0.7, rasterized=True
        )  # a picture is not recoloured on a dark ground: this grey is legible on both
    first = trajectories[:, 0]
    axes.plot(first[:, 0], first[:, 2], ".", markersize=3, color=style.COLOURS["greedy"])
    axes.set(xlabel="x", ylabel="z")
    return style.shown(
        figure,
        "data",
        caption="The training data (their Figure 3): trajectories from initial states (dots) "
        "scattered about (0, 1, 20).",
        alt="The two-lobed Lorenz attractor in the x-z plane, made of many thin trajectories, with "
        "a cloud of dots where they start.",
    )


def size() -> style.Shown:
    """The recorded validation error of every network against its number of parameters."""
    figure, axes = style.figure(3.6)
    metrics = record.metrics()
    branches = (1, 2, 4, 6)
    groups = (
        ("stnn", [f"stnn_p{p}" for p in branches], "left", 6),
        ("control", [f"control_p{p}" for p in branches], "left", -8),
        ("ffnn", ["ffnn"], "right", 6),
    )
    for shift, (family, names, side, lift) in enumerate(groups):
        colour = COLOURS[family]
        errors = [metrics[f"{name}_mse_validation"] for name in names]
        sizes = [metrics[f"{name}_parameters"]["value"] for name in names]
        places = np.array(sizes) * (1 + 0.03 * shift)
        values = [entry["value"] for entry in errors]
        axes.plot(places, values, "o-", color=colour, markersize=4, linewidth=1.2)
        for place, entry in zip(places, errors, strict=True):
            seeds = entry["samples"]
            axes.plot([place] * len(seeds), seeds, "_", color=colour, alpha=0.6)
        label(axes, sizes[-1], values[-1], family, offset=(10, lift), ha=side)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="validation MSE")
    axes.set_xlim(55, 3000)
    ticks = [68, 132, 260, 388, 2073]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    return style.shown(
        figure,
        "size",
        caption="One-step error on trajectories that were held out against the number of "
        "parameters: structured networks, plain networks of the same size, and the paper's "
        "3-30-30-30-3 (one seed). Bars are seeds, lines join medians. All are trained in the same "
        "way, in our setting.",
        alt="Log-log plot. Validation error falls steeply with the number of parameters for both "
        "the structured and the plain networks.",
    )


def curves(
    trained: Mapping[str, Sequence[Trained]], as_printed: Mapping[str, Sequence[Trained]]
) -> style.Shown:
    """Training and validation error against steps: a row a network, as printed and ours."""
    names = [
        name for name in ("stnn_p1", "stnn_p2", "stnn_p4", "stnn_p6", "ffnn") if name in trained
    ]
    figure, panels = style.figure(
        0.8 + 1.15 * len(names), len(names), 2, sharex="col", sharey=True, squeeze=False
    )
    for name, row in zip(names, panels, strict=True):
        for axes, found in zip(
            row, (as_printed.get(f"printed_{name}"), trained[name]), strict=True
        ):
            for each in found or ():
                steps, training, *coordinates = each.history.T
                axes.plot(steps, training, color=COLOURS[name], linewidth=0.5, alpha=0.7)
                axes.plot(steps, np.mean(coordinates, axis=0), color=COLOURS[name], linewidth=1.4)
            axes.set(xscale="log", yscale="log")
            axes.margins(x=0.0)
            if found is None:
                style.place(axes, 0.5, 0.5, "not trained here", "mean", ha="center")
        row[0].set_title(title(name).replace(" 3-30-30-30-3", "-2073"), color=style.WORDS[name])
    for axes, words in zip(panels[0], ("as printed", "our setting"), strict=True):
        axes.annotate(
            words, (1, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points",
            ha="right", fontsize=style.SMALL, color=style.MUTED,
        )  # fmt: skip
    for axes in panels[-1]:
        axes.set_xlabel("steps")
    panels[0, 0].yaxis.set_major_locator(LogLocator(base=1e4, numticks=9))
    figure.supylabel("mean squared error", fontsize=11)
    return style.shown(
        figure,
        "curves",
        caption="Training (thin) and validation (thick) error against Levenberg–Marquardt steps "
        "(their Figure 4), every seed, a row a network. Left: as printed; a plateau near 10 is a "
        "coordinate whose last ReLUs are all dead. Right: our setting.",
        alt="Small panels of error against steps, both axes logarithmic, one row for each size. On "
        "the left several curves stay on plateaus of the order of ten, most with few branches; on "
        "the right all curves fall.",
    )


def rollouts(
    trained: Mapping[str, Sequence[Trained]], trajectories: np.ndarray, dt: float
) -> style.Shown:
    """Two trajectories, and how far the networks with the median error are from them."""
    figure, panels = style.figure(4.8, 3, 1, sharex=True, height_ratios=[1, 1, 1.6])
    steps = trajectories.shape[1] - 1
    times = dt * np.arange(steps + 1)
    ends = {}
    for axes, truth, dashes in zip(panels, trajectories, ("-", "--"), strict=False):
        axes.plot(times, truth[:, 0], dashes, color=style.INK, linewidth=2)
        axes.set_ylabel("x")
        for name, family in (("ffnn", "ffnn"), ("stnn_p6", "stnn")):
            errors = record.metrics()[f"{name}_mse_validation"]["samples"]
            typical = trained[name][np.argsort(errors)[(len(errors) - 1) // 2]].model
            path = np.concatenate([truth[:1], rollout(typical, truth[:1], steps)[0]])
            axes.plot(times, path[:, 0], dashes, color=COLOURS[family], linewidth=1)
            apart = style.bounded(np.linalg.norm(path - truth, axis=1))
            panels[2].plot(times[1:], apart[1:], dashes, color=COLOURS[family], linewidth=1.2)
            ends[family] = times[-1], apart[-1]
    panels[2].set(yscale="log", ylabel="distance", xlabel="units of time")
    style.name_ends(panels[2], ends, LABELS)
    return style.shown(
        figure,
        "rollouts",
        caption="The coordinate x of two fresh trajectories (without colour) and their "
        "continuation by the structured network with six branches and by the feed-forward network, "
        "each from one true state (their Figure 5). By eye they agree. Below: the distance between "
        "each continuation and the truth, dashed for the second trajectory.",
        alt="Two panels of an oscillating coordinate against time, the truth in black and two "
        "networks in colour on top of it. Below, their distances from the truth grow over five "
        "orders of magnitude on a logarithmic axis.",
    )
