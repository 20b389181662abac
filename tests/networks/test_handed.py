"""Stand-ins for networks that no run has handed over, and networks that are trained again."""

import numpy as np
import pytest
import torch

from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.networks.forecaster import feed_back, forecasters
from dynlib.networks.handed import briefly_trained, trained_again


def scattered(n: int, seed: int) -> np.ndarray:
    return np.array([0.0, 1.0, 20.0]) + np.random.RandomState(seed).uniform(-1, 1, (n, 3))


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DYNLIB_ARTEFACTS", str(tmp_path_factory.mktemp("artefacts")))
        patch.setenv("DYNLIB_WORKERS", "1")
        yield briefly_trained(Lorenz(beta=8 / 3), scattered, 0.01, "cpu")


def test_stand_ins_are_the_networks_of_the_run_in_small(networks):
    assert set(networks.trained) == {"stnn_p6", "control_p6", "ffnn"}
    assert networks.trajectories.shape == (15, 201, 3)
    nets = forecasters(networks.trained)
    assert nets["stnn_p6"][0].parameters == 388
    for (each,) in nets.values():
        assert np.isfinite(each.rollout(networks.trajectories[:, :1], 5)).all()


def test_networks_learn_again_from_other_trajectories(networks):
    names = {"stnn": "stnn_p6"}
    (same,) = trained_again(networks, names, networks.trajectories, device="cpu")["stnn"]
    torch.testing.assert_close(same.weights, networks.trained["stnn_p6"][0].weights)
    noise = 0.1 * np.random.default_rng(0).normal(size=networks.trajectories.shape)
    (other,) = trained_again(networks, names, networks.trajectories + noise, device="cpu")["stnn"]
    assert other.architecture == same.architecture
    assert not torch.equal(other.weights, same.weights)


def test_a_network_is_fed_with_its_own_outputs(networks):
    model = networks.trained["ffnn"][0].model
    states = torch.zeros(2, 3, dtype=torch.float64)
    with torch.no_grad():
        expected = model(model(model(states)))
    torch.testing.assert_close(feed_back(model, 2, 3), expected)
