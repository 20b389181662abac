r"""LEADS as published: a module a field, one environment after the other.

A twin for tests and a peer for timings; written from the description, not from their code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynlib.dynamics.checks import check_count, check_is, check_number, check_tensor
from dynlib.networks.leads import LEADS, PENALTY, SPECTRAL


class Swish(nn.Module):
    """The activation with its learnt slope."""

    def __init__(self, beta: Tensor) -> None:
        super().__init__()
        self.beta = nn.Parameter(beta.detach().clone().reshape(1))

    def forward(self, z: Tensor) -> Tensor:
        """Activate."""
        return z * torch.sigmoid(z * F.softplus(self.beta)) / 1.1


class LoopedLEADS(nn.Module):
    """The fields of :class:`dynlib.networks.leads.LEADS` as modules of their own.

    Parameters
    ----------
    model : dynlib.networks.leads.LEADS
        Gives the weights; later changes do not reach this copy.

    Examples
    --------
    >>> model, states = LEADS(3), torch.ones(3, 4, 2)
    >>> torch.allclose(LoopedLEADS(model)(states, 2, 0.5), model(states, 2, 0.5), atol=1e-6)
    True
    """

    def __init__(self, model: LEADS) -> None:
        super().__init__()
        check_is("model", model, LEADS, "a LEADS", "LEADS(3) makes one of three environments")
        self.shared = self._network(model, "shared", 0)
        own = (self._network(model, "own", e) for e in range(model.environments))
        self.own = nn.ModuleList(own)

    @staticmethod
    def _network(model: LEADS, part: str, index: int) -> nn.Sequential:
        modules: list[nn.Module] = []
        for layer in range(4):
            weight = model.get_parameter(f"{part}_weight_{layer}").detach()[index]
            linear = nn.Linear(*weight.shape, dtype=weight.dtype)
            with torch.no_grad():
                linear.weight.copy_(weight.T)
                linear.bias.copy_(model.get_parameter(f"{part}_bias_{layer}")[index, 0])
            modules.append(linear)
            if layer < 3:
                modules.append(Swish(model.get_parameter(f"{part}_beta")[layer, index]))
        return nn.Sequential(*modules)

    def forward(self, states: Tensor, steps: int, dt: float) -> Tensor:
        """As :meth:`dynlib.networks.leads.LEADS.forward`."""
        self._check("states", states, dt)
        check_count("steps", steps)
        return torch.stack(
            [
                self._rollout(own, start, steps, dt)
                for own, start in zip(self.own, states, strict=True)
            ]
        )

    def _check(self, name: str, values: Tensor, dt: float, *axes: str) -> None:
        weight = self.shared[0].weight
        wanted = (len(self.own), "B", *axes, weight.shape[1])
        check_tensor(name, values, wanted, dtype=weight.dtype, device=weight.device, empty=False)
        check_number("dt", dt, above=0)

    def _rollout(self, own: nn.Module, x: Tensor, steps: int, dt: float) -> Tensor:
        def velocity(x: Tensor) -> Tensor:
            return self.shared(x) + own(x)

        path = []
        for _ in range(steps):
            k1 = velocity(x)
            k2 = velocity(x + dt * k1 / 3)
            k3 = velocity(x + dt * (k2 - k1 / 3))
            k4 = velocity(x + dt * (k1 - k2 + k3))
            x = x + dt * (k1 + 3 * (k2 + k3) + k4) / 8
            path.append(x)
        return torch.stack(path, dim=1)

    def loss(self, trajectories: Tensor, dt: float, rounds: int = 0) -> Tensor:
        """The published loss of trajectories (E, B, T, d).

        Spectral norms are exact, or those of so many rounds of power iteration.
        """
        self._check("trajectories", trajectories, dt, "T")
        check_count("rounds", rounds, least=0)
        if trajectories.shape[2] < 2:
            raise ValueError(
                f"trajectories must be two states or more, got shape {tuple(trajectories.shape)}; "
                "take longer ones"
            )
        error, size, spectral = 0.0, 0.0, 0.0
        for own, path in zip(self.own, trajectories, strict=True):
            followed = self._rollout(own, path[:, 0], path.shape[1] - 1, dt)
            error = error + (followed - path[:, 1:]).square().sum()
            at = path.flatten(0, 1)
            size = size + (own(at).norm(dim=-1) / (at.norm(dim=-1) + 1e-5)).square().mean()
            for layer in own[::2]:
                spectral = spectral + self._norm(layer.weight, rounds).square()
        return error / trajectories.numel() + PENALTY * (SPECTRAL * spectral + size)

    @staticmethod
    def _norm(weight: Tensor, rounds: int) -> Tensor:
        if not rounds:
            return torch.linalg.matrix_norm(weight, ord=2)
        with torch.no_grad():
            left = torch.ones_like(weight[:, 0])
            for _ in range(rounds):
                right = F.normalize(weight.T @ left, dim=0)
                left = F.normalize(weight @ right, dim=0)
        return left @ weight @ right
