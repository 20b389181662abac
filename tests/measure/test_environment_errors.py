"""Errors of predictions for many environments, against small arrays with known errors."""

from __future__ import annotations

import numpy as np
import pytest

from dynlib.measure.environments import cases, time_to, trajectory_errors, with_start

TRUTH = np.random.default_rng(0).normal(size=(3, 4, 5, 2))


def shifted(offsets):
    """Predictions that are wrong by an offset a trajectory, (E, n)."""
    return TRUTH + np.asarray(offsets, float)[:, :, None, None]


OFFSETS = np.arange(12.0).reshape(3, 4)


def test_the_first_state_stands_before_what_follows():
    found = with_start(TRUTH[:, :, 0], TRUTH[:, :, 1:])
    np.testing.assert_array_equal(found, TRUTH)


def test_errors_are_means_over_times_and_coordinates():
    found = trajectory_errors(shifted(OFFSETS), TRUTH)
    np.testing.assert_allclose(found, OFFSETS**2, rtol=1e-12)
    half = TRUTH.copy()
    half[0, 1, :, 0] += 2.0
    assert trajectory_errors(half, TRUTH)[0, 1] == pytest.approx(2.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200, 1e16])
def test_a_rollout_that_is_lost_ranks_last(value):
    predictions = shifted(OFFSETS)
    predictions[1, 2, 3, 0] = value
    found = trajectory_errors(predictions, TRUTH)
    assert found[1, 2] == 1e30
    assert np.isfinite(found).all()
    assert found.argmax() == 4 + 2


@pytest.mark.parametrize(
    ("target", "expected"), [(5.0, 1.0), (4.9, 2.0), (2.0, 2.0), (1.5, 4.0), (0.5, np.inf)]
)
def test_the_time_to_a_target_is_that_of_the_first_to_reach_it(target, expected):
    seconds, errors = np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 2.0, 3.0, 1.0])
    assert time_to(seconds, errors, target) == expected


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (10, 32)])
def test_cases_are_the_best_the_median_and_the_worst(shape):
    errors = np.random.default_rng(1).permutation(np.prod(shape)).reshape(shape).astype(float)
    ranks = [errors[case] for case in cases(errors)]
    assert ranks == [0, (errors.size - 1) // 2, errors.size - 1]


def test_a_lost_rollout_is_the_worst_case():
    predictions = shifted(OFFSETS)
    predictions[0, 3] = np.nan
    assert cases(trajectory_errors(predictions, TRUTH))[2] == (0, 3)


@pytest.mark.parametrize(
    "predictions", [TRUTH[0], TRUTH[:1], TRUTH[:, :, :1], TRUTH[..., 0], TRUTH[None]]
)
def test_predictions_of_another_shape_are_not_broadcast(predictions):
    with pytest.raises(ValueError, match=r"shape \(3, 4, 5, 2\), got .*; truth has that"):
        trajectory_errors(predictions, TRUTH)


def test_environments_are_an_axis():
    with pytest.raises(ValueError, match=r"shape \(E, n, T, d\), got .*truth\[None\]"):
        trajectory_errors(TRUTH[0], TRUTH[0])
