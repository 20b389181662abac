"""The token model against transformers itself, and generation against the plain forward pass."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F
from transformers import DynamicCache
from transformers.activations import ACT2FN

from dynlib.tokens.gpt import (
    GPTConfig,
    TokenGPT,
    _draw,
    generate,
    log_probabilities,
    next_probabilities,
)
from dynlib.tokens.loss import NextTokenLoss

SMALL = {"vocabulary": 11, "layers": 2, "heads": 2, "width": 16, "context": 8}
CELLS = np.stack(np.unravel_index(np.arange(11), (4, 4)), axis=-1)


def small(embedding="plain", **changes):
    torch.manual_seed(0)
    model = TokenGPT(GPTConfig(**SMALL | changes, embedding=embedding), CELLS)
    for weight in model.parameters():  # far from the uniform start, so that argmax is stable
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def test_plain_embedding_is_transformers_gpt2():
    model = small()
    tokens = torch.randint(0, 11, (3, 8))
    torch.testing.assert_close(model(tokens), model.gpt2(tokens).logits)
    assert model.gpt2.lm_head.weight is model.gpt2.transformer.wte.weight


def test_the_activation_is_gpt2s():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    torch.testing.assert_close(ACT2FN["gelu_pytorch_tanh"](x), ACT2FN["gelu_new"](x))


def test_factorised_embedding_shares_rows_and_columns():
    model = small("factorised")
    table = model.embeddings() - model.gpt2.transformer.wte.weight
    expected = model.axes[0].weight[CELLS[:, 0]] + model.axes[1].weight[CELLS[:, 1]]
    torch.testing.assert_close(table, expected)
    model(torch.tensor([[0, 1]])).sum().backward()
    assert model.axes[0].weight.grad is not None


def test_the_printed_size_has_the_derived_number_of_parameters():
    with torch.device("meta"):
        model = TokenGPT(GPTConfig(vocabulary=2500))
    assert model.count_parameters() == 85_842_432 + 768 * 2500


@pytest.mark.parametrize("embedding", ["plain", "factorised"])
def test_nothing_is_made_on_the_wrong_device(embedding):
    model = small(embedding).to("meta")
    tokens = torch.zeros(2, 8, dtype=torch.long, device="meta")
    # With a cache: without one, transformers itself looks at values to find packed sentences.
    logits = model(tokens, DynamicCache())
    assert logits.shape == (2, 8, 11)
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    # Moving to meta, unlike moving to a GPU, unties lm_head, which we do not use.
    used = [w for name, w in model.named_parameters() if "lm_head" not in name]
    assert all(w.grad.device.type == "meta" for w in used)
    cache = DynamicCache()
    model(tokens[:, :5], cache)
    assert model(tokens[:, 5:6], cache).device.type == "meta"


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("embedding", ["plain", "factorised"])
def test_the_loss_makes_nothing_on_the_wrong_device(monkeypatch, embedding, autocast):
    model = small(embedding).to("meta")
    hidden = model.hidden
    monkeypatch.setattr(model, "hidden", lambda tokens: hidden(tokens, DynamicCache()))
    # Torch knows no autocast on meta; the branch is what is looked at here.
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: autocast)
    loss = NextTokenLoss(model)(torch.zeros(100, 9, dtype=torch.long, device="meta"))
    assert (loss.device.type, loss.dtype, loss.shape) == ("meta", torch.float32, ())
    loss.backward()
    used = [w for name, w in model.named_parameters() if "lm_head" not in name]
    assert all(w.grad.device.type == "meta" for w in used)


def gradient(loss, model):
    model.zero_grad()
    loss.backward()
    used = [w for name, w in model.named_parameters() if w.grad is not None]
    return torch.cat([w.grad.flatten() for w in used])


@pytest.mark.parametrize("embedding", ["plain", "factorised"])
def test_the_loss_is_torchs_cross_entropy(embedding):
    model, windows = small(embedding), torch.randint(0, 11, (5, 9))
    expected = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
    loss = NextTokenLoss(model)(windows)
    assert loss.item() == expected.item()
    assert torch.equal(gradient(loss, model), gradient(expected, model))


@pytest.mark.parametrize("n_windows", [3, 128, 1024])
@pytest.mark.parametrize("embedding", ["plain", "factorised"])
def test_the_loss_in_bf16_is_near_that_in_fp32(embedding, n_windows):
    """With fewer tokens than a stretch of 256, four stretches, and as many as the paper's batch."""
    model, windows = small(embedding), torch.randint(0, 11, (n_windows, 9))
    exact = NextTokenLoss(model)(windows)
    with torch.autocast("cpu", torch.bfloat16):
        loss = NextTokenLoss(model)(windows)
    assert loss.dtype == torch.float32
    ours, expected = gradient(loss, model), gradient(exact, model)
    assert torch.cosine_similarity(ours, expected, dim=0) > 0.99
    assert ours.norm().item() == pytest.approx(expected.norm().item(), rel=0.02)
    assert loss.item() == pytest.approx(exact.item(), rel=2**-8)  # a bf16 number has 8 bits


def test_the_model_is_causal():
    model, tokens = small(), torch.randint(0, 11, (1, 8))
    changed = tokens.clone()
    changed[0, 5:] = (changed[0, 5:] + 1) % 11
    torch.testing.assert_close(model(tokens)[:, :5], model(changed)[:, :5])


def refilled(model, prompt, n_steps):
    """Greedy generation by full forward passes, with the cache's own rule for the window."""
    context, sequence = model.config.context, list(prompt)
    start = max(0, len(sequence) - context)
    for _ in range(n_steps):
        if len(sequence) - start > context:
            start = len(sequence) - context // 2
        window = torch.tensor([sequence[start:]])
        sequence.append(int(model(window)[0, -1].argmax()))
    return sequence[len(prompt) :]


@pytest.mark.parametrize("embedding", ["plain", "factorised"])
@pytest.mark.parametrize("length", [1, 5, 8, 13])
def test_cached_generation_equals_full_passes_beyond_the_context(embedding, length):
    model = small(embedding)
    prompts = np.random.default_rng(length).integers(0, 11, (4, length))
    out = generate(model, prompts, 40, temperature=0)
    for prompt, row in zip(prompts.tolist(), out.tolist(), strict=True):
        assert row == refilled(model, prompt, 40)


def test_a_short_rollout_equals_exact_sliding_windows():
    model = small(context=32)
    prompts = np.random.default_rng(1).integers(0, 11, (3, 10))
    sequences = torch.as_tensor(prompts)
    for _ in range(22):
        sequences = torch.cat([sequences, model(sequences[:, -32:])[:, -1:].argmax(-1)], dim=1)
    np.testing.assert_array_equal(generate(model, prompts, 22, temperature=0), sequences[:, 10:])


def test_draws_follow_the_softmax_at_every_temperature():
    model = small()
    prompt = np.tile([[3, 1, 4]], (40_000, 1))
    logits = model(torch.as_tensor(prompt[:1]))[0, -1]
    for temperature in (0.5, 1.0, 2.0):
        drawn = generate(model, prompt, 1, temperature=temperature, seed=3)[:, 0]
        p = torch.softmax(logits / temperature, -1).detach().numpy()
        error = np.abs(np.bincount(drawn, minlength=11) / len(drawn) - p)
        assert (error < 5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-9).all()


def chi_square(drawn, p):
    """p-value of Pearson's test; rare tokens join the rarest one that is expected five times."""
    expected, found = p / p.sum() * len(drawn), np.bincount(drawn, minlength=len(p))
    order = np.argsort(-expected)
    last = (expected >= 5).sum() - 1
    classes = [np.append(x[order[:last]], x[order[last:]].sum()) for x in (found, expected)]
    return stats.chisquare(*classes).pvalue


@pytest.mark.parametrize("width", [8, 40, 1500])
def test_draws_are_frequencies_of_the_softmax(width):
    rng, n = np.random.default_rng(width), 50_000
    logits = torch.as_tensor(rng.normal(0, 2, width), dtype=torch.float32)
    # Where the cumulated sum begins and ends, and next to one another within.
    never = [0, width // 2, width // 2 + 1, width - 1]
    logits[never] = torch.tensor([-torch.inf, -200.0, -torch.inf, -torch.inf])
    drawn = _draw(logits.expand(n, width), torch.Generator().manual_seed(4))
    assert (drawn.dtype, drawn.shape) == (torch.long, (n,))
    assert drawn.max() < width
    assert not np.isin(drawn, never).any()
    assert chi_square(drawn.numpy(), torch.softmax(logits.double(), -1).numpy()) > 1e-3


@pytest.mark.parametrize(("number", "expected"), [(0.0, 4), (1 - 2**-24, 2)])
def test_the_ends_of_the_random_numbers_draw_what_can_be(monkeypatch, number, expected):
    """The smallest and the largest of torch's numbers in [0, 1), which chance meets too rarely."""
    logits = torch.tensor([[-torch.inf, -200.0, 0.0, -torch.inf, 1.0, -200.0, -torch.inf]])
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, number))
    assert _draw(logits, torch.Generator()).tolist() == [expected]


def test_a_draw_among_few_follows_its_own_row():
    """Each row has one token or two of its own."""
    logits = torch.full((3000, 300), -torch.inf)
    rows, first = torch.arange(3000), torch.arange(3000) % 299
    logits[rows, first] = 0.0
    logits[rows[::2], first[::2] + 1] = 0.0
    drawn = _draw(logits, torch.Generator().manual_seed(5))
    assert torch.equal(drawn[1::2], first[1::2])
    second = (drawn - first)[::2]
    assert set(second.tolist()) == {0, 1}
    assert stats.binomtest(int(second.sum()), 1500).pvalue > 1e-3


def test_every_prompt_may_have_its_temperature():
    model = small()
    prompts = np.tile([[3, 1, 4]], (30_000, 1))
    warmth = np.tile([0.0, 0.5, 2.0], 10_000)
    drawn = generate(model, prompts, 1, temperature=warmth, seed=6)[:, 0]
    logits = model(torch.as_tensor(prompts[:1]))[0, -1].detach()
    assert (drawn[::3] == int(logits.argmax())).all()
    for offset, temperature in ((1, 0.5), (2, 2.0)):
        p = torch.softmax(logits.double() / temperature, -1).numpy()
        assert chi_square(drawn[offset::3], p) > 1e-3


def test_seeds_decide_the_draws():
    model, prompts = small(), np.zeros((5, 2), int)
    first = generate(model, prompts, 30, seed=1)
    np.testing.assert_array_equal(first, generate(model, prompts, 30, seed=1))
    assert (first != generate(model, prompts, 30, seed=2)).any()


def test_likelihoods_are_normalised():
    model = small()
    prefix = np.random.default_rng(2).integers(0, 11, (1, 6))
    windows = np.concatenate([np.repeat(prefix, 11, axis=0), np.arange(11)[:, None]], axis=1)
    score, correct = log_probabilities(model, windows)
    assert np.exp(score[:, -1]).sum() == pytest.approx(1, abs=1e-6)
    assert correct[:, -1].sum() == 1
    assert score[:, -1].argmax() == correct[:, -1].argmax()


@pytest.mark.parametrize("last", [1, 3, 7])
def test_the_last_likelihoods_are_the_tail_of_all(last):
    model = small()
    windows = np.random.default_rng(3).integers(0, 11, (5, 8))
    every, hits = log_probabilities(model, windows)
    tail, tail_hits = log_probabilities(model, windows, last=last)
    assert tail.shape == tail_hits.shape == (5, last)
    np.testing.assert_allclose(tail, every[:, -last:], atol=1e-5)
    np.testing.assert_array_equal(tail_hits, hits[:, -last:])


def test_likelihoods_are_torchs_however_many_are_evaluated_at_once():
    model = small()
    windows = np.random.default_rng(4).integers(0, 11, (150, 9))  # two batches of 64 and a rest
    tokens = torch.as_tensor(windows)
    logits = model(tokens[:, :-1]).detach()
    expected = -F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    found, correct = log_probabilities(model, windows)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected.reshape(150, 8), atol=1e-5)
    np.testing.assert_array_equal(correct, logits.argmax(-1) == tokens[:, 1:])


@pytest.mark.parametrize("embedding", ["plain", "factorised"])
@pytest.mark.parametrize("length", [1, 8, 13])
def test_next_probabilities_are_the_likelihoods_of_every_next_token(embedding, length):
    """Of prompts longer than the context, the last 8 tokens count."""
    model = small(embedding)
    prompts = np.random.default_rng(length).integers(0, 11, (4, length))
    p = next_probabilities(model, prompts)
    assert p.shape == (4, 11)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    for token in range(11):
        windows = np.concatenate([prompts, np.full((4, 1), token)], axis=1)[:, -9:]
        score, _ = log_probabilities(model, windows, last=1)
        np.testing.assert_allclose(np.log(p[:, token]), score[:, 0], rtol=1e-5, atol=1e-5)


def test_hidden_states_and_their_table_make_the_logits():
    model, tokens = small("factorised"), torch.randint(0, 11, (3, 8))
    states, table = model.hidden(tokens)
    assert (states.shape, table.shape) == ((3, 8, 16), (11, 16))
    torch.testing.assert_close(states @ table.T, model(tokens))
    torch.testing.assert_close(table, model.embeddings())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: GPTConfig(5, width=10, heads=3), "width=10"),
        (lambda: GPTConfig(0), "vocabulary"),
        (lambda: GPTConfig(5, context=1), "context"),
        (lambda: GPTConfig(5, dropout=1.0), "dropout"),
        (lambda: GPTConfig(5, embedding="sum"), "'sum'"),
        (lambda: TokenGPT(GPTConfig(11, embedding="factorised")), "Grid.cells"),
        (lambda: generate(small(), np.zeros((2, 0), int), 3), "prompts"),
        (lambda: generate(small(), np.full((2, 3), 11), 3), "from 0 to 10, got 11"),
        (lambda: generate(small(), np.zeros((2, 3), int), 3, temperature=-1), "temperature"),
        (lambda: generate(small(), np.zeros((2, 3), int), 3, temperature=np.nan), "temperature"),
        (
            lambda: generate(small(), np.zeros((2, 3), int), 3, temperature=np.ones(3)),
            "one a prompt",
        ),
        (
            lambda: generate(small(), np.zeros((2, 3), int), 3, temperature=[1.0, -1.0]),
            "got -1",
        ),
        (lambda: log_probabilities(small(), np.zeros((2, 10), int)), "context"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_model_that_has_failed_still_writes_tokens():
    model = small()
    with torch.no_grad():
        model.gpt2.transformer.wte.weight.fill_(float("nan"))
    for temperature in (0.0, 1.0):
        tokens = generate(model, np.zeros((2, 3), int), 3, temperature=temperature)
        assert 0 <= tokens.min() <= tokens.max() < 11


@pytest.mark.parametrize("last", [0, -1, 8])
def test_positions_that_are_not_there_are_refused(last):
    with pytest.raises(ValueError, match="last"):
        log_probabilities(small(), np.zeros((1, 8), int), last=last)
