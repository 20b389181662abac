"""What is recorded of a system of one's own, also where it has no scale and no exponent."""

import re
import warnings

import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.own import OwnFlow, OwnMap, prepared
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.measure.distribution import Reference
from dynlib.report import record
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
    assert best(names) == "A (3.5), not told apart from B (4.95)"
    assert best(names, largest=True) == "C (9)"
    assert best({"d": "D"}) == "none, since nothing was measured"


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
