"""Processes for independent jobs: how many, in which order, and their end."""

import os
import subprocess
import sys

import pytest

from dynlib import parallel

WORKER = """
import os, sys, time
from dynlib import parallel
parallel._start({parent})
print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("given", "device", "expected"), [("3", "cpu", 3), ("3", "cuda", 1), (None, "cpu", None)]
)
def test_workers_are_those_given_or_the_cores(monkeypatch, given, device, expected):
    monkeypatch.delenv("DYNLIB_WORKERS", raising=False)
    if given:
        monkeypatch.setenv("DYNLIB_WORKERS", given)
    assert parallel.default_workers(device) == (expected or os.cpu_count())


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("DYNLIB_WORKERS", given)
    with pytest.raises(ValueError, match=f"positive whole number, got '{given}'"):
        parallel.default_workers()


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        parallel.map_processes(complex, [{"real": 1.0}], 0)


def test_a_worker_ends_when_its_parent_is_gone():
    """Its parent is given as one that it does not have."""
    code = WORKER.format(parent=os.getpid() + 10**6)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == 1
