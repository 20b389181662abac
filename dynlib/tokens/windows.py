"""Windows of token trajectories: at even distances for measuring, at random for training.

Trajectories are an array (M, T), or a list of M arrays of tokens of unequal length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynlib.dynamics.checks import SEEDS, check_count, check_counts, check_each, check_tokens

Trajectories = np.ndarray | Sequence[np.ndarray]


def windows(trajectories: Trajectories, length: int, n: int, *, first: int = 0) -> np.ndarray:
    """`n` or more windows of tokens at even distances, (n', length), as many from each row.

    Examples
    --------
    >>> windows(np.arange(10)[None], 4, 2)
    array([[0, 1, 2, 3],
           [6, 7, 8, 9]])
    """
    check_count("n", n)
    check_count("first", first, least=0)
    _check_room(trajectories, length, first)
    last = np.array([len(each) for each in trajectories]) - length
    starts = np.linspace(first, last, -(-n // len(trajectories))).round().astype(int)
    return np.stack(
        [each[s : s + length] for row in starts for each, s in zip(trajectories, row, strict=True)]
    )


def random_windows(
    trajectories: Trajectories, length: int, n: int, seed: Sequence[int]
) -> np.ndarray:
    """`n` windows of tokens, (n, length), uniform over rows and places, by the seed alone.

    Examples
    --------
    >>> random_windows(np.arange(10)[None], 4, 1, [0, 7]).shape
    (1, 4)
    """
    check_count("n", n)
    _check_room(trajectories, length)
    check_counts("seed", seed, least=0, most=SEEDS)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(trajectories), n)
    ends = np.array([len(trajectories[row]) for row in rows]) - length + 1
    starts = rng.integers(0, ends)
    return np.stack(
        [trajectories[row][s : s + length] for row, s in zip(rows, starts, strict=True)]
    )


def joined(trajectories: Trajectories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All tokens in one row; for each, how many stand before and after it in its trajectory.

    Examples
    --------
    >>> joined([np.array([5, 6, 7]), np.array([8])])
    (array([5, 6, 7, 8]), array([0, 1, 2, 0]), array([2, 1, 0, 0]))
    """
    before = np.concatenate([np.arange(len(each)) for each in trajectories])
    after = np.concatenate([np.arange(len(each))[::-1] for each in trajectories])
    return np.concatenate(trajectories).astype(np.int64), before, after


def check_trajectories(
    name: str, trajectories: Trajectories, *, vocabulary: int | None, shortest: int = 1
) -> None:
    """Raise for what is not an array (M, T) of tokens, or a list of M arrays of them."""
    check_each(
        name, trajectories, ("M", "T"), check_tokens, vocabulary=vocabulary, shortest=shortest
    )


def _check_room(trajectories: Trajectories, length: int, first: int = 0) -> None:
    check_count("length", length)
    check_trajectories("trajectories", trajectories, vocabulary=None)
    shortest = min(map(len, trajectories))
    if shortest < first + length:
        raise ValueError(
            f"trajectories must be {first + length} tokens or longer for windows of {length} from "
            f"position {first}, got {shortest}; use longer trajectories or shorter windows"
        )
