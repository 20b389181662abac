"""What several subjects compute with: states, tokens and settings of the runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.tokens.grid import Grid
from workflow.runs.experiments import load

#: Time between two states of the Lorenz system, as in the runs on tokens.
TAU = 0.03


def settings(run: str, preset: str = "cpu") -> dict[str, Any]:
    """The parameters of a run at a preset."""
    return load(preset, [run])[0].parameters


def lorenz(trajectories: int, length: int, *, transient: int = 500, seed: int = 0) -> np.ndarray:
    """States of the Lorenz system, shape (trajectories, length, 3)."""
    flow = Lorenz()
    start = flow.initial_states(trajectories, np.random.default_rng(seed))
    return simulate(TimeMap(flow, TAU), start, length, transient=transient)


@cache
def lorenz_tokens(trajectories: int, length: int, n_cells: int = 20) -> tuple[np.ndarray, Grid]:
    """Tokens of Lorenz trajectories, (trajectories, length), and their grid."""
    states = lorenz(trajectories, length, transient=0)
    grid = Grid.fit(states, n_cells)
    return grid.encode(states), grid


@cache
def henon_tokens(trajectories: int, length: int, n_cells: int = 50) -> tuple[np.ndarray, Grid]:
    """Tokens of orbits of the Hénon map, (trajectories, length), and their grid."""
    system = Henon()
    start = system.initial_states(trajectories, np.random.default_rng(0))
    states = simulate(system, start, length)
    grid = Grid.fit(states, n_cells)
    return grid.encode(states), grid
