"""Training of LEADS: it learns, it resumes to the same digits, it is kept by all that matters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, TIMES, initial_states, trajectories
from dynlib.networks import leads_training
from dynlib.networks.leads import LEADS, PENALTY, penalty
from dynlib.networks.leads_training import LeadsRecipe, rollout, train_leads
from dynlib.peers.leads_loop import LoopedLEADS

pytestmark = pytest.mark.usefixtures("one_thread", "artefacts_folder")

DATA = trajectories(ENVIRONMENTS[:3], initial_states(2), TIMES[:7])
WINDOWS = LeadsRecipe(steps=(3, 5), windows=(1, 4), decay=True, marks=4)
PUBLISHED = LeadsRecipe(steps=(8,), windows=(0,), marks=4)


def train(recipe=WINDOWS, data=DATA, dt=0.5, seed=0, **options):
    return train_leads(recipe, data, dt, seed, **options)


def assert_same(one, two):
    assert torch.equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.steps, two.steps)


class Stopped(Exception):
    pass


def refuse(*_, **__):
    raise Stopped


def state_of_training(recipe, seed=0):
    """A training before its first step, in float64 and with weights that matter."""
    training = leads_training._Training(recipe, DATA, 0.5, seed, None, "cpu")
    training.model.double()
    training.trajectories = torch.as_tensor(DATA)
    training.vectors = [vector.double() for vector in training.vectors]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in training.model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return training


# --- it learns


@pytest.mark.parametrize(
    "recipe",
    [
        LeadsRecipe(steps=(50,), windows=(2,), learning_rate=1e-2, marks=2),
        LeadsRecipe(steps=(50,), windows=(0,), learning_rate=1e-2, marks=2),
    ],
)
def test_rollouts_come_nearer_to_the_truth(recipe):
    trained = train(recipe)
    assert trained.steps.tolist() == [25, 50]
    found = [rollout(model, DATA[:, :, 0], 6, 0.5) for model in (trained.at(0), trained.model)]
    errors = [np.square(each - DATA[:, :, 1:]).mean() for each in found]
    spread = DATA[:, :, 1:].var()
    assert errors[1] < errors[0]
    assert errors[1] < 0.1 * spread


def test_predictions_are_the_models():
    trained = train()
    found = rollout(trained.model, DATA[:, :, 0], 5, 0.25)
    assert (found.shape, found.dtype) == ((3, 2, 5, 2), np.float64)
    expected = LoopedLEADS(trained.model)(torch.as_tensor(DATA[:, :, 0]).float(), 5, 0.25)
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-5)


# --- the same every time


@pytest.mark.parametrize("recipe", [WINDOWS, PUBLISHED])
@pytest.mark.parametrize("stop", [1, 2, 5, 7])
def test_a_training_stopped_at_any_step_ends_in_the_same_digits(
    tmp_path, monkeypatch, stopping, recipe, stop
):
    whole = train(recipe)
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path / "stopped"))
    with stopping(stop):
        train(recipe, checkpoint_seconds=-1)
    steps = []

    def counted(self, step, loss=leads_training._Training._loss):
        steps.append(step)
        return loss(self, step)

    monkeypatch.setattr(leads_training._Training, "_loss", counted)
    resumed = train(recipe)
    assert steps == list(range(stop, 8))  # nothing is done again
    assert_same(whole, resumed)
    assert (np.diff(resumed.seconds) > 0).all()
    assert not list(tmp_path.glob("stopped/*/checkpoints"))


def test_seconds_are_those_of_the_processor(monkeypatch):
    """Every step takes one second by a clock that only counts how often it is read."""
    clock = iter(range(1000))
    monkeypatch.setattr(leads_training.time, "process_time", lambda: float(next(clock)))
    found = train(LeadsRecipe(steps=(8,), windows=(1,), marks=4))
    np.testing.assert_array_equal(found.seconds, [2, 4, 6, 8])


def test_a_finished_training_is_loaded_and_a_damaged_one_repeated(tmp_path, monkeypatch):
    first = train()
    with monkeypatch.context() as patch:
        patch.setattr(leads_training._Training, "step", refuse)
        loaded = train()
        assert_same(first, loaded)
        np.testing.assert_array_equal(first.seconds, loaded.seconds)
        (file,) = tmp_path.glob("leads-*/model/tensors.safetensors")
        content = file.read_bytes()
        file.unlink()  # the tensors above are mapped from this very file
        file.write_bytes(content[:-3])
        with pytest.raises(Stopped):
            train()
    assert_same(first, train())


def test_artefacts_are_kept_by_everything_that_matters(tmp_path):
    short = LeadsRecipe(steps=(1,), windows=(1,))
    shared = [LEADS(1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]

    def new(**options):
        before = set(tmp_path.iterdir())
        train(**{"recipe": short} | options)
        return len(set(tmp_path.iterdir()) - before)

    assert new() == 1
    assert new() == new(label="another name") == new(checkpoint_seconds=1.0) == 0
    assert new(seed=1) == 1
    assert new(dt=0.25) == 1
    assert new(data=DATA + 1e-9) == 1
    assert new(recipe=dataclasses.replace(short, rounds=6)) == 1
    assert new(recipe=dataclasses.replace(short, decay=True)) == 1
    assert new(shared=shared[0]) == new(shared=shared[1]) == 1
    assert new(shared=shared[0]) == new() == 0


@pytest.mark.parametrize(
    ("steps", "marks", "expected"),
    [((2, 6), 4, [2, 4, 6, 8]), ((5,), 2, [2, 4, 5]), ((3,), 40, [1, 2, 3])],
)
def test_marks_stand_at_equal_steps_and_at_the_end(steps, marks, expected):
    trained = train(LeadsRecipe(steps=steps, windows=(1, 2)[: len(steps)], marks=marks))
    assert trained.steps.tolist() == expected
    assert trained.weights.shape == (len(expected), 4 * 8645)
    for mark, weights in enumerate(trained.weights):
        found = torch.nn.utils.parameters_to_vector(trained.at(mark).parameters())
        assert torch.equal(found, weights)
    assert not torch.equal(trained.weights[0], trained.weights[1])


# --- what is learnt from


def sequential(training, step):
    """The published error, one time after the other, restarted from the truth now and then."""
    rng = np.random.default_rng([training.seed, step])
    paths = torch.as_tensor(DATA[:, rng.integers(DATA.shape[1])])
    restart = rng.random(DATA.shape[2] - 2) < 0.99 ** (1 + step // 10)
    loop, total, state = LoopedLEADS(training.model), 0.0, paths[:, :1]
    for k in range(1, DATA.shape[2]):
        state = loop(state, 1, 0.5)[:, :, 0]
        total = total + (state[:, 0] - paths[:, k]).square().sum()
        if k < DATA.shape[2] - 1 and restart[k - 1]:
            state = paths[:, k : k + 1]
    return total / paths.numel(), loop, int(restart.sum())


@pytest.mark.parametrize(
    ("step", "restarts"), [(0, {5}), (15, {4}), (700, {1, 2, 3, 4}), (9000, {0})]
)
def test_stretches_side_by_side_are_the_sequence_with_restarts(step, restarts):
    training = state_of_training(PUBLISHED)
    found, at = training._published(step)
    expected, loop, count = sequential(training, step)
    chosen = np.random.default_rng([training.seed, step]).integers(DATA.shape[1])
    assert torch.equal(at, torch.as_tensor(DATA[:, chosen], dtype=at.dtype))
    assert count in restarts
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    found.backward()
    expected.backward()
    for layer in range(4):
        ours = training.model.get_parameter(f"shared_weight_{layer}").grad[0]
        theirs = loop.shared[2 * layer].weight.grad.T
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_every_trajectory_is_met_in_the_published_way():
    training, met = state_of_training(PUBLISHED), set()
    for step in range(20):
        with torch.no_grad():
            met.add(round(training._published(9000 + step)[0].item(), 9))
    assert len(met) == DATA.shape[1]


@pytest.mark.parametrize("length", [1, 3, 6])
def test_all_windows_of_all_trajectories_are_learnt_from(length):
    first, following = state_of_training(WINDOWS)._windows(length)
    expected = [
        [DATA[e, i, t : t + length + 1] for i in range(2) for t in range(7 - length)]
        for e in range(3)
    ]
    np.testing.assert_array_equal(first, np.array(expected)[:, :, 0])
    np.testing.assert_array_equal(following, np.array(expected)[:, :, 1:])


def test_a_window_of_one_step_is_all_pairs():
    training = state_of_training(WINDOWS)
    vectors = [vector.clone() for vector in training.vectors]
    found, loop, errors = training._loss(0), LoopedLEADS(training.model), []
    for e, t in np.ndindex(3, 6):
        states, successors = (torch.as_tensor(DATA[:, :, t + k]) for k in (0, 1))
        errors.append((loop(states, 1, 0.5)[e, :, 0] - successors[e]).square().mean())
    every = training.trajectories.reshape(3, -1, 2)
    expected = sum(errors) / len(errors) + PENALTY * penalty(training.model, every, vectors)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_phases_follow_one_another(monkeypatch):
    windows = []

    def watched(self, states, steps, dt, forward=LEADS.forward):
        windows.append(steps)
        return forward(self, states, steps, dt)

    monkeypatch.setattr(LEADS, "forward", watched)
    train(LeadsRecipe(steps=(2, 0, 1, 2), windows=(1, 2, 6, 3)))
    assert windows == [1, 1, 6, 3, 3]


@pytest.mark.parametrize("decay", [False, True])
def test_the_learning_rate_falls_along_half_a_cosine(monkeypatch, decay):
    rates = []

    def watched(self, step, loss=leads_training._Training._loss):
        rates.append(self.optimizer.param_groups[0]["lr"])
        return loss(self, step)

    monkeypatch.setattr(leads_training._Training, "_loss", watched)
    train(dataclasses.replace(WINDOWS, decay=decay, learning_rate=2e-3))
    share = np.cos(np.pi * np.arange(8) / 8 / 2) ** 2 if decay else np.ones(8)
    np.testing.assert_allclose(rates, 2e-3 * share, rtol=1e-12)


def test_a_step_is_adams():
    training = state_of_training(WINDOWS)
    before = [weight.detach().clone() for weight in training.model.parameters()]
    training._loss(0).backward()
    training.optimizer.step()
    moved = 0
    for weight, old in zip(training.model.parameters(), before, strict=True):
        # Adam's first step: the learning rate against the gradient's sign.
        expected = -1e-3 * weight.grad / (weight.grad.abs() + 1e-8)
        torch.testing.assert_close(weight.detach() - old, expected, rtol=1e-6, atol=1e-10)
        moved += int(weight.grad.any())
    assert moved == 18


# --- new environments


@pytest.mark.parametrize("recipe", [WINDOWS, PUBLISHED])
def test_a_shared_field_that_is_taken_over_does_not_move(recipe):
    shared = LEADS(5, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        shared.shared_bias_1 += 0.3
        shared.shared_beta += 0.3
    given = [weight.detach().clone() for weight in shared.parameters()]
    trained, fresh = train(recipe, shared=shared), train(recipe)
    frozen = shared.state_dict()
    first = trained.at(0).state_dict()
    for name, weight in trained.model.state_dict().items():
        if name.startswith("shared"):
            assert torch.equal(weight, frozen[name])
            assert not torch.equal(weight, fresh.model.state_dict()[name])
        else:
            assert (weight != first[name]).any(), name
    for weight, before in zip(shared.parameters(), given, strict=True):
        assert torch.equal(weight, before)
        assert weight.requires_grad


# --- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": DATA[0]}, r"must have shape \(E, n, T, d\), got \(2, 7, 2\)"),
        ({"data": DATA[:, :0]}, r"\(3, 0, 7, 2\)"),
        ({"data": DATA[:, :, :1]}, r"must have at least \d times for .*, got 1"),
        (
            {"shared": LEADS(3, dim=3)},
            "must have the 3 coordinates of the shared field, got 2",
        ),
        ({"dt": 0.0}, "dt must be a finite number above 0, got 0.0"),
        ({"dt": float("nan")}, "got nan"),
        (
            {"recipe": LeadsRecipe(steps=(1,), windows=(7,))},
            r"at least 8 times for windows=\(7,\), got 7",
        ),
        ({"device": "gpu"}, "'gpu'"),
    ],
)
def test_bad_input_is_named(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        train(**options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": (1, 2), "windows": (1,)}, r"steps=\(1, 2\), windows=\(1,\)"),
        ({"steps": (), "windows": ()}, r"steps must be one or more .*, got \(\)"),
        ({"steps": (0,)}, r"not all 0, got steps=\(0,\)"),
        ({"steps": (-1,)}, "each of steps must be .*, got -1"),
        ({"windows": (-1,)}, "each of windows must be .*, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be .*, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be .*, got nan"),
        ({"rounds": 0}, "rounds must be .*, got 0"),
        ({"marks": 0}, "marks must be .*, got 0"),
    ],
)
def test_impossible_recipes_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        LeadsRecipe(**{"steps": (3,), "windows": (1,)} | options)


def test_models_of_other_sizes_come_back_whole():
    data = np.concatenate([DATA, DATA[..., :1]], axis=-1)  # three coordinates
    shared = LEADS(1, width=8, dim=3)
    trained = train(LeadsRecipe(steps=(1,), windows=(1,)), data=data, shared=shared)
    weights = [weight.flatten() for weight in trained.model.parameters()]
    assert torch.equal(torch.cat(weights), trained.weights[-1])
    assert trained.model.own_weight_1.shape == (3, 8, 8)
