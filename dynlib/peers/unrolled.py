r"""A one-step network as the map from a state to its whole rollout, with derivatives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from dynlib.dynamics.checks import check_array, check_callable, check_count, check_is, check_tensor
from dynlib.networks.levenberg import LevenbergMarquardt, Stacked
from dynlib.networks.recipes import Trained
from dynlib.training import artefacts, loop


class Unrolled:
    r"""The rollout of a one-step network, as a model that Levenberg–Marquardt can train.

    With :math:`x_k = f_\theta(x_{k-1}, e)` the derivatives by the weights follow from those of
    one step,

    .. math:: \frac{dx_k}{d\theta} = \frac{\partial f}{\partial \theta}(x_{k-1})
              + \frac{\partial f}{\partial x}(x_{k-1})\, \frac{dx_{k-1}}{d\theta}.

    Parameters
    ----------
    model : Stacked
        The one-step network; its first d inputs are the state, the others stay as they are.
    steps : int
        Number K of steps.
    gain, shift : torch.Tensor
        What makes an output the next input, :math:`x \mapsto a x + b`, shape (d,) each: the
        units of inputs and of outputs may differ.

    Raises
    ------
    ValueError
        If `steps` is smaller than 1.
    """

    def __init__(self, model: Stacked, steps: int, gain: Tensor, shift: Tensor) -> None:
        for each in ("evaluate", "jacobian"):
            check_callable(f"{each} of the model", getattr(model, each, None))
        check_count("steps", steps)
        check_tensor("gain", gain, ("d",), empty=False)
        check_tensor("shift", shift, tuple(gain.shape), dtype=gain.dtype, device=gain.device)
        self.model, self.steps = model, steps
        self.gain, self.shift = gain[:, None], shift[:, None]
        self.d = len(gain)
        self._one: Tensor | None = None

    def evaluate(self, theta: Tensor, columns: Tensor) -> Tensor:
        """States after 1, 2, …, K steps, (copies, K d, batch), from inputs (copies, n, batch)."""
        path = []
        for _ in range(self.steps):
            states = self.model.evaluate(theta, columns)[:, : self.d]
            path.append(states)
            columns = self._fed_back(states, columns)
        return torch.cat(path, dim=1)

    def jacobian(
        self, theta: Tensor, columns: Tensor, out: Tensor, fresh: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The same, and its derivatives by the weights in `out`, (copies, P, K d, batch)."""
        d, path, shape = self.d, [], (*theta.shape, self.d, columns.shape[-1])
        renewed = self._one is None or self._one.shape != shape
        if renewed:
            self._one = theta.new_empty(shape)
        for k in range(self.steps):
            states, by_weights = self.model.jacobian(theta, columns, self._one, renewed)
            renewed = False
            here = out[:, :, k * d : (k + 1) * d]
            here.copy_(by_weights)
            if k:
                before = out[:, :, (k - 1) * d : k * d]
                by_state = self._by_state(theta, columns)
                for i in range(d):
                    # the sum over the state's coordinates, written out: d is small
                    for j in range(d):
                        here[:, :, i].addcmul_(before[:, :, j], by_state[:, None, i, j])
            path.append(states)
            columns = self._fed_back(states, columns)
        return torch.cat(path, dim=1), out

    def _fed_back(self, states: Tensor, columns: Tensor) -> Tensor:
        return torch.cat([states * self.gain + self.shift, columns[:, self.d :]], dim=1)

    def _by_state(self, theta: Tensor, columns: Tensor) -> Tensor:
        """Derivatives of one step by the state before, (copies, d, d, batch), in output units."""
        with torch.enable_grad():
            columns = columns.detach().requires_grad_()
            outputs = self.model.evaluate(theta.detach(), columns)
            rows = [
                torch.autograd.grad(outputs[:, i].sum(), columns, retain_graph=True)[0]
                for i in range(self.d)
            ]
        return torch.stack([row[:, : self.d] * self.gain for row in rows], dim=1)


def refine(
    trained: Trained, trajectories: np.ndarray, constants: np.ndarray, steps: int
) -> Trained:
    r"""Go on training a one-step network on the rollouts of whole trajectories.

    .. math:: \min_\theta \frac1{N K} \sum_{i=1}^N \sum_{k=1}^K
              \lVert x_{i,k}(\theta) - x_{i,k} \rVert_2^2

    in standardised units, by Levenberg–Marquardt steps on all trajectories at once. The result
    is kept as an artefact.

    Parameters
    ----------
    trained : dynlib.networks.recipes.Trained
        A network trained on pairs.
    trajectories : numpy.ndarray
        Shape (N, K + 1, d).
    constants : numpy.ndarray
        Inputs beside the state, which stay as they are, shape (N, c).
    steps : int
        Steps of training.

    Returns
    -------
    dynlib.networks.recipes.Trained
        The same with the weights after every step, and their seconds, behind those of before;
        its history still ends with the pairs.

    Raises
    ------
    ValueError
        If shapes do not match or there is no step.
    """
    check_count("steps", steps)
    _check_training(trained, trajectories, constants)
    trajectories, constants = (np.asarray(a, np.float64) for a in (trajectories, constants))
    parameters = {
        "data": artefacts.digest(trajectories, constants, trained.weights[-1].numpy()),
        "architecture": dataclasses.asdict(trained.architecture),
        "units": [[array.tolist() for array in unit] for unit in trained.units],
        "steps": int(steps),
    }

    def compute(checkpoints: Path) -> artefacts.Computed:
        training = _Training(trained, trajectories, constants)
        with threadpool_limits(torch.get_num_threads()), torch.no_grad():
            history = loop.train(
                training, steps, marks=loop.evenly(steps, steps), folder=checkpoints,
                label="training on rollouts",
            )  # fmt: skip
        return {"path": training.path}, {"seconds": [row[1] for row in history]}

    tensors, state = artefacts.kept("refined", parameters, [f"{__name__}.refine"], compute)
    return dataclasses.replace(
        trained,
        weights=torch.cat([trained.weights, tensors["path"].to(trained.weights.dtype)]),
        seconds=np.concatenate([trained.seconds, trained.seconds[-1] + state["seconds"]]),
    )


def _check_training(trained: Trained, trajectories: np.ndarray, constants: np.ndarray) -> None:
    check_is("trained", trained, Trained, "a trained network", "training.train(...) gives a list")
    inputs, d = (len(unit[0]) for unit in trained.units)
    network = f"the network has {inputs} inputs and {d} outputs"
    check_array("trajectories", trajectories, ("N", "K + 1", d), scale=True, remedy=network)
    axes = (len(trajectories), inputs - d)
    check_array("constants", constants, axes, empty=inputs == d, scale=True, remedy=network)
    if np.shape(trajectories)[1] < 2:
        raise ValueError(
            f"trajectories must be two states or more, got shape {np.shape(trajectories)}; take "
            "longer ones"
        )


class _Training:
    """What :func:`dynlib.training.loop.train` trains: a network, on all rollouts at once."""

    over = False

    def __init__(self, trained: Trained, trajectories: np.ndarray, constants: np.ndarray) -> None:
        (mean, scale), (out_mean, out_scale) = trained.units
        d, network = trajectories.shape[-1], trained.architecture.build()
        inner = np.concatenate([trajectories[:, 0], constants], axis=1)
        columns = torch.as_tensor((inner - mean) / scale).T
        columns = torch.nn.functional.pad(columns, (0, 0, 0, network.n - len(columns)))
        targets = torch.as_tensor((trajectories[:, 1:] - out_mean) / out_scale)
        self.columns, self.targets = columns.contiguous(), targets.flatten(1).T.contiguous()
        gain, shift = out_scale / scale[:d], (out_mean - mean[:d]) / scale[:d]
        unrolled = Unrolled(
            network, trajectories.shape[1] - 1, torch.as_tensor(gain), torch.as_tensor(shift)
        )
        self.optimizer = LevenbergMarquardt(unrolled, trained.weights[-1:].to(torch.float64))
        self.path = torch.zeros(0, dtype=torch.float64)  # weights after every step, (steps, P)

    def step(self, number: int) -> Tensor:
        return self.optimizer.step(self.columns[None], self.targets[None])

    def mark(self, loss: Tensor, seconds: float) -> list:
        self.path = torch.cat([self.path, self.optimizer.theta])
        return []

    def state(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state(), "path": self.path}

    def restore(self, state: dict[str, Any]) -> None:
        self.optimizer.restore(state["optimizer"])
        self.path = state["path"]
