"""What a longer memory is worth: every model is scored on the same test tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynlib.dynamics.checks import check_count, check_counts, check_tokens
from dynlib.measure.context import context_curve
from dynlib.tokens.gpt import TokenGPT, check_models, log_probabilities
from dynlib.tokens.markov import NGram, check_chain
from dynlib.tokens.windows import Trajectories, check_trajectories, windows


def chain_scores(
    chain: NGram, orders: Sequence[int], sentences: np.ndarray, targets: int
) -> dict[int, tuple[float, float]]:
    """Cross-entropy (nats a token) and accuracy of n-grams of several orders.

    Parameters
    ----------
    chain : NGram
        Counts of the longest order or more.
    orders : sequence of int
        Tokens of memory.
    sentences : numpy.ndarray
        Tokens, shape (B, T), with T at least the longest order plus `targets`.
    targets : int
        The last so many tokens of each sentence are predicted.

    Examples
    --------
    >>> chain = NGram(np.array([[0, 1] * 50]), order=2, vocabulary=2)
    >>> chain_scores(chain, [1, 2], np.array([[0, 1, 0, 1, 0, 1]]), targets=2)[2][1]
    1.0
    """
    check_chain("chain", chain)
    check_counts("orders", orders, least=1, most=chain.order, remedy="count longer contexts")
    check_count("targets", targets)
    shortest = max(orders) + targets
    check_tokens("sentences", sentences, ("B", "T"), vocabulary=chain.vocabulary, shortest=shortest)
    sentences = np.asarray(sentences)
    scores = {}
    for order in orders:
        score, correct = chain.shorter(order).log_probabilities(sentences[:, -targets - order :])
        scores[order] = (float(-score.mean()), float(correct.mean()))
    return scores


def best_order(chain: NGram, held_out: Trajectories, targets: int, n: int, first: int = 0) -> int:
    """Memory, from 1 token to the chain's own, that predicts held-out trajectories best."""
    check_chain("chain", chain, least=1)
    check_count("targets", targets)
    check_trajectories("held_out", held_out, vocabulary=chain.vocabulary)
    sentences = windows(held_out, chain.order + targets, n, first=first)
    losses = {}
    for order in range(1, chain.order + 1):
        heard = np.lib.stride_tricks.sliding_window_view(sentences[:, :-1], order, axis=1)
        before, chosen = heard[:, -targets:].reshape(-1, order), sentences[:, -targets:].ravel()
        losses[order] = -np.log(chain.shorter(order).likelihood(before, chosen)).mean()
    return min(losses, key=losses.get)  # type: ignore[arg-type]  # never of a missing key


def context_curves(
    models: Sequence[TokenGPT], chain: NGram, test: Trajectories, n: int, first: int = 0
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Cross-entropy against tokens of context, networks and n-grams on the same targets.

    Returns
    -------
    lengths : list of int
        1, 2, 3, 4, 6, 8, 12, … up to the models' context.
    networks : numpy.ndarray
        Nats a token, shape (models, len(lengths)).
    counts : numpy.ndarray
        Of n-grams with 1, 2, … tokens of memory.
    """
    check_models("models", models)
    check_chain("chain", chain, vocabulary=models[0].config.vocabulary)
    check_trajectories("test", test, vocabulary=chain.vocabulary)
    context = models[0].config.context
    powers = [2**k for k in range(11)]
    lengths = sorted({*powers, *(3 * p for p in powers)} & set(range(1, context + 1)))
    sentences = windows(test, context + context // 2, n, first=first)
    columns = np.linspace(context, sentences.shape[1] - 1, 4).round().astype(int)

    def of_network(model: TokenGPT) -> np.ndarray:
        return context_curve(
            lambda w: log_probabilities(model, w, last=1)[0][:, 0], sentences, lengths, columns
        )

    def of_chain(k: int) -> float:
        return context_curve(
            lambda w: np.log(chain.shorter(k).likelihood(w[:, :-1], w[:, -1])),
            sentences,
            [k],
            columns,
        )[0]

    networks = [of_network(model) for model in models]
    counts = [of_chain(k) for k in range(1, min(chain.order, context) + 1)]
    return lengths, np.array(networks), np.array(counts)
