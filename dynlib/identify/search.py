"""A search for the settings of a forecaster, on data that the comparison does not use."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynlib.dynamics.checks import check_array, check_callable, check_count, check_is, check_number
from dynlib.measure.forecaster import Forecaster
from dynlib.measure.rollout import valid_time

#: Number of places in the rest of a record from which each option forecasts.
PROBES = 8


def grid(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations of some choices; the last choice varies fastest.

    Examples
    --------
    >>> grid(delays=(10, 20), rank=(4,))
    [{'delays': 10, 'rank': 4}, {'delays': 20, 'rank': 4}]
    """
    for name, each in choices.items():
        _check_some(name, each)
    return [dict(zip(choices, each, strict=True)) for each in itertools.product(*choices.values())]


def search(
    fit: Callable[..., Forecaster],
    options: Sequence[dict[str, Any]],
    record: np.ndarray,
    *,
    split: int,
    window: int,
    horizon: int,
    spread: float,
    dt: float,
    exponent: float,
) -> tuple[dict[str, Any], list[float]]:
    """Fit a model with every option on the first part of a record, and forecast in the rest.

    Parameters
    ----------
    fit : callable
        Fits a model to a trajectory (T, dim), with an option as keyword arguments.
    options : sequence of dict
        The settings that are tried: from :func:`grid`.
    record : numpy.ndarray
        One trajectory, shape (T, dim).
    split : int
        Number of states in the first part.
    window, horizon : int
        States that a forecast may use, and steps that it takes.
    spread, dt, exponent : float
        As for :func:`dynlib.measure.rollout.valid_time`.

    Returns
    -------
    best : dict
        The option with the longest mean valid time, the first of equal ones.
    scores : list of float
        The mean valid time of each option.

    Raises
    ------
    ValueError
        If there are no options, or a part of the record is too short.
    """
    check_callable("fit", fit)
    _check_some("options", options)
    for each in options:
        check_is("each of options", each, dict, "a dictionary of settings", "grid(...) makes them")
    check_array("record", record, ("T", "dim"), scale=True)
    check_count("horizon", horizon, most=len(record) - 2, remedy="take a longer record")
    check_count("window", window, most=len(record) - horizon - 1, remedy="take a longer record")
    remedy = "a window must fit in the first part, and the horizon in the rest"
    check_count("split", split, least=window, most=len(record) - horizon - 1, remedy=remedy)
    for name, value in (("spread", spread), ("dt", dt), ("exponent", exponent)):
        check_number(name, value, above=0)
    record = np.asarray(record, dtype=np.float64)
    early, rest = record[:split], record[split:]
    probes = np.linspace(0, len(rest) - horizon - 1, PROBES).astype(int)
    windows = np.stack([record[split + i - window : split + i] for i in probes])
    truth = np.stack([rest[i : i + horizon] for i in probes])
    scores = []
    for each in options:
        forecast = fit(early, **each).rollout(windows, horizon)
        scores.append(valid_time(forecast, truth, spread, dt, exponent)[0].mean())
    return options[int(np.argmax(scores))], scores


def _check_some(name: str, values: Any) -> None:
    check_is(name, values, (list, tuple, range), "a list of one or more", f"one is {name}=[...]")
    if not values:
        raise ValueError(f"{name} must be a list of one or more, got {values!r}; add one")
