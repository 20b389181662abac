"""What the run on networks of the Lorenz system records and tabulates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dynlib.networks.recipes import Pairs, Trained
from dynlib.networks.scores import failed, one_step_errors
from dynlib.report import record
from dynlib.report.style import LABELS
from dynlib.report.style import WORDS as COLOURS

#: Losses of the last epoch in the authors' repository; those of structured networks are means
#: over four outputs, of which one is always zero.
RELEASED = {
    "stnn_p1": 1.496e-4 * 4 / 3,
    "stnn_p4": 2.880e-6 * 4 / 3,
    "stnn_p6": 2.331e-6 * 4 / 3,
    "ffnn": 4.315e-6,
}


def label(axes: Axes, x: float, y: float, method: str, **options) -> None:
    """Name a curve beside it, at a point in data coordinates, in its method's colour."""
    axes.annotate(
        options.pop("text", LABELS[method]), (x, y), xytext=options.pop("offset", (5, 0)),
        textcoords="offset points", color=COLOURS[method], va=options.pop("va", "center"),
        fontsize=options.pop("fontsize", 10), **options,
    )  # fmt: skip


def title(name: str) -> str:
    """What a network is called.

    Examples
    --------
    >>> title("stnn_p6"), title("control_p2"), title("printed_ffnn")
    ('StNN, p = 6', 'plain, size of p = 2', 'FFNN 3-30-30-30-3, as printed')
    """
    kind, _, p = name.removeprefix("printed_").partition("_p")
    words = {
        "stnn": f"StNN, p = {p}",
        "control": f"plain, size of p = {p}",
        "ffnn": "FFNN 3-30-30-30-3",
    }[kind]
    return f"{words}, as printed" if name.startswith("printed_") else words


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


def record_error(name: str, found: Sequence[Trained], pairs: Pairs) -> None:
    """Record the mean one-step error of every seed on some pairs, under a full name."""
    errors = [one_step_errors(each.model, pairs).mean() for each in found]
    record.metric(name, errors, over="seeds", tolerance=3.0)


def error_table(names: Iterable[str]) -> record.Table:
    """Size, errors and failed seeds of networks, one a row."""
    header = ["network", "parameters", "training MSE", "validation MSE", "x", "y", "z"]
    rows = []
    for name in names:
        size = record.show(f"{name.removeprefix('printed_')}_parameters", "d")
        seeds = record.metrics()[f"{name}_mse_train"]["n"]
        rows.append(
            [
                title(name),
                size,
                record.show(f"{name}_mse_train", ".1e"),
                record.show(f"{name}_mse_validation", ".1e"),
                *(record.show(f"{name}_mse_validation_{i}", ".0e").split(" ")[0] for i in "xyz"),
                record.show(f"{name}_nmse_validation", ".1e").split(" ")[0],
                f"{record.show(f'{name}_failed_seeds')} of {seeds}",
            ]
        )
    return record.Table([*header, "over variance", "failed seeds"], rows)


def record_released() -> None:
    """Record the losses that the authors published, ``released_<network>_mse``."""
    for name, error in RELEASED.items():
        record.metric(f"released_{name}_mse", error, tolerance=0.0)


def published_table() -> record.Table:
    """The losses that the authors published."""
    rows = [[title(name), record.show(f"released_{name}_mse", ".1e")] for name in RELEASED]
    return record.Table(["network", "released, last epoch"], rows)


def record_roughness(name: str, trained: Trained) -> None:
    """Record the mean change of the training error between marks, ``_roughness``, in decades.

    Only the second half of the training counts.
    """
    curve = np.log10(trained.history[:, 1])
    tail = np.diff(curve[len(curve) // 2 :])
    record.metric(f"{name}_roughness", np.abs(tail).mean(), unit="decades", tolerance=1.0)


def split_table() -> record.Table:
    """Errors of the same network after the two ways to hold out data."""
    return record.Table(
        ["trained on", "error on what was held out", "on fresh trajectories"],
        [
            [
                words,
                record.show(f"stnn_p6_mse_validation{split}", ".1e"),
                record.show(f"stnn_p6_mse_fresh{split}", ".1e"),
            ]
            for words, split in (("random pairs", "_pairsplit"), ("whole trajectories", ""))
        ],
    )


def direction_table(names: Iterable[str]) -> record.Table:
    """Parameters of networks, and the directions in which these can change the output."""
    columns = {"parameters": "parameters:d", "active directions": "active_directions"}
    return record.metrics_table({name: title(name) for name in names}, columns, "network")
