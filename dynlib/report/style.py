"""One style for every figure: sizes for a phone, colours by method, light and dark.

Figures are SVG on a transparent ground. Neutral colours are few and named here, so that the
book can swap them for dark mode; the colours of methods are legible on both grounds.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2328", "#59636e", "#d1d9e0"
#: What the neutral colours become on a dark ground.
DARK = {INK: "#e6edf3", MUTED: "#9ea7b0", GRID: "#3d444d"}

#: One colour a method, on every page (after Okabe and Ito, lightened for dark grounds).
COLOURS = {
    "true": INK,
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
}

#: What each method is called in figures and tables.
LABELS = {
    "true": "truth",
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
}

WIDTH = 5.0  # inches: text of 11 points stays legible when a phone shows it 340 px wide


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
        text,
        (x, y),
        xytext=options.pop("offset", (4, 0)),
        textcoords="offset points",
        color=COLOURS[method],
        va=options.pop("va", "center"),
        fontsize=options.pop("fontsize", 10),
        **options,
    )


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
