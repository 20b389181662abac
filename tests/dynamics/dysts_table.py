"""The flows of dysts that are refused, as a table of the chapter.

`python tests/dynamics/dysts_table.py` writes it, where dysts is installed.
"""

from __future__ import annotations

import re
from pathlib import Path

from dynlib.dynamics.systems.catalogue import refused

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "beyond" / "your_system.md"


def table() -> str:
    """The rows by reason, the most frequent first."""
    found = sorted(refused().items(), key=lambda each: -len(each[1]))
    rows = [f"| {why} | {', '.join(sorted(names))} |" for why, names in found]
    return "\n".join(["| refused, since | flows |", "|:---|:---|", *rows]) + "\n"


if __name__ == "__main__":
    text = CHAPTER.read_text(encoding="utf-8")
    old = re.compile(r"\| refused, since \|.*?\n(?!\|)", flags=re.DOTALL)
    CHAPTER.write_text(old.sub(lambda _: table(), text), encoding="utf-8")
