r"""Training one architecture from several seeds, with several starts and with checkpoints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from dynlib.networks.levenberg import LevenbergMarquardt
from dynlib.networks.recipes import Architecture, Pairs, Recipe, Trained
from dynlib.training import checkpoint
from dynlib.training.device import resolve_device
from dynlib.training.progress import Meter


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
    architecture : Architecture
        The network.
    recipe : Recipe
        The training.
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
    checkpoint_seconds : float
        Seconds between two checkpoints.
    label : str
        What the lines of progress call this training.

    Returns
    -------
    list of dynlib.networks.recipes.Trained
        One a seed.

    Raises
    ------
    ValueError
        If the batch size does not divide the number of pairs, or the pairs do not match, or a
        coordinate of the inputs is constant, or the folder holds another training.
    """
    recipe.check(pairs)
    shapes = [np.shape(part) for part in validation]
    if [s[1:] for s in shapes] != [p.shape[1:] for p in pairs] or shapes[0][0] != shapes[1][0]:
        raise ValueError(
            f"validation must be pairs as those to learn from, (M, {pairs[0].shape[1]}) and "
            f"(M, {pairs[1].shape[1]}), got {shapes}; dynlib.dynamics.pairs.pairs makes them"
        )
    with threadpool_limits(torch.get_num_threads()):
        return _Training(
            architecture, recipe, pairs, list(seeds), validation, resolve_device(device)
        ).run(folder, checkpoint_seconds, label)


class _Training:
    """The state of one call of :func:`train`: copies of the weights and where they stand."""

    def __init__(self, architecture, recipe, pairs, seeds, validation, device) -> None:
        self.device = device
        self.architecture, self.recipe, self.seeds = architecture, recipe, seeds
        self.model = architecture.build(recipe.dtype)
        self.units = [
            (np.zeros(states.shape[1]), np.ones(states.shape[1]))
            if recipe.printed
            else (states.mean(0), states.std(0))
            for states in pairs
        ]  # mean and scale of inputs and of targets
        self.d = pairs[1].shape[1]
        self.outputs = self.model.n_out if recipe.printed else self.d  # a padded one is exact
        self.learn, self.held_out = self._columns(pairs), self._columns(validation)
        self.scale = torch.as_tensor(self.units[1][1], device=self.device)
        self.what = repr((architecture, recipe, seeds))

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
        if self.recipe.printed:
            self.model.draw(generator)
        else:
            self.model.draw_alive(generator, used=self.d)
        weights = [weight.detach().flatten() for weight in self.model.parameters()]
        return torch.cat(weights).to(self.device, copy=True)

    def _batches(self, seeds: Sequence[int], stage: int, first: int) -> Iterator[Tensor]:
        """Indices (copies, batch) of every step from `first` on: a new shuffle a pass."""
        held: dict[int, tuple[list[int], np.ndarray]]
        size, held = self.recipe.batch_size, {}
        each = self.learn[0].shape[1] // size
        step = first
        while True:
            chosen = []
            for seed in seeds:
                key = [seed, stage, step // each]
                if held.get(seed, (None,))[0] != key:
                    held[seed] = key, np.random.default_rng(key).permutation(each * size)
                chosen.append(held[seed][1][step % each * size :][:size])
            yield torch.as_tensor(np.stack(chosen), device=self.device)
            step += 1

    def _step(self, optimizer: LevenbergMarquardt, chosen: Tensor) -> Tensor:
        """One step of every copy on the pairs chosen for it, indices (copies, batch)."""
        return optimizer.step(*(c[:, chosen].transpose(0, 1).contiguous() for c in self.learn))

    def _optimizer(self, theta: Tensor) -> LevenbergMarquardt:
        rule = "factor" if self.recipe.printed else "gain"
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
            batches = self._batches([seed] * recipe.starts, 0, 0)
            for _, batch in zip(range(recipe.start_steps), batches, strict=False):
                self._step(optimizer, batch)
            relative = (self._errors(optimizer.theta, few) / self.scale**2).sum(-1)
            error = torch.nan_to_num(relative, nan=torch.inf)
            chosen.append(optimizer.theta[error.argmin()])
        return torch.stack(chosen)

    def _same(self, state: dict, folder: Path) -> None:
        if state["what"] != self.what:
            raise ValueError(
                f"{folder} holds the training {state['what']}, not {self.what}; give another folder"
            )

    @torch.no_grad()
    def run(self, folder, checkpoint_seconds, label) -> list[Trained]:
        if folder is not None and (folder / "model").exists():
            try:
                tensors, state = checkpoint.load(folder / "model")
                self._same(state, folder)
                return self._finished(tensors, state)
            except checkpoint.DamagedCheckpoint:
                shutil.rmtree(folder / "model", ignore_errors=True)
        start = saved = time.monotonic()
        recipe, history, path, step, seconds, solves = self.recipe, [], [], 0, 0.0, 0
        resumed = checkpoint.latest_step(folder / "checkpoints") if folder is not None else None
        if resumed is not None:
            tensors, state = resumed
            self._same(state, folder)
            optimizer = self._optimizer(tensors["theta"].to(self.device))
            optimizer.restore({name: tensors[name].to(self.device) for name in optimizer.state()})
            step, seconds, history = state["step"], state["seconds"], state["history"]
            solves, total, counted = state["solves"], tensors["total"], state["counted"]
            path = list(tensors["path"])
        else:
            first = [self._draw(seed, 0) for seed in self.seeds]
            first = self._best_starts() if recipe.starts > 1 else torch.stack(first)
            optimizer = self._optimizer(first)
            total, counted = torch.zeros(len(self.seeds), self.d, dtype=torch.float64), 0
        total = total.to(self.device)
        mark = max(1, recipe.steps // recipe.marks)
        meter = Meter(label, recipe.steps, done=step)
        for batch in self._batches(self.seeds, 1, step):
            if step == recipe.steps:
                break
            loss = self._step(optimizer, batch)
            step, total, counted = step + 1, total + loss[:, : self.d].double(), counted + 1
            if step % mark == 0 or step == recipe.steps:
                errors = self._errors(optimizer.theta, self.held_out)
                mean = (total / counted * self.scale**2).mean(-1)
                spent = seconds + time.monotonic() - start
                history.append([step, spent, mean.tolist(), errors.tolist()])
                path.append(optimizer.theta.cpu().clone())
                total, counted = torch.zeros_like(total), 0
                meter.update(step, f"validation {errors.mean(-1).median():.2e}")
            now = time.monotonic()
            if folder is not None and step < recipe.steps and now - saved > checkpoint_seconds:
                state = {
                    "what": self.what, "history": history, "counted": counted,
                    "seconds": seconds + now - start, "solves": solves + optimizer.solves,
                }  # fmt: skip
                empty = torch.zeros(0, *optimizer.theta.shape)
                so_far = torch.stack(path) if path else empty
                tensors = optimizer.state() | {"total": total, "path": so_far}
                checkpoint.save_step(folder / "checkpoints", step, tensors, state)
                saved = time.monotonic()
        few = self.learn[0][:, :: self._stride()]
        hidden = self.model.layers(
            self.model.split(optimizer.theta), few.expand(len(self.seeds), *few.shape)
        )[-2]
        dead = (hidden <= 0).all(-1).flatten(1).sum(1)
        state = {
            "what": self.what,
            "history": history,
            "dead": dead.tolist(),
            "solves": (solves + optimizer.solves) / recipe.steps / len(self.seeds),
        }
        tensors = {"path": torch.stack(path)}
        if folder is not None:
            checkpoint.save(folder / "model", tensors, state)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return self._finished(tensors, state)

    def _finished(self, tensors: dict[str, Tensor], state: dict) -> list[Trained]:
        """One record a seed."""
        share = 1 / len(self.seeds)
        return [
            Trained(
                self.architecture,
                tuple(self.units),
                tensors["path"][:, i],
                np.array([[step, loss[i], *error[i]] for step, _, loss, error in state["history"]]),
                np.array([row[1] * share for row in state["history"]]),
                state["dead"][i],
                state["solves"],
            )
            for i in range(len(self.seeds))
        ]
