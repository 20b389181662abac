"""The network multiplied out against the network itself."""

from __future__ import annotations

import copy

import pytest
import torch

from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.stnn import StNN
from dynlib.operators.hankel import Hankel


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random(n=4, branches=3, *, dtype=torch.float64, **options):
    """A network with weights that are all different, and with dead and living ReLUs."""
    model = StNN(n, branches, dtype=dtype, **options)
    flat = draw(sum(w.numel() for w in model.parameters()), dtype=dtype)
    torch.nn.utils.vector_to_parameters(0.7 * flat, model.parameters())
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{}, {"released": True}, {"linear": True}])
@pytest.mark.parametrize(("n", "branches"), [(2, 2), (4, 1), (4, 6), (8, 3)])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 11), (5, 100)])
def test_multiplied_out_it_is_the_same_map(shape, n, branches, options, dtype):
    model = random(n, branches, dtype=dtype, **options)
    x = draw(*shape, n, seed=1, dtype=dtype)
    found, expected = AssembledStNN(model)(x), model(x).detach()
    assert found.dtype == dtype
    assert found.shape == x.shape
    size = float(expected.abs().max()) if x.numel() else 0.0
    atol = 20 * torch.finfo(dtype).eps * size
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 2.0])
def test_a_third_layer_without_slope_is_a_constant(shift):
    model, x = random(), draw(5, 4, seed=1)
    with torch.no_grad():
        model.diagonal_3[1, 2] = 0
        model.bias_3[1, 2] = shift
    torch.testing.assert_close(AssembledStNN(model)(x), model(x).detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("network", [random(), AssembledStNN(random())])
def test_states_of_another_length_are_refused(network):
    for shape in ((3,), (8,), (2, 2), (5, 8), (300, 8)):
        with pytest.raises(ValueError, match=r"must have shape \(\.\.\., 4\), got \("):
            network(draw(*shape))


def test_it_is_a_copy_and_leaves_its_input_alone():
    model, x = random(), draw(5, 4, seed=1)
    fast, kept = AssembledStNN(model), x.clone()
    before = fast(x)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    assert torch.equal(fast(x), before)
    assert torch.equal(x, kept)  # its activations work in place


def test_gradients_by_the_state_flow_through():
    model, x = random(), draw(300, 4, seed=1).requires_grad_()
    fast = AssembledStNN(model)
    assert torch.autograd.gradcheck(fast, (x[:5],))
    (many,) = torch.autograd.grad(fast(x).square().sum(), x)
    (expected,) = torch.autograd.grad(model(x).square().sum(), x)
    torch.testing.assert_close(many, expected, rtol=0, atol=1e-11)


def test_one_state_may_stand_in_a_transform_and_has_the_type_of_the_weights():
    model, x = random(), draw(5, 4, seed=1)
    fast = AssembledStNN(model)
    torch.testing.assert_close(torch.func.vmap(fast)(x), fast(x), rtol=0, atol=1e-14)
    one, all_ = torch.func.jacrev(fast)(x[0]), torch.func.vmap(torch.func.jacfwd(fast))(x)
    torch.testing.assert_close(one, all_[0], rtol=0, atol=1e-14)
    assert fast(x[:1].requires_grad_()).requires_grad
    for states in (x.float(), x[:1].float()):
        with pytest.raises(TypeError, match=r"must be a tensor of float64 .*, got torch.float32"):
            fast(states)


def test_one_state_follows_the_weights_to_another_type():
    model, x = random(), draw(1, 4, seed=1)
    fast = AssembledStNN(model).float()
    assert fast(x.float()).dtype == torch.float32
    torch.testing.assert_close(fast.double()(x), model(x).detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", ["first", "bias_1", "second", "bias_2", "low", "last", "bias_4"])
def test_a_change_in_place_counts_in_numpy_too(name, mode):
    """NumPy's arrays are halves and sums of the buffers, made once; a gradient asks torch."""
    torch.manual_seed(0)
    fast = AssembledStNN(StNN(4, 2, dtype=torch.float64))
    for model in (fast, copy.deepcopy(fast)):
        state = torch.rand(1, 4, dtype=torch.float64)
        before = model(state)
        with mode():
            model.get_buffer(name).add_(0.5)
        after = model(state)
        assert not torch.equal(after, before)
        torch.testing.assert_close(after, model(state.clone().requires_grad_()).detach())


def test_one_made_in_inference_mode_computes_in_torch():
    with torch.inference_mode():
        model = AssembledStNN(StNN(4, 2))
        state = torch.ones(1, 4)
        before = model(state)
        model.second.mul_(2)
        assert not torch.equal(model(state), before)


def test_loaded_weights_are_the_ones_that_count():
    model, x = random(), draw(1, 4, seed=1)
    fast = AssembledStNN(StNN(4, 3, dtype=torch.float64))
    fast.load_state_dict(AssembledStNN(model).state_dict())
    torch.testing.assert_close(fast(x), model(x).detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_the_linear_layers_hold_a_hankel_operator(n):
    symbol, x = draw(2 * n - 1), draw(5, n, seed=1)
    expected = Hankel(symbol).multiply_dense(x)
    product = AssembledStNN(StNN.from_hankel(symbol))(x.to(torch.complex128))
    atol = 1e-13 * float(expected.abs().max())
    torch.testing.assert_close(product.real, expected, rtol=0, atol=atol)
    torch.testing.assert_close(product.imag, torch.zeros_like(expected), rtol=0, atol=atol)


def test_no_tensor_is_made_on_the_wrong_device():
    fast = AssembledStNN(StNN(4, 6).to("meta"))
    assert all(buffer.device.type == "meta" for buffer in fast.buffers())
    assert fast(torch.empty(9, 4, device="meta")).device.type == "meta"
