"""Figures of a user-defined system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dynlib.report import style
from dynlib.report.figures.tokens import context_curves
from dynlib.report.scene import Scene
from dynlib.report.style import COLOURS

_OVER = (
    ", over the entropy rate of the system (the sum of its positive exponents, in nats a token)."
)


def context(
    lengths: Sequence[int], networks: np.ndarray, counts: np.ndarray, entropy: float | None
) -> style.Shown:
    """Cross-entropy against tokens of context, over the entropy rate where it is known."""
    figure, axes = style.figure(3.2)
    context_curves(axes, lengths, networks, counts, entropy)
    axes.set_ylim(bottom=0)
    return style.shown(
        figure,
        "context",
        caption="Cross-entropy of the next token against the number of tokens seen, all on the "
        "same test targets, for GPT-2 and for n-grams" + (_OVER if entropy is not None else "."),
        alt="Curves of cross-entropy against context length on a logarithmic axis for n-grams and "
        "GPT-2" + (", above a horizontal line, the entropy rate." if entropy is not None else "."),
    )


def attractor(
    truth: np.ndarray, written: Sequence[np.ndarray], names: Sequence[str], flow: bool
) -> style.Shown:
    """A true trajectory (T, dim), and continuations that GPT-2 writes."""

    def plane(path: np.ndarray) -> np.ndarray:
        """Two columns to draw of states (T, dim)."""
        if path.shape[1] > 1:
            return path[:, [0, -1]]
        return np.concatenate([path[:-1], path[1:]], axis=1)

    mark = "-" if flow else "."
    figure, panels = style.figure(2.8, 1, 2, sharex=True, sharey=True)
    # as vectors, whose neutral colours a dark page can swap
    panels[0].plot(*plane(truth[:4000]).T, mark, color=style.INK, linewidth=0.6, markersize=1.2)
    for path in written:
        panels[1].plot(
            *plane(path).T, mark, color=style.COLOURS["model"], linewidth=0.5, markersize=1.2,
            rasterized=True,
        )  # fmt: skip
    for axes, title in zip(panels, ("truth", "GPT-2"), strict=True):
        axes.set(title=title, xlabel=names[0])
    panels[0].set_ylabel(names[-1] if len(names) > 1 else f"next {names[0]}")
    return style.shown(
        figure,
        "attractor",
        caption="A true trajectory, and ten continuations that GPT-2 writes, from the centre of "
        "one cell to that of the next, in "
        + ("the first and last coordinate." if len(names) > 1 else "one coordinate, now and next."),
        alt="Two panels: the curve or the points of a true trajectory, and those of ten "
        "continuations that GPT-2 writes, over the same region.",
    )


def scene(truth: np.ndarray, written: np.ndarray, names: Sequence[str]) -> Scene:
    """The same in three dimensions, with one continuation."""
    return Scene(
        {"true": truth[:2500], "model": written[:2500]},
        axes=names,
        alt="A true trajectory and states that GPT-2 writes one after the other",
    )


def series(
    predictions: Mapping[str, np.ndarray],
    truth: np.ndarray,
    states: np.ndarray,
    labels: Mapping[str, str],
    tau: float,
    exponent: float | None,
    coordinate: str,
) -> style.Shown:
    """The first coordinate of one start, true and forecast by each method.

    Parameters
    ----------
    predictions : mapping of str to numpy.ndarray
        Forecasts by method, shape (seeds, starts, steps, dim); the first of each is drawn.
    truth : numpy.ndarray
        States of the first start, shape (steps, dim).
    states : numpy.ndarray
        Training states, whose range is shown, shape (..., dim).
    labels : mapping of str to str
        What the methods are called.
    tau, exponent : float, float or None
        Time of a step, and the largest exponent where it is positive.
    coordinate : str
        Its name.
    """
    shown = [name for name in predictions if name != "persistence"]
    low, high = states[..., 0].min(), states[..., 0].max()
    margin, horizon = 0.15 * (high - low), len(truth)
    n = len(shown)
    figure, panels = style.figure(1.3 * n, n, 1, sharex=True, sharey=True, squeeze=False)
    panels = panels[:, 0]
    clock = tau * np.arange(1, horizon + 1) * (exponent or 1)
    for axes, name in zip(panels, shown, strict=True):
        path = predictions[name][0, 0, :, 0]
        outside = ~((path > low - margin) & (path < high + margin))
        end = int(outside.argmax()) if outside.any() else horizon
        axes.plot(clock, truth[:, 0], color=style.INK, linewidth=2)
        axes.plot(clock[:end], path[:end], color=COLOURS[name], linewidth=1.1)
        axes.set_ylim(low - margin, high + 4 * margin)
        style.place(axes, 0.01, 1, labels[name], name, va="top")
    panels[-1].set_xlabel("Lyapunov times" if exponent else "units of time")
    figure.supylabel(coordinate, fontsize=11)
    return style.shown(
        figure,
        "series",
        caption="One start: the first coordinate of the truth (without colour) and of each "
        "forecast, until it leaves the region of the truth.",
        alt=f"{'Four' if n == 4 else n} small panels with the true series in black and a forecast "
        "in colour that departs from it sooner or later.",
    )
