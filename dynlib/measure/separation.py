r"""How the distance between two trajectories grows with time."""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import check_alike, check_array, check_number


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
    for name, each in (("a", a), ("b", b)):
        check_array(name, each, ("pairs", "time", "d"), scale=True)
    check_alike("ab", a, b, remedy="cut both to the same times")
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
    remedy = "mean_separation gives it, or take one row"
    check_array("separation", separation, ("time",), empty=True, remedy=remedy)
    check_number("tau", tau, above=0)
    check_number("low", low, above=0)
    check_number("high", high, above=0)
    separation = np.asarray(separation, dtype=np.float64)
    above = np.flatnonzero(separation >= high)
    end = above[0] if len(above) else len(separation)
    below = np.flatnonzero(separation[:end] < low)
    first = below[-1] + 1 if len(below) else 0
    if low >= high or end - first < 3:
        return None
    times = tau * np.arange(first, end)
    return float(np.polyfit(times, np.log(separation[first:end]), 1)[0])
