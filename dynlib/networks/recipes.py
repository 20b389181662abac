"""What is trained, how, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dynlib.dynamics.pairs import constant
from dynlib.networks.ffnn import FFNN
from dynlib.networks.stnn import StNN

#: Inputs (M, c) and targets (M, d).
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Architecture:
    """What is trained: a structured network of some branches, or a plain one of some widths.

    Parameters
    ----------
    branches : int
        Number of branches of an :class:`dynlib.networks.stnn.StNN`; 0 for a plain network.
    widths : tuple of int
        Widths of an :class:`dynlib.networks.ffnn.FFNN`, where `branches` is 0.
    n : int
        Length of the structured network's vectors; states are padded with zeros.
    released : bool
        The permutation of the authors' code.

    Raises
    ------
    ValueError
        If both `branches` and `widths` are given, or neither.
    """

    branches: int = 0
    widths: tuple[int, ...] = ()
    n: int = 4
    released: bool = False

    def __post_init__(self) -> None:
        if bool(self.branches) == bool(self.widths):
            raise ValueError(
                f"an architecture has branches (structured) or widths (plain), one of them, got "
                f"branches={self.branches}, widths={self.widths}"
            )

    def build(self, dtype: torch.dtype = torch.float64) -> StNN | FFNN:
        """The network, with weights that are to be drawn."""
        if self.branches:
            return StNN(self.n, self.branches, released=self.released, dtype=dtype)
        return FFNN(self.widths, dtype=dtype)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained by Levenberg–Marquardt steps on mini-batches.

    Parameters
    ----------
    steps : int
        Steps in all, those of the starts apart.
    batch_size : int
        Pairs a step, a divisor of the number of pairs: each is met once before any is met again.
    printed : bool
        The paper's setting: raw units, the authors' initial weights, float32, all outputs
        (the padded one included), one start, damping by factors of ten. Otherwise:
        standardised units, initial weights that leave no ReLU dead, float64, several starts,
        damping by the gain ratio.
    starts, start_steps : int
        How many initial weights are tried a seed, for how many steps; the one with the
        lowest error on the training pairs goes on.
    marks : int
        Rows of the history.

    Raises
    ------
    ValueError
        If a number is too small.
    """

    steps: int
    batch_size: int
    printed: bool = False
    starts: int = 1
    start_steps: int = 0
    marks: int = 100

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch_size": 1, "starts": 1, "start_steps": 0, "marks": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, got {getattr(self, name)}")

    def check(self, pairs: Pairs) -> None:
        """Raise ValueError for pairs that this recipe cannot learn from."""
        inputs, targets = pairs
        if inputs.ndim != 2 or targets.ndim != 2 or len(targets) != len(inputs):
            raise ValueError(
                f"pairs must be arrays (M, c) and (M, d), got {inputs.shape} and {targets.shape}"
            )
        if not len(inputs) or len(inputs) % self.batch_size:
            raise ValueError(
                f"batch_size={self.batch_size} does not divide the {len(inputs)} pairs (the rest "
                "would never be learnt from); choose a divisor, or drop pairs"
            )
        for name, states in (("inputs", inputs), ("targets", targets)):
            same = constant(states)
            if same and not self.printed:
                raise ValueError(
                    f"coordinates {same} of the {name} are constant and have no scale; leave "
                    "them out"
                )

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the training."""
        return torch.float32 if self.printed else torch.float64


@dataclass(frozen=True)
class Trained:
    """A training that has come to its end: the networks on its way, and their errors.

    Parameters
    ----------
    architecture : Architecture
        What was trained.
    units : tuple of two (mean, scale)
        Units of inputs and of targets in which it was trained.
    weights : torch.Tensor
        Weights at every mark, in those units, shape (marks, P).
    history : numpy.ndarray
        Rows (step, mean training error since the mark before, validation error of every
        coordinate), mean squares in raw units; shape (marks, 2 + d).
    seconds : numpy.ndarray
        Wall time of this seed's share of the training until every mark, (marks,).
    dead : int
        Units of the third layer that are zero on all training pairs looked at.
    solves : float
        Factorisations a step.
    """

    architecture: Architecture
    units: tuple[tuple[np.ndarray, ...], ...]
    weights: torch.Tensor
    history: np.ndarray
    seconds: np.ndarray
    dead: int
    solves: float

    def at(self, mark: int) -> StNN | FFNN:
        """The network at a mark, for raw units, float64."""
        model = self.architecture.build()
        torch.nn.utils.vector_to_parameters(
            self.weights[mark].to(torch.float64, copy=True), model.parameters()
        )
        inner, outer = (tuple(map(torch.as_tensor, unit)) for unit in self.units)
        model.rescale(*inner, *outer)
        return model

    @property
    def model(self) -> StNN | FFNN:
        """The finished network, made anew for raw units in float64, so that none is changed."""
        return self.at(-1)
