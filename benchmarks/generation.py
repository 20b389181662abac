"""Continuing prompts: ours, transformers' generator, and whole forward passes."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.compare import Bench, Different, Side, check_share
from benchmarks.data import henon_tokens, settings
from benchmarks.training import plain
from dynlib.tokens.accelerated import continue_in_parts
from dynlib.tokens.generation import continued
from dynlib.tokens.gpt import GPTConfig, TokenGPT, draw, generate


def by_transformers(
    peer: torch.nn.Module, prompts: np.ndarray, n_steps: int, *, sample: bool = False
) -> np.ndarray:
    """Continuations by ``model.generate``, which starts anew when the context is full.

    Then it is given the last half of the context, as ours is.
    """
    context = peer.config.n_positions
    options = {"do_sample": True, "top_k": 0} if sample else {"do_sample": False}
    found = torch.as_tensor(prompts[:, -context:])
    length, seen = found.shape[1], found.shape[1]
    while (done := found.shape[1] - length) < n_steps:
        heard = found[:, -seen:]
        new = min(context - seen + 1, n_steps - done)
        text = peer.generate(
            heard, attention_mask=torch.ones_like(heard), max_new_tokens=new, min_new_tokens=new,
            pad_token_id=0, **options,
        )  # fmt: skip
        found, seen = torch.cat([found, text[:, heard.shape[1] :]], dim=1), context // 2
    return found[:, length:].numpy()


@torch.no_grad()
def by_whole_passes(model: TokenGPT, prompts: np.ndarray, n_steps: int) -> np.ndarray:
    """Continuations without a cache."""
    sequence = torch.as_tensor(prompts)
    for _ in range(n_steps):
        sequence = torch.cat([sequence, model(sequence)[:, -1:].argmax(-1)], dim=1)
    return sequence[:, prompts.shape[1] :].numpy()


def alike(mine: np.ndarray, other: np.ndarray) -> None:
    """The likeliest tokens are the same, but where rounding decides."""
    check_share(mine, other, 0.98)


def measure(bench: Bench) -> None:
    given = settings("henon_tokens")
    tokens, grid = henon_tokens(20, 2000, bench.size(given["n_cells"], 6))
    size = {name: given[name] for name in ("layers", "heads", "width", "context")}
    if bench.tiny:
        size |= {"width": 16, "context": 8}
    torch.manual_seed(0)
    model = TokenGPT(GPTConfig(grid.vocabulary, **size)).eval()
    peer = plain(model).eval()
    count, steps = bench.size((100, 1000), (3, 20))
    rows = np.resize(tokens, (1000, tokens.shape[1]))[:, : size["context"] - 4]
    prompts, short = rows[:count], bench.size(200, 12)
    what = f"{count} rollouts of {steps} states"
    note = f"GPT-2 of the Hénon run, {grid.vocabulary} cells, context {size['context']}"

    def ours() -> np.ndarray:
        return continued(model, prompts, short, 0.0, 0)

    def check_greedy(*_: np.ndarray) -> None:
        mine, other = (
            continued(model, prompts, short, 0.0, 0),
            by_transformers(peer, prompts, short),
        )
        alike(mine, other)

    bench.compare(
        f"{what}, sampled", "transformers' generate",
        lambda: continued(model, prompts, steps, 1.0, 0),
        lambda: by_transformers(peer, prompts, steps, sample=True), check_greedy,
        aim=3.0, note=f"{note}; the greedy continuations of both are the same", seconds=15,
        limit="products and attention, which are the same on both sides, are about half of our "
        "time; the rest are small operations, each with the time that torch takes to begin it",
    )  # fmt: skip
    what = f"{count} rollouts of {short} states, greedy"
    bench.compare(
        what, "transformers' generate",
        ours, lambda: by_transformers(peer, prompts, short), alike, seconds=6, note=note,
    )  # fmt: skip
    bench.compare(
        f"{what}: memory from the start", "a cache that grows",
        ours, lambda: generate(model, prompts, short, temperature=0), alike, seconds=6,
        note=note,
    )  # fmt: skip
    bench.curve(
        f"rollouts, {count} at once", "states of each",
        bench.size([30, 60, 120, 240], [4, 8, 12]),
        [
            Side(
                "ours", lambda n: lambda: continued(model, prompts, n, 0.0, 0), "n", float,
            ),
            Side("generate", lambda n: lambda: by_transformers(peer, prompts, n), "n", float),
        ],
        alike, fitted_from=bench.size(30, 4),
    )  # fmt: skip
    caches(bench)
    draws(bench)


def caches(bench: Bench) -> None:
    """Within a context: a cache against none, and the memory that a GPU uses on a CPU."""
    context, steps = bench.size((128, 100), (32, 12))
    torch.manual_seed(0)
    model = TokenGPT(GPTConfig(bench.size(344, 30), 1, 4, bench.size(64, 16), context)).eval()
    rng = np.random.default_rng(0)
    prompts = rng.integers(0, model.config.vocabulary, bench.size((50, 28), (3, 20)))
    bench.compare(
        f"{steps} tokens for {len(prompts)} prompts, with a cache", "whole forward passes",
        lambda: generate(model, prompts, steps, temperature=0),
        lambda: by_whole_passes(model, prompts, steps), alike, seconds=5,
    )  # fmt: skip
    torch.manual_seed(0)
    vocabulary, width = bench.size((344, 64), (30, 16))
    model = TokenGPT(GPTConfig(vocabulary, 2, 4, width, bench.size(64, 16))).eval()
    for count in bench.size((20, 200), (2, 3)):
        prompts = rng.integers(0, vocabulary, (count, bench.size(50, 8)))
        bench.compare(
            f"{steps} tokens for {count} prompts: memory from the start", "a cache that grows",
            lambda p=prompts: continue_in_parts(model, p, steps, 0.0, 0, room=10**9),
            lambda p=prompts: generate(model, p, steps, temperature=0), alike, seconds=4,
        )  # fmt: skip


def draws(bench: Bench) -> None:
    """One token a row of logits: by the inverted sum, and by torch's multinomial."""
    count, vocabulary = bench.size((200, 5000), (20, 50))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, vocabulary, generator=generator)

    def ours() -> torch.Tensor:
        return draw(logits, 1 - torch.rand(count, 1, generator=generator))

    def check_chances(*_: torch.Tensor) -> None:
        """Both draw the tokens as often as their probabilities say, within chance."""
        few, times = torch.tensor([[0.0, 1.0, 2.0]]).repeat(10_000, 1), 10_000
        expected = few[0].softmax(-1)
        spread = 5 * (expected * (1 - expected) / times).sqrt()
        shares = torch.rand(times, 1, generator=generator)
        for drawn in (
            draw(few, 1 - shares),
            torch.multinomial(few.softmax(-1), 1, generator=generator)[:, 0],
        ):
            seen = torch.bincount(drawn, minlength=3) / times
            if not ((seen - expected).abs() < spread).all():
                raise Different(f"the tokens were drawn {seen.tolist()} times")

    bench.compare(
        f"{count} draws from {vocabulary} tokens: inverted sum", "torch.multinomial",
        ours, lambda: torch.multinomial(logits.softmax(-1), 1, generator=generator),
        check_chances, seconds=3,
    )  # fmt: skip
