r"""Training one architecture from several seeds, with several starts and with checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from dynlib.dynamics.checks import SEEDS, check_counts, check_is
from dynlib.networks.levenberg import LevenbergMarquardt
from dynlib.networks.recipes import Architecture, Pairs, Recipe, Trained, check_pairs
from dynlib.training import checkpoint, loop
from dynlib.training.device import resolve_device


def check_wanted(
    architecture: Architecture, recipe: Recipe, seeds: Sequence[int], pairs: Pairs,
    validation: Pairs,
) -> None:  # fmt: skip
    """Raise for settings with which no training is possible."""
    check_is(
        "architecture", architecture, Architecture, "an Architecture", "Architecture(6) is one"
    )
    check_is("recipe", recipe, Recipe, "a Recipe", "Recipe(100, 20) is one")
    check_counts("seeds", seeds, least=0, most=SEEDS // 1000 - 1)
    recipe.check(pairs)
    c, d = (np.shape(part)[1] for part in pairs)
    check_pairs(validation, "validation", c, d)
    widths = architecture.widths or (architecture.n,)
    if c > widths[0] or d > widths[-1] or (architecture.widths and d < widths[-1]):
        raise ValueError(
            f"pairs must have at most {widths[0]} inputs and {widths[-1]} targets, as many as a "
            f"plain network has, got {c} and {d}; change the architecture"
        )


def train(
    architecture: Architecture,
    recipe: Recipe,
    pairs: Pairs,
    seeds: Sequence[int],
    *,
    validation: Pairs,
    folder: Path | None = None,
    device: str = "cpu",
    checkpoint_seconds: float = 15.0,
    label: str = "training",
) -> list[Trained]:
    r"""Minimise the mean squared error of the next state, from several seeds side by side.

    .. math:: \min_\theta \frac1{|\mathcal B|} \sum_{(x, x') \in \mathcal B}
              \lVert f_\theta(x) - x' \rVert_2^2

    Parameters
    ----------
    architecture, recipe
        What is trained, and how.
    pairs : pair of numpy.ndarray
        Inputs (M, c) and what follows them, (M, d), in raw units.
    seeds : sequence of int
        Each draws its own initial weights and order of batches. Seeds that share one call
        share its time; results do not depend on who else is trained.
    validation : pair of numpy.ndarray
        Pairs that are looked at and never learnt from.
    folder : pathlib.Path, optional
        Where the checkpoints and the finished networks live. What is finished is loaded, what
        was interrupted goes on. One folder for one training: the pairs are not compared, see
        :func:`dynlib.networks.ensembles.train_all`.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"auto"``. Networks of this size are as fast on a CPU.
    checkpoint_seconds, label
        As for :func:`dynlib.training.loop.train`.

    Returns
    -------
    list of dynlib.networks.recipes.Trained
        One a seed.

    Raises
    ------
    ValueError
        If the folder holds another training.
    """
    check_wanted(architecture, recipe, seeds, pairs, validation)
    training = _Training(
        architecture, recipe, pairs, list(map(int, seeds)), validation, resolve_device(device)
    )

    def compute(checkpoints: Path | None) -> checkpoint.Whole:
        history = loop.train(
            training, recipe.steps, marks=loop.evenly(recipe.steps, recipe.marks),
            folder=checkpoints, label=label, checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
        return {"path": training.path}, training.outcome() | {"history": history}

    with threadpool_limits(torch.get_num_threads()), torch.no_grad():
        tensors, state = checkpoint.finished(folder, compute)
    training.check_same(state)
    share = 1 / len(training.seeds)
    return [
        Trained(
            architecture,
            tuple(training.units),
            tensors["path"][:, i],
            np.array([[step, loss[i], *error[i]] for step, _, loss, error in state["history"]]),
            np.array([row[1] * share for row in state["history"]]),
            state["dead"][i],
            state["solves"],
        )
        for i in range(len(training.seeds))
    ]


class _Training:
    """What :func:`dynlib.training.loop.train` trains: a copy of the weights for every seed."""

    over = False

    def __init__(self, architecture, recipe, pairs, seeds, validation, device) -> None:
        self.device = device
        pairs, validation = (
            [np.asarray(part, dtype=np.float64) for part in both] for both in (pairs, validation)
        )
        self.architecture, self.recipe, self.seeds = architecture, recipe, seeds
        self.model = architecture.build(recipe.dtype)
        self.units = [
            (np.zeros(states.shape[1]), np.ones(states.shape[1]))
            if recipe.as_printed("units")
            else (states.mean(0), states.std(0))
            for states in pairs
        ]  # mean and scale of inputs and of targets
        self.d = pairs[1].shape[1]
        self.outputs = self.model.n_out if recipe.printed else self.d  # a padded one is exact
        self.learn, self.held_out = self._columns(pairs), self._columns(validation)
        self.scale = torch.as_tensor(self.units[1][1], device=self.device)
        self.what = repr((architecture, recipe, seeds))
        self.path = torch.zeros(0, dtype=recipe.dtype)  # weights at the marks, (marks, copies, P)
        self.solves = 0  # of the optimisers before the present one
        self._shuffled: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}

    def _columns(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Inputs and targets in the units of the training, padded with zeros, a column each."""
        columns = []
        for states, (mean, scale), width in zip(
            pairs, self.units, (self.model.n, self.outputs), strict=True
        ):
            scaled = ((states - mean) / scale).T
            padded = np.pad(scaled, ((0, width - len(scaled)), (0, 0)))
            columns.append(torch.as_tensor(padded, dtype=self.recipe.dtype, device=self.device))
        return tuple(columns)

    def _draw(self, seed: int, start: int) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * seed + start)
        if self.recipe.as_printed("weights"):
            self.model.draw(generator)
        else:
            self.model.draw_alive(generator, used=self.d)
        weights = [weight.detach().flatten() for weight in self.model.parameters()]
        return torch.cat(weights).to(self.device, copy=True)

    def _batch(self, seeds: Sequence[int], stage: int, step: int) -> Tensor:
        """Indices (copies, batch) of the pairs of a step: a new shuffle a pass."""
        size, chosen = self.recipe.batch_size, []
        each = self.learn[0].shape[1] // size
        for seed in seeds:
            key = (seed, stage, step // each)
            if self._shuffled.get(seed, (None,))[0] != key:
                self._shuffled[seed] = key, np.random.default_rng(key).permutation(each * size)
            chosen.append(self._shuffled[seed][1][step % each * size :][:size])
        return torch.as_tensor(np.stack(chosen), device=self.device)

    def _step(self, optimizer: LevenbergMarquardt, chosen: Tensor) -> Tensor:
        """One step of every copy on the pairs chosen for it, indices (copies, batch)."""
        return optimizer.step(*(c[:, chosen].transpose(0, 1).contiguous() for c in self.learn))

    def _optimizer(self, theta: Tensor) -> LevenbergMarquardt:
        rule = "factor" if self.recipe.as_printed("damping") else "gain"
        return LevenbergMarquardt(self.model, theta, rule=rule)

    def _errors(self, theta: Tensor, columns: Sequence[Tensor]) -> Tensor:
        """Mean squared error of every copy and coordinate, in raw units: (copies, d)."""
        total, parts = 0, zip(*(c.split(4096, dim=1) for c in columns), strict=True)
        for inputs, targets in parts:
            outputs = self.model.evaluate(theta, inputs.expand(len(theta), *inputs.shape))
            error = outputs[:, : self.d] - targets[: self.d]
            total = total + error.double().square().sum(-1)
        return total / columns[0].shape[1] * self.scale**2

    def _stride(self) -> int:
        """Every so many training pairs make a sample of some 8000."""
        return max(1, self.learn[0].shape[1] // 8000)

    def _best_starts(self) -> Tensor:
        """The best of several initial weights of every seed, by the error on training pairs."""
        recipe, chosen = self.recipe, []
        few = [c[:, :: self._stride()] for c in self.learn]
        for seed in self.seeds:
            optimizer = self._optimizer(
                torch.stack([self._draw(seed, start) for start in range(recipe.starts)])
            )
            for step in range(recipe.start_steps):
                self._step(optimizer, self._batch([seed] * recipe.starts, 0, step))
            relative = (self._errors(optimizer.theta, few) / self.scale**2).sum(-1)
            error = torch.nan_to_num(relative, nan=torch.inf)
            chosen.append(optimizer.theta[error.argmin()])
        return torch.stack(chosen)

    @cached_property
    def optimizer(self) -> LevenbergMarquardt:
        """At the first weights of every seed, until a state is restored."""
        if self.recipe.starts > 1:
            return self._optimizer(self._best_starts())
        return self._optimizer(torch.stack([self._draw(seed, 0) for seed in self.seeds]))

    def step(self, number: int) -> Tensor:
        loss = self._step(self.optimizer, self._batch(self.seeds, 1, number))
        return loss[:, : self.d].double()

    def mark(self, loss: Tensor, seconds: float) -> list[list]:
        """Mean errors of every copy in training, and its errors of every coordinate held out."""
        self.path = torch.cat([self.path, self.optimizer.theta.cpu()[None]])
        errors = self._errors(self.optimizer.theta, self.held_out)
        return [(loss * self.scale**2).mean(-1).tolist(), errors.tolist()]

    def state(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "optimizer": self.optimizer.state(),
            "solves": self.solves + self.optimizer.solves,
            "path": self.path,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.check_same(state)
        own = {name: tensor.to(self.device) for name, tensor in state["optimizer"].items()}
        self.optimizer = self._optimizer(own["theta"])
        self.optimizer.restore(own)
        self.solves, self.path = state["solves"], state["path"]

    def check_same(self, state: dict[str, Any]) -> None:
        """Raise ValueError if this is the state of another training."""
        if state["what"] != self.what:
            raise ValueError(
                f"the training in this folder must be {self.what}, got {state['what']}; give "
                "another folder"
            )

    def outcome(self) -> dict[str, Any]:
        """What this is, its dead units, and the factorisations a step and copy."""
        few = self.learn[0][:, :: self._stride()]
        hidden = self.model.layers(
            self.model.split(self.optimizer.theta), few.expand(len(self.seeds), *few.shape)
        )[-2]
        dead = (hidden <= 0).all(-1).flatten(1).sum(1)
        solves = (self.solves + self.optimizer.solves) / self.recipe.steps / len(self.seeds)
        return {"what": self.what, "dead": dead.tolist(), "solves": solves}
