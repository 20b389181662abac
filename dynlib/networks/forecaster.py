"""A trained network as a forecaster, like the methods that are fitted by regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynlib.measure.forecaster import last_states
from dynlib.networks.count import total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN


@dataclass(frozen=True)
class NetworkForecaster:
    """A network of states in the form of :class:`dynlib.measure.forecaster.Forecaster`.

    Parameters
    ----------
    model : StNN or FFNN
        The network, for raw units.

    Examples
    --------
    >>> import torch
    >>> each = NetworkForecaster(StNN(4, 6, dtype=torch.float64))
    >>> each.parameters, each.flops, each.rollout(np.zeros((2, 1, 3)), 5).shape
    (388, 744, (2, 5, 3))
    """

    model: StNN | FFNN

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return total(self.model)

    @property
    def flops(self) -> int:
        """Operations of one step where the structure is used: :class:`dynlib.networks.count.Layer`."""
        return total(self.model, "flops")

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """States (S, n_steps, dim) after windows (S, T, dim); only their last states count."""
        starts = last_states(windows, n_steps, np.shape(windows)[-1])[:, -1]
        return rollout(self.model, starts, n_steps)
