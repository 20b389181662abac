"""Small expressions in text files: comparisons of named numbers, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.USub, ast.BinOp, ast.Add,
    ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Compare, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.Eq, ast.Call, ast.Name, ast.Load, ast.Constant,
)  # fmt: skip


class Refused(ValueError):
    """A request that cannot be carried out, explained in one sentence."""


def check(text: str, names: Collection[str]) -> None:
    """Refuse an expression that is not a comparison made of `names`, numbers and ``abs``."""
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
            wrong = not isinstance(node.func, ast.Name) or len(node.args) != 1 or node.keywords
        if wrong:
            raise Refused(f"{text!r} uses {ast.unparse(node)!r}, which is not allowed")
    if not isinstance(tree.body, (ast.Compare, ast.BoolOp)):
        raise Refused(f"{text!r} is no comparison")


def is_true(text: str, values: Mapping[str, float]) -> bool:
    """Evaluate a comparison; one that divides by zero or overflows is false.

    Examples
    --------
    >>> is_true("abs(a - b) <= 0.5 and a / b < 2", {"a": 1.0, "b": 1.2})
    True
    """
    check(text, values.keys())
    try:
        return bool(eval(text, {"__builtins__": {}, "abs": abs}, dict(values)))
    except ArithmeticError:
        return False
