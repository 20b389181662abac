r"""The structured neural network of Aluvihare et al.: layers that are factors of a Hankel operator.

Every branch is one copy of the factorisation
:math:`H = E^T F_{2n}^{-1} \mathrm{diag}(F_{2n}c)\, \bar F_{2n} E` (see
:mod:`dynlib.operators.hankel`), cut into layers, with an activation after each and with the
entries of the factors free to learn:

.. math::
   h_1 &= \tanh(\hat F E D_1 x + b_1), &\qquad
   h_2 &= \mathrm{sigmoid}(E^T \hat F' D_2 h_1 + b_2), \\
   h_3 &= \mathrm{relu}(D_3 h_2 + b_3), &
   y &= \textstyle\sum_k D_{4,k}\, h_{3,k} + b_4 .

Frozen are the zero padding :math:`E = [I; 0]`, the permutations and the ones of the
butterflies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dynlib.dynamics.checks import check_count, check_flag, check_is, check_room, check_tensor
from dynlib.networks.butterflies import decimate_in_frequency, decimate_in_time
from dynlib.networks.checks import check_dtype, check_source
from dynlib.networks.levenberg import Copies


def check_size(n: int, branches: int = 1) -> None:
    """Raise for a length of vectors that is not a power of two, or branches that memory lacks."""
    check_count("n", n, least=2)
    if n & (n - 1):
        raise ValueError(
            f"n must be a power of two (2, 4, 8, ...), got n={n}; pad a state with zeros to the "
            "next power of two"
        )
    check_count("branches", branches)
    check_room("the weights", branches, 13 * n + 12)


class StNN(Copies):
    r"""p branches of the structured network, on one axis of every tensor.

    With n inputs and p branches it has :math:`p(13n + 12) + n` parameters: 388 for the
    paper's n = 4, p = 6.

    Parameters
    ----------
    n : int
        Length of the input and output vectors, a power of two, at least 2.
    branches : int
        Number p of parallel branches, at least 1.
    released : bool
        Permute as the authors' code does (see
        :func:`dynlib.networks.butterflies.decimate_in_frequency`).
    linear : bool
        Leave the activations out; with complex weights the layers then hold a Hankel
        operator exactly (:meth:`from_hankel`).
    dtype : torch.dtype
        Of the weights.

    Examples
    --------
    >>> model = StNN(n=4, branches=6)
    >>> sum(weight.numel() for weight in model.parameters())
    388
    >>> model(torch.zeros(10, 4)).shape
    torch.Size([10, 4])

    References
    ----------
    Aluvihare, Lingsch, Li & Perera (2025), arXiv:2503.23697, Proposition 4.1.
    """

    def __init__(
        self, n: int = 4, branches: int = 6, *, released: bool = False, linear: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        check_size(n, branches)
        check_flag("released", released)
        check_flag("linear", linear)
        check_dtype(dtype, *(torch.complex64, torch.complex128)[: 2 * linear])
        self.n = self.n_out = n
        self.branches, self.released, self.linear = branches, released, linear
        for name, shape in self.shapes(n).items():
            shape = shape if name == "bias_4" else (branches, *shape)
            self.register_parameter(name, nn.Parameter(torch.zeros(shape, dtype=dtype)))
        self.draw(torch.Generator().manual_seed(0))

    @staticmethod
    def shapes(n: int) -> dict[str, tuple[int, ...]]:
        """The shape of every weight of one branch, in the order of ``parameters()``."""
        check_size(n)
        return {
            "diagonal_1": (n,), "twiddles_1": (2 * n - 2,), "blocks_1": (2, 2, 2),
            "bias_1": (2 * n,),
            "diagonal_2": (2 * n,), "twiddles_2": (2 * n - 2,), "blocks_2": (2, 2, 2),
            "bias_2": (n,),
            "diagonal_3": (n,), "bias_3": (n,), "diagonal_4": (n,), "bias_4": (n,),
        }  # fmt: skip

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        r"""Draw the authors' initial weights.

        Diagonals are 1, blocks :math:`N(0, 1/2)` (Xavier), twiddles and biases
        :math:`N(0, 0.01^2)`.
        """
        check_source(generator)
        for name, weight in self.named_parameters():
            if name.startswith("diagonal"):
                weight.fill_(1)
                continue
            std = 0.5**0.5 if name.startswith("blocks") else 0.01
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_(std * noise)

    @torch.no_grad()
    def draw_alive(self, generator: torch.Generator, used: int | None = None) -> None:
        r"""Draw initial weights for standardised data that leave every ReLU active.

        As :meth:`draw`, but the third layer starts at :math:`h_2 + \tfrac12 > 0`, the outputs
        are spread by :math:`D_4 = \pm 6/\sqrt p` with random signs about a mean of zero, and
        twiddles are as large as the entries of a Fourier transform. Outputs beyond the coordinates
        in use, of which `used` is the number, are padding: they start (and stay) at exactly zero.
        """
        if used is not None:
            check_count("used", used, least=0, most=self.n)
        self.draw(generator)
        for weight in (self.twiddles_1, self.twiddles_2):
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_(0.5**0.5 * noise)
        shape = (self.branches, self.n)
        signs = torch.randint(0, 2, shape, generator=generator, dtype=torch.float64) * 2 - 1
        self.bias_3.fill_(0.5)
        self.diagonal_4.copy_(6 * signs / self.branches**0.5)
        self.diagonal_4[:, self.n if used is None else used :] = 0
        self.bias_4.copy_(-self.diagonal_4.sum(0))  # h_3 is about one at first

    @classmethod
    def from_hankel(cls, symbol: Tensor) -> StNN:
        r"""One linear branch with complex weights that equals a Hankel operator exactly.

        All twiddles are roots of unity, :math:`D_1 = D_3 = D_4 = 1`, all biases 0 and
        :math:`D_2 = F_{2n}\, c / 2n` with :math:`c = (h_0, \dots, h_{2n-2}, 0)`: the layers
        contain the paper's factorisation. The symbol, the 2n - 1 anti-diagonals of H, is real, and
        n a power of two.

        Examples
        --------
        >>> model = StNN.from_hankel(torch.arange(3, dtype=torch.float64))  # [[0, 1], [1, 2]]
        >>> model(torch.tensor([1.0, 10.0])).real
        tensor([10., 21.], dtype=torch.float64, grad_fn=<SelectBackward0>)
        """
        check_tensor("symbol", symbol, ("2n - 1",), empty=False)
        if len(symbol) % 2 == 0:
            raise ValueError(
                "symbol must be the 2n - 1 anti-diagonals of a Hankel operator, an odd number, got "
                f"shape {tuple(symbol.shape)}; leave the last one out"
            )
        n = (len(symbol) + 1) // 2
        model = cls(n, 1, linear=True, dtype=torch.complex128)
        size = 2 * n
        turns = [torch.arange(m // 2) / m for m in _levels(size)]
        twiddles = torch.exp(2j * torch.pi * torch.cat(turns).to(torch.float64))
        last = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).expand(2, 2, 2)
        padded = torch.cat([symbol, symbol.new_zeros(1)]).to(torch.complex128)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.fill_(1 if name.startswith("diagonal") else 0)
            for layer in (1, 2):
                model.get_parameter(f"twiddles_{layer}").copy_(twiddles)
                model.get_parameter(f"blocks_{layer}").copy_(last)
            model.diagonal_2.copy_(torch.fft.fft(padded) / size)
        return model

    def first_matrix(self, diagonal: Tensor, twiddles: Tensor, blocks: Tensor) -> Tensor:
        """The first layer's matrices (..., 2n, n), from weights with any leading axes."""
        rows = torch.diag_embed(diagonal)  # one row an input, padded with zeros to 2n
        rows = nn.functional.pad(rows, (0, self.n))
        columns = decimate_in_frequency(
            rows, twiddles.unsqueeze(-2), blocks.unsqueeze(-4), released=self.released
        )
        return columns.transpose(-1, -2)

    def second_matrix(self, diagonal: Tensor, twiddles: Tensor, blocks: Tensor) -> Tensor:
        """The second layer's matrices (..., n, 2n), from weights with any leading axes."""
        rows = torch.diag_embed(diagonal)
        columns = decimate_in_time(rows, twiddles.unsqueeze(-2), blocks.unsqueeze(-4))
        return columns[..., : self.n].transpose(-1, -2)

    def forward(self, states: Tensor) -> Tensor:
        """States one time step on, shape (..., n) as the input (pad shorter ones with zeros)."""
        remedy = f"pad them with zeros to {self.n} coordinates"
        check_tensor("states", states, (..., self.n), remedy=remedy)
        theta = torch.cat([weight.flatten() for weight in self.parameters()])
        columns = states.reshape(-1, self.n).mT.to(theta.dtype)
        outputs = self.evaluate(theta.unsqueeze(0), columns.unsqueeze(0))[0].mT
        return outputs.contiguous().view(states.shape)

    def layers(self, w: dict[str, Tensor], columns: Tensor) -> tuple[Tensor, ...]:
        """Matrices of the first two layers, then what follows each: (copies, p, width, batch)."""
        first = self.first_matrix(w["diagonal_1"], w["twiddles_1"], w["blocks_1"])
        second = self.second_matrix(w["diagonal_2"], w["twiddles_2"], w["blocks_2"])
        tanh, sigmoid, relu = (
            (lambda z: z,) * 3 if self.linear else (torch.tanh, torch.sigmoid, torch.relu)
        )
        h1 = tanh(first @ columns.unsqueeze(1) + w["bias_1"].unsqueeze(-1))
        h2 = sigmoid(second @ h1 + w["bias_2"].unsqueeze(-1))
        h3 = relu(h2 * w["diagonal_3"].unsqueeze(-1) + w["bias_3"].unsqueeze(-1))
        y = (h3 * w["diagonal_4"].unsqueeze(-1)).sum(1) + w["bias_4"].unsqueeze(-1)
        return first, second, h1, h2, h3, y

    def jacobian(
        self, theta: Tensor, columns: Tensor, out: Tensor, fresh: bool = True
    ) -> tuple[Tensor, Tensor]:
        r"""Outputs and their derivatives by all weights, without automatic differentiation.

        The matrices A and B of the first two layers are affine in every single weight, so
        :math:`\partial A/\partial\theta_k = A|_{\theta_k=1} - A|_{\theta_k=0}` exactly; the
        rest is the chain rule.

        Weights `theta` are (copies, P), states `columns` (copies, n, batch). The derivatives of the
        first m outputs go into `out`, (copies, P, m, batch), which is also returned, behind these
        outputs (copies, m, batch). If it is not `fresh`, its zeros are where they were.
        """
        w = self.split(theta)
        self._check_derivatives(theta, columns, out, fresh)
        m, batch = out.shape[2:]
        _, second, h1, h2, h3, y = self.layers(w, columns)
        names = ("diagonal", "twiddles", "blocks")
        d_first = _unit_differences(self.first_matrix, *(w[f"{name}_1"] for name in names))
        d_second = _unit_differences(self.second_matrix, *(w[f"{name}_2"] for name in names))

        sizes = [weight[0].numel() for weight in w.values()]
        if fresh:
            out.zero_()
        blocks = {
            name: part.unflatten(1, (self.branches, -1)) if name != "bias_4" else part
            for name, part in zip(w, out.split(sizes, dim=1), strict=True)
        }  # each (copies, p, its weights, m, batch)

        d3, d4 = (w[f"diagonal_{layer}"][..., :m, None] for layer in (3, 4))
        h2, h3 = h2[..., :m, :], h3[..., :m, :]
        flat = torch.ones_like
        slope_3 = flat(h3) if self.linear else h3 > 0
        slope_2 = flat(h2) if self.linear else h2 * (1 - h2)
        slope_1 = flat(h1) if self.linear else 1 - h1 * h1
        g3 = d4 * slope_3  # dy/dz of each layer
        g2 = g3 * d3 * slope_2
        reach = second[..., :m, :].mT.unsqueeze(-1) * slope_1.unsqueeze(-2)
        g1 = torch.mul(reach, g2.unsqueeze(-3), out=blocks["bias_1"])
        for name, values in (("bias_2", g2), ("diagonal_3", g3 * h2), ("bias_3", g3),
                             ("diagonal_4", h3)):  # fmt: skip
            blocks[name].diagonal(dim1=2, dim2=3).copy_(values.mT)
        blocks["bias_4"].diagonal(dim1=1, dim2=2).fill_(1)

        # by the weights of A: the sum over (unit, input) of dA x g1, one product a branch
        outer = g1.unsqueeze(3) * columns[:, None, None, :, None, :]
        by_first = d_first.flatten(-2) @ outer.flatten(2, 3).flatten(-2)
        by_first = by_first.unflatten(-1, (m, batch))
        by_second = d_second[..., :m, :].flatten(2, 3) @ h1
        by_second = by_second.unflatten(2, (-1, m))
        start = 0
        for name in names:
            size = blocks[f"{name}_1"].shape[2]
            blocks[f"{name}_1"].copy_(by_first[:, :, start : start + size])
            start += size
        start = 0
        for name in names:
            size = blocks[f"{name}_2"].shape[2]
            part = by_second[:, :, start : start + size]
            torch.mul(part, g2.unsqueeze(2), out=blocks[f"{name}_2"])
            start += size
        return y[:, :m], out

    @torch.no_grad()
    def rescale(self, mean: Tensor, scale: Tensor, out_mean: Tensor, out_scale: Tensor) -> None:
        r"""Turn a network of standardised states into the same network of raw ones, exactly.

        With :math:`\hat x = (x - \mu)/s` the new :math:`x \mapsto \mu' + s' f(\hat x)` is a
        network of the same class: :math:`D_1/s`, :math:`b_1 - A\mu`, :math:`s' D_4`,
        :math:`\mu' + s' b_4`. Padded coordinates keep mean 0 and scale 1.
        """
        self._check_units(mean, scale, out_mean, out_scale, padded=True)
        inner = slice(None, len(mean))
        self.diagonal_1[:, inner] /= scale
        first = self.first_matrix(self.diagonal_1, self.twiddles_1, self.blocks_1)
        self.bias_1 -= first[..., inner] @ mean
        outer = slice(None, len(out_mean))
        self.diagonal_4[:, outer] *= out_scale
        self.bias_4[outer] = out_mean + out_scale * self.bias_4[outer]


def multiplied_out(model: StNN) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of layer 1 (p, 2n, n), of layer 2 (p, n, 2n), and of layer 4 (n, p n)."""
    check_is("model", model, StNN, "an StNN", "plain networks have no factors")
    w = {name: weight.detach() for name, weight in model.named_parameters()}
    first = model.first_matrix(w["diagonal_1"], w["twiddles_1"], w["blocks_1"])
    second = model.second_matrix(w["diagonal_2"], w["twiddles_2"], w["blocks_2"])
    fourth = torch.cat([torch.diag(diagonal) for diagonal in w["diagonal_4"]], dim=1)
    return first, second, fourth


def _levels(size: int) -> list[int]:
    """Lengths of the transforms that have twiddles: size, size/2, ..., 4."""
    return [size >> k for k in range(size.bit_length() - 2)]


def _unit_differences(matrix, *weights: Tensor) -> Tensor:
    """Derivatives of a matrix that is affine in each weight, exactly: value at 1 minus at 0.

    From weights (copies, p, ...) to (copies, p, number of weights, rows, columns).
    """
    sizes = [weight[0, 0].numel() for weight in weights]
    flat = torch.cat([weight.flatten(2) for weight in weights], dim=-1)
    which = torch.eye(sum(sizes), dtype=torch.bool, device=flat.device)
    at = [torch.where(which, value, flat.unsqueeze(2)) for value in (1.0, 0.0)]
    variants = torch.stack(at).split(sizes, dim=-1)
    shaped = [v.unflatten(-1, w.shape[2:]) for v, w in zip(variants, weights, strict=True)]
    one, zero = matrix(*shaped)
    return one - zero
