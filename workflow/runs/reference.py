"""The committed reference: compare a fresh run with it, or make a fresh run the reference."""

from __future__ import annotations

from typing import Any

from workflow.errors import Refused
from workflow.files import ROOT, shown_path, unclean, write_whole
from workflow.runs.experiments import Run, load
from workflow.runs.integrity import Damaged, damaged_artefacts, read_reference
from workflow.runs.outputs import figures, merged, on_dark
from workflow.runs.status import read_results, state


def compare(fresh: dict[str, Any], reference: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Whether each metric of a run agrees with the reference.

    Two values agree if they differ by no more than the reference's tolerance, which is relative, or
    absolute if the reference is 0. A row has the name, the verdict and details. The verdict is
    ``agrees``, ``differs``, ``new`` or ``gone``; for a time ``time agrees`` or ``time differs``.
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
        same = a == b or (None not in (a, b) and abs(a - b) <= tolerance * (abs(b) or 1.0))
        detail = f"{a:.6g} against {b:.6g}" if None not in (a, b) else f"{a} against {b}"
        time = "time " if ours.get("timing") or theirs.get("timing") else ""
        verdict = time + ("agrees" if same else "differs")
        rows.append((name, verdict, f"{detail} (±{tolerance:.3g} relative)"))
    return rows


def verify(preset: str, names: list[str]) -> tuple[str, int]:
    """Compare fresh runs with the committed reference; text, and exit code 0 if all agree."""
    lines, code = [], 0
    for run in load(preset, names or None):
        fresh, reference = read_results(run.results), None
        condition, reason = state(run)
        again = f"`make run RUN={run.name} PRESET={preset}`"
        try:
            reference = read_reference(run.reference)
            if reference is None:
                lines.append(f"{run.name}: there is no reference for {preset}; accept a run first")
        except Damaged as error:
            lines.append(f"{run.name}: {error}")
        if condition == "missing":
            lines.append(f"{run.name}: not run yet; {again}")
        elif condition != "fresh":
            lines.append(f"{run.name}: the run is {condition} ({reason}); run it again: {again}")
        if condition != "fresh" or fresh is None or reference is None:
            code = 1
            continue
        rows = compare(fresh, reference)
        times = [row for row in rows if row[1].startswith("time ")]
        slow = [row for row in times if row[1] == "time differs"]
        odd = [row for row in rows if row[1] in ("differs", "new", "gone")]
        count = len(rows) - len(times)
        lines.append(f"{run.name}: {count - len(odd)} of {count} metrics agree")
        lines += [f"  {name}: {verdict}, {detail}" for name, verdict, detail in odd]
        if times:  # they depend on the machine and its load, and do not fail
            lines.append(f"  times, reported only: {len(times) - len(slow)} of {len(times)} agree")
            lines += [f"    {name}: {detail}" for name, _, detail in slow]
        code = code or int(bool(odd))
    for folder in map(shown_path, damaged_artefacts(ROOT / "build" / "artefacts")):
        lines.append(
            f"{folder} does not match its checksums; the run that needs it trains again, or say: "
            f"rm -r {folder}"
        )
        code = 1
    return "\n".join(lines), code


def acceptable(run: Run, first: str, again: str) -> dict[str, Any]:
    """The results of a fresh run that was made from a commit; Refused for another."""
    condition, reason = state(run)
    results = read_results(run.results)
    if condition != "fresh" or results is None:
        raise Refused(f"{run.label} ({run.preset}) is {condition} {reason}; {first} first")
    if why := unclean(results["provenance"]):
        raise Refused(f"{run.label} ({run.preset}) {why}{again}")
    return results


def accept(preset: str, names: list[str]) -> str:
    """Make fresh results the reference.

    Raises Refused if a run is not fresh, or was made from a tree with uncommitted changes.
    """
    lines = []
    for run in load(preset, names or None):
        again = f": python -m workflow run {run.name} --preset {preset} --force"
        results = acceptable(run, "run it", again)
        picture = run.declaration.picture
        name = f"fig-{run.name}-{picture}.svg"
        figure = figures(merged(run)).get(name, b"").decode() if picture else ""
        if picture and not figure:
            raise Refused(f"{run.name} ({preset}) made no figure {name}, its picture")
        write_whole(run.reference, run.results.read_text(encoding="utf-8"))
        if figure:
            write_whole(run.reference.with_suffix(".svg"), figure)
            write_whole(run.reference.with_suffix(".dark.svg"), on_dark(figure))
        lines.append(
            f"{run.name}: reference for {preset} is now {results['provenance']['stamp'][:12]}"
        )
    return "\n".join(lines)
