"""Training to a cross-entropy of one half on the Lorenz system: ours, and plain transformers."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.compare import Bench, Different
from benchmarks.data import settings
from benchmarks.training import (
    USUAL,
    batches,
    check_losses,
    lorenz_model,
    own_steps,
    plain,
    plain_steps,
)  # fmt: skip
from dynlib.tokens.gpt import TokenGPT
from dynlib.tokens.windows import windows

#: The loss to reach, in nats, and how many steps lie between two looks at it.
TARGET, BETWEEN = 0.5, 25
#: A peer is stopped after so many times our time.
LONGEST = 5.0


class Race:
    """A training that ends when its loss on held-out windows is low enough."""

    def __init__(
        self,
        step: Callable[[int], float],
        logits: Callable[[torch.Tensor], torch.Tensor],
        held_out: torch.Tensor,
        target: float,
    ) -> None:
        self.step, self.logits, self.held_out, self.target = step, logits, held_out, target
        self.steps, self.seconds, self.loss = 0, 0.0, float("inf")

    @property
    def done(self) -> bool:
        return self.loss <= self.target

    @torch.no_grad()
    def look(self) -> float:
        """Cross-entropy of the held-out windows, in nats a token."""
        given, wanted = self.held_out[:, :-1], self.held_out[:, 1:]
        logits = self.logits(given).float()
        return F.cross_entropy(logits.flatten(0, 1), wanted.flatten()).item()

    def run(self, steps: int) -> None:
        """Some steps, whose time counts; then a look, whose time does not."""
        start = time.perf_counter()
        for _ in range(steps):
            self.step(self.steps)
            self.steps += 1
        self.seconds += time.perf_counter() - start
        self.loss = self.look()


def measure(bench: Bench) -> None:
    """All trainings go on by turns, so that what else the machine does slows down all of them."""
    config, recipe, tokens, cells = lorenz_model(bench)
    learn, held = tokens[:-2], tokens[-2:]
    held_out = torch.as_tensor(windows(held, config.context + 1, bench.size(128, 4)).astype(int))
    torch.manual_seed(0)
    model = TokenGPT(config, cells)
    ours = own_steps(model, recipe, learn)

    def scheduled(number: int) -> float:
        for optimizer in ours.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * recipe.rate(number)
        return ours()

    target = bench.size(TARGET, 10.0)
    printed = settings("lorenz_tokens_50", "paper")["learning_rate"]
    peers = {}
    for words, rate in (("a usual rate", USUAL), ("the printed rate", printed)):
        other = plain(model)
        check_losses(model, other, next(batches(learn, config, recipe)))
        theirs = plain_steps(other, rate, batches(learn, config, recipe))
        peers[f"plain GPT2LMHeadModel, fp32, AdamW at {words}, {rate:.0e}"] = Race(
            lambda _, theirs=theirs: theirs(),
            lambda t, other=other: other(input_ids=t).logits, held_out, target,
        )  # fmt: skip
    first = Race(scheduled, model, held_out, target)
    while not first.done and first.steps < recipe.steps:
        for each in (first, *peers.values()):
            if not each.done:
                each.run(bench.size(BETWEEN, 1))
    if not first.done:
        raise Different(f"ours ends at {first.loss:.2f} nats, not at {target}")
    for name, peer in peers.items():
        while not peer.done and peer.seconds < LONGEST * first.seconds:
            peer.run(bench.size(BETWEEN, 1))
        note = f"timed once; {first.steps} steps against {peer.steps}"
        if not peer.done:
            note += f", where the peer was stopped at {peer.loss:.2f} nats: the ratio is larger"
        bench.add(
            f"GPT-2 on Lorenz, {config.vocabulary} cells: training to {target:g} nats", name,
            np.array([[first.seconds, peer.seconds]]), aim=4.0, note=note,
        )  # fmt: skip
