"""Lotka-Volterra systems against differences, a conserved quantity and other integrators."""

# ruff: noqa: NPY002 (the code of LEADS draws from numpy's global generator)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from dynlib.dynamics.systems.lotka_volterra import (
    ENVIRONMENTS,
    TIMES,
    LotkaVolterra,
    initial_states,
    trajectories,
)

#: alpha and gamma as the code of LEADS (commit 9104d7d) has them, environment 0 to 9.
ALPHA = [0.5, 0.25, 0.75, 1, 0.5, 0.5, 0.5, 0.25, 0.75, 1]
GAMMA = [0.5, 0.5, 0.5, 0.5, 0.25, 0.75, 1, 0.25, 0.75, 1]

rates = st.floats(0.05, 2)
populations = st.floats(0.05, 10)


@pytest.fixture
def global_generator():
    """numpy's global generator, put back afterwards."""
    state = np.random.get_state()
    yield
    np.random.set_state(state)


@pytest.fixture(scope="module")
def starts():
    return initial_states(4)


# --- the equations


def test_prey_and_predators_meet_as_in_the_formula():
    system, (x, y) = LotkaVolterra(alpha=2.0, beta=3.0, gamma=5.0, delta=7.0), (11.0, 13.0)
    expected = [2 * x - 3 * x * y, 7 * x * y - 5 * y]
    np.testing.assert_array_equal(system.velocity(np.array([x, y])), expected)
    at_rest = system.velocity(np.array([5 / 7, 2 / 3]))
    np.testing.assert_allclose(at_rest, 0, atol=1e-15)


def test_the_linearisation_is_the_derivative():
    system, h = LotkaVolterra(alpha=0.3, beta=0.7, gamma=1.1, delta=0.4), 1e-6
    states = np.random.default_rng(0).uniform(0.1, 5, (50, 2))
    differences = [
        (system.velocity(states + h * e) - system.velocity(states - h * e)) / (2 * h)
        for e in np.eye(2)
    ]
    np.testing.assert_allclose(system.jacobian(states), np.stack(differences, -1), atol=1e-8)


@given(alpha=rates, beta=rates, gamma=rates, delta=rates, x=populations, y=populations)
def test_no_state_moves_along_the_gradient_of_what_is_conserved(alpha, beta, gamma, delta, x, y):
    system, state = LotkaVolterra(alpha, beta, gamma, delta), np.array([x, y])
    h = 1e-5 * state
    gradient = [
        (system.conserved(state + e) - system.conserved(state - e)) / (2 * e.sum())
        for e in np.diag(h)
    ]
    terms = np.array(gradient) * system.velocity(state)
    size = (alpha + beta * y + delta * x + gamma) ** 2
    assert abs(terms.sum()) < 1e-8 * size


# --- the environments and their initial states


def test_the_environments_are_those_of_leads():
    assert [system.alpha for system in ENVIRONMENTS] == ALPHA
    assert [system.gamma for system in ENVIRONMENTS] == GAMMA
    assert {(system.beta, system.delta) for system in ENVIRONMENTS} == {(0.5, 0.5)}
    np.testing.assert_array_equal(TIMES, np.arange(0, 10, 0.5))


@pytest.mark.parametrize("test", [False, True])
def test_initial_states_are_those_of_numpys_global_generator(global_generator, test):
    found = initial_states(32, test=test)
    assert found.shape == (32, 2)
    for i, state in enumerate(found):
        np.random.seed(2147483647 - i if test else i)
        np.testing.assert_array_equal(state, np.random.random(2) + 1)


# --- their solutions


@pytest.mark.parametrize("official", [False, True])
def test_every_environment_starts_from_the_same_states(starts, official):
    found = trajectories(ENVIRONMENTS, starts, official=official)
    assert found.shape == (10, 4, 20, 2)
    np.testing.assert_array_equal(found[:, :, 0], np.broadcast_to(starts, (10, 4, 2)))
    assert len({path.tobytes() for path in found[:, 0, 1]}) == 10


def drift(paths):
    """Largest change of the conserved quantity in every environment."""
    found = []
    for system, path in zip(ENVIRONMENTS, paths, strict=True):
        values = system.conserved(path)
        found.append(np.abs(values - values[:, :1]).max())
    return np.array(found)


def test_tight_data_keep_what_is_conserved_and_official_data_do_not(starts):
    assert (drift(trajectories(ENVIRONMENTS, starts)) < 1e-9).all()
    loose = drift(trajectories(ENVIRONMENTS, starts, official=True))
    assert (loose > 1e-4).all()
    assert (loose < 1e-1).all()


def by_scipy(e, start, times, **options):
    """As the code of LEADS calls scipy, from the formulas alone."""

    def velocity(_, state):
        x, y = state
        return [ALPHA[e] * x - 0.5 * x * y, 0.5 * x * y - GAMMA[e] * y]

    return solve_ivp(velocity, (times[0], times[-1]), start, t_eval=times, **options).y.T


def test_official_data_are_scipys_with_its_default_tolerances(starts):
    found = trajectories(ENVIRONMENTS, starts, official=True)
    expected = [[by_scipy(e, s, TIMES, method="RK45") for s in starts] for e in range(10)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_another_method_agrees_with_the_tight_data(starts):
    options = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-12}
    times = np.array([0.0, 0.3, 4.0, 9.5])
    found = trajectories(ENVIRONMENTS, starts, times)
    expected = [[by_scipy(e, s, times, **options) for s in starts] for e in range(10)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


# --- what is refused


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma", "delta"])
@pytest.mark.parametrize("rate", [0.0, -0.5, np.nan, np.inf])
def test_rates_that_are_not_positive_numbers_are_refused(name, rate):
    with pytest.raises(ValueError, match=f"{name} of LotkaVolterra must be .* above 0, got {rate}"):
        LotkaVolterra(**{name: rate})


@pytest.mark.parametrize("count", [0, -3])
def test_impossible_counts_are_refused(count):
    with pytest.raises(ValueError, match=f"from 1 to .*, got {count}"):
        initial_states(count)
