"""Counted operations of a training step, and what they cost on rented cards."""

import pytest
import torch
import transformers.masking_utils
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dynlib.report.prices import CARDS, flops_per_token, prices, share_of_peak
from dynlib.tokens.gpt import GPTConfig, TokenGPT

PRINTED = GPTConfig(vocabulary=2500)


@pytest.mark.parametrize(
    "config",
    [
        PRINTED,
        GPTConfig(vocabulary=125_000),
        GPTConfig(344, layers=1, heads=4, width=64, context=32),
        GPTConfig(97, layers=3, heads=2, width=10, context=7, dropout=0.1),
    ],
)
def test_operations_are_those_that_torch_counts(config, monkeypatch):
    # It reads a value, which a tensor without memory does not have, to find packed sequences.
    monkeypatch.setattr(transformers.masking_utils, "find_packed_sequence_indices", lambda _: None)
    with torch.device("meta"):
        model, windows = TokenGPT(config), torch.zeros(8, config.context + 1, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits = model(windows[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).backward()
    assert flops_per_token(config) * 8 * config.context == counter.get_total_flops()


def test_a_share_of_the_peak_is_operations_over_time():
    tokens = 8 * 1024
    step = tokens * flops_per_token(PRINTED) / 1e12  # seconds at one TFLOP a second
    assert share_of_peak(PRINTED, 8, step / 100, 400) == pytest.approx(0.25)


def test_prices_follow_from_the_share_and_the_hour():
    for card, each in zip(CARDS, prices(PRINTED, 10**9, 0.2), strict=True):
        assert each.card is card
        seconds = 10**9 * flops_per_token(PRINTED) / (0.2 * card.tflops * 1e12)
        assert each.minutes == pytest.approx(seconds / 60)
        assert each.tokens_per_second == pytest.approx(10**9 / seconds)
        assert each.dollars == pytest.approx(seconds / 3600 * card.dollars)
