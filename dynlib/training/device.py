"""Where to compute."""

from __future__ import annotations

import torch

from dynlib.dynamics.checks import check_choice


def resolve_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where there is a GPU, else ``cpu``; refuse what is not there."""
    check_choice("device", device, ("auto", "cpu", "cuda"))
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError(
            "device must be 'auto' or 'cpu' where torch sees no CUDA GPU, got 'cuda'; choose one"
        )
    return "cuda" if available and device != "cpu" else "cpu"
