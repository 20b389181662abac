"""A reader's own system is tried out before anything is learnt from it."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from scipy.integrate import solve_ivp

from dynlib.dynamics.checks import check_count, check_number
from dynlib.dynamics.flows import Flow, TimeMap
from dynlib.dynamics.forms import CANNOT
from dynlib.dynamics.own import Driven, OwnFlow, OwnMap
from dynlib.dynamics.simulate import check_map, simulate

#: Runge-Kutta steps within one tau that :func:`prepared` tries, each against the next.
SUBSTEPS = (5, 10, 20, 40, 80, 160)


def prepared(system: Any, tau: float = 1.0, *, trial: int = 2000) -> Any:
    """The map that is to be simulated, tried out first.

    Parameters
    ----------
    system : object
        An `OwnFlow`, an `OwnMap` or a system of ``dynlib.dynamics.systems``.
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
    flow, own = isinstance(system, Flow), isinstance(system, (OwnFlow, OwnMap))
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
        raise ValueError(CANNOT.format(str(error).strip()[:300])) from error
    except ValueError:
        return None
    return states if np.abs(states).max() < 1e12 else None


def _why_unbounded(system: Any, step: Any, initial: np.ndarray, trial: int) -> str:
    """Why trajectories leave every bounded set, and what to change: scatter, tau or the start."""
    flow, own = isinstance(step, TimeMap), isinstance(system, (OwnFlow, OwnMap))
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
    """Which coordinates only rise, or only fall, along trajectories, without slowing down."""
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
    """Raise ValueError for a coordinate that rises or falls without end, as an angle may do.

    A trial that is a thousand times as long shows whether it has no end.
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
