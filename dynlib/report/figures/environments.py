"""Figures of Lotka–Volterra in many environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
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
    last = max(seconds[-1] for each in curves.values() for seconds, _ in each)
    ends = {name: (1.2 * last, each[0][1][-1]) for name, each in curves.items()}
    metrics = record.metrics()
    for name in ("polynomial_2", "polynomial_3", "polynomial_4"):
        x, y = (metrics[f"{name}_{measure}"]["value"] for measure in ("train_s", "mse_test"))
        axes.plot(x, y, "o", color=COLOURS[name], markersize=4)
        style.note(axes, x, y, LABELS[name], name)
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
    """Error over time of each method's median seed, and its worst trajectory."""
    names = ("printed_stnn", "stnn", "control", "printed_leads", "leads")
    figure = plt.figure(figsize=(style.WIDTH, 5.2))
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=[2.4, 1]))
    above, panels = upper.subplots(), lower.subplots(1, len(names))
    metrics, ends = record.metrics(), {}
    for name, axes in zip(names, panels, strict=True):
        order = np.argsort(metrics[f"{name}_mse_test"]["samples"])
        path = predictions[name][order[(len(order) - 1) // 2]]
        squared = style.bounded(np.square(path - test).mean(3))[:, :, 1:].reshape(
            -1, len(TIMES) - 1
        )
        middle = np.median(squared, axis=0)
        above.plot(TIMES[1:], middle, color=COLOURS[name])
        above.plot(TIMES[1:], squared.max(0), ":", color=COLOURS[name], linewidth=1)
        ends[name] = TIMES[-1], middle[-1]
        errors = trajectory_errors(path, test)
        *_, (e, i) = cases(errors)
        (true,) = trajectories([ENVIRONMENTS[e]], test[e, i : i + 1, 0], SMOOTH)
        axes.plot(*true[0].T, color=style.INK, linewidth=0.9)
        axes.plot(*path[e, i].T, "o", color=COLOURS[name], markersize=3, fillstyle="none")
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(f"{errors[e, i]:.0e}", fontsize=style.SMALL, color=style.WORDS[name])
    panels[0].set_title("the worst trajectory of each", fontsize=style.SMALL)
    above.set(yscale="log", ylabel="squared error", xlabel="units of time")
    style.name_ends(above, ends, LABELS)
    return style.shown(
        figure,
        "rollouts",
        caption="Error of a rollout over time, each method's median seed: the median over all test "
        "trajectories and environments, and dotted the largest of all. Below, in phase space "
        "(their Figure 2): the test trajectory with the largest error of each method; the truth is "
        "without colour, and below each panel stands its mean squared error.",
        alt="Five curves of error against time on a logarithmic axis, far apart: the plain network "
        "lowest, then StNN, LEADS, and the two settings as printed highest. Below, five small "
        "phase-space plots; only those as printed leave the black curve visibly.",
    )


def errors(predictions: Mapping[str, Sequence[np.ndarray]], test: np.ndarray) -> style.Shown:
    """Test error of each method in every environment, median over seeds, a row an environment."""
    figure, axes = style.figure(4.0)
    names = ("leads", "stnn", "control", "polynomial_3")
    for name in names:
        by_seed = [trajectory_errors(path, test).mean(1) for path in predictions[name]]
        each = np.median(by_seed, axis=0)
        face = "none" if name.startswith("polynomial") else "full"
        axes.plot(
            each, range(len(test)), "o", fillstyle=face, color=COLOURS[name], markersize=6, mew=1.5
        )
    rates = [f"{system.alpha:g}, {system.gamma:g}" for system in ENVIRONMENTS]
    axes.set_yticks(range(len(test)), rates)
    axes.grid(axis="y")
    axes.set(
        xscale="log", xlabel="test MSE", ylabel="environment: α, γ", ylim=(len(test) - 0.5, -0.5)
    )
    style.legend(axes, {name: LABELS[name] for name in names}, 2)
    return style.shown(
        figure,
        "environments",
        caption="Test error in every environment, median over seeds. Each row is an environment, "
        "named by its α and γ.",
        alt="Dots of test error on a logarithmic axis, ten rows of environments, one colour a "
        "method; the order of the networks is much the same in every environment.",
    )
