r"""Scoring and generation that suit a GPU: few kernels, few waits, memory reserved in advance.

Both run on a CPU too, where tests compare them with the plain ways of :mod:`dynlib.tokens.gpt`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from dynlib.dynamics.checks import check_count, check_is
from dynlib.tokens.gpt import GPTConfig, TokenGPT, draw
from dynlib.training.device import on_gpu

#: Tokens that the blocks of a model read at once, to be scored and to fill a cache.
SCORED, FILLED = 8192, 2048


def free_bytes(device: torch.device) -> int:
    """Nine tenths of the memory of a GPU that is free, what torch holds in reserve included."""
    free, _ = torch.cuda.mem_get_info(device)
    spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (free + spare) * 9 // 10


def logits_in_tf32(states: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Logits (n, V) in fp32, of factors that a GPU may round to 11 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return F.linear(states, table)
    finally:
        torch.set_float32_matmul_precision(before)


@torch.no_grad()
def likelihoods_in_stretches(
    model: TokenGPT, windows: np.ndarray, positions: int, room: int, *, bf16: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`dynlib.tokens.gpt.log_probabilities`, with logits in stretches of `room` bytes.

    Blocks compute in bf16, logits in TF32 and what follows from them in fp32: logits in bf16 moved
    the cross-entropy of a trained model fifty times as far as all of this, tried on a CPU.
    """
    device, likelihood, correct = model.device, [], []
    # Logits and what their logsumexp makes are three tables, in half of the room.
    stretch = max(1, room // (24 * model.config.vocabulary))
    for some in torch.as_tensor(windows).split(max(1, SCORED // (windows.shape[1] - 1))):
        tokens = some.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            states, table = model.hidden(tokens[:, :-1])
        states = states[:, -positions:].flatten(0, 1).float()
        chosen = tokens[:, -positions:].flatten()
        for rows, targets in zip(states.split(stretch), chosen.split(stretch), strict=True):
            logits = logits_in_tf32(rows, table)  # (stretch, V)
            picked = logits.gather(-1, targets[:, None])[:, 0]
            likelihood.append(picked - logits.logsumexp(-1))
            correct.append(logits.argmax(-1) == targets)
    found = torch.cat(likelihood).double().cpu().numpy(), torch.cat(correct).cpu().numpy()
    return found[0].reshape(-1, positions), found[1].reshape(-1, positions)


def decoding_bytes(config: GPTConfig, prompts: int, tokens: int) -> int:
    """Memory to continue prompts in fp32, without the weights.

    Parameters
    ----------
    config : GPTConfig
        The model.
    prompts, tokens : int
        How many prompts, and the length of each with its continuation.

    Examples
    --------
    >>> round(decoding_bytes(GPTConfig(2500), prompts=200, tokens=600) / 1e9, 1)
    9.5
    """
    check_is("config", config, GPTConfig, "a GPTConfig", "make one with GPTConfig(vocabulary, ...)")
    check_count("prompts", prompts)
    check_count("tokens", tokens, least=2)
    positions = min(config.context, tokens)
    layer = prompts * positions * config.width
    cache = (2 * config.layers + 1) * layer  # plain attention copies the keys of a layer
    block = max(FILLED, positions) * (12 * config.width + 3 * config.heads * positions)
    logits = 6 * prompts * config.vocabulary  # three tables, in the graph's memory and outside
    table = config.vocabulary * config.width * (config.embedding == "factorised")
    return 4 * (cache + block + logits + table) + 12 * prompts * tokens


def parts_that_fit(config: GPTConfig, prompts: int, tokens: int, room: int) -> int:
    """Parts of equal size in which prompts are continued, so that each fits in `room` bytes."""
    for parts in range(1, prompts + 1):
        if decoding_bytes(config, -(-prompts // parts), tokens) <= room:
            return parts
    raise ValueError(
        f"the memory must hold one prompt with its continuation, {tokens} tokens, got "
        f"{room / 1e9:.2g} GB free where {decoding_bytes(config, 1, tokens) / 1e9:.2g} GB are "
        "needed; free memory of the device, or use a smaller model"
    )


@torch.no_grad()
def continue_in_parts(
    model: TokenGPT,
    prompts: np.ndarray,
    n_steps: int,
    temperature: float | np.ndarray,
    seed: int,
    room: int,
) -> np.ndarray:
    """As :func:`dynlib.tokens.gpt.generate`, in `room` bytes.

    All random numbers are drawn beforehand, a row of them for each prompt, so that they do not
    depend on the parts in which the prompts are continued.
    """
    length, device = prompts.shape[1], model.device
    parts = parts_that_fit(model.config, len(prompts), length + n_steps, room)
    warmth = torch.as_tensor(temperature, dtype=torch.float32).expand(len(prompts))
    drawn = (warmth > 0).nonzero()[:, 0].to(device)
    generator = torch.Generator(device=device).manual_seed(int(seed))
    shares = torch.zeros(n_steps, len(prompts), 1, device=device)
    numbers = torch.rand(n_steps, len(drawn), 1, generator=generator, device=device)
    shares[:, drawn] = 1 - numbers  # in (0, 1]
    tokens = torch.as_tensor(prompts, device=device)
    table, found = model.embeddings(), []
    for rows in torch.arange(len(prompts)).chunk(parts):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        new = StaticDecoder(
            model, table, tokens[part], shares[:, part], warmth[part]
        ).continuation()
        found.append(new.cpu().numpy())
    return np.concatenate(found)


class StaticDecoder:
    """Continues prompts (B, P) with one reserved stretch of memory for all keys and values.

    Everything that changes is a tensor with its own place, counters included. So a step needs
    nothing from the host, and can be captured as a graph, which launches its kernels at once.

    Parameters
    ----------
    model : TokenGPT
        A trained model.
    table : torch.Tensor
        Its embeddings, (V, width).
    prompts : torch.Tensor
        Tokens, (B, P).
    shares : torch.Tensor
        Random numbers in (0, 1], (n_steps, B, 1).
    warmth : torch.Tensor
        Temperature of each prompt, (B,), on the CPU.
    """

    def __init__(
        self,
        model: TokenGPT,
        table: torch.Tensor,
        prompts: torch.Tensor,
        shares: torch.Tensor,
        warmth: torch.Tensor,
    ) -> None:
        config, device = model.config, prompts.device
        self.model, self.table, self.shares = model, table, shares
        self.draws = bool((warmth > 0).any())
        self.greedy = (warmth == 0).to(device)
        self.divisor = torch.where(warmth > 0, warmth, 1.0)[:, None].to(device)
        self.length = prompts.shape[1]
        self.tokens = F.pad(prompts, (0, len(shares)))  # (B, P + n_steps)
        positions = min(config.context, self.tokens.shape[1])
        shape = (config.layers, len(prompts), config.heads, positions, config.width // config.heads)
        self.keys, self.values = (torch.zeros(shape, device=device) for _ in range(2))
        #: Where the next token is written, and the position of the one before it in the cache.
        self.end, self.place = (torch.zeros(1, dtype=torch.long, device=device) for _ in range(2))

    def continuation(self) -> torch.Tensor:
        """The tokens that follow the prompts, (B, n_steps)."""
        context, step = self.model.config.context, None
        start = max(0, self.length - context)
        for end in range(self.length, self.tokens.shape[1]):
            full = end - start > context
            start = end - context // 2 if full else start
            if full or end == self.length:
                self.read(start, end)
            else:
                step = step or (captured(self) if on_gpu(self.tokens.device) else self.step)
                step()
        return self.tokens[:, self.length :]

    def read(self, start: int, end: int) -> None:
        """Refill the cache from the tokens between two positions, and write the next token."""
        places = torch.arange(end - start, device=self.tokens.device)
        self.end.fill_(end)
        self.place.fill_(end - start)
        few = max(1, FILLED // len(places))
        last = [
            self._states(self.tokens[first : first + few, start:end], places, first)
            for first in range(0, len(self.tokens), few)
        ]
        self._write(torch.cat(last))

    def step(self) -> None:
        """Read the last token, and write the next one."""
        heard = self.tokens.index_select(1, self.end - 1)
        last = self._states(heard, self.place, 0)
        self.place += 1
        self._write(last)

    def _states(self, tokens: torch.Tensor, places: torch.Tensor, first: int) -> torch.Tensor:
        """Last hidden state, (b, width), of rows from the first on that are read at some places."""
        body, heads = self.model.gpt2.transformer, self.model.config.heads
        rows, sees = slice(first, first + len(tokens)), None
        reach = self.keys.shape[3] if len(places) == 1 else len(places)
        if len(places) == 1:
            sees = torch.arange(reach, device=places.device) <= places[:, None]
        states = F.embedding(tokens, self.table) + body.wpe(places)  # (b, T, width)
        for block, keys, values in zip(
            body.h, self.keys[:, rows], self.values[:, rows], strict=True
        ):
            query, key, value = (
                each.unflatten(-1, (heads, -1)).transpose(1, 2)  # (b, heads, T, width / heads)
                for each in block.attn.c_attn(block.ln_1(states)).chunk(3, -1)
            )
            keys.index_copy_(2, places, key)
            values.index_copy_(2, places, value)
            last = block is body.h[-1]  # only its newest state is needed
            if last:
                query, states = query[:, :, -1:], states[:, -1:]
            heard = F.scaled_dot_product_attention(
                query, keys[:, :, :reach], values[:, :, :reach], sees,
                is_causal=sees is None and not last,
            )  # fmt: skip
            states = states + block.attn.c_proj(heard.transpose(1, 2).flatten(2))
            states = states + block.mlp(block.ln_2(states))
        return body.ln_f(states[:, -1])

    def _write(self, last: torch.Tensor) -> None:
        logits = F.linear(last, self.table)  # (B, V)
        chosen = logits.argmax(-1)
        if self.draws:
            share = self.shares.index_select(0, self.end - self.length)[0]
            chosen = torch.where(self.greedy, chosen, draw(logits.div_(self.divisor), share))
        self.tokens.index_copy_(1, self.end, chosen[:, None])
        self.end += 1


def captured(decoder: StaticDecoder) -> Callable[[], None]:
    """The step of a decoder on a GPU as a graph, and its counters as they were."""
    counters = decoder.end.clone(), decoder.place.clone()
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        decoder.step()  # libraries set themselves up at first use, which cannot be captured
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        decoder.step()
    for counter, before in zip((decoder.end, decoder.place), counters, strict=True):
        counter.copy_(before)
    return graph.replay
