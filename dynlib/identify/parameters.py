r"""The parameters of known equations, fitted to trajectories: the best that any learner can do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from dynlib.dynamics.flows import Flow
from dynlib.dynamics.pairs import integrate


def fit_parameters(
    system: Callable[..., Flow],
    trajectories: np.ndarray,
    times: np.ndarray,
    guess: np.ndarray,
    *,
    tolerance: float = 1e-9,
) -> np.ndarray:
    r"""Least squares for positive parameters of a differential equation.

    .. math:: \min_p \sum_{i,k} \lVert x(t_k; x_{i,0}, p) - x_{i,k} \rVert_2^2

    over the logarithms of p, by a trust-region method.

    Parameters
    ----------
    system : callable
        Makes a flow of the parameters, in their order.
    trajectories : numpy.ndarray
        Shape (N, T, dim), all at the same times, the first state exact.
    times : numpy.ndarray
        Increasing times, shape (T,).
    guess : numpy.ndarray
        Where to begin, positive, shape (P,).
    tolerance : float
        Of the integration, and relative one of the parameters.

    Returns
    -------
    numpy.ndarray
        Parameters, shape (P,).

    Raises
    ------
    ValueError
        If a shape is impossible or a guess not positive.

    Examples
    --------
    >>> from dynlib.dynamics.systems.lotka_volterra import LotkaVolterra
    >>> times, start = np.arange(9) / 2, np.array([[1.0, 2.0]])
    >>> path = integrate(LotkaVolterra(1.0, 0.5, 0.25, 0.5), start, times)
    >>> fit_parameters(LotkaVolterra, path, times, np.full(4, 0.5)).round(6)
    array([1.  , 0.5 , 0.25, 0.5 ])
    """
    trajectories, guess = np.asarray(trajectories, float), np.asarray(guess, float)
    if trajectories.ndim != 3 or trajectories.shape[1] != len(times):
        raise ValueError(
            f"trajectories must have shape (N, {len(times)}, dim), got {trajectories.shape}"
        )
    if guess.ndim != 1 or not (guess > 0).all():
        raise ValueError(f"the guess must be positive numbers, got {guess}")

    def residuals(logarithms: np.ndarray) -> np.ndarray:
        flow = system(*np.exp(logarithms))
        return (integrate(flow, trajectories[:, 0], times, tolerance=tolerance) - trajectories)[
            :, 1:
        ].ravel()

    found = least_squares(
        residuals, np.log(guess), diff_step=tolerance**0.5, xtol=tolerance, ftol=None, gtol=None
    )
    return np.exp(found.x)
