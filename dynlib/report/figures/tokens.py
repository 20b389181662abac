"""Figures of the token models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from dynlib.report import record, style


def context_curves(
    axes: Axes, lengths: Sequence[int], networks: np.ndarray, counts: np.ndarray, floor: float
) -> None:
    """Cross-entropy against tokens of context, over the entropy rate of the system.

    `networks` is (models, len(lengths)), `counts` holds n-grams of 1, 2, … tokens, `floor` is
    in nats a token.
    """
    axes.axhline(floor, color=style.MUTED, linewidth=1)
    axes.annotate(
        "entropy rate of the system", (1, floor), xytext=(0, 5), textcoords="offset points",
        fontsize=10, color=style.MUTED,
    )  # fmt: skip
    for curve in networks:
        axes.plot(lengths, curve, "o-", markersize=3.5, color=style.COLOURS["model"])
    orders = range(1, len(counts) + 1)
    axes.plot(orders, counts, "s--", markersize=4, color=style.COLOURS["ngram4"])
    few = min(3, len(counts))  # where the curves are apart, and nothing is below
    style.note(axes, few, counts[few - 1], "n-grams", "ngram4", offset=(-6, -8), ha="right")
    style.note(
        axes, lengths[-1], networks[0][-1], "GPT-2", "model", offset=(4, 10), ha="right"
    )  # fmt: skip
    axes.set(xscale="log", xlabel="tokens of context", ylabel="cross-entropy, nats per token")
    ticks = [n for n in lengths if n & (n - 1) == 0]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()


def dots(axes: Axes, methods: Sequence[str], measure: str) -> None:
    """One row a method: every unit's value of a measure, the median and the interval."""
    for row, method in enumerate(methods):
        entry = record.metrics()[record.named(method, measure)]
        colour = style.COLOURS[method]
        if entry["value"] is None:
            continue
        axes.plot(entry["samples"], [row] * len(entry["samples"]), "o", color=colour, alpha=0.5)
        if entry["low"] is not None:
            axes.plot([entry["low"], entry["high"]], [row, row], color=colour)
        axes.plot(entry["value"], row, "|", color=colour, markersize=14, mew=2)
    axes.set_yticks(range(len(methods)), [style.LABELS[m] for m in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)


def ratios(axes: Axes, methods: Sequence[str]) -> None:
    """Distance of each method from the truth over that of truth from truth; dashed: equal."""
    dots(axes, methods, "w1_ratio")
    axes.axvline(1, color=style.MUTED, linestyle="--", linewidth=1)
    axes.set(xscale="log", xlabel="W1 to truth / W1 of truth to truth")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
