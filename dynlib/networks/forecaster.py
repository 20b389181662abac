"""A trained network as a forecaster, like the methods that are fitted by regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dynlib.dynamics.checks import check_array, check_count, check_is
from dynlib.measure.forecaster import last_states
from dynlib.networks.count import total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Trained, check_network
from dynlib.networks.scores import check_model, rollout
from dynlib.networks.stnn import StNN


@dataclass(frozen=True)
class NetworkForecaster:
    """A network of states in the form of :class:`dynlib.measure.forecaster.Forecaster`.

    The model, an StNN or an FFNN, is for raw units.

    Examples
    --------
    >>> each = NetworkForecaster(StNN(4, 6, dtype=torch.float64))
    >>> each.parameters, each.flops, each.rollout(np.zeros((2, 1, 3)), 5).shape
    (388, 744, (2, 5, 3))
    """

    model: StNN | FFNN

    def __post_init__(self) -> None:
        check_network("model", self.model)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return total(self.model)

    @property
    def flops(self) -> int:
        """Operations of one step, counted by :func:`dynlib.networks.count.layers`."""
        return total(self.model, "flops")

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """States (S, n_steps, dim) after windows (S, T, dim); only their last states count."""
        check_array("windows", windows, ("S", "T", "d"), allow="any", empty=True)
        starts = last_states(windows, n_steps, np.shape(windows)[-1])[:, -1]
        return rollout(self.model, starts, n_steps)


def forecasters(trained: Mapping[str, Sequence[Trained]]) -> dict[str, list[NetworkForecaster]]:
    """Trained networks by name, one a seed, as forecasters."""
    check_is("trained", trained, Mapping, "networks by name", "one alone is {'name': [trained]}")
    return {
        name: [NetworkForecaster(each.model) for each in found] for name, found in trained.items()
    }


def feed_back(model: nn.Module, batch: int, n_steps: int) -> torch.Tensor:
    """Evaluate a network on its own outputs, from zeros (batch, n): what timings of steps time.

    :func:`dynlib.networks.scores.rollout` also pads, cuts and keeps the states.
    """
    check_model(model)
    check_count("batch", batch)
    check_count("n_steps", n_steps)
    states = torch.zeros(batch, model.n, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(n_steps):
            states = model(states)
    return states
