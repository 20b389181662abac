"""The figures of forecasts draw the errors, the paths and the metrics that they are given."""

import numpy as np
import pytest

from dynlib.measure.rollout import valid_time
from dynlib.report import record, style
from dynlib.report.figures import forecasts as figures
from dynlib.report.forecasts import LABELS
from dynlib.report.style import COLOURS

RULE = {"spread": 1.0, "dt": 0.1, "exponent": 2.0}
NAMES = [
    "stnn", "control", "ffnn", "sindy_fd2", "sindy_fd6", "polynomial_5", "reservoir", "dmd",
    "havok", "climatology",
]  # fmt: skip


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


def by_colour(axes, name: str) -> list[np.ndarray]:
    """Heights of the curves of a method."""
    return [line.get_ydata() for line in axes.lines if line.get_color() == COLOURS[name]]


def test_accumulated_errors_are_running_means_and_their_median():
    rng = np.random.default_rng(0)
    errors = {name: rng.uniform(1, 2, (5, 30)) for name in NAMES}
    errors["havok"][0, 20:] = np.inf
    shown = figures.accumulated(errors)
    (axes,) = shown.figure.axes
    assert (shown.name, axes.get_yscale()) == ("accumulated", "log")
    (curve,) = by_colour(axes, "stnn")
    expected = [np.median(errors["stnn"][:, : k + 1].mean(axis=1)) for k in range(30)]
    np.testing.assert_allclose(curve, expected)
    assert len(axes.lines) == len(NAMES)
    for line in axes.lines:
        assert np.isfinite(line.get_ydata()).all()
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 31))
    assert {text.get_text() for text in axes.texts} >= {LABELS["stnn"], "SINDy, order 2"}
    (dashed,) = (line for line in axes.lines if line.get_linestyle() == "--")
    np.testing.assert_array_equal(dashed.get_ydata(), by_colour(axes, "climatology")[0])


def test_each_coordinate_has_its_panel():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(4, 20, 3))
    predictions = {name: truth + rng.normal(size=(2, 4, 20, 3)) for name in NAMES}
    shown = figures.coordinates(predictions, truth, ("x", "y", "z"))
    assert [axes.get_ylabel() for axes in shown.figure.axes] == ["x", "y", "z"]
    for i, axes in enumerate(shown.figure.axes):
        (curve,) = by_colour(axes, "ffnn")
        squared = (predictions["ffnn"][..., i] - truth[..., i]) ** 2
        assert curve[-1] == pytest.approx(np.median(squared.mean(axis=-1)))
        assert curve[0] == pytest.approx(np.median(squared[..., 0]))


def test_a_dot_marks_where_a_forecast_leaves_the_truth():
    truth = np.zeros((3, 40, 3))
    predictions = {name: np.zeros((1, 3, 40, 3)) for name in NAMES}
    for start, leaves in enumerate((30, 10, 20)):  # the third start is the median one
        predictions["stnn"][0, start, leaves:] = 1.0
    predictions["havok"][0, 2, 5:, 0] = 99.0
    shown = figures.series(predictions, truth, **RULE)
    above, below = shown.figure.axes
    names = {text.get_text() for text in below.texts}
    others = ("dmd", "sindy_fd2", "climatology")
    assert names == {"SINDy, order 2"} | {LABELS[name] for name in NAMES if name not in others}

    def dots(name):
        return [
            line for line in below.lines
            if line.get_marker() == "o" and line.get_color() == style.COLOURS[name]
        ]  # fmt: skip

    (dot,) = dots("stnn")
    (time,), _ = valid_time(predictions["stnn"][0, 2:], truth[2:], **RULE)
    assert dot.get_xdata()[0] == pytest.approx(time)
    assert dot.get_xdata()[0] == pytest.approx(21 * 0.2)
    assert dots("reservoir") == []
    (dot,) = dots("havok")
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (pytest.approx(6 * 0.2), 99)
    true, *leaving = above.lines
    assert true.get_color() == style.INK
    assert {line.get_color() for line in leaving} == {style.COLOURS[n] for n in ("stnn", "havok")}


def test_errors_stand_over_operations():
    degrees = range(2, 5)
    names = [*(f"polynomial_{d}" for d in degrees), *NAMES]
    names = [name for name in names if name not in ("polynomial_5", "climatology")]
    for number, name in enumerate(names):
        record.metric(f"{name}_flops", 10 + number)
        record.metric(
            f"{name}_accumulated_mse_horizon", [1.0 + number, 3.0 + number], over="starts"
        )
    for name in ("sindy_fd2", "sindy_fd6"):  # by the steps whose operations are counted
        record.metric(f"{name}_accumulated_mse_horizon_rk4", [50.0, 70.0], over="starts")
    shown = figures.pareto(degrees)
    (axes,) = shown.figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    joined = axes.lines[0]
    np.testing.assert_array_equal(joined.get_xdata(), [10, 11, 12])
    np.testing.assert_array_equal(joined.get_ydata(), [2, 3, 4])
    points = {line.get_xdata()[0]: line for line in axes.lines[1:] if line.get_marker() == "o"}
    assert set(points) == set(range(13, 10 + len(names)))
    assert points[10 + names.index("havok")].get_ydata()[0] == 2.0 + names.index("havok")
    assert points[10 + names.index("sindy_fd6")].get_ydata()[0] == 60.0
    assert "degree 2 to 4" in shown.caption
    assert "polynomials, degree 2 to 4" in {text.get_text() for text in axes.texts}
