"""What the token runs record, and the tables that they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynlib.dynamics.lyapunov import fit_exponent, product_growth, tangent_exponents
from dynlib.measure.blind import classifier_accuracy
from dynlib.measure.distribution import SHARES, Reference, rollout_measures
from dynlib.measure.sequences import periods, transitions, unseen_transitions
from dynlib.measure.transport import token_distance
from dynlib.report import record, style
from dynlib.tokens.generation import Generators
from dynlib.tokens.gpt import TokenGPT, log_probabilities
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import chain_scores, context_curves
from dynlib.tokens.recipes import Trained
from dynlib.tokens.windows import windows
from dynlib.training import parallel, progress
from dynlib.training.device import resolve_device

#: Seconds of an exact distance on one core, a pair of occupied cells, and how much longer the
#: squared cost takes (what both sides share cannot be left out). Measured: Hénon map, 1000 cells.
SECONDS, SQUARED = 1e-7, 3
#: The distances of which ratios are taken over those of true samples from each other.
NUMERATORS = {
    "w1_ratio": "w1_model_true", "w1_ratio_matched": "w1_matched_true",
    "w2sq_ratio": "w2sq_model_true",
}  # fmt: skip


def begin(device: str, seed: int, n_seeds: int) -> tuple[str, int, list[int]]:
    """Set the style of figures, empty the record, and note the device and the seeds.

    Returns
    -------
    device : str
        ``"cpu"`` or ``"cuda"``.
    workers : int
        Processes to share the work.
    seeds : list of int
        ``seed, seed + 1, …``.
    """
    style.use_style()
    record.clear()
    device, seeds = resolve_device(device), list(range(seed, seed + n_seeds))
    record.context(device=device, threads=1, seeds=seeds)
    return device, parallel.default_workers(device), seeds


def cells(grid: Grid, learned: np.ndarray) -> record.Table:
    """Record and tabulate the size of the vocabulary and of the training set (tokens)."""
    record.metric("vocabulary", grid.vocabulary, tolerance=0.02)
    record.metric("vocabulary_grid", grid.n_cells**grid.dim, tolerance=0.0)
    record.metric("train_tokens", learned.size, tolerance=0.0)
    sizes = (grid.n_cells**grid.dim, grid.vocabulary, learned.size)
    header = ["cells of the grid", "with a token", "tokens to learn from"]
    return record.Table(header, [[record.number(size, "d") for size in sizes]])


def hold_out(tokens: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Trajectories to learn from, and the last `n`, for choices; None in their place for 0."""
    learned = len(tokens) - n
    return tokens[:learned], tokens[learned:] if n else None


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
            [str(s), record.number(t.tokens_seen, "d"), f"{t.seconds:.0f}"]
            + [f"{loss:.3f}" for loss in t.history[-1, 1:]]
            for s, t in zip(seeds, trained, strict=True)
        ],
    )


def prediction(
    models: Sequence[TokenGPT], chain: NGram, best: int, test: np.ndarray, n: int, first: int
) -> None:
    """Record cross-entropy and accuracy of the models and of n-grams of every order.

    All predict the same tokens, the second half of the models' context; `best` is the order
    of ``best_ngram``, chosen elsewhere. Its cross-entropy is subtracted from that of the models on
    each test trajectory, so that what makes one hard for both cancels.
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
    counted, _ = chain.shorter(best).log_probabilities(sentences[:, -half - best :])
    gaps = [per_trajectory(each - counted, len(test)) for each, _ in scores]
    record.metric(
        "cross_entropy_minus_best_ngram", np.array(gaps), over="trajectories", unit="nats/token"
    )


def per_trajectory(likelihoods: np.ndarray, n: int) -> np.ndarray:
    """Cross-entropy on each of n trajectories, from windows (B, T) that take them by turns."""
    return -likelihoods.reshape(-1, n, likelihoods.shape[-1]).mean(axis=(0, 2))


def memory(
    models: Sequence[TokenGPT], chain: NGram, best: int, test: np.ndarray, *, n: int, first: int
) -> tuple[Sequence[int], np.ndarray, np.ndarray]:
    """Record how well test tokens are predicted, by memory: :func:`prediction`, and the curves.

    Parameters
    ----------
    models, chain, best, test, n, first
        As for :func:`prediction`; a quarter of the `n` windows serves the curves.

    Returns
    -------
    tuple
        What :func:`dynlib.tokens.memory.context_curves` returns.
    """
    prediction(models, chain, best, test, n, first)
    lengths, networks, counts = context_curves(models, chain, test, n // 4, first=first)
    for length, values in zip(lengths, networks.T, strict=True):
        record.metric(f"context{length}_cross_entropy", values, over="seeds", unit="nats/token")
    return lengths, networks, counts


#: Samples of each size from which an exponent is estimated.
SIZED = 8

#: Draws new true trajectories, from (n, length) to states (n, length, d) or tokens (n, length).
Draw = Callable[[int, int], np.ndarray]
#: Numbers of true trajectories and their lengths, as large as the paper's samples may have been.
DESIGNS = ((1, 10_000), (10, 1000), (200, 50), (1, 100_000))
#: The one of them that is measured in every reading of "Wasserstein distance".
READ = ((10, 1000),)


def encoded(grid: Grid, states: Draw) -> Draw:
    """Draws the tokens of new true trajectories, from what draws their states."""

    def draw(n: int, length: int) -> np.ndarray:
        return grid.encode(states(n, length), unseen="nearest")

    return draw


def rivals(
    models: Sequence[TokenGPT],
    counts: NGram,
    best: int,
    learned: np.ndarray,
    grid: Grid,
    seeds: Sequence[int],
    workers: int,
) -> Generators:
    """GPT-2 and its rivals: n-grams of one, four and `best` tokens of memory, and two copyists."""
    memory = {"markov": 1, "ngram4": 4, "best_ngram": best}
    chains = {name: counts.shorter(k) for name, k in memory.items()}
    return Generators(models, chains, learned, grid.centres, seeds, workers)


def references(batches: np.ndarray, grid: Grid) -> tuple[Reference, Reference]:
    """True batches (2n, R, T) to measure with, by the Euclidean and by the squared cost."""
    euclidean = Reference(batches, grid.centres, "euclidean")
    return euclidean, Reference(batches, grid.centres, "squared")


def rollouts(
    samples: Mapping[str, np.ndarray],
    euclidean: Reference,
    squared: Reference,
    matched: np.ndarray,
    learned: np.ndarray,
    with_squared: Iterable[str] | None = None,
) -> record.Table:
    """Record the measures of every method's rollouts; the table of the distances.

    Parameters
    ----------
    samples : mapping of str to numpy.ndarray
        By method, tokens (S, P, R, T): what each of S training seeds writes after P batches of R
        prompts, the same for all methods.
    euclidean, squared : Reference
        P pairs of fresh true batches with either cost. Batch p is compared with the p-th pair.
    matched : numpy.ndarray
        The true continuations of the prompts, (P, R, T).
    learned : numpy.ndarray
        Training tokens.
    with_squared : sequence of str, optional
        The methods measured with the squared cost as well (all by default).
    """
    record.metric("w1_true_true", euclidean.true_true, over="batches", tolerance=0.3)
    record.metric("w2sq_true_true", squared.true_true, over="batches", tolerance=0.5)
    size = int(np.prod(matched.shape[1:]))
    record.metric("w1_states", size, unit="states", tolerance=0.0)
    record.metric("prompt_batches", len(matched), unit="batches", tolerance=0.0)
    chosen = set(samples if with_squared is None else with_squared)
    progress.announce("distances of rollouts", _rollout_seconds(samples, chosen, euclidean.batches))
    meter = progress.Meter("distances of rollouts, methods", len(samples))
    scales = {"w1": euclidean.true_true, "w2sq": squared.true_true}
    for number, (method, each) in enumerate(samples.items()):
        meter.update(number)
        second = squared if method in chosen else None
        by_seed = [rollout_measures(list(one), euclidean, second, matched, learned) for one in each]
        for measure in by_seed[0]:
            if measure == "w1_matched_true":
                continue
            numerator = NUMERATORS.get(measure, measure)
            values = np.array([found[numerator] for found in by_seed])  # (S, P)
            record.metric(
                record.named(method, measure), values if len(values) > 1 else values[0],
                per=None if measure == numerator else scales[measure.partition("_")[0]],
                over="batches", tolerance=0.3, share=measure in SHARES,
            )  # fmt: skip
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


def _rollout_seconds(
    samples: Mapping[str, np.ndarray], chosen: set[str], batches: np.ndarray
) -> float:
    """Time of the distances of :func:`rollouts`, from the number of cells that they compare."""
    cells = np.mean([len(np.unique(batch)) for batch in batches])
    number = sum(
        np.prod(sample.shape[:2]) * (2 + SQUARED * (method in chosen))
        for method, sample in samples.items()
    )
    return float(SECONDS * cells**2 * number)


#: The methods whose rollouts a classifier tries to tell from true ones, and the states it sees.
JUDGED, WINDOW = ("model", "markov", "best_ngram"), 16


def told_apart(samples: Mapping[str, np.ndarray], reference: Reference) -> record.Table:
    """Record how often a classifier tells short windows of rollouts from true ones.

    As :func:`dynlib.measure.blind.classifier_accuracy`, on cell centres. `samples` and `reference`
    are those of :func:`rollouts`. Two true sides, ``true_classifier_accuracy``, show its chance.
    """
    true, other = (reference.centres[reference.batches[k::2]] for k in (0, 1))
    sides = {name: reference.centres[samples[name]] for name in JUDGED} | {"true": other[None]}
    rows = []
    for method, side in sides.items():
        found = np.array([classifier_accuracy(one, true, window=WINDOW) for one in side])
        name = record.named(method, "classifier_accuracy")
        each = found if len(found) > 1 else found[0]
        record.metric(name, each, over="batches", tolerance=0.2, share=True)
        rows.append([style.LABELS[method], record.show(name)])
    return record.Table(["", f"told from truth by {WINDOW} states"], rows)


def cycles(samples: Mapping[str, np.ndarray]) -> record.Table:
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


def _periods(samples: np.ndarray) -> str:
    """The periods in which rollouts (..., T) end, each with the number of rollouts."""
    found = periods(samples.reshape(-1, samples.shape[-1]))
    kinds, number = np.unique(found, return_counts=True)
    commonest = sorted(zip(-number, kinds, strict=True))
    pairs = [f"{kind} ({-n})" for n, kind in commonest if kind]
    return ", ".join([*pairs[:4], *["…"][: len(pairs) > 4]]) or "none"


def sampling(
    fresh: Draw,
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
    progress.announce(
        "distances between true samples",
        _sampling_seconds(designs, pairs, readings_of, len(cells)),
    )
    meter = progress.Meter("distances between true samples, designs", len(designs) + 1)
    rows: list[list[str]] = []
    for n, length in dict.fromkeys([*designs, batches.shape[1:]]):
        meter.update(len(rows))
        last = (n, length) == batches.shape[1:]
        samples = [(fresh(n, length), fresh(n, length)) for _ in range(0 if last else pairs)]
        if last:
            samples = list(zip(batches[0::2], batches[1::2], strict=True))[:pairs]
        row = [f"{record.number(n, 'd')} of {record.number(length, 'd')} states"]
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


def _sampling_seconds(
    designs: Sequence[tuple[int, int]],
    pairs: int,
    readings_of: Sequence[tuple[int, int]],
    vocabulary: int,
) -> float:
    """Time of the distances of :func:`sampling`, at most, if every state has a cell of its own."""
    total = 0.0
    for n, length in designs:
        euclidean = SECONDS * min(n * length, vocabulary) ** 2 * pairs
        total += euclidean * (1 + (1 + 2 * SQUARED) * ((n, length) in readings_of))
    return total


def exponents(system: Any, states: np.ndarray, n_steps: int, **options: int) -> np.ndarray:
    """As :func:`dynlib.dynamics.lyapunov.tangent_exponents`, by all processes of the run.

    An orbit has the same digits in any of them.
    """
    workers = parallel.default_workers()
    jobs = [
        {"system": system, "states": part, "n_steps": n_steps, **options}
        for part in np.array_split(states, min(workers, len(states)))
    ]
    return np.concatenate(parallel.map_processes(tangent_exponents, jobs, workers))


def lyapunov_name(method: str) -> str:
    """Name of the metric of the exponent that a method's states give."""
    return "lyapunov_model" if method == "model" else f"{method}_lyapunov"


def estimated_exponents(growth: Mapping[str, Sequence[np.ndarray]], products: int) -> record.Table:
    """Record the exponent fitted to each method's growth rates, from n = 1 and from n = 5.

    Parameters
    ----------
    growth : mapping of str to sequence of numpy.ndarray
        For each method, what :func:`dynlib.dynamics.lyapunov.product_growth` returns for every
        seed; for ``"orbit"`` and ``"tokens"``, for every batch of true orbits.
    products : int
        Longest product of Jacobians.

    Returns
    -------
    dynlib.report.record.Table
        Both fits of every method, and ``lyapunov_reference``, recorded before.
    """
    rows = []
    for method, samples in growth.items():
        name = lyapunov_name(method)
        over = "batches" if method in ("orbit", "tokens") else "seeds"
        for suffix, first in (("", 1), ("_fit5", 5)):
            record.metric(
                name + suffix, [fit_exponent(each, first) for each in samples], over=over,
                unit="nats/iteration", tolerance=0.02,
            )  # fmt: skip
        shown = [record.show(name + suffix, ".4f") for suffix in ("", "_fit5")]
        rows.append([style.LABELS[method], *shown])
    rows.append(["tangent space", record.show("lyapunov_reference", ".4f"), ""])
    return record.Table(["", f"n = 1 … {products}, as printed", f"n = 5 … {products}"], rows)


def exponent_by_size(
    fresh: Draw, grid: Grid, system: Any, *, n: int, length: int, products: int
) -> record.Table:
    """Record the exponent from true tokens of a tenth as many states, and of ten times as many.

    Parameters
    ----------
    fresh : callable
        From (n, length) to tokens of new true orbits.
    grid : Grid
        The cells, at whose centres the Jacobians are taken.
    system : object
        A map with ``jacobian``.
    n, length : int
        Orbits and states of each behind ``tokens_lyapunov``, recorded before.
    products : int
        Longest product of Jacobians.
    """
    record.metric("lyapunov_states", n * length, unit="states", tolerance=0.0)
    for name, orbits, steps in (("tenth", n, length // 10), ("tenfold", 10 * n, length)):
        found = []
        for _ in range(SIZED):
            jacobians = system.jacobian(grid.decode(fresh(orbits, steps)))
            found.append(fit_exponent(product_growth(jacobians, products), 1))
        record.metric(
            f"tokens_lyapunov_{name}", found, over="batches", unit="nats/iteration", tolerance=0.02
        )
    sizes = {"_tenth": n * length // 10, "": n * length, "_tenfold": 10 * n * length}
    return record.Table(
        ["true states", "exponent from their cells"],
        [
            [record.number(states, "d"), record.show(f"tokens_lyapunov{suffix}", ".4f")]
            for suffix, states in sizes.items()
        ],
    )
