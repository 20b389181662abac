"""The one loop that every network trains in: it resumes, marks, announces and keeps checkpoints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dynlib.dynamics.checks import check_count, check_flag, check_is, check_number
from dynlib.training import checkpoint
from dynlib.training.progress import Meter


@runtime_checkable
class Trainee(Protocol):
    """What is trained: a model with its data and its optimiser. It knows nothing of the loop."""

    def step(self, number: int) -> Tensor:
        """Take the step of this number, counted from 0; return its losses, without gradient."""

    def mark(self, loss: Tensor) -> list[Any]:
        """Return a row for the history, as JSON holds it; `loss` is the mean since the last row."""

    def state(self) -> Any:
        """Return all that later steps depend on: nested dicts and lists of tensors and numbers."""

    def restore(self, state: Any) -> None:
        """Go on from a state; its tensors may be on another device."""


def train(
    trainee: Trainee,
    steps: int,
    *,
    marks: int,
    folder: Path | None = None,
    checkpoint_seconds: float = 15.0,
    label: str = "training",
    writes: bool = True,
) -> list[list[Any]]:
    """Take the steps that remain after the newest whole checkpoint.

    A training that was killed ends with the same weights and the same history, except seconds.
    A new training restores its own first state, so that all begin in the same way.

    Parameters
    ----------
    trainee : dynlib.training.loop.Trainee
        What is trained; it is changed in place.
    steps : int
        Steps in all.
    marks : int
        Rows of the history: one every ``steps // marks`` steps, and one at the end.
    folder : pathlib.Path, optional
        Where checkpoints are kept; :func:`dynlib.training.checkpoint.finished` deletes them.
    checkpoint_seconds : float
        Seconds between two checkpoints.
    label : str
        What the lines of progress call this training.
    writes : bool
        Whether this process writes checkpoints and lines of progress: of several, one does.

    Returns
    -------
    list of list
        The history, rows (step, seconds of training so far, what ``mark`` returned ...).
    """
    check_is("trainee", trainee, Trainee, "a Trainee", "it has step, mark, state and restore")
    check_count("steps", steps)
    check_count("marks", marks)
    check_is("folder", folder, Path | None, "a pathlib.Path or None", "use Path(...)")
    check_number("checkpoint_seconds", checkpoint_seconds)
    check_is("label", label, str, "a text", "write it in quotes")
    check_flag("writes", writes)
    start = saved = time.monotonic()
    resumed = None
    if folder is not None:
        resumed = checkpoint.latest_step(folder)
    if resumed is not None:
        begin = checkpoint.unflatten(resumed[1]["loop"], resumed[0])
    else:
        begin = {"seconds": 0.0, "history": [], "loss": torch.zeros(()), "counted": 0, "step": 0}
        begin["trainee"] = trainee.state()
    trainee.restore(begin["trainee"])
    step, seconds, history = begin["step"], begin["seconds"], begin["history"]
    total, counted = begin["loss"], begin["counted"]
    between, note = max(1, steps // marks), ""
    meter = Meter(label, steps, done=step)
    while step < steps:
        loss = trainee.step(step)
        step, total, counted = step + 1, total.to(loss) + loss, counted + 1
        if step == steps or step % between == 0:
            mean = total / counted
            row = trainee.mark(mean)
            history.append([step, seconds + time.monotonic() - start, *row])
            note, total, counted = f"loss {mean.median():.3g}", torch.zeros(()), 0
        if writes:
            meter.update(step, note)
            now = time.monotonic()
            if folder is not None and step < steps and now - saved > checkpoint_seconds:
                state = {
                    "seconds": seconds + now - start, "history": history, "loss": total,
                    "counted": counted, "step": step, "trainee": trainee.state(),
                }  # fmt: skip
                tensors: dict[str, Tensor] = {}
                skeleton = checkpoint.flatten(state, "loop", tensors)
                checkpoint.save_step(folder, step, tensors, {"loop": skeleton})
                saved = time.monotonic()
    return history
