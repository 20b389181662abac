"""How a token model is trained, and what its training leaves behind."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dynlib.dynamics.checks import (
    check_choice,
    check_count,
    check_is,
    check_number,
    check_seed,
)
from dynlib.tokens.gpt import GPTConfig, TokenGPT, check_model
from dynlib.training.device import on_gpu


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
        ``"fp32"``; ``"bf16"`` by autocast; ``"auto"``: bf16 on a GPU, and on a CPU with
        instructions for it from a width of 128 and 400 tokens, where it starts to pay.
    seed : int
        Seed of the initial weights, the order of the data and dropout.

    Raises
    ------
    TypeError, ValueError
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
            check_choice(name, getattr(self, name), options)
        check_seed("seed", self.seed)
        for name in ("steps", "batch_size"):
            check_count(name, getattr(self, name))
        for name in ("steps", "batch_size", "seed"):  # numpy's cannot be stored as JSON
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in ("learning_rate", "epsilon"):
            check_number(name, getattr(self, name), above=0)
        for name in ("weight_decay", "clip"):
            check_number(name, getattr(self, name), least=0)
        check_number("beta2", self.beta2, above=0, below=1)

    def rate(self, step: int) -> float:
        """Learning rate at a step, as a share of the peak."""
        check_count("step", step, least=0)
        if self.schedule == "constant":
            return 1.0
        warm_up = max(1, round(0.03 * self.steps))
        if step < warm_up:
            return (step + 1) / warm_up
        done = (step - warm_up) / max(1, self.steps - warm_up)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))

    def autocast(self, model: GPTConfig, device: str) -> bool:
        """Whether a model is trained in bf16 on a device."""
        check_is("model", model, GPTConfig, "a GPTConfig", "give the model's config")
        check_choice("device", device, ("cpu", "cuda"))
        large = model.width >= 128 and model.vocabulary >= 400
        pays = large & _cpu_multiplies_bf16()
        return self.precision == "bf16" or (self.precision == "auto" and (device == "cuda" or pays))


def _cpu_multiplies_bf16() -> bool:
    """Whether this processor has instructions for bf16 products (AVX512_BF16, AMX, Arm's BF16).

    Without them torch emulates bf16: a training took four times as long as in fp32.
    """
    known = torch.cpu.get_capabilities()
    able = any(present for name, present in known.items() if name.endswith("bf16"))
    return able & torch.ops.mkldnn._is_mkldnn_bf16_supported()


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where a training was looked at, and the `folder` of its weights, if they were kept.

    Losses are in nats a token, that of training averaged since the stage before; `seconds` are
    those of training until then.
    """

    step: int
    tokens_seen: int
    seconds: float
    training_loss: float
    validation_loss: float | None
    folder: Path | None


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model with what its training cost and how it went.

    `history` holds rows (step, training loss, validation loss), losses in nats a token,
    the training loss averaged since the row before; `seconds` is wall time in the loop.

    A training with `stages` is looked at after each of them. Its model is that at the stage of
    least validation loss, at the last stage if nothing is held out; that loss is
    `validation_loss`. `tokens_seen` and `seconds` are those of the whole training. It `ended`
    after all ``"steps"``, or for lack of ``"patience"`` or ``"minutes"``.
    """

    model: TokenGPT
    tokens_seen: int
    seconds: float
    history: np.ndarray
    validation_loss: float | None
    stages: tuple[Stage, ...] = ()
    ended: str = "steps"


def check_config(config: TrainingConfig) -> None:
    """Raise TypeError for what is not a configuration of a training."""
    remedy = "make one with TrainingConfig(steps, batch_size)"
    check_is("config", config, TrainingConfig, "a TrainingConfig", remedy)


def make_optimizers(model: TokenGPT, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """The optimisers of a model, each for a part of its weights."""
    check_model("model", model)
    check_config(config)
    adamw: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": (0.9, config.beta2),
        "eps": config.epsilon,
        "weight_decay": config.weight_decay,
    }
    if on_gpu(model.device):
        adamw["fused"] = True
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
