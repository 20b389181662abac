"""What the token runs of flows record besides: how fast trajectories separate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.simulate import from_random_times, simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.measure.distribution import Reference
from dynlib.measure.separation import growth_rate, mean_separation
from dynlib.report import record, style, tokens
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.generation import Generators
from dynlib.tokens.gpt import TokenGPT, generate
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.shadowing import Shadows, divergence_steps, true_divergence_steps

#: Independent parts of the test set, over which intervals of divergence times are taken, and
#: those of slopes, each of which needs the mean of many pairs.
PARTS, SLOPES = 10, 5
#: The numbers of draws at which divergence times are compared, as parts of the largest one.
DRAWS = (200, 20, 2, 1)

#: Memories of the n-grams whose forecasts are compared with their accuracy.
ORDERS = (1, 2, 3, 4, 6, 8, 12, 16)


def fresh(time_map: Any, transient: int, rng: np.random.Generator) -> tokens.Draw:
    """Draws new true trajectories of a time map's flow, each from a random time on."""

    def draw(n: int, length: int) -> np.ndarray:
        start = time_map.flow.initial_states(n, rng)
        return from_random_times(time_map, start, length, transient=transient, rng=rng)

    return draw


def cells(grid: Grid, learned: np.ndarray, test: np.ndarray) -> record.Table:
    """As :func:`dynlib.report.tokens.cells`, and how often a test token is the one before."""
    stay = (test[:, 1:] == test[:, :-1]).mean()
    record.metric("stay_fraction", stay, tolerance=0.05)
    return tokens.cells(grid, learned)


def sampling(
    fresh: tokens.Draw,
    grid: Grid,
    half: tuple[int, int],
    pairs: int,
    references: tuple[Reference, Reference],
) -> record.Table:
    """As :func:`dynlib.report.tokens.sampling`, with one more design: half of the test set."""
    designs = (*tokens.DESIGNS, half)
    table = tokens.sampling(fresh, grid, designs, pairs, tokens.READ, references)
    n, length = half
    same = record.metrics()[f"sampling_{n}x{length}_w1"]["samples"]
    record.metric("sampling_half_test_w1", same, over="batches", tolerance=0.5)
    return table


def exponents(found: np.ndarray, tau: float) -> record.Table:
    """Record the largest Lyapunov exponent of a flow and the entropy rate of its tokens.

    Parameters
    ----------
    found : numpy.ndarray
        All exponents, per unit of time, shape (groups, orbits, 3); a group gives one value.
    tau : float
        Time between two tokens.

    Returns
    -------
    dynlib.report.record.Table
        The exponents.
    """
    largest = found[..., 0].mean(axis=1)
    over: dict[str, Any] = {"over": "trajectories", "tolerance": 0.02}
    entry = record.metric("lyapunov_reference", largest, unit="nats/time", **over)
    record.metric("inverse_lyapunov", 1 / largest, unit="time", **over)
    record.metric("entropy_rate", entry["value"] * tau, unit="nats/token")
    smaller = [
        [name, f"{np.median(found[..., i].mean(axis=1)):.4f}"]
        for name, i in (("second", 1), ("third", 2))
    ]
    first = ["largest", record.show("lyapunov_reference", ".4f")]
    last = ["inverse of the largest, time units", record.show("inverse_lyapunov", ".3f")]
    return record.Table(["", "exponent"], [first, *smaller, last])


def printed_exponent(tau: float, rng: np.random.Generator) -> None:
    """Record the largest exponent of the Lorenz system with sigma and rho as the paper prints them.

    The orbits start where those of the true system do. They come to rest, after a transient.
    """
    printed: Any = TimeMap(Lorenz(sigma=28.0, rho=10.0), tau)  # a flow by its times is a map
    start = simulate(printed, Lorenz().initial_states(16, rng), 1, transient=2000)
    record.metric(
        "printed_parameters_lyapunov",
        tangent_exponents(printed, start[:, 0], 1000, alignment=100)[:, 0],
        over="trajectories", unit="nats/time", tolerance=0.05,
    )  # fmt: skip


def continuations(
    generators: Generators, counts: NGram, prompts: np.ndarray, n_steps: int
) -> tuple[dict[str, list[np.ndarray]], dict[int, np.ndarray]]:
    """Greedy continuations by every method, and by n-grams of many orders.

    Parameters
    ----------
    generators : dynlib.tokens.generation.Generators
        The methods. GPT-2 continues at temperature 1 as well, as ``"sampled"``.
    counts : dynlib.tokens.markov.NGram
        Counts of the longest order.
    prompts : numpy.ndarray
        Tokens, shape (C, k).
    n_steps : int
        Tokens to generate, T.

    Returns
    -------
    continued : dict of str to list of numpy.ndarray
        By method: tokens (C, T), one array a training seed.
    counting : dict of int to numpy.ndarray
        By the order of the n-gram, for `ORDERS`: tokens (C, T).
    """
    greedy, drawn = generators.networks(prompts, n_steps, (0.0, 1.0))
    memory = {name: chain.order for name, chain in generators.chains.items()}
    orders = {*ORDERS, *memory.values()} & set(range(1, counts.order + 1))
    counting = {
        k: counts.shorter(k).generate(prompts, n_steps, temperature=0) for k in sorted(orders)
    }
    continued = {"model": greedy, "sampled": drawn}
    continued |= {name: [counting[k]] for name, k in memory.items()}
    return continued | generators.copying(prompts, n_steps), counting


def divergence(
    continued: Mapping[str, Sequence[np.ndarray]],
    orbits: Sequence[np.ndarray],
    shadows: Sequence[Shadows],
    *,
    excerpts: Excerpts,
    tau: float,
) -> record.Table:
    """Record how long continuations stay close to a true trajectory.

    Parameters
    ----------
    continued : mapping of str to sequence of numpy.ndarray
        Tokens (C, T) of each method, one array a training seed. ``"true"`` is added: one of the
        trajectories found, against the others.
    orbits : sequence of numpy.ndarray
        For each of the C prompts, tokens (n, T) of the true trajectories found.
    shadows : sequence of dynlib.tokens.shadowing.Shadows
        Where these begin, and how hard they were to find.
    excerpts : dynlib.tokens.excerpts.Excerpts
        What begins with the prompts; intervals are over `PARTS` groups of its trajectories.
    tau : float
        Time of a step.

    Returns
    -------
    dynlib.report.record.Table
        Divergence times of the methods.
    """
    record.metric("conditions", len(shadows), tolerance=0.0)
    missed = sum(s.accepted == 0 for s in shadows)
    record.metric("conditions_without_shadow", missed, tolerance=1.0)
    record.metric("conditions_shrunk", sum(s.clouds > 1 for s in shadows), tolerance=1.0)
    rates = [s.rate for s in shadows]
    record.metric("acceptance_rate", rates, over="conditions", tolerance=1.0)
    record.metric("acceptance_rate_mean", float(np.mean(rates)), tolerance=1.0)

    matches = {
        method: [divergence_steps(orbits, sample) for sample in samples]
        for method, samples in continued.items()
    }
    matches["true"] = [true_divergence_steps(orbits)]
    other = {"model": "greedy", "sampled": "model", "true": "pair"}  # decoded greedily
    horizon, parts = orbits[0].shape[1], excerpts.parts(PARTS)
    rows = []
    for method, samples in matches.items():
        name = record.named(method, "divergence_time")
        record.metric(name, _times(samples, parts, tau), over="batches", unit="time", tolerance=0.6)
        steps = np.nanmean(samples, axis=0)  # over training seeds
        mean = float(tau * np.nanmean(steps))
        record.metric(f"{name}_mean", mean, unit="time", tolerance=0.6)
        record.metric(f"{name}_censored", int(np.nansum(steps >= horizon)), tolerance=1.0)
        shown = [record.show(name + suffix) for suffix in ("", "_mean", "_censored")]
        rows.append([style.LABELS[other.get(method, method)], *shown])
    header = ["", "divergence time", "mean over all prompts", "never diverged"]
    return record.Table(header, rows)


def _times(
    samples: Sequence[np.ndarray], parts: Sequence[np.ndarray], tau: float
) -> np.ndarray | None:
    """Mean times of groups of prompts that have one, (P,), or (S, P) for several seeds."""
    steps = np.array(samples, dtype=float)
    known = [part for part in parts if not np.isnan(steps[:, part]).all()]
    times = tau * np.array([np.nanmean(steps[:, part], axis=1) for part in known]).T
    return None if not known else times if len(steps) > 1 else times[0]


@dataclass(frozen=True)
class Draws:
    """Mean divergence times, by how many states are drawn around each prompt's first one.

    `curves` holds a value for each of `counts`, by ``"model"``, ``"best_ngram"`` and ``"true"``.
    """

    counts: list[int]
    curves: dict[str, list[float]]


def by_draws(
    continued: Mapping[str, Sequence[np.ndarray]],
    orbits: Sequence[np.ndarray],
    shadows: Sequence[Shadows],
    *,
    samples: int,
    excerpts: Excerpts,
    tau: float,
) -> Draws:
    """Record divergence times at several numbers of draws: they grow with it.

    A longer search finds closer trajectories. So a divergence time is a lower bound of that from
    all true trajectories, and times are compared at equal draws.

    Parameters
    ----------
    continued, orbits, shadows, excerpts, tau
        As for :func:`divergence`.
    samples : int
        States of the first cloud. Times are from the first of its draws, in several numbers.

    Returns
    -------
    Draws
        The curves to draw. The metrics are ``shadow_draws<i>`` and
        ``<method>_divergence_time_draws<i>`` for i = 1, 2, …
    """
    parts = excerpts.parts(PARTS)
    curves: dict[str, list[float]] = {"model": [], "best_ngram": [], "true": []}
    counts = [samples // part for part in DRAWS]
    for number, count in enumerate(counts, 1):
        found = [o[s.drawn <= count] for o, s in zip(orbits, shadows, strict=True)]
        record.metric(f"shadow_draws{number}", count, unit="states", tolerance=0.0)
        alone = sum(len(each) == 1 for each in found)
        record.metric(f"true_divergence_time_draws{number}_failures", alone, tolerance=5.0)
        for method, curve in curves.items():
            if method == "true":
                steps = [true_divergence_steps(found)]
            else:
                steps = [divergence_steps(found, each) for each in continued[method]]
            name, times = f"divergence_time_draws{number}", _times(steps, parts, tau)
            record.metric(
                record.named(method, name), times, over="batches", unit="time", tolerance=0.6
            )
            curve.append(np.nan if times is None else float(tau * np.nanmean(steps)))
    return Draws(counts, curves)


@dataclass(frozen=True)
class Separation:
    """Mean distances of trajectories with the same prompt, by time.

    `curves` holds those of ``"model"`` and ``"pair"``, shape (time,); `spread` is the mean
    distance of independent trajectories; slopes are measured between the `bounds`.
    """

    curves: dict[str, np.ndarray]
    spread: float
    bounds: tuple[float, float]


def written_on(model: TokenGPT, grid: Grid, sentences: np.ndarray, prompt: int) -> np.ndarray:
    """States of sentences (n, T) that a model writes on greedily from their first tokens."""
    given = sentences[:, :prompt]
    written = generate(model, given, sentences.shape[1] - prompt, temperature=0.0)
    return grid.decode(np.concatenate([given, written], axis=1))


def separation(
    real: Excerpts,
    written: np.ndarray,
    twins: np.ndarray,
    others: np.ndarray,
    *,
    paired: np.ndarray,
    prompt: int,
    tau: float,
    cell: float,
) -> Separation:
    """Record how fast continuations leave the true trajectory, and how fast true pairs separate.

    Parameters
    ----------
    real : dynlib.tokens.excerpts.Excerpts
        True trajectories; intervals are over `SLOPES` groups of what they were cut from.
    written, twins, others : numpy.ndarray
        States, as ``real.states``: the model's, with the same prompts; true ones that write the
        same prompts; independent ones.
    paired : numpy.ndarray
        Whether a twin was found, (n,).
    prompt : int
        Steps before the continuation.
    tau : float
        Time of a step.
    cell : float
        Width of a cell. Slopes are measured from twice that to a fifth of the distance of
        independent trajectories.

    Returns
    -------
    Separation
        The curves to draw.
    """
    true = real.states
    spread = mean_separation(true, others).mean()
    bounds = (2 * cell, spread / 5)
    curves = {
        "model": mean_separation(written, true),
        "pair": mean_separation(twins[paired], true[paired]),
    }
    record.metric("pair_failures", int((~paired).sum()), tolerance=1.0)
    record.metric("pair_spread", spread, unit="state", tolerance=0.1)
    everyone = np.ones(len(true), dtype=bool)
    for method, a, kept in (("model", written, everyone), ("true", twins, paired)):
        parts = [part[kept[part]] for part in real.parts(SLOPES)]
        fitted = [
            growth_rate(mean_separation(a[part], true[part])[prompt:], tau, *bounds)
            for part in parts
            if len(part)
        ]
        rates = [rate for rate in fitted if rate is not None]
        name = record.named(method, "separation_slope")
        record.metric(name, rates or None, over="batches", unit="1/time", tolerance=1.0)
        record.metric(f"{name}_failures", len(parts) - len(rates), tolerance=5.0)
    return Separation(curves, spread, bounds)


def slopes() -> record.Table:
    """A table of the slopes that :func:`separation` recorded."""
    rows = [
        [
            label,
            record.show(record.named(method, "separation_slope"), ".3f"),
            record.show(record.named(method, "separation_slope_failures")),
        ]
        for method, label in (("model", "GPT-2 and truth"), ("true", "true pair"))
    ]
    rows.append(["Lyapunov exponent", record.show("lyapunov_reference", ".3f"), ""])
    return record.Table(["", "slope, 1/time", "groups without one"], rows)
