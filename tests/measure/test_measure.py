"""Distances and cycles against closed forms and peers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.optimize import linear_sum_assignment

from dynlib.measure.distribution import Reference, rollout_measures
from dynlib.measure.sequences import (
    copied_fraction,
    periods,
    transitions,
    unseen_transitions,
)
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


@pytest.mark.parametrize("cost", ["euclidean", "squared"])
@pytest.mark.parametrize("shift", [0.0, 1e4, 1e5, 1e6, 1e7, 1e8])
def test_distances_far_from_the_origin(cost, shift):
    # Equal weights make it a problem of assignment, here with costs from exact differences.
    a, b = np.random.default_rng(0).normal(size=(2, 300, 3))
    squares = ((a[:, None] - b) ** 2).sum(-1)
    costs = squares if cost == "squared" else np.sqrt(squares)
    true = costs[linear_sum_assignment(costs)].mean()
    # Shifting rounds every coordinate of both sides, by half a unit in the last place at most.
    moved = np.sqrt(3) * np.spacing(shift)
    carried = 2 * np.sqrt(squares.max()) * moved + moved**2 if cost == "squared" else moved
    ones = np.ones(300)
    ours = wasserstein(a + shift, ones, b + shift, ones, cost=cost)
    assert ours == pytest.approx(true, rel=1e-12, abs=carried)


def test_token_distances_far_from_the_origin():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 50, (2, 400))
    centres = rng.integers(-(2**20), 2**20, (50, 2)) / 2**20  # a shift by 2^k changes no digit
    for cost in ("euclidean", "squared"):
        true = token_distance(a, b, centres, cost=cost)
        for power in (14, 20, 27, 30):
            moved = token_distance(a, b, centres + 2.0**power, cost=cost)
            assert moved == pytest.approx(true, rel=1e-12)


@st.composite
def two_samples(draw):
    """Token samples of different sizes on few cells, so that they have much in common."""
    cells, dim = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    centres = draw(arrays(np.int64, (cells, dim), elements=st.integers(-20, 20))) / 4.0
    tokens = st.integers(0, cells - 1)
    sizes = st.integers(1, 25)
    a, b = (draw(arrays(np.int64, draw(sizes), elements=tokens)) for _ in range(2))
    return a, b, centres


def full_transport(a, b, centres, cost):
    """All mass of either side given to the solver, what they have in common included."""
    wa, wb = (np.bincount(tokens, minlength=len(centres)) for tokens in (a, b))
    return wasserstein(centres, wa, centres, wb, cost=cost)


@settings(max_examples=200, deadline=None)
@given(two_samples())
def test_leaving_out_what_is_common_changes_no_distance(case):
    a, b, centres = case
    ours = token_distance(a, b, centres)
    assert ours == pytest.approx(full_transport(a, b, centres, "euclidean"), abs=1e-9)
    assert ours == pytest.approx(token_distance(b, a, centres), abs=1e-12)
    squared = token_distance(a, b, centres, cost="squared")
    assert squared == pytest.approx(full_transport(a, b, centres, "squared"), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(two_samples(), st.integers(1, 5))
def test_equal_distributions_have_no_distance(case, times):
    a, _, centres = case
    repeated = np.random.default_rng(times).permutation(np.tile(a, times))
    assert token_distance(a, repeated, centres) == 0
    assert token_distance(a, repeated, centres, cost="squared") == pytest.approx(0, abs=1e-12)


def test_on_a_line_tokens_agree_with_scipy(henon_tokens, henon_grid):
    centres = henon_grid.centres[:, :1]
    for a, b in itertools.pairwise(henon_tokens[:, :700]):
        expected = stats.wasserstein_distance(centres[a, 0], centres[b, 0])
        assert token_distance(a, b, centres) == pytest.approx(expected, rel=1e-9)


def test_in_the_squared_cost_what_is_common_does_move():
    """A chain of steps is cheaper than one leap: 0, 1 to 1, 2 costs 1 and not 4 / 2."""
    a, b, centres = np.array([0, 1]), np.array([1, 2]), np.arange(3.0)[:, None]
    assert token_distance(a, b, centres, cost="squared") == pytest.approx(1)
    assert token_distance(a, b, centres) == pytest.approx(1)


def test_rollout_measures_are_the_measures_one_by_one(henon_tokens, henon_grid):
    batches = henon_tokens[:8, :500].reshape(4, 2, 500)
    centres, training = henon_grid.centres, henon_tokens[8:10]
    euclidean, squared = (Reference(batches, centres, c) for c in ("euclidean", "squared"))
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, len(centres), (2, 300)), np.tile(henon_tokens[:2, :7], (1, 30))]
    matched = henon_tokens[10:]
    measures = rollout_measures(samples, euclidean, squared, matched, training)
    assert list(measures) == [
        "w1_model_true", "w1_ratio", "w1_matched_true", "w1_ratio_matched", "w2sq_model_true",
        "w2sq_ratio", "unseen_transitions", "unseen_cells", "periodic_fraction",
    ]  # fmt: skip
    without = rollout_measures(samples, euclidean, None, matched, training)
    assert list(without) == [name for name in measures if not name.startswith("w2sq")]
    assert all(without[name] == measures[name] for name in without)
    seen = {pair for row in training.tolist() for pair in itertools.pairwise(row)}
    for i, sample in enumerate(samples):
        for name, cost in (("w1", "euclidean"), ("w2sq", "squared")):
            distances = [token_distance(sample, batches[j], centres, cost=cost) for j in (0, 2)]
            pairs = [token_distance(*batches[j : j + 2], centres, cost=cost) for j in (0, 2)]
            assert measures[f"{name}_model_true"][i] == pytest.approx(np.median(distances))
            ratio = np.median(distances) / np.median(pairs)
            assert measures[f"{name}_ratio"][i] == pytest.approx(ratio)
        assert measures["w1_matched_true"][i] == token_distance(sample, matched, centres)
        ratio = token_distance(sample, matched, centres) / np.median(euclidean.true_true)
        assert measures["w1_ratio_matched"][i] == pytest.approx(ratio)
        steps = [pair for row in sample.tolist() for pair in itertools.pairwise(row)]
        unseen = np.mean([pair not in seen for pair in steps])
        assert measures["unseen_transitions"][i] == pytest.approx(unseen)
        cells = set(training.ravel().tolist())
        unseen = np.mean([cell not in cells for cell in sample.ravel().tolist()])
        assert measures["unseen_cells"][i] == pytest.approx(unseen)
    assert measures["periodic_fraction"] == [0, 1]


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


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 9])
def test_copied_stretches_are_those_found_word_for_word(length):
    rng = np.random.default_rng(length)
    generated, training = rng.integers(0, 3, (4, 40)), rng.integers(0, 3, (5, 30))
    generated[1, 3:18] = training[2, 10:25]
    known = {tuple(row[i : i + length]) for row in training for i in range(31 - length)}
    found = [tuple(row[i : i + length]) in known for row in generated for i in range(41 - length)]
    assert copied_fraction(generated, training, length) == pytest.approx(np.mean(found))


def test_a_copy_does_not_go_from_one_row_to_the_next():
    training = np.array([[0, 1, 2], [3, 4, 5]])
    assert copied_fraction(np.array([[1, 2, 3, 4]]), training, 3) == 0
    large = 2**31 - 2 - training  # the largest tokens that there may be
    assert copied_fraction(large, large, 2) == 1
    assert copied_fraction(large, large[:1], 2) == 0.5


def test_unseen_transitions_count_steps_not_cells():
    seen = transitions(np.array([[0, 1, 2, 0]]), 3)
    assert unseen_transitions(seen, np.array([[0, 1, 2, 1, 0]]), 3) == 0.5


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.int64, (3, 6), elements=st.integers(0, 4)),
    arrays(np.int64, (2, 9), elements=st.integers(0, 4)),
)
def test_transitions_never_cross_from_one_row_to_the_next(training, generated):
    known = {pair for row in training.tolist() for pair in itertools.pairwise(row)}
    numbers = transitions(training, 5)
    assert {divmod(number, 5) for number in numbers.tolist()} == known
    assert (np.diff(numbers) > 0).all()
    steps = [pair for row in generated.tolist() for pair in itertools.pairwise(row)]
    expected = np.mean([pair not in known for pair in steps])
    assert unseen_transitions(numbers, generated, 5) == pytest.approx(expected)


def test_transitions_of_a_large_vocabulary_are_not_confused():
    """The number of a transition exceeds 32 bits: 125000 cells of a 50-cell cube, squared."""
    vocabulary = 125_000
    training = np.array([[124_999, 124_998, 0]], dtype=np.int32)
    seen = transitions(training, vocabulary)
    assert seen.tolist() == [124_998 * vocabulary, 124_999 * vocabulary + 124_998]
    assert unseen_transitions(seen, training[:, ::-1], vocabulary) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wasserstein(np.eye(2), np.ones(2), np.eye(2), np.ones(2), cost="l1"), "'l1'"),
        (
            lambda: wasserstein(np.eye(2), np.ones(3), np.eye(2), np.ones(2)),
            r"weights_a must have shape \(2,\), got \(3,\)",
        ),
        (lambda: wasserstein(np.eye(2), np.zeros(2), np.eye(2), np.ones(2)), "zero"),
        (lambda: wasserstein(np.eye(2), np.ones(2), np.eye(3), np.ones(3)), "dimension"),
        (lambda: Reference(np.zeros((3, 1, 1), int), np.eye(2)), r"\(2n, R, T\)"),
        (lambda: periods(np.zeros((1, 50), int)), "120 tokens or more"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "measure",
    [
        lambda tokens: transitions(tokens, 5),
        lambda tokens: unseen_transitions(np.array([1]), tokens, 5),
        periods,
    ],
)
def test_sequences_have_two_axes(measure):
    with pytest.raises(
        ValueError, match=r"must have shape \(B, T\), got \(200,\); .*(tokens|generated)\[None\]"
    ):
        measure(np.zeros(200, int))


def test_kept_distances_are_those_of_the_batches_at_first():
    batches, centres = np.array([[[0, 1]], [[1, 1]]]), np.array([[0.0], [1.0]])
    reference = Reference(batches, centres)
    batches[:] = 0
    centres[:] = 9.0
    assert reference.true_true.tolist() == [0.5]
    with pytest.raises(ValueError, match="read-only"):
        reference.batches[:] = 0


def test_centres_and_matched_trajectories_have_their_axes():
    tokens, centres = np.array([0, 1]), np.array([0.0, 3.0])
    with pytest.raises(ValueError, match=r"shape \(V, d\), got \(2,\); .*centres\[:, None\]"):
        token_distance(tokens, tokens, centres)
    reference = Reference(np.array([[[0, 1]], [[1, 1]]]), centres[:, None])
    with pytest.raises(
        ValueError, match=r"\(R, T\) or \(P, R, T\), got \(1, 1, 1, 2\); .*matched\[None\]"
    ):
        rollout_measures([tokens[None]], reference, None, tokens[None, None, None], tokens[None])


def test_kept_distances_cannot_be_changed():
    reference = Reference(np.array([[[0, 1]], [[1, 1]]]), np.array([[0.0], [1.0]]))
    with pytest.raises(ValueError, match="read-only"):
        reference.true_true[0] = 7
