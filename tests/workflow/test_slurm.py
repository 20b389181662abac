"""Through a real SLURM of one node: the same metrics as here, and a killed scheduler goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workflow.cluster.engine import HERE
from workflow.experiments import declared_runs
from workflow.status import read_results

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).resolve().parents[2]
#: Metrics that measure time: these alone may differ between two runs on one machine.
TIMED = re.compile(r"_s$|_us$|_time_ratio|^fft_crossover")


@pytest.fixture
def profile(tmp_path) -> str:
    """The profile that we ship, with the line for clusters without accounting made active."""
    text = (HERE / "profiles" / "slurm" / "config.yaml").read_text()
    ours = text.replace("# slurm-status-command", "slurm-status-command")
    assert ours != text
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "config.yaml").write_text(ours)
    return str(folder)


def test_the_whole_smoke_set_gives_the_metrics_of_the_local_runner(
    slurm, snakemake, profile, tmp_path
):
    copy = tmp_path / "copy"
    for name in ("dynlib", "workflow", "notebooks"):
        skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, ignore=skipped)
    for name in ("experiments.yml", "requirements.lock"):
        shutil.copy(ROOT / name, copy)

    def workflow(root: Path, *arguments: str, **environment: str) -> str:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DYNLIB")}
        done = subprocess.run(
            [sys.executable, "-m", "workflow", *arguments, "--preset", "smoke"],
            cwd=root, env=kept | environment, text=True, timeout=1500,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        print(done.stdout)
        assert done.returncode == 0
        return done.stdout

    workflow(ROOT, "run")
    text = workflow(copy, "cluster", "--profile", profile, **slurm)
    assert len(re.findall(r"has been submitted with SLURM jobid \d+", text)) == len(declared_runs())
    different = []
    for name in declared_runs():
        place = Path("build", "smoke", "results", f"{name}.json")
        here, there = read_results(ROOT / place), read_results(copy / place)
        assert here["provenance"]["stamp"] == there["provenance"]["stamp"]
        assert here["metrics"].keys() == there["metrics"].keys()
        different += [
            f"{name}: {metric}"
            for metric, entry in here["metrics"].items()
            if entry != there["metrics"][metric] and not TIMED.search(metric)
        ]
    assert not different
