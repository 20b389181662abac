r"""How far a rollout stays with the truth: errors by step, their mean, and the valid time.

A rollout is the states that a model predicts from its own predictions. Its step k, counted from
1, is scored against the truth at step k; the start itself is no prediction and is not scored.
"""

from __future__ import annotations

import numpy as np


def step_errors(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    r"""Squared error of every step of every rollout.

    .. math:: e_{sk} = \frac1d \sum_{i=1}^{d} (\hat x_{ski} - x_{ski})^2

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        States at the same times, shape (starts, steps, d), in state units. The truth is finite;
        a prediction that is not counts as infinitely wrong.

    Returns
    -------
    numpy.ndarray
        :math:`e_{sk}`, shape (starts, steps), in squared state units; infinite where the
        prediction is not finite.

    Raises
    ------
    ValueError
        If the shapes differ, an axis is empty, or the truth is not finite.

    Examples
    --------
    >>> step_errors(np.array([[[1.0, 3.0], [np.nan, 0.0]]]), np.zeros((1, 2, 2)))
    array([[ 5., inf]])
    """
    squared = _squared_differences(prediction, truth)
    return squared.mean(axis=-1)


def accumulated_mse(errors: np.ndarray, steps: int) -> np.ndarray:
    r"""Mean error of the first steps of every rollout.

    .. math:: E_s = \frac1K \sum_{k=1}^{K} e_{sk}

    Parameters
    ----------
    errors : numpy.ndarray
        From :func:`step_errors`, shape (starts, steps).
    steps : int
        K, at least 1 and at most the number of steps.

    Returns
    -------
    numpy.ndarray
        One number a start, shape (starts,); infinite where one of the K errors is.

    Raises
    ------
    ValueError
        If `errors` has another shape or fewer steps than K.

    Examples
    --------
    >>> accumulated_mse(np.array([[1.0, 3.0, 100.0]]), 2)
    array([2.])
    """
    if np.ndim(errors) != 2:
        raise ValueError(
            f"errors must have shape (starts, steps), got {np.shape(errors)}; they come from "
            "step_errors"
        )
    available = np.shape(errors)[1]
    if not 1 <= steps <= available:
        raise ValueError(
            f"steps must be from 1 to {available}, the length of the rollouts, got {steps}; "
            "roll out further for more"
        )
    return np.asarray(errors)[:, :steps].mean(axis=1)


def valid_time(
    prediction: np.ndarray,
    truth: np.ndarray,
    spread: float,
    dt: float,
    exponent: float,
    threshold: float = 0.4,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Time until a rollout has left the truth, in Lyapunov times.

    .. math:: t_s = \lambda \, \Delta t \,
              \min\{k \ge 1 : \lVert \hat x_{sk} - x_{sk} \rVert_2 > c \, \sigma\}

    A rollout that never leaves gets the horizon, :math:`\lambda \Delta t` times the number of
    steps, and is marked as censored: its valid time is at least that.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        States at the same times, shape (starts, steps, d), in state units.
    spread : float
        :math:`\sigma`, RMS distance of the attractor from its mean: :func:`spread`.
    dt : float
        Time between two steps, :math:`\Delta t`.
    exponent : float
        Largest Lyapunov exponent :math:`\lambda` per unit of time.
    threshold : float
        Share c of the spread that counts as having left.

    Returns
    -------
    times : numpy.ndarray
        :math:`t_s`, shape (starts,).
    censored : numpy.ndarray
        Whether the rollout never left, shape (starts,).

    Raises
    ------
    ValueError
        If the shapes differ, the truth is not finite, or a number is not positive.

    Examples
    --------
    >>> truth = np.zeros((2, 3, 1))
    >>> prediction = np.array([[[0.1], [0.5], [0.0]], [[0.1], [0.2], [0.3]]])
    >>> times, censored = valid_time(prediction, truth, spread=1.0, dt=0.1, exponent=2.0)
    >>> times, censored
    (array([0.4, 0.6]), array([False,  True]))

    References
    ----------
    Pathak et al. (2018), Chaos 28, 041101: the time at which a normalised error first exceeds a
    threshold. The threshold is a convention.
    """
    for name, value in (("spread", spread), ("dt", dt), ("exponent", exponent)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be a positive number, got {value}")
    if not 0 < threshold < np.inf:
        raise ValueError(
            f"threshold must be a positive share of the spread, such as 0.4, got {threshold}"
        )
    squared = _squared_differences(prediction, truth)
    left = np.sqrt(squared.sum(axis=-1)) > threshold * spread
    censored = ~left.any(axis=1)
    steps = np.where(censored, left.shape[1], left.argmax(axis=1) + 1)
    return steps * (dt * exponent), censored


def spread(states: np.ndarray) -> float:
    r"""Root mean square distance of states from their mean.

    .. math:: \sigma = \sqrt{\big\langle \lVert x - \langle x \rangle \rVert_2^2 \big\rangle}

    Parameters
    ----------
    states : numpy.ndarray
        States of an attractor, shape (..., d).

    Returns
    -------
    float
        :math:`\sigma`, in state units.

    Raises
    ------
    ValueError
        If there are no states, or some are not finite.

    Examples
    --------
    >>> spread(np.array([[3.0, 4.0], [-3.0, -4.0]]))
    5.0
    """
    states = np.asarray(states, dtype=np.float64)
    if states.ndim < 2 or not states.size or not np.isfinite(states).all():
        raise ValueError(
            "the spread is that of finite states (..., d), at least one of them, got shape "
            f"{states.shape}{'' if np.isfinite(states).all() else ' with values not finite'}"
        )
    states = states.reshape(-1, states.shape[-1])
    return float(np.sqrt(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean()))


def failures(prediction: np.ndarray) -> int:
    """Number of rollouts, of shape (starts, steps, d), that are not finite throughout.

    Examples
    --------
    >>> failures(np.array([[[0.0], [1.0]], [[1.0], [np.inf]]]))
    1
    """
    if np.ndim(prediction) != 3:
        raise ValueError(
            f"prediction must have shape (starts, steps, d), got {np.shape(prediction)}; one "
            "rollout is prediction[None]"
        )
    return int((~np.isfinite(prediction).all(axis=(1, 2))).sum())


def _squared_differences(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Squared differences (starts, steps, d), all of a step infinite if one is not finite."""
    prediction, truth = (np.asarray(s, dtype=np.float64) for s in (prediction, truth))
    if prediction.shape != truth.shape or truth.ndim != 3 or not truth.size:
        raise ValueError(
            "prediction and truth must have the same shape (starts, steps, d), none of it 0, got "
            f"{prediction.shape} and {truth.shape}; step k of the one is scored against step k "
            "of the other, so leave the start out of both"
        )
    if not np.isfinite(truth).all():
        raise ValueError("the truth must be finite; only a prediction may fail")
    finite = np.isfinite(prediction).all(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):  # of a finite, enormous prediction: infinite, as it should
        return np.where(finite, (np.where(finite, prediction, 0) - truth) ** 2, np.inf)
