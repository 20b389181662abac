"""LEADS, all environments at once, against a loop over them and against the formulas in numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.special import expit

from dynlib.networks import leads
from dynlib.networks.leads import LEADS, PENALTY, SPECTRAL, field, penalty, runge_kutta
from dynlib.peers.leads_loop import LoopedLEADS, Swish

pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def perturbed(environments=3, width=7, dim=2, *, seed=0, size=0.5):
    """A model in which all weights, biases and betas differ."""
    model = LEADS(environments, width, dim, dtype=torch.float64)
    with torch.no_grad():
        for i, weight in enumerate(model.parameters()):
            weight += size * draw(*weight.shape, seed=100 * seed + i)
    return model


def paths(environments=3, batch=4, times=6, dim=2):
    """Something to compare with, of shape (E, B, T, d)."""
    return draw(environments, batch, times, dim, seed=7)


# --- the formulas, for one environment and in numpy


def network(model, part, index, x):
    """Three layers with a(z) = z sigmoid(z softplus(beta)) / 1.1 and a linear one."""
    for layer in range(4):
        weight, bias = (
            model.get_parameter(f"{part}_{name}_{layer}")[index].detach().numpy()
            for name in ("weight", "bias")
        )
        x = x @ weight + bias
        if layer < 3:
            beta = model.get_parameter(f"{part}_beta")[layer, index].item()
            x = x * expit(x * np.log1p(np.exp(beta))) / 1.1
    return x


def three_eighths(velocity, x, dt):
    """Kutta's rule by its tableau."""
    tableau, slopes = [[], [1 / 3], [-1 / 3, 1], [1, -1, 1]], []
    for row in tableau:
        slopes.append(velocity(x + dt * sum(a * k for a, k in zip(row, slopes, strict=True))))
    return x + dt * sum(b * k for b, k in zip([1 / 8, 3 / 8, 3 / 8, 1 / 8], slopes, strict=True))


def by_hand(model, e, x, steps, dt):
    """States of one environment after every step, (B, steps, d)."""

    def velocity(x):
        return network(model, "shared", 0, x) + network(model, "own", e, x)

    found = []
    for _ in range(steps):
        x = three_eighths(velocity, x, dt)
        found.append(x)
    return np.stack(found, axis=1)


def loss_by_hand(model, trajectories, dt):
    """Mean squared error, where the first state counts and is exact, plus the penalty."""
    error, spectral, size = 0.0, 0.0, 0.0
    for e, path in enumerate(trajectories.numpy()):
        error += np.square(by_hand(model, e, path[:, 0], path.shape[1] - 1, dt) - path[:, 1:]).sum()
        x = path.reshape(-1, path.shape[-1])
        own = np.linalg.norm(network(model, "own", e, x), axis=1)
        size += np.square(own / (np.linalg.norm(x, axis=1) + 1e-5)).mean()
        for layer in range(4):
            weight = model.get_parameter(f"own_weight_{layer}")[e].detach().numpy()
            spectral += np.linalg.svd(weight, compute_uv=False)[0] ** 2
    return error / trajectories.numel() + (1e-2 * spectral + size) / 5000


def stacked_loss(model, trajectories, dt):
    """The loss that the training minimises, with exact norms."""
    followed = model(trajectories[:, :, 0], trajectories.shape[2] - 1, dt)
    error = (followed - trajectories[:, :, 1:]).square().sum() / trajectories.numel()
    return error + PENALTY * penalty(model, trajectories.flatten(1, 2))


def test_the_loop_follows_the_formulas():
    model, trajectories = perturbed(), paths()
    loop = LoopedLEADS(model)
    found = loop(trajectories[:, :, 0], 5, 0.3).detach().numpy()
    for e in range(3):
        expected = by_hand(model, e, trajectories[e, :, 0].numpy(), 5, 0.3)
        np.testing.assert_allclose(found[e], expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    expected = loss_by_hand(model, trajectories, 0.3)
    assert loop.loss(trajectories, 0.3).item() == pytest.approx(expected, rel=1e-12)


def test_the_field_is_the_sum_of_two_networks():
    model, x = perturbed(), draw(3, 5, 2, seed=1)
    found = field(model.stack(), x).detach().numpy()
    for e in range(3):
        shared, own = (network(model, *part, x[e].numpy()) for part in (("shared", 0), ("own", e)))
        np.testing.assert_allclose(found[e], shared + own, rtol=0, atol=1e-13)


# --- all environments at once


def same(found, expected):
    size = max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize(
    ("environments", "width", "dim", "steps", "size"),
    [(10, 64, 2, 3, 0.05), (3, 7, 2, 5, 0.5), (1, 5, 3, 4, 0.5), (2, 1, 1, 1, 0.5)],
)
def test_rollouts_loss_and_all_gradients_are_those_of_the_loop(
    environments, width, dim, steps, size
):
    model = perturbed(environments, width, dim, size=size)
    loop, trajectories = LoopedLEADS(model), paths(environments, 3, steps + 1, dim)
    first = trajectories[:, :, 0]
    same(model(first, steps, 0.3), loop(first, steps, 0.3))
    ours, theirs = stacked_loss(model, trajectories, 0.3), loop.loss(trajectories, 0.3)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    ours.backward()
    theirs.backward()
    peers = {"shared": [loop.shared], "own": loop.own}
    compared = 0
    for part, index in [("shared", 0), *(("own", e) for e in range(environments))]:
        for layer in range(4):
            linear = peers[part][index][2 * layer]
            grads = (model.get_parameter(f"{part}_{n}_{layer}").grad for n in ("weight", "bias"))
            for found, expected in zip(
                grads, (linear.weight.grad.T, linear.bias.grad), strict=True
            ):
                assert expected.any()
                same(found[index].view_as(expected), expected)
                compared += expected.numel()
        for layer in range(3):
            expected = peers[part][index][2 * layer + 1].beta.grad
            assert expected.any()
            same(model.get_parameter(f"{part}_beta").grad[layer, index].view_as(expected), expected)
            compared += 1
    assert compared == sum(weight.numel() for weight in model.parameters())


def test_the_gradient_of_the_loss_is_that_of_differences():
    model, trajectories, h = perturbed(), paths(), 1e-5
    weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    stacked_loss(model, trajectories, 0.3).backward()
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters()])

    def value(theta):
        torch.nn.utils.vector_to_parameters(theta, model.parameters())
        return stacked_loss(model, trajectories, 0.3).item()

    for direction in draw(5, len(weights), seed=2):
        difference = (value(weights + h * direction) - value(weights - h * direction)) / (2 * h)
        assert float(gradient @ direction) == pytest.approx(difference, rel=1e-6)


def test_environments_do_not_know_of_each_other():
    model, x = perturbed(), draw(3, 4, 2, seed=1)
    before = model(x, 3, 0.5)
    grads = torch.autograd.grad(before[1].square().sum(), list(model.parameters()))
    for (name, _), grad in zip(model.named_parameters(), grads, strict=True):
        axis = 1 if name.endswith("beta") else 0
        moved = grad.transpose(0, axis).flatten(1).any(1).tolist()
        assert moved == ([True] if name.startswith("shared") else [False, True, False]), name
    with torch.no_grad():
        model.own_weight_2[1] += 1.0
        x[2] += 1.0
    after = model(x, 3, 0.5)
    assert torch.equal(after[0], before[0])
    assert not torch.isclose(after[1:], before[1:]).any(-1).any()


# --- the pieces


@pytest.mark.parametrize("environments", [1, 3, 10])
def test_parameters_are_counted(environments):
    model = LEADS(environments)
    a_network = (2 * 64 + 64) + 2 * (64 * 64 + 64) + (64 * 2 + 2) + 3
    assert a_network == 8645
    count = sum(weight.numel() for weight in model.parameters())
    assert count == (environments + 1) * a_network
    assert count == sum(weight.numel() for weight in LoopedLEADS(model).parameters())
    assert environments != 10 or count == 95_095


@pytest.mark.parametrize("beta", [-3.0, 0.0, 0.5, 4.0])
def test_the_activation_is_a_silu_with_factors(beta):
    z, slope = np.linspace(-30, 30, 201), np.log1p(np.exp(beta))
    found = Swish(torch.tensor([[beta]], dtype=torch.float64))(torch.as_tensor(z)).detach()
    np.testing.assert_allclose(found, z / (1 + np.exp(-z * slope)) / 1.1, rtol=1e-13)
    silu = torch.nn.functional.silu(slope * torch.as_tensor(z)) / (1.1 * slope)
    np.testing.assert_allclose(found, silu, rtol=1e-13)


def predator_prey(x):
    return np.stack([x[..., 0] * (1 - x[..., 1]), x[..., 1] * (x[..., 0] - 1)], -1)


@pytest.fixture
def known_field(monkeypatch):
    """Runge-Kutta steps of a field with known solutions."""

    def velocity(_, x):
        return torch.stack([x[..., 0] * (1 - x[..., 1]), x[..., 1] * (x[..., 0] - 1)], -1)

    monkeypatch.setattr(leads, "field", velocity)


def test_a_step_is_kuttas_three_eighths_rule(known_field):
    x = 1 + draw(2, 5, 2).abs()
    expected = three_eighths(predator_prey, x.numpy(), 0.5)
    np.testing.assert_allclose(runge_kutta([], x, 0.5), expected, rtol=1e-14)


def test_steps_are_of_order_four(known_field):
    start = torch.tensor([[[1.5, 0.7]]], dtype=torch.float64)
    exact = solve_ivp(
        lambda _, x: predator_prey(x), (0, 2), start[0, 0], method="DOP853", rtol=1e-13, atol=1e-14
    ).y[:, -1]
    errors = []
    for steps in (20, 40, 80):
        x = start
        for _ in range(steps):
            x = runge_kutta([], x, 2 / steps)
        errors.append(np.abs(x[0, 0].numpy() - exact).max())
    for coarse, fine in itertools.pairwise(errors):
        assert np.log2(coarse / fine) == pytest.approx(4, abs=0.2)


# --- the penalty


def vectors_of(model, seed=0):
    return [
        draw(model.environments, model.get_parameter(f"own_weight_{layer}").shape[1], 1, seed=seed)
        for layer in range(4)
    ]


def gradients(model, value):
    model.zero_grad()
    value.backward()
    return [weight.grad.clone() for n, weight in model.named_parameters() if n.startswith("own")]


def test_the_penalty_is_that_of_the_formula():
    model, x = perturbed(), draw(3, 20, 2, seed=1)
    expected = 0.0
    for e in range(3):
        own = network(model, "own", e, x[e].numpy())
        ratio = np.linalg.norm(own, axis=1) / (np.linalg.norm(x[e].numpy(), axis=1) + 1e-5)
        expected += np.square(ratio).mean()
        for layer in range(4):
            values = torch.linalg.svdvals(model.get_parameter(f"own_weight_{layer}")[e].detach())
            expected += 1e-2 * values[0].item() ** 2
    assert penalty(model, x).item() == pytest.approx(expected, rel=1e-12)
    assert (PENALTY, SPECTRAL) == (1 / 5000, 1e-2)


def test_power_iterations_come_to_the_exact_norms_from_below():
    model, x = perturbed(), draw(3, 20, 2, seed=1)
    with torch.no_grad():
        for layer in range(4):  # the largest singular value stands apart
            model.get_parameter(f"own_weight_{layer}")[:, 0, 0] += 5.0
    exact, vectors = penalty(model, x), vectors_of(model)
    rounds = [1, 1, 1, 1, 1, 200]
    found = [penalty(model, x, vectors, rounds=count).item() for count in rounds]
    assert np.diff(found).min() > -1e-12
    assert found[-1] == pytest.approx(exact.item(), rel=1e-10)
    for ours, expected in zip(
        gradients(model, penalty(model, x, vectors)), gradients(model, exact), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_five_rounds_are_five_products_in_a_loop():
    model, x = perturbed(), draw(3, 20, 2, seed=1)
    vectors = vectors_of(model)
    lefts = [vector.clone() for vector in vectors]
    found = penalty(model, x, vectors, rounds=5) - penalty(model, x)
    expected = 0.0
    for layer, e in itertools.product(range(4), range(3)):
        weight, left = (
            a.detach().numpy()
            for a in (model.get_parameter(f"own_weight_{layer}")[e], lefts[layer][e])
        )
        for _ in range(5):
            right = weight.T @ left / np.linalg.norm(weight.T @ left)
            left = weight @ right / np.linalg.norm(weight @ right)
        np.testing.assert_allclose(vectors[layer][e], left, rtol=0, atol=1e-13)
        norm = np.linalg.svd(weight, compute_uv=False)[0]
        expected += 1e-2 * ((left.T @ weight @ right).item() ** 2 - norm**2)
    assert found.item() == pytest.approx(expected, abs=1e-12)


# --- initial weights, precision, device


def test_initial_weights_are_as_published():
    model = LEADS(10, generator=generator())
    for name, weight in model.named_parameters():
        weight = weight.detach()
        if "beta" in name:
            assert (weight == 0.5).all()
        elif "bias" in name:
            assert (weight == 0).all()
        elif weight.numel() > 1000:
            bound = 4 * 0.05 / weight.numel() ** 0.5
            assert abs(weight.mean().item()) < bound
            assert weight.std().item() == pytest.approx(0.05, abs=bound)


def test_the_generator_decides_the_weights_in_any_precision():
    one, other = LEADS(2, generator=generator(5)), LEADS(2, generator=generator(6))
    two = LEADS(2, generator=generator(5), dtype=torch.float64)
    for a, b, c in zip(*(model.parameters() for model in (one, two, other)), strict=True):
        assert (a.dtype, b.dtype) == (torch.float32, torch.float64)
        assert torch.equal(a, b.float())
        assert a.numel() < 1000 or not torch.equal(a, c) or not a.any()
    assert not torch.equal(one.own_weight_1, other.own_weight_1)
    x = draw(2, 4, 2)
    single, double = one(x.float(), 4, 0.5), two(x, 4, 0.5)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


def test_no_tensor_is_made_on_the_wrong_device():
    model = LEADS(3).to("meta")
    states = torch.empty(3, 5, 2, device="meta")
    found = model(states, 4, 0.5)
    assert (found.device.type, found.shape) == ("meta", (3, 5, 4, 2))
    vectors = [torch.empty(3, size, 1, device="meta") for size in (2, 64, 64, 64)]
    for options in ({}, {"vectors": vectors}):
        assert penalty(model, states, **options).device.type == "meta"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LEADS(0), "environments must be a whole number from 1 .*, got 0"),
        (lambda: LEADS(3, width=-1), "width must .*, got -1"),
        (lambda: LEADS(3, dim=0), "dim must .*, got 0"),
        (lambda: LEADS(3)(torch.zeros(2, 5, 2), 1, 0.5), r"\(3, batch, 2\).*got \(2, 5, 2\)"),
        (lambda: LEADS(3)(torch.zeros(3, 5, 3), 1, 0.5), r"got \(3, 5, 3\)"),
        (lambda: LEADS(3)(torch.zeros(3, 2), 1, 0.5), r"got \(3, 2\)"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_power_iteration_comes_to_the_spectral_norm_from_below():
    torch.manual_seed(0)
    weight = torch.randn(7, 4, dtype=torch.float64)
    exact = torch.linalg.svdvals(weight)[0]
    found = [LoopedLEADS._norm(weight, rounds) for rounds in (1, 3, 200)]
    assert found[0] < found[1] < exact
    torch.testing.assert_close(found[2], exact)
    torch.testing.assert_close(LoopedLEADS._norm(weight, 0), exact)
