"""Past one machine: every job calls the runner, and what a scheduler leaves is in no one's way."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clones import Clone

from workflow.cluster import engine
from workflow.errors import Refused
from workflow.runs.execute import locked
from workflow.runs.experiments import load
from workflow.runs.status import read_results

ROOT = Path(__file__).resolve().parents[2]
PROFILES = engine.HERE / "profiles"


def scheduler_of(process):
    """Process id of the Snakemake that a command has started, None before."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_text(encoding="utf-8")
        except OSError:
            continue
        if parent == process.pid and "snakemake" in command:
            return int(path.parent.name)
    return None


def kill_scheduler(process):
    """``kill -9`` of the Snakemake that a command has started, and what the command then says."""
    Clone.until(lambda: scheduler_of(process))
    os.kill(scheduler_of(process), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def queued(scheduler):
    """A line for each job that SLURM has seen: its comment, and what it asked for."""
    return subprocess.run(
        ["squeue", "--all", "--states=all", "--noheader", "--Format=Comment:40,tres-per-job:40"],
        env=scheduler.environment, capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip


def test_a_plan_has_a_job_a_run_with_its_needs_and_its_resources():
    runs = load("paper", ["lorenz_networks", "lorenz_comparison"])
    jobs = engine.plan(runs)
    assert list(jobs) == ["lorenz_networks", "lorenz_comparison"]
    assert jobs["lorenz_comparison"]["needs"] == ["lorenz_networks"]
    assert jobs["lorenz_networks"]["cores"] == runs[0].settings.cores
    assert jobs["lorenz_networks"]["command"].endswith(
        f"-m workflow run lorenz_networks --preset paper --cores {runs[0].settings.cores}"
    )
    assert engine.plan(runs[1:])["lorenz_comparison"]["needs"] == []


def test_only_runs_that_declare_a_gpu_ask_for_one():
    for preset in ("smoke", "cpu", "paper"):
        runs = load(preset)
        for run, job in zip(runs, engine.plan(runs).values(), strict=True):
            trains_gpt = preset == "paper" and run.notebook.endswith("tokens")
            assert job["resources"] == ({"gpu": 1} if trains_gpt else {}), run.name


def test_points_of_a_grid_are_jobs_of_their_own():
    runs = [load("smoke", ["henon_tokens"], {"seed": seed})[0] for seed in ("0", "1")]
    jobs = engine.plan(runs)
    assert list(jobs) == ["henon_tokens_p_seed_0_001", "henon_tokens_p_seed_1_002"]
    command = jobs["henon_tokens_p_seed_1_002"]["command"]
    assert "run henon_tokens --preset smoke -p seed 1" in command


def test_what_cannot_be_scheduled_is_refused(monkeypatch, tmp_path):
    with pytest.raises(Refused, match="local, slurm"):
        engine.profile("slrum")
    (tmp_path / "config.yaml").write_text("executor: local\n", encoding="utf-8")
    assert engine.profile(str(tmp_path)) == tmp_path
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(Refused, match="say `make cluster`"):
        engine.snakemake()


def test_who_waited_for_a_run_knows_it(tmp_path, monkeypatch):
    (run,) = load("smoke", ["hankel_operator"])
    monkeypatch.setattr("workflow.runs.experiments.ROOT", tmp_path)
    with contextlib.ExitStack() as other:
        assert other.enter_context(locked(run)) is False
        monkeypatch.setattr(time, "sleep", lambda _: other.close())
        with locked(run) as waited:
            assert waited


@pytest.mark.parametrize("profile", sorted(path.name for path in PROFILES.iterdir()))
def test_a_dry_run_names_runs_reasons_and_resources_and_does_nothing(clone, snakemake, profile):
    clone.edit("experiments.yml", "paper: {cores: 1,", "paper: {cores: 2, gpus: 1,")
    code, text = clone("cluster", "--preset", "paper", "--profile", profile, "--dry-run")
    assert code == 0, text
    assert "tiny (paper): missing" in text
    assert "rule tiny:" in text
    assert "threads: 2" in text
    assert "gpu=1" in text
    assert ("mem_mb=16000" in text) == (profile != "local")
    assert not (clone.root / "build").exists()


def test_jobs_run_once_each_after_what_it_needs(clone, snakemake):
    clone.edit("experiments.yml", "title: Tiny\n  needs: []", "title: Tiny\n  needs: [plain]")
    code, text = clone("cluster", "tiny", "--preset", "smoke", "--profile", "local")
    assert code == 2
    assert "needs plain, which is missing" in text
    command = ("cluster", "--preset", "smoke", "--profile", "local")
    code, text = clone(*command)
    assert code == 0, text
    assert text.endswith("tiny: done\nplain: done\n")
    started = [clone.results(run)["provenance"]["started"] for run in ("plain", "tiny")]
    assert started == sorted(started)
    code, text = clone(*command)
    assert (code, text.count("fresh, nothing to do"), text.count("\n")) == (0, 2, 2)

    clone.edit("notebooks/plain.py", '("n", n)', '("n", n / 0)')
    code, text = clone(*command)
    assert code == 1
    assert re.search("^plain: FAILED: cell . raised ZeroDivisionError: .*; see build", text, re.M)
    assert "tiny: not run, it needs plain\n" in text
    assert "Traceback" not in text


def test_a_killed_scheduler_goes_on_and_repeats_nothing(clone, scheduler):
    clone.edit("notebooks/tiny.py", "wait: float = 0.0", "wait: float = 15.0")
    clone.edit("experiments.yml", "smoke: {cores: 1,", "smoke: {cores: 1, gpus: 1,")
    command = ("cluster", "--preset", "smoke", "--profile", scheduler.profile)
    process = clone.start(*command, **scheduler.environment)
    plain = clone.root / "build/smoke/results/plain.json"
    Clone.until(plain.exists)
    Clone.until((clone.root / "build/smoke/notebooks/tiny.part.ipynb").exists)
    done = plain.stat().st_mtime_ns
    code, text = kill_scheduler(process)
    killed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert code == 1
    assert "Snakemake was stopped by signal 9 (SIGKILL)" in text
    assert "plain: done\n" in text
    assert "tiny: not done yet\n" in text
    code, text = clone(*command, **scheduler.environment)
    assert code == 0, text
    assert plain.stat().st_mtime_ns == done
    # The job that was under way went on, and the new one found its work done.
    assert clone.results("tiny")["provenance"]["started"] <= killed
    if scheduler.environment:
        assert re.findall(r"rule_(\w+) .*gpu:1", queued(scheduler)) == ["tiny", "tiny"]


@pytest.mark.parametrize(
    ("scheduler", "number"),
    [
        ("local", signal.SIGINT),
        ("local", signal.SIGTERM),
        pytest.param("slurm", signal.SIGINT, marks=pytest.mark.slurm),
    ],
    indirect=["scheduler"],
)
def test_an_interrupt_stops_the_jobs_too(clone, scheduler, number):
    clone.edit("notebooks/tiny.py", "wait: float = 0.0", "wait: float = 300.0")
    command = ("cluster", "tiny", "--preset", "smoke", "--profile", scheduler.profile)
    process = clone.start(*command, **scheduler.environment)
    progress = clone.root / "build/smoke/notebooks/tiny.part.ipynb"
    Clone.until(progress.exists)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in output
    assert "Traceback" not in output
    Clone.until(lambda: not progress.exists(), 20)
    assert not (clone.root / "build/smoke/results/tiny.json").exists()


@pytest.mark.slurm
@pytest.mark.parametrize("scheduler", ["slurm"], indirect=True)
def test_the_whole_smoke_set_gives_the_metrics_of_the_local_runner(scheduler, tmp_path):
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
            cwd=root, env=kept | environment, encoding="utf-8", timeout=1500,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        print(done.stdout)
        assert done.returncode == 0
        return done.stdout

    workflow(ROOT, "run")
    text = workflow(copy, "cluster", "--profile", scheduler.profile, **scheduler.environment)
    submitted = re.findall(r"has been submitted with SLURM jobid \d+", text)
    assert len(submitted) == len(load("smoke"))
    different = []
    for name in [run.name for run in load("smoke")]:
        place = Path("build", "smoke", "results", f"{name}.json")
        here, there = read_results(ROOT / place), read_results(copy / place)
        assert here["provenance"]["stamp"] == there["provenance"]["stamp"]
        assert here["metrics"].keys() == there["metrics"].keys()
        different += [
            f"{name}: {metric}"
            for metric, entry in here["metrics"].items()
            if entry != there["metrics"][metric] and not entry["timing"]
        ]
    assert not different
