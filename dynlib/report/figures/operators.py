"""Figures of the Hankel operator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.colors import SymLogNorm

from dynlib.networks.stnn import StNN
from dynlib.operators.bestfit import BestFit
from dynlib.operators.hankel import Hankel
from dynlib.report import style
from dynlib.report.figures import anatomy
from dynlib.report.networks import label
from dynlib.report.operators import TITLES, Costs
from dynlib.report.style import COLOURS


def windows(series: np.ndarray, dt: float) -> style.Shown:
    """The start of a series, every other value, and the operator of its windows."""
    n = 60
    values = torch.from_numpy(series[::2][: 2 * n - 1].copy())
    figure, (above, below) = style.figure(5.6, 2, 1, height_ratios=[1, 2.6])
    times = 2 * dt * np.arange(len(values))
    above.plot(times, values.numpy(), color=style.INK)
    for row in (0, n // 2, n - 1):
        span, height = times[[row, row + n - 1]], float(values.min()) - 3 - row / 12
        above.plot(span, [height] * 2, linewidth=3, color=style.COLOURS["model"])
    above.set(xlabel="units of time", ylabel="x")
    picture = below.imshow(Hankel(values).dense().numpy(), cmap="RdBu_r", vmin=-20, vmax=20)
    below.set(xlabel="column j", ylabel="row i")
    figure.colorbar(picture, ax=below, label="measurement")
    return style.shown(
        figure,
        "windows",
        caption="A delay series and the Hankel operator that it fills. Above: the coordinate x of "
        "a Lorenz trajectory; the bars are the first, the middle and the last row below. Below: "
        "the operator, one window a row; equal colours run along anti-diagonals.",
        alt="Above, an oscillating curve with three horizontal bars, each shifted to the right of "
        "the one before. Below, a square heat map with stripes along the anti-diagonals.",
    )


def cost(costs: Costs) -> style.Shown:
    """Operations and measured times of each product against the size of the operator."""
    figure, panels = style.figure(6.4, 3, 1, sharex=True)
    sizes, counts = costs.sizes, costs.counts
    batches = (1, costs.large_batch)
    for kind in ("dense", "fft"):
        panels[0].plot(sizes, counts[kind], "o-", markersize=3, color=COLOURS[kind])
    for axes, batch in zip(panels[1:], batches, strict=True):
        for kind in ("dense", "fft", "shift"):
            times = costs.clocks[kind, batch]
            axes.plot(sizes[: len(times)], times, "o-", markersize=3, color=COLOURS[kind])
    for kind, offset in (("dense", (-6, 2)), ("fft", (-2, -14))):
        y = counts[kind][-1]
        label(panels[0], sizes[-1], y, kind, offset=offset, ha="right")
    shifted = costs.clocks["shift", 1]
    x = sizes[len(shifted) - 1]
    label(panels[1], x, shifted[-1], "shift")
    panels[0].set(xscale="log", yscale="log", title="operations")
    panels[1].set(yscale="log", title="microseconds, one vector")
    panels[2].set(yscale="log", title=f"microseconds, {batches[1]} vectors", xlabel="size n")
    panels[2].set_xticks(sizes[::2], [str(n) for n in sizes[::2]])
    panels[2].minorticks_off()
    return style.shown(
        figure,
        "cost",
        caption="Cost of one product against the size of the operator. Above: multiplications and "
        "additions, the FFT counted for real data. Middle and below: time on one core, for one "
        "vector and for many. Where the curves cross, two FFTs begin to pay: by the clock much "
        "later than by the count.",
        alt="Three log-log panels. Counts of dense products grow with slope two and cross those of "
        "the FFT below one hundred; measured times of the FFT stay flat at first and cross the "
        "dense ones at a larger size.",
    )


def operators(operators: Mapping[str, np.ndarray]) -> style.Shown:
    """Four of the operators that may advance delay vectors, as heat maps."""
    figure, panels = style.figure(5.2, 2, 2)
    names = ("least_squares", "nuclear", "hankel_fit", "delay_matrix")
    scale = SymLogNorm(linthresh=1, vmin=-20, vmax=20)
    for axes, name in zip(panels.flat, names, strict=True):
        operator = operators[name]
        image = axes.imshow(operator, cmap="RdBu_r", norm=scale)
        axes.set_title(TITLES[name].replace("the measurements", "the data"), fontsize=style.SMALL)
        axes.set(xticks=[], yticks=[])
        for (i, j), entry in np.ndenumerate(operator) if len(operator) <= 6 else ():
            pale = np.mean(image.cmap(image.norm(entry))[:3]) > 0.5
            words, colour = f"{round(entry, 2) + 0.0:.2f}", "#1f2428" if pale else "#ffffff"
            axes.text(j, i, words, ha="center", va="center", fontsize=style.SMALL, color=colour)
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.7, aspect=30)
    bar.set_ticks([-10, -1, 0, 1, 10], labels=["−10", "−1", "0", "1", "10"])
    return style.shown(
        figure,
        "operators",
        caption="Four operators for the same delay vectors. The matrix of least squares is a shift "
        "with a row of extrapolation below; with the nuclear norm it becomes a smooth projection "
        "of low rank. Neither is constant along anti-diagonals, as a Hankel matrix is. One colour "
        "scale for all, linear between −1 and 1 and logarithmic beyond.",
        alt="Four small heat maps: least squares with ones above the diagonal and large entries of "
        "both signs in the last row, nuclear norm smooth, best Hankel, and the Hankel matrix of "
        "the data.",
    )


def convergence(fits: Mapping[str, BestFit]) -> style.Shown:
    """Relative duality gap of the three solvers against steps."""
    figure, axes = style.figure(3.2)
    places = {"plain": (1e-2, 5), "accelerated": (1e-8, -18), "restart": (1e-5, -6)}
    for method, (height, right) in places.items():
        history = fits[method].history
        axes.plot(*history.T, color=COLOURS[method])
        x, y = history[np.argmin(np.abs(np.log(history[:, 1] / height)))]
        side = "left" if right > 0 else "right"
        label(axes, x, y, method, offset=(right, 0), ha=side)
    axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="relative duality gap")
    return style.shown(
        figure,
        "convergence",
        caption="Relative duality gap, an upper bound of how far the objective is above its "
        "minimum, against steps.",
        alt="Three curves of the duality gap on logarithmic axes; plain proximal gradient needs "
        "more than ten times the steps of the accelerated method with restart.",
    )


def factors() -> style.Shown:
    """The sparse factors of a branch's first layer for n = 4: what is free and what is frozen."""
    layer, _ = anatomy.factors(StNN())
    figure, panels = style.figure(1.6, 1, 5, width_ratios=[1, 2, 2, 2, 2])
    for axes, factor in zip(panels, layer, strict=True):
        rows, columns = factor.matrix.shape
        anatomy.sparse(axes, factor)
        axes.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1), aspect="equal")
        axes.set_axis_off()
        axes.set_title(factor.name.split(",")[0], fontsize=style.SMALL)
    return style.shown(
        figure,
        "factors",
        caption="The first layer of a branch for n = 4 as a product of sparse factors, applied "
        "from left to right: pad with zeros and scale, a butterfly of length eight, two of length "
        "four, blocks of two, and a permutation. Blue entries are free to learn (equal for both "
        "halves of a level), grey ones are frozen, the rest is zero.",
        alt="Five small matrix patterns. Grey ones sit on identities and permutations, blue ones "
        "on diagonals and two-by-two blocks.",
    )
