r"""Two methods that only copy: from the sequence's own past, or from the training data.

Neither learns anything. What they reach shows how much of a measure can be had by copying.
"""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import MOST, check_array, check_count, check_tokens
from dynlib.tokens.windows import Trajectories, check_trajectories, joined


def parrot(prompts: np.ndarray, n_steps: int, centres: np.ndarray) -> np.ndarray:
    """Context parroting: copy what followed the longest earlier match of the recent past.

    Each step finds the longest suffix of the sequence so far (prompt and own output) that has
    occurred in it before, and appends the token that followed it there. Of several occurrences
    the most recent one is taken. If even the last token is new, the earlier token whose cell is
    nearest to it is taken as the match.

    Parameters
    ----------
    prompts : numpy.ndarray
        Tokens, shape (B, P), P at least 2.
    n_steps : int
        Tokens to generate.
    centres : numpy.ndarray
        Cell centres, shape (V, d).

    Returns
    -------
    numpy.ndarray
        Generated tokens, shape (B, n_steps).

    Examples
    --------
    >>> parrot(np.array([[7, 1, 2, 3, 1, 2]]), 3, np.arange(8.0)[:, None])
    array([[3, 1, 2]])

    References
    ----------
    Zhang & Gilpin (2025), arXiv:2505.11349.
    """
    check_count("n_steps", n_steps)
    remedy = "those of one coordinate are centres[:, None]"
    check_array("centres", centres, ("V", "d"), scale=True, remedy=remedy)
    check_tokens("prompts", prompts, ("B", "P"), vocabulary=len(centres), shortest=2)
    centres = np.asarray(centres, dtype=np.float64)
    batch, length = np.shape(prompts)
    tokens = np.concatenate([prompts, np.empty((batch, n_steps), np.int64)], axis=1)
    rows = np.arange(batch)
    # match[:, p]: length of the common suffix of tokens[:, :p] and the whole sequence so far.
    match = np.zeros((batch, length + n_steps + 1), dtype=np.int64)
    for end in range(1, length + n_steps):
        newest = tokens[:, end - 1 : end]
        match[:, 1:end] = np.where(tokens[:, : end - 1] == newest, match[:, : end - 1] + 1, 0)
        if end >= length:
            # The last of the longest: p counts tokens before the copy, so look from the end.
            best = end - 1 - match[:, end - 1 : 0 : -1].argmax(axis=1)
            new = np.flatnonzero(match[rows, best] == 0)
            if new.size:
                gaps = centres[tokens[new, : end - 1]] - centres[newest[new]]
                distance = np.linalg.norm(gaps, axis=-1)[:, ::-1]
                best[new] = end - 1 - distance.argmin(axis=1)
            tokens[:, end] = tokens[rows, best]
    return tokens[:, length:]


def recall(training: Trajectories, prompts: np.ndarray, n_steps: int) -> np.ndarray:
    """Replay the training data from the place that matches the prompt longest.

    The method finds the longest suffix of the prompt that occurs in a training trajectory (the
    first occurrence if there are several), and copies what follows there. Copying makes the match
    longer, so it stays the longest. Where the trajectory ends, a new match is searched for. The
    copied states *are* training data: their distance from fresh orbits is due to chance alone.

    Parameters
    ----------
    training : numpy.ndarray or sequence of numpy.ndarray
        Training tokens, shape (M, T), or a list of M rows of unequal length.
    prompts : numpy.ndarray
        Tokens, shape (B, P), P at least 1.
    n_steps : int
        Tokens to generate.

    Returns
    -------
    numpy.ndarray
        Generated tokens, shape (B, n_steps).

    Examples
    --------
    >>> recall(np.array([[5, 1, 2, 3, 4], [9, 1, 2, 8, 8]]), np.array([[9, 1, 2]]), 2)
    array([[8, 8]])
    """
    check_count("n_steps", n_steps)
    check_trajectories("training", training, vocabulary=MOST, shortest=2)
    check_tokens("prompts", prompts, ("B", "P"))
    flat, before, after = joined(training)
    usable = np.flatnonzero(after)  # positions with a successor
    order = usable[np.argsort(flat[usable], kind="stable")]
    starts = np.searchsorted(flat[order], np.arange(flat.max() + 2))
    out = np.empty((len(prompts), n_steps), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        history, done = list(prompt), 0
        while done < n_steps:
            place = _longest(flat, before, order, starts, history)
            stretch = flat[place + 1 : place + 1 + min(after[place], n_steps - done)]
            out[row, done : done + len(stretch)] = stretch
            history.extend(stretch)
            done += len(stretch)
    return out


def _longest(flat, before, order, starts, history) -> int:
    """Position in `flat` of the last token of the longest match of the end of `history`."""
    last = history[-1]
    candidates = order[starts[last] : starts[last + 1]] if last < len(starts) - 1 else order[:0]
    if not len(candidates):
        return int(order[0])
    for back in range(1, len(history)):
        inside = candidates[before[candidates] >= back]
        longer = inside[flat[inside - back] == history[-1 - back]]
        if not len(longer):
            break
        candidates = longer
    return int(candidates[0])
