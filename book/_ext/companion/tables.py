"""Tables: numbers stand right-aligned, the best of a column is bold, long ones are folded.

A table's class says more: ``best-low-3`` and ``best-high-3``, that the smallest or the largest
value of its third column is the best; ``best-low-row``, that the smallest of each row is;
``open-5``, that five rows are open (``tables.js`` folds the others, eight by default).
"""

from __future__ import annotations

import re

from docutils import nodes

#: A number as pages write it, or one without a value.
NUMBER = re.compile(
    r"[≥≤−-]?\s?\d[\d\u202f,]*(?:\.\d+)?(?:·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|e[+-]?\d+)?(?![.:-]?\d)"
)
WORDS = ("none", "not run", "not measured", "not reported", "in sample", "lost from the text")
POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")


def value(text: str) -> float | None:
    """The number that a cell begins with.

    Examples
    --------
    >>> value("1·10⁻³ (9·10⁻⁴ to 2·10⁻³)"), value("≥ 5.43"), value("8\\u202f000"), value("none")
    (0.001, 5.43, 8000.0, None)
    """
    found = NUMBER.match(text.strip())
    if not found:
        return None
    plain = found[0].lstrip("≥≤ \u202f").translate(POWERS).replace("·10", "e")
    return float(re.sub(r"[\u202f,]", "", plain))


def finish(app, doctree: nodes.document) -> None:
    """Give classes to the cells of every table of a page."""
    for table in doctree.findall(nodes.table):
        rows = [
            [entry for entry in row.children if isinstance(entry, nodes.entry)]
            for body in table.findall(nodes.tbody)
            for row in body.findall(nodes.row)
        ]
        if not rows or len({len(row) for row in rows}) > 1:
            continue
        columns = list(zip(*rows, strict=True))
        for number, column in enumerate(columns[1:], start=2):
            texts = [text for cell in column if (text := cell.astext().strip())]
            numbers = [text for text in texts if value(text) is not None and len(text) < 60]
            others = [text for text in texts if value(text) is None and text not in WORDS]
            if numbers and not others and len(numbers) == sum(value(t) is not None for t in texts):
                heads = [head.children[number - 1] for head in table.findall(_head_row)]
                for cell in (*heads, *column):
                    cell["classes"].append("numbers")
            for best in ("low", "high"):
                if f"best-{best}-{number}" in table["classes"]:
                    _bold(column, best)
        if "best-low-row" in table["classes"]:
            for row in rows:
                _bold(row[1:], "low")


def _head_row(node: nodes.Node) -> bool:
    return isinstance(node, nodes.row) and isinstance(node.parent, nodes.thead)


def _bold(cells, best: str) -> None:
    """Mark the best of some cells, and all that print the same number."""
    values = {cell: found for cell in cells if (found := value(cell.astext())) is not None}
    if values:
        extreme = (min if best == "low" else max)(values.values())
        for cell, found in values.items():
            if found == extreme:
                cell["classes"].append("best")
