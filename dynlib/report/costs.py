"""What networks cost: parameters, operations and times, recorded and tabulated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from dynlib.measure.forecaster import Forecaster
from dynlib.measure.timing import microseconds, rounds
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.count import layers, saving, total
from dynlib.networks.ffnn import FFNN, in_numpy
from dynlib.networks.forecaster import NetworkForecaster, feed_back
from dynlib.networks.stnn import StNN
from dynlib.peers.released import ReleasedStNN
from dynlib.report import record
from dynlib.report.forecasts import LABELS
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


def record_cost(
    name: str,
    model: Forecaster,
    windows: np.ndarray,
    network: nn.Module | None = None,
    n_steps: int = 50,
) -> None:
    """Record what a step of a model costs, counted and by the clock.

    Metrics: ``_parameters``, ``_flops``, and microseconds a step ``_step_us`` for one state and
    ``_step_us_batch1000`` for a thousand.

    Parameters
    ----------
    name : str
        Of the method.
    model : Forecaster
        Its model; what is timed is a rollout of `n_steps` steps.
    windows : numpy.ndarray
        A thousand windows, (1000, T, dim).
    network : torch.nn.Module, optional
        Timed instead, fed with its own outputs.
    n_steps : int
        Steps of a timing.
    """
    record.metric(f"{name}_parameters", model.parameters, tolerance=0.1)
    record.metric(f"{name}_flops", model.flops, tolerance=0.1)
    for batch, suffix in ((1, ""), (1000, "_batch1000")):
        if network is None:
            call = partial(model.rollout, windows[:batch], n_steps)
        else:
            call = partial(feed_back, network, batch, n_steps)
        taken = microseconds(call) / n_steps
        record.metric(f"{name}_step_us{suffix}", taken, unit="us", tolerance=3.0, timing=True)


def record_costs(
    methods: Mapping[str, Sequence[Forecaster]],
    nets: Mapping[str, Sequence[NetworkForecaster]],
    windows: np.ndarray,
) -> None:
    """:func:`record_cost` of the first model of every method, and ``stnn_flops_coded``.

    A network, which `nets` holds too, is timed by its bare evaluation; the structured one with
    its factors multiplied out. The `windows` are repeated until there are a thousand.
    """
    thousand = np.repeat(windows, -(-1000 // len(windows)), axis=0)[:1000]
    bare: dict[str, Any] = {name: models[0].model for name, models in nets.items()}
    coded = total(bare["stnn"], "flops_coded")
    bare["stnn"] = AssembledStNN(bare["stnn"])
    for name, (model, *_) in methods.items():
        record_cost(name, model, thousand, network=bare.get(name))
    record.metric("stnn_flops_coded", coded, tolerance=0.0)


def cost_table(names: Iterable[str]) -> record.Table:
    """What a step of some methods costs: parameters, operations, microseconds."""
    columns = {
        "parameters": "parameters:d",
        "operations a step": "flops:d",
        "as forecast": "flops_run:d",
        "µs a step, one state": "step_us",
        f"{record.number(1000, 'd')} states": "step_us_batch1000",
    }
    return record.metrics_table({name: LABELS[name] for name in names}, columns, "method")
