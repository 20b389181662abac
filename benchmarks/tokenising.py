"""States to tokens and back, against what NumPy offers."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import Bench, Different, check_close, check_share, seconds_of
from benchmarks.data import lorenz
from dynlib.tokens.grid import Grid
from workflow.book.speed import clock


def edges(grid: Grid) -> list[np.ndarray]:
    """Where the cells of each axis begin and end."""
    return [
        np.linspace(low, high, grid.n_cells + 1)
        for low, high in zip(grid.low, grid.high, strict=True)
    ]


def by_unique(states: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and the centres of their cells, by digitize and unique."""
    cells = [np.digitize(states[:, axis], inner[1:-1]) for axis, inner in enumerate(edges(grid))]
    shape = (grid.n_cells,) * grid.dim
    occupied, tokens = np.unique(np.ravel_multi_index(cells, shape), return_inverse=True)
    places = np.stack(np.unravel_index(occupied, shape), axis=-1)
    return tokens, (grid.low + (places + 0.5) * grid.cell_size)[tokens]


def check_tokens(ours: tuple, theirs: tuple) -> None:
    """Equal but for states on an edge of a cell, where rounding decides."""
    check_share(ours[0], theirs[0], 1 - 1e-6)
    same = ours[0] == theirs[0]
    check_close(ours[1][same][::97], theirs[1][same][::97], 1e-12)


def measure(bench: Bench) -> None:
    n = bench.size(10_000_000, 3000)
    states = lorenz(n // 1000, 1000).reshape(-1, 3)
    grid = Grid.fit(states, bench.size(35, 6))

    def ours() -> tuple[np.ndarray, np.ndarray]:
        tokens = grid.encode(states)
        return tokens, grid.decode(tokens)

    bench.compare(
        f"tokens of {n} states, and back", "np.digitize, np.unique",
        ours, lambda: by_unique(states, grid), check_tokens,
        aim=5.0, seconds=10, note="ours knows the cells, np.unique finds them",
    )  # fmt: skip

    box = list(zip(grid.low, grid.high, strict=True))

    def check_counts(mine: np.ndarray, theirs: np.ndarray) -> None:
        if mine.sum() != n or theirs.sum() != n:
            raise Different("some states are in no cell")
        check_close(mine, theirs.ravel()[grid.occupied], 1e-5)

    bench.compare(
        f"how many of {n} states are in each cell", "np.histogramdd",
        lambda: np.bincount(grid.encode(states), minlength=grid.vocabulary),
        lambda: np.histogramdd(states, grid.n_cells, box)[0],
        check_counts, aim=5.0, seconds=8, limit=reading(states),
    )  # fmt: skip


def reading(states: np.ndarray) -> str:
    """How long it takes to read the states alone."""
    read = clock(seconds_of(states.sum))
    return (
        "ours writes a token a state and counts these afterwards, where the peer counts cells "
        f"directly; to read the states once, as NumPy's sum does, takes {read}"
    )
