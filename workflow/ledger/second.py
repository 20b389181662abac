"""A second set of results, from another processor or other kernels, kept beside the references.

These round differently, and training and chaos amplify that to another draw. So a second set shows
what a number and a verdict owe to the machine. :func:`keep` makes it of runs that were made there:
their metrics without the single samples, and how they compare with the reference.
"""

from __future__ import annotations

import json
from collections import Counter

from workflow.errors import Refused
from workflow.files import ROOT, write_whole
from workflow.ledger.ledger import SECOND
from workflow.ledger.verify import ODD, VERDICTS, compare, counted
from workflow.runs.experiments import load
from workflow.runs.integrity import checksum, read_reference
from workflow.runs.reference import acceptable

#: What is kept of the provenance.
FACTS = (
    "stamp", "commit", "dirty", "started", "wall_s", "cpu_s", "peak_rss_mb", "machine", "python",
    "versions",
)  # fmt: skip


def keep(preset: str, names: list[str], machine: str = "") -> str:
    """Keep fresh runs as the second set, under the name of their machine.

    Raises Refused if a run is not fresh, has no reference, was made from a tree with uncommitted
    changes, or if its machine has the name of the reference's machine.
    """
    if preset != "cpu":
        raise Refused(f"preset must be cpu for the second set, got {preset}; leave it out")
    chosen = []
    for run in load(preset, names or None):
        again = f": python -m workflow run {run.name} --preset {preset} --force"
        fresh, reference = acceptable(run, "run it", again), read_reference(run.reference)
        if reference is None:
            raise Refused(f"{run.name} has no reference for {preset}; accept a run first")
        facts = {name: fresh["provenance"][name] for name in FACTS}
        facts["machine"] = facts["machine"] | ({"processor": machine} if machine else {})
        here = facts["machine"]["processor"]
        if here == reference["provenance"]["machine"]["processor"]:
            raise Refused(
                f"{run.name}: its reference was made on {here!r} too; keep runs of another "
                "processor, or say what differs: --keep 'AMD EPYC with AVX2 kernels'"
            )
        rows = compare(fresh["metrics"], reference["metrics"])
        seen, odd = Counter(row.verdict for row in rows), [r for r in rows if r.verdict in ODD]
        facts |= {
            "inputs": {},
            "agreement": {word: seen[word] for word in VERDICTS if seen[word]},
            "odd": [f"`{row.name}`: {row.verdict}, {row.detail}" for row in odd],
        }
        metrics = {
            name: {key: value for key, value in entry.items() if key != "by_seed"} | {"samples": []}
            for name, entry in fresh["metrics"].items()
        }
        content = {**fresh, "metrics": metrics, "provenance": facts}
        facts["checksum"] = checksum(content)
        chosen.append((run.name, content))
    lines = []
    for name, content in chosen:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_whole(ROOT / "results" / SECOND / f"{name}.json", text)
        words = counted(Counter(content["provenance"]["agreement"]))
        lines.append(f"{name}: kept for {content['provenance']['machine']['processor']}; {words}")
    return "\n".join(lines)
