"""How a token model is trained, and what its training leaves behind."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from dynlib.tokens.gpt import GPTConfig, TokenGPT


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    r"""How to train.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch_size : int
        Windows a step, over all processes.
    learning_rate : float
        Peak rate. With ``"muon"`` both optimisers use it (Muon's updates are scaled to
        AdamW's root mean square).
    optimizer : str
        ``"adamw"``, or ``"muon"``: torch's Muon on the matrices inside the blocks, AdamW on
        everything else.
    beta2, epsilon, weight_decay : float
        AdamW's second-moment decay, its epsilon, and the decoupled weight decay of both.
    schedule : str
        ``"constant"``, or ``"cosine"``: linear warm-up over 3 % of the steps, then a cosine
        down to 2 % of the peak.
    clip : float
        Largest norm of the gradient, 0 for no limit.
    precision : str
        ``"fp32"``; ``"bf16"`` by autocast; ``"auto"``: bf16 on a GPU, and on a CPU from a
        width of 128 and 400 tokens, where it starts to pay.
    seed : int
        Seed of the initial weights, the order of the data and dropout.

    Raises
    ------
    ValueError
        For an impossible value.

    References
    ----------
    Loshchilov & Hutter (2019), AdamW; Jordan et al. (2024), Muon; Shalova & Oseledets
    (2020): AdamW, learning rate 5e-5.
    """

    steps: int
    batch_size: int
    learning_rate: float = 5e-5
    optimizer: str = "adamw"
    beta2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.0
    schedule: str = "constant"
    clip: float = 0.0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {
            "optimizer": ("adamw", "muon"),
            "schedule": ("constant", "cosine"),
            "precision": ("auto", "fp32", "bf16"),
        }
        for name, options in allowed.items():
            if getattr(self, name) not in options:
                raise ValueError(f"{name} must be one of {options}, got {getattr(self, name)!r}")
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not (0 < self.beta2 < 1 and self.weight_decay >= 0 and self.clip >= 0):
            raise ValueError(
                "beta2 must lie in (0, 1), weight_decay and clip be at least 0, got "
                f"beta2={self.beta2}, weight_decay={self.weight_decay}, clip={self.clip}"
            )

    def rate(self, step: int) -> float:
        """Learning rate at a step, as a share of the peak."""
        if self.schedule == "constant":
            return 1.0
        warm_up = max(1, round(0.03 * self.steps))
        if step < warm_up:
            return (step + 1) / warm_up
        done = (step - warm_up) / max(1, self.steps - warm_up)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))

    def autocast(self, model: GPTConfig, device: str) -> bool:
        """Whether a model is trained in bf16 on a device."""
        large = model.width >= 128 and model.vocabulary >= 400
        return self.precision == "bf16" or (
            self.precision == "auto" and (device == "cuda" or large)
        )


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model with what its training cost and how it went.

    `history` holds rows (step, training loss, validation loss), losses in nats a token,
    the training loss averaged since the row before; `seconds` is wall time in the loop.
    """

    model: TokenGPT
    tokens_seen: int
    seconds: float
    history: np.ndarray
    validation_loss: float | None


def make_optimizers(model: TokenGPT, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """The optimisers of a model, each for a part of its weights."""
    adamw: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": (0.9, config.beta2),
        "eps": config.epsilon,
        "weight_decay": config.weight_decay,
    }
    if config.optimizer == "adamw":
        return [torch.optim.AdamW(model.parameters(), **adamw)]
    matrices = [w for name, w in model.named_parameters() if ".h." in name and w.ndim == 2]
    inside = {id(w) for w in matrices}
    muon = torch.optim.Muon(
        matrices,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    rest = [w for w in model.parameters() if id(w) not in inside]
    return [muon, torch.optim.AdamW(rest, **adamw)]
