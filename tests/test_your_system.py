"""The notebook `your_system` at tiny settings, on systems of every kind."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
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
import numpy as np
from dynlib.dynamics.own import OwnFlow
yours = OwnFlow(lambda x, v: (v, (1 - x * x) * v - x), ("x", "v"), (1.0, 0.0))
your_tau = 0.2
"""
DAMPED = VAN_DER_POL.replace("(1 - x * x) * v - x", "-x - v")
FIVE = """
import numpy as np
from dynlib.dynamics.own import OwnFlow
def lorenz96(a, b, c, d, e):
    return ((b - d) * e - a + 8, (c - e) * a - b + 8, (d - a) * b - c + 8,
            (e - b) * c - d + 8, (a - c) * d - e + 8)
yours = OwnFlow(lorenz96, "abcde", (8.0, 8.1, 8.0, 8.0, 8.0))
your_tau = 0.05
"""
LOGISTIC = """
import numpy as np
from dynlib.dynamics.own import OwnMap
yours = OwnMap(lambda x: (RATE * x * (1 - x),), ("x",), (0.4,))
your_tau = 1.0
"""


FOLD = """
import numpy as np
from dynlib.dynamics.own import OwnMap
yours = OwnMap(lambda x, y: (3.9 * x * (1 - x), x), ("x", "y"), (0.4, 0.4))
your_tau = 1.0
"""


@pytest.fixture
def metrics_of(monkeypatch, tmp_path, capsys):
    """Runs the notebook's cells with other parameters, and returns its metrics."""
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    monkeypatch.setenv("DYNLIB_WORKERS", "1")
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)

    def run(system: str, ten_lines: str = "", more: str = "") -> dict:
        space: dict = {}
        with mpl.rc_context(), mpl.rc_context({"backend": "agg", "figure.max_open_warning": 0}):
            for kind, tags, source in read_cells(NOTEBOOK):
                if kind != "code" or "setup" in tags:
                    continue
                if "def rates(" in source and ten_lines:
                    source = ten_lines
                exec(compile(source, str(NOTEBOOK), "exec"), space)
                if "parameters" in tags:
                    exec(f"{TINY}\nsystem = {system!r}\n{more}", space)
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
    assert re.search(r"Forecasts longest, of |forecasts or more stay valid", metrics["said"])


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
    assert not re.search(r"Forecasts longest|forecasts or more stay valid", metrics["said"])


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


@pytest.fixture
def measurements(tmp_path):
    """Writes a file of two Lorenz trajectories at uneven times, the first with a gap."""

    def write(n: int = 1500) -> str:
        rng = np.random.default_rng(0)
        rows = ["t,trajectory,a,b,c"]
        for label, start, size in (
            ("one", (1.0, 1.0, 20.0), n),
            ("two", (-3.0, -4.0, 25.0), n // 2),
        ):
            times = np.cumsum(rng.uniform(0.015, 0.025, size))
            times[size // 2 :] += 1.0 * (label == "one")
            (states,) = integrate(Lorenz(), np.array([start]), times)
            rows += [
                f"{t:.8f},{label},{x:.10f},{y:.10f},{z:.10f}"
                for t, (x, y, z) in zip(times, states, strict=True)
            ]
        path = tmp_path / f"measured{n}.csv"
        path.write_text("\n".join(rows), encoding="utf-8")
        return str(path)

    return write


def test_a_file_takes_the_place_of_equations(metrics_of, measurements):
    path = measurements()
    metrics = metrics_of("own", more=f"data, resample = {path!r}, True")
    value = {name: each["value"] for name, each in metrics.items() if name != "said"}
    assert value["dim"] == 3
    assert value["tau"] == pytest.approx(0.02, rel=0.02)
    assert value["spread"] == pytest.approx(14, rel=0.2)
    states = [value[f"{part}_states"] for part in ("learn", "held_out", "test")]
    assert sum(states) == pytest.approx(2250, rel=0.02)
    assert states[2] == pytest.approx(450, rel=0.02)
    # what needs equations is not there; what does not, is
    assert not {"chaotic", "lyapunov_1", "entropy_rate", "w1_ratio", "w1_true_true"} & value.keys()
    assert value["best_ngram_cross_entropy"] < np.log(value["vocabulary"])
    assert value["cross_entropy"] > 0
    errors = {
        name: value[f"{name}_accumulated_mse_horizon"]
        for name in ("polynomial_3", "reservoir", "stnn", "control", "sindy_smoothed", "havok")
    }
    for name in ("polynomial_3", "sindy_smoothed"):
        assert errors[name] < 0.1 * value["persistence_accumulated_mse_horizon"], errors
    assert value["polynomial_3_valid_time"] is None
    said = metrics["said"]
    for words in (
        "The file has 2 trajectories of a, b, c in 3 stretches without a gap",
        "Trajectories were split at one gap.",
        "interpolated, by cubic splines, at steps of 0.01",
        "They do not overlap.",
        "Exponents need the equations, and here are none.",
        "Distances from truth need fresh true trajectories",
        "SINDy finds, with x for a, y for b, z for c:",
        "Predicts the next token best: ",
        "Has the smallest error over 30 steps: ",
    ):
        assert words in said
    assert "Write states no further" not in said


def test_uneven_times_are_refused_with_the_remedy(metrics_of, measurements):
    with pytest.raises(ValueError, match=r"times must be even, got a step of .*resample=True"):
        metrics_of("own", more=f"data = {measurements(100)!r}")


def test_a_file_and_another_system_are_refused(metrics_of, measurements):
    with pytest.raises(ValueError, match=r"system must be 'own' where a file .*system='lorenz'"):
        metrics_of("lorenz", more=f"data = {measurements(100)!r}")


@pytest.mark.parametrize("n", [8, 40, 300])
def test_of_few_data_parts_are_left_out_and_the_page_says_why(metrics_of, measurements, n):
    path = measurements(n)
    metrics = metrics_of("own", more=f"data, resample = {path!r}, True")
    said = metrics["said"]
    assert "Tokens, n-grams and GPT-2 are left out: a " in said
    assert "vocabulary" not in metrics
    assert "Forecasts are left out" in said
    assert ("The networks are left out: they need 100 pairs" in said) == (n < 300)
    assert "Left out: reservoir, since " in said or n == 300
