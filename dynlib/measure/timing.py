"""How long a call takes, by the median of several timings on a machine that does other work too."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from dynlib.dynamics.checks import check_callable, check_count, check_is, check_number


def microseconds(
    call: Callable[[], object], *, repeats: int = 5, calls: int = 1, at_least: float = 0.0
) -> float:
    """Median time of a call, in microseconds, after one call that is not counted.

    Parameters
    ----------
    call : callable
        What is timed, without arguments.
    repeats, calls, at_least
        As for :func:`rounds`.

    Examples
    --------
    >>> 900 < microseconds(lambda: time.sleep(0.001)) < 100_000
    True
    """
    check_callable("call", call)
    found = rounds([call], repeats=repeats, calls=calls, at_least=at_least)
    return float(np.median(found))


def rounds(
    timed: Sequence[Callable[[], object]],
    *,
    repeats: int = 9,
    calls: int = 1,
    at_least: float = 0.0,
) -> np.ndarray:
    """Times of several calls side by side, in microseconds, shape (repeats, number of calls).

    In every round each has its turn, so that a machine that is slow for a while is slow for all:
    compare the calls round by round. One call of each before the rounds is not counted.

    Parameters
    ----------
    timed : sequence of callable
        What is timed, without arguments.
    repeats : int
        Rounds.
    calls : int
        Calls a timing.
    at_least : float
        Shortest time of one timing, in seconds: while it takes less, there are more calls in it.

    Examples
    --------
    >>> times = rounds([lambda: None, lambda: time.sleep(0.001)], repeats=3)
    >>> bool((times[:, 0] < times[:, 1]).all())
    True
    """
    check_is("timed", timed, Sequence, "a list of functions", "write [function, other]")
    for call in timed:
        check_callable("each of timed", call)
    check_count("repeats", repeats)
    check_count("calls", calls)
    check_number("at_least", at_least, least=0, most=3600)
    numbers = [calls] * len(timed)
    for call in timed:
        call()
    return np.array(
        [
            [_timed(call, numbers, i, float(at_least)) for i, call in enumerate(timed)]
            for _ in range(repeats)
        ]
    ).reshape(repeats, len(timed))


def _timed(call: Callable[[], object], numbers: list[int], i: int, at_least: float) -> float:
    """Microseconds of a call; the number of calls a timing grows until it is long enough."""
    while True:
        calls = numbers[i]
        start = time.perf_counter()
        for _ in range(calls):
            call()
        elapsed = max(time.perf_counter() - start, 1e-9)
        numbers[i] = max(calls, math.ceil(calls * min(10, 1.3 * at_least / elapsed)))
        if elapsed >= at_least:
            return 1e6 * elapsed / calls
