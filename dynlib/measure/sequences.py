"""Measures of token sequences: transitions never seen, stretches that are copied, and cycles."""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import check_count, check_tokens


def transitions(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The different transitions in sequences (B, T), as sorted numbers ``from * V + to``.

    Examples
    --------
    >>> transitions(np.array([[0, 1, 2, 0, 1]]), 3)
    array([1, 5, 6])
    """
    check_count("vocabulary", vocabulary)
    check_tokens("tokens", tokens, ("B", "T"), vocabulary=vocabulary)
    tokens = np.asarray(tokens)
    return np.unique(tokens[:, :-1].astype(np.int64) * vocabulary + tokens[:, 1:])


def unseen_transitions(seen: np.ndarray, generated: np.ndarray, vocabulary: int) -> float:
    """Share of transitions in `generated` (B, T) that are not among those `seen`.

    Examples
    --------
    >>> seen = transitions(np.array([[0, 1, 2]]), 3)
    >>> unseen_transitions(seen, np.array([[0, 1, 0]]), 3)
    0.5
    """
    check_count("vocabulary", vocabulary)
    check_tokens("seen", seen, ("n",), vocabulary=vocabulary**2, empty=True)
    check_tokens("generated", generated, ("B", "T"), vocabulary=vocabulary, shortest=2)
    generated = np.asarray(generated)
    used = generated[:, :-1].astype(np.int64) * vocabulary + generated[:, 1:]
    return float(1 - np.isin(used, seen).mean())


def copied_fraction(generated: np.ndarray, training: np.ndarray, length: int) -> float:
    """Share of the stretches of `length` tokens in `generated` that also occur in `training`.

    Parameters
    ----------
    generated, training : numpy.ndarray
        Tokens, shape (B, T) and (M, T'), both of `length` or longer; a stretch is within one row.
    length : int
        Tokens of a stretch, at least 1.

    Examples
    --------
    >>> copied_fraction(np.array([[0, 1, 2, 0]]), np.array([[5, 0, 1, 2, 5]]), 3)
    0.5
    """
    check_count("length", length)
    check_tokens("generated", generated, ("B", "T"), shortest=length)
    check_tokens("training", training, ("M", "T'"), shortest=length)
    names = [np.asarray(generated, np.int64), np.asarray(training, np.int64)]
    reach = 1  # each stretch of so many tokens has a number, the same for the same tokens
    while reach < length:
        step = min(reach, length - reach)
        base = 1 + max(int(each.max()) for each in names)
        pairs = [each[:, :-step] * base + each[:, step:] for each in names]
        _, ranks = np.unique(np.concatenate([each.ravel() for each in pairs]), return_inverse=True)
        parts = np.split(ranks.ravel(), [pairs[0].size])
        names = [part.reshape(each.shape) for part, each in zip(parts, pairs, strict=True)]
        reach += step
    ours, theirs = names
    return float(np.isin(ours, theirs).mean())


def periods(tokens: np.ndarray, *, tail: int = 120, longest: int = 40) -> np.ndarray:
    """Period of the end of each sequence, 0 where it has none.

    A sequence has the period q if its last `tail` tokens repeat with q, and q is the
    smallest such number up to `longest`. The tail is long on purpose: three repetitions of
    one cell occur in any slow flow, 120 do not.

    Parameters
    ----------
    tokens : numpy.ndarray
        Sequences, shape (B, T) with T at least `tail`.

    Returns
    -------
    numpy.ndarray
        Periods, shape (B,), int64.

    Raises
    ------
    ValueError
        If the sequences are shorter than the tail, or the tail than two periods.

    Examples
    --------
    >>> periods(np.tile([[1, 2, 3]], 50))
    array([3])
    """
    check_count("longest", longest)
    check_count("tail", tail, least=2 * longest, remedy="a period must fit into the tail twice")
    check_tokens("tokens", tokens, ("B", "T"), shortest=tail)
    tokens = np.asarray(tokens)
    end = tokens[:, -tail:]
    found = np.zeros(len(tokens), dtype=np.int64)
    for period in range(longest, 0, -1):
        found[(end[:, period:] == end[:, :-period]).all(axis=1)] = period
    return found
