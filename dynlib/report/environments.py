"""What the run on many environments records and tabulates of every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, TIMES, trajectories
from dynlib.measure.environments import time_to, trajectory_errors, with_start
from dynlib.measure.timing import microseconds
from dynlib.networks import leads_training
from dynlib.networks.leads import LEADS
from dynlib.networks.leads_training import TrainedLeads
from dynlib.peers.leads_loop import LoopedLEADS
from dynlib.report import record
from dynlib.report.style import LABELS

#: Time between two states of the data.
STEP = TIMES[1] - TIMES[0]
#: Test errors at which times of training are compared, and how metrics name them.
TARGETS = {1e-3: "1e3", 3e-4: "3e4", 1e-4: "1e4", 2e-5: "2e5"}
#: Times and test errors in a method's training, for every seed.
Curves = Sequence[tuple[np.ndarray, np.ndarray]]
#: From a model and trajectories to those that the model predicts from the same first states.
Follow = Callable[[Any, np.ndarray], np.ndarray]

#: The methods, in the order of tables.
METHODS = (
    "printed_stnn", "stnn", "control", "control_onehot", "printed_leads", "leads", "leads_alone",
    "polynomial_2", "polynomial_3", "polynomial_4", "equations", "persistence", "mean",
)  # fmt: skip


def record_integration(starts: np.ndarray) -> None:
    """Record how well both integrators keep the conserved quantity, and how far apart they are.

    Metrics: ``tight_drift``, ``loose_drift``, ``loose_mse_test``.
    """
    loose, tight = (trajectories(ENVIRONMENTS, starts, official=kind) for kind in (True, False))
    for name, data in (("tight", tight), ("loose", loose)):
        drift = [
            np.ptp(system.conserved(states), axis=1).max()
            for system, states in zip(ENVIRONMENTS, data, strict=True)
        ]
        record.metric(f"{name}_drift", np.max(drift), tolerance=10.0)
    record.metric("loose_mse_test", np.square(loose - tight).mean(), tolerance=0.05)


def record_method(
    name: str, found: Sequence[np.ndarray], truth: np.ndarray, parameters: int, seconds
) -> None:
    """Record a method's errors on the test trajectories, a prediction a seed.

    Metrics: ``_parameters``, ``_train_s``, ``_mse_test``, ``_mse_worst_environment``,
    ``_mse_worst_trajectory``.

    Parameters
    ----------
    name : str
        Of the method.
    found : sequence of numpy.ndarray
        Predictions of every seed, as `truth`.
    truth : numpy.ndarray
        Shape (E, n, T, d).
    parameters : int
        Number of parameters.
    seconds : float, sequence of float or None
        Training time of every seed; None where nothing is trained.
    """
    over: dict[str, Any] = {"over": "seeds", "tolerance": 3.0}
    errors = np.array([trajectory_errors(each, truth) for each in found])
    record.metric(f"{name}_parameters", parameters, tolerance=0.0)
    if seconds is not None:
        record.metric(
            f"{name}_train_s", seconds, over="seeds", unit="s", tolerance=10.0, timing=True
        )
    record.metric(f"{name}_mse_test", errors.mean((1, 2)), **over)
    record.metric(f"{name}_mse_worst_environment", errors.mean(2).max(1), **over)
    record.metric(f"{name}_mse_worst_trajectory", errors.max((1, 2)), **over)


def record_trained(
    name: str,
    found: Sequence[Any],
    follow: Follow,
    learn: np.ndarray,
    test: np.ndarray,
    parameters: int,
) -> list[np.ndarray]:
    """Record a trained method as :func:`record_method` and its ``_mse_train``.

    Parameters
    ----------
    name : str
        Of the method.
    found : sequence
        The training of every seed: :class:`dynlib.networks.recipes.Trained` or
        :class:`dynlib.networks.leads_training.TrainedLeads`.
    follow : callable
        How its models predict.
    learn, test : numpy.ndarray
        Trajectories, shape (E, n, T, d).
    parameters : int
        Number of parameters.

    Returns
    -------
    list of numpy.ndarray
        The predictions of every seed on the test trajectories.
    """
    predictions = [follow(each.model, test) for each in found]
    record_method(name, predictions, test, parameters, [each.seconds[-1] for each in found])
    errors = [trajectory_errors(follow(each.model, learn), learn).mean() for each in found]
    record.metric(f"{name}_mse_train", errors, over="seeds", tolerance=3.0)
    return predictions


def methods() -> record.Table:
    """Size, training time and errors of every method: the paper's Table 2."""
    known = record.metrics()
    table = record.metrics_table(
        {name: LABELS[name] for name in METHODS if f"{name}_mse_test" in known},
        {
            "parameters": "parameters:d",
            "training, s": "train_s:.2g",
            "training MSE": "mse_train:.1e",
            "test MSE": "mse_test:.1e",
            "worst environment": "mse_worst_environment.value:.1e",
            "worst trajectory": "mse_worst_trajectory.value:.1e",
        },
        "method",
    )
    for row in table.rows:
        row[2] = row[2] or "none"  # nothing is trained
    return table


def follow_field(model: LEADS, data: np.ndarray, dt: float = STEP) -> np.ndarray:
    """Trajectories that LEADS predicts from the first states of others."""
    first, n_steps = data[:, :, 0], data.shape[2] - 1
    return with_start(first, leads_training.rollout(model, first, n_steps, dt))


def record_leads(
    name: str, found: Sequence[TrainedLeads], learn: np.ndarray, test: np.ndarray
) -> list[np.ndarray]:
    """As :func:`record_trained`, of LEADS, and the number of its steps, ``_steps``."""
    size = sum(weight.numel() for weight in found[0].model.parameters())
    predictions = record_trained(name, found, follow_field, learn, test, size)
    record.metric(f"{name}_steps", int(found[0].steps[-1]), tolerance=0.0)
    return predictions


def error_curves(found: Sequence[Any], follow: Follow, test: np.ndarray) -> Curves:
    """Test error at every mark of a training, against its time; a curve a seed."""
    return [
        (
            each.seconds,
            np.array(
                [
                    trajectory_errors(follow(each.at(mark), test), test).mean()
                    for mark in range(len(each.weights))
                ]
            ),
        )
        for each in found
    ]


def record_time_ratios(curves: Mapping[str, Curves]) -> None:
    """Record the training time of one method over that of another at equal error.

    Metrics: ``train_time_ratio_equal_error`` (StNN over LEADS),
    ``control_train_time_ratio_equal_error`` and ``control_over_stnn_train_time``, at the larger of
    the two final errors; ``train_time_ratio_<target>`` (StNN over LEADS) and
    ``control_train_time_ratio_<target>`` at each of `TARGETS`, over all pairs of seeds.
    """
    metrics = record.metrics()
    for target, label in TARGETS.items():
        times = {
            name: np.array([time_to(*each, target) for each in curves[name]])
            for name in ("stnn", "control", "leads")
        }
        for name, prefix in (("stnn", ""), ("control", "control_")):
            reached = all(np.isfinite(times[each]).all() for each in (name, "leads"))
            ratios = (times[name][:, None] / times["leads"]).ravel() if reached else None
            record.metric(
                f"{prefix}train_time_ratio_{label}", ratios, over="pairs of seeds",
                tolerance=3.0, timing=True,
            )  # fmt: skip

    def time_ratio(name: str, partner: str) -> float | None:
        """Time of one method over that of another, to the larger of their errors."""
        target = max(metrics[f"{each}_mse_test"]["value"] for each in (name, partner))
        mine, theirs = (
            np.median([time_to(*each, target) for each in curves[kind]])
            for kind in (name, partner)
        )  # fmt: skip
        return mine / theirs if np.isfinite(mine) and theirs > 0 else None

    for label, name, partner in (
        ("train_time_ratio_equal_error", "stnn", "leads"),
        ("control_train_time_ratio_equal_error", "control", "leads"),
        ("control_over_stnn_train_time", "control", "stnn"),
    ):
        record.metric(label, time_ratio(name, partner), tolerance=3.0, timing=True)


def ratios() -> record.Table:
    """Training time of the small networks over that of LEADS, at equal error."""
    known, networks = record.metrics(), {"": LABELS["stnn"], "control_": LABELS["control"]}
    names = {f"train_time_ratio_{label}": f"{target:.0e}" for target, label in TARGETS.items()}
    names["train_time_ratio_equal_error"] = "the larger final error"
    return record.Table(
        ["time to a test error, over that of LEADS", *networks.values()],
        [
            [
                words,
                *(
                    record.show(f"{prefix}{name}", ".2g")
                    if known[f"{prefix}{name}"]["value"] is not None
                    else "not reached"
                    for prefix in networks
                ),
            ]
            for name, words in names.items()
        ],
    )


def record_loop_slowdown(model: LEADS, learn: np.ndarray, dt: float) -> None:
    """Record the time of LEADS environment by environment over that of all at once.

    Timed are the error of all rollouts and its derivatives. Metric: ``leads_loop_slowdown``.
    """
    states = torch.as_tensor(learn, dtype=torch.float32)

    def seconds(network: torch.nn.Module) -> float:
        def rollouts() -> None:
            error = network(states[:, :, 0], states.shape[2] - 1, dt) - states[:, :, 1:]
            error.square().mean().backward()

        return microseconds(rollouts, repeats=3)

    slowdown = seconds(LoopedLEADS(model)) / seconds(model)
    record.metric("leads_loop_slowdown", slowdown, tolerance=2.0, timing=True)


def record_interpolated(
    name: str, predictions: Sequence[np.ndarray], truth: np.ndarray, times: np.ndarray, label: str
) -> None:
    """Record the error of a method at other times, by a cubic spline through its points.

    Metric: ``_mse_<label>_step``.
    """
    between = [CubicSpline(TIMES, path, axis=2)(times) for path in predictions]
    errors = [trajectory_errors(path, truth).mean() for path in between]
    record.metric(f"{name}_mse_{label}_step", errors, over="seeds", tolerance=3.0)


def record_time_step(
    label: str,
    dt: float,
    starts: np.ndarray,
    *,
    field: LEADS,
    maps: Mapping[str, Sequence[np.ndarray]],
) -> None:
    """Record errors at another time step, ``leads_mse_<label>_step`` and those of some maps.

    Parameters
    ----------
    label : str
        Of the time step.
    dt : float
        The time step, with which the field is integrated.
    starts : numpy.ndarray
        First states of the test trajectories, shape (n, d).
    field : dynlib.networks.leads.LEADS
        The field.
    maps : mapping of str to sequence of numpy.ndarray
        Predictions of every seed at `TIMES`, as for :func:`record_interpolated`.
    """
    times = np.arange(0, TIMES[-1] + 1e-9, dt)
    truth = trajectories(ENVIRONMENTS, starts, times)
    error = trajectory_errors(follow_field(field, truth, dt), truth)
    record.metric(f"leads_mse_{label}_step", error.mean(), tolerance=3.0)
    for name, predictions in maps.items():
        record_interpolated(name, predictions, truth, times, label)


def record_new(name: str, paths: Sequence[np.ndarray], truth: np.ndarray) -> None:
    """Record the error in a new environment, ``_mse_new_environment``; there is a path a seed."""
    errors = [trajectory_errors(path, truth).mean() for path in paths]
    record.metric(f"{name}_mse_new_environment", errors, over="seeds", tolerance=3.0)


def record_new_leads(name: str, found: Sequence[TrainedLeads], truth: np.ndarray) -> None:
    """As :func:`record_new`, of LEADS, and how long it was trained, ``_new_train_s``."""
    record_new(name, [follow_field(each.model, truth) for each in found], truth)
    seconds = [each.seconds[-1] for each in found]
    record.metric(
        f"{name}_new_train_s", seconds, over="seeds", unit="s", tolerance=10.0, timing=True
    )


def abilities() -> record.Table:
    """Errors at other time steps and in a new environment, where a method has them."""
    columns = {
        "a quarter of a unit": "mse_half_step:.1e",
        "a whole unit": "mse_double_step:.1e",
        "new environment": "mse_new_environment:.1e",
    }
    table = record.metrics_table({name: LABELS[name] for name in METHODS}, columns)
    return record.Table(table.header, [row for row in table.rows if any(row[1:])])
