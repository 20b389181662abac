"""Levenberg-Marquardt against a peer, step by step, and against problems with known answers."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap

from dynlib.networks import levenberg
from dynlib.networks.ffnn import FFNN
from dynlib.networks.levenberg import LevenbergMarquardt, gram
from dynlib.networks.stnn import StNN


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights_of(model):
    return torch.cat([w.detach().flatten() for w in model.parameters()])


def small_network(seed=0):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))
    return network.double()


def structured(seed=0, branches=2, used=None):
    model = StNN(4, branches, dtype=torch.float64)
    model.draw_alive(torch.Generator().manual_seed(seed), used)
    return model


def data(copies, batch, seed):
    """Inputs (copies, 4, batch) and a smooth function of them that no small network is."""
    x = draw(copies, 4, batch, seed=seed)
    return x, torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin(), x[:, 3], x.sum(1).cos()], dim=1)


class Functional:
    """Any module on vectors as a model of many copies, by automatic differentiation."""

    def __init__(self, module):
        self.module = module
        weights = dict(module.named_parameters())
        self.shapes = {name: weight.shape for name, weight in weights.items()}
        self.sizes = [weight.numel() for weight in weights.values()]

    def _call(self, theta, state):
        parts = zip(self.shapes.items(), theta.split(self.sizes), strict=True)
        weights = {name: part.view(shape) for (name, shape), part in parts}
        return functional_call(self.module, weights, (state,))

    def evaluate(self, theta, columns):
        return vmap(self._call)(theta, columns.mT).mT

    def jacobian(self, theta, columns, out, fresh=True):
        of_sample = vmap(jacrev(self._call), in_dims=(None, 0))
        out.copy_(vmap(of_sample)(theta, columns.mT).permute(0, 3, 2, 1))
        return self.evaluate(theta, columns), out


class Equations:
    """Residuals by a formula in the weights alone: a model without inputs, batch 1."""

    def __init__(self, formula):
        self.formula = formula

    def evaluate(self, theta, columns):
        return torch.stack([self.formula(t) for t in theta]).unsqueeze(-1)

    def jacobian(self, theta, columns, out, fresh=True):
        found = [torch.autograd.functional.jacobian(self.formula, t) for t in theta]
        out.copy_(torch.stack(found).mT.unsqueeze(-1))
        return self.evaluate(theta, columns), out

    def solver(self, *start, outputs=1, **options):
        """The optimiser, and the arguments of its steps."""
        theta = torch.tensor(start, dtype=torch.float64).reshape(len(start), -1)
        nothing = torch.zeros(len(start), 1, 1, dtype=torch.float64)
        targets = torch.zeros(len(start), outputs, 1, dtype=torch.float64)
        return LevenbergMarquardt(self, theta, **options), (nothing, targets)


# --- a peer


class Flat(nn.Module):
    """A network whose outputs lie in memory as the peer wants them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, states):
        return self.network(states).contiguous()


@pytest.mark.parametrize("build", [small_network, structured])
@pytest.mark.parametrize("damping", [1e-3, 1e-9])
def test_steps_are_those_of_the_peer(peer_levenberg, monkeypatch, build, damping):
    network, attempts = build(), 20
    theirs = Flat(copy.deepcopy(network))
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # else the peer rounds its damping to float32
    try:
        strategy = peer_levenberg.StandardDampingStrategy(starting_value=damping)
    finally:
        torch.set_default_dtype(default)
    peer = peer_levenberg.LevenbergMarquardtModule(
        theirs, damping_strategy=strategy, attempts_per_step=attempts, solve_method="cholesky"
    )
    model = network if isinstance(network, StNN) else Functional(network)
    ours = LevenbergMarquardt(
        model, weights_of(network)[None], damping=damping, rule="factor", attempts=attempts
    )
    tried = []
    for step in range(20):
        x, y = data(1, 100, seed=step)
        squares = ours.step(x, y)
        before = ours.solves - sum(tried)
        outputs, _, stop, logs = peer.training_step(x[0].mT, y[0].mT)
        assert not stop
        assert logs["attempts"] < attempts
        tried.append(logs["attempts"])
        assert before == tried[-1]
        # Rounding is amplified by the condition of the equations, the more the less damping.
        expected = (outputs - y[0].mT).square().mean(0)
        torch.testing.assert_close(squares[0], expected.detach(), rtol=1e-8, atol=0)
        torch.testing.assert_close(ours.theta[0], peer.flat_params, rtol=1e-8, atol=1e-8)
        assert float(ours.lambdas) == pytest.approx(float(logs["damping"]), rel=1e-12)
    assert max(tried) > 1  # some steps were tried again
    assert min(tried) == 1


# --- known answers


def rosenbrock(theta):
    return torch.stack([10 * (theta[1] - theta[0] ** 2), 1 - theta[0]])


@pytest.mark.parametrize("rule", ["gain", "factor"])
def test_rosenbrocks_valley_is_walked_down(rule):
    optimizer, problem = Equations(rosenbrock).solver([-1.2, 1.0], outputs=2, rule=rule)
    losses = [float(optimizer.step(*problem).sum()) for _ in range(40)]
    torch.testing.assert_close(optimizer.theta, torch.ones_like(optimizer.theta))
    assert losses[0] == pytest.approx(4.4**2 + 2.2**2, rel=1e-14)
    assert losses[-1] < 1e-25
    assert losses == sorted(losses, reverse=True)


def test_a_linear_problem_is_solved_as_ridge_regression():
    x, y = draw(1, 3, 50), draw(1, 2, 50, seed=1)
    start = draw(1, 6, seed=2)
    network = nn.Linear(3, 2, bias=False).double()
    optimizer = LevenbergMarquardt(Functional(network), start, damping=0.3)
    optimizer.step(x, y)
    # min |W x - y|^2/B + lambda |W - W_0|^2
    w0 = start.view(2, 3)
    residual = (y[0] - w0 @ x[0]) @ x[0].T / 50
    expected = w0 + residual @ torch.linalg.inv(
        x[0] @ x[0].T / 50 + 0.3 * torch.eye(3, dtype=w0.dtype)
    )
    torch.testing.assert_close(optimizer.theta.view(2, 3), expected, rtol=1e-12, atol=1e-13)
    # The linear model foretells the decrease exactly: a gain of one, the least damping.
    torch.testing.assert_close(float(optimizer.lambdas), 0.03, rtol=1e-6, atol=0)


def test_the_gain_is_the_decrease_over_the_foretold_one():
    # r = theta^2 - 1 at 2: J = 4, r = 3, and with lambda = 1 a step of 12/17.
    optimizer, problem = Equations(lambda t: t**2 - 1).solver([2.0], damping=1.0)
    optimizer.step(*problem)
    step = 12 / 17
    assert float(optimizer.theta) == pytest.approx(2 - step, rel=1e-15)
    decrease = 9 - ((2 - step) ** 2 - 1) ** 2
    foretold = 9 - (3 - 4 * step) ** 2
    factor = max(0.1, 1 - (2 * decrease / foretold - 1) ** 3)
    assert 0.1 < factor < 1
    assert float(optimizer.lambdas) == pytest.approx(factor, rel=1e-12)


# --- what never happens


@pytest.mark.parametrize("rule", ["gain", "factor"])
@pytest.mark.parametrize("attempts", [1, 3, 20])
def test_no_step_raises_the_error_on_its_batch(rule, attempts):
    theta = 2 * draw(6, 132, seed=1)
    model = structured()
    optimizer = LevenbergMarquardt(model, theta, damping=1e-9, rule=rule, attempts=attempts)
    kept = 0
    for step in range(12):
        x, y = data(6, 40, seed=step)
        before, old = (model.evaluate(optimizer.theta, x) - y).square(), optimizer.theta.clone()
        squares = optimizer.step(x, y)
        torch.testing.assert_close(squares, before.mean(-1), rtol=1e-12, atol=0)
        after = (model.evaluate(optimizer.theta, x) - y).square()
        before, after = before.mean(-1).sum(-1), after.mean(-1).sum(-1)
        moved = (optimizer.theta != old).any(-1)
        assert (after[moved] < before[moved]).all()
        kept += int((~moved).sum())
    assert (kept > 0) == (attempts < 20)


@pytest.mark.parametrize(("rule", "growth"), [("gain", 2 * 4 * 8), ("factor", 1000)])
def test_a_step_that_fails_every_time_changes_only_the_damping(rule, growth):
    # Newton's iteration for the arctangent diverges from 3: every lightly damped step is bad.
    optimizer, problem = Equations(torch.atan).solver([3.0], damping=1e-9, rule=rule, attempts=3)
    loss = optimizer.step(*problem)
    assert float(loss) == pytest.approx(math.atan(3) ** 2, rel=1e-14)
    assert optimizer.theta.tolist() == [[3.0]]
    assert float(optimizer.lambdas) == pytest.approx(1e-9 * growth, rel=1e-12)
    assert optimizer.solves == 3
    for _ in range(20):
        optimizer.step(*problem)
    assert abs(float(optimizer.theta)) < 1e-8


def test_at_the_minimum_nothing_moves():
    optimizer, problem = Equations(rosenbrock).solver([1.0, 1.0], outputs=2)
    assert not optimizer.step(*problem).any()
    assert optimizer.theta.tolist() == [[1.0, 1.0]]
    assert optimizer.solves == 20


def test_a_step_to_where_there_is_no_number_is_refused():
    # From 1 to exp(-5) along log(theta) + 5: the first trials are negative.
    optimizer, problem = Equations(lambda t: t.log() + 5).solver([1.0], damping=1e-3)
    for _ in range(30):
        optimizer.step(*problem)
        assert float(optimizer.theta) > 0
    assert float(optimizer.theta) == pytest.approx(math.exp(-5), rel=1e-10)


def test_a_copy_that_is_lost_harms_no_other():
    optimizer, problem = Equations(rosenbrock).solver(
        [-1.2, 1.0], [float("nan"), 1.0], [3.0, -2.0], outputs=2
    )
    for _ in range(60):
        optimizer.step(*problem)
    torch.testing.assert_close(optimizer.theta[::2], torch.ones_like(optimizer.theta[::2]))
    assert optimizer.theta[1].isnan().tolist() == [True, False]


def test_damping_keeps_to_its_limits():
    easy, problem = Equations(lambda t: t - 1).solver([2.0], smallest=1e-5)
    easy.step(*problem)
    easy.step(*problem)
    easy.step(*problem)
    assert float(easy.lambdas) == 1e-5
    hard, problem = Equations(lambda t: t * 0 + 1).solver([2.0], largest=1e4, rule="factor")
    hard.step(*problem)
    assert float(hard.lambdas) == 1e4
    assert float(hard.theta) == 2


# --- copies


@pytest.mark.parametrize("rule", ["gain", "factor"])
@pytest.mark.parametrize(
    "network", [structured(used=0), FFNN((4, 5, 6, 5, 4), dtype=torch.float64)]
)  # outputs of a size that does not amplify rounding
def test_many_copies_are_each_alone(network, rule):
    size = sum(weight.numel() for weight in network.parameters())
    theta = weights_of(network) + 0.5 * draw(5, size, seed=3)
    options = {"rule": rule, "damping": 1e-6}
    together = LevenbergMarquardt(network, theta, **options)
    alone = [LevenbergMarquardt(network, theta[i : i + 1], **options) for i in range(5)]
    for step in range(6):
        x, y = data(5, 60, seed=step)
        squares = together.step(x, y)
        for i, each in enumerate(alone):
            torch.testing.assert_close(
                squares[i : i + 1], each.step(x[i : i + 1], y[i : i + 1]), rtol=1e-8, atol=0
            )
            torch.testing.assert_close(together.theta[i : i + 1], each.theta, rtol=1e-8, atol=1e-8)
    assert together.solves == sum(each.solves for each in alone)
    lambdas = torch.cat([each.lambdas for each in alone])
    torch.testing.assert_close(together.lambdas, lambdas, rtol=1e-5, atol=0)
    assert together.solves > 5 * 6  # some steps were tried again


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("outputs", [3, 4])
def test_how_many_copies_fit_a_cache_changes_nothing(monkeypatch, chunk, outputs):
    model, batch = structured(), 30
    theta = 0.7 * draw(5, 132, seed=4)
    seen, original = [], StNN.jacobian

    def watched(self, theta, columns, out, fresh=True):
        seen.append((len(theta), fresh))
        if fresh:
            out.fill_(torch.nan)
        return original(self, theta, columns, out, fresh)

    monkeypatch.setattr(StNN, "jacobian", watched)
    whole, parts = (LevenbergMarquardt(model, theta) for _ in range(2))
    for step in range(4):
        x, y = data(5, batch, seed=step)
        with monkeypatch.context() as patch:
            patch.setattr(levenberg, "CACHED", 10**9)
            one = whole.step(x, y[:, :outputs])
            patch.setattr(levenberg, "CACHED", chunk * 132 * outputs * batch)
            two = parts.step(x, y[:, :outputs])
        torch.testing.assert_close(one, two, rtol=1e-8, atol=0)
        torch.testing.assert_close(whole.theta, parts.theta, rtol=1e-8, atol=1e-8)
    sizes = [chunk] * (5 // chunk) + [5 % chunk] * (5 % chunk > 0)
    assert [size for size, _ in seen] == 4 * [5, *sizes]
    assert sum(fresh for _, fresh in seen) == 2  # one buffer each, used again and again


def test_a_batch_of_another_size_gets_a_buffer_of_its_own():
    model, theta = structured(), 0.7 * draw(2, 132, seed=4)
    one = LevenbergMarquardt(model, theta)
    one.step(*data(2, 50, seed=0))
    other = LevenbergMarquardt(model, one.theta)
    other.restore(one.state())
    x, y = data(2, 20, seed=1)
    torch.testing.assert_close(one.step(x, y), other.step(x, y), rtol=0, atol=0)
    assert torch.equal(one.theta, other.theta)


def test_it_goes_on_from_a_state():
    model, theta = structured(), 0.7 * draw(2, 132, seed=4)
    straight = LevenbergMarquardt(model, theta, damping=1e-9)
    given = theta.clone()
    for step in range(5):
        straight.step(*data(2, 50, seed=step))
    assert torch.equal(theta, given)  # the weights that came in are left alone
    saved = {name: value.clone() for name, value in straight.state().items()}
    resumed = LevenbergMarquardt(model, torch.zeros_like(theta))
    resumed.restore(saved)
    for step in range(5, 10):
        batch = data(2, 50, seed=step)
        assert torch.equal(straight.step(*batch), resumed.step(*batch))
    for name, value in straight.state().items():
        assert torch.equal(value, resumed.state()[name])
    assert not torch.equal(saved["theta"], resumed.theta)


def test_it_goes_on_from_the_midst_of_failures():
    model = Equations(torch.atan)
    straight, problem = model.solver([3.0], damping=1e-9, attempts=3)
    straight.step(*problem)  # fails: the next factor is 16
    resumed, _ = model.solver([0.0])
    resumed.attempts = 3
    resumed.restore(straight.state())
    for _ in range(5):
        straight.step(*problem)
        resumed.step(*problem)
        assert torch.equal(straight.lambdas, resumed.lambdas)
        assert torch.equal(straight.theta, resumed.theta)


# --- models


@pytest.mark.parametrize(
    "network", [structured(), FFNN((4, 5, 6, 5, 4), dtype=torch.float64)], ids=["stnn", "ffnn"]
)
def test_any_module_by_autodiff_agrees_with_derivatives_by_hand(network):
    size = sum(weight.numel() for weight in network.parameters())
    theta, columns = 0.7 * draw(3, size, seed=5), draw(3, 4, 8, seed=6)
    wrapped = Functional(network)
    torch.testing.assert_close(wrapped.evaluate(theta, columns), network.evaluate(theta, columns))
    found = []
    with torch.no_grad():
        for model in (wrapped, network):
            out = torch.full((3, size, 4, 8), torch.nan, dtype=torch.float64)
            found.append(model.jacobian(theta, columns, out))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-11, atol=1e-12)


def test_a_module_keeps_its_buffers():
    class Shifted(nn.Linear):
        def __init__(self):
            super().__init__(2, 1, dtype=torch.float64)
            self.register_buffer("shift", torch.tensor([3.0, -1.0], dtype=torch.float64))

        def forward(self, states):
            return super().forward(states - self.shift)

    module, x = Shifted(), draw(1, 2, 9)
    outputs = Functional(module).evaluate(weights_of(module)[None], x)
    torch.testing.assert_close(outputs[0].mT, module(x[0].mT).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("copies", [1, 3])
def test_gram_is_the_product(copies, dtype):
    jacobian = draw(copies, 7, 2, 11, dtype=dtype)
    found = gram(jacobian)
    rows = jacobian.double().flatten(2)
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.double(), rows @ rows.mT, rtol=0, atol=100 * torch.finfo(dtype).eps
    )
    assert torch.equal(found, found.mT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rule": "nielsen"}, "'nielsen'"),
        ({"theta": torch.zeros(5)}, r"\(5,\)"),
        ({"attempts": 0}, "attempts must be a whole number from 1 .*, got 0"),
        ({"damping": 0.0}, "damping must be a finite number above 0, got 0.0"),
        ({"damping": -1.0}, "got -1.0"),
        ({"damping": float("nan")}, "nan"),
        ({"damping": float("inf")}, "inf"),
    ],
)
def test_bad_input_is_named(change, words):
    arguments = {"model": Functional(nn.Linear(1, 1)), "theta": torch.zeros(1, 2)} | change
    with pytest.raises(ValueError, match=words):
        LevenbergMarquardt(**arguments)
