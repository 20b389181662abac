"""Whether fresh runs agree with the committed reference, in their metrics and their verdicts.

On one machine two runs are equal to the last bit. Another processor rounds differently, and
training and chaos turn that into another draw from the same distribution. So two values agree if

- they are no further apart than the tolerance that the code declares: a factor of 1 + tolerance, or
  the tolerance itself where one value is 0 or the signs differ; or
- chance explains the difference, as far as the spread over seeds, batches, trajectories or starts
  shows (:func:`by_chance`). All metrics of a run are judged together (:func:`together`). A run in
  which nothing but chance differs fails in one of 1000 verifications.

What has no known spread, and what measures time, is shown and never fails.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from workflow.files import ROOT, shown_path
from workflow.ledger.claims import read_claims
from workflow.ledger.ledger import judge
from workflow.runs.experiments import load
from workflow.runs.integrity import Damaged, damaged_artefacts, read_reference
from workflow.runs.status import read_results, state

#: Verifications of a sound run that fail by chance.
FALSE_ALARMS = 1e-3
#: Below this probability a metric is listed: as unusual, or as one that differs if the run does.
UNUSUAL = 0.01
#: Smaller probabilities are taken as this one.
LEAST = 1e-300
#: A single batch agrees if it is equal up to rounding that nothing has amplified.
ROUNDING = 1e-6
#: Exit codes. 2 means that a command was refused.
AGREES, DAMAGE, CHANCE = 0, 1, 3
#: Names of counts of independent events.
COUNT = re.compile(r"_(censored|failures|failed_seeds)(_|$)|^conditions_")

VERDICTS = ("agrees", "differs", "moved", "gone", "new", "one batch", "time")
#: Those of a metric that does not agree.
ODD = ("gone", "new", "moved", "differs")
#: Those of a metric that is not compared, in words.
LEFT_OUT = {"one batch": "of one batch", "time": "durations"}

Metrics = dict[str, dict[str, Any]]


class Row(NamedTuple):
    """How one metric compares.

    The verdict is one of :data:`VERDICTS`: ``differs`` is more than chance explains, ``moved`` is a
    change where nothing is drawn at random, ``one batch`` and ``time`` are not compared. `near`
    says whether it is within the tolerance. `chance` is the probability of such a difference, 1
    within the tolerance, None if the values are equal or their spread is not known.
    """

    name: str
    verdict: str
    detail: str
    near: bool = False
    chance: float | None = None


def within(a: float, b: float, tolerance: float) -> bool:
    """Whether `a` is within the tolerance of the reference `b`.

    Examples
    --------
    >>> within(1.9, 1.0, 1.0), within(0.4, 1.0, 1.0), within(0, 1, 1.0)
    (True, False, True)
    """
    if a and b and (a > 0) == (b > 0):
        return max(a / b, b / a) <= 1 + tolerance
    return abs(a - b) <= tolerance * (abs(b) or 1.0)


def declared(entry: dict[str, Any]) -> float:
    """The tolerance that the code declares, 0 where the recorded one is the range of the samples.

    A record widens the tolerance to the range (:func:`dynlib.report.record.metric`). The range says
    too little of a few samples and too much of many, so the samples are tested instead.
    """
    samples = entry["samples"] or [0.0]
    spread = (max(samples) - min(samples)) / (abs(entry["value"] or 0.0) or 1.0)
    return entry["tolerance"] if entry["tolerance"] > spread else 0.0


def by_chance(ours: list[float], theirs: list[float], shift: float | None = None) -> float:
    """Probability that samples of one distribution have means at least this far apart.

    Student's t-test with equal variances, on logarithms if all samples are positive. The runs share
    seeds, starts or true trajectories, so their difference tends to be smaller than the test
    assumes, never larger. `shift` replaces the difference of the means.

    Examples
    --------
    >>> round(by_chance([1.0, 2.0, 3.0], [11.0, 12.0, 13.0]), 3)
    0.004
    """
    a, b = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    if shift is None:
        if min(a.min(), b.min()) > 0:
            a, b = np.log(a), np.log(b)
        shift = a.mean() - b.mean()
    free = len(a) + len(b) - 2
    variance = (len(a) * a.var() + len(b) * b.var()) / free
    error = math.sqrt(variance * (1 / len(a) + 1 / len(b)))
    if not error:
        return float(shift == 0)
    return float(2 * stats.t.sf(abs(shift) / error, free))


def drawn(entry: dict[str, Any]) -> list[float]:
    """The independent values of a metric: of its training seeds if there are several."""
    seeds = entry.get("by_seed", [])
    return seeds if len(seeds) > 1 else entry.get("samples", [])


def probability(name: str, fresh: Metrics, reference: Metrics) -> float | None:
    """Probability of a metric's difference by chance, None if its spread is not known.

    The spread of ``X_mean`` is that of the samples of ``X``. Where several training seeds were
    measured on the same units, the seeds are compared: another processor trains other networks, and
    the units are the same. A count of events is compared with the other count: each event is as
    likely in the one run as in the other.
    """
    a, b = fresh[name]["value"], reference[name]["value"]
    if a is None or b is None or reference[name]["tolerance"] == 0:
        return None
    known = name.removesuffix("_mean")
    ours, theirs = (drawn(metrics.get(known, {})) for metrics in (fresh, reference))
    if min(len(ours), len(theirs)) > 1:
        return by_chance(ours, theirs, None if known == name else a - b)
    if COUNT.search(name) and reference[name]["over"] is None:
        return float(stats.binomtest(int(a), int(a + b)).pvalue) if a + b else 1.0
    return None


def together(chances: list[float]) -> float:
    """Probability of several differences together: the harmonic mean of their probabilities.

    It holds however the metrics depend on each other, and finds many small shifts better than the
    smallest probability times their number does.

    Examples
    --------
    >>> together([1e-4, 1.0]), together([])
    (0.00019998000199980003, 1.0)

    References
    ----------
    Wilson (2019), PNAS 116, 1195-1200, doi:10.1073/pnas.1814092116.
    """
    return len(chances) / sum(1 / chance for chance in chances) if chances else 1.0


def compare(fresh: Metrics, reference: Metrics) -> list[Row]:
    """How each metric of a run compares with the reference, in alphabetical order."""
    both = fresh.keys() & reference.keys()
    rows = [Row(name, "gone", "only in the reference") for name in reference.keys() - both]
    rows += [Row(name, "new", "only in the fresh run") for name in fresh.keys() - both]
    rows += [judged(name, fresh, reference) for name in both]
    if overall(rows) < FALSE_ALARMS:
        rows = [
            row._replace(verdict="differs") if (row.chance or 1.0) < UNUSUAL else row
            for row in rows
        ]
    return sorted(rows)


def overall(rows: list[Row]) -> float:
    """Probability that chance alone makes a run differ as much."""
    return together([row.chance for row in rows if row.chance is not None])


def judged(name: str, fresh: Metrics, reference: Metrics) -> Row:
    """How a metric that both runs have compares, by itself."""
    ours, theirs = fresh[name], reference[name]
    a, b, tolerance = ours["value"], theirs["value"], declared(theirs)
    detail = f"{a} against {b}" if None in (a, b) else f"{a:.6g} against {b:.6g}"
    near = a == b or (None not in (a, b) and within(a, b, tolerance))
    row = Row(name, "agrees", f"{detail} (tolerance {tolerance:.3g})", near)
    if ours.get("timing") or theirs.get("timing"):
        return row._replace(verdict="time")
    if ours["unit"] != theirs["unit"]:
        return row._replace(verdict="moved", detail=f"in {ours['unit']}, not {theirs['unit']}")
    if a == b:
        return row
    if None in (a, b):  # where failures are counted, that count is compared
        counted = f"{name}_failures" in fresh.keys() & reference.keys()
        return row._replace(verdict="one batch" if counted else "moved")
    if theirs["over"] not in (None, "seeds") and min(ours["n"], theirs["n"]) < 2:
        same = math.isclose(a, b, rel_tol=ROUNDING)
        return row._replace(verdict="agrees" if same else "one batch")
    chance = probability(name, fresh, reference)
    if chance is not None:
        words = f"{detail} (chance does this in {chance:.2g} of runs)"
        return row._replace(detail=words, chance=1.0 if near else max(chance, LEAST))
    return row if near else row._replace(verdict="differs" if theirs["over"] else "moved")


def report(name: str, rows: list[Row]) -> list[str]:
    """What is said of one run."""
    of = {word: [row for row in rows if row.verdict == word] for word in VERDICTS}
    odd = [row for word in ODD for row in of[word]]
    rare = [row for row in of["agrees"] if (row.chance or 1.0) < UNUSUAL]
    drawn = sum(row.chance is not None for row in rows)
    lines = [f"{name}: {len(of['agrees'])} of {len(of['agrees']) + len(odd)} metrics agree"]
    lines += [f"  {row.name}: {row.verdict}, {row.detail}" for row in odd]
    if drawn:
        lines.append(f"  drawn anew: {drawn}; chance does this in {overall(rows):.2g} of runs")
    for head, listed in (
        ("agree, but are unusual", rare),
        ("of one batch, whose spread is not known, not compared", of["one batch"]),
        ("times, not compared", of["time"]),
    ):
        far = [row for row in listed if not row.near]
        if listed:
            lines.append(f"  {head}: {len(listed)}" + ("; outside the tolerance:" if far else ""))
        lines += [f"    {row.name}: {row.detail}" for row in far]
    return lines


def in_words(rows: list[Row]) -> str:
    """How many metrics agree, as a page says it; those that differ are for the page to list."""
    return counted(Counter(row.verdict for row in rows))


def counted(seen: Counter[str]) -> str:
    """The same from the number of metrics of each verdict."""
    odd = sum(seen[word] for word in ODD)
    text = f"{seen['agrees']} of {seen['agrees'] + odd} metrics agree, within tolerance or chance"
    left = [f"{seen[word]} {name}" for word, name in LEFT_OUT.items() if seen[word]]
    return text + (f" (not compared: {', '.join(left)})" if left else "")


def verdicts(preset: str, compared: dict[str, Metrics]) -> list[str]:
    """How many verdicts on claims the fresh metrics of these runs leave as they are, and which not.

    A verdict follows from the metrics, so it changes no exit code.
    """
    committed = {}
    for kind in {preset, "paper"}:
        for run in load(kind, optional=True):
            try:
                content = read_reference(run.reference)
            except Damaged:
                continue
            if content is not None:
                committed[kind, run.name] = content["metrics"]
    fresh = committed | {(preset, name): metrics for name, metrics in compared.items()}
    path = ROOT / "book" / "claims.yml"
    claims = [
        claim
        for claim in (read_claims(path) if path.exists() else [])
        if any(run.rpartition("/")[2] in compared for run, _ in claim.metrics)
    ]
    lines = []
    for claim in claims:
        ours = judge(claim, lambda kind, run, name: fresh[kind, run][name], preset)
        theirs = judge(claim, lambda kind, run, name: committed[kind, run][name], preset)
        if ours != theirs:
            lines.append(f"  {claim.id}: {ours}; in the reference: {theirs}")
    same = len(claims) - len(lines)
    head = f"verdicts on the {len(claims)} claims about these runs, tested or not: {same} agree"
    return [head, *lines] if claims else []


def verify(preset: str, names: list[str]) -> tuple[str, int]:
    """Compare fresh runs with the committed reference; text and exit code.

    The code is 0 if all agree. It is 1 for damage: a run that is missing, stale or damaged, a
    metric that is new or gone, a number that moved although nothing in it is drawn at random. It is
    3 if only numbers that are drawn differ, by more than chance explains.
    """
    lines: list[str] = []
    code, seen, compared = AGREES, Counter[str](), dict[str, Metrics]()
    for run in load(preset, names or None):
        fresh, reference = read_results(run.results), None
        condition, reason = state(run)
        again = f"`make run RUN={run.name} PRESET={preset}`"
        try:
            reference = read_reference(run.reference)
            if reference is None:
                lines.append(f"{run.name}: there is no reference for {preset}; accept a run first")
        except Damaged as error:
            lines.append(f"{run.name}: {error}")
        if condition == "missing":
            lines.append(f"{run.name}: not run yet; {again}")
        elif condition != "fresh":
            lines.append(f"{run.name}: the run is {condition} ({reason}); run it again: {again}")
        if condition != "fresh" or fresh is None or reference is None:
            code = DAMAGE
            continue
        compared[run.name] = fresh["metrics"]
        rows = compare(fresh["metrics"], reference["metrics"])
        seen.update(row.verdict for row in rows)
        lines += report(run.name, rows)
    for folder in damaged_artefacts(ROOT / "build" / "artefacts"):
        lines.append(
            f"{shown_path(folder)} does not match its checksums; the run that needs it trains "
            f"again, or say: rm -r {shown_path(folder)}"
        )
        code = DAMAGE
    if len(compared) > 1:
        count = seen.total() - seen["one batch"] - seen["time"]
        lines.append(
            f"all runs: {seen['agrees']} of {count} metrics agree; "
            f"not compared: {seen['one batch']} of one batch, {seen['time']} times"
        )
    if seen["moved"] + seen["new"] + seen["gone"]:
        code = DAMAGE
    elif seen["differs"] and not code:
        code = CHANCE
        lines.append(
            "only numbers that are drawn at random differ, by more than chance explains in "
            f"{1 - FALSE_ALARMS:.1%} of runs"
        )
    return "\n".join([*lines, *verdicts(preset, compared)]), code
