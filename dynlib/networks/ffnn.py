r"""Plain feed-forward networks with the activations of the paper's: the peers and the controls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynlib.dynamics import checks
from dynlib.networks.checks import check_dtype, check_source
from dynlib.networks.levenberg import Copies


def check_widths(widths: Any) -> None:
    """Raise for what is not the five widths of a plain network, or more weights than memory."""
    checks.check_counts("widths", widths, least=1, most=checks.MOST)
    if len(widths) != 5:
        raise ValueError(
            f"widths must be five, of input, three hidden layers and output, got {tuple(widths)}; "
            "widths_of_size finds them for a number of parameters"
        )
    checks.check_room(
        "the weights", sum((int(a) + 1) * int(b) for a, b in itertools.pairwise(widths))
    )


class FFNN(Copies):
    r"""A dense network with three hidden layers: tanh, sigmoid, ReLU, then linear.

    .. math:: y = W_4\,\mathrm{relu}(W_3\,\mathrm{sigmoid}(W_2 \tanh(W_1 x + b_1) + b_2) + b_3)
              + b_4

    Parameters
    ----------
    widths : sequence of five int
        Sizes of input, hidden layers and output; the paper's 3-30-30-30-3 by default, which
        has 2073 parameters.
    dtype : torch.dtype
        Of the weights.

    Examples
    --------
    >>> sum(weight.numel() for weight in FFNN().parameters())
    2073

    References
    ----------
    Aluvihare, Lingsch, Li & Perera (2025), arXiv:2503.23697, section 4.1 and Table 1.
    """

    def __init__(
        self, widths: Sequence[int] = (3, 30, 30, 30, 3), *, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        check_widths(widths)
        check_dtype(dtype)
        self.widths = tuple(widths)
        self.n, self.n_out = widths[0], widths[-1]
        for layer, (inner, outer) in enumerate(itertools.pairwise(widths), start=1):
            weight = torch.zeros(outer, inner, dtype=dtype)
            self.register_parameter(f"weight_{layer}", nn.Parameter(weight))
            self.register_parameter(f"bias_{layer}", nn.Parameter(torch.zeros(outer, dtype=dtype)))
        self.draw(torch.Generator().manual_seed(0))

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        r"""Draw torch's default initial weights, :math:`U(-1, 1)/\sqrt{\text{inputs}}`."""
        check_source(generator)
        for name, weight in self.named_parameters():
            layer = int(name[-1])
            noise = torch.rand(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_((2 * noise - 1) / self.widths[layer - 1] ** 0.5)

    @torch.no_grad()
    def draw_alive(self, generator: torch.Generator, used: int | None = None) -> None:
        r"""Draw initial weights for standardised data that leave every ReLU active.

        The same care as :meth:`dynlib.networks.stnn.StNN.draw_alive`: biases lift the third
        layer above 1/2 for every input, and outputs are spread by :math:`\pm 6/\sqrt w` with
        random signs about zero. `used` is for that method's padding and must be None here.
        """
        if used is not None:
            m = self.n_out
            checks.check_count(
                "used", used, least=m, most=m, remedy="a plain network pads no outputs"
            )
        self.draw(generator)
        self.bias_3.copy_(0.5 - self.weight_3.clamp(max=0).sum(1))
        shape = self.weight_4.shape
        signs = torch.randint(0, 2, shape, generator=generator, dtype=torch.float64) * 2 - 1
        self.weight_4.copy_(6 * signs / shape[1] ** 0.5)
        self.bias_4.zero_()
        self.bias_4.sub_(self(torch.zeros(self.n, dtype=self.bias_4.dtype)))

    def forward(self, states: Tensor) -> Tensor:
        """States one time step on, shape (..., n)."""
        checks.check_tensor("states", states, (..., self.n))
        states = states.to(self.bias_1.dtype)
        h = torch.tanh(nn.functional.linear(states, self.weight_1, self.bias_1))
        h = torch.sigmoid(nn.functional.linear(h, self.weight_2, self.bias_2))
        h = torch.relu(nn.functional.linear(h, self.weight_3, self.bias_3))
        return nn.functional.linear(h, self.weight_4, self.bias_4)

    def layers(self, w: dict[str, Tensor], columns: Tensor) -> list[Tensor]:
        """Values of all layers (copies, width, batch), the input's first."""
        values = [columns]
        for layer, act in enumerate((torch.tanh, torch.sigmoid, torch.relu, lambda z: z), 1):
            bias = w[f"bias_{layer}"].unsqueeze(-1)
            values.append(act(torch.baddbmm(bias, w[f"weight_{layer}"], values[-1])))
        return values

    def jacobian(
        self, theta: Tensor, columns: Tensor, out: Tensor, fresh: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Outputs (copies, m, batch) and their derivatives (copies, P, m, batch) by all weights.

        As :meth:`dynlib.networks.stnn.StNN.jacobian`, by back-propagation of all outputs.
        """
        w = self.split(theta)
        self._check_derivatives(theta, columns, out, fresh, self.n_out)
        copies, m, batch = len(theta), self.n_out, out.shape[-1]
        _, h1, h2, h3, y = self.layers(w, columns)
        if fresh:
            out.zero_()
        sizes = [weight.numel() for weight in self.parameters()]
        blocks = dict(zip(w, out.split(sizes, dim=1), strict=True))
        inner = {1: columns, 2: h1, 3: h2, 4: h3}
        slopes = {3: (h3 > 0).to(h3.dtype), 2: h2 * (1 - h2), 1: 1 - h1 * h1}

        last = blocks["weight_4"].view(copies, m, -1, m, batch).diagonal(dim1=1, dim2=3)
        last.copy_(h3.unsqueeze(-1).expand(*h3.shape, m))
        blocks["bias_4"].diagonal(dim1=1, dim2=2).fill_(1)
        back = w["weight_4"].mT.unsqueeze(-1)  # dy/dh3, (copies, width, m, 1)
        for layer in (3, 2, 1):
            by_bias = blocks[f"bias_{layer}"]  # dy/dz, (copies, width, m, batch)
            torch.mul(back, slopes[layer].unsqueeze(2), out=by_bias)
            target = blocks[f"weight_{layer}"]
            target = target.view(copies, by_bias.shape[1], -1, m, batch)
            torch.mul(by_bias.unsqueeze(2), inner[layer][:, None, :, None, :], out=target)
            if layer > 1:
                back = (w[f"weight_{layer}"].mT @ by_bias.flatten(2)).unflatten(-1, (m, batch))
        return y, out

    @torch.no_grad()
    def rescale(self, mean: Tensor, scale: Tensor, out_mean: Tensor, out_scale: Tensor) -> None:
        """Turn a network of standardised states into the same network of raw ones, exactly."""
        self._check_units(mean, scale, out_mean, out_scale, padded=False)
        self.weight_1 /= scale
        self.bias_1 -= self.weight_1 @ mean
        self.weight_4 *= out_scale.unsqueeze(-1)
        self.bias_4.copy_(out_mean + out_scale * self.bias_4)


def widths_of_size(
    parameters: int, n: int = 3, n_out: int | None = None, within: float = 0.02
) -> tuple[int, ...]:
    """The most equal hidden widths (differing by up to six) for a given number of parameters.

    Of all networks from n inputs to `n_out` outputs (as many by default) whose number of weights
    and biases differs by a share `within` at most, it has the smallest difference between widths,
    and among them the nearest number of parameters.

    Examples
    --------
    >>> widths_of_size(388)
    (3, 12, 12, 11, 3)
    """
    checks.check_count("n", n)
    checks.check_number("within", within, least=0)
    checks.check_count("parameters", parameters, most=10**5, remedy="choose larger widths yourself")
    best, n_out = None, n if n_out is None else n_out
    checks.check_count("n_out", n_out)
    near = itertools.product(range(1, 1 + parameters // (n + 1)), range(-6, 7), range(-6, 7))
    for a, b, c in ((a, a + i, a + j) for a, i, j in near if a + i > 0 and a + j > 0):
        size = (n + 1) * a + (a + 1) * b + (b + 1) * c + (c + 1) * n_out
        if abs(size - parameters) <= within * parameters:
            rank = (max(a, b, c) - min(a, b, c), abs(size - parameters), -a, -b)
            if best is None or rank < best[0]:
                best = (rank, (n, a, b, c, n_out))
    if best is None:
        raise ValueError(
            f"parameters must be, within {within:.0%}, those of a network {n}-a-b-c-{n_out}, got "
            f"{parameters}; choose more, or a larger deviation `within`"
        )
    return best[1]


def in_numpy(network: FFNN) -> Callable[[Tensor], Tensor]:
    r"""A copy of a network for inference in NumPy, whose calls cost less for few states.

    With :math:`\mathrm{sigmoid}(z) = (1 + \tanh(z/2))/2` folded into the weights.

    Examples
    --------
    >>> in_numpy(FFNN())(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    checks.check_is(
        "network", network, FFNN, "an FFNN", "AssembledStNN is an StNN that infers as fast"
    )
    w = {name: each.detach().numpy() for name, each in network.named_parameters()}
    (a1, a2, a3, a4), (b1, b2, b3, b4) = (
        [w[f"{kind}_{layer}"] for layer in (1, 2, 3, 4)]
        for kind in ("weight", "bias")
    )  # fmt: skip
    a1, a2, a3, a4 = (np.ascontiguousarray(a.T) for a in (a1, a2 / 2, a3 / 2, a4))
    b2, b3 = b2 / 2, b3 + a3.sum(0)

    def step(states: Tensor) -> Tensor:
        h = states.numpy().dot(a1)
        h += b1
        np.tanh(h, out=h)
        h = h.dot(a2)
        h += b2
        np.tanh(h, out=h)
        h = h.dot(a3)
        h += b3
        np.maximum(h, 0, out=h)
        h = h.dot(a4)
        h += b4
        return torch.from_numpy(h)

    return step
