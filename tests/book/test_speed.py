"""The page on performance, with and without a measurement."""

import json
import shutil
from pathlib import Path

import pytest
from pages import as_text

from workflow.book import render as rendering
from workflow.book import speed, staging

ROOT = Path(__file__).resolve().parents[2]


def row(name, ratio, aim=None, **more):
    return {
        "name": name, "against": "peer | other", "ratio": ratio, "low": ratio, "high": ratio,
        "aim": aim, "reached": None if aim is None or ratio is None else ratio >= aim, "note": "",
        "subject": "transport", "limit": "", "level": None, "turns": 3, "seconds": [0.5, 2.0],
    } | more  # fmt: skip


def line(name, exponent):
    return {
        "name": name, "sizes": [10, 100, 1000], "seconds": [1.0, 2.0, 4.0],
        "low": [0.9, 1.9, 3.9], "high": [1.1, 2.1, 4.1], "exponent": exponent,
        "theory": None if exponent is None else 3.1, "words": "n³ log n",
    }  # fmt: skip


FACTS = {
    "machine": {"system": "Linux", "processor": "A processor", "cores": 2}, "threads": 1,
    "commit": "0123456789abcdef", "dirty": False, "date": "2026-01-02T03:04:05Z",
}  # fmt: skip
BENCH = FACTS | {
    "rows": [
        row("W1 of 10000000 states", 25.0, 20.0, low=20.0, high=31.0, note="to 1e-09"),
        row("slow", 1.5, 20.0, level=0.95, high=2.0, limit="there is `nothing` to gain"),
        row("not wanted", 1234.5),
    ],
    "curves": [
        {
            "subject": "transport", "name": "exact W1", "label": "cells", "fitted_from": 0,
            "lines": [line("ours", 2.25), line("POT", None)],
        }
    ],
    "subjects": {"transport": FACTS},
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """Text of the page, read from a source folder with the committed references."""
    source = tmp_path / "book"
    shutil.copytree(ROOT / "results" / "cpu", source / "results" / "cpu")
    shutil.copy(ROOT / "book" / "claims.yml", source)
    extensions = ["myst_parser", "sphinx_design", "companion"]
    conf = f'{extensions=}\nmyst_enable_extensions = ["colon_fence"]'
    (source / "conf.py").write_text(conf, encoding="utf-8")
    content = (ROOT / "book" / "performance.md").read_text(encoding="utf-8")
    (source / "index.md").write_text(f"(bench)=\n{content}", encoding="utf-8")

    def page(bench=None):
        if bench:
            path = source / "results" / "bench.json"
            path.write_text(json.dumps(bench), encoding="utf-8")
        text, warnings = as_text(source, tmp_path / "out")
        wrong = [each for each in warnings.splitlines() if "index.md" in each]
        assert not [each for each in wrong if "runs/" not in each], wrong
        return text

    page.figures = source / "figures"
    return page


def test_without_a_measurement_the_page_says_so(read):
    text = " ".join(read().split())
    assert "Nothing has been measured yet" in text
    assert text.count("Not measured.") == 5  # the tables
    assert "Not measured: no result of a GPU is kept." in text
    assert "of a processor, and" in text  # what the runs cost is there
    made = {path.name for path in read.figures.iterdir()}
    assert "fig-speed-transport.svg" in made  # a placeholder, under its label
    assert "not been made" in (read.figures / "fig-speed-transport.svg").read_text(encoding="utf-8")
    assert len((read.figures / "fig-speed-costs.svg").read_text(encoding="utf-8")) > 5000


def test_the_page_shows_rows_curves_and_a_card(read):
    gpu = {"machine": {"gpu": "A card", "driver": "1", "commit": "fedcba9876543210"}}
    card = row("a step", 2.0, 1.8, note="22 ms")
    for key in ("subject", "limit", "level", "turns", "seconds"):
        del card[key]  # as gpu-check writes it
    text = " ".join(read(BENCH | {"gpu": gpu | {"rows": [card]}}).split())
    assert "3 comparisons. Aims reached: 1 of 2; missed: 1." in text
    assert "A processor, 2 cores" in text
    assert 'there is "nothing" to gain' in text
    assert "to 1·10⁻⁹" in text
    assert "exponent 2.25, in theory 3.10" in text
    assert "On A card, driver 1" in text
    assert text.count("Not measured.") == 4  # the other tables
    picture = (read.figures / "fig-speed-transport.svg").read_text(encoding="utf-8")
    assert len(picture) > 5000


def test_the_table_marks_what_is_missed_and_says_what_an_interval_is():
    lines = speed.ratios(BENCH["rows"]).splitlines()[2:]
    cells = [[each.strip() for each in split(line)] for line in lines]
    assert cells[0] == [
        "W1 of 10\u202f000\u202f000 states", "peer \\| other",
        "25.0 (range\u00a020.0\u00a0to\u00a031.0)", "20, reached", "500\u00a0ms / 2\u00a0s",
    ]  # fmt: skip
    assert cells[1][2].endswith("(1.50\u00a0to\u00a02.00)")
    assert cells[1][3] == "20, **missed**"
    assert cells[2][2:4] == ["1234", ""]
    assert speed.limits(BENCH["rows"]) == (
        "- **slow**, against peer \\| other: there is `nothing` to gain."
    )


def split(line):
    """Cells of a row of a Markdown table."""
    return line.strip("| ").replace("\\|", "\0").replace("|", "\n").replace("\0", "\\|").split("\n")


def test_a_row_that_could_not_be_measured_is_counted():
    failed = row("failed", None, low=None, high=None, seconds=None, note="not measured: Different")
    content = BENCH | {"rows": [*BENCH["rows"], failed]}
    assert "Not measured: 1." in speed.summary(content)
    assert "| not measured |" in speed.ratios([failed])


def test_a_measurement_is_staged_and_a_new_one_renders_the_book_again(tmp_path, monkeypatch):
    for module in (staging, rendering):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "CITATION.cff", "book/index.md", "book/ledger.md"):
        (tmp_path / name).write_text("# Title\n", encoding="utf-8")
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "results").mkdir()
    file, known = tmp_path / "results" / "bench.json", []
    for content in ("", "{}", '{"rows": []}'):
        if content:
            file.write_text(content, encoding="utf-8")
        staged = staging.stage("smoke", [], {})
        made = staged / "results" / "bench.json"
        assert made.exists() == bool(content)
        known.append(rendering.rendered_from(staged))
    assert len({json.dumps(each, sort_keys=True) for each in known}) == 3
