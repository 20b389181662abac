r"""Polynomial one-step maps by least squares: the simplest rival of a network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import numpy as np

from dynlib.dynamics.checks import check_alike, check_array, check_count, check_is, check_varies
from dynlib.measure.forecaster import last_states


@dataclass(frozen=True)
class Monomials:
    r"""All monomials of some coordinates up to a degree, by degree, then in the order of a word.

    For x, y and degree 2: 1, x, y, x², xy, y². That is the order of scikit-learn and pysindy.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    degree : int
        Largest sum of exponents, from 1 to 9.

    Raises
    ------
    ValueError
        If a number is impossible.

    Examples
    --------
    >>> Monomials(2, 2)(np.array([[2.0], [3.0]])).ravel()
    array([1., 2., 3., 4., 6., 9.])
    >>> Monomials(3, 2).names("xyz")
    ['1', 'x', 'y', 'z', 'x2', 'xy', 'xz', 'y2', 'yz', 'z2']
    """

    dim: int
    degree: int

    def __post_init__(self) -> None:
        check_count("dim", self.dim)
        remedy = "in double precision higher powers add nothing to lower ones"
        check_count("degree", self.degree, most=9, remedy=remedy)

    def __len__(self) -> int:
        return comb(self.dim + self.degree, self.dim)

    def __call__(self, coordinates: np.ndarray) -> np.ndarray:
        """Monomials of shape (n, ...) of coordinates of shape (dim, ...)."""
        if np.shape(coordinates)[:1] != (self.dim,):
            raise ValueError(
                f"coordinates must have shape ({self.dim}, ...), got {np.shape(coordinates)}; "
                "move the axis of coordinates to the front"
            )
        values = np.empty((len(self), *coordinates.shape[1:]))
        values[0] = 1
        # x_i times the monomials of one degree less that begin with x_i or a later coordinate:
        # in this order they are the last comb(dim - i + degree - 2, degree - 1) of them.
        end = 1
        for degree in range(1, self.degree + 1):
            lower = end
            for i, coordinate in enumerate(coordinates):
                size = comb(self.dim - i + degree - 2, degree - 1)
                np.multiply(coordinate, values[lower - size : lower], out=values[end : end + size])
                end += size
        return values

    def names(self, coordinates: str | list[str]) -> list[str]:
        """Names of the monomials, given those of the coordinates."""
        self._check_names(coordinates)
        names = []
        for degree in range(self.degree + 1):
            for word in combinations_with_replacement(range(self.dim), degree):
                powers = [(coordinates[i], word.count(i)) for i in sorted(set(word))]
                names.append("".join(c + (str(p) if p > 1 else "") for c, p in powers) or "1")
        return names

    def _check_names(self, coordinates: str | list[str]) -> None:
        check_is("coordinates", coordinates, (str, list, tuple), "names", "such as 'xyz'")
        for each in coordinates:
            check_is("each of coordinates", each, str, "a name", "write it in quotes")
        if len(coordinates) != self.dim:
            raise ValueError(
                f"coordinates must be {self.dim} names, got {coordinates!r}; give one each"
            )


@dataclass(frozen=True)
class PolynomialMap:
    r"""A map whose increments are polynomials of the state.

    .. math:: x_{t+\Delta t} = x_t + C \, m\!\left(\frac{x_t - \mu}{s}\right)

    with the monomials m up to a degree of the standardised state. Use :meth:`fit`.

    Parameters
    ----------
    monomials : Monomials
        The monomials.
    mean, scale : numpy.ndarray
        :math:`\mu` and s, shape (dim,), in state units.
    coefficients : numpy.ndarray
        C, shape (dim, number of monomials), in state units.

    Examples
    --------
    >>> states = np.linspace(-1, 1, 9)[:, None]
    >>> fit = PolynomialMap.fit(states, 1 - 2 * states**2, degree=2)
    >>> fit.parameters, fit.rollout(np.array([[[0.5]]]), 3).round(6).ravel()
    (3, array([0.5, 0.5, 0.5]))

    References
    ----------
    Gauthier et al. (2021), Nat. Commun. 12, 5564, without delays: there a polynomial of the
    state, by ridge regression, rivals recurrent networks on the Lorenz system.
    """

    monomials: Monomials
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray

    @classmethod
    def fit(cls, states: np.ndarray, successors: np.ndarray, degree: int) -> PolynomialMap:
        r"""Least squares for :math:`x_{t+\Delta t} - x_t` over all pairs, in float64.

        Parameters
        ----------
        states, successors : numpy.ndarray
            States and what follows them, shape (M, dim) each: from
            :func:`dynlib.dynamics.pairs.pairs`.
        degree : int
            Of the polynomials, 1 to 9.

        Returns
        -------
        PolynomialMap
            The fitted map.

        Raises
        ------
        ValueError
            For shapes that do not match, values that are not finite, a constant coordinate,
            fewer pairs than monomials, or an impossible degree.
        """
        _check_pairs(states, successors)
        x, y = (np.asarray(s, dtype=np.float64) for s in (states, successors))
        monomials = Monomials(x.shape[1], degree)
        if len(x) < len(monomials):
            raise ValueError(
                f"pairs must be as many as the {len(monomials)} monomials of degree {degree} in "
                f"{x.shape[1]} coordinates, or more, got {len(x)}; lower the degree"
            )
        mean, scale = x.mean(axis=0), x.std(axis=0)
        features = monomials(((x - mean) / scale).T)
        # An orthogonal change of the M pairs alters nothing: n + dim of them are enough.
        triangle: Any  # an array; numpy's stubs leave out what mode="r" returns
        triangle = np.linalg.qr(np.concatenate([features, (y - x).T]).T, mode="r")
        left, right = triangle[:, : len(monomials)], triangle[:, len(monomials) :]
        norms = np.linalg.norm(left, axis=0)
        rounding = np.finfo(np.float64).eps * len(x)
        solution = np.linalg.lstsq(left / norms, right, rcond=rounding)[0]
        return cls(monomials, mean, scale, (solution / norms[:, None]).T)

    @property
    def parameters(self) -> int:
        """Number of coefficients, dim times the number of monomials."""
        return self.coefficients.size

    @property
    def flops(self) -> int:
        r"""Operations of one step, :math:`2d + (M - 1 - d) + 2dM`.

        To standardise d coordinates, to multiply up the M monomials beyond 1 and the coordinates,
        and to add their combinations to the state.
        """
        d, m = len(self.mean), len(self.monomials)
        return 2 * d + (m - 1 - d) + 2 * d * m

    def step(self, states: np.ndarray) -> np.ndarray:
        """Successors of states of shape (..., dim)."""
        check_array("states", states, (..., len(self.mean)), scale=True)
        standard = np.moveaxis((states - self.mean) / self.scale, -1, 0)
        return states + np.moveaxis(
            np.tensordot(self.coefficients, self.monomials(standard), axes=1), 0, -1
        )

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        """Predictions from the map's own predictions, from all starts at once.

        Parameters
        ----------
        windows, n_steps
            As for :meth:`dynlib.measure.forecaster.Forecaster.rollout`; only the last state of a
            window counts.

        Returns
        -------
        numpy.ndarray
            States at steps 1 to `n_steps`, shape (S, n_steps, dim). A rollout that grows beyond
            all numbers goes on as infinities and not-a-numbers.
        """
        dim = len(self.mean)
        states = last_states(windows, n_steps, dim)[:, -1]
        states = states.T.copy()  # (dim, S): one matrix product a step
        mean, scale = self.mean[:, None], self.scale[:, None]
        rollout = np.empty((n_steps, dim, states.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(n_steps):
                states = states + self.coefficients @ self.monomials((states - mean) / scale)
                rollout[k] = states
        return rollout.transpose(2, 0, 1)


def _check_pairs(states: np.ndarray, successors: np.ndarray) -> None:
    remedy = "pairs(trajectories) cuts trajectories (batch, T, dim) into both"
    for name, part in (("states", states), ("successors", successors)):
        check_array(name, part, ("M", "dim"), scale=True, remedy=remedy)
    check_alike(("states", "successors"), states, successors, remedy=remedy)
    check_varies("states", states)
