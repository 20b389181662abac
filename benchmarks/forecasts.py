"""Rollouts of SINDy and HAVOK: all starts at once, against their libraries, a start at a time."""

from __future__ import annotations

import warnings

import numpy as np
import pysindy

from benchmarks.compare import Bench, check_close
from benchmarks.data import settings
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.havok import Havok
from dynlib.identify.sindy import SparseField

DT = 0.01
DELAYS, RANK = 20, 15


def measure(bench: Bench) -> None:
    given = settings("lorenz_comparison")
    length = bench.size(given["record_steps"], 600)
    starts, steps = bench.size((given["n_starts"], given["horizon"]), (3, 12))
    part, one = bench.size((4, 1), (2, 1))
    system = TimeMap(Lorenz(beta=8 / 3), DT)
    first = Lorenz().initial_states(starts + 1, np.random.default_rng(0))
    paths = simulate(system, first, length, transient=2000)
    record, windows = paths[0], paths[1:, :DELAYS]

    def few(part: int) -> str:
        return f"timed: {part} of {starts} starts; the time is scaled"

    def check(ours: np.ndarray, theirs: np.ndarray) -> None:
        check_close(ours[: len(theirs)], theirs, 1e-4)

    model = pysindy.SINDy(
        pysindy.STLSQ(threshold=0.1), pysindy.PolynomialLibrary(degree=2),
        pysindy.FiniteDifference(order=6),
    ).fit(record, t=DT)  # fmt: skip
    field = SparseField(np.array(model.coefficients(), dtype=np.float64), DT)
    times = DT * np.arange(steps + 1)
    bench.compare(
        f"SINDy, {starts} starts, {steps} steps", "pysindy's simulate, a start at a time",
        lambda: field.rollout(windows, steps),
        lambda: np.stack([model.simulate(w[-1], times)[1:] for w in windows[:one]]),
        check, aim=10.0, times=starts / one, seconds=12,
        note=f"pysindy integrates with LSODA at a tolerance of 1e-12, its default; {few(one)}",
    )  # fmt: skip

    bench.compare(
        f"SINDy, 1 start, {steps} steps", "pysindy's simulate",
        lambda: field.rollout(windows[:1], steps),
        lambda: model.simulate(windows[0, -1], times)[None, 1:],
        check, seconds=6, note="the same, without the gain from all starts at once",
    )  # fmt: skip

    havok = Havok.fit(record, DT, DELAYS, RANK)
    encoded = havok.encode(windows)[:, :-1]

    def predict() -> np.ndarray:
        """What pydmd predicts without forcing: the state at every step, from a start each."""
        forcing = np.zeros((steps + 1, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [havok.model.predict(forcing, times, start).T for start in encoded[:part]]
        return np.stack(found)  # (part, delays - 1 + steps + 1, 3)

    def check_last(ours: np.ndarray, theirs: np.ndarray) -> None:
        check_close(ours[:part, -1], theirs[:, -1], 1e-6)

    bench.compare(
        f"HAVOK, {starts} starts, {steps} steps", "pydmd's predict, a start at a time",
        lambda: havok.rollout(windows, steps), predict, check_last,
        aim=10.0, times=starts / part, seconds=4,
        note="pydmd averages the states of overlapping windows, ours takes the newest; compared is "
        f"the last, which is in one window; {few(part)}",
    )  # fmt: skip
