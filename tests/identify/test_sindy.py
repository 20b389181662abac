"""Identified fields against plain pysindy, the true Lorenz terms, and other integrators."""

import warnings

import numpy as np
import pysindy
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.sindy import DERIVATIVES, SparseField, fit_sindy
from dynlib.measure.rollout import failures

LORENZ = np.zeros((3, 10))
LORENZ[0, [1, 2]] = -10, 10
LORENZ[1, [1, 2, 6]] = 28, -1, -1
LORENZ[2, [3, 5]] = -8 / 3, 1


def solution(dt: float, samples: int) -> np.ndarray:
    return integrate(Lorenz(beta=8 / 3), np.array([[0.0, 1, 20]]), dt * np.arange(samples))[0]


@pytest.fixture(scope="module")
def record() -> np.ndarray:
    return solution(0.01, 4000)


@pytest.mark.parametrize(
    ("derivative", "method"),
    [
        ("fd2", None),
        ("smoothed", lambda: pysindy.SmoothedFiniteDifference()),
        ("fd4", lambda: pysindy.FiniteDifference(order=4)),
        ("fd6", lambda: pysindy.FiniteDifference(order=6)),
    ],
)
def test_coefficients_are_pysindys(record, derivative, method):
    plain = pysindy.SINDy(
        optimizer=pysindy.STLSQ(threshold=0.1),
        feature_library=pysindy.PolynomialLibrary(degree=2),
        differentiation_method=method and method(),
    )
    plain.fit(record, t=0.01, feature_names=["x", "y", "z"])
    ours = fit_sindy(record, 0.01, derivative)
    np.testing.assert_allclose(ours.coefficients, plain.coefficients(), rtol=1e-12)
    states = record[::500]
    short = SparseField(ours.coefficients, dt=1e-6).rollout(states[:, None], 1)[:, 0]
    np.testing.assert_allclose(short, states + 1e-6 * plain.predict(states), atol=1e-7)


@pytest.mark.filterwarnings("ignore")
def test_the_weak_form_is_pysindys_and_leaves_the_random_numbers_alone(record):
    np.random.seed(3)  # noqa: NPY002
    plain = pysindy.SINDy(
        optimizer=pysindy.STLSQ(threshold=0.1),
        feature_library=pysindy.WeakPDELibrary(
            pysindy.PolynomialLibrary(degree=2, include_bias=True),
            spatiotemporal_grid=0.01 * np.arange(4000), is_uniform=True, K=200, p=4,
        ),
    ).fit(record, t=0.01)  # fmt: skip
    np.random.seed(99)  # noqa: NPY002
    ours = fit_sindy(record, 0.01, "weak", seed=3)
    drawn = np.random.random()  # noqa: NPY002
    np.random.seed(99)  # noqa: NPY002
    assert drawn == np.random.random()  # noqa: NPY002
    np.testing.assert_array_equal(ours.coefficients, plain.coefficients())
    other = fit_sindy(record, 0.01, "weak", seed=4)
    assert (other.coefficients != ours.coefficients).any()


@pytest.mark.parametrize(
    ("derivative", "error"),
    [("fd2", 0.3), ("smoothed", 0.4), ("fd4", 5e-3), ("fd6", 1e-4), ("weak", 1e-8)],
)
def test_the_seven_terms_of_lorenz(record, derivative, error):
    """pysindy prints 27.8 where the truth is 28: the derivative's error, not the regression's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field = fit_sindy(record, 0.01, derivative)
    np.testing.assert_array_equal(field.active, LORENZ != 0)
    assert field.parameters == 7
    largest = np.abs(field.coefficients - LORENZ).max()
    assert error / 100 < largest < error


@pytest.mark.parametrize(("derivative", "order"), [("fd2", 2), ("smoothed", 2), ("fd4", 4)])
def test_the_error_falls_with_the_order_of_the_differences(derivative, order):
    errors = [
        np.abs(fit_sindy(solution(dt, 1 + round(20 / dt)), dt, derivative).coefficients - LORENZ)
        for dt in (0.01, 0.005)
    ]
    assert np.log2(errors[0].max() / errors[1].max()) == pytest.approx(order, abs=0.4)


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_several_trajectories(record, derivative):
    several = record.reshape(4, 1000, 3)
    field = fit_sindy(several, 0.01, derivative)
    np.testing.assert_array_equal(field.active, LORENZ != 0)
    as_list = fit_sindy(list(several), 0.01, derivative)
    np.testing.assert_array_equal(field.coefficients, as_list.coefficients)
    if derivative != "weak":
        unequal = fit_sindy([record[:1500], record[1500:]], 0.01, derivative)
        np.testing.assert_array_equal(unequal.active, LORENZ != 0)


def test_rollouts_of_the_true_field_are_solutions():
    starts = np.array([[1.0, 2.0, 20.0], [-8.0, -8.0, 27.0], [0.1, 0.0, 5.0]])
    rollout = SparseField(LORENZ, 0.01).rollout(starts[:, None], 300)
    lsoda = integrate(Lorenz(beta=8 / 3), starts, 0.01 * np.arange(301))[:, 1:]
    np.testing.assert_allclose(rollout, lsoda, atol=1e-7)
    sigma, rho, beta = 10, 28, 8 / 3
    tight = solve_ivp(
        lambda _, s: (sigma * (s[1] - s[0]), s[0] * (rho - s[2]) - s[1], s[0] * s[1] - beta * s[2]),
        (0, 3), starts[0], method="DOP853", rtol=1e-13, atol=1e-13,
    )  # fmt: skip
    np.testing.assert_allclose(rollout[0, -1], tight.y[:, -1], atol=1e-10)


def test_single_steps_are_those_of_the_compiled_integrator():
    starts = np.array([[1.0, 2.0, 20.0], [-8.0, -8.0, 27.0], [0.1, 0.0, 5.0]])
    found = SparseField(LORENZ, 0.01).runge_kutta(starts[:, None], 100)
    compiled = TimeMap(Lorenz(beta=8 / 3), 0.01, substeps=1).orbits(starts, 101)[:, 1:]
    np.testing.assert_allclose(found, compiled, rtol=1e-11)


def test_rollouts_of_linear_fields_are_matrix_exponentials_to_order_eight():
    matrix = np.array([[-0.2, 1.0], [-2.0, 0.1]])
    field = SparseField(np.concatenate([np.zeros((2, 1)), matrix, np.zeros((2, 3))], axis=1), 1.0)
    start = np.array([1.0, -1.0])
    exact = np.stack([expm(k * matrix) @ start for k in range(1, 6)])
    errors = [
        np.abs(field.rollout(start[None, None], 5, substeps=n)[0] - exact).max() for n in (1, 2, 40)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(8, abs=0.7)
    assert errors[2] < 1e-13


def test_a_solution_that_explodes_is_silent_and_alone():
    """x' = x^2 leaves all numbers at time 1/x(0)."""
    field = SparseField(np.array([[0.0, 0.0, 1.0]]), dt=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rollout = field.rollout(np.array([[[1.0]], [[-1.0]], [[0.1]]]), 30)
    assert failures(rollout) == 1
    assert not np.isfinite(rollout[0, 20:]).any()
    times = 0.1 * np.arange(1, 31)
    np.testing.assert_allclose(rollout[0, :8, 0], 1 / (1 - times[:8]), rtol=1e-7)
    np.testing.assert_allclose(rollout[1, :, 0], -1 / (1 + times), rtol=1e-10)
    np.testing.assert_allclose(rollout[2, :, 0], 1 / (10 - times), rtol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        single = field.runge_kutta(np.array([[[1.0]], [[-1.0]]]), 30)
    assert failures(single) == 1
    np.testing.assert_allclose(single[1, :, 0], -1 / (1 + times), rtol=1e-5)


def test_equations_are_readable():
    assert SparseField(LORENZ, 0.01).equations(2) == [
        "x' = -10.00 x + 10.00 y",
        "y' = 28.00 x - 1.00 y - 1.00 xz",
        "z' = -2.67 z + 1.00 xy",
    ]
    assert SparseField(np.array([[-0.5, 0.0, 2.0]]), 0.1).equations(1) == ["x' = -0.5 + 2.0 x2"]
    wide = np.zeros((4, 15))
    wide[0, 8] = 1.5  # 1, four x_i, then x0 times each of four, then x1 times x1
    assert SparseField(wide, 0.1).equations(0)[0] == "x0' = 2 x0x3"


def test_a_threshold_above_everything_leaves_nothing(record):
    with pytest.warns(UserWarning, match="too big"):
        field = fit_sindy(record, 0.01, threshold=1000)
    assert field.parameters == 0
    assert field.equations() == ["x' = 0", "y' = 0", "z' = 0"]
    np.testing.assert_array_equal(
        field.rollout(record[:2, None], 3), record[:2, None] * [[[1]] * 3]
    )


ramp = np.stack([np.arange(50.0), np.arange(50.0) ** 2], axis=1)
still = SparseField(np.zeros((1, 3)), 0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SparseField(np.zeros((3, 9)), 0.1), r"\(3, 9\)"),
        (lambda: SparseField(np.zeros(3), 0.1), r"\(3,\)"),
        (lambda: SparseField(np.full((1, 3), np.nan), 0.1), "finite"),
        (
            lambda: fit_sindy(ramp, 0.01, "fd3"),
            "'fd2', 'smoothed', 'fd4', 'fd6' or 'weak', got 'fd3'",
        ),
        (lambda: fit_sindy(ramp, 0), "dt must be a finite number above 0, got 0"),
        (lambda: fit_sindy(ramp, 0.1, threshold=-1), "threshold must be .*, got -1"),
        (lambda: fit_sindy(ramp[:, 0], 0.1), r"\(50,\)"),
        (lambda: fit_sindy([], 0.1), "one array"),
        (lambda: fit_sindy([ramp, ramp[:, :1]], 0.1), r"\(50, 1\)"),
        (lambda: fit_sindy([ramp, ramp[:19]], 0.1), "20 samples .* got 19"),
        (lambda: fit_sindy(ramp + np.inf, 0.1), "finite"),
        (lambda: fit_sindy([ramp, ramp[:40]], 0.1, "weak"), r"\[40, 50\]"),
        (lambda: SparseField(np.zeros((1, 3)), -0.1), "dt must be .* got -0.1"),
        (lambda: still.rollout(np.zeros((2, 1, 3)), 5), r"\(S, T, 1\)"),
        (lambda: still.rollout(np.zeros((2, 1, 1)), 0), "n_steps"),
        (lambda: still.rollout(np.zeros((2, 1, 1)), 5, substeps=0), "substeps must .* got 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def circle(samples: int) -> np.ndarray:
    angles = 0.01 * np.arange(samples)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.filterwarnings("ignore:Sparsity parameter is too big")
@pytest.mark.filterwarnings("ignore:the field misses")
@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("samples", [60, 100])
@pytest.mark.parametrize("threshold", [0.1, 0.25])
def test_coefficients_are_zero_or_above_the_threshold_on_a_short_arc(
    samples, derivative, threshold
):
    """On an arc x² and xy are nearly collinear with 1, x and y: the last fit is without a ridge."""
    field = fit_sindy(circle(samples), 0.01, derivative, threshold=threshold)
    assert field.parameters > 0
    assert np.abs(field.coefficients[field.active]).min() >= threshold


def test_the_velocity_on_a_short_arc_has_one_term_where_the_differences_allow_it():
    assert fit_sindy(circle(60), 0.01, "fd6").equations() == ["x' = -1.000 y", "y' = 1.000 x"]
    first = fit_sindy(circle(60), 0.01, "fd2").coefficients[0]
    np.testing.assert_array_equal(np.flatnonzero(first), [2])


@pytest.mark.parametrize("derivative", ["fd2", "fd4", "weak"])
def test_a_fit_above_the_threshold_is_pysindys_to_the_last_bit(record, derivative, monkeypatch):
    ours = fit_sindy(record, 0.01, derivative)
    monkeypatch.setattr("dynlib.identify.sindy._Thresholded", pysindy.STLSQ)
    np.testing.assert_array_equal(
        ours.coefficients, fit_sindy(record, 0.01, derivative).coefficients
    )


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_data_far_from_the_origin_are_refused(offset):
    times = np.arange(0, 10, 0.01)
    circle = np.stack([np.cos(times), np.sin(times) + offset], axis=1)
    with pytest.raises(
        ValueError,
        match=r"coordinate 1 must lie within 100 .* a mean of 1e\+0\d .*subtract the mean",
    ):
        fit_sindy(circle, 0.01)


@pytest.mark.parametrize(("derivative", "spreads"), [("fd2", 10), ("weak", 3)])
def test_a_field_spoilt_by_the_distance_from_the_origin_comes_with_a_warning(
    record, derivative, spreads
):
    """The ridge and the threshold act on raw coordinates: about the mean the same data are fine."""
    scale = record.std(axis=0)
    centred = record - record.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_sindy(centred, 0.01, derivative)
    words = r"misses \d+% of the velocity .* about the mean miss 0%.* Subtract the mean"
    with pytest.warns(UserWarning, match=words):
        fit_sindy(centred + spreads * scale, 0.01, derivative)


@pytest.mark.parametrize("seed", range(4))
def test_the_weak_form_at_its_fewest_samples(seed):
    times = 0.05 * np.arange(22) + 2
    arc = np.stack([np.cos(times), np.sin(times)], axis=1)
    field = fit_sindy(arc, 0.05, "weak", seed=seed)
    expected = np.zeros((2, 6))
    expected[0, 2], expected[1, 1] = -1, 1
    np.testing.assert_allclose(field.coefficients, expected, atol=1e-3)
    with pytest.raises(ValueError, match=r"22 samples or more with derivative='weak', got 21"):
        fit_sindy(arc[:21], 0.05, "weak", seed=seed)


def test_float32_whose_differences_are_rounding_is_refused():
    """At fifty float32 has steps of 4e-6, and the circle moves by 1e-4 from sample to sample."""
    times = 1e-4 * np.arange(63_000)
    circle = np.stack([np.cos(times), np.sin(times)], axis=1) + 50
    with pytest.raises(ValueError, match=r"two digits of float32 or more, got .*in float64"):
        fit_sindy(circle.astype(np.float32), 1e-4)
