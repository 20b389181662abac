"""Trajectories at tight tolerance against other integrators, and how they are cut and split."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynlib.dynamics.flows import Flow, TimeMap
from dynlib.dynamics.pairs import constant, integrate, pairs, split_at_random
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler


@pytest.fixture(scope="module")
def published():
    """The first of the paper's trajectories: perturbed initial state, steps of 0.01."""
    generator = np.random.RandomState(123)  # the authors' generator
    initial = np.array([[0.0, 1.0, 20.0]]) + generator.uniform(-1, 1, size=(2, 3))
    return integrate(Lorenz(), initial, np.arange(0, 8 + 0.01, 0.01))


def test_the_first_pair_is_the_released_one(published):
    assert published.shape == (2, 801, 3)
    states, successors = pairs(published)
    assert states.shape == successors.shape == (1600, 3)
    # As their file prints it, in float32.
    released = np.float32([0.39293838, 0.5722787, 19.453703])
    np.testing.assert_array_equal(states[0].astype(np.float32), released)
    by_hand = TimeMap(Lorenz(), 0.01, substeps=100).step(states[:1])
    np.testing.assert_allclose(successors[0], by_hand[0], rtol=1e-11)


def test_many_small_runge_kutta_steps_agree(published):
    steps = TimeMap(Lorenz(), 0.01, substeps=200).orbits(published[:, 0], 101)
    # Errors of some 1e-12 a step, which grow tenfold at most in one unit of time.
    np.testing.assert_allclose(published[:, :101], steps, rtol=0, atol=1e-9)


@pytest.mark.parametrize("flow", [Lorenz(), Rossler()])
def test_another_adaptive_method_agrees(flow):
    times = np.linspace(0, 2, 21)
    start = np.array([1.0, 2.0, 3.0])
    ours = integrate(flow, start[None], times)[0]
    peer = solve_ivp(
        lambda _, state: flow.velocity(state), (0, 2), start, method="DOP853", t_eval=times,
        rtol=1e-13, atol=1e-13,
    )  # fmt: skip
    np.testing.assert_allclose(ours, peer.y.T, rtol=0, atol=2e-9)


def test_the_tolerance_is_obeyed():
    times = np.linspace(0, 1, 11)
    fine = integrate(Lorenz(), np.ones((1, 3)), times, tolerance=1e-13)
    errors = [
        np.abs(integrate(Lorenz(), np.ones((1, 3)), times, tolerance=t) - fine).max()
        for t in (1e-4, 1e-6, 1e-8, 1e-10)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-5
    assert errors[-1] < 1e-7


def test_times_start_where_they_start():
    # An autonomous flow does not ask what time it is.
    times = np.array([0.0, 0.1, 0.3])
    early, late = (integrate(Lorenz(), np.ones((1, 3)), times + start) for start in (0, 5))
    np.testing.assert_allclose(early, late, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(early[:, 0], 1)


def test_pairs_never_cross_from_one_trajectory_to_the_next():
    trajectories = np.arange(24.0).reshape(2, 4, 3)
    states, successors = pairs(trajectories)
    np.testing.assert_array_equal(successors - states, 3)
    assert states[:, 0].tolist() == [0, 3, 6, 12, 15, 18]


@pytest.mark.parametrize(("share", "size"), [(0.8, 8), (0.25, 2), (0.0, 0), (1.0, 10)])
def test_splitting_is_a_partition(share, size):
    states = np.arange(20.0).reshape(10, 2), 100 + np.arange(20.0).reshape(10, 2)
    first, second = split_at_random(states, share, seed=3)
    assert len(first[0]) == len(first[1]) == size
    for part in (first, second):
        np.testing.assert_array_equal(part[1] - part[0], 100)  # pairs stay pairs
    both = np.concatenate([first[0], second[0]])
    np.testing.assert_array_equal(np.sort(both, axis=0), states[0])


def test_the_seed_decides_the_split():
    states = (np.arange(100.0)[:, None],) * 2
    one, again, other = (split_at_random(states, 0.5, seed)[0][0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    # At random: both ends of the record are in both halves.
    assert 10 < (one < 50).sum() < 40


@dataclass(frozen=True)
class Blowup(Flow):
    """x' = x^2, which ends at t = 1/x(0)."""

    dim = 1

    def equations(self):
        return lambda x: (x * x,)


def test_a_failure_of_the_solver_is_named():
    with pytest.raises(ValueError, match=r"LSODA .* from \[1.0\]; take closer times"):
        integrate(Blowup(), np.ones((1, 1)), np.array([0.0, 2.0]))


def test_a_solution_that_is_known():
    times = np.linspace(0, 0.9, 10)
    solution = integrate(Blowup(), np.ones((1, 1)), times)[0, :, 0]
    np.testing.assert_allclose(solution, 1 / (1 - times), rtol=1e-9)


@pytest.mark.parametrize(
    ("initial", "times", "tolerance", "words"),
    [
        (np.ones(3), np.arange(2.0), 1e-12, r"\(batch, 3\).*got \(3,\)"),
        (np.ones((1, 2)), np.arange(2.0), 1e-12, r"got \(1, 2\)"),
        (np.ones((1, 3)), np.ones((2, 2)), 1e-12, r"times must have shape \(T,\), got \(2, 2\)"),
        (np.ones((1, 3)), 1.0, 1e-12, r"times must have shape \(T,\), got \(\)"),
        (np.ones((1, 3)), np.arange(2.0), 0.0, "from 1e-14 to 0.1, got 0.0"),
        (np.ones((1, 3)), np.arange(2.0), 0.2, "got 0.2"),
        (np.ones((1, 3)), np.arange(2.0), np.nan, "got nan"),
    ],
)
def test_bad_input_is_named(initial, times, tolerance, words):
    with pytest.raises(ValueError, match=words):
        integrate(Lorenz(), initial, times, tolerance=tolerance)


@pytest.mark.parametrize("share", [-0.2, 1.5])
def test_impossible_shares_are_refused(share):
    states = np.zeros((4, 2)), np.zeros((4, 2))
    with pytest.raises(ValueError, match=f"share must be .* from 0 to 1, got {share}"):
        split_at_random(states, share, 0)


def test_times_must_increase():
    with pytest.raises(ValueError, match="times must increase"):
        integrate(Lorenz(), np.ones((1, 3)), np.array([0.0, 0.2, 0.1]))


@pytest.mark.parametrize("shape", [(5,), (5, 3), (2, 1, 3), (2, 2, 5, 3)])
def test_pairs_are_of_three_axes(shape):
    with pytest.raises(
        ValueError,
        match=rf"shape \(batch, T, dim\).*, got {re.escape(str(shape))}; .*(\[None\]|longer ones)",
    ):
        pairs(np.zeros(shape))


@pytest.mark.parametrize("value", [0.0, 0.1, 23.7, -1e8 - 0.1])
def test_a_constant_coordinate_is_found_whatever_its_value(value):
    states = np.stack([np.full(300, value), np.linspace(0, 1, 300) + value], axis=1)
    assert constant(states) == [0]
    states[7, 0] = np.nextafter(value, 1e9)
    assert constant(states) == ([] if value == 0 else [0])


def test_pairs_of_different_numbers_are_not_split():
    with pytest.raises(ValueError, match=r"as many first states .*\(5, 3\), \(6, 3\)"):
        split_at_random((np.zeros((5, 3)), np.zeros((6, 3))), 0.5, 0)
