"""A search sees the first part of the record, and is judged on the rest."""

import numpy as np
import pytest

from dynlib.identify.search import PROBES, grid, search
from dynlib.measure.rollout import valid_time

RECORD = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
RULE = {"spread": 1.0, "dt": 0.1, "exponent": 2.0}
WHERE = {"split": 60, "window": 5, "horizon": 20}


class Drift:
    """Adds a constant to the first coordinate at every step."""

    parameters = flops = 1

    def __init__(self, speed: float, seen: list) -> None:
        self.speed, self.seen = speed, seen

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        self.seen.append(windows)
        path = self.speed * np.arange(1, n_steps + 1)
        return windows[:, -1:] + np.stack([path, np.zeros(n_steps)], axis=1)


def test_a_grid_is_all_combinations_in_order():
    found = grid(a=(1, 2), b=("x", "y"))
    assert found == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_the_option_that_forecasts_longest_is_found():
    fitted, seen = [], []

    def fit(trajectory, speed):
        fitted.append(trajectory)
        return Drift(speed, seen)

    options = grid(speed=(0.5, 0.91, 1.0, 1.0))
    best, scores = search(fit, options, RECORD, **WHERE, **RULE)
    assert best is options[2]  # the first of two that are right
    # An error of 0.4 is passed by half a unit a step at once, by 0.09 at the fifth step.
    assert scores == pytest.approx([0.2, 5 * 0.2, 20 * 0.2, 20 * 0.2])
    for trajectory in fitted:
        np.testing.assert_array_equal(trajectory, RECORD[:60])
    for windows in seen:
        assert windows.shape == (PROBES, 5, 2)
        np.testing.assert_array_equal(windows[0], RECORD[55:60])
        np.testing.assert_array_equal(windows[-1], RECORD[74:79])  # 20 more and one are left


def test_scores_are_mean_valid_times():
    _, (score,) = search(
        lambda _, speed: Drift(speed, []), [{"speed": 0.75}], RECORD, **WHERE, **RULE
    )
    steps = np.arange(1, 21)
    path = np.stack([0.75 * steps, 0 * steps], axis=1)[None]
    truth = np.stack([1.0 * steps, 0 * steps], axis=1)[None]
    assert score == valid_time(path, truth, **RULE)[0][0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": []}, "options must be a list of one or more"),
        ({"split": 4}, "split must be a whole number from 5 to 79, got 4"),
        ({"split": 80}, "got 80"),
    ],
)
def test_bad_input_is_named(changes, words):
    arguments = {"options": [{"speed": 1.0}], "record": RECORD} | WHERE | RULE | changes
    with pytest.raises(ValueError, match=words):
        search(lambda _, speed: Drift(speed, []), **arguments)
