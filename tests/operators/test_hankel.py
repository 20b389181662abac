"""Three products against scipy's matrix, against each other, and their cost counted by hand."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynlib.operators.hankel import (
    Hankel,
    delay_vectors,
    distance_from_hankel,
    nearest,
    operations,
)

METHODS = ["multiply_dense", "multiply_shift", "multiply_fft"]
SIZES = [1, 2, 3, 4, 5, 7, 8, 16, 17, 97, 128]


def draw(*shape, dtype=torch.float64, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype, **options)


def matrix(symbol):
    """scipy's Hankel matrix of anti-diagonals, float64."""
    h = symbol.detach().double().numpy()
    n = (len(h) + 1) // 2
    return scipy.linalg.hankel(h[:n], h[n - 1 :])


def bound(symbol, states, dtype):
    """Rounding of a sum of n products, or of two transforms, against the sizes that enter."""
    size = symbol.shape[-1] * symbol.abs().max() * states.abs().max()
    return 2 * torch.finfo(dtype).eps * float(size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", SIZES)
def test_products_are_those_of_scipys_matrix(n, method, dtype):
    symbol, states = draw(2 * n - 1, dtype=dtype), draw(5, n, dtype=dtype, seed=1)
    product = getattr(Hankel(symbol), method)(states)
    assert product.dtype == dtype
    expected = states.double().numpy() @ matrix(symbol)
    atol = bound(symbol, states, dtype)
    np.testing.assert_allclose(product.double().numpy(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("n", SIZES)
def test_the_matrix_is_scipys(n):
    symbol = draw(2 * n - 1)
    np.testing.assert_array_equal(Hankel(symbol).dense().numpy(), matrix(symbol))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 40), batch=st.integers(1, 3), seed=st.integers(0, 1000))
def test_all_products_agree_at_any_size(n, batch, seed):
    symbol, states = draw(2 * n - 1, seed=seed), draw(batch, n, seed=seed + 1)
    one, two, three = (getattr(Hankel(symbol), method)(states) for method in METHODS)
    atol = bound(symbol, states, torch.float64)
    torch.testing.assert_close(two, one, rtol=0, atol=atol)
    torch.testing.assert_close(three, one, rtol=0, atol=atol)


@pytest.mark.parametrize("method", [*METHODS, "__matmul__"])
@pytest.mark.parametrize("n", [4, 7, 600])  # the last is above the size from which @ transforms
@pytest.mark.parametrize(
    ("operators", "states"),
    [((), ()), ((), (6,)), ((), (2, 3)), ((3,), ()), ((3,), (3,)), ((2, 1), (3,)), ((3,), (2, 1))],
)
def test_leading_axes_of_operators_and_states_broadcast(operators, states, n, method):
    symbol, x = draw(*operators, 2 * n - 1), draw(*states, n, seed=1)
    product = getattr(Hankel(symbol), method)(x)
    shape = np.broadcast_shapes(operators, states)
    assert product.shape == (*shape, n)
    symbols = symbol.expand(*shape, 2 * n - 1).reshape(-1, 2 * n - 1)
    vectors = x.expand(*shape, n).reshape(-1, n)
    expected = [matrix(h) @ v.numpy() for h, v in zip(symbols, vectors, strict=True)]
    atol = bound(symbol, x, torch.float64)
    np.testing.assert_allclose(product.reshape(-1, n).numpy(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 3, 4])
def test_gradients_by_symbol_and_states(n, method):
    symbol, states = draw(2, 2 * n - 1).requires_grad_(), draw(2, n, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda h, x: getattr(Hankel(h), method)(x), (symbol, states))


def test_the_kept_spectrum_is_never_stale_while_gradients_flow():
    symbol, states = draw(7).requires_grad_(), draw(4, seed=1)
    operator = Hankel(symbol)
    for _ in range(3):  # steps of gradient descent through one and the same operator
        loss = operator.multiply_fft(states).square().sum()
        by_fft = torch.autograd.grad(loss, symbol)[0]
        by_matrix = torch.autograd.grad(operator.multiply_dense(states).square().sum(), symbol)[0]
        torch.testing.assert_close(by_fft, by_matrix, rtol=1e-12, atol=1e-12)
        with torch.no_grad():
            symbol -= 0.01 * by_fft
            torch.testing.assert_close(
                operator.multiply_fft(states), operator.multiply_dense(states)
            )


def test_a_symbol_that_is_learnt_later_gets_its_gradient():
    symbol, states = draw(7), draw(4, seed=1)
    operator = Hankel(symbol)
    operator.multiply_fft(states)
    symbol.requires_grad_()
    by_fft = torch.autograd.grad(operator.multiply_fft(states).square().sum(), symbol)[0]
    by_matrix = torch.autograd.grad(operator.multiply_dense(states).square().sum(), symbol)[0]
    torch.testing.assert_close(by_fft, by_matrix, rtol=1e-12, atol=1e-12)


def test_the_spectrum_of_a_fixed_symbol_is_computed_once(monkeypatch):
    operator, states, seen = Hankel(draw(7)), draw(4, seed=1), []
    original = torch.fft.rfft

    def watched(values, **options):
        seen.append(tuple(values.shape))
        return original(values, **options)

    monkeypatch.setattr(torch.fft, "rfft", watched)
    first = operator.multiply_fft(states)
    assert torch.equal(operator.multiply_fft(states), first)
    assert seen == [(7,), (4,), (4,)]


def test_from_series_takes_the_first_windows():
    series = draw(2, 30)
    operator = Hankel.from_series(series, 5)
    windows = series.unfold(-1, 5, 1)[:, :5]
    assert torch.equal(operator.dense(), windows)
    assert torch.equal(Hankel.from_series(series[0, :9], 5).dense(), windows[0])


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 12), seed=st.integers(0, 1000))
def test_nearest_is_the_orthogonal_projection(n, seed):
    m = draw(n, n, seed=seed)
    symbol = nearest(m)
    projected = Hankel(symbol).dense()
    # What is left over is orthogonal to every Hankel matrix: its anti-diagonals sum to zero ...
    rest = (m - projected).flip(0)
    for k in range(1 - n, n):
        assert abs(float(rest.diagonal(k).sum())) < 1e-13 * n
    # ... and a Hankel matrix is its own projection.
    torch.testing.assert_close(nearest(projected), symbol, rtol=1e-14, atol=1e-14)


def test_nearest_is_nearer_than_other_operators():
    m = draw(6, 6)
    symbol = nearest(m)
    least = (m - Hankel(symbol).dense()).norm()
    for seed in range(20):
        other = symbol + 1e-3 * draw(11, seed=seed)
        assert (m - Hankel(other).dense()).norm() > least


# --- cost: textbook algorithms on numbers that count


@dataclass(frozen=True)
class Real:
    """A number that counts its additions and multiplications."""

    value: float
    count: ClassVar[int] = 0

    def __add__(self, other):
        Real.count += 1
        return Real(self.value + other.value)

    def __sub__(self, other):
        Real.count += 1
        return Real(self.value - other.value)

    def __mul__(self, other):
        Real.count += 1
        return Real(self.value * other.value)


@dataclass(frozen=True)
class Complex:
    """Two of them, multiplied by the schoolbook rule: 6 operations, and 2 for a sum."""

    re: Real
    im: Real

    @classmethod
    def of(cls, z):
        z = complex(z)
        return cls(Real(z.real), Real(z.imag))

    def __add__(self, other):
        return Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other):
        return Complex(self.re - other.re, self.im - other.im)

    def __mul__(self, other):
        return Complex(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )

    def __complex__(self):
        return complex(self.re.value, self.im.value)


def textbook_fft(values, sign):
    """Recursive radix-2 transform with every factor multiplied by, also those equal to one."""
    size = len(values)
    if size == 1:
        return values
    even, odd = textbook_fft(values[0::2], sign), textbook_fft(values[1::2], sign)
    turns = [Complex.of(cmath.exp(sign * 2j * math.pi * k / size)) for k in range(size // 2)]
    odd = [turn * z for turn, z in zip(turns, odd, strict=True)]
    pairs = list(zip(even, odd, strict=True))
    return [a + b for a, b in pairs] + [a - b for a, b in pairs]


def counted(function):
    """The value of a function and the operations that it took."""
    Real.count = 0
    value = function()
    return value, Real.count


def rows(entries, states):
    """Row by row, the sum of products without the zeros (None)."""
    out = []
    for row in entries:
        terms = [h * x for h, x in zip(row, states, strict=True) if h is not None]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        out.append(total.value)
    return out


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16])
def test_operations_of_the_matrix_are_counted(n):
    symbol, states = draw(2 * n - 1), draw(n, seed=1)
    numbers = [Real(x) for x in states.tolist()]
    entries = [[Real(h) for h in row] for row in matrix(symbol).tolist()]
    product, count = counted(lambda: rows(entries, numbers))
    assert count == operations(n, "dense") == operations(n, "shift")
    np.testing.assert_allclose(product, Hankel(symbol) @ states, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16])
def test_operations_of_the_shifts_are_counted(n):
    symbol, states = draw(2 * n - 1), draw(n, seed=1)
    h, x = ([Real(v) for v in values.tolist()] for values in (symbol, states))

    def shifts():
        total = [x[0] * entry for entry in h[:n]]
        for j in range(1, n):
            total = [t + x[j] * entry for t, entry in zip(total, h[j : j + n], strict=True)]
        return [t.value for t in total]

    product, count = counted(shifts)
    assert count == operations(n, "shift")
    expected = Hankel(symbol).multiply_shift(states)
    np.testing.assert_allclose(product, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16])
def test_operations_of_a_first_column_alone_are_counted(n):
    symbol, states = draw(2 * n - 1), draw(n, seed=1)
    symbol[n:] = 0
    numbers = [Real(x) for x in states.tolist()]
    entries = [
        [Real(h) if i + j < n else None for j, h in enumerate(row)]
        for i, row in enumerate(matrix(symbol).tolist())
    ]
    product, count = counted(lambda: rows(entries, numbers))
    assert count == operations(n, "first_column")
    np.testing.assert_allclose(product, Hankel(symbol) @ states, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 32])
def test_operations_of_the_transforms_are_counted(n):
    symbol, states = draw(2 * n - 1), draw(n, seed=1)
    kept = [Complex.of(z) for z in np.fft.fft(symbol.numpy(), 2 * n) / (2 * n)]
    padded = [Complex.of(x) for x in [*states.tolist(), *[0.0] * n]]

    def product():
        turned = textbook_fft(padded, +1)  # conjugate, as is the inverse
        return textbook_fft([c * z for c, z in zip(kept, turned, strict=True)], +1)

    values, count = counted(product)
    assert count == operations(n, "complex_fft")
    found = [complex(z).real for z in values[:n]]
    np.testing.assert_allclose(found, Hankel(symbol) @ states, rtol=1e-12, atol=1e-11)
    # Real data halve a transform, and leave N/2 + 1 complex products.
    _, transform = counted(lambda: textbook_fft(padded, +1))
    assert operations(n, "fft") == transform + 6 * (n + 1)


def test_transforms_win_from_some_size_on():
    sizes = [2**k for k in range(12)]
    cheaper = [n for n in sizes if operations(n, "fft") < operations(n, "dense")]
    assert cheaper == [64, 128, 256, 512, 1024, 2048]


# --- what is refused


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Hankel([1.0, 2.0, 3.0]), TypeError, "list"),
        (lambda: Hankel(torch.arange(3)), TypeError, "int64"),
        (lambda: Hankel(torch.zeros(3, dtype=torch.complex64)), TypeError, "complex64"),
        (lambda: Hankel(torch.zeros(4)), ValueError, r"odd number, got shape \(4,\)"),
        (lambda: Hankel(torch.zeros(())), ValueError, r"\(\)"),
        (
            lambda: Hankel.from_series(torch.zeros(8), 5),
            ValueError,
            r"at least 9 values .* got shape \(8,\)",
        ),
        (
            lambda: Hankel.from_series(torch.zeros(8), 0),
            ValueError,
            "n must be .* from 1 to .*, got 0",
        ),
        (lambda: nearest(torch.zeros(2, 3)), ValueError, r"\(2, 3\)"),
        (lambda: nearest(torch.zeros(3)), ValueError, "square"),
        (lambda: operations(0, "dense"), ValueError, "from 1 to .*, got 0"),
        (lambda: operations(4, "fast"), ValueError, "'fast'"),
        (lambda: operations(6, "fft"), ValueError, "power of two .*, got n=6"),
        (lambda: operations(6, "complex_fft"), ValueError, "power of two .*, got n=6"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("method", [*METHODS, "__matmul__"])
def test_states_of_another_size_or_type_are_refused(method):
    multiply = getattr(Hankel(torch.zeros(5)), method)
    with pytest.raises(ValueError, match=r"length 3 .* \(3, 4\)"):
        multiply(torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"length 3"):
        multiply(torch.tensor(1.0))
    with pytest.raises(TypeError, match=r"torch\.float32 .*, got torch\.float64"):
        multiply(torch.zeros(3, dtype=torch.float64))


def test_half_precision_is_refused():
    with pytest.raises(TypeError, match="float32 or float64"):
        Hankel(torch.zeros(3, dtype=torch.float16))


def test_a_spectrum_from_inference_mode_does_not_stop_gradients():
    symbol = torch.arange(7, dtype=torch.float64)
    operator, x = Hankel(symbol), torch.ones(4, dtype=torch.float64)
    with torch.inference_mode():
        operator.multiply_fft(x)
    x.requires_grad_()
    operator.multiply_fft(x).sum().backward()
    torch.testing.assert_close(x.grad, operator.dense().sum(0))


@pytest.mark.parametrize("method", ["multiply_fft", "__matmul__"])
@pytest.mark.parametrize("inference", [False, True])
def test_a_symbol_changed_in_place_changes_every_product(inference, method):
    series = np.random.default_rng(0).normal(size=2 * N_LARGE - 1)
    operator = Hankel(torch.from_numpy(series))
    multiply = getattr(operator, method)
    states = torch.ones(N_LARGE, dtype=torch.float64)
    with torch.inference_mode(inference):
        multiply(states)
    operator.symbol.mul_(2)
    torch.testing.assert_close(multiply(states), operator.multiply_dense(states))
    torch.testing.assert_close(multiply(states), operator.multiply_dense(states))
    series += 1.0  # the tensor shares its memory
    torch.testing.assert_close(multiply(states), operator.multiply_dense(states))
    operator.symbol = operator.symbol / 3
    torch.testing.assert_close(multiply(states), operator.multiply_dense(states))


def test_gradients_flow_through_a_small_product():
    symbol = torch.arange(7, dtype=torch.float64)
    operator, x = Hankel(symbol), torch.ones(4, dtype=torch.float64)
    with torch.inference_mode():
        operator @ x
    x.requires_grad_()
    (operator @ x).sum().backward()
    torch.testing.assert_close(x.grad, operator.dense().sum(0))
    symbol.requires_grad_()
    (operator @ x.detach()).sum().backward()
    torch.testing.assert_close(symbol.grad, torch.tensor([1.0, 2, 3, 4, 3, 2, 1]).double())


N_LARGE = 64


def test_the_distance_from_hankel_is_that_of_the_rest():
    rng = np.random.default_rng(0)
    near = scipy.linalg.hankel(rng.normal(size=4), rng.normal(size=4))
    assert distance_from_hankel(near) == pytest.approx(0, abs=1e-15)
    skew = np.triu(rng.normal(size=(4, 4)), 1)
    skew -= skew.T  # antisymmetric: orthogonal to every Hankel matrix
    expected = np.linalg.norm(skew) / np.linalg.norm(near + skew)
    assert distance_from_hankel(near + skew) == pytest.approx(expected)


def test_delay_vectors_are_windows_and_their_successors():
    states, successors = delay_vectors(np.arange(6.0), 3)
    np.testing.assert_array_equal(states, [[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    np.testing.assert_array_equal(successors, states + 1)


@pytest.mark.parametrize(
    ("values", "delays", "words"),
    [
        (np.zeros((2, 9)), 2, r"values must have shape \(T,\), got \(2, 9\)"),
        (np.zeros(3), 3, "delays must be a whole number from 1 to 2, got 3"),
    ],
)
def test_a_series_is_longer_than_its_delays(values, delays, words):
    with pytest.raises(ValueError, match=words):
        delay_vectors(values, delays)
