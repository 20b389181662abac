"""Hand runs to Snakemake, each as one job, and report how they ended.

Each call has its own folder, ``build/<preset>/cluster/<time>-<process>``, with the plan and
all that Snakemake writes. So a killed scheduler cannot block the next one, and jobs that it left in
a queue still find their plan. The runner alone decides what is fresh, what is done and who may
run: a job waits if another process is making its run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from workflow.errors import Refused
from workflow.files import ROOT, shown_path, sigterm_interrupts, write_whole
from workflow.runs.experiments import Run
from workflow.runs.schedule import DONE, FAILED, INTERRUPTED, command, said, to_do
from workflow.runs.status import state

HERE = Path(__file__).resolve().parent
PATIENCE = 7 * 24 * 3600  # seconds that a job waits for a run that another job makes


def snakemake() -> Path:
    """Snakemake's command, in a second environment beside this one.

    Raises Refused if it is not installed.
    """
    path = Path(sys.prefix + "-cluster") / "bin" / "snakemake"
    if not path.exists():
        raise Refused(
            f"Snakemake is not installed in {path.parents[1]}: say `make cluster`, which adds it"
        )
    return path


def profile(name: str) -> Path:
    """Folder of a profile, by the name of one of ours or by its path."""
    for folder in (HERE / "profiles" / name, Path(name).expanduser().resolve()):
        if (folder / "config.yaml").exists():
            return folder
    ours = ", ".join(sorted(path.name for path in (HERE / "profiles").iterdir()))
    raise Refused(f"there is no profile {name!r}: give {ours}, or a folder with a config.yaml")


def plan(runs: Collection[Run]) -> dict[str, dict[str, Any]]:
    """The jobs by name: command, needs, cores and resources of each."""
    names = {
        run: f"{re.sub('[^a-z0-9]+', '_', run.label)[:80]}_{number:03d}" if run.own else run.name
        for number, run in enumerate(runs, 1)
    }
    among = {run.name for run in runs if not run.own}
    return {
        name: {
            "needs": [needed for needed in run.needs if needed in among],
            "cores": run.settings.cores,
            "resources": {"gpu": run.gpus} if run.gpus else {},
            "command": f"cd {shlex.quote(str(ROOT))} && "
            f"PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}} "
            f"WORKFLOW_LOCK_PATIENCE={PATIENCE} "
            + shlex.join([sys.executable, *command(run), "--cores", str(run.settings.cores)]),
        }
        for run, name in names.items()
    }


def submit(runs: list[Run], profile_name: str, *, dry_run: bool = False) -> int:
    """Run what is not fresh through Snakemake; 0 all done, 1 some failed, 130 interrupted."""
    engine, options = snakemake(), profile(profile_name)
    jobs = to_do(runs)
    if not jobs:
        return DONE
    content = json.dumps({"jobs": plan(jobs)}, indent=1) + "\n"
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="plan-") as scratch:
            write_whole(Path(scratch) / "plan.json", content)
            cores = str(max(run.settings.cores for run in jobs))
            code = call(engine, options, Path(scratch), "--dry-run", "--cores", cores)
            return FAILED if code else DONE
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    folder = ROOT / "build" / runs[0].base_preset / "cluster" / name
    write_whole(folder / "plan.json", content)
    written = {run: run.log.stat().st_size if run.log.exists() else 0 for run in jobs}
    code = call(engine, options, folder)
    if code == INTERRUPTED:
        print("\ninterrupted; finished work is kept, the same command goes on", flush=True)
        return INTERRUPTED
    if code < 0:
        print(
            f"Snakemake was stopped by signal {-code} ({signal.Signals(-code).name}); jobs that it "
            "left go on, and the same command takes up the rest"
        )
    failed = [run for run in jobs if state(run)[0] != "fresh"]
    for run in jobs:
        blocked = [each.name for each in failed if not each.own and each.name in run.needs]
        cause = said(run.log, written[run]) if run.log.exists() else None
        if run not in failed:
            print(f"{run.label}: done")
        elif blocked:
            print(f"{run.label}: not run, it needs {', '.join(blocked)}")
        elif code < 0 and not cause:
            print(f"{run.label}: not done yet")
        else:
            cause = cause or "its job ended without a message, perhaps for lack of time or memory"
            print(f"{run.label}: FAILED: {cause}")
            print(f"  log: {shown_path(run.log)}; the scheduler's: {shown_path(folder)}")
    return FAILED if failed else DONE


def call(engine: Path, options: Path, folder: Path, *arguments: str) -> int:
    """Run Snakemake to its end and return its exit code; pass an interrupt on to it."""
    process = subprocess.Popen(
        [
            str(engine), "--snakefile", str(HERE / "Snakefile"), "--directory", str(folder),
            "--configfile", str(folder / "plan.json"), "--profile", str(options),
            "--keep-going", "--rerun-triggers", "mtime",
            "--quiet", "host", "reason", *arguments,
        ],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process alone, which stops the rest
    )  # fmt: skip
    with sigterm_interrupts():
        try:
            return process.wait()
        except KeyboardInterrupt:  # Snakemake then cancels its jobs
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return INTERRUPTED
