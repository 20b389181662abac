"""Trajectories: many at once, against scipy's integrators one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numba
import numpy as np
from scipy.integrate import odeint, solve_ivp

from benchmarks.compare import Bench, Different, Side, check_close, close
from benchmarks.data import TAU, lorenz
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz

#: The error of a step of length tau that all may make, in units of the state.
ERROR = 1e-5
#: States of two trajectories in which that is checked.
CHECKED = 50

LOOP = "scipy's loop over time is compiled; its right-hand side is a Python function"


def by_odeint(
    starts: np.ndarray, length: int, tolerance: float, *, jit: bool = False
) -> np.ndarray:
    """Trajectories one after the other by LSODA."""
    equations, times = Lorenz().equations(), TAU * np.arange(length)
    if jit:
        equations = compiled(equations)
        return np.stack(
            [odeint(equations, x, times, rtol=tolerance, atol=tolerance) for x in starts]
        )
    return np.stack(
        [
            odeint(lambda x, _: equations(*x), x, times, rtol=tolerance, atol=tolerance)
            for x in starts
        ]
    )


COMPILED: list[Callable] = []  # once


def compiled(equations: Callable) -> Callable:
    """A right-hand side that numba has compiled, as odeint calls it."""
    if not COMPILED:
        inner = numba.njit(equations)
        COMPILED.append(numba.njit(lambda x, t: np.array(inner(x[0], x[1], x[2]))))
    return COMPILED[0]


def by_solve_ivp(starts: np.ndarray, length: int, tolerance: float) -> np.ndarray:
    """Trajectories one after the other by scipy's default, Dormand and Prince's method."""
    equations, times = Lorenz().equations(), TAU * np.arange(length)
    return np.stack(
        [
            solve_ivp(
                lambda _, x: equations(*x), times[[0, -1]], x, t_eval=times,
                rtol=tolerance, atol=tolerance,
            ).y.T
            for x in starts
        ]
    )  # fmt: skip


def step_error(path: np.ndarray) -> float:
    """The largest error of a step along trajectories (n, T, 3), by odeint at full accuracy."""
    equations, worst = Lorenz().equations(), 0.0
    for row in path:
        for before, after in itertools.pairwise(row):
            true = odeint(
                lambda x, _: equations(*x), before, [0, TAU], rtol=1e-12, atol=1e-12
            )  # fmt: skip
            worst = max(worst, float(np.abs(true[1] - after).max()))
    return worst


def tolerance_for(
    method: Callable[[np.ndarray, int, float], np.ndarray], starts: np.ndarray, steps: int
) -> float:
    """The largest tolerance at which a method errs by less than ERROR in every step."""
    for tolerance in (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8):
        if step_error(method(starts, steps, tolerance)) < ERROR:
            return tolerance
    raise Different(f"no tolerance keeps the error of a step below {ERROR}")


def check_paths(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Both follow the equations; they agree until chaos has made the errors of steps large."""
    for path in (ours[:2, :CHECKED], theirs[:2, :CHECKED]):
        if (error := step_error(path)) >= ERROR:
            raise Different(f"a step errs by {error:.1e}; {ERROR:.0e} is wanted")
    check_close(ours[: len(theirs), :20], theirs[:, :20], 1e-3)


def measure(bench: Bench) -> None:
    n, length = bench.size((1000, 10_000), (5, 20))
    starts = np.ascontiguousarray(lorenz(n, 1)[:, 0])
    system = TimeMap(Lorenz(), TAU)
    what = f"Lorenz, {n} trajectories of {length} states"
    for against, method, part, note, aim in (
        ("scipy's odeint", by_odeint, bench.size(4, 2), LOOP, 100.0),
        ("scipy's solve_ivp", by_solve_ivp, 1, "its loop over time is Python", 100.0),
        (
            "scipy's odeint, compiled right-hand side",
            lambda *given: by_odeint(*given, jit=True),
            bench.size(4, 2),
            "nothing of it but the call is Python: the fair twin",
            None,
        ),
    ):
        tolerance = tolerance_for(method, starts[:2], min(CHECKED, length))
        bench.compare(
            what, against,
            lambda: simulate(system, starts, length),
            lambda f=method, k=part, tolerance=tolerance: f(starts[:k], length, tolerance),
            check_paths,
            aim=aim, times=n / part, seconds=6,
            note=f"{note}; tolerance {tolerance:.0e}, the largest that errs by less than "
            f"{ERROR:.0e} a step, as ours does; timed: {part} of {n}; the time is scaled",
        )  # fmt: skip
    tolerance = tolerance_for(by_odeint, starts[:2], min(CHECKED, length))
    steps = bench.size(1000, 20)
    bench.curve(
        "Lorenz trajectories", f"trajectories of {steps} states",
        bench.size([1, 3, 10, 30, 100, 300, 1000], [1, 2, 3]),
        [
            Side("at once", lambda k: lambda: simulate(system, starts[:k], steps), "n", float),
            Side(
                "odeint", lambda k: lambda: by_odeint(starts[:k], steps, tolerance), "n", float,
                largest=bench.size(30, 3),
            ),
        ],
        lambda ours, theirs: check_close(ours[:, :20], theirs[:, :20], 1e-3),
        fitted_from=bench.size(3, 1),
    )  # fmt: skip
    henon(bench)


def henon(bench: Bench) -> None:
    """A map has no compiled loop: NumPy on all orbits, and on one at a time."""
    system, n, length = Henon(), bench.size(100, 4), bench.size(500, 10)
    initial = system.initial_states(n, np.random.default_rng(0))

    def loop() -> np.ndarray:
        orbits = np.empty((n, length, 2))
        for state, orbit in zip(initial, orbits, strict=True):
            for k in range(length):
                orbit[k] = state
                state = system.step(state)
        return orbits

    bench.compare(
        f"Hénon, {n} orbits of {length} states", "the same step, an orbit at a time",
        lambda: simulate(system, initial, length), loop, close(1e-12), seconds=3,
    )  # fmt: skip
