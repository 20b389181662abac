"""What is studied from a file: parts that do not overlap, and what is left out of few data."""

import numpy as np
import pytest

from dynlib.dynamics.own import OwnFlow
from dynlib.networks.recipes import Recipe
from dynlib.report import record, studied
from dynlib.report.own_models import fits, networks
from dynlib.report.studied import Equations


@pytest.fixture
def spiral(tmp_path):
    """Writes a file of trajectories of the given lengths; every state is another one."""

    def write(*lengths):
        clock = 0.05 * np.arange(sum(lengths))
        states = np.stack([np.cos(clock), np.sin(clock), 0.1 * clock], axis=1)
        parts = np.split(states, np.cumsum(lengths)[:-1])
        np.savez(tmp_path / "data.npz", **{f"p{i}": part for i, part in enumerate(parts)})
        return studied.measured(str(tmp_path / "data.npz"), resample=False)

    return write


@pytest.fixture(autouse=True)
def fresh_record():
    record.clear()
    yield
    record.clear()


@pytest.mark.parametrize("lengths", [(1000,), (400, 700), (300, 200, 500, 250, 350, 100)])
def test_learning_choosing_and_testing_share_no_state(spiral, lengths):
    found = spiral(*lengths)
    groups = [np.concatenate(parts)[:, 2] for parts in (found.learn, found.held_out, found.test)]
    together = np.concatenate(groups)
    assert len(np.unique(together)) == len(together) == sum(lengths)
    assert [len(each) / sum(lengths) for each in groups] == pytest.approx([0.6, 0.2, 0.2], abs=0.1)
    inputs, successors = found.pairs("learn")
    np.testing.assert_allclose(successors[:, 2] - inputs[:, 2], 0.005, rtol=1e-6)


def test_forecasts_from_measurements_do_not_overlap(spiral):
    found = spiral(2000, 3000)
    heard, truth = found.starts(100, 50, 70)
    clocks = np.sort(truth[:, :, 2].ravel())
    assert len(truth) == (400 - 50) // 70 + (600 - 50) // 70
    assert (np.diff(clocks) > 0.004).all()
    np.testing.assert_allclose(truth[:, 0, 2] - heard[:, -1, 2], 0.005, rtol=1e-6)
    assert found.starts(3, 50, 70)[1].shape == (3, 70, 3)
    assert found.starts(3, 50, 9999)[1].shape == (1, 550, 3)  # as far as the longest reaches
    assert found.starts(3, 599, 70)[0].shape == (0, 599, 3)


def test_flows_are_told_from_maps_by_their_steps(spiral, tmp_path):
    assert spiral(500).flow
    np.save(tmp_path / "map.npy", np.random.default_rng(0).normal(size=(500, 2)))
    assert not studied.measured(str(tmp_path / "map.npy"), resample=False).flow


def test_what_few_data_cannot_have_is_said(spiral):
    found = spiral(60)
    cells, why = studied.tokenised(found, 5, context=8, memory=3, prompt=20)
    assert cells is None
    assert why == "a held-out trajectory must have 109 states or more, and the longest has 12"
    learnt = found.learnt_pairs(100, 50, 0)
    assert networks(found, learnt, 1, Recipe(1, 50), [0], "cpu")[1][0].startswith(
        "The networks are left out: they need 50 pairs"
    )
    models, notes = fits(found, learnt, 9, 30)
    assert "reservoir" not in models
    assert any(note.startswith("Left out: polynomial, degree 9, since ") for note in notes)


def test_too_few_states_to_split_are_refused(spiral):
    with pytest.raises(ValueError, match="must hold five states or more to be split, got 3"):
        spiral(3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_exponent_of_a_limit_cycle_is_zero_within_its_interval(seed):
    """Orbits of one phase were off alike: 0.020, with an interval from 0.019 to 0.021."""
    cycle = OwnFlow(lambda x, v: (v, 3.0 * (1 - x * x) * v - x), ("x", "v"), (1.0, 0.0))
    found = Equations(cycle, 0.1, seed=seed, length=1500, transient=500).exponents(64, 1000)
    low, high = np.quantile(found[:, 0].reshape(8, 8).mean(axis=1), [0, 1])
    assert low < 0 < high
    assert abs(found[:, 0].mean()) < 4 * found[:, 0].std() / 8
    assert found[:, 1].mean() == pytest.approx(-3.8, abs=1.0)
