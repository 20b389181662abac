"""Best-fit operators against closed forms, optimality conditions and another solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import hankel
from scipy.optimize import brentq, minimize

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.operators.bestfit import (
    fit_with_control,
    hankel_fit,
    largest_penalty,
    least_squares_fit,
    nuclear_fit,
    shrink,
)

METHODS = ["plain", "accelerated", "restart"]


def orthonormal(rows, columns, seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(columns, rows)))
    return q.T


def snapshots(m=3, n=4, k=12, seed=0):
    rng = np.random.default_rng(seed)
    x = np.diag(np.linspace(1, 3, n)) @ rng.normal(size=(n, k))
    return x, rng.normal(size=(m, n)) @ x + rng.normal(size=(m, k))


@pytest.fixture(scope="module")
def delays():
    """Snapshots of four delays of Lorenz's x, and those one step later."""
    series = integrate(Lorenz(), np.array([[0.0, 1.0, 20.0]]), np.arange(1000) * 0.01)[0, :, 0]
    windows = np.lib.stride_tricks.sliding_window_view(series, 4).T
    return windows[:, :-1], windows[:, 1:]


# --- where the answer is known


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_whitened_snapshots_shrink_the_singular_values(method, scale):
    # With X X^T = c I the minimum is U (Sigma - mu)_+ V^T / c, where X' X^T = U Sigma V^T.
    x = scale**0.5 * orthonormal(4, 10, seed=1)
    u, v = orthonormal(3, 3, seed=2), orthonormal(3, 4, seed=3)
    outside = np.random.default_rng(4).normal(size=(3, 10)) @ (np.eye(10) - x.T @ x / scale)
    y = u.T @ np.diag([5.0, 3.0, 1.0]) @ v @ x / scale + outside
    fit = nuclear_fit(x, y, penalty=2.0, method=method)
    expected = u.T @ np.diag([3.0, 1.0, 0.0]) @ v / scale
    np.testing.assert_allclose(fit.operator, expected, rtol=0, atol=1e-14)
    assert fit.rank == 2
    assert fit.iterations == 10  # the first look at the gap


def test_the_rank_counts_what_is_above_rounding():
    mu = 1.0
    wanted = np.array([1.0, 1e-8, 1e-10, 0.0])
    fit = nuclear_fit(np.eye(4), np.diag(wanted + mu * (wanted > 0)), mu)
    np.testing.assert_allclose(np.diag(fit.operator), wanted, rtol=0, atol=1e-15)
    assert fit.rank == 2


@pytest.mark.parametrize("seed", range(5))
def test_from_the_largest_penalty_on_the_operator_is_exactly_zero(seed):
    x, y = snapshots(seed=seed)
    mu = largest_penalty(x, y)
    # The norm itself is known to rounding only.
    fit = nuclear_fit(x, y, mu * (1 + 1e-14))
    assert not fit.operator.any()
    assert fit.rank == 0
    assert fit.converged
    assert fit.objective == pytest.approx(0.5 * (y**2).sum(), rel=1e-15)
    below = nuclear_fit(x, y, 0.99 * mu)
    assert below.rank == 1
    assert below.converged


@pytest.mark.parametrize("mu", [1e-1, 1e-2, 1e-3])
def test_a_vanishing_penalty_tends_to_least_squares(mu):
    x, y = snapshots()
    fit = nuclear_fit(x, y, mu, max_iterations=500, check_every=500)  # till nothing moves
    assert fit.rank == 3
    # At full rank the subgradient is U V^T, and (X' - H X) X^T = mu U V^T exactly.
    u, _, v = np.linalg.svd(fit.operator, full_matrices=False)
    away = mu * u @ v @ np.linalg.inv(x @ x.T)
    np.testing.assert_allclose(fit.operator + away, least_squares_fit(x, y), rtol=0, atol=1e-12)
    assert 0.01 * mu < np.linalg.norm(away) < mu


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_one_output_row_solves_the_secular_equation(share):
    # A row's nuclear norm is its length: h (X X^T + mu/|h| I) = x' X^T.
    x, y = snapshots(m=1)
    mu = share * largest_penalty(x, y)
    gram, cross = x @ x.T, x @ y[0]

    def row(length):
        return np.linalg.solve(gram + mu / length * np.eye(4), cross)

    length = brentq(lambda t: np.linalg.norm(row(t)) - t, 1e-9, 1e3, xtol=1e-15, rtol=1e-15)
    fit = nuclear_fit(x, y, mu, max_iterations=500, check_every=500)
    np.testing.assert_allclose(fit.operator[0], row(length), rtol=0, atol=1e-12)
    assert fit.objective == pytest.approx(
        0.5 * ((y[0] - row(length) @ x) ** 2).sum() + mu * length, rel=1e-14
    )


# --- optimality


@pytest.mark.parametrize("shape", [(3, 4, 12), (4, 3, 5), (5, 6, 4), (2, 2, 1), (1, 1, 50)])
@pytest.mark.parametrize("share", [0.01, 0.3])
def test_the_certificate_proves_the_minimum(shape, share):
    x, y = snapshots(*shape)
    mu = share * largest_penalty(x, y)
    fit = nuclear_fit(x, y, mu)
    assert fit.converged
    assert fit.gap <= 1e-10 * (1 + 1e-4)  # of all columns, where the stop looked at fewer
    singular = np.linalg.svd(fit.operator, compute_uv=False)
    objective = 0.5 * ((y - fit.operator @ x) ** 2).sum() + mu * singular.sum()
    assert fit.objective == pytest.approx(objective, rel=1e-14)
    # The dual problem: max <Q, X'> - |Q|^2/2 with |Q X^T|_2 <= mu.
    assert np.linalg.norm(fit.dual @ x.T, 2) <= mu * (1 + 1e-12)
    value = (fit.dual * y).sum() - 0.5 * (fit.dual**2).sum()
    assert value == pytest.approx(fit.objective * (1 - fit.gap), rel=1e-14)
    # Weak duality: no operator is better by more than the gap.
    rng = np.random.default_rng(0)
    for size in 10.0 ** np.arange(-6, 1):
        other = fit.operator + size * rng.normal(size=fit.operator.shape)
        nuclear = np.linalg.svd(other, compute_uv=False).sum()
        assert 0.5 * ((y - other @ x) ** 2).sum() + mu * nuclear >= value * (1 - 1e-14)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_all_methods_and_another_solver_find_one_minimum(share):
    x, y = snapshots(m=4, n=4, k=20, seed=7)
    mu = share * largest_penalty(x, y)
    fits = [nuclear_fit(x, y, mu, method=method, tolerance=1e-13) for method in METHODS]

    # |H|_* = min (|U|^2 + |W|^2)/2 over H = U W^T: smooth, and without bad minima at full rank.
    def factored(z):
        u, w = z.reshape(2, 4, 4)
        residual = u @ w.T @ x - y
        slope = residual @ x.T
        value = 0.5 * (residual**2).sum() + 0.5 * mu * (z**2).sum()
        return value, np.concatenate([(slope @ w + mu * u).ravel(), (slope.T @ u + mu * w).ravel()])

    start = np.random.default_rng(1).normal(size=32)
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-16, "gtol": 1e-10}
    found = minimize(factored, start, jac=True, method="L-BFGS-B", options=options)
    u, w = found.x.reshape(2, 4, 4)
    for fit in fits:
        assert fit.objective == pytest.approx(found.fun, rel=1e-12)
        np.testing.assert_allclose(fit.operator, u @ w.T, rtol=0, atol=1e-6)
        np.testing.assert_allclose(fit.operator, fits[0].operator, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 3.0, 100.0])
def test_shrinking_solves_its_problem(threshold):
    m = np.random.default_rng(3).normal(size=(4, 6))
    h = shrink(m, threshold)
    # Optimal if (M - H)/mu is a subgradient: of norm at most 1, and aligned with H.
    assert np.linalg.norm(m - h, 2) <= threshold + 1e-14
    nuclear = np.linalg.svd(h, compute_uv=False).sum()
    assert ((m - h) * h).sum() == pytest.approx(threshold * nuclear, abs=1e-13)
    assert threshold < 100 or not h.any()


# --- the way there


def test_a_plain_step_is_the_papers_equation_8():
    x, y = snapshots()
    mu = 0.3 * largest_penalty(x, y)
    step = 1 / np.linalg.norm(x, 2) ** 2
    fit = nuclear_fit(x, y, mu, method="plain", max_iterations=1)
    u, s, v = np.linalg.svd(step * y @ x.T, full_matrices=False)  # downhill from zero
    expected = u @ np.diag(np.maximum(s - step * mu, 0)) @ v
    np.testing.assert_allclose(fit.operator, expected, atol=1e-14)
    assert not fit.converged
    assert fit.iterations == 1


def test_momentum_starts_at_rest():
    # Nesterov's first weight is (1 - 1)/t_2 = 0: only the third step goes ahead of itself.
    x, y = snapshots()
    mu = 0.3 * largest_penalty(x, y)
    for steps, same in ((2, True), (3, False)):
        one, two = (
            nuclear_fit(x, y, mu, method=m, max_iterations=steps) for m in ("plain", "accelerated")
        )
        assert np.array_equal(one.operator, two.operator) == same


def test_momentum_keeps_the_bound_that_plain_steps_break(delays):
    # F(H_k) - F <= 2 L |H|^2/(k + 1)^2 from zero: Beck & Teboulle (2009), theorem 4.4.
    mu = 1e-3 * largest_penalty(*delays)
    best = nuclear_fit(*delays, mu, tolerance=1e-13)
    lipschitz = np.linalg.norm(delays[0], 2) ** 2
    steps = [3, 10, 30, 100, 300]

    def excess(method):
        fits = [
            nuclear_fit(*delays, mu, method=method, max_iterations=k, check_every=k) for k in steps
        ]
        bounds = 2 * lipschitz * (best.operator**2).sum() / (np.array(steps) + 1) ** 2
        return np.array([fit.objective - best.objective for fit in fits]) / bounds

    assert (excess("accelerated") < 1).all()
    assert (excess("plain")[-2:] > 1).all()


def test_restarts_save_most_iterations_on_delays(delays):
    mu = 1e-3 * largest_penalty(*delays)
    fits = {m: nuclear_fit(*delays, mu, method=m, tolerance=1e-8) for m in METHODS}
    assert all(fit.converged for fit in fits.values())
    assert fits["restart"].iterations * 10 < fits["plain"].iterations
    assert fits["restart"].iterations < fits["accelerated"].iterations


def test_the_history_is_the_gap_at_every_look(delays):
    mu = 1e-2 * largest_penalty(*delays)
    fit = nuclear_fit(*delays, mu, tolerance=1e-12, max_iterations=25, check_every=7)
    assert fit.history[:, 0].tolist() == [7, 14, 21, 25]
    assert not fit.converged
    assert fit.gap == pytest.approx(fit.history[-1, 1], rel=1e-6)
    one = nuclear_fit(*delays, mu, tolerance=1e-12, max_iterations=14)
    assert one.gap == pytest.approx(fit.history[1, 1], rel=1e-6)


def test_nothing_is_learnt_from_nothing():
    y = np.ones((2, 3))
    fit = nuclear_fit(np.zeros((2, 3)), y, 1.0)
    assert not fit.operator.any()
    assert (fit.objective, fit.gap) == (3.0, 0.0)
    fit = nuclear_fit(y, np.zeros((2, 3)), 1.0)
    assert (fit.objective, fit.gap, fit.rank) == (0.0, 0.0, 0)


# --- without the nuclear norm


def test_least_squares_is_the_pseudo_inverse():
    x, y = snapshots()
    np.testing.assert_allclose(least_squares_fit(x, y), y @ np.linalg.pinv(x), atol=1e-13)
    deficient = x.copy()
    deficient[2] = x[0] - x[1]  # then the smallest of many minimisers
    np.testing.assert_allclose(
        least_squares_fit(deficient, y), y @ np.linalg.pinv(deficient, rcond=1e-12), atol=1e-12
    )


def test_control_is_told_from_dynamics():
    rng = np.random.default_rng(2)
    a = np.array([[0.9, 0.2, 0.0], [-0.2, 0.9, 0.1], [0.0, 0.0, 0.7]])
    b = np.array([[0.0, 1.0], [0.5, 0.0], [1.0, -1.0]])
    inputs, states = rng.normal(size=(2, 60)), np.zeros((3, 61))
    inputs[0] += np.sin(np.arange(60) / 5)
    for k in range(60):
        states[:, k + 1] = a @ states[:, k] + b @ inputs[:, k]
    found_a, found_b = fit_with_control(states[:, :-1], states[:, 1:], inputs)
    np.testing.assert_allclose(found_a, a, atol=1e-13)
    np.testing.assert_allclose(found_b, b, atol=1e-13)
    blind = least_squares_fit(states[:, :-1], states[:, 1:])
    assert np.linalg.norm(blind - a, 2) > 0.05


def test_lists_and_integers_are_taken():
    fit = nuclear_fit([[1, 0], [0, 1]], [[3, 0], [0, 1]], 2)
    np.testing.assert_allclose(fit.operator, [[1, 0], [0, 0]], atol=1e-15)


ONE = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nuclear_fit(ONE, np.ones((2, 4)), 1.0), r"\(2, 3\) and \(2, 4\)"),
        (lambda: nuclear_fit(np.ones(3), ONE, 1.0), "columns"),
        (lambda: nuclear_fit(ONE[:, :0], ONE[:, :0], 1.0), r"none of it 0, got \(2, 0\)"),
        (lambda: nuclear_fit(ONE, np.full((2, 3), np.nan), 1.0), "finite"),
        (lambda: nuclear_fit(np.full((2, 3), np.inf), ONE, 1.0), "finite"),
        (lambda: nuclear_fit(ONE, ONE, 0.0), "use least_squares_fit"),
        (lambda: nuclear_fit(ONE, ONE, np.nan), "finite number above 0, got nan"),
        (lambda: nuclear_fit(ONE, ONE, np.inf), "finite number above 0, got inf"),
        (lambda: nuclear_fit(ONE, ONE, 1.0, method="fista"), "'fista'"),
        (lambda: nuclear_fit(ONE, ONE, 1.0, tolerance=0.0), "tolerance"),
        (lambda: nuclear_fit(ONE, ONE, 1.0, max_iterations=0), "max_iterations"),
        (lambda: nuclear_fit(ONE, ONE, 1.0, check_every=0), "check_every"),
        (lambda: least_squares_fit(ONE, ONE[:, :2]), "same k"),
        (lambda: fit_with_control(ONE, ONE, np.ones((1, 2))), r"\(q, 3\), got \(1, 2\)"),
        (lambda: fit_with_control(ONE, ONE, np.ones(3)), r"\(q, 3\)"),
        (lambda: fit_with_control(ONE, ONE, np.full((1, 3), np.nan)), "finite"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_hankel_operator_is_found_again(n):
    rng = np.random.default_rng(n)
    truth = hankel(rng.normal(size=n), rng.normal(size=n))
    states = rng.normal(size=(n, 3 * n))
    np.testing.assert_allclose(hankel_fit(states, truth @ states), truth, atol=1e-12)


def test_no_hankel_matrix_is_better_than_the_fit():
    rng = np.random.default_rng(0)
    states, successors = rng.normal(size=(2, 4, 30))
    fit = hankel_fit(states, successors)

    def error(operator):
        return np.linalg.norm(successors - operator @ states)

    for k in range(7):
        for size in (-1e-3, 1e-3):
            unit = size * np.eye(7)[k]
            assert error(fit + hankel(unit[:4], unit[3:])) > error(fit)


def test_a_hankel_matrix_is_square():
    with pytest.raises(
        ValueError, match=r"same shape, got \(3, 5\) and \(4, 5\); a Hankel matrix is square"
    ):
        hankel_fit(np.ones((3, 5)), np.ones((4, 5)))
