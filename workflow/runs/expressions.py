"""Small expressions in text files: comparisons of named numbers, and nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Collection, Mapping
from functools import lru_cache

from workflow.errors import Refused

OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
}  # fmt: skip
ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.USub, ast.BinOp, ast.Compare,
    ast.Call, ast.Name, ast.Load, ast.Constant, *OPERATORS,
)  # fmt: skip


def check(text: str, names: Collection[str]) -> None:
    """Refuse an expression that is not a comparison made of `names`, numbers and ``abs``."""
    _read(text, frozenset(names))


@lru_cache(maxsize=1024)
def _read(text: str, names: frozenset[str]) -> ast.expr:
    """The tree of an expression that passes :func:`check`."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise Refused(f"{text!r} cannot be read: {error.msg}") from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        wrong = not isinstance(node, ALLOWED)
        if isinstance(node, ast.Name):
            wrong = node.id not in (("abs",) if id(node) in called else names)
        if isinstance(node, ast.Constant):
            wrong = type(node.value) not in (int, float)
        if isinstance(node, ast.Call):
            wrong = (
                not isinstance(node.func, ast.Name) or len(node.args) != 1 or bool(node.keywords)
            )
        if wrong:
            raise Refused(f"{text!r} uses {ast.unparse(node)!r}, which is not allowed")
    if not isinstance(tree.body, (ast.Compare, ast.BoolOp)):
        raise Refused(f"{text!r} is not a comparison")
    return tree.body


def is_true(text: str, values: Mapping[str, float]) -> bool:
    """Evaluate a comparison; one that divides by zero or overflows is false.

    Examples
    --------
    >>> is_true("abs(a - b) <= 0.5 and a / b < 2", {"a": 1.0, "b": 1.2})
    True
    """
    tree = _read(text, frozenset(values))
    try:
        return bool(number_of(tree, values))
    except ArithmeticError:
        return False


def number_of(node: ast.expr, values: Mapping[str, float]) -> float:
    """The value of a checked expression."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(operand=inner):
            return -number_of(inner, values)
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](number_of(left, values), number_of(right, values))
        case ast.Call(args=[inner]):
            return abs(number_of(inner, values))
        case ast.BoolOp(op=op, values=parts):
            return (all if isinstance(op, ast.And) else any)(number_of(p, values) for p in parts)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            before = number_of(left, values)
            for sign, right in zip(ops, rights, strict=True):
                after = number_of(right, values)
                if not OPERATORS[type(sign)](before, after):
                    return False  # what follows is not evaluated, as in Python
                before = after
            return True
    raise Refused(f"{ast.unparse(node)!r} has no value")
