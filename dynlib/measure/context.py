r"""What a longer memory is worth: cross-entropy on the same targets, by the length of context."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dynlib.dynamics.checks import check_callable, check_counts, check_tokens


def context_curve(
    score: Callable[[np.ndarray], np.ndarray],
    sentences: np.ndarray,
    lengths: Sequence[int],
    columns: Sequence[int] | np.ndarray,
) -> np.ndarray:
    r"""Cross-entropy of the tokens in some columns, given the last n tokens before each.

    .. math:: H_n = -\big\langle \ln p(w_t \mid w_{t-n}, \dots, w_{t-1}) \big\rangle

    Parameters
    ----------
    score : callable
        From windows (B, n + 1) to the log-likelihood, in nats, of the last token of each.
    sentences : numpy.ndarray
        Tokens, shape (B, T).
    lengths : sequence of int
        Lengths of context n, each at least 1.
    columns : sequence of int
        Targets t, each at least the largest length and smaller than T.

    Returns
    -------
    numpy.ndarray
        :math:`H_n` in nats a token, one for each length, all on the same targets.

    Raises
    ------
    ValueError
        If a target has fewer tokens before it than the longest context needs.

    Examples
    --------
    >>> fair_coin = lambda windows: np.full(len(windows), np.log(0.5))
    >>> context_curve(fair_coin, np.zeros((3, 9), int), [1, 4], [4, 8]).round(3)
    array([0.693, 0.693])
    """
    check_callable("score", score)
    check_tokens("sentences", sentences, ("B", "T"), shortest=2)
    sentences = np.asarray(sentences)
    last = sentences.shape[1] - 1
    check_counts("lengths", lengths, least=1, most=last, remedy="or take longer sentences")
    check_counts(
        "columns", columns, least=max(lengths), most=last,
        remedy="targets lie after the longest context and inside the sentences",
    )  # fmt: skip
    losses = [
        [-score(sentences[:, column - n : column + 1]).mean() for column in columns]
        for n in lengths
    ]
    return np.mean(losses, axis=1)
