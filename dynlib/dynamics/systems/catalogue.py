"""Systems by name: the flows of the package dysts, where it is installed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError

from dynlib.dynamics.checks import check_count
from dynlib.dynamics.own import OwnFlow


def from_dysts(name: str, *, per_period: int = 40) -> tuple[OwnFlow, float]:
    """One of the flows of the package dysts, by its name, and a fitting tau.

    Parameters
    ----------
    name : str
        Name of a class in ``dysts.flows``, such as ``"Thomas"``.
    per_period : int
        States in one period of the system's slowest important frequency, as dysts lists it.

    Returns
    -------
    flow : OwnFlow
        The equations of dysts at its parameters, started at its initial state.
    tau : float
        Time between two states.

    Raises
    ------
    ImportError
        If dysts is not installed.
    ValueError
        For an unknown name, or a system that is not a flow of numbers: with a delay, an angle that
        grows without bound, or a right-hand side or parameters that are arrays. One that is driven
        by a phase is taken as a driven flow.

    References
    ----------
    Gilpin (2021), Chaos as an interpretable benchmark for forecasting and data-driven modelling,
    NeurIPS Datasets and Benchmarks; https://github.com/williamgilpin/dysts.
    """
    check_count("per_period", per_period)
    if not isinstance(name, str):
        raise TypeError(
            f"name must be a text, got {name!r}; give that of a class in dysts.flows, as 'Thomas'"
        )
    classes = _classes()
    if name not in classes:
        near = get_close_matches(name, classes, n=3, cutoff=0.4)
        some = f"it has {len(classes)}, such as {', '.join(list(classes)[:5])}"
        hint = f"did you mean {', '.join(near)}?" if near else some
        raise ValueError(f"name must be that of a flow of dysts, got {name!r}; {hint}")
    adapted = _adapted(classes[name])
    if isinstance(adapted, str):
        raise ValueError(
            f"a flow of dysts must be one of numbers, got {name}: {adapted}; choose another, or "
            "write an autonomous form of it in the cell 'Your ten lines'"
        )
    return adapted, float(classes[name]().period) / per_period


def refused() -> dict[str, list[str]]:
    """The flows of dysts that cannot be used here, by the reason."""
    found: dict[str, list[str]] = {}
    for name, each in _classes().items():
        adapted = _adapted(each)
        if isinstance(adapted, str):
            found.setdefault(adapted, []).append(name)
    return found


def _classes() -> dict[str, Any]:
    """The flows of dysts by name."""
    try:  # by name: an option, which neither the lock nor a stamp knows
        flows = importlib.import_module("dysts.flows")
    except ImportError:
        raise ImportError(
            "dysts is not installed; say `make setup EXTRA=dysts`, or write the equations in the "
            "cell 'Your ten lines' and take system=own"
        ) from None
    return {
        key: each
        for key, each in vars(flows).items()
        if inspect.isclass(each) and each.__module__ == flows.__name__
    }


def _adapted(kind: Any) -> OwnFlow | str:
    """A flow of dysts as one of our own, or why it cannot be one."""
    system, rates = kind(), getattr(kind, "_rhs", None)
    plain = getattr(rates, "py_func", rates)
    if hasattr(system, "delayed_rhs") or getattr(system, "delay", False):
        return "it has a delay"
    if plain is None or any("rhs" in vars(each) for each in _until(kind, "_rhs")):
        return "its right-hand side is written for arrays"
    values, start = [np.asarray(v) for v in system.param_list], np.ravel(system.ic).tolist()
    if any(value.ndim for value in values):
        return "its parameters are arrays"
    point, tail = numba.njit(plain), (0.0, *(value.item() for value in values))
    try:
        point(*start, *tail)
    except NumbaError:
        return "numba cannot compile it"
    rate = _drive(plain, start, tail)
    angles = set(getattr(system, "unbounded_indices", ())) - ({len(start) - 1} if rate else set())
    if angles:
        return "it has an angle that grows without bound and does not turn evenly"
    if plain(*start, *tail) != plain(*start, 1.2345, *tail[1:]):
        return "it depends on the time otherwise than through one phase"
    names = tuple(inspect.signature(plain).parameters)[: len(start)]
    scatter = 1e-3 * float(np.abs(start).max() or 1.0)
    if rate:
        return _driven(point, kind.__name__, names[:-1], start[:-1], rate, tail, scatter)

    def field(*state):
        return point(*(state + tail))

    field.__name__ = kind.__name__
    return OwnFlow(field, names, tuple(start), scatter=scatter)


def _until(kind: type, name: str) -> list[type]:
    """A class and its bases up to the first that has an attribute of its own."""
    order = inspect.getmro(kind)
    return list(order[: next(i for i, each in enumerate(order) if name in vars(each)) + 1])


def _drive(plain: Callable, start: list[float], tail: tuple[float, ...]) -> float | None:
    """The rate of the last coordinate, if it is a phase: it turns evenly, the rest is periodic."""
    states = np.array(start) * np.array([[1.0], [1.01], [0.97]])
    states[:, -1] = 0.3, 1.7, 4.4
    now = np.array([plain(*state, *tail) for state in states], dtype=np.float64)
    states[:, -1] += 2 * np.pi
    later = np.array([plain(*state, *tail) for state in states], dtype=np.float64)
    rate = float(now[0, -1])
    even = rate > 0 and (now[:, -1] == rate).all() and np.isfinite(now).all()
    return rate if even and np.allclose(now, later, rtol=1e-9, atol=1e-12) else None


def _driven(
    point: Callable,
    called: str,
    names: tuple[str, ...],
    start: list[float],
    rate: float,
    tail: tuple[float, ...],
    scatter: float,
) -> OwnFlow:
    """The flow of the other coordinates, driven by a phase that turns at a rate."""
    space: dict[str, Any] = {"point": point, "rate": rate, "tail": tail}
    given = ", ".join(names)
    exec(f"def field({given}, t):\n    return point(*(({given}, rate * t) + tail))[:-1]", space)
    space["field"].__name__ = called
    period = 2 * np.pi / rate
    return OwnFlow(space["field"], names, tuple(start), scatter=scatter, period=period)
