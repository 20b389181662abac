"""Sweeps: a run at every point of a grid of its parameters, gathered into one table.

A point is a run with given parameters, in the same folder as that of
``python -m workflow run NAME -p K V``, so what is finished is not repeated. A sweep over seeds can
become a reference, ``results/sweeps/<run>_seeds.json``, which pages read like any other.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

from workflow.cluster.engine import submit
from workflow.errors import Refused
from workflow.files import ROOT, csv_text, shown_path, write_whole
from workflow.runs.experiments import Run, file_name, load
from workflow.runs.integrity import checksum
from workflow.runs.parameters import shown
from workflow.runs.reference import acceptable
from workflow.runs.schedule import schedule, to_do
from workflow.runs.status import read_results, state

#: The parameter over whose values a page gives intervals.
SEED = "seed"
#: What is gathered of a metric.
KEYS = ("value", "low", "high", "level", "n")


def read_grid(own: dict[str, str]) -> dict[str, list[str]]:
    """Values of each parameter, as text.

    Raises Refused if no parameter is given, or a value is empty.

    Examples
    --------
    >>> read_grid({"n_cells": "20,35", "seed": "0,1,2"})
    {'n_cells': ['20', '35'], 'seed': ['0', '1', '2']}
    """
    example = "as in -p n_cells 20,35 -p seed 0,1,2"
    if not own:
        raise Refused(f"a sweep needs a parameter with its values, {example}")
    grid = {name: values.split(",") for name, values in own.items()}
    for name, values in grid.items():
        if not all(values):
            raise Refused(
                f"-p {name} {shown(own[name])}: give value,value,... without spaces, {example}"
            )
    return grid


def points(preset: str, name: str, grid: dict[str, list[str]]) -> list[Run]:
    """A run for each combination of values; every one is checked here, before any starts."""
    runs = []
    for values in itertools.product(*grid.values()):
        runs += load(preset, [name], dict(zip(grid, values, strict=True)))
    for parameter, listed in grid.items():
        read = [runs[0].declared[parameter].check(value) for value in listed]
        if len(set(read)) < len(read):
            raise Refused(f"the grid gives a value of {parameter} twice: {','.join(listed)}")
    return runs


def title(name: str, grid: dict[str, list[str]]) -> str:
    """The name of a sweep's files, without an ending."""
    return file_name("+".join([name, *(f"{key}={','.join(each)}" for key, each in grid.items())]))


def gathered(run: Run, swept: list[str]) -> dict[str, Any]:
    """One point: its parameters, state, stamp, and metrics if it is fresh."""
    words = " ".join(state(run)).strip()
    results = read_results(run.results) if words == "fresh" else None
    return {
        "parameters": {name: run.parameters[name] for name in swept},
        "state": words,
        "folder": shown_path(run.folder),
        "stamp": results["provenance"]["stamp"] if results else None,
        "metrics": {
            name: {key: entry[key] for key in (*KEYS, "unit")}
            for name, entry in (results["metrics"] if results else {}).items()
        },
    }


def groups(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Points that differ only in the seed, with each metric over them.

    A single point keeps its own interval; over several, it is that of their median.
    """
    found: dict[str, dict[str, Any]] = {}
    for point in table:
        others = {k: v for k, v in point["parameters"].items() if k != SEED}
        group = found.setdefault(json.dumps(others), {"parameters": others, "n": 0, "metrics": {}})
        group["n"] += bool(point["metrics"])
        for name, entry in point["metrics"].items():
            group["metrics"].setdefault(name, []).append(entry)
    for group in found.values():
        for name, entries in group["metrics"].items():
            entry = {key: entries[0][key] for key in KEYS} if group["n"] == 1 else median(entries)
            group["metrics"][name] = entry
    return list(found.values())


def median(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """A metric over several runs, from those that have a value."""
    from dynlib.measure.intervals import summarise  # which imports SciPy

    values = [entry["value"] for entry in entries if entry["value"] is not None]
    return vars(summarise(values)).copy() if values else dict.fromkeys(KEYS) | {"n": 0}


def as_csv(table: list[dict[str, Any]]) -> str:
    """A row per point: parameters, state, and each metric, with its interval if it has one."""
    rows: list[dict[str, Any]] = [
        {f"parameters.{name}": value for name, value in point["parameters"].items()}
        | {"state": point["state"]}
        | {
            name if key == "value" else f"{name}.{key}": entry[key]
            for name, entry in point["metrics"].items()
            for key in (("value",) if entry["low"] is None else ("value", "low", "high"))
        }
        for point in table
    ]
    return csv_text(rows)


def as_page(heading: str, table: list[dict[str, Any]], summary: list[dict[str, Any]]) -> str:
    """A Markdown page: a row per metric, a column per group of points."""

    def given(point: dict[str, Any]) -> str:
        return ", ".join(f"{k}={v}" for k, v in point["parameters"].items())

    over = [str(point["parameters"][SEED]) for point in table if SEED in point["parameters"]]
    what = "Values of each run, with its own intervals in brackets."
    if over:
        what = (
            f"Medians over the runs with {SEED} {', '.join(dict.fromkeys(over))}, with intervals "
            "in brackets (the range up to five runs, an interval of 95 % from six)."
        )
    lines = [f"# Sweep of {heading}", "", what]
    for point in table:
        if point["state"] != "fresh":
            lines += ["", f"Not in the table: {given(point)} ({point['state']})."]
    heads = [(given(each) or "all") + (f" (n={each['n']})" if over else "") for each in summary]
    names = dict.fromkeys(name for group in summary for name in group["metrics"])
    lines += ["", f"| metric | {' | '.join(heads)} |", "| :--- |" + " ---: |" * len(heads)]
    for name in names:
        cells = [cell(group["metrics"].get(name)) for group in summary]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(entry: dict[str, Any] | None) -> str:
    """A value with its interval, as text."""
    if entry is None or entry["value"] is None:
        return ""
    text = f"{entry['value']:.4g}"
    if entry["low"] is not None:
        text += f" [{entry['low']:.4g}, {entry['high']:.4g}]"
    return text


def sweep(
    preset: str,
    name: str,
    own: dict[str, str],
    *,
    profile: str | None = None,
    dry_run: bool = False,
    **limits: Any,
) -> int:
    """Run every point that is not fresh, and write the table of what is; result of `schedule`.

    `limits` are those of :func:`workflow.runs.schedule.schedule`.
    """
    grid = read_grid(own)
    runs = points(preset, name, grid)
    if profile:
        code = submit(runs, profile, dry_run=dry_run)
    elif dry_run:
        to_do(runs)
        code = 0
    else:
        code = schedule(runs, **limits)
    if dry_run:
        return code
    table = [gathered(run, list(grid)) for run in runs]
    summary = groups(table)
    content = {"run": name, "preset": preset, "grid": grid, "points": table, "groups": summary}
    place = ROOT / "build" / preset / "sweeps" / title(name, grid)
    heading = " ".join([f"{name} ({preset})", *(f"-p {k} {v}" for k, v in own.items())])
    for ending, text in (
        ("json", json.dumps(content, indent=1, allow_nan=False) + "\n"),
        ("csv", as_csv(table)),
        ("md", as_page(heading, table, summary)),
    ):
        write_whole(place.with_name(f"{place.name}.{ending}"), text)
    done = sum(point["state"] == "fresh" for point in table)
    print(f"{done} of {len(table)} points: {shown_path(place)}.csv, .json and .md")
    return code


def accept_seeds(runs: list[Run]) -> str:
    """Make the points of a sweep over seeds the reference: medians over them; a line of report.

    Raises Refused if another parameter is given, a point is not fresh, or one was made from a tree
    with uncommitted changes.
    """
    if any([*run.own] != [SEED] for run in runs):
        raise Refused("a reference of a sweep varies the seed and nothing else")
    found = [acceptable(run, "sweep", ", by the sweep") for run in runs]
    metrics = {}
    for name, first in found[0]["metrics"].items():
        values = [each["metrics"][name]["value"] for each in found]
        if None in values:
            continue
        entry = median([{"value": value} for value in values])
        spread = (max(values) - min(values)) / (abs(entry["value"]) or 1.0)
        metrics[name] = entry | {
            "over": "seeds",
            "samples": values,
            "unit": first["unit"],
            "tolerance": max(first["tolerance"], spread),
            "timing": first.get("timing", False),
        }
    facts = [each["provenance"] for each in found]
    stamps = [fact["stamp"] for fact in facts]
    name = f"{runs[0].name}_seeds"
    seeds = [run.parameters[SEED] for run in runs]
    results = {
        "run": name,
        "notebook": runs[0].notebook,
        "preset": runs[0].base_preset,
        "parameters": found[0]["parameters"] | {SEED: seeds},
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
