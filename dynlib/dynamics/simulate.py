"""Trajectories of many initial states at once."""

from __future__ import annotations

import reprlib
from typing import Protocol

import numpy as np

from dynlib.dynamics.checks import check_array, check_count, check_generator, check_room
from dynlib.dynamics.flows import TimeMap

ONE = "one state is state[None]; each has as many coordinates as the system"


class Map(Protocol):
    """What :func:`simulate` needs of a system in discrete time."""

    dim: int

    def step(self, states: np.ndarray) -> np.ndarray: ...


def check_map(system: object, *methods: str) -> None:
    """Raise TypeError for what has no ``dim`` and not all of these methods."""
    lacking = [each for each in ("dim", *methods) if not hasattr(system, each)]
    if lacking or isinstance(system, type):
        raise TypeError(
            f"the system must have {', '.join(('dim', *methods))}, got "
            f"{reprlib.repr(system)} without {', '.join(lacking) or 'its parameters'}; take one of "
            "dynlib.dynamics.systems, or a flow as TimeMap(flow, tau)"
        )


def simulate(system: Map, initial: np.ndarray, n_steps: int, *, transient: int = 0) -> np.ndarray:
    """Trajectories of a map, or of a flow sampled at equal times, from many initial states.

    Parameters
    ----------
    system : Map
        Anything with ``dim`` and ``step(states)`` on arrays (batch, dim); a flow as
        :class:`dynlib.dynamics.flows.TimeMap`.
    initial : numpy.ndarray
        Initial states, shape (batch, dim), float64.
    n_steps : int
        Number of states returned per trajectory, at least 1.
    transient : int
        Iterations dropped before the first returned state. With 0 the first returned state
        is the initial state itself.

    Returns
    -------
    numpy.ndarray
        States of shape (batch, n_steps, dim), float64.

    Raises
    ------
    ValueError
        If a size is impossible, or if an orbit leaves every bounded set (its index and
        initial state are named).

    Examples
    --------
    >>> from dynlib.dynamics.systems.henon import Henon
    >>> simulate(Henon(), np.zeros((1, 2)), 3)[0, :, 0]
    array([ 0. ,  1. , -0.4])
    """
    check_map(system, "step")
    check_array("initial states", initial, ("batch", system.dim), remedy=ONE)
    check_count("n_steps", n_steps)
    check_count("transient", transient, least=0)
    check_room("the trajectories", len(initial), n_steps, system.dim)
    initial = np.asarray(initial, dtype=np.float64)
    states = initial
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(system, TimeMap):
            for _ in range(0, transient, stretch := 1000):
                states = system.orbits(states, min(stretch, transient) + 1)[:, -1]
                transient -= stretch
            trajectories = system.orbits(states, n_steps)
        else:
            trajectories = np.empty((len(initial), n_steps, system.dim))
            for _ in range(transient):
                states = system.step(states)
            for k in range(n_steps):
                trajectories[:, k] = states
                states = system.step(states)
    lost = np.flatnonzero(~np.isfinite(trajectories).all(axis=(1, 2)))
    if lost.size:
        raise ValueError(
            f"orbits must stay finite, got {lost.size} of {len(initial)} orbits diverge, the first "
            f"from initial state {initial[lost[0]].tolist()} (index {lost[0]}); start inside the "
            "basin of attraction"
        )
    return trajectories


def from_random_times(
    system: Map, initial: np.ndarray, n_steps: int, *, transient: int, rng: np.random.Generator
) -> np.ndarray:
    """Trajectories that begin between one and two transients after their initial states.

    Parameters
    ----------
    system, initial, n_steps
        As for :func:`simulate`.
    transient : int
        Steps that are dropped from each; up to as many more are, a random number.
    rng : numpy.random.Generator
        Draws these numbers.

    Returns
    -------
    numpy.ndarray
        States of shape (batch, n_steps, dim), float64.

    Raises
    ------
    ValueError
        As :func:`simulate`, and if `transient` is not at least 1.
    """
    check_count("transient", transient, remedy="without one use simulate")
    check_count("n_steps", n_steps)
    check_generator("rng", rng)
    start = simulate(system, initial, transient + 1)
    later = simulate(system, start[:, -1], n_steps + transient)
    first = rng.integers(0, transient, len(initial))
    return np.stack([row[s : s + n_steps] for row, s in zip(later, first, strict=True)])
