"""Rollouts as a model to train: against plain rollouts and autodiff; training on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import jacrev

from dynlib.networks.recipes import Architecture, Recipe
from dynlib.networks.scores import rollout
from dynlib.networks.training import train
from dynlib.peers import unrolled
from dynlib.peers.unrolled import Unrolled, refine
from dynlib.training import loop

pytestmark = pytest.mark.usefixtures("one_thread", "artefacts_folder")

STRUCTURED = Architecture(branches=3)
PLAIN = Architecture(widths=(3, 5, 6, 5, 2))  # two coordinates and a constant
UNITS = (
    (np.array([2.0, -1.0, 4.5]), np.array([3.0, 0.5, 2.9])),
    (np.array([1.5, -0.5]), np.array([2.0, 0.7])),
)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(architecture, seed=0):
    model = architecture.build()
    torch.nn.utils.vector_to_parameters(
        0.7 * draw(sum(w.numel() for w in model.parameters()), seed=seed), model.parameters()
    )
    return model


def weights_of(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def feedback():
    """Gain and shift between outputs and inputs of `UNITS`."""
    (mean, scale), (out_mean, out_scale) = UNITS
    return torch.as_tensor(out_scale / scale[:2]), torch.as_tensor(
        (out_mean - mean[:2]) / scale[:2]
    )


def columns_for(model, copies, batch, seed=1):
    columns = draw(copies, model.n, batch, seed=seed)
    columns[:, 3:] = 0  # padding
    return columns


# --- values and derivatives


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_values_are_those_of_a_rollout_in_raw_units(architecture, steps):
    (mean, scale), (out_mean, out_scale) = UNITS
    model, raw = network(architecture, 11), network(architecture, 11)
    raw.rescale(*(torch.as_tensor(a) for unit in UNITS for a in unit))
    inputs = np.random.default_rng(0).normal(size=(6, 3)) * scale + mean
    columns = torch.zeros(1, model.n, 6, dtype=torch.float64)
    columns[0, :3] = torch.as_tensor(((inputs - mean) / scale).T)
    found = Unrolled(model, steps, *feedback()).evaluate(weights_of(model)[None], columns)
    states = found[0].detach().T.reshape(6, steps, 2).numpy() * out_scale + out_mean
    expected = rollout(raw, inputs[:, :2], steps, inputs[:, 2:])
    np.testing.assert_allclose(states, expected, rtol=1e-11, atol=1e-11)
    assert (expected.std(0) > 1e-3).all()


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_derivatives_are_those_of_autodiff(architecture, steps):
    models = [network(architecture, seed) for seed in (0, 1)]
    theta = torch.stack([weights_of(model) for model in models])
    columns = columns_for(models[0], 2, 4)
    path = Unrolled(models[0], steps, *feedback())
    out = torch.full((2, theta.shape[1], 2 * steps, 4), torch.nan, dtype=torch.float64)
    with torch.no_grad():
        outputs, jacobian = path.jacobian(theta, columns, out)
    assert jacobian is out
    torch.testing.assert_close(outputs, path.evaluate(theta, columns), rtol=1e-13, atol=1e-13)
    for copy in (0, 1):
        expected = jacrev(lambda t, c=copy: path.evaluate(t[None], columns[c : c + 1])[0])(
            theta[copy]
        ).permute(2, 0, 1)
        size = float(expected.abs().max())
        torch.testing.assert_close(jacobian[copy], expected, rtol=1e-11, atol=1e-13 * size)
    if steps > 1:  # weights of a first step act on the second, through the state
        with torch.no_grad():
            alone = Unrolled(models[0], 1, *feedback()).jacobian(
                theta, columns, torch.empty_like(out[:, :, :2])
            )[1]
        assert not torch.allclose(jacobian[:, :, 2:4], alone)


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
def test_one_step_is_the_models_own(architecture):
    model = network(architecture)
    theta, columns = weights_of(model)[None], columns_for(model, 1, 7)
    path = Unrolled(model, 1, *feedback())
    ours, own = (torch.empty(1, theta.shape[1], 2, 7, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        values = path.jacobian(theta, columns, ours)[0], model.jacobian(theta, columns, own)[0]
    assert torch.equal(*values)
    assert torch.equal(ours, own)
    assert torch.equal(path.evaluate(theta, columns), model.evaluate(theta, columns)[:, :2])


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
def test_derivatives_may_reuse_a_buffer(architecture):
    model, gain = network(architecture), feedback()
    used, path = None, Unrolled(model, 3, *gain)
    for seed, batch in ((0, 4), (1, 4), (2, 6), (3, 6)):
        theta = weights_of(network(architecture, seed))[None]
        columns = columns_for(model, 1, batch, seed)
        shape = (1, theta.shape[1], 6, batch)
        fresh = used is None or used.shape != shape
        used = torch.empty(shape, dtype=torch.float64) if fresh else used
        clean = torch.empty(shape, dtype=torch.float64)
        with torch.no_grad():
            path.jacobian(theta, columns, used, fresh)
            Unrolled(model, 3, *gain).jacobian(theta, columns, clean)
        assert torch.equal(used, clean)


# --- training on rollouts


CONSTANTS = np.linspace(0.2, 1.0, 12)[:, None]
#: Turns by an angle that the constant decides, which a small network learns only in part.
STARTS = np.random.default_rng(3).normal(size=(12, 2)) + np.array([1.0, 2.0])


def turned(steps):
    path = [STARTS]
    for _ in range(steps):
        c, s = np.cos(CONSTANTS[:, 0]), np.sin(CONSTANTS[:, 0])
        x, y = path[-1].T
        path.append(0.97 * np.stack([c * x - s * y, s * x + c * y], axis=1))
    return np.stack(path, axis=1)


PATHS = turned(6)


def trained_on_pairs(architecture, steps=25):
    inputs = np.concatenate(
        [PATHS[:, :-1], np.broadcast_to(CONSTANTS[:, None], (12, 6, 1))], axis=2
    ).reshape(-1, 3)
    pairs = inputs, PATHS[:, 1:].reshape(-1, 2)
    recipe = Recipe(steps=steps, batch_size=72, marks=5)
    return train(architecture, recipe, pairs=pairs, seeds=[0], validation=pairs)[0]


def rollout_errors(trained, marks):
    """Mean squared errors of rollouts, in the units of training."""
    found = []
    for mark in marks:
        predictions = rollout(trained.at(mark), PATHS[:, 0], 6, CONSTANTS)
        found.append(np.square((predictions - PATHS[:, 1:]) / trained.units[1][1]).mean())
    return np.array(found)


@pytest.mark.parametrize("architecture", [STRUCTURED, PLAIN])
def test_rollouts_become_better_and_never_worse(architecture):
    trained = trained_on_pairs(architecture)
    refined = refine(trained, PATHS, CONSTANTS, 15)
    errors = rollout_errors(refined, range(4, 20))
    assert (np.diff(errors) <= 1e-12 * errors[:-1]).all()
    assert errors[-1] < 0.5 * errors[0]
    assert errors[0] == pytest.approx(rollout_errors(trained, [-1])[0], rel=1e-12)


def test_what_was_there_before_stays():
    trained = trained_on_pairs(STRUCTURED)
    given = trained.weights.clone()
    refined = refine(trained, PATHS, CONSTANTS, 4)
    assert refined.weights.shape == (9, given.shape[1])
    assert torch.equal(refined.weights[:5], given)
    assert torch.equal(trained.weights, given)
    np.testing.assert_array_equal(refined.seconds[:5], trained.seconds)
    assert (np.diff(refined.seconds[4:]) > 0).all()
    assert refined.seconds.shape == (9,)
    for name in ("architecture", "units", "history", "dead", "solves"):
        assert getattr(refined, name) is getattr(trained, name)


def test_a_refinement_is_kept_by_everything_that_matters(tmp_path, monkeypatch):
    trained, shorter = trained_on_pairs(STRUCTURED), trained_on_pairs(STRUCTURED, 10)
    first = refine(trained, PATHS, CONSTANTS, 2)

    def new(trained=trained, paths=PATHS, constants=CONSTANTS, steps=2):
        before = set(tmp_path.iterdir())
        found = refine(trained, paths, constants, steps)
        return found, len(set(tmp_path.iterdir()) - before)

    with monkeypatch.context() as patch:
        patch.setattr(unrolled, "_Training", None)
        again, count = new()
        assert count == 0
        assert torch.equal(again.weights, first.weights)
        np.testing.assert_array_equal(again.seconds, first.seconds)
    assert new(steps=3)[1] == 1
    assert new(paths=PATHS + 1e-9)[1] == 1
    assert new(paths=PATHS[:, :-1])[1] == 1
    assert new(constants=CONSTANTS + 1e-9)[1] == 1
    assert new(shorter)[1] == 1
    assert new()[1] == 0


@pytest.mark.parametrize("stop", [1, 3])
def test_a_refinement_stopped_at_any_step_ends_in_the_same_digits(tmp_path, monkeypatch, stop):
    trained, original = trained_on_pairs(STRUCTURED), loop.train
    whole = refine(trained, PATHS, CONSTANTS, 5)
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path / "stopped"))
    stepped = []

    def watched(self, number, step=unrolled._Training.step):
        if len(stepped) == stop:
            stepped.append(None)
            raise InterruptedError
        stepped.append(number)
        return step(self, number)

    monkeypatch.setattr(unrolled._Training, "step", watched)
    monkeypatch.setattr(
        loop, "train", lambda *a, **k: original(*a, **k | {"checkpoint_seconds": -1})
    )
    with pytest.raises(InterruptedError):
        refine(trained, PATHS, CONSTANTS, 5)
    resumed = refine(trained, PATHS, CONSTANTS, 5)
    assert stepped == [*range(stop), None, *range(stop, 5)]  # nothing is done again
    assert torch.equal(resumed.weights, whole.weights)
    assert (np.diff(resumed.seconds[-6:]) > 0).all()


def test_a_damaged_refinement_is_computed_again(tmp_path):
    trained = trained_on_pairs(PLAIN)
    first = refine(trained, PATHS, CONSTANTS, 2)
    (file,) = tmp_path.glob("refined-*/model/tensors.safetensors")
    file.write_bytes(file.read_bytes()[:-3])
    assert torch.equal(refine(trained, PATHS, CONSTANTS, 2).weights, first.weights)


@pytest.mark.parametrize(
    ("paths", "constants", "steps", "words"),
    [
        (PATHS[0], CONSTANTS, 1, r"\(N, K \+ 1, 2\), got \(7, 2\)"),
        (PATHS, CONSTANTS[:, 0], 1, r"constants must have shape \(12, 1\), got \(12,\)"),
        (PATHS, CONSTANTS[:-1], 1, r"constants must have shape \(12, 1\), got \(11, 1\)"),
        (PATHS, np.tile(CONSTANTS, 2), 1, r"got \(12, 2\); the network has 3 inputs and 2 outputs"),
        (PATHS, CONSTANTS, 0, "steps must be a whole number from 1 .*, got 0"),
        (PATHS[:, :1], CONSTANTS, 1, r"two states or more, got shape \(12, 1, 2\)"),
    ],
)
def test_bad_input_is_named(paths, constants, steps, words):
    with pytest.raises(ValueError, match=words):
        refine(trained_on_pairs(PLAIN, 1), paths, constants, steps)


def test_a_rollout_without_steps_is_refused():
    with pytest.raises(ValueError, match=r"steps must be a whole number from 1 .*, got 0"):
        Unrolled(network(PLAIN), 0, *feedback())
