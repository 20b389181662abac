"""What the run on networks of the Lorenz system records and tabulates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dynlib.measure.timing import microseconds
from dynlib.networks.count import layers, saving, total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Pairs, Trained
from dynlib.networks.scores import failed, one_step_errors
from dynlib.networks.stnn import StNN
from dynlib.report import record

#: Losses of the last epoch in the authors' repository; those of structured networks are means
#: over four outputs, of which one is always zero.
RELEASED = {
    "stnn_p1": 1.496e-4 * 4 / 3,
    "stnn_p4": 2.880e-6 * 4 / 3,
    "stnn_p6": 2.331e-6 * 4 / 3,
    "ffnn": 4.315e-6,
}

#: What is timed, and how the table calls it.
TIMED = {
    "released": "StNN, p = 6, as released",
    "factors": "StNN, factors each time",
    "assembled": "StNN, assembled",
    "ffnn": "FFNN 3-30-30-30-3",
    "ffnn_numpy": "FFNN 3-30-30-30-3, in NumPy",
}
BATCHES = (1, 10_000)


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


def record_sizes(networks: Mapping[str, StNN | FFNN]) -> None:
    """Record parameters and operations of all networks, and what structure saves of the peer's.

    Metrics: ``_parameters`` and ``_flops``; of structured networks, in percent of the
    feed-forward network, ``_parameter_saving``, ``_weight_saving``, ``_flop_saving`` and
    ``_flop_saving_coded``; ``stnn_p6_dense_flops``.
    """
    for name, network in networks.items():
        record.metric(f"{name}_parameters", total(network), tolerance=0.0)
        record.metric(f"{name}_flops", total(network, "flops"), tolerance=0.0)
        if isinstance(network, StNN):
            for measure, what in (
                ("parameter_saving", "parameters"),
                ("weight_saving", "weights"),
                ("flop_saving", "flops"),
                ("flop_saving_coded", "flops_coded"),
            ):
                saved = saving(network, networks["ffnn"], what)
                record.metric(f"{name}_{measure}", saved, unit="%", tolerance=0.0)
    dense = total(networks["stnn_p6"], "flops_dense")
    record.metric("stnn_p6_dense_flops", dense, tolerance=0.0)


def layer_table(networks: Mapping[str, StNN | FFNN]) -> record.Table:
    """Counts of three networks, layer by layer and in all: the paper's Table 1."""
    fields = ("weights", "biases", "flops", "flops_coded", "flops_dense")
    rows = []
    for name in ("stnn_p6", "ffnn", "control_p6"):
        words = title(name)
        for layer in layers(networks[name]):
            counts = [str(getattr(layer, field)) for field in fields]
            rows.append([f"{words}: {layer.name}", *counts])
        sums = [f"**{total(networks[name], field)}**" for field in fields]
        rows.append([f"**{words}**", *sums])
    header = ["layer", "weights", "biases", "flops", "as coded", "multiplied out"]
    return record.Table(header, rows)


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
    record.metric(f"{name}_train_s", seconds, over="seeds", unit="s", tolerance=10.0)


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


def released_table() -> record.Table:
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
    return record.Table(
        ["network", "parameters", "active directions"],
        [
            [
                title(name),
                record.show(f"{name}_parameters", "d"),
                record.show(f"{name}_active_directions"),
            ]
            for name in names
        ],
    )


@torch.no_grad()
def evaluation_time(model: Callable[[torch.Tensor], torch.Tensor], n: int, batch: int) -> float:
    """Median microseconds of one evaluation of a network with n inputs."""
    states = torch.randn(batch, n)
    calls = 3 if batch > 1000 else 30
    return microseconds(lambda: model(states), repeats=9, calls=calls)


def record_times(models: Mapping[str, tuple[Any, int]]) -> dict[tuple[str, int], float]:
    """Record how long networks take, over the time of the feed-forward network.

    Metrics: ``_time_ratio_batch<n>``, ``assembled_time_ratio_batch1_numpy`` and
    ``assembled_gain_batch1``.

    Parameters
    ----------
    models : mapping of str to (callable, int)
        The networks of `TIMED`, and their numbers of inputs.

    Returns
    -------
    dict
        Microseconds by name and batch.
    """
    clock = {
        (name, batch): evaluation_time(model, n, batch)
        for name, (model, n) in models.items()
        for batch in BATCHES
    }
    for name, batch in clock:
        ratio = clock[name, batch] / clock["ffnn", batch]
        record.metric(f"{name}_time_ratio_batch{batch}", ratio, tolerance=2.0)
    for name, ratio in (
        ("assembled_time_ratio_batch1_numpy", clock["assembled", 1] / clock["ffnn_numpy", 1]),
        ("assembled_gain_batch1", clock["released", 1] / clock["assembled", 1]),
    ):
        record.metric(name, ratio, tolerance=2.0)
    return clock


def time_table(clock: Mapping[tuple[str, int], float]) -> record.Table:
    """Times of one evaluation, and their ratios to the feed-forward network's."""
    header = ["", "µs, one state", "µs, 10 000 states", "over FFNN, one state", "10 000 states"]
    return record.Table(
        header,
        [
            [
                words,
                *(f"{clock[name, batch]:.3g}" for batch in BATCHES),
                *(record.show(f"{name}_time_ratio_batch{batch}", ".2g") for batch in BATCHES),
            ]
            for name, words in TIMED.items()
        ],
    )
