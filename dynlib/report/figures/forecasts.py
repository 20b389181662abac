"""Figures of forecasts: errors by step, one forecast by method, errors by cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dynlib.measure.rollout import valid_time
from dynlib.report import record, style
from dynlib.report.forecasts import LABELS
from dynlib.report.style import COLOURS, Shown

#: Larger errors are drawn at this height; a rollout may grow beyond all numbers.
MOST = 1e30


def accumulated(errors: Mapping[str, np.ndarray]) -> Shown:
    """Accumulated error against the length of the forecast.

    `errors` are those of :func:`dynlib.report.forecasts.record_rollout`, (starts, steps).
    """
    names = [
        "climatology", "havok", "dmd", "sindy_fd2", "reservoir", "ffnn", "stnn", "control",
        "sindy_fd6", "polynomial_5",
    ]  # fmt: skip
    figure, axes = style.figure(4.4)
    curves = {name: np.median(_running(errors[name]), axis=0) for name in names}
    for name, curve in curves.items():
        dashes = "--" if name == "climatology" else "-"
        axes.plot(_steps(curve), curve, dashes, color=COLOURS[name], linewidth=1.5)
    axes.set(yscale="log", xlabel="steps", ylabel="accumulated MSE")
    ends = {name: (len(curve), curve[-1]) for name, curve in curves.items()}
    style.name_ends(axes, ends, LABELS)
    return style.shown(
        figure,
        "accumulated",
        caption="Accumulated mean squared error against the length of the forecast (their Figure "
        "6), median over starts. A curve below the line of the mean state is still a forecast.",
        alt="Curves of accumulated error on a logarithmic axis against steps. Polynomial maps and "
        "SINDy with good derivatives stay lowest; HAVOK and DMD reach the level of the mean state "
        "almost at once.",
    )


def coordinates(
    predictions: Mapping[str, np.ndarray], truth: np.ndarray, axes_names: Sequence[str] = "xyz"
) -> Shown:
    """Accumulated error of each coordinate.

    `predictions` have shape (seeds, starts, steps, dim), the truth (starts, steps, dim).
    """
    names = ("stnn", "ffnn", "sindy_fd2", "havok")
    figure, panels = style.figure(5.4, len(axes_names), 1, sharex=True)
    for number, name in enumerate(names):
        squared = np.square(predictions[name] - truth)
        for axis, axes in enumerate(panels):
            curve = np.median(_running(squared[..., axis]), axis=(0, 1))
            axes.plot(_steps(curve), curve, color=COLOURS[name])
        style.place(panels[0], 0.02 + 0.25 * number, 1.05, LABELS[name].split(",")[0], name)
    for axes, axis_name in zip(panels, axes_names, strict=True):
        axes.set(yscale="log", ylabel=axis_name)
    panels[-1].set_xlabel("steps")
    return style.shown(
        figure,
        "coordinates",
        caption="Four of the methods, coordinate by coordinate: the accumulated squared error of "
        "x, y and z, median over starts. SINDy takes second-order differences here, and HAVOK has "
        "no forcing.",
        alt="Three panels, one per coordinate, with curves for four methods.",
    )


def series(
    predictions: Mapping[str, np.ndarray],
    truth: np.ndarray,
    *,
    spread: float,
    dt: float,
    exponent: float,
) -> Shown:
    """One forecast of each method: its distance from the truth, and the coordinate x."""
    names = (
        "stnn", "control", "ffnn", "sindy_fd2", "sindy_fd6", "polynomial_5", "reservoir", "havok"
    )  # fmt: skip
    rule = {"spread": spread, "dt": dt, "exponent": exponent}
    times, _ = valid_time(predictions["stnn"][0], truth, **rule)
    typical = np.argsort(times)[(len(times) - 1) // 2]
    true = truth[typical]
    clock = _steps(true) * dt * exponent
    figure, (above, below) = style.figure(5.0, 2, 1, sharex=True, height_ratios=[1, 2.4])
    above.plot(clock, true[:, 0], color=style.INK, linewidth=2)
    limit, ends = 0.4 * spread, {}
    below.axhline(limit, color=style.MUTED, linestyle="--", linewidth=1)
    for name in names:
        path = predictions[name][0, typical]
        apart = style.bounded(np.linalg.norm(path - true, axis=1))
        if apart.max() > limit:
            above.plot(clock, np.clip(path[:, 0], -25, 25), color=COLOURS[name], linewidth=1)
        below.plot(clock, apart, color=COLOURS[name], linewidth=1.3)
        left, censored = valid_time(path[None], true[None], **rule)
        if not censored[0]:
            at = np.searchsorted(clock, left[0] - 1e-9)
            below.plot(clock[at], apart[at], "o", color=COLOURS[name], markersize=6)
        ends[name] = clock[-1], apart[-1]
    above.set(ylabel="x")
    below.set(yscale="log", xlabel="Lyapunov times", ylabel="distance from the truth")
    below.set_ylim(top=10 * spread)
    style.name_ends(below, ends, LABELS)
    return style.shown(
        figure,
        "series",
        caption="One start. Above: the coordinate x of the truth (without colour), and of the "
        "methods that leave it. Below: how far each method is from the truth. At the dashed line, "
        "0.4 of the attractor's spread, a forecast ends; a dot marks where. The start is the one "
        "with the median valid time of the structured network.",
        alt="Above, the true series in black with the forecasts that depart from it. Below, curves "
        "of distance from the truth on a logarithmic axis, which grow alike from heights that "
        "differ by many orders of magnitude.",
    )


def ranks(names: Sequence[str]) -> Shown:
    """Recorded valid times at the long horizon, a row a method, in their order."""
    metrics = record.metrics()
    entries = {name: metrics[f"{name}_valid_time_long"] for name in names}
    order = sorted(names, key=lambda name: entries[name]["value"])
    figure, axes = style.figure(5.0)
    for row, name in enumerate(order):
        entry = entries[name]
        axes.plot([entry["low"], entry["high"]], [row] * 2, color=COLOURS[name], linewidth=2)
        axes.plot(entry["value"], row, "o", color=COLOURS[name], markersize=5)
    for label in ("horizon_lyapunov", "long_horizon_lyapunov"):
        axes.axvline(metrics[label]["value"], color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.set(xlabel="valid time, Lyapunov times", xlim=(0, None))
    axes.set_yticks(range(len(order)), [LABELS[name] for name in order], fontsize=style.SMALL)
    return style.shown(
        figure,
        "ranks",
        caption="How long forecasts stay with the truth: median over starts, with its interval. "
        "The dotted lines are the printed horizon and the long one.",
        alt="Dots with bars, one row per method, ordered by valid time. The weak form of SINDy and "
        "polynomial maps of high degree last longest, HAVOK and DMD shortest.",
    )


def pareto(degrees: Sequence[int]) -> Shown:
    """Recorded errors at the horizon against the recorded operations of a step."""
    metrics = record.metrics()

    def at(name: str) -> tuple[float, dict]:
        steps = "_rk4" if name.startswith("sindy") else ""  # whose operations are counted
        entry = metrics[f"{name}_accumulated_mse_horizon{steps}"]
        return metrics[f"{name}_flops"]["value"], entry

    figure, axes = style.figure(4.2)
    found = [at(f"polynomial_{degree}") for degree in degrees]
    x, y = [flops for flops, _ in found], [entry["value"] for _, entry in found]
    axes.plot(x, y, "o-", color=COLOURS["polynomial_2"], markersize=4)
    words = f"polynomials, degree {degrees[0]} to {degrees[-1]}"
    style.note(axes, x[-2], y[-2], words, "polynomial_2", offset=(6, 2), va="bottom")
    placed = {
        "stnn": (LABELS["stnn"], 5, 5), "control": (LABELS["control"], -4, -13),
        "ffnn": ("FFNN-2073", 5, 3), "sindy_fd2": ("SINDy, order 2", -22, -6),
        "sindy_fd6": ("SINDy, order 6", -6, -6), "havok": ("HAVOK", -12, 8),
        "dmd": ("DMD", -10, -14), "reservoir": ("reservoir", -20, -14),
    }  # fmt: skip
    for name, (label, right, up) in placed.items():
        flops, entry = at(name)
        axes.plot([flops] * 2, [entry["low"], entry["high"]], color=COLOURS[name], linewidth=1.5)
        axes.plot(flops, entry["value"], "o", color=COLOURS[name], markersize=5)
        side = "right" if name.startswith("sindy") else "left"  # not over the polynomials' line
        style.note(
            axes, flops, entry["value"], label, name, offset=(right, up), va="bottom", ha=side
        )
    axes.set(xscale="log", yscale="log", xlabel="operations a step", ylabel="accumulated MSE")
    axes.set_xlim(left=6)
    return style.shown(
        figure,
        "pareto",
        caption="Accumulated error over the whole forecast against the operations of one step. "
        "Lower and further left is better. Bars are intervals over starts. Polynomial maps from "
        f"degree {degrees[0]} to {degrees[-1]} are joined. SINDy takes one classical Runge–Kutta "
        "step a sample here.",
        alt="Log-log scatter of accumulated error against operations. Polynomial maps of degree "
        "four to six and SINDy with sixth-order differences have lower errors for fewer operations "
        "than the networks; HAVOK and DMD have the largest errors.",
    )


def _steps(path: np.ndarray) -> np.ndarray:
    """Numbers of the steps of a path, from 1."""
    return np.arange(1, len(path) + 1)


def _running(errors: np.ndarray) -> np.ndarray:
    """Mean of the errors (..., steps) up to each step."""
    return np.cumsum(np.minimum(errors, MOST), axis=-1) / np.arange(1, errors.shape[-1] + 1)
