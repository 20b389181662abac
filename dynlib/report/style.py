"""One style for every figure: sizes for a phone, colours by method, light and dark.

Figures are SVG on a transparent ground. Neutral colours are few and named here, so that the
book can swap them for dark mode; the colours of methods are legible on both grounds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

INK, MUTED, GRID = "#1f2328", "#59636e", "#d1d9e0"
#: What the neutral colours become on a dark ground.
DARK = {INK: "#e6edf3", MUTED: "#9ea7b0", GRID: "#3d444d"}

#: One colour a method, on every page (after Okabe and Ito, lightened for dark grounds).
COLOURS = {
    "true": INK,
    # token models
    "orbit": INK,
    "tokens": MUTED,
    "model": "#2f81c1",
    "greedy": "#d9631e",
    "half": "#5b6fd6",
    "pair": "#1a9e77",
    "markov": "#c98a00",
    "ngram4": "#b5669b",
    "best_ngram": "#8f8a1e",
    "parrot": "#1a9e77",
    "recall": "#8a6bbe",
    # products and minimisers of the Hankel operator
    "dense": MUTED,
    "fft": "#2f81c1",
    "shift": "#c98a00",
    "plain": "#c98a00",
    "accelerated": "#b5669b",
    "restart": "#2f81c1",
    # networks, and what they are compared with
    "stnn": "#2f81c1",
    "stnn_p1": "#8fc1e8",
    "stnn_p2": "#62a5da",
    "stnn_p4": "#3a86c4",
    "stnn_p6": "#1f6aa8",
    "printed_stnn": "#8fb8da",
    "ffnn": "#d9631e",
    "control": "#1a9e77",
    "control_onehot": "#63b598",
    "leads": "#cf4f4f",
    "leads_alone": "#cf4f4f",
    "printed_leads": "#e39a8f",
    "sindy_fd2": "#c98a00",
    "sindy_smoothed": "#c98a00",
    "sindy_fd4": "#a8741a",
    "sindy_fd6": "#8f8a1e",
    "sindy_weak": "#8f8a1e",
    "havok": "#b5669b",
    "havok_held": "#b5669b",
    "havok_oracle": "#d7a5c6",
    "havok_oracle20": "#d7a5c6",
    "dmd": "#9a5fb0",
    "reservoir": "#5b6fd6",
    "equations": "#8f8a1e",
    "persistence": MUTED,
    "climatology": MUTED,
    "mean": MUTED,
} | {f"polynomial_{degree}": "#4d9de0" for degree in range(2, 10)}

#: How many parameters the networks of the Lorenz system have, whose names say it; by branches.
STNN = {1: 68, 2: 132, 4: 260, 6: 388}
PLAIN = {1: 69, 2: 131, 4: 259, 6: 383}
#: What each method is called in figures and tables.
LABELS = {
    "true": "truth",
    "orbit": "true orbits",
    "tokens": "true tokens",
    "model": "GPT-2, T = 1",
    "greedy": "GPT-2, greedy",
    "half": "GPT-2, T = 0.5",
    "pair": "true pair",
    "markov": "Markov chain",
    "ngram4": "4-gram",
    "best_ngram": "best n-gram",
    "parrot": "context parrot",
    "recall": "training replay",
    "dense": "dense",
    "fft": "two FFTs",
    "shift": "shifts",
    "plain": "plain, eq. (8)",
    "accelerated": "accelerated",
    "restart": "with restart",
    "stnn": "StNN",
    **{f"stnn_p{p}": f"StNN-{size}" for p, size in STNN.items()},
    "printed_stnn": "StNN, as printed",
    "ffnn": "FFNN-2073",
    "control": "plain, same size",
    "control_onehot": "plain, one-hot",
    "leads": "LEADS",
    "leads_alone": "LEADS without the shared field",
    "printed_leads": "LEADS, as published",
    "sindy_fd2": "SINDy, order 2",
    "sindy_smoothed": "SINDy, smoothed differences",
    "sindy_fd4": "SINDy, order 4",
    "sindy_fd6": "SINDy, order 6",
    "sindy_weak": "SINDy, weak form",
    "havok": "HAVOK, no forcing",
    "havok_held": "HAVOK, forcing held",
    "havok_oracle": "HAVOK, oracle forcing",
    "havok_oracle20": "HAVOK, 20 oracle forcings",
    "dmd": "DMD on delays",
    "reservoir": "reservoir",
    "equations": "true equations, fitted",
    "persistence": "no change",
    "climatology": "mean state",
    "mean": "mean of the environment",
} | {f"polynomial_{degree}": f"polynomial, degree {degree}" for degree in range(2, 10)}


def contrast(colour: str, ground: str) -> float:
    """Contrast ratio of two colours, as the accessibility guidelines (WCAG 2) define it.

    Examples
    --------
    >>> contrast("#ffffff", "#000000"), contrast(MUTED, MUTED)
    (21.0, 1.0)
    """
    weights = (0.2126, 0.7152, 0.0722)

    def luminance(name: str) -> float:
        linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(name))
        return sum(weight * c for weight, c in zip(weights, linear, strict=True))

    dark, light = sorted(luminance(each) for each in (colour, ground))
    return round((light + 0.05) / (dark + 0.05), 6)


def legible(colour: str, ground: str) -> str:
    """The colour itself, or mixed with black or white until it can be read as text on a ground."""
    end = np.zeros(3) if ground == PAPER else np.ones(3)
    mixed = (
        to_hex((1 - share) * np.array(to_rgb(colour)) + share * end)
        for share in np.linspace(0, 1, 51)
    )
    return next(each for each in mixed if contrast(each, ground) >= 4.5)


#: Grounds of the book's pages, light and dark.
PAPER, NIGHT = "#ffffff", "#14181e"
#: Colours of the methods' names, as their curves but dark enough to be read.
WORDS = {method: legible(colour, PAPER) for method, colour in COLOURS.items()}
DARK = {
    word: night
    for method, word in WORDS.items()
    if (night := legible(COLOURS[method], NIGHT)) != word
} | DARK

WIDTH = 5.0  # inches: text of 11 points stays legible when a phone shows it 340 px wide
SMALL = 10  # points: labels in a figure; smaller ones cannot be read on a phone


def use_style() -> None:
    """Set the style for all figures of this process, and SVG for the notebook's output."""
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.4),
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "savefig.dpi": 200,
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "svg.fonttype": "path",
            "svg.hashsalt": "companion",
            "font.size": 11,
            "font.family": "DejaVu Sans",
            "axes.facecolor": "none",
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.titlecolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "lines.linewidth": 1.6,
            "legend.frameon": False,
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")
    except ImportError:  # outside Jupyter
        pass


def figure(height: float = 3.4, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, Any]:
    """A figure of the common width; `height` in inches. As ``plt.subplots`` otherwise."""
    return plt.subplots(rows, columns, figsize=(WIDTH, height), **options)


def note(axes: Axes, x: float, y: float, text: str, method: str, **options) -> None:
    """Label a curve directly, at a point in data coordinates, in its method's colour."""
    axes.annotate(
        text, (x, y), xytext=options.pop("offset", (5, 0)), textcoords="offset points",
        color=WORDS[method], va=options.pop("va", "center"), annotation_clip=False,
        fontsize=SMALL, **options,
    )  # fmt: skip


def place(axes: Axes, x: float, y: float, text: str, method: str, **options) -> None:
    """Write in a method's colour at a point in fractions of the axes."""
    axes.text(
        x, y, text, transform=axes.transAxes, color=WORDS[method], fontsize=SMALL, **options
    )  # fmt: skip


def bounded(errors: np.ndarray) -> np.ndarray:
    """Errors as they can be drawn on a logarithmic axis: from 1e-16, rounding, to 1e30, a failure.

    Examples
    --------
    >>> bounded(np.array([0.0, 2.0, np.inf, np.nan]))
    array([1.e-16, 2.e+00, 1.e+30, 1.e+30])
    """
    return np.clip(np.nan_to_num(errors, nan=1e30), 1e-16, 1e30)


def legend(axes: Axes, names: Mapping[str, str], columns: int = 3) -> None:
    """Write the names of methods in their colours above the axes, a few a line."""
    lines = -(-len(names) // columns)
    for k, (method, words) in enumerate(names.items()):
        line, column = divmod(k, columns)
        axes.annotate(
            words, (column / columns, 1), xytext=(0, 6 + 14 * (lines - 1 - line)),
            xycoords="axes fraction", textcoords="offset points", fontsize=SMALL,
            color=WORDS[method],
        )  # fmt: skip


def plain(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Write plain numbers on a logarithmic axis, instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def name_ends(
    axes: Axes, ends: Mapping[str, tuple[float, float]], texts: Mapping[str, str]
) -> None:
    """Name curves at their right ends, apart where these are close, on a logarithmic axis.

    `ends` and `texts` are points and names by method; a method may begin with ``printed_``.
    """
    decades = np.ptp(np.log10(axes.get_ylim()))
    points = 72 * axes.bbox.height / axes.figure.dpi  # height of the axes
    heights = apart(np.array([y for _, y in ends.values()]), 1.2 * SMALL / points * decades)
    for (method, (x, _)), y in zip(ends.items(), heights, strict=True):
        note(axes, x, y, texts[method], method.removeprefix("printed_"))


def apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Positions on a logarithmic axis near the given ones, `gap` decades or more apart.

    For labels at the ends of curves, in the order of the curves.

    Examples
    --------
    >>> apart(np.array([1.0, 1.1, 100.0]), 0.5).round(2)
    array([  0.59,   1.87, 100.  ])
    """
    order = np.argsort(heights)
    places = np.log10(heights)[order]
    for _ in range(200):
        for i in range(len(places) - 1):
            short = gap - (places[i + 1] - places[i])
            if short > 0:
                places[i] -= short / 2
                places[i + 1] += short / 2
    found = np.empty_like(places)
    found[order] = places
    return 10**found


@dataclass(frozen=True)
class Shown:
    """A finished figure with its words; displayed as SVG, and named on pages after its run.

    The book sets `caption` below it, and gives `alt` to those who do not see it.
    """

    figure: Figure
    name: str
    caption: str
    alt: str

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        file = io.StringIO()
        self.figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        words = {"name": self.name, "caption": self.caption, "alt": self.alt}
        return {"image/svg+xml": file.getvalue(), "text/plain": self.caption}, {"figure": words}


def shown(figure: Figure, name: str, *, caption: str, alt: str) -> Shown:
    """Finish a figure: a notebook's cell that ends in it displays it once.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What was drawn.
    name : str
        Lower case; pages refer to ``fig-RUN-NAME``.
    caption : str
        Sentences, in Markdown: what the figure shows and what follows from it.
    alt : str
        What is to be seen, for those who cannot see it.

    Raises
    ------
    ValueError
        For a name that cannot be part of a label, or a missing text.
    """
    if not name.replace("-", "").isalnum() or name != name.lower():
        raise ValueError(f"name must be of lower case letters, digits and '-', got {name!r}")
    if not caption.endswith(".") or not alt.endswith("."):
        raise ValueError(f"caption and alt of {name} must be sentences that end in a full stop")
    plt.close(figure)  # or the notebook would show it a second time
    return Shown(figure, name, caption, alt)
