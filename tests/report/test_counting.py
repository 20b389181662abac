"""The study of counting: recipes of the runs, nested data, paired differences, and its figure."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from dynlib.report import counting, record
from dynlib.report.figures import counting as figures
from dynlib.tokens.gpt import TokenGPT, log_probabilities
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import chain_scores
from dynlib.tokens.windows import windows
from workflow.runs.experiments import load

SHARES, REPEATS = counting.numbers("fractions", "1/2 1"), counting.numbers("passes", "1 4")


@pytest.fixture(autouse=True)
def fresh_record(monkeypatch):
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    record.clear()
    yield
    record.clear()


@pytest.fixture(scope="module")
def data():
    return counting.prepared(counting.CASES[0], shrink=25, data_seed=0)


@pytest.mark.parametrize("case", counting.CASES, ids=lambda case: case.name)
def test_recipes_are_those_of_the_runs(case):
    names = {"lorenz_20": "lorenz_tokens_20", "lorenz_35": "lorenz_tokens_35",
             "lorenz_50": "lorenz_tokens_50"}  # fmt: skip
    (run,) = load("cpu", [names.get(case.name, f"{case.name}_tokens")])
    given = run.parameters
    assert {
        "n_cells": case.n_cells, "tau": case.tau, "train_trajectories": case.trajectories,
        "trajectory_length": case.length, "test_trajectories": case.test,
        "validation_trajectories": counting.HELD_OUT, "test_windows": case.test_windows,
        "longest_ngram": case.longest_ngram, "vocabulary": "occupied", "data_seed": 0,
    } == {"tau": 1.0} | {
        name: given[name] for name in (
            "n_cells", "tau", "train_trajectories", "trajectory_length", "test_trajectories",
            "validation_trajectories", "test_windows", "longest_ngram", "vocabulary", "data_seed",
        ) if name in given
    }  # fmt: skip
    model, recipe = case.model(99), case.recipe(7, 3)
    for found, names in (
        (model, ("layers", "heads", "width", "context", "dropout", "embedding")),
        (recipe, ("batch_size", "learning_rate", "optimizer", "beta2", "epsilon", "weight_decay",
                  "schedule", "clip", "precision")),
    ):  # fmt: skip
        assert {name: getattr(found, name) for name in names} == {n: given[n] for n in names}
    assert (model.vocabulary, recipe.steps, recipe.seed) == (99, 7, 3)
    assert given["prompt"] == counting.FIRST


def test_numbers_of_a_text():
    assert counting.numbers("passes", "1/3 1 2.5") == [Fraction(1, 3), 1, Fraction(5, 2)]
    for text in ("", "1 x", "0 1", "3 1", "1 1", "1/0", "-1", "nan"):
        with pytest.raises(ValueError, match=r"passes must be ascending numbers .*'1/3 1 3'"):
            counting.numbers("passes", text)


def test_parts_are_nested_and_trainings_the_cheapest_first(data):
    sizes = [data.part(Fraction(1, n)) for n in (100, 2, 1)]
    assert [len(part) for part in sizes] == [1, 2, 3]
    assert all((large[: len(small)] == small).all() for small, large in pairwise(sizes))
    plan = counting.planned([data], SHARES, REPEATS)
    a_step = data.case.batch_size * data.case.context
    assert {each.name: each.steps for each in plan} == {
        f"henon_data_{word}_passes_{p}": round(p * part.size / a_step)
        for word, part in zip(("1_2", "1"), sizes[1:], strict=True) for p in (1, 4)
    }  # fmt: skip
    assert [each.steps for each in plan] == sorted(each.steps for each in plan)


def test_differences_are_those_of_the_same_tokens_trajectory_by_trajectory(data):
    plan = counting.planned([data], [Fraction(1)], [Fraction(1), Fraction(4)])
    model = TokenGPT(plan[0].model, data.grid.cells)
    counts = counting.counted([data], [Fraction(1)], 25)
    counting.compared({plan[0].name: [model, model]}, counts, plan, shrink=25, device="cpu")
    found = record.metrics()
    chain = NGram(data.learn, 12, data.grid.vocabulary)
    best = found["best_ngram_order_henon_data_1"]["value"]
    expected = []
    for row in data.test:
        own = windows(row[None], 33, -(-163 // 10), first=100)
        surprise = -log_probabilities(model, own, last=16)[0].mean()
        expected.append(surprise - chain_scores(chain, [best], own, 16)[best][0])
    entry = found["difference_henon_data_1_passes_1"]
    np.testing.assert_allclose(entry["samples"], expected, rtol=1e-5)
    assert (entry["n"], entry["level"], len(entry["by_seed"])) == (10, 0.95, 2)
    assert found["difference_henon_data_1_passes_4"]["value"] is None
    assert found["entropy_rate_henon"]["value"] == pytest.approx(0.4192, abs=0.05)


@pytest.mark.parametrize(
    ("scores", "ahead"),
    [((-1, -1), 1), ((-1, 1), 1), ((1, -1), 4), ((1, 1), None)],
)
def test_the_first_passes_after_which_the_network_is_ahead(monkeypatch, data, scores, ahead):
    plan = counting.planned([data], SHARES, REPEATS)
    noise = np.linspace(0, 0.1, len(data.test))
    by_passes = dict(zip(REPEATS, scores, strict=True))
    monkeypatch.setattr(counting, "_surprise", lambda model, **_: by_passes[model] + 2 + noise)
    networks = {each.name: [each.passes] * 3 for each in plan}
    sizes = [counting.sized(data, share) for share in SHARES]
    counts = dict.fromkeys(sizes, 2 + noise)
    counting.compared(networks, counts, plan, shrink=25, device="cpu")
    found = record.metrics()
    assert [found[f"overtakes_{size}"]["value"] for size in sizes] == [ahead, ahead]


def test_what_is_shown_says_what_was_not_run(monkeypatch, data):
    monkeypatch.setattr(counting, "CASES", [data.case])
    monkeypatch.setattr(figures, "CASES", [data.case])
    plan = counting.planned([data], SHARES, REPEATS)
    text = repr(counting.left_out(plan, plan[:2], [0, 1]))
    monkeypatch.setattr(
        counting, "_surprise",
        lambda model, sentences, targets, n: np.linspace(2.0, 2.1, n) - (model == 1),
    )  # fmt: skip
    missing = plan[-1]
    networks = {each.name: [each.passes] * 2 for each in plan if each is not missing}
    counts = counting.counted([data], SHARES, 25)
    counts = {name: np.linspace(2.0, 2.1, 10) for name in counts}
    counting.compared(networks, counts, plan, shrink=25, device="cpu")
    assert "Hénon" in text
    assert record.metrics()["trainings_left_out"]["value"] == 2
    table = counting.table(plan)
    assert [row[:2] for row in table.rows] == [["Hénon", "1/2"], ["Hénon", "1"]]
    assert [row[-1] for row in table.rows] == ["1", "1"]
    figure = figures.differences(plan)
    assert "2 of 4 combinations were not run" in figure.caption
    assert "Hénon: below zero with 1/2 of the data after 1 passes" in figure.alt
