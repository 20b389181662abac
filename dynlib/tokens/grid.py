r"""A box of equal cells: trajectories to tokens and back.

Each axis runs from the minimum to the maximum of the training trajectories and is cut into
N equal cells; a state becomes the number of its cell, a token becomes the centre of its cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numba
import numpy as np
from scipy.spatial import KDTree

from dynlib.dynamics.checks import (
    LARGEST,
    check_alike,
    check_array,
    check_choice,
    check_count,
    check_each,
    check_room,
    check_tokens,
)

#: Into how many stretches, 2 to this power, the cells are divided to find their tokens.
STRETCHES = 20


@dataclass(frozen=True)
class Grid:
    r"""An equidistant grid and the vocabulary of cells on it.

    Use :meth:`fit`; the constructor is for grids that are known already.

    Parameters
    ----------
    low, high : numpy.ndarray
        Corners of the box, shape (d,), in state units.
    n_cells : int
        Cells per axis, N.
    occupied : numpy.ndarray
        Flat numbers (C order) of the cells that have a token, sorted, shape (V,).

    Notes
    -----
    A state x lies in cell :math:`c_i = \min(\lfloor N (x_i - l_i) / (h_i - l_i) \rfloor, N-1)`:
    a cell holds its lower edge, the last cell of an axis both edges. A token is the rank of
    its cell in `occupied`. The centre of a cell is at most :attr:`half_diagonal` away from
    every state in it.

    Examples
    --------
    >>> grid = Grid.fit(np.array([[[0.0, 0.0], [1.0, 2.0], [0.2, 0.3]]]), n_cells=2)
    >>> grid.vocabulary, grid.encode(np.array([[0.1, 0.1], [0.9, 1.9]]))
    (2, array([0, 1]))
    >>> grid.decode(np.array([1]))
    array([[0.75, 1.5 ]])

    References
    ----------
    Shalova & Oseledets (2020), "equidistant grid discretization with n segments".
    """

    low: np.ndarray
    high: np.ndarray
    n_cells: int
    occupied: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "n_cells", int(self.n_cells))
        for name in ("low", "high", "occupied"):  # copies that stay, since cells are kept
            array = np.array(getattr(self, name))
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def _check(self) -> None:
        check_count("n_cells", self.n_cells)
        for name in ("low", "high"):
            check_array(name, getattr(self, name), ("d",), scale=True)
        check_alike(("low", "high"), self.low, self.high, remedy="both are corners of one box")
        low, high = (np.asarray(each, dtype=np.float64) for each in (self.low, self.high))
        if not (low < high).all():
            axis = int(np.argmin(low < high))
            raise ValueError(
                f"each axis of the box must have low < high, got {low[axis]} to {high[axis]} on "
                f"axis {axis}; leave out a coordinate that is constant: it cannot be cut into cells"
            )
        cell = (high - low) / self.n_cells
        finest = 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        if (cell < finest).any():
            axis = int(np.argmin(cell / finest))
            raise ValueError(
                f"the {self.n_cells} cells of axis {axis}, from {low[axis]} to {high[axis]}, must "
                f"not be finer than numbers there, {finest[axis]:.1e} at least, got "
                f"{cell[axis]:.1e}; subtract the mean first, or take fewer cells"
            )
        total = int(self.n_cells) ** len(low)
        if total > 2**62:
            raise ValueError(
                f"the cells must be at most 2**62, got {self.n_cells}**{len(low)}; take fewer a "
                "coordinate, or fewer coordinates"
            )
        check_tokens("occupied", self.occupied, ("V",), vocabulary=total)
        if not (np.diff(np.asarray(self.occupied, dtype=np.int64)) > 0).all():
            raise ValueError(
                f"occupied must be sorted, each cell once, got {self.occupied!r}; use np.unique"
            )

    @classmethod
    def fit(
        cls,
        trajectories: np.ndarray | Sequence[np.ndarray],
        n_cells: int,
        vocabulary: str = "occupied",
    ) -> Grid:
        """Lay the grid over training trajectories.

        Parameters
        ----------
        trajectories : numpy.ndarray or sequence of numpy.ndarray
            Training data, shape (..., d), or a list of trajectories (T, d) of unequal length.
        n_cells : int
            Cells per axis.
        vocabulary : str
            ``"occupied"``: a token for each cell that the data visit. ``"grid"``: a token
            for each of the N**d cells, as the paper counts them.

        Raises
        ------
        ValueError
            For data that are constant on an axis or not finite, and impossible sizes.
        """
        check_choice("vocabulary", vocabulary, ("occupied", "grid"))
        _check_trajectories(trajectories)
        states = np.concatenate(trajectories, dtype=np.float64)
        states = states.reshape(-1, np.shape(trajectories[0])[-1])
        grid = cls(states.min(axis=0), states.max(axis=0), n_cells, np.zeros(1, np.int64))
        if vocabulary == "grid":
            check_room("the cells of the grid", grid.n_cells**grid.dim, grid.dim)
            occupied = np.arange(grid.n_cells**grid.dim)
        else:
            occupied = np.unique(grid._flat(grid.indices(states)))
        return cls(grid.low, grid.high, grid.n_cells, occupied)

    @property
    def dim(self) -> int:
        """Number of axes, d."""
        return len(self.low)

    @property
    def vocabulary(self) -> int:
        """Number of tokens, V."""
        return len(self.occupied)

    @property
    def cell_size(self) -> np.ndarray:
        """Edge lengths of a cell, shape (d,), in state units."""
        return (self.high - self.low) / self.n_cells

    @property
    def half_diagonal(self) -> float:
        """Radius of the ball around a cell, in state units (the paper's l_d)."""
        return float(np.linalg.norm(self.cell_size) / 2)

    @cached_property
    def cells(self) -> np.ndarray:
        """Integer coordinates of each token's cell, shape (V, d)."""
        cells = np.stack(np.unravel_index(self.occupied, (self.n_cells,) * self.dim), axis=-1)
        cells.flags.writeable = False
        return cells

    @cached_property
    def centres(self) -> np.ndarray:
        """Centre of each token's cell, shape (V, d), in state units."""
        centres = self.low + (self.cells + 0.5) * self.cell_size
        centres.flags.writeable = False
        return centres

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.centres)

    @cached_property
    def _stretches(self) -> tuple[np.ndarray, int, int]:
        """Where the tokens of each stretch of 2**s cells begin, s, and halvings to find one in it.

        A stretch is one cell where there are few enough.
        """
        cells = self.n_cells**self.dim
        shift = max(0, (cells - 1).bit_length() - STRETCHES)
        ends = np.arange(((cells - 1) >> shift) + 2) << shift
        first = np.searchsorted(self.occupied, ends).astype(np.int32)
        return first[:-1], shift, (int(np.diff(first).max()) - 1).bit_length()

    def indices(self, states: np.ndarray) -> np.ndarray:
        """Integer coordinates of the cells of states, (..., d); outside the box the nearest."""
        _check_states(states, self.dim)
        scaled = (np.clip(states, self.low, self.high) - self.low) / (self.high - self.low)
        return np.minimum(np.floor(scaled * self.n_cells).astype(np.int64), self.n_cells - 1)

    def _flat(self, indices: np.ndarray) -> np.ndarray:
        return np.ravel_multi_index(tuple(np.moveaxis(indices, -1, 0)), (self.n_cells,) * self.dim)

    def encode(self, states: np.ndarray, *, unseen: str = "refuse") -> np.ndarray:
        """Tokens of states.

        Parameters
        ----------
        states : numpy.ndarray
            States of shape (..., d), finite.
        unseen : str
            What to do with a state outside the box or in a cell without a token:
            ``"refuse"`` it, or map it to the ``"nearest"`` cell that has one (by distance
            to the cells' centres).

        Returns
        -------
        numpy.ndarray
            Tokens in [0, V), shape (...,), int64.

        Raises
        ------
        ValueError
            For states that are not finite, of another dimension, or refused.
        """
        check_choice("unseen", unseen, ("refuse", "nearest"))
        _check_states(states, self.dim, allow="any")
        states = np.asarray(states, dtype=np.float64)
        tokens = np.empty(states.shape[:-1], dtype=np.int64)
        flat = np.ascontiguousarray(states).reshape(-1, self.dim)
        box = (self.low.astype(np.float64), self.high.astype(np.float64), self.n_cells)
        missing = _encode(flat, *box, self.occupied, *self._stretches, tokens.reshape(-1))
        if missing:
            _check_states(states, self.dim)  # a state that is not finite has no token
            lost = tokens < 0
            if unseen == "refuse":
                raise ValueError(
                    "states must lie in the box and in cells seen in training, got "
                    f"{states[lost][0].tolist()} ({missing} of {tokens.size} do "
                    f"not; the box is {self.low.tolist()} to {self.high.tolist()}); pass "
                    "unseen='nearest' to map them to the nearest seen cell"
                )
            tokens[lost] = self._tree.query(states[lost])[1]
        return tokens[()]  # one state has a number, not an array

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Cell centres, shape (..., d), of tokens of shape (...,)."""
        check_tokens("tokens", tokens, (...,), vocabulary=self.vocabulary, empty=True)
        return self.centres[np.asarray(tokens, dtype=np.int64)]


@numba.njit(nogil=True)
def _encode(states, low, high, n_cells, occupied, first, shift, halvings, tokens):
    """Write the token of each state (n, d), -1 where there is none; how many have none.

    The flat number of a cell is looked for among the tokens of its stretch, by halving.
    """
    missing, last = 0, len(occupied) - 1
    for b in range(len(states)):
        flat, inside = 0, True
        for i in range(len(low)):
            x = states[b, i]  # NaN counts as the lower edge, and is not inside
            inside = inside & (low[i] <= x) & (x <= high[i])
            scaled = (min(max(low[i], x), high[i]) - low[i]) / (high[i] - low[i]) * n_cells
            flat = flat * n_cells + min(int(scaled), n_cells - 1)
        token = min(first[flat >> shift], last)
        for each in range(halvings):
            ahead = min(token + (1 << (halvings - 1 - each)), last)
            token += (ahead - token) * (occupied[ahead] <= flat)
        seen = inside & (occupied[token] == flat)
        tokens[b] = (token + 1) * seen - 1
        missing += not seen
    return missing


def _check_trajectories(trajectories: np.ndarray | Sequence[np.ndarray]) -> None:
    remedy = "one coordinate measured T times is series[:, None]"
    axes = (..., "T", "d")
    check_each("trajectories", trajectories, axes, check_array, scale=True, remedy=remedy)
    if isinstance(trajectories, (list, tuple)):
        dims = {np.shape(each)[-1:] for each in trajectories}
        if len(dims) > 1:
            raise ValueError(
                f"trajectories must have the same coordinates, got {dims} of them; leave out "
                "those that not all have"
            )


def _check_states(states: np.ndarray, dim: int, *, allow: str = "finite") -> None:
    remedy = f"the last axis holds the {dim} coordinates"
    check_array("states", states, (..., dim), allow=allow, empty=True, remedy=remedy)
    if allow == "any":
        return
    largest = np.abs(np.asarray(states, dtype=np.float64)).max(initial=0.0)
    if largest > LARGEST:
        raise ValueError(
            f"states must be at most {LARGEST} in size, got {largest}; drop orbits that diverge "
            "before encoding"
        )
