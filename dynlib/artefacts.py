"""Results of a long computation, kept under a key of everything that can change them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dynlib import checkpoint

Computed = tuple[dict[str, Tensor], dict[str, Any]]


def digest(*arrays: np.ndarray) -> str:
    """Checksum of arrays, their shapes and their types.

    Examples
    --------
    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2)))
    False
    """
    found = hashlib.sha256()
    for array in arrays:
        found.update(repr((array.shape, array.dtype.str)).encode() + array.tobytes())
    return found.hexdigest()


def kept(
    kind: str, parameters: dict[str, Any], modules: list[str], compute: Callable[[Path], Computed]
) -> Computed:
    """What was computed before under the same key, or what `compute` returns, which is kept.

    Two processes that want the same artefact wait for each other.

    Parameters
    ----------
    kind, parameters, modules
        As for :func:`dynlib.checkpoint.artefact_folder`.
    compute : callable
        Is given a folder for checkpoints of its own, which are deleted when it has come to its
        end; returns tensors by name, and a state that JSON can hold.
    """
    folder = checkpoint.artefact_folder(kind, parameters, modules)
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
