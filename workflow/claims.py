"""Claims and verdicts: a criterion written down beforehand, evaluated on recorded metrics."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workflow.experiments import Refused

REFERENCE = re.compile(r"([a-z][a-z0-9_]*):([a-z][a-z0-9_]*)(?:\.(low|high|value))?")
ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.USub, ast.BinOp, ast.Add,
    ast.Sub, ast.Mult, ast.Div, ast.Compare, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.Call,
    ast.Name, ast.Load, ast.Constant,
)  # fmt: skip

#: (run, metric, part) -> number; raises LookupError where there is none.
Lookup = Callable[[str, str, str], float]


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
    for entry in yaml.safe_load(path.read_text()):
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
            compile_expression(expression)
        claims.append(claim)
    return claims


def compile_expression(text: str) -> tuple[Any, dict[str, tuple[str, str, str]]]:
    """Code of a criterion, and what its variables stand for.

    A criterion is made of metrics (``run:metric`` with ``.low`` or ``.high``), numbers, + - * /,
    ``abs``, comparisons, ``and`` and ``or``, and nothing else.
    """
    names: dict[str, tuple[str, str, str]] = {}

    def variable(match: re.Match) -> str:
        name = f"_{len(names)}"
        names[name] = (match[1], match[2], match[3] or "value")
        return name

    try:
        tree = ast.parse(REFERENCE.sub(variable, text).strip(), mode="eval")
    except SyntaxError as error:
        raise Refused(f"criterion {text!r} cannot be read: {error.msg}") from None
    for node in ast.walk(tree):
        call = isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id == "abs"
        )
        stray = isinstance(node, ast.Name) and node.id not in (*names, "abs")
        if not isinstance(node, ALLOWED) or call or stray:
            raise Refused(f"criterion {text!r} uses {ast.unparse(node)!r}, which is not allowed")
    if not names or not isinstance(tree.body, (ast.Compare, ast.BoolOp)):
        raise Refused(f"criterion {text!r} compares no metric of a run")
    return compile(tree, "criterion", "eval"), names


def holds(expression: str, lookup: Lookup) -> bool:
    """Whether a criterion is true on the metrics that `lookup` knows.

    Examples
    --------
    >>> holds("a_run:ratio.high <= 1.5", lambda run, metric, part: 1.2)
    True
    """
    code, names = compile_expression(expression)
    values = {name: lookup(*reference) for name, reference in names.items()}
    return bool(eval(code, {"__builtins__": {}, "abs": abs}, values))


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
