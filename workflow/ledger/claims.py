"""Claims and verdicts: a criterion, written before the run, is evaluated on recorded metrics.

A criterion takes one of these forms; each may stand inside another:

``run:metric.high <= 1.5``
    A comparison of metrics (``run:metric``, or its ``.low`` or ``.high``) and numbers, made with
    + - * /, ``abs``, ``and`` and ``or``. ``preset/run:metric`` is the metric at that preset.
``{metric: run:metric, within: [low, high]}``
    The metric lies between two bounds. A bound is a number, or is made of metrics.
``{any_of: [...]}``, ``{all_of: [...]}``
    One of several criteria is true, or all are.
``{for_any: [...], ...}``
    One of the forms above is true with one of these texts in the place of ``{}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from workflow.errors import Refused
from workflow.files import read_text
from workflow.runs.expressions import check, is_true

REFERENCE = re.compile(r"((?:[a-z]+/)?[a-z][a-z0-9_]*):([a-z][a-z0-9_]*)(?:\.(low|high|value))?")
#: (run, perhaps with its preset, metric, part) -> number; raises LookupError if there is none.
Lookup = Callable[[str, str, str], float]
#: Kinds of verdict; "holds only if" goes on with its condition.
VERDICTS = (
    "holds", "holds only if", "does not hold", "not tested here", "holds by construction", "erratum"
)  # fmt: skip
#: Fields that every claim has, and others that it may have, in ``claims.yml``.
NEEDED = ("id", "paper", "place", "claim", "scope")
OTHERS = ("printed", "released", "criterion", "untested", "condition", "only_if", "note", "common")
MARKS = ("reading", "by_construction", "erratum", "seen")


@dataclass(frozen=True)
class Claim:
    """One checkable claim of a paper."""

    id: str
    paper: str
    place: str
    claim: str
    printed: str
    released: str  # what the authors published beside the paper
    scope: str
    criterion: str  # as one comparison
    rule: str  # the same in short, as Markdown
    untested: str
    condition: str
    only_if: str
    note: str
    common: str  # a criterion that all claims of its kind share, judged beside its own
    common_rule: str  # the same in short, as Markdown
    condition_rule: str  # the condition in short, as Markdown
    reading: bool  # our reading of what the paper implies or leaves out
    by_construction: bool  # it cannot fail, however the model was trained
    erratum: bool  # a slip in print, such as two swapped letters
    seen: bool  # values that bear on it had been seen when its criterion was written
    merged: dict[str, str]  # what was printed, by the id of each claim that became part of this one

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """(run, metric) pairs that its criteria name, the run as it is there."""
        return references(f"{self.criterion} {self.condition} {self.common}")

    @property
    def deciding(self) -> list[tuple[str, str]]:
        """Those that the criterion and the condition name."""
        return references(f"{self.criterion} {self.condition}")


def references(text: str) -> list[tuple[str, str]]:
    """(run, metric) pairs in a text."""
    return [(run, metric) for run, metric, _ in REFERENCE.findall(text)]


def read_claims(path: Path) -> list[Claim]:
    """All claims in a file.

    Raises Refused if an entry lacks a field, repeats an id, has neither criterion nor reason, or if
    its criterion cannot be read.
    """
    claims: dict[str, Claim] = {}
    for entry in yaml.safe_load(read_text(path)):
        try:
            claim = _claim(entry)
            used = {name for each in claims.values() for name in (each.id, *each.merged)}
            if used & {claim.id, *claim.merged}:
                raise Refused("the id is used twice")
        except Refused as error:
            raise Refused(f"{path.name}, claim {entry.get('id')!r}: {error}") from None
        claims[claim.id] = claim
    return list(claims.values())


def _claim(entry: dict[str, Any]) -> Claim:
    """A claim as its entry states it."""
    if unknown := set(entry) - {*NEEDED, *OTHERS, *MARKS, "merged"}:
        raise Refused(f"unknown field {', '.join(sorted(unknown))}")
    texts = {name: str(entry.get(name, "")) for name in (*NEEDED, *OTHERS)}
    texts["printed"] = texts["printed"] or texts["released"]
    if missing := [name for name in (*NEEDED, "printed") if not texts[name]]:
        raise Refused(f"{', '.join(missing)} missing")
    if texts["scope"] not in ("method", "printed-model"):
        raise Refused("scope must be method or printed-model")
    marks = {name: entry.get(name, False) for name in MARKS}
    for name, mark in marks.items():
        if not isinstance(mark, bool):
            raise Refused(f"{name} must be true or false, got {mark!r}")
    merged = entry.get("merged", {})
    if not isinstance(merged, dict):
        raise Refused(f"merged must be what was printed by id, got {merged!r}")
    if bool(texts["criterion"]) == bool(texts["untested"]):
        raise Refused("needs either a criterion or the reason why it is untested")
    if bool(texts["condition"]) != bool(texts["only_if"]):
        raise Refused("a condition needs only_if, its words, and the reverse")
    for name in ("criterion", "condition", "common"):
        if texts[name]:
            texts[name] = expanded(entry[name])
            named(texts[name])
    fields: dict[str, Any] = texts | marks | {"merged": {k: str(v) for k, v in merged.items()}}
    fields["rule"] = in_short(entry["criterion"]) if texts["criterion"] else ""
    fields["common_rule"] = in_short(entry["common"]) if texts["common"] else ""
    fields["condition_rule"] = in_short(entry["condition"]) if texts["condition"] else ""
    return Claim(**fields)


def expanded(form: Any) -> str:
    """A criterion of any form as one comparison.

    Raises Refused for any other form.

    Examples
    --------
    >>> expanded({"any_of": ["r:a > 1", {"metric": "r:b", "within": [0.5, 2]}]})
    '(r:a > 1) or (r:b >= 0.5 and r:b <= 2)'
    """
    match form:
        case str():
            return form
        case {"metric": str(metric), "within": [low, high], **rest} if not rest:
            return f"{metric} >= {low} and {metric} <= {high}"
        case {"any_of": [_, *_] as parts, **rest} if not rest:
            return " or ".join(f"({expanded(each)})" for each in parts)
        case {"all_of": [_, *_] as parts, **rest} if not rest:
            return " and ".join(f"({expanded(each)})" for each in parts)
        case {"for_any": [_, *_] as values, **rest}:
            return expanded({"any_of": [_filled(rest, str(value)) for value in values]})
    raise Refused(
        f"criterion {form!r:.200} must be a comparison, or have metric and within (two bounds), "
        "any_of or all_of (a list of criteria), or one of these and for_any (a list of texts)"
    )


def _filled(form: Any, value: str) -> Any:
    """A form with a value in the place of ``{}``."""
    if isinstance(form, dict):
        return {key: _filled(each, value) for key, each in form.items()}
    if isinstance(form, list):
        return [_filled(each, value) for each in form]
    return form.replace("{}", value) if isinstance(form, str) else form


def in_short(form: Any) -> str:
    """A criterion of any form that :func:`expanded` takes, in words, as Markdown.

    Examples
    --------
    >>> in_short({"for_any": ["x", "y"], "metric": "r:a_{}", "within": [0.5, 2]})
    'for one of `x`, `y` in place of `{}`: `r:a_{}` is between `0.5` and `2`'
    """
    match form:
        case {"for_any": values, **rest}:
            listed = ", ".join(f"`{value}`" for value in values)
            return f"for one of {listed} in place of `{{}}`: {in_short(rest)}"
        case {"any_of": parts}:
            return "one of: " + "; ".join(map(in_short, parts))
        case {"all_of": parts}:
            return "all of: " + "; ".join(map(in_short, parts))
        case {"metric": metric, "within": [low, high]}:
            return f"`{metric}` is between `{low}` and `{high}`"
    return f"`{form}`"


@lru_cache(maxsize=1024)
def named(text: str) -> tuple[str, dict[str, tuple[str, str, str]]]:
    """A comparison with variables for its metrics, and what they stand for."""
    names: dict[str, tuple[str, str, str]] = {}

    def variable(match: re.Match) -> str:
        name = f"_{len(names)}"
        names[name] = (match[1], match[2], match[3] or "value")
        return name

    replaced = REFERENCE.sub(variable, text).strip()
    try:
        check(replaced, names)
    except Refused as error:
        raise Refused(f"criterion {text!r}: {error}") from None
    if not names:
        raise Refused(f"criterion {text!r} names no metric of a run")
    return replaced, names


def holds(criterion: str, lookup: Lookup) -> bool:
    """Whether a comparison is true on the metrics that `lookup` knows.

    Examples
    --------
    >>> holds("a_run:ratio.high <= 1.5", lambda run, metric, part: 1.2)
    True
    """
    text, names = named(criterion)
    return is_true(text, {name: lookup(*reference) for name, reference in names.items()})


def verdict(claim: Claim, ours: Lookup, paper: Lookup) -> str:
    """The verdict on a claim: one of :data:`VERDICTS`, perhaps with its condition.

    A claim about the method is judged from `ours`, one about the printed model only from `paper`,
    results of the printed setting: a small model cannot refute a claim about a large one.
    """
    if claim.untested:
        return "erratum" if claim.erratum else "not tested here"
    lookup = ours if claim.scope == "method" else paper
    try:
        if holds(claim.criterion, lookup):
            return "holds by construction" if claim.by_construction else "holds"
        if claim.condition and holds(claim.condition, lookup):
            return "holds only if " + claim.only_if
        return "erratum" if claim.erratum else "does not hold"
    except LookupError:
        return "not tested here"


def by_common_rule(claim: Claim, ours: Lookup, paper: Lookup) -> str:
    """The verdict by the rule that all claims of a kind share; empty for a claim without one."""
    return verdict(under_common_rule(claim), ours, paper) if claim.common else ""


def under_common_rule(claim: Claim) -> Claim:
    """The claim with the common rule of its kind as its criterion, and no condition."""
    return replace(claim, criterion=claim.common, condition="")


def kind(text: str) -> str:
    """The kind of a verdict, one of :data:`VERDICTS`."""
    return next(each for each in reversed(VERDICTS) if text.startswith(each))
