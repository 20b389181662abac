"""What a one-step network is worth: its errors, its failures, its active directions."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Pairs
from dynlib.networks.stnn import StNN


def padded(states: np.ndarray, n: int) -> torch.Tensor:
    """States (..., d) with zeros up to n coordinates, float64."""
    return nn.functional.pad(torch.as_tensor(states), (0, n - states.shape[-1]))


def one_step_errors(model: StNN | FFNN, pairs: Pairs) -> np.ndarray:
    r"""Mean squared one-step error of every coordinate, in the units of the pairs.

    .. math:: \frac1M \sum_{(x, x')} (f(x) - x')_i^2

    Parameters
    ----------
    model : StNN or FFNN
        A network; padded inputs and outputs are seen to here.
    pairs : pair of numpy.ndarray
        Inputs (M, c) and targets (M, d).

    Returns
    -------
    numpy.ndarray
        Shape (d,).
    """
    inputs, targets = pairs
    if np.ndim(inputs) != 2 or np.ndim(targets) != 2 or len(inputs) != len(targets):
        raise ValueError(
            f"pairs must be arrays (M, c) and (M, d), got {np.shape(inputs)} and "
            f"{np.shape(targets)}; pairs(trajectories) makes them"
        )
    with torch.no_grad():
        outputs = model(padded(inputs, model.n)).numpy()[:, : targets.shape[1]]
    return np.square(outputs - targets).mean(0)


def failed(errors: np.ndarray, variance: np.ndarray) -> bool:
    """Whether a coordinate's error exceeds one per cent of its variance, or is not finite.

    Examples
    --------
    >>> failed(np.array([1e-3, 2.0]), np.array([60.0, 80.0]))
    True
    """
    return not (np.isfinite(errors).all() and (errors <= 0.01 * variance).all())


def active_directions(model: StNN | FFNN, states: np.ndarray, tolerance: float = 1e-9) -> int:
    r"""Rank of the derivative of all outputs by all weights, over many states.

    Directions in weight space that leave the map unchanged do not count: weights that meet
    padding, and scalings that cancel.

    Parameters
    ----------
    model : StNN or FFNN
        At its trained weights, float64.
    states : numpy.ndarray
        Inputs, shape (M, d), in the model's units.
    tolerance : float
        Singular values below this share of the largest count as zero, after every weight's
        derivative has been scaled to one.
    """
    if np.ndim(states) != 2:
        raise ValueError(
            f"states must have shape (M, d), got {np.shape(states)}; those of trajectories are "
            "states.reshape(-1, d)"
        )
    theta = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    columns = padded(states, model.n).mT.contiguous()
    m = min(states.shape[1], model.n_out)
    out = torch.empty(1, len(theta), m, columns.shape[1], dtype=theta.dtype)
    with torch.no_grad():
        _, jacobian = model.jacobian(theta.unsqueeze(0), columns.unsqueeze(0), out)
    rows = jacobian[0].flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    values = torch.linalg.svdvals(rows / torch.where(norms > 0, norms, 1.0))
    return int((values > tolerance * values[0]).sum())


def rollout(
    model: StNN | FFNN, starts: np.ndarray, n_steps: int, constants: np.ndarray | None = None
) -> np.ndarray:
    """States that a network predicts one from another, from all starts at once.

    Parameters
    ----------
    model : StNN or FFNN
        A network of states with d coordinates; padded ones are set to zero before every step.
    starts : numpy.ndarray
        States at step 0, shape (S, d).
    n_steps : int
        Number of steps.
    constants : numpy.ndarray, optional
        Inputs behind the state that stay as they are, such as a parameter, shape (S, c).

    Returns
    -------
    numpy.ndarray
        States at steps 1 to `n_steps`, shape (S, n_steps, d).

    Examples
    --------
    >>> rollout(FFNN(dtype=torch.float64), np.zeros((2, 3)), 5).shape
    (2, 5, 3)
    """
    if np.ndim(starts) != 2 or np.shape(starts)[1] > model.n:
        raise ValueError(
            f"starts must have shape (S, d) with d of {model.n} at most, got {np.shape(starts)}; "
            "one start is start[None]"
        )
    if constants is not None and (np.ndim(constants) != 2 or np.shape(constants)[0] != len(starts)):
        raise ValueError(
            f"constants must have shape ({len(starts)}, c), got {np.shape(constants)}; the same "
            "ones for every start are np.tile(constants, (len(starts), 1))"
        )
    d, path = starts.shape[-1], []
    with torch.no_grad():
        states = torch.as_tensor(starts)
        tail = states[..., :0] if constants is None else torch.as_tensor(constants)
        tail = nn.functional.pad(tail, (0, model.n - d - tail.shape[-1]))
        for _ in range(n_steps):
            states = model(torch.cat([states, tail], dim=-1))[..., :d]
            path.append(states)
    return torch.stack(path, dim=-2).numpy()
