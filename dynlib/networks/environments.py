"""One network for many environments: its input is the state and a code of the environment.

Trajectories have shape (E, n, T, d), an environment on the first axis; codes have shape (E, c).
"""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.pairs import pairs
from dynlib.measure.environments import trajectory_errors, with_start
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Pairs
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN


def as_constants(trajectories: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The code of every trajectory's environment, (E n, c).

    Raises
    ------
    ValueError
        If there are not as many codes as environments.
    """
    if np.ndim(trajectories) != 4 or np.ndim(codes) != 2 or len(codes) != len(trajectories):
        raise ValueError(
            "trajectories must have shape (E, n, T, d) and codes (E, c), got "
            f"{np.shape(trajectories)} and {np.shape(codes)}; one environment is trajectories[None]"
        )
    return np.repeat(codes, trajectories.shape[1], axis=0)


def as_pairs(trajectories: np.ndarray, codes: np.ndarray) -> Pairs:
    """Inputs (state, code) and next states of all trajectories.

    Examples
    --------
    >>> inputs, following = as_pairs(np.zeros((10, 3, 20, 2)), np.eye(10))
    >>> inputs.shape, following.shape
    ((570, 12), (570, 2))
    """
    constants = as_constants(trajectories, codes)
    states, following = pairs(trajectories.reshape(-1, *trajectories.shape[2:]))
    repeated = np.repeat(constants, trajectories.shape[2] - 1, axis=0)
    return np.concatenate([states, repeated], axis=1), following


def follow(model: StNN | FFNN, trajectories: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Trajectories that a network predicts from the first states of others, in their shape."""
    constants = as_constants(trajectories, codes)
    environments, n, times, d = trajectories.shape
    following = rollout(model, trajectories[:, :, 0].reshape(-1, d), times - 1, constants)
    return with_start(trajectories[:, :, 0], following.reshape(environments, n, times - 1, d))


def best_code(model: StNN | FFNN, seen: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The code (1, c) of a new environment with the smallest error on its trajectories.

    Parameters
    ----------
    model : StNN or FFNN
        A trained network.
    seen : numpy.ndarray
        Known trajectories of the environment, shape (1, n, T, d).
    candidates : numpy.ndarray
        Codes to try, shape (candidates, c).
    """
    errors = [
        trajectory_errors(follow(model, seen, code[None]), seen).mean() for code in candidates
    ]
    return candidates[np.argmin(errors)][None]
