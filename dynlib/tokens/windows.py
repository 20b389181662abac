"""Windows of token trajectories: at even distances for measuring, at random for training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def check_tokens(tokens: np.ndarray, vocabulary: int) -> None:
    """Raise ValueError unless all tokens lie in [0, V)."""
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < vocabulary):
        raise ValueError(
            f"tokens must lie in [0, {vocabulary}), got {tokens.min()} to {tokens.max()}"
        )


def windows(trajectories: np.ndarray, length: int, n: int, *, first: int = 0) -> np.ndarray:
    """`n` or more windows of tokens at even distances, (n', length), the same from each row.

    Examples
    --------
    >>> windows(np.arange(10)[None], 4, 2)
    array([[0, 1, 2, 3],
           [6, 7, 8, 9]])
    """
    _check(trajectories)
    last = trajectories.shape[1] - length
    if last < first:
        raise ValueError(
            f"windows of {length} tokens from position {first} do not fit trajectories of "
            f"{trajectories.shape[1]}; use longer trajectories or a shorter context"
        )
    starts = np.linspace(first, last, -(-n // len(trajectories))).round().astype(int)
    return np.concatenate([trajectories[:, s : s + length] for s in starts])


def random_windows(
    trajectories: np.ndarray, length: int, n: int, seed: Sequence[int]
) -> np.ndarray:
    """`n` windows of tokens, (n, length), uniform over rows and places, by the seed alone.

    Examples
    --------
    >>> random_windows(np.arange(10)[None], 4, 1, [0, 7]).shape
    (1, 4)
    """
    _check(trajectories)
    if trajectories.shape[1] < length:
        raise ValueError(
            f"windows of {length} tokens do not fit trajectories of {trajectories.shape[1]}; use "
            "longer trajectories or shorter windows"
        )
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, trajectories.shape[0], n)
    starts = rng.integers(0, trajectories.shape[1] - length + 1, n)
    return trajectories[rows[:, None], starts[:, None] + np.arange(length)]


def _check(trajectories: np.ndarray) -> None:
    if np.ndim(trajectories) != 2:
        raise ValueError(
            f"trajectories of tokens must have shape (batch, T), got {np.shape(trajectories)}; one "
            "of them is trajectory[None]"
        )
