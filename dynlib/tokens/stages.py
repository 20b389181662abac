"""Stages of a training: its weights are kept there, and it may end there before its last step."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dynlib.dynamics.checks import check_array, check_count, check_counts, check_is, check_number
from dynlib.tokens.gpt import TokenGPT
from dynlib.tokens.recipes import Stage, Trained, TrainingConfig, check_config
from dynlib.tokens.windows import Trajectories, check_trajectories
from dynlib.training import checkpoint


def passes(
    trajectories: Trajectories,
    config: TrainingConfig,
    context: int,
    at: Sequence[float] = (0.5, 1, 2, 3, 5, 10, 20, 40),
) -> list[int]:
    """Steps after so many passes over the training tokens, up to the last step of a training.

    Parameters
    ----------
    trajectories : numpy.ndarray or sequence of numpy.ndarray
        Training tokens, as for :func:`dynlib.tokens.training.train`.
    config : TrainingConfig
        The training.
    context : int
        Tokens that a window predicts.
    at : sequence of float
        Numbers of passes.

    Returns
    -------
    list of int
        Ascending; the last one is ``config.steps``.

    Examples
    --------
    >>> passes(np.zeros((10, 100), dtype=int), TrainingConfig(steps=300, batch_size=4), 10)
    [12, 25, 50, 75, 125, 250, 300]
    """
    check_trajectories("trajectories", trajectories, vocabulary=None)
    check_config(config)
    check_count("context", context)
    check_array("at", at, ("passes",))
    for each in at:
        check_number("each of at", each, above=0)
    a_pass = sum(map(len, trajectories)) / (config.batch_size * context)
    steps = {max(1, round(each * a_pass)) for each in at}
    return [*sorted(step for step in steps if step < config.steps), config.steps]


def at_stage(trained: Trained, stage: Stage) -> TokenGPT:
    """The model as it was at a stage, on the device of the trained one."""
    check_is("trained", trained, Trained, "a trained model", "train(...) returns one")
    check_is("stage", stage, Stage, "a stage", "take one of trained.stages")
    if stage.folder is None:
        raise ValueError(
            f"stage must be one whose weights were kept, got step {stage.step} without a folder; "
            "give train a folder"
        )
    weights, _ = checkpoint.load(stage.folder, trained.model.device)
    model = copy.deepcopy(trained.model)
    model.load_state_dict(weights)
    return model


def best_stage(stages: Sequence[Stage]) -> Stage:
    """The stage of least validation loss, the last one if nothing is held out."""
    losses = [each.validation_loss for each in stages]
    if None in losses:
        return stages[-1]
    return stages[int(np.argmin(np.nan_to_num(np.array(losses), nan=math.inf)))]


class Stages:
    """The stages that a training has reached, their weights, and whether it ends there.

    Parameters
    ----------
    steps, minutes, patience
        As for :func:`dynlib.tokens.training.train`; the last step of the training is among `steps`.
    folder : pathlib.Path, optional
        Where the weights are kept; without it, the best ones stay in memory.
    record : dict
        What is written beside the weights.
    writes : bool
        Whether this process writes: of several, one does.
    """

    def __init__(
        self,
        steps: Sequence[int],
        minutes: float,
        patience: int,
        folder: Path | None,
        record: dict[str, Any],
        writes: bool = True,
    ) -> None:
        self.steps, self.minutes, self.patience = steps, minutes, patience
        self.folder, self.record, self.writes = folder, record, writes
        self.reached: list[Stage] = []
        self.ended = "steps"
        self._best: dict[str, Tensor] = {}

    def reach(self, stage: Stage, weights: dict[str, Tensor]) -> bool:
        """Note a stage and keep its weights; return whether the training ends there."""
        (stage,) = placed([dataclasses.asdict(stage)], self.folder)
        self.reached.append(stage)
        if stage.folder is None and best_stage(self.reached) is stage:
            self._best = {name: w.detach().to("cpu", copy=True) for name, w in weights.items()}
        if stage.folder is not None and self.writes:
            (row,) = unplaced([stage])
            checkpoint.save(stage.folder, weights, self.record | {"stage": row})
        losses = np.array([each.validation_loss for each in self.reached], dtype=np.float64)
        rises = np.cumprod(np.diff(losses)[::-1] > 0).sum()  # the last ones, in a row
        later = [step for step in self.steps if step > stage.step]
        if 0 < self.patience <= rises:
            self.ended = "patience"
        elif self.minutes and later:
            begin = (self.reached[-2].step, self.reached[-2].seconds) if len(losses) > 1 else (0, 0)
            pace = (stage.seconds - begin[1]) / (stage.step - begin[0])
            if stage.seconds + pace * (later[0] - stage.step) > 60 * self.minutes:
                self.ended = "minutes"
        return self.ended != "steps"

    def best(self) -> dict[str, Tensor]:
        """The weights at the best stage."""
        folder = best_stage(self.reached).folder
        return self._best if folder is None else checkpoint.load(folder)[0]


def unplaced(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Stages as JSON holds them, without the place of their weights, which may move."""
    return [dataclasses.asdict(each) | {"folder": None} for each in stages]


def placed(rows: Sequence[dict[str, Any]], folder: Path | None) -> tuple[Stage, ...]:
    """Stages whose weights are in `folder`."""
    return tuple(
        Stage(**row | {"folder": folder and folder / f"step-{row['step']:09d}"}) for row in rows
    )


def check_stages(
    stages: Sequence[int],
    minutes: float,
    patience: int,
    config: TrainingConfig,
    validation: Trajectories | None,
) -> None:
    """Raise for stages, and ends at a stage, that a training cannot have."""
    check_is("stages", stages, (Sequence, np.ndarray), "a list of steps", "passes(...) makes one")
    check_number("minutes", minutes, least=0)
    check_count("patience", patience, least=0)
    if len(stages):
        check_counts("stages", stages, least=1, most=config.steps, remedy="passes(...) makes some")
        if any(a >= b for a, b in itertools.pairwise(stages)):
            raise ValueError(f"stages must be ascending, got {list(stages)}; sort them")
    elif minutes or patience:
        raise ValueError(
            f"minutes and patience must be 0 without stages, got {minutes} and {patience}; a "
            "training ends early only at a stage"
        )
    if patience and validation is None:
        raise ValueError(
            f"patience must be 0 where nothing is held out, got {patience}; give validation"
        )
