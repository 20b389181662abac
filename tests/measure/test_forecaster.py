"""Every method that forecasts is asked in one way, and counts what one step costs."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.integrate import DOP853

from dynlib.dynamics.pairs import integrate, pairs
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.havok import DelayDMD, Havok
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.reservoir import fit_reservoir
from dynlib.identify.sindy import SparseField, fit_sindy
from dynlib.measure.forecaster import last_states
from dynlib.networks.ffnn import FFNN
from dynlib.networks.forecaster import NetworkForecaster
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN

DT = 0.01
RECORD = integrate(Lorenz(), np.array([[0.0, 1.0, 20.0]]), DT * np.arange(901))[0]
WINDOWS = np.stack([RECORD[s : s + 30] for s in (200, 500, 800)])


def network(kind: type, *size) -> NetworkForecaster:
    model = kind(*size, dtype=torch.float64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.1 * torch.randn(weight.shape, dtype=torch.float64))
    return NetworkForecaster(model)


FORECASTERS = {
    "sindy": fit_sindy(RECORD, DT, "fd6"),
    "polynomial": PolynomialMap.fit(*pairs(RECORD[None]), degree=3),
    "havok": Havok.fit(RECORD, DT, delays=12, rank=7, num_chaos=2),
    "dmd": DelayDMD.fit(RECORD, delays=12, rank=7),
    "reservoir": fit_reservoir(RECORD, units=40),
    "stnn": network(StNN, 4, 6),
    "ffnn": network(FFNN, (3, 5, 4, 6, 3)),
}
#: How many states each method uses of a window, 0 for all.
NEEDED = dict.fromkeys(FORECASTERS, 1) | {"havok": 12, "dmd": 12, "reservoir": 0}


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_forecaster_continues_windows_by_the_states_that_it_needs(name):
    model = FORECASTERS[name]
    found = model.rollout(WINDOWS, 4)
    assert found.shape == (3, 4, 3)
    np.testing.assert_array_equal(model.rollout(WINDOWS[:, -NEEDED[name] :], 4), found)
    np.testing.assert_array_equal(model.rollout(WINDOWS, 2), found[:, :2])
    assert isinstance(model.parameters, int)
    assert model.flops > 0


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize(
    ("windows", "n_steps", "words"),
    [
        (WINDOWS[:, -1], 3, r"states\[:, None\]|got \(3, 3\)"),
        (WINDOWS[:, :0], 3, r"got \(3, 0, 3\)"),
        (WINDOWS[:0], 3, r"none of it 0, got \(0, 30, 3\)"),
        (WINDOWS * np.nan, 3, "windows must be finite"),
        (WINDOWS, 0, r"n_steps must be a whole number from 1 .*, got 0"),
    ],
)
def test_every_forecaster_refuses_the_same_input(name, windows, n_steps, words):
    with pytest.raises(ValueError, match=words):
        FORECASTERS[name].rollout(windows, n_steps)


def test_a_network_is_rolled_out_from_the_last_states():
    each = FORECASTERS["ffnn"]
    np.testing.assert_array_equal(each.rollout(WINDOWS, 5), rollout(each.model, WINDOWS[:, -1], 5))
    assert each.parameters == sum(weight.numel() for weight in each.model.parameters())


def test_the_last_states_are_those_of_the_windows():
    np.testing.assert_array_equal(last_states(WINDOWS, 1, 3, 2), WINDOWS[:, -2:])
    np.testing.assert_array_equal(last_states(WINDOWS, 1, 3, 0), WINDOWS)


class Counted:
    """A number that counts the operations done with it."""

    done = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def _do(self, other: object, operation: str) -> "Counted":
        Counted.done += 1
        other = other.value if isinstance(other, Counted) else other
        return Counted(getattr(self.value, operation)(other))

    def __add__(self, other):
        return self._do(other, "__add__")

    def __sub__(self, other):
        return self._do(other, "__sub__")

    def __mul__(self, other):
        return self._do(other, "__mul__")

    def __truediv__(self, other):
        return self._do(other, "__truediv__")


def counted(values: np.ndarray) -> np.ndarray:
    """Numbers that count, with `Counted.done` set back."""
    Counted.done = 0
    return np.array([Counted(float(value)) for value in values])


def dot(weights, values):
    """A sum of products, n products and n - 1 sums."""
    first, *others = [value * float(weight) for weight, value in zip(weights, values, strict=True)]
    for each in others:
        first = first + each
    return first


def test_a_polynomial_step_takes_the_operations_that_are_stated():
    model = FORECASTERS["polynomial"]
    state = counted(RECORD[500])
    x = [(value - m) / s for value, m, s in zip(state, model.mean, model.scale, strict=True)]
    terms = [*x]  # of degree 1, then each of a degree from one of a degree less
    last = [(axis, value) for axis, value in enumerate(x)]
    for _ in range(2):
        last = [(axis, v * x[axis]) for first, v in last for axis in range(first, 3)]
        terms += [value for _, value in last]
    found = [
        s + (dot(row[1:], terms) + float(row[0] * 1.0))
        for s, row in zip(state, model.coefficients, strict=True)
    ]
    expected = model.step(RECORD[500])
    np.testing.assert_allclose([each.value for each in found], expected, rtol=1e-9)
    # The constant term is multiplied by 1 in the count: one operation a coordinate more.
    assert model.flops == Counted.done + 3


COEFFICIENTS = np.zeros((3, 10))
COEFFICIENTS[0, [1, 2]] = -10, 10
COEFFICIENTS[1, [1, 2, 6]] = 28, -1, -1
COEFFICIENTS[2, [3, 5]] = -8 / 3, 1


def velocity(s):
    """That of `COEFFICIENTS`, without what is multiplied by zero."""
    terms = {1: s[0], 2: s[1], 3: s[2], 5: s[0] * s[1], 6: s[0] * s[2]}
    return [dot(row[row != 0], [terms[i] for i in np.flatnonzero(row)]) for row in COEFFICIENTS]


def test_a_runge_kutta_step_of_a_field_takes_the_operations_that_are_stated():
    model = SparseField(COEFFICIENTS, 0.01)
    state = counted(RECORD[500])
    k = [velocity(state)]
    for share in (0.005, 0.005, 0.01):
        k.append(velocity([s + v * share for s, v in zip(state, k[-1], strict=True)]))
    found = [
        s + (a + b * 2.0 + c * 2.0 + d) * (0.01 / 6)
        for s, a, b, c, d in zip(state, *k, strict=True)
    ]
    taken = model.runge_kutta(RECORD[None, 500:501], 1)[0, 0]
    np.testing.assert_allclose([each.value for each in found], taken, rtol=1e-12)
    assert model.flops == Counted.done


def test_a_sample_of_a_field_takes_the_operations_that_are_stated():
    """Two steps of DOP853, without the weights that are zero; h is multiplied into the others."""
    model, h = SparseField(COEFFICIENTS, 0.01), 0.005

    def moved(state, weights, slopes):
        used = np.flatnonzero(weights)
        return [
            s + dot(h * weights[used], [slopes[i][axis] for i in used]) if len(used) else s
            for axis, s in enumerate(state)
        ]

    state = counted(RECORD[500])
    for _ in range(2):
        slopes = []
        for stage in range(12):
            slopes.append(velocity(moved(state, DOP853.A[stage, :stage], slopes)))
        state = moved(state, DOP853.B, slopes)
    taken = model.rollout(RECORD[None, 500:501], 1)[0, 0]
    np.testing.assert_allclose([each.value for each in state], taken, rtol=1e-12)
    assert model.flops_run == Counted.done


@pytest.mark.parametrize(("name", "directions"), [("havok", 5), ("dmd", 7)])
def test_a_delay_model_multiplies_by_two_matrices(name, directions):
    assert (
        FORECASTERS[name].flops == 2 * np.ones((directions, directions)).size + 2 * 3 * directions
    )


def test_a_reservoir_multiplies_by_three_matrices():
    model = FORECASTERS["reservoir"]
    assert model.flops == 2 * (sparse.coo_array(model.recurrent).data != 0).sum() + 2 * 2 * 3 * 40
