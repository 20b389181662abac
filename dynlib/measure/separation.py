r"""How the distance between two trajectories grows with time."""

from __future__ import annotations

import numpy as np


def mean_separation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Mean distance of pairs of trajectories as a function of time.

    .. math:: E_t = \big\langle \| a_t - b_t \|_2 \big\rangle

    Parameters
    ----------
    a, b : numpy.ndarray
        Trajectories, shape (pairs, time, d) each, in state units.

    Returns
    -------
    numpy.ndarray
        :math:`E_t`, shape (time,), in state units.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> mean_separation(np.zeros((1, 2, 2)), np.array([[[0.0, 1.0], [3.0, 4.0]]]))
    array([1., 5.])
    """
    if np.shape(a) != np.shape(b) or np.ndim(a) != 3:
        raise ValueError(
            f"both must have the same shape (pairs, time, d), got {np.shape(a)} and {np.shape(b)}"
        )
    return np.linalg.norm(np.asarray(a) - np.asarray(b), axis=-1).mean(axis=0)


def growth_rate(separation: np.ndarray, tau: float, low: float, high: float) -> float | None:
    r"""Slope of the logarithm of a mean separation while it is between two bounds.

    Least squares of :math:`\ln E_t` on t, from the last time at which :math:`E_t` was below
    `low` before it first reached `high`. For a chaotic flow whose separations are small enough
    it approaches the largest Lyapunov exponent.

    Parameters
    ----------
    separation : numpy.ndarray
        :math:`E_t`, shape (time,).
    tau : float
        Time between two values.
    low, high : float
        Bounds, above 0.

    Returns
    -------
    float or None
        The slope per unit of time; None where fewer than three values lie between the bounds,
        or none can (`low` is not below `high`: the cells are too coarse).

    Raises
    ------
    ValueError
        If a bound is not above 0.

    Examples
    --------
    >>> round(growth_rate(0.1 * np.exp(0.5 * np.arange(10)), 1.0, 0.2, 5.0), 12)
    0.5
    """
    if not (low > 0 and high > 0):
        raise ValueError(f"bounds must be above 0, got {low} and {high}")
    if np.ndim(separation) != 1:
        raise ValueError(
            f"separation must have shape (time,), got {np.shape(separation)}; mean_separation "
            "gives it, or take one row"
        )
    above = np.flatnonzero(separation >= high)
    end = above[0] if len(above) else len(separation)
    below = np.flatnonzero(separation[:end] < low)
    first = below[-1] + 1 if len(below) else 0
    if low >= high or end - first < 3:
        return None
    times = tau * np.arange(first, end)
    return float(np.polyfit(times, np.log(separation[first:end]), 1)[0])
