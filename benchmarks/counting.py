"""n-grams counted: against a Counter of tuples, and against a sort of all keys at every order."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram


def lorenz_tokens(trajectories: int, length: int) -> tuple[np.ndarray, int]:
    """Tokens of Lorenz trajectories, 20 cells per axis, and the size of their vocabulary."""
    flow = Lorenz()
    start = flow.initial_states(trajectories, np.random.default_rng(0))
    states = simulate(TimeMap(flow, 0.03), start, length)
    grid = Grid.fit(states, 20)
    return grid.encode(states), grid.vocabulary


def tuples(tokens: np.ndarray, order: int) -> list[Counter]:
    """What follows each context of 0 to `order` tokens, in a dictionary an order."""
    rows = [row.tolist() for row in tokens]
    return [
        Counter(tuple(row[i : i + k + 1]) for row in rows for i in range(len(row) - k))
        for k in range(order + 1)
    ]


def sorted_keys(tokens: np.ndarray, order: int, vocabulary: int) -> list[np.ndarray]:
    """Contexts named by ``np.unique``: their tables, and counts of what follows."""
    flat, place = tokens.reshape(-1), np.tile(np.arange(tokens.shape[1]), len(tokens))
    at, before, tables = np.arange(flat.size), np.zeros(flat.size, dtype=np.int64), []
    for k in range(order + 1):
        if k:
            kept = place[at] >= k
            at, before = at[kept], before[kept]
            table, before = np.unique(before * vocabulary + flat[at - k], return_inverse=True)
            tables.append(table)
        tables += np.unique(before * vocabulary + flat[at], return_counts=True)
    return tables


def measured(path: str, order: int, vocabulary: int) -> tuple[float, float]:
    """Seconds that counting takes, and the memory that it needs beside the tokens, in gigabytes."""
    tokens = np.load(path)
    NGram(tokens[:2, :100], 2, vocabulary)  # compile
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    NGram(tokens, order, vocabulary)
    seconds = time.perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9


def counting(report: Callable, ratio: Callable) -> None:
    """Ratios at two sizes, then the printed training set of the flows, 33 million tokens."""
    tokens, vocabulary = lorenz_tokens(1000, 33_334)
    few, some = tokens[:9], tokens[:100]
    ours = NGram(few, 24, vocabulary)
    assert [len(level.successors) for level in ours._levels] == list(map(len, tuples(few, 24)))
    report(
        "n-grams, order 24, 3e5 tokens: counting sort / Counter of tuples",
        ratio(lambda: NGram(few, 24, vocabulary), lambda: tuples(few, 24)),
        "at least 20",
    )
    report(
        "n-grams, order 6, 3.3e6 tokens: counting sort / numpy.unique",
        ratio(lambda: NGram(some, 6, vocabulary), lambda: sorted_keys(some, 6, vocabulary)),
        "at least 3",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tokens.npy"
        np.save(path, tokens)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(measured, (path, 6, vocabulary))
    print(
        f"n-grams, order 6, 3.3e7 tokens: {seconds:.0f} s, {memory:.2f} GB  wanted: 60 s, 4 GB",
        flush=True,
    )
