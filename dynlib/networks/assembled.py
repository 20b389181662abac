r"""The structured network for inference: its factors multiplied out once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from dynlib.networks.stnn import StNN


class AssembledStNN(nn.Module):
    """The map of a structured network by three small dense products.

    The second layer's matrices, one a branch, stand on the diagonal of one matrix: for the few
    branches of this network one product with zeros in it is faster than several without.

    Parameters
    ----------
    model : StNN
        The network; later changes of its weights do not reach this copy.

    Examples
    --------
    >>> model, states = StNN(4, 2), torch.ones(3, 4)
    >>> torch.allclose(AssembledStNN(model)(states), model(states), atol=1e-6)
    True
    """

    def __init__(self, model: StNN) -> None:
        super().__init__()
        w = {name: weight.detach() for name, weight in model.named_parameters()}
        first = model.first_matrix(w["diagonal_1"], w["twiddles_1"], w["blocks_1"])
        second = model.second_matrix(w["diagonal_2"], w["twiddles_2"], w["blocks_2"])
        fourth = torch.cat([torch.diag(diagonal) for diagonal in w["diagonal_4"]], dim=1)
        self.n, self.linear = model.n, model.linear
        self.register_buffer("first", first.flatten(0, 1))
        self.register_buffer("second", torch.block_diag(*second))
        self.register_buffer("fourth", fourth)
        for name in ("bias_1", "bias_2", "diagonal_3", "bias_3", "bias_4"):
            self.register_buffer(name, w[name].flatten().clone())

    def forward(self, states: Tensor) -> Tensor:
        """States one time step on, shape (..., n) as the input."""
        w = self._buffers  # a lookup by attribute would take a tenth of the time
        if self.linear:
            h = linear(linear(states, w["first"], w["bias_1"]), w["second"], w["bias_2"])
            h = torch.addcmul(w["bias_3"], h, w["diagonal_3"])
        else:
            h = linear(states, w["first"], w["bias_1"]).tanh_()
            h = linear(h, w["second"], w["bias_2"]).sigmoid_()
            h = torch.addcmul(w["bias_3"], h, w["diagonal_3"]).relu_()
        return linear(h, w["fourth"], w["bias_4"])
