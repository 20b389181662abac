"""The plain network against torch's own layers, autodiff and a count of its weights."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

from dynlib.networks.ffnn import FFNN, in_numpy, widths_of_size


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def random(widths=(3, 5, 7, 6, 3), *, seed=0, dtype=torch.float64):
    """A network with dead and living ReLUs."""
    model = FFNN(widths, dtype=dtype)
    flat = draw(sum(w.numel() for w in model.parameters()), seed=seed, dtype=dtype)
    torch.nn.utils.vector_to_parameters(flat, model.parameters())
    return model


def weights_of(model):
    return torch.cat([w.detach().flatten() for w in model.parameters()])


def twin(model):
    """The same network of torch's modules."""
    activations = [nn.Tanh(), nn.Sigmoid(), nn.ReLU(), nn.Identity()]
    layers = []
    for (inner, outer), activation in zip(
        itertools.pairwise(model.widths), activations, strict=True
    ):
        layers += [nn.Linear(inner, outer, dtype=torch.float64), activation]
    network = nn.Sequential(*layers)
    torch.nn.utils.vector_to_parameters(weights_of(model).double(), network.parameters())
    return network


@pytest.mark.parametrize("widths", [(3, 30, 30, 30, 3), (1, 1, 1, 1, 1), (2, 3, 4, 5, 6)])
def test_forward_is_that_of_torchs_layers(widths):
    model, x = random(widths), draw(2, 9, widths[0], seed=1)
    torch.testing.assert_close(model(x), twin(model)(x), rtol=1e-13, atol=1e-13)
    theta = weights_of(model)[None]
    outputs = model.evaluate(theta, x[:1].mT)
    torch.testing.assert_close(outputs.mT, model(x[:1]).detach(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("widths", "count"), [((3, 30, 30, 30, 3), 2073), ((2, 3, 4, 5, 6), 9 + 16 + 25 + 36)]
)
def test_parameters_are_counted(widths, count):
    assert sum(weight.numel() for weight in FFNN(widths).parameters()) == count


def test_derivatives_are_those_of_autodiff():
    models = [random(seed=s) for s in range(3)]
    theta, columns = torch.stack([weights_of(m) for m in models]), draw(3, 3, 8, seed=9)
    out = torch.full((3, theta.shape[1], 3, 8), torch.nan, dtype=torch.float64)
    with torch.no_grad():
        outputs, jacobian = models[0].jacobian(theta, columns, out)
    assert jacobian is out
    for model, flat, states, y, found in zip(
        models, theta, columns, outputs, jacobian, strict=True
    ):
        network = twin(model)
        names = [name for name, _ in network.named_parameters()]
        shapes = [weight.shape for weight in network.parameters()]

        def evaluate(t, state, network=network, names=names, shapes=shapes):
            parts = t.split([shape.numel() for shape in shapes])
            weights = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
            return torch.func.functional_call(network, weights, (state,))

        expected = vmap(jacrev(evaluate), in_dims=(None, 0))(flat, states.mT).permute(2, 1, 0)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(y.mT, network(states.mT).detach(), rtol=1e-13, atol=1e-13)


def test_derivatives_may_reuse_a_buffer():
    model = random()
    first, second = (weights_of(random(seed=s))[None] for s in (1, 2))
    columns = draw(1, 3, 8, seed=9)
    clean, used = (torch.empty(1, first.shape[1], 3, 8, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        model.jacobian(first, columns, used)
        model.jacobian(second, 2 * columns, used, fresh=False)
        model.jacobian(second, 2 * columns, clean)
    assert torch.equal(used, clean)


def test_derivatives_of_some_outputs_only_are_refused():
    model = random()
    theta = weights_of(model)[None]
    with pytest.raises(ValueError, match=r"out must have shape \(1, \d+, 3, 8\), got"):
        model.jacobian(theta, draw(1, 3, 8), theta.new_empty(1, theta.shape[1], 2, 8))


def test_rescaling_changes_units_and_nothing_else():
    model, original = random(), random()
    mean, out_mean = 20 * draw(2, 3, seed=1)
    scale, out_scale = 0.1 + 9 * draw(2, 3, seed=2).abs()
    states = draw(50, 3, seed=3)
    expected = out_mean + out_scale * original(states)
    model.rescale(mean, scale, out_mean, out_scale)
    found = model(mean + scale * states)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_initial_weights_are_distributed_like_torchs():
    model = FFNN((3, 200, 100, 200, 3))
    model.draw(generator(1))
    torch.manual_seed(0)
    for layer, (inner, outer) in enumerate(itertools.pairwise(model.widths), start=1):
        peer = nn.Linear(inner, outer)
        for name in ("weight", "bias"):
            ours = getattr(model, f"{name}_{layer}").detach()
            theirs = getattr(peer, name).detach()
            assert ours.shape == theirs.shape
            assert float(ours.abs().max()) <= inner**-0.5
            if ours.numel() > 100:
                error = 4 / ours.numel() ** 0.5
                assert float(ours.std() / theirs.std()) == pytest.approx(1, abs=2 * error)


@pytest.mark.parametrize("widths", [(3, 30, 30, 30, 3), (3, 5, 7, 6, 3)])
@pytest.mark.parametrize("used", [None, 3])
def test_living_weights_leave_no_unit_dead(widths, used):
    model = FFNN(widths, dtype=torch.float64)
    model.draw_alive(generator(2), used=used)
    states = torch.cat([draw(500, 3), 1e6 * draw(500, 3)])
    theta = weights_of(model)[None]
    third = model.layers(model.split(theta), states.mT[None])[-2]
    assert float(third.min()) >= 0.5
    assert float(model(torch.zeros(3, dtype=torch.float64)).detach().abs().max()) < 1e-12
    assert float(model(states).detach().std()) > 0.05


def test_living_weights_leave_one_half_at_the_worst_corner():
    # The third layer is linear in values of the second between 0 and 1: lowest at a corner.
    model = FFNN((3, 5, 7, 6, 3), dtype=torch.float64)
    model.draw_alive(generator(4))
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 7)
    third = nn.functional.linear(corners, model.weight_3, model.bias_3).detach()
    torch.testing.assert_close(third.amin(0), torch.full((6,), 0.5, dtype=torch.float64))


def test_the_generator_decides_the_weights_in_any_precision():
    one, two, other = FFNN(), FFNN(dtype=torch.float64), FFNN()
    for model, seed in ((one, 5), (two, 5), (other, 6)):
        model.draw(generator(seed))
    assert torch.equal(weights_of(one), weights_of(two).float())
    assert not torch.equal(weights_of(one), weights_of(other))


def test_no_tensor_is_made_on_the_wrong_device():
    model = FFNN().to("meta")
    theta, columns = torch.empty(2, 2073, device="meta"), torch.empty(2, 3, 9, device="meta")
    outputs, jacobian = model.jacobian(theta, columns, torch.empty(2, 2073, 3, 9, device="meta"))
    assert outputs.device.type == jacobian.device.type == "meta"
    assert model(columns[0].mT).device.type == "meta"


@pytest.mark.parametrize("wanted", [68, 132, 260, 388])
def test_a_network_of_a_wanted_size_is_found(wanted):
    widths = widths_of_size(wanted)
    assert widths[0] == widths[-1] == 3
    count = sum(weight.numel() for weight in FFNN(widths).parameters())
    assert abs(count - wanted) <= 0.02 * wanted

    # The most equal of all hidden widths: by trying all of them.
    def size(a, b, c):
        return 4 * a + (a + 1) * b + (b + 1) * c + 3 * (c + 1)

    spread = max(widths[1:4]) - min(widths[1:4])
    better = [
        hidden
        for hidden in itertools.product(range(1, 31), repeat=3)
        if abs(size(*hidden) - wanted) <= 0.02 * wanted and max(hidden) - min(hidden) < spread
    ]
    assert better == []


@pytest.mark.parametrize(("n", "n_out"), [(3, 2), (12, 2), (2, 5)])
def test_outputs_may_be_fewer_or_more_than_inputs(n, n_out):
    widths = widths_of_size(388, n, n_out)
    assert (widths[0], widths[-1]) == (n, n_out)
    assert abs(sum(weight.numel() for weight in FFNN(widths).parameters()) - 388) <= 0.02 * 388
    assert max(widths[1:4]) - min(widths[1:4]) <= 1
    assert widths_of_size(388, n) == widths_of_size(388, n, n)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: FFNN((3, 30, 3)), r"widths must be five, .*\(3, 30, 3\)"),
        (lambda: FFNN((3, 0, 3, 3, 3)), "each of widths must be a whole number from 1 .*, got 0"),
        (lambda: FFNN().draw_alive(generator(), used=2), "used must be .* from 3 to 3, got 2"),
        (lambda: widths_of_size(5), "within 2%, those of a network 3-a-b-c-3, got 5"),
        (lambda: widths_of_size(388, within=0.0), "within 0%, .*got 388"),
        (lambda: widths_of_size(5, 3, 2), "network 3-a-b-c-2, got 5"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 50])
def test_in_numpy_it_is_the_same_network(dtype, batch):
    model, states = random(dtype=dtype), draw(batch, 3, seed=1, dtype=dtype)
    before = weights_of(model)
    with torch.no_grad():
        torch.testing.assert_close(in_numpy(model)(states), model(states), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(weights_of(model), before, rtol=0, atol=0)
