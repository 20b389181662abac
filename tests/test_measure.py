"""Distances, cycles and intervals against closed forms and peers."""

import math

import numpy as np
import pytest
from scipy import stats

from dynlib.measure.distribution import Reference
from dynlib.measure.intervals import summarise
from dynlib.measure.sequences import periods, unseen_transitions
from dynlib.measure.transport import token_distance, wasserstein


def test_one_dimension_agrees_with_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 1)), rng.normal(1, 2, size=(45, 1))
    wa, wb = rng.random(30), rng.random(45)
    ours = wasserstein(a, wa, b, wb)
    assert ours == pytest.approx(stats.wasserstein_distance(a[:, 0], b[:, 0], wa, wb), rel=1e-10)


def test_a_translation_costs_its_length():
    points = np.random.default_rng(1).normal(size=(40, 3))
    shift = np.array([1.0, 2.0, 2.0])
    ones = np.ones(40)
    assert wasserstein(points, ones, points + shift, ones) == pytest.approx(3)
    assert wasserstein(points, ones, points + shift, ones, cost="squared") == pytest.approx(9)


def test_large_supports_reach_optimality():
    # In the plane no plan beats a translation, whatever the points: the cost is its length.
    points = np.random.default_rng(2).normal(size=(1500, 2))
    ones, moved = np.ones(1500), points + np.array([0.3, 0.4])
    assert wasserstein(points, ones, moved, ones) == pytest.approx(0.5, rel=1e-9)


def test_reference_follows_the_protocol(henon_tokens, henon_grid):
    batches = henon_tokens[:12].reshape(4, 3, -1)
    reference = Reference(batches, henon_grid.centres)
    pairs = [token_distance(batches[i], batches[i + 1], henon_grid.centres) for i in (0, 2)]
    np.testing.assert_allclose(reference.true_true, pairs)
    model = henon_tokens[:2]
    distances = [token_distance(model, batches[i], henon_grid.centres) for i in (0, 2)]
    assert reference.ratio(model) == pytest.approx(np.median(distances) / np.median(pairs))
    matched = reference.ratio(model, henon_tokens[2:4])
    assert matched == pytest.approx(
        token_distance(model, henon_tokens[2:4], henon_grid.centres) / np.median(pairs)
    )


@pytest.mark.parametrize("period", [1, 2, 7, 40])
def test_periods_are_found(period):
    rng = np.random.default_rng(period)
    cycle = rng.permutation(1000)[:period]
    tokens = np.concatenate([rng.integers(0, 1000, 30), np.tile(cycle, 200)])[None, :200]
    assert periods(tokens)[0] == period


def test_a_short_stay_is_no_cycle():
    tokens = np.random.default_rng(0).integers(0, 50, (1, 200))
    tokens[0, -60:] = 7
    assert periods(tokens)[0] == 0


def test_unseen_transitions_count_steps_not_cells():
    assert unseen_transitions(np.array([[0, 1, 2, 0]]), np.array([[0, 1, 2, 1, 0]]), 3) == 0.5


def test_intervals_of_few_samples_have_their_stated_level():
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(20_000, 4))
    covered = (samples.min(axis=1) <= math.log(2)) & (samples.max(axis=1) >= math.log(2))
    assert covered.mean() == pytest.approx(summarise(samples[0]).level, abs=0.01)


def test_bootstrap_covers_the_median():
    rng = np.random.default_rng(1)
    found = [summarise(rng.exponential(size=40)) for _ in range(60)]
    covered = np.mean([s.low <= math.log(2) <= s.high for s in found])
    assert covered > 0.85
    assert found[0].level == 0.95


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wasserstein(np.eye(2), np.ones(2), np.eye(2), np.ones(2), cost="l1"), "'l1'"),
        (lambda: wasserstein(np.eye(2), np.ones(3), np.eye(2), np.ones(2)), r"\(n,\)"),
        (lambda: wasserstein(np.eye(2), np.zeros(2), np.eye(2), np.ones(2)), "zero"),
        (lambda: wasserstein(np.eye(2), np.ones(2), np.eye(3), np.ones(3)), "dimension"),
        (lambda: Reference(np.zeros((3, 1, 1), int), np.eye(2)), r"\(2n, R, T\)"),
        (lambda: periods(np.zeros((1, 50), int)), "tail"),
        (lambda: summarise([]), "samples"),
        (lambda: summarise([1.0, math.inf]), "None"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
