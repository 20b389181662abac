"""One network for many environments, against loops over trajectories."""

import numpy as np
import pytest
import torch

from dynlib.networks.environments import as_constants, as_pairs, best_code, follow
from dynlib.networks.ffnn import FFNN

TRAJECTORIES = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
NUMBER, ONE_HOT = np.arange(3.0)[:, None], np.eye(3)


def network(inputs: int, seed: int = 1) -> FFNN:
    model = FFNN((inputs, 6, 6, 6, 2), dtype=torch.float64)
    model.draw(torch.Generator().manual_seed(seed))
    return model


@pytest.mark.parametrize("codes", [NUMBER, ONE_HOT])
def test_pairs_are_states_with_their_code_and_what_follows(codes):
    inputs, following = as_pairs(TRAJECTORIES, codes)
    expected = [
        ([*TRAJECTORIES[e, i, t], *codes[e]], TRAJECTORIES[e, i, t + 1])
        for e in range(3)
        for i in range(4)
        for t in range(4)
    ]
    np.testing.assert_array_equal(inputs, [each for each, _ in expected])
    np.testing.assert_array_equal(following, [each for _, each in expected])


@pytest.mark.parametrize("codes", [NUMBER, ONE_HOT])
def test_a_network_is_followed_step_by_step(codes):
    model = network(2 + codes.shape[1])
    found = follow(model, TRAJECTORIES, codes)
    for e, i in np.ndindex(3, 4):
        state = TRAJECTORIES[e, i, 0]
        for t in range(5):
            np.testing.assert_allclose(found[e, i, t], state, atol=1e-12)
            with torch.no_grad():
                state = model(torch.tensor([*state, *codes[e]])[None])[0].numpy()


def test_the_code_that_made_a_trajectory_is_found():
    model = network(3)
    candidates = np.linspace(-1, 3, 17)[:, None]
    seen = follow(model, TRAJECTORIES[:1], candidates[[11]])
    np.testing.assert_array_equal(best_code(model, seen, candidates), candidates[[11]])


@pytest.mark.parametrize("codes", [NUMBER[:2], NUMBER[:, 0], ONE_HOT[None]])
def test_every_environment_has_one_code(codes):
    with pytest.raises(ValueError, match=r"codes must have shape \(3, c\), got"):
        as_constants(TRAJECTORIES, codes)
