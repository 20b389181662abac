"""Can generated trajectories be told from true ones? A classifier that sees short windows."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dynlib.dynamics.checks import check_array, check_count, check_seed


def classifier_accuracy(
    generated: np.ndarray, true: np.ndarray, *, window: int = 16, each: int = 4, seed: int = 0
) -> np.ndarray:
    """Share of unseen windows that a classifier assigns to their side, batch by batch.

    A small network (one hidden layer of 64) learns from windows of the first half of the batches
    and is tried on those of the second half, and the other way round. It sees the states of a
    window and their differences. Both sides give as many windows, so that a guess is right with
    probability one half.

    Parameters
    ----------
    generated, true : numpy.ndarray
        States of P independent batches of R trajectories, shape (P, R, T, d), P at least 2.
    window : int
        States of a window, at least 2 and at most T.
    each : int
        Windows of a trajectory, at equal distances.
    seed : int
        Seed of the classifier.

    Returns
    -------
    numpy.ndarray
        The accuracy on each batch, (P,).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.standard_normal((2, 50, 20, 1))
    >>> classifier_accuracy(noise, noise + 9, window=5).tolist()
    [1.0, 1.0]
    """
    remedy = "give batches (P, R, T, d) of states"
    check_array("generated", generated, ("P", "R", "T", "d"), scale=True, remedy=remedy)
    check_array("true", true, np.shape(generated), scale=True, remedy=remedy)
    batches, _, length, _ = np.shape(generated)
    if batches < 2:
        raise ValueError(
            f"generated must hold two batches or more, got {batches}; one of them is learned from"
        )
    check_count("window", window, least=2, most=length, remedy="take longer trajectories")
    check_count("each", each)
    check_seed("seed", seed)
    begins = np.linspace(0, length - window, each).astype(int)
    sides = [_windows(np.asarray(side, float), begins, window) for side in (generated, true)]
    found = np.empty(batches)
    halves = np.array_split(np.arange(batches), 2)
    for learned, tried in (halves, halves[::-1]):
        network = MLPClassifier(hidden_layer_sizes=(64,), max_iter=30, random_state=seed)
        judge = make_pipeline(StandardScaler(), network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            judge.fit(*_labelled(*(side[learned] for side in sides)))
        for batch in tried:
            found[batch] = judge.score(*_labelled(*(side[[batch]] for side in sides)))
    return found


def _windows(states: np.ndarray, begins: np.ndarray, window: int) -> np.ndarray:
    """Windows of states and of their differences, one row each, (P, R * each, features)."""
    cut = np.stack([states[:, :, b : b + window] for b in begins], axis=2)  # (P, R, each, w, d)
    steps = np.diff(cut, axis=3)
    flat = (*cut.shape[:3], -1)
    rows = np.concatenate([cut.reshape(flat), steps.reshape(flat)], axis=-1)
    return rows.reshape(len(states), -1, rows.shape[-1])


def _labelled(generated: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows of both sides, and which side each is from."""
    rows = [side.reshape(-1, side.shape[-1]) for side in (generated, true)]
    return np.concatenate(rows), np.repeat([1, 0], [len(each) for each in rows])
