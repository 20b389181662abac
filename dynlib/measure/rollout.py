r"""How far a rollout stays with the truth: errors by step, their mean, and the valid time.

A rollout is the states that a model predicts from its own predictions. Its step k, counted from
1, is scored against the truth at step k; the start itself is not predicted and not scored.
"""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import check_alike, check_array, check_count, check_number


@np.errstate(over="ignore")  # an enormous error is infinite, as it should be
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
    _check_forecast(prediction, truth)
    squared = _squared_differences(prediction, truth)
    return squared.mean(axis=-1)


@np.errstate(over="ignore")
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
    _check_errors(errors)
    check_count("steps", steps, most=np.shape(errors)[1], remedy="roll out further for more")
    return np.asarray(errors)[:, :steps].mean(axis=1)


@np.errstate(over="ignore")
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
    check_number("spread", spread, above=0, remedy="spread(states) measures it")
    check_number("dt", dt, above=0)
    check_number("exponent", exponent, above=0, remedy="count in another time where it is not")
    check_number("threshold", threshold, above=0, remedy="such as 0.4, a share of the spread")
    _check_forecast(prediction, truth)
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
    check_array("states", states, (..., "n", "d"), scale=True)
    states = np.asarray(states, dtype=np.float64)
    states = states.reshape(-1, states.shape[-1])
    return float(np.sqrt(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean()))


def failures(prediction: np.ndarray) -> int:
    """Number of rollouts, of shape (starts, steps, d), that are not finite throughout.

    Examples
    --------
    >>> failures(np.array([[[0.0], [1.0]], [[1.0], [np.inf]]]))
    1
    """
    check_array("prediction", prediction, ("starts", "steps", "d"), allow="any")
    return int((~np.isfinite(prediction).all(axis=(1, 2))).sum())


def _squared_differences(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Squared differences (starts, steps, d), all of a step infinite if one is not finite."""
    prediction, truth = (np.asarray(s, dtype=np.float64) for s in (prediction, truth))
    finite = np.isfinite(prediction).all(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):  # of a finite, enormous prediction: infinite, as it should
        return np.where(finite, (np.where(finite, prediction, 0) - truth) ** 2, np.inf)


def _check_forecast(prediction: np.ndarray, truth: np.ndarray) -> None:
    axes = ("starts", "steps", "d")
    check_array("prediction", prediction, axes, allow="any")
    check_array("truth", truth, axes, scale=True)
    check_alike(
        ("prediction", "truth"), prediction, truth,
        remedy="step k of the one is scored against step k of the other, so leave the start out of "
        "both",
    )  # fmt: skip


def _check_errors(errors: np.ndarray) -> None:
    remedy = "they come from step_errors"
    check_array("errors", errors, ("starts", "steps"), allow="infinite", remedy=remedy)
    if (np.asarray(errors) < 0).any():
        raise ValueError(f"errors must be 0 or more, got {np.min(errors)}; {remedy}")
