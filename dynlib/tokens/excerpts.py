"""Pieces of test trajectories, to be continued and compared with what follows them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dynlib.dynamics.checks import check_array, check_count, check_draw, check_tokens
from dynlib.dynamics.flows import TimeMap
from dynlib.tokens.grid import Grid
from dynlib.tokens.shadowing import Shadows, find_shadows
from dynlib.training import parallel


@dataclass(frozen=True)
class Excerpts:
    """Pieces of trajectories, as states and as tokens.

    Parameters
    ----------
    states : numpy.ndarray
        Shape (n, T, d).
    tokens : numpy.ndarray
        Shape (n, T).
    origin : numpy.ndarray
        The trajectory that each piece was cut from, (n,).
    trajectories : int
        How many there were to cut from.
    """

    states: np.ndarray
    tokens: np.ndarray
    origin: np.ndarray
    trajectories: int

    @classmethod
    def cut(
        cls,
        states: np.ndarray,
        tokens: np.ndarray,
        n: int,
        length: int,
        *,
        first: int,
        rng: np.random.Generator,
    ) -> Excerpts:
        """Cut `n` pieces at random times, from one trajectory after the other.

        Parameters
        ----------
        states, tokens : numpy.ndarray
            Trajectories, (M, T, d) and (M, T).
        n, length : int
            Number of pieces and their length.
        first : int
            Earliest time at which one begins.
        rng : numpy.random.Generator
            Draws the times.

        Raises
        ------
        ValueError
            If the trajectories are too short, or `tokens` are not those of `states`.
        """
        check_array("states", states, ("M", "T", "d"), allow="any")
        states, remedy = np.asarray(states), "tokens are grid.encode(states)"
        check_tokens("tokens", tokens, states.shape[:2], vocabulary=None, remedy=remedy)
        check_draw(n, rng)
        check_count("first", first, least=0, most=states.shape[1] - 1)
        longest = states.shape[1] - first
        remedy = "use longer trajectories or shorter pieces"
        check_count("length", length, most=longest, remedy=remedy)
        tokens = np.asarray(tokens)
        origin = np.arange(n) % len(states)
        times = rng.integers(first, first + longest - length + 1, n)[:, None] + np.arange(length)
        place = origin[:, None], times
        return cls(states[place], tokens[place], origin, len(states))

    def shadows(
        self, system: TimeMap, grid: Grid, k: int, exponent: float, **options: int
    ) -> list[Shadows]:
        """True trajectories that begin with the same `k` tokens, for every piece.

        As :func:`dynlib.tokens.shadowing.find_shadows`, with the number of the piece as seed.
        Threads share the pieces, as many as :func:`dynlib.training.parallel.default_workers`
        gives; how many changes no digit.
        """

        def of_piece(c: int) -> Shadows:
            return find_shadows(system, grid, self.states[c, 0], k, exponent, seed=c, **options)

        first = of_piece(0)  # what it compiles serves all threads
        with ThreadPoolExecutor(parallel.default_workers()) as pool:
            return [first, *pool.map(of_piece, range(1, len(self.states)))]

    def twins(
        self, system: TimeMap, grid: Grid, k: int, exponent: float, *, samples: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Another true trajectory that begins with the same `k` tokens, for every piece.

        Parameters
        ----------
        system, grid, k, exponent, samples
            As for :func:`dynlib.tokens.shadowing.find_shadows`.

        Returns
        -------
        states : numpy.ndarray
            Shape of `states`; the piece itself where no other was found.
        found : numpy.ndarray
            Whether another was found, (n,).
        """
        shadows = self.shadows(system, grid, k, exponent, samples=samples, wanted=1)
        last = np.stack([each.initial[-1] for each in shadows])
        found = np.array([each.accepted > 0 for each in shadows])
        return system.orbits(last, self.states.shape[1]), found

    def parts(self, n: int) -> list[np.ndarray]:
        """Indices of the pieces from each of `n` disjoint groups of trajectories, or fewer.

        There are no more groups than trajectories that a piece was cut from.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> cut = Excerpts.cut(np.zeros((4, 9, 3)), np.zeros((4, 9), int), 6, 5, first=0, rng=rng)
        >>> [part.tolist() for part in cut.parts(2)]
        [[0, 1, 4, 5], [2, 3]]
        """
        check_count("n", n)
        used = min(self.trajectories, len(self.origin))  # one trajectory after the other
        groups = np.array_split(np.arange(used), min(n, used))
        return [np.flatnonzero(np.isin(self.origin, group)) for group in groups]
