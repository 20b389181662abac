"""True orbits that begin with a prompt: compiled rejection, against NumPy, a prompt at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.compare import Bench, Different
from benchmarks.data import TAU, lorenz, settings
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.tokens.grid import Grid
from dynlib.tokens.shadowing import Shadows, find_shadows

EXPONENT = 0.9  # of the flow, which fixes the size of the clouds


def by_numpy(
    system: TimeMap, grid: Grid, start: np.ndarray, k: int, *, samples: int, seed: int
) -> np.ndarray:
    """The algorithm as printed, on a whole cloud at once: orbits are dropped at a wrong cell."""
    rng, wanted = np.random.default_rng(seed), 20
    h, velocity = system.tau / system.substeps, system.flow.velocity

    def following(x: np.ndarray) -> np.ndarray:
        for _ in range(system.substeps):
            k1 = velocity(x)
            k2 = velocity(x + h / 2 * k1)
            k3 = velocity(x + h / 2 * k2)
            k4 = velocity(x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x

    def cells_of(x: np.ndarray) -> np.ndarray:
        return np.clip(np.floor((x - grid.low) / grid.cell_size), 0, grid.n_cells - 1)

    own = start[None]
    cells = []
    for _ in range(k):
        cells.append(cells_of(own)[0])
        own = following(own)
    spread = grid.half_diagonal * np.exp(-EXPONENT * k * system.tau)
    found = [start[None]]
    for cloud in range(11):
        initial = start + spread * 0.7**cloud * rng.standard_normal((samples, grid.dim))
        states, left = initial, np.arange(samples)
        for cell in cells:
            right = (cells_of(states) == cell).all(axis=1)
            states, left = states[right], left[right]
            if not len(left):
                break
            states = following(states)
        found.append(initial[left])
        if sum(map(len, found)) > wanted:
            break
    return np.concatenate(found)


def check_found(ours: list[Shadows], theirs: list[np.ndarray]) -> None:
    """The same orbits, but for those that rounding takes over the edge of a cell."""
    for mine, other in zip(ours, theirs, strict=False):
        both = {tuple(x) for x in mine.initial.tolist()} & {tuple(x) for x in other.tolist()}
        most = max(len(mine.initial), len(other))
        if len(both) < 0.99 * most - 1:
            raise Different(f"{len(both)} of {most} orbits are found by both")


def measure(bench: Bench) -> None:
    given = settings("lorenz_tokens_20")
    conditions = bench.size(15, 3)
    samples, k = bench.size(given["shadow_samples"], 500), bench.size(given["prompt"], 10)
    part = bench.size(3, 2)
    states = lorenz(conditions, 200)
    grid, system = Grid.fit(states, given["n_cells"]), TimeMap(Lorenz(), TAU)
    starts = states[:, 0]

    def ours() -> list[Shadows]:
        return [
            find_shadows(system, grid, start, k, EXPONENT, samples=samples, seed=c)
            for c, start in enumerate(starts)
        ]

    def peer() -> list[np.ndarray]:
        return [
            by_numpy(system, grid, start, k, samples=samples, seed=c)
            for c, start in enumerate(starts[:part])
        ]

    what = f"shadowing, {conditions} prompts of {k} tokens, {samples} states a cloud"
    bench.compare(
        what, "NumPy on a cloud", ours, peer, check_found,
        aim=10.0, times=conditions / part, seconds=12, limit=drawing(ours, samples),
        note=f"timed for the peer: {part} of {conditions} prompts; the time is scaled. Both take "
        f"one prompt after the other, of which a run has {given['conditions']}",
    )  # fmt: skip


def drawing(ours: Callable[[], list[Shadows]], samples: int) -> str:
    """What our time is spent on: draws of the clouds, which both sides need, and orbits."""
    start = time.perf_counter()
    clouds = sum(each.clouds for each in ours())
    whole, start = time.perf_counter() - start, time.perf_counter()
    np.random.default_rng(0).standard_normal((samples, 3))
    share = clouds * (time.perf_counter() - start) / whole
    return (
        f"{share:.0%} of our time is NumPy drawing normal numbers, which the peer draws too; the "
        "rest are orbits one by one, by scalar arithmetic, where NumPy's loops compute several at "
        "once"
    )
