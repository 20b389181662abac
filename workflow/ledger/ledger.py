"""The ledger as data: every claim with its verdict and the numbers behind it, as JSON and CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from workflow.files import csv_text
from workflow.ledger.claims import (
    VERDICTS,
    Claim,
    Lookup,
    by_common_rule,
    kind,
    under_common_rule,
    verdict,
)
from workflow.ledger.margin import FLAGS, Known, expected, flag, margin

#: (preset, run, metric) -> the metric's entry in the results; LookupError if there is none.
Metrics = Callable[[str, str, str], dict[str, Any]]
#: The folders of the sets of results beside the references (:mod:`workflow.ledger.second`).
SECOND, REDRAWN = "second", "redrawn"
#: Kinds of verdict that a metric could turn.
JUDGED = ("holds", "holds only if", "does not hold")


@dataclass(frozen=True)
class Found:
    """A metric that a claim is judged by; `recorded` says whether its run has been made."""

    run: str
    metric: str
    preset: str
    recorded: bool
    unit: str = ""  # "1" for a pure number; empty without results
    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None  # None with an interval: a range
    band: float | None = None  # the declared tolerance, where it stands for an interval


@dataclass(frozen=True)
class Entry:
    """A claim, its verdict in words, the kind of the verdict, and our numbers.

    The margin is None where the verdict does not turn within 64 half-widths, or there is none.
    """

    claim: Claim
    verdict: str
    kind: str
    ours: tuple[Found, ...]
    margin: float | None = None
    flag: str = ""  # one of margin.FLAGS; empty where nothing was judged
    common: str = ""  # the verdict by the common rule
    second: str = ""  # the verdict by the second set of results, where it has what decides
    redrawn: str = ""  # the same by the redrawn set
    second_common: str = ""  # the verdict by the common rule in the second set
    redrawn_common: str = ""  # the same in the redrawn set

    @property
    def split(self) -> bool:
        """Whether the common rule gives another verdict than the claim's own criterion."""
        return bool(self.common and self.flag) and kind(self.common) != self.kind

    @property
    def turned(self) -> bool:
        """Whether the second or the redrawn set gives another verdict, by either rule."""
        there = (self.second, self.redrawn, self.second_common, self.redrawn_common)
        return any(self.turns(verdict) for verdict in there)

    def turns(self, there: str) -> bool:
        """Whether the verdict by another set is of another kind."""
        return bool(there) and kind(there) != self.kind


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


def by_set(kept: str, claim: Claim, metrics: Metrics, preset: str) -> str:
    """The verdict by a set beside the references; empty where it lacks a metric that decides."""

    def find(which: str, run: str, name: str) -> dict[str, Any]:
        return metrics(kept if which == preset else which, run, name)

    where = preset if claim.scope == "method" else "paper"
    places = {place: place.rpartition("/")[0] or where for place, _ in claim.deciding}
    if preset != "cpu" or preset not in places.values():
        return ""
    try:
        for place, name in claim.deciding:
            find(places[place], place.rpartition("/")[2], name)
    except LookupError:
        return ""
    return judge(claim, find, preset)


def ledger(claims: Iterable[Claim], metrics: Metrics, preset: str) -> list[Entry]:
    """All claims, judged in the book of `preset`."""
    entries = []
    for claim in claims:
        where = preset if claim.scope == "method" else "paper"
        ours: list[Found] = []
        known: Known = {}
        others: dict[str, dict[str, dict[str, Any]]] = {}
        for place, name in dict.fromkeys(claim.metrics):
            given, _, run = place.rpartition("/")
            entry = recorded(metrics, given or where, run, name)
            numbers = []
            if entry:
                numbers = [entry.get(key) for key in ("value", "low", "high", "level")]
                spread = any(entry.get(key) is not None for key in ("low", "over"))
                moved = not (spread or entry.get("timing") or name.endswith("_mean"))
                numbers += [entry.get("tolerance") or None] if moved else []
            unit = entry.get("unit", "1") if entry else ""
            ours.append(Found(run, name, given or where, bool(entry), unit, *numbers))
            if entry and (place, name) in claim.deciding:
                known[place, name] = entry
                whole = name.removesuffix("_mean")
                beside = recorded(metrics, given or where, run, whole)
                others.setdefault(place, {})[name] = entry
                others[place].setdefault(whole, beside or entry)
        text = judge(claim, metrics, preset)
        find = lookup(metrics, preset), lookup(metrics, "paper")
        judged = Entry(claim, text, kind(text), tuple(ours), common=by_common_rule(claim, *find))
        if judged.kind in JUDGED and set(claim.deciding) <= set(known):
            distance = margin(claim, known, others)
            shown = round(distance, 3) if distance < math.inf else None
            rules = {"": claim}
            if claim.common:
                rules["_common"] = under_common_rule(claim)
            for kept, (name, rule) in product((SECOND, REDRAWN), rules.items()):
                there = by_set(kept, rule, metrics, preset)
                judged = replace(judged, **{f"{kept}{name}": there})  # type: ignore[arg-type]
            flagged = flag(known, math.inf if shown is None else shown)  # found by halving
            judged = replace(judged, margin=shown, flag=flagged)
            if (judged.turned or judged.split) and judged.flag == "firm":
                judged = replace(judged, flag="within chance")
        entries.append(judged)
    return entries


def recorded(metrics: Metrics, preset: str, run: str, name: str) -> dict[str, Any] | None:
    """A metric's entry, None if there is none."""
    try:
        return metrics(preset, run, name)
    except LookupError:
        return None


def firmness(entries: Iterable[Entry]) -> dict[str, Any]:
    """How many verdicts were judged, how many have which flag, and how many chance would turn.

    Also how many criteria were written when values had been seen; and of those with a common rule,
    how many have another verdict by it, and how many of these hold by their own criterion.
    """
    judged = [each for each in entries if each.flag]
    margins = [each.margin for each in judged if each.margin is not None]
    flags = {word: sum(each.flag == word for each in judged) for word in FLAGS}
    ruled = [each for each in judged if each.common]
    return {
        "judged": len(judged),
        "flags": flags,
        "expected": round(expected(margins), 1),
        "seen": sum(bool(each.claim.seen) for each in judged),
        "common_rule": {
            "judged": len(ruled),
            "other": sum(each.split for each in ruled),
            "lost": sum(bool(each.split) and each.kind == "holds" for each in ruled),
        },
    }


def counts(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """How many claims of each paper got which kind of verdict."""
    table: dict[str, dict[str, int]] = {}
    for entry in entries:
        table.setdefault(entry.claim.paper, dict.fromkeys(VERDICTS, 0))[entry.kind] += 1
    return table


def by_name(entry: Entry) -> dict[str, str]:
    """The verdicts of an entry by the common rule and by the other sets, as they are exported."""
    rules = ("common", "second", "redrawn", "second_common", "redrawn_common")
    return {f"{rule}_verdict": getattr(entry, rule) for rule in rules}


def as_json(entries: list[Entry], preset: str) -> str:
    """The ledger as JSON: preset, counts of verdicts per paper, claims."""
    claims = [
        asdict(each.claim)
        | {key: asdict(each)[key] for key in ("verdict", "kind", "margin", "flag", "ours")}
        | by_name(each)
        for each in entries
    ]
    content = {
        "preset": preset,
        "counts": counts(entries),
        "firmness": firmness(entries),
        "claims": claims,
    }
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
        head = {
            "id": each.claim.id, "verdict": each.verdict, "kind": each.kind, "margin": each.margin,
            "flag": each.flag, **by_name(each), "ours": ours,
        }  # fmt: skip
        rows.append(head | asdict(each.claim))
    return csv_text(rows)
