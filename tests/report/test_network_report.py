"""What is recorded, tabulated and drawn of the networks of the Lorenz system."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Architecture, Recipe, Trained
from dynlib.networks.stnn import StNN
from dynlib.report import costs, environments, record, style
from dynlib.report import networks as report
from dynlib.report.figures import networks as figures
from dynlib.report.style import COLOURS, LABELS


@pytest.fixture(autouse=True)
def fresh():
    record.clear()
    with plt.rc_context():
        style.use_style()
        yield
    record.clear()


def values() -> dict:
    return {name: entry["value"] for name, entry in record.metrics().items()}


def trained(offset: float, dead: int) -> Trained:
    """A network whose output is `offset` wherever it starts."""
    architecture = Architecture(widths=(3, 2, 2, 2, 3))
    model = architecture.build()
    weights = [torch.zeros_like(weight) for weight in model.parameters()]
    weights[-1] += offset
    flat = torch.cat([weight.flatten() for weight in weights])[None]
    units = (np.zeros(3), np.ones(3)), (np.zeros(3), np.ones(3))
    history = np.array([[7.0, 0.0, 0.0, 0.0, 0.0]])
    return Trained(architecture, units, flat, history, np.array([2.0]), dead, 1.0)


def test_a_network_is_recorded_by_its_seeds_failed_ones_included():
    inputs = np.random.default_rng(0).normal(size=(20, 3))
    zero, one = (inputs, np.zeros((20, 3))), (inputs, np.ones((20, 3)))
    variance = np.array([200.0, 200.0, 200.0])
    found = [trained(1.0, 0), trained(4.0, 5)]
    report.record_network("stnn_p1", found, zero, one, variance)
    metrics = record.metrics()
    values = {name.removeprefix("stnn_p1_"): entry["samples"] for name, entry in metrics.items()}
    assert values == {
        "mse_train": pytest.approx([1.0, 16.0]),
        "mse_validation": pytest.approx([0.0, 9.0]),
        "mse_validation_x": pytest.approx([0.0, 9.0]),
        "mse_validation_y": pytest.approx([0.0, 9.0]),
        "mse_validation_z": pytest.approx([0.0, 9.0]),
        "nmse_validation": pytest.approx([0.0, 9.0 / 200]),
        "failed_seeds": [1],
        "dead_units": [0, 5],
        "steps": [7],
        "train_s": [2.0, 2.0],
    }


NETWORKS = {"stnn_p6": StNN(4, 6), "control_p6": FFNN((3, 12, 12, 11, 3)), "ffnn": FFNN()}


def test_sizes_are_those_of_the_papers_first_table():
    costs.record_sizes(NETWORKS)
    found = values()
    assert (found["stnn_p6_parameters"], found["ffnn_parameters"]) == (388, 2073)
    assert (found["stnn_p6_flops"], found["ffnn_flops"]) == (744, 3960)
    assert found["stnn_p6_parameter_saving"] == pytest.approx(100 * (1 - 388 / 2073))
    assert found["stnn_p6_weight_saving"] == pytest.approx(100 * (1 - 288 / 1980))
    assert found["stnn_p6_flop_saving"] == pytest.approx(100 * (1 - 744 / 3960))
    assert found["stnn_p6_flop_saving_coded"] == pytest.approx(100 * (1 - 816 / 3960))
    assert found["stnn_p6_dense_flops"] == 864
    assert "control_p6_flop_saving" not in found
    rows = costs.layer_table(NETWORKS).rows
    assert len(rows) == 15
    assert rows[4] == ["**StNN, p = 6**", "**288**", "**100**", "**744**", "**816**", "**864**"]


def test_a_table_of_errors_has_a_row_a_network():
    zero = np.zeros((20, 3)), np.zeros((20, 3))
    variance = np.ones(3)
    costs.record_sizes(NETWORKS)
    for name in ("ffnn", "printed_ffnn"):
        report.record_network(name, [trained(1.0, 0), trained(3.0, 0)], zero, zero, variance)
    (row, printed) = report.error_table(["ffnn", "printed_ffnn"]).rows
    assert row[:3] == ["FFNN 3-30-30-30-3", "2\u202f073", "5.0e+00 [1.0e+00, 9.0e+00]"]
    assert row[4:] == ["5e+00", "5e+00", "5e+00", "5.0e+00", "2 of 2"]
    assert printed[0] == "FFNN 3-30-30-30-3, as printed"


def test_an_error_is_recorded_seed_by_seed():
    ones = np.zeros((20, 3)), np.ones((20, 3))
    report.record_error("stnn_p6_mse_fresh", [trained(1.0, 0), trained(4.0, 0)], ones)
    assert record.metrics()["stnn_p6_mse_fresh"]["samples"] == [0.0, 9.0]


def test_roughness_is_the_mean_jump_of_the_second_half():
    history = np.ones((6, 5))
    history[:, 1] = [1e5, 1e9, 1e2, 1e3, 1e1, 1e2]
    found = trained(0.0, 0)
    found = Trained(**(vars(found) | {"history": history}))
    smooth = Trained(**(vars(found) | {"history": np.ones((6, 5))}))
    zeros, ones = (np.zeros((20, 3)), np.zeros((20, 3))), np.ones(3)
    report.record_roughness("ffnn", [found, smooth], zeros, ones)
    assert values()["ffnn_roughness"] == pytest.approx((2 + 1) / 2)
    assert record.metrics()["ffnn_living_roughness"]["samples"] == pytest.approx([1.5, 0])
    failed = trained(1.0, 0)  # off by one everywhere, a hundred times what is allowed
    history = {"history": found.history}
    dead = Trained(**(vars(failed) | history))
    report.record_roughness("stnn_p6", [dead, found], zeros, ones)
    assert values()["stnn_p6_roughness"] == pytest.approx(1.5)
    assert record.metrics()["stnn_p6_living_roughness"]["samples"] == pytest.approx([1.5])
    report.record_roughness("stnn_p4", [dead], zeros, ones)
    assert values()["stnn_p4_living_roughness"] is None


def test_the_share_of_seeds_that_reach_the_released_error():
    zeros = np.zeros((20, 3)), np.zeros((20, 3))
    found = [trained(2.4e-3, 0), trained(2.6e-3, 0), trained(1.0, 0), trained(0.0, 0)]
    report.record_share("printed_stnn_p6", found, zeros)  # squares below and above 6.2e-6
    assert values()["printed_stnn_p6_share_released"] == 0.5
    assert values()["printed_stnn_p6_seeds"] == 4


def test_every_part_of_a_setting_is_swapped_alone():
    ours, printed = Recipe(40, 20, marks=20), Recipe(8, 100, printed=True, marks=20)
    wanted = report.variants(40, 20, 100, [3, 1])
    found = {name: recipe for name, (_, recipe, _) in wanted.items()}
    assert wanted["ours_batch"][::2] == (Architecture(branches=6), [3, 1])
    assert wanted["printed_units"][0] == Architecture(branches=6, released=True)
    assert list(found) == [
        f"{setting}{part}"
        for setting in ("ours", "printed")
        for part in ("", "_units", "_weights", "_precision", "_damping", "_batch")
    ]
    assert (found["ours"], found["printed"]) == (ours, printed)
    assert found["ours_units"] == Recipe(40, 20, marks=20, swapped=("units",))
    assert found["printed_damping"].swapped == ("damping",)
    assert found["ours_batch"] == Recipe(8, 100, marks=20)
    assert found["printed_batch"] == Recipe(40, 20, printed=True, marks=20)


def test_an_ablation_is_a_table_of_both_directions():
    zeros, ones = (np.zeros((20, 3)), np.zeros((20, 3))), np.ones(3)
    names = report.variants(40, 20, 100, [0])
    found = {name: [trained(0.01 * i, 0)] for i, name in enumerate(names, 1)}
    report.record_ablation(found, zeros, ones)
    assert values()["ablation_ours_units_mse_validation"] == pytest.approx(4e-4)
    assert values()["ablation_printed_failed_seeds"] == 0
    assert values()["ablation_printed_batch_failed_seeds"] == 1
    rows = report.ablation_table().rows
    assert rows[0] == ["nothing", "4.9e-03", "0 of 1", "1.0e-04", "0 of 1"]
    assert [row[0] for row in rows[1:]] == list(report.ABLATED.values())


def test_tables_show_what_is_recorded():
    report.record_released()
    rows = report.published_table().rows
    assert rows[0] == ["StNN, p = 1", "none", "2.0e-04", "none"]
    assert rows[2] == ["StNN, p = 6", "3.1e-06", "3.0e-06", "0.0023"]
    for name, value in {
        "stnn_p6_mse_validation": 1e-3, "stnn_p6_mse_fresh": 2e-3,
        "stnn_p6_mse_validation_pairsplit": 3e-3, "stnn_p6_mse_fresh_pairsplit": 4e-3,
        "stnn_p6_parameters": 388, "stnn_p6_active_directions": 239,
    }.items():  # fmt: skip
        record.metric(name, value)
    assert [row[1:] for row in report.split_table().rows] == [
        ["3.0e-03", "4.0e-03"],
        ["1.0e-03", "2.0e-03"],
    ]
    assert report.direction_table(["stnn_p6"]).rows == [["StNN, p = 6", "388", "239"]]


def test_times_are_ratios_to_the_feed_forward_network():
    assert list(costs.timed(StNN(4, 6), FFNN())) == list(costs.TIMED)
    models = dict.fromkeys(costs.TIMED, (lambda states: states, 3))
    clock = costs.record_times(models)
    assert set(clock) == {(name, batch) for name in costs.TIMED for batch in (1, 10_000)}
    found = values()
    assert found["ffnn_time_ratio_batch1"] == 1
    metrics = record.metrics()
    seconds = {name: np.array(metrics[f"{name}_step_s"]["samples"]) for name in costs.TIMED}
    assert clock["released", 1] == pytest.approx(1e6 * np.median(seconds["released"]))
    gains = seconds["released"] / seconds["assembled"]  # round by round
    np.testing.assert_allclose(metrics["assembled_gain_batch1"]["samples"], gains)
    ratios = seconds["assembled"] / seconds["ffnn_numpy"]
    np.testing.assert_allclose(metrics["assembled_time_ratio_batch1_numpy"]["samples"], ratios)
    rows = costs.time_table(clock).rows
    assert [row[0] for row in rows] == list(costs.TIMED.values())
    assert rows[3][3:] == ["1 [1, 1]", "1 [1, 1]"]


def drawn(axes, marker: str) -> list[list[list[float]]]:
    return [
        [list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))]
        for line in axes.lines
        if line.get_marker() == marker
    ]


def test_errors_stand_over_the_numbers_of_parameters():
    for family in ("stnn", "control"):
        for p in (1, 2, 4, 6):
            record.metric(f"{family}_p{p}_parameters", 100 * p)
            record.metric(f"{family}_p{p}_mse_validation", [1.0 / p, 3.0 / p], over="seeds")
    record.metric("ffnn_parameters", 2000)
    record.metric("ffnn_mse_validation", 0.5)
    shown = figures.size()
    (axes,) = shown.figure.axes
    assert shown.name == "size"
    stnn, control, ffnn = drawn(axes, "o")
    assert stnn == [[100, 200, 400, 600], [2.0, 1.0, 0.5, pytest.approx(1 / 3)]]
    assert control[0] == pytest.approx([103, 206, 412, 618])
    assert ffnn == [[pytest.approx(2120)], [0.5]]
    assert drawn(axes, "_")[0] == [[100, 100], [1.0, 3.0]]
    assert [text.get_text() for text in axes.texts] == ["StNN", "plain, same size", "FFNN-2073"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_the_data_are_trajectories_and_where_they_start():
    states = np.random.default_rng(0).normal(size=(101, 5, 3))
    shown = figures.data(states)
    (axes,) = shown.figure.axes
    assert shown.name == "data"
    assert len(axes.lines) == 101  # a hundred trajectories, and one line of dots
    (dots,) = drawn(axes, ".")
    assert dots == [states[:, 0, 0].tolist(), states[:, 0, 2].tolist()]


def test_curves_are_drawn_seed_by_seed():
    history = np.array([[1.0, 8.0, 2.0, 4.0, 6.0], [10.0, 4.0, 1.0, 2.0, 3.0]])
    found = Trained(**(vars(trained(1.0, 0)) | {"history": history}))
    ours = {"stnn_p1": [found], "stnn_p6": [found, found], "ffnn": [found], "stnn_p2": [found]}
    shown = figures.curves(ours, {"printed_stnn_p6": [found]})
    assert shown.name == "curves"
    panels = np.reshape(shown.figure.axes, (4, 2))
    titles = [axes.get_title(loc="left") for axes in panels[:, 0]]
    assert titles == ["StNN, p = 1", "StNN, p = 2", "StNN, p = 6", "FFNN-2073"]
    assert drawn(panels[2, 0], "None") == [[[1, 10], [8, 4]], [[1, 10], [4, 2]]]
    assert len(panels[2, 1].lines) == 2 * 2  # two seeds
    assert [text.get_text() for text in panels[3, 0].texts] == ["not trained here"]


def test_the_network_with_the_median_error_is_followed():
    found = [trained(1.0, 0), trained(5.0, 0), trained(3.0, 0)]
    for name in ("ffnn", "stnn_p6"):
        record.metric(f"{name}_mse_validation", [0.1, 0.3, 0.2], over="seeds")
    truth = np.random.default_rng(0).normal(size=(2, 4, 3))
    shown = figures.rollouts({"ffnn": found, "stnn_p6": found}, truth, dt=0.5)
    assert shown.name == "rollouts"
    _, second, apart = shown.figure.axes
    line, *followed = second.lines
    np.testing.assert_array_equal(line.get_xydata(), np.c_[[0, 0.5, 1, 1.5], truth[1, :, 0]])
    for each in followed:
        np.testing.assert_allclose(each.get_ydata(), [truth[1, 0, 0], 3, 3, 3])
    distances = np.linalg.norm(3 - truth[1, 1:], axis=1)
    np.testing.assert_allclose(apart.lines[-1].get_ydata(), distances)


def test_every_method_has_a_colour_and_a_name_of_its_own():
    assert COLOURS.keys() == LABELS.keys()
    assert len(set(LABELS.values())) == len(LABELS)
    assert set(environments.METHODS) <= LABELS.keys()
