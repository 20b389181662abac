"""Cells: properties that hold for every grid, and every way to be outside of one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dynlib.tokens.grid import Grid


@st.composite
def data_and_cells(draw):
    n, d = draw(st.integers(2, 40)), draw(st.integers(1, 3))
    # Coordinates on a lattice: differences below rounding would be tests of rounding.
    states = draw(arrays(np.int64, (n, d), elements=st.integers(-1000, 1000))) / 8.0
    states[0], states[1] = states.min(axis=0) - 1.0, states.max(axis=0) + 1.0
    return states, draw(st.integers(1, 60))


@settings(max_examples=200, deadline=None)
@given(data_and_cells())
def test_round_trips(case):
    states, n_cells = case
    grid = Grid.fit(states, n_cells)
    tokens = grid.encode(states)
    np.testing.assert_array_equal(grid.encode(grid.decode(tokens)), tokens)
    distance = np.linalg.norm(grid.decode(tokens) - states, axis=1)
    assert (distance <= grid.half_diagonal * (1 + 1e-9)).all()
    assert set(tokens) == set(range(grid.vocabulary))


@settings(max_examples=50, deadline=None)
@given(data_and_cells())
def test_the_full_vocabulary_numbers_the_same_cells(case):
    states, n_cells = case
    n_cells = min(n_cells, 20)
    occupied, full = Grid.fit(states, n_cells), Grid.fit(states, n_cells, "grid")
    assert full.vocabulary == n_cells ** states.shape[1]
    np.testing.assert_array_equal(full.encode(states), occupied.occupied[occupied.encode(states)])


def test_cells_agree_with_numpy_histogram(henon_states, henon_grid, henon_tokens):
    counts, *_ = np.histogramdd(
        henon_states.reshape(-1, 2),
        bins=20,
        range=np.stack([henon_grid.low, henon_grid.high], axis=1),
    )
    ours = np.zeros((20, 20))
    ours[tuple(henon_grid.cells.T)] = np.bincount(henon_tokens.ravel())
    np.testing.assert_array_equal(ours, counts)


def test_unseen_states_are_refused_or_mapped(henon_grid):
    outside, empty_cell = np.array([5.0, 0.0]), henon_grid.centres[0] + [0.0, 0.2]
    for state in (outside, empty_cell):
        with pytest.raises(ValueError, match="unseen='nearest'"):
            henon_grid.encode(state[None])
        token = henon_grid.encode(state[None], unseen="nearest")[0]
        distances = np.linalg.norm(henon_grid.centres - state, axis=1)
        assert token == distances.argmin()


def test_the_box_holds_its_own_edges(henon_grid):
    grid = Grid(np.zeros(2), np.ones(2), 4, np.arange(16))
    assert grid.encode(np.array([[0, 0], [1, 1], [0.25, 0]])).tolist() == [0, 15, 4]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Grid.fit(np.zeros((5, 2)), 3), "constant"),
        (lambda: Grid.fit(np.eye(2), 0), "n_cells"),
        (lambda: Grid.fit(np.eye(2), 3, "all"), "'all'"),
        (lambda: Grid.fit(np.array([[0.0], [np.nan]]), 3), "finite"),
        (lambda: Grid.fit(np.eye(2), 3).encode(np.ones((2, 3))), r"\(\.\.\., 2\)"),
        (lambda: Grid.fit(np.eye(2), 3).encode(np.full((1, 2), np.inf)), "finite"),
        (lambda: Grid.fit(np.eye(2), 3).encode(np.eye(2), unseen="ignore"), "'ignore'"),
        (lambda: Grid.fit(np.eye(2), 3).decode(np.array([2])), "from 0 to 1, got 2"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_series_without_an_axis_for_coordinates_is_refused():
    with pytest.raises(
        ValueError, match=r"shape \(\.\.\., T, d\), got \(50,\); .*series\[:, None\]"
    ):
        Grid.fit(np.linspace(0, 1, 50), 5)


def test_cells_do_not_change_with_the_arrays_that_they_came_from():
    low, high, occupied = np.zeros(2), np.ones(2), np.arange(4)
    grid = Grid(low, high, 2, occupied)
    low[:], occupied[:] = 0.4, 3
    np.testing.assert_array_equal(grid.centres[0], [0.25, 0.25])
    with pytest.raises(ValueError, match="read-only"):
        grid.high[0] = 5.0


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_tokens_do_not_depend_on_where_the_data_lie(offset):
    # Multiples of 2^-10 are exact at 1e8 too, so that the cells are the same.
    states = np.random.default_rng(0).integers(0, 2**10, (3, 500, 2)) / 2**10
    near, far = Grid.fit(states, 7), Grid.fit(states + offset, 7)
    np.testing.assert_array_equal(near.encode(states), far.encode(states + offset))
    outside = near.encode(states + 3, unseen="nearest")
    np.testing.assert_array_equal(outside, far.encode(states + 3 + offset, unseen="nearest"))


def test_cells_finer_than_numbers_there_are_refused():
    states = np.linspace(0, 1e-6, 50)[:, None]
    assert Grid.fit(states, 20).vocabulary == 20
    assert Grid.fit(states + 1.0, 20).vocabulary == 20
    with pytest.raises(ValueError, match=r"20 cells of axis 0.* finer than numbers .* fewer cells"):
        Grid.fit(states + 1e8, 20)


def test_what_a_grid_keeps_cannot_be_changed():
    grid = Grid(np.zeros(2), np.ones(2), 2, np.arange(4))
    for kept in (grid.cells, grid.centres):
        with pytest.raises(ValueError, match="read-only"):
            kept[0] = 7


def test_trajectories_of_unequal_length_are_one_cloud():
    states = np.random.default_rng(0).normal(size=(50, 2))
    for parts in ([states[:7], states[7:20], states[20:]], [states.tolist()[:49], states[49:]]):
        for vocabulary in ("occupied", "grid"):
            found, expected = (Grid.fit(each, 6, vocabulary) for each in (parts, states))
            np.testing.assert_array_equal(found.occupied, expected.occupied)
            np.testing.assert_array_equal(found.centres, expected.centres)
    with pytest.raises(ValueError, match=r"each of trajectories must have shape \(T, d\)"):
        Grid.fit([states, states[0]], 6)
    with pytest.raises(ValueError, match="same coordinates"):
        Grid.fit([states[:3], states[:, :1]], 6)


@pytest.mark.parametrize("n_cells", [2.7, 2.0, "2", True, 10**30])
def test_a_number_of_cells_is_a_whole_number(n_cells):
    with pytest.raises((TypeError, ValueError), match=r"n_cells must be a whole number .* got .*;"):
        Grid.fit(np.eye(2), n_cells)


def test_more_cells_than_can_be_counted_are_refused():
    states = np.random.default_rng(0).normal(size=(9, 7))
    with pytest.raises(ValueError, match=r"at most 2\*\*62, got 1000\*\*7; take fewer"):
        Grid.fit(states, 1000)
    with pytest.raises(ValueError, match="at most 64 GiB"):
        Grid.fit(states[:, :4], 1000, "grid")


@pytest.mark.parametrize(
    ("dim", "n_cells"), [(1, 5), (2, 37), (3, 35), (3, 3000), (6, 1200), (2, 10**9)]
)
def test_tokens_are_the_formula_to_the_last_bit(dim, n_cells):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4000, dim)).cumsum(axis=0)
    grid = Grid.fit(data, n_cells)
    edges = grid.low + grid.cell_size * rng.integers(0, n_cells + 1, size=(500, dim))
    states = np.concatenate([data, edges.clip(grid.low, grid.high)])
    cells = np.floor((states - grid.low) / (grid.high - grid.low) * n_cells).astype(np.int64)
    flat = np.ravel_multi_index(tuple(np.minimum(cells, n_cells - 1).T), (n_cells,) * dim)
    seen = np.isin(flat, grid.occupied)
    assert seen[: len(data)].all()
    expected = np.searchsorted(grid.occupied, flat[seen])
    np.testing.assert_array_equal(grid.encode(states[seen]), expected)
    for state in states[~seen][:5]:
        with pytest.raises(ValueError, match="must lie in the box and in cells seen in training"):
            grid.encode(state)


def test_one_state_has_one_number():
    grid = Grid.fit(np.array([[0.0, 0.0], [1.0, 2.0], [0.2, 0.3]]), 2)
    assert grid.encode(np.array([0.1, 0.2])) == 0
    assert grid.encode(np.array([9.0, 9.0]), unseen="nearest") == 1
    assert grid.encode(np.empty((3, 0, 2))).shape == (3, 0)


@pytest.mark.parametrize("unseen", ["refuse", "nearest"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_state_that_is_not_finite_has_no_token(value, unseen):
    grid = Grid.fit(np.array([[0.0, 0.0], [1.0, 2.0]]), 2)
    with pytest.raises(ValueError, match=r"states must be finite, got .* at index \(1, 0\)"):
        grid.encode(np.array([[0.1, 0.1], [value, 0.1], [0.1, 0.1]]), unseen=unseen)
