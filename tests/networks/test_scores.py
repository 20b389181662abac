"""Scores of one-step networks, and what the reports record of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynlib.networks.ffnn import FFNN
from dynlib.networks.scores import active_directions, failed, one_step_errors, rollout
from dynlib.networks.stnn import StNN
from dynlib.peers.released import ReleasedStNN
from dynlib.report import forecasts as rollout_report
from dynlib.report import record, style


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


def plain(seed=0):
    model = FFNN((3, 4, 4, 4, 3), dtype=torch.float64)
    model.draw_alive(torch.Generator().manual_seed(seed))
    return model


def test_one_step_errors_are_the_mean_squares_of_each_coordinate():
    model, rng = plain(), np.random.default_rng(0)
    inputs, offset = rng.normal(size=(50, 3)), np.array([1.0, -2.0, 0.5])
    with torch.no_grad():
        targets = model(torch.tensor(inputs)).numpy() + offset
    np.testing.assert_allclose(one_step_errors(model, (inputs, targets)), offset**2, rtol=1e-12)


@pytest.mark.parametrize(
    ("errors", "lost"),
    [([0.5, 0.5], False), ([0.5, 1.01], True), ([np.nan, 0.0], True), ([np.inf, 0.0], True)],
)
def test_a_seed_fails_by_its_worst_coordinate(errors, lost):
    assert failed(np.array(errors), np.array([100.0, 100.0])) is lost


def test_rollouts_feed_outputs_back_and_reset_the_padding():
    model = StNN(4, 2, dtype=torch.float64)  # its fourth output is not zero
    starts = np.random.default_rng(1).normal(size=(5, 3))
    path = rollout(model, starts, 3)
    state = torch.tensor(starts)
    for step in range(3):
        padded = torch.cat([state, torch.zeros(5, 1, dtype=torch.float64)], dim=1)
        state = model(padded).detach()[:, :3]
        np.testing.assert_allclose(path[:, step], state.numpy(), rtol=1e-13)


def test_constants_stay_as_they_are_in_a_rollout():
    model = StNN(4, 2, dtype=torch.float64)
    rng = np.random.default_rng(1)
    starts, constants = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    path = rollout(model, starts, 3, constants)
    assert path.shape == (5, 3, 2)
    state, pad = starts, np.zeros((5, 1))
    for step in range(3):
        inputs = np.concatenate([state, constants, pad], axis=1)
        state = model(torch.tensor(inputs)).detach().numpy()[:, :2]
        np.testing.assert_allclose(path[:, step], state, rtol=1e-13)
    none = rollout(model, starts, 3, np.empty((5, 0)))
    np.testing.assert_array_equal(none, rollout(model, starts, 3))
    assert not np.allclose(none, path)


def test_one_step_errors_are_those_of_the_coordinates_that_have_targets():
    model, rng = StNN(4, 2, dtype=torch.float64), np.random.default_rng(0)
    inputs = rng.normal(size=(50, 3))
    padded = torch.tensor(np.pad(inputs, ((0, 0), (0, 1))))
    targets = model(padded).detach().numpy()[:, :2] + [3.0, -1.0]
    np.testing.assert_allclose(one_step_errors(model, (inputs, targets)), [9, 1], rtol=1e-12)


def test_scalings_that_cancel_are_no_active_directions():
    model, states = FFNN((3, 4, 4, 4, 3), dtype=torch.float64), 2 * torch.randn(
        2000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.data = 2 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    model.bias_3.data.zero_()
    theta = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    h2 = model.layers(model.split(theta[None]), states.T[None])[2][0]
    model.bias_3.data = -(model.weight_3 @ h2).detach().median(dim=1).values  # each unit switches
    assert active_directions(model, states.numpy()) == len(theta) - 4  # four ReLUs


def test_weights_that_meet_padding_are_no_active_directions():
    model = StNN(4, 1, dtype=torch.float64)
    model.draw_alive(torch.Generator().manual_seed(0))
    states = np.random.default_rng(3).normal(size=(400, 3))
    assert active_directions(model, states) <= 68 - 6  # D1, b2, D3, b3, D4 and b4 of the padding


def test_the_released_form_refuses_a_linear_network():
    with pytest.raises(ValueError, match="must have activations as the released network has"):
        ReleasedStNN(StNN(4, 1, linear=True))


def test_rollouts_are_scored_by_the_protocol():
    truth = np.zeros((6, 120, 3))
    predictions = np.zeros((1, 6, 120, 3))
    predictions[0, :, 9:] = 1.0  # wrong by one in each coordinate from step 10 on
    predictions[0, 5, 50:] = np.nan
    rule = {"spread": 1.0, "dt": 0.1, "exponent": 2.0}
    errors = rollout_report.record_rollout("method", predictions, truth, **rule)
    found = record.metrics()
    assert errors.shape == (6, 120)
    assert found["method_accumulated_mse_100"]["value"] == pytest.approx(91 / 100)
    assert found["method_accumulated_mse_horizon"]["value"] == pytest.approx(111 / 120)
    assert found["method_valid_time"]["value"] == pytest.approx(10 * 0.1 * 2.0)
    assert found["method_failures"]["value"] == 1
    assert (
        found["method_accumulated_mse_100"]["high"] >= found["method_accumulated_mse_100"]["value"]
    )


def test_a_median_over_lost_rollouts_does_not_exist():
    truth, predictions = np.zeros((4, 10, 3)), np.full((1, 4, 10, 3), np.nan)
    rule = {"spread": 1.0, "dt": 0.1, "exponent": 2.0}
    rollout_report.record_rollout("method", predictions, truth, **rule)
    found = record.metrics()
    assert found["method_accumulated_mse_horizon"]["value"] is None
    assert found["method_failures"]["value"] == 4


def test_labels_are_kept_apart_in_the_order_of_their_curves():
    heights = np.array([1e2, 1.1e2, 1e-8, 1.2e2, 1e-7])
    places = np.log10(style.apart(heights, 0.5))
    assert (np.argsort(places) == np.argsort(heights)).all()
    assert np.diff(np.sort(places)).min() >= 0.49


def test_every_method_has_a_colour_and_a_name():
    assert rollout_report.LABELS.keys() <= style.COLOURS.keys()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: rollout(m, np.zeros(3), 2), r"\(S, d\), got \(3,\); .*starts\[None\]"),
        (lambda m: rollout(m, np.zeros((2, 5, 3)), 2), r"got \(2, 5, 3\)"),
        (lambda m: rollout(m, np.zeros((2, 9)), 2), r"got \(2, 9\)"),
        (lambda m: rollout(m, np.zeros((2, 2)), 2, np.zeros(1)), r"\(2, c\), got \(1,\)"),
        (lambda m: one_step_errors(m, (np.zeros((4, 3)), np.zeros(4))), r"\(4, d\), got \(4,\)"),
        (lambda m: one_step_errors(m, (np.zeros((4, 3)), np.zeros((1, 3)))), r"got \(1, 3\)"),
        (lambda m: active_directions(m, np.zeros((2, 5, 3))), r"\(S, d\), got \(2, 5, 3\)"),
    ],
)
def test_wrong_axes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(FFNN(dtype=torch.float64))
