"""``make book`` at the cpu preset: everything, nothing to do, and a sentence that was changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

from benchmarks.compare import Bench, Different
from workflow.book.provenance import training_seconds
from workflow.files import ROOT

#: Where the book is built: a clone of the last commit, kept until the next measurement.
CLONE = ROOT / "build" / "bench" / "book"
#: What a book takes its time for, where the runs do not.
LIMITS = {
    "nothing to do": "the code that each run depends on is read again, to see that it is the same",
    "a changed sentence": "Jupyter Book starts, loads what it knows of all pages, and writes the "
    "sources of all modules and the index of the search again",
}
#: Seconds that are wanted of the whole, of nothing to do, and of a changed sentence.
WANTED = (22 * 60, 4, 15)


def cloned(folder: Path) -> Path:
    """A fresh clone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def made(folder: Path, target: str, *, dry: bool) -> float:
    """Seconds of a target of ``make`` in a clone."""
    command = ["make", *["-n"] * dry, target, "PRESET=cpu"]
    ours = ("PYTHONPATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise Different(f"make {target} failed: {(done.stdout + done.stderr)[-300:]}")
    return time.perf_counter() - start


def spent(folder: Path) -> str:
    """What the runs of a built book took, in words; empty where there is none."""
    files = (folder / "build" / "cpu" / "results").glob("*.json")
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    whole = sum(run["provenance"]["cpu_s"] for run in runs) / 60
    training = sum(training_seconds(run) or 0.0 for run in runs) / 60
    return (
        f"the runs take {whole:.0f} minutes of a processor, {training:.0f} of them training, "
        f"which makes {whole / 2:.0f} minutes for two at a time"
        if runs
        else ""
    )


def measure(bench: Bench) -> None:
    folder = ROOT if bench.tiny else cloned(CLONE)
    made(folder, "setup", dry=bench.tiny)
    found: dict[str, list[float]] = {"everything": [made(folder, "book", dry=bench.tiny)]}
    found["nothing to do"] = [made(folder, "book", dry=bench.tiny) for _ in range(3)]
    found["a changed sentence"] = []
    page = folder / "book" / "beyond" / "baselines.md"
    for turn in range(3):
        if not bench.tiny:
            text = page.read_text(encoding="utf-8")
            page.write_text(f"{text}\nTurn {turn}.\n", encoding="utf-8")
        found["a changed sentence"].append(made(folder, "book", dry=bench.tiny))
    for (name, seconds), wanted in zip(found.items(), WANTED, strict=True):
        times = np.array([[each, wanted] for each in seconds])
        note = "the environment is there; on all cores, two runs at a time on two"
        limit = spent(folder) if name == "everything" else LIMITS[name]
        bench.add(f"make book, cpu: {name}", f"{wanted} s", times, aim=1.0, note=note, limit=limit)
