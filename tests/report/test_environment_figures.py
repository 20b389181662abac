"""Figures of many environments show what they are handed."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, initial_states, trajectories
from dynlib.report import record, style
from dynlib.report.figures import environments as figures

TEST = trajectories(ENVIRONMENTS, initial_states(3, test=True))
METHODS = ("printed_stnn", "stnn", "control", "printed_leads", "leads", "polynomial_3")


@pytest.fixture(autouse=True)
def fresh():
    record.clear()
    with plt.rc_context():
        style.use_style()
        yield
    record.clear()


def lines(axes, marker="None"):
    return [line for line in axes.lines if line.get_marker() == marker]


def test_the_data_are_drawn_in_ten_panels():
    shown = figures.data(TEST)
    assert shown.name == "data"
    assert [axes.get_title(loc="left") for axes in shown.figure.axes][:3] == [
        "0.5, 0.5", "0.25, 0.5", "0.75, 0.5"
    ]  # fmt: skip
    (dot, *_) = lines(shown.figure.axes[4], ".")
    np.testing.assert_allclose(dot.get_xydata(), TEST[4, :1, 0])


def test_curves_are_seeds_and_maps_are_points():
    for degree in (2, 3, 4):
        record.metric(f"polynomial_{degree}_train_s", 0.1 * degree)
        record.metric(f"polynomial_{degree}_mse_test", 10.0**-degree)
    way = np.array([1.0, 2.0]), np.array([0.5, 0.1])
    shown = figures.curves({"stnn": [way, way], "leads": [way]})
    (axes,) = shown.figure.axes
    assert shown.name == "curves"
    assert [tuple(line.get_ydata()) for line in lines(axes)][:3] == [(0.5, 0.1)] * 3
    assert [line.get_ydata()[0] for line in lines(axes, "o")] == [1e-2, 1e-3, 1e-4]
    texts = [text.get_text() for text in axes.texts]
    assert set(texts) == {"StNN", "LEADS", *(f"polynomial, degree {n}" for n in (2, 3, 4))}


def test_rollouts_are_errors_over_time_and_the_worst_trajectory():
    offsets = np.linspace(0.1, 0.9, 30).reshape(10, 3, 1, 1)
    predictions = {name: [TEST + offsets, TEST + 3 * offsets, TEST] for name in METHODS}
    predictions["leads"][0] = np.full_like(TEST, np.nan)  # it failed
    for name in METHODS:
        errors = [0.2, 0.3, 0.1]  # the first is the median seed
        record.metric(f"{name}_mse_test", errors, over="seeds")
    shown = figures.rollouts(predictions, TEST)
    assert shown.name == "rollouts"
    above, *panels = shown.figure.axes
    middle, worst = above.lines[:2]
    np.testing.assert_allclose(middle.get_ydata(), np.full(19, np.median(offsets**2)))
    np.testing.assert_allclose(worst.get_ydata(), np.full(19, 0.9**2))
    assert above.lines[-1].get_ydata()[0] == 1e30
    assert [axes.get_xlabel() for axes in panels] == ["8e-01"] * 4 + ["1e+30"]
    (drawn,) = lines(panels[0], "o")
    np.testing.assert_allclose(drawn.get_xydata(), TEST[9, 2] + 0.9)


def test_errors_are_medians_in_every_environment():
    predictions = {name: [TEST + 1, TEST + 2, TEST + 3] for name in METHODS}
    shown = figures.errors(predictions, TEST)
    assert shown.name == "environments"
    (axes,) = shown.figure.axes
    assert len(axes.lines) == 4
    for line in axes.lines:
        np.testing.assert_allclose(line.get_xdata(), np.full(10, 4.0))
        np.testing.assert_array_equal(line.get_ydata(), range(10))
