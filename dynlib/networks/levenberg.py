r"""Levenberg–Marquardt for small networks, many copies at once, without loops over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from dynlib.dynamics import checks

#: Numbers in the derivatives that are formed at once, a few megabytes, a processor's cache.
CACHED = 2**19


@runtime_checkable
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

    It has ``n`` inputs, ``n_out`` outputs, and ``layers``, which takes weights by name and columns,
    and ends with the outputs.
    """

    n: int
    n_out: int

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Weights by name, from flat vectors (copies, P): a weight's own shape behind copies."""
        sizes = [weight.numel() for weight in self.parameters()]
        checks.check_tensor("theta", theta, (..., sum(sizes)), dtype=next(self.parameters()).dtype)
        parts = theta.split(sizes, dim=-1)
        named = zip(self.named_parameters(), parts, strict=True)
        return {name: part.unflatten(-1, weight.shape) for (name, weight), part in named}

    def evaluate(self, theta: Tensor, columns: Tensor) -> Tensor:
        """Outputs (copies, n, batch) of copies with weights (copies, P), a column a state."""
        w = self.split(theta)
        self._check_columns(theta, columns)
        return self.layers(w, columns)[-1]

    def _check_columns(self, theta: Tensor, columns: Tensor) -> None:
        checks.check_tensor(
            "columns", columns, (len(theta), self.n, "batch"), dtype=theta.dtype,
            device=theta.device,
        )  # fmt: skip

    def _check_derivatives(
        self, theta: Tensor, columns: Tensor, out: Tensor, fresh: bool, outputs: str | int = "m"
    ) -> None:
        self._check_columns(theta, columns)
        axes = (*theta.shape, outputs, columns.shape[-1])
        checks.check_tensor("out", out, axes, dtype=theta.dtype, device=theta.device)
        checks.check_count("the outputs of out", out.shape[2], most=self.n_out)
        checks.check_flag("fresh", fresh)

    def _check_units(self, *units: Tensor, padded: bool) -> None:
        dtype, sizes = next(self.parameters()).dtype, (self.n, self.n_out)
        for of, size, mean, scale in zip(("", "out_"), sizes, units[::2], units[1::2], strict=True):
            axes = ("d" if padded else size,)
            checks.check_tensor(f"{of}mean", mean, axes, dtype=dtype, empty=False)
            checks.check_count(f"the length of {of}mean", len(mean), most=size)
            checks.check_tensor(f"{of}scale", scale, (len(mean),), dtype=dtype)


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
        The network, e.g. :class:`dynlib.networks.stnn.StNN`.
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

    Examples
    --------
    >>> from dynlib.networks.ffnn import FFNN
    >>> model = FFNN((1, 4, 4, 4, 1), dtype=torch.float64)
    >>> theta = torch.nn.utils.parameters_to_vector(model.parameters())[None]
    >>> lm = LevenbergMarquardt(model, theta)
    >>> x = torch.linspace(0, 1, 20, dtype=torch.float64)[None, None]
    >>> for _ in range(40):
    ...     loss = lm.step(x, torch.sin(3 * x))
    >>> bool(loss < 1e-6)
    True

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
        checks.check_is("model", self.model, Stacked, "a network of many copies", "an StNN is one")
        checks.check_tensor("theta", self.theta, ("copies", "P"), empty=False)
        checks.check_choice("rule", self.rule, ("gain", "factor"))
        checks.check_count("attempts", self.attempts)
        for name in ("damping", "smallest", "largest"):
            checks.check_number(name, getattr(self, name), above=0)
        self.theta = self.theta.detach().clone()
        self.lambdas = self.theta.new_full((len(self.theta),), self.damping)
        self.growth = torch.full_like(self.lambdas, 2.0)
        self.solves = 0  # factorisations so far, over all copies
        self._out: Any = None  # a tensor from the first step on

    @torch.no_grad()
    def step(self, columns: Tensor, targets: Tensor) -> Tensor:
        """One step of every copy on its own batch, inputs (copies, n, batch).

        Targets are (copies, m, batch), m at most the number of the model's outputs. Returned is the
        mean squared error of each output on the copy's batch before the step, (copies, m).
        """
        self._check_batch(columns, targets)
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

    def _check_batch(self, columns: Tensor, targets: Tensor) -> None:
        of_theta: dict[str, Any] = {"dtype": self.theta.dtype, "device": self.theta.device}
        copies = len(self.theta)
        checks.check_tensor("columns", columns, (copies, "n", "batch"), empty=False, **of_theta)
        axes = (copies, "m", columns.shape[-1])
        checks.check_tensor("targets", targets, axes, empty=False, **of_theta)

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
