"""What the arena of the second paper records of every method, and how it names and colours it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynlib.measure.rollout import accumulated_mse, failures, step_errors, valid_time
from dynlib.report import record, style

COLOURS = {
    "true": style.INK,
    "stnn": "#2f81c1",
    "ffnn": "#d9631e",
    "control": "#1a9e77",
    "sindy_fd2": "#c98a00",
    "sindy_smoothed": "#c98a00",
    "sindy_fd4": "#a8741a",
    "sindy_fd6": "#8f8a1e",
    "sindy_weak": "#8f8a1e",
    "havok": "#b5669b",
    "havok_held": "#b5669b",
    "havok_oracle": "#d7a5c6",
    "havok_oracle20": "#d7a5c6",
    "dmd": "#9a5fb0",
    "reservoir": "#5b6fd6",
    "persistence": style.MUTED,
    "climatology": style.MUTED,
} | {f"polynomial_{degree}": "#4d9de0" for degree in range(2, 10)}

LABELS = {
    "true": "truth",
    "stnn": "StNN, p = 6",
    "ffnn": "FFNN-2073",
    "control": "plain, same size",
    "sindy_fd2": "SINDy, differences of order 2",
    "sindy_smoothed": "SINDy, smoothed differences",
    "sindy_fd4": "SINDy, order 4",
    "sindy_fd6": "SINDy, order 6",
    "sindy_weak": "SINDy, weak form",
    "havok": "HAVOK, no forcing",
    "havok_held": "HAVOK, forcing held",
    "havok_oracle": "HAVOK, oracle forcing",
    "havok_oracle20": "HAVOK, 20 oracle forcings",
    "dmd": "DMD on delays",
    "reservoir": "reservoir",
    "persistence": "no change",
    "climatology": "mean state",
} | {f"polynomial_{degree}": f"polynomial, degree {degree}" for degree in range(2, 10)}


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
        States at steps 1, 2, …, shape (seeds, starts, steps, dim); of the seeds the median
        counts, start by start.
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


def show_row(name: str, suffix: str = "") -> list[str]:
    """Cells of a table: accumulated errors and valid time of a method, with intervals."""

    def show(measure: str, form: str) -> str:
        return record.show(f"{name}_{measure}{suffix}", form)

    return [
        show("accumulated_mse_100", ".1e"),
        show("accumulated_mse_horizon", ".1e"),
        show("valid_time", ".2f"),
        show("failures", "d"),
    ]


def apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Positions on a logarithmic axis near the given ones, `gap` decades or more apart.

    For labels at the ends of curves, in the order of the curves.

    Examples
    --------
    >>> apart(np.array([1.0, 1.1, 100.0]), 0.5).round(2)
    array([  0.59,   1.87, 100.  ])
    """
    order = np.argsort(heights)
    places = np.log10(heights)[order]
    for _ in range(200):
        for i in range(len(places) - 1):
            short = gap - (places[i + 1] - places[i])
            if short > 0:
                places[i] -= short / 2
                places[i + 1] += short / 2
    found = np.empty_like(places)
    found[order] = places
    return 10**found
