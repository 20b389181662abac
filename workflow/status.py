"""Which runs are fresh, stale, missing or failed, and why; and how a fresh run compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workflow.experiments import PRESETS, Refused, Run, load
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


def compare(fresh: dict[str, Any], reference: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Metric by metric, whether a run agrees with the reference.

    Two values agree if they differ by no more than the reference's relative tolerance.

    Returns
    -------
    list of (name, verdict, detail)
        The verdict is ``agrees``, ``differs``, ``new`` or ``gone``.
    """
    rows = []
    for name in sorted({*fresh["metrics"], *reference["metrics"]}):
        if name not in reference["metrics"]:
            rows.append((name, "new", "not in the reference"))
            continue
        if name not in fresh["metrics"]:
            rows.append((name, "gone", "only in the reference"))
            continue
        ours, theirs = fresh["metrics"][name], reference["metrics"][name]
        a, b, tolerance = ours["value"], theirs["value"], theirs["tolerance"]
        same = a == b or (None not in (a, b) and abs(a - b) <= tolerance * abs(b))
        detail = f"{a:.6g} against {b:.6g}" if None not in (a, b) else f"{a} against {b}"
        rows.append(
            (name, "agrees" if same else "differs", f"{detail} (±{tolerance:.3g} relative)")
        )
    return rows


def verify(preset: str, names: list[str]) -> tuple[str, int]:
    """Compare fresh runs with the committed reference; text, and exit code 0 if all agree."""
    lines, code = [], 0
    for run in load(preset, names or None):
        fresh, reference = read_results(run.results), read_results(run.reference)
        if reference is None:
            lines.append(f"{run.name}: there is no reference for {preset}; accept a run first")
        if fresh is None:
            lines.append(f"{run.name}: not run yet; `make run RUN={run.name} PRESET={preset}`")
        if fresh is None or reference is None:
            code = 1
            continue
        rows = compare(fresh, reference)
        odd = [row for row in rows if row[1] != "agrees"]
        lines.append(f"{run.name}: {len(rows) - len(odd)} of {len(rows)} metrics agree")
        lines += [f"  {name}: {verdict}, {detail}" for name, verdict, detail in odd]
        code = code or int(bool(odd))
    return "\n".join(lines), code


def accept(preset: str, names: list[str]) -> str:
    """Make fresh results the reference.

    Raises
    ------
    Refused
        If a run is not fresh, or was made from a tree with uncommitted changes.
    """
    from workflow.execute import write_whole

    lines = []
    for run in load(preset, names or None):
        condition, reason = state(run)
        if condition != "fresh":
            raise Refused(f"{run.name} ({preset}) is {condition} {reason}; run it first")
        results = read_results(run.results)
        if results["provenance"]["dirty"]:
            raise Refused(
                f"{run.name} ({preset}) was run from a tree with uncommitted changes; commit them "
                f"and run it again: python -m workflow run {run.name} --preset {preset} --force"
            )
        write_whole(run.reference, run.results.read_text())
        lines.append(
            f"{run.name}: reference for {preset} is now {results['provenance']['stamp'][:12]}"
        )
    return "\n".join(lines)
