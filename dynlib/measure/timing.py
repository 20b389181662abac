"""How long a call takes, by the median of several timings on a machine that does other work too."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from dynlib.dynamics.checks import check_callable, check_count, check_number


def microseconds(
    call: Callable[[], object], *, repeats: int = 5, calls: int = 1, at_least: float = 0.0
) -> float:
    """Median time of a call, in microseconds, after one call that is not counted.

    Parameters
    ----------
    call : callable
        What is timed, without arguments.
    repeats : int
        Timings of which the median counts.
    calls : int
        Calls a timing.
    at_least : float
        Shortest time of one timing, in seconds: while it takes less, there are more calls in it.

    Examples
    --------
    >>> 900 < microseconds(lambda: time.sleep(0.001)) < 100_000
    True
    """
    check_callable("call", call)
    check_count("repeats", repeats)
    check_count("calls", calls)
    check_number("at_least", at_least, least=0, most=3600)
    at_least = float(at_least)
    call()
    found: list[float] = []
    while len(found) < repeats:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        elapsed = max(time.perf_counter() - start, 1e-9)
        found += [elapsed / calls] * (elapsed >= at_least)
        calls = max(calls, math.ceil(calls * min(10, 1.3 * at_least / elapsed)))
    return 1e6 * float(np.median(found))
