"""The ledger as data: every claim with its verdict and the numbers behind it, as JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from workflow.files import csv_text
from workflow.ledger.claims import VERDICTS, Claim, Lookup, kind, verdict

#: (preset, run, metric) -> the metric's entry in the results; LookupError if there is none.
Metrics = Callable[[str, str, str], dict[str, Any]]


@dataclass(frozen=True)
class Found:
    """A metric that a claim is judged by; `recorded` says whether its run has been made."""

    run: str
    metric: str
    preset: str
    recorded: bool
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Entry:
    """A claim, its verdict in words, the kind of the verdict, and our numbers."""

    claim: Claim
    verdict: str
    kind: str
    ours: tuple[Found, ...]


def lookup(metrics: Metrics, preset: str) -> Lookup:
    """The numbers of one preset, in the form that criteria need."""

    def find(place: str, name: str, part: str) -> float:
        given, _, run = place.rpartition("/")
        value = metrics(given or preset, run, name)[part]
        if value is None:  # an interval that does not exist gives no verdict
            raise LookupError(f"{place}:{name} has no {part}")
        return value

    return find


def judge(claim: Claim, metrics: Metrics, preset: str) -> str:
    """The verdict on a claim in the book of `preset`."""
    return verdict(claim, lookup(metrics, preset), lookup(metrics, "paper"))


def ledger(claims: Iterable[Claim], metrics: Metrics, preset: str) -> list[Entry]:
    """All claims, judged in the book of `preset`."""
    entries = []
    for claim in claims:
        where = preset if claim.scope == "method" else "paper"
        ours = []
        for place, name in dict.fromkeys(claim.metrics):
            given, _, run = place.rpartition("/")
            try:
                entry = metrics(given or where, run, name)
                numbers = [entry[key] for key in ("value", "low", "high")]
            except LookupError:
                numbers = []
            ours.append(Found(run, name, given or where, bool(numbers), *numbers))
        text = judge(claim, metrics, preset)
        entries.append(Entry(claim, text, kind(text), tuple(ours)))
    return entries


def counts(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """How many claims of each paper got which kind of verdict."""
    table: dict[str, dict[str, int]] = {}
    for entry in entries:
        table.setdefault(entry.claim.paper, dict.fromkeys(VERDICTS, 0))[entry.kind] += 1
    return table


def as_json(entries: list[Entry], preset: str) -> str:
    """The ledger as JSON: preset, counts of verdicts per paper, claims."""
    claims = [
        asdict(each.claim) | {key: asdict(each)[key] for key in ("verdict", "kind", "ours")}
        for each in entries
    ]
    content = {"preset": preset, "counts": counts(entries), "claims": claims}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_csv(entries: list[Entry]) -> str:
    """The ledger as CSV, a row per claim; our numbers in one column, as ``run:metric=value``."""
    rows = []
    for each in entries:
        ours = "; ".join(
            f"{one.run}:{one.metric}={one.value}"
            + (f" ({one.low} to {one.high})" if one.low is not None else "")
            for one in each.ours
            if one.recorded
        )
        head = {"id": each.claim.id, "verdict": each.verdict, "kind": each.kind, "ours": ours}
        rows.append(head | asdict(each.claim))
    return csv_text(rows)
