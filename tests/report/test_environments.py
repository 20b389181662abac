"""What is recorded of methods on many environments, against small arrays with known errors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dynlib.dynamics.systems.lotka_volterra import ENVIRONMENTS, TIMES, trajectories
from dynlib.networks.leads import LEADS
from dynlib.report import environments as report
from dynlib.report import record
from dynlib.report.environments import record_method


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


TRUTH = np.random.default_rng(0).normal(size=(3, 4, 5, 2))


def shifted(offsets):
    """Predictions that are wrong by an offset a trajectory, (E, n)."""
    return TRUTH + np.asarray(offsets, float)[:, :, None, None]


OFFSETS = np.arange(12.0).reshape(3, 4)


def test_a_method_is_recorded_by_its_seeds():
    seeds = [shifted(OFFSETS), shifted(2 * OFFSETS), shifted(3 * OFFSETS)]
    record_method("leads", seeds, TRUTH, 95_095, [10.0, 30.0, 20.0])
    found = record.metrics()
    values = {name: metric["value"] for name, metric in found.items()}
    squares = OFFSETS**2
    assert values == {
        "leads_parameters": 95_095,
        "leads_train_s": 20.0,
        "leads_mse_test": pytest.approx(4 * squares.mean()),
        "leads_mse_worst_environment": pytest.approx(4 * squares[2].mean()),
        "leads_mse_worst_trajectory": pytest.approx(4 * squares.max()),
    }
    for name in set(found) - {"leads_parameters"}:
        assert (found[name]["over"], found[name]["n"]) == ("seeds", 3)
    assert found["leads_train_s"]["unit"] == "s"
    assert found["leads_mse_test"]["low"] == pytest.approx(squares.mean())
    assert found["leads_mse_test"]["high"] == pytest.approx(9 * squares.mean())


def test_the_worst_environment_is_that_of_each_seed():
    one = np.zeros((3, 4))
    two = np.zeros((3, 4))
    one[0], two[2] = 1.0, 1.0
    record_method("m", [shifted(one), shifted(two)], TRUTH, 1, 0.5)
    found = record.metrics()
    assert found["m_mse_worst_environment"]["value"] == pytest.approx(1.0)
    assert found["m_mse_test"]["value"] == pytest.approx(1 / 3)


def test_what_is_not_trained_has_no_time():
    record_method("mean", [TRUTH], TRUTH, 20, None)
    assert "mean_train_s" not in record.metrics()
    assert record.metrics()["mean_mse_test"]["value"] == 0


class Training(SimpleNamespace):
    """A training whose model at mark k is off by 3 - k."""

    seconds, weights = np.array([1.0, 2.0, 4.0]), np.zeros((3, 5))

    def at(self, mark):
        return SimpleNamespace(offset=3.0 - mark)

    @property
    def model(self):
        return self.at(2)


def follow(model, data):
    return data + model.offset


def test_a_training_is_recorded_with_its_predictions():
    found = report.record_trained("stnn", [Training(), Training()], follow, TRUTH, 2 * TRUTH, 5)
    assert len(found) == 2
    np.testing.assert_array_equal(found[0], 2 * TRUTH + 1)
    values = {name: entry["value"] for name, entry in record.metrics().items()}
    assert values["stnn_parameters"] == 5
    assert values["stnn_train_s"] == 4.0
    assert values["stnn_mse_train"] == pytest.approx(1.0)
    assert values["stnn_mse_test"] == pytest.approx(1.0)


def test_curves_hold_the_error_at_every_mark():
    ((seconds, errors),) = report.error_curves([Training()], follow, TRUTH)
    np.testing.assert_array_equal(seconds, [1, 2, 4])
    np.testing.assert_allclose(errors, [9, 4, 1])


def test_times_are_compared_at_the_larger_of_two_errors():
    for name, error in {"stnn": 1.0, "leads": 4.0, "control": 2.0}.items():
        record.metric(f"{name}_mse_test", error)
    ways = {"stnn": [8, 3, 1], "leads": [9, 5, 4], "control": [9, 2, 2]}
    curves = {name: [(np.array([1.0, 2, 4]), np.array(way))] for name, way in ways.items()}
    report.record_time_ratios(curves)
    values = {name: entry["value"] for name, entry in record.metrics().items()}
    assert values["train_time_ratio_equal_error"] == 2 / 4
    assert values["control_train_time_ratio_equal_error"] == 2 / 4
    assert values["control_over_stnn_train_time"] == 2 / 4


def test_times_are_compared_at_targets_over_pairs_of_seeds():
    for name in ("stnn", "leads", "control"):
        record.metric(f"{name}_mse_test", 1e-4)
    way = np.array([1.0, 1e-3, 1e-4])
    curves = {
        name: [(clock * np.array([1.0, 2.0, 4.0]), way) for clock in clocks]
        for name, clocks in {"stnn": (1, 2), "leads": (10, 40), "control": (1,)}.items()
    }
    report.record_time_ratios(curves)
    found = record.metrics()
    for label in ("1e3", "3e4", "1e4"):
        assert sorted(found[f"train_time_ratio_{label}"]["samples"]) == [0.025, 0.05, 0.1, 0.2]
        assert sorted(found[f"control_train_time_ratio_{label}"]["samples"]) == [0.025, 0.1]
        assert found[f"train_time_ratio_{label}"]["timing"]
    assert found["train_time_ratio_2e5"]["value"] is None
    table = {row[0]: row[1] for row in report.ratios().rows}
    assert table["2e-05"] == "not reached"
    assert table["1e-03"].startswith("0.075 [0.025")


def test_a_method_that_never_gets_there_has_no_time_ratio():
    for name in ("stnn", "leads", "control"):
        record.metric(f"{name}_mse_test", 1.0)
    curves = {name: [(np.array([1.0]), np.array([2.0]))] for name in ("stnn", "control")}
    report.record_time_ratios(curves | {"leads": [(np.array([1.0]), np.array([1.0]))]})
    assert record.metrics()["train_time_ratio_equal_error"]["value"] is None


def test_the_loose_integration_drifts_more_than_the_tight_one():
    report.record_integration(np.array([[1.0, 2.0], [1.5, 1.2]]))
    values = {name: entry["value"] for name, entry in record.metrics().items()}
    assert values["tight_drift"] < 1e-9 < 1e-5 < values["loose_drift"]
    assert 0 < values["loose_mse_test"] < 1e-2


def test_a_loop_over_environments_is_slower():
    report.record_loop_slowdown(LEADS(3), TRUTH, 0.5)
    assert record.metrics()["leads_loop_slowdown"]["value"] > 0


def test_what_a_cubic_spline_holds_is_interpolated_exactly():
    def cubic(times):
        return np.broadcast_to((times**3)[:, None], (1, 2, len(times), 2))

    halfway = np.arange(0, TIMES[-1] + 1e-9, 0.25)
    report.record_interpolated("stnn", [cubic(TIMES)], cubic(halfway), halfway, "half")
    assert record.metrics()["stnn_mse_half_step"]["value"] < 1e-18


def still():
    """LEADS whose field is zero, trained for seven steps in three seconds."""
    model = LEADS(len(ENVIRONMENTS))
    for weight in model.parameters():
        weight.data.zero_()
    return SimpleNamespace(model=model, seconds=np.array([1.0, 3.0]), steps=np.array([1, 7]))


def test_another_time_step_is_compared_with_the_truth_at_its_own_times():
    starts, times = np.array([[1.0, 2.0], [1.5, 1.2]]), np.arange(39) / 4
    at_points = trajectories(ENVIRONMENTS, starts)
    report.record_time_step(
        "half", 0.25, starts, field=still().model, maps={"stnn": [at_points, at_points + 1]}
    )
    truth = trajectories(ENVIRONMENTS, starts, times)
    found = record.metrics()
    moved = np.square(truth - truth[:, :, :1]).mean()
    assert found["leads_mse_half_step"]["value"] == pytest.approx(moved)
    exact, off = found["stnn_mse_half_step"]["samples"]
    assert exact < 1e-4
    assert off == pytest.approx(1, abs=0.01)


def test_leads_is_recorded_with_its_size_steps_and_time():
    truth = trajectories(ENVIRONMENTS, np.array([[1.0, 2.0]]))
    trained = still()
    (path,) = report.record_leads("leads", [trained], truth, truth)
    report.record_new_leads("leads", [trained], truth)
    np.testing.assert_array_equal(path, np.broadcast_to(truth[:, :, :1], truth.shape))
    found = {name: entry["value"] for name, entry in record.metrics().items()}
    assert found["leads_steps"] == 7
    assert found["leads_parameters"] == sum(w.numel() for w in trained.model.parameters())
    assert found["leads_train_s"] == found["leads_new_train_s"] == 3
    assert found["leads_mse_new_environment"] == pytest.approx(found["leads_mse_test"])


def test_tables_have_the_methods_that_were_measured():
    record_method("leads", [shifted(OFFSETS)], TRUTH, 95_095, 3.0)
    record_method("mean", [TRUTH], TRUTH, 20, None)
    report.record_new("leads_alone", [TRUTH + 2], TRUTH)
    record.metric("leads_mse_half_step", 0.5)
    assert [row[:4] for row in report.methods().rows] == [
        ["LEADS", "95\u202f095", "3", ""],
        ["mean of the environment", "20", "none", ""],
    ]
    assert report.abilities().rows == [
        ["LEADS", "5.0e-01", "", ""],
        ["LEADS without the shared field", "", "", "4.0e+00"],
    ]
