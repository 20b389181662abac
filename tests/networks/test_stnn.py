"""The structured network against a loop over its branches, Hankel matrices and autodiff."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev, vmap

from dynlib.networks.levenberg import LevenbergMarquardt
from dynlib.networks.stnn import StNN
from dynlib.operators.hankel import Hankel
from dynlib.peers.released import ReleasedStNN


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def random(n=4, branches=3, *, seed=0, dtype=torch.float64, **options):
    """A network with weights that are all different, and with dead and living ReLUs."""
    model = StNN(n, branches, dtype=dtype, **options)
    flat = draw(sum(w.numel() for w in model.parameters()), seed=seed, dtype=dtype)
    torch.nn.utils.vector_to_parameters(0.7 * flat, model.parameters())
    return model


def weights_of(model):
    return torch.cat([w.detach().flatten() for w in model.parameters()])


# --- the layers, written as the authors' description has them: branch by branch, recursively


def dft(o, d, a, b, released):
    """Row vectors through the butterflies first, then the halves, then a permutation."""
    n = o.shape[-1]
    first, second = o[..., : n // 2], o[..., n // 2 :]
    plus, minus = first + second, (first - second) * d[: n // 2]
    if n == 4:
        plus, minus = plus @ a, minus @ b
    else:
        plus = dft(plus, d[n // 2 :], a, b, released)
        minus = dft(minus, d[n // 2 :], a, b, released)
    out = torch.cat([plus, minus], dim=-1)
    if released:  # even entries first: P
        return torch.cat([out[..., 0::2], out[..., 1::2]], dim=-1)
    exact = torch.empty_like(out)  # interleaved: its transpose
    exact[..., 0::2], exact[..., 1::2] = plus, minus
    return exact


def idft(o, d, a, b):
    """Even and odd entries apart, the halves, then the butterflies."""
    n = o.shape[-1]
    even, odd = o[..., 0::2], o[..., 1::2]
    if n == 4:
        even, odd = even @ a, odd @ b
    else:
        even, odd = idft(even, d[n // 2 :], a, b), idft(odd, d[n // 2 :], a, b)
    turned = odd * d[: n // 2]
    return torch.cat([even + turned, even - turned], dim=-1)


def loop(model, x):
    """y = sum of D4 relu(D3 sigmoid(idft(D2 tanh(dft([D1 x, 0]) + b1))[:n] + b2) + b3) + b4."""
    n, y = model.n, model.bias_4
    tanh, sigmoid, relu = torch.tanh, torch.sigmoid, torch.relu
    if model.linear:
        tanh = sigmoid = relu = lambda z: z
    for i in range(model.branches):
        a1, b1 = model.blocks_1[i]
        a2, b2 = model.blocks_2[i]
        padded = torch.cat([model.diagonal_1[i] * x, torch.zeros_like(x)], dim=-1)
        h = tanh(dft(padded, model.twiddles_1[i], a1, b1, model.released) + model.bias_1[i])
        h = idft(model.diagonal_2[i] * h, model.twiddles_2[i], a2, b2)[..., :n]
        h = sigmoid(h + model.bias_2[i])
        h = relu(model.diagonal_3[i] * h + model.bias_3[i])
        y = y + model.diagonal_4[i] * h
    return y


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("n", "branches"), [(2, 1), (2, 3), (4, 1), (4, 6), (8, 2), (16, 2)])
def test_forward_is_the_loop_over_branches(n, branches, linear, released):
    model = random(n, branches, linear=linear, released=released)
    x = draw(9, n, seed=1)
    expected = loop(model, x)
    atol = 1e-14 * n * float(expected.detach().abs().max())
    torch.testing.assert_close(model(x), expected, rtol=0, atol=atol)
    if not linear:
        torch.testing.assert_close(ReleasedStNN(model)(x), expected.detach(), rtol=0, atol=atol)


@pytest.mark.parametrize(("n", "same"), [(2, True), (4, False), (8, False)])
def test_the_released_permutation_is_another_network_where_2n_is_above_4(n, same):
    x = draw(5, n, seed=1)
    assert torch.equal(random(n)(x), random(n, released=True)(x)) == same


@pytest.mark.parametrize("n", [2, 4, 8, 16])
@pytest.mark.parametrize("branches", [1, 2, 4, 6])
def test_parameters_are_counted(n, branches):
    model = StNN(n, branches)
    count = sum(weight.numel() for weight in model.parameters())
    assert count == branches * (13 * n + 12) + n
    assert n != 4 or count == {1: 68, 2: 132, 4: 260, 6: 388}[branches]


@pytest.mark.parametrize("shape", [(4,), (1, 4), (0, 4), (2, 3, 4)])
def test_leading_axes_are_kept(shape):
    model, x = random(), draw(*shape, seed=1)
    assert model(x).shape == shape
    each = [model(row) for row in x.reshape(-1, 4)]
    expected = torch.stack(each) if each else x
    torch.testing.assert_close(model(x).reshape(-1, 4), expected)


# --- the operator inside


@pytest.mark.parametrize("n", [2, 4, 8, 16, 32, 64])
def test_the_linear_layers_hold_a_hankel_operator(n):
    symbol, x = draw(2 * n - 1), draw(5, n, seed=1)
    model = StNN.from_hankel(symbol)
    expected = Hankel(symbol).multiply_dense(x)
    product, size = model(x), float(expected.abs().max())
    torch.testing.assert_close(product.real, expected, rtol=0, atol=1e-13 * size)
    assert float(product.detach().imag.abs().max()) < 1e-13 * size
    # The layers are those of the factorisation, so the matrix itself comes out.
    matrix = model(torch.eye(n)).real.mT
    torch.testing.assert_close(matrix, Hankel(symbol).dense(), rtol=0, atol=1e-13 * size)


# --- derivatives


def by_autodiff(model, theta, columns, m):
    def outputs(flat, state):
        return model.evaluate(flat[None], state[None, :, None])[0, :m, 0]

    per_sample = vmap(jacrev(outputs), in_dims=(None, 0))
    return torch.stack(
        [per_sample(t, c.mT).permute(2, 1, 0) for t, c in zip(theta, columns, strict=True)]
    )


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("n", "branches", "m"), [(2, 3, 2), (4, 2, 4), (4, 6, 3), (8, 2, 5)])
def test_derivatives_are_those_of_autodiff(n, branches, m, linear, released):
    model = random(n, branches, linear=linear, released=released)
    theta = torch.stack([weights_of(random(n, branches, seed=s)) for s in range(3)])
    columns = draw(3, n, 7, seed=9)
    out = torch.full((3, theta.shape[1], m, 7), torch.nan, dtype=torch.float64)
    outputs, jacobian = model.jacobian(theta, columns, out)
    assert jacobian is out
    torch.testing.assert_close(outputs, model.evaluate(theta, columns)[:, :m])
    expected = by_autodiff(model, theta, columns, m)
    size = float(expected.abs().max())
    torch.testing.assert_close(jacobian, expected, rtol=1e-12, atol=1e-14 * n * size)


def test_derivatives_may_reuse_a_buffer():
    model, columns = random(4, 6), draw(2, 4, 7, seed=9)
    first, second = (torch.stack([weights_of(random(4, 6, seed=s + i)) for i in range(2)])
                     for s in (0, 5))  # fmt: skip
    clean, used = (torch.empty(2, 388, 3, 7, dtype=torch.float64) for _ in range(2))
    model.jacobian(first, columns, used)
    model.jacobian(second, 2 * columns, used, fresh=False)
    model.jacobian(second, 2 * columns, clean)
    assert torch.equal(used, clean)


# --- other units


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("used", [4, 3, 1])
def test_rescaling_changes_units_and_nothing_else(used, released):
    model, twin = (random(4, 6, released=released) for _ in range(2))
    mean, out_mean = 20 * draw(2, used, seed=1)
    scale, out_scale = 0.1 + 9 * draw(2, used, seed=2).abs()
    raw = torch.zeros(50, 4, dtype=torch.float64)
    raw[:, :used] = mean + scale * draw(50, used, seed=3)
    standard = torch.zeros_like(raw)
    standard[:, :used] = (raw[:, :used] - mean) / scale
    expected = twin(standard).detach()
    expected[:, :used] = out_mean + out_scale * expected[:, :used]
    model.rescale(mean, scale, out_mean, out_scale)
    torch.testing.assert_close(model(raw).detach(), expected, rtol=0, atol=1e-11)


# --- initial weights


def test_the_authors_initial_weights():
    model = StNN(4, 400)
    model.draw(generator(3))
    for name, weight in model.named_parameters():
        if name.startswith("diagonal"):
            assert (weight == 1).all()
        elif name != "bias_4":  # four numbers only
            std = 0.5**0.5 if name.startswith("blocks") else 0.01
            count = weight.numel()
            assert abs(float(weight.detach().mean())) < 4 * std / count**0.5
            assert float(weight.detach().std()) == pytest.approx(std, rel=4 / (2 * count) ** 0.5)


def test_the_generator_decides_the_weights_in_any_precision():
    one, two, other = StNN(), StNN(dtype=torch.float64), StNN()
    for method in ("draw", "draw_alive"):
        for model, seed in ((one, 5), (two, 5), (other, 6)):
            getattr(model, method)(generator(seed))
        assert torch.equal(weights_of(one), weights_of(two).float())
        assert not torch.equal(weights_of(one), weights_of(other))


def test_living_weights_use_every_output_unless_told():
    model, states = StNN(4, 6, dtype=torch.float64), draw(50, 4, seed=1)
    model.draw_alive(generator(0))
    assert (model.diagonal_4 != 0).all()
    assert (model(states).std(0) > 0).all()
    model.draw_alive(generator(0), used=4)
    assert (model.diagonal_4 != 0).all()


@pytest.mark.parametrize("branches", [1, 2, 6])
@pytest.mark.parametrize("seed", range(4))
def test_living_weights_keep_padding_at_zero_for_good(branches, seed):
    model = StNN(4, branches, dtype=torch.float64)
    model.draw_alive(generator(seed), used=3)
    columns = torch.zeros(1, 4, 200, dtype=torch.float64)
    columns[:, :3] = draw(1, 3, 200, seed=seed)
    theta = weights_of(model)[None]
    *_, third, outputs = model.layers(model.split(theta), 100 * columns)
    assert float(third.min()) >= 0.5
    assert not outputs[:, 3:].any()
    assert outputs[:, :3].std() > 0
    targets = torch.stack([columns[0, 1], columns[0, 0] * columns[0, 2], columns[0, 0]])[None]
    optimizer = LevenbergMarquardt(model, theta)
    losses = [float(optimizer.step(columns, targets).sum()) for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]
    outputs = model.evaluate(optimizer.theta, 100 * columns)
    assert not outputs[:, 3:].any()
    # Nor do the units of raw data wake it up.
    torch.nn.utils.vector_to_parameters(optimizer.theta[0], model.parameters())
    ones = torch.ones(3, dtype=torch.float64)
    model.rescale(5 * ones, 3 * ones, -ones, 7 * ones)
    assert not model(100 * columns[0].mT)[:, 3:].any()


# --- elsewhere than on a CPU


def test_no_tensor_is_made_on_the_wrong_device():
    model = StNN(4, 6).to("meta")
    theta, columns = torch.empty(2, 388, device="meta"), torch.empty(2, 4, 9, device="meta")
    assert model(columns[0].mT).device.type == "meta"
    assert model.evaluate(theta, columns).device.type == "meta"
    out = torch.empty(2, 388, 3, 9, device="meta")
    outputs, jacobian = model.jacobian(theta, columns, out)
    assert outputs.device.type == jacobian.device.type == "meta"
    assert outputs.shape == (2, 3, 9)
    vector = torch.empty(3, device="meta")
    model.rescale(vector, vector, vector, vector)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: StNN(3), "power of two.*n=3"),
        (lambda: StNN(1), "n must be a whole number from 2 .*, got 1"),
        (lambda: StNN(0), "got 0"),
        (lambda: StNN(-4), "got -4"),
        (lambda: StNN(4, 0), "branches must be a whole number from 1 .*, got 0"),
        (lambda: StNN.from_hankel(torch.zeros(6)), r"\(6,\)"),
        (lambda: StNN.from_hankel(torch.zeros(2, 7)), r"\(2, 7\)"),
        (lambda: StNN.from_hankel(torch.zeros(5)), "n=3"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
