"""The picture of a criterion on one metric: where it is met, and where the metric lies."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from functools import reduce

from workflow.ledger.claims import Claim, Lookup, named
from workflow.ledger.ledger import Found
from workflow.runs.expressions import number_of

Key = tuple[str, str]
Bounds = tuple[Key, float, float]
PRINTED = re.compile(r"(?:.*\bratio of )?(\d+(?:\.\d+)?(?:e-?\d+)?)(?: against [\d.e-]+)?")


@dataclass(frozen=True)
class Strip:
    """A metric, the values at which its criterion is met (infinite for no end), the printed one."""

    ours: Found
    low: float
    high: float
    printed: float | None
    judged: frozenset[str]  # what the criterion asks for: "value", "low" or "high" of the metric

    def ends(self) -> list[float]:
        """All finite numbers that the picture shows."""
        ours = [self.ours.value, self.ours.low, self.ours.high, self.printed]
        known = [float(each) for each in ours if each is not None]
        return [*known, *(each for each in (self.low, self.high) if math.isfinite(each))]


def strip(claim: Claim, ours: tuple[Found, ...], lookup: Lookup) -> Strip | None:
    """The picture of a claim's criterion, None if it is about several metrics, or about none.

    What else a criterion names, such as a second metric that bounds the first, is a number here.
    """
    if not claim.criterion:
        return None
    text, names = named(claim.criterion)
    try:
        values = {name: lookup(*reference) for name, reference in names.items()}
        bounds = _bounds(ast.parse(text, mode="eval").body, names, values)
    except (LookupError, ArithmeticError):
        return None
    if bounds is None:
        return None
    key, low, high = bounds
    found = next(each for each in ours if key == (each.run, each.metric))
    if found.value is None or low > high:
        return None
    match = PRINTED.fullmatch(claim.printed.strip())
    judged = frozenset(
        part for place, name, part in names.values() if (place.rpartition("/")[2], name) == key
    )
    return Strip(found, low, high, float(match[1]) if match else None, judged)


def _bounds(
    node: ast.expr, names: dict[str, tuple[str, str, str]], values: dict[str, float]
) -> Bounds | None:
    """The metric that a comparison is about, and between which numbers it is true."""

    def key(name: str) -> Key:
        return names[name][0].rpartition("/")[2], names[name][1]

    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            found = [_bounds(part, names, values) for part in parts]
            if any(each is None or each[0] != found[0][0] for each in found):  # type: ignore[index]
                return None
            return reduce(_both, found)  # type: ignore[arg-type]
        case ast.Compare(
            left=ast.Call(args=[ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=middle)]),
            ops=[ast.LtE() | ast.Lt()],
            comparators=[radius],
        ):
            at, by = number_of(middle, values), number_of(radius, values)
            return key(name), at - by, at + by
        case ast.Compare(left=ast.Name(id=name), ops=[sign], comparators=[right]):
            limit = number_of(right, values)
            low = -math.inf if isinstance(sign, ast.Lt | ast.LtE) else limit
            high = math.inf if isinstance(sign, ast.Gt | ast.GtE) else limit
            return key(name), low, high
    return None


def _both(one: Bounds, other: Bounds) -> Bounds:
    return one[0], max(one[1], other[1]), min(one[2], other[2])
