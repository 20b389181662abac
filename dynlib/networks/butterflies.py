r"""The two radix-2 transforms behind the structured layers, on any leading axes at once.

With :math:`N = 2n` and the even-odd permutation :math:`P_N`, the discrete Fourier transform
splits in two ways,

.. math::
   F_N = P_N^T \begin{bmatrix} F_n & \\ & F_n \end{bmatrix}
         \begin{bmatrix} I & I \\ D & -D \end{bmatrix}
       = \begin{bmatrix} I & D \\ I & -D \end{bmatrix}
         \begin{bmatrix} F_n & \\ & F_n \end{bmatrix} P_N,
   \qquad D = \mathrm{diag}(w_N^0, \dots, w_N^{n-1}),

and both recursions end in blocks of two. Here the diagonals and the last blocks are free, as
in the network: all sub-transforms of one level share their diagonal, and the last level has
one block for sums and one for differences.
"""

from __future__ import annotations

import torch
from torch import Tensor


def decimate_in_frequency(
    values: Tensor, twiddles: Tensor, blocks: Tensor, *, released: bool = False
) -> Tensor:
    r"""Apply the left form: butterflies first, then the smaller transforms.

    Parameters
    ----------
    values : torch.Tensor
        Row vectors, shape (..., N), N a power of two, at least 4.
    twiddles : torch.Tensor
        Diagonals of all levels, the longest first: N/2 + N/4 + ... + 2 = N - 2 numbers,
        shape (..., N - 2); leading axes of length 1, or fewer of them, suit all of `values`.
    blocks : torch.Tensor
        The two last blocks, shape (..., 2, 2, 2): [0] meets sums, [1] differences, each as
        ``row @ block``.
    released : bool
        Permute by :math:`P_N` instead of its transpose, as the authors' code does; for N
        above 4 that is another network, which does not contain the Fourier transform by its
        textbook weights.

    Examples
    --------
    >>> hadamard = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).expand(2, 2, 2)
    >>> decimate_in_frequency(torch.tensor([1.0, 0, 0, 0]), torch.ones(2), hadamard)
    tensor([1., 1., 1., 1.])
    """
    size = values.shape[-1]
    values = values.unsqueeze(-2)  # (..., sub-transforms, length)
    while (length := values.shape[-1]) > 2:
        first, second = values.split(length // 2, dim=-1)
        factor, twiddles = twiddles.split([length // 2, twiddles.shape[-1] - length // 2], dim=-1)
        values = torch.stack([first + second, (first - second) * factor.unsqueeze(-2)], dim=-2)
        values = values.flatten(-3, -2)
    values = _last_blocks(values, blocks)
    while values.shape[-1] < size:
        length = 2 * values.shape[-1]
        values = values.unflatten(-2, (-1, 2))
        if released:
            values = values.flatten(-2).unflatten(-1, (-1, 2))
        values = values.transpose(-1, -2).reshape(*values.shape[:-2], length)
    return values.squeeze(-2)


def decimate_in_time(values: Tensor, twiddles: Tensor, blocks: Tensor) -> Tensor:
    """Apply the right form: the smaller transforms first, then butterflies.

    Parameters and shapes as for :func:`decimate_in_frequency`.

    Examples
    --------
    >>> hadamard = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).expand(2, 2, 2)
    >>> decimate_in_time(torch.tensor([1.0, 0, 0, 0]), torch.ones(2), hadamard)
    tensor([1., 1., 1., 1.])
    """
    size = values.shape[-1]
    values = values.unsqueeze(-2)
    while values.shape[-1] > 2:
        values = values.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-3, -2)
    values = _last_blocks(values, blocks)
    end = twiddles.shape[-1]
    while (half := values.shape[-1]) < size:
        factor, end = twiddles[..., end - half : end], end - half
        first, second = values.unflatten(-2, (-1, 2)).unbind(-2)
        turned = second * factor.unsqueeze(-2)
        values = torch.cat([first + turned, first - turned], dim=-1)
    return values.squeeze(-2)


def _last_blocks(values: Tensor, blocks: Tensor) -> Tensor:
    """Pairs (..., 2 m, 2) times the blocks, alternately that of sums and of differences."""
    pairs = values.unflatten(-2, (-1, 2))  # (..., m, which block, 2)
    weights = blocks.unsqueeze(-4)
    product = pairs[..., :1] * weights[..., 0, :] + pairs[..., 1:] * weights[..., 1, :]
    return product.flatten(-3, -2)
