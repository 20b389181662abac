"""The notebook `your_system` at tiny settings, on systems of every kind."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from dynlib.report import record
from workflow.runs.experiments import read_cells

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "your_system.py"

TINY = """
train_trajectories, test_trajectories, trajectory_length, transient = 4, 2, 300, 300
reference_orbits, reference_steps, n_cells, longest_ngram = 8, 1000, 8, 3
heads, width, context, steps, batch_size = 1, 8, 8, 4, 8
test_windows, prompt, rollouts, rollout_steps = 64, 20, 4, 130
degree, branches, pairs_learnt, pairs_batch, network_steps = 3, 1, 300, 100, 5
initial_weights, start_steps, n_seeds, reservoir_units = 1, 0, 1, 30
n_starts, horizon = 3, 30
"""

VAN_DER_POL = """
from dynlib.dynamics.systems.catalogue import from_dysts
from dynlib.dynamics.own import OwnFlow, prepared
yours = OwnFlow(lambda x, v: (v, (1 - x * x) * v - x), ("x", "v"), (1.0, 0.0))
your_tau, dysts_name = 0.2, "Thomas"
"""
DAMPED = VAN_DER_POL.replace("(1 - x * x) * v - x", "-x - v")
FIVE = """
from dynlib.dynamics.systems.catalogue import from_dysts
from dynlib.dynamics.own import OwnFlow, prepared
def lorenz96(a, b, c, d, e):
    return ((b - d) * e - a + 8, (c - e) * a - b + 8, (d - a) * b - c + 8,
            (e - b) * c - d + 8, (a - c) * d - e + 8)
yours = OwnFlow(lorenz96, "abcde", (8.0, 8.1, 8.0, 8.0, 8.0))
your_tau, dysts_name = 0.05, "Thomas"
"""
LOGISTIC = """
from dynlib.dynamics.systems.catalogue import from_dysts
from dynlib.dynamics.own import OwnMap, prepared
yours = OwnMap(lambda x: (RATE * x * (1 - x),), ("x",), (0.4,))
your_tau, dysts_name = 1.0, "Thomas"
"""


FOLD = """
from dynlib.dynamics.systems.catalogue import from_dysts
from dynlib.dynamics.own import OwnMap, prepared
yours = OwnMap(lambda x, y: (3.9 * x * (1 - x), x), ("x", "y"), (0.4, 0.4))
your_tau, dysts_name = 1.0, "Thomas"
"""


@pytest.fixture
def metrics_of(monkeypatch, tmp_path, capsys):
    """Runs the notebook's cells with other parameters, and returns its metrics."""
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)

    def run(system: str, ten_lines: str = "") -> dict:
        space: dict = {}
        with mpl.rc_context(), mpl.rc_context({"backend": "agg", "figure.max_open_warning": 0}):
            for kind, tags, source in read_cells(NOTEBOOK):
                if kind != "code" or "setup" in tags:
                    continue
                if "def rates(" in source and ten_lines:
                    source = ten_lines
                exec(compile(source, str(NOTEBOOK), "exec"), space)
                if "parameters" in tags:
                    exec(f"{TINY}\nsystem = {system!r}", space)
        found = record.metrics() | {"said": capsys.readouterr().out}
        record.clear()
        return found

    return run


@pytest.mark.parametrize(("system", "dim"), [("own", 3), ("lorenz", 3), ("henon", 2)])
def test_a_chaotic_system_has_exponents_tokens_and_valid_times(metrics_of, system, dim):
    metrics = metrics_of(system)
    assert metrics["dim"]["value"] == dim
    assert metrics["chaotic"]["value"] == 1
    assert metrics["lyapunov_time"]["value"] == pytest.approx(
        1 / metrics["lyapunov_1"]["value"], rel=0.1
    )
    assert metrics["polynomial_3_valid_time"]["value"] > metrics["persistence_valid_time"]["value"]
    assert metrics["best_ngram_cross_entropy"]["value"] > metrics["entropy_rate"]["value"]
    divergence = {"own": -3 * 1.4, "lorenz": -13.67, "henon": np.log(0.3)}[system]
    exponents = [metrics[f"lyapunov_{i + 1}"]["value"] for i in range(dim)]
    assert sum(exponents) == pytest.approx(divergence, rel=0.01)
    assert "Forecasts longest, of " in metrics["said"]


def test_the_exponents_are_the_known_ones(metrics_of):
    metrics = metrics_of("rossler")
    assert metrics["lyapunov_1"]["value"] == pytest.approx(0.09, abs=0.03)
    assert metrics["lyapunov_2"]["value"] == pytest.approx(0, abs=0.03)


def test_a_limit_cycle_has_no_lyapunov_time(metrics_of):
    metrics = metrics_of("own", VAN_DER_POL)
    assert metrics["chaotic"]["value"] == 0
    assert metrics["at_rest"]["value"] == 0
    assert metrics["settled"]["value"] == 1
    assert metrics["lyapunov_1"]["value"] == pytest.approx(0, abs=0.02)
    for name in ("lyapunov_time", "stnn_valid_time"):
        assert metrics[name]["value"] is None
        assert metrics[f"{name}_failures"]["value"] > 0
    assert metrics["polynomial_3_accumulated_mse_horizon"]["value"] < 1
    assert "Forecasts longest" not in metrics["said"]


def test_a_system_that_comes_to_rest_is_measured_on_its_way(metrics_of):
    metrics = metrics_of("own", DAMPED)
    assert metrics["at_rest"]["value"] == 1
    assert metrics["chaotic"]["value"] == 0
    # the eigenvalues are -1/2 +- i sqrt(3)/2
    assert metrics["lyapunov_1"]["value"] == pytest.approx(-0.5, abs=0.02)
    assert metrics["vocabulary"]["value"] > 5


def test_five_coordinates_are_padded_to_eight(metrics_of):
    metrics = metrics_of("own", FIVE)
    assert metrics["stnn_parameters"]["value"] == 13 * 8 + 12 + 8
    assert metrics["lyapunov_5"]["value"] < 0


def test_one_coordinate_will_do(metrics_of):
    metrics = metrics_of("own", LOGISTIC.replace("RATE", "4"))
    assert metrics["lyapunov_1"]["value"] == pytest.approx(0.693, abs=0.01)  # ln 2


def test_a_short_cycle_leaves_no_distance_between_true_samples(metrics_of):
    metrics = metrics_of("own", LOGISTIC.replace("RATE", "3.2"))  # period two
    assert metrics["w1_ratio"]["value"] is None
    assert metrics["w1_ratio_failures"]["value"] > 0
    assert metrics["markov_top1_accuracy"]["value"] == 1


def test_a_map_that_folds_has_an_exponent_of_minus_infinity(metrics_of):
    metrics = metrics_of("own", FOLD)
    assert metrics["lyapunov_1"]["value"] == pytest.approx(0.496, abs=0.02)
    assert metrics["lyapunov_2"]["value"] is None
    assert metrics["lyapunov_2_failures"]["value"] == 8
    assert metrics["settled"]["value"] == 1


def test_a_slow_spiral_is_not_reported_as_an_attractor(metrics_of):
    slow = VAN_DER_POL.replace("(1 - x * x) * v - x", "-x - 0.02 * v")
    metrics = metrics_of("own", slow)
    assert metrics["at_rest"]["value"] == 0
    assert metrics["settled"]["value"] == 0
    assert "This is not an attractor yet: the range of x still decays" in metrics["said"]
    assert "Not an attractor yet: the range of x" in metrics["said"]
