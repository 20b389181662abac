"""Errors of predictions for several environments at once: arrays of shape (E, n, T, d)."""

from __future__ import annotations

import numpy as np


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
