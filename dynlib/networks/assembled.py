r"""The structured network for inference: its factors multiplied out once."""

from __future__ import annotations

import reprlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, addmm, baddbmm, nn

from dynlib.dynamics.checks import check_tensor
from dynlib.networks.stnn import StNN, multiplied_out

#: From this number of states on, one product per branch is faster than one with zeros in it.
MANY = 256
#: Up to the first number of states NumPy is faster than torch, if the matrix of the second layers,
#: which holds mostly zeros, has at most the second number of entries.
FEW, SMALL = 4096, 2**14


class AssembledStNN(nn.Module):
    r"""The map of a structured network by three small dense products.

    For few states the second layer's matrices, one a branch, stand on the diagonal of one matrix:
    a product with zeros in it is faster than several without, or than one batched. The third and
    fourth layer are one maximum and one product,

    .. math:: \mathrm{relu}(D_3 h + b_3) = D_3\,\max(h, -b_3/D_3) + b_3, \qquad D_3 > 0,

    and where :math:`D_3 < 0` the second layer gives :math:`1 - h = \mathrm{sigmoid}(-z)`
    instead of :math:`h = \mathrm{sigmoid}(z)`. On a CPU, without gradient, up to some thousands of
    states are computed in NumPy, whose calls begin sooner: for few states the calls are the cost,
    not the operations.

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
        first, second, fourth = multiplied_out(model)
        w = {name: weight.detach() for name, weight in model.named_parameters()}
        self.n, self.linear = model.n, model.linear
        slope, shift, bias_2 = w["diagonal_3"], w["bias_3"], w["bias_2"]
        constant = shift  # what the third layer adds to slope * max(h, low)
        if not model.linear:
            sign = torch.where(slope < 0, -1, 1)
            second, bias_2 = second * sign.unsqueeze(-1), bias_2 * sign
            shift, slope = shift + slope.clamp(max=0), slope.abs()
            flat = slope == 0
            self.register_buffer("low", torch.where(flat, 0, -shift / slope).flatten())
            constant = torch.where(flat, shift.clamp(min=0), shift)
        first, last = first.flatten(0, 1), fourth * slope.flatten()
        self.register_buffer("first", first.T.contiguous())
        self.register_buffer("second", torch.block_diag(*second).T.contiguous())
        self.register_buffer("last", last.T.contiguous())
        self.register_buffer("bias_1", w["bias_1"].flatten().clone())
        self.register_buffer("bias_2", bias_2.flatten().clone())
        self.register_buffer("bias_4", w["bias_4"] + fourth @ constant.flatten())
        self.register_buffer("branches", second.contiguous())
        self.register_load_state_dict_post_hook(lambda module, _: module._refresh())
        self._refresh()

    def _apply(self, fn: Callable, recurse: bool = True) -> AssembledStNN:
        """Called by ``to`` and similar methods, which may replace the buffers."""
        super()._apply(fn, recurse)
        self._refresh()
        return self

    def _refresh(self) -> None:
        """Which buffers NumPy computes with, if it does; the arrays are made when needed."""
        w, self._changes = dict(self.named_buffers()), -1
        self._counted: tuple[Tensor, ...] = ()
        exists = w["first"].device.type == "cpu" and w["first"].dtype in (
            torch.float32,
            torch.float64,
        )
        # Tensors made in inference mode do not count their changes: torch computes with those.
        exists = exists and not any(buffer.is_inference() for buffer in w.values())
        if exists and not self.linear and w["second"].numel() <= SMALL:
            self._counted = tuple(buffer for name, buffer in w.items() if name != "branches")

    def _convert(self) -> None:
        """The NumPy arrays, from the buffers as they are now."""
        w, self._changes = dict(self.named_buffers()), self._count()
        half = w["last"] / 2  # sigmoid(z) = (1 + tanh(z/2)) / 2
        arrays = (
            w["first"], w["bias_1"], w["second"] / 2, w["bias_2"] / 2, 2 * w["low"] - 1,
            half, w["bias_4"] + half.sum(0),
        )  # fmt: skip
        self._arrays = tuple(array.numpy() for array in arrays)

    def _count(self) -> int:
        """How often the buffers that the NumPy arrays come from have been changed in place."""
        a, b, c, d, e, f, g = self._counted
        return (
            a._version + b._version + c._version + d._version + e._version + f._version + g._version
        )

    def forward(self, states: Tensor) -> Tensor:
        """States one time step on, shape (..., n) as the input."""
        if not isinstance(states, Tensor) or not states.ndim:
            raise TypeError(
                f"states must be a tensor (..., {self.n}), got {reprlib.repr(states)}; use "
                "torch.as_tensor(...)"
            )
        if self._counted and states.numel() <= FEW * self.n and not states.requires_grad:
            if self._count() != self._changes:
                self._convert()
            array = _as_array(states, self._arrays[0])
            if array is not None:
                return _in_numpy(array, *self._arrays)
        if states.dim() != 2:
            return self(states.reshape(-1, states.shape[-1])).view(states.shape)
        w = self._buffers  # a lookup by attribute would take a tenth of the time
        try:
            if len(states) >= MANY:
                return self._many(w, states.T).T.contiguous()
            h = addmm(w["bias_1"], states, w["first"])
        except RuntimeError:
            like = w["first"]
            check_tensor("states", states, (..., self.n), dtype=like.dtype, device=like.device)
            raise
        if self.linear:
            h = addmm(w["bias_2"], h, w["second"])
        else:
            h = addmm(w["bias_2"], h.tanh_(), w["second"]).sigmoid_()
            out = None if torch.is_grad_enabled() else h  # a gradient needs h as it is
            h = torch.maximum(h, w["low"], out=out)
        return addmm(w["bias_4"], h, w["last"])

    def _many(self, w: dict[str, Tensor], columns: Tensor) -> Tensor:
        """The same for columns (n, batch), the second layer branch by branch in one call."""
        p, n, _ = w["branches"].shape
        bias = w["bias_2"].view(p, n, 1)
        h = addmm(w["bias_1"].unsqueeze(1), w["first"].T, columns)
        if self.linear:
            h = baddbmm(bias, w["branches"], h.view(p, 2 * n, -1)).view(p * n, -1)
        else:
            h = baddbmm(bias, w["branches"], h.tanh_().view(p, 2 * n, -1)).sigmoid_()
            h = torch.maximum(h.view(p * n, -1), w["low"].unsqueeze(1))
        return addmm(w["bias_4"].unsqueeze(1), w["last"].T, h)


def _as_array(states: Tensor, first: np.ndarray) -> np.ndarray | None:
    """States as NumPy can multiply them by the first matrix; None where torch has to."""
    try:
        array = states.numpy()
    except (RuntimeError, TypeError):  # a tensor inside a transform, or on another device
        return None
    return array if array.dtype == first.dtype and array.shape[-1] == len(first) else None


def _in_numpy(h: np.ndarray, first, bias_1, second, bias_2, low, last, bias_4) -> Tensor:
    """The map of states (..., n)."""
    h = h.dot(first)
    h += bias_1
    np.tanh(h, out=h)
    h = h.dot(second)
    h += bias_2
    np.tanh(h, out=h)
    np.maximum(h, low, out=h)
    h = h.dot(last)
    h += bias_4
    return torch.from_numpy(h)
