"""The parameters that a run was given, in the code of its page and in a table."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from workflow.__main__ import parser
from workflow.book.given import again, first_parameters, table, with_values
from workflow.runs.experiments import load
from workflow.runs.parameters import parse_parameters, split_parameters

ROOT = Path(__file__).resolve().parents[2]

CELL = """n_seeds: int = 2  # [1..64] training seeds
name: str = "Hénon"  # {any text} ü before the value = 3
rate: float = 8e-3  # [1e-9..1] rate
# advanced: model
bias: bool = False  # a|b in $x_1$
"""
VALUES = {"n_seeds": 3, "name": 'a "quoted" word', "rate": 0.012, "bias": True}


def test_a_cell_is_shown_with_the_values_of_the_run():
    shown = with_values(CELL, VALUES)
    assert {k: v.default for k, v in parse_parameters(shown, "cell").items()} == VALUES
    assert [line.partition("  # ")[2] for line in shown.splitlines()] == [
        line.partition("  # ")[2] for line in CELL.splitlines()
    ]
    assert with_values(CELL, {}).splitlines()[0] == CELL.splitlines()[0]
    assert first_parameters(CELL) == 3


@pytest.mark.parametrize("preset", ["smoke", "cpu", "paper"])
@pytest.mark.parametrize("run", load("cpu", optional=True), ids=lambda run: run.name)
def test_every_run_shows_each_of_its_parameters_once(run, preset):
    (run,) = load(preset, [run.name])
    text = table(run, run.parameters)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(run.declared)
    assert [row[1].strip("`") for row in rows] == [
        "none" if value == "" else str(value) for value in run.parameters.values()
    ]
    assert text.partition("::::")[0].count("\n| `") <= 6
    paper = load("paper", [run.name])[0].parameters
    differ = preset != "paper" and paper != run.parameters
    assert ("| at preset `paper` |" in text) == differ


def test_the_page_of_a_run_holds_the_values_of_its_results(book):
    staged = book.parent / "book"
    for path in staged.glob("runs/*.ipynb"):
        results = staged / "results" / staged.parent.name / f"{path.stem}.json"
        if results.exists():
            given = json.loads(results.read_text(encoding="utf-8"))["parameters"]
        else:  # an optional run without a reference
            (run,) = load(staged.parent.name, [path.stem])
            assert run.declaration.optional
            given = run.parameters
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        (cell,) = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
        found = parse_parameters("".join(cell["source"]), path.name)
        assert {name: each.default for name, each in found.items()} == given


@cache
def understood(line: str):
    """What our command line takes from a command of a page; one with make goes through it."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        done = subprocess.run(
            ["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
        )
        line = next((each for each in done.stdout.splitlines() if "-m workflow " in each), "")
        words = shlex.split(line)
    if "workflow" not in words:
        return None
    own, rest = split_parameters(words[words.index("workflow") + 1 :])
    return parser().parse_args(rest), own


@pytest.mark.parametrize("preset", ["smoke", "cpu", "paper"])
@pytest.mark.parametrize("run", load("cpu"), ids=lambda run: run.name)
def test_a_copied_command_runs_with_one_other_value(run, preset):
    (run,) = load(preset, [run.name])
    facts = {"wall_s": 150.0, "cpu_s": 140.0, "peak_rss_mb": 700, "machine": {}}
    text = again(run, {"metrics": {}, "provenance": facts})
    assert "took 2.5 min on cpu, and 700 MB of memory" in text
    (command,) = re.findall(r"^\$ (.*)$", text, re.M)
    options, own = understood(command)
    assert (options.command, options.runs) == ("run", [run.name])
    (other,) = load(options.preset or "cpu", options.runs, own)
    differ = {n for n, value in run.parameters.items() if other.parameters[n] != value}
    assert differ == set(own)
    assert len(own) == 1


def test_every_command_of_the_book_is_understood(book, pages):
    seen = 0
    for page in pages:
        soup = BeautifulSoup((book / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        for block in soup.select(".highlight-console pre"):
            for line in re.findall(r"^\$ (make (?!-).*|.*-m workflow .*)$", block.text, re.M):
                for command in line.split(" && ") if "…" not in line else ():
                    seen += understood(command) is not None
        if page.startswith("runs/"):
            absent = "optional, and was not made for this book" in soup.text
            assert absent or "With the values above it took" in soup.text, page
    assert seen >= 25


def test_chapters_lead_to_chapters_and_like_runs_are_short(book):
    def page(name):
        return BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")

    assert page("tokens/henon").select_one("link[rel=next]")["href"] == "rossler.html"
    assert page("structure/arena").select_one("link[rel=prev]")["href"] == "leads.html"
    whole, short = page("runs/lorenz_tokens_20"), page("runs/lorenz_tokens_35")
    names = [each.text.strip() for each in whole.select("details.hide .collapsed")]
    assert {"Code: parameters", "Code: imports", "Code: Rollouts"} <= set(names)
    assert "Code: Distributions, figure" in names
    assert not any("cell source" in name for name in names)
    assert len(whole.select("figure")) == len(short.select("figure")) > 5
    assert len(whole.select("article table")) == len(short.select("article table"))
    assert not short.select("article .cell_input")
    assert len(short.select_one("article").text) < len(whole.select_one("article").text) / 2
    assert short.select_one('article a[href="lorenz_tokens_20.html"]')
    contents = [each.text.strip() for each in short.select(".bd-toc a, .page-toc a")]
    assert "Training" in contents
    source = book / "_sources" / "runs" / "lorenz_tokens_35.ipynb"
    downloaded = json.loads(source.read_text(encoding="utf-8"))
    assert any("train_seeds(" in "".join(cell["source"]) for cell in downloaded["cells"])
