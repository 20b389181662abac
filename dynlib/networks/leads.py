r"""LEADS: a vector field that all environments share plus one for each, all evaluated at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynlib.dynamics import checks
from dynlib.networks.checks import check_dtype, check_source

#: Weights of the penalty and of the spectral term within it, as published.
PENALTY, SPECTRAL = 1 / 5000, 1e-2


class LEADS(nn.Module):
    r"""One field for all environments and one for each, integrated by Runge–Kutta steps.

    .. math:: \dot x = f(x) + g_e(x), \qquad e = 1, \dots, E,

    where f and every :math:`g_e` is a network d-h-h-h-d with the activation
    :math:`z \mapsto z\,\sigma(z\,\mathrm{softplus}(\beta)) / 1.1` and a :math:`\beta` of its own
    in each hidden layer. All E + 1 networks are one stack of tensors: with
    :math:`s = \mathrm{softplus}(\beta)` that activation is
    :math:`\mathrm{silu}(s z) / (1.1 s)`, so s goes into the weights around it once per step of
    training and the rest are a few batched products.

    Parameters
    ----------
    environments : int
        Number E of environments.
    width : int
        Units h of each hidden layer.
    dim : int
        Number d of coordinates of a state.
    generator : torch.Generator, optional
        Source of the initial weights :math:`N(0, 0.05^2)`; biases are 0, :math:`\beta` is 0.5.
    dtype : torch.dtype
        Of the weights.

    Examples
    --------
    >>> model = LEADS(10)
    >>> sum(weight.numel() for weight in model.parameters())
    95095
    >>> model(torch.ones(10, 32, 2), steps=19, dt=0.5).shape
    torch.Size([10, 32, 19, 2])

    References
    ----------
    Yin, Ayed, de Bézenac, Baskiotis & Gallinari (2021), LEADS: Learning dynamical systems that
    generalize across environments, NeurIPS 34.
    """

    def __init__(
        self,
        environments: int,
        width: int = 64,
        dim: int = 2,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        for name, size in {"environments": environments, "width": width, "dim": dim}.items():
            checks.check_count(name, size)
        checks.check_room("the weights", environments + 1, 2 * width, width + dim)
        check_dtype(dtype)
        if generator is not None:
            check_source(generator)
        self.environments, self.width, self.dim = environments, width, dim
        sizes = [dim, width, width, width, dim]
        for part, count in (("shared", 1), ("own", environments)):
            for layer in range(4):
                shape = (count, sizes[layer], sizes[layer + 1])
                noise = 0.05 * torch.randn(shape, generator=generator, dtype=torch.float64)
                self.register_parameter(f"{part}_weight_{layer}", nn.Parameter(noise.to(dtype)))
                bias = torch.zeros(count, 1, sizes[layer + 1], dtype=dtype)
                self.register_parameter(f"{part}_bias_{layer}", nn.Parameter(bias))
            beta = torch.full((3, count, 1, 1), 0.5, dtype=dtype)
            self.register_parameter(f"{part}_beta", nn.Parameter(beta))

    def weights(self, part: str) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases of the four layers, with the activations' factors in them.

        Those of f are the part ``"shared"``, those of all :math:`g_e` the part ``"own"``.
        """
        checks.check_choice("part", part, ("shared", "own"))
        slopes = F.softplus(self.get_parameter(f"{part}_beta"))  # (3, count, 1, 1)
        layers = []
        for layer in range(4):
            weight = self.get_parameter(f"{part}_weight_{layer}")
            bias = self.get_parameter(f"{part}_bias_{layer}")
            if layer:
                weight = weight / (1.1 * slopes[layer - 1])
            if layer < 3:
                weight, bias = weight * slopes[layer], bias * slopes[layer]
            layers.append((weight, bias))
        return layers

    def stack(self) -> list[tuple[Tensor, Tensor]]:
        """As :meth:`weights`, f once for every environment and then all g: 2 E networks."""
        both = zip(self.weights("shared"), self.weights("own"), strict=True)
        repeat = (self.environments, -1, -1)
        return [
            tuple(torch.cat([one.expand(repeat), other]) for one, other in zip(f, g, strict=True))
            for f, g in both
        ]

    def forward(self, states: Tensor, steps: int, dt: float) -> Tensor:
        """States after 1, 2, …, `steps` times `dt`, (E, B, steps, d), from states (E, B, d)."""
        axes, like = (self.environments, "batch", self.dim), self.shared_beta
        checks.check_tensor("states", states, axes, dtype=like.dtype, device=like.device)
        checks.check_count("steps", steps)
        checks.check_number("dt", dt)
        layers, path = self.stack(), []
        for _ in range(steps):
            states = runge_kutta(layers, states, dt)
            path.append(states)
        return torch.stack(path, dim=2)


def evaluate(layers: list[tuple[Tensor, Tensor]], values: Tensor) -> Tensor:
    """Outputs of a stack of networks, (count, B, d) from (count, B, d)."""
    for weight, bias in layers[:-1]:
        values = F.silu(torch.baddbmm(bias, values, weight))
    return torch.baddbmm(layers[-1][1], values, layers[-1][0])


def field(layers: list[tuple[Tensor, Tensor]], states: Tensor) -> Tensor:
    """The velocity f + g of every environment, (E, B, d), by :meth:`LEADS.stack`."""
    shared, own = evaluate(layers, states.repeat(2, 1, 1)).chunk(2)
    return shared + own


def runge_kutta(layers: list[tuple[Tensor, Tensor]], states: Tensor, dt: float) -> Tensor:
    r"""One step of Kutta's 3/8 rule, the fourth-order method of torchdiffeq.

    References
    ----------
    Kutta (1901), Z. Math. Phys. 46, 435-453; Hairer, Nørsett & Wanner (1993), table II.1.2.
    """
    k1 = field(layers, states)
    k2 = field(layers, states + dt / 3 * k1)
    k3 = field(layers, torch.add(states + dt * k2, k1, alpha=-dt / 3))
    k4 = field(layers, states + dt * (k1 - k2 + k3))
    return states + dt / 8 * (k1 + 3 * (k2 + k3) + k4)


def penalty(
    model: LEADS, states: Tensor, vectors: list[Tensor] | None = None, rounds: int = 5
) -> Tensor:
    r"""What keeps the environments' own fields small, so that the shared one does the work.

    .. math:: c \sum_{e,l} \sigma_{\max}(W_{e,l})^2
              + \sum_e \overline{\left(\frac{|g_e(x)|}{|x| + 10^{-5}}\right)^2},
              \qquad c = 10^{-2}

    Parameters
    ----------
    model : LEADS
        The model.
    states : torch.Tensor
        Where the fields are measured, shape (E, B, d).
    vectors : list of torch.Tensor, optional
        Left singular vectors so far, (E, rows, 1) a layer: they are improved in place by
        `rounds` power iterations. None computes the norms exactly.
    rounds : int
        Power iterations; five as published.
    """
    checks.check_is("model", model, LEADS, "a LEADS", "only it has fields of environments")
    axes, like = (model.environments, "batch", model.dim), model.shared_beta
    checks.check_tensor("states", states, axes, dtype=like.dtype, device=like.device)
    checks.check_count("rounds", rounds)
    own = evaluate(model.weights("own"), states)
    relative = own.norm(dim=-1) / (states.norm(dim=-1) + 1e-5)
    total = relative.square().mean(-1).sum()
    for layer in range(4):
        weight = model.get_parameter(f"own_weight_{layer}")
        if vectors is None:
            total = total + SPECTRAL * torch.linalg.matrix_norm(weight, ord=2).square().sum()
            continue
        left = vectors[layer]
        with torch.no_grad():
            for _ in range(rounds):
                right = F.normalize(weight.mT @ left, dim=1)
                left.copy_(F.normalize(weight @ right, dim=1))
        total = total + SPECTRAL * (left.mT @ weight @ right).square().sum()
    return total
