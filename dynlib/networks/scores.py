"""What a one-step network is worth: its errors, its failures, its active directions."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
import torch
from torch import nn

from dynlib.dynamics import checks
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Pairs, check_network, check_pairs
from dynlib.networks.stnn import StNN


def _floats(array: np.ndarray) -> np.ndarray:
    """A copy that torch takes without a warning, whatever the original's type and layout."""
    return np.array(array, dtype=np.float64, order="C")


def _padded(states: np.ndarray, n: int) -> torch.Tensor:
    """States (..., d) with zeros up to n coordinates, float64."""
    states = torch.from_numpy(_floats(states))
    return nn.functional.pad(states, (0, n - states.shape[-1]))


def check_model(model: Any) -> None:
    """Raise TypeError for what does not map states of a known length."""
    if not isinstance(model, nn.Module) or not hasattr(model, "n"):
        raise TypeError(
            f"model must be a network of states, got {reprlib.repr(model)}; a Trained has one, as "
            "its model"
        )


def check_states(name: str, states: Any, n: int, **options: Any) -> None:
    """Raise for what is not finite states (S, d) with d of n at most."""
    checks.check_array(name, states, ("S", "d"), **options)
    if np.shape(states)[1] > n:
        raise ValueError(
            f"{name} must have shape (S, d) with d of {n} at most, got {np.shape(states)}; "
            "the network has no more inputs"
        )


def check_constants(constants: Any, count: int, spare: int) -> None:
    """Raise for what is not constants (count, c) with c of `spare` at most."""
    remedy = "the same ones for every start are np.tile(constants, (len(starts), 1))"
    checks.check_array("constants", constants, (count, "c"), empty=True, remedy=remedy)
    checks.check_count("the width of constants", np.shape(constants)[1], least=0, most=spare)


def one_step_errors(model: StNN | FFNN, pairs: Pairs) -> np.ndarray:
    r"""Mean squared one-step error of every coordinate, in the units of the pairs.

    .. math:: \frac1M \sum_{(x, x')} (f(x) - x')_i^2

    Inputs (M, c) are padded here, and outputs cut to the d coordinates of the targets (M, d).
    """
    check_model(model)
    check_pairs(pairs)
    check_states("inputs of pairs", pairs[0], model.n)
    inputs, targets = pairs[0], np.asarray(pairs[1], dtype=np.float64)
    with torch.no_grad():
        outputs = model(_padded(inputs, model.n)).numpy()[:, : targets.shape[1]]
    checks.check_alike(
        ("outputs", "targets"), outputs, targets, remedy="the network has fewer outputs"
    )
    return np.square(outputs - targets).mean(0)


def failed(errors: np.ndarray, variance: np.ndarray) -> bool:
    """Whether a coordinate's error exceeds one per cent of its variance, or is not finite.

    Examples
    --------
    >>> failed(np.array([1e-3, 2.0]), np.array([60.0, 80.0]))
    True
    """
    checks.check_array("errors", errors, ("d",), allow="any")
    checks.check_array("variance", variance, (len(errors),))
    errors, variance = (np.asarray(each, dtype=np.float64) for each in (errors, variance))
    return not (np.isfinite(errors).all() and (errors <= 0.01 * variance).all())


def active_directions(model: StNN | FFNN, states: np.ndarray, tolerance: float = 1e-9) -> int:
    r"""Rank of the derivative of all outputs by all weights, over many states.

    Directions in weight space that leave the map unchanged do not count: weights that meet
    padding, and scalings that cancel. States are (M, d) in the model's units. Singular values
    below the `tolerance`, a share of the largest, count as zero, after every weight's derivative
    has been scaled to one.
    """
    check_network("model", model)
    remedy = "those of trajectories are states.reshape(-1, d)"
    check_states("states", states, model.n, scale=True, remedy=remedy)
    checks.check_number("tolerance", tolerance, least=0)
    theta = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    columns = _padded(states, model.n).mT.contiguous()
    m = min(np.shape(states)[1], model.n_out)
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
    """States at steps 1 to `n_steps`, (S, n_steps, d), that a network predicts one from another.

    They begin at `starts`, (S, d). Padded coordinates are set to zero before every step, and
    `constants`, (S, c), stay as they are, such as a parameter: inputs behind the state.

    Examples
    --------
    >>> rollout(FFNN(dtype=torch.float64), np.zeros((2, 3)), 5).shape
    (2, 5, 3)
    """
    check_model(model)
    check_states("starts", starts, model.n)
    checks.check_count("n_steps", n_steps)
    checks.check_room("the rollouts", *np.shape(starts), n_steps)
    if constants is not None:
        check_constants(constants, len(starts), model.n - np.shape(starts)[1])
    starts = _floats(starts)
    constants = next((_floats(part) for part in (constants,) if part is not None), None)
    d, path = starts.shape[-1], []
    with torch.no_grad(), np.errstate(invalid="ignore"):  # a rollout may go to infinity
        states = torch.as_tensor(starts)
        tail = states[..., :0] if constants is None else torch.as_tensor(constants)
        tail = nn.functional.pad(tail, (0, model.n - d - tail.shape[-1]))
        for _ in range(n_steps):
            states = model(torch.cat([states, tail], dim=-1))[..., :d]
            path.append(states)
    return torch.stack(path, dim=-2).numpy()
