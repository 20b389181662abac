"""Short products of Jacobians against constant matrices, SVD, and the published exponent."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import (
    fit_exponent,
    product_growth,
    spectral_norm,
    tangent_exponents,
)
from dynlib.dynamics.own import OwnFlow, OwnMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.trial import prepared


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


def fold(x, y):
    return 3.9 * x * (1 - x), x


def line(x, y):
    """Both coordinates depend on the sum alone; differences give it a determinant of 1e-9."""
    u = (x + y) / 2
    return 3.9 * u * (1 - u), 0.5 * u + 0.1 * u * u


@dataclass(frozen=True)
class ExactFold:
    """`fold` with its Jacobian by hand."""

    dim = 2

    def step(self, states):
        return np.stack(fold(*states.T), axis=1)

    def jacobian(self, states):
        slope = 3.9 * (1 - 2 * states[:, 0])
        zero, one = np.zeros(len(states)), np.ones(len(states))
        return np.stack([slope, zero, one, zero], axis=1).reshape(-1, 2, 2)


@pytest.mark.parametrize("system", [ExactFold(), OwnMap(fold, "xy", (0.4, 0.4))])
def test_a_map_that_folds_has_minus_infinity_and_the_exponent_of_its_image(system):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tangent_exponents(system, np.full((2, 2), 0.4), 3000, alignment=10)
    logistic = OwnMap(lambda x: (3.9 * x * (1 - x),), ("x",), (0.4,))
    alone = tangent_exponents(logistic, np.full((1, 1), 0.4), 3000, alignment=10)
    np.testing.assert_allclose(found[:, 0], alone[0, 0], atol=0.02)
    assert np.isneginf(found[:, 1]).all()


@pytest.mark.parametrize("start", [(0.4, 0.4), (0.9, 0.3)])
def test_a_fold_is_seen_through_the_error_of_differences(start):
    own = prepared(OwnMap(line, "xy", start))
    states = simulate(own, own.initial_states(4, np.random.default_rng(0)), 1, transient=100)
    found = tangent_exponents(own, states[:, 0], 1000)
    assert np.isfinite(found[:, 0]).all()
    assert np.isneginf(found[:, 1]).all()


@pytest.mark.parametrize("rate", [2.0, 1 + np.sqrt(5)])
def test_a_superstable_cycle_has_minus_infinity(rate):
    """Its periodic orbit contains the critical point 1/2."""
    own = OwnMap(lambda x: (rate * x * (1 - x),), ("x",), (0.4,), scale=(0.3,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tangent_exponents(own, np.array([[0.4], [0.37]]), 1000)
    assert np.isneginf(found).all()


@pytest.mark.parametrize("b", [0.3, 1e-3, 1e-8])
def test_a_strong_contraction_is_not_minus_infinity(b):
    found = tangent_exponents(Henon(b=b), np.full((2, 2), 0.1), 500)
    np.testing.assert_allclose(found.sum(axis=1), np.log(b), rtol=1e-6)
    by_differences = OwnMap(lambda x, y: (1 - 1.4 * x * x + y, b * x), "xy", (0.1, 0.1))
    found = tangent_exponents(prepared(by_differences), np.full((2, 2), 0.1), 500)
    np.testing.assert_allclose(found.sum(axis=1), np.log(b), rtol=1e-5)


def test_units_do_not_make_a_fold():
    """Hénon's map with x in millions and y in billionths."""
    own = OwnMap(
        lambda x, y: (1e6 * (1 - 1.4e-12 * x * x + 1e9 * y), 0.3e-15 * x),
        "xy", (1e5, 1e-10), scale=(1e6, 1e-9),
    )  # fmt: skip
    found = tangent_exponents(own, np.array([[1e5, 1e-10]]), 2000)
    assert found.sum() == pytest.approx(np.log(0.3), rel=1e-6)


def test_a_flow_that_contracts_below_rounding_is_refused():
    stiff = OwnFlow(lambda x, y: (y - x, -100 * y), "xy", (1.0, 1.0))
    with pytest.raises(ValueError, match=r"tau=0\.5, .*choose a shorter tau"):
        tangent_exponents(TimeMap(stiff, 0.5, 40), np.ones((1, 2)), 100)
    found = tangent_exponents(TimeMap(stiff, 0.1, 40), np.ones((1, 2)), 100)
    np.testing.assert_allclose(found, [[-1, -100]], rtol=1e-3)


def test_a_product_that_is_zero_grows_by_minus_infinity():
    jacobians = np.broadcast_to(np.array([[0.0, 1.0], [0.0, 0.0]]), (1, 20, 2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        growth = product_growth(jacobians, 5)
    assert growth[0] == 0
    assert np.isneginf(growth[1:]).all()
    assert fit_exponent(growth) == -np.inf


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_exponents_do_not_depend_on_where_the_states_lie(offset):
    """Those of a shifted Hénon map add up to ln 0.3, with differences for derivatives too."""

    class Shifted(Henon):
        def step(self, states):
            return super().step(states - offset) + offset

        def jacobian(self, states):
            return super().jacobian(states - offset)

    def henon(x, y):
        return offset + 1 - 1.4 * (x - offset) ** 2 + (y - offset), offset + 0.3 * (x - offset)

    states = np.full((4, 2), 0.1) + offset
    exponents = tangent_exponents(Shifted(), states, 2000, alignment=50)
    np.testing.assert_allclose(exponents.sum(axis=-1), np.log(0.3), rtol=1e-12)
    np.testing.assert_allclose(exponents[:, 0], 0.419, atol=0.05)
    own = OwnMap(henon, ("x", "y"), start=(offset, offset))
    exponents = tangent_exponents(own, states, 2000, alignment=50)
    # A difference over 6e-6 of values that are rounded to the spacing of numbers there.
    carried = np.spacing(offset) / 6e-6
    np.testing.assert_allclose(exponents.sum(axis=-1), np.log(0.3), atol=1e-8 + 2 * carried)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tangent_exponents(Henon(), np.full(2, 0.1), 9), r"got \(2,\); .*state\[None\]"),
        (lambda: tangent_exponents(Henon(), np.ones((2, 4, 2)), 9), r"got \(2, 4, 2\)"),
        (lambda: product_growth(np.ones((9, 2, 2)), 2), r"got \(9, 2, 2\); .*jacobians\[None\]"),
        (lambda: product_growth(np.ones((1, 9, 2, 3)), 2), r"got \(1, 9, 2, 3\)"),
        (lambda: fit_exponent(np.ones((4, 9))), r"\(n_max,\), got \(4, 9\)"),
    ],
)
def test_wrong_axes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
