"""Processes for independent jobs: how many, in which order, and their end."""

import os
import subprocess
import sys

import pytest

from dynlib.training import parallel

WORKER = """
import os, sys, time
from dynlib.training import parallel
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
    assert parallel.default_workers(device) == (expected or parallel.usable_cores())


@pytest.fixture
def eight_cores(monkeypatch, tmp_path):
    """A machine that lets this process use eight cores; returns the folder of control groups."""
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "DYNLIB_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(parallel, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(parallel, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def test_the_cores_are_those_of_the_affinity():
    ours = min(os.sched_getaffinity(0))
    code = (
        "from dynlib.training import parallel\n"
        "print(parallel.usable_cores(), parallel.default_workers())"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DYNLIB", "SLURM"))}
    done = subprocess.run(
        ["taskset", "-c", str(ours), sys.executable, "-c", code],
        env=kept, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout == "1 1\n"


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({}, 8),
        ({"SLURM_CPUS_PER_TASK": "3"}, 3),
        ({"SLURM_CPUS_ON_NODE": "5"}, 5),
        ({"SLURM_CPUS_PER_TASK": "3", "SLURM_CPUS_ON_NODE": "2"}, 2),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8),
        ({"SLURM_CPUS_PER_TASK": "", "SLURM_CPUS_ON_NODE": "2(x3)"}, 8),
    ],
)
def test_the_cores_are_those_of_the_slurm_job(eight_cores, monkeypatch, variables, cores):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert parallel.usable_cores() == parallel.default_workers() == cores


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000"}, 8),
        ("0::/a/b", {"a/b/cpu.max": "200000 100000"}, 2),
        ("0::/a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b", {"a/cpu.max": "250000 100000", "a/b/cpu.max": "400000 100000"}, 2),
        ("0::/", {"cpu.max": "400000 100000"}, 4),
        ("0::/not/mounted", {"cpu.max": "50000 100000"}, 1),
        ("0::/a", {"a/cpu.max": "damaged"}, 8),
        (
            "4:cpu,cpuacct:/a\n2:memory:/a",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "600000", "cpu,cpuacct/a/cpu.cfs_period_us": "1e5"},
            8,
        ),
        (
            "4:cpu,cpuacct:/a\n2:memory:/a",
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/cpu.cfs_quota_us": "600000",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            6,
        ),
        (None, {}, 8),
    ],
)
def test_the_cores_are_those_of_the_control_group(eight_cores, membership, files, cores):
    if membership is not None:
        (eight_cores / "membership").write_text(membership + "\n", encoding="utf-8")
    for name, text in files.items():
        file = eight_cores / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    assert parallel.usable_cores() == cores


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "２", "99999999999"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("DYNLIB_WORKERS", given)
    with pytest.raises(ValueError, match=f"a whole number from 1 to 32768, got '{given}'"):
        parallel.default_workers()


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match=r"workers must be a whole number from 1 .*, got 0"):
        parallel.map_processes(complex, [{"real": 1.0}], 0)


def test_a_worker_ends_when_its_parent_is_gone():
    """Its parent is given as one that it does not have."""
    code = WORKER.format(parent=os.getpid() + 10**6)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, b"")
