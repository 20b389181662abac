"""The picture of the structured network shows the matrices of one."""

from itertools import chain

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from dynlib.networks.stnn import StNN, multiplied_out
from dynlib.operators.hankel import Hankel
from dynlib.report.figures import anatomy


@pytest.fixture(params=[4, 8])
def model(request):
    network = StNN(request.param, 2, dtype=torch.float64)
    network.draw_alive(torch.Generator().manual_seed(1))
    return network


def test_factors_multiply_to_the_layers_of_the_network(model):
    for branch in range(2):
        layers = anatomy.factors(model, branch)
        for layer, whole in zip(layers, multiplied_out(model), strict=False):
            product = np.linalg.multi_dot([factor.matrix for factor in layer[::-1]])
            np.testing.assert_allclose(product, whole[branch].numpy(), atol=1e-12)


def test_an_entry_is_trained_if_it_moves_with_the_weights(model):
    before = anatomy.factors(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1
    for old, new in zip(chain(*before), chain(*anatomy.factors(model)), strict=True):
        np.testing.assert_array_equal(old.matrix != new.matrix, old.free, err_msg=old.name)


def test_the_drawn_operator_is_the_product_of_what_stands_beside_it():
    first, second = anatomy.factors(StNN.from_hankel(anatomy.SYMBOL))
    product = np.linalg.multi_dot([each.matrix for each in [*first, *second][::-1]])
    np.testing.assert_allclose(product, Hankel(anatomy.SYMBOL).dense(), atol=1e-12)


def test_a_square_stands_for_every_entry_of_a_factor():
    factor = anatomy.factors(StNN())[0][1]
    figure, axes = plt.subplots()
    anatomy.sparse(axes, factor)
    trained, frozen = (len(each.get_paths()) for each in axes.collections)
    plt.close(figure)
    assert (trained, frozen) == (factor.free.sum(), (factor.matrix != 0).sum() - factor.free.sum())
    assert (trained, frozen) == (8, 8)


def test_a_branch_has_a_line_for_every_entry_and_six_make_the_network():
    lines = [
        len(patch.get_path().vertices) // 2
        for patch in anatomy.small(StNN()).figure.axes[0].patches
        if patch.get_path().vertices.shape[0] > 8
    ]
    layers = chain(*anatomy.factors(StNN()))
    assert sum(lines) == sum((each.free | (each.matrix != 0)).sum() for each in layers) + 8
    last = anatomy.anatomy(StNN(branches=6)).figure.axes[3]
    assert len([patch for patch in last.patches if len(patch.get_path().vertices) > 8]) == 12
