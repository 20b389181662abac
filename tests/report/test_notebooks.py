"""Notebooks are short, fold what only shows, and hold no comments for tools."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
#: The notebook on a user-defined system is longer.
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def cells(name):
    """The head line and the other lines of each cell, without empty lines at its end."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for cell in text.split("\n# %%")[1:]:
        head, *lines = cell.rstrip().split("\n")
        yield head, lines


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_well_near_half_prose(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 350
    prose, code = 0, 0
    for head, lines in cells(name):
        if head == " [markdown]":
            prose += len(lines)
        elif '"parameters"' not in head:
            code += len(lines)
            assert len(lines) <= 40, f"{name}: the cell with {lines[0]!r} is too long"
    # A reader edits and runs your_system; what it shows is explained in its chapter.
    share = 0.25 if name == "your_system" else 0.4
    assert prose >= share * (prose + code)


@pytest.mark.parametrize("name", NAMES)
def test_cells_that_only_show_are_folded(name):
    shown = [head for head, _ in cells(name) if '"view"' in head]
    assert shown
    assert all('"hide-input"' in head for head in shown)
    assert not any('"remove-cell"' in head for head, _ in cells(name))


@pytest.mark.parametrize("name", NAMES)
def test_readers_see_no_comments_for_tools_and_no_line_that_scrolls(name):
    for head, lines in cells(name):
        assert not any(word in line for line in lines for word in ("# noqa", "# fmt:", "# type:"))
        if head != " [markdown]" and '"parameters"' not in head:
            assert max(map(len, lines)) <= 80
