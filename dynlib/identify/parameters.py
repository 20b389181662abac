r"""The parameters of known equations, fitted to trajectories: the best that any learner can do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from dynlib.dynamics.checks import check_array, check_callable, check_number, check_times
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.simulate import check_map


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
        Of the integration, and relative one of the parameters, in [1e-14, 0.1].

    Returns
    -------
    numpy.ndarray
        Parameters, shape (P,).

    Raises
    ------
    ValueError
        If a shape is impossible or a guess not positive, or the system does not take it.

    Examples
    --------
    >>> from dynlib.dynamics.systems.lotka_volterra import LotkaVolterra
    >>> times, start = np.arange(9) / 2, np.array([[1.0, 2.0]])
    >>> path = integrate(LotkaVolterra(1.0, 0.5, 0.25, 0.5), start, times)
    >>> fit_parameters(LotkaVolterra, path, times, np.full(4, 0.5)).round(6)
    array([1.  , 0.5 , 0.25, 0.5 ])
    """
    check_times("times", times)
    check_number("tolerance", tolerance, least=1e-14, most=0.1)
    _check_guess(system, guess)
    axes = ("N", len(times), system(*guess).dim)
    check_array("trajectories", trajectories, axes, scale=True)
    trajectories, guess = np.asarray(trajectories, float), np.asarray(guess, float)

    def residuals(logarithms: np.ndarray) -> np.ndarray:
        flow = system(*np.exp(logarithms))
        return (integrate(flow, trajectories[:, 0], times, tolerance=tolerance) - trajectories)[
            :, 1:
        ].ravel()

    found = least_squares(
        residuals, np.log(guess), diff_step=tolerance**0.5, xtol=tolerance, ftol=None, gtol=None
    )
    return np.exp(found.x)


def _check_guess(system: Callable[..., Flow], guess: np.ndarray) -> None:
    """Raise for what is not positive parameters of a system that makes a flow of them."""
    check_callable("system", system)
    check_array("guess", guess, ("P",), scale=True)
    if not (np.asarray(guess) > 0).all():
        raise ValueError(
            f"guess must be positive numbers, got {guess}; change the sign of a parameter in system"
        )
    try:
        flow = system(*guess)
    except TypeError as error:
        raise ValueError(
            f"system must take {len(guess)} parameters, as many as the guess has, got {error}; "
            "give as many as it takes"
        ) from error
    check_map(flow, "equations")
