"""What networks cost: parameters, operations and times, recorded and tabulated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from dynlib.measure.timing import rounds
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.count import layers, saving, total
from dynlib.networks.ffnn import FFNN, in_numpy
from dynlib.networks.stnn import StNN
from dynlib.peers.released import ReleasedStNN
from dynlib.report import record
from dynlib.report.networks import title

#: What is timed, and how the table calls it.
TIMED = {
    "released": "StNN-388, as released",
    "factors": "StNN-388, factors each time",
    "assembled": "StNN-388, assembled",
    "ffnn": "FFNN-2073",
    "ffnn_numpy": "FFNN-2073, in NumPy",
}
BATCHES = (1, 10_000)
#: Rounds in which all networks are timed.
ROUNDS = 21


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


def timed(structured: StNN, plain: FFNN) -> dict[str, tuple[Any, int]]:
    """The networks of `TIMED` and their numbers of inputs, for :func:`record_times`."""
    return {
        "released": (ReleasedStNN(structured), structured.n),
        "factors": (structured, structured.n),
        "assembled": (AssembledStNN(structured), structured.n),
        "ffnn": (plain, plain.n),
        "ffnn_numpy": (in_numpy(plain), plain.n),
    }


@torch.no_grad()
def record_times(models: Mapping[str, tuple[Any, int]]) -> dict[tuple[str, int], float]:
    """Record how long networks take, over the time of the feed-forward network.

    The networks take turns, and every ratio is one of times in the same round: the intervals are
    over rounds. Metrics: ``_time_ratio_batch<n>``, ``assembled_time_ratio_batch<n>_numpy`` over the
    feed-forward network in NumPy, ``assembled_gain_batch1``, and ``_step_s``, seconds a state.

    Parameters
    ----------
    models : mapping of str to (callable, int)
        The networks of `TIMED`, and their numbers of inputs.

    Returns
    -------
    dict
        Microseconds by name and batch, medians.
    """
    clock: dict[tuple[str, int], np.ndarray] = {}
    for batch in BATCHES:
        states = {name: torch.randn(batch, n) for name, (_, n) in models.items()}
        calls = [partial(model, states[name]) for name, (model, _) in models.items()]
        found = rounds(calls, repeats=ROUNDS, calls=3 if batch > 1000 else 30)
        clock |= {(name, batch): found[:, i] for i, name in enumerate(models)}
    for name, batch in clock:
        _record_ratio(f"{name}_time_ratio_batch{batch}", clock[name, batch], clock["ffnn", batch])
    for batch in BATCHES:
        ratio = f"assembled_time_ratio_batch{batch}_numpy"
        _record_ratio(ratio, clock["assembled", batch], clock["ffnn_numpy", batch])
    _record_ratio("assembled_gain_batch1", clock["released", 1], clock["assembled", 1])
    for name in models:
        seconds = clock[name, 1] / 1e6
        record.metric(
            f"{name}_step_s", seconds, over="rounds", unit="s", tolerance=10.0, timing=True
        )
    return {key: float(np.median(times)) for key, times in clock.items()}


def _record_ratio(name: str, times: np.ndarray, others: np.ndarray) -> None:
    record.metric(name, times / others, over="rounds", tolerance=2.0, timing=True)


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
