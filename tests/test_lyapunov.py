"""Short products of Jacobians against constant matrices, SVD, and the published exponent."""

import numpy as np
import pytest

from dynlib.dynamics.lyapunov import (
    fit_exponent,
    product_growth,
    spectral_norm,
    tangent_exponents,
)
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems import Henon


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_spectral_norm_is_the_largest_singular_value(dim):
    matrices = np.random.default_rng(0).normal(size=(200, dim, dim))
    expected = np.linalg.svd(matrices, compute_uv=False)[:, 0]
    np.testing.assert_allclose(spectral_norm(matrices), expected, rtol=1e-12)


def test_products_are_taken_in_the_order_of_time():
    jacobians = np.random.default_rng(1).normal(size=(2, 6, 2, 2))
    growth = product_growth(jacobians, 3)
    by_hand = [
        np.log(np.linalg.norm(j[t + 2] @ j[t + 1] @ j[t], 2)) / 3
        for j in jacobians
        for t in range(4)
    ]
    np.testing.assert_allclose(growth[2], np.mean(by_hand), rtol=1e-12)


def test_diagonal_system_has_its_exponent():
    jacobians = np.broadcast_to(np.diag([2.0, 0.5]), (1, 40, 2, 2))
    np.testing.assert_allclose(product_growth(jacobians, 15), np.log(2), rtol=1e-12)


def test_true_orbits_give_the_published_exponent_from_n_5():
    system = Henon()
    start = system.initial_states(20, np.random.default_rng(2))
    orbit = simulate(system, start, 10_000, transient=500)
    growth = product_growth(system.jacobian(orbit))
    assert abs(fit_exponent(growth, first=5) - 0.4192) < 0.002
    # The recipe as printed, all n from 1, is biased on the true orbit itself.
    assert 0.411 < fit_exponent(growth, first=1) < 0.417


def test_impossible_windows_are_named():
    with pytest.raises(ValueError, match="n_max"):
        product_growth(np.ones((1, 3, 1, 1)), 4)
    with pytest.raises(ValueError, match="first=14"):
        fit_exponent(np.ones(15), first=14)


def test_a_negative_alignment_is_refused():
    with pytest.raises(ValueError, match="alignment"):
        tangent_exponents(Henon(), np.full((1, 2), 0.1), 10, alignment=-5)
