"""What the notebooks of the second paper share: colours, names, figures, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dynlib.networks.recipes import Pairs, Trained
from dynlib.networks.scores import failed, one_step_errors
from dynlib.report import record, style

#: One colour a method; those that the first part uses keep theirs (see :mod:`dynlib.report.style`).
COLOURS = {
    "true": style.INK,
    "dense": style.MUTED,
    "fft": "#2f81c1",
    "shift": "#c98a00",
    "stnn": "#2f81c1",
    "ffnn": "#d9631e",
    "control": "#1a9e77",
    "plain": "#c98a00",
    "accelerated": "#b5669b",
    "restart": "#2f81c1",
}

LABELS = {
    "true": "truth",
    "dense": "dense",
    "fft": "two FFTs",
    "shift": "shifts",
    "stnn": "StNN",
    "ffnn": "FFNN-2073",
    "control": "plain, same size",
    "plain": "plain, eq. (8)",
    "accelerated": "accelerated",
    "restart": "with restart",
}


def label(axes: Axes, x: float, y: float, method: str, **options) -> None:
    """Name a curve beside it, at a point in data coordinates, in its method's colour."""
    axes.annotate(
        options.pop("text", LABELS[method]), (x, y), xytext=options.pop("offset", (5, 0)),
        textcoords="offset points", color=COLOURS[method], va=options.pop("va", "center"),
        fontsize=options.pop("fontsize", 10), **options,
    )  # fmt: skip


def against_size(
    axes: Axes, sizes: Mapping[str, Sequence[int]], measure: str, names: Mapping[str, Sequence[str]]
) -> None:
    """A recorded measure of every network against its number of parameters, seed by seed.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    sizes : mapping of str to sequence of int
        Numbers of parameters of each family ("stnn", "control", ...).
    measure : str
        Name of the measure, e.g. ``"mse_validation"``.
    names : mapping of str to sequence of str
        The networks of each family, as metrics name them.
    """
    metrics = record.metrics()
    for shift, (family, methods) in enumerate(names.items()):
        found = [metrics[record.named(method, measure)] for method in methods]
        sizes_here = np.array(sizes[family]) * (1 + 0.03 * shift)
        axes.plot(
            sizes_here, [entry["value"] for entry in found], "o-", color=COLOURS[family],
            markersize=4, linewidth=1.2,
        )  # fmt: skip
        for size, entry in zip(sizes_here, found, strict=True):
            axes.plot(
                [size] * len(entry["samples"]), entry["samples"], "_", color=COLOURS[family],
                alpha=0.6,
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="parameters")


def record_network(
    name: str, found: Sequence[Trained], learn: Pairs, held_out: Pairs, variance: np.ndarray
) -> None:
    """Record the errors of one network over its seeds, failed ones included.

    Metrics: ``_mse_train``, ``_mse_validation`` (also by coordinate), ``_nmse_validation``,
    ``_failed_seeds``, ``_dead_units``, ``_steps``, ``_train_s`` (a seed).
    """
    training = [one_step_errors(each.model, learn).mean() for each in found]
    errors = np.array([one_step_errors(each.model, held_out) for each in found])
    over: dict[str, Any] = {"over": "seeds", "tolerance": 3.0}
    record.metric(f"{name}_mse_train", training, **over)
    record.metric(f"{name}_mse_validation", errors.mean(1), **over)
    for axis, column in zip("xyz", errors.T, strict=False):
        record.metric(f"{name}_mse_validation_{axis}", column, **over)
    record.metric(f"{name}_nmse_validation", (errors / variance).mean(1), **over)
    lost = sum(failed(row, variance) for row in errors)
    record.metric(f"{name}_failed_seeds", lost, tolerance=1.0)
    record.metric(f"{name}_dead_units", [each.dead for each in found], over="seeds", tolerance=1.0)
    record.metric(f"{name}_steps", int(found[0].history[-1, 0]), tolerance=0.0)
    seconds = [each.seconds[-1] for each in found]
    record.metric(f"{name}_train_s", seconds, over="seeds", unit="s", tolerance=10.0, timing=True)
