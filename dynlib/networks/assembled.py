r"""The structured network for inference: its factors multiplied out once."""

from __future__ import annotations

import torch
from torch import Tensor, addmm, nn

from dynlib.networks.stnn import StNN


class AssembledStNN(nn.Module):
    r"""The map of a structured network by three small dense products.

    The second layer's matrices, one a branch, stand on the diagonal of one matrix: for the few
    branches of this network one product with zeros in it is faster than several without. The
    third and fourth layer are one maximum and one product,

    .. math:: \mathrm{relu}(D_3 h + b_3) = D_3\,\max(h, -b_3/D_3) + b_3, \qquad D_3 > 0,

    and where :math:`D_3 < 0` the second layer gives :math:`1 - h = \mathrm{sigmoid}(-z)`
    instead of :math:`h = \mathrm{sigmoid}(z)`.

    Parameters
    ----------
    model : StNN
        The network; later changes of its weights do not reach this copy.

    Raises
    ------
    ValueError
        From a call, if the last axis of the states is not n.

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
        second, bias_2 = torch.block_diag(*second), w["bias_2"].flatten()
        slope, shift = w["diagonal_3"].flatten(), w["bias_3"].flatten()
        constant = shift  # what the third layer adds to slope * max(h, low)
        if not model.linear:
            sign = torch.where(slope < 0, -1, 1)
            second, bias_2 = second * sign[:, None], bias_2 * sign
            shift, slope = shift + slope.clamp(max=0), slope.abs()
            flat = slope == 0
            self.register_buffer("low", torch.where(flat, 0, -shift / slope))
            constant = torch.where(flat, shift.clamp(min=0), shift)
        self.register_buffer("first", first.flatten(0, 1).T.contiguous())
        self.register_buffer("second", second.T.contiguous())
        self.register_buffer("fourth", (fourth * slope).T.contiguous())
        self.register_buffer("bias_1", w["bias_1"].flatten().clone())
        self.register_buffer("bias_2", bias_2.clone())
        self.register_buffer("bias_4", w["bias_4"] + fourth @ constant)

    def forward(self, states: Tensor) -> Tensor:
        """States one time step on, shape (..., n) as the input."""
        if states.ndim != 2:
            return self(states.reshape(-1, states.shape[-1])).view(states.shape)
        if states.shape[1] != self.n:
            raise ValueError(
                f"states must have {self.n} coordinates, got shape {tuple(states.shape)}; pad "
                "them with zeros"
            )
        w = self._buffers  # a lookup by attribute would take a tenth of the time
        h = addmm(w["bias_1"], states, w["first"])
        if self.linear:
            h = addmm(w["bias_2"], h, w["second"])
        else:
            h = addmm(w["bias_2"], h.tanh_(), w["second"]).sigmoid_()
            out = None if torch.is_grad_enabled() else h  # a gradient needs h as it is
            h = torch.maximum(h, w["low"], out=out)
        return addmm(w["bias_4"], h, w["fourth"])
