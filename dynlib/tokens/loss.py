"""The loss of a token model, in stretches where the whole table of logits would be too much."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dynlib.dynamics.checks import check_count
from dynlib.tokens.gpt import TokenGPT, check_input, check_model
from dynlib.training.device import on_gpu


class NextTokenLoss(nn.Module):
    """Mean cross-entropy of the next token, as a module, so that a parallel wrapper can hold it.

    Under bf16 autocast the logits are made and spent in stretches of 256 tokens, so that the
    whole (B T, V) table of them never exists; with thousands of tokens in the vocabulary that
    table is most of the time of a step on a CPU. torch's own ``linear_cross_entropy`` does the
    same, but sums the loss itself in bf16, which is wrong by a percent or two.

    On a GPU the stretches are as long as its memory allows, one where the whole table fits.
    """

    def __init__(self, model: TokenGPT) -> None:
        check_model("model", model)
        super().__init__()
        self.model = model
        self.rows = 0  # of logits at once on a GPU, from the first step on

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Loss in nats per token on windows (B, T + 1)."""
        config = self.model.config
        check_input("windows", windows, config.vocabulary, 2, config.context + 1)
        states, table = self.model.hidden(windows[:, :-1])
        states, targets = states.flatten(0, 1), windows[:, 1:].flatten()
        if on_gpu(states.device):
            self.rows = self.rows or rows_that_fit(
                torch.cuda.mem_get_info(states.device)[0], config.vocabulary
            )
            return in_stretches(states, table, targets, self.rows)
        if torch.is_autocast_enabled(states.device.type):
            return _StretchedCrossEntropy.apply(states, table, targets)
        return F.cross_entropy(F.linear(states, table).float(), targets)


def rows_that_fit(free_bytes: int, vocabulary: int) -> int:
    """Rows of logits whose loss and gradient take at most half of the free memory, at least 256.

    A logit takes 16 bytes: in bf16 and in fp32, and the same again for its gradient, with the
    logarithm of its probability.

    Examples
    --------
    >>> rows_that_fit(70 * 2**30, 125_000), rows_that_fit(8 * 2**30, 125_000)
    (18790, 2147)
    """
    check_count("free_bytes", free_bytes, least=0, most=2**63)
    check_count("vocabulary", vocabulary)
    return max(256, int(free_bytes) // (2 * 16 * int(vocabulary)))


def in_stretches(states: Tensor, table: Tensor, targets: Tensor, rows: int) -> Tensor:
    """Mean cross-entropy of ``states @ table.T`` at the targets, of so many rows at a time.

    One stretch keeps its logits for the gradient; several make them a second time.
    """
    if len(states) <= rows:
        return _of_rows(states, table, targets, "mean")
    parts = zip(states.split(rows), targets.split(rows), strict=True)
    sums = [
        checkpoint(
            _of_rows, part, table, chosen, "sum",
            use_reentrant=False, preserve_rng_state=False,
        )
        for part, chosen in parts
    ]  # fmt: skip
    return torch.stack(sums).sum() / len(states)


def _of_rows(states: Tensor, table: Tensor, targets: Tensor, reduction: str) -> Tensor:
    return F.cross_entropy(F.linear(states, table).float(), targets, reduction=reduction)


class _StretchedCrossEntropy(torch.autograd.Function):
    """Mean of -ln softmax(states @ table.T) at the targets; both gradients made on the way."""

    @staticmethod
    def forward(ctx, states, table, targets, stretch=256):
        low, n = table.to(torch.bfloat16), len(states)
        d_states = torch.empty_like(states)  # (n, width)
        d_table = torch.zeros_like(table, dtype=torch.float32)  # (V, width)
        total = torch.zeros((), device=states.device)
        for start in range(0, n, stretch):
            rows = slice(start, start + stretch)
            here, chosen = states[rows].to(torch.bfloat16), targets[rows, None]
            logits = (here @ low.T).float()  # (stretch, V); from here on in place
            logits -= logits.amax(1, keepdim=True)
            picked = logits.gather(1, chosen)
            norm = logits.exp_().sum(1, keepdim=True)
            total += (norm.log() - picked).sum()
            logits /= norm * n
            logits.scatter_add_(1, chosen, torch.full_like(picked, -1 / n))
            gradient = logits.to(torch.bfloat16)
            d_states[rows] = (gradient @ low).to(states.dtype)
            d_table += gradient.T @ here
        ctx.save_for_backward(d_states, d_table.to(table.dtype))
        return total / n

    @staticmethod
    def backward(ctx, gradient):
        d_states, d_table = ctx.saved_tensors
        return gradient * d_states, gradient * d_table, None
