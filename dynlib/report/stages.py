"""How long to train: what a model is worth at every stage of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dynlib.dynamics.lyapunov import fit_exponent, product_growth
from dynlib.measure.distribution import Reference
from dynlib.measure.sequences import copied_fraction
from dynlib.measure.transport import token_distance
from dynlib.report import flows, record
from dynlib.report.figures import learning as shown
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.gpt import TokenGPT, generate, log_probabilities
from dynlib.tokens.grid import Grid
from dynlib.tokens.recipes import Trained
from dynlib.tokens.shadowing import divergence_steps
from dynlib.tokens.stages import at_stage
from dynlib.tokens.windows import random_windows, windows
from dynlib.training import parallel, progress

#: How a model writes at each stage, by the names of the methods.
TEMPERATURES = {"model": 1.0, "greedy": 0.0}
#: The values of a measure, one a batch, or one for all.
Values = Sequence[float] | float | None
#: What a system adds, from the model and what it wrote, batches (P, R, T) by method.
More = Callable[[TokenGPT, Mapping[str, np.ndarray]], Mapping[str, Values]]
#: What is recorded of every stage, with the unit, but for what a system adds.
UNITS = {
    "tokens": "tokens", "cross_entropy_train": "nats/token",
    "cross_entropy_held_out": "nats/token", "w1_ratio": "1", "greedy_w1_ratio": "1",
    "greedy_w1_ratio_matched": "1", "greedy_over_sampled": "1", "unseen_cells": "1",
}  # fmt: skip
#: The same for what :func:`exponents` and :func:`times` add, and for copies.
ADDED = {
    "greedy_lyapunov": "nats/iteration", "copied": "1", "divergence_time": "time",
    "divergence_time_mean": "time",
}  # fmt: skip
#: Printed values that claims compare stages with, by system and measure.
PRINTED = {
    "henon": {"greedy_lyapunov": 0.4161},
    "rossler": {"divergence_time_mean": 4.59},
    "lorenz": {"divergence_time_mean": 1.11},
}


def study(system: str, trained: Trained, *given: Any, **options: Any) -> record.Table | None:
    """:func:`learning` of a system, and how near its stages come to the printed values.

    That a printed value lies between the extremes of all stages does not say that one is near it.

    Metrics: those of :func:`learning`, and ``stages_nearest_<measure>`` for each of `PRINTED`, the
    least distance from the printed value at any stage. All others are arguments of
    :func:`learning`.
    """
    table, found = learning(trained, *given, **options), record.metrics()
    names = [f"stage_{k}" for k in range(1, len(trained.stages) + 1)]
    near = {
        measure: min(abs(found[f"{name}_{measure}"]["value"] - printed) for name in names)
        for measure, printed in PRINTED[system].items() if names
    }  # fmt: skip
    # One statement, which witnesses of runs without stages execute too.
    list(map(_metric, [f"stages_nearest_{measure}" for measure in near], near, near.values()))
    return table


def learning(
    trained: Trained,
    test: np.ndarray,
    euclidean: Reference,
    learned: np.ndarray,
    *,
    prompt: int,
    rollouts: int,
    batches: int,
    seed: int,
    more: More,
    copies: int = 0,
) -> record.Table | None:
    """Record what a model is worth at every stage of its training; nothing if there are none.

    The metrics are ``stage_<k>_<measure>`` for k = 1, 2, …, with the measures of `UNITS`, and
    ``kept_<measure>`` for the stage of least held-out loss (the last one if nothing is held out).
    ``stages_least_<measure>`` and ``stages_most_<measure>`` are the extremes over the stages.

    Parameters
    ----------
    trained : dynlib.tokens.recipes.Trained
        A training with stages.
    test : numpy.ndarray
        Test tokens (M, T), from which prompts are drawn by the seed alone.
    euclidean : dynlib.measure.distribution.Reference
        Fresh true batches, one pair or more for each of the `batches`.
    learned : numpy.ndarray
        Training tokens.
    prompt, rollouts, batches, seed : int
        Tokens of a prompt, prompts a batch, number of batches, seed of the prompts and draws.
    more : callable
        :func:`exponents` or :func:`times`.
    copies : int
        The share of the stretches of so many tokens that stand in the training data is measured
        as well, ``copied``, and that of true trajectories, ``true_copied``; 0 to leave it out.

    Returns
    -------
    dynlib.report.record.Table, optional
        A row a stage.
    """
    if not trained.stages:
        return None
    truth = Reference(euclidean.batches[:, :rollouts], euclidean.centres)
    length = truth.batches.shape[2]
    drawn = random_windows(test, prompt + length, batches * rollouts, [seed, 2])
    prompts, continued = drawn[:, :prompt], drawn[:, prompt:]
    known = np.unique(learned)
    found: list[dict[str, Values]] = []
    pairs: list[dict[str, list[tuple[np.ndarray, np.ndarray]]]] = []
    meter = progress.Meter("stages of the training", len(trained.stages))
    for number, stage in enumerate(trained.stages):
        meter.update(number)
        model = at_stage(trained, stage)
        written = {
            name: generate(model, prompts, length, temperature=temperature, seed=seed).reshape(
                batches, rollouts, length
            )
            for name, temperature in TEMPERATURES.items()
        }
        measures: dict[str, Values] = {
            "tokens": stage.tokens_seen,
            "cross_entropy_train": cross_entropy(model, learned),
            "cross_entropy_held_out": stage.validation_loss,
            "unseen_cells": [float(1 - np.isin(part, known).mean()) for part in written["model"]],
        }
        if copies:
            flat = written["model"].reshape(-1, length)
            measures["copied"] = copied_fraction(flat, learned, copies)
        found.append(measures | dict(more(model, written)))
        fresh, matched = truth.batches[0::2], continued.reshape(batches, rollouts, length)
        pairs.append(
            {
                "w1_ratio": list(zip(written["model"], fresh, strict=False)),
                "greedy_w1_ratio": list(zip(written["greedy"], fresh, strict=False)),
                "greedy_w1_ratio_matched": list(zip(written["greedy"], matched, strict=True)),
            }
        )
    for measures, ratios in zip(found, _ratios(pairs, truth), strict=True):
        measures.update(ratios)
        both = zip(ratios["greedy_w1_ratio"], ratios["w1_ratio"], strict=True)
        measures["greedy_over_sampled"] = [greedy / sampled for greedy, sampled in both]
    if copies:
        true = truth.batches.reshape(-1, length)
        record.metric("true_copied", copied_fraction(true, learned, copies), tolerance=0.5)
    record.context(training_ended=trained.ended)
    _record(found)
    return shown.table(record.metrics())


def cross_entropy(model: TokenGPT, learned: np.ndarray) -> float:
    """Nats a token on training data, without dropout, at the places of the held-out loss."""
    context = model.config.context
    sentences = windows(learned, context + 1, 256, first=100)
    likelihood, _ = log_probabilities(model, sentences, last=context - context // 2)
    return float(-likelihood.mean())


def _ratios(
    pairs: Sequence[Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]], truth: Reference
) -> list[dict[str, list[float]]]:
    """The distances of pairs of samples, stage by stage, over those of true ones."""
    jobs = [
        {"tokens_a": one, "tokens_b": other, "centres": truth.centres}
        for stage in pairs for both in stage.values() for one, other in both
    ]  # fmt: skip
    workers = parallel.default_workers("cpu")  # distances do not use the GPU
    distances = iter(parallel.map_processes(token_distance, jobs, workers))
    scale = float(np.median(truth.true_true))
    return [
        {measure: [next(distances) / scale for _ in both] for measure, both in stage.items()}
        for stage in pairs
    ]


def _record(found: Sequence[Mapping[str, Values]]) -> None:
    losses = [each["cross_entropy_held_out"] for each in found]
    kept = len(found) - 1 if None in losses else int(np.argmin(losses))  # type: ignore[arg-type]
    record.metric("stages", len(found), tolerance=1.0)
    record.metric("kept_stage", kept + 1, tolerance=1.0)
    names = {f"stage_{k}": each for k, each in enumerate(found, 1)} | {"kept": found[kept]}
    for name, measures in names.items():
        for measure, values in measures.items():
            _metric(f"{name}_{measure}", measure, values)
    for measure in found[0]:
        known = [each[measure] for each in found]
        middle = [float(np.median(values)) for values in known if values is not None]
        for name, extreme in (("least", min), ("most", max)):
            _metric(f"stages_{name}_{measure}", measure, extreme(middle) if middle else None)


def _metric(name: str, measure: str, values: Values) -> None:
    over = "batches" if isinstance(values, Sequence) else None
    unit = (UNITS | ADDED)[measure]
    record.metric(name, values, over=over, unit=unit, tolerance=0.5)


def exponents(system: Any, grid: Grid, products: int) -> More:
    """Adds ``greedy_lyapunov``: the exponent of a map from the states of greedy rollouts.

    `products` is the length of the longest product of Jacobians, as for
    :func:`dynlib.report.tokens.estimated_exponents`.
    """

    def more(model: TokenGPT, written: Mapping[str, np.ndarray]) -> dict[str, Values]:
        growth = [
            product_growth(system.jacobian(grid.decode(part)), products)
            for part in written["greedy"]
        ]
        return {"greedy_lyapunov": [fit_exponent(each, 1) for each in growth]}

    return more


def times(
    asked: np.ndarray, orbits: Sequence[np.ndarray], *, excerpts: Excerpts, tau: float
) -> More:
    """Adds ``divergence_time`` and its mean, decoded greedily.

    The prompts (C, k), and for each the tokens (n, T) of the true trajectories found, `excerpts`
    and `tau` are those of :func:`dynlib.report.flows.divergence`.
    """
    parts, horizon = excerpts.parts(flows.PARTS), orbits[0].shape[1]

    def more(model: TokenGPT, written: Mapping[str, np.ndarray]) -> dict[str, Values]:
        steps = divergence_steps(orbits, generate(model, asked, horizon, temperature=0.0))
        return {
            "divergence_time": [float(tau * np.nanmean(steps[part])) for part in parts],
            "divergence_time_mean": float(tau * np.nanmean(steps)),
        }

    return more
