r"""Levenberg–Marquardt for small networks, many copies at once, without loops over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

#: Numbers in the derivatives that are formed at once, a few megabytes, a processor's cache.
CACHED = 2**19


class Stacked(Protocol):
    """What :class:`LevenbergMarquardt` needs of a model: many copies of its weights at once.

    `theta` is (copies, P), `columns` (copies, n, batch), outputs (copies, m, batch).
    """

    def evaluate(self, theta: Tensor, columns: Tensor) -> Tensor: ...

    def jacobian(
        self, theta: Tensor, columns: Tensor, out: Tensor, fresh: bool = True
    ) -> tuple[Tensor, Tensor]: ...


class Copies(nn.Module):
    """A network that is evaluated for many copies of its weights, each on its own batch.

    It has ``layers``, which takes weights by name and columns, and ends with the outputs.
    """

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Weights by name, from flat vectors (copies, P): a weight's own shape behind copies."""
        parts = theta.split([weight.numel() for weight in self.parameters()], dim=-1)
        named = zip(self.named_parameters(), parts, strict=True)
        return {name: part.unflatten(-1, weight.shape) for (name, weight), part in named}

    def evaluate(self, theta: Tensor, columns: Tensor) -> Tensor:
        """Outputs (copies, n, batch) of copies with weights (copies, P), a column a state."""
        return self.layers(self.split(theta), columns)[-1]


class Functional:
    """Any module on vectors as a :class:`Stacked` model, by automatic differentiation.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (..., n) to (..., m), the same for every sample of a batch.

    Examples
    --------
    >>> model = Functional(nn.Linear(2, 1))
    >>> model.evaluate(torch.zeros(5, 3), torch.zeros(5, 2, 7)).shape
    torch.Size([5, 1, 7])
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        weights = dict(module.named_parameters())
        self.shapes = {name: weight.shape for name, weight in weights.items()}
        self.sizes = [weight.numel() for weight in weights.values()]

    def _call(self, theta: Tensor, state: Tensor) -> Tensor:
        parts = zip(self.shapes.items(), theta.split(self.sizes), strict=True)
        weights = {name: part.view(shape) for (name, shape), part in parts}
        return functional_call(self.module, weights, (state,))

    def evaluate(self, theta: Tensor, columns: Tensor) -> Tensor:
        """Outputs of every copy at its own states."""
        return vmap(self._call)(theta, columns.mT).mT

    def jacobian(
        self, theta: Tensor, columns: Tensor, out: Tensor, fresh: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Outputs and their derivatives, which are also written to `out`."""
        of_sample = vmap(jacrev(self._call), in_dims=(None, 0))
        out.copy_(vmap(of_sample)(theta, columns.mT).permute(0, 3, 2, 1))
        return self.evaluate(theta, columns), out


def gram(jacobian: Tensor) -> Tensor:
    r"""Products :math:`J^T J` of derivatives (copies, P, m, batch), shape (copies, P, P).

    On a CPU numpy computes them, because it calls BLAS's symmetric product, which does half
    the work of a general one.
    """
    rows = jacobian.flatten(2)
    if rows.device.type != "cpu":
        return rows @ rows.mT
    products = [row @ row.T for row in rows.numpy()]
    return torch.from_numpy(products[0][None] if len(products) == 1 else np.stack(products))


@dataclass
class LevenbergMarquardt:
    r"""Damped Gauss–Newton steps on the mean squared error of every copy of a model.

    With residuals r and derivatives J over a batch of B samples a step solves

    .. math:: (J^T J/B + \lambda I)\,\delta = J^T r/B, \qquad \theta \leftarrow \theta - \delta,

    by Cholesky's factorisation. A step that does not lower the error on its batch is never
    kept: it is tried again with more damping, and given up after `attempts`.

    Parameters
    ----------
    model : Stacked
        The network, e.g. :class:`dynlib.networks.stnn.StNN`, or any module wrapped in
        :class:`Functional`.
    theta : torch.Tensor
        Initial weights, shape (copies, P); a copy is kept and moved along.
    damping : float
        Initial :math:`\lambda`.
    rule : str
        ``"gain"``: after a good step :math:`\lambda` is multiplied by
        :math:`\max(1/10, 1 - (2\varrho - 1)^3)`, where :math:`\varrho` is the decrease over
        the one that the linear model predicts, and after a bad one by 2, 4, 8, ... (Nielsen).
        ``"factor"``: by 1/10 and 10, as torch-levenberg-marquardt does by default.
    attempts : int
        Trials a step.
    smallest, largest : float
        Limits of :math:`\lambda`.

    Raises
    ------
    ValueError
        If a rule is unknown, or a shape or number impossible.

    Examples
    --------
    >>> model = Functional(nn.Linear(1, 1))
    >>> lm = LevenbergMarquardt(model, torch.zeros(1, 2))
    >>> x = torch.tensor([[[0.0, 1.0, 2.0]]])
    >>> for _ in range(4):
    ...     loss = lm.step(x, 3 * x - 1)
    >>> lm.theta.round(decimals=4)
    tensor([[ 3., -1.]])

    References
    ----------
    Marquardt (1963), SIAM J. Appl. Math. 11, 431-441; Nielsen (1999), IMM-REP-1999-05,
    Technical University of Denmark.
    """

    model: Stacked
    theta: Tensor
    damping: float = 1e-3
    rule: str = "gain"
    attempts: int = 20
    smallest: float = 1e-10
    largest: float = 1e10

    def __post_init__(self) -> None:
        if self.rule not in ("gain", "factor"):
            raise ValueError(f"rule must be 'gain' or 'factor', got {self.rule!r}")
        if self.theta.ndim != 2 or self.attempts < 1 or not 0 < self.damping < np.inf:
            raise ValueError(
                "theta must be (copies, P), attempts at least 1 and damping a positive number, "
                f"got {tuple(self.theta.shape)}, {self.attempts} and {self.damping}"
            )
        self.theta = self.theta.detach().clone()
        self.lambdas = self.theta.new_full((len(self.theta),), self.damping)
        self.growth = torch.full_like(self.lambdas, 2.0)
        self.solves = 0  # factorisations so far, over all copies
        self._out: Any = None  # a tensor from the first step on

    @torch.no_grad()
    def step(self, columns: Tensor, targets: Tensor) -> Tensor:
        """One step of every copy on its own batch.

        Parameters
        ----------
        columns : torch.Tensor
            Inputs, shape (copies, n, batch).
        targets : torch.Tensor
            Shape (copies, m, batch), m at most the number of the model's outputs.

        Returns
        -------
        torch.Tensor
            Mean squared error of each output on the copy's batch before the step, (copies, m).
        """
        hessian, slope, squares = self._normal_equations(columns, targets)
        batch = targets.shape[-1]
        before = squares.sum(-1)

        todo = torch.arange(len(self.theta), device=self.theta.device)
        for _ in range(self.attempts):
            whole = len(todo) == len(self.theta)
            damped = hessian.clone() if whole else hessian[todo]
            damped.diagonal(dim1=1, dim2=2).add_(self.lambdas[todo].unsqueeze(-1))
            factor, info = torch.linalg.cholesky_ex(damped)
            step = torch.cholesky_solve(slope[todo], factor).squeeze(-1)
            self.solves += len(todo)
            trial = self.theta[todo] - step
            at = columns if whole else columns[todo]
            error = self.model.evaluate(trial, at)[:, : targets.shape[1]] - targets[todo]
            after = error.square().sum((1, 2)) / batch
            good = (info == 0) & (after < before[todo])  # False for NaN
            predicted = (step * (self.lambdas[todo].unsqueeze(-1) * step + slope[todo, :, 0])).sum(
                -1
            )
            self._adapt(todo, good, (before[todo] - after) / predicted)
            self.theta[todo[good]] = trial[good]
            todo = todo[~good]
            if not len(todo):
                break
        return squares

    def _normal_equations(self, columns: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r""":math:`J^T J/B`, :math:`J^T r/B` and the mean square of each output, copy by copy.

        As many copies at once as keep the derivatives within a processor's cache, in one
        buffer that is used again and again.
        """
        copies, size = self.theta.shape
        m, batch = targets.shape[1:]
        together = max(1, min(copies, CACHED // (size * m * batch)))
        shape = (together, size, m, batch)
        fresh = self._out is None or self._out.shape != shape
        if fresh:
            self._out = self.theta.new_empty(shape)
        found = []
        for part in torch.arange(copies).split(together):
            part = slice(int(part[0]), int(part[-1]) + 1)
            outputs, jacobian = self.model.jacobian(
                self.theta[part], columns[part], self._out[: part.stop - part.start], fresh
            )
            fresh = False
            residuals = outputs - targets[part]
            gradient = jacobian.flatten(2) @ residuals.flatten(1).unsqueeze(-1)
            squares = residuals.square().sum(-1)
            found.append([t.div_(batch) for t in (gram(jacobian), gradient, squares)])
        if len(found) == 1:
            return tuple(found[0])
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    def _adapt(self, todo: Tensor, good: Tensor, gain: Tensor) -> None:
        """Less damping for the copies whose step was good, more for the others."""
        lambdas, growth = self.lambdas[todo], self.growth[todo]
        if self.rule == "factor":
            changed = torch.where(good, lambdas / 10, lambdas * 10)
        else:
            calm = (1 - (2 * gain - 1) ** 3).clamp(0.1, 2)
            changed = torch.where(good, lambdas * calm, lambdas * growth)
            self.growth[todo] = torch.where(good, 2.0, growth * 2)
        self.lambdas[todo] = changed.clamp(self.smallest, self.largest)

    def state(self) -> dict[str, Tensor]:
        """Everything that a later step depends on."""
        return {"theta": self.theta, "lambdas": self.lambdas, "growth": self.growth}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from an earlier :meth:`state`."""
        self.theta, self.lambdas, self.growth = (
            state[name].clone() for name in ("theta", "lambdas", "growth")
        )
