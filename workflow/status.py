"""Which runs are fresh, stale, missing, damaged or failed, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workflow.experiments import PRESETS, Run, load
from workflow.integrity import Damaged, examine, read_sound
from workflow.stamps import changes, inputs, stamp


def read_results(path: Path) -> dict[str, Any] | None:
    """A results file, None where it is missing or damaged."""
    try:
        return read_sound(path)
    except Damaged:
        return None


def executed_stamp(path: Path) -> str | None:
    """The stamp in an executed notebook, None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]["companion"]["stamp"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def state(run: Run) -> tuple[str, str]:
    """State of a run, ``fresh``, ``stale``, ``missing``, ``damaged`` or ``failed``, and the reason.

    A run is fresh when both its executed notebook and its results carry the current stamp and
    are as the run wrote them.
    """
    return _judge(run, *examine(run))


def _judge(run: Run, results: dict[str, Any] | None, broken: str) -> tuple[str, str]:
    current, notebook = stamp(run), executed_stamp(run.executed)
    facts = {} if results is None else results["provenance"]
    sealed = "checksum" in facts
    if sealed and not broken and facts["stamp"] == current == notebook:
        return "fresh", ""
    if (run.folder / "failed" / f"{run.name}.ipynb").exists():
        place = f"see {run.folder.name}/failed/{run.name}.ipynb"
        return "failed", f"{place}; {broken}" if broken else place
    if results is not None and notebook is not None and notebook != facts["stamp"]:
        return "stale", "the notebook and its results are of different runs"
    if broken:
        return "damaged", f"{broken}; the next run makes it anew"
    if results is None or notebook is None:
        return "missing", ""
    if not sealed:
        return "stale", "its results carry no checksum, as those of an older version of the runner"
    return "stale", "changed: " + changes(facts.get("inputs", {}), inputs(run))


def readable(run: Run) -> bool:
    """Whether the outputs of a run can be shown, if only under a banner."""
    results, broken = examine(run)
    return results is not None and not broken and executed_stamp(run.executed) is not None


def status(preset: str | None) -> str:
    """A line a run and preset: state, time, size, reason."""
    lines = [f"{'run':<20} {'preset':<7} {'state':<8} {'time':>8} {'size':>9}  why"]
    for name in [preset] if preset else PRESETS:
        for run in load(name):
            results, broken = examine(run)
            condition, reason = _judge(run, results, broken)
            seconds = f"{results['provenance']['wall_s']:.0f} s" if results else ""
            size = f"{run.executed.stat().st_size / 1024:.0f} kB" if run.executed.exists() else ""
            lines.append(
                f"{run.name:<20} {name:<7} {condition:<8} {seconds:>8} {size:>9}  {reason}".rstrip()
            )
    return "\n".join(lines)
