"""Sets of results beside the references: rounded otherwise, or drawn anew.

Another processor, or other kernels, rounds differently, and training and chaos amplify that to
another draw: the *second* set shows what a number and a verdict owe to the machine. Runs with other
seeds draw initial states, data and weights anew: the *redrawn* set shows what they owe to chance.
:func:`keep` makes them of runs: their metrics without the single samples, and how they compare.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from workflow.errors import Refused
from workflow.files import ROOT, write_whole
from workflow.ledger.ledger import REDRAWN, SECOND
from workflow.ledger.verify import ODD, VERDICTS, Metrics, compare, counted, probability
from workflow.runs.experiments import load
from workflow.runs.integrity import checksum, read_reference
from workflow.runs.parameters import shown
from workflow.runs.reference import acceptable

#: What is kept of the provenance.
FACTS = (
    "stamp", "commit", "dirty", "started", "wall_s", "cpu_s", "peak_rss_mb", "machine", "python",
    "versions",
)  # fmt: skip
#: Probabilities below which a redrawn metric is counted, and below which it is listed.
COUNTED, LISTED = 0.05, 1e-3


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
            in_words(facts["drawn"]) if which == REDRAWN else counted(Counter(facts["agreement"]))
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
    """How other draws compare: of the metrics with a known spread, how many chance explains.

    With new data a metric changes more than its spread over seeds or batches tells, if that spread
    misses a part of what is drawn. So this tries the intervals, not the code.
    """
    chances = {
        name: chance
        for name in sorted(fresh.keys() & reference.keys())
        if not (fresh[name].get("timing") or reference[name].get("timing"))
        and (chance := probability(name, fresh, reference)) is not None
    }
    far = {name: chance for name, chance in chances.items() if chance < LISTED}
    return {
        "drawn": {
            "metrics": len(chances),
            "beyond": sum(chance < COUNTED for chance in chances.values()),
        },
        "odd": [
            f"`{name}`: {fresh[name]['value']:.6g} against {reference[name]['value']:.6g} "
            f"(chance does this in {chance:.2g} of runs)"
            for name, chance in far.items()
        ],
    }


def in_words(drawn: dict[str, int]) -> str:
    """How many metrics of redrawn runs differ by more than chance explains."""
    return (
        f"{drawn['beyond']} of {drawn['metrics']} metrics with a known spread differ by more than "
        f"chance does in {COUNTED:.0%} of runs; {COUNTED * drawn['metrics']:.0f} are expected"
    )
