"""Damage to what a run wrote: detected by form and checksum, and reported with its remedy.

A results file has its own checksum and that of the executed notebook that it belongs to. They
detect truncation, crashes and manual edits; they are not a signature.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflow import files
from workflow.errors import Refused, first_problem
from workflow.files import shown_path
from workflow.runs.experiments import Run


class Strict(BaseModel):
    """What takes the declared types only."""

    model_config = ConfigDict(strict=True)


class Metric(Strict, extra="forbid"):
    """An entry of the metrics."""

    value: float | None
    low: float | None
    high: float | None
    level: float | None
    n: int
    over: str | None
    samples: list[float]
    unit: str
    tolerance: float
    timing: bool = False  # which older references do not have
    by_seed: list[float] | None = None  # of a metric over several seeds and units


class Provenance(Strict):
    """What every provenance holds, among more."""

    stamp: str
    dirty: bool
    started: str
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    machine: dict
    python: str
    versions: dict
    inputs: dict
    checksum: str


class Results(Strict):
    """The contract of a results file."""

    run: str
    notebook: str
    preset: str
    parameters: dict
    metrics: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], Metric] = Field(min_length=1)
    provenance: Provenance


class Damaged(Refused):
    """A file that is not what a run wrote."""


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(results: dict[str, Any]) -> str:
    """Checksum of results, without the checksum in them."""
    facts = {k: v for k, v in results["provenance"].items() if k != "checksum"}
    return files.checksum(results | {"provenance": facts})


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
            raise ValueError(f"{literal[:40]} is not a finite number")
        return value

    try:
        return json.loads(text, parse_constant=number, parse_float=number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_results(content: Any) -> None:
    """Raise ValueError for content that does not keep the contract of a results file."""
    try:
        Results.model_validate(content)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None


def sound(text: bytes, name: str) -> dict[str, Any]:
    """The content of a results file.

    Raises Damaged if it is cut short, breaks the contract, or was changed since it was written.
    """
    try:
        content = parse(text)
        check_results(content)
    except ValueError as error:
        raise Damaged(f"{name} is cut short or not a results file: {error}") from None
    if content["provenance"]["checksum"] != checksum(content):
        raise Damaged(f"{name} was changed after the run wrote it")
    return content


def read_sound(path: Path) -> dict[str, Any] | None:
    """A :func:`sound` results file, None if there is none."""
    try:
        return sound(path.read_bytes(), shown_path(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{shown_path(path)} cannot be read: {error}") from None


def read_reference(path: Path) -> dict[str, Any] | None:
    """A committed reference, None if there is none; :class:`Damaged` names the remedy."""
    try:
        return read_sound(path)
    except Damaged as error:
        raise Damaged(f"{error}; bring it back: git checkout -- {shown_path(path)}") from None


def examine(run: Run) -> tuple[dict[str, Any] | None, str]:
    """The results of a run, None if missing or damaged, and what is wrong: empty if nothing is."""
    try:
        results = read_sound(run.results)
    except Damaged as error:
        return None, str(error)
    if results is not None and run.executed.exists():
        expected = results["provenance"].get("notebook_sha256")
        if expected and expected != digest(run.executed):
            notebook, file = shown_path(run.executed), shown_path(run.results)
            return results, f"{notebook} is not the notebook that {file} came with"
    return results, ""


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
