"""The parameters that a run was given, in the code of its page and in a table."""

from __future__ import annotations

import json

import pytest

from workflow.book.given import first_parameters, table, with_values
from workflow.runs.experiments import load
from workflow.runs.parameters import parse_parameters

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
    assert ("| at `paper` |" in text) == differ


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
