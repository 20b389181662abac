"""Where to compute."""

from __future__ import annotations

import torch


def resolve_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where there is a GPU, else ``cpu``; refuse what is not there."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError("device='cuda', but torch sees no CUDA GPU here; use 'auto' or 'cpu'")
    return "cuda" if available and device != "cpu" else "cpu"
