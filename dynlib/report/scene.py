"""Trajectories that a reader of the book can turn in 3-D, beside a static figure.

A scene holds its own data and needs no connection. The book's ``scene3d.js`` draws it on a canvas.
Anywhere else it is one line of text.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence

import numpy as np

from dynlib.report.style import COLOURS, DARK, GRID, INK, LABELS

#: Most points of a scene, which its page contains whether a reader opens it or not.
MOST = 6000


def _rounded(values: np.ndarray, extent: float) -> list[float]:
    """Values to within 1/10000 of their axis' extent, less than a pixel, in few characters."""
    extent = extent or float(np.abs(values).max()) or 1.0
    # As Python's floats, whose shortest form is what json writes.
    return [round(value, 4 - int(np.floor(np.log10(extent)))) for value in values.tolist()]


class Scene:
    """Curves in three dimensions that a page of the book can show from any side.

    A notebook displays it as HTML that the book's script brings to life, and that is one line
    of text anywhere else. It accompanies a figure and never replaces it.

    Parameters
    ----------
    curves : dict of str to numpy.ndarray
        Method -> trajectory, shape (T, 3) with T of at least 2; at most `MOST` points together.
    labels : dict of str to str
        What each method is called in the legend.
    colours : dict of str to str
        Colour of each method; the neutral ones of :mod:`dynlib.report.style` follow light and dark.
    axes : sequence of str
        Names of the three axes.
    alt : str
        What a reader who cannot see the scene should know of it.

    Raises
    ------
    ValueError
        For curves of another shape, too long or not finite, a method without a label or a
        colour, other than three axes, or no `alt`.

    Examples
    --------
    >>> helix = [[np.cos(t), np.sin(t), t / 6] for t in np.linspace(0, 12, 200)]
    >>> Scene({"true": np.array(helix)}, alt="A helix that climbs two turns.")
    3-D scene: truth (200 points). A helix that climbs two turns.
    """

    def __init__(
        self,
        curves: Mapping[str, np.ndarray],
        labels: Mapping[str, str] = LABELS,
        *,
        colours: Mapping[str, str] = COLOURS,
        axes: Sequence[str] = ("x", "y", "z"),
        alt: str,
    ) -> None:
        curves = {method: np.asarray(curve, dtype=float) for method, curve in curves.items()}
        if not curves:
            raise ValueError("curves is empty; a scene needs at least one curve")
        for method, curve in curves.items():
            if curve.ndim != 2 or curve.shape[1] != 3 or len(curve) < 2:
                raise ValueError(
                    f"curve {method!r} has shape {curve.shape}; it must be (T, 3) with T >= 2"
                )
            if not np.isfinite(curve).all():
                row, axis = np.argwhere(~np.isfinite(curve))[0]
                raise ValueError(
                    f"curve {method!r} holds {curve[row, axis]} at time {row}; "
                    "every coordinate must be finite"
                )
            for name, table in (("label", labels), ("colour", colours)):
                if method not in table:
                    raise ValueError(
                        f"curve {method!r} has no {name}; there are {name}s of {', '.join(table)}"
                    )
        points = sum(map(len, curves.values()))
        if points > MOST:
            raise ValueError(f"the curves have {points} points; a scene holds at most {MOST}")
        if isinstance(axes, str) or len(axes) != 3:
            raise ValueError(f"axes must name three axes, got {axes!r}")
        if not alt.strip():
            raise ValueError(f"alt must describe the scene in words, got {alt!r}")
        self.curves, self.axes, self.alt = curves, list(axes), alt.strip()
        self.labels = {method: labels[method] for method in curves}
        self.colours = {method: colours[method] for method in curves}

    def __repr__(self) -> str:
        names = ", ".join(f"{self.labels[m]} ({len(c)} points)" for m, c in self.curves.items())
        return f"3-D scene: {names}. {self.alt}"

    def _data(self) -> dict:
        """What the script draws; each colour as a pair, on a light ground and on a dark one."""
        extents = np.ptp(np.concatenate(list(self.curves.values())), axis=0).tolist()
        return {
            "axes": self.axes,
            "ink": [INK, DARK[INK]],
            "grid": [GRID, DARK[GRID]],
            "curves": [
                {
                    "label": self.labels[method],
                    "colour": [colour := self.colours[method], DARK.get(colour, colour)],
                    **dict(zip("xyz", map(_rounded, curve.T, extents), strict=True)),
                }
                for method, curve in self.curves.items()
            ],
        }

    def _repr_html_(self) -> str:
        # No "<" in the data, so that no text in it can end the script.
        data = json.dumps(self._data(), allow_nan=False, separators=(",", ":"))
        return (
            f'<div class="scene3d" role="group" aria-label="{html.escape(self.alt)}">'
            "<p>A view of these curves that turns in 3-D opens here in the built book.</p>"
            f'<script type="application/json">{data.replace("<", chr(92) + "u003c")}</script>'
            "</div>"
        )
