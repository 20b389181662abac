"""Polynomial maps against scikit-learn's monomials, known maps and plain least squares."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.preprocessing import PolynomialFeatures

from dynlib.dynamics.pairs import integrate, pairs
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.polynomial import Monomials, PolynomialMap
from dynlib.measure.rollout import failures


@pytest.fixture(scope="module")
def record() -> np.ndarray:
    return integrate(Lorenz(beta=8 / 3), np.array([[0.0, 1, 20]]), 0.01 * np.arange(4000))[0]


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("degree", [1, 2, 5, 9])
def test_monomials_are_scikit_learns(dim, degree):
    states = np.random.default_rng(0).normal(size=(7, dim))
    peer = PolynomialFeatures(degree).fit(states)
    ours = Monomials(dim, degree)
    np.testing.assert_allclose(ours(states.T).T, peer.transform(states), rtol=1e-12)
    names = [name.replace("^", "").replace(" ", "") for name in peer.get_feature_names_out()]
    assert ours.names([f"x{i}" for i in range(dim)]) == names
    assert len(ours) == len(names)


def test_monomials_of_a_batch_of_trajectories():
    states = np.random.default_rng(1).normal(size=(2, 4, 5))
    np.testing.assert_array_equal(
        Monomials(2, 3)(states)[:, 1, 2], Monomials(2, 3)(states[:, 1, 2])
    )


@pytest.mark.parametrize("degree", [2, 3])
def test_the_henon_map_is_recovered(henon_states, degree):
    fit = PolynomialMap.fit(*pairs(henon_states[:, :200]), degree=degree)
    everywhere = np.random.default_rng(2).uniform(-2, 2, size=(50, 2))
    np.testing.assert_allclose(fit.step(everywhere), Henon().step(everywhere), atol=1e-11)
    starts = henon_states[:, 500]
    truth = simulate(Henon(), starts, 21)[:, 1:]
    np.testing.assert_allclose(
        fit.rollout(starts[:, None], 20), truth, atol=1e-8
    )  # rounding x e^(0.42 k)


def test_a_polynomial_of_degree_five_is_recovered():
    rng = np.random.default_rng(3)
    x = rng.uniform(-3, 5, size=(2000, 3))
    increments = np.stack([x[:, 0] * x[:, 1] ** 4, 1 + x[:, 2] ** 5, x.prod(axis=1)], axis=1)
    fit = PolynomialMap.fit(x, x + increments, degree=5)
    assert fit.parameters == 3 * 56
    inside = rng.uniform(-3, 5, size=(100, 3))
    exact = np.stack(
        [inside[:, 0] * inside[:, 1] ** 4, 1 + inside[:, 2] ** 5, inside.prod(axis=1)], axis=1
    )
    np.testing.assert_allclose(fit.step(inside), inside + exact, atol=1e-9)


def test_it_is_the_least_squares_fit(record):
    x, y = pairs(record[None])
    features = PolynomialFeatures(3).fit_transform(x)
    plain = x + features @ np.linalg.lstsq(features, y - x, rcond=None)[0]
    np.testing.assert_allclose(PolynomialMap.fit(x, y, degree=3).step(x), plain, atol=1e-8)


def test_units_do_not_matter(record):
    x, y = pairs(record[None, :1000])
    factor, shift = np.array([1e-3, 1, 1e4]), np.array([1, -200, 0])
    plain = PolynomialMap.fit(x, y, degree=5)
    scaled = PolynomialMap.fit(factor * x + shift, factor * y + shift, degree=5)
    starts = record[1000:1004]
    np.testing.assert_allclose(
        scaled.rollout(factor * starts[:, None] + shift, 30),
        factor * plain.rollout(starts[:, None], 30) + shift,
        rtol=1e-6,
    )


def test_every_degree_predicts_lorenz_better(record):
    train, later = record[:3000], record[3000:]
    errors = [
        np.square(PolynomialMap.fit(train[:-1], train[1:], d).step(later[:-1]) - later[1:]).mean()
        for d in range(1, 7)
    ]
    assert all(b < 0.01 * a for a, b in pairwise(errors))


def test_a_rollout_repeats_the_step_and_starts_do_not_meet(record):
    fit = PolynomialMap.fit(record[:-1], record[1:], degree=3)
    starts = record[[100, 900, 2000]]
    rollout, states = fit.rollout(starts[:, None], 25), starts
    assert rollout.shape == (3, 25, 3)
    for k in range(25):
        states = fit.step(states)
        np.testing.assert_allclose(rollout[:, k], states, rtol=1e-10)
    np.testing.assert_allclose(fit.rollout(starts[1:2, None], 25)[0], rollout[1], rtol=1e-10)


def test_a_rollout_that_explodes_is_silent_and_alone():
    """x -> x + x^2 has no bound from 1 on and comes to rest at 0 from -1/2."""
    x = np.linspace(-1, 1, 30)[:, None]
    fit = PolynomialMap.fit(x, x + x**2, degree=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rollout = fit.rollout(np.array([[[1.0]], [[-0.5]]]), 40)
    assert failures(rollout) == 1
    assert np.isfinite(rollout[0, :5]).all()
    assert not np.isfinite(rollout[0, 20:]).any()
    assert (np.diff(rollout[1, :, 0]) > 0).all()
    assert -0.05 < rollout[1, -1, 0] < 0


x, y = np.random.default_rng(4).normal(size=(2, 30, 2))
fitted = PolynomialMap.fit(x, y, degree=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Monomials(0, 1), "dim must be .*, got 0"),
        (lambda: Monomials(2, 0), "from 1 to 9, got 0"),
        (lambda: Monomials(2, 10), "got 10"),
        (lambda: PolynomialMap.fit(x, y[:-1], 2), r"\(29, 2\)"),
        (lambda: PolynomialMap.fit(x[0], y[0], 2), "pairs"),
        (lambda: PolynomialMap.fit(x, y + np.inf, 2), "finite"),
        (
            lambda: PolynomialMap.fit(x, y, 7),
            "the 36 monomials of degree 7 in 2 coordinates, or more, got 30",
        ),
        (lambda: PolynomialMap.fit(x * [1, 0], y, 2), "coordinate 1 is constant"),
        (lambda: fitted.rollout(x[0], 3), r"states\[:, None\]"),
        (lambda: fitted.rollout(x, 3), r"\(S, T, 2\), got \(30, 2\)"),
        (lambda: fitted.rollout(x[None, :, :1], 3), r"got \(1, 30, 1\)"),
        (lambda: fitted.rollout(x[None, :0], 3), r"T of 1 or more, got \(1, 0, 2\)"),
        (lambda: fitted.rollout(x[:0, None], 3), r"none of it 0, got \(0, 1, 2\)"),
        (lambda: fitted.rollout(x[None] + np.nan, 3), "windows must be finite"),
        (lambda: fitted.rollout(x[None], 0), "from 1 to .*, got 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_forecasts_do_not_depend_on_where_the_states_lie(offset):
    """A quadratic map of [0, 1], shifted: the same forecast, to the digits that are left."""
    orbit = [0.3]
    for _ in range(300):
        orbit.append(3.7 * orbit[-1] * (1 - orbit[-1]))
    states = np.array(orbit)[:, None]
    near, far = (PolynomialMap.fit(s[:-1], s[1:], 2) for s in (states, states + offset))
    ours = far.rollout(states[None, :1] + offset, 5) - offset
    np.testing.assert_allclose(
        ours, near.rollout(states[None, :1], 5), atol=1e4 * np.spacing(offset)
    )


@pytest.mark.parametrize("value", [0.1, 23.7, 1e8 + 0.1])
def test_a_constant_coordinate_is_refused_whatever_its_value(value):
    states = np.stack([np.linspace(0, 1, 300), np.full(300, value)], axis=1)
    with pytest.raises(ValueError, match="coordinate 1 is constant"):
        PolynomialMap.fit(states, states, 1)


def test_a_degree_that_is_not_a_whole_number_is_refused():
    with pytest.raises(TypeError, match=r"degree must be a whole number from 1 to 9, got 1\.5"):
        Monomials(2, 1.5)


def test_float32_that_has_lost_its_digits_is_refused():
    """At 1e5 float32 has steps of 0.008: the same data in float64 are fitted."""
    states = np.random.default_rng(0).normal(size=(50, 2)) + 1e5
    PolynomialMap.fit(states[:-1], states[1:], 1)
    with pytest.raises(ValueError, match=r"coordinate 0 varies too little: .* digits of float32"):
        PolynomialMap.fit(states[:-1].astype(np.float32), states[1:].astype(np.float32), 1)


def test_wrong_axes_are_refused():
    states = np.random.default_rng(0).normal(size=(50, 3))
    found = PolynomialMap.fit(states, states, 1)
    with pytest.raises(ValueError, match=r"\(\.\.\., 3\), got \(50, 1\)"):
        found.step(states[:, :1])
    with pytest.raises(ValueError, match=r"\(3, \.\.\.\), got \(50, 3\); move the axis"):
        Monomials(3, 2)(states)
