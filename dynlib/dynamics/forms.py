"""The forms in which a reader's function may be given, and how numba compiles it.

The function may use what numba compiles: arithmetic, ``math`` and ``numpy`` functions and ``if``.
"""

from __future__ import annotations

import contextlib
import copy
import dis
import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any

import numba
import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple


def bound(function: Callable) -> Callable:
    """A copy of the function that keeps the present values of the constants outside it.

    Numba reads these only once. The same function with the same constants gives the same copy. A
    function without such constants is returned as it is.
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


def form_of(
    function: Callable, called: str, names: tuple[str, ...], *, flow: bool, period: float | None
) -> list[str]:
    """What to call a function with: names of coordinates, "state" for an array of them, "time".

    Raises ValueError for a time that would stay constant, or a parameter that is not a coordinate.
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


def arguments(form: Sequence[str], state: tuple[float, ...], period: float | None) -> list:
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
def of_numbers(
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


CANNOT = (
    "the function must be one that numba can compile, of arithmetic, math and numpy functions and "
    "if, got: {}; write it with numbers alone, such as def rates(x, y): return (y, -x)"
)


@lru_cache
def compiled(function: Callable[..., tuple], dim: int) -> tuple[Callable, Callable]:
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
