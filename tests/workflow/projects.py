"""A clone under git whose one run has a reference, to be carried, verified and damaged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from clones import Clone, make_clone

from workflow.runs.integrity import checksum

TOY = """
\"\"\"A module to change.\"\"\"

from __future__ import annotations

import numpy as np

SCALE = 2.0


def spread(values, device="cpu"):
    \"\"\"Scaled standard deviation.\"\"\"
    if not len(values):
        raise ValueError("values must not be empty")
    if device == "cuda":
        values = values + 0.0
    centred = values - values.mean()
    return SCALE * float(np.sqrt((centred**2).mean())) if device else 0.0


def longest(values, limit=1000):
    \"\"\"The largest value, of many the first thousand alone.\"\"\"
    if len(values) > 1000:
        values = values[:limit]
    return float(values.max())


def nobody_calls_this():
    \"\"\"Not used by the run.\"\"\"
    return 1
"""

NOTEBOOK = """# ---
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
# # Toy

# %% tags=["parameters"]
n: int = 10  # [1..100000] how many
shift: float = 0.0  # [0..10] added to all
seed: int = 0  # [0..100] of the values

# %%
import numpy as np
from dynlib.report import record, style
from dynlib.toy import longest, spread

record.clear()
values = np.random.default_rng(seed).normal(size=n) + shift
record.metric("spread", spread(values))
record.metric("longest", longest(values))

# %% tags=["view"]
import matplotlib.pyplot as plt

figure, axes = style.figure(2.0)
axes.plot(values)
plt.show()

# %%
record.metric("n", n)
"""

RUN = """
toy:
  notebook: toy
  title: Toy
  needs: []
  presets:
    smoke: {cores: 1, parameters: {}}
    cpu: {cores: 1, parameters: {n: 500}, witness: {n: 20}}
    paper: {cores: 1, parameters: {n: 900}, witness: {n: 20}}
"""


class Project(Clone):
    """A clone under git with a run that has a reference."""

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *who, *arguments],
            cwd=self.root,
            check=True,
            capture_output=True,
            encoding="utf-8",
        )
        return done.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "change")

    def reference(self) -> dict:
        return json.loads((self.root / "results" / "cpu" / "toy.json").read_text(encoding="utf-8"))

    def write(self, reference: dict) -> None:
        """Commit another reference, with its checksum."""
        reference["provenance"]["checksum"] = checksum(reference)
        path = self.root / "results" / "cpu" / "toy.json"
        path.write_text(json.dumps(reference), encoding="utf-8")
        self.commit()

    def change(self, path: str, old: str, new: str) -> None:
        self.edit(path, old, new)
        self.commit()

    def carry(self, *rename: str) -> tuple[int, str]:
        return self("carry", "toy", "--preset", "cpu", *(("--rename", *rename) if rename else ()))

    def split(self) -> None:
        """Make a part of a function a function of its own."""
        self.change(
            "dynlib/toy.py",
            "    centred = values - values.mean()\n",
            "    centred = without_mean(values)\n",
        )
        file = self.root / "dynlib" / "toy.py"
        text = file.read_text(encoding="utf-8")
        text += "\n\ndef without_mean(values):\n    return values - values.mean()\n"
        file.write_text(text, encoding="utf-8")
        self.commit()


def make_project(root: Path) -> Project:
    """Make the clone, its run and the reference."""
    make_clone(root)
    project = Project(root)
    (root / "dynlib" / "toy.py").write_text(TOY, encoding="utf-8")
    (root / "notebooks" / "toy.py").write_text(NOTEBOOK, encoding="utf-8")
    (root / "experiments.yml").write_text(RUN, encoding="utf-8")
    (root / ".gitignore").write_text("build/\n__pycache__/\n", encoding="utf-8")
    project.git("init", "-q")
    project.commit()
    for arguments in (("run", "toy"), ("accept", "toy")):
        code, text = project(*arguments)
        assert code == 0, text
    project.commit()
    return project
