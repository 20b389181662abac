"""The echo state network against reservoirpy's own loop, ridge regression, and what it forgets."""

import numpy as np
import pytest
from reservoirpy.mat_gen import bernoulli
from reservoirpy.nodes import Reservoir, Ridge
from sklearn import linear_model

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.reservoir import fit_reservoir
from dynlib.measure.rollout import spread, valid_time

OPTIONS = {
    "units": 100, "spectral_radius": 0.7, "leak": 0.6, "input_scaling": 0.2, "ridge": 1e-6,
    "washout": 50, "seed": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def solution() -> np.ndarray:
    return integrate(Lorenz(beta=8 / 3), np.array([[0.0, 1, 20]]), 0.01 * np.arange(5000))[0]


@pytest.fixture(scope="module")
def record(solution) -> np.ndarray:
    return solution[:2000]


@pytest.fixture(scope="module")
def network(record):
    return fit_reservoir(record, **OPTIONS)


def test_a_rollout_is_reservoirpys(record, solution, network):
    mean, scale = record.mean(axis=0), record.std(axis=0)
    standard = (record - mean) / scale
    model = Reservoir(
        100, sr=0.7, lr=0.6, input_scaling=0.2, input_connectivity=1.0, bias=bernoulli, seed=5
    ) >> Ridge(ridge=1e-6)
    model.fit(standard[:-1], standard[1:], warmup=50)
    reservoir = model.nodes[0]
    windows = np.stack([solution[s - 80 : s] for s in (2500, 3000)])
    rollout = network.rollout(windows, 100)
    for window, ours in zip(windows, rollout, strict=True):
        reservoir.reset()
        heard = model.run((window - mean) / scale)[-1]
        for state in ours:
            np.testing.assert_allclose(state, heard * scale + mean, atol=1e-6)
            heard = model.step(heard)


def test_the_weights_are_as_asked_for(network):
    dense = network.recurrent.toarray()
    assert np.abs(np.linalg.eigvals(dense)).max() == pytest.approx(0.7, rel=1e-6)
    assert (dense != 0).mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_allclose(np.abs(network.inputs), 0.2)
    np.testing.assert_allclose(np.abs(network.bias), 1)
    assert network.parameters == 3 * 100 + 3


def test_the_readout_is_a_ridge_regression(record, network):
    standard = (record - network.mean) / network.scale
    units, heard = np.zeros(100), []
    for state in standard[:-1]:
        drive = network.recurrent @ units + network.inputs @ state + network.bias
        units = 0.4 * units + 0.6 * np.tanh(drive)
        heard.append(units)
    peer = linear_model.Ridge(alpha=1e-6, solver="svd").fit(heard[50:], standard[51:])
    np.testing.assert_allclose(
        heard @ network.readout + network.offset, peer.predict(heard), atol=1e-5
    )


def test_the_seed_decides(record, network, solution):
    window = solution[None, 2000:2100]
    again = fit_reservoir(record, **OPTIONS)
    np.testing.assert_array_equal(again.rollout(window, 50), network.rollout(window, 50))
    other = fit_reservoir(record, **{**OPTIONS, "seed": 6})
    assert (other.rollout(window, 50) != network.rollout(window, 50)).any()


def test_starts_do_not_meet(solution, network):
    windows = np.stack([solution[s : s + 90] for s in (2000, 2500, 3500)])
    together = network.rollout(windows, 60)
    assert together.shape == (3, 60, 3)
    for window, rollout in zip(windows, together, strict=True):
        np.testing.assert_allclose(network.rollout(window[None], 60)[0], rollout, atol=1e-7)


def test_it_forgets_where_it_began(solution, network):
    """Echo states: what was heard long ago, rest or true states, leaves no trace."""
    short, long = solution[None, 2400:2500], solution[None, 2000:2500]
    np.testing.assert_allclose(network.rollout(short, 1), network.rollout(long, 1), atol=1e-5)
    hasty = network.rollout(solution[None, 2495:2500], 1)
    assert np.abs(hasty - network.rollout(long, 1)).max() > 1e-3


def test_units_of_measurement_do_not_matter(record, solution, network):
    factor, shift = np.array([1e-3, 1, 1e3]), np.array([5, -100, 0])
    scaled = fit_reservoir(factor * record + shift, **OPTIONS)
    window = solution[None, 2000:2100]
    np.testing.assert_allclose(
        (scaled.rollout(factor * window + shift, 30) - shift) / factor,
        network.rollout(window, 30),
        atol=1e-4,
    )


def test_it_forecasts_lorenz_for_some_lyapunov_times(record, solution):
    network = fit_reservoir(record)
    starts = range(2500, 4600, 100)
    windows = np.stack([solution[s - 100 : s] for s in starts])
    truth = np.stack([solution[s : s + 400] for s in starts])
    times, _ = valid_time(network.rollout(windows, 400), truth, spread(solution), 0.01, 0.9056)
    assert np.median(times) > 2


short = np.random.default_rng(0).normal(size=(60, 2))
fitted = fit_reservoir(short, units=10, washout=10)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_reservoir(short[:, 0]), r"\(60,\)"),
        (lambda: fit_reservoir(short + np.nan), "finite"),
        (lambda: fit_reservoir(short, units=2), "units must be a whole number from 3 to .*, got 2"),
        (lambda: fit_reservoir(short, washout=59), "from 0 to 58"),
        (
            lambda: fit_reservoir(short, washout=-1),
            "washout must be a whole number from 0 to 58, got -1",
        ),
        (
            lambda: fit_reservoir(short, washout=1, spectral_radius=0),
            "spectral_radius must be .* above 0, got 0",
        ),
        (lambda: fit_reservoir(short, washout=1, input_scaling=-1.0), "-1.0"),
        (lambda: fit_reservoir(short, washout=1, leak=1.5), r"leak must be .* to 1, got 1\.5"),
        (lambda: fit_reservoir(short, washout=1, ridge=-1e-3), "-0.001"),
        (lambda: fit_reservoir(short * [1, 0], washout=1), "coordinate 1 is constant"),
        (lambda: fitted.rollout(short, 3), r"\(60, 2\)"),
        (lambda: fitted.rollout(short[None, :0], 3), "T of 1 or more"),
        (lambda: fitted.rollout(short[None] + np.inf, 3), "windows must be finite"),
        (lambda: fitted.rollout(short[None], 0), "got 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_forecasts_do_not_depend_on_where_the_states_lie(offset):
    times = np.arange(0, 60, 0.1)
    record = np.stack([np.sin(times), np.cos(times)], axis=1)
    near, far = (fit_reservoir(s, 50) for s in (record, record + offset))
    ours = far.rollout(record[None, -50:] + offset, 10) - offset
    theirs = near.rollout(record[None, -50:], 10)
    np.testing.assert_allclose(ours, theirs, atol=1e5 * np.spacing(offset))


@pytest.mark.parametrize("value", [0.1, 23.7, 1e8 + 0.1])
def test_a_constant_coordinate_is_refused_whatever_its_value(value):
    record = np.stack([np.linspace(0, 1, 300), np.full(300, value)], axis=1)
    with pytest.raises(ValueError, match="coordinate 1 is constant"):
        fit_reservoir(record, 10)


def test_a_ridge_that_vanishes_beside_the_units_is_refused():
    """Two hundred units from a circle: without a ridge float64 cannot solve for the readout."""
    times = 0.1 * np.arange(600)
    circle = np.stack([np.cos(times), np.sin(times)], axis=1)
    with pytest.raises(ValueError, match=r"ridge must be so large .* got 0\.0 .*; take ten times"):
        fit_reservoir(circle, 200, ridge=0.0)
