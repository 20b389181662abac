"""What runs of flows record, on trajectories whose divergence and growth are known."""

import numpy as np
import pytest

from dynlib.report import flows, record
from dynlib.tokens.excerpts import Excerpts
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
    shadows = [Shadows(np.zeros((len(each), 3)), 0.25, 1 + k % 2) for k, each in enumerate(orbits)]
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
