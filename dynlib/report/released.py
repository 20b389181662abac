"""What the run on the released networks records of them, and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.integrate import odeint

from dynlib.dynamics.flows import Flow
from dynlib.measure.rollout import accumulated_mse, step_errors
from dynlib.networks.count import total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Pairs
from dynlib.networks.scores import one_step_errors
from dynlib.networks.stnn import StNN
from dynlib.peers.weights import rollout_as_released
from dynlib.report import record
from dynlib.report.forecasts import LABELS as METHODS
from dynlib.report.protocol import RELEASED_TOLERANCES

#: Accumulated errors from one start in the authors' repository, at 100 and at 600 steps.
PRINTED = {
    "stnn_p2": (0.4423, 115.1),
    "stnn_p4": (0.7778, 54.18),
    "stnn_p6": (0.5704, 5.544),
    "ffnn": (0.2910, 0.7495),
}
LABELS = METHODS | {
    "stnn_p6_new": "StNN, p = 6, new file",
    "ffnn_new": "FFNN-2073, new file",
    "stnn_p4_fed": "StNN, p = 4, padding fed back",
    "stnn_p6_fed": "StNN, p = 6, padding fed back",
}


def record_weights(networks: Mapping[str, StNN | FFNN], pairs: Pairs) -> None:
    """Record what the networks are: ``_parameters``, and ``_mse_train`` on the training pairs.

    ``stnn_p2_so_called_difference`` is the largest difference of a weight between the file that is
    called so and that of one branch.
    """
    one, other = (networks[name].parameters() for name in ("stnn_p1", "stnn_p2_so_called"))
    apart = max(float((a - b).detach().abs().max()) for a, b in zip(one, other, strict=True))
    record.metric("stnn_p2_so_called_difference", apart, tolerance=0.0)
    for name, model in networks.items():
        record.metric(f"{name}_parameters", total(model), tolerance=0.0)
        error = one_step_errors(model, pairs).mean()
        record.metric(f"{name}_mse_train", error, tolerance=0.01)


def record_again(
    networks: Mapping[str, StNN | FFNN],
    system: Flow,
    initial: np.ndarray,
    start: int,
    horizon: int,
    dt: float,
) -> None:
    """Record accumulated errors from one start, computed as the authors do, and the released ones.

    The truth begins at `initial`, and the forecast at its state of index `start`. The first
    prediction is compared with that state itself, and so on: one step late. Metrics:
    ``_again_mse_100`` and ``_again_mse_horizon``, and as released ``_printed_mse_100`` and
    ``_printed_mse_600``.
    """
    clock, equations = np.arange(start + horizon) * dt, system.equations()
    for name, values in PRINTED.items():
        relative, absolute = RELEASED_TOLERANCES[name.partition("_")[0]]
        path = odeint(lambda x, _: equations(*x), initial, clock, rtol=relative, atol=absolute)
        truth = path[None, start:]
        errors = step_errors(rollout_as_released(networks[name], truth[:, 0], horizon), truth)
        for steps, label in ((min(100, horizon), "100"), (horizon, "horizon")):
            # On another processor the chaotic record has another point at this index.
            found = accumulated_mse(errors, steps)[0]
            record.metric(f"{name}_again_mse_{label}", found, tolerance=100.0)
        for steps, value in zip((100, 600), values, strict=True):
            record.metric(f"{name}_printed_mse_{steps}", value, tolerance=0.0)


def weights_table(names: Iterable[str]) -> record.Table:
    """Size and errors of the released networks, a row each."""
    columns = {
        "parameters": "parameters:d",
        "training MSE": "mse_train:.1e",
        "100 steps, released": "printed_mse_100:.4g",
        "again": "again_mse_100:.4g",
        "600 steps, released": "printed_mse_600:.4g",
        "at the horizon, again": "again_mse_horizon:.4g",
    }
    return record.metrics_table({name: LABELS[name] for name in names}, columns, "network")


def arena_table(names: Iterable[str]) -> record.Table:
    """How well methods forecast, a row each."""
    columns = {
        "accumulated MSE, 100 steps": "accumulated_mse_100:.1e",
        "at the horizon": "accumulated_mse_horizon:.1e",
        "valid time, Lyapunov times": "valid_time:.2f",
        "long horizon": "valid_time_long:.2f",
        "left the box": "left_attractor.value:.0%",
    }
    return record.metrics_table({name: LABELS[name] for name in names}, columns, "method")
