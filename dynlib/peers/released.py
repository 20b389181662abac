r"""The structured network as its authors compute it: branch by branch, factor by factor.

A twin for tests and a peer for timings; written from the description of the layers, not from
their code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dynlib.dynamics.checks import check_is, check_tensor
from dynlib.networks.stnn import StNN


class ReleasedStNN(nn.Module):
    """The map of a structured network by a loop over its branches, recursively.

    Parameters
    ----------
    model : StNN
        Gives the weights; later changes do not reach this copy.

    Raises
    ------
    ValueError
        If the model is linear.

    Examples
    --------
    >>> model, states = StNN(4, 2), torch.ones(3, 4)
    >>> torch.allclose(ReleasedStNN(model)(states), model(states), atol=1e-6)
    True
    """

    def __init__(self, model: StNN) -> None:
        super().__init__()
        check_is("model", model, StNN, "an StNN", "StNN(4, 2) makes one of two branches")
        if model.linear:
            raise ValueError(
                "model must have activations as the released network has, got a linear one; make "
                "it with linear=False"
            )
        self.n, self.released = model.n, model.released
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    def _forward_transform(self, row: Tensor, twiddles: Tensor, blocks: Tensor) -> Tensor:
        half = row.shape[-1] // 2
        first, second = row[..., :half], row[..., half:]
        first, second = first + second, (first - second) * twiddles[:half]
        if half == 2:
            first, second = first @ blocks[0], second @ blocks[1]
        else:
            first, second = (
                self._forward_transform(part, twiddles[half:], blocks) for part in (first, second)
            )
        both = torch.cat([first, second], dim=-1)
        if self.released:
            return torch.cat([both[..., ::2], both[..., 1::2]], dim=-1)
        mixed = torch.empty_like(both)
        mixed[..., ::2], mixed[..., 1::2] = first, second
        return mixed

    def _backward_transform(self, row: Tensor, twiddles: Tensor, blocks: Tensor) -> Tensor:
        half = row.shape[-1] // 2
        first, second = row[..., ::2], row[..., 1::2]
        if half == 2:
            first, second = first @ blocks[0], second @ blocks[1]
        else:
            first, second = (
                self._backward_transform(part, twiddles[half:], blocks) for part in (first, second)
            )
        turned = second * twiddles[:half]
        return torch.cat([first + turned, first - turned], dim=-1)

    def _check_states(self, states: Tensor) -> None:
        bias = self.weights["bias_4"]
        check_tensor("states", states, (..., self.n), dtype=bias.dtype, device=bias.device)

    def forward(self, states: Tensor) -> Tensor:
        """States one time step on, shape (..., n) as the input."""
        w, total = self.weights, 0
        self._check_states(states)
        for k in range(len(w["diagonal_1"])):
            padded = nn.functional.pad(w["diagonal_1"][k] * states, (0, self.n))
            h = self._forward_transform(padded, w["twiddles_1"][k], w["blocks_1"][k])
            h = torch.tanh(h + w["bias_1"][k]) * w["diagonal_2"][k]
            h = self._backward_transform(h, w["twiddles_2"][k], w["blocks_2"][k])[..., : self.n]
            h = torch.sigmoid(h + w["bias_2"][k])
            h = torch.relu(w["diagonal_3"][k] * h + w["bias_3"][k])
            total = total + w["diagonal_4"][k] * h
        return total + w["bias_4"]
