r"""A reader's own system: a differential equation or a map, from a few lines of Python.

Jacobians are central differences. ``dynlib.dynamics.forms`` says in which forms a function may
be given, :func:`dynlib.dynamics.trial.prepared` tries a system out.
"""

from __future__ import annotations

import numbers
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dynlib.dynamics.checks import (
    check_array,
    check_callable,
    check_coordinates,
    check_draw,
    check_number,
    check_room,
)
from dynlib.dynamics.flows import Flow, TimeMap
from dynlib.dynamics.forms import arguments, bound, compiled, form_of, of_numbers

#: The coordinates that hold the phase of a driven system.
PHASE = ("cos phase", "sin phase")


@dataclass(frozen=True)
class _Own:
    """The common part of OwnFlow and OwnMap: a checked function and where trajectories start."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    start: tuple[float, ...]
    scatter: float | tuple[float, ...] = 0.1
    scale: tuple[float, ...] = ()
    sampler: Callable[[int, np.random.Generator], np.ndarray] | None = None

    #: Derivatives by differences below this share of the largest cannot be separated from zero.
    resolution: ClassVar[float] = 1e-10

    def __post_init__(self) -> None:
        check_callable("function", self.function)
        _check_names(self.names)
        for name, values in (("start", self.start), ("scale", self.scale)):
            check_array(name, values, ("dim",), empty=True, remedy="give one number a coordinate")
        if np.ndim(self.scatter):
            check_array("scatter", self.scatter, (len(self.start),), remedy="give one a coordinate")
        else:
            check_number("scatter", self.scatter)
        if self.sampler is not None:
            check_callable("sampler", self.sampler)
        plain, period = bound(getattr(self.function, "py_func", self.function)), self._period
        names, start, scale = tuple(self.names), _floats(self.start), _floats(self.scale)
        scatter: Any = _floats(self.scatter) if np.ndim(self.scatter) else float(self.scatter)  # type: ignore[arg-type]
        called, dim = getattr(plain, "__name__", "the function"), len(names)
        if not dim or len(start) != dim or len(scale) not in (0, dim):
            raise ValueError(
                "names, start and scale must be as many as there are coordinates, got "
                f"{names}, {start} and {scale}; give one of each a coordinate"
            )
        if not all(each > 0 for each in scale):
            raise ValueError(
                f"scale must be above 0, got {scale}; leave it out, and prepared measures it"
            )
        _check_scatter(start, scatter)
        if period and names[-2:] != PHASE:
            names, start = names + PHASE, (*start, 1.0, 0.0)
            scale = scale and (*scale, 1.0, 1.0)
            scatter = (*scatter, 0.0, 0.0) if isinstance(scatter, tuple) else scatter
        if not hasattr(plain, "_numbers"):
            plain = self._checked(plain, called, names[:-2] if period else names, start)
        for field, value in {
            "function": plain, "names": names, "start": start, "scatter": scatter,
            "scale": scale or (1.0,) * len(names),
        }.items():  # fmt: skip
            object.__setattr__(self, field, value)

    def _checked(
        self, plain: Callable, called: str, names: tuple[str, ...], start: tuple[float, ...]
    ) -> Callable:
        """The function as one of numbers, called once at the start."""
        period = self._period
        form = form_of(plain, called, names, flow=isinstance(self, Flow), period=period)
        try:
            found = plain(*arguments(form, start, period))
        except Exception as error:
            raise ValueError(
                f"{called} must take the {len(names)} coordinates {', '.join(names)}, got "
                f"{type(error).__name__} of {called}{start}: {error}; correct the function, "
                "or choose a start where it is defined"
            ) from error
        _check_found(called, start, found, names)
        if isinstance(found, tuple) and form == list(names):
            return plain
        return of_numbers(plain, called, tuple(form), len(start), period)

    @property
    def _period(self) -> float | None:
        return None

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.names)

    def initial_states(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` initial states (n, dim): the start, moved by U(-scatter, scatter) each way.

        A sampler draws them instead, if there is one; the phase of a driven system is uniform.
        """
        check_draw(n, rng)
        check_room("the states", n, self.dim)
        if self.sampler is None:
            reach = np.array(self.scatter)
            states = np.array(self.start) + rng.uniform(-reach, reach, (n, self.dim))
        else:
            own = self.dim - 2 * (self._period is not None)
            found = self.sampler(n, rng)
            check_array("what the sampler returns", found, (n, own), remedy="one row a state")
            states = np.concatenate([found, np.empty((n, self.dim - own))], axis=1)
        if self._period is not None:
            phase = rng.uniform(0, 2 * np.pi, n)
            states[:, -2:] = np.stack([np.cos(phase), np.sin(phase)], axis=1)
        return states

    def _values(self, states: np.ndarray) -> np.ndarray:
        """The function at states of shape (..., dim)."""
        check_coordinates(states, self.dim)
        states = np.asarray(states)
        flat = np.ascontiguousarray(states, dtype=np.float64).reshape(-1, self.dim)
        out = np.empty_like(flat)
        compiled(self.function, self.dim)[0](flat, out)
        return out.reshape(states.shape)

    def _slopes(self, states: np.ndarray) -> np.ndarray:
        r"""Its derivative at states (..., dim) by central differences, as (..., dim, dim).

        .. math:: \frac{f_i(x + h_j e_j) - f_i(x - h_j e_j)}{2 h_j}, \qquad
                  h_j = \varepsilon^{1/3} s_j

        with the machine's precision :math:`\varepsilon` and the scale s of the coordinate:
        truncation and rounding are then of the same size, about :math:`10^{-10}` of f / s.
        """
        check_coordinates(states, self.dim)
        states = np.asarray(states)
        flat = np.ascontiguousarray(states, dtype=np.float64).reshape(-1, self.dim)
        steps = np.cbrt(np.finfo(np.float64).eps) * np.array(self.scale)
        out = np.empty((*flat.shape, self.dim))
        compiled(self.function, self.dim)[1](flat, steps, out)
        return out.reshape(*states.shape, self.dim)


@dataclass(frozen=True)
class OwnFlow(_Own, Flow):  # type: ignore[override]  # `dim` differs between instances
    r"""A differential equation of one's own.

    Parameters
    ----------
    function : callable
        The velocity: numbers :math:`x_1, \dots, x_d` to d numbers, as a tuple, a list or an array.
        Or, as for SciPy, ``f(t, y)`` or ``f(y)`` of an array y. Constants that stand above it are
        taken as they are now: later changes do not reach the flow.
    names : sequence of str
        What the coordinates are called.
    start : sequence of float
        About where trajectories start, inside the basin of attraction.
    scatter : float or sequence of float
        Initial states are the start plus a uniform number within this in each coordinate;
        above 0, one number or one a coordinate.
    scale : sequence of float, optional
        Typical size of the variation of each coordinate, for the differences that make the
        Jacobian; :func:`dynlib.dynamics.trial.prepared` measures it.
    sampler : callable, optional
        ``sampler(n, rng)`` draws n initial states (n, d) instead.
    period : float, optional
        Of a driven system, whose function has a parameter t, the time. Its phase becomes two
        coordinates, a cosine and a sine, which :class:`Driven` keeps exact.

    Raises
    ------
    ValueError
        If the function cannot be called at the start, has a parameter that is not a coordinate,
        reads the time without a period, or returns another number of components or a value that is
        not finite; if scatter is not above 0.

    Examples
    --------
    >>> def pendulum(angle, speed):
    ...     return speed, -np.sin(angle)
    >>> flow = OwnFlow(pendulum, ("angle", "speed"), start=(1.0, 0.0))
    >>> flow.jacobian(np.zeros(2)).round(6) + 0.0
    array([[ 0.,  1.], [-1.,  0.]])
    """

    period: float | None = None

    def __post_init__(self) -> None:
        if self.period is not None:
            check_number("period", self.period, above=0)
        super().__post_init__()

    @property
    def _period(self) -> float | None:
        return self.period

    def equations(self) -> Callable[..., tuple]:
        """The function, as one of numbers that returns a tuple."""
        return self.function

    velocity = _Own._values
    jacobian = _Own._slopes


@dataclass(frozen=True)
class OwnMap(_Own):
    r"""A map of one's own; parameters as for :class:`OwnFlow`, the function is one step.

    Examples
    --------
    >>> logistic = OwnMap(lambda x: (4 * x * (1 - x),), ("x",), start=(0.3,))
    >>> logistic.step(np.array([[0.5], [0.25]])).ravel()
    array([1.  , 0.75])
    """

    step = _Own._values
    jacobian = _Own._slopes


@dataclass(frozen=True)
class Driven(TimeMap):
    """The map of a driven flow after a fixed time; the phase is set anew, exactly, in each step.

    Examples
    --------
    >>> swing = OwnFlow(lambda x, t: -x + np.cos(t), ("x",), (0.0,), period=2 * np.pi)
    Traceback (most recent call last):
    ...
    ValueError: <lambda> must return 1 numbers, one a coordinate (x), got float64; write return \
(a, b, ...)
    >>> swing = OwnFlow(lambda x, t: (-x + np.cos(t),), ("x",), (0.0,), period=2 * np.pi)
    >>> last = Driven(swing, 0.1).orbits(np.array([[0.0, 1.0, 0.0]]), 10001)[0, -1]
    >>> bool(abs(last[1] - np.cos(1000)) < 1e-9)
    True
    """

    def _turned(self, states: np.ndarray, later: np.ndarray, tau: float) -> np.ndarray:
        """The states `later` with the phase that follows that of `states` after a time."""
        phase = np.arctan2(states[:, -1], states[:, -2])
        phase += 2 * np.pi * tau / self.flow.period  # type: ignore[attr-defined]
        return np.concatenate([later[:, :-2], np.cos(phase)[:, None], np.sin(phase)[:, None]], 1)

    def orbits(self, states: np.ndarray, n_steps: int) -> np.ndarray:
        """States (batch, dim) and what follows them, shape (batch, n_steps, dim)."""
        trajectories = super().orbits(states, 1).repeat(n_steps, axis=1)  # checks the states too
        trajectories[:, 0] = self._turned(trajectories[:, 0], trajectories[:, 0], 0.0)
        for n in range(1, n_steps):
            before = trajectories[:, n - 1]
            trajectories[:, n] = self._turned(before, super().orbits(before, 2)[:, 1], self.tau)
        return trajectories

    def push(self, states: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States and tangent frames after one `tau`."""
        later, pushed = super().push(states, frames)
        return self._turned(states, later, self.tau), pushed


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values))


def _check_scatter(start: tuple[float, ...], scatter: float | tuple[float, ...]) -> None:
    where, reach = np.array(start), np.array(scatter)
    if not ((reach >= 0).all() and (reach > 0).any()):
        raise ValueError(
            f"start must be finite and scatter above 0, got start={start}, scatter={scatter}; with "
            "a scatter of 0 all trajectories are one, those for training and for the test too, "
            "and intervals have zero width: try scatter=0.1"
        )
    if (where + reach == where).all():
        raise ValueError(
            f"scatter must be above 1e-16 of the start, got scatter={scatter}, which is lost in "
            f"the rounding of start={start}, so that all trajectories are one; choose a larger one"
        )


def _check_names(names: Any) -> None:
    words = isinstance(names, (str, tuple, list)) and all(isinstance(each, str) for each in names)
    if not words or len(set(names)) < len(names):
        raise TypeError(
            f"names must be a different text for each coordinate, got {reprlib.repr(names)}; write "
            'such as ("x", "y")'
        )


def _check_found(called: str, start: tuple[float, ...], found: Any, names: tuple[str, ...]) -> None:
    right = isinstance(found, (tuple, list)) or (isinstance(found, np.ndarray) and found.ndim == 1)
    if not right or len(found) != len(names):
        size = f"{len(found)} numbers" if right else type(found).__name__
        raise ValueError(
            f"{called} must return {len(names)} numbers, one a coordinate ({', '.join(names)}), "
            f"got {size}; write return (a, b, ...)"
        )
    for value in found:
        if not isinstance(value, numbers.Real) or not np.isfinite(float(value)):
            raise ValueError(
                f"{called} must return finite numbers, got {called}{start} is {tuple(found)}; "
                "choose a start where it is finite"
            )
