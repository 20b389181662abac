"""Figures that are drawn while a page is read."""

import shutil
from pathlib import Path

import pytest
from pages import as_text

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
        found, warnings = as_text(source, tmp_path / "out")
        return warnings, found

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
