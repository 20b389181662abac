"""A page as text, as Sphinx makes it of a source folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def as_text(source: Path, out: Path) -> tuple[str, str]:
    """The page ``index.md`` of a folder with a ``conf.py``, and the warnings."""
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "text", source, out],
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}:{ROOT / 'book' / '_ext'}", "COMPANION_PRESET": "cpu"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return (out / "index.txt").read_text(encoding="utf-8"), done.stderr
