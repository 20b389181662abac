"""What a branch without activations can hold."""

import pytest
import torch

from dynlib.networks.representation import representation_error
from dynlib.operators.hankel import Hankel

RECIPE = {"starts": 2, "steps": 60, "seed": 0}


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_a_branch_of_size_four_holds_any_matrix():
    assert representation_error(draw(4, 4), 1, **RECIPE) < 1e-10


def test_one_branch_of_size_eight_holds_no_hankel_matrix():
    assert representation_error(Hankel(draw(15)).dense(), 1, **RECIPE) > 1e-3


@pytest.mark.parametrize("target", [torch.zeros(3, 4, dtype=torch.float64), torch.zeros(4, 4)])
def test_other_targets_are_refused(target):
    with pytest.raises((TypeError, ValueError), match="target must "):
        representation_error(target, 1, **RECIPE)
