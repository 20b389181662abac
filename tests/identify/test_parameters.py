"""Parameters of known equations: found again, and no worse than their standard errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.lotka_volterra import (
    ENVIRONMENTS,
    TIMES,
    LotkaVolterra,
    initial_states,
    trajectories,
)
from dynlib.identify.parameters import fit_parameters

GUESS = np.full(4, 0.5)


@pytest.mark.parametrize("e", [0, 3, 7])
def test_the_rates_of_an_environment_are_found(e):
    system = ENVIRONMENTS[e]
    (paths,) = trajectories([system], initial_states(2))
    found = fit_parameters(LotkaVolterra, paths, TIMES, 1.3 * GUESS)
    np.testing.assert_allclose(found, dataclasses.astuple(system), rtol=1e-6)


def test_the_parameters_of_another_flow_are_found():
    times = np.linspace(0, 0.5, 11)
    paths = integrate(Lorenz(), np.array([[1.0, 2.0, 20.0]]), times)
    found = fit_parameters(lambda *p: Lorenz(*p), paths, times, np.array([8.0, 25.0, 2.0]))
    expected = [Lorenz().sigma, Lorenz().rho, Lorenz().beta]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_noise_moves_the_rates_by_their_standard_errors():
    rates, noise, h = np.array([0.75, 0.5, 0.25, 0.5]), 0.02, 1e-4
    starts, rng = initial_states(2), np.random.default_rng(1)

    def solve(p):
        def velocity(_, s):
            return [p[0] * s[0] - p[1] * s[0] * s[1], p[3] * s[0] * s[1] - p[2] * s[1]]

        options = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-10, "t_eval": TIMES}
        return np.stack([solve_ivp(velocity, (0, TIMES[-1]), s, **options).y.T for s in starts])

    by_rates = [(solve(rates + h * e) - solve(rates - h * e)).ravel() / (2 * h) for e in np.eye(4)]
    covariance = noise**2 * np.linalg.inv(np.array(by_rates) @ np.array(by_rates).T)
    scores = []
    for _ in range(4):
        paths = solve(rates)
        paths[:, 1:] += noise * rng.normal(size=paths[:, 1:].shape)
        error = fit_parameters(LotkaVolterra, paths, TIMES, GUESS) - rates
        scores.append(error @ np.linalg.solve(covariance, error))
    # Sixteen degrees of freedom: chi-square within its central 99.98 per cent.
    assert 2.5 < sum(scores) < 46


@pytest.mark.parametrize(
    ("paths", "guess", "words"),
    [
        (np.ones((20, 2)), GUESS, r"\(N, 20, 2\), got \(20, 2\)"),
        (np.ones((3, 19, 2)), GUESS, r"got \(3, 19, 2\)"),
        (np.ones((3, 20, 2)), np.array([0.5, 0.0, 1, 1]), r"positive numbers, got \[0.5 0. "),
        (np.ones((3, 20, 2)), np.array([0.5, np.nan]), "nan"),
        (np.ones((3, 20, 2)), 0.5, r"guess must have shape \(P,\), got \(\)"),
        (np.ones((3, 20, 3)), GUESS, r"\(N, 20, 2\), got \(3, 20, 3\)"),
    ],
)
def test_bad_input_is_named(paths, guess, words):
    with pytest.raises(ValueError, match=words):
        fit_parameters(LotkaVolterra, paths, TIMES, guess)
