"""Figures of the networks of the Lorenz system."""

from __future__ import annotations

from matplotlib.axes import Axes

from dynlib.report.networks import COLOURS, LABELS


def label(axes: Axes, x: float, y: float, method: str, **options) -> None:
    """Name a curve beside it, at a point in data coordinates, in its method's colour."""
    colour = options.pop("color", None) or COLOURS[method]
    axes.annotate(
        options.pop("text", None) or LABELS[method], (x, y), xytext=options.pop("offset", (5, 0)),
        textcoords="offset points", color=colour, va=options.pop("va", "center"),
        fontsize=options.pop("fontsize", 10), **options,
    )  # fmt: skip
