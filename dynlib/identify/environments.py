"""Methods that fit every environment by itself: trajectories have shape (E, n, T, d)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynlib.dynamics.checks import check_array
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.pairs import integrate, pairs
from dynlib.identify.parameters import fit_parameters
from dynlib.identify.polynomial import PolynomialMap
from dynlib.measure.environments import with_start


@dataclass(frozen=True)
class Fitted:
    """The result of a fit in every environment.

    Parameters
    ----------
    predictions : numpy.ndarray
        Trajectories from the first states of the test trajectories, in their shape.
    parameters : int
        Number of parameters of all environments together.
    seconds : float
        Time of the fits.
    """

    predictions: np.ndarray
    parameters: int
    seconds: float


def _check(learn: np.ndarray, test: np.ndarray) -> None:
    check_array("learn", learn, ("E", "n", "T", "d"), scale=True)
    axes = (len(learn), "n", "T", np.shape(learn)[3])
    remedy = "environments and coordinates are as in learn; one environment is test[None]"
    check_array("test", test, axes, scale=True, remedy=remedy)
    if np.shape(test)[2] < 2:
        raise ValueError(
            f"test must have shape (E, n, T, d) with T of 2 or more, got {np.shape(test)}; take "
            "longer ones"
        )


def fit_maps(learn: np.ndarray, test: np.ndarray, degree: int) -> Fitted:
    """Fit a polynomial map in every environment, and follow it from the first test states.

    Parameters
    ----------
    learn, test : numpy.ndarray
        Trajectories to fit and to follow, shapes (E, n, T, d).
    degree : int
        Of the polynomials.
    """
    _check(learn, test)
    learn, test = np.asarray(learn), np.asarray(test)
    start = time.perf_counter()
    maps = [PolynomialMap.fit(*pairs(data), degree) for data in learn]
    seconds = time.perf_counter() - start
    following = [
        each.rollout(data[:, :1], test.shape[2] - 1)
        for each, data in zip(maps, test, strict=True)
    ]  # fmt: skip
    predictions = with_start(test[:, :, 0], np.array(following))
    return Fitted(predictions, sum(each.parameters for each in maps), seconds)


def fit_equations(
    system: Callable[..., Flow],
    learn: np.ndarray,
    test: np.ndarray,
    times: np.ndarray,
    guess: np.ndarray,
) -> Fitted:
    """Fit the parameters of known equations in every environment, and integrate them.

    Parameters
    ----------
    system, times, guess
        As for :func:`dynlib.identify.parameters.fit_parameters`.
    learn, test : numpy.ndarray
        Trajectories to fit and to follow, shapes (E, n, T, d).
    """
    _check(learn, test)
    learn, test = np.asarray(learn), np.asarray(test)
    start = time.perf_counter()
    found = [fit_parameters(system, data, times, guess) for data in learn]
    seconds = time.perf_counter() - start
    predictions = [
        integrate(system(*each), data[:, 0], times) for each, data in zip(found, test, strict=True)
    ]
    return Fitted(np.stack(predictions), sum(map(len, found)), seconds)
