"""Training of small networks: it learns, it resumes to the same digits, it reports the truth."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from dynlib.networks import training
from dynlib.networks.ensembles import Networks, train_all
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import PARTS, Architecture, Recipe
from dynlib.networks.stnn import StNN
from dynlib.networks.training import train

pytestmark = pytest.mark.usefixtures("one_thread")

STRUCTURED = Architecture(branches=2)
PLAIN = Architecture(widths=(3, 5, 5, 5, 3))
RECIPE = Recipe(steps=12, batch_size=20, starts=2, start_steps=3, marks=4)
PRINTED = Recipe(steps=12, batch_size=20, printed=True, marks=4)


def linear_pairs(count, seed):
    """States and their image under a rotation and a shift, in units far from one."""
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.1, 0.0, 0.9]])
    states = np.random.default_rng(seed).normal(size=(count, 3)) * [5, 8, 0.2] + [1, -20, 3]
    return states, states @ turn.T + [0.5, 0.0, -1.0]


PAIRS, VALIDATION = linear_pairs(200, 0), linear_pairs(50, 1)


def run(architecture=STRUCTURED, recipe=RECIPE, seeds=(0, 1), folder=None, **options):
    options = {"pairs": PAIRS, "validation": VALIDATION} | options
    return train(architecture, recipe, seeds=list(seeds), folder=folder, **options)


def errors(model, pairs):
    """Mean squared error of every coordinate, by the model alone."""
    inputs = torch.zeros(len(pairs[0]), model.n, dtype=torch.float64)
    inputs[:, :3] = torch.as_tensor(pairs[0])
    with torch.no_grad():
        outputs = model(inputs).numpy()[:, :3]
    return ((outputs - pairs[1]) ** 2).mean(0)


def assert_same(a, b):
    for one, two in zip(a, b, strict=True):
        assert torch.equal(one.weights, two.weights)
        np.testing.assert_array_equal(one.history, two.history)
        assert (one.dead, one.solves) == (two.dead, two.solves)
        for x, y in zip(one.units, two.units, strict=True):
            np.testing.assert_array_equal(x, y)


class Stopped(Exception):
    pass


def refuse(*_, **__):
    raise Stopped


@pytest.fixture
def optimisers(monkeypatch):
    """Every optimiser that a training makes, with its initial weights and its batches."""
    made = []

    class Watched(training.LevenbergMarquardt):
        def __post_init__(self):
            super().__post_init__()
            self.first, self.batches = self.theta.clone(), []
            made.append(self)

        def step(self, columns, targets):
            self.batches.append((columns.clone(), targets.clone()))
            return super().step(columns, targets)

        def restore(self, state):
            super().restore(state)
            del made[-2]  # whose state this is: a training begins by restoring its first one

    monkeypatch.setattr(training, "LevenbergMarquardt", Watched)
    return made


# --- it learns


@pytest.mark.parametrize(
    ("architecture", "bound"), [(STRUCTURED, 1e-3), (PLAIN, 1e-3), (Architecture(branches=6), 1e-4)]
)
def test_it_learns_a_linear_map(architecture, bound):
    recipe = Recipe(steps=60, batch_size=100, starts=2, start_steps=10)
    results = run(architecture, recipe)
    for result in results:
        assert (errors(result.model, VALIDATION) < bound * VALIDATION[1].var(0)).all()
        assert result.dead == 0
    assert not torch.equal(results[0].weights, results[1].weights)


# --- the same every time


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
@pytest.mark.parametrize("recipe", [RECIPE, PRINTED])
def test_the_same_seeds_give_the_same_digits(architecture, recipe):
    assert_same(run(architecture, recipe), run(architecture, recipe))


def test_who_else_is_trained_matters_not():
    together = run(seeds=[3, 1, 2])
    for result, seed in zip(together, [3, 1, 2], strict=True):
        (alone,) = run(seeds=[seed])
        np.testing.assert_allclose(alone.history, result.history, rtol=1e-6)


@pytest.mark.parametrize("recipe", [RECIPE, PRINTED])
@pytest.mark.parametrize("stop", [1, 5, 6, 11])
def test_a_training_stopped_at_any_step_ends_in_the_same_digits(
    tmp_path, monkeypatch, stopping, recipe, stop
):
    whole = run(recipe=recipe)
    with stopping(stop):
        run(recipe=recipe, folder=tmp_path, checkpoint_seconds=-1)
    steps = []

    def counted(self, optimizer, chosen, step=training._Training._step):
        steps.append(len(optimizer.theta))
        return step(self, optimizer, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "_step", counted)
        resumed = run(recipe=recipe, folder=tmp_path)
    assert len(steps) == recipe.steps - stop  # nothing is done again
    assert_same(whole, resumed)
    assert (np.diff(resumed[0].seconds) > 0).all()
    assert not (tmp_path / "checkpoints").exists()


def test_a_training_stopped_twice_within_a_mark_reports_the_same_means(tmp_path, stopping):
    recipe = dataclasses.replace(RECIPE, marks=1)
    whole = run(recipe=recipe)
    for stop in (3, 7):
        with stopping(stop):
            run(recipe=recipe, folder=tmp_path, checkpoint_seconds=-1)
    assert_same(whole, run(recipe=recipe, folder=tmp_path))


@pytest.mark.parametrize("recipe", [RECIPE, PRINTED])
def test_a_finished_training_is_loaded_and_a_damaged_one_repeated(tmp_path, monkeypatch, recipe):
    first = run(recipe=recipe, folder=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(training.LevenbergMarquardt, "step", refuse)
        loaded = run(recipe=recipe, folder=tmp_path)
        assert_same(first, loaded)
        np.testing.assert_array_equal(first[0].seconds, loaded[0].seconds)
        file = tmp_path / "model" / "tensors.safetensors"
        file.write_bytes(file.read_bytes()[:-3])
        with pytest.raises(Stopped):
            run(recipe=recipe, folder=tmp_path)
    assert_same(first, run(recipe=recipe, folder=tmp_path))


# --- what comes out


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
@pytest.mark.parametrize(("recipe", "rtol"), [(RECIPE, 1e-10), (PRINTED, 1e-3)])
def test_networks_work_in_raw_units_and_have_the_errors_of_the_history(architecture, recipe, rtol):
    for result in run(architecture, recipe):
        assert isinstance(result.model, StNN if architecture.branches else FFNN)
        assert all(weight.dtype == torch.float64 for weight in result.model.parameters())
        np.testing.assert_allclose(
            errors(result.model, VALIDATION), result.history[-1, 2:], rtol=rtol
        )
        for mark in range(4):
            for _ in range(2):  # a mark's network is a copy
                found = errors(result.at(mark), VALIDATION)
                np.testing.assert_allclose(found, result.history[mark, 2:], rtol=rtol)


def test_the_training_error_is_that_of_the_weights_before_each_step():
    recipe = Recipe(steps=6, batch_size=200, marks=6)  # every batch is all pairs
    for result in run(recipe=recipe):
        for mark in range(1, 6):
            before = errors(result.at(mark - 1), PAIRS).mean()
            assert result.history[mark, 1] == pytest.approx(before, rel=1e-9)


def test_the_training_error_is_a_mean_over_the_steps_since_the_mark_before():
    fine, coarse = (run(recipe=dataclasses.replace(RECIPE, marks=m)) for m in (12, 3))
    for one, other in zip(fine, coarse, strict=True):
        means = one.history[:, 1].reshape(3, 4).mean(1)
        np.testing.assert_allclose(other.history[:, 1], means, rtol=1e-12)
        np.testing.assert_array_equal(other.history[:, 2:], one.history[3::4, 2:])


@pytest.mark.parametrize(
    ("steps", "marks", "expected"),
    [(12, 4, [3, 6, 9, 12]), (5, 100, [1, 2, 3, 4, 5]), (10, 3, [3, 6, 9, 10]), (1, 1, [1])],
)
def test_marks_stand_at_equal_steps_and_at_the_end(steps, marks, expected):
    recipe = dataclasses.replace(RECIPE, steps=steps, marks=marks, starts=1)
    (result,) = run(recipe=recipe, seeds=[0])
    assert result.history[:, 0].tolist() == expected
    assert result.history.shape == (len(expected), 2 + 3)
    assert result.weights.shape == (len(expected), 132)
    assert result.seconds.shape == (len(expected),)
    assert result.solves >= 1


def test_dead_units_are_those_that_no_pair_wakes():
    recipe = Recipe(steps=5, batch_size=100, printed=True, marks=1)
    counts = []
    for result in run(Architecture(branches=3), recipe, seeds=range(6)):
        model, columns = result.model, torch.zeros(1, 4, 200, dtype=torch.float64)
        columns[0, :3] = torch.as_tensor(PAIRS[0].T)
        theta = torch.cat([weight.detach().flatten() for weight in model.parameters()])
        third = model.layers(model.split(theta[None]), columns)[-2]
        counts.append(int((third.amax(-1) <= 0).sum()))
        assert result.dead == counts[-1]
    assert max(counts) > 0


# --- recipes


def test_the_printed_recipe_trains_in_raw_units_and_single_precision(optimisers):
    for result in run(recipe=PRINTED):
        assert result.weights.dtype == torch.float32
        for mean, scale in result.units:
            assert not mean.any()
            assert (scale == 1).all()
    (optimiser,) = optimisers
    assert (optimiser.rule, optimiser.damping, optimiser.attempts) == ("factor", 1e-3, 20)
    columns, targets = optimiser.batches[0]
    assert columns.dtype == targets.dtype == torch.float32
    assert columns.shape == targets.shape == (2, 4, 20)  # the padded output is learnt
    assert not columns[:, 3].any()
    assert not targets[:, 3].any()
    authors = StNN(4, 2)
    authors.draw(torch.Generator().manual_seed(0))
    flat = torch.cat([weight.detach().flatten() for weight in authors.parameters()])
    assert torch.equal(optimiser.first[0], flat)
    for state in columns[:, :3].mT.reshape(-1, 3).numpy():
        assert (np.abs(PAIRS[0] - state).max(1) < 1e-5).any()


def test_the_other_recipe_trains_in_standard_units_and_double_precision(optimisers):
    (result,) = run(recipe=dataclasses.replace(RECIPE, batch_size=200, starts=1), seeds=[0])
    assert result.weights.dtype == torch.float64
    for (mean, scale), states in zip(result.units, PAIRS, strict=True):
        np.testing.assert_allclose(mean, states.mean(0), rtol=1e-12)
        np.testing.assert_allclose(scale, states.std(0), rtol=1e-12)
    assert optimisers[0].rule == "gain"
    columns, targets = optimisers[0].batches[0]
    assert columns.shape == (1, 4, 200)
    assert targets.shape == (1, 3, 200)  # the padded output is exact
    for values in (columns[0, :3], targets[0]):
        np.testing.assert_allclose(values.mean(1), 0, atol=1e-13)
        np.testing.assert_allclose(values.std(1, correction=0), 1, rtol=1e-12)


@pytest.mark.parametrize("base", [RECIPE, PRINTED])
@pytest.mark.parametrize("part", PARTS)
def test_one_part_comes_from_the_other_setting(optimisers, base, part):
    recipe = dataclasses.replace(base, swapped=(part,), starts=1, steps=2)
    (result,) = run(recipe=recipe, seeds=[0])
    (optimiser,) = optimisers
    weights = StNN(4, 2, dtype=torch.float64)
    weights.draw(torch.Generator().manual_seed(0))
    flat = torch.cat([weight.detach().flatten() for weight in weights.parameters()])
    found = {
        "units": not result.units[0][0].any(),
        "weights": torch.equal(optimiser.first[0].double(), flat.to(recipe.dtype).double()),
        "precision": result.weights.dtype == torch.float32,
        "damping": optimiser.rule == "factor",
    }
    assert found == {each: base.printed != (each == part) for each in PARTS}


@pytest.mark.parametrize("start_steps", [0, 4])
def test_the_start_with_the_lowest_training_error_goes_on(optimisers, start_steps):
    recipe = Recipe(steps=1, batch_size=50, starts=4, start_steps=start_steps)
    (result, _) = run(recipe=recipe)
    *starts, last = optimisers
    assert [len(each.theta) for each in starts] == [4, 4]
    (mean, scale), (out_mean, out_scale) = result.units
    columns = torch.zeros(4, 4, 200, dtype=torch.float64)
    columns[:, :3] = torch.as_tensor(((PAIRS[0] - mean) / scale).T)
    targets = torch.as_tensor(((PAIRS[1] - out_mean) / out_scale).T)
    chosen = []
    for each, first in zip(starts, last.first, strict=True):
        assert len(each.batches) == start_steps
        outputs = each.model.evaluate(each.theta, columns)[:, :3]
        found = (outputs - targets).square().mean((1, 2))
        assert len(found.unique()) == 4
        chosen.append(int(found.argmin()))
        assert torch.equal(first, each.theta[chosen[-1]])
    assert chosen != [0, 0]


def shown(optimiser, copy=0):
    """Numbers of the pairs in every batch of one copy."""
    pairs = (PAIRS[0] - PAIRS[0].mean(0)) / PAIRS[0].std(0)
    return [
        [int(np.abs(pairs - state).max(1).argmin()) for state in columns[copy, :3].T.numpy()]
        for columns, _ in optimiser.batches
    ]


def test_every_pair_is_met_once_before_any_is_met_again(optimisers):
    run(recipe=Recipe(steps=30, batch_size=20))
    for copy in (0, 1):
        batches = shown(optimisers[0], copy)
        for start in (0, 10, 20):
            assert sorted(itertools.chain(*batches[start : start + 10])) == list(range(200))
        assert batches[:10] != batches[10:20]
    assert shown(optimisers[0], 0) != shown(optimisers[0], 1)


# --- many trainings


def test_networks_come_back_by_name_and_from_their_artefacts(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    short = dataclasses.replace(RECIPE, steps=2)
    wanted = {"one": (STRUCTURED, short, [0, 1]), "plain": (PLAIN, short, [2])}
    found = train_all(wanted, PAIRS, VALIDATION)
    assert list(found) == ["one", "plain"]
    assert [len(each) for each in found.values()] == [2, 1]
    assert_same(found["one"], run(recipe=short, seeds=[0, 1]))
    assert_same(found["plain"], run(PLAIN, short, seeds=[2]))
    kinds = sorted(folder.name.split("-")[0] for folder in tmp_path.iterdir())
    assert kinds == ["ffnn", "stnn"]
    with monkeypatch.context() as patch:
        patch.setattr(training.LevenbergMarquardt, "step", refuse)
        again = train_all(wanted, PAIRS, VALIDATION)
        for name in wanted:
            assert_same(found[name], again[name])


def test_artefacts_are_kept_by_everything_that_matters(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    short = dataclasses.replace(RECIPE, steps=1, starts=1)

    def new(architecture=STRUCTURED, recipe=short, seeds=(0,), pairs=PAIRS, validation=VALIDATION):
        before = set(tmp_path.iterdir())
        train_all({"name": (architecture, recipe, seeds)}, pairs, validation)
        return len(set(tmp_path.iterdir()) - before)

    assert new() == 1
    assert new() == 0
    assert new(architecture=Architecture(branches=1)) == 1
    assert new(architecture=dataclasses.replace(STRUCTURED, released=True)) == 1
    assert new(recipe=dataclasses.replace(short, batch_size=25)) == 1
    assert new(seeds=[1]) == 1
    assert new(pairs=(PAIRS[0] + 1, PAIRS[1])) == 1
    assert new(pairs=(PAIRS[0], PAIRS[1] + 1)) == 1
    assert new(validation=linear_pairs(50, 2)) == 1
    assert new() == 0


@pytest.mark.slow
def test_trainings_in_processes_are_those_in_turn(tmp_path, monkeypatch):
    short, results = dataclasses.replace(RECIPE, steps=2), []
    wanted = {"a": (STRUCTURED, short, [0, 1]), "b": (PLAIN, short, [0])}
    for workers in ("1", "2"):
        monkeypatch.setenv("DYNLIB_WORKERS", workers)
        monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path / workers))
        results.append(train_all(wanted, PAIRS, VALIDATION))
    for name in wanted:
        assert_same(results[0][name], results[1][name])


# --- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pairs": (PAIRS[0], PAIRS[1][:-1])}, r"must have shape \(200, d\), got \(199, 3\)"),
        ({"pairs": (PAIRS[0][0], PAIRS[1][0])}, r"\(3,\)"),
        ({"pairs": (PAIRS[0][:19], PAIRS[1][:19])}, "a divisor of the 19 pairs .*, got 20"),
        ({"device": "gpu"}, "'gpu'"),
        (
            {"architecture": Architecture(branches=2, n=2)},
            "at most 2 inputs and 2 targets.*3 and 3",
        ),
        ({"architecture": Architecture(widths=(3, 5, 5, 5, 2))}, "3 inputs and 2 targets"),
        ({"architecture": Architecture(widths=(3, 5, 5, 5, 4))}, "as many as a plain network has"),
        ({"seeds": [2**60]}, "each of seeds must be a whole number from 0 to"),
        ({"seeds": []}, r"seeds must be one or more .*, got \[\]"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        run(**options)


def test_a_batch_size_that_would_leave_pairs_out_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    recipe = dataclasses.replace(RECIPE, batch_size=60)
    with pytest.raises(
        ValueError, match=r"one: batch_size must be a divisor of the 200 .*, got 60"
    ):
        train_all({"one": (STRUCTURED, recipe, [0])}, PAIRS, VALIDATION)
    assert not list(tmp_path.iterdir())


def test_a_constant_coordinate_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    inputs = PAIRS[0].copy()
    inputs[:, 1] = 3.0
    with pytest.raises(ValueError, match=r"of the inputs must vary, .*got constant \[1\]"):
        train_all({"one": (STRUCTURED, RECIPE, [0])}, (inputs, PAIRS[1]), VALIDATION)


@pytest.mark.parametrize("name", ["steps", "batch_size", "starts", "marks", "start_steps"])
def test_a_recipe_with_an_impossible_number_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from [01] .*, got -1"):
        dataclasses.replace(RECIPE, **{name: -1})


def test_an_architecture_is_structured_or_plain():
    for options in ({}, {"branches": 2, "widths": (3, 4, 4, 4, 3)}):
        with pytest.raises(ValueError, match=r"got branches=.*; give one of them"):
            Architecture(**options)
    with pytest.raises(ValueError, match="power of two"):
        Architecture(branches=2, n=3)
    with pytest.raises(ValueError, match="widths must be five"):
        Architecture(widths=(3, 5, 3))


def test_a_folder_of_another_training_is_refused(tmp_path):
    run(folder=tmp_path / "a", seeds=[0])
    with pytest.raises(ValueError, match="give another folder"):
        run(folder=tmp_path / "a", seeds=[1])


def test_networks_are_handed_over_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path / "artefacts"))
    monkeypatch.setenv("DYNLIB_HAND_OVER", str(tmp_path / "handed"))
    monkeypatch.setenv("DYNLIB_HANDED", str(tmp_path / "handed"))
    wanted = {"one": (STRUCTURED, RECIPE, [3, 4]), "plain": (PLAIN, RECIPE, [3])}
    found = train_all(wanted, PAIRS, VALIDATION)
    paths = np.random.default_rng(0).normal(size=(4, 5, 3))
    recipes = dict.fromkeys(wanted, RECIPE)
    Networks(paths, 3, [3, 4], recipes, found).hand_over("maker")
    back = Networks.handed("maker", otherwise=refuse)
    np.testing.assert_array_equal(back.trajectories, paths)
    assert (back.n_learn, back.seeds, back.recipes) == (3, [3, 4], recipes)
    for name in wanted:
        for ours, theirs in zip(found[name], back.trained[name], strict=True):
            assert_same([ours], [theirs])
            assert (ours.architecture, ours.dead, ours.solves) == (
                theirs.architecture, theirs.dead, theirs.solves
            )  # fmt: skip


def test_stand_ins_are_made_only_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNLIB_HANDED", str(tmp_path))
    with pytest.raises(ValueError, match="which maker hands over, is not there"):
        Networks.handed("maker", otherwise=refuse)
    monkeypatch.delenv("DYNLIB_HANDED")
    assert Networks.handed("a run that never was", otherwise=lambda: "stand-ins") == "stand-ins"


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_training_does_not_depend_on_where_the_states_lie(offset):
    """Units are standardised, so that a shift leaves the errors, to the digits that are left."""
    shifted = {
        "pairs": tuple(part + offset for part in PAIRS),
        "validation": tuple(part + offset for part in VALIDATION),
    }
    (near,), (far,) = run(seeds=[0]), run(seeds=[0], **shifted)
    np.testing.assert_allclose(far.history, near.history, rtol=1e-3, atol=1e3 * np.spacing(offset))


@pytest.mark.parametrize("value", [0.1, 23.7, 1e8 + 0.1])
@pytest.mark.parametrize(("which", "name"), [(0, "inputs"), (1, "targets")])
def test_a_constant_coordinate_is_refused_whatever_its_value(value, which, name):
    parts = [part.copy() for part in PAIRS]
    parts[which][:, 1] = value
    with pytest.raises(ValueError, match=rf"of the {name} must vary, .*got constant \[1\]"):
        RECIPE.check(tuple(parts))


@pytest.mark.parametrize("cut", [lambda p: (p[0], p[1][:1]), lambda p: (p[0][:, :2], p[1])])
def test_validation_pairs_match_those_to_learn_from(cut):
    with pytest.raises(ValueError, match=r"of validation must have shape \((\d+|M), 3\), got"):
        run(validation=cut(VALIDATION))


def test_the_finished_network_is_that_of_the_weights():
    (found,) = run(seeds=[0])
    state = torch.zeros(1, found.model.n, dtype=torch.float64)
    before = found.model(state)
    with torch.no_grad():
        for weight in found.model.parameters():  # of a network made for this loop
            weight.zero_()
    torch.testing.assert_close(found.model(state), before, rtol=0, atol=0)
    found.weights[-1].zero_()
    torch.testing.assert_close(found.model(state), found.at(-1)(state), rtol=0, atol=0)
    assert not torch.equal(found.model(state), before)
