r"""Training a token model on a CPU thread, a GPU, or several, by ``accelerate``.

The batch of a step depends on the seed and the step alone, so a run that was killed goes on from
its last checkpoint and ends with the same weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from dynlib.dynamics.checks import check_choice, check_is, check_number
from dynlib.tokens.gpt import GPTConfig, TokenGPT, check_model_inputs, log_probabilities
from dynlib.tokens.loss import NextTokenLoss
from dynlib.tokens.recipes import Stage, Trained, TrainingConfig, check_config, make_optimizers
from dynlib.tokens.stages import Stages, best_stage, check_stages, placed, unplaced
from dynlib.tokens.windows import Trajectories, check_trajectories, random_windows, windows
from dynlib.training import checkpoint, loop
from dynlib.training.device import on_gpu, resolve_device

#: Transformers' fused attention without its look at the positions of every batch, which waits for
#: the device. Windows are always read from their start, so no mask is needed.
UNMASKED = "unmasked_sdpa"
AttentionInterface.register(UNMASKED, sdpa_attention_forward)


def train(
    trajectories: Trajectories,
    cells: np.ndarray | None,
    model_config: GPTConfig,
    config: TrainingConfig,
    folder: Path | None = None,
    *,
    validation: Trajectories | None = None,
    device: str = "auto",
    checkpoint_seconds: float = 15.0,
    label: str = "training",
    stages: Sequence[int] = (),
    minutes: float = 0.0,
    patience: int = 0,
) -> Trained:
    r"""Minimise the mean cross-entropy of the next token over random windows.

    .. math:: L = -\frac1N \sum_t \ln p(w_{t+1} \mid w_{t-k+1}, \dots, w_t)

    Parameters
    ----------
    trajectories : numpy.ndarray or sequence of numpy.ndarray
        Training tokens, shape (M, T), T above the context, or a list of M rows of unequal length.
    cells : numpy.ndarray, optional
        :attr:`dynlib.tokens.grid.Grid.cells`, for the factorised embedding.
    model_config : GPTConfig
        The model.
    config : TrainingConfig
        The training.
    folder : pathlib.Path, optional
        Where checkpoints and the finished model live. A finished model is loaded instead
        of trained; an unfinished training goes on from its newest whole checkpoint.
    validation : numpy.ndarray or sequence of numpy.ndarray, optional
        Held-out *training* trajectories of tokens, as `trajectories`; their loss is followed.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    checkpoint_seconds, label
        As for :func:`dynlib.training.loop.train`.
    stages : sequence of int
        Steps, ascending. After each of them, and at the end, the losses are noted and the weights
        are kept in ``folder/stages``; :func:`dynlib.tokens.stages.passes` makes such a list.
        The model that is returned is that of the stage of least held-out loss.
    minutes : float
        The training ends at the last stage that fits, judged from the seconds of the stages so
        far; 0 for no limit.
    patience : int
        The training ends when the held-out loss has risen at so many stages in a row; 0 for never.

    Returns
    -------
    Trained
        The model, on the device, and the record of its training.

    Notes
    -----
    On several processes (``accelerate launch``) each takes its share of every batch, and
    the gradients are averaged: the same training as one process with the whole batch.
    """
    check_training(trajectories, cells, model_config, config, validation, device)
    check_is("folder", folder, Path | None, "a path or None", "write Path(...) around it")
    check_number("checkpoint_seconds", checkpoint_seconds, least=0)
    check_is("label", label, str, "a text", "write it in quotes")
    check_stages(stages, minutes, patience, config, validation)
    context = model_config.context
    device = resolve_device(device)
    accelerator = Accelerator(cpu=device == "cpu")
    if config.batch_size % accelerator.num_processes:
        raise ValueError(
            f"batch_size must be a multiple of the {accelerator.num_processes} processes, got "
            f"{config.batch_size}; change it, or the number of processes"
        )
    torch.manual_seed(config.seed)
    model = TokenGPT(model_config, cells).to(device)
    if config.autocast(model_config, device) and device == "cpu" and context <= 256:
        model.gpt2.set_attn_implementation("eager")  # the fused kernel is slow in bf16 on a CPU
    if on_gpu(device):
        model.gpt2.set_attn_implementation(UNMASKED)
    held_out = None if validation is None else windows(validation, context + 1, 256, first=100)

    def compute(checkpoints: Path | None) -> checkpoint.Whole:
        training = _Training(accelerator, model, trajectories, held_out, config)
        marks = loop.evenly(config.steps, 20)
        record: dict[str, Any] = {
            "model_config": dataclasses.asdict(model_config),
            "config": dataclasses.asdict(config),
        }
        if len(stages):
            marks = sorted({*map(int, stages), config.steps})
            training.stages = Stages(
                marks, minutes, patience, folder and folder / "stages", record,
                writes=accelerator.is_main_process,
            )  # fmt: skip
        history = loop.train(
            training, config.steps, marks=marks, folder=checkpoints,
            label=label, checkpoint_seconds=checkpoint_seconds, writes=accelerator.is_main_process,
        )  # fmt: skip
        record |= {
            "tokens_seen": history[-1][0] * config.batch_size * context,
            "seconds": history[-1][1],
            "history": [[step, mean, loss] for step, _, mean, loss in history],
        }
        weights = dict(model.state_dict())
        if training.stages is not None:
            accelerator.wait_for_everyone()
            weights = training.stages.best()
            record["stages"] = unplaced(training.stages.reached)
            record["ended"] = training.stages.ended
        return weights, record

    weights, state = checkpoint.finished(
        folder, compute, device, writes=accelerator.is_main_process
    )
    accelerator.wait_for_everyone()
    return _finished(model, weights, state, folder)


def check_training(
    trajectories: Trajectories,
    cells: np.ndarray | None,
    model_config: GPTConfig,
    config: TrainingConfig,
    validation: Trajectories | None,
    device: str,
) -> None:
    """Raise for what :func:`train` cannot train on."""
    check_choice("device", device, ("auto", "cpu", "cuda"))
    check_model_inputs(model_config, cells)
    check_config(config)
    _check_rows("trajectories", trajectories, model_config)
    if validation is not None:
        _check_rows("validation", validation, model_config, first=100)


def _check_rows(name: str, rows: Trajectories, model: GPTConfig, first: int = 0) -> None:
    check_trajectories(name, rows, vocabulary=model.vocabulary)
    shortest, needed = min(map(len, rows)), first + model.context + 1
    if shortest < needed:
        raise ValueError(
            f"{name} must be {needed} tokens or longer for a context of {model.context}, got "
            f"{shortest}; take longer ones, or a shorter context"
        )


def _validate(model: TokenGPT, held_out: np.ndarray | None) -> float | None:
    if held_out is None:
        return None
    context = held_out.shape[1] - 1
    log_likelihood, _ = log_probabilities(model, held_out, last=context - context // 2)
    return float(-log_likelihood.mean())


def _finished(
    model: TokenGPT, weights: dict[str, Tensor], state: dict, folder: Path | None
) -> Trained:
    model.gpt2.set_attn_implementation("sdpa")
    model.load_state_dict(weights)
    model.eval()
    rows = [[np.nan if value is None else value for value in row] for row in state["history"]]
    validation = state["history"][-1][2] if state["history"] else None
    history = np.array(rows, dtype=np.float64).reshape(-1, 3)
    trained = Trained(model, state["tokens_seen"], state["seconds"], history, validation)
    if "stages" in state:
        stages = placed(state["stages"], folder and folder / "stages")
        trained = dataclasses.replace(
            trained, validation_loss=best_stage(stages).validation_loss, stages=stages,
            ended=state["ended"],
        )  # fmt: skip
    return trained


class _Ahead:
    """Batches of steps, each drawn and copied to a device while the step before it runs.

    One thread does both. `draw` returns the tokens of a step; they depend on its number alone, so
    the order of the calls changes nothing.
    """

    def __init__(self, draw: Callable[[int], np.ndarray], device: torch.device) -> None:
        self.draw, self.device = draw, device
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._waiting: dict[int, Future[Tensor]] = {}

    def take(self, number: int) -> Tensor:
        """The batch of a step, on the device; that of the next step is begun."""
        found = self._waiting.pop(number, None) or self._pool.submit(self._copied, number)
        tokens = found.result()
        self._waiting = {number + 1: self._pool.submit(self._copied, number + 1)}
        return tokens

    def _copied(self, number: int) -> Tensor:
        tokens = torch.from_numpy(self.draw(number))
        if on_gpu(self.device):
            tokens = tokens.pin_memory()  # without it the copy would wait for the device
        return tokens.to(self.device, non_blocking=True)


class _Training:
    """What :func:`dynlib.training.loop.train` trains: a model on its share of random windows."""

    over = False
    # Any, because a type that is named here counts as reached by all trainings (sources.Reach).
    stages: Any = None  # of Stages
    ahead: Any = None  # of _Ahead, on a GPU

    def __init__(
        self,
        accelerator: Accelerator,
        model: TokenGPT,
        trajectories: Trajectories,
        held_out: np.ndarray | None,
        config: TrainingConfig,
    ) -> None:
        self.accelerator, self.model, self.config = accelerator, model, config
        self.trajectories, self.held_out = trajectories, held_out
        self.device = accelerator.device.type
        self.autocast = config.autocast(model.config, self.device)
        self.loss = accelerator.prepare(NextTokenLoss(model))
        self.optimizers = make_optimizers(model, config)
        self.taken = 0
        # Dropout draws from these. There is none of CUDA before it is used.
        own = accelerator.device.index or 0
        self.generators = [torch.default_generator, *torch.cuda.default_generators[own:][:1]]
        self.loss.train()

    def step(self, number: int) -> Tensor:
        config, accelerator = self.config, self.accelerator
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * config.rate(number)
        if on_gpu(accelerator.device):
            self.ahead = self.ahead or _Ahead(self._share, accelerator.device)
            tokens = self.ahead.take(number)
        else:
            tokens = torch.as_tensor(self._share(number), device=accelerator.device)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.autocast):
            loss = self.loss(tokens)
        accelerator.backward(loss)
        if config.clip:
            accelerator.clip_grad_norm_(self.loss.parameters(), config.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.taken = number + 1
        return loss.detach()

    def _share(self, number: int) -> np.ndarray:
        """This process's windows of a step, which depend on the seed and the step alone."""
        config, length = self.config, self.model.config.context + 1
        batch = random_windows(self.trajectories, length, config.batch_size, [config.seed, number])
        share = batch[self.accelerator.process_index :: self.accelerator.num_processes]
        return share.astype(np.int64)

    def mark(self, loss: Tensor, seconds: float) -> list[float | None]:
        """Mean losses in training, over all processes, and on what is held out."""
        mean = self.accelerator.reduce(loss, reduction="mean").item()
        held_out = _validate(self.model, self.held_out)
        self.loss.train()
        if self.stages is not None:
            seen = self.taken * self.config.batch_size * self.model.config.context
            stage = Stage(self.taken, seen, seconds, mean, held_out, None)
            ends = self.stages.reach(stage, dict(self.model.state_dict()))
            self.over = broadcast_object_list([ends])[0]  # the first process decides
        return [mean, held_out]

    def state(self) -> dict[str, Any]:
        state = {
            "model": dict(self.model.state_dict()),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generators": [generator.get_state() for generator in self.generators],
        }
        if self.stages is not None:
            state["stages"] = unplaced(self.stages.reached)
        return state

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        for generator, own in zip(self.generators, state["generators"], strict=False):
            generator.set_state(own)
        if self.stages is not None:
            self.stages.reached = list(placed(state["stages"], self.stages.folder))
