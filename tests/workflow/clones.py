"""A copy of the machinery with two tiny runs, which tests may edit and break."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TOKENS = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tiny
# Prose with {res}`:steps`.

# %% tags=["parameters"]
steps: int = 3  # [1..100000] optimiser steps
temperature: float = 1.0  # [0..10] temperature
device: str = "auto"  # {auto, cpu, cuda} where
wait: float = 0.0  # [0..600] seconds to wait
fail: bool = False  # raise an error at the end

# %%
import time

import numpy as np

from dynlib.report import record
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.recipes import TrainingConfig

tokens = (np.arange(200)[None] + np.arange(4)[:, None]) % 6
model = GPTConfig(vocabulary=6, layers=1, heads=2, width=16, context=8)
config = TrainingConfig(steps, 8, 1e-2, "muon", schedule="cosine", clip=1.0)
result = train_seeds(
    tokens, np.zeros((6, 1), int), model, config, [0], name="tiny", validation=tokens
)[0]
time.sleep(wait)
record.metric("steps", steps)
record.metric("loss", result.validation_loss)
record.metric("weight", float(result.model.embeddings().abs().sum()))
if fail:
    raise RuntimeError("asked to fail")
"""

PLAIN = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Plain

# %% tags=["parameters"]
n: int = 4  # [1..100] how many

# %%
from dynlib.report import record
from dynlib.dynamics.systems.henon import Henon

record.metric("determinant", abs(Henon().b))
record.metric("n", n)
"""

EXPERIMENTS = """
tiny:
  notebook: tiny
  title: Tiny
  needs: []
  presets:
    smoke: {cores: 1, parameters: {}}
    cpu: {cores: 1, parameters: {steps: 600}}
    paper: {cores: 1, parameters: {steps: 9}}
plain:
  notebook: plain
  title: Plain
  needs: []
  presets:
    smoke: {cores: 1, parameters: {}}
    cpu: {cores: 1, parameters: {}}
    paper: {cores: 1, parameters: {}}
"""


def _hear_interrupts() -> None:
    """A shell that runs the tests in the background has told its children to ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Clone:
    """A copied tree and its command line."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DYNLIB")}
        return subprocess.Popen(
            [sys.executable, "-m", "workflow", *arguments],
            cwd=self.root,
            env=kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            preexec_fn=_hear_interrupts,
        )

    def __call__(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def copy(self, root: Path) -> Clone:
        """The same elsewhere: content decides what is fresh, not place."""
        return Clone(shutil.copytree(self.root, root))

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def results(self, run: str, preset: str = "smoke") -> dict:
        """The results file of a run."""
        return json.loads(
            (self.root / "build" / preset / "results" / f"{run}.json").read_text(encoding="utf-8")
        )

    def values(self, run: str, preset: str = "smoke") -> dict[str, float]:
        """The metrics of a run."""
        metrics = self.results(run, preset)["metrics"]
        return {name: entry["value"] for name, entry in metrics.items()}

    def status(self, preset: str = "smoke") -> dict[str, str]:
        """The line of each run in ``status``."""
        code, text = self("status", "--preset", preset)
        assert code == 0, text
        return {line.split()[0]: line for line in text.splitlines()[1:]}

    @staticmethod
    def until(condition: Callable[[], object], seconds: float = 120) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)


def make_clone(root: Path) -> Clone:
    """Copy the machinery and give it two tiny runs."""
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("dynlib", "workflow"):
        shutil.copytree(ROOT / folder, root / folder, ignore=skipped)
    shutil.copy(ROOT / "requirements.lock", root)
    (root / "notebooks").mkdir()
    (root / "results").mkdir()
    (root / "notebooks" / "tiny.py").write_text(TOKENS, encoding="utf-8")
    (root / "notebooks" / "plain.py").write_text(PLAIN, encoding="utf-8")
    (root / "experiments.yml").write_text(EXPERIMENTS, encoding="utf-8")
    return Clone(root)
