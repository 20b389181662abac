"""The token model against transformers itself, and generation against the plain forward pass."""

import numpy as np
import pytest
import torch
from transformers import DynamicCache
from transformers.activations import ACT2FN

from dynlib.tokens.gpt import GPTConfig, TokenGPT, generate, log_probabilities

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
        (lambda: generate(small(), np.full((2, 3), 11), 3), r"\[0, 11\)"),
        (lambda: generate(small(), np.zeros((2, 3), int), 3, temperature=-1), "temperature"),
        (lambda: generate(small(), np.zeros((2, 3), int), 3, temperature=np.nan), "temperature"),
        (lambda: log_probabilities(small(), np.zeros((2, 10), int)), "context"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
