"""The loss of a token model, in stretches where the whole table of logits would be too much."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from dynlib.tokens.gpt import TokenGPT, check_input, check_model


class NextTokenLoss(nn.Module):
    """Mean cross-entropy of the next token, as a module, so that a parallel wrapper can hold it.

    Under bf16 autocast the logits are made and spent in stretches of 256 tokens, so that the
    whole (B T, V) table of them never exists; with thousands of tokens in the vocabulary that
    table is most of the time of a step on a CPU. torch's own ``linear_cross_entropy`` does the
    same, but sums the loss itself in bf16, which is wrong by a percent or two.
    """

    def __init__(self, model: TokenGPT) -> None:
        check_model("model", model)
        super().__init__()
        self.model = model

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Loss in nats per token on windows (B, T + 1)."""
        config = self.model.config
        check_input("windows", windows, config.vocabulary, 2, config.context + 1)
        states, table = self.model.hidden(windows[:, :-1])
        states, targets = states.flatten(0, 1), windows[:, 1:].flatten()
        if torch.is_autocast_enabled(states.device.type):
            return _StretchedCrossEntropy.apply(states, table, targets)
        return F.cross_entropy(F.linear(states, table).float(), targets)


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
