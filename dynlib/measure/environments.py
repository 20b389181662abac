"""Errors of predictions for several environments at once: arrays of shape (E, n, T, d)."""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import check_alike, check_array, check_number


def with_start(starts: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Trajectories (E, n, 1 + K, d) of initial states (E, n, d) and what follows (E, n, K, d)."""
    check_array("starts", starts, ("E", "n", "d"), allow="any")
    axes = (*np.shape(starts)[:2], "K", np.shape(starts)[2])
    check_array("following", following, axes, allow="any", remedy="its axes follow those of starts")
    return np.concatenate([np.asarray(starts)[:, :, None], following], axis=2)


def trajectory_errors(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean squared error over points and coordinates of every trajectory, (E, n).

    Both have shape (E, n, T, d). A rollout that is not finite counts as 1e30, so that it ranks
    last.

    Raises
    ------
    ValueError
        If the shapes differ or are not of four axes, or the truth is not finite.
    """
    check_array("truth", truth, ("E", "n", "T", "d"), scale=True)
    check_array("predictions", predictions, np.shape(truth), allow="any", remedy="truth has that")
    predictions, truth = (np.asarray(x, dtype=np.float64) for x in (predictions, truth))
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
    check_array("seconds", seconds, ("T",), empty=True)
    check_array("errors", errors, ("T",), allow="any", empty=True)
    check_alike(("seconds", "errors"), seconds, errors, remedy="give one error a time")
    check_number("target", target)
    reached = np.flatnonzero(np.asarray(errors) <= target)
    return float(seconds[reached[0]]) if len(reached) else float("inf")


def cases(errors: np.ndarray) -> list[tuple[int, int]]:
    """Environment and trajectory of the smallest, the median and the largest error.

    Examples
    --------
    >>> cases(np.array([[3.0, 1.0], [2.0, 5.0]]))
    [(0, 1), (1, 0), (1, 1)]
    """
    check_array("errors", errors, ("E", "n"), allow="infinite")
    errors = np.asarray(errors)
    order = np.argsort(errors.ravel(), kind="stable")
    chosen = order[[0, (len(order) - 1) // 2, -1]]
    return [divmod(int(i), errors.shape[1]) for i in chosen]
