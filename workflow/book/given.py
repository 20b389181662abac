"""The parameters of a run on its page: their values in the code, and a table of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from workflow.runs.experiments import Run, load

#: Begins the comment above each group of parameters that a reader would change last.
ADVANCED = "# advanced"


def with_values(source: str, values: Mapping[str, Any]) -> str:
    """A cell of parameters with these values in place of the defaults."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            name, old = ast.unparse(node.target), node.value
            line = lines[old.lineno - 1].encode()  # columns are those of UTF-8
            new = repr(values.get(name, ast.literal_eval(old))).encode()
            lines[old.lineno - 1] = (
                line[: old.col_offset] + new + line[old.end_col_offset :]
            ).decode()
    return "\n".join(lines)


def first_parameters(source: str) -> int:
    """How many parameters stand above the first that a cell calls advanced."""
    above = source.partition(ADVANCED)[0]
    return len([node for node in ast.parse(above).body if isinstance(node, ast.AnnAssign)])


def table(run: Run, values: Mapping[str, Any]) -> str:
    """What a run was given, in Markdown: the first parameters in the open, the others folded.

    Beside a value stands that of the preset `paper` where it differs.
    """
    paper: Mapping[str, Any] = {}
    if run.base_preset != "paper":
        paper = load("paper", [run.name])[0].parameters
    differs = any(paper.get(name, value) != value for name, value in values.items())
    names = ["parameter", "value", *(["at `paper`"] if differs else []), "meaning"]
    head = f"| {' | '.join(names)} |\n|{' :--- |' * len(names)}\n"
    lines = []
    for each in run.declared.values():
        value = values.get(each.name, each.default)
        printed = paper.get(each.name, value)
        row = [f"`{each.name}`", _code(value)]
        row += [_code(printed) if printed != value else ""] if differs else []
        lines.append(f"| {' | '.join([*row, _escaped(each.help)])} |\n")
    n = first_parameters(run.cell)
    text = f":::{{container}} given\n{head}{''.join(lines[:n])}:::\n"
    if lines[n:]:
        text += (
            f"\n::::{{dropdown}} {len(lines) - n} more parameters\n:class-container: run-card\n\n"
            f"{head}{''.join(lines[n:])}::::\n"
        )
    return text


def _code(value: Any) -> str:
    return f"`{value}`" if value != "" else "none"


def _escaped(words: str) -> str:
    """Words as Markdown shows them in a cell of a table."""
    return re.sub(r"([|$*_^~\\])", r"\\\1", words)
