"""Tables: numbers right-aligned, the best bold, long ones folded until a reader asks."""

import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

ROOT = Path(__file__).resolve().parents[2]

TABLE = """
.. list-table::
   :header-rows: 1
   :class: best-low-2 best-high-3

   * - method
     - error
     - time
     - found
   * - a
     - 3·10⁻⁴ (2·10⁻⁴ to 5·10⁻⁴)
     - ≥ 5.43
     - by counting
   * - b
     - 0.002
     - ≥ 5.43
     - 7
   * - c
     - none
     - −1
     - 8\u202f000
"""


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "book" / "_ext"), *sys.path])
    from companion import tables

    return tables


@pytest.fixture
def cells(tables):
    """Classes of the cells of the table by their text."""
    doctree = publish_doctree(TABLE)
    tables.finish(None, doctree)
    return {each.astext(): set(each["classes"]) for each in doctree.findall(nodes.entry)}


def test_columns_of_numbers_stand_right_with_their_heads(cells):
    right = {text for text, classes in cells.items() if "numbers" in classes}
    assert right == {"error", "3·10⁻⁴ (2·10⁻⁴ to 5·10⁻⁴)", "0.002", "none", "time", "≥ 5.43", "−1"}


def test_the_best_is_bold(cells):
    bold = {text for text, classes in cells.items() if "best" in classes}
    assert bold == {"3·10⁻⁴ (2·10⁻⁴ to 5·10⁻⁴)", "≥ 5.43"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1·10⁻³ (range 9·10⁻⁴ to 2·10⁻³)", 1e-3), ("≥ 5.43", 5.43), ("8\u202f000 steps", 8000),
        ("−0.5", -0.5), ("4·10²", 400), ("80.5 %", 80.5), ("none", None), ("two", None),
        ("1.0e-05", 1e-5), ("3.", 3), ("3.11.7", None), ("2026-11-27", None), ("3-30-3", None),
    ],
)  # fmt: skip
def test_a_cell_is_worth_the_number_that_it_begins_with(tables, text, value):
    assert tables.value(text) == value


def test_long_tables_are_folded_until_asked(browser):
    def rows(n):
        return "".join(f"<tr><td>{i}</td></tr>" for i in range(n))

    page = browser.new_page()
    page.set_content(
        f'<div class="bd-article"><table class="table" id="a"><tbody>{rows(12)}</tbody></table>'
        f'<table class="table open-5" id="b"><tbody>{rows(8)}</tbody></table>'
        f'<table class="table" id="c"><tbody>{rows(8)}</tbody></table></div>'
    )
    page.add_script_tag(path=ROOT / "book" / "assets" / "tables.js")

    def seen(name):
        return page.locator(f"#{name} tr:visible").count()

    assert [seen(name) for name in "abc"] == [8, 5, 8]
    button = page.get_by_role("button", name="Show 4 more rows")
    button.press("Enter")
    assert seen("a") == 12
    page.get_by_role("button", name="Show fewer rows").click()
    assert seen("a") == 8
    page.close()
