"""Speed as Markdown: the rows of ``results/bench.json``, how they were measured, what they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from workflow.book.provenance import table
from workflow.runs.outputs import power

Bench = dict[str, Any]

NOTHING = (
    "Nothing has been measured yet: `make bench` writes `results/bench.json`, which is not there."
)
NO_CARD = "Not measured: no result of a GPU is kept. `make gpu-check` makes one."


def clock(seconds: float) -> str:
    """A time in the unit that suits it.

    Examples
    --------
    >>> clock(0.0123), clock(4.5e-6), clock(7000)
    ('12.3 ms', '4.5 µs', '7000 s')
    >>> clock(0.9999)
    '1 s'
    """
    rounded = float(f"{seconds:.3g}")
    unit, size = ("s", 1.0) if rounded >= 1 else ("ms", 1e-3) if rounded >= 1e-3 else ("µs", 1e-6)
    value = seconds / size
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def ratio(value: float) -> str:
    """A ratio with three digits at most; large ones in full.

    Examples
    --------
    >>> ratio(0.8333), ratio(12.345), ratio(118.7), ratio(190301.6)
    ('0.83', '12.3', '119', '190\\u202f302')
    """
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return grouped(text)


def grouped(text: str) -> str:
    """Numbers as pages write them: digits of long ones in groups, powers of ten.

    Examples
    --------
    >>> grouped("10000000 states, 2074 weights, to 1e-08")
    '10\\u202f000\\u202f000 states, 2074 weights, to 1·10⁻⁸'
    """
    text = re.sub(r"(?<![\w.])\d(?:\.\d+)?e[+-]?\d+", lambda found: power(found[0]), text)
    return re.sub(
        r"(?<![\w.])\d{5,}(?![\w.]*\d)", lambda n: f"{int(n[0]):,}".replace(",", "\u202f"), text
    )


def cell(text: str) -> str:
    """Text inside a table."""
    return grouped(text).replace("|", "\\|")


def interval(one: dict[str, Any]) -> str:
    """Between which ratios the median lies; a range for few turns, empty for one."""
    if one["low"] is None or one["low"] == one["high"]:
        return ""
    kind = "" if one.get("level") else "range "
    return f"{kind}{ratio(one['low'])} to {ratio(one['high'])}".replace(" ", "\u00a0")


def aim(one: dict[str, Any]) -> str:
    """The ratio that was wanted, and whether it is reached."""
    verdict = {True: ", reached", False: ", **missed**", None: ""}[one["reached"]]
    return "" if one["aim"] is None else f"{one['aim']:.3g}{verdict}"


def rows_of(bench: Bench, subjects: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of some subjects, in their order."""
    return [
        each for name in subjects for each in bench.get("rows", []) if each["subject"] == name
    ]  # fmt: skip


def ratios(rows: Sequence[dict[str, Any]], *, timed: bool = True) -> str:
    """The table of some rows, with their times if there are any."""
    lines = []
    for one in rows:
        value = "not measured" if one["ratio"] is None else ratio(one["ratio"])
        around = f" ({found})" if (found := interval(one)) else ""
        line = [cell(one["name"]), cell(one["against"]), value + around, aim(one)]
        both = [clock(each).replace(" ", "\u00a0") for each in one.get("seconds") or []]
        times = " / ".join(both)
        lines.append([*line, times] if timed else line)
    heads = ["ours", "against", "times faster", "aim", "times"]
    return table(heads[: 4 + timed], lines, "llrlr"[: 4 + timed])


def notes(rows: Sequence[dict[str, Any]]) -> str:
    """What a reader must know of the rows, an item a row; empty if there is nothing."""
    return "\n".join(
        f"- {cell(one['name'])}, against {cell(one['against'])}: {cell(one['note'])}."
        for one in rows
        if one["note"]
    )


def limits(rows: Sequence[dict[str, Any]]) -> str:
    """What stands in the way where an aim is missed, one item a row; empty if nothing is known."""
    return "\n".join(
        f"- **{cell(one['name'])}**, against {cell(one['against'])}: {cell(one['limit'])}."
        for one in rows
        if one["reached"] is False and one.get("limit")
    )


def slopes(curves: Sequence[dict[str, Any]]) -> str:
    """Fitted exponents beside the theoretical ones, a line each."""
    lines = []
    for curve in curves:
        for one in curve["lines"]:
            if one["exponent"] is None:
                continue
            lines.append(
                [
                    cell(curve["name"]), cell(one["name"]), f"{one['exponent']:.2f}",
                    f"{one['theory']:.2f}", cell(one["words"]),
                ]
            )  # fmt: skip
    return table(["curve", "side", "exponent", "in theory", "cost"], lines, "llrrl")


def summary(bench: Bench) -> str:
    """How many aims were reached, on which machine, and from which code."""
    rows = bench.get("rows", [])
    if not rows:
        return NOTHING
    wanted = [each for each in rows if each["aim"] is not None]
    reached = sum(bool(each["reached"]) for each in wanted)
    failed = sum(each["ratio"] is None for each in rows)
    missed = sum(each["reached"] is False for each in wanted)
    text = f"{len(rows)} comparisons. Aims reached: {reached} of {len(wanted)}; missed: {missed}."
    text += f" Not measured: {failed}." if failed else ""
    return f"{text}\n\n{origins(bench)}"


def origins(bench: Bench) -> str:
    """Which subjects were measured where, when, and from which commit."""
    known: dict[tuple[str, ...], list[str]] = {}
    for name, facts in bench["subjects"].items():
        machine = facts["machine"]
        commit = f"`{(facts['commit'] or 'none')[:10]}`" + " and changes" * facts["dirty"]
        where = f"{machine['processor']}, {machine['cores']} cores"
        key = (where, str(facts["threads"]), commit, facts["date"][:10])
        known.setdefault(key, []).append(name)
    lines = [
        [*key, "all" if len(names) == len(bench["subjects"]) else ", ".join(names)]
        for key, names in known.items()
    ]
    return table(["processor", "threads", "commit", "day", "subjects"], lines, "lrlll")


def card(bench: Bench) -> str:
    """What ``make gpu-check`` found, or that nothing was measured."""
    if "gpu" not in bench:
        return NO_CARD
    machine, rows = bench["gpu"]["machine"], bench["gpu"]["rows"]
    where = f"On {machine['gpu']}, driver {machine['driver']}, commit `{machine['commit'][:10]}`:"
    return f"{where}\n\n{ratios(rows, timed=False)}\n\n{notes(rows)}"
