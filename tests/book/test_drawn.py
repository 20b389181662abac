"""Figures that are drawn while a page is read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def read(tmp_path):
    """Warnings and text of a page with some figures, made from the committed references."""
    source = tmp_path / "book"
    shutil.copytree(ROOT / "results" / "cpu", source / "results" / "cpu")
    shutil.copy(ROOT / "book" / "claims.yml", source)
    (source / "conf.py").write_text('extensions = ["myst_parser", "companion"]', encoding="utf-8")

    def page(*names):
        text = "".join(f"```{{drawn}} {name}\n```\n\n" for name in names)
        (source / "index.md").write_text(f"# Page\n\n{text}", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "text", source, tmp_path / "out"],
            env=os.environ | {
                "PYTHONPATH": f"{ROOT}:{ROOT / 'book' / '_ext'}", "COMPANION_PRESET": "cpu",
            },
            capture_output=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr, (tmp_path / "out" / "index.txt").read_text(encoding="utf-8")

    page.folder = source
    return page


def test_figures_are_drawn_with_their_words_and_a_missing_run_is_named(read):
    warnings, text = read("small", "divergence-rossler")
    assert not warnings
    text = " ".join(text.split())
    assert "Six branches make the network." in text
    assert "the dotted line is the printed time" in text
    pictures = {path.name for path in (read.folder / "figures").iterdir()}
    assert pictures == {"fig-drawn-small.svg", "fig-drawn-divergence-rossler.svg"}
    (read.folder / "results" / "cpu" / "rossler_tokens.json").unlink()
    warnings, text = read("divergence-rossler")
    assert "there are no cpu results of rossler_tokens" in warnings
    assert "This figure has not been made." in text  # its caption, under its label
