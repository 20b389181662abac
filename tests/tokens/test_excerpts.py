"""Pieces of trajectories stand where their origin has them, and their shadows begin like them."""

import threading

import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.tokens import excerpts
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.grid import Grid
from dynlib.tokens.shadowing import find_shadows

SYSTEM = TimeMap(Lorenz(), 0.03)


@pytest.fixture(scope="module")
def lorenz():
    start = Lorenz().initial_states(3, np.random.default_rng(0))
    states = simulate(SYSTEM, start, 400, transient=300)
    grid = Grid.fit(states, 10)
    return states, grid, grid.encode(states)


def cut(lorenz, n=7, length=30, first=20, seed=1):
    states, _, tokens = lorenz
    return Excerpts.cut(states, tokens, n, length, first=first, rng=np.random.default_rng(seed))


def test_pieces_are_pieces_of_their_trajectory(lorenz):
    states, grid, _ = lorenz
    pieces = cut(lorenz)
    assert pieces.origin.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert pieces.states.shape == (7, 30, 3)
    np.testing.assert_array_equal(pieces.tokens, grid.encode(pieces.states))
    begins = []
    for piece, row in zip(pieces.states, pieces.origin, strict=True):
        (begin,) = np.flatnonzero((states[row] == piece[0]).all(axis=1))
        np.testing.assert_array_equal(states[row, begin : begin + 30], piece)
        begins.append(begin)
    assert min(begins) >= 20
    assert len(set(begins)) > 1


def test_every_place_that_fits_is_drawn(lorenz):
    states, _, _ = lorenz
    pieces = cut(lorenz, n=300, length=398, first=1)
    begins = {int((states[0] == each[0]).all(axis=1).argmax()) for each in pieces.states[::3]}
    assert begins == {1, 2}


def test_parts_come_from_disjoint_trajectories(lorenz):
    pieces = cut(lorenz)
    parts = pieces.parts(2)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(7))
    assert set(pieces.origin[parts[0]]) == {0, 1}
    assert set(pieces.origin[parts[1]]) == {2}


def test_shadows_are_those_of_every_first_state(lorenz):
    _, grid, _ = lorenz
    pieces = cut(lorenz, n=3)
    found = pieces.shadows(SYSTEM, grid, 5, 0.9, samples=300, wanted=1)
    for seed, (each, path) in enumerate(zip(found, pieces.states, strict=True)):
        alone = find_shadows(SYSTEM, grid, path[0], 5, 0.9, samples=300, wanted=1, seed=seed)
        np.testing.assert_array_equal(each.initial, alone.initial)


@pytest.mark.parametrize("workers", ["2", "20"])
def test_shadows_do_not_depend_on_the_number_of_workers(lorenz, monkeypatch, workers):
    _, grid, _ = lorenz
    found = []
    for each in ("1", workers):
        monkeypatch.setenv("DYNLIB_WORKERS", each)
        found.append(cut(lorenz).shadows(SYSTEM, grid, 5, 0.9, samples=300))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.initial, other.initial)
        assert (one.rate, one.clouds) == (other.rate, other.clouds)


def test_workers_find_shadows_at_the_same_time(lorenz, monkeypatch):
    """After the first piece each waits until another is being looked for."""
    together = threading.Barrier(2, timeout=60)

    def find(*arguments, seed):
        return seed, seed and together.wait() < 2

    monkeypatch.setattr(excerpts, "find_shadows", find)
    monkeypatch.setenv("DYNLIB_WORKERS", "2")
    _, grid, _ = lorenz
    found = cut(lorenz).shadows(SYSTEM, grid, 5, 0.9)
    assert found == [(0, 0), *((seed, True) for seed in range(1, 7))]


def test_a_twin_writes_the_same_prompt_and_then_leaves(lorenz):
    _, grid, _ = lorenz
    pieces = cut(lorenz, n=4, length=200)
    twins, found = pieces.twins(SYSTEM, grid, 5, 0.9, samples=300)
    assert twins.shape == pieces.states.shape
    assert found.all()
    np.testing.assert_array_equal(grid.indices(twins[:, :5]), grid.indices(pieces.states[:, :5]))
    assert (np.linalg.norm(twins[:, 0] - pieces.states[:, 0], axis=-1) > 0).all()
    assert np.linalg.norm(twins[:, -1] - pieces.states[:, -1], axis=-1).max() > 1


def test_a_piece_without_a_twin_is_its_own(lorenz):
    """No other start keeps to 190 cells: each piece stands for itself, and is marked."""
    _, grid, _ = lorenz
    pieces = cut(lorenz, n=2, length=200)
    twins, found = pieces.twins(SYSTEM, grid, 190, 0.0, samples=10)
    assert not found.any()
    np.testing.assert_allclose(twins[:, :20], pieces.states[:, :20], rtol=1e-9)


def test_pieces_that_do_not_fit_are_refused(lorenz):
    states, _, tokens = lorenz
    with pytest.raises(ValueError, match=r"length must be .* to 399, got 400; use longer"):
        cut(lorenz, length=400, first=1)
    with pytest.raises(ValueError, match=r"shape \(3, 400\), got \(2, 400\); .*encode"):
        cut((states, None, tokens[:2]))
