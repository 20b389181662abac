"""What every method that forecasts a system can do, however it was fitted."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from dynlib.dynamics.checks import check_array, check_count


class Forecaster(Protocol):
    """A fitted model: it continues trajectories, and it says what it holds and what a step costs.

    Nothing inherits from it. A class that has these three names is a forecaster.
    """

    @property
    def parameters(self) -> int:
        """Number of fitted numbers."""

    @property
    def flops(self) -> int:
        """Multiplications and additions of one step; activation functions do not count."""

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """Continue every window by the model's own predictions.

        Parameters
        ----------
        windows : numpy.ndarray
            True states at equal steps, the start last, shape (S, T, dim). A model of the state
            takes the last one; a model with a memory takes as many as it needs.
        n_steps : int
            Number of steps, at least 1.

        Returns
        -------
        numpy.ndarray
            States at steps 1 to `n_steps`, shape (S, n_steps, dim).
        """


def last_states(windows: np.ndarray, n_steps: int, dim: int, count: int = 1) -> np.ndarray:
    """The states of windows from which a forecaster starts.

    Parameters
    ----------
    windows, n_steps
        As for :meth:`Forecaster.rollout`.
    dim : int
        Number of coordinates that the model knows.
    count : int
        How many states it needs of every window; 0 for all.

    Returns
    -------
    numpy.ndarray
        The last `count` states, shape (S, count, dim), float64.

    Raises
    ------
    ValueError
        For another shape, states that are not finite, or fewer than one step.

    Examples
    --------
    >>> last_states(np.arange(6).reshape(1, 3, 2), n_steps=5, dim=2)
    array([[[4., 5.]]])
    """
    check_count("dim", dim)
    check_count("count", count, least=0)
    remedy = f"the last state is the start, and states (S, {dim}) alone are states[:, None]"
    check_array("windows", windows, ("S", "T", dim), allow="any", empty=True, remedy=remedy)
    needed = max(count, 1)
    if np.shape(windows)[1] < needed:
        raise ValueError(
            f"windows must have shape (S, T, {dim}) with T of {needed} or more, got "
            f"{np.shape(windows)}; begin them earlier"
        )
    check_array("windows", windows, ("S", "T", dim), allow="any")
    windows = np.asarray(windows, dtype=np.float64)[:, -count:]
    check_array("windows", windows, ("S", "T", dim))
    check_count("n_steps", n_steps)
    return windows


def forecasts(
    methods: Mapping[str, Sequence[Forecaster]], windows: np.ndarray, n_steps: int
) -> dict[str, np.ndarray]:
    """Forecasts of several methods from the same windows.

    Parameters
    ----------
    methods : mapping of str to sequence of Forecaster
        By name: the models of a method, one a seed.
    windows, n_steps
        As for :meth:`Forecaster.rollout`.

    Returns
    -------
    dict of str to numpy.ndarray
        By the same names, shape (seeds, S, n_steps, dim).
    """
    if not isinstance(methods, Mapping) or not methods or not all(map(len, methods.values())):
        raise ValueError(
            f"methods must be one model or more by the name of its method, got "
            f"{reprlib.repr(methods)}; one model is {{'name': [model]}}"
        )
    return {
        name: np.stack([model.rollout(windows, n_steps) for model in models])
        for name, models in methods.items()
    }
