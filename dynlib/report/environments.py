"""What the run on many environments records of every method, and how it names and colours it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynlib.report import record, style

COLOURS = {
    "true": style.INK,
    "stnn": "#2f81c1",
    "printed_stnn": "#8fb8da",
    "control": "#1a9e77",
    "control_onehot": "#63b598",
    "leads": "#cf4f4f",
    "printed_leads": "#e39a8f",
    "polynomial_2": "#4d9de0",
    "polynomial_3": "#4d9de0",
    "polynomial_4": "#4d9de0",
    "equations": "#8f8a1e",
    "persistence": style.MUTED,
    "mean": style.MUTED,
}

LABELS = {
    "true": "truth",
    "stnn": "StNN",
    "printed_stnn": "StNN, as printed",
    "control": "plain, same size",
    "control_onehot": "plain, one-hot",
    "leads": "LEADS",
    "printed_leads": "LEADS, as published",
    "polynomial_2": "polynomials, degree 2",
    "polynomial_3": "polynomials, degree 3",
    "polynomial_4": "polynomials, degree 4",
    "equations": "true equations, fitted",
    "persistence": "no change",
    "mean": "mean of the environment",
}


def with_start(starts: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Trajectories (E, n, 1 + K, d) of initial states (E, n, d) and what follows (E, n, K, d)."""
    return np.concatenate([starts[:, :, None], following], axis=2)


def trajectory_errors(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean squared error over points and coordinates of every trajectory, (E, n).

    Both have shape (E, n, T, d). A rollout that is not finite counts as 1e30, so that it ranks
    last.

    Raises
    ------
    ValueError
        If the shapes differ or are not of four axes.
    """
    if np.ndim(truth) != 4 or np.shape(predictions) != np.shape(truth):
        raise ValueError(
            "predictions and truth must have the same shape (E, n, T, d), got "
            f"{np.shape(predictions)} and {np.shape(truth)}; one environment is truth[None]"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        errors = np.square(predictions - truth).mean((2, 3))
    return np.where(np.isfinite(errors), np.minimum(errors, 1e30), 1e30)


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


def time_to(seconds: np.ndarray, errors: np.ndarray, target: float) -> float:
    """When a curve first reaches a target, infinity if it never does.

    Examples
    --------
    >>> time_to(np.array([1.0, 2.0, 3.0]), np.array([5.0, 2.0, 1.0]), 2.5)
    2.0
    """
    reached = np.flatnonzero(errors <= target)
    return float(seconds[reached[0]]) if len(reached) else float("inf")


def cases(errors: np.ndarray) -> list[tuple[int, int]]:
    """Environment and trajectory of the smallest, the median and the largest error.

    Examples
    --------
    >>> cases(np.array([[3.0, 1.0], [2.0, 5.0]]))
    [(0, 1), (1, 0), (1, 1)]
    """
    order = np.argsort(errors.ravel(), kind="stable")
    chosen = order[[0, (len(order) - 1) // 2, -1]]
    return [divmod(int(i), errors.shape[1]) for i in chosen]
