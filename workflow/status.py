"""Which runs are fresh, stale, missing or failed, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workflow.experiments import PRESETS, Run, load
from workflow.stamps import changes, inputs, stamp


def read_results(path: Path) -> dict[str, Any] | None:
    """A results file, None where it is missing or cannot be read."""
    try:
        content = json.loads(path.read_text())
        return content if isinstance(content.get("metrics"), dict) else None
    except (OSError, ValueError, AttributeError):
        return None


def executed_stamp(path: Path) -> str | None:
    """The stamp in an executed notebook, None where there is none."""
    try:
        return json.loads(path.read_text())["metadata"]["companion"]["stamp"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def state(run: Run) -> tuple[str, str]:
    """State of a run, ``fresh``, ``stale``, ``missing`` or ``failed``, and the reason.

    A run is fresh when both its executed notebook and its results carry the current stamp.
    """
    current = stamp(run)
    results = read_results(run.results)
    notebook = executed_stamp(run.executed)
    if results is not None and results["provenance"]["stamp"] == current == notebook:
        return "fresh", ""
    if (run.folder / "failed" / f"{run.name}.ipynb").exists():
        return "failed", f"see {run.folder.name}/failed/{run.name}.ipynb"
    if results is None or notebook is None:
        return "missing", ""
    if notebook != results["provenance"]["stamp"]:
        return "stale", "the notebook and its results are of different runs"
    return "stale", "changed: " + changes(results["provenance"].get("inputs", {}), inputs(run))


def status(preset: str | None) -> str:
    """A line a run and preset: state, time, size, reason."""
    lines = [f"{'run':<20} {'preset':<7} {'state':<8} {'time':>8} {'size':>9}  why"]
    for name in [preset] if preset else PRESETS:
        for run in load(name):
            condition, reason = state(run)
            results = read_results(run.results)
            seconds = f"{results['provenance']['wall_s']:.0f} s" if results else ""
            size = f"{run.executed.stat().st_size / 1024:.0f} kB" if run.executed.exists() else ""
            lines.append(
                f"{run.name:<20} {name:<7} {condition:<8} {seconds:>8} {size:>9}  {reason}".rstrip()
            )
    return "\n".join(lines)
