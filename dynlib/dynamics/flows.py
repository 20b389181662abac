r"""Flows sampled at equal times: a differential equation made into a map.

A flow gives its right-hand side once, as a plain function of the coordinates. numpy evaluates
it on whole arrays, numba compiles it for the integrator: the textbook formula is the fast one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numba
import numpy as np
from numba.extending import overload

from dynlib.dynamics.checks import (
    check_array,
    check_coordinates,
    check_count,
    check_floats,
    check_number,
    check_room,
)

#: Coordinates that a compiled flow may have.
COORDINATES = 24
#: Orbits that are computed side by side.
TOGETHER = 16


class Flow:
    """What every system in continuous time shares; subclasses are frozen dataclasses.

    A subclass has ``dim``, ``names``, and two methods that return functions of the
    coordinates: ``equations()`` of the velocity's components, ``linearisation()`` of the rows
    of its Jacobian. Both use arithmetic only, so that they work on numbers and arrays alike.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Pendulum(Flow):
    ...     dim = 2
    ...     def equations(self):
    ...         return lambda angle, speed: (speed, -np.sin(angle))
    >>> Pendulum().velocity(np.array([np.pi / 2, 1.0]))
    array([ 1., -1.])
    """

    dim: ClassVar[int]

    def equations(self) -> Callable[..., tuple]:
        """Right-hand side as a function of the coordinates that returns a tuple."""
        raise NotImplementedError

    def linearisation(self) -> Callable[..., tuple]:
        """Jacobian as a function of the coordinates that returns a tuple of rows."""
        raise NotImplementedError

    @np.errstate(over="ignore", invalid="ignore")
    def velocity(self, states: np.ndarray) -> np.ndarray:
        """Right-hand side at states of shape (..., dim); not finite where a state is not."""
        check_coordinates(states, self.dim)
        check_floats("states", states)
        rates = self.equations()(*np.moveaxis(states, -1, 0))
        return np.stack([np.broadcast_to(rate, states.shape[:-1]) for rate in rates], axis=-1)

    @np.errstate(over="ignore", invalid="ignore")
    def jacobian(self, states: np.ndarray) -> np.ndarray:
        """Derivative of :meth:`velocity` at states of shape (..., dim), as (..., dim, dim)."""
        check_coordinates(states, self.dim)
        check_floats("states", states)
        rows = self.linearisation()(*np.moveaxis(states, -1, 0))
        shape = states.shape[:-1]
        return np.stack(
            [np.stack([np.broadcast_to(e, shape) for e in row], axis=-1) for row in rows], axis=-2
        )


def check_flow(flow: Flow) -> None:
    """Raise for what is not a flow, or one with too many coordinates to be compiled."""
    if not isinstance(flow, Flow):
        raise TypeError(
            f"the flow must be a Flow, got {type(flow).__name__}; make one of a class derived from "
            "dynlib.dynamics.flows.Flow (a map needs no TimeMap)"
        )
    if flow.dim > COORDINATES:
        raise ValueError(
            f"a flow must have at most {COORDINATES} coordinates, got {flow.dim}: the compiler "
            "nests once for each of them; take fewer, such as a ring of 20 for Lorenz-96"
        )


def check_frozen(flow: Flow) -> None:
    """Raise for a flow whose parameters could be changed after it was compiled."""
    parameters = getattr(type(flow), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise TypeError(
            f"the flow must be a frozen dataclass, got {type(flow).__name__}, of which a parameter "
            "changed later would be ignored, for it is compiled once; put @dataclass(frozen=True) "
            "above the class"
        )


@dataclass(frozen=True)
class TimeMap:
    r"""The map that a flow makes of the state after a fixed time.

    .. math:: x(t) \mapsto x(t + \tau)

    by equal steps of the classical fourth-order Runge–Kutta method. Anything that takes a map
    takes it: :func:`dynlib.dynamics.simulate.simulate`,
    :func:`dynlib.dynamics.lyapunov.tangent_exponents`.

    Parameters
    ----------
    flow : Flow
        The differential equation.
    tau : float
        Time between two states, above 0.
    substeps : int
        Runge–Kutta steps within `tau`, at least 1. Five give the Lorenz system an error below
        :math:`10^{-5}` after :math:`\tau = 0.03`; halving the step divides it by sixteen.

    Raises
    ------
    ValueError
        If `tau` is not a positive number or `substeps` is smaller than 1.
    TypeError
        If the flow is not a frozen dataclass.

    Examples
    --------
    >>> from dynlib.dynamics.systems.lorenz import Lorenz
    >>> TimeMap(Lorenz(), 0.03).step(np.ones((1, 3))).round(4)
    array([[1.1072, 1.7983, 0.9651]])

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, section II.1.
    """

    flow: Flow
    tau: float
    substeps: int = 5

    def __post_init__(self) -> None:
        check_flow(self.flow)
        check_frozen(self.flow)
        check_number("tau", self.tau, above=0)
        check_count("substeps", self.substeps)

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.flow.dim

    def orbits(self, states: np.ndarray, n_steps: int) -> np.ndarray:
        """States (batch, dim) and what follows them, shape (batch, n_steps, dim)."""
        check_coordinates(states, self.dim, axes=2)
        check_count("n_steps", n_steps)
        check_room("the trajectories", len(states), n_steps, self.dim)
        trajectories = np.empty((len(states), n_steps, self.dim))
        _integrator(self.flow)(
            np.ascontiguousarray(states, np.float64), trajectories,
            self.tau / self.substeps, self.substeps,
        )  # fmt: skip
        return trajectories

    def step(self, states: np.ndarray) -> np.ndarray:
        """States (batch, dim) a time `tau` later."""
        return self.orbits(states, 2)[:, 1]

    @np.errstate(over="ignore", invalid="ignore")
    def push(self, states: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Carry states (batch, dim) and tangent frames (batch, dim, k) over one `tau`.

        .. math:: \dot x = f(x), \qquad \dot Q = f'(x)\, Q
        """
        check_coordinates(states, self.dim, axes=2)
        check_array(
            "frames", frames, (*np.shape(states), "k"), allow="any", empty=True,
            remedy="one frame is frame[None], and there is one for each of the states",
        )  # fmt: skip
        check_floats("states", states)
        check_floats("frames", frames)
        h = self.tau / self.substeps
        for _ in range(self.substeps):
            dx: list[np.ndarray]
            dq: list[np.ndarray]
            dx, dq = [], []
            for stage in range(4):
                back = (0.0, h / 2, h / 2, h)[stage]
                x = states + back * dx[-1] if stage else states
                q = frames + back * dq[-1] if stage else frames
                dx.append(self.flow.velocity(x))
                dq.append(self.flow.jacobian(x) @ q)
            states = states + h / 6 * (dx[0] + 2 * (dx[1] + dx[2]) + dx[3])
            frames = frames + h / 6 * (dq[0] + 2 * (dq[1] + dq[2]) + dq[3])
        return states, frames


def _along(  # type: ignore[empty-body]  # numba compiles the overload below
    state: tuple, h: float, slope: tuple
) -> tuple:
    """Each coordinate moved by h times its slope (unrolled by numba for any dimension)."""


@overload(_along)
def _(state, h, slope):
    if len(state) == 1:
        return lambda state, h, slope: (state[0] + h * slope[0],)
    return lambda state, h, slope: (
        (state[0] + h * slope[0],) + _along(state[1:], h, slope[1:])  # noqa: RUF005
    )


@lru_cache
def _access() -> tuple[Callable, Callable, Callable]:
    """Functions for compiled code: the rows of states, one state of them, and to write one.

    numba compiles the overloads, of which the stubs have only names. It cannot unpack a tuple, so
    tuples are added.
    """

    def rows_of(states: np.ndarray, state: tuple) -> tuple:  # type: ignore[empty-body]
        """The rows of states (dim, n), as many as a state has coordinates."""

    def at(rows: tuple, place: int) -> tuple:  # type: ignore[empty-body]
        """One state, from an array for each coordinate."""

    def put(rows: tuple, place: int, state: tuple) -> None:
        """Write one state into an array for each coordinate."""

    @overload(rows_of)
    def _(states, state):
        def one(states, state):
            return (states[0],)

        def more(states, state):
            return (states[0],) + rows_of(states[1:], state[1:])  # noqa: RUF005

        return (more, one)[len(state) == 1]

    @overload(at)
    def _(rows, place):
        def one(rows, place):
            return (rows[0][place],)

        def more(rows, place):
            return (rows[0][place],) + at(rows[1:], place)  # noqa: RUF005

        return (more, one)[len(rows) == 1]

    @overload(put)
    def _(rows, place, state):
        def one(rows, place, state):
            rows[0][place] = state[0]

        def more(rows, place, state):
            rows[0][place] = state[0]
            put(rows[1:], place, state[1:])

        return (more, one)[len(rows) == 1]

    return rows_of, at, put


@lru_cache
def marcher(flow: Flow) -> Callable[[np.ndarray, int, float, int], None]:
    r"""Compiled Runge–Kutta steps of many states, side by side.

    One step of length h takes every state to
    :math:`x + \frac h6 (k_1 + 2 k_2 + 2 k_3 + k_4)`, with the slopes of the classical method.
    All states take a step before the next begins, so that the processor computes several at once,
    to the digits that each has alone.

    Parameters
    ----------
    flow : Flow
        Its equations are compiled once.

    Returns
    -------
    march : callable
        ``march(states, n, h, steps)`` moves the first `n` columns of `states` (dim, width),
        float64, in place by `steps` steps of length `h`, in the flow's unit of time. It checks
        nothing.

    Raises
    ------
    TypeError
        If `flow` is not a Flow.
    ValueError
        If it has more coordinates than can be compiled.

    Examples
    --------
    >>> from dynlib.dynamics.systems.lorenz import Lorenz
    >>> states = np.ones((3, 2))
    >>> marcher(Lorenz())(states, 1, 0.01, 100)
    >>> states.round(2).tolist()
    [[-9.38, 1.0], [-8.35, 1.0], [29.38, 1.0]]
    """
    check_flow(flow)
    velocity, like = numba.njit(flow.equations()), (0.0,) * flow.dim
    rows_of, at, put = _access()

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
        rows = rows_of(states, like)
        for _ in range(steps):
            for b in range(n):
                put(rows, b, step(at(rows, b), h))

    return march


@lru_cache
def _integrator(flow: Flow) -> Callable[[np.ndarray, np.ndarray, float, int], None]:
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
