"""The stripped ``.ipynb`` beside every ``.py`` notebook: what Colab and Binder open.

The text is the source; the pair is generated, never edited.
"""

from __future__ import annotations

import json
from pathlib import Path

import jupytext
import nbformat

from workflow.execute import write_whole
from workflow.experiments import ROOT


def stripped(source: Path) -> str:
    """The notebook without outputs, with stable cell ids, as the pair's text."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3", "language": "python", "name": "python3"
    }  # fmt: skip
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write_pairs() -> list[str]:
    """Write the pairs that differ from their source and name them."""
    written = []
    for source in sorted((ROOT / "notebooks").glob("*.py")):
        pair = source.with_suffix(".ipynb")
        text = stripped(source)
        if not pair.exists() or pair.read_text(encoding="utf-8") != text:
            write_whole(pair, text)
            written.append(str(pair.relative_to(ROOT)))
    return written
