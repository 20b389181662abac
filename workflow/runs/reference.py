"""Make a fresh run the committed reference."""

from __future__ import annotations

from typing import Any

from workflow.errors import Refused
from workflow.files import unclean, write_whole
from workflow.runs.experiments import Run, load
from workflow.runs.outputs import figures, merged, on_dark
from workflow.runs.status import read_results, state


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
