"""Results of a long computation, kept under a key of everything that can change them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dynlib.dynamics.checks import check_is
from dynlib.training import checkpoint, parallel

Computed = checkpoint.Whole


def digest(*arrays: np.ndarray) -> str:
    """Checksum of arrays, their shapes and their types.

    Examples
    --------
    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2)))
    False
    """
    for array in arrays:
        check_is("each array", array, np.ndarray, "a numpy array", "use np.asarray(...)")
        if array.dtype.hasobject:
            raise TypeError("each array must hold numbers, got objects; use array.astype(float)")
    found = hashlib.sha256()
    for array in arrays:
        found.update(repr((array.shape, array.dtype.str)).encode() + array.tobytes())
    return found.hexdigest()


def kept(
    kind: str,
    parameters: dict[str, Any],
    code: list[str],
    compute: Callable[[Path], Computed],
) -> Computed:
    """What was computed before under the same key, or what `compute` returns, which is kept.

    The key is that of :func:`dynlib.training.checkpoint.artefact_folder`. `compute` is given a
    folder for its checkpoints, which are deleted when it has finished. Two processes that
    want the same artefact wait for each other.
    """
    folder = checkpoint.artefact_folder(kind, parameters, code)
    with checkpoint.exclusive(folder):
        if (folder / "model").exists():
            try:
                return checkpoint.load(folder / "model")
            except checkpoint.DamagedCheckpoint:
                pass  # computed again, and replaced when that is whole
        tensors, state = compute(folder / "checkpoints")
        checkpoint.save(folder / "model", tensors, state)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return checkpoint.load(folder / "model")


def each_trained(
    train: Callable[..., Any],
    jobs: Sequence[tuple[str, dict[str, Any], dict[str, Any]]],
    device: str,
) -> list[Any]:
    """What `train` returns for every job; unfinished jobs are trained in worker processes.

    Each job, the costliest first, holds `kind` and `parameters` of its artefact, as for
    :func:`dynlib.training.checkpoint.artefact_folder`, and keyword arguments of `train`. The
    function also gets the device, and the artefact folder as ``folder``: there it finds what it
    has finished before, or keeps what it finishes now.
    """
    code, given = [f"{train.__module__}.{train.__name__}"], []
    for kind, parameters, arguments in jobs:
        folder = checkpoint.artefact_folder(kind, parameters | {"device": device}, code)
        given.append(arguments | {"folder": folder, "device": device})
    missing = [
        {"train": train, "job": job} for job in given if not (job["folder"] / "model").exists()
    ]
    parallel.map_processes(_train_alone, missing, parallel.default_workers(device))
    return [train(**job) for job in given]


def _train_alone(train: Callable[..., Any], job: dict[str, Any]) -> None:
    """Train and return nothing: the model comes back through its artefact.

    Another run may want the same artefact at the same time; it waits here, and then loads.
    """
    with checkpoint.exclusive(job["folder"]):
        train(**job)


def handed_folder(run: str, name: str, variable: str = "DYNLIB_HANDED") -> Path:
    """Where a run leaves an artefact for the runs that need it.

    Below ``$DYNLIB_HANDED`` (set by the runner, a folder a preset), else below ``build/handed`` of
    this clone.
    """
    default = Path(__file__).resolve().parents[2] / "build" / "handed"
    return Path(os.environ.get(variable, default)) / run / name


def hand_over(run: str, name: str, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Leave tensors and a state that JSON can hold, by name, for the runs that need this one."""
    checkpoint.save(handed_folder(run, name, "DYNLIB_HAND_OVER"), tensors, state)


def handed(run: str, name: str) -> Computed:
    """Load what another run has handed over; if it is incomplete, a ValueError says what to do."""
    folder = handed_folder(run, name)
    try:
        return checkpoint.load(folder)
    except checkpoint.DamagedCheckpoint as error:
        words = "is damaged" if folder.exists() else "is not there"
        raise ValueError(
            f"{folder}, which {run} hands over, {words}; run {run} first: "
            f"python -m workflow run {run} --force (with the preset of this run)"
        ) from error
