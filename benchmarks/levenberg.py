"""Steps of Levenberg–Marquardt, against torch-levenberg-marquardt."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F
from torch_levenberg_marquardt.training import LevenbergMarquardtModule

from benchmarks.compare import Bench, close, seconds_of
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.pairs import pairs
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.networks.levenberg import LevenbergMarquardt, gram
from dynlib.networks.stnn import StNN
from dynlib.peers.released import ReleasedStNN


class BranchByBranch(ReleasedStNN):
    """The loop over branches with weights that can be learnt."""

    def __init__(self, model: StNN) -> None:
        super().__init__(model)
        self.weights = torch.nn.ParameterDict(self.weights)


class Contiguous(torch.nn.Module):
    """A network whose outputs lie in memory as torch-levenberg-marquardt wants them."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.network(states).contiguous()


def lorenz_pairs(count: int) -> tuple[torch.Tensor, ...]:
    """Standardised states and successors, padded to four coordinates: (count, 4), float32."""
    flow = Lorenz()
    initial = flow.initial_states(count // 100, np.random.default_rng(0))
    states, successors = pairs(simulate(TimeMap(flow, 0.01), initial, 101, transient=500))
    mean, scale = states.mean(0), states.std(0)
    columns = (
        torch.as_tensor((s - mean) / scale, dtype=torch.float32) for s in (states, successors)
    )
    return tuple(F.pad(c, (0, 1)) for c in columns)


def measure(bench: Bench) -> None:
    """Two steps from the same weights, a batch each: later ones may be tried again."""
    size, branches = bench.size((1000, 6), (100, 1))
    model = StNN(4, branches, released=True)
    model.draw_alive(torch.Generator().manual_seed(0), used=3)
    batches = list(zip(*(c.split(size) for c in lorenz_pairs(2 * size)), strict=True))
    theta = torch.cat([weight.detach().flatten() for weight in model.parameters()])[None]
    optimizer = LevenbergMarquardt(model, theta, rule="factor")
    start = {name: value.clone() for name, value in optimizer.state().items()}
    columns = [tuple(c.T.unsqueeze(0).contiguous() for c in batch) for batch in batches]

    def ours() -> list[float]:
        optimizer.restore(start)
        for batch in columns:
            optimizer.step(*batch)
        inputs, targets = columns[0]
        return [(model.evaluate(optimizer.theta, inputs) - targets).square().mean().item()]

    def peer(network: torch.nn.Module, solve: str) -> Callable[[], list[float]]:
        module = LevenbergMarquardtModule(network, attempts_per_step=20, solve_method=solve)
        weights = module.flat_params.clone()

        def steps() -> list[float]:
            module.flat_params.copy_(weights)
            module.backup_parameters()
            module.reset()
            for inputs, targets in batches:
                module.training_step(inputs, targets)
            inputs, targets = batches[0]
            with torch.no_grad():
                return [(network(inputs) - targets).square().mean().item()]

        return steps

    for what, network, solve, aim, note in (
        ("its loop over branches, QR", BranchByBranch(model), "qr", 5.0,
         "as released: an automatic derivative through the loop"),
        ("our StNN, QR", Contiguous(copy.deepcopy(model)), "qr", None, "its default solver"),
        ("our StNN, Cholesky", Contiguous(copy.deepcopy(model)), "cholesky", None,
         "the fair twin: the same network and the same solver"),
    ):  # fmt: skip
        bench.compare(
            f"two steps of Levenberg–Marquardt, StNN p={branches}, {size} pairs",
            f"torch-levenberg-marquardt, {what}",
            ours, peer(network, solve), close(0.05), aim=aim, note=note, seconds=4,
            limit=normal_equations(optimizer.theta.shape[1], 4 * size, seconds_of(ours) / 2)
            if aim else "",
        )  # fmt: skip


def normal_equations(weights: int, residuals: int, step: float) -> str:
    """The share of a step that its largest product takes."""
    jacobian = torch.randn(1, weights, residuals)
    share = seconds_of(lambda: gram(jacobian)) / step
    return (
        f"the product of the Jacobian, {residuals} × {weights}, with itself takes {share:.0%} of "
        "our step, and the peer needs it too. The rest is the Jacobian itself, a factorisation "
        "and the loss at the new weights"
    )
