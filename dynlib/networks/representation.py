r"""What the linear layers of the structured network can represent."""

from __future__ import annotations

import torch

from dynlib.dynamics.checks import check_array, check_count, check_seed, check_tensor
from dynlib.networks.levenberg import LevenbergMarquardt
from dynlib.networks.stnn import StNN


def representation_error(
    target: torch.Tensor, branches: int, *, starts: int, steps: int, seed: int
) -> float:
    """Smallest relative error of a network without activations that is fitted to a matrix.

    The matrix is (n, n) of float64. From each of several drawn `starts` so many Levenberg–Marquardt
    `steps` are taken.
    """
    check_tensor("target", target, ("n", "n"), dtype=torch.float64, empty=False)
    n = target.shape[-1]
    check_array("target", target, (n, n), scale=True)
    if not target.any():
        raise ValueError("target must have an entry other than 0, got none; its norm divides")
    check_count("starts", starts)
    check_count("steps", steps)
    check_seed("seed", seed)
    model = StNN(n, branches, linear=True, dtype=torch.float64)
    generator = torch.Generator().manual_seed(int(seed))
    initial = []
    for _ in range(starts):
        model.draw_alive(generator)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.startswith("bias"):
                    weight.zero_()
                elif name.startswith("diagonal_4"):
                    weight.fill_(1)
        initial.append(torch.cat([w.detach().flatten() for w in model.parameters()]))
    states = torch.cat([torch.eye(n), torch.zeros(n, 1), -torch.eye(n)], 1).double()
    columns = states.expand(starts, *states.shape).contiguous()
    truth = (target @ states).expand(starts, -1, -1).contiguous()
    optimizer = LevenbergMarquardt(model, torch.stack(initial), attempts=8)
    for _ in range(steps):
        optimizer.step(columns, truth)
    with torch.no_grad():
        error = model.evaluate(optimizer.theta, columns) - truth
    return float((error.flatten(1).norm(dim=1) / truth[0].norm()).min())
