"""Damage to what a run wrote: noticed by form and checksum, and named with its remedy.

A results file carries the checksum of itself and of the executed notebook that it belongs to.
They tell of disks that fill up, of kills, of editors; they are no signature.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from workflow.errors import Refused
from workflow.files import ROOT
from workflow.runs.experiments import Run

#: What an entry of the metrics holds, beside its value.
NUMBERS = ("value", "low", "high", "level")
ENTRY = {*NUMBERS, "n", "over", "samples", "unit", "tolerance"}
FACTS: dict[str, type | tuple[type, ...]] = {
    "stamp": str, "dirty": bool, "started": str, "wall_s": (int, float), "cpu_s": (int, float),
    "peak_rss_mb": (int, float), "machine": dict, "python": str, "versions": dict, "inputs": dict,
}  # fmt: skip


class Damaged(Refused):
    """A file that is not what a run wrote."""


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(results: dict[str, Any]) -> str:
    """Checksum of results, themselves without a checksum."""
    facts = {k: v for k, v in results["provenance"].items() if k != "checksum"}
    text = json.dumps(results | {"provenance": facts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(results: dict[str, Any], executed: Path) -> dict[str, Any]:
    """Results with the checksums of the executed notebook and of themselves."""
    results = json.loads(json.dumps(results, allow_nan=False))  # as they will be read
    facts = results["provenance"] | {"notebook_sha256": digest(executed)}
    results = results | {"provenance": facts}
    return results | {"provenance": facts | {"checksum": checksum(results)}}


def parse(text: str | bytes) -> Any:
    """JSON with finite numbers only; ValueError for anything else."""

    def number(literal: str) -> float:
        value = float(literal)
        if not math.isfinite(value):
            raise ValueError(f"{literal[:40]} is no finite number")
        return value

    try:
        return json.loads(text, parse_constant=number, parse_float=number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_results(content: Any) -> None:
    """Raise ValueError for what does not keep the contract of a results file."""

    def need(condition: bool, words: str) -> None:
        if not condition:
            raise ValueError(words)

    def is_number(value: Any) -> bool:
        return type(value) in (int, float)

    need(isinstance(content, dict), "it is no object")
    for name, kind in (
        ("run", str), ("notebook", str), ("preset", str), ("parameters", dict),
        ("metrics", dict), ("provenance", dict),
    ):  # fmt: skip
        need(isinstance(content.get(name), kind), f"{name} is missing or of another type")
    need(bool(content["metrics"]), "it has no metrics")
    for name, entry in content["metrics"].items():
        need(bool(re.fullmatch(r"[a-z][a-z0-9_]*", name)), f"metric {name!r:.60} is no name")
        fields = set(entry) if isinstance(entry, dict) else set()
        need(fields - {"timing"} == ENTRY, f"metric {name} has other fields")
        timing = entry.get("timing", False)  # which older references do not have
        need(isinstance(timing, bool), f"metric {name}: timing is neither true nor false")
        for field in NUMBERS:
            whole = entry[field] is None or is_number(entry[field])
            need(whole, f"metric {name}: {field} is no number")
        need(type(entry["n"]) is int, f"metric {name}: n is no whole number")
        need(is_number(entry["tolerance"]), f"metric {name}: tolerance is no number")
        need(isinstance(entry["unit"], str), f"metric {name}: unit is no text")
        need(isinstance(entry["over"], (str, type(None))), f"metric {name}: over is no text")
        samples = entry["samples"]
        need(
            isinstance(samples, list) and all(map(is_number, samples)),
            f"metric {name}: samples are no numbers",
        )
    for name, kinds in FACTS.items():
        need(
            isinstance(content["provenance"].get(name), kinds),
            f"provenance: {name} is missing or of another type",
        )


def read_sound(path: Path) -> dict[str, Any] | None:
    """A results file, None where there is none.

    Raises
    ------
    Damaged
        If it is cut short, breaks the contract, or was changed since it was written. One
        without a checksum, as older references are, is judged by its form alone.
    """
    try:
        content = parse(path.read_bytes())
        check_results(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Damaged(f"{shown(path)} is cut short or no results file: {error}") from None
    if content["provenance"].get("checksum", checksum(content)) != checksum(content):
        raise Damaged(f"{shown(path)} was changed after the run wrote it")
    return content


def read_reference(path: Path) -> dict[str, Any] | None:
    """A committed reference, None where there is none; :class:`Damaged` names the remedy."""
    try:
        return read_sound(path)
    except Damaged as error:
        raise Damaged(f"{error}; bring it back: git checkout -- {shown(path)}") from None


def examine(run: Run) -> tuple[dict[str, Any] | None, str]:
    """The results of a run, None where they are missing or damaged, and what is wrong with it.

    The second is empty where its outputs are whole or not there. An executed notebook of another
    run than the results is not damaged but out of step.
    """
    try:
        results = read_sound(run.results)
    except Damaged as error:
        return None, str(error)
    if results is None or not run.executed.exists():
        return results, ""
    if results["provenance"].get("notebook_sha256", "") not in ("", digest(run.executed)):
        sentence = f"{shown(run.executed)} is not the notebook that {shown(run.results)} came with"
        return results, sentence
    return results, ""


def shown(path: Path) -> str:
    """A path below the clone, as a message shows it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def damaged_artefacts(root: Path) -> list[Path]:
    """Checkpoints and trained models below `root` that do not match their checksums."""
    from dynlib.training import checkpoint

    found = []
    for state in sorted(root.rglob("state.json")):
        if state.parent.suffix != ".part":
            try:
                checkpoint.load(state.parent)
            except checkpoint.DamagedCheckpoint:
                found.append(state.parent)
    return found
