"""What a step of each method of the arena costs: parameters, operations and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from dynlib.measure.forecaster import Forecaster
from dynlib.measure.timing import microseconds
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.count import total
from dynlib.networks.forecaster import NetworkForecaster, feed_back
from dynlib.report import record
from dynlib.report.forecasts import LABELS


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
