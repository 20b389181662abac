r"""A box of equal cells: trajectories to tokens and back.

Each axis runs from the minimum to the maximum of the training trajectories and is cut into
N equal cells; a state becomes the number of its cell, a token becomes the centre of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from dynlib.tokens.windows import check_tokens


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
        for name in ("low", "high", "occupied"):  # copies that stay, since cells are kept
            array = np.array(getattr(self, name))
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.n_cells < 1:
            raise ValueError(f"n_cells must be at least 1, got {self.n_cells}")
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            raise ValueError(f"the box must be finite, got {self.low} to {self.high}")
        if not (np.asarray(self.low) < np.asarray(self.high)).all():
            raise ValueError(
                f"each axis of the box needs low < high, got {self.low} to {self.high}; "
                "an axis on which the data are constant cannot be cut into cells"
            )
        finest = 4 * np.spacing(np.maximum(np.abs(self.low), np.abs(self.high)))
        if (self.cell_size < finest).any():
            axis = int(np.argmin(self.cell_size / finest))
            raise ValueError(
                f"the {self.n_cells} cells of axis {axis}, from {self.low[axis]} to "
                f"{self.high[axis]}, are finer than numbers there ({finest[axis]:.1e} at least); "
                "subtract the mean first, or take fewer cells"
            )

    @classmethod
    def fit(cls, trajectories: np.ndarray, n_cells: int, vocabulary: str = "occupied") -> Grid:
        """Lay the grid over training trajectories.

        Parameters
        ----------
        trajectories : numpy.ndarray
            Training data, shape (..., d).
        n_cells : int
            Cells per axis.
        vocabulary : str
            ``"occupied"``: a token for each cell that the data visit. ``"grid"``: a token
            for each of the N**d cells, as the paper counts them.

        Raises
        ------
        ValueError
            For impossible sizes, constant axes, data that are not finite, or another
            `vocabulary`.
        """
        if vocabulary not in ("occupied", "grid"):
            raise ValueError(f"vocabulary must be 'occupied' or 'grid', got {vocabulary!r}")
        states = np.asarray(trajectories, dtype=np.float64)
        if states.ndim < 2:
            raise ValueError(
                f"trajectories must have shape (..., d), got {states.shape}; one coordinate "
                "measured T times is series[:, None]"
            )
        states = states.reshape(-1, states.shape[-1])
        grid = cls(states.min(axis=0), states.max(axis=0), int(n_cells), np.empty(0, np.int64))
        if vocabulary == "grid":
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

    def indices(self, states: np.ndarray) -> np.ndarray:
        """Integer coordinates of the cells of states inside the box, shape (..., d)."""
        scaled = (states - self.low) / (self.high - self.low) * self.n_cells
        return np.minimum(np.floor(scaled).astype(np.int64), self.n_cells - 1)

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
        if unseen not in ("refuse", "nearest"):
            raise ValueError(f"unseen must be 'refuse' or 'nearest', got {unseen!r}")
        states = np.asarray(states, dtype=np.float64)
        if states.shape[-1:] != (self.dim,):
            raise ValueError(f"states must have shape (..., {self.dim}), got {states.shape}")
        if not np.isfinite(states).all():
            raise ValueError("states must be finite; drop orbits that diverge before encoding")
        inside = ((states >= self.low) & (states <= self.high)).all(axis=-1)
        clipped = np.clip(states, self.low, self.high)
        flat = self._flat(self.indices(clipped))
        tokens = np.minimum(np.searchsorted(self.occupied, flat), self.vocabulary - 1)
        missing = ~inside | (self.occupied[tokens] != flat)
        if missing.any():
            if unseen == "refuse":
                first = states[missing][0]
                raise ValueError(
                    f"{int(missing.sum())} of {missing.size} states lie outside the box or in "
                    f"cells never seen in training, the first {first.tolist()} (box "
                    f"{self.low.tolist()} to {self.high.tolist()}); pass unseen='nearest' to map "
                    "them to the nearest seen cell"
                )
            tokens[missing] = self._tree.query(states[missing])[1]
        return tokens

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Cell centres, shape (..., d), of tokens of shape (...,).

        Raises
        ------
        ValueError
            If a token is not in [0, V).
        """
        tokens = np.asarray(tokens)
        check_tokens(tokens, self.vocabulary)
        return self.centres[tokens]
