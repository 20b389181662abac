"""Independent jobs of one run (seeds, decodings) in worker processes of one thread each.

On a CPU two single-threaded processes beat one with two threads; on a GPU one process is
right. How many there are changes no result: every job gets its own seed and one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def set_threads(n: int = 1) -> None:
    """Give torch `n` threads in this process (torch is imported only here)."""
    import torch

    torch.set_num_threads(n)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _start(parent: int) -> None:
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    set_threads(1)


def default_workers(device: str = "cpu") -> int:
    """Processes to use: one for a GPU; else ``$DYNLIB_WORKERS``, else as many as there are cores.

    Raises
    ------
    ValueError
        If ``$DYNLIB_WORKERS`` is not a positive whole number.
    """
    given = os.environ.get("DYNLIB_WORKERS", str(os.cpu_count() or 1))
    if not given.isdigit() or int(given) < 1:
        raise ValueError(f"DYNLIB_WORKERS must be a positive whole number, got {given!r}")
    return 1 if device == "cuda" else int(given)


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return function(**arguments)


def map_processes(
    function: Callable[..., Any], jobs: Sequence[dict[str, Any]], workers: int = 1
) -> list[Any]:
    """Call a function once a job, in `workers` processes; results in the order of the jobs.

    Parameters
    ----------
    function : callable
        Importable from a module (not defined in a notebook).
    jobs : sequence of dict
        Keyword arguments of each call, picklable, as must be what the function returns.
    workers : int
        Number of processes, at least 1; with 1 the jobs run in this process, whose torch is
        set to one thread.

    Raises
    ------
    ValueError
        If `workers` is smaller than 1.

    Examples
    --------
    >>> map_processes(complex, [{"real": 1.0}, {"imag": 2.0}])
    [(1+0j), 2j]
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers == 1 or len(jobs) < 2:
        set_threads(1)
        return [function(**job) for job in jobs]
    context = multiprocessing.get_context("spawn")  # fork would copy torch's locks
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start, initargs=(os.getpid(),)
    ) as pool:
        return list(pool.map(_call, [function] * len(jobs), jobs))
