"""The loss of a token model: each of its routes against torch's cross-entropy."""

import pytest
import torch
from torch.nn import functional as F

from dynlib.tokens import loss
from dynlib.tokens.gpt import GPTConfig, TokenGPT

ROUTES = {
    "one stretch": lambda *parts: loss.in_stretches(*parts, 300),
    "many stretches": lambda *parts: loss.in_stretches(*parts, 7),
    "two stretches": lambda *parts: loss.in_stretches(*parts, 299),
    "by hand": loss._StretchedCrossEntropy.apply,
}


def parts():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(300, 16, generator=generator).requires_grad_()
    table = torch.randn(50, 16, generator=generator).requires_grad_()
    return states, table, torch.randint(0, 50, (300,), generator=generator)


@pytest.mark.parametrize("route", ROUTES)
def test_loss_and_both_gradients_are_those_of_plain_logits(monkeypatch, route):
    monkeypatch.setattr(torch, "bfloat16", torch.float32)  # the route by hand, in fp32
    states, table, targets = parts()
    expected = F.cross_entropy(states @ table.T, targets)
    slopes = torch.autograd.grad(3 * expected, (states, table))
    found = ROUTES[route](states, table, targets)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(torch.autograd.grad(3 * found, (states, table)), slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_several_stretches_never_make_the_whole_table(monkeypatch):
    states, table, targets = parts()
    made, linear = [], F.linear
    monkeypatch.setattr(loss.F, "linear", lambda x, w: made.append(len(x)) or linear(x, w))
    loss.in_stretches(states, table, targets, 128).backward()
    assert sorted(made) == sorted(2 * [128, 128, 44])  # again for the gradient
    made.clear()
    loss.in_stretches(states, table, targets, 300).backward()
    assert made == [300]


@pytest.mark.parametrize(
    ("gibibytes", "vocabulary", "whole"),
    [(12, 2500, True), (12, 125_000, False), (70, 125_000, True), (0, 125_000, False)],
)
def test_the_printed_batch_is_one_stretch_where_it_fits(gibibytes, vocabulary, whole):
    rows = loss.rows_that_fit(gibibytes * 2**30, vocabulary)
    assert (rows >= 8 * 1024) is whole
    assert rows >= 256
    assert rows == 256 or 2 * rows * vocabulary * 16 <= gibibytes * 2**30


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("free", [0, 2**40])
def test_on_a_gpu_the_free_memory_decides_once(monkeypatch, autocast, free):
    torch.manual_seed(0)
    model = TokenGPT(GPTConfig(11, layers=1, heads=2, width=16, context=8))
    windows = torch.randint(0, 11, (64, 9))
    exact = loss.NextTokenLoss(model)(windows)
    exact.backward()
    slope = model.gpt2.transformer.wte.weight.grad.clone()
    model.zero_grad()
    asked = []

    def told(device):
        asked.append(device)
        return free, free

    monkeypatch.setattr(loss, "on_gpu", lambda device: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", told)
    ours = loss.NextTokenLoss(model)
    for _ in range(2):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = ours(windows)
        found.backward()
    assert len(asked) == 1
    assert ours.rows == loss.rows_that_fit(free, 11)
    assert found.dtype == torch.float32
    tolerance = 2**-8 if autocast else 1e-6
    torch.testing.assert_close(found, exact, rtol=tolerance, atol=tolerance)
    found = model.gpt2.transformer.wte.weight.grad
    torch.testing.assert_close(found, slope, rtol=4 * tolerance, atol=tolerance / 4)
