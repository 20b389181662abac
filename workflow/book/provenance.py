"""Where results come from, as Markdown tables: times, stamps, machines and versions of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workflow.runs import cards

Results = dict[str, Any]


def table(heads: list[str], rows: Iterable[Iterable[str]], alignment: str) -> str:
    """A Markdown table; `alignment` has ``l`` or ``r`` per column."""
    rule = [{"l": ":---", "r": "---:"}[each] for each in alignment]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rule, *rows])


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def training_seconds(run: Results) -> float | None:
    """Sum of the training times that a run records, including models that were already trained."""
    times = [each for name, each in run["metrics"].items() if name.endswith("train_s")]
    total = sum(sum(each["samples"] or each["n"] * [each["value"] or 0.0]) for each in times)
    return total if times else None


def loaded_seconds(run: Results) -> float:
    """That sum where the run found its models trained: where it exceeds the times of the run."""
    total, facts = training_seconds(run) or 0.0, run["provenance"]
    return total if total > max(facts["cpu_s"], facts["wall_s"]) else 0.0


def trained(run: Results) -> str:
    """That sum in words."""
    total = training_seconds(run)
    return "not recorded" if total is None else duration(total)


def device(facts: dict[str, Any]) -> str:
    """Where a run has computed: the name of its GPU where it is known."""
    return cards.names(facts) or facts.get("device", "cpu")


def graphics(facts: dict[str, Any]) -> str:
    """The GPUs that a run has computed on, each with its driver and memory; empty without any."""
    found = []
    for card in facts["machine"].get("gpus", []):
        memory = f", {card['memory_mb'] / 1024:.0f} GiB" if "memory_mb" in card else ""
        found.append(f"{card['name']}, driver {card['driver']}{memory}")
    return "; ".join(found)


def costs(runs: list[Results]) -> str:
    """What each run took: device, threads, times, memory."""
    rows = []
    for run in runs:
        name, facts = run["run"], run["provenance"]
        where = [device(facts), str(facts.get("threads", 1))]
        times = [duration(facts["wall_s"]), duration(facts["cpu_s"]), trained(run)]
        rows.append([f"[{name}](/runs/{name}.ipynb)", *where, *times, f"{facts['peak_rss_mb']} MB"])
    heads = ["run", "device", "threads", "wall time", "processor time", "training"]
    return table([*heads, "largest process"], rows, "llrrrrr")


def longest(facts: dict[str, Any], n: int = 3) -> str:
    """The sections of a run that took longest, each with its share; empty where none are kept.

    Examples
    --------
    >>> longest({"sections_s": {"start": 1.0, "Training": 60.0, "Rollouts": 39.0}}, 2)
    'Training 60\xa0%, Rollouts 39\xa0%, all else 1\xa0%'
    """
    known = facts.get("sections_s", {})
    whole = sum(known.values())
    if not whole:
        return ""
    first = sorted(known, key=lambda name: -known[name])[:n]
    shares = [(name, known[name] / whole) for name in first if known[name] >= 0.01 * whole]
    rest = 1 - sum(share for _, share in shares)
    shares += [("all else", rest)] if rest >= 0.005 else []
    return ", ".join(f"{name} {100 * share:.0f}\u00a0%" for name, share in shares)


def profiles(runs: list[Results]) -> str:
    """Where the time of each run goes, by section; empty where no run has kept it."""
    rows = [
        [f"[{run['run']}](/runs/{run['run']}.ipynb)", words]
        for run in runs
        if (words := longest(run["provenance"]))
    ]
    return table(["run", "longest sections, by wall time"], rows, "ll") if rows else ""


def carried(facts: dict[str, Any]) -> str:
    """Over which changes of code a result was carried; empty if over none."""
    links = facts.get("carried", [])
    if not links:
        return ""
    first, last = links[0]["from"]["commit"], links[-1]["to"]["commit"]
    metrics = min(link["evidence"]["metrics"] for link in links)
    steps = "" if len(links) == 1 else f" in {len(links)} steps"
    places = f"carried from `{first[:10]}` to `{last[:10]}`{steps}"
    return f"{places}: a short run gives the same {metrics} metrics with both"


def origins(runs: list[Results]) -> str:
    """When each run was made, from which commit, with which stamp."""
    rows = []
    for run in runs:
        facts = run["provenance"]
        commit = f"`{(facts['commit'] or 'none')[:10]}`"
        if facts["dirty"]:
            commit += " and changes"
        if words := carried(facts):
            commit += f", {words}"
        started = facts["started"].replace("T", " ").rstrip("Z")
        rows.append((run["run"], started, commit, f"`{facts['stamp'][:16]}`"))
    return table(["run", "started, UTC", "commit", "stamp"], rows, "llll")


def machines(runs: list[Results]) -> str:
    """The machines, each with the runs that were made on it."""
    found: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        facts = run["provenance"]
        machine = facts["machine"]
        processors = "; ".join(filter(None, [machine["processor"], graphics(facts)]))
        key = (processors, str(machine["cores"]), machine["system"], facts["python"])
        found.setdefault(key, []).append(run["run"])
    rows = [(*key, "all" if len(names) == len(runs) else ", ".join(names))
            for key, names in found.items()]  # fmt: skip
    return table(["processor", "cores", "system", "Python", "runs"], rows, "lrlll")


def versions(runs: list[Results]) -> str:
    """The libraries that results depend on; where versions differ, which run had which."""
    found: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for name, version in run["provenance"]["versions"].items():
            found.setdefault(name, {}).setdefault(version, []).append(run["run"])
    rows = []
    for name, used in sorted(found.items()):
        each = [f"{version} ({', '.join(names)})" for version, names in used.items()]
        rows.append((name, "; ".join(each) if len(used) > 1 else next(iter(used))))
    return table(["library", "version"], rows, "ll")


def provenance(runs: list[Results]) -> str:
    """All four tables, each with a title."""
    parts = (
        ("What the runs took.", costs(runs)),
        ("When they were made, and from what.", origins(runs)),
        ("On which machine.", machines(runs)),
        ("With which libraries.", versions(runs)),
    )
    return "\n\n".join(f"**{title}**\n\n{text}" for title, text in parts) + "\n"
