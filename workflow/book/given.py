"""The parameters of a run on its page: their values in the code, and a table of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from workflow.book.provenance import device, duration, loaded_seconds
from workflow.errors import Refused
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
    names = ["parameter", "value", *(["at preset `paper`"] if differs else []), "meaning"]
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


def changed(run: Run) -> tuple[str, int]:
    """The first whole number among the parameters of a run, with another that it may be."""
    for name, value in run.parameters.items():
        if type(value) is not int:
            continue
        for other in (value // 2, value * 2, value + 1):
            try:
                load(run.base_preset, [run.name], {name: str(other)})
            except Refused:
                continue
            if other != value:
                return name, other
    raise ValueError(f"{run.name} has no whole number among its parameters that may change")


def again(run: Run, results: dict[str, Any]) -> str:
    """The command that runs a page with another value, in Markdown, and what the page cost."""
    name, value = changed(run)
    facts = results["provenance"]
    whole = facts["wall_s"] + loaded_seconds(results)
    preset = "" if run.base_preset == "cpu" else f" PRESET={run.base_preset}"
    return (
        "To run it with another value:\n\n```console\n"
        f'$ make run RUN={run.name}{preset} ARGS="-p {name} {value}"\n```\n\n'
        f"With the values above it took {duration(whole)} on {device(facts)}, and "
        f"{facts['peak_rss_mb']} MB of memory. Outputs with other values go to a folder of their "
        "own.\n"
    )


def _code(value: Any) -> str:
    return f"`{value}`" if value != "" else "none"


def _escaped(words: str) -> str:
    """Words as Markdown shows them in a cell of a table."""
    return re.sub(r"([|$*_^~\\])", r"\\\1", words)
