"""What networks cost: parameters, operations and times, recorded and tabulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from dynlib.measure.timing import microseconds
from dynlib.networks.count import layers, saving, total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.stnn import StNN
from dynlib.report import record
from dynlib.report.networks import title

#: What is timed, and how the table calls it.
TIMED = {
    "released": "StNN, p = 6, as released",
    "factors": "StNN, factors each time",
    "assembled": "StNN, assembled",
    "ffnn": "FFNN 3-30-30-30-3",
    "ffnn_numpy": "FFNN 3-30-30-30-3, in NumPy",
}
BATCHES = (1, 10_000)


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
            counts = [record.number(getattr(layer, field), "d") for field in fields]
            rows.append([f"{words}: {layer.name}", *counts])
        sums = [f"**{record.number(total(networks[name], field), 'd')}**" for field in fields]
        rows.append([f"**{words}**", *sums])
    header = ["layer", "weights", "biases", "flops", "as coded", "multiplied out"]
    return record.Table(header, rows)


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
        record.metric(f"{name}_time_ratio_batch{batch}", ratio, tolerance=2.0, timing=True)
    for name, ratio in (
        ("assembled_time_ratio_batch1_numpy", clock["assembled", 1] / clock["ffnn_numpy", 1]),
        ("assembled_gain_batch1", clock["released", 1] / clock["assembled", 1]),
    ):
        record.metric(name, ratio, tolerance=2.0, timing=True)
    return clock


def time_table(clock: Mapping[tuple[str, int], float]) -> record.Table:
    """Times of one evaluation, and their ratios to the feed-forward network's."""
    many = f"{record.number(BATCHES[1], 'd')} states"
    header = ["", "µs, one state", f"µs, {many}", "over FFNN, one state", many]
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
