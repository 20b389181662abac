"""Compiled Runge–Kutta steps of many states at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numba
import numpy as np
from numba.extending import overload

from dynlib.dynamics.flows import Flow, _along, check_flow

#: Orbits that are computed side by side.
TOGETHER = 16


def _rows(states: np.ndarray, state: tuple) -> tuple:  # type: ignore[empty-body]
    """The rows of states (dim, n), as many as a state has coordinates."""


def _at(rows: tuple, place: int) -> tuple:  # type: ignore[empty-body]
    """One state, from an array a coordinate."""


def _put(rows: tuple, place: int, state: tuple) -> None:
    """Write one state into an array a coordinate."""


@overload(_rows)
def _(states, state):
    def one(states, state):
        return (states[0],)

    def more(states, state):
        return (states[0],) + _rows(states[1:], state[1:])  # noqa: RUF005

    return (more, one)[len(state) == 1]


@overload(_at)
def _(rows, place):
    def one(rows, place):
        return (rows[0][place],)

    def more(rows, place):
        return (rows[0][place],) + _at(rows[1:], place)  # noqa: RUF005

    return (more, one)[len(rows) == 1]


@overload(_put)
def _(rows, place, state):
    def one(rows, place, state):
        rows[0][place] = state[0]

    def more(rows, place, state):
        rows[0][place] = state[0]
        _put(rows[1:], place, state[1:])

    return (more, one)[len(rows) == 1]


@lru_cache
def marcher(flow: Flow) -> Callable[[np.ndarray, int, float, int], None]:
    """Compiled Runge–Kutta steps of many states: (states, how many, length of a step, number).

    The states (dim, width) are moved in place, the first so many columns of them. They take each
    step together, so that the processor computes several at once, to the digits that each has
    alone.
    """
    check_flow(flow)
    velocity, like = numba.njit(flow.equations()), (0.0,) * flow.dim

    @numba.njit
    def step(state, h):
        k1 = velocity(*state)
        k2 = velocity(*_along(state, h / 2, k1))
        k3 = velocity(*_along(state, h / 2, k2))
        k4 = velocity(*_along(state, h, k3))
        state = _along(_along(state, h / 6, k1), h / 3, k2)
        return _along(_along(state, h / 3, k3), h / 6, k4)

    @numba.njit(nogil=True)
    def march(states, n, h, steps):
        rows = _rows(states, like)
        for _ in range(steps):
            for b in range(n):
                _put(rows, b, step(_at(rows, b), h))

    return march


@lru_cache
def integrator(flow: Flow) -> Callable[[np.ndarray, np.ndarray, float, int], None]:
    """The compiled loop that fills trajectories (batch, time, dim)."""
    march, dim = marcher(flow), flow.dim

    @numba.njit
    def integrate(states, trajectories, h, substeps):
        together = np.empty((dim, TOGETHER))
        for begin in range(0, len(states), TOGETHER):
            n = min(TOGETHER, len(states) - begin)
            for b in range(n):
                for i in range(dim):
                    together[i, b] = states[begin + b, i]
            for t in range(trajectories.shape[1]):
                for b in range(n):
                    for i in range(dim):
                        trajectories[begin + b, t, i] = together[i, b]
                march(together, n, h, substeps)

    return integrate
