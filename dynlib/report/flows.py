"""What the token runs of flows record besides: how fast trajectories separate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynlib.measure.separation import growth_rate, mean_separation
from dynlib.report import record, style
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.shadowing import Shadows, divergence_steps, true_divergence_steps

#: Independent parts of the test set, over which intervals are taken.
PARTS = 5


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
        steps = np.nanmean(samples, axis=0)  # over training seeds
        times = [tau * np.nanmean(steps[part]) for part in parts]
        record.metric(name, times, over="batches", unit="time", tolerance=0.6)
        mean = float(tau * np.nanmean(steps))
        record.metric(f"{name}_mean", mean, unit="time", tolerance=0.6)
        record.metric(f"{name}_censored", int(np.nansum(steps >= horizon)), tolerance=1.0)
        shown = [record.show(name + suffix) for suffix in ("", "_mean", "_censored")]
        rows.append([style.LABELS[other.get(method, method)], *shown])
    header = ["", "divergence time", "mean over all prompts", "never diverged"]
    return record.Table(header, rows)


@dataclass(frozen=True)
class Separation:
    """Mean distances of trajectories with the same prompt, by time.

    `curves` holds those of ``"model"`` and ``"pair"``, shape (time,); `spread` is the mean
    distance of independent trajectories; slopes are measured between the `bounds`.
    """

    curves: dict[str, np.ndarray]
    spread: float
    bounds: tuple[float, float]


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
        True trajectories; intervals are over `PARTS` groups of what they were cut from.
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
        parts = [part[kept[part]] for part in real.parts(PARTS)]
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
