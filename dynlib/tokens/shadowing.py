r"""The paper's divergence time: how long a generated sentence stays one that a true orbit writes.

A sentence of cells belongs to many orbits. So a continuation is not compared with the one
orbit whose prompt it was given, but with all orbits that can be found whose first k tokens
are the prompt; the longest match counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from dynlib.dynamics.checks import (
    check_array,
    check_count,
    check_is,
    check_number,
    check_room,
    check_seed,
    check_tokens,
)
from dynlib.dynamics.flows import Flow, TimeMap, marcher
from dynlib.tokens.grid import Grid

#: Orbits of a cloud that are followed side by side; their states stay in the nearer caches.
TOGETHER = 2048


@dataclass(frozen=True)
class Shadows:
    """True orbits that begin with a prompt.

    `initial` are the states at the prompt's first token, shape (n, d), the prompt's own orbit
    first; `rate` is the share of the first cloud that was accepted, `clouds` the number of
    clouds drawn. The prompt's own orbit is not counted as accepted. `drawn` says how many states
    had been drawn when each was, (n,), 0 for the prompt's own.
    """

    initial: np.ndarray
    rate: float
    clouds: int
    drawn: np.ndarray

    @property
    def accepted(self) -> int:
        """Number of orbits found besides the prompt's own."""
        return len(self.initial) - 1

    def continuations(self, system: TimeMap, grid: Grid, k: int, horizon: int) -> np.ndarray:
        """Tokens (n, horizon) that follow the first k of each orbit."""
        check_map(system, grid)
        check_count("k", k)
        check_count("horizon", horizon)
        states = system.orbits(self.initial, k + horizon)[:, k:]
        return grid.encode(states, unseen="nearest")


def find_shadows(
    system: TimeMap,
    grid: Grid,
    start: np.ndarray,
    k: int,
    exponent: float,
    *,
    samples: int = 200_000,
    wanted: int = 20,
    seed: int = 0,
) -> Shadows:
    r"""Orbits near a state that begin in the same k cells, by rejection from a Gaussian cloud.

    .. math:: x \sim \mathcal N(x_0, \delta^2 I), \qquad \delta = l_d\, e^{-\lambda k \tau}

    with :math:`l_d` half the diagonal of a cell. An orbit is dropped at its first wrong
    cell. Where fewer than `wanted` are accepted, the cloud is shrunk by 0.7 and drawn again, up
    to ten times; what was accepted before is kept. Cells are compared, not tokens: one that was
    never seen in training is a cell like any other.

    Parameters
    ----------
    system : TimeMap
        The flow and its :math:`\tau`.
    grid : Grid
        The cells.
    start : numpy.ndarray
        State at the prompt's first token, shape (d,).
    k : int
        Tokens of the prompt that the orbit from `start` writes, at least 1.
    exponent : float
        Largest Lyapunov exponent :math:`\lambda`, per unit of time.
    samples : int
        States drawn a cloud.
    wanted : int
        Orbits to find, besides the prompt's own.
    seed : int
        Seed of the draws.

    Returns
    -------
    Shadows
        The orbits' initial states and how hard they were to find.

    References
    ----------
    Shalova & Oseledets (2020), the algorithm before "We conduct experiments".
    """
    check_map(system, grid)
    check_array("start", start, (grid.dim,), scale=True, remedy="give one state")
    for name, count in (("k", k), ("samples", samples), ("wanted", wanted)):
        check_count(name, count)
    check_growth(exponent, k, system.tau)
    check_seed("seed", seed)
    check_room("a cloud", samples, grid.dim)
    rng = np.random.default_rng(seed)
    start = np.asarray(start, dtype=np.float64)
    own = system.orbits(start[None], k)[0]
    cells = np.clip(np.floor((own - grid.low) / grid.cell_size), 0, grid.n_cells - 1)
    h = system.tau / system.substeps
    survive = _survivors(system.flow)
    edges = (grid.low, grid.cell_size, grid.n_cells)

    def accepted(states: np.ndarray) -> np.ndarray:
        kept = np.zeros(len(states), dtype=np.bool_)
        survive(states, cells, *edges, h, system.substeps, kept)
        return np.flatnonzero(kept)

    spread = grid.half_diagonal * np.exp(-exponent * k * system.tau)
    found, drawn, rate = [start[None]], [np.zeros(1, np.int64)], 0.0
    for cloud in range(11):
        states = start + spread * 0.7**cloud * rng.standard_normal((samples, grid.dim))
        kept = accepted(states)
        found.append(states[kept])
        drawn.append(cloud * samples + kept + 1)
        if cloud == 0:
            rate = len(found[-1]) / samples
        if sum(map(len, found)) > wanted:
            break
    return Shadows(np.concatenate(found), rate, cloud + 1, np.concatenate(drawn))


def longest_match(orbits: np.ndarray, generated: np.ndarray) -> int:
    """Tokens of `generated` (T,) that the best of `orbits` (n, T) writes before differing.

    Examples
    --------
    >>> longest_match(np.array([[1, 2, 3], [1, 2, 4]]), np.array([1, 2, 4]))
    3
    """
    check_orbits("orbits", orbits)
    check_tokens("generated", generated, np.shape(orbits)[1:], vocabulary=None, empty=True)
    orbits, generated = np.asarray(orbits), np.asarray(generated)
    differs = np.concatenate([orbits != generated, np.ones((len(orbits), 1), bool)], axis=1)
    return int(differs.argmax(axis=1).max())


def divergence_steps(orbits: Sequence[np.ndarray], generated: np.ndarray) -> np.ndarray:
    """Steps that each continuation in `generated` (C, T) matches one of its prompt's orbits.

    `orbits` holds, for each of the C prompts, the tokens (n, T) of the true trajectories found.
    """
    check_sets("orbits", orbits)
    check_tokens("generated", generated, (len(orbits), "T"), vocabulary=None, empty=True)
    return np.array([longest_match(o, g) for o, g in zip(orbits, generated, strict=True)])


def true_divergence_steps(orbits: Sequence[np.ndarray]) -> np.ndarray:
    """The same for one of the orbits found, against all the others; NaN where there is no other.

    A generator that always wrote a true trajectory would reach this.
    """
    check_sets("orbits", orbits)
    return np.array(
        [longest_match(np.delete(o, 1, axis=0), o[1]) if len(o) > 1 else np.nan for o in orbits]
    )


def check_map(system: TimeMap, grid: Grid) -> None:
    """Raise for what is not the map of a flow, or a grid in other coordinates than it."""
    check_is("system", system, TimeMap, "the map of a flow", "use TimeMap(flow, tau)")
    check_is("grid", grid, Grid, "a Grid", "use Grid.fit(trajectories, n_cells)")
    if system.dim != grid.dim:
        raise ValueError(
            f"grid must have the {system.dim} coordinates of the system, got {grid.dim}; fit it to "
            "trajectories of this system"
        )


def check_growth(exponent: float, k: int, tau: float) -> None:
    """Raise for an exponent by which distances grow, or shrink, beyond what numbers hold."""
    check_number("exponent", exponent)
    if abs(exponent) * k * tau > 700:
        raise ValueError(
            f"exponent must be at most {700 / (k * tau):.3g} in size for {k} tokens, got "
            f"{exponent}; give it per unit of time, or take fewer tokens"
        )


def check_orbits(name: str, orbits: np.ndarray) -> None:
    """Raise for what is not tokens (n, T) of one orbit or more."""
    check_tokens(name, orbits, ("n", "T"), vocabulary=None, empty=True)
    if not len(orbits):
        raise ValueError(f"{name} must be one or more, got none; leave out a prompt without any")


def check_sets(name: str, orbits: Any) -> None:
    """Raise for what is not a list of tokens (n, T), one array a prompt."""
    if isinstance(orbits, (str, bytes)) or not isinstance(orbits, (Sequence, np.ndarray)):
        raise TypeError(
            f"{name} must be a list of arrays, one a prompt, got {type(orbits).__name__}; one "
            f"prompt alone is [{name}]"
        )
    if not len(orbits):
        raise ValueError(f"{name} must be of one prompt or more, got none; leave this out")
    for each in orbits:
        check_orbits(f"each of {name}", each)


@lru_cache
def _survivors(flow: Flow) -> Callable[..., None]:
    """Compiled: marks the states whose orbits visit the given cells."""
    march, dim = marcher(flow), flow.dim

    @numba.njit(nogil=True, error_model="numpy")  # threads share the prompts
    def survive(states, cells, low, size, n_cells, h, substeps, kept):
        x, right = np.empty((dim, TOGETHER)), np.empty(TOGETHER, np.bool_)
        which = np.empty(TOGETHER, np.int64)  # the state that each column began as
        for begin in range(0, len(states), TOGETHER):
            n = min(TOGETHER, len(states) - begin)
            for b in range(n):
                which[b] = begin + b
                for i in range(dim):
                    x[i, b] = states[begin + b, i]
            for t in range(len(cells)):
                right[:n] = True
                for i in range(dim):
                    row, edge, length, cell = x[i], low[i], size[i], cells[t, i]
                    for b in range(n):
                        place = np.floor((row[b] - edge) / length)
                        right[b] &= max(0.0, min(place, n_cells - 1.0)) == cell
                left = 0
                for b in range(n):  # the next column is written over one in a wrong cell
                    which[left] = which[b]
                    for i in range(dim):
                        x[i, left] = x[i, b]
                    left += right[b]
                n = left
                march(x, n, h, substeps)
            for b in range(n):
                kept[which[b]] = True

    return survive
