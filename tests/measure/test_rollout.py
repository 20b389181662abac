"""Rollout measures against loops, closed forms, and rollouts that are or are not the truth."""

import warnings

import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.measure.rollout import accumulated_mse, failures, spread, step_errors, valid_time


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    starts = np.array([[1.0, 2.0, 20.0], [-5.0, -6.0, 25.0], [8.0, 8.0, 27.0]])
    return TimeMap(Lorenz(), 0.01).orbits(starts, 200)


def test_errors_are_what_a_loop_finds():
    rng = np.random.default_rng(0)
    prediction, truth = rng.normal(size=(2, 4, 5, 3))
    errors = step_errors(prediction, truth)
    for s in range(4):
        for k in range(5):
            by_hand = sum((prediction[s, k, i] - truth[s, k, i]) ** 2 for i in range(3)) / 3
            assert errors[s, k] == pytest.approx(by_hand, rel=1e-12)


def test_accumulated_error_is_the_mean_up_to_the_step():
    errors = np.random.default_rng(1).random((3, 7))
    for steps in range(1, 8):
        np.testing.assert_allclose(
            accumulated_mse(errors, steps), np.cumsum(errors, axis=1)[:, steps - 1] / steps
        )


def test_the_truth_has_no_error_and_never_leaves(truth):
    assert not step_errors(truth, truth).any()
    times, censored = valid_time(truth, truth, spread(truth), dt=0.01, exponent=0.9056)
    assert censored.all()
    np.testing.assert_allclose(times, 200 * 0.01 * 0.9056)
    assert failures(truth) == 0


def test_one_step_off_is_an_error(truth):
    """The released notebooks score a prediction of one step against the truth of the last."""
    errors = step_errors(truth[:, 1:], truth[:, :-1])
    assert (errors > 0).all()
    assert errors.mean() > 0.1


def test_valid_time_of_an_error_that_grows_exponentially():
    """error = small e^(rate t) leaves at the first step after ln(c sigma / small) / rate."""
    dt, rate, small, sigma = 0.01, 0.9, 1e-3, 15.0
    t = dt * np.arange(1, 2001)
    truth = np.zeros((1, 2000, 3))
    prediction = truth + (small * np.exp(rate * t))[:, None] * np.array([2, 3, 6]) / 7
    times, censored = valid_time(prediction, truth, sigma, dt, exponent=rate)
    assert not censored.any()
    exact = np.log(0.4 * sigma / small)
    assert exact <= times[0] < exact + dt * rate


def test_it_is_the_first_time_and_returning_does_not_help():
    truth = np.zeros((1, 5, 1))
    prediction = np.array([0.1, 0.9, 0.0, 0.0, 0.9]).reshape(1, 5, 1)
    times, censored = valid_time(prediction, truth, spread=1, dt=1, exponent=1)
    assert (times[0], censored[0]) == (2, False)


def test_the_threshold_itself_is_not_beyond_it():
    truth = np.zeros((1, 2, 2))
    prediction = np.array([[[3.0, 4.0], [3.0, 4.001]]])
    times, _ = valid_time(prediction, truth, spread=10, dt=1, exponent=1, threshold=0.5)
    assert times[0] == 2


def test_a_rollout_that_is_not_finite_is_infinitely_wrong_and_has_left():
    truth = np.zeros((4, 3, 2))
    prediction = np.zeros((4, 3, 2))
    prediction[1, 1, 0] = np.nan
    prediction[2, 2] = np.inf
    prediction[3, 0] = [np.inf, -np.inf]
    errors = step_errors(prediction, truth)
    np.testing.assert_array_equal(np.isinf(errors), [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert not np.isnan(errors).any()
    np.testing.assert_array_equal(accumulated_mse(errors, 2), [0, np.inf, 0, np.inf])
    times, censored = valid_time(prediction, truth, spread=1, dt=1, exponent=1)
    np.testing.assert_array_equal(times, [3, 2, 3, 1])
    np.testing.assert_array_equal(censored, [True, False, False, False])
    assert failures(prediction) == 3


def test_enormous_predictions_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(step_errors(np.full((1, 1, 3), 1e200), np.zeros((1, 1, 3)))).all()
        assert valid_time(np.full((1, 1, 3), 1e200), np.zeros((1, 1, 3)), 1, 1, 1)[0] == 1


def test_spread_is_the_root_of_the_total_variance():
    states = np.random.default_rng(2).normal(size=(7, 11, 3)) * [1, 2, 3] + [50, 0, -50]
    covariance = np.cov(states.reshape(-1, 3).T, bias=True)
    assert spread(states) == pytest.approx(np.sqrt(np.trace(covariance)), rel=1e-12)
    assert spread(2 * states + 5) == pytest.approx(2 * spread(states), rel=1e-12)


two = np.zeros((2, 3, 1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: step_errors(two, np.zeros((2, 4, 1))), r"\(2, 4, 1\)"),
        (lambda: step_errors(two[0], two[0]), r"\(starts, steps, d\)"),
        (lambda: step_errors(two[:, :0], two[:, :0]), "none of it 0"),
        (lambda: step_errors(two, two + np.nan), "truth must be finite"),
        (lambda: accumulated_mse(np.zeros(3), 1), "step_errors"),
        (lambda: accumulated_mse(np.zeros((2, 3)), 0), "from 1 to 3"),
        (lambda: accumulated_mse(np.zeros((2, 3)), 4), "roll out further"),
        (lambda: valid_time(two, two, 0, 0.01, 1), "spread must be"),
        (lambda: valid_time(two, two, 1, np.inf, 1), "dt must be"),
        (lambda: valid_time(two, two, 1, 0.01, -1), "exponent must be"),
        (lambda: valid_time(two, two, 1, 0.01, 1, threshold=0), "threshold must be"),
        (lambda: valid_time(two, two[:1], 1, 0.01, 1), r"\(1, 3, 1\)"),
        (lambda: spread(np.zeros(3)), r"got \(3,\)"),
        (lambda: spread(np.zeros((0, 3))), r"none of it 0, got \(0, 3\)"),
        (lambda: spread(np.array([[np.inf]])), "must be finite, got inf"),
        (lambda: failures(np.zeros((3, 2))), r"prediction\[None\]"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_the_spread_does_not_depend_on_where_the_states_lie(offset):
    states = np.random.default_rng(0).normal(size=(500, 3))
    assert spread(states + offset) == pytest.approx(spread(states), abs=2 * np.spacing(offset))
