"""Training a token model, against plain transformers; and what each of our choices brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import ACT2FN
from transformers.utils import logging

from benchmarks.compare import Bench, check_same, median, seconds_of
from benchmarks.data import lorenz_tokens, settings
from dynlib.report import prices
from dynlib.tokens.gpt import GPTConfig, TokenGPT
from dynlib.tokens.loss import NextTokenLoss
from dynlib.tokens.recipes import TrainingConfig, make_optimizers
from dynlib.tokens.windows import random_windows

logging.set_verbosity_error()  # a word about the loss of its own models
Loss = Callable[[torch.Tensor], torch.Tensor]
#: A usual learning rate of AdamW for a small model.
USUAL = 1e-3


def plain(model: TokenGPT) -> GPT2LMHeadModel:
    """The same model as transformers makes it, with the same weights."""
    config = model.config
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocabulary, n_positions=config.context, n_embd=config.width,
            n_layer=config.layers, n_head=config.heads, bos_token_id=None, eos_token_id=None,
            resid_pdrop=config.dropout, embd_pdrop=config.dropout, attn_pdrop=config.dropout,
        )
    )  # fmt: skip
    peer.load_state_dict(model.gpt2.state_dict())
    with torch.no_grad():
        peer.transformer.wte.weight.copy_(model.embeddings())
    return peer


class Steps:
    """Steps of a training on random windows, one a call; its result is the loss."""

    def __init__(
        self,
        module: torch.nn.Module,
        loss: Loss,
        optimizers: list[torch.optim.Optimizer],
        batches: Iterator[np.ndarray],
        *,
        bf16: bool,
        clip: float = 0.0,
    ) -> None:
        self.module, self.loss, self.optimizers, self.batches = module, loss, optimizers, batches
        self.bf16, self.clip = bf16, clip

    def __call__(self) -> float:
        tokens = torch.as_tensor(next(self.batches))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.loss(tokens)
        loss.backward()
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())


def batches(tokens: np.ndarray, config: GPTConfig, recipe: TrainingConfig) -> Iterator[np.ndarray]:
    """The windows of one step after the other, as in a training."""
    number = 0
    while True:
        length = config.context + 1
        yield random_windows(tokens, length, recipe.batch_size, [0, number]).astype(np.int64)
        number += 1


def own_steps(model: TokenGPT, recipe: TrainingConfig, tokens: np.ndarray) -> Steps:
    """Our training of a model, as :mod:`dynlib.tokens.training` does it on a processor."""
    bf16 = recipe.autocast(model.config, "cpu")
    if bf16:
        model.gpt2.set_attn_implementation("eager")
    return Steps(
        model, NextTokenLoss(model), make_optimizers(model, recipe),
        batches(tokens, model.config, recipe), bf16=bf16, clip=recipe.clip,
    )  # fmt: skip


def plain_steps(
    peer: GPT2LMHeadModel, rate: float, drawn: Iterator[np.ndarray], *, bf16: bool = False
) -> Steps:
    """Training by plain transformers and AdamW, on the same windows."""
    return Steps(
        peer, lambda tokens: peer(input_ids=tokens, labels=tokens).loss,
        [torch.optim.AdamW(peer.parameters(), rate)], (each[:, :-1] for each in drawn), bf16=bf16,
    )  # fmt: skip


def lorenz_model(bench: Bench) -> tuple[GPTConfig, TrainingConfig, np.ndarray, np.ndarray]:
    """Model, recipe, tokens and cells of the run on 50 cells an axis, at the cpu preset."""
    given = settings("lorenz_tokens_50")
    length = bench.size(given["trajectory_length"], 300)
    tokens, grid = lorenz_tokens(
        bench.size(given["train_trajectories"], 4), length, bench.size(given["n_cells"], 6)
    )
    small = {"width": 16, "context": 8} if bench.tiny else {}
    names = ("layers", "heads", "width", "context", "dropout", "embedding")
    config = GPTConfig(grid.vocabulary, **{name: given[name] for name in names} | small)
    keys = (
        "batch_size", "learning_rate", "optimizer", "beta2", "epsilon", "weight_decay", "schedule",
        "clip", "precision",
    )  # fmt: skip
    recipe = TrainingConfig(given["steps"], **{key: given[key] for key in keys})
    return config, recipe, tokens, grid.cells


def of_a_run(bench: Bench) -> None:
    """A step of the run on 50 cells an axis: ours, and plain transformers."""
    config, recipe, tokens, cells = lorenz_model(bench)
    torch.manual_seed(0)
    model = TokenGPT(config, cells)
    for group, bf16, aim in (
        ("plain GPT2LMHeadModel, AdamW, fp32", False, 2.5),
        ("plain GPT2LMHeadModel, AdamW, the same autocast", True, None),
    ):
        peer = plain(model)
        ours = own_steps(model, recipe, tokens)
        theirs = plain_steps(peer, USUAL, batches(tokens, config, recipe), bf16=bf16)
        check_losses(model, peer, next(batches(tokens, config, recipe)))
        found = bench.compare(
            f"GPT-2 on Lorenz, {config.vocabulary} cells: a training step", group,
            ours, theirs, lambda mine, other: check_same("the loss", mine, other, 0.05),
            aim=aim, seconds=10,
            note="with the draw of the batch, the gradients and the optimisers, "
            + ("Muon and AdamW" if recipe.optimizer == "muon" else "AdamW"),
        )  # fmt: skip
        rates = [recipe.batch_size * config.context / median(side) for side in found.T]
        bench.rows[-1]["note"] += f"; {rates[0]:.0f} against {rates[1]:.0f} tokens a second"
        if aim:
            bench.rows[-1]["limit"] = products(model, rates[0])


def products(model: TokenGPT, rate: float) -> str:
    """How fast a step computes, beside a product of large matrices on the same machine."""
    size = 1024 if model.config.width > 16 else 16
    square = torch.randn(size, size, dtype=torch.bfloat16)
    peak = 2 * size**3 / seconds_of(lambda: square @ square)
    speed = rate * prices.flops_per_token(model.config)
    return (
        f"our step does {speed / 1e9:.0f}·10⁹ operations a second, a product of {size} × {size} "
        f"matrices in bf16 {peak / 1e9:.0f}·10⁹: matrices of width {model.config.width} are too "
        "small for more, and softmax, norms and optimisers come on top"
    )


@torch.no_grad()
def check_losses(model: TokenGPT, peer: GPT2LMHeadModel, windows: np.ndarray) -> None:
    """The same weights have the same loss, whichever side computes it."""
    tokens = torch.as_tensor(windows)
    model.eval(), peer.eval()
    with torch.autocast("cpu", torch.bfloat16):
        mine = NextTokenLoss(model)(tokens).item()
    logits = peer(tokens[:, :-1]).logits
    check_same(
        "the loss", mine, F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).item()
    )
    model.train(), peer.train()


def step(
    bench: Bench,
    width: int,
    vocabulary: int,
    *,
    bf16: bool = False,
    whole: bool = False,
    activation: str = "",
) -> Callable[[], float]:
    """Five times the loss and its gradients; the result is the loss."""
    torch.manual_seed(0)
    if bench.tiny:
        width, vocabulary = 16, 50
    model = TokenGPT(GPTConfig(vocabulary, 1, 4, width, 32))
    if activation:
        for block in model.gpt2.transformer.h:
            block.mlp.act = ACT2FN[activation]
    tokens = torch.randint(0, vocabulary, (bench.size(64, 4), 33))
    loss_of = NextTokenLoss(model)

    def once() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if whole:
                logits = model(tokens[:, :-1])
                loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
            else:
                loss = loss_of(tokens)
        loss.backward()
        model.zero_grad()
        return loss

    return lambda: [once() for _ in range(bench.size(5, 1))][-1].item()


def measure(bench: Bench) -> None:
    of_a_run(bench)

    def alike(mine: float, other: float) -> None:
        check_same("the loss", mine, other)

    bench.compare(
        "gradients, width 64: fused tanh-GELU", "transformers' gelu_new",
        step(bench, 64, 344), step(bench, 64, 344, activation="gelu_new"), alike, seconds=3,
    )  # fmt: skip
    for width, vocabulary in ((64, 344), (128, 5000)):
        bench.compare(
            f"gradients, width {width}, {vocabulary} tokens: bf16", "fp32",
            step(bench, width, vocabulary, bf16=True), step(bench, width, vocabulary), alike,
            seconds=4,
        )  # fmt: skip
    bench.compare(
        "gradients, width 128, 5000 tokens, bf16: logits in stretches", "the whole table",
        step(bench, 128, 5000, bf16=True), step(bench, 128, 5000, bf16=True, whole=True), alike,
        seconds=4,
    )  # fmt: skip
