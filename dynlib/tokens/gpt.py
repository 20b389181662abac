r"""GPT-2 on cells of a grid: the model, its likelihoods, and generation beyond its context.

The network is transformers' ``GPT2LMHeadModel``; what is ours is the choice of the token
embedding and a batched generator that keeps the cache of keys and values bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from dynlib.dynamics.checks import (
    check_array,
    check_choice,
    check_count,
    check_is,
    check_number,
    check_room,
    check_seed,
    check_tokens,
)
from dynlib.training.device import on_gpu


@dataclass(frozen=True)
class GPTConfig:
    """Size and kind of a token model.

    Parameters
    ----------
    vocabulary : int
        Number of tokens, V.
    layers, heads, width, context : int
        Self-attention layers, heads a layer, width of the representation (a multiple of
        `heads`) and longest input in tokens. The paper: 12, 12, 768 and 1024.
    dropout : float
        Dropout in embeddings, attention and residual branches, in [0, 1).
    embedding : str
        ``"plain"``: one free vector a token, as in the paper. ``"factorised"``: to that
        vector is added one vector for the cell's place on each axis,
        :math:`E_c = w_c + \\sum_i u^{(i)}_{c_i}`, so that neighbours share what they learn;
        the same table serves input and output.

    Raises
    ------
    TypeError, ValueError
        For an impossible value.
    """

    vocabulary: int
    layers: int = 12
    heads: int = 12
    width: int = 768
    context: int = 1024
    dropout: float = 0.0
    embedding: str = "plain"

    def __post_init__(self) -> None:
        for name in ("vocabulary", "layers", "heads", "width"):
            check_count(name, getattr(self, name))
        check_count("context", self.context, least=2)
        for name in ("vocabulary", "layers", "heads", "width", "context"):
            object.__setattr__(self, name, int(getattr(self, name)))  # numpy's are not JSON
        check_number("dropout", self.dropout, least=0, below=1)
        check_choice("embedding", self.embedding, ("plain", "factorised"))
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, got width={self.width}, heads={self.heads}; "
                f"try {self.heads * -(-self.width // self.heads)}"
            )
        rows = self.vocabulary + self.context + 12 * self.layers * self.width
        check_room("the weights", rows, self.width)


class TokenGPT(nn.Module):
    """GPT-2 with tied input and output embeddings on the cells of a grid.

    Parameters
    ----------
    config : GPTConfig
        Sizes.
    cells : numpy.ndarray, optional
        Integer coordinates of each token's cell, shape (V, d), from
        :attr:`dynlib.tokens.grid.Grid.cells`; required by the factorised embedding.

    Raises
    ------
    ValueError
        If the factorised embedding lacks `cells` of matching length.

    Examples
    --------
    >>> model = TokenGPT(GPTConfig(vocabulary=5, layers=1, heads=1, width=8, context=4))
    >>> model(torch.tensor([[0, 1, 2]])).shape
    torch.Size([1, 3, 5])

    References
    ----------
    Radford et al. (2019), GPT-2; Shalova & Oseledets (2020).
    """

    def __init__(self, config: GPTConfig, cells: np.ndarray | None = None) -> None:
        check_model_inputs(config, cells)
        super().__init__()
        self.config = config
        self.gpt2 = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=config.vocabulary,
                n_positions=config.context,
                n_embd=config.width,
                n_layer=config.layers,
                n_head=config.heads,
                resid_pdrop=config.dropout,
                embd_pdrop=config.dropout,
                attn_pdrop=config.dropout,
                bos_token_id=None,
                eos_token_id=None,
                activation_function="gelu_pytorch_tanh",  # gelu_new's formula in one kernel
                attn_implementation="sdpa",
            )
        )
        self.axes = nn.ModuleList()
        if config.embedding == "factorised":
            places = torch.tensor(np.asarray(cells), dtype=torch.long)
            self.register_buffer("cells", places)  # (V, d)
            for axis in range(places.shape[1]):
                table = nn.Embedding(int(places[:, axis].max()) + 1, config.width)
                nn.init.normal_(table.weight, std=0.02)
                self.axes.append(table)

    def embeddings(self) -> torch.Tensor:
        """The embedding table, (V, width), that serves input and output."""
        table = self.gpt2.transformer.wte.weight
        for axis, places in enumerate(self.axes):
            table = table + places(self.cells[:, axis])
        return table

    def hidden(
        self, tokens: torch.Tensor, cache: DynamicCache | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Last hidden states (B, T, width) and the table (V, width) that turns them to logits."""
        check_continuation(tokens, cache, self.config)
        table = self.embeddings()
        states = self.gpt2.transformer(
            inputs_embeds=F.embedding(tokens, table),
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return states, table

    def forward(self, tokens: torch.Tensor, cache: DynamicCache | None = None) -> torch.Tensor:
        """Logits (B, T, V) of the token after each of `tokens` (B, T), given all before it.

        With `cache`, `tokens` continue the sequence whose keys and values it holds, and
        theirs are appended to it.
        """
        return F.linear(*self.hidden(tokens, cache))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.gpt2.device

    def count_parameters(self) -> int:
        """Number of trainable numbers (the tied output table counted once)."""
        return sum(weight.numel() for weight in self.parameters())


def check_model_inputs(config: GPTConfig, cells: np.ndarray | None) -> None:
    """Raise for what is not a configuration, or cells that are not those of its tokens."""
    check_is("config", config, GPTConfig, "a GPTConfig", "make one with GPTConfig(vocabulary, ...)")
    remedy = "give Grid.cells of the grid that made the tokens"
    if cells is None and config.embedding == "factorised":
        raise ValueError(f"cells must be given to the factorised embedding, got None; {remedy}")
    if cells is not None:
        check_tokens("cells", cells, ("V", "d"))
        if len(cells) != config.vocabulary:
            raise ValueError(
                f"cells must be those of all {config.vocabulary} tokens, got {len(cells)}; {remedy}"
            )


def check_input(
    name: str, tokens: torch.Tensor, vocabulary: int, shortest: int, longest: int
) -> None:
    """Raise for what is not a tensor of tokens (B, T), T in a range."""
    remedy = "use torch.as_tensor(..., dtype=torch.long)"
    check_is(name, tokens, torch.Tensor, "a tensor of int64", remedy)
    if tokens.dtype != torch.int64:
        raise TypeError(f"{name} must be a tensor of int64, got {tokens.dtype}; {remedy}")
    if tokens.ndim != 2 or not len(tokens) or not shortest <= tokens.shape[1] <= longest:
        raise ValueError(
            f"{name} must have shape (B, T) with T from {shortest} to {longest}, got "
            f"{tuple(tokens.shape)}; one sequence is {name}[None], a longer one is cut to its end"
        )
    if tokens.device.type == "cpu":  # elsewhere it would wait for the device
        check_tokens(name, tokens.numpy(), ("B", "T"), vocabulary=vocabulary)


def check_continuation(tokens: torch.Tensor, cache: DynamicCache | None, config: GPTConfig) -> None:
    """Raise for tokens that a model cannot read after those in the cache."""
    check_is("cache", cache, DynamicCache | None, "a DynamicCache or None", "leave it out")
    left = config.context - (cache.get_seq_length() if cache is not None else 0)
    check_input("tokens", tokens, config.vocabulary, 1, left)


def check_model(name: str, model: TokenGPT) -> None:
    """Raise TypeError for what is not a token model."""
    check_is(name, model, TokenGPT, "a TokenGPT", "make one with TokenGPT(GPTConfig(...))")


def check_models(name: str, models: Sequence[TokenGPT]) -> None:
    """Raise for what is not a list of one or more token models of one vocabulary and context."""
    remedy = f"one model alone is [{name}]"
    check_is(name, models, (list, tuple), "a list of models", remedy)
    for model in models:
        check_model(f"each of {name}", model)
    sizes = {(model.config.vocabulary, model.config.context) for model in models}
    if len(sizes) != 1:
        raise ValueError(
            f"{name} must be one or more with one vocabulary and one context, got "
            f"{sorted(sizes)}; train them with one configuration"
        )


def check_temperature(name: str, temperature: float | np.ndarray, n: int) -> None:
    """Raise for what is not one temperature, or `n` of them, 0 or from 1e-6 to 1e6."""
    if isinstance(temperature, (list, tuple, np.ndarray)):
        check_array(name, temperature, (n,), remedy="give one, or one a prompt")
    else:
        check_number(name, temperature, least=0)
    for each in np.ravel(temperature):
        if each and not 1e-6 <= each <= 1e6:
            raise ValueError(
                f"{name} must be 0 or from 1e-6 to 1e6, got {each}; 0 takes the likeliest token"
            )


@torch.no_grad()
def log_probabilities(
    model: TokenGPT, windows: np.ndarray, *, last: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Log-likelihood of each next token in windows, and whether it was the likeliest.

    Parameters
    ----------
    model : TokenGPT
        A trained model.
    windows : numpy.ndarray
        Tokens, shape (B, T + 1) with T at most the model's context.
    last : int, optional
        Only the last so many positions, S; all T without it.

    Returns
    -------
    log_likelihood : numpy.ndarray
        :math:`\ln p(w_{t+1} | w_{\le t})` in nats, shape (B, S), float64.
    correct : numpy.ndarray
        True where the next token is the model's first choice, shape (B, S).
    """
    from dynlib.tokens import accelerated  # which imports this module

    check_model("model", model)
    check_tokens("windows", windows, ("B", "T + 1"), vocabulary=model.config.vocabulary, shortest=2)
    windows = np.array(windows, dtype=np.int64)
    if windows.shape[1] - 1 > model.config.context:
        raise ValueError(
            f"windows must be {model.config.context + 1} tokens or shorter, one more than the "
            f"model's context, got {windows.shape[1]}; cut them to their end"
        )
    positions = windows.shape[1] - 1 if last is None else last
    check_count("last", positions, most=windows.shape[1] - 1, remedy="take longer windows")
    model.eval()
    if on_gpu(model.device):
        room = accelerated.free_bytes(model.device)
        return accelerated.likelihoods_in_stretches(model, windows, positions, room)
    kept = slice(-positions, None)
    # As many windows at once as make a gigabyte of logits, at most 64.
    batch_size = max(1, min(64, 2**28 // (positions * model.config.vocabulary)))
    likelihood, correct = [], []
    for start in range(0, len(windows), batch_size):
        tokens = torch.as_tensor(windows[start : start + batch_size], device=model.device)
        states, table = model.hidden(tokens[:, :-1])
        logits = F.linear(states[:, kept], table).float()  # (B, S, V)
        chosen = tokens[:, 1:][:, kept, None]
        likelihood.append((logits.log_softmax(-1).gather(-1, chosen)[..., 0]).cpu().numpy())
        correct.append((logits.argmax(-1, keepdim=True) == chosen)[..., 0].cpu().numpy())
    return np.concatenate(likelihood).astype(np.float64), np.concatenate(correct)


@torch.no_grad()
def next_probabilities(model: TokenGPT, prompts: np.ndarray) -> np.ndarray:
    """Probability of every token after `prompts` (B, T), the last `context` of each; (B, V)."""
    check_model("model", model)
    check_tokens("prompts", prompts, ("B", "T"), vocabulary=model.config.vocabulary)
    prompts = np.array(prompts, dtype=np.int64)
    model.eval()
    seen = torch.as_tensor(prompts[:, -model.config.context :], device=model.device)
    states, table = model.hidden(seen)
    return F.linear(states[:, -1], table).float().softmax(-1).cpu().numpy()


@torch.no_grad()
def generate(
    model: TokenGPT,
    prompts: np.ndarray,
    n_steps: int,
    *,
    temperature: float | np.ndarray = 1.0,
    seed: int = 0,
) -> np.ndarray:
    r"""Continue prompts for any number of steps.

    Each next token is drawn from :math:`\mathrm{softmax}(z / T)`, or is the likeliest one at
    T = 0. Keys and values are cached; when the context is full, the cache is rebuilt from
    the last half of the context, so that a token always sees between half a context and a
    whole one. On a GPU the cache has its memory from the start
    (:mod:`dynlib.tokens.accelerated`), and draws are others than on a CPU.

    Parameters
    ----------
    model : TokenGPT
        A trained model.
    prompts : numpy.ndarray
        Tokens, shape (B, P), P at least 1. The model sees the last `context` of them.
    n_steps : int
        Tokens to generate per prompt, at least 1.
    temperature : float or numpy.ndarray
        T, at least 0; for all, or one a prompt, shape (B,).
    seed : int
        Seed of the draws.

    Returns
    -------
    numpy.ndarray
        Generated tokens without the prompts, shape (B, n_steps), int64.
    """
    from dynlib.tokens import accelerated  # which imports this module

    check_model("model", model)
    check_tokens("prompts", prompts, ("B", "P"), vocabulary=model.config.vocabulary)
    check_count("n_steps", n_steps)
    check_temperature("temperature", temperature, len(prompts))
    check_seed("seed", seed)
    prompts = np.array(prompts, dtype=np.int64)
    warmth = np.array(temperature, dtype=np.float64)
    model.eval()
    if on_gpu(model.device):
        room = accelerated.free_bytes(model.device)
        return accelerated.continue_in_parts(model, prompts, n_steps, warmth, seed, room)
    context, length = model.config.context, prompts.shape[1]
    generator = torch.Generator(device=model.device).manual_seed(int(seed))
    tokens = torch.empty(len(prompts), length + n_steps, dtype=torch.long, device=model.device)
    tokens[:, :length] = torch.as_tensor(prompts, device=model.device)
    warmth = torch.as_tensor(warmth, dtype=torch.float32).expand(len(prompts)).to(model.device)
    greedy, drawn = (warmth == 0).nonzero()[:, 0], (warmth > 0).nonzero()[:, 0]
    divisor = warmth[drawn, None]
    cache, cached, seen = DynamicCache(), 0, max(0, length - context)
    for end in range(length, length + n_steps):
        if cached == context:
            cache, cached, seen = DynamicCache(), 0, end - context // 2
        fresh = tokens[:, seen:end]
        states, table = model.hidden(fresh, cache)
        logits = F.linear(states[:, -1], table).float()  # (B, V)
        cached, seen = cached + fresh.shape[1], end
        if len(greedy):
            tokens[greedy, end] = logits[greedy].argmax(-1)
        if len(drawn):
            tokens[drawn, end] = _draw(logits[drawn] / divisor, generator)
    return tokens[:, length:].cpu().numpy()


def _draw(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One token a row of logits (B, V)."""
    share = 1 - torch.rand(len(logits), 1, generator=generator, device=logits.device)  # (0, 1]
    return draw(logits, share)


def draw(logits: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """The token of each row of logits (B, V) where the cumulated probabilities reach a share.

    On a CPU a tenth of the time of ``torch.multinomial``, which draws a number a token.
    """
    cumulated = logits.softmax(-1).cumsum(-1)
    drawn = torch.searchsorted(cumulated, share * cumulated[:, -1:])[:, 0]
    return drawn.clamp_(max=logits.shape[1] - 1)  # a row of NaN, of a model that has failed
