r"""A reader's own system: a differential equation or a map, from a few lines of Python.

numba compiles the function, so that arithmetic, ``math`` and ``numpy`` functions and ``if`` are all
it may use. Jacobians are central differences.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import dis
import inspect
import itertools
import math
import numbers
import reprlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any, ClassVar

import numba
import numpy as np
from numba.core.errors import NumbaError
from numba.np.unsafe.ndarray import to_fixed_tuple
from scipy.integrate import solve_ivp

from dynlib.dynamics.checks import (
    check_array,
    check_callable,
    check_coordinates,
    check_count,
    check_draw,
    check_number,
    check_room,
)
from dynlib.dynamics.flows import Flow, TimeMap
from dynlib.dynamics.simulate import check_map, simulate

#: Runge-Kutta steps within one tau that :func:`prepared` tries, each against the next.
SUBSTEPS = (5, 10, 20, 40, 80, 160)


#: The coordinates that hold the phase of a driven system.
PHASE = ("cos phase", "sin phase")


@dataclass(frozen=True)
class _Own:
    """What a flow and a map of one's own share: a checked function and where it starts."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    start: tuple[float, ...]
    scatter: float | tuple[float, ...] = 0.1
    scale: tuple[float, ...] = ()
    sampler: Callable[[int, np.random.Generator], np.ndarray] | None = None

    #: Where derivatives by differences cannot be told from zero, over the largest.
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
        plain, period = _bound(getattr(self.function, "py_func", self.function)), self._period
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
        form = _form(plain, called, names, flow=isinstance(self, Flow), period=period)
        try:
            found = plain(*_arguments(form, start, period))
        except Exception as error:
            raise ValueError(
                f"{called} must take the {len(names)} coordinates {', '.join(names)}, got "
                f"{type(error).__name__} of {called}{start}: {error}; correct the function, "
                "or choose a start where it is defined"
            ) from error
        _check_found(called, start, found, names)
        if isinstance(found, tuple) and form == list(names):
            return plain
        return _of_numbers(plain, called, tuple(form), len(start), period)

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
        _compiled(self.function, self.dim)[0](flat, out)
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
        _compiled(self.function, self.dim)[1](flat, steps, out)
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
        Jacobian; :func:`prepared` measures it.
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


def _bound(function: Callable) -> Callable:
    """The function with the constants outside it as they are now, for numba reads them once.

    The same one for the same function and constants; the function itself where it has none.
    """
    constants = copy.deepcopy(_constants(function))
    if not constants or hasattr(function, "_bound"):
        return function
    key = (function, _key(constants))
    if key not in _BOUND:
        _BOUND[key] = _bound_to(function, constants)  # type: ignore[arg-type]
    return _BOUND[key]


_BOUND: dict[tuple, Callable] = {}


def _key(value: Any) -> Any:
    """What is equal for equal constants only, and can be a key."""
    if isinstance(value, dict):
        return tuple((name, _key(each)) for name, each in value.items())
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    return type(value).__name__, repr(value)


def _bound_to(function: FunctionType, known: dict[str, Any]) -> Callable:
    """A copy of the function that reads these constants."""
    code = function.__code__
    needed = {"__builtins__", "__name__", *_globals(code)}
    outside = {n: value for n, value in function.__globals__.items() if n in needed} | known
    cells = tuple(
        CellType(known[name]) if name in known else cell
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    )
    made = FunctionType(code, outside, function.__name__, function.__defaults__, cells)
    made.__kwdefaults__ = function.__kwdefaults__
    made._bound = True  # type: ignore[attr-defined]
    return made


def _constants(function: Callable) -> dict[str, Any]:
    """The numbers, arrays and tuples of them that a function reads from outside, by their names."""
    if not isinstance(function, FunctionType):
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {name: function.__globals__.get(name) for name in _globals(function.__code__)}
    for name, cell in cells:
        with contextlib.suppress(ValueError):  # an empty cell: the call says so
            found[name] = cell.cell_contents
    return {name: value for name, value in sorted(found.items()) if _is_constant(value)}


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    return isinstance(value, (numbers.Number, np.generic, np.ndarray, str))


def _globals(code: CodeType) -> set[str]:
    """Names of globals that a function reads, or one within it."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return names.union(*map(_globals, inner))


def _form(
    function: Callable, called: str, names: tuple[str, ...], *, flow: bool, period: float | None
) -> list[str]:
    """What to call a function with: names of coordinates, "state" for an array of them, "time".

    Raises ValueError for a time that stands still, and other parameters not coordinates.
    """
    remedy = (
        "give the period of a driven system, period=2 * math.pi / w for cos(w t), or leave time out"
        if flow
        else "leave time out, and give what it drives two coordinates, c and s for cos(w n) and "
        "sin(w n): next c = (c cos(w) - s sin(w)) / r, next s = (s cos(w) + c sin(w)) / r with "
        "r = sqrt(c*c + s*s), from c = 1, s = 0"
    )
    constants = _constants(function)
    for time in {"t", "time"} & set(constants):
        raise ValueError(
            f"{called} reads {time}={constants[time]!r} from outside: it would keep its value for "
            f"ever; {remedy}; or give it another name if it is not the time"
        )
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a callable without a signature, such as a ufunc
        return list(names)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return list(names)

    def is_time(each: inspect.Parameter) -> bool:
        return each.name.lower() in ("t", "time") and each.name not in names

    others = tuple(each.name for each in parameters if not is_time(each))
    array = len(others) == 1 and (len(names) > 1 or others != names)
    for each in parameters:
        if is_time(each):
            wrong = period is None and (not array or _reads(function, each.name))
        else:
            wrong = not array and each.name not in names and each.default is not each.empty
        if wrong:
            constant = "write a constant into the function or above it"
            raise ValueError(
                f"{called} has the parameter {each}, which is not among the coordinates "
                f"{', '.join(names)}: it would keep its value for ever; "
                f"{remedy if is_time(each) else constant}"
            )
    if period is not None and not any(map(is_time, parameters)):
        raise ValueError(
            f"a driven system must have a parameter t, the time, got {called} without one and "
            f"period={period}; add t, or leave the period out"
        )
    if not array and others != names and sorted(others) == sorted(names):
        raise ValueError(
            f"{called} takes {', '.join(others)}, but names are {', '.join(names)}; write both, "
            "and start, in one order"
        )
    if not array and len(others) != len(names):
        return list(names)  # the call says so
    return [_TIME if is_time(p) else _STATE if array else p.name for p in parameters]


def _reads(function: Callable, name: str) -> bool:
    """Whether the body of a function reads one of its parameters."""
    reads = (i.argval for i in dis.get_instructions(function) if i.opname.startswith("LOAD"))
    return any(name in (each if isinstance(each, tuple) else (each,)) for each in reads)


def _arguments(form: Sequence[str], state: tuple[float, ...], period: float | None) -> list:
    """What to call a function with at a state: numbers, or an array of them, and the time."""
    coordinates = iter(state)
    time = math.atan2(state[-1], state[-2]) * period / (2 * math.pi) if period else 0.0
    array = np.array(state[: len(state) - 2 * bool(period)])
    return [
        time if each == _TIME else array if each == _STATE else next(coordinates) for each in form
    ]


#: What a function takes that is not a coordinate; no parameter can have such a name.
_TIME, _STATE = "the time", "the state"


@lru_cache
def _of_numbers(
    function: Callable, called: str, form: tuple[str, ...], dim: int, period: float | None
) -> Callable:
    """The same as a function of numbers that returns a tuple, the rates of the phase with it."""
    own = [f"s{i}" for i in range(dim)]
    results, time = [f"found[{i}]" for i in range(dim)], "0.0"
    if period:
        rate = 2 * math.pi / period
        time = f"math.atan2({own[-1]}, {own[-2]}) / {rate!r}"
        results[-2:] = f"-{rate!r} * {own[-1]}", f"{rate!r} * {own[-2]}"
    free = own[: dim - 2 * bool(period)]
    special, numbers_left = {_TIME: time, _STATE: f"np.array(({', '.join(free)},))"}, iter(free)
    words = [special.get(each) or next(numbers_left) for each in form]
    space: dict[str, Any] = {"np": np, "math": math, "point": numba.njit(function)}
    exec(
        f"def numbers({', '.join(own)}):\n"
        f"    found = point({', '.join(words)})\n"
        f"    return ({', '.join(results)},)",
        space,
    )
    space["numbers"].__name__, space["numbers"]._numbers = called, True
    return space["numbers"]


_CANNOT = (
    "the function must be one that numba can compile, of arithmetic, math and numpy functions and "
    "if, got: {}; write it with numbers alone, such as def rates(x, y): return (y, -x)"
)


@lru_cache
def _compiled(function: Callable[..., tuple], dim: int) -> tuple[Callable, Callable]:
    """Kernels that write values (n, dim) and derivatives (n, dim, dim) at states (n, dim)."""
    point = numba.njit(function)

    @numba.njit
    def write(state, out):
        i = 0
        for value in numba.literal_unroll(point(*to_fixed_tuple(state, dim))):
            out[i] = value
            i += 1  # noqa: SIM113 (literal_unroll takes no enumerate)

    @numba.njit
    def values(states, out):
        for n in range(len(states)):
            write(states[n], out[n])

    @numba.njit
    def slopes(states, steps, out):
        right, left = np.empty(dim), np.empty(dim)
        for n in range(len(states)):
            moved = states[n].copy()
            for j in range(dim):
                moved[j] = high = states[n, j] + steps[j]
                write(moved, right)
                moved[j] = states[n, j] - steps[j]
                write(moved, left)
                out[n, :, j] = (right - left) / (high - moved[j])
                moved[j] = states[n, j]

    return values, slopes


def prepared(system: Any, tau: float = 1.0, *, trial: int = 2000) -> Any:
    """The map that is to be simulated, tried out first.

    Parameters
    ----------
    system : object
        An :class:`OwnFlow`, an :class:`OwnMap` or a system of ``dynlib.dynamics.systems``.
    tau : float
        Time between two states of a flow; a map has none.
    trial : int
        States of each of the eight trajectories of the trial.

    Returns
    -------
    object
        The map itself, with the scale of its coordinates measured if it is one's own; of a flow
        the :class:`dynlib.dynamics.flows.TimeMap`, with as many Runge–Kutta steps within `tau`
        as make the error of one `tau` smaller than 1e-5 of the spread.

    Raises
    ------
    ValueError
        If the function cannot be compiled, trajectories leave every bounded set, a coordinate
        is constant or drifts away, `tau` is too long, or rounding stops the orbits of a map; the
        message says what to change.

    Examples
    --------
    >>> turn = OwnFlow(lambda x, y: (y, -x), ("x", "y"), start=(1.0, 0.0))
    >>> prepared(turn, 0.1).substeps
    5
    >>> prepared(OwnFlow(lambda x: (x * x,), ("x",), start=(1.0,)), 0.1)
    Traceback (most recent call last):
    ...
    ValueError: trajectories must stay bounded, got 8 of 8 from near (1.0,) that leave every \
bounded set within 2000 steps of tau=0.1; choose a start inside the basin of attraction, or a \
shorter tau
    """
    check_map(system, "initial_states", "names", "jacobian")
    check_count("trial", trial, least=2)
    if isinstance(system, Flow):
        check_number("tau", tau, above=0)
    flow, own = isinstance(system, Flow), isinstance(system, _Own)
    initial = system.initial_states(8, np.random.default_rng(0))
    kind = Driven if own and system._period else TimeMap
    maps = [kind(system, tau, n) for n in SUBSTEPS] if flow else [system, system]
    for step, finer in itertools.pairwise(maps):
        states = _tried(step, initial, trial)
        if states is None:
            continue
        spread, few = states.std(axis=(0, 1)), states[:, :: max(1, trial // 100)]
        error = finer.step(few.reshape(-1, system.dim)) - step.step(few.reshape(-1, system.dim))
        if (np.abs(error).max(axis=0) <= 1e-5 * spread).all():
            break
    else:
        if states is not None:
            raise ValueError(
                f"tau must be short enough for {step.substeps} Runge-Kutta steps, got tau={tau}, "
                "within which they are not accurate; choose a shorter tau"
            )
        raise ValueError(_why_unbounded(system, step, initial, trial))
    still = np.ptp(states, axis=1).max(axis=0) == 0
    if still.any():
        raise ValueError(
            f"every coordinate must move, got {system.names[int(still.argmax())]}, which stays "
            "constant; leave it out and write its value into the function, or start elsewhere"
        )
    _check_drift(system.names, step, states)
    if not own:
        return step
    if not flow:
        _check_lost_digits(system, states)
    measured = dataclasses.replace(system, scale=tuple(spread))
    return kind(measured, tau, step.substeps) if flow else measured


def _tried(step: Any, initial: np.ndarray, n_steps: int) -> np.ndarray | None:
    """Trajectories of a map, or None if they are not bounded."""
    try:
        states = simulate(step, initial, n_steps)
    except NumbaError as error:
        raise ValueError(_CANNOT.format(str(error).strip()[:300])) from error
    except ValueError:
        return None
    return states if np.abs(states).max() < 1e12 else None


def _why_unbounded(system: Any, step: Any, initial: np.ndarray, trial: int) -> str:
    """Why trajectories leave every bounded set, and what to change: scatter, tau or the start."""
    flow, own = isinstance(step, TimeMap), isinstance(system, _Own)
    within = f"within {trial} steps" + (f" of tau={step.tau}" if flow else "")
    start = np.array([system.start]) if own else initial[:1]
    states = np.concatenate([start, initial])
    lost = _lost(step, states, trial)
    if flow and (tau := _stiff(system, states[lost.argmin()], step, int(lost.min()))):
        return (
            f"tau must be short enough for {step.substeps} Runge-Kutta steps, got tau={step.tau}, "
            "within which they are unstable, though an implicit method follows the solution (the "
            f"equation is stiff, or turns quickly); choose a shorter tau, of {tau:.1g} or less"
        )
    away = int((lost[1:] < trial).sum())
    if own and lost[0] == trial:
        return (
            f"scatter must leave initial states where trajectories stay bounded, got scatter="
            f"{system.scatter}, with which {away} of {len(initial)} leave every bounded set "
            f"{within}, though that from {system.start} itself stays; choose a smaller scatter"
        )
    where = system.start if own else tuple(initial[0].round(3).tolist())
    return (
        f"trajectories must stay bounded, got {away} of {len(initial)} from near {where} that "
        f"leave every bounded set {within}; choose a start inside the basin of attraction"
        + (", or a shorter tau" if flow else "")
    )


def _lost(step: Any, states: np.ndarray, trial: int) -> np.ndarray:
    """The step at which each trajectory is no longer bounded, or `trial`."""
    lost = np.full(len(states), trial)
    with np.errstate(over="ignore", invalid="ignore"):
        for n in range(1, trial):
            states = step.step(states)
            lost[~(np.abs(states) < 1e12).all(axis=1) & (lost == trial)] = n
    return lost


def _stiff(flow: Any, state: np.ndarray, step: TimeMap, lost: int) -> float | None:
    """A tau for which the steps are stable, if an implicit method stays bounded from a state."""
    seen: list[np.ndarray] = []

    def velocity(_: float, x: np.ndarray) -> np.ndarray:
        if np.abs(x).max() > 1e12:
            raise OverflowError("unbounded")
        if len(seen) == 5000:
            raise StopIteration
        seen.append(x)
        return flow.velocity(x)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = solve_ivp(velocity, (0, (lost + 1) * step.tau), state, "Radau", rtol=1e-6)
        except StopIteration:  # long enough
            pass
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return None
        else:
            if found.status != 0:
                return None
    fastest = np.abs(np.linalg.eigvals(flow.jacobian(np.array(seen[::10])))).max()
    stable = 2.5 * step.substeps / fastest
    return float(stable) if stable < step.tau else None


def _drifting(states: np.ndarray) -> np.ndarray:
    """Which coordinates go one way through trajectories, and not ever slower."""
    changes = np.diff(states, axis=1)
    half = states.shape[1] // 2
    first, second = (np.abs(part.sum(axis=1)) for part in (changes[:, :half], changes[:, half:]))
    one_way = (changes >= 0).all(axis=1) | (changes <= 0).all(axis=1)
    return (one_way & (second > 0.5 * first) & (second > 0)).any(axis=0)


def _turning_time(values: np.ndarray) -> int:
    """Steps until one of these coordinates (batch, time) first goes back, or is half settled."""
    back = np.diff(values, axis=1) * np.sign(values[:, 1:2] - values[:, :1]) < 0
    near = np.abs(values - values[:, -1:]) < 0.5 * np.abs(values[:, :1] - values[:, -1:])
    return 1 + int(np.where(back.any(axis=1), back.argmax(axis=1), near.argmax(axis=1)).max())


def _check_drift(names: tuple[str, ...], step: Any, states: np.ndarray) -> None:
    """Raise ValueError for a coordinate that goes one way for ever, as an angle does.

    Whether it is for ever, a trial shows that is a thousand times as long.
    """
    drifts = _drifting(states)
    if not drifts.any():
        return
    name, trial = names[int(drifts.argmax())], states.shape[1]
    later = np.empty_like(states)
    now = states[:, 0]
    for n in range(trial):
        later[:, n] = now
        now = step.orbits(now, 1001)[:, -1] if isinstance(step, TimeMap) else step.step(now)
    ends = np.isfinite(later).all() and not _drifting(later)[drifts].any()
    if ends and isinstance(step, TimeMap):
        raise ValueError(
            f"the trial must be long enough for every coordinate to turn or settle, got {trial} "
            f"states of tau={step.tau}, in which {name} goes one way, though not in a thousand "
            "times as long; take more time a step (tau) if it settles slowly or turns late, such "
            f"as tau={_turning_time(later[..., drifts.argmax()]) * 3000 / trial * step.tau:.1g}"
        )
    raise ValueError(
        f"every coordinate must stay on a grid, got {name}: the coordinate {name} goes one way "
        f"through the trial; use cos({name}) and sin({name}) if it is an angle, or leave it out if "
        "it is time"
    )


def _check_lost_digits(system: Any, states: np.ndarray) -> None:
    """Raise ValueError where orbits stop on a state that drives its neighbours away."""
    last = states[:, -1][(states[:, -1] == states[:, -2]).all(axis=1)]
    if len(last) == 0:
        return
    factors = np.abs(np.linalg.eigvals(system.jacobian(last))).max(axis=1)
    if (factors > 1.001).any():
        worst = int(factors.argmax())
        raise ValueError(
            f"orbits must go on, got orbits stop at {tuple(last[worst].tolist())}, though "
            f"neighbours of that state move away by {factors[worst]:.3g} a step: rounding ends "
            "them; doubling a number, as the "
            "tent map does, uses up its 53 binary digits; write 1.999999 instead of 2, or start "
            "elsewhere"
        )
