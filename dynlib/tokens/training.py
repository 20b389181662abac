r"""Training a token model: one loop for a CPU thread, a GPU, and several.

The loop runs on ``accelerate``; the batch of a step depends on the seed and the step alone,
so a run that was killed goes on from its last checkpoint to the very same weights.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from dynlib.tokens.gpt import GPTConfig, TokenGPT, log_probabilities
from dynlib.tokens.loss import NextTokenLoss
from dynlib.tokens.recipes import Trained, TrainingConfig, make_optimizers
from dynlib.tokens.windows import random_windows, windows
from dynlib.training import checkpoint
from dynlib.training.device import resolve_device
from dynlib.training.progress import Meter


def train(
    trajectories: np.ndarray,
    cells: np.ndarray | None,
    model_config: GPTConfig,
    config: TrainingConfig,
    folder: Path | None = None,
    *,
    validation: np.ndarray | None = None,
    device: str = "auto",
    checkpoint_seconds: float = 15.0,
    label: str = "training",
) -> Trained:
    r"""Minimise the mean cross-entropy of the next token over random windows.

    .. math:: L = -\frac1N \sum_t \ln p(w_{t+1} \mid w_{t-k+1}, \dots, w_t)

    Parameters
    ----------
    trajectories : numpy.ndarray
        Training tokens, shape (M, T), T above the context.
    cells : numpy.ndarray, optional
        :attr:`dynlib.tokens.grid.Grid.cells`, for the factorised embedding.
    model_config : GPTConfig
        The model.
    config : TrainingConfig
        The training.
    folder : pathlib.Path, optional
        Where checkpoints and the finished model live. A finished model is loaded instead
        of trained; an unfinished training goes on from its newest whole checkpoint.
    validation : numpy.ndarray, optional
        Held-out *training* trajectories of tokens, (M', T'); their loss is followed.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    checkpoint_seconds : float
        Seconds between two checkpoints.
    label : str
        What the lines of progress call this training.

    Returns
    -------
    Trained
        The model, on the device, and the record of its training.

    Raises
    ------
    ValueError
        If the trajectories are too short for the context, hold tokens outside the
        vocabulary, or the device is not there.

    Notes
    -----
    On several processes (``accelerate launch``) each takes its share of every batch, and
    the gradients are averaged: the same training as one process with the whole batch.
    """
    context = model_config.context
    if trajectories.ndim != 2 or trajectories.shape[1] <= context:
        raise ValueError(
            f"training trajectories must be (M, T) with T above the context {context}, got "
            f"{trajectories.shape}"
        )
    if trajectories.min() < 0 or trajectories.max() >= model_config.vocabulary:
        raise ValueError(
            f"tokens must lie in [0, {model_config.vocabulary}), got {trajectories.min()} to "
            f"{trajectories.max()}"
        )
    device = resolve_device(device)
    torch.manual_seed(config.seed)
    model = TokenGPT(model_config, cells)
    if folder is not None and (folder / "model").exists():
        try:
            return _finished(model.to(device), *checkpoint.load(folder / "model", device))
        except checkpoint.DamagedCheckpoint:
            shutil.rmtree(folder / "model", ignore_errors=True)

    accelerator = Accelerator(cpu=device == "cpu")
    if config.batch_size % accelerator.num_processes:
        raise ValueError(
            f"batch_size={config.batch_size} cannot be shared by {accelerator.num_processes} "
            "processes; choose a multiple"
        )
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    if config.autocast(model_config, device) and device == "cpu" and context <= 256:
        model.gpt2.set_attn_implementation("eager")  # the fused kernel is slow in bf16 on a CPU
    next_token_loss = accelerator.prepare(NextTokenLoss(model))
    optimizers = [accelerator.prepare(o) for o in make_optimizers(model, config)]
    autocast = config.autocast(model_config, device)
    held_out = None if validation is None else windows(validation, context + 1, 256, first=100)

    step, seconds, history = 0, 0.0, []
    resumed = checkpoint.latest_step(folder / "checkpoints") if folder is not None else None
    if resumed is not None:
        tensors, state = resumed
        step, seconds, history = state["step"], state["seconds"], state["history"]
        model.load_state_dict(_part(tensors, "model."))
        for optimizer, skeleton in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(checkpoint.unflatten(skeleton, tensors))
        torch.set_rng_state(tensors["rng.cpu"])
        if device == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"])

    mark = max(1, config.steps // 20)
    meter = Meter(label, config.steps, done=step)
    next_token_loss.train()
    total, counted = torch.zeros((), device=accelerator.device), 0
    if resumed is not None:
        total, counted = tensors["loss.total"].to(accelerator.device), state["counted"]
    start = saved = time.monotonic()
    while step < config.steps:
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * config.rate(step)
        batch = random_windows(trajectories, context + 1, config.batch_size, [config.seed, step])
        tokens = torch.as_tensor(batch[share], dtype=torch.long, device=accelerator.device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
            loss = next_token_loss(tokens)
        accelerator.backward(loss)
        if config.clip:
            accelerator.clip_grad_norm_(next_token_loss.parameters(), config.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        total, counted = total + loss.detach(), counted + 1
        if step % mark == 0 or step == config.steps:
            mean = accelerator.reduce(total / counted, reduction="mean").item()
            history.append([step, mean, _validate(model, held_out)])
            total, counted = torch.zeros_like(total), 0
            next_token_loss.train()
        if accelerator.is_main_process:
            meter.update(step, f"loss {history[-1][1]:.3f}" if history else "")
            now = time.monotonic()
            if folder is not None and step < config.steps and now - saved > checkpoint_seconds:
                tensors = {f"model.{k}": v for k, v in _weights(model).items()}
                tensors |= {"rng.cpu": torch.get_rng_state(), "loss.total": total}
                if device == "cuda":
                    tensors["rng.cuda"] = torch.cuda.get_rng_state()
                states = [
                    checkpoint.flatten(o.state_dict(), f"optimizer.{i}", tensors)
                    for i, o in enumerate(optimizers)
                ]
                checkpoint.save_step(
                    folder / "checkpoints",
                    step,
                    tensors,
                    {
                        "seconds": seconds + now - start,
                        "history": history,
                        "counted": counted,
                        "optimizers": states,
                    },
                )
                saved = time.monotonic()
    state = {
        "model_config": dataclasses.asdict(model_config),
        "config": dataclasses.asdict(config),
        "tokens_seen": config.steps * config.batch_size * context,
        "seconds": seconds + time.monotonic() - start,
        "history": history,
    }
    if folder is not None and accelerator.is_main_process:
        checkpoint.save(folder / "model", _weights(model), state)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    accelerator.wait_for_everyone()
    return _finished(model, _weights(model), state)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _weights(model: TokenGPT) -> dict[str, torch.Tensor]:
    """The weights, the tied output table (transformers lists it twice) under both names."""
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def _validate(model: TokenGPT, held_out: np.ndarray | None) -> float | None:
    if held_out is None:
        return None
    context = held_out.shape[1] - 1
    log_likelihood, _ = log_probabilities(model, held_out, last=context - context // 2)
    return float(-log_likelihood.mean())


def _finished(model: TokenGPT, weights: dict[str, torch.Tensor], state: dict) -> Trained:
    model.gpt2.set_attn_implementation("sdpa")
    model.load_state_dict(weights)
    model.eval()
    rows = [[np.nan if value is None else value for value in row] for row in state["history"]]
    validation = state["history"][-1][2] if state["history"] else None
    history = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Trained(model, state["tokens_seen"], state["seconds"], history, validation)
