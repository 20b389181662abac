r"""The Hankel operator of a delay series, and three ways to multiply by it.

.. math::
   H = \begin{bmatrix}
     h_0 & h_1 & \cdots & h_{n-1} \\
     h_1 & h_2 & \cdots & h_n \\
     \vdots & & & \vdots \\
     h_{n-1} & h_n & \cdots & h_{2n-2}
   \end{bmatrix},
   \qquad H_{ij} = h_{i+j}

is constant along its anti-diagonals: 2n - 1 numbers say everything.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from dynlib.dynamics.checks import check_array, check_choice, check_count, check_tensor


class Hankel:
    r"""A Hankel operator, or many of them, given by the anti-diagonals.

    Parameters
    ----------
    symbol : torch.Tensor
        :math:`h_0, \dots, h_{2n-2}` on the last axis, real; leading axes are a batch of
        operators, which broadcasts against the leading axes of what it multiplies.

    Raises
    ------
    TypeError
        If `symbol` is not a tensor of float32 or float64.
    ValueError
        If the length of the last axis is not odd.

    Examples
    --------
    >>> H = Hankel(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    >>> H.dense()
    tensor([[1., 2., 3.],
            [2., 3., 4.],
            [3., 4., 5.]])
    >>> H @ torch.tensor([1.0, 0.0, 1.0])
    tensor([4., 6., 8.])

    References
    ----------
    Aluvihare, Lingsch, Li & Perera (2025), arXiv:2503.23697, equation (2).
    """

    def __init__(self, symbol: Tensor) -> None:
        check_tensor("symbol", symbol)
        if symbol.ndim < 1 or symbol.shape[-1] % 2 == 0:
            raise ValueError(
                "the anti-diagonals of a Hankel operator of size n must be 2n - 1, an odd number, "
                f"got shape {tuple(symbol.shape)}; leave the last one out"
            )
        self.symbol = symbol
        self.n = (symbol.shape[-1] + 1) // 2
        self._spectrum: Tensor | None = None
        self._spectrum_of: Tensor | None = None  # a copy: the symbol may be changed in place

    @classmethod
    def from_series(cls, series: Tensor, n: int) -> Hankel:
        """The operator whose rows are the first n windows of n values of a time series.

        Parameters
        ----------
        series : torch.Tensor
            Measurements at equal times, shape (..., T), T at least 2n - 1.
        n : int
            Number of delays, at least 1.

        Examples
        --------
        >>> Hankel.from_series(torch.arange(10.0), 2).dense()
        tensor([[0., 1.],
                [1., 2.]])
        """
        check_tensor("series", series)
        check_count("n", n)
        if series.ndim < 1 or series.shape[-1] < 2 * n - 1:
            raise ValueError(
                f"series must have at least {2 * n - 1} values for n={n} delays, got shape "
                f"{tuple(series.shape)}; take fewer delays or a longer series"
            )
        return cls(series[..., : 2 * n - 1])

    def dense(self) -> Tensor:
        """The matrix itself, shape (..., n, n), a view of the anti-diagonals."""
        return self.symbol.unfold(-1, self.n, 1)

    def _check_states(self, states: Tensor) -> None:
        check_tensor("states", states)
        if states.shape[-1:] != (self.n,):
            raise ValueError(
                f"states must be vectors of length {self.n} (last axis), as the operator "
                f"multiplies, got shape {tuple(states.shape)}; transpose or cut them"
            )
        if states.dtype != self.symbol.dtype or states.device != self.symbol.device:
            raise TypeError(
                f"states must be {self.symbol.dtype} on {self.symbol.device} as the operator is, "
                f"got {states.dtype} on {states.device}; use states.to(operator.symbol)"
            )
        batches = zip(self.symbol.shape[-2::-1], states.shape[-2::-1], strict=False)
        if any(a != b and a != 1 and b != 1 for a, b in batches):
            raise ValueError(
                f"states must have leading axes that broadcast against {tuple(self.symbol.shape)}, "
                f"the operators, got {tuple(states.shape)}; multiply all states by every operator "
                "with states[:, None]"
            )

    def multiply_dense(self, states: Tensor) -> Tensor:
        """H x by the matrix, for x of shape (..., n)."""
        self._check_states(states)
        if self.symbol.ndim == 1:
            return states @ self.dense()  # H is symmetric
        return (self.dense() @ states.unsqueeze(-1)).squeeze(-1)

    def multiply_shift(self, states: Tensor) -> Tensor:
        r"""H x as a sum over the entries of x of shifted columns (Proposition 2.1).

        .. math:: Hx = \sum_{j=0}^{n-1} x_j \left( U^j
                  \begin{bmatrix} h_0 \\ \vdots \\ h_{n-1} \end{bmatrix}
                  + \begin{bmatrix} 0_{n-j} \\ h_n \\ \vdots \\ h_{n+j-1} \end{bmatrix} \right)

        with the upper shift U: the bracket is column j, read off the anti-diagonals.
        """
        self._check_states(states)
        total = torch.zeros_like(states[..., :1]) * self.symbol[..., : self.n]
        for j in range(self.n):
            total = total + states[..., j : j + 1] * self.symbol[..., j : j + self.n]
        return total

    def multiply_fft(self, states: Tensor) -> Tensor:
        r"""H x by two fast Fourier transforms (Proposition 2.5).

        .. math:: H = E^T F_N^{-1}\, \mathrm{diag}(F_N c)\, \overline{F_N}\, E,
                  \qquad c = (h_0, \dots, h_{2n-2}, 0, \dots, 0)

        with zero padding E from n to N >= 2n: a circular correlation. It is the proposition's
        :math:`J^T F^* \breve D F J \tilde I`, where the reversal :math:`\tilde I` has turned
        one transform into its conjugate. N is the next length that factorises into small
        primes (2n itself if n is a power of two). The spectrum of c is kept from one call to the
        next until the symbol changes, unless gradients flow through it.
        """
        self._check_states(states)
        size = scipy.fft.next_fast_len(2 * self.n, real=True)
        spectrum = self._spectrum
        stored = spectrum is not None and (
            torch.is_inference_mode_enabled() or not spectrum.is_inference()
        )
        if stored and self._spectrum_of is not None:
            stored = torch.equal(self.symbol, self._spectrum_of)
        if not stored or self.symbol.requires_grad:
            spectrum = torch.fft.rfft(self.symbol, n=size)
            self._spectrum = None if self.symbol.requires_grad else spectrum
            self._spectrum_of = self.symbol.detach().clone()
        transformed = torch.fft.rfft(states, n=size).conj()
        return torch.fft.irfft(spectrum * transformed, n=size)[..., : self.n]

    def __matmul__(self, states: Tensor) -> Tensor:
        """H x by the way that is faster at this size on a processor: dense below n = 512."""
        return self.multiply_dense(states) if self.n < 512 else self.multiply_fft(states)


def operations(n: int, method: str) -> int:
    r"""Real multiplications and additions of one product H x.

    Parameters
    ----------
    n : int
        Size of the operator, at least 1; for ``"fft"`` a power of two.
    method : str
        ``"dense"`` or ``"shift"``, which do the same arithmetic in another order,
        :math:`2n^2 - n`; ``"first_column"``, Proposition 2.1 if the operator is determined
        by its first column alone (:math:`h_n = \dots = h_{2n-2} = 0`), :math:`n^2`;
        ``"fft"``, Proposition 2.5 with the spectrum stored, split-free radix-2 transforms of
        real data, :math:`2 \cdot \tfrac52 N\log_2 N + 6 (N/2 + 1)` with N = 2n;
        ``"complex_fft"``, the same by complex transforms as the layers of the network have
        them, :math:`2 \cdot 5 N \log_2 N + 6N`.

    Raises
    ------
    ValueError
        If the method is unknown, or `n` does not suit it.

    Examples
    --------
    >>> operations(4, "dense"), operations(4, "fft")
    (28, 150)
    """
    check_count("n", n)
    check_choice("method", method, ("dense", "shift", "first_column", "fft", "complex_fft"))
    n = int(n)
    if method in ("dense", "shift"):
        return 2 * n * n - n
    if method == "first_column":
        return n * n
    if n & (n - 1):
        raise ValueError(
            f"n must be a power of two for the radix-2 transform, got n={n}; count at "
            f"{1 << n.bit_length()}"
        )
    size = 2 * n
    stages = size * (size.bit_length() - 1)
    return 10 * stages + 6 * size if method == "complex_fft" else 5 * stages + 6 * (n + 1)


def nearest(matrix: Tensor) -> Tensor:
    r"""The anti-diagonals (2n - 1) of the Hankel matrix nearest to a square one, by Frobenius.

    They are the means along the anti-diagonals. The relative distance is then
    ``(matrix - Hankel(nearest(matrix)).dense()).norm() / matrix.norm()``.

    Examples
    --------
    >>> nearest(torch.tensor([[1.0, 2.0], [4.0, 5.0]]))
    tensor([1., 3., 5.])
    """
    check_tensor("matrix", matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(
            f"matrix must be square, got shape {tuple(matrix.shape)}; cut it to its first rows or "
            "columns"
        )
    n = matrix.shape[-1]
    which = torch.arange(n).unsqueeze(0) + torch.arange(n).unsqueeze(1)
    total = matrix.new_zeros(2 * n - 1).index_add(0, which.flatten(), matrix.flatten())
    return total / torch.bincount(which.flatten())


def distance_from_hankel(operator: np.ndarray) -> float:
    """Distance of a square matrix from the nearest Hankel matrix, over its norm (Frobenius).

    Examples
    --------
    >>> distance_from_hankel(np.array([[1.0, 2.0], [2.0, 5.0]]))
    0.0
    """
    check_array("operator", operator, ("n", "n"), scale=True)
    operator = np.asarray(operator, dtype=np.float64)
    if not operator.any():
        raise ValueError("operator must have an entry other than 0, got none; its norm divides")
    near = Hankel(nearest(torch.tensor(operator))).dense().numpy()
    return float(np.linalg.norm(operator - near) / np.linalg.norm(operator))


def delay_vectors(values: np.ndarray, delays: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a series as columns, and those one step later, each (delays, windows - 1).

    Examples
    --------
    >>> delay_vectors(np.arange(4), 2)[1]
    array([[1, 2],
           [2, 3]])
    """
    check_array("values", values, ("T",))
    check_count("delays", delays, most=len(values) - 1)
    windows = np.lib.stride_tricks.sliding_window_view(values, delays).T
    return windows[:, :-1], windows[:, 1:]
