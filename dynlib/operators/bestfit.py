r"""Operators fitted to snapshots: by nuclear norm, by least squares, with and without control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dynlib.dynamics.checks import (
    check_alike,
    check_array,
    check_choice,
    check_count,
    check_number,
)
from dynlib.operators.hankel import Hankel


@dataclass(frozen=True)
class BestFit:
    r"""A minimiser of :func:`nuclear_fit` and the proof that it is one.

    Parameters
    ----------
    operator : numpy.ndarray
        The operator H, shape (m, n).
    objective : float
        Value of the minimised function.
    gap : float
        Duality gap over the objective: the minimum is at most this share lower.
    iterations : int
        Steps taken.
    converged : bool
        Whether the gap came below the tolerance.
    dual : numpy.ndarray
        The certificate, shape (m, k): a feasible point of the dual problem whose value is
        `objective` times one minus `gap`.
    history : numpy.ndarray
        Relative gap after every step that measured it, rows (iteration, gap).
    """

    operator: np.ndarray
    objective: float
    gap: float
    iterations: int
    converged: bool
    dual: np.ndarray
    history: np.ndarray

    @property
    def rank(self) -> int:
        """Number of singular values above 1e-9 of the largest; 0 for the zero operator."""
        values = np.linalg.svd(self.operator, compute_uv=False)
        return int((values > 1e-9 * max(values[0], 1e-300)).sum())


def largest_penalty(states: np.ndarray, successors: np.ndarray) -> float:
    r"""The smallest penalty whose minimiser is zero, :math:`\mu_{max} = \lVert X'X^T\rVert_2`."""
    x, y = _snapshots(states, successors)
    return float(np.linalg.norm(y @ x.T, 2))


def shrink(matrix: np.ndarray, threshold: float | np.floating) -> np.ndarray:
    r"""Lower all singular values by a threshold, to zero at least.

    .. math:: U (\Sigma - \mu)_+ V^T
              = \arg\min_H \tfrac12 \lVert H - M \rVert_F^2 + \mu \lVert H \rVert_*

    References
    ----------
    Cai, Candès & Shen (2010), SIAM J. Optim. 20, 1956-1982, theorem 2.1.
    """
    check_array("matrix", matrix, ("m", "n"), scale=True)
    check_number("threshold", threshold, least=0)
    return _shrunk(np.asarray(matrix, dtype=np.float64), threshold)


def _shrunk(matrix: np.ndarray, threshold: float | np.floating) -> np.ndarray:
    u, values, v = np.linalg.svd(matrix, full_matrices=False)
    return (u * np.maximum(values - threshold, 0)) @ v


def nuclear_fit(
    states: np.ndarray,
    successors: np.ndarray,
    penalty: float,
    *,
    method: str = "restart",
    tolerance: float = 1e-10,
    max_iterations: int = 100_000,
    check_every: int = 10,
) -> BestFit:
    r"""The best-fit operator of Proposition 3.1.

    .. math:: \min_H\; \tfrac12 \lVert X' - HX \rVert_F^2 + \mu \lVert H \rVert_*

    Every step follows the gradient and shrinks the singular values,

    .. math:: H_{k+1} = S_{\mu/L}\big(Z_k - \tfrac1L (Z_k X - X') X^T\big),
              \qquad L = \lVert X \rVert_2^2,

    where :math:`Z_k = H_k` is the paper's equation (8), and the accelerated methods
    extrapolate from the last two iterates. It stops when the duality gap is small enough: with
    the residual :math:`R = X' - HX` and :math:`s = \min(1, \mu/\lVert RX^T\rVert_2)` the dual
    point sR proves that no operator is better by more than the gap.

    Parameters
    ----------
    states, successors : numpy.ndarray
        Snapshots X of shape (n, k) and what follows them, X', of shape (m, k).
    penalty : float
        :math:`\mu > 0`; zero is the least-squares fit, :func:`least_squares_fit`. From
        :func:`largest_penalty` on the minimiser is zero.
    method : str
        ``"plain"`` (equation 8), ``"accelerated"`` (Nesterov's momentum) or ``"restart"``
        (which drops the momentum whenever it points uphill).
    tolerance : float
        Relative duality gap at which to stop.
    max_iterations : int
        Steps at most.
    check_every : int
        Steps between two looks at the gap.

    Returns
    -------
    BestFit
        With `converged` False if the steps ran out.

    Raises
    ------
    ValueError
        For shapes that do not match, values that are not finite, or a penalty, method or
        number that is impossible.

    Examples
    --------
    >>> fit = nuclear_fit(np.eye(2), np.diag([3.0, 1.0]), penalty=2.0)
    >>> fit.operator.round(6) + 0.0
    array([[1., 0.],
           [0., 0.]])

    References
    ----------
    Ji & Ye (2009), ICML; O'Donoghue & Candès (2015), Found. Comput. Math. 15, 715-732
    (restart); Aluvihare et al. (2025), Proposition 3.1.
    """
    x, y = _snapshots(states, successors)
    check_number("penalty", penalty, above=0, remedy="without one use least_squares_fit")
    check_choice("method", method, ("plain", "accelerated", "restart"))
    check_number("tolerance", tolerance, above=0)
    check_count("max_iterations", max_iterations)
    check_count("check_every", check_every)
    # An orthogonal change of the k columns alters nothing: at most n + m of them are needed.
    triangle: Any  # an array or None; numpy's stubs leave out what mode="r" returns
    triangle = np.linalg.qr(np.concatenate([x, y]).T, mode="r") if x.shape[1] > 1 else None
    short = triangle is not None and triangle.shape[0] < x.shape[1]
    xs, ys = (triangle.T[: len(x)], triangle.T[len(x) :]) if short else (x, y)
    gram, cross = xs @ xs.T, ys @ xs.T
    lipschitz = np.linalg.norm(gram, 2) or 1.0

    operator = ahead = np.zeros((len(y), len(x)))
    momentum, history = 1.0, []
    for iteration in range(1, max_iterations + 1):
        gradient = ahead @ gram - cross
        latest = _shrunk(ahead - gradient / lipschitz, penalty / lipschitz)
        if method == "plain":
            ahead = latest
        elif method == "restart" and ((ahead - latest) * (latest - operator)).sum() > 0:
            momentum, ahead = 1.0, latest
        else:
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = latest + (momentum - 1) / following * (latest - operator)
            momentum = following
        operator = latest
        if iteration % check_every == 0 or iteration == max_iterations:
            objective, gap, _ = _certificate(xs, ys, operator, penalty)
            history.append((iteration, gap))
            if gap <= tolerance:
                break
    objective, gap, dual = _certificate(x, y, operator, penalty)
    return BestFit(
        operator, objective, gap, iteration, history[-1][1] <= tolerance, dual, np.array(history)
    )


def _certificate(
    x: np.ndarray, y: np.ndarray, operator: np.ndarray, penalty: float
) -> tuple[float, float, np.ndarray]:
    """Objective, relative duality gap and the dual point."""
    residual = y - operator @ x
    nuclear = np.linalg.svd(operator, compute_uv=False).sum()
    objective = 0.5 * (residual**2).sum() + penalty * nuclear
    steepest = np.linalg.norm(residual @ x.T, 2)
    dual = min(1.0, penalty / steepest) * residual if steepest > 0 else residual
    lower = (dual * y).sum() - 0.5 * (dual**2).sum()
    return float(objective), float((objective - lower) / (objective or 1.0)), dual


def least_squares_fit(states: np.ndarray, successors: np.ndarray) -> np.ndarray:
    r"""The operator of dynamic mode decomposition, :math:`X' X^+`.

    Examples
    --------
    >>> least_squares_fit(np.eye(2), np.diag([3.0, 1.0]))
    array([[3., 0.],
           [0., 1.]])
    """
    x, y = _snapshots(states, successors)
    return np.linalg.lstsq(x.T, y.T, rcond=None)[0].T


def hankel_fit(states: np.ndarray, successors: np.ndarray) -> np.ndarray:
    """The Hankel matrix with the smallest error: least squares for its anti-diagonals.

    Examples
    --------
    >>> hankel_fit(np.eye(2), np.array([[3.0, 1.0], [1.0, 0.0]])).round(6) + 0.0
    array([[3., 1.],
           [1., 0.]])
    """
    x, y = _snapshots(states, successors)
    check_alike(("states", "successors"), x, y, remedy="a Hankel matrix is square")
    units = torch.eye(2 * len(x) - 1, dtype=torch.float64)
    basis = [Hankel(unit).dense().numpy() for unit in units]
    design = np.stack([(each @ x).ravel() for each in basis], axis=1)
    return np.tensordot(np.linalg.lstsq(design, y.ravel(), rcond=None)[0], basis, 1)


def fit_with_control(
    states: np.ndarray, successors: np.ndarray, inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Dynamic mode decomposition with control: state and input matrices at once.

    .. math:: x_{k+1} = A x_k + B u_k, \qquad [A\; B] = X' \begin{bmatrix} X \\ U \end{bmatrix}^+

    Parameters
    ----------
    states, successors : numpy.ndarray
        Snapshots of shape (n, k), and what follows them.
    inputs : numpy.ndarray
        Inputs at the same times, shape (q, k).

    Returns
    -------
    state_matrix : numpy.ndarray
        A, shape (n, n).
    input_matrix : numpy.ndarray
        B, shape (n, q).

    Examples
    --------
    >>> x, u = np.array([[1.0, 2.0, 0.0]]), np.array([[0.0, 1.0, 1.0]])
    >>> a, b = fit_with_control(x, 2 * x + 3 * u, u)
    >>> a.round(6), b.round(6)
    (array([[2.]]), array([[3.]]))

    References
    ----------
    Proctor, Brunton & Kutz (2016), SIAM J. Appl. Dyn. Syst. 15, 142-161; Aluvihare et al.
    (2025), equation (9).
    """
    x, y = _snapshots(states, successors)
    check_array("inputs", inputs, ("q", x.shape[1]), scale=True, remedy="give one a snapshot")
    u = np.asarray(inputs, dtype=np.float64)
    both = least_squares_fit(np.concatenate([x, u]), y)
    return both[:, : len(x)], both[:, len(x) :]


def _snapshots(states: np.ndarray, successors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _check_snapshots(states, successors)
    x, y = (np.asarray(s, dtype=np.float64) for s in (states, successors))
    return x, y


def _check_snapshots(states: np.ndarray, successors: np.ndarray) -> None:
    remedy = "snapshots are columns, one after the other"
    check_array("states", states, ("n", "k"), scale=True, remedy=remedy)
    check_array("successors", successors, ("m", "k"), scale=True, remedy=remedy)
    if np.shape(states)[1] != np.shape(successors)[1]:
        raise ValueError(
            "snapshots must be columns: states (n, k) and successors (m, k) with the same k >= 1, "
            f"got {np.shape(states)} and {np.shape(successors)}; leave the last state out"
        )
