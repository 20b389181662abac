"""Claims and verdicts: a criterion written down beforehand, evaluated on recorded metrics."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from workflow.errors import Refused
from workflow.files import read_text
from workflow.runs.expressions import check, is_true

REFERENCE = re.compile(r"([a-z][a-z0-9_]*):([a-z][a-z0-9_]*)(?:\.(low|high|value))?")
#: (run, metric, part) -> number; raises LookupError where there is none.
Lookup = Callable[[str, str, str], float]
#: Kinds of verdict; "holds only if" goes on with its condition.
VERDICTS = ("holds", "holds only if", "does not hold", "not tested here")


@dataclass(frozen=True)
class Claim:
    """One checkable claim of a paper."""

    id: str
    paper: str
    place: str
    claim: str
    printed: str
    scope: str
    criterion: str
    untested: str
    condition: str
    only_if: str
    note: str

    @property
    def reading(self) -> bool:
        """Whether it is our reading of what a paper implies or leaves out, and says so."""
        return bool(re.search(r"\bour reading\b|^What it leaves out", self.claim, re.I))

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """(run, metric) pairs that the criterion and the condition name."""
        text = f"{self.criterion} {self.condition}"
        return [(run, metric) for run, metric, _ in REFERENCE.findall(text)]


def read_claims(path: Path) -> list[Claim]:
    """All claims in a file.

    Raises
    ------
    Refused
        If an entry lacks what every claim has, repeats an id, or has neither criterion nor
        reason, or its criterion cannot be read.
    """
    claims: list[Claim] = []
    for entry in yaml.safe_load(read_text(path)):
        where = f"{path.name}, claim {entry.get('id')!r}"
        known = set(Claim.__dataclass_fields__) | {"released"}
        if unknown := set(entry) - known:
            raise Refused(f"{where}: unknown field {', '.join(sorted(unknown))}")
        fields = {name: str(entry.get(name, "")) for name in Claim.__dataclass_fields__}
        fields["printed"] = fields["printed"] or str(entry.get("released", ""))
        missing = [
            n for n in ("id", "paper", "place", "claim", "printed", "scope") if not fields[n]
        ]
        if missing:
            raise Refused(f"{where}: {', '.join(missing)} missing")
        if fields["scope"] not in ("method", "printed-model"):
            raise Refused(f"{where}: scope must be method or printed-model")
        if bool(fields["criterion"]) == bool(fields["untested"]):
            raise Refused(f"{where}: needs either a criterion or the reason why it is untested")
        if bool(fields["condition"]) != bool(fields["only_if"]):
            raise Refused(f"{where}: a condition needs only_if, its words, and the reverse")
        claim = Claim(**fields)
        if claim.id in {each.id for each in claims}:
            raise Refused(f"{where}: the id is used twice")
        for expression in filter(None, (claim.criterion, claim.condition)):
            named(expression)
        claims.append(claim)
    return claims


def named(text: str) -> tuple[str, dict[str, tuple[str, str, str]]]:
    """A criterion with variables for its metrics, and what they stand for.

    A criterion is made of metrics (``run:metric``, or its ``.low`` or ``.high``), numbers,
    + - * /, ``abs``, comparisons, ``and`` and ``or``, and nothing else.
    """
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
    """Whether a criterion is true on the metrics that `lookup` knows.

    Examples
    --------
    >>> holds("a_run:ratio.high <= 1.5", lambda run, metric, part: 1.2)
    True
    """
    text, names = named(criterion)
    return is_true(text, {name: lookup(*reference) for name, reference in names.items()})


def verdict(claim: Claim, ours: Lookup, paper: Lookup) -> str:
    """The verdict on a claim.

    Parameters
    ----------
    claim : Claim
        A claim about the method is judged from `ours`, one about the printed model from
        `paper`, results of the printed setting, alone: a miniature refutes a method's
        claim, never a large model's.
    ours, paper : callable
        Look up (run, metric, part); raise LookupError for what is not there.

    Returns
    -------
    str
        ``holds``, ``does not hold``, ``holds only if …`` or ``not tested here``.
    """
    if claim.untested:
        return "not tested here"
    lookup = ours if claim.scope == "method" else paper
    try:
        if holds(claim.criterion, lookup):
            return "holds"
        if claim.condition and holds(claim.condition, lookup):
            return "holds only if " + claim.only_if
        return "does not hold"
    except LookupError:
        return "not tested here"


def kind(text: str) -> str:
    """The kind of a verdict, one of :data:`VERDICTS`."""
    return next(each for each in reversed(VERDICTS) if text.startswith(each))
