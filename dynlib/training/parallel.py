"""Independent jobs of one run (seeds, decodings) in worker processes of one thread each.

On a CPU two single-threaded processes beat one with two threads; on a GPU one process is
right. How many there are changes no result: every job gets its own seed and one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import reprlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

#: Where control groups are mounted, and which of them this process is in.
CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def set_threads(n: int = 1) -> None:
    """Give torch `n` threads in this process (torch is imported only here)."""
    import torch

    from dynlib.dynamics.checks import check_count

    check_count("n", n, most=2**15)
    torch.set_num_threads(n)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _start(parent: int) -> None:
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    set_threads(1)


def _quota() -> float:
    """CPUs that the control groups of this process allow, infinity where they set no limit."""
    limits = [float("inf")]
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return limits[0]
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = CGROUPS / controllers
        # A limit may stand at any level. Inside a container the path may not exist; its root does.
        for folder in (mount / own.lstrip("/"), *(mount / own.lstrip("/")).parents):
            if not folder.is_relative_to(mount):
                break
            try:
                if controllers:  # version 1
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    quota, period = ((folder / name).read_text(encoding="utf-8") for name in names)
                else:
                    quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
                if quota != "max" and int(quota) > 0:
                    limits.append(int(quota) / int(period))
            except (OSError, ValueError):
                continue
    return min(limits)


def usable_cores() -> int:
    """Cores that this process may use, at least 1; a machine may have more.

    The smallest of what its affinity (``taskset``), its control groups (containers) and its SLURM
    job (``$SLURM_CPUS_PER_TASK``, ``$SLURM_CPUS_ON_NODE``) allow.
    """
    limits = [float(len(os.sched_getaffinity(0))), _quota()]
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        given = os.environ.get(name, "")
        if given.isascii() and given.isdigit() and int(given) > 0:
            limits.append(float(given))
    return max(1, int(min(limits)))


def default_workers(device: str = "cpu") -> int:
    """Processes to use: one for a GPU; else ``$DYNLIB_WORKERS``, else :func:`usable_cores`."""
    from dynlib.dynamics.checks import check_choice

    check_choice("device", device, ("auto", "cpu", "cuda"))
    given = os.environ.get("DYNLIB_WORKERS", str(usable_cores()))
    if not (given.isascii() and given.isdigit() and 0 < int(given) <= 2**15):
        raise ValueError(
            f"DYNLIB_WORKERS must be a whole number from 1 to {2**15}, got {given!r}; unset it for "
            "one process a core"
        )
    return 1 if device == "cuda" else int(given)


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return function(**arguments)


def map_processes(
    function: Callable[..., Any], jobs: Sequence[dict[str, Any]], workers: int = 1
) -> list[Any]:
    """Call a function once a job, in `workers` processes; results in the order of the jobs.

    The function can be imported from a module (it is not defined in a notebook). The jobs are the
    keyword arguments of each call, picklable, as is what the function returns. With one worker they
    run in this process, whose torch is set to one thread.

    Examples
    --------
    >>> map_processes(complex, [{"real": 1.0}, {"imag": 2.0}])
    [(1+0j), 2j]
    """
    from dynlib.dynamics.checks import check_callable, check_count

    check_callable("function", function)
    check_count("workers", workers)
    if not isinstance(jobs, Sequence) or not all(isinstance(job, dict) for job in jobs):
        raise TypeError(
            f"jobs must be a list of keyword arguments, got {reprlib.repr(jobs)}; one call is "
            "[{'name': value}]"
        )
    if workers == 1 or len(jobs) < 2:
        set_threads(1)
        return [function(**job) for job in jobs]
    context = multiprocessing.get_context("spawn")  # fork would copy torch's locks
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start, initargs=(os.getpid(),)
    ) as pool:
        return list(pool.map(_call, [function] * len(jobs), jobs))
