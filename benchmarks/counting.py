"""n-grams counted: against a Counter of tuples, and against a sort of all keys at every order."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections import Counter

import numpy as np

from benchmarks.compare import Bench, Different, Side, seconds_of
from benchmarks.data import lorenz_tokens
from dynlib.tokens.markov import NGram


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


def check_tuples(ours: NGram, theirs: list[Counter]) -> None:
    """As many different n-grams of every order, and the same counts."""
    for level, counted in zip(ours._levels, theirs, strict=True):
        counts = np.diff(level.cumulative)
        if sorted(counts.tolist()) != sorted(counted.values()):
            raise Different("the counts of n-grams are others")


def check_sorted(ours: NGram, theirs: list[np.ndarray]) -> None:
    """The same, where the counts are every third table."""
    for level, counts in zip(ours._levels, theirs[1::3], strict=True):
        if not np.array_equal(np.sort(np.diff(level.cumulative)), np.sort(counts)):
            raise Different("the counts of n-grams are others")


def measured(path: str, order: int, vocabulary: int) -> tuple[float, float]:
    """Seconds that counting takes, and the memory that it needs beside the tokens, in gigabytes."""
    tokens = np.load(path)
    NGram(tokens[:2, :100], 2, vocabulary)  # compile
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    NGram(tokens, order, vocabulary)
    seconds = time.perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9


def memory(n: int) -> str:
    """What a token costs at each order, for the reading of memory alone."""
    rng = np.random.default_rng(0)
    table, places = np.zeros(n, np.int32), rng.integers(0, n, n).astype(np.int32)
    read = seconds_of(lambda: table[places]) / n * 1e9
    return (
        "at each order a token is read and written several times at places that are not in "
        f"turn; NumPy takes {read:.1f} ns for one such read in tables of this size"
    )


def measure(bench: Bench) -> None:
    length = bench.size(33_334, 300)
    tokens, grid = lorenz_tokens(bench.size(100, 6), length, bench.size(20, 5))
    vocabulary, (long, order) = grid.vocabulary, bench.size((24, 6), (5, 3))
    few, some = tokens[: bench.size(1, 2)], tokens[: bench.size(9, 3)]
    many = tokens[: bench.size(90, 6)]

    bench.compare(
        f"n-grams, order {long}, {many.size} tokens", "collections.Counter of tuples",
        lambda: NGram(many, long, vocabulary),
        lambda: tuples(few, long),
        lambda _, theirs: check_tuples(NGram(few, long, vocabulary), theirs),
        aim=20.0, times=many.size / few.size, seconds=12, limit=memory(many.size),
        note=f"timed for the Counter: {few.size} tokens; the time is scaled, as the cost is linear",
    )  # fmt: skip
    bench.compare(
        f"n-grams, order {long}, {some.size} tokens", "np.unique at every order",
        lambda: NGram(some, long, vocabulary),
        lambda: sorted_keys(some, long, vocabulary), check_sorted, seconds=6,
    )  # fmt: skip
    bench.compare(
        f"n-grams, order {order}, {tokens.size} tokens",
        "np.unique at every order",
        lambda: NGram(tokens, order, vocabulary),
        lambda: sorted_keys(tokens, order, vocabulary), check_sorted,
        aim=3.0, seconds=10,
    )  # fmt: skip
    bench.curve(
        f"n-grams, order {order}", "tokens",
        [each * length for each in bench.size([1, 3, 9, 30, 90], [1, 2, 3])],
        [
            Side(
                "counting sort", lambda n: lambda: NGram(tokens[: n // length], order, vocabulary),
                "n", float,
            ),
            Side(
                "Counter", lambda n: lambda: tuples(tokens[: n // length], order), "n", float,
                largest=9 * length,
            ),
        ],
        check_tuples,
    )  # fmt: skip
    if bench.long:
        printed(bench)


def printed(bench: Bench) -> None:
    """The printed training set of the flows, 33 million tokens, in a process of its own."""
    n, order = bench.size(1000, 4), bench.size(6, 3)
    tokens, grid = lorenz_tokens(n, bench.size(33_334, 300), bench.size(20, 5))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tokens.npy"
        np.save(path, tokens)
        given = (path, order, grid.vocabulary)
        if bench.tiny:
            seconds, memory = measured(*given)
        else:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, memory = pool.apply(measured, given)
    start = time.perf_counter()
    theirs = sorted_keys(tokens, order, grid.vocabulary)
    peer = time.perf_counter() - start
    check_sorted(NGram(tokens, order, grid.vocabulary), theirs)
    what = f"n-grams, order {order}, {tokens.size} tokens"
    note = f"timed once; ours needs {memory:.2f} GB beside the tokens"
    bench.add(what, "np.unique at every order", np.array([[seconds, peer]]), aim=3.0, note=note)
    bench.add(what, "60 s", np.array([[seconds, 60.0]]), aim=1.0, note=note)
