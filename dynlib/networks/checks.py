"""Refusals of what only networks are given, in the form of :mod:`dynlib.dynamics.checks`."""

from __future__ import annotations

from typing import Any

import torch

from dynlib.dynamics.checks import check_is


def check_source(generator: Any) -> None:
    """Raise TypeError for what does not draw weights."""
    remedy = "torch.Generator().manual_seed(0) makes one"
    check_is("generator", generator, torch.Generator, "a torch.Generator", remedy)


def check_dtype(dtype: Any, *others: torch.dtype) -> None:
    """Raise TypeError for a type of weights that is not float32, float64 or one of the others."""
    allowed = (torch.float32, torch.float64, *others)
    if dtype not in allowed:
        raise TypeError(
            f"dtype must be {' or '.join(map(str, allowed))}, got {dtype!r}; double precision is "
            "torch.float64"
        )
