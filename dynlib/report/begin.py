"""What every run does first."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dynlib.report import record, style
from dynlib.training.device import resolve_device


def begin(device: str, seeds: Sequence[int] = ()) -> str:
    """Set the style of figures, empty the record, compute in one thread, note device and seeds.

    Returns
    -------
    str
        ``"cpu"`` or ``"cuda"``.
    """
    style.use_style()
    record.clear()
    torch.set_num_threads(1)
    device = resolve_device(device)
    record.context(device=device, threads=1, seeds=list(seeds))
    return device
