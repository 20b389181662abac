"""What is recorded of a user-defined system, also where it has no scale and no exponent."""

import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.own import OwnFlow, OwnMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.dynamics.trial import prepared
from dynlib.measure.distribution import Reference
from dynlib.report import own, record, style
from dynlib.report.figures import own as figures
from dynlib.report.own import (
    best,
    exponents,
    grows,
    level,
    record_distances,
    record_forecast,
    settling,
)


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


def constant(cell: int, rollouts: int = 2) -> np.ndarray:
    """Tokens that stay in one cell."""
    return np.full((rollouts, 130), cell)


CENTRES = np.array([[0.0], [1.0], [5.0]])


def test_distances_are_told_in_those_of_truth_from_truth():
    reference = Reference(np.stack([constant(0), constant(1)] * 2), CENTRES)
    alternating = np.tile([0, 1], (2, 65))
    samples = {"model": [constant(2)], "markov": [alternating]}
    table = record_distances(samples, reference, constant(0), constant(0))
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == {
        "w1_true_true": 1.0,
        "w1_ratio": 5.0,
        "unseen_transitions": 1.0,
        "periodic_fraction": 1.0,
        "markov_w1_ratio": 0.5,
        "markov_unseen_transitions": 1.0,
        "markov_periodic_fraction": 1.0,
    }
    assert [row[0] for row in table.rows] == ["GPT-2, T = 1", "Markov chain"]
    assert [row[1] for row in table.rows] == ["5", "0.5"]


def test_without_a_scale_there_is_no_ratio_and_that_is_counted():
    reference = Reference(np.stack([constant(0)] * 4), CENTRES)
    samples = {"model": [constant(0), constant(1)]}
    table = record_distances(samples, reference, constant(0), constant(0))
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == {"w1_true_true": 0.0, "w1_ratio": None, "w1_ratio_failures": 2}
    assert table.rows == [["GPT-2, T = 1", "none", "", ""]]


TRUTH = np.zeros((3, 120, 2))
RULE = {"spread": 1.0, "dt": 0.1}


def test_without_an_exponent_a_forecast_has_errors_and_no_valid_time():
    predictions = np.stack([TRUTH + 1, TRUTH + 2, TRUTH + 3])
    predictions[:, :, 100:] = 0
    record_forecast("stnn", predictions, TRUTH, exponent=None, **RULE)
    found = record.metrics()
    assert found["stnn_accumulated_mse_100"]["value"] == pytest.approx(4.0)
    assert found["stnn_accumulated_mse_horizon"]["value"] == pytest.approx(4.0 * 100 / 120)
    assert found["stnn_accumulated_mse_100"]["n"] == 3
    assert found["stnn_valid_time"]["value"] is None
    assert found["stnn_valid_time_failures"]["value"] == 3
    assert found["stnn_failures"]["value"] == 0


def test_a_forecast_that_is_lost_has_no_median():
    predictions = np.stack([TRUTH])
    predictions[0, :2, 60:] = np.nan
    record_forecast("stnn", predictions, TRUTH, exponent=None, **RULE)
    found = record.metrics()
    assert found["stnn_accumulated_mse_horizon"]["value"] is None
    assert found["stnn_failures"]["value"] == 2


def test_with_an_exponent_a_forecast_has_a_valid_time():
    predictions = np.stack([TRUTH.copy()])
    predictions[0, :, 9:] = 1.0
    record_forecast("stnn", predictions, TRUTH, exponent=2.0, **RULE)
    found = record.metrics()
    assert found["stnn_valid_time"]["value"] == pytest.approx(10 * 0.1 * 2.0)
    assert "stnn_valid_time_failures" not in found


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.01, True), (0.99, False), (-1.0, False)]
)  # fmt: skip
def test_growth_is_what_beats_a_straight_line(factor, expected):
    n_steps, tau = 1000, 0.1
    exponents = np.full(4, factor * np.log(n_steps) / (n_steps * tau))
    assert grows(exponents, n_steps, tau) is expected


def test_the_best_is_told_with_those_that_overlap():
    record.metric("a", [3.0, 4.0], over="starts")
    record.metric("b", [3.9, 6.0], over="starts")
    record.metric("c", 9.0)
    record.metric("d", None)
    names = {"a": "A", "b": "B", "c": "C", "d": "D"}
    assert best(names) == "A (3.5), not distinguishable from B (4.95)"
    assert best(names, largest=True) == "C (9)"
    assert best({"d": "D"}) == "none, since nothing was measured"


def test_the_smallest_error_is_compared_with_no_change_and_failures_are_counted():
    labels = own.labels(["stnn", "reservoir", "persistence"], branches=6)
    for name, error in {"stnn": 5.0, "reservoir": 3.0, "persistence": 1.0}.items():
        predictions = np.stack([TRUTH + error])
        if name == "reservoir":
            predictions[0, 0, 50:] = np.nan
        record_forecast(name, predictions, TRUTH, exponent=2.0, spread=1.0, dt=0.1)
    said = own.summary(None, labels, 120, 0.1, 2.0, "")
    assert said[0] == "Has the smallest error over 120 steps: no change (1)."
    assert said[1] == "Forecasts that did not stay finite, which rank last: reservoir 1."
    assert not any("no change" in each for each in said[1:])


def test_forecasts_that_reach_the_horizon_are_not_ranked():
    labels = own.labels(["stnn", "control", "reservoir"], branches=6)
    for name, error in {"stnn": 0.1, "control": 0.2, "reservoir": 3.0}.items():
        predictions = np.stack([TRUTH + error])
        record_forecast(name, predictions, TRUTH, exponent=2.0, spread=1.0, dt=0.1)
    said = own.summary(None, labels, 120, 0.1, 2.0, "")[-1]
    plain = labels["control"]
    assert said == (
        "Half of the forecasts or more stay valid to the end, 24.0 Lyapunov times: "
        f"StNN, p = 6, {plain}. A longer horizon would rank them. The longest of the others: "
        "reservoir (0.2)."
    )


def test_only_what_reaches_one_is_on_a_level():
    record.metric("a", [0.9, 1.3], over="batches")
    record.metric("b", [1.1, 1.3], over="batches")
    record.metric("c", 1.0)
    record.metric("d", None)
    assert level({"a": "A", "b": "B", "c": "C", "d": "D"}) == "A (1.1), C (1)"
    assert level({"b": "B"}) == "none"


def oscillator(damping, start=1.0):
    return OwnFlow(lambda x, v: (v, -x - damping * v), ("x", "v"), (start, 0.0), start / 10)


def van_der_pol(stiffness, start=1.0):
    return OwnFlow(
        lambda x, v: (v, stiffness * (1 - x * x) * v - x), ("x", "v"), (start, 0.0), start / 10
    )


def settling_of(system, tau, length, transient, seed):
    step = prepared(system, tau)
    initial = system.initial_states(24, np.random.default_rng(seed))
    return settling(simulate(step, initial, 2 * length, transient=transient), system.names)


@pytest.mark.parametrize(
    ("system", "tau", "words"),
    [
        (oscillator(0.01), 0.2, "range of x still decays, by a factor of 0.3.*longer transient"),
        (oscillator(0.03), 0.2, "range of x still decays"),
        (OwnFlow(lambda x, y: (-0.02 * x, -0.03 * y), "xy", (1, 1)), 0.2, "x still decays"),
        (oscillator(-0.01, 1e-3), 0.2, "range of x still grows"),
        (van_der_pol(0.01, 0.02), 0.2, "range of x still grows, by a factor of 2"),
    ],
)
def test_a_motion_that_decays_or_grows_after_the_transient_is_named(system, tau, words):
    initial = system.initial_states(24, np.random.default_rng(0))
    states = simulate(TimeMap(system, tau), initial, 3000, transient=500)
    assert re.search(words, settling(states, system.names))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("system", "tau", "length"),
    [
        (Lorenz(), 0.03, 300),
        (Lorenz(), 0.03, 1500),
        (Rossler(), 0.1, 300),
        (Rossler(), 0.1, 1500),
        (van_der_pol(0.1), 0.2, 300),
        (van_der_pol(1.0), 0.2, 300),
        (van_der_pol(1.0), 0.01, 1500),  # 2.3 cycles a record
        (van_der_pol(10.0), 0.05, 1500),
        (oscillator(0.0), 0.2, 300),
        (OwnMap(lambda x: (3.2 * x * (1 - x),), ("x",), (0.4,)), 1, 300),
        (OwnMap(lambda x: (3.8282 * x * (1 - x),), ("x",), (0.4,)), 1, 1500),  # intermittent
    ],
)
def test_chaos_and_cycles_are_settled(system, tau, length, seed):
    assert settling_of(system, tau, length, 500, seed) == ""


def test_settling_names_wrong_shapes():
    with pytest.raises(ValueError, match=r"\(n, 2 T, d\).*got \(3, 40\)"):
        settling(np.zeros((3, 40)), ["x"])


def test_minus_infinity_is_none_and_counted_and_said():
    groups = np.array([[0.5, -1.0, -np.inf], [0.6, -np.inf, -np.inf]])
    shown = exponents(groups)
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == {
        "lyapunov_1": 0.55,
        "lyapunov_2": None,
        "lyapunov_2_failures": 1,
        "lyapunov_3": None,
        "lyapunov_3_failures": 2,
    }
    assert shown[0].startswith("0.55")
    assert shown[1].startswith("minus infinity in 1 of 2 groups: the map folds")
    assert shown[2].startswith("minus infinity: the map folds")


def test_minus_infinity_does_not_grow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not grows(np.full(8, -np.inf), 1000, 1.0)
        assert not grows(np.array([-np.inf, 0.5, 0.5, 0.5, 0.5]), 1000, 1.0)


def test_exponents_of_another_shape_are_refused():
    """All of (orbits, d) would be ranked as the largest ones; a group of its own as d groups."""
    with pytest.raises(ValueError, match=r"shape \(orbits,\), got \(8, 3\); .*exponents\[:, 0\]"):
        grows(np.ones((8, 3)), 1000, 1.0)
    with pytest.raises(ValueError, match=r"shape \(n, d\), got \(3,\); .*group\[None\]"):
        exponents(np.ones(3))


@pytest.mark.parametrize(("ranges", "expected"), [([1e-4, 1e-4], True), ([1e-4, 0.1], False)])
def test_a_system_rests_where_every_range_is_tiny(ranges, expected):
    wave = np.sin(np.arange(50.0))[None, :, None]
    late = np.concatenate([size * wave for size in ranges])
    assert own.rests(late, np.concatenate([wave, wave])) is expected


def henon_heiles(x, y, u, v):
    return u, v, -x - 2 * x * y, -y - x * x + y * y


def swing(x, v, t):
    return v, -np.sin(x) + 0.1 * np.cos(t)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (OwnFlow(henon_heiles, ("x", "y", "u", "v"), (0.1, 0.1, 0.1, 0.1)), True),
        (OwnFlow(swing, ("x", "v"), (0.5, 0.0), period=2 * np.pi), True),
        (OwnMap(lambda x, y: (y, -x + 0.3 * np.sin(y)), ("x", "y"), (0.1, 0.1)), True),
        (OwnMap(lambda x, y: (1 - 1.4 * x * x + y, 0.3 * x), ("x", "y"), (0.1, 0.1)), False),
        (oscillator(1e-4), False),
        (Lorenz(), False),
    ],
)
def test_a_system_that_keeps_volumes_is_called_conservative(system, expected):
    step = prepared(system, 0.05)
    initial = system.initial_states(4, np.random.default_rng(0))
    assert own.conservative(step, simulate(step, initial, 100)) is expected


def test_a_system_is_recorded_with_what_is_said_of_it():
    own.record_system(3, 0.1, 2.0, False, "the range of x still decays")
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == {"dim": 3, "tau": 0.1, "spread": 2.0, "at_rest": 0, "settled": 0}


def test_tables_show_what_is_recorded():
    record.metric("lyapunov_time", 1.25)
    assert own.exponent_table(["0.8", "minus infinity"]).rows == [
        ["exponent 1", "0.8"],
        ["exponent 2", "minus infinity"],
        ["Lyapunov time", "1.250"],
    ]
    for name, value in {"": 1.5, "markov_": 2.0, "best_ngram_": 1.0}.items():
        record.metric(f"{name}cross_entropy", value)
        record.metric(f"{name}top1_accuracy", value / 4)
    record.metric("entropy_rate", 0.25)
    assert own.prediction_table(3).rows == [
        ["GPT-2", "1.5", "0.375"],
        ["Markov chain", "2", "0.5"],
        ["n-gram, 3 tokens", "1", "0.25"],
        ["entropy rate of the system", "0.25", ""],
    ]


def test_forecasts_are_tabulated_and_put_into_words():
    labels = own.labels(["stnn", "reservoir", "persistence"], branches=6)
    for name, size in {"stnn": 388, "reservoir": 2073}.items():
        record.metric(f"{name}_parameters", size)
    for name, error in {"stnn": 1.0, "reservoir": 3.0, "persistence": 9.0}.items():
        predictions = np.stack([TRUTH + error])
        record_forecast(name, predictions, TRUTH, exponent=2.0, spread=1.0, dt=0.1)
    rows = own.forecast_table(labels, 120).rows
    assert [row[:3] for row in rows] == [
        ["StNN, p = 6", "388", "1.0e+00 [1.0e+00, 1.0e+00]"],
        ["reservoir", "2\u202f073", "9.0e+00 [9.0e+00, 9.0e+00]"],
        ["no change", "", "8.1e+01 [8.1e+01, 8.1e+01]"],
    ]
    for name, value in {"": 1.5, "markov_": 2.0, "best_ngram_": 1.0}.items():
        record.metric(f"{name}cross_entropy", value)
        record.metric(f"{name}w1_ratio", value)
    said = own.summary(3, labels, 120, 0.1, 2.0, "x still decays")
    assert said == [
        "Predicts the next token best: n-gram, 3 tokens (1).",
        "Write states no further from true ones than these are from each other: "
        "n-gram, 3 tokens (1).",
        "Has the smallest error over 120 steps: StNN, p = 6 (1).",
        "Forecasts longest, of 24.0 Lyapunov times: "
        "StNN, p = 6 (0.2), not distinguishable from reservoir (0.2).",
        "Not an attractor yet: x still decays.",
    ]
    assert len(own.summary(3, labels, 120, 0.1, None, "")) == 3


@pytest.fixture
def styled():
    with plt.rc_context():
        style.use_style()
        yield


@pytest.mark.usefixtures("styled")
def test_curves_of_context_stand_on_zero():
    networks, counts = np.array([[3.0, 2.0]]), np.array([2.5, 2.0])
    (axes,) = figures.context([1, 2], networks, counts, 0.5).figure.axes
    assert axes.get_ylim()[0] == 0


@pytest.mark.usefixtures("styled")
@pytest.mark.parametrize(("dim", "columns"), [(3, [0, 2]), (1, None)])
def test_an_attractor_is_drawn_in_its_first_and_last_coordinate(dim, columns):
    path = np.random.default_rng(0).normal(size=(20, dim))
    shown = figures.attractor(path, [path[:9], path[9:]], ["x", "y", "z"][:dim], flow=True)
    truth, written = shown.figure.axes
    expected = path[:, columns] if columns else np.c_[path[:-1], path[1:]]
    np.testing.assert_array_equal(truth.lines[0].get_xydata(), expected)
    assert len(written.lines) == 2
    assert truth.get_ylabel() == ("z" if columns else "next x")


def test_a_scene_has_both_curves():
    path = np.random.default_rng(0).normal(size=(3000, 3))
    assert repr(figures.scene(path, path[:9], ["x", "y", "z"])).startswith(
        "3-D scene: truth (2500 points), GPT-2, T = 1 (9 points)."
    )


@pytest.mark.usefixtures("styled")
def test_a_forecast_is_drawn_until_it_leaves_the_region():
    truth = np.zeros((5, 2))
    lost = np.array([0.0, 0.1, 9.0, 0.0, 0.0])
    forecast = np.stack([lost, lost], axis=1)[None, None]
    predictions = {"stnn": forecast, "reservoir": truth[None, None], "persistence": forecast}
    states = np.array([[-1.0, 0.0], [1.0, 0.0]])
    labels = own.labels(predictions, 6)
    shown = figures.series(predictions, truth, states, labels, 0.5, None, "x")
    above, below = shown.figure.axes
    np.testing.assert_array_equal(above.lines[1].get_xydata(), [[0.5, 0.0], [1.0, 0.1]])
    assert len(below.lines[1].get_xdata()) == 5
    assert [axes.texts[0].get_text() for axes in (above, below)] == ["StNN, p = 6", "reservoir"]
    assert below.get_xlabel() == "units of time"
