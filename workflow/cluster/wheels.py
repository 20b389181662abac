"""Wheels of what a run needs, for a machine that has torch and no network."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

from workflow.errors import Refused
from workflow.files import ROOT, shown_path

#: What executes a notebook; dynlib says itself what it imports.
RUNNER = ("dynlib", "papermill", "jupytext", "ipykernel", "pydantic", "pyyaml", "packaging")
#: What the other machine has, in the build that suits its GPU, with all that it needs.
THERE = ("torch",)


def needed() -> dict[str, str]:
    """Versions in this environment of all packages that a run needs, by name."""
    found: dict[str, str] = {}
    names = list(RUNNER)
    while names:
        name = re.sub("[-_.]+", "-", names.pop()).lower()
        if name in found or name in THERE:
            continue
        distribution = importlib.metadata.distribution(name)
        found[name] = distribution.version
        for each in map(Requirement, distribution.requires or []):
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                names.append(each.name)
    return dict(sorted(found.items()))


def wheels(python: str) -> str:
    """Put the wheels for a Python version into ``build/wheels``; what to do with them."""
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise Refused(f"--python must be a version such as 3.12, got {python!r:.30}")
    folder = ROOT / "build" / "wheels"
    shutil.rmtree(folder, ignore_errors=True)  # it may hold those for another Python
    versions = needed()
    del versions["dynlib"]
    with tempfile.TemporaryDirectory(prefix="wheels-") as scratch:
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, scratch)
        shutil.copytree(ROOT / "dynlib", Path(scratch, "dynlib"))
        for command in (
            ["download", "--only-binary=:all:", f"--python-version={python}", "--no-deps"]
            + [f"{name}=={version}" for name, version in versions.items()],
            ["wheel", "--no-deps", scratch],
        ):
            place = "--dest" if command[0] == "download" else "--wheel-dir"
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", *command]
            done = subprocess.run(
                [*pip, place, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                encoding="utf-8", errors="replace",
            )  # fmt: skip
            if done.returncode:
                words = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
                raise Refused(f"pip could not make the wheels: {(words or ['no output'])[-1]}")
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    return (
        f"{shown_path(folder)}: {len(versions) + 1} packages, {size:.0f} MB. On the other machine, "
        "in a clone:\n"
        "  python3 -m venv --system-site-packages .venv\n"
        "  .venv/bin/python -m pip install --no-index --no-deps WHEELS/*.whl"
    )
