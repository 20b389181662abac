"""Where to compute."""

from __future__ import annotations

import torch

from dynlib.dynamics.checks import check_choice, check_is


def resolve_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where there is a GPU, else ``cpu``; refuse what is not there."""
    check_choice("device", device, ("auto", "cpu", "cuda"))
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError(
            "device must be 'auto' or 'cpu' where torch sees no CUDA GPU, got 'cuda'; choose one"
        )
    return "cuda" if available and device != "cpu" else "cpu"


def on_gpu(device: torch.device | str) -> bool:
    """Whether a device (a tensor's, a ``torch.device``, or its name) is a CUDA GPU.

    Code that only a GPU executes stands below ``if on_gpu(...)``: carrying a result that was made
    on a CPU looks for this name.

    Examples
    --------
    >>> on_gpu("cuda:1"), on_gpu(torch.zeros(1).device)
    (True, False)
    """
    _check_device(device)
    return torch.device(device).type == "cuda"


def _check_device(device: torch.device | str) -> None:
    check_is("device", device, torch.device | str, "a torch.device or its name", "use x.device")
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be the name of a device, got {device!r}; 'cpu' and 'cuda' are two"
        ) from error
