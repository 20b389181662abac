"""The models that the notebook on a user-defined system trains and fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynlib.identify.havok import Havok
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.reservoir import fit_reservoir
from dynlib.identify.sindy import fit_sindy
from dynlib.networks.count import total
from dynlib.networks.ensembles import train_all
from dynlib.networks.ffnn import widths_of_size
from dynlib.networks.recipes import Architecture, Recipe, Trained
from dynlib.report import own, record
from dynlib.report.studied import Studied
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.recipes import TrainingConfig

Pairs = tuple[np.ndarray, np.ndarray]


def gpt(
    vocabulary: int, shape: Sequence[int], steps: int, batch_size: int, learning_rate: float
) -> tuple[GPTConfig, TrainingConfig]:
    """A GPT-2 of (layers, heads, width, context) with a factorised embedding, and its training."""
    layers, heads, width, context = shape
    return (
        GPTConfig(vocabulary, layers, heads, width, context, embedding="factorised"),
        TrainingConfig(
            steps, batch_size, learning_rate, optimizer="muon", beta2=0.95, epsilon=1e-8,
            weight_decay=0.01, schedule="cosine", clip=1.0,
        ),
    )  # fmt: skip


def networks(
    found: Studied, learnt: Pairs, branches: int, recipe: Recipe, seeds: Sequence[int], device: str
) -> tuple[dict[str, list[Trained]], list[str]]:
    """A structured network and a plain one of equal size, trained; why they are not, in sentences.

    States are padded with zeros to the next power of two, four or more, for the structured one.
    Without a whole batch of pairs there are none.
    """
    before, after = found.pairs("held_out")
    if len(learnt[0]) < recipe.batch_size or not len(before):
        return {}, [
            f"The networks are left out: they need {recipe.batch_size} pairs of states to learn "
            f"from, and one held out; the data have {len(learnt[0])} and {len(before)}."
        ]
    structured = Architecture(branches=branches, n=max(4, 1 << (found.dim - 1).bit_length()))
    size = total(structured.build())
    plain = Architecture(widths=widths_of_size(size, n=found.dim, within=0.1))
    wanted = {"stnn": (structured, recipe, seeds), "control": (plain, recipe, seeds)}
    trained = train_all(wanted, learnt, (before[::10], after[::10]), device=device)
    for name, (architecture, _, _) in wanted.items():
        record.metric(f"{name}_parameters", total(architecture.build()), tolerance=0.0)
    return trained, []


def fits(
    found: Studied, learnt: Pairs, degree: int, units: int
) -> tuple[dict[str, Any], list[str]]:
    """Models that are fitted, and in sentences why others could not be.

    A polynomial map and a reservoir; of measurements that vary smoothly SINDy and HAVOK too.
    """
    longest = max(found.learn, key=len)
    wanted: dict[str, Callable[[], Any]] = {
        f"polynomial_{degree}": lambda: PolynomialMap.fit(*learnt, degree),
        "reservoir": lambda: fit_reservoir(longest, units),
    }
    if found.flow and not found.equations:
        parts = [part for part in found.learn if len(part) >= 20] or [longest]
        wanted["sindy_smoothed"] = lambda: fit_sindy(parts, found.tau, "smoothed")
        wanted["havok"] = lambda: Havok.fit(longest, found.tau, delays=20, rank=8)
    models: dict[str, Any] = {}
    notes = []
    for name, fit in wanted.items():
        try:
            models[name] = fit()
        except ValueError as error:
            notes.append(f"Left out: {own.labels([name], 1)[name]}, since {error}.")
        else:
            record.metric(f"{name}_parameters", models[name].parameters, tolerance=0.0)
    return models, notes
