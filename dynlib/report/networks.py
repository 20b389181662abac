"""What the run on networks of the Lorenz system records and tabulates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dynlib.networks.recipes import PARTS, Architecture, Pairs, Recipe, Trained
from dynlib.networks.scores import failed, one_step_errors
from dynlib.report import record
from dynlib.report.style import LABELS, PLAIN, STNN
from dynlib.report.style import WORDS as COLOURS

#: Means over the last twentieth of the curves in the authors' repository, of validation where there
#: is one and of training. Losses of structured networks are means over four outputs, of which one
#: is always zero.
RELEASED = {
    "stnn_p1": 1.496e-4 * 4 / 3,
    "stnn_p4": 2.880e-6 * 4 / 3,
    "stnn_p6": 2.331e-6 * 4 / 3,
    "ffnn": 4.315e-6,
}
RELEASED_TRAIN = RELEASED | {"stnn_p6": 2.279e-6 * 4 / 3, "ffnn": 3.841e-6}
#: Of their training curves, SNN_loss_curve_p_6_new_train.csv and ANN_loss_curve_new_train.csv, as
#: :func:`record_roughness` measures ours: means of 64 steps, the last 100 of 200.
RELEASED_ROUGHNESS = {"stnn_p6": 2.288e-3, "ffnn": 2.613e-2}
#: A seed reaches the released error, that of six branches, within a factor of two.
REACHED = 6.2e-6

#: Parts of a setting that are swapped one by one, and how the table calls them.
ABLATED = {
    "units": "units",
    "weights": "initial weights",
    "precision": "precision",
    "damping": "damping",
    "batch": "size of batches, at equal passes",
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
    ('StNN-388', 'plain-131', 'FFNN-2073, as printed')
    """
    kind, _, p = name.removeprefix("printed_").partition("_p")
    words = LABELS["ffnn"]
    if p:
        words = f"StNN-{STNN[int(p)]}" if kind == "stnn" else f"plain-{PLAIN[int(p)]}"
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
    for suffix, losses in (("", RELEASED), ("_train", RELEASED_TRAIN)):
        for name, error in losses.items():
            record.metric(f"released_{name}_mse{suffix}", error, tolerance=0.0)
    for name, found in RELEASED_ROUGHNESS.items():
        record.metric(f"released_{name}_roughness", found, unit="decades", tolerance=0.0)


def published_table() -> record.Table:
    """The losses that the authors published, and how rough two of the curves are."""
    rows = []
    for name in RELEASED:
        validated = name in RELEASED_ROUGHNESS
        rows.append(
            [
                title(name),
                record.show(f"released_{name}_mse", ".1e") if validated else "none",
                record.show(f"released_{name}_mse_train", ".1e"),
                record.show(f"released_{name}_roughness", ".2g") if validated else "none",
            ]
        )
    return record.Table(["network", "validation, last epoch", "training", "roughness"], rows)


def record_roughness(
    name: str, found: Sequence[Trained], held_out: Pairs, variance: np.ndarray
) -> None:
    """Record the mean change of the training error between marks, in decades.

    Only the second half of the training counts. Metrics: ``_roughness`` of the first seed, and
    ``_living_roughness`` of the seeds that have not failed on the pairs held out.
    """
    rough, living = [], []
    for each in found:
        curve = np.log10(each.history[:, 1])
        rough.append(float(np.abs(np.diff(curve[len(curve) // 2 :])).mean()))
        if not failed(one_step_errors(each.model, held_out), variance):
            living.append(rough[-1])
    over: dict[str, Any] = {"unit": "decades", "tolerance": 1.0}
    record.metric(f"{name}_roughness", rough[0], **over)
    record.metric(f"{name}_living_roughness", living or None, over="seeds", **over)


def record_share(name: str, found: Sequence[Trained], held_out: Pairs) -> None:
    """Record ``_share_released``, of the seeds that reach the released error, and ``_seeds``."""
    errors = np.array([one_step_errors(each.model, held_out).mean() for each in found])
    record.metric(f"{name}_share_released", float((errors <= REACHED).mean()), tolerance=1.0)
    record.metric(f"{name}_seeds", len(found), tolerance=0.0)


def variants(
    steps: int, batch_size: int, printed_batch: int, seeds: Sequence[int]
) -> dict[str, tuple[Architecture, Recipe, Sequence[int]]]:
    """Trainings of six branches in both settings, and in each with one part of the other.

    `steps` are those of `batch_size`, our setting; the printed one sees as many pairs in fewer.

    Examples
    --------
    >>> list(variants(40, 20, 100, [0]))[:3]
    ['ours', 'ours_units', 'ours_weights']
    """
    ours = Recipe(steps, batch_size, marks=20)
    printed = Recipe(steps * batch_size // printed_batch, printed_batch, printed=True, marks=20)
    wanted: dict[str, tuple[Architecture, Recipe, Sequence[int]]] = {}
    for name, base, other in (("ours", ours, printed), ("printed", printed, ours)):
        recipes = {name: base}
        recipes |= {f"{name}_{part}": replace(base, swapped=(part,)) for part in PARTS}
        recipes[f"{name}_batch"] = replace(base, batch_size=other.batch_size, steps=other.steps)
        architecture = Architecture(branches=6, released=base.printed)
        wanted |= {key: (architecture, recipe, seeds) for key, recipe in recipes.items()}
    return wanted


def record_ablation(
    found: Mapping[str, Sequence[Trained]], held_out: Pairs, variance: np.ndarray
) -> None:
    """Record ``ablation_<variant>_mse_validation`` and ``_failed_seeds`` of :func:`variants`."""
    for name, seeds in found.items():
        errors = np.array([one_step_errors(each.model, held_out) for each in seeds])
        record.metric(
            f"ablation_{name}_mse_validation", errors.mean(1), over="seeds", tolerance=3.0
        )
        lost = sum(failed(row, variance) for row in errors)
        record.metric(f"ablation_{name}_failed_seeds", lost, tolerance=1.0)


def ablation_table() -> record.Table:
    """Errors of both settings with one part of the other."""
    rows = []
    for part, words in {"": "nothing", **ABLATED}.items():
        row = [words]
        for setting in ("printed", "ours"):
            name = f"ablation_{setting}_{part}".rstrip("_")
            seeds = record.metrics()[f"{name}_mse_validation"]["n"]
            row.append(record.show(f"{name}_mse_validation", ".1e"))
            row.append(f"{record.show(f'{name}_failed_seeds')} of {seeds}")
        rows.append(row)
    header = ["taken from the other setting", "printed setting", "failed", "ours", "failed"]
    return record.Table(header, rows)


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
