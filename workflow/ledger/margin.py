r"""How far a verdict is from turning, and whether chance could turn it.

One metric takes another value, k half-widths of its interval away from its own, towards either end;
or two metrics do, by :math:`k/\sqrt 2` each, which is as likely if they are independent. There a
metric is a number without an interval: `.low` and `.high` are that number too. So a criterion that
asks for an upper end already contains the uncertainty. It is judged by whether the statement holds
everywhere in the interval, and no half-width is counted twice. A width (``X.high - X.low``) stays
as it was measured.

The *margin* is the smallest k that turns the verdict. So where the intervals of two metrics overlap
far, neither order of them is firm, whichever a criterion asks for. Where the verdict turns at the
value itself, since its interval alone decides, the margin is 0. A metric without an interval has
the band of its declared tolerance (a factor of 1 + tolerance in both directions), ``X_mean`` has
the half-widths of ``X``, and a metric of one seed or batch cannot be moved.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import Any

from workflow.ledger.claims import Claim, kind, verdict

#: How firm a verdict is.
FLAGS = ("firm", "within chance", "one seed", "one batch", "one timing")
#: Half-widths at which a verdict is tried; between two of them the margin is found by halving.
#: Two metrics are moved by each of these, one metric also by what lies between, since a criterion
#: that asks for a value within two limits is met in a small window alone.
STEPS = (0, 0.5, 1, 2, 4, 8, 16, 32, 64)
FINE = (0, *(2 ** (k / 8) for k in range(-8, 49)))
WIDTH = re.compile(r"((?:[a-z]+/)?[a-z]\w*:[a-z]\w*)\.high - \1\.low\b")

#: The metrics that a claim names, by (run, metric) as they stand in its criterion.
Known = dict[tuple[str, str], dict[str, Any]]


def ends(name: str, known: dict[str, dict[str, Any]]) -> tuple[float, float, float] | None:
    """Value, low and high of a metric; None where its spread is not known, or there is none.

    Examples
    --------
    >>> ends("a", {"a": {"value": 2.0, "low": None, "over": None, "tolerance": 1.0}})
    (2.0, 1.0, 4.0)
    """
    entry = known[name]
    value, low, high = (entry.get(key) for key in ("value", "low", "high"))
    whole = known.get(name.removesuffix("_mean"))
    if value is None or (entry.get("timing") and low is None):
        return None
    if low is None and whole and whole["low"] is not None:
        low, high = (value + whole[end] - whole["value"] for end in ("low", "high"))
    elif low is None and entry.get("over") is None:
        factor = 1 + entry.get("tolerance", 0)
        by = (value / factor, value * factor) if value else (-factor + 1, factor - 1)
        low, high = sorted(by)
    return None if low is None or high is None or low == high else (value, low, high)


def margin(claim: Claim, metrics: Known, others: dict[str, dict[str, dict[str, Any]]]) -> float:
    """The smallest number of half-widths by which metrics turn the verdict; inf for none.

    `others` are all metrics of each run that the claim names, by the run as it stands there.
    """

    def width(match: re.Match) -> str:
        run, _, name = match[1].rpartition(":")
        return f"({metrics[run, name]['high']!r} - {metrics[run, name]['low']!r})"

    fixed = replace(
        claim,
        criterion=WIDTH.sub(width, claim.criterion),
        condition=WIDTH.sub(width, claim.condition),
    )
    usual, found = judged(claim, metrics), math.inf
    bands = {key: band for key in metrics if (band := ends(key[1], others[key[0]]))}
    for keys in (*combinations(bands, 1), *combinations(bands, 2)):
        for towards in product((1, 2), repeat=len(keys)):
            moves = {
                key: (bands[key][0], (bands[key][end] - bands[key][0]) / math.sqrt(len(keys)))
                for key, end in zip(keys, towards, strict=True)
            }
            steps = FINE if len(keys) == 1 else STEPS
            found = min(found, first(partial(_moved, fixed, metrics, moves), usual, found, steps))
    return found


def _moved(
    claim: Claim, metrics: Known, moves: dict[tuple[str, str], tuple[float, float]], k: float
) -> str:
    """The verdict with some metrics moved from their values by `k` steps of their own."""
    points = {}
    for key, (value, step) in moves.items():
        moved = value + k * step
        points[key] = metrics[key] | {"value": moved, "low": moved, "high": moved}
    return judged(claim, metrics | points)


def first(
    at: Callable[[float], str], usual: str, limit: float, steps: Sequence[float] = STEPS
) -> float:
    """The smallest of some steps, refined by halving, at which the verdict is not the usual."""
    before = 0.0
    for step in steps:
        if before >= limit:
            break
        if at(step) != usual:
            after = float(step)
            for _ in range(10 if step else 0):
                middle = (before + after) / 2
                before, after = (before, middle) if at(middle) != usual else (middle, after)
            return after
        before = float(step)
    return math.inf


def judged(claim: Claim, metrics: Known) -> str:
    """The kind of the verdict that these metrics give."""

    def find(run: str, name: str, part: str) -> float:
        found = metrics[run, name][part]
        if found is None:
            raise LookupError(f"{run}:{name} has no {part}")
        return found

    return kind(verdict(claim, find, find))


def flag(metrics: Known, distance: float) -> str:
    """How firm a verdict with this margin is, one of :data:`FLAGS`.

    Examples
    --------
    >>> flag({}, 0.8), flag({}, 1.2)
    ('within chance', 'firm')
    """
    alone = [
        entry
        for entry in metrics.values()
        if entry["value"] is not None and entry["low"] is None and entry.get("tolerance", 0) > 0
    ]
    if any(entry.get("timing") for entry in alone):
        return "one timing"
    if distance <= 1:
        return "within chance"
    over = {entry.get("over") for entry in alone} - {None}
    return "one seed" if "seeds" in over else "one batch" if over else "firm"


def expected(margins: list[float]) -> float:
    """How many of these verdicts another run with new seeds and starts would turn by chance.

    Estimates are taken as normal, and a half-width as 1.96 standard deviations. The difference of
    two estimates has twice the variance of one. So each verdict with the margin m counts
    Phi(-1.96 m / sqrt 2).

    Examples
    --------
    >>> round(expected([0.0, 1.0, 5.0]), 2)
    0.58
    """
    return sum(0.5 * math.erfc(0.98 * each) for each in margins)
