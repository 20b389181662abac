"""One network for many environments: its input is the state and a code of the environment.

Trajectories have shape (E, n, T, d), an environment on the first axis; codes have shape (E, c).
"""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import check_array
from dynlib.dynamics.pairs import pairs
from dynlib.measure.environments import trajectory_errors, with_start
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import Pairs
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN


def as_constants(trajectories: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The code of every trajectory's environment, (E n, c)."""
    check_array("trajectories", trajectories, ("E", "n", "T", "d"))
    remedy = "there is one code an environment"
    check_array("codes", codes, (len(trajectories), "c"), remedy=remedy)
    return np.repeat(np.asarray(codes, dtype=np.float64), np.shape(trajectories)[1], axis=0)


def as_pairs(trajectories: np.ndarray, codes: np.ndarray) -> Pairs:
    """Inputs (state, code) and next states of all trajectories.

    Examples
    --------
    >>> inputs, following = as_pairs(np.zeros((10, 3, 20, 2)), np.eye(10))
    >>> inputs.shape, following.shape
    ((570, 12), (570, 2))
    """
    constants = as_constants(trajectories, codes)
    trajectories = np.asarray(trajectories, dtype=np.float64)
    states, following = pairs(trajectories.reshape(-1, *trajectories.shape[2:]))
    repeated = np.repeat(constants, trajectories.shape[2] - 1, axis=0)
    return np.concatenate([states, repeated], axis=1), following


def follow(model: StNN | FFNN, trajectories: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Trajectories that a network predicts from the first states of others, in their shape."""
    constants = as_constants(trajectories, codes)
    trajectories = np.asarray(trajectories, dtype=np.float64)
    environments, n, times, d = trajectories.shape
    following = rollout(model, trajectories[:, :, 0].reshape(-1, d), times - 1, constants)
    return with_start(trajectories[:, :, 0], following.reshape(environments, n, times - 1, d))


def best_code(model: StNN | FFNN, seen: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Of candidates (k, c), the code (1, c) with the least error on an environment (1, n, T, d)."""
    check_array("seen", seen, (1, "n", "T", "d"), scale=True)
    check_array("candidates", candidates, ("candidates", "c"))
    candidates = np.asarray(candidates, dtype=np.float64)
    errors = [
        trajectory_errors(follow(model, seen, code[None]), seen).mean() for code in candidates
    ]
    return candidates[np.argmin(errors)][None]
