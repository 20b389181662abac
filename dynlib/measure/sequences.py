"""Measures of token sequences: transitions never seen, and cycles."""

from __future__ import annotations

import numpy as np


def transitions(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The different transitions in sequences (B, T), as sorted numbers ``from * V + to``.

    Examples
    --------
    >>> transitions(np.array([[0, 1, 2, 0, 1]]), 3)
    array([1, 5, 6])
    """
    _check(tokens)
    return np.unique(tokens[:, :-1].astype(np.int64) * vocabulary + tokens[:, 1:])


def unseen_transitions(seen: np.ndarray, generated: np.ndarray, vocabulary: int) -> float:
    """Share of transitions in `generated` (B, T) that are not among those `seen`.

    Examples
    --------
    >>> seen = transitions(np.array([[0, 1, 2]]), 3)
    >>> unseen_transitions(seen, np.array([[0, 1, 0]]), 3)
    0.5
    """
    _check(generated)
    used = generated[:, :-1].astype(np.int64) * vocabulary + generated[:, 1:]
    return float(1 - np.isin(used, seen).mean())


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
    _check(tokens)
    if tokens.shape[1] < tail or tail < 2 * longest:
        raise ValueError(
            f"a period up to {longest} needs a tail of {2 * longest} or more (got {tail}) and "
            f"sequences at least that long (got {tokens.shape[1]})"
        )
    end = tokens[:, -tail:]
    found = np.zeros(len(tokens), dtype=np.int64)
    for period in range(longest, 0, -1):
        found[(end[:, period:] == end[:, :-period]).all(axis=1)] = period
    return found


def _check(tokens: np.ndarray) -> None:
    if np.ndim(tokens) != 2:
        raise ValueError(
            f"sequences of tokens must have shape (B, T), got {np.shape(tokens)}; one of them is "
            "tokens[None]"
        )
