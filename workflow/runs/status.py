"""Which runs are fresh, stale, missing, damaged or failed, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workflow.runs import cards
from workflow.runs.experiments import PRESETS, Run, load
from workflow.runs.integrity import Damaged, examine, read_sound
from workflow.runs.stamps import changes, inputs, stamp, view_inputs, view_stamp

#: How the reason begins where the numbers are current.
SHOWN = "changed only in how it is shown: "


def read_results(path: Path) -> dict[str, Any] | None:
    """A results file, None if it is missing or damaged."""
    try:
        return read_sound(path)
    except Damaged:
        return None


def executed_stamps(path: Path) -> tuple[str, str] | None:
    """The stamps in an executed notebook, of its numbers and its view; None without any."""
    try:
        marks = json.loads(path.read_text(encoding="utf-8"))["metadata"]["companion"]
        return marks["stamp"], marks["view"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def state(run: Run) -> tuple[str, str]:
    """State of a run, ``fresh``, ``stale``, ``missing``, ``damaged`` or ``failed``, and the reason.

    A run is fresh when its executed notebook and its results carry the current stamps, of its
    numbers and of how they are shown, and are as the run wrote them.
    """
    return _judge(run, *examine(run))


def _judge(run: Run, results: dict[str, Any] | None, broken: str) -> tuple[str, str]:
    numbers, view = stamp(run), view_stamp(run)
    notebook = executed_stamps(run.executed)
    facts = {} if results is None else results["provenance"]
    same = notebook is not None and facts.get("stamp") == numbers == notebook[0]
    if not broken and same and notebook == (numbers, view):
        return "fresh", ""
    if run.failed.exists():
        place = f"see {run.folder.name}/failed/{run.name}.ipynb"
        return "failed", f"{place}; {broken}" if broken else place
    if results is not None and notebook is not None and notebook[0] != facts["stamp"]:
        return "stale", "the notebook and its results are of different runs"
    if broken:
        return "damaged", f"{broken}; the next run makes it anew"
    if results is None or notebook is None:
        return "missing", ""
    if same:
        what = changes(facts.get("view", {}), view_inputs(run))
        return "stale", SHOWN + what
    return "stale", "changed: " + changes(facts.get("inputs", {}), inputs(run))


def readable(run: Run) -> bool:
    """Whether the outputs of a run can be shown, perhaps under a banner."""
    results, broken = examine(run)
    return results is not None and not broken and executed_stamps(run.executed) is not None


def reference_state(run: Run) -> str:
    """Whether the committed reference is of the present code: current, carried, stale, or none."""
    try:
        content = read_sound(run.reference)
    except Damaged:
        return "damaged"
    if content is None:
        return "none"
    facts = content["provenance"]
    if facts["stamp"] != stamp(run):
        return "stale"
    return "carried" if facts.get("carried") else "current"


def status(preset: str | None, names: list[str] | None = None) -> str:
    """A line per run and preset: state, time, size, state of the reference, GPU, reason."""
    form = "{:<20} {:<7} {:<8} {:>8} {:>9}  {:<9}  {}"
    lines = [form.format("run", "preset", "state", "time", "size", "reference", "why")]
    for name in [preset] if preset else PRESETS:
        for run in load(name, names, optional=True):
            results, broken = examine(run)
            condition, reason = _judge(run, results, broken)
            facts = results["provenance"] if results else {}
            if condition == "fresh" and facts.get("carried"):
                condition = "carried"
            seconds = f"{facts['wall_s']:.0f} s" if facts else ""
            size = f"{run.executed.stat().st_size / 1024:.0f} kB" if run.executed.exists() else ""
            used = f"on {words}" if facts and (words := cards.names(facts)) else ""
            optional = "optional, made only by name" if run.declaration.optional else ""
            why = "; ".join(filter(None, [used, reason, optional]))
            row = (run.name, name, condition, seconds, size, reference_state(run), why)
            lines.append(form.format(*row).rstrip())
    return "\n".join(lines)
