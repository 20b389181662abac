r"""Training of LEADS: as published, and by a curriculum of windows that grow."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynlib.dynamics import checks
from dynlib.networks.leads import LEADS, PENALTY, penalty
from dynlib.training import artefacts, loop
from dynlib.training.device import resolve_device


@dataclass(frozen=True)
class LeadsRecipe:
    r"""How LEADS is trained, by Adam.

    Parameters
    ----------
    steps : tuple of int
        Steps of each phase.
    windows : tuple of int
        Length of the rollouts of each phase, in sampling times. All windows of that length of
        all trajectories are learnt from at once, each from its true first state. 0 is the
        published way: one trajectory of every environment a step, rolled out in full, but
        restarted from the truth at each time with probability :math:`0.99^{i/10}` at step i.
    learning_rate : float
        Of Adam; the published 1e-3 by default.
    decay : bool
        Let it fall to zero along a half cosine over all phases.
    rounds : int
        Power iterations a step for the spectral norms of the penalty, five as published.
    marks : int
        Rows of the history.

    """

    steps: tuple[int, ...]
    windows: tuple[int, ...]
    learning_rate: float = 1e-3
    decay: bool = False
    rounds: int = 5
    marks: int = 40

    def __post_init__(self) -> None:
        checks.check_counts("steps", self.steps, least=0, most=checks.MOST)
        checks.check_counts("windows", self.windows, least=0, most=checks.MOST)
        if len(self.steps) != len(self.windows) or not sum(self.steps):
            raise ValueError(
                "steps must be numbers of steps, one for each of the windows and not all 0, got "
                f"steps={self.steps}, windows={self.windows}; give every phase both"
            )
        checks.check_number("learning_rate", self.learning_rate, above=0)
        checks.check_flag("decay", self.decay)
        checks.check_count("rounds", self.rounds)
        checks.check_count("marks", self.marks)


@dataclass(frozen=True)
class TrainedLeads:
    """A finished training of LEADS.

    Parameters
    ----------
    environments, width, dim : int
        Numbers of environments, of units of a hidden layer, and of coordinates.
    weights : torch.Tensor
        Weights at every mark, float32, shape (marks, P).
    steps : numpy.ndarray
        Steps of training until every mark, (marks,).
    seconds : numpy.ndarray
        Processor time of training until every mark, (marks,): who shares the machine does not
        change it.
    """

    environments: int
    width: int
    dim: int
    weights: Tensor
    steps: np.ndarray
    seconds: np.ndarray

    def at(self, mark: int) -> LEADS:
        """The model at a mark."""
        checks.check_count("mark", mark, least=-len(self.weights), most=len(self.weights) - 1)
        model = LEADS(self.environments, self.width, self.dim)
        torch.nn.utils.vector_to_parameters(self.weights[mark].clone(), model.parameters())
        return model

    @property
    def model(self) -> LEADS:
        """A new copy of the finished model."""
        return self.at(-1)


def rollout(model: LEADS, starts: np.ndarray, steps: int, dt: float) -> np.ndarray:
    """States after 1, 2, … steps of `dt`, (E, n, steps, d), from states (E, n, d).

    The step may be any for which the fourth-order integrator is accurate.
    """
    checks.check_is("model", model, LEADS, "a LEADS", "others have dynlib.networks.scores.rollout")
    checks.check_array("starts", starts, (model.environments, "n", model.dim))
    with torch.no_grad():
        states = torch.tensor(np.array(starts, dtype=np.float64), dtype=model.shared_beta.dtype)
        return model(states, steps, dt).numpy().astype(np.float64)


def check_training(recipe: Any, trajectories: Any, dt: Any, seed: Any, shared: Any) -> None:
    """Raise for settings with which no training is possible."""
    checks.check_is(
        "recipe", recipe, LeadsRecipe, "a LeadsRecipe", "LeadsRecipe((100,), (1,)) is one"
    )
    checks.check_array("trajectories", trajectories, ("E", "n", "T", "d"), scale=True)
    checks.check_number("dt", dt, above=0)
    checks.check_seed("seed", seed)
    _, _, times, dim = np.shape(trajectories)
    if times < 2 or max(recipe.windows) >= times:
        raise ValueError(
            f"trajectories must have at least {max(1, *recipe.windows) + 1} times for windows="
            f"{recipe.windows}, got {times}; give longer ones, or shorter windows"
        )
    if shared is not None:
        checks.check_is("shared", shared, LEADS, "a LEADS", "train_leads(...).model is one")
        if shared.dim != dim:
            raise ValueError(
                f"trajectories must have the {shared.dim} coordinates of the shared field, got "
                f"{dim}; leave `shared` out"
            )


def train_leads(
    recipe: LeadsRecipe,
    trajectories: np.ndarray,
    dt: float,
    seed: int,
    *,
    shared: LEADS | None = None,
    device: str = "cpu",
    checkpoint_seconds: float = 15.0,
    label: str = "training LEADS",
) -> TrainedLeads:
    r"""Minimise the mean squared error of rollouts plus the penalty of LEADS, kept as an artefact.

    Parameters
    ----------
    recipe : LeadsRecipe
        How.
    trajectories : numpy.ndarray
        Shape (E, n, T, d): n trajectories of T states in each of E environments.
    dt : float
        Time between two states.
    seed : int
        Draws the initial weights (and what the published training draws).
    shared : dynlib.networks.leads.LEADS, optional
        A model whose shared field is taken over and not trained: only the new environments'
        own fields are.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"auto"``.
    checkpoint_seconds, label
        As for :func:`dynlib.training.loop.train`.
    """
    check_training(recipe, trajectories, dt, seed, shared)
    trajectories, seed = np.array(trajectories, dtype=np.float64, order="C"), int(seed)
    device = resolve_device(device)
    frozen = (
        []
        if shared is None
        else [w.detach() for n, w in shared.named_parameters() if n.startswith("shared")]
    )
    parameters = {
        "data": artefacts.digest(trajectories, *(weight.cpu().numpy() for weight in frozen)),
        "recipe": dataclasses.asdict(recipe),
        "dt": dt,
        "seed": seed,
        "device": device,
    }
    training = _Training(recipe, trajectories, dt, seed, shared, device)

    def compute(checkpoints: Path) -> artefacts.Computed:
        history = loop.train(
            training, sum(recipe.steps), marks=loop.evenly(sum(recipe.steps), recipe.marks),
            folder=checkpoints, label=label, checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
        return {"path": training.path}, {"history": history}

    tensors, state = artefacts.kept("leads", parameters, [f"{__name__}.train_leads"], compute)
    history = np.array(state["history"])
    size = (len(trajectories), training.model.width, training.model.dim)
    return TrainedLeads(*size, tensors["path"], history[:, 0], history[:, 3])


class _Training:
    """What :func:`dynlib.training.loop.train` trains: LEADS by Adam, on whole trajectories."""

    over = False

    def __init__(self, recipe, trajectories, dt, seed, shared, device) -> None:
        self.recipe, self.dt, self.seed = recipe, dt, seed
        environments, *_, dim = trajectories.shape
        generator = torch.Generator().manual_seed(seed)
        width = 64 if shared is None else shared.width
        self.model = LEADS(environments, width, dim, generator=generator)
        if shared is not None:
            own = shared.state_dict()
            self.model.load_state_dict(
                {k: v for k, v in own.items() if k.startswith("shared")}, strict=False
            )
        self.model.to(device)
        for name, weight in self.model.named_parameters():
            weight.requires_grad_(shared is None or name.startswith("own"))
        self.trajectories = torch.as_tensor(trajectories, dtype=torch.float32, device=device)
        self._held: dict[int, tuple[Tensor, Tensor]] = {}
        learnt = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(learnt, recipe.learning_rate, fused=True)
        self.vectors = [
            torch.randn(
                environments, self.model.get_parameter(f"own_weight_{layer}").shape[1], 1,
                generator=generator,
            ).to(device)
            for layer in range(4)
        ]  # fmt: skip
        self.path = torch.zeros(0)  # weights at the marks, (marks, P)
        self.seconds = 0.0  # processor time of the steps

    def _phase(self, step: int) -> int:
        """Window of the phase that a step belongs to."""
        for steps, window in zip(self.recipe.steps, self.recipe.windows, strict=True):
            if step < steps:
                return window
            step -= steps
        raise IndexError(step)

    def _windows(self, length: int) -> tuple[Tensor, Tensor]:
        """First states (E, B, d) and what follows (E, B, length, d) of all windows."""
        if length not in self._held:
            every = self.trajectories.unfold(2, length + 1, 1).flatten(1, 2).mT  # (E, B, time, d)
            self._held[length] = every[:, :, 0].contiguous(), every[:, :, 1:].contiguous()
        return self._held[length]

    def _published(self, step: int) -> tuple[Tensor, Tensor]:
        """Squared error of one trajectory of every environment, with scheduled sampling.

        And the points of these trajectories (E, B, d).
        """
        rng = np.random.default_rng([self.seed, step])
        one = self.trajectories[:, rng.integers(self.trajectories.shape[1])][:, None]
        times = one.shape[2]
        restart = rng.random(times - 2) < 0.99 ** (1 + step // 10)
        bounds = [0, *(1 + np.flatnonzero(restart)), times - 1]
        # The stretches between restarts are independent: they are computed side by side.
        first, lengths = np.array(bounds[:-1]), np.diff(bounds)
        followed = self.model(one[:, 0, first], int(lengths.max()), self.dt)
        total = 0.0
        for k, (start, length) in enumerate(zip(first, lengths, strict=True)):
            truth = one[:, 0, start + 1 : start + length + 1]
            total = total + (followed[:, k, :length] - truth).square().sum()
        return total / one.numel(), one.flatten(1, 2)  # the first state counts, with no error

    def _loss(self, step: int) -> Tensor:
        window = self._phase(step)
        if not window:
            error, at = self._published(step)
        else:
            first, truth = self._windows(window)
            error = (self.model(first, window, self.dt) - truth).square().mean()
            at = self.trajectories.flatten(1, 2)
        return error + PENALTY * penalty(self.model, at, self.vectors, self.recipe.rounds)

    def step(self, number: int) -> Tensor:
        recipe, start = self.recipe, time.process_time()
        if recipe.decay:
            rate = recipe.learning_rate * 0.5 * (1 + np.cos(np.pi * number / sum(recipe.steps)))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.optimizer.zero_grad()
        loss = self._loss(number)
        loss.backward()
        self.optimizer.step()
        self.seconds += time.process_time() - start
        return loss.detach()

    def mark(self, loss: Tensor, seconds: float) -> list[float]:
        """Mean loss, and the processor time so far."""
        weights = torch.cat([w.detach().flatten() for w in self.model.parameters()])
        self.path = torch.cat([self.path, weights.cpu()[None]])
        return [loss.item(), self.seconds]

    def state(self) -> dict[str, Any]:
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "vectors": self.vectors,
            "path": self.path,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.vectors = [vector.to(self.trajectories.device) for vector in state["vectors"]]
        self.path, self.seconds = state["path"], state["seconds"]
