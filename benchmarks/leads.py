"""A training step of LEADS: all environments at once, against one after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.compare import Bench, check_same
from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, initial_states, trajectories
from dynlib.networks.leads import LEADS, PENALTY, penalty
from dynlib.peers.leads_loop import LoopedLEADS

ROUNDS = 5  # power iterations, as published


def stacked(model: LEADS, batch: torch.Tensor, vectors: list[torch.Tensor]) -> torch.Tensor:
    """The loss of all environments with its penalty."""
    followed = model(batch[:, :, 0], batch.shape[2] - 1, 0.5)
    error = (followed - batch[:, :, 1:]).square().sum() / batch.numel()
    return error + PENALTY * penalty(model, batch.flatten(1, 2), vectors, ROUNDS)


def step(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], float]:
    """Forward, loss, backward, Adam; the result is the loss before the step."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=isinstance(model, LEADS))

    def once() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return once


def measure(bench: Bench) -> None:
    count, width = bench.size((8, 64), (2, 8))
    paths = trajectories(ENVIRONMENTS, initial_states(count))
    whole = torch.as_tensor(paths, dtype=torch.float32)[:, :, : bench.size(20, 5)]  # (E, B, T, 2)
    windows = whole.unfold(2, 2, 1).flatten(1, 2).mT.contiguous()  # (E, B (T - 1), 2, 2)
    n = len(whole)
    for what, batch, aim in (
        (f"rollouts of {whole.shape[2] - 1} steps", whole, 20.0),
        ("windows of one step", windows, None),
    ):
        model = LEADS(n, width, generator=torch.Generator().manual_seed(0))
        loop = LoopedLEADS(model)
        vectors = [torch.ones(n, size, 1) for size in (2, width, width, width)]
        bench.compare(
            f"a training step of LEADS, {n} environments, {count} trajectories each, {what}",
            "one environment after the other",
            step(model, lambda m=model, b=batch, v=vectors: stacked(m, b, v)),
            step(loop, lambda m=loop, b=batch: m.loss(b, 0.5, rounds=ROUNDS)),
            lambda mine, other: check_same("the loss", mine, other, 0.01),
            aim=aim, seconds=8,
            limit="most of our step is batched products of small matrices, a few rows each, which "
            "torch multiplies much more slowly than large ones" if aim else "",
        )  # fmt: skip
