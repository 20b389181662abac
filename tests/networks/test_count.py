"""Counts of parameters and operations against actual tensors and actual operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynlib.networks.count import layers, saving, total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.stnn import StNN


class Counted:
    """A number that counts the multiplications and additions made with it; None is frozen zero."""

    done = 0

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        Counted.done += 1
        return Counted(self.value + other.value)

    def __sub__(self, other):
        Counted.done += 1
        return Counted(self.value - other.value)

    def __mul__(self, other):
        Counted.done += 1
        return Counted(self.value * other.value)


def add(a, b):
    """A sum in which known zeros cost nothing."""
    if a is None or b is None:
        return a or b
    return a + b


def minus(a, b):
    return a if b is None else a - b


def counted(tensor):
    return [Counted(float(v)) for v in tensor.flatten()]


def forward_transform(row, twiddles, blocks):
    half = len(row) // 2
    first = [add(a, b) for a, b in zip(row[:half], row[half:], strict=True)]
    second = [minus(a, b) * t for a, b, t in zip(row[:half], row[half:], twiddles, strict=False)]
    if half == 2:
        first, second = times_block(first, blocks[0]), times_block(second, blocks[1])
    else:
        first, second = (
            forward_transform(part, twiddles[half:], blocks) for part in (first, second)
        )
    return [v for pair in zip(first, second, strict=True) for v in pair]


def backward_transform(row, twiddles, blocks, wanted):
    half = len(row) // 2
    first, second = row[::2], row[1::2]
    if half == 2:
        first, second = times_block(first, blocks[0]), times_block(second, blocks[1])
    else:
        first, second = (
            backward_transform(part, twiddles[half:], blocks, half) for part in (first, second)
        )
    turned = [v * t for v, t in zip(second, twiddles, strict=False)]
    out = [a + b for a, b in zip(first, turned, strict=True)]
    if wanted > half:
        out += [a - b for a, b in zip(first, turned, strict=True)]
    return out


def times_block(row, block):
    return [row[0] * block[0] + row[1] * block[2], row[0] * block[1] + row[1] * block[3]]


def structured(model, state, *, coded):
    """Outputs of a structured network from single numbers, and the operations they took."""
    w = {name: weight.detach() for name, weight in model.named_parameters()}
    n, outputs = model.n, counted(w["bias_4"])
    Counted.done = 0
    for k in range(model.branches):
        b = {name: counted(weight[k]) for name, weight in w.items() if name != "bias_4"}
        blocks = [[b[f"blocks_{i}"][j : j + 4] for j in (0, 4)] for i in (1, 2)]
        zero = Counted(0.0) if coded else None
        row = [s * d for s, d in zip(state, b["diagonal_1"], strict=True)] + [zero] * n
        row = forward_transform(row, b["twiddles_1"], blocks[0])
        h = [Counted(np.tanh((v + c).value)) for v, c in zip(row, b["bias_1"], strict=True)]
        row = [v * d for v, d in zip(h, b["diagonal_2"], strict=True)]
        row = backward_transform(row, b["twiddles_2"], blocks[1], 2 * n if coded else n)[:n]
        z = [(v + c).value for v, c in zip(row, b["bias_2"], strict=True)]
        h = [Counted(1 / (1 + np.exp(-v))) for v in z]
        z = [v * d + c for v, d, c in zip(h, b["diagonal_3"], b["bias_3"], strict=True)]
        h = [Counted(max(0.0, v.value)) for v in z]
        outputs = [y + v * d for y, v, d in zip(outputs, h, b["diagonal_4"], strict=True)]
    return np.array([y.value for y in outputs]), Counted.done


@pytest.mark.parametrize(("n", "branches"), [(4, 1), (4, 6), (8, 3), (16, 2)])
@pytest.mark.parametrize("coded", [False, True])
def test_operations_of_structured_networks_are_those_made(n, branches, coded):
    model = StNN(n, branches, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.data.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    state = torch.randn(n, generator=generator, dtype=torch.float64)
    outputs, made = structured(model, counted(state), coded=coded)
    np.testing.assert_allclose(outputs, model(state).detach().numpy(), rtol=1e-10, atol=1e-12)
    assert made == total(model, "flops_coded" if coded else "flops")


@pytest.mark.parametrize(
    "model", [StNN(4, 6), StNN(8, 2), StNN(2, 3), FFNN(), FFNN((3, 5, 4, 6, 2))]
)
def test_parameters_are_those_of_the_tensors(model):
    assert total(model) == sum(weight.numel() for weight in model.parameters())
    per_layer = {i: 0 for i in range(1, 5)}
    for name, weight in model.named_parameters():
        if not name.startswith("bias"):
            per_layer[int(name[-1])] += weight.numel()
    assert [layer.weights for layer in layers(model)] == list(per_layer.values())


def test_operations_of_plain_networks_are_two_a_weight():
    model = FFNN()
    weights = sum(w.numel() for name, w in model.named_parameters() if name.startswith("weight"))
    assert total(model, "flops") == total(model, "flops_coded") == 2 * weights == 3960


@pytest.mark.parametrize(
    ("p", "parameters", "flops", "coded"),
    [(1, 68, 124, 136), (2, 132, 248, 272), (4, 260, 496, 544), (6, 388, 744, 816)],
)
def test_the_paper_s_sizes(p, parameters, flops, coded):
    model = StNN(4, p)
    assert (total(model), total(model, "flops"), total(model, "flops_coded")) == (
        parameters, flops, coded,
    )  # fmt: skip
    assert total(model, "flops_dense") == 144 * p
    assert saving(model, FFNN()) == pytest.approx(100 * (1 - parameters / 2073))
