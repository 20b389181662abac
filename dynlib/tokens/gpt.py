r"""GPT-2 on cells of a grid: the model, its likelihoods, and generation beyond its context.

The network is transformers' ``GPT2LMHeadModel``; what is ours is the choice of the token
embedding and a batched generator that keeps the cache of keys and values bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from dynlib.tokens.windows import check_tokens


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
    ValueError
        For an impossible size or another `embedding`.
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
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.context < 2:
            raise ValueError(f"context must be at least 2 tokens, got {self.context}")
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, got width={self.width}, heads={self.heads}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if self.embedding not in ("plain", "factorised"):
            raise ValueError(f"embedding must be 'plain' or 'factorised', got {self.embedding!r}")


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
            if cells is None or len(cells) != config.vocabulary:
                raise ValueError(
                    f"the factorised embedding needs the cells of all {config.vocabulary} tokens "
                    f"(Grid.cells), got {None if cells is None else np.shape(cells)}"
                )
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

    Raises
    ------
    ValueError
        If the windows are longer than the context allows, or shorter than `last` asks.
    """
    if np.ndim(windows) != 2:
        raise ValueError(
            f"windows must have shape (B, T + 1), got {np.shape(windows)}; one is window[None]"
        )
    if windows.shape[1] - 1 > model.config.context:
        raise ValueError(
            f"windows of {windows.shape[1]} tokens need a context of {windows.shape[1] - 1}, "
            f"the model's is {model.config.context}"
        )
    positions = windows.shape[1] - 1 if last is None else last
    if not 1 <= positions < windows.shape[1]:
        raise ValueError(f"last must lie in [1, {windows.shape[1] - 1}], got {last}")
    model.eval()
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
    if np.ndim(prompts) != 2 or not np.shape(prompts)[1]:
        raise ValueError(
            f"prompts must have shape (B, T) with T of 1 or more, got {np.shape(prompts)}; one is "
            "prompt[None]"
        )
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
    whole one.

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

    Raises
    ------
    ValueError
        For an impossible size, a negative temperature, or tokens outside the vocabulary.
    """
    if n_steps < 1 or prompts.ndim != 2 or prompts.shape[1] < 1:
        raise ValueError(
            f"generation needs prompts (B, P) with P >= 1 and n_steps >= 1, got shape "
            f"{prompts.shape} and n_steps={n_steps}"
        )
    warmth = np.asarray(temperature, dtype=np.float64)
    if warmth.shape not in ((), (len(prompts),)) or not (np.isfinite(warmth) & (warmth >= 0)).all():
        raise ValueError(
            f"temperature must be finite and at least 0, one or {len(prompts)} of them, got "
            f"{temperature}"
        )
    check_tokens(prompts, model.config.vocabulary)
    model.eval()
    context, length = model.config.context, prompts.shape[1]
    generator = torch.Generator(device=model.device).manual_seed(seed)
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
    """One token a row of logits (B, V), by inverting the cumulated probabilities.

    On a CPU a tenth of the time of ``torch.multinomial``, which draws a number a token.
    """
    cumulated = logits.softmax(-1).cumsum(-1)
    share = 1 - torch.rand(len(logits), 1, generator=generator, device=logits.device)  # (0, 1]
    drawn = torch.searchsorted(cumulated, share * cumulated[:, -1:])[:, 0]
    return drawn.clamp_(max=logits.shape[1] - 1)  # a row of NaN, of a model that has failed
