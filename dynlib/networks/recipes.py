"""What is trained, how, and the result."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dynlib.dynamics.checks import check_array, check_choice, check_count, check_flag, check_is
from dynlib.dynamics.pairs import constant
from dynlib.networks.ffnn import FFNN, check_widths
from dynlib.networks.stnn import StNN, check_size

#: Inputs (M, c) and targets (M, d).
Pairs = tuple[np.ndarray, np.ndarray]

#: Parts of a setting that a recipe can take from the other one.
PARTS = ("units", "weights", "precision", "damping")


def check_network(name: str, model: Any) -> None:
    """Raise TypeError for what is not a network of this room."""
    check_is(name, model, (StNN, FFNN), "an StNN or an FFNN", "a Trained has one, as its model")


def check_pairs(pairs: Any, name: str = "pairs", c: int | str = "c", d: int | str = "d") -> None:
    """Raise for what is not inputs (M, c) and as many targets (M, d)."""
    maker = "dynlib.dynamics.pairs.pairs makes them"
    if not isinstance(pairs, tuple | list) or len(pairs) != 2:
        raise TypeError(f"{name} must be inputs and targets, got {reprlib.repr(pairs)}; {maker}")
    check_array(f"inputs of {name}", pairs[0], ("M", c), scale=True, remedy=maker)
    check_array(f"targets of {name}", pairs[1], (len(pairs[0]), d), scale=True, remedy=maker)


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

    """

    branches: int = 0
    widths: tuple[int, ...] = ()
    n: int = 4
    released: bool = False

    def __post_init__(self) -> None:
        check_count("branches", self.branches, least=0)
        check_flag("released", self.released)
        check_is("widths", self.widths, tuple, "a tuple of five widths", "write (3, 8, 8, 8, 3)")
        if bool(self.branches) == bool(self.widths):
            raise ValueError(
                "an architecture must have branches (structured) or widths (plain), got "
                f"branches={self.branches}, widths={self.widths}; give one of them"
            )
        check_size(self.n, self.branches or 1)
        check_widths(self.widths or (1,) * 5)

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
    swapped : tuple of str
        Parts of `PARTS` that come from the other setting than `printed` says.
    """

    steps: int
    batch_size: int
    printed: bool = False
    starts: int = 1
    start_steps: int = 0
    marks: int = 100
    swapped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch_size": 1, "starts": 1, "start_steps": 0, "marks": 1}
        for name, low in least.items():
            check_count(name, getattr(self, name), least=low)
        check_flag("printed", self.printed)
        check_is("swapped", self.swapped, tuple, "a tuple of parts", "write ('units',)")
        for part in self.swapped:
            check_choice("each part of swapped", part, PARTS)

    def as_printed(self, part: str) -> bool:
        """Whether a part of the setting is the printed one."""
        check_choice("part", part, PARTS)
        return self.printed != (part in self.swapped)

    def check(self, pairs: Pairs) -> None:
        """Raise for pairs that this recipe cannot learn from."""
        check_pairs(pairs)
        if len(pairs[0]) % self.batch_size:
            raise ValueError(
                f"batch_size must be a divisor of the {len(pairs[0])} pairs (the rest would never "
                f"be learnt from), got {self.batch_size}; choose another, or drop pairs"
            )
        for name, states in zip(("inputs", "targets"), pairs, strict=True):
            same = constant(states)
            if same and not self.as_printed("units"):
                raise ValueError(
                    f"coordinates of the {name} must vary, to have a scale, got constant {same}; "
                    "leave them out"
                )

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the training."""
        return torch.float32 if self.as_printed("precision") else torch.float64


@dataclass(frozen=True)
class Trained:
    """A finished training: the networks along the way, and their errors.

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
        check_count("mark", mark, least=-len(self.weights), most=len(self.weights) - 1)
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
