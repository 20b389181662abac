"""What every token run records and tabulates, whatever the system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dynlib.measure.distribution import Reference, rollout_measures
from dynlib.measure.sequences import periods, transitions, unseen_transitions
from dynlib.measure.transport import token_distance
from dynlib.report import record, style
from dynlib.tokens.gpt import TokenGPT, log_probabilities
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import chain_scores
from dynlib.tokens.recipes import Trained
from dynlib.tokens.windows import windows


def training(trained: Sequence[Trained], seeds: Sequence[int]) -> record.Table:
    """Record size, speed and validation loss of trained models; a table of the seeds."""
    first = trained[0]
    record.metric("parameters", first.model.count_parameters(), tolerance=0.02)
    record.metric("context", first.model.config.context, unit="tokens", tolerance=0.0)
    record.metric("n_seeds", len(seeds), tolerance=0.0)
    record.metric("tokens_seen", first.tokens_seen, unit="tokens", tolerance=0.0)
    for name, values, unit in (
        ("train_tokens_per_s", [t.tokens_seen / t.seconds for t in trained], "tokens/s"),
        ("train_s", [t.seconds for t in trained], "s"),
    ):
        record.metric(name, values, over="seeds", unit=unit, tolerance=20.0, timing=True)
    if first.validation_loss is not None:
        losses: list[Any]  # all have one, or none has
        losses = [each.validation_loss for each in trained]
        record.metric("validation_cross_entropy", losses, over="seeds", unit="nats/token")
    return record.Table(
        ["seed", "tokens seen", "seconds", "training loss", "validation loss"],
        [
            [str(s), f"{t.tokens_seen:,}", f"{t.seconds:.0f}"]
            + [f"{loss:.3f}" for loss in t.history[-1, 1:]]
            for s, t in zip(seeds, trained, strict=True)
        ],
    )


def prediction(
    models: Sequence[TokenGPT], chain: NGram, best: int, test: np.ndarray, n: int, first: int
) -> None:
    """Record cross-entropy and accuracy of the models and of n-grams of every order.

    All predict the same tokens, the second half of the models' context; `best` is the order
    of ``best_ngram``, chosen elsewhere.
    """
    context = models[0].config.context
    half = context - context // 2
    sentences = windows(test, max(context, chain.order + half) + 1, n, first=first)
    scores = [log_probabilities(m, sentences[:, -context - 1 :], last=half) for m in models]
    entropies = [-likelihood.mean() for likelihood, _ in scores]
    record.metric("cross_entropy", entropies, over="seeds", unit="nats/token")
    record.metric("top1_accuracy", [correct.mean() for _, correct in scores], over="seeds")
    record.metric("best_ngram_order", best, unit="tokens", tolerance=0.3)
    orders = range(1, chain.order + 1)
    of_order = chain_scores(chain, orders, sentences, half)
    names = {"markov": 1, "best_ngram": best, **{f"ngram{k}": k for k in orders}}
    for name, order in names.items():
        entropy, accuracy = of_order[order]
        record.metric(f"{name}_cross_entropy", entropy, unit="nats/token")
        record.metric(f"{name}_top1_accuracy", accuracy)


def context(lengths: Sequence[int], networks: np.ndarray) -> None:
    """Record the models' cross-entropy with 1, 2, 3, … tokens of context, (models, lengths)."""
    for length, values in zip(lengths, networks.T, strict=True):
        record.metric(f"context{length}_cross_entropy", values, over="seeds", unit="nats/token")


def rollouts(
    samples: dict[str, list[np.ndarray]],
    euclidean: Reference,
    squared: Reference,
    matched: np.ndarray,
    learned: np.ndarray,
    with_squared: Iterable[str] | None = None,
) -> record.Table:
    """Record the measures of every method's rollouts; the table of the distances.

    The samples of a method are one a training seed, or, where `matched` is (P, R, T), one a
    batch of prompts (:func:`dynlib.measure.distribution.rollout_measures`). `with_squared` names
    the methods measured with the squared cost as well (all by default).
    """
    record.metric("w1_true_true", euclidean.true_true, over="batches", tolerance=0.3)
    record.metric("w2sq_true_true", squared.true_true, over="batches", tolerance=0.5)
    size = int(np.prod(matched.shape[-2:]))
    record.metric("w1_states", size, unit="states", tolerance=0.0)
    over = "batches" if matched.ndim == 3 else "seeds"
    chosen = set(samples if with_squared is None else with_squared)
    for method, each in samples.items():
        second = squared if method in chosen else None
        measures = rollout_measures(each, euclidean, second, matched, learned)
        for measure, values in measures.items():
            record.metric(record.named(method, measure), values, over=over, tolerance=0.3)
    seen, known = transitions(learned, len(euclidean.centres)), record.metrics()
    record.metric(
        "true_unseen_transitions",
        [unseen_transitions(seen, batch, len(euclidean.centres)) for batch in euclidean.batches],
        over="batches",
        tolerance=0.5,
    )
    columns = {
        "W1 to truth": "w1_model_true",
        "ratio": "w1_ratio",
        "ratio, matched": "w1_ratio_matched",
        "ratio, squared cost": "w2sq_ratio",
    }
    rows = []
    for method in samples:
        names = [record.named(method, measure) for measure in columns.values()]
        shown = [record.show(name) if name in known else "" for name in names]
        rows.append([style.LABELS[method], *shown])
    return record.Table(
        ["", *columns],
        [*rows, ["truth to truth", record.show("w1_true_true"), "1", "", "1"]],
    )


def cycles(samples: dict[str, list[np.ndarray]]) -> record.Table:
    """A table of how rollouts end and of the steps that no training trajectory took."""
    rows = [
        [
            style.LABELS[method],
            record.show(record.named(method, "periodic_fraction")),
            _periods(each),
            record.show(record.named(method, "unseen_transitions"), ".2g"),
        ]
        for method, each in samples.items()
    ]
    truth = ["truth", "", "", record.show("true_unseen_transitions", ".2g")]
    header = ["", "in a cycle at the end", "periods (rollouts)", "steps never seen"]
    return record.Table(header, [*rows, truth])


def _periods(samples: list[np.ndarray]) -> str:
    """The periods in which rollouts end, each with the number of rollouts."""
    kinds, number = np.unique(
        np.concatenate([periods(sample) for sample in samples]), return_counts=True
    )
    commonest = sorted(zip(-number, kinds, strict=True))
    pairs = [f"{kind} ({-n})" for n, kind in commonest if kind]
    return ", ".join([*pairs[:4], *["…"][: len(pairs) > 4]]) or "none"


def sampling(
    fresh: Callable[[int, int], np.ndarray],
    grid: Grid,
    designs: Sequence[tuple[int, int]],
    pairs: int,
    readings_of: Sequence[tuple[int, int]],
    references: tuple[Reference, Reference],
) -> record.Table:
    r"""Record how far true samples are from each other, by size and by number of trajectories.

    Parameters
    ----------
    fresh : callable
        From (n, length) to tokens (n, length) of that many new true trajectories.
    grid : Grid
        The cells.
    designs : sequence of (int, int)
        Numbers of trajectories and their lengths; W1 in state units is recorded for all, as
        ``sampling_<n>x<length>_w1``.
    pairs : int
        Disjoint pairs of samples a design.
    readings_of : sequence of (int, int)
        Designs for which the other readings of "Wasserstein distance" are recorded as well:
        squared cost (``_w2sq``), cell units (``_w1_cells``) and both (``_w2sq_cells``).
    references : (Reference, Reference)
        True batches with Euclidean and squared cost, whose distances are known already: one
        more design, with all readings.
    """
    cells = grid.cells.astype(float)
    readings = {
        "w1": ("euclidean", grid.centres),
        "w2sq": ("squared", grid.centres),
        "w1_cells": ("euclidean", cells),
        "w2sq_cells": ("squared", cells),
    }
    batches = references[0].batches
    known = {"w1": references[0].true_true, "w2sq": references[1].true_true}
    rows = []
    for n, length in dict.fromkeys([*designs, batches.shape[1:]]):
        last = (n, length) == batches.shape[1:]
        samples = [(fresh(n, length), fresh(n, length)) for _ in range(0 if last else pairs)]
        if last:
            samples = list(zip(batches[0::2], batches[1::2], strict=True))[:pairs]
        row = [f"{n:,} of {length:,} states"]
        for reading, (cost, centres) in readings.items():
            if reading != "w1" and not last and (n, length) not in readings_of:
                row.append("")
                continue
            distances: Sequence[float] | np.ndarray
            if last and reading in known:
                distances = known[reading]
            else:
                distances = [token_distance(a, b, centres, cost=cost) for a, b in samples]
            name = f"sampling_{n}x{length}_{reading}"
            record.metric(name, distances, over="batches", tolerance=0.5)
            row.append(record.show(name, ".2g"))
        rows.append(row)
    header = ["trajectories a side", "W1", "squared cost", "W1, cells", "squared cost, cells"]
    return record.Table(header, rows)
