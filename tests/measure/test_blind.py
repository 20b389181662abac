"""A classifier on windows, on sides whose difference is known."""

import numpy as np
import pytest

from dynlib.measure.blind import classifier_accuracy


def batches(seed, rotated):
    """Orbits on the circle in steps of a random size; rotated ones turn the other way."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (4, 60, 1)) + np.cumsum(
        rng.uniform(0.2, 0.6, (4, 60, 40)) * (-1 if rotated else 1), axis=2
    )
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def test_two_samples_of_one_law_are_not_told_apart():
    found = classifier_accuracy(batches(0, False), batches(1, False), window=8)
    assert found.shape == (4,)
    assert np.abs(found - 0.5).max() < 0.1


def test_the_same_states_in_another_order_are_told_apart():
    """Both fill the circle evenly: only the motion differs."""
    found = classifier_accuracy(batches(0, False), batches(1, True), window=8)
    assert found.min() > 0.95


def test_one_batch_is_not_enough():
    one = batches(0, False)[:1]
    with pytest.raises(ValueError, match="two batches or more, got 1"):
        classifier_accuracy(one, one)
