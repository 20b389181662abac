"""The two transforms: Fourier's by textbook weights, and matrix products by any others."""

from __future__ import annotations

import pytest
import torch

from dynlib.networks.butterflies import decimate_in_frequency, decimate_in_time

HADAMARD = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.complex128).expand(2, 2, 2)


def roots(size, sign=-1):
    """w^0, ..., w^(N/2 - 1) of N = size, size/2, ..., 4: e^(sign 2 pi i k / N)."""
    lengths = [size >> k for k in range(size.bit_length() - 2)]
    turns = [torch.arange(n // 2, dtype=torch.float64) / n for n in lengths]
    return torch.exp(sign * 2j * torch.pi * torch.cat(turns))


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("transform", [decimate_in_frequency, decimate_in_time])
@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_roots_of_unity_make_it_fouriers(transform, size):
    values = draw(7, size, dtype=torch.complex128)
    torch.testing.assert_close(
        transform(values, roots(size), HADAMARD), torch.fft.fft(values), rtol=1e-14, atol=1e-13
    )
    # Conjugate roots make it the inverse, but for its factor.
    torch.testing.assert_close(
        transform(values, roots(size, sign=1), HADAMARD), size * torch.fft.ifft(values),
        rtol=1e-14, atol=1e-13,
    )  # fmt: skip


# --- any weights: each level as a matrix


def even_odd(size):
    """P_N: even entries first, then odd ones."""
    return torch.eye(size, dtype=torch.float64)[[*range(0, size, 2), *range(1, size, 2)]]


def recursion(size, twiddles, blocks, *, frequency, permutation=None):
    """The matrix of the recursion, built from identities, diagonals and the last two blocks."""
    if size == 2:
        raise AssertionError("the last blocks come in pairs")
    half = size // 2
    eye, turn = torch.eye(half, dtype=torch.float64), torch.diag(twiddles[:half])
    if size == 4:
        inner = torch.block_diag(blocks[0].T, blocks[1].T)  # a row times a block
    else:
        smaller = recursion(
            half, twiddles[half:], blocks, frequency=frequency, permutation=permutation
        )
        inner = torch.block_diag(smaller, smaller)
    if frequency:
        butterfly = torch.cat([torch.cat([eye, eye], 1), torch.cat([turn, -turn], 1)])
        return permutation(size) @ inner @ butterfly
    butterfly = torch.cat([torch.cat([eye, turn], 1), torch.cat([eye, -turn], 1)])
    return butterfly @ inner @ even_odd(size)


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("released", [False, True])
def test_frequency_is_the_product_of_its_factors(size, released):
    twiddles, blocks = draw(size - 2, seed=1), draw(2, 2, 2, seed=2)
    matrix = recursion(
        size, twiddles, blocks, frequency=True,
        permutation=even_odd if released else lambda n: even_odd(n).T,
    )  # fmt: skip
    values = draw(5, size)
    found = decimate_in_frequency(values, twiddles, blocks, released=released)
    torch.testing.assert_close(found, values @ matrix.T, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_time_is_the_product_of_its_factors(size):
    twiddles, blocks = draw(size - 2, seed=1), draw(2, 2, 2, seed=2)
    matrix = recursion(size, twiddles, blocks, frequency=False)
    values = draw(5, size)
    found = decimate_in_time(values, twiddles, blocks)
    torch.testing.assert_close(found, values @ matrix.T, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_one_level_by_hand(size):
    # A single twiddle moved by one: only one entry of one difference may change, for each of
    # the sub-transforms that share it.
    twiddles, blocks = draw(size - 2, seed=1), torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    values, moved = draw(size), twiddles.clone()
    moved[1] += 1
    change = decimate_in_frequency(values, moved, blocks) - decimate_in_frequency(
        values, twiddles, blocks
    )
    assert int((change != 0).sum()) <= size // 2
    if size == 4:
        expected = torch.zeros(4, dtype=torch.float64)
        expected[3] = values[1] - values[3]  # [s0, d0, s1, d1] after the permutation
        torch.testing.assert_close(change, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_the_released_permutation_is_another_network_above_4(size):
    values = draw(3, size, dtype=torch.complex128)
    ours = decimate_in_frequency(values, roots(size), HADAMARD)
    theirs = decimate_in_frequency(values, roots(size), HADAMARD, released=True)
    assert torch.equal(ours, theirs) == (size == 4)
    # It holds the same numbers in another order.
    torch.testing.assert_close(ours.abs().sort().values, theirs.abs().sort().values)


@pytest.mark.parametrize("transform", [decimate_in_frequency, decimate_in_time])
@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ((), ()),
        ((5,), ()),
        ((), (3,)),
        ((3,), (3,)),
        ((3, 5), (3, 1)),
        ((5,), (3, 1)),
        ((2, 1), (4,)),
    ],
)
def test_leading_axes_broadcast(transform, values, weights):
    x = draw(*values, 8)
    twiddles, blocks = draw(*weights, 6, seed=1), draw(*weights, 2, 2, 2, seed=2)
    shape = torch.broadcast_shapes(values, weights)
    if transform is decimate_in_frequency:  # whose values carry all leading axes
        x = x.expand(*shape, 8)
    found = transform(x, twiddles, blocks)
    assert found.shape == (*shape, 8)
    one_by_one = [
        transform(*each)
        for each in zip(
            x.expand(*shape, 8).reshape(-1, 8),
            twiddles.expand(*shape, 6).reshape(-1, 6),
            blocks.expand(*shape, 2, 2, 2).reshape(-1, 2, 2, 2),
            strict=True,
        )
    ]
    torch.testing.assert_close(found.reshape(-1, 8), torch.stack(one_by_one))


@pytest.mark.parametrize("transform", [decimate_in_frequency, decimate_in_time])
def test_gradients(transform):
    inputs = draw(2, 8), draw(2, 6, seed=1), draw(2, 2, 2, 2, seed=2)
    assert torch.autograd.gradcheck(transform, tuple(t.requires_grad_() for t in inputs))
