"""Systems by name: the flows of the package dysts, where it is installed."""

from __future__ import annotations

import importlib
import inspect
from difflib import get_close_matches
from typing import Any

import numba
import numpy as np

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
        For an unknown name, or a system that is no autonomous flow of numbers: with a delay, a
        drive or an unbounded angle, or with arrays as parameters.

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
    try:  # by name: an option, which neither the lock nor a stamp knows
        flows = importlib.import_module("dysts.flows")
    except ImportError:
        raise ImportError(
            "dysts is not installed; say `pip install dysts`, or write the equations in the cell "
            "'Your ten lines' and take system=own"
        ) from None
    classes: dict[str, Any] = {
        key: each
        for key, each in vars(flows).items()
        if inspect.isclass(each) and each.__module__ == flows.__name__
    }
    if name not in classes:
        near = get_close_matches(name, classes, n=3, cutoff=0.4)
        some = f"it has {len(classes)}, such as {', '.join(list(classes)[:5])}"
        hint = f"did you mean {', '.join(near)}?" if near else some
        raise ValueError(f"name must be that of a flow of dysts, got {name!r}; {hint}")
    system = classes[name]()
    rates = vars(classes[name]).get("_rhs")
    rates = rates.__func__ if isinstance(rates, staticmethod) else rates
    plain = getattr(rates, "py_func", rates)
    values = [np.asarray(value) for value in system.param_list]
    if rates is None:
        why = "it has no plain right-hand side"
    elif not hasattr(system, "period") or hasattr(system, "delayed_rhs"):
        why = "it has a delay"
    elif any(value.ndim for value in values):
        why = "its parameters are arrays"
    elif (
        getattr(system, "nonautonomous", False)
        or len(getattr(system, "unbounded_indices", ()))
        or plain(*system.ic, 0.0, *values) != plain(*system.ic, 1.2345, *values)
    ):
        why = "it depends on time or on an unbounded angle"
    else:
        why = ""
    if why:
        raise ValueError(
            f"dysts' {name} cannot be used here: {why}; choose another, or write an autonomous "
            "form of it in the cell 'Your ten lines'"
        )
    point, tail = numba.njit(plain), (0.0, *(value.item() for value in values))

    def field(*state):
        return point(*(state + tail))

    field.__name__ = name
    names = tuple(inspect.signature(plain).parameters)[: system.dimension]
    start = tuple(np.ravel(system.ic)[: system.dimension])
    flow = OwnFlow(field, names, start, scatter=1e-3 * float(np.abs(start).max() or 1.0))
    return flow, float(system.period) / per_period
