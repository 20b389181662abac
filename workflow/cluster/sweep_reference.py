"""A sweep over seeds as one committed results file, which pages read like any other.

``results/sweeps/<run>_seeds.json`` keeps the contract of a results file; each metric is the
median over the seeds, with the interval and the samples of all of them.
"""

from __future__ import annotations

import hashlib
import json

from dynlib.measure.intervals import summarise
from workflow.errors import Refused
from workflow.files import ROOT, write_whole
from workflow.runs.experiments import Run
from workflow.runs.integrity import checksum
from workflow.runs.reference import acceptable


def accept_seeds(runs: list[Run]) -> str:
    """Make the points of a sweep over ``seed`` the reference; a line of report.

    Raises Refused if another parameter differs, a point is not fresh, or one was made from a tree
    with uncommitted changes.
    """
    others = {json.dumps([p for p in run.own if p[0] != "seed"]) for run in runs}
    if len(others) > 1 or any([name for name, _ in run.own] != ["seed"] for run in runs):
        raise Refused("a reference of a sweep varies the seed and nothing else")
    found = [acceptable(run, "sweep", ", by the sweep") for run in runs]
    metrics = {}
    for name, first in found[0]["metrics"].items():
        values = [each["metrics"][name]["value"] for each in found]
        if None in values:
            continue
        entry = vars(summarise(values)).copy() | {"over": "seeds", "samples": values}
        spread = (max(values) - min(values)) / (abs(entry["value"]) or 1.0)
        tolerance = max(first["tolerance"], spread)
        timing = first.get("timing", False)
        metrics[name] = entry | {"unit": first["unit"], "tolerance": tolerance, "timing": timing}
    facts = [each["provenance"] for each in found]
    stamps = [fact["stamp"] for fact in facts]
    name = f"{runs[0].name}_seeds"
    seeds = [run.parameters["seed"] for run in runs]
    results = {
        "run": name,
        "notebook": runs[0].notebook,
        "preset": runs[0].base_preset,
        "parameters": found[0]["parameters"] | {"seed": seeds},
        "metrics": metrics,
        "provenance": facts[0]
        | {
            "stamp": hashlib.sha256("".join(stamps).encode()).hexdigest()[:12],
            "wall_s": sum(fact["wall_s"] for fact in facts),
            "cpu_s": sum(fact["cpu_s"] for fact in facts),
            "peak_rss_mb": max(fact["peak_rss_mb"] for fact in facts),
            "seeds": seeds,
            "inputs": {"stamps": stamps},
        },
    }
    results["provenance"].pop("notebook_sha256", None)
    results["provenance"]["checksum"] = checksum(results)
    place = ROOT / "results" / "sweeps" / f"{name}.json"
    write_whole(place, json.dumps(results, indent=1) + "\n")
    return f"{name}: reference over seeds {', '.join(map(str, seeds))} written"
