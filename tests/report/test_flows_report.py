"""What runs of flows record, on trajectories whose divergence and growth are known."""

import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.report import flows, record, tokens
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.gpt import GPTConfig, TokenGPT, generate
from dynlib.tokens.markov import NGram
from dynlib.tokens.shadowing import Shadows


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)
    record.clear()
    yield
    record.clear()


def test_exponents_are_means_of_groups():
    found = np.arange(24.0).reshape(4, 2, 3) + 1
    table = flows.exponents(found, tau=0.1)
    metrics = record.metrics()
    assert metrics["lyapunov_reference"]["samples"] == [2.5, 8.5, 14.5, 20.5]
    assert metrics["inverse_lyapunov"]["samples"] == [1 / each for each in (2.5, 8.5, 14.5, 20.5)]
    assert metrics["entropy_rate"]["value"] == pytest.approx(1.15)
    assert table.rows[1:3] == [["second", "12.5000"], ["third", "13.5000"]]


def test_sizes_come_with_the_share_of_repeated_tokens(henon_grid):
    test = np.array([[0, 0, 1, 1, 1], [2, 3, 4, 5, 6]])
    table = flows.cells(henon_grid, test, test)
    assert record.metrics()["stay_fraction"]["value"] == 3 / 8
    assert table.rows[0][2] == "10"


def test_with_the_printed_parameters_orbits_come_to_rest():
    """The exponent is then the largest real part of the eigenvalues at the fixed points."""
    flows.printed_exponent(0.03, np.random.default_rng(0))
    sigma, rho, beta = 28.0, 10.0, 2.67
    x = np.sqrt(beta * (rho - 1))
    jacobian = np.array([[-sigma, sigma, 0], [1, -1, -x], [x, x, -beta]])  # z is rho - 1
    found = record.metrics()["printed_parameters_lyapunov"]
    assert found["n"] == 16
    slowest = np.linalg.eigvals(jacobian).real.max()
    assert found["value"] == pytest.approx(slowest, rel=0.02)  # it is taken over a finite time


def test_the_last_trajectories_are_held_out():
    rows = np.arange(12).reshape(4, 3)
    learned, held_out = tokens.hold_out(rows, 1)
    np.testing.assert_array_equal(learned, rows[:3])
    np.testing.assert_array_equal(held_out, rows[3:])
    assert tokens.hold_out(rows, 0)[1] is None
    np.testing.assert_array_equal(tokens.hold_out(rows, 0)[0], rows)


def test_half_a_test_set_is_one_more_design(henon_grid):
    """Both sides are of the same tokens, but for one design."""
    batches = np.zeros((4, 2, 3), int)
    odd = iter([0, 1] * 9)

    def fresh(n, length):
        return np.full((n, length), next(odd) if (n, length) == (3, 5) else 0)

    known = tokens.references(batches, henon_grid)
    flows.sampling(fresh, henon_grid, (3, 5), 2, known)
    found = record.metrics()
    apart = np.linalg.norm(henon_grid.centres[1] - henon_grid.centres[0])
    assert found["sampling_half_test_w1"]["samples"] == pytest.approx([apart, apart])
    for n, length in tokens.DESIGNS:
        assert found[f"sampling_{n}x{length}_w1"]["value"] == 0
    assert "sampling_10x1000_w2sq_cells" in found
    assert "sampling_200x50_w2sq_cells" not in found


class Copy:
    """A network that writes its last token again at temperature 0, and the next one at 1."""

    def networks(self, prompts, n_steps, temperatures):
        return [[np.repeat(prompts[:, -1:] + int(t), n_steps, axis=1)] for t in temperatures]

    def copying(self, prompts, n_steps):
        return {"recall": [prompts[:, :n_steps]]}


def test_every_method_continues_greedily():
    counts = NGram(np.array([[0, 1, 2] * 30]), 5, 4)
    generators, prompts = Copy(), np.array([[2, 0, 1, 2, 0]])
    generators.chains = {"markov": counts.shorter(1), "best_ngram": counts.shorter(5)}
    continued, counting = flows.continuations(generators, counts, prompts, 3)
    assert list(counting) == [1, 2, 3, 4, 5]  # five is the best, longer ones are not counted
    assert all(each.tolist() == [[1, 2, 0]] for each in counting.values())
    assert list(continued) == ["model", "sampled", "markov", "best_ngram", "recall"]
    assert continued["model"][0].tolist() == [[0, 0, 0]]
    assert continued["sampled"][0].tolist() == [[1, 1, 1]]
    assert continued["best_ngram"][0] is counting[5]


def excerpts(states, trajectories=5):
    n = len(states)
    tokens = np.zeros(np.shape(states)[:2], dtype=int)
    return Excerpts(states, tokens, np.arange(n) % trajectories, trajectories)


def test_divergence_times_are_steps_of_agreement():
    """Ten prompts; the model agrees for k steps on prompt k, the pair for ever but on the last."""
    horizon, tau = 12, 0.5
    truth = np.zeros((1, horizon), dtype=int)
    orbits = [np.repeat(truth, 3, axis=0) for _ in range(9)] + [truth]
    written = np.array([np.r_[np.zeros(k, int), np.ones(horizon - k, int)] for k in range(10)])
    shadows = [
        Shadows(np.zeros((len(each), 3)), 0.25, 1 + k % 2, np.arange(len(each)))
        for k, each in enumerate(orbits)
    ]
    table = flows.divergence(
        {"model": [written], "recall": [np.zeros_like(written)]}, orbits, shadows,
        excerpts=excerpts(np.zeros((10, 4, 3))), tau=tau,
    )  # fmt: skip
    found = record.metrics()
    assert found["conditions"]["value"] == 10
    assert found["conditions_without_shadow"]["value"] == 1
    assert found["conditions_shrunk"]["value"] == 5
    assert found["acceptance_rate"]["samples"] == [0.25] * 10
    # of trajectory g are the prompts g and g + 5: one part each
    assert found["divergence_time"]["samples"] == [tau * (g + 2.5) for g in range(5)]
    assert found["divergence_time_mean"]["value"] == tau * 4.5
    assert found["divergence_time_censored"]["value"] == 0
    assert found["recall_divergence_time_censored"]["value"] == 10
    assert found["true_divergence_time"]["samples"] == [tau * horizon] * 5
    assert found["true_divergence_time_censored"]["value"] == 9
    assert [row[0] for row in table.rows] == ["GPT-2, greedy", "training replay", "true pair"]
    assert table.rows[0][2:] == [f"{tau * 4.5:.3g}", "0"]


def test_divergence_times_grow_with_the_draws():
    """The model writes zeros and then ones; a long search finds a trajectory that does so."""
    horizon, tau = 6, 0.5
    zeros, written = np.zeros((1, horizon), int), np.array([0, 0, 0, 1, 1, 1])
    orbits = [np.concatenate([zeros, zeros, written[None]])] * 4  # found at draws 1 or 2, and 90
    shadows = [Shadows(np.zeros((3, 3)), 0.0, 1, np.array([0, 1 + k % 2, 90])) for k in range(4)]
    drawn = flows.by_draws(
        {"model": [np.stack([written] * 4)] * 2, "best_ngram": [np.ones((4, horizon), int)]},
        orbits, shadows, samples=200, excerpts=excerpts(np.zeros((4, 4, 3)), 2), tau=tau,
    )  # fmt: skip
    assert drawn.counts == [1, 10, 100, 200]
    assert drawn.curves == {
        "model": [1.5, 1.5, 3.0, 3.0], "best_ngram": [0.0] * 4, "true": [3.0] * 4
    }  # fmt: skip
    found = record.metrics()
    assert [found[f"shadow_draws{i}"]["value"] for i in (1, 2, 3, 4)] == drawn.counts
    failures = [found[f"true_divergence_time_draws{i}_failures"]["value"] for i in (1, 2)]
    assert failures == [2, 0]
    assert found["divergence_time_draws3"]["samples"] == [3.0, 3.0]
    assert found["true_divergence_time_draws1"]["samples"] == [3.0]  # one group has none


def separated(rates, prompt=5, tau=0.1, steps=60):
    """Distances that stay 0.01 for a prompt and then grow at a rate each."""
    time = np.maximum(np.arange(prompt + steps) - prompt, 0) * tau
    distance = 0.01 * np.exp(np.asarray(rates)[:, None] * time)
    return np.stack([distance, *[np.zeros_like(distance)] * 2], axis=-1)


def test_slopes_are_the_rates_of_growth():
    real = np.zeros((5, 65, 3))
    paired = np.array([True, True, True, True, False])
    others = real + np.array([0.0, 3.0, 4.0])
    found = flows.separation(
        excerpts(real), separated([1.5] * 5), separated([0.9] * 4 + [7.0]), others,
        paired=paired, prompt=5, tau=0.1, cell=0.01,
    )  # fmt: skip
    metrics = record.metrics()
    assert metrics["separation_slope"]["samples"] == pytest.approx([1.5] * 5)
    assert metrics["true_separation_slope"]["samples"] == pytest.approx([0.9] * 4)
    assert metrics["separation_slope_failures"]["value"] == 0
    assert metrics["true_separation_slope_failures"]["value"] == 1
    assert metrics["pair_failures"]["value"] == 1
    assert found.spread == metrics["pair_spread"]["value"] == 5.0
    assert found.bounds == (0.02, 1.0)
    assert list(found.curves) == ["model", "pair"]
    assert found.curves["pair"][-1] == pytest.approx(0.01 * np.exp(0.9 * 5.9))
    record.metric("lyapunov_reference", 0.906)
    rows = flows.slopes().rows
    assert [row[0] for row in rows] == ["GPT-2 and truth", "true pair", "Lyapunov exponent"]
    assert rows[0][1].startswith("1.500")
    assert rows[1][2] == "1"


def test_cells_too_coarse_for_a_slope_are_recorded_as_failures():
    real = np.zeros((5, 65, 3))
    flows.separation(
        excerpts(real), separated([1.5] * 5), separated([0.9] * 5), real + 1.0,
        paired=np.ones(5, dtype=bool), prompt=5, tau=0.1, cell=10.0,
    )  # fmt: skip
    assert record.metrics()["separation_slope"]["value"] is None
    assert record.metrics()["separation_slope_failures"]["value"] == 5


def test_fresh_trajectories_are_new_and_obey_the_flow():
    time_map = TimeMap(Lorenz(), 0.02)
    draw = flows.fresh(time_map, 30, np.random.default_rng(0))
    first, second = draw(3, 5), draw(3, 5)
    assert first.shape == (3, 5, 3)
    assert not np.isclose(first, second).any()
    np.testing.assert_allclose(time_map.step(first[:, 0]), first[:, 1], rtol=1e-9)


def test_what_is_written_begins_with_the_prompt(henon_grid, henon_tokens):
    model = TokenGPT(
        GPTConfig(vocabulary=henon_grid.vocabulary, layers=1, heads=1, width=8, context=8),
        henon_grid.cells,
    )
    sentences = henon_tokens[:2, :12]
    states = flows.written_on(model, henon_grid, sentences, 5)
    np.testing.assert_array_equal(states[:, :5], henon_grid.decode(sentences[:, :5]))
    written = generate(model, sentences[:, :5], 7, temperature=0.0)
    np.testing.assert_array_equal(states[:, 5:], henon_grid.decode(written))
