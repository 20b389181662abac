"""Parameters: everything that a notebook cannot take is refused in a sentence, without a kernel."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow.errors import Refused
from workflow.runs.declarations import read_declarations
from workflow.runs.experiments import PRESETS, Parameter, declared_runs, load, parse_parameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["henon_tokens", "-p", "n_cels", "50"], "did you mean n_cells?"),
        (["henon_tokens", "-p", "n_cells", "-3"], "a whole number from 2 to 1000"),
        (["henon_tokens", "-p", "n_cells", "1e2"], "a whole number"),
        (["henon_tokens", "-p", "n_cells", "1_0"], "a whole number"),
        (["henon_tokens", "-p", "temperature", "hot"], "a number from 0.05 to 10"),
        (["henon_tokens", "-p", "temperature", "nan"], "a number"),
        (
            ["henon_tokens", "-p", "heads", "3"],
            "requires width % heads == 0; got heads=3, width=64",
        ),
        (["henon_tokens", "-p", "validation_trajectories", "100"], "requires"),
        (["henon_tokens", "-p", "preset", "x"], "no parameter 'preset'"),
        (["henon_tokens", "-p", "device", "gpu"], "one of auto, cpu, cuda"),
        (["henon_token"], "did you mean henon_tokens?"),
        (["henon_tokens", "--preset", "gpu"], "smoke, cpu, paper"),
    ],
)
def test_refusals_are_one_sentence_and_exit_code_2(arguments, words):
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "run", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_every_run_declares_every_preset_with_parameters_that_fit():
    for preset in PRESETS:
        for run in load(preset, optional=True):
            assert set(run.parameters) == set(run.declared)
            assert run.settings.cores >= 1
            assert set(run.needs) <= set(declared_runs())


RUN = {
    "notebook": "a",
    "title": "A",
    "presets": {
        "smoke": {"cores": 1, "parameters": {"n": 1}},
        "cpu": {"cores": 2, "parameters": {"n": 2, "m": 2}, "witness": {"n": 1}},
        "paper": {"extends": "cpu", "parameters": {"m": 3}, "witness": {"m": 1}},
    },
}


def test_a_preset_has_all_of_what_it_extends_but_for_what_it_gives():
    paper = read_declarations({"a": RUN})["a"].presets.paper
    assert paper.cores == 2
    assert paper.parameters == {"n": 2, "m": 3}
    assert paper.witness == {"n": 1, "m": 1}


def test_a_run_that_extends_another_gives_its_presets_what_it_changes():
    other = {"extends": "a", "title": "B", "presets": {"cpu": {"parameters": {"n": 5}}}}
    found = read_declarations({"b": other, "a": RUN})
    assert list(found) == ["b", "a"]
    assert (found["b"].notebook, found["b"].title) == ("a", "B")
    assert found["b"].presets.smoke == found["a"].presets.smoke
    assert found["b"].presets.paper.parameters == {"n": 5, "m": 3}  # from its own cpu
    assert found["a"].presets.paper.parameters == {"n": 2, "m": 3}


def test_notebook_defaults_are_the_smoke_preset():
    """Where one notebook serves several runs, those of one; the others differ in what they are."""
    runs = load("smoke", optional=True)
    for notebook in {run.notebook for run in runs}:
        sharing = [run for run in runs if run.notebook == notebook]
        defaults = {name: p.default for name, p in sharing[0].declared.items()}
        assert any(run.parameters == defaults for run in sharing)
        allowed = {"system", "tau", "n_cells", "context"} if len(sharing) > 1 else set()
        for run in sharing:
            assert set(run.settings.parameters) <= allowed


def test_the_paper_preset_is_the_printed_setting():
    (run,) = load("paper", ["henon_tokens"])
    printed = {
        "n_cells": 50, "vocabulary": "grid", "train_trajectories": 100, "test_trajectories": 10,
        "trajectory_length": 10_000, "layers": 12, "width": 768, "context": 1024,
        "learning_rate": 5e-5, "optimizer": "adamw", "prompt": 100, "lyapunov_rollouts": 10,
        "lyapunov_steps": 10_000, "products": 15, "embedding": "plain",
    }  # fmt: skip
    assert {name: run.parameters[name] for name in printed} == printed


NUMBER = Parameter("x", "float", 1.0, 0.0, 10.0, (), "help")
WHOLE = Parameter("n", "int", 1, 1.0, None, (), "help")
TRUTH = Parameter("b", "bool", True, None, None, (), "help")


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.booleans(), st.none()))
def test_a_check_returns_the_type_and_range_or_refuses(value):
    for parameter, kind in ((NUMBER, float), (WHOLE, int), (TRUTH, bool)):
        try:
            checked = parameter.check(value)
        except Refused:
            continue
        assert type(checked) is kind
        if kind is float:
            assert 0 <= checked <= 10
        if kind is int:
            assert checked >= 1


def test_true_and_false_are_not_numbers_nor_words():
    for parameter, value in ((WHOLE, True), (NUMBER, False), (TRUTH, "yes"), (TRUTH, 1)):
        with pytest.raises(Refused):
            parameter.check(value)


def test_text_may_be_free_or_name_a_file(tmp_path):
    found = parse_parameters(
        'a: str = "x"  # {any text} help\nb: str = ""  # {a file} measurements', "somewhere.py"
    )
    assert found["a"].check("whatever") == "whatever"
    assert found["b"].check("") == ""
    assert found["b"].check(str(Path(__file__))) == str(Path(__file__))
    assert found["b"].check("experiments.yml") == "experiments.yml"  # from the project's folder
    for wrong in (str(tmp_path / "none.csv"), str(tmp_path), "~nobody/x", "a\0b", "x" * 5000):
        with pytest.raises(Refused, match="must be the path of a file that is there"):
            found["b"].check(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "n = 3  # [1..5] help",
        "n: int = 3  # help without a range",
        "n: int = 9  # [1..5] default outside",
        "n: list = []  # [1..5] help",
        'mode: str = "a"  # help without choices',
        "n: int = 3  # [1..5]",
        "n: int = f(3)  # [1..5] help",
    ],
)
def test_a_sloppy_declaration_is_refused(line):
    with pytest.raises(Refused, match="parameters cell"):
        parse_parameters(line, "somewhere.py")
