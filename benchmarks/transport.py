"""Exact Wasserstein distances, against scipy's linear programme and POT on all cells."""

from __future__ import annotations

import math

import numpy as np
import ot
from scipy.stats import wasserstein_distance_nd

from benchmarks.compare import Bench, Side, close
from benchmarks.data import lorenz
from dynlib.measure.transport import token_distance, wasserstein
from dynlib.tokens.grid import Grid

#: Cells of the Lorenz attractor, 50 an axis.
CELLS = 50


def sides(n: int, states: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of two samples that visit n cells, and the centres of these cells.

    The cells are the first n that are visited. What is drawn is the same for every n.
    """
    tokens = grid.encode(states).reshape(-1)
    kept = np.sort(tokens[np.sort(np.unique(tokens, return_index=True)[1])][:n])
    inside = tokens[np.isin(tokens, kept)]
    a, b = np.array_split(np.searchsorted(kept, inside), 2)
    return a, b, grid.centres[kept]


def by_pot(a: np.ndarray, b: np.ndarray, centres: np.ndarray) -> float:
    """POT's network simplex on all cells, as its manual has it."""
    weights = [np.bincount(t, minlength=len(centres)) / t.size for t in (a, b)]
    costs = ot.dist(centres, centres, metric="euclidean")
    return float(ot.emd2(*weights, costs, numItermax=100_000_000))


def by_scipy(a: np.ndarray, b: np.ndarray, centres: np.ndarray) -> float:
    """scipy's linear programme."""
    (u, some), (v, more) = (np.unique(t, return_counts=True) for t in (a, b))
    return float(wasserstein_distance_nd(centres[u], centres[v], some, more))


def measure(bench: Bench) -> None:
    states = lorenz(bench.size(200, 20), bench.size(1000, 100))
    grid = Grid.fit(states, bench.size(CELLS, 8))

    n = bench.size(100, 12)
    small = sides(n, states, grid)
    bench.compare(
        f"W1, {n} cells a side", "scipy's wasserstein_distance_nd",
        lambda: token_distance(*small), lambda: by_scipy(*small), close(1e-9),
        aim=20.0, seconds=8, note="a size that the linear programme does in seconds",
    )  # fmt: skip
    n = bench.size(4000, 60)
    large = sides(n, states, grid)
    bench.compare(
        f"W1, {n} cells a side", "POT's emd2 on all cells",
        lambda: token_distance(*large), lambda: by_pot(*large), close(1e-9), seconds=12,
        note="ours calls the same network simplex, on what the two samples do not have in common",
    )  # fmt: skip

    n = bench.size(350, 20)
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), np.full(n, 1 / n)
    costs = ot.dist(a, b, metric="euclidean")
    bench.compare(
        f"W1, {n} points a side", "POT's Sinkhorn at 1 % of the mean cost",
        lambda: wasserstein(a, w, b, w),
        lambda: ot.sinkhorn2(w, w, costs, 0.01 * costs.mean(), numItermax=10_000),
        close(0.1), seconds=4, note="Sinkhorn's result is an approximation",
    )  # fmt: skip

    few, tokens = bench.size(40, 4), None
    tokens = grid.encode(states[:few].reshape(2, -1, 3))
    weights = [np.bincount(t, minlength=grid.vocabulary) for t in tokens]
    bench.compare(
        f"W1 of {tokens[0].size} states a side", "the same with what both have in common",
        lambda: token_distance(*tokens, grid.centres),
        lambda: wasserstein(grid.centres, weights[0], grid.centres, weights[1]),
        close(1e-9), seconds=6,
    )  # fmt: skip

    kept = {
        k: sides(k, states, grid) for k in bench.size([125, 250, 500, 1000, 2000], [10, 20, 40])
    }
    bench.curve(
        "exact W1", "cells a side", list(kept),
        [
            Side(
                "without what both have", lambda k: lambda: token_distance(*kept[k]),
                "n³ log n at worst", lambda k: k**3 * math.log(k),
            ),
            Side(
                "POT on all cells", lambda k: lambda: by_pot(*kept[k]),
                "n³ log n at worst", lambda k: k**3 * math.log(k),
            ),
        ],
        close(1e-9), seconds=2,
    )  # fmt: skip
