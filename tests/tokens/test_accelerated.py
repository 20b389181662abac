"""What a GPU does in its own way, on a CPU: the same tokens, the same scores, counted memory."""

import weakref
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dynlib.tokens import accelerated, gpt
from dynlib.tokens.accelerated import (
    StaticDecoder,
    continue_in_parts,
    decoding_bytes,
    likelihoods_in_stretches,
)
from dynlib.tokens.gpt import GPTConfig, TokenGPT, generate, log_probabilities
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.training import train
from dynlib.tokens.windows import windows

CONTEXT, GB = 16, 10**9
RECIPE = TrainingConfig(
    steps=150, batch_size=32, learning_rate=1e-2, optimizer="muon", schedule="cosine", clip=1.0,
    precision="fp32",
)  # fmt: skip


@pytest.fixture(scope="module", params=["plain", "factorised"])
def model(request, henon_tokens, henon_grid):
    size = GPTConfig(
        henon_grid.vocabulary, layers=2, heads=2, width=32, context=CONTEXT, embedding=request.param
    )
    return train(henon_tokens[:8], henon_grid.cells, size, RECIPE, device="cpu").model


@pytest.mark.parametrize("temperature", [0.0, 1.0, [0.0, 0.5, 1.0, 2.0, 0.0, 1.0]])
@pytest.mark.parametrize("length", [1, 10, CONTEXT, 40])
def test_the_static_cache_writes_the_tokens_of_the_growing_one(
    model, henon_tokens, temperature, length
):
    """Over several rebuilds of the cache, all at once and two prompts at a time."""
    prompts = henon_tokens[8:11, 200 : 200 + length].repeat(2, axis=0)
    expected = generate(model, prompts, 60, temperature=temperature, seed=3)
    for room in (GB, decoding_bytes(model.config, 2, length + 60)):
        found = continue_in_parts(model, prompts, 60, temperature, 3, room)
        np.testing.assert_array_equal(found, expected)


def test_a_cache_is_filled_a_few_prompts_at_a_time(model, henon_tokens, monkeypatch):
    prompts = henon_tokens[8:, 200:220]
    expected = generate(model, prompts, 30, temperature=0)
    monkeypatch.setattr(accelerated, "FILLED", 25)  # one prompt of the context, three of half of it
    np.testing.assert_array_equal(continue_in_parts(model, prompts, 30, 0.0, 0, GB), expected)


class Watch(TorchDispatchMode):
    """Bytes of the tensors that live, the most that there were, and the names of all calls."""

    def __init__(self):
        super().__init__()
        self.live, self.most, self.sizes, self.calls = 0, 0, {}, set()

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        out = call(*args, **(kwargs or {}))
        self.calls.add(call.overloadpacket.__name__)
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.sizes:
                    self.sizes[storage._cdata] = storage.nbytes()
                    self.live += storage.nbytes()
                    self.most = max(self.most, self.live)
                    weakref.finalize(storage, self.freed, storage._cdata)
        return out

    def freed(self, place):
        self.live -= self.sizes.pop(place)


def on_meta(config, prompts, length, n_steps):
    """The most bytes that prompts take beside the weights, and the bytes of these."""
    plain = config.embedding == "plain"  # the other reads its cells
    with torch.device("meta" if plain else "cpu"):
        model = TokenGPT(config, None if plain else np.zeros((config.vocabulary, 3), int))
    model.eval().to("meta")
    with torch.no_grad(), Watch() as watch:
        tokens = torch.zeros(prompts, length, dtype=torch.long, device="meta")
        shares = torch.zeros(n_steps, prompts, 1, device="meta")
        decoder = StaticDecoder(model, model.embeddings(), tokens, shares, torch.ones(prompts))
        decoder.read(max(0, length - config.context), length)
        if length < config.context:
            decoder.step()
    return watch.most, 4 * model.count_parameters()


@pytest.mark.parametrize("length", [1, 100])
@pytest.mark.parametrize("vocabulary", [2500, 125_000])
def test_the_memory_of_the_printed_model_is_known_beforehand(vocabulary, length):
    """200 prompts, 600 tokens with what continues them."""
    config = GPTConfig(vocabulary)
    most, weights = on_meta(config, 200, length, 600 - length)
    computed = decoding_bytes(config, 200, 600)
    assert 0.9 * computed < most <= computed
    assert computed + weights < 12 * GB


@pytest.mark.parametrize(
    "size",
    [
        {"vocabulary": 2500, "layers": 12, "heads": 12, "width": 768, "context": 1024},
        {"vocabulary": 50_000, "layers": 1, "width": 32},
        {"vocabulary": 50_000, "layers": 1, "width": 32, "embedding": "factorised"},
        {"vocabulary": 100, "width": 96},
    ],
)
@pytest.mark.parametrize("prompts", [1, 20])
def test_memory_is_known_of_other_models(size, prompts):
    """A full context of the printed one, large tables of logits and embeddings, much attention."""
    config = GPTConfig(**{"heads": 4, "context": 300, "layers": 3} | size)
    length = config.context - 50
    most, _ = on_meta(config, prompts, length, 100)
    assert most <= decoding_bytes(config, prompts, length + 100)


def test_what_does_not_fit_is_divided_or_refused():
    config = GPTConfig(2500)
    one, ten = (decoding_bytes(config, n, 600) for n in (1, 10))
    assert accelerated.parts_that_fit(config, 20, 600, 2 * ten) == 1
    assert accelerated.parts_that_fit(config, 20, 600, ten) == 2
    assert accelerated.parts_that_fit(config, 20, 600, ten - 1) == 3
    assert accelerated.parts_that_fit(config, 20, 600, one) == 20
    with pytest.raises(ValueError, match=r"one prompt .* 600 tokens, got 0.1 GB free where .* GB"):
        accelerated.parts_that_fit(config, 20, 600, 10**8)


def test_a_step_waits_for_nothing_and_moves_nothing(model, henon_tokens):
    """Else it could not be captured as a graph."""
    prompts = torch.as_tensor(henon_tokens[8:, 200:205])
    decoder = StaticDecoder(
        model, model.embeddings(), prompts, torch.ones(9, 4, 1), torch.tensor([0.0, 1, 1, 1])
    )
    places = [each.data_ptr() for each in vars(decoder).values() if torch.is_tensor(each)]
    with torch.no_grad():
        decoder.read(0, 5)
        with Watch() as watch:
            decoder.step()
    assert places == [each.data_ptr() for each in vars(decoder).values() if torch.is_tensor(each)]
    assert {"mm", "index_copy_"} <= watch.calls
    assert not watch.calls & {"_local_scalar_dense", "nonzero", "is_nonzero", "_to_copy"}


@pytest.fixture
def card(monkeypatch):
    """A pretended GPU: the names of what is called on it, in order."""
    called = []

    class Graph:
        def replay(self):
            called.append("replay")
            self.step()

    @contextmanager
    def graph(made, **_):
        called.append("capture")
        with mock.patch.object(
            StaticDecoder, "step", lambda self: setattr(made, "step", real(self))
        ):
            yield

    def real(decoder):
        return lambda: step(decoder)

    step = StaticDecoder.step
    for module in (gpt, accelerated):
        monkeypatch.setattr(module, "on_gpu", lambda _: True)
    monkeypatch.setattr(torch.cuda, "Stream", mock.MagicMock())
    monkeypatch.setattr(torch.cuda, "current_stream", mock.MagicMock())
    monkeypatch.setattr(torch.cuda, "stream", mock.MagicMock())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (GB, 2 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 20)
    return called


def test_on_a_card_the_step_is_captured_once(model, henon_tokens, request):
    prompts = henon_tokens[8:, 200:210]
    expected = generate(model, prompts, 30, seed=4)
    called = request.getfixturevalue("card")
    assert accelerated.free_bytes(torch.device("cuda")) == (GB + 10) * 9 // 10
    np.testing.assert_array_equal(generate(model, prompts, 30, seed=4), expected)
    rebuilt = 3  # at 17, 26 and 35 tokens
    assert called == ["capture", *["replay"] * (30 - 1 - rebuilt)]


def test_one_step_is_not_captured(model, henon_tokens, card):
    assert generate(model, henon_tokens[8:, 200:210], 1).shape == (4, 1)
    assert card == []


def test_on_a_card_scores_come_in_stretches(model, henon_tokens, request):
    sentences = windows(henon_tokens[8:], CONTEXT + 1, 200)
    expected = log_probabilities(model, sentences, last=5)
    request.getfixturevalue("card")
    with mock.patch.object(
        accelerated, "likelihoods_in_stretches", wraps=likelihoods_in_stretches
    ) as called:
        found = log_probabilities(model, sentences, last=5)
    assert called.call_args.args[2:] == (5, (GB + 10) * 9 // 10)
    np.testing.assert_allclose(found[0], expected[0], atol=0.2)
    assert found[0].dtype == np.float64


@pytest.mark.parametrize("last", [1, 5, CONTEXT])
def test_scores_are_the_likelihoods_however_little_room_there_is(
    model, henon_tokens, monkeypatch, last
):
    sentences = windows(henon_tokens[8:], CONTEXT + 1, 100)
    expected = log_probabilities(model, sentences, last=last)
    monkeypatch.setattr(accelerated, "SCORED", 7 * CONTEXT)
    before = torch.get_float32_matmul_precision()
    for room in (1, 24 * model.config.vocabulary * 11, GB):
        found = likelihoods_in_stretches(model, sentences, last, room, bf16=False)
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        np.testing.assert_array_equal(found[1], expected[1])
    assert torch.get_float32_matmul_precision() == before


def rounded(values):
    """As a card rounds the factors of a product in TF32, to 11 bits."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def test_the_precision_of_a_card_moves_no_metric(model, henon_tokens, monkeypatch):
    """Blocks in bf16 and logits in TF32 move means over tokens by less than 1e-3 of them."""
    sentences = windows(henon_tokens[8:], CONTEXT + 1, 8000)
    half = CONTEXT // 2
    expected, hits = log_probabilities(model, sentences, last=half)
    product = F.linear
    monkeypatch.setattr(
        accelerated.F, "linear", lambda states, table: product(rounded(states), rounded(table))
    )
    found, found_hits = likelihoods_in_stretches(model, sentences, half, GB)
    entropies = -expected.mean(axis=0), -found.mean(axis=0)  # of every place, as in a context curve
    assert np.abs(found - expected).max() > 1e-4  # it did compute otherwise
    np.testing.assert_allclose(entropies[1], entropies[0], rtol=1e-3)
    assert found.mean() == pytest.approx(expected.mean(), rel=1e-3)
    assert found_hits.mean() == pytest.approx(hits.mean(), abs=1e-3)
