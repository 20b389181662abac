"""The Hénon map against closed forms, finite differences and published invariants."""

import numpy as np
import pytest

from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon


def test_fixed_points_are_fixed():
    points = Henon().fixed_points()
    np.testing.assert_allclose(Henon().step(points), points, atol=1e-15)


def test_jacobian_is_the_derivative():
    rng = np.random.default_rng(0)
    states, h = rng.uniform(-1, 1, (50, 2)), 1e-6
    system = Henon()
    differences = [
        (system.step(states + h * e) - system.step(states - h * e)) / (2 * h) for e in np.eye(2)
    ]
    np.testing.assert_allclose(system.jacobian(states), np.stack(differences, -1), atol=1e-9)


def test_determinant_is_constant():
    states = np.random.default_rng(1).uniform(-1, 1, (20, 2))
    np.testing.assert_allclose(np.linalg.det(Henon().jacobian(states)), -0.3, atol=1e-14)


def test_exponents_match_the_literature_and_the_determinant():
    system = Henon()
    rng = np.random.default_rng(2)
    start = simulate(system, system.initial_states(32, rng), 1, transient=500)[:, 0]
    exponents = tangent_exponents(system, start, 4000)
    np.testing.assert_allclose(exponents.sum(axis=1), np.log(0.3), atol=1e-12)
    error = abs(exponents[:, 0].mean() - Henon().facts["lyapunov"].value)
    assert error < 4 * exponents[:, 0].std() / np.sqrt(32)
    assert error < 0.005


def test_the_printed_initial_states_stay_on_the_attractor():
    system = Henon()
    states = simulate(system, system.initial_states(500, np.random.default_rng(3)), 200)
    assert np.abs(states[:, 100:]).max() < 1.5


def test_simulation_is_the_map_iterated():
    system, x = Henon(), np.array([[0.1, 0.1]])
    path = simulate(system, x, 5, transient=3)[0]
    for _ in range(3):
        x = system.step(x)
    for state in path:
        np.testing.assert_array_equal(state, x[0])
        x = system.step(x)


def test_facts_are_sourced():
    assert all(fact.source and fact.tolerance > 0 for fact in Henon.published.values())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Henon(b=0.0), "b=0"),
        (lambda: Henon(a=np.nan), "a of Henon must be .*, got nan"),
        (lambda: simulate(Henon(), np.zeros(2), 3), r"\(batch, 2\)"),
        (lambda: simulate(Henon(), np.zeros((1, 2)), 0), "n_steps"),
        (lambda: simulate(Henon(), np.array([[0, 0], [9.0, 9.0]]), 50), "index 1"),
        (lambda: tangent_exponents(Henon(), np.zeros((1, 2)), 0), "n_steps"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("shape", [(), (3,), (5, 1), (2, 5)])
@pytest.mark.parametrize("method", ["step", "jacobian"])
def test_states_of_another_dimension_are_refused(shape, method):
    with pytest.raises(ValueError, match=r"states must have shape \(\.\.\., 2\), got"):
        getattr(Henon(), method)(np.zeros(shape))
