r"""How far generated states are from true ones, against how far true ones are from each other.

A Wasserstein distance between two finite samples of one chaotic attractor is not zero, and
how large it is depends on how many independent trajectories the samples come from. So every
distance is given beside that between true samples of the same size, and as their ratio.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dynlib.dynamics.checks import check_array, check_choice, check_count, check_tokens
from dynlib.measure.sequences import periods, transitions, unseen_transitions
from dynlib.measure.transport import CENTRES, COSTS, token_distance


@dataclass(frozen=True)
class Reference:
    """Disjoint batches of true trajectories, and the centres of the cells.

    Parameters
    ----------
    batches : numpy.ndarray
        Tokens, shape (2n, R, T): an even number of batches, each of R fresh trajectories.
    centres : numpy.ndarray
        Cell centres, shape (V, d).
    cost : str
        ``"euclidean"`` or ``"squared"``, see :func:`dynlib.measure.transport.wasserstein`.

    Raises
    ------
    ValueError
        If the number of batches is odd or zero.

    Examples
    --------
    >>> batches = np.array([[[0, 1]], [[1, 1]], [[0, 0]], [[0, 1]]])
    >>> reference = Reference(batches, np.array([[0.0], [1.0]]))
    >>> reference.true_true.tolist(), reference.ratio(np.array([[1, 1]]))
    ([0.5, 0.5], 1.5)
    """

    batches: np.ndarray
    centres: np.ndarray
    cost: str = "euclidean"

    def __post_init__(self) -> None:
        check_array("centres", self.centres, ("V", "d"), scale=True, remedy=CENTRES)
        check_tokens("batches", self.batches, ("2n", "R", "T"), vocabulary=len(self.centres))
        check_choice("cost", self.cost, COSTS)
        for name in ("batches", "centres"):  # copies that stay, since distances are kept
            array = np.array(getattr(self, name))
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.batches) % 2:
            raise ValueError(
                f"batches must be (2n, R, T) with n >= 1, got shape {self.batches.shape}; leave "
                "one out, so that they make pairs"
            )

    @cached_property
    def true_true(self) -> np.ndarray:
        """Distances of the n disjoint pairs of true batches, shape (n,)."""
        pairs = zip(self.batches[0::2], self.batches[1::2], strict=True)
        distances = [token_distance(a, b, self.centres, cost=self.cost) for a, b in pairs]
        kept = np.array(distances)
        kept.flags.writeable = False
        return kept

    def _check_spread(self) -> None:
        if not np.median(self.true_true) > 0:
            raise ValueError(
                "the batches of a pair must differ for a ratio, got a median distance of 0; take "
                "more or longer ones"
            )

    def distance(self, generated: np.ndarray, batch: int | None = None) -> float:
        """Distance of generated tokens (R, T) from the first true batch of a pair.

        From that of the pair numbered `batch`, or the median over all n pairs.
        """
        check_tokens("generated", generated, (..., "T"), vocabulary=len(self.centres))
        if batch is not None:
            check_count("batch", batch, least=0, most=len(self.batches) // 2 - 1)
        true = self.batches[0::2] if batch is None else [self.batches[2 * batch]]
        return float(
            np.median(
                [token_distance(generated, each, self.centres, cost=self.cost) for each in true]
            )
        )

    def ratio(
        self,
        generated: np.ndarray,
        matched: np.ndarray | None = None,
        *,
        batch: int | None = None,
    ) -> float:
        """Distance of `generated`, over the median distance of true batches from each other.

        With `matched` (the true continuations of the same prompts) the distance is taken
        from these; the denominator stays.
        """
        self._check_spread()
        if matched is None:
            numerator = self.distance(generated, batch)
        else:
            numerator = token_distance(generated, matched, self.centres, cost=self.cost)
        return float(numerator / np.median(self.true_true))


def check_samples(
    samples: Sequence[np.ndarray],
    euclidean: Reference,
    squared: Reference | None,
    matched: np.ndarray,
    training: np.ndarray,
) -> None:
    """Raise for what :func:`rollout_measures` cannot measure."""
    for name, given in (("euclidean", euclidean), ("squared", squared)):
        if not isinstance(given, Reference) and (name == "euclidean" or given is not None):
            raise TypeError(
                f"{name} must be a Reference, got {reprlib.repr(given)}; make one of true batches"
            )
    vocabulary = len(euclidean.centres)
    check_tokens("training", training, ("M", "T'"), vocabulary=vocabulary, shortest=2)
    check_tokens("matched", matched, (..., "R", "T"), vocabulary=vocabulary)
    if np.ndim(matched) > 3:
        raise ValueError(
            f"matched must have shape (R, T) or (P, R, T), got {np.shape(matched)}; one trajectory "
            "is matched[None]"
        )
    if not isinstance(samples, (Sequence, np.ndarray)) or len(samples) == 0:
        raise TypeError(
            f"samples must be arrays (R, T), one or more, got {reprlib.repr(samples)}; one alone "
            "is [sample]"
        )
    for each in samples:
        check_tokens("each of samples", each, ("R", "T"), vocabulary=vocabulary, shortest=120)
    if np.ndim(matched) == 3 and len(matched) < len(samples):
        raise ValueError(
            f"matched must hold a set for each of the {len(samples)} samples, got {len(matched)}; "
            "give as many of the one as of the other"
        )
    if np.ndim(matched) == 3 and 1 < len(samples) > len(euclidean.batches) // 2:
        raise ValueError(
            f"samples that are batches must be at most {len(euclidean.batches) // 2}, the pairs "
            f"of true batches, got {len(samples)}; draw more true batches"
        )


#: The measures of rollouts that are shares of a whole.
SHARES = ("unseen_transitions", "unseen_cells", "periodic_fraction")


def rollout_measures(
    samples: Sequence[np.ndarray],
    euclidean: Reference,
    squared: Reference | None,
    matched: np.ndarray,
    training: np.ndarray,
) -> dict[str, list[float]]:
    """The measures of one method's rollouts, by their names in the results.

    Parameters
    ----------
    samples : sequence of numpy.ndarray
        Generated tokens (R, T), one array a seed, or a batch of prompts.
    euclidean, squared : Reference
        Fresh true batches with either cost; None leaves the squared cost out, which takes
        most of the time.
    matched : numpy.ndarray
        True continuations of the same prompts, (R, T); or (P, R, T), one set a sample: then
        the samples are independent batches, and sample p is compared with the p-th pair of
        true batches alone, so that its distances are independent too. (A single sample is
        compared with all pairs.)
    training : numpy.ndarray
        Training tokens, (M, T').

    Returns
    -------
    dict of str to list of float
        One value a sample under each of ``w1_model_true``, ``w1_ratio``, ``w1_matched_true``,
        ``w1_ratio_matched``, ``w2sq_model_true``, ``w2sq_ratio``, ``unseen_transitions``,
        ``unseen_cells``, ``periodic_fraction``.
    """
    check_samples(samples, euclidean, squared, matched, training)
    euclidean._check_spread()
    matched, training = np.asarray(matched), np.asarray(training)
    vocabulary = len(euclidean.centres)
    seen, cells = transitions(training, vocabulary), np.unique(training)
    apart = matched.ndim == 3
    units = [
        (sample, p if apart and len(samples) > 1 else None, matched[p] if apart else matched)
        for p, sample in enumerate(samples)
    ]
    distances = [euclidean.distance(sample, batch) for sample, batch, _ in units]
    near = [token_distance(sample, true, euclidean.centres) for sample, _, true in units]
    scale = float(np.median(euclidean.true_true))
    measures = {
        "w1_model_true": distances,
        "w1_ratio": [distance / scale for distance in distances],
        "w1_matched_true": near,
        "w1_ratio_matched": [distance / scale for distance in near],
    }
    if squared is not None:
        distances = [squared.distance(sample, batch) for sample, batch, _ in units]
        scale = np.median(squared.true_true)
        measures["w2sq_model_true"] = distances
        measures["w2sq_ratio"] = [float(distance / scale) for distance in distances]
    return measures | {
        "unseen_transitions": [unseen_transitions(seen, s, vocabulary) for s in samples],
        "unseen_cells": [float(1 - np.isin(s, cells).mean()) for s in samples],
        "periodic_fraction": [float((periods(s) > 0).mean()) for s in samples],
    }
