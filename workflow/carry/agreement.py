"""Whether two witnesses recorded the same, and what a carried result records then.

What is measured must agree to the last bit, except for times. What only describes a metric (its
unit, its tolerance, whether it is a time) comes from the present code, and names can be changed
on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from workflow.errors import Refused

Metrics = dict[str, dict[str, Any]]
#: An old name and a new one. Each may hold one ``*``, which stands for the same text in both.
Rename = tuple[str, str]

#: Fields of a metric that describe it; the others are measured.
DESCRIBE = ("unit", "tolerance", "timing")


def read_renames(texts: Iterable[str]) -> list[Rename]:
    """Renames written as ``OLD=NEW``.

    Raises Refused for a text of another form.

    Examples
    --------
    >>> read_renames(["ratio=w1_ratio", "*_mse_600=*_mse_horizon"])
    [('ratio', 'w1_ratio'), ('*_mse_600', '*_mse_horizon')]
    """
    renames = []
    for text in texts:
        old, _, new = text.partition("=")
        same_stars = old.count("*") == new.count("*") < 2
        if not same_stars or not all(re.fullmatch(r"[a-z0-9_*]+", each) for each in (old, new)):
            raise Refused(
                f"a rename is OLD=NEW, names of metrics, each with one * or none of them; "
                f"got {text!r:.100}"
            )
        renames.append((old, new))
    return renames


def matched(pattern: str, name: str) -> str | None:
    """The text that ``*`` stands for in a name, None if the name does not match.

    Examples
    --------
    >>> matched("*_mse_600", "stnn_mse_600"), matched("ratio", "ratio"), matched("ratio", "rate")
    ('stnn', '', None)
    """
    found = re.fullmatch(re.escape(pattern).replace(r"\*", "(.+)"), name)
    return None if found is None else "".join(found.groups())


def check_used(renames: list[Rename], names: Iterable[str]) -> None:
    """Refuse a rename if no metric has its old name, or its new one from an earlier call."""
    for old, new in renames:
        if all(matched(old, name) is None and matched(new, name) is None for name in names):
            raise Refused(f"no result records a metric {old}, so it cannot be renamed {new}")


def new_names(names: Iterable[str], renames: list[Rename]) -> dict[str, str]:
    """The new name of each metric, which mostly is the old one.

    Raises Refused if two metrics would have one name, or if two renames apply to one metric.
    """
    found: dict[str, str] = {}
    for name in names:
        texts = [(new, matched(old, name)) for old, new in renames]
        given = [new.replace("*", text) for new, text in texts if text is not None] or [name]
        if len(given) > 1:
            raise Refused(f"metric {name} is renamed twice: to {' and to '.join(given)}")
        if given[0] in found.values():
            raise Refused(f"two metrics would be named {given[0]}; rename {name} otherwise")
        found[name] = given[0]
    return found


def renamed(metrics: Metrics, renames: list[Rename]) -> Metrics:
    """Metrics under their new names."""
    return {new: metrics[old] for old, new in new_names(metrics, renames).items()}


def is_time(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a metric measures time, and did so before; old records do not say, the new one does.

    A metric that is declared to be a time only now cannot hide a change in this way.
    """
    return bool(after["timing"] and before.get("timing", True))


def moved(before: Metrics, after: Metrics) -> str:
    """The first metric that was measured differently by two witnesses, empty if none was."""
    for name in sorted({*before, *after}):
        if name not in after:
            return f"metric {name} is not recorded any more"
        if name not in before:
            return f"metric {name} is new"
        one, two = before[name], after[name]
        fields = [key for key in one if key not in DESCRIBE and one[key] != two.get(key)]
        if fields and not is_time(one, two):
            key = "value" if "value" in fields else fields[0]
            return f"metric {name} moved: {key} {one[key]!r}, now {two[key]!r}"
    return ""


def described(metrics: Metrics, before: Metrics, after: Metrics) -> tuple[Metrics, list[str]]:
    """A result's metrics as the present code describes them, and what is described differently.

    `before` and `after` are what the witnesses recorded with the old and with the present code. The
    unit and the mark of times are those of `after`. The tolerance changes only if another one is
    declared (the samples of the witnesses are equal). Then it is the new one, widened by the spread
    of the result's own samples.
    """
    found, changes = dict(metrics), []
    for name, new in after.items():
        if name not in metrics:
            continue
        old, entry = before[name], metrics[name]
        taken = {"unit": new["unit"], "timing": new["timing"]}
        if old["tolerance"] != new["tolerance"] and not is_time(old, new):
            # Many samples are not kept: then the result's tolerance stands for their spread.
            spread = _spread(entry) if len(entry["samples"]) == entry["n"] else entry["tolerance"]
            taken["tolerance"] = max(new["tolerance"], spread)
        found[name] = entry | taken
        changes += [
            f"{name}: {key} {old[key]!r}, now {new[key]!r}"
            for key in taken
            if key in old and old[key] != new[key]
        ]
    return found, changes


def _spread(entry: dict[str, Any]) -> float:
    """The relative spread of a metric's samples, as :func:`dynlib.report.record.metric` has it."""
    if not entry["samples"]:
        return 0.0
    return (max(entry["samples"]) - min(entry["samples"])) / (abs(entry["value"]) or 1.0)
