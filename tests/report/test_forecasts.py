"""What the comparison of forecasts records, and what its tables say of it."""

import numpy as np
import pytest
import torch

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.pairs import pairs
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.sindy import SparseField
from dynlib.networks.count import total
from dynlib.networks.ffnn import FFNN
from dynlib.networks.forecaster import NetworkForecaster
from dynlib.networks.stnn import StNN
from dynlib.report import equations, protocol, record, step_costs
from dynlib.report import forecast_tables as tables
from dynlib.report import forecasts as report

RULE = {"spread": 1.0, "dt": 0.1, "exponent": 2.0}
TRUTH = np.zeros((6, 120, 3))
OFF = np.concatenate([np.zeros((6, 9, 3)), np.ones((6, 111, 3))], axis=1)


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


def test_methods_are_recorded_together_as_they_are_alone():
    both = {"stnn": OFF[None], "ffnn": np.stack([OFF, 2 * OFF, 3 * OFF])}
    errors = report.record_rollouts(both, TRUTH, suffix="_noise", **RULE)
    together = record.metrics()
    record.clear()
    for name, found in both.items():
        alone = report.record_rollout(name, found, TRUTH, suffix="_noise", **RULE)
        np.testing.assert_array_equal(errors[name], alone)
    assert record.metrics() == together
    assert together["ffnn_accumulated_mse_100_noise"]["value"] == pytest.approx(4 * 91 / 100)


def test_one_rollout_is_recorded_at_100_steps_and_at_its_end():
    protocol.record_single("single", OFF[0], TRUTH[0])
    protocol.record_single("short", OFF[0, :20], TRUTH[0, :20])
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == pytest.approx(
        {
            "single_mse_100": 0.91, "single_mse_horizon": 111 / 120,
            "short_mse_100": 11 / 20, "short_mse_horizon": 11 / 20,
        }
    )  # fmt: skip


def test_a_cost_is_counted_and_timed():
    states = np.random.default_rng(0).normal(size=(1000, 4, 2))
    model = PolynomialMap.fit(*pairs(states[:5]), degree=2)
    step_costs.record_cost("polynomial_2", model, states, n_steps=3)
    network = FFNN((3, 5, 4, 6, 3)).double()
    step_costs.record_cost("ffnn", model, states, network, n_steps=3)
    found = record.metrics()
    assert found["polynomial_2_parameters"]["value"] == model.parameters
    assert found["ffnn_flops"]["value"] == model.flops
    for name in ("polynomial_2", "ffnn"):
        for suffix in ("", "_batch1000"):
            assert found[f"{name}_step_us{suffix}"]["value"] > 0
            assert found[f"{name}_step_us{suffix}"]["unit"] == "us"
    record.metric("ffnn_flops_run", 1008)
    rows = step_costs.cost_table(["ffnn", "polynomial_2"]).rows
    assert rows[0][:4] == ["FFNN-2073", str(model.parameters), str(model.flops), "1\u202f008"]
    assert rows[1][3] == ""


def test_errors_are_listed_with_the_data_of_each_method():
    report.record_rollouts({"stnn": OFF[None], "persistence": OFF[None]}, TRUTH, **RULE)
    names = ["stnn", "persistence"]
    plain = tables.errors_table(names, 120, first="fitted on noise")
    assert plain.header[:3] == ["fitted on noise", "accumulated MSE, 100 steps", "120 steps"]
    assert [len(row) for row in plain.rows] == [5, 5]
    full = tables.errors_table(names, 120, fitted_on={"stnn": "3 trajectories"})
    assert [row[:2] for row in full.rows] == [
        ["StNN-388", "3 trajectories"], ["no change", "the record"]
    ]  # fmt: skip
    assert [row[2:] for row in full.rows] == [row[1:] for row in plain.rows]


def test_a_sindy_is_scored_by_the_steps_whose_operations_are_counted():
    field, starts = equations.true_field(0.1), np.array([[[1.0, 2.0, 20.0]], [[-8.0, -8.0, 27.0]]])
    truth = TimeMap(Lorenz(beta=8 / 3), 0.1, substeps=50).orbits(starts[:, 0], 4)[:, 1:]
    single = TimeMap(Lorenz(beta=8 / 3), 0.1, substeps=1).orbits(starts[:, 0], 4)[:, 1:]
    report.record_single_steps({"sindy_fd6": field}, starts, truth, **RULE)
    found = record.metrics()
    expected = np.square(single - truth).mean(axis=(1, 2))
    assert min(expected) > 1e-5  # that of finer steps is below 1e-9
    samples = found["sindy_fd6_accumulated_mse_horizon_rk4"]["samples"]
    assert samples == pytest.approx(expected, rel=1e-6)
    assert found["sindy_fd6_flops_run"]["value"] == field.flops_run


def test_starts_above_the_bound_are_counted_by_seed():
    """The mean state is off by 10, so the bound is 1; it is that of the same start."""
    truth, off = np.zeros((4, 20, 3)), np.ones((4, 1, 1))
    mean = np.full((1, 4, 20, 3), 10.0)
    mean[0, 3] = 30.0
    found = np.stack([0.9 * off + truth, truth, truth])
    found[1, 0], found[1, 3] = 1.1, 1.1  # above 1, and below 9
    found[2, :3, 10:] = np.inf
    predictions = {"climatology": mean, "stnn": found, "ffnn": found[2:]}
    report.record_starts_above(["stnn", "ffnn"], predictions, truth)
    shares = record.metrics()["stnn_starts_above_bound"]
    assert shares["samples"] == [0, 0.25, 0.75]
    assert (shares["over"], shares["low"], shares["high"]) == ("seeds", 0, 0.75)
    assert record.metrics()["ffnn_starts_above_bound"]["value"] == 0.75


def test_a_search_is_listed_with_its_choice():
    best = {"spectral_radius": 0.9, "leak": 0.5}
    (row,) = tables.search_table({"reservoir": (best, [0.25, 1.5, 1.0])}).rows
    assert row == ["reservoir", "3", "spectral radius 0.9, leak 0.5", "1.50", "0.25"]


def test_noise_is_listed_for_methods_that_were_fitted_to_noisy_data():
    levels = {"_noise1e3": 1e-3, "_noise1e2": 1e-2}
    clean = {name: OFF[None] for name in ("stnn", "havok", "persistence")}
    report.record_rollouts(clean, TRUTH, **RULE)
    record.metric("stnn_valid_time_noise1e3", 0.5)
    for suffix, value in (("_noise1e3", 0.25), ("_noise1e2", 0.125)):
        record.metric(f"havok_valid_time{suffix}", value)
    found = tables.noise_table(clean, levels)
    assert found.header == ["method", "clean", "noise 1e-03", "noise 1e-02"]
    assert [[row[0], *row[2:]] for row in found.rows] == [
        ["StNN-388", "0.50", ""], ["HAVOK, no forcing", "0.25", "0.12"]
    ]  # fmt: skip


def test_released_errors_are_recorded_as_printed():
    protocol.record_released(Lorenz(), np.array([0.0, 1.0, 20.0]), 0, 0.01)
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert len(found) == 10
    assert (found["released_stnn_mse_100"], found["released_stnn_mse_600"]) == (0.5704, 5.544)
    assert (found["released_havok_mse_100"], found["released_havok_mse_500"]) == (0.00299, 16.13)


def test_released_errors_stand_beside_ours():
    for number, name in enumerate(
        (
            "single_truth_misaligned", "single_truth_aligned", "stnn_truth_misaligned",
            "ffnn_truth_misaligned", "released_stnn",
            "single_stnn_misaligned", "single_stnn_aligned", "released_ffnn",
            "single_ffnn_misaligned", "single_ffnn_aligned", "released_sindy",
            "single_sindy_aligned", "released_havok", "havok_insample_accumulated",
        )
    ):  # fmt: skip
        record.metric(f"{name}_mse_100", number)
    assert [row[1:] for row in protocol.protocol_table().rows] == [
        ["", "0", "1"], ["", "2", ""], ["", "3", ""],
        ["4", "5", "6"], ["7", "8", "9"], ["10", "", "11"], ["12", "", "13"],
    ]  # fmt: skip


def test_what_forecasts_are_measured_by_is_recorded():
    report.record_rule(TRUTH, TRUTH + 1e-6, **RULE)
    report.record_settings({"dmd": {"delays": 10, "rank": 8}})
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == pytest.approx(
        {
            "spread": 1, "horizon_lyapunov": 24, "truth_difference": 1e-6,
            "dmd_delays": 10, "dmd_rank": 8,
        }
    )  # fmt: skip


def test_equations_are_compared_with_those_of_the_system():
    """The coefficients are those of the system's own velocity, at random states."""
    states = np.random.default_rng(0).normal(size=(5, 3))
    x, y, z = states.T
    terms = np.stack([x**0, x, y, z, x * x, x * y, x * z, y * y, y * z, z * z])
    velocity = Lorenz(beta=8 / 3).velocity(states)
    np.testing.assert_allclose((equations.TRUE_COEFFICIENTS @ terms).T, velocity)

    near = equations.TRUE_COEFFICIENTS.copy()
    near[0, 1] += 0.25
    more = equations.TRUE_COEFFICIENTS.copy()
    more[2, 9] = 1e-3
    models = {"sindy_fd2": SparseField(near, 0.1), "sindy_fd6": SparseField(more, 0.1)}
    said = [equations.record_equations(name, model) for name, model in models.items()]
    assert said == [(True, pytest.approx(0.25)), (False, pytest.approx(1e-3))]
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found == pytest.approx(
        {
            "sindy_fd2_terms_right": 1, "sindy_fd2_coefficient_error": 0.25,
            "sindy_fd6_terms_right": 0, "sindy_fd6_coefficient_error": 1e-3,
        }
    )  # fmt: skip
    rows = equations.equation_table(models, dict(zip(models, said, strict=True))).rows
    near_equations = models["sindy_fd2"].equations(4)
    written = "<br>".join(f"`{each}`" for each in near_equations)
    assert rows[0] == ["order 2", written, "yes", "2.5e-01"]
    assert rows[1][2:] == ["no", "1.0e-03"]


class Steps:
    """A forecaster that adds one a step; it shows what windows it was asked for."""

    parameters, flops = 1, 3

    def rollout(self, windows, n_steps):
        return windows[:, -1:] + np.arange(1, n_steps + 1)[None, :, None]


def test_one_start_is_compared_in_line_and_one_step_late():
    future = np.arange(21.0)[:, None] * np.ones(3)
    protocol.record_one_start({key: [Steps()] for key in ("stnn", "ffnn", "sindy_fd2")}, future)
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    expected = {f"single_{name}_misaligned": 1 for name in ("truth", "stnn", "ffnn")}
    expected |= {f"single_{name}_aligned": 0 for name in ("truth", "stnn", "ffnn", "sindy")}
    assert found == {
        f"{name}_mse_{steps}": value
        for name, value in expected.items()
        for steps in ("100", "horizon")
    }


def test_forecasts_are_recorded_as_their_rollouts_are():
    windows, truth = np.zeros((6, 4, 3)), np.zeros((6, 120, 3)) + np.arange(1, 121)[:, None]
    report.record_forecasts({"stnn": [Steps()]}, windows, truth, suffix="_noise", **RULE)
    assert record.metrics()["stnn_accumulated_mse_horizon_noise"]["value"] == 0


def test_networks_are_timed_bare_and_counted_as_coded():
    network = NetworkForecaster(StNN(4, 1, dtype=torch.float64))
    methods = {"stnn": [network], "sindy_fd2": [equations.true_field(0.01)]}
    step_costs.record_costs(methods, {"stnn": [network]}, np.ones((4, 2, 3)))
    found = record.metrics()
    assert found["stnn_flops_coded"]["value"] == total(network.model, "flops_coded")
    assert {"stnn_step_us_batch1000", "sindy_fd2_step_us"} <= set(found)


def test_the_truths_of_the_released_notebooks_are_scored_one_step_late():
    """At index 0 all tolerances agree: the value follows from another solver."""
    origin, system = np.array([0.0, 1.0, 20.0]), Lorenz(beta=8 / 3)
    protocol.record_released(system, origin, 0, 0.01)
    path = simulate(TimeMap(system, 0.01, substeps=20), origin[None], 101)[0]
    moved = np.square(path[1:] - path[:-1]).mean()
    for name in ("stnn", "ffnn"):
        found = record.metrics()[f"{name}_truth_misaligned_mse_100"]["value"]
        assert found == pytest.approx(moved, rel=1e-6)


def test_the_long_truth_ends_where_two_series_differ(monkeypatch):
    starts, system = np.array([[0.0, 1.0, 20.0]]), Lorenz(beta=8 / 3)
    rule = {"spread": 10.0, "dt": 0.01, "exponent": 0.5}
    whole = report.long_truth(system, starts, 40, **rule)
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found["long_horizon_lyapunov"] == pytest.approx(0.2)
    assert found["long_truth_difference"] < 1e-12
    record.clear()
    series, late = report.lorenz_series, {"substeps": 2}

    def disagreeing(*given, **options):
        path = series(*given, **options)
        if options.items() >= late.items():
            path[:, 30:] += 0.011
            path[:, 10:] += 0.002
        return path

    monkeypatch.setattr(report, "lorenz_series", disagreeing)
    np.testing.assert_array_equal(report.long_truth(system, starts, 40, **rule), whole[:, :30])
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found["long_horizon_lyapunov"] == pytest.approx(0.15)
    assert found["long_truth_difference"] == pytest.approx(0.002)


def test_times_that_are_not_reached_are_marked():
    truth = np.zeros((7, 8, 3))
    never, soon = np.zeros((1, 7, 9, 3)), np.zeros((2, 7, 9, 3))
    soon[:, :, 5:] = np.nan
    rule = {"spread": 1.0, "dt": 0.5, "exponent": 2.0}
    record.metric("horizon_lyapunov", 4.0)
    record.metric("long_horizon_lyapunov", 8.0)
    for name, value in (("stnn", 4.0), ("havok", 1.0)):
        record.metric(f"{name}_valid_time", value)
    times = report.record_long({"stnn": never, "havok": soon}, truth, **rule)
    found = record.metrics()
    assert {name: each.tolist() for name, each in times.items()} == {
        "stnn": [[8] * 7], "havok": [[6] * 7] * 2
    }  # fmt: skip
    assert (found["stnn_valid_time_long"]["value"], found["havok_valid_time_long"]["value"]) == (
        8,
        6,
    )
    assert found["stnn_valid_time_long_censored"]["value"] == 7
    record.metric("stnn_left_attractor", 0.25)
    assert tables.long_table(["stnn", "havok"]).rows == [
        ["StNN-388", "≥ 4.00", "≥ 8.00 [8.00, 8.00]", "7", "25%"],
        ["HAVOK, no forcing", "1.00", "6.00 [6.00, 6.00]", "0", ""],
    ]


def test_two_methods_are_compared_start_by_start():
    """The starts differ by far more than the methods; a seed of the first is far shorter."""
    hard = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    more = np.array([0.5, 0.25, 0.5, 0.0, 0.25, 0.5, 0.25])
    times = {"control": np.stack([hard + more, hard - 9, hard + 9]), "stnn": hard[None]}
    report.record_paired(times, [("control", "stnn")])
    difference = record.metrics()["control_minus_stnn_valid_time_long"]
    assert (difference["value"], difference["over"], difference["n"]) == (0.25, "starts", 7)
    assert difference["samples"] == more.tolist()
    assert record.metrics()["control_outlasts_stnn"]["value"] == pytest.approx(6 / 7)
    shares = record.metrics()["control_outlasts_stnn_by_seed"]
    assert shares["samples"] == pytest.approx([6 / 7, 0, 1])
    assert shares["over"] == "seeds"


class Moves:
    """A forecaster with a path of its own from every start."""

    def __init__(self, path):
        self.path = path

    def rollout(self, windows, n_steps):
        return self.path


def test_rollouts_that_leave_or_come_to_rest_are_counted():
    known = np.array([[[0.0, 0.0], [1.0, 1.0]]])
    path = np.random.default_rng(0).uniform(size=(5, 100, 2))
    path[1, 50] = 1.21  # outside of the widened box
    path[2, 50] = 1.19  # inside of it
    path[3, 80:] = 0.5  # at rest
    path[4, 99] = np.nan
    report.record_left({"stnn": [Moves(path), Moves(path[:3])]}, np.zeros((5, 2)), known, 100)
    assert record.metrics()["stnn_left_attractor"]["samples"] == pytest.approx([3 / 5, 1 / 3])
