"""Fits in every environment: known maps and known equations are found again."""

import numpy as np
import pytest

from dynlib.dynamics.systems.lotka_volterra import (
    ENVIRONMENTS,
    TIMES,
    LotkaVolterra,
    initial_states,
    trajectories,
)
from dynlib.identify.environments import fit_equations, fit_maps


def linear(matrices: np.ndarray, starts: np.ndarray, times: int) -> np.ndarray:
    """Trajectories (E, n, T, 2) of linear maps, one an environment."""
    path = [np.broadcast_to(starts, (len(matrices), *starts.shape))]
    for _ in range(times - 1):
        path.append(path[-1] @ matrices.mT)
    return np.stack(path, axis=2)


def test_a_map_of_its_own_is_found_in_every_environment():
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(3, 2, 2)) / 2
    learn, test = (linear(matrices, rng.normal(size=(4, 2)), times) for times in (6, 9))
    fitted = fit_maps(learn, test, degree=1)
    np.testing.assert_allclose(fitted.predictions, test, atol=1e-9)
    assert fitted.parameters == 3 * 2 * 3  # two rows of a constant and two coefficients
    assert fitted.seconds > 0


def test_rates_are_found_in_every_environment():
    learn = trajectories(ENVIRONMENTS[:3], initial_states(2))
    test = trajectories(ENVIRONMENTS[:3], initial_states(2, test=True))
    fitted = fit_equations(LotkaVolterra, learn, test, TIMES, np.full(4, 0.5))
    np.testing.assert_allclose(fitted.predictions, test, atol=1e-5)
    assert fitted.parameters == 3 * 4


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((4, 6, 2), r"learn must have shape \(E, n, T, d\), got .*learn\[None\]"),
        ((2, 4, 6, 2), r"test must have shape \(2, n, T, 2\), got \(3, .*as in learn"),
    ],
)
def test_learn_and_test_have_the_same_environments(shape, words):
    with pytest.raises(ValueError, match=words):
        fit_maps(np.zeros(shape), np.zeros((3, 4, 6, 2)), 1)
