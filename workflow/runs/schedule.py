"""The local scheduler: one process per run, on a given number of cores and GPUs."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dynlib.training.parallel import usable_cores
from workflow.errors import Refused
from workflow.files import ROOT, shown_path, sigterm_interrupts
from workflow.runs.cards import Card, Cards, Lent, give_back
from workflow.runs.execute import CAUSE, for_python, keep_partial
from workflow.runs.experiments import Run
from workflow.runs.status import state

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


@dataclass
class Job:
    """A run under way: its process, and how much of its progress has been shown."""

    run: Run
    cores: int
    cards: list[Card]
    progress: Path
    written: int
    process: subprocess.Popen
    started: float = field(default_factory=time.monotonic)
    shown: int = 0

    def relay(self) -> None:
        """Print whole lines of progress that are new."""
        with contextlib.suppress(OSError):
            text = self.progress.read_bytes()[self.shown :]
            text = text[: text.rfind(b"\n") + 1]
            self.shown += len(text)
            for line in text.decode(errors="replace").splitlines():
                print(f"  {self.run.label} | {line}", flush=True)

    def stop(self) -> None:
        """End the process and everything it started."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(run: Run, cores: int, folder: Path, lent: Lent | None = None) -> Job:
    """Start a run in a new process, which sees the lent cards only; all of them without `lent`."""
    progress = folder / f"{run.preset}-{run.name}.progress"
    log = run.log
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | for_python()
    environment["DYNLIB_PROGRESS"] = str(progress)
    environment.setdefault("DYNLIB_WORKERS", str(cores))
    if lent is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(card.uuid for card in lent)
    written = log.stat().st_size if log.exists() else 0
    with log.open("a", encoding="utf-8") as file:  # a run that is still dying may hold it too
        process = subprocess.Popen(
            [sys.executable, "-m", "workflow.runs.execute", str(os.getpid()), run.name,
             run.base_preset, *run.given],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the scheduler alone, which stops the rest
            pass_fds=[each.fileno() for each in (lent or {}).values()],  # it keeps the locks
        )  # fmt: skip
    return Job(run, cores, list(lent or ()), progress, written, process)


def to_do(runs: list[Run], *, force: bool = False) -> dict[Run, str]:
    """The runs that are not fresh, or all of them, with the reason, which is also printed.

    Raises Refused if a run needs one that is neither fresh nor among them.
    """
    among = {run.name for run in runs}
    for run in runs:
        for needed in run.needed:
            if needed.name not in among and state(needed)[0] != "fresh":
                raise Refused(
                    f"{run.name} needs {needed.name}, which is {state(needed)[0]}; run both: "
                    f"python -m workflow run {needed.name} {run.name} --preset {needed.preset}"
                )
    found = {}
    for run in runs:
        condition, reason = state(run)
        if condition == "fresh" and not force:
            print(f"{run.name} ({run.preset}): fresh, nothing to do", flush=True)
        else:
            found[run] = f"{condition}{f', {reason}' if reason else ''}"
            print(f"{run.name} ({run.preset}): {found[run]}", flush=True)
    return found


def schedule(
    runs: list[Run],
    *,
    force: bool = False,
    cores: int | None = None,
    gpus: int | None = None,
    runs_per_gpu: int = 1,
) -> int:
    """Run what is not fresh (or all, by `force`), each run after those that it needs.

    The runs have one preset; those that they need must be among them or fresh. All cores and GPUs
    that may be used are the default. A run gets the GPUs that it asks for, or all if there are
    fewer, and sees no others. The result is 0 if all are done, 1 if some failed, 2 if some were
    refused, 130 after an interrupt.
    """
    total = max(1, cores or usable_cores())
    for run in runs:
        if gpus == 0 and run.parameters.get("device") == "cuda":
            raise Refused(f"{run.label} has device=cuda, and --gpus 0 leaves no GPU to it")
    waiting = list(to_do(runs, force=force))
    if not waiting:
        return DONE
    needed = {name for run in waiting for name in run.needs}
    waiting.sort(key=lambda run: run.name not in needed)  # others wait for them
    cards = Cards(gpus, runs_per_gpu)
    for run in waiting:
        if run.gpus > cards.total and not cards.uncounted:
            print(f"{run.label}: asks for {run.gpus} GPU and gets {cards.total}", flush=True)
    queued: set[Run] = set()
    jobs: list[Job] = []
    broken: set[str] = set()
    outcome = DONE
    with sigterm_interrupts(), tempfile.TemporaryDirectory(prefix="progress-") as folder:
        try:
            while waiting or jobs:
                for run in list(waiting):
                    if blocked := broken.intersection(run.needs):
                        print(f"{run.name}: not run, it needs {', '.join(sorted(blocked))}")
                        broken.add(run.name)
                        waiting.remove(run)
                        continue
                    pending = {each.name for each in waiting} | {job.run.name for job in jobs}
                    share = min(run.settings.cores, total)
                    used = sum(job.cores for job in jobs)
                    if pending.intersection(run.needs) or used + share > total:
                        continue
                    lent = None
                    if not (run.gpus and cards.uncounted):
                        busy = Counter(card for job in jobs for card in job.cards)
                        lent = cards.lend(min(run.gpus, cards.total), busy)
                        if lent is None:
                            if run not in queued:
                                print(f"{run.label}: waits for a GPU, all are in use", flush=True)
                            queued.add(run)
                            continue
                    waiting.remove(run)
                    jobs.append(start(run, share, Path(folder), lent))
                    give_back(lent or {})
                for job in list(jobs):
                    job.relay()
                    code = job.process.poll()
                    if code is None:
                        continue
                    job.relay()
                    jobs.remove(job)
                    seconds = time.monotonic() - job.started
                    if code == 0:
                        print(f"{job.run.label}: done in {seconds:.0f} s", flush=True)
                        continue
                    broken.add(job.run.name)
                    if outcome != FAILED:  # a failure outweighs a refusal
                        outcome = REFUSED if code == REFUSED else FAILED
                    if code < 0:  # it was killed before it could do so
                        keep_partial(job.run)
                    print(explain(job, code), flush=True)
                time.sleep(0.1)
        except KeyboardInterrupt:
            print("\ninterrupted; finished work is kept, the same command goes on", flush=True)
            return INTERRUPTED
        finally:
            for job in jobs:
                job.stop()
    return outcome


def said(log: Path, written: int) -> str | None:
    """The cause in the new part of a run's log, None if there is none."""
    lines = log.read_bytes()[written:].decode(errors="replace").splitlines()
    causes = [line.removeprefix(CAUSE) for line in lines if line.startswith(CAUSE)]
    return causes[-1] if causes else None


def command(run: Run) -> list[str]:
    """The command that runs one run, after ``python``."""
    return ["-m", "workflow", "run", run.name, "--preset", run.base_preset, *run.given]


def explain(job: Job, code: int) -> str:
    """Why a run ended, and the command that runs it again."""
    log = job.run.log
    cause = said(log, job.written)
    if cause is None and shutil.disk_usage(log.parent).free < 2**20:
        cause = f"the disk of {shown_path(log.parent)} is full; make room"
    cause = cause or f"its process ended with code {code} and did not say why"
    if code < 0:
        cause = f"its process was stopped by signal {-code} ({signal.Signals(-code).name})"
    word = "refused" if code == REFUSED else "FAILED"
    again = shlex.join(["python", *command(job.run)])
    return f"{job.run.label}: {word}: {cause}\n  log: {shown_path(log)}\n  again: {again}"
