"""Figures of Lotka–Volterra in many environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, TIMES, trajectories
from dynlib.measure.environments import cases, trajectory_errors
from dynlib.report import record, style
from dynlib.report.environments import Curves
from dynlib.report.style import COLOURS, LABELS

SMOOTH = np.linspace(TIMES[0], TIMES[-1], 200)


def data(learn: np.ndarray) -> style.Shown:
    """Four training trajectories in each of the ten environments, as smooth curves."""
    figure, panels = style.figure(3.0, 2, 5, sharex=True, sharey=True)
    curves = trajectories(ENVIRONMENTS, learn[0, :4, 0], SMOOTH)
    for axes, system, paths in zip(panels.flat, ENVIRONMENTS, curves, strict=True):
        for path in paths:
            axes.plot(*path.T, color=style.MUTED, linewidth=0.7)
            axes.plot(*path[0], ".", color=COLOURS["leads"], markersize=4)
        axes.set_title(f"{system.alpha:g}, {system.gamma:g}", fontsize=style.SMALL)
        axes.set(xticks=[0, 3], yticks=[0, 3])
    panels[1, 2].set_xlabel("prey x")
    panels[0, 0].set_ylabel("predators y")
    return style.shown(
        figure,
        "data",
        caption="The same initial states (dots) followed in the ten environments, above each its α "
        "and γ: prey x, predators y. Every solution is a closed curve; twenty points cover a part "
        "of it.",
        alt="Ten small panels in two rows. In each, curves in the plane run around a centre that "
        "differs from panel to panel, from the same square of initial states.",
    )


def curves(curves: Mapping[str, Curves]) -> style.Shown:
    """Test error against training time of every seed; polynomial maps are points."""
    figure, axes = style.figure(4.2)
    for name, each in curves.items():
        for seconds, errors in each:
            axes.plot(seconds, errors, color=COLOURS[name], linewidth=1.1)
    ends = {name: (each[0][0][-1], each[0][1][-1]) for name, each in curves.items()}
    metrics = record.metrics()
    for name in ("polynomial_2", "polynomial_3", "polynomial_4"):
        x, y = (metrics[f"{name}_{measure}"]["value"] for measure in ("train_s", "mse_test"))
        axes.plot(x, y, "o", color=COLOURS[name], markersize=4)
        ends[name] = x, y
    for printed in (53, 615):
        axes.axvline(printed, color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel="test MSE")
    style.name_ends(axes, ends, LABELS)
    return style.shown(
        figure,
        "curves",
        caption="Test error against training time on one core, every seed; polynomial maps are "
        "points. The dotted lines are the paper's two training times, on a machine that it does "
        "not name.",
        alt="Log-log plot of test error against seconds of training. The small networks fall far "
        "below LEADS in less time; polynomial maps lie lower left of all.",
    )


def rollouts(predictions: Mapping[str, Sequence[np.ndarray]], test: np.ndarray) -> style.Shown:
    """Best, typical and worst rollout of each method's median seed, a row a method."""
    names = ("printed_stnn", "stnn", "control", "printed_leads", "leads")
    figure, panels = style.figure(8.2, len(names), 3)
    metrics = record.metrics()
    for row, name in zip(panels, names, strict=True):
        order = np.argsort(metrics[f"{name}_mse_test"]["samples"])
        path = predictions[name][order[(len(order) - 1) // 2]]
        errors = trajectory_errors(path, test)
        for axes, (e, i) in zip(row, cases(errors), strict=True):
            (true,) = trajectories([ENVIRONMENTS[e]], test[e, i : i + 1, 0], SMOOTH)
            axes.plot(*true[0].T, color=style.INK, linewidth=0.9)
            axes.plot(*test[e, i].T, ".", color=style.INK, markersize=3)
            axes.plot(*path[e, i].T, "o", color=COLOURS[name], markersize=4, fillstyle="none")
            axes.set_title(f"{errors[e, i]:.0e}", fontsize=style.SMALL, color=style.MUTED)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(LABELS[name], color=style.WORDS[name], fontsize=style.SMALL)
    for axes, case in zip(panels[0], ("best", "typical", "worst"), strict=True):
        words = f"{case}: {axes.get_title(loc='left')}"
        axes.set_title(words, fontsize=style.SMALL, color=style.MUTED)
    return style.shown(
        figure,
        "rollouts",
        caption="Rollouts of each method's median seed (their Figure 2): the test trajectory with "
        "its smallest, its median and its largest error, in phase space. The truth is without "
        "colour, dots are the times; above each panel its error.",
        alt="A grid of phase-space plots, one row a method, one column for best, typical and worst "
        "case. Coloured predictions lie on black curves; only for the settings as printed do they "
        "leave them.",
    )


def errors(predictions: Mapping[str, Sequence[np.ndarray]], test: np.ndarray) -> style.Shown:
    """Test error of each method in every environment, median over seeds."""
    figure, axes = style.figure(3.6)
    places, ends = range(len(test)), {}
    for name in ("leads", "stnn", "control", "polynomial_3"):
        by_seed = [trajectory_errors(path, test).mean(1) for path in predictions[name]]
        each = np.median(by_seed, axis=0)
        is_map = name.startswith("polynomial")
        axes.plot(
            places, each, "o--" if is_map else "o-", fillstyle="none" if is_map else "full",
            color=COLOURS[name], markersize=4, linewidth=0.7,
        )  # fmt: skip
        ends[name] = places[-1], each[-1]
    rates = [(f"{system.alpha:g}", f"{system.gamma:g}") for system in ENVIRONMENTS]
    ticks = ["\n".join(rate.lstrip("0") for rate in pair) for pair in rates]  # .25 over .75
    axes.set_xticks(places, ticks, fontsize=style.SMALL)
    axes.set(yscale="log", ylabel="test MSE", xlabel="environment: α, γ")
    style.name_ends(axes, ends, LABELS)
    return style.shown(
        figure,
        "environments",
        caption="Test error in every environment, median over seeds. Below each the environment's "
        "α and γ.",
        alt="Dots of test error for ten environments on a logarithmic axis, one colour a method; "
        "the order of the methods is much the same in every environment.",
    )
