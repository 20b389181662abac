"""The one loop that every network trains in: it resumes, marks, announces and keeps checkpoints."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dynlib.dynamics.checks import check_count, check_counts, check_flag, check_is, check_number
from dynlib.training import checkpoint
from dynlib.training.progress import Meter


@runtime_checkable
class Trainee(Protocol):
    """What is trained: a model with its data and its optimiser. It does not depend on the loop.

    Where `over` is set at a mark, the training ends there.
    """

    over: bool

    def step(self, number: int) -> Tensor:
        """Take the step of this number, counted from 0; return its losses, without gradient."""

    def mark(self, loss: Tensor, seconds: float) -> list[Any]:
        """Return a row for the history, as JSON holds it.

        `loss` is the mean since the last row, `seconds` is the time of training so far.
        """

    def state(self) -> Any:
        """Return all that later steps depend on: nested dicts and lists of tensors and numbers."""

    def restore(self, state: Any) -> None:
        """Go on from a state; its tensors may be on another device."""


def evenly(steps: int, n: int) -> list[int]:
    """Marks after every ``steps // n`` steps, and at the end.

    Examples
    --------
    >>> evenly(10, 3)
    [3, 6, 9, 10]
    """
    check_count("steps", steps)
    check_count("n", n)
    between = max(1, steps // n)
    return [*range(between, steps, between), steps]


def train(
    trainee: Trainee,
    steps: int,
    *,
    marks: Sequence[int],
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
    marks : sequence of int
        Steps after which the history gets a row, ascending, the last step among them:
        :func:`evenly` makes such a list.
    folder : pathlib.Path, optional
        Where checkpoints are kept; :func:`dynlib.training.checkpoint.finished` deletes them.
    checkpoint_seconds : float
        Shortest time between two checkpoints. They are farther apart where they would take more
        than 2 % of the time (:class:`dynlib.training.checkpoint.Writer`), except at 0 or less:
        then there is one after every step.
    label : str
        What the lines of progress call this training.
    writes : bool
        Whether this process writes checkpoints and lines of progress: of several, one does.

    Returns
    -------
    list of list
        The history, rows (step, seconds of training so far, what ``mark`` returned ...).
    """
    check_is("trainee", trainee, Trainee, "a Trainee", "it has over, step, mark, state and restore")
    check_count("steps", steps)
    _check_marks(marks, steps)
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
    marked, note, writer = set(marks), "", None
    meter = Meter(label, steps, done=step)
    with contextlib.ExitStack() as stack:
        while step < steps and not trainee.over:
            loss = trainee.step(step)
            step, total, counted = step + 1, total.to(loss) + loss, counted + 1
            if step in marked:
                mean = total / counted
                row = trainee.mark(mean, seconds + time.monotonic() - start)
                history.append([step, seconds + time.monotonic() - start, *row])
                note, total, counted = f"loss {mean.median():.3g}", torch.zeros(()), 0
            if writes:
                meter.update(step, note)
                now, going = time.monotonic(), step < steps and not trainee.over
                if folder is not None and going and now - saved > checkpoint_seconds:
                    if writer is None:
                        writer = stack.enter_context(checkpoint.Writer(folder))
                    state = {
                        "seconds": seconds + now - start, "history": history, "loss": total,
                        "counted": counted, "step": step, "trainee": trainee.state(),
                    }  # fmt: skip
                    writer.offer(step, state, now - start, always=checkpoint_seconds <= 0)
                    saved = time.monotonic()
    return history


def _check_marks(marks: Sequence[int], steps: int) -> None:
    check_counts("marks", marks, least=1, most=steps, remedy="evenly(steps, n) makes some")
    if marks[-1] != steps or any(a >= b for a, b in itertools.pairwise(marks)):
        raise ValueError(
            f"marks must be ascending and end with the last step, {steps}, got {list(marks)}; "
            "evenly(steps, n) makes such a list"
        )
