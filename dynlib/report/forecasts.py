"""What a comparison of forecasts records of every method, and its names, colours and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.taylor import lorenz_series
from dynlib.identify.sindy import SparseField
from dynlib.measure.forecaster import Forecaster, forecasts
from dynlib.measure.rollout import accumulated_mse, failures, step_errors, valid_time
from dynlib.report import record, style

#: Names in tables and figures; here the structured network has six branches throughout.
LABELS = style.LABELS | {"stnn": style.LABELS["stnn_p6"], "control": f"plain-{style.PLAIN[6]}"}
#: Methods whose long forecasts are compared start by start.
PAIRS = (("control", "stnn"), ("ffnn", "stnn"), ("stnn", "sindy_fd6"))


def record_rule(
    truth: np.ndarray, again: np.ndarray, *, spread: float, dt: float, exponent: float
) -> None:
    """Record what forecasts are measured by.

    Metrics: ``spread``, ``horizon_lyapunov``, ``truth_difference``. `again` is the truth of a
    second solver, as `truth` (starts, steps, dim).
    """
    reach = truth.shape[1] * dt * exponent
    record.metric("spread", spread, tolerance=0.05)
    record.metric("horizon_lyapunov", reach, unit="Lyapunov times", tolerance=0.0)
    record.metric("truth_difference", np.abs(again - truth).max(), tolerance=100.0)


def record_settings(chosen: Mapping[str, Mapping[str, float]]) -> None:
    """Record the settings that a search chose, ``<method>_<setting>``."""
    for name, settings in chosen.items():
        for setting, value in settings.items():
            record.metric(f"{name}_{setting}", value, tolerance=0.0)


def record_rollout(
    name: str,
    predictions: np.ndarray,
    truth: np.ndarray,
    *,
    spread: float,
    dt: float,
    exponent: float,
    suffix: str = "",
) -> np.ndarray:
    """Record how well a method forecasts from every start, and return its errors by step.

    Metrics: ``_accumulated_mse_100`` and ``_accumulated_mse_horizon`` (at 100 steps and at the
    horizon), ``_valid_time`` with ``_valid_time_censored``, ``_failures``. A rollout that is
    not finite ranks worst; where half of them are not, the median does not exist.

    Parameters
    ----------
    name : str
        Of the method.
    predictions : numpy.ndarray
        States at steps 1, 2, …, shape (seeds, starts, steps, dim). For every start the median
        seed counts.
    truth : numpy.ndarray
        Shape (starts, steps, dim).
    spread, dt, exponent : float
        As for :func:`dynlib.measure.rollout.valid_time`.
    suffix : str
        Of the metrics' names, for a variant of the data.

    Returns
    -------
    numpy.ndarray
        Mean squared error of every start and step, median over seeds, (starts, steps).
    """
    steps = truth.shape[1]
    over: dict[str, Any] = {"over": "starts", "tolerance": 1.0}
    errors = np.array([step_errors(each, truth) for each in predictions])
    for count, label in ((min(100, steps), "100"), (steps, "horizon")):
        found = np.array([accumulated_mse(each, count) for each in errors])
        found = np.median(found, axis=0)
        worst = np.minimum(found, 1e30)  # infinity keeps its rank
        exists = np.isfinite(np.median(found))
        record.metric(f"{name}_accumulated_mse_{label}{suffix}", worst if exists else None, **over)
    scored = [
        valid_time(np.where(np.isfinite(each), each, np.inf), truth, spread, dt, exponent)
        for each in predictions
    ]
    times = np.median([times for times, _ in scored], axis=0)
    record.metric(f"{name}_valid_time{suffix}", times, unit="Lyapunov times", **over)
    censored = sum(int(marked.sum()) for _, marked in scored)
    record.metric(f"{name}_valid_time_censored{suffix}", censored, tolerance=1.0)
    lost = sum(failures(each) for each in predictions)
    record.metric(f"{name}_failures{suffix}", lost, tolerance=1.0)
    return np.median(errors, axis=0)


def record_rollouts(
    predictions: Mapping[str, np.ndarray], truth: np.ndarray, **options: Any
) -> dict[str, np.ndarray]:
    """:func:`record_rollout` of several methods: name -> errors by step, (starts, steps)."""
    return {
        name: record_rollout(name, found, truth, **options) for name, found in predictions.items()
    }


def record_starts_above(
    names: Iterable[str], predictions: Mapping[str, np.ndarray], truth: np.ndarray
) -> None:
    """Record the share of starts from which a method forecasts badly, ``_starts_above_bound``.

    The bound is a hundredth of the error of the mean state, ``"climatology"``, from the same start,
    both accumulated over the horizon. Arguments are as for :func:`record_rollouts`; the share is
    that of each seed.
    """

    def errors(name: str) -> np.ndarray:
        steps = np.array([step_errors(each, truth) for each in predictions[name]])
        return steps.mean(axis=2)  # (seeds, starts)

    bound = 0.01 * errors("climatology")
    for name in names:
        shares = (errors(name) > bound).mean(axis=1)
        record.metric(f"{name}_starts_above_bound", shares, over="seeds", share=True, tolerance=1.0)


def record_forecasts(
    methods: Mapping[str, Sequence[Forecaster]],
    windows: np.ndarray,
    truth: np.ndarray,
    **options: Any,
) -> None:
    """:func:`record_rollout` of several methods, which forecast from windows (starts, T, dim)."""
    record_rollouts(forecasts(methods, windows, truth.shape[1]), truth, **options)


def long_truth(
    system: Lorenz,
    starts: np.ndarray,
    n_steps: int,
    *,
    spread: float,
    dt: float,
    exponent: float,
    agreement: float = 1e-3,
) -> np.ndarray:
    """The truth of long forecasts, (starts, steps, 3), to where two Taylor series agree.

    Metrics: ``long_horizon_lyapunov``, where the first start ends at which the two differ by the
    share `agreement` of the spread, and ``long_truth_difference``, how much they differ until
    there.
    """
    one = lorenz_series(system, starts, n_steps, dt)
    other = lorenz_series(system, starts, n_steps, dt, order=16, substeps=2)
    difference = np.abs(one - other).max(axis=(0, 2))
    apart = np.flatnonzero(difference > agreement * spread)
    steps = int(apart[0]) if len(apart) else n_steps
    reach = steps * dt * exponent
    record.metric("long_horizon_lyapunov", reach, unit="Lyapunov times", tolerance=0.1)
    record.metric("long_truth_difference", difference[:steps].max(), tolerance=100.0)
    return one[:, :steps]


def record_long(
    predictions: Mapping[str, np.ndarray], truth: np.ndarray, **rule: float
) -> dict[str, np.ndarray]:
    """Record ``_valid_time_long`` and its ``_censored`` of several methods.

    Both as in :func:`record_rollout`, over the length of `truth`; predictions may be longer. What
    returns are the times, by the same names, (seeds, starts).
    """
    found = {}
    for name, paths in predictions.items():
        cut = paths[:, :, : truth.shape[1]]
        finite = np.where(np.isfinite(cut), cut, np.inf)
        scored = [valid_time(each, truth, **rule) for each in finite]
        found[name] = np.array([times for times, _ in scored])
        times = np.median(found[name], axis=0)
        record.metric(
            f"{name}_valid_time_long", times, over="starts", unit="Lyapunov times", tolerance=1.0
        )
        censored = sum(int(marked.sum()) for _, marked in scored)
        record.metric(f"{name}_valid_time_long_censored", censored, tolerance=1.0)
    return found


def record_paired(
    times: Mapping[str, np.ndarray], pairs: Iterable[tuple[str, str]] = PAIRS
) -> None:
    """Record two methods compared start by start, from what :func:`record_long` returns.

    Both begin at the same starts, so how hard a start is cancels. Seeds cannot be paired: of each
    start the median seed counts, and the interval is over starts. It covers no other trainings.

    Metrics: ``<first>_minus_<second>_valid_time_long``; ``<first>_outlasts_<second>``, the share of
    starts at which the first stays for longer; and ``<first>_outlasts_<second>_by_seed``, the share
    of starts and seeds of the second, for each seed of the first.
    """
    for first, second in pairs:
        one, other = times[first], times[second]
        difference = np.median(one, axis=0) - np.median(other, axis=0)
        name, beats = f"{first}_minus_{second}_valid_time_long", f"{first}_outlasts_{second}"
        record.metric(name, difference, over="starts", unit="Lyapunov times", tolerance=1.0)
        record.metric(beats, float((difference > 0).mean()), share=True, tolerance=0.5)
        shares = (one[:, None] > other).mean(axis=(1, 2))
        record.metric(f"{beats}_by_seed", shares, over="seeds", share=True, tolerance=0.5)


def record_left(
    nets: Mapping[str, Sequence[Forecaster]],
    starts: np.ndarray,
    known: np.ndarray,
    n_steps: int,
    *,
    margin: float = 0.2,
) -> None:
    """Record the share of long rollouts that leave the attractor, ``_left_attractor``.

    A rollout (of every seed, from states (starts, dim)) leaves where it is not finite, or outside
    the box of the `known` states (..., dim), widened by the share `margin` of its size on every
    side, or where it comes to rest: its last tenth is narrower than a hundredth of the box.
    """
    points = known.reshape(-1, known.shape[-1])
    low, high = points.min(0), points.max(0)
    size = high - low
    for name, models in nets.items():
        shares = []
        for model in models:
            path = model.rollout(starts[:, None], n_steps)
            inside = (path >= low - margin * size) & (path <= high + margin * size)
            out = ~inside.all(axis=(1, 2))
            end = np.where(out[:, None, None], 0, path[:, -max(2, n_steps // 10) :])
            shares.append((out | (np.ptp(end, axis=1) < 0.01 * size).all(axis=1)).mean())
        record.metric(f"{name}_left_attractor", shares, over="seeds", tolerance=3.0)


def record_single_steps(
    fields: Mapping[str, SparseField], windows: np.ndarray, truth: np.ndarray, **rule: float
) -> None:
    """Record SINDy by the single step that ``_flops`` counts, and what its usual forecasts take.

    Metrics: ``_flops_run``, operations of a sample of a rollout, and those of
    :func:`record_rollout` by one classical Runge–Kutta step a sample, with the suffix ``_rk4``.
    """
    paths = {}
    for name, field in fields.items():
        record.metric(f"{name}_flops_run", field.flops_run, tolerance=0.1)
        paths[name] = field.runge_kutta(windows, truth.shape[1])[None]
    record_rollouts(paths, truth, suffix="_rk4", **rule)
