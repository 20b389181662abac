"""Shadows against a brute-force twin on all samples, and matches against a naive loop."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from dynlib.dynamics.flows import Flow, TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.tokens.grid import Grid
from dynlib.tokens.shadowing import (
    Shadows,
    divergence_steps,
    find_shadows,
    longest_match,
    true_divergence_steps,
)

SYSTEM = TimeMap(Lorenz(), 0.03)


@dataclass(frozen=True)
class Rotation(Flow):
    """A turn of the plane: no two orbits ever part."""

    dim: ClassVar[int] = 2

    def equations(self):
        return lambda x, y: (y, -x)


@pytest.fixture(scope="module")
def lorenz():
    """A grid of 20 cells per axis (all of them tokens) and states of which 200 steps stay in it."""
    initial = Lorenz().initial_states(10, np.random.default_rng(0))
    training = simulate(SYSTEM, initial, 2000, transient=500)
    grid = Grid.fit(training, 20, "grid")
    return grid, training[:, 700]


def cells_by_edges(states, grid):
    """Which cell of each axis, by looking for the edges between cells."""
    edges = np.linspace(grid.low, grid.high, grid.n_cells + 1)
    return np.stack(
        [
            np.searchsorted(edges[1:-1, i], states[..., i], side="right")
            for i in range(states.shape[-1])
        ],
        axis=-1,
    )


def brute_force(start, grid, k, exponent, samples, wanted, seed):
    """The paper's algorithm with every orbit simulated to its end."""
    rng = np.random.default_rng(seed)
    own = cells_by_edges(SYSTEM.orbits(start[None], k), grid)
    delta = np.linalg.norm((grid.high - grid.low) / grid.n_cells) / 2
    delta *= np.exp(-exponent * k * SYSTEM.tau)
    kept, rates = [], []
    while len(rates) < 11 and len(kept) < wanted:
        states = start + delta * 0.7 ** len(rates) * rng.standard_normal((samples, 3))
        right = (cells_by_edges(SYSTEM.orbits(states, k), grid) == own).all(axis=(1, 2))
        kept.extend(states[right])
        rates.append(right.mean())
    return np.array([start, *kept]), rates[0], len(rates)


@pytest.mark.parametrize(("k", "samples", "wanted"), [(1, 300, 5), (10, 500, 20), (60, 400, 20)])
def test_acceptance_agrees_with_brute_force(lorenz, k, samples, wanted):
    grid, starts = lorenz
    clouds = []
    for seed, start in enumerate(starts):
        found = find_shadows(SYSTEM, grid, start, k, 0.9, samples=samples, wanted=wanted, seed=seed)
        initial, rate, n = brute_force(start, grid, k, 0.9, samples, wanted, seed)
        np.testing.assert_allclose(found.initial, initial, rtol=1e-14)
        assert (found.rate, found.clouds) == (rate, n)
        assert found.accepted == len(initial) - 1
        clouds.append(n)
    assert max(clouds) > 1 or k == 1  # clouds did shrink
    assert min(clouds) < 11


def test_accepted_orbits_write_the_prompt(lorenz):
    grid, starts = lorenz
    for start in starts:
        found = find_shadows(SYSTEM, grid, start, 40, 0.9, samples=2000)
        assert found.accepted >= 20
        np.testing.assert_array_equal(found.initial[0], start)
        assert (found.initial[1:] != start).any(axis=1).all()
        tokens = grid.encode(simulate(SYSTEM, found.initial, 40))
        np.testing.assert_array_equal(tokens, np.tile(tokens[0], (len(tokens), 1)))
        # So near each other that they all write it, they part later: the test is of chaos.
        later = found.continuations(SYSTEM, grid, 40, 300)
        assert (later != later[0]).any()


def test_a_cell_never_seen_in_training_is_a_cell_like_any_other(lorenz):
    """Acceptance compares cells; which of them have tokens changes nothing."""
    _, starts = lorenz
    seen = Grid.fit(simulate(SYSTEM, starts[:1], 300), 20)
    every = Grid(seen.low, seen.high, 20, np.arange(20**3))
    unseen = 0
    for start in starts[1:]:
        found, same = (
            find_shadows(SYSTEM, grid, start, 30, 0.9, samples=500) for grid in (seen, every)
        )
        np.testing.assert_array_equal(found.initial, same.initial)
        assert found.accepted >= 20
        # The cell at the edge of the box is the nearest one to a state beyond it.
        cells = every.encode(simulate(SYSTEM, found.initial, 30), unseen="nearest")
        np.testing.assert_array_equal(cells, np.tile(cells[0], (len(cells), 1)))
        unseen += not np.isin(cells[0], seen.occupied).all()
    assert unseen > 0


@pytest.mark.parametrize("side", [-1, 1])
def test_beyond_the_box_is_its_outermost_cell_on_either_side(side):
    """As for Grid.encode, to which the cell at the box's edge is the nearest one."""
    grid = Grid(-np.ones(2), np.ones(2), 4, np.arange(16))
    system, start = TimeMap(Rotation(), 0.1), side * np.array([1.001, 0.1])
    found = find_shadows(system, grid, start, 3, 0.0, samples=400, wanted=1, seed=1)
    states = start + grid.half_diagonal * np.random.default_rng(1).standard_normal((400, 2))
    tokens = grid.encode(system.orbits(np.concatenate([start[None], states]), 3), unseen="nearest")
    same = np.flatnonzero((tokens == tokens[0]).all(axis=1))
    assert found.accepted == len(same) - 1 > 10
    np.testing.assert_array_equal(found.drawn, same)


def test_the_prompts_own_orbit_is_not_counted():
    alone = Shadows(np.zeros((1, 3)), 0.0, 11, np.zeros(1, int))
    assert alone.accepted == 0
    # A prompt of 400 tokens in 20 samples: nothing is found, and all eleven clouds are drawn.
    grid = Grid(np.full(3, -60.0), np.full(3, 60.0), 4000, np.arange(1))
    found = find_shadows(SYSTEM, grid, np.array([1.0, 2.0, 20.0]), 400, 0.0, samples=20)
    assert (found.accepted, found.rate, found.clouds) == (0, 0.0, 11)
    np.testing.assert_array_equal(found.initial, [[1.0, 2.0, 20.0]])


def test_clouds_are_gaussian_and_shrink():
    """One cell that holds everything accepts every draw, so that the draws can be looked at."""
    grid, start = Grid(np.full(3, -100.0), np.full(3, 100.0), 1, np.arange(1)), np.ones(3)
    found = find_shadows(SYSTEM, grid, start, 2, 100.0, samples=3000, wanted=10**9, seed=4)
    assert (found.accepted, found.rate, found.clouds) == (33_000, 1.0, 11)
    np.testing.assert_array_equal(found.drawn, np.arange(33_001))
    delta = np.sqrt(3) * 100 * np.exp(-100.0 * 2 * 0.03)
    clouds = (found.initial[1:] - start).reshape(11, 3000, 3)
    for i, cloud in enumerate(clouds):
        p = [stats.kstest(axis, "norm", args=(0, delta * 0.7**i)).pvalue for axis in cloud.T]
        assert min(p) > 1e-3
    assert np.abs(np.corrcoef(clouds[0].T) - np.eye(3)).max() < 0.1
    few = find_shadows(SYSTEM, grid, start, 2, 100.0, samples=3000, wanted=3000, seed=4)
    assert few.clouds == 1  # enough is enough


def test_the_seed_decides():
    grid = Grid(np.full(3, -100.0), np.full(3, 100.0), 1, np.arange(1))
    one, same, other = (
        find_shadows(SYSTEM, grid, np.ones(3), 2, 9.0, samples=5, seed=s).initial for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one[1:] != other[1:]).all()


def test_continuations_are_what_follows_the_prompt(lorenz):
    grid, starts = lorenz
    shadows = Shadows(starts[:4], 1.0, 1, np.arange(4))
    path = simulate(SYSTEM, starts[:4], 110)
    tokens = shadows.continuations(SYSTEM, grid, 30, 80)
    assert tokens.shape == (4, 80)
    np.testing.assert_array_equal(tokens, grid.encode(path[:, 30:], unseen="nearest"))


@st.composite
def sentences(draw):
    n, length = draw(st.integers(1, 5)), draw(st.integers(0, 12))
    tokens = st.integers(0, 2)  # few tokens, so that matches are long
    return (
        draw(arrays(np.int64, (n, length), elements=tokens)),
        draw(arrays(np.int64, length, elements=tokens)),
    )


def naive_match(orbits, generated):
    """The same by counting aloud."""
    best = 0
    for orbit in orbits:
        length = 0
        while length < len(generated) and orbit[length] == generated[length]:
            length += 1
        best = max(best, length)
    return best


@settings(max_examples=300, deadline=None)
@given(sentences())
def test_longest_match_is_the_naive_one(case):
    orbits, generated = case
    assert longest_match(orbits, generated) == naive_match(orbits.tolist(), generated.tolist())


@settings(max_examples=50, deadline=None)
@given(st.lists(sentences(), min_size=1, max_size=4))
def test_divergence_steps_are_matches_condition_by_condition(cases):
    shortest = min(len(generated) for _, generated in cases)
    orbits = [o[:, :shortest] for o, _ in cases]
    generated = np.stack([g[:shortest] for _, g in cases])
    expected = [naive_match(o.tolist(), g.tolist()) for o, g in zip(orbits, generated, strict=True)]
    assert divergence_steps(orbits, generated).tolist() == expected
    # One orbit in place of the generator, never compared with itself.
    for o, steps in zip(orbits, true_divergence_steps(orbits), strict=True):
        if len(o) == 1:
            assert np.isnan(steps)
        else:
            assert steps == naive_match([o[0], *o[2:]], o[1])


def test_an_orbit_of_the_prompt_matches_to_the_horizon(lorenz):
    grid, starts = lorenz
    found = find_shadows(SYSTEM, grid, starts[0], 20, 0.9, samples=2000)
    orbits = found.continuations(SYSTEM, grid, 20, 50)
    assert divergence_steps([orbits] * len(orbits), orbits).tolist() == [50] * len(orbits)
    assert 0 < true_divergence_steps([orbits])[0] <= 50


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"k": 0}, "k must be .* got 0"),
        ({"samples": 0}, "samples must be .* got 0"),
        ({"wanted": 0}, "wanted must be .* got 0"),
    ],
)
def test_bad_input_is_named(lorenz, sizes, words):
    grid, starts = lorenz
    sizes = {"k": 3, "samples": 10, "wanted": 1} | sizes
    with pytest.raises(ValueError, match=words):
        find_shadows(SYSTEM, grid, starts[0], sizes.pop("k"), 0.9, **sizes)


def test_as_many_prompts_as_continuations():
    with pytest.raises(ValueError, match=r"generated must have shape \(2, T\), got \(1, 3\)"):
        divergence_steps([np.zeros((2, 3), int)] * 2, np.zeros((1, 3), int))


@dataclass(frozen=True)
class ShiftedRotation(Flow):
    """The same turn about a point that lies elsewhere."""

    offset: float
    dim: ClassVar[int] = 2

    def equations(self):
        offset = self.offset
        return lambda x, y: (y - offset, offset - x)


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_shadows_do_not_depend_on_where_the_states_lie(offset):
    found = []
    for shift in (0.0, offset):
        grid = Grid(np.full(2, shift - 2), np.full(2, shift + 2), 8, np.arange(64))
        system = TimeMap(ShiftedRotation(shift), 0.3)
        start = np.array([1.03, 0.21]) + shift
        shadows = find_shadows(system, grid, start, 5, 0.0, samples=20_000, wanted=20)
        tokens = grid.encode(system.orbits(shadows.initial, 5))
        assert (tokens == tokens[0]).all()
        found.append((shadows.rate, shadows.clouds, shadows.continuations(system, grid, 5, 3)[0]))
    (near, clouds, path), (far, *others) = found
    assert far == pytest.approx(near, abs=2 / 20_000)  # states on an edge, to rounding
    assert others[0] == clouds
    np.testing.assert_array_equal(others[1], path)


def test_wrong_axes_are_refused(lorenz):
    grid, states = lorenz
    with pytest.raises(ValueError, match=r"shape \(3,\), got \(1, 3\); .*one state"):
        find_shadows(SYSTEM, grid, states[:1], 5, 0.9)
    for orbits, generated in (((4,), (4,)), ((2, 4), (2, 4)), ((2, 4), (1,)), ((0, 4), (4,))):
        with pytest.raises(ValueError, match=r"(orbits|generated) must .*got .*;"):
            longest_match(np.zeros(orbits, int), np.zeros(generated, int))
