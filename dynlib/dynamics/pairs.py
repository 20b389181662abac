r"""Trajectories at tight tolerance, cut into pairs of a state and the next one."""

from __future__ import annotations

import reprlib
import warnings

import numpy as np
from scipy.integrate import ODEintWarning, odeint

from dynlib.dynamics.checks import check_array, check_number, check_seed, check_times
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.simulate import ONE, check_map


def integrate(
    flow: Flow, initial: np.ndarray, times: np.ndarray, *, tolerance: float = 1e-12
) -> np.ndarray:
    r"""Solutions of a differential equation at given times, by LSODA.

    Parameters
    ----------
    flow : Flow
        The differential equation.
    initial : numpy.ndarray
        States at ``times[0]``, shape (batch, dim).
    times : numpy.ndarray
        Increasing times, shape (T,).
    tolerance : float
        Relative and absolute tolerance, in [1e-14, 0.1].

    Returns
    -------
    numpy.ndarray
        States of shape (batch, T, dim), float64.

    Raises
    ------
    ValueError
        If a shape or the tolerance is impossible, or the solver fails.

    Examples
    --------
    >>> from dynlib.dynamics.systems.lorenz import Lorenz
    >>> integrate(Lorenz(), np.zeros((2, 3)), np.array([0.0, 1.0])).shape
    (2, 2, 3)

    References
    ----------
    Petzold (1983), SIAM J. Sci. Stat. Comput. 4, 136-148; through scipy.integrate.odeint, as
    in Aluvihare et al. (2025), section 5.2.
    """
    check_map(flow, "equations")
    check_array("initial states", initial, ("batch", flow.dim), scale=True, remedy=ONE)
    check_times("times", times)
    check_number("tolerance", tolerance, least=1e-14, most=0.1)
    initial = np.asarray(initial, dtype=np.float64)
    equations = flow.equations()
    solutions = np.empty((len(initial), len(times), flow.dim))
    for start, solution in zip(initial, solutions, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ODEintWarning)  # it is raised below
            solution[:], report = odeint(
                lambda state, _: equations(*state), start, times,
                rtol=tolerance, atol=tolerance, full_output=True, mxstep=100_000,
            )  # fmt: skip
        if report["message"] != "Integration successful.":
            raise ValueError(
                f"times must be reached by LSODA in 100000 steps each, got {report['message']!r} "
                f"from {start.tolist()}; take closer times, or a larger tolerance"
            )
    return solutions


def _check_trajectories(trajectories: np.ndarray) -> None:
    one = "one trajectory (T, dim) is trajectory[None]"
    check_array("trajectories", trajectories, ("batch", "T", "dim"), allow="any", remedy=one)
    if np.shape(trajectories)[1] < 2:
        raise ValueError(
            "trajectories must have shape (batch, T, dim) with T of 2 or more, got "
            f"{np.shape(trajectories)}; take longer ones"
        )


def pairs(trajectories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (M, dim) of trajectories (batch, T, dim) that have a successor, and the successors.

    Raises
    ------
    ValueError
        For another number of axes, or trajectories of fewer than two states.

    Examples
    --------
    >>> pairs(np.arange(3.0).reshape(1, 3, 1))[1].ravel()
    array([1., 2.])
    """
    _check_trajectories(trajectories)
    trajectories = np.asarray(trajectories)
    dim = trajectories.shape[-1]
    return trajectories[:, :-1].reshape(-1, dim), trajectories[:, 1:].reshape(-1, dim)


def constant(states: np.ndarray) -> list[int]:
    """Coordinates of states (M, dim) that vary by nothing, or by their last digits alone.

    The standard deviation cannot show this: for 300 times 0.1 it is 1.4e-17, from rounding.

    Examples
    --------
    >>> constant(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]]))
    [0]
    """
    check_array("states", states, ("M", "dim"))
    states = np.asarray(states, dtype=np.float64)
    digits = 4 * np.finfo(np.float64).eps * np.abs(states).max(axis=0)
    return np.flatnonzero(np.ptp(states, axis=0) <= digits).tolist()


def _check_pairs(states: tuple[np.ndarray, np.ndarray]) -> None:
    if not isinstance(states, (tuple, list)) or len(states) != 2:
        raise ValueError(
            f"states must be a pair of first states and of second ones, got "
            f"{reprlib.repr(states)}; pairs(trajectories) makes them"
        )
    for part in states:
        check_array("states", part, (..., "dim"), allow="any")
    if len(states[0]) != len(states[1]):
        raise ValueError(
            "pairs must be as many first states as second ones, got "
            f"{[np.shape(part) for part in states]}; pairs(trajectories) makes them"
        )


def split_at_random(
    states: tuple[np.ndarray, np.ndarray], share: float, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Pairs in two parts, a `share` of them (rounded) and the rest, drawn at random.

    A pair of the one part then lies between pairs of the other on the same trajectory.
    """
    check_number("share", share, least=0, most=1)
    check_seed("seed", seed)
    _check_pairs(states)
    order = np.random.default_rng(seed).permutation(len(states[0]))
    size = round(share * len(order))
    first, second = order[:size], order[size:]
    before, after = map(np.asarray, states)
    return (before[first], after[first]), (before[second], after[second])
