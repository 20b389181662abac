"""Sets of results beside the references: rounded otherwise, or drawn anew.

Another processor, or other kernels, rounds differently, and training and chaos amplify that to
another draw: the *second* set shows what a number and a verdict owe to the machine. Runs with other
seeds draw initial states, data and weights anew: the *redrawn* set shows what they owe to chance.
:func:`keep` makes them of runs: their metrics without the single samples, and how they compare.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from workflow.errors import Refused
from workflow.files import ROOT, write_whole
from workflow.ledger.ledger import REDRAWN, SECOND
from workflow.ledger.verify import ODD, VERDICTS, Metrics, compare, counted
from workflow.runs.experiments import load
from workflow.runs.integrity import checksum, read_reference
from workflow.runs.parameters import shown
from workflow.runs.reference import acceptable

#: What is kept of the provenance.
FACTS = (
    "stamp", "commit", "dirty", "started", "wall_s", "cpu_s", "peak_rss_mb", "machine", "python",
    "versions",
)  # fmt: skip


#: The value of a metric, and the ends of its interval.
ENDS = ("value", "low", "high")


def keep(preset: str, names: list[str], machine: str = "") -> str:
    """Keep fresh runs beside the references, under the name of their machine.

    Runs whose seeds all differ from the reference's are of the redrawn set, those with the same
    seeds of the second set.

    Raises Refused if a run is not fresh, has no reference, was made from a tree with uncommitted
    changes, has other parameters than the reference besides its seeds, or has its seeds and the
    name of its machine.
    """
    if preset != "cpu":
        raise Refused(f"preset must be cpu for sets to keep, got {preset}; leave it out")
    chosen = []
    for run in load(preset, names or None):
        again = f": python -m workflow run {run.name} --preset {preset} --force"
        fresh, reference = acceptable(run, "run it", again), read_reference(run.reference)
        if reference is None:
            raise Refused(f"{run.name} has no reference for {preset}; accept a run first")
        which = set_of(run.name, fresh["parameters"], reference["parameters"])
        facts = {name: fresh["provenance"][name] for name in FACTS}
        facts["machine"] = facts["machine"] | ({"processor": machine} if machine else {})
        here = facts["machine"]["processor"]
        if which == SECOND and here == reference["provenance"]["machine"]["processor"]:
            raise Refused(
                f"{run.name}: its reference was made on {here!r} too; keep runs of another "
                "processor, say what differs: --keep 'AMD EPYC with AVX2 kernels', or run it with "
                "other seeds"
            )
        compared = against if which == REDRAWN else agreement
        facts |= {"inputs": {}} | compared(fresh["metrics"], reference["metrics"])
        metrics = {
            name: {key: value for key, value in entry.items() if key != "by_seed"} | {"samples": []}
            for name, entry in fresh["metrics"].items()
        }
        content = {**fresh, "metrics": metrics, "provenance": facts}
        facts["checksum"] = checksum(content)
        chosen.append((which, run.name, content))
    lines = []
    for which, name, content in chosen:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_whole(ROOT / "results" / which / f"{name}.json", text)
        facts = content["provenance"]
        words = (
            in_words([facts["drawn"]]) if which == REDRAWN else counted(Counter(facts["agreement"]))
        )
        lines.append(f"{name}: kept for {facts['machine']['processor']}, {which} set; {words}")
    return "\n".join(lines)


def is_seed(name: str) -> bool:
    """Whether a parameter is a seed, and not a number of seeds.

    Examples
    --------
    >>> [is_seed(name) for name in ("seed", "data_seed", "n_seeds")]
    [True, True, False]
    """
    return name == "seed" or name.endswith("_seed")


def set_of(run: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """The set of a run with these parameters, beside a reference with those."""
    others = sorted(
        name
        for name in ours.keys() | theirs.keys()
        if not is_seed(name) and ours.get(name) != theirs.get(name)
    )
    if others:
        listed = ", ".join(
            f"{name} {shown(ours.get(name))} instead of {shown(theirs.get(name))}"
            for name in others
        )
        raise Refused(
            f"{run}: all parameters but seeds must be those of its reference, got {listed}; run it "
            "with the parameters of the reference"
        )
    seeds = [name for name in ours if is_seed(name)]
    same = [name for name in seeds if ours[name] == theirs[name]]
    if same and len(same) < len(seeds):
        raise Refused(
            f"{run}: all of its seeds must differ from the reference's, or none; "
            f"{', '.join(same)} do not; change them too in experiments.yml"
        )
    return SECOND if same or not seeds else REDRAWN


def agreement(fresh: Metrics, reference: Metrics) -> dict[str, Any]:
    """How the same draws compare on another machine: metrics by verdict, and what is odd."""
    rows = compare(fresh, reference)
    seen, odd = Counter(row.verdict for row in rows), [r for r in rows if r.verdict in ODD]
    return {
        "agreement": {word: seen[word] for word in VERDICTS if seen[word]},
        "odd": [f"`{row.name}`: {row.verdict}, {row.detail}" for row in odd],
    }


def against(fresh: Metrics, reference: Metrics) -> dict[str, Any]:
    r"""How other draws compare: how many metrics differ by more than their intervals allow.

    Two values with the half-widths h and h' towards each other differ by at most
    :math:`\sqrt{h^2 + h'^2}` in 95 % of cases, if these are the half-widths of 95 % intervals of
    normal estimates. Ranges of few values are counted apart (:func:`beyond_ranges`). What is equal
    in both runs, interval included, was not drawn anew and is left out. With new data a metric
    changes more than that if its interval misses a part of what is drawn. So this tries the
    intervals.
    """
    kinds: dict[str, list[float]] = {"intervals": [], "ranges": []}
    beyond, odd = dict.fromkeys(kinds, 0), []
    for name in sorted(fresh.keys() & reference.keys()):
        ours, theirs = fresh[name], reference[name]
        ends, others = ([each[end] for end in ENDS] for each in (ours, theirs))
        if None in ends + others or ends == others or ours.get("timing") or theirs.get("timing"):
            continue
        kind = "ranges" if None in (ours["level"], theirs["level"]) else "intervals"
        kinds[kind].append(0.05 if kind == "intervals" else beyond_ranges(min(ours["n"], 6)))
        a, b = ours["value"], theirs["value"]
        if abs(a - b) > math.hypot(towards(ours, b), towards(theirs, a)):
            beyond[kind] += 1
            odd.append(f"`{name}`: {between(ours)} against {between(theirs)}")
    counts = {
        kind: {
            "metrics": len(shares), "beyond": beyond[kind], "expected": round(math.fsum(shares), 2),
        }
        for kind, shares in kinds.items()
    }  # fmt: skip
    return {"drawn": counts, "odd": odd}


@cache
def beyond_ranges(n: int) -> float:
    """Share of pairs of samples of n normal values whose medians differ beyond their ranges.

    Simulated. So many ranges of `n` values fail by chance, since they promise less than 95 %.

    Examples
    --------
    >>> round(beyond_ranges(3), 2), round(beyond_ranges(5), 2)
    (0.16, 0.02)
    """
    draws = np.random.default_rng(0).normal(size=(2, 100_000, max(2, n)))
    low, middle, high = draws.min(-1), np.median(draws, -1), draws.max(-1)
    above = middle[1] > middle[0]
    own = np.where(above, high[0] - middle[0], middle[0] - low[0])
    other = np.where(above, middle[1] - low[1], high[1] - middle[1])
    return float((np.abs(middle[1] - middle[0]) > np.hypot(own, other)).mean())


def towards(entry: dict[str, Any], other: float) -> float:
    """The half-width of a metric's interval towards another value."""
    value = entry["value"]
    return entry["high"] - value if other > value else value - entry["low"]


def between(entry: dict[str, Any]) -> str:
    """A value and its interval as text."""
    return "{value:.4g} ({low:.4g} to {high:.4g})".format(**entry)


def in_words(drawn: list[dict[str, dict[str, float]]]) -> str:
    """How many metrics of redrawn runs differ by more than their intervals allow."""
    parts: list[str] = []
    for kind, name in (("intervals", "a 95 % interval"), ("ranges", "a range")):
        n, beyond, expected = (
            sum(each[kind][key] for each in drawn) for key in ("metrics", "beyond", "expected")
        )
        if n or (kind == "intervals" and not any(each["ranges"]["metrics"] for each in drawn)):
            verb = " do" if parts else f" differ by more than the two {kind} allow"
            parts.append(
                f"{beyond} of {n} metrics with {name}{verb}, where {expected:.0f} are expected"
            )
    return "; ".join(parts)
