"""n-grams against counting by hand, against themselves in two forms, and against chance."""

from collections import Counter

import numpy as np
import pytest

from dynlib.tokens.markov import NGram
from dynlib.tokens.parroting import parrot, recall


def brute_force(trajectories, context, token, vocabulary):
    """Witten and Bell's interpolation, written as its recursion."""
    if context is None:
        return 1 / vocabulary
    k = len(context)
    followers = Counter(
        row[i + k]
        for row in trajectories
        for i in range(len(row) - k)
        if tuple(row[i : i + k]) == tuple(context)
    )
    shorter = brute_force(trajectories, context[1:] if k else None, token, vocabulary)
    n, s = sum(followers.values()), len(followers)
    return (followers[token] + s * shorter) / (n + s) if n else shorter


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_likelihood_is_the_recursion(order):
    rng = np.random.default_rng(order)
    data = rng.integers(0, 4, (3, 25))
    chain = NGram(data, order, vocabulary=6)  # two tokens never occur
    contexts = rng.integers(0, 6, (40, max(order, 1)))
    chosen = rng.integers(0, 6, 40)
    expected = [
        brute_force(data.tolist(), tuple(c[len(c) - order :]), t, 6)
        for c, t in zip(contexts.tolist(), chosen.tolist(), strict=True)
    ]
    np.testing.assert_allclose(chain.likelihood(contexts, chosen), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 4])
def test_both_forms_agree_and_sum_to_one(henon_tokens, henon_grid, order):
    chain = NGram(henon_tokens, order, henon_grid.vocabulary)
    contexts = henon_tokens[:, 50 : 50 + order]
    table = chain.probabilities(contexts)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-12)
    for token in (0, 7, henon_grid.vocabulary - 1):
        chosen = np.full(len(contexts), token)
        np.testing.assert_allclose(chain.likelihood(contexts, chosen), table[:, token], rtol=1e-12)


def test_draws_follow_the_probabilities(henon_tokens, henon_grid):
    chain = NGram(henon_tokens, 2, henon_grid.vocabulary)
    context = np.repeat(henon_tokens[:1, 10:12], 200_000, axis=0)
    drawn = np.bincount(
        chain._draw(context, np.random.default_rng(0)), minlength=henon_grid.vocabulary
    )
    p = chain.probabilities(context[:1])[0]
    error = np.abs(drawn / len(context) - p)
    assert (error <= 5 * np.sqrt(p * (1 - p) / len(context)) + 1e-12).all()


def test_longer_memory_predicts_better(henon_tokens, henon_grid):
    train, test = henon_tokens[:10], henon_tokens[10:, :1000]
    losses = [
        -NGram(train, k, henon_grid.vocabulary).log_probabilities(test)[0][:, -900:].mean()
        for k in (1, 2, 3)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_a_shorter_chain_is_the_chain_of_that_order(henon_tokens, henon_grid):
    long, short = (NGram(henon_tokens, k, henon_grid.vocabulary) for k in (4, 2))
    contexts, chosen = henon_tokens[:, 20:24], henon_tokens[:, 24]
    np.testing.assert_array_equal(
        long.shorter(2).likelihood(contexts, chosen), short.likelihood(contexts, chosen)
    )
    with pytest.raises(ValueError, match="order"):
        long.shorter(5)


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_rows_of_unequal_length_are_counted_one_by_one(order):
    rng = np.random.default_rng(order)
    rows = [rng.integers(0, 4, n) for n in (30, 1, 7, 3)]
    chain = NGram(rows, order, vocabulary=4)
    contexts = rng.integers(0, 4, (40, max(order, 1)))
    lists = [row.tolist() for row in rows]
    expected = [
        [brute_force(lists, tuple(c[len(c) - order :]), t, 4) for t in range(4)]
        for c in contexts.tolist()
    ]
    np.testing.assert_allclose(chain.probabilities(contexts), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="order must be a whole number from 0 to 29, got 30"):
        NGram(rows, 30, 4)
    with pytest.raises(ValueError, match=r"each of trajectories .* from 0 to 2, got 3"):
        NGram(rows, 1, 3)


def test_the_replay_ends_with_each_row_of_unequal_length():
    rows = [np.array([5, 1, 2, 3]), np.array([9, 1, 2, 8, 8, 7]), np.array([7, 5])]
    out = recall(rows, np.array([[9, 1, 2], [0, 5, 1]]), 4)
    np.testing.assert_array_equal(out[:, :2], [[8, 8], [2, 3]])
    assert out[0].tolist() == [8, 8, 7, 5]


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_the_likeliest_is_the_argmax_of_all(order):
    rng = np.random.default_rng(order)
    data = rng.choice(12, size=(4, 60), p=np.r_[0.5, np.full(11, 0.5 / 11)])
    chain = NGram(data, order, vocabulary=14)
    contexts = rng.integers(0, 14, (300, max(order, 1)))
    p = chain.probabilities(contexts)
    found = p[np.arange(300), chain.likeliest(contexts)]
    np.testing.assert_allclose(found, p.max(axis=1), rtol=1e-12)


def test_greedy_takes_the_likeliest(henon_tokens, henon_grid):
    chain = NGram(henon_tokens, 1, henon_grid.vocabulary)
    out = chain.generate(henon_tokens[:3, :1], 5, temperature=0)
    for row, start in zip(out, henon_tokens[:3, 0], strict=True):
        for token in row:
            assert token == chain.probabilities(np.array([[start]]))[0].argmax()
            start = token


def longest_earlier_match(sequence):
    """Where the longest earlier match of the end of a sequence ends, by trying all."""
    best, place = 0, None
    for p in range(1, len(sequence)):
        length = 0
        while length < p and sequence[p - 1 - length] == sequence[-1 - length]:
            length += 1
        if length >= best and length > 0:
            best, place = length, p
    return place


@pytest.mark.parametrize("vocabulary", [3, 40])
def test_parrot_copies_the_longest_most_recent_match_or_the_nearest_cell(vocabulary):
    rng = np.random.default_rng(3)
    prompts = rng.integers(0, vocabulary, (20, 15))
    centres = rng.normal(size=(vocabulary, 2))
    out = parrot(prompts, 12, centres)
    fallbacks = 0
    for prompt, row in zip(prompts.tolist(), out.tolist(), strict=True):
        sequence = list(prompt)
        for token in row:
            place = longest_earlier_match(sequence)
            if place is None:
                fallbacks += 1
                distances = np.linalg.norm(centres[sequence[:-1]] - centres[sequence[-1]], axis=1)
                place = 1 + max(np.flatnonzero(distances == distances.min()))
            assert token == sequence[place]
            sequence.append(token)
    assert (fallbacks > 0) == (vocabulary == 40)


def test_recall_replays_the_training_data(henon_tokens):
    prompts = henon_tokens[3:5, 100:150]
    out = recall(henon_tokens, prompts, 400)
    np.testing.assert_array_equal(out, henon_tokens[3:5, 150:550])


def test_recall_goes_on_after_the_end_of_a_trajectory(henon_tokens):
    out = recall(henon_tokens, henon_tokens[:1, 2900:2990], 200)
    assert out.shape == (1, 200)
    np.testing.assert_array_equal(out[0, :10], henon_tokens[0, 2990:])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: NGram(np.zeros((1, 5), int), 5, 2), "order"),
        (lambda: NGram(np.zeros((0, 5), int), 1, 2), r"none of it 0, got \(0, 5\)"),
        (lambda: NGram(np.full((1, 5), 9), 1, 2), "from 0 to 1, got 9"),
        (lambda: NGram(np.eye(4, dtype=int), 2, 2).generate(np.zeros((1, 1), int), 3), "2 tokens"),
        (lambda: NGram(np.eye(4, dtype=int), 1, 2).generate(np.full((1, 2), -1), 3), "got -1"),
        (
            lambda: NGram(np.eye(4, dtype=int), 1, 2).likelihood(np.eye(2, dtype=int), [1, 2]),
            "got 2",
        ),
        (
            lambda: NGram(np.eye(4, dtype=int), 1, 2).generate(
                np.zeros((1, 1), int), 3, temperature=0.5
            ),
            "0.5",
        ),
        (lambda: parrot(np.zeros((2, 1), int), 2, np.eye(2)), "2 tokens or more"),
        (lambda: recall(np.eye(2, dtype=int), np.zeros((1, 0), int), 2), "prompts"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
