"""Flows against DOP853, closed forms, finite differences and published exponents."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynlib.dynamics.flows import Flow, TimeMap
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.simulate import from_random_times, simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler

TAU = {Lorenz: 0.03, Rossler: 0.1}


@dataclass(frozen=True)
class Oscillator(Flow):
    """A rotation of the plane with angular velocity omega; nothing is lost."""

    omega: float = 1.0

    dim: ClassVar[int] = 2

    def equations(self):
        omega = self.omega
        return lambda x, y: (omega * y, -omega * x)

    def linearisation(self):
        omega = self.omega
        return lambda x, y: ((0, omega), (-omega, 0))


@dataclass(frozen=True)
class Triangular(Flow):
    """Linear, with the eigenvalues a, b and c: they are its Lyapunov exponents."""

    a: float = 0.7
    b: float = -0.2
    c: float = -1.5

    dim: ClassVar[int] = 3

    def equations(self):
        a, b, c = self.a, self.b, self.c
        return lambda x, y, z: (a * x, 2 * x + b * y, -x + 3 * y + c * z)

    def linearisation(self):
        a, b, c = self.a, self.b, self.c
        return lambda x, y, z: ((a, 0, 0), (2, b, 0), (-1, 3, c))


@dataclass(frozen=True)
class Decay(Flow):
    """One coordinate that decays with the rate 1."""

    dim: ClassVar[int] = 1

    def equations(self):
        return lambda x: (-x,)

    def linearisation(self):
        return lambda x: ((-1,),)


@dataclass(frozen=True)
class Driven(Flow):
    """Decay beside a clock: a coordinate whose velocity is a number."""

    dim: ClassVar[int] = 2

    def equations(self):
        return lambda x, t: (-x, 1.0)

    def linearisation(self):
        return lambda x, t: ((-1, 0), (0, 0))


@dataclass(frozen=True)
class Explosion(Flow):
    """x' = x^2 reaches infinity at the time 1 / x(0)."""

    dim: ClassVar[int] = 1

    def equations(self):
        return lambda x: (x * x,)


@pytest.fixture(scope="module", params=[Lorenz, Rossler], ids=lambda kind: kind.__name__)
def case(request):
    """A system, its tau, 20 states on its attractor and where DOP853 takes them."""
    system, tau = request.param(), TAU[request.param]
    initial = system.initial_states(20, np.random.default_rng(0))
    states = simulate(TimeMap(system, tau), initial, 1, transient=2000)[:, 0]
    after = [
        solve_ivp(
            lambda _, x: system.velocity(x), (0, tau), state,
            method="DOP853", rtol=1e-12, atol=1e-12,
        ).y[:, -1]
        for state in states
    ]  # fmt: skip
    return system, tau, states, np.array(after)


def test_the_published_equations():
    """By hand: Lorenz (1963) and Rössler (1976) at a point where every term counts."""
    state = np.array([2.0, 3.0, 5.0])
    velocity = Lorenz(sigma=7, rho=11, beta=13).velocity(state)
    np.testing.assert_array_equal(velocity, [7 * (3 - 2), 2 * (11 - 5) - 3, 2 * 3 - 13 * 5])
    velocity = Rossler(a=7, b=11, c=13).velocity(state)
    np.testing.assert_array_equal(velocity, [-3 - 5, 2 + 7 * 3, 11 + 5 * (2 - 13)])
    assert (Lorenz().sigma, Lorenz().rho, Lorenz().beta) == (10, 28, 2.67)
    assert (Rossler().a, Rossler().b, Rossler().c) == (0.15, 0.2, 10)


def test_default_substeps_agree_with_dop853(case):
    system, tau, states, after = case
    error = np.linalg.norm(TimeMap(system, tau).step(states) - after, axis=1)
    assert 0 < error.max() < 1e-5


def test_the_order_of_convergence_is_four(case):
    system, tau, states, after = case
    errors = np.array(
        [np.linalg.norm(TimeMap(system, tau, n).step(states) - after) for n in (5, 10, 20)]
    )
    np.testing.assert_allclose(errors[:-1] / errors[1:], 16, rtol=0.1)


def test_jacobian_is_the_derivative_of_velocity(case):
    system, _, states, _ = case
    h = 1e-5
    differences = [
        (system.velocity(states + h * e) - system.velocity(states - h * e)) / (2 * h)
        for e in np.eye(3)
    ]
    np.testing.assert_allclose(system.jacobian(states), np.stack(differences, -1), atol=1e-7)


def test_pushed_frames_are_the_derivative_of_the_step(case):
    system, tau, states, _ = case
    time_map, h = TimeMap(system, tau), 1e-5
    differences = [
        (time_map.step(states + h * e) - time_map.step(states - h * e)) / (2 * h) for e in np.eye(3)
    ]
    after, frames = time_map.push(states, np.broadcast_to(np.eye(3), (20, 3, 3)))
    np.testing.assert_allclose(after, time_map.step(states), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(frames, np.stack(differences, -1), atol=1e-6)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 5), (0,)])
def test_any_leading_shape(shape):
    states = np.random.default_rng(1).normal(size=(*shape, 3))
    for system in (Lorenz(), Rossler()):
        velocity, jacobian = system.velocity(states), system.jacobian(states)
        assert velocity.shape == (*shape, 3)
        assert jacobian.shape == (*shape, 3, 3)
        for index in np.ndindex(*shape):
            np.testing.assert_array_equal(velocity[index], system.velocity(states[index]))
            np.testing.assert_array_equal(jacobian[index], system.jacobian(states[index]))


def test_orbits_begin_with_their_states_and_are_the_steps(case):
    system, tau, states, _ = case
    time_map, x = TimeMap(system, tau), states
    path = simulate(time_map, states, 8)
    np.testing.assert_array_equal(path, time_map.orbits(states, 8))
    for k in range(8):
        np.testing.assert_array_equal(path[:, k], x)
        x = time_map.step(x)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 40])
def test_orbits_side_by_side_have_the_digits_of_each_alone(n):
    for flow in (Lorenz(), Rossler(), Oscillator()):
        system = TimeMap(flow, TAU.get(type(flow), 0.1))
        states = np.random.default_rng(n).normal(size=(n, flow.dim))
        together = system.orbits(states, 30)
        alone = np.concatenate([system.orbits(state[None], 30) for state in states])
        np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("transient", [1, 7, 999, 1000, 1001, 2345])
def test_a_transient_is_dropped_states(transient):
    """Beyond 1000 steps it is passed in stretches, which must not show."""
    time_map = TimeMap(Lorenz(), 0.03)
    start = Lorenz().initial_states(3, np.random.default_rng(2))
    whole = simulate(time_map, start, transient + 4)
    np.testing.assert_array_equal(
        simulate(time_map, start, 4, transient=transient), whole[:, transient:]
    )


def test_trajectories_from_random_times_are_pieces_of_whole_ones():
    time_map, n, transient = TimeMap(Lorenz(), 0.03), 40, 5
    start = Lorenz().initial_states(n, np.random.default_rng(2))
    whole = simulate(time_map, start, 2 * transient + 8)
    found = from_random_times(time_map, start, 8, transient=transient, rng=np.random.default_rng(3))
    assert found.shape == (n, 8, 3)
    begins = [int((w == f[0]).all(axis=1).argmax()) for w, f in zip(whole, found, strict=True)]
    for row, (begin, path) in enumerate(zip(begins, found, strict=True)):
        np.testing.assert_array_equal(path, whole[row, begin : begin + 8])
    assert set(begins) == set(range(transient, 2 * transient))
    with pytest.raises(ValueError, match=r"transient must be a whole number from 1 .*, got 0"):
        from_random_times(time_map, start, 8, transient=0, rng=np.random.default_rng(3))


def test_an_oscillator_is_its_closed_form():
    omega, tau, n = 2.0, 0.1, 200
    start = np.random.default_rng(3).normal(size=(5, 2))
    path = simulate(TimeMap(Oscillator(omega), tau, substeps=20), start, n)
    cosine, sine = np.cos(omega * tau * np.arange(n)), np.sin(omega * tau * np.arange(n))
    x, y = start[:, :1], start[:, 1:]
    expected = np.stack([x * cosine + y * sine, y * cosine - x * sine], axis=-1)
    np.testing.assert_allclose(path, expected, atol=1e-7)
    energy = (path**2).sum(axis=-1)
    np.testing.assert_allclose(energy, energy[:, :1] * np.ones(n), rtol=1e-8)


def test_one_dimension_is_the_stability_polynomial():
    """On x' = -x a step multiplies by the Taylor polynomial of degree 4: RK4, exactly."""
    start, h, substeps = np.array([[1.0], [-3.0]]), 0.25, 3
    factor = 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24
    path = simulate(TimeMap(Decay(), h * substeps, substeps), start, 4)
    np.testing.assert_allclose(
        path[..., 0], start * factor ** (substeps * np.arange(4)), rtol=1e-14
    )
    exponent = tangent_exponents(TimeMap(Decay(), h * substeps, substeps), start, 10)
    np.testing.assert_allclose(exponent, np.log(factor) / h, rtol=1e-12)


def test_two_flows_of_one_kind_keep_their_parameters():
    """The compiled loops are kept: they must be kept by the parameters."""
    start = np.array([[1.0, 0.0]])
    for omega in (1.0, 2.0, 1.0):
        after = TimeMap(Oscillator(omega), 0.5, 50).step(start)[0]
        np.testing.assert_allclose(after, [np.cos(omega / 2), -np.sin(omega / 2)], atol=1e-8)


def test_a_velocity_may_be_a_number():
    states = np.random.default_rng(4).normal(size=(6, 2))
    after = TimeMap(Driven(), 0.2, 20).step(states)
    np.testing.assert_allclose(after, states * [np.exp(-0.2), 1] + [0, 0.2], atol=1e-8)
    np.testing.assert_array_equal(Driven().velocity(states)[:, 1], 1)
    # The first frame lies along the eigenvectors and stays there, in its own order.
    exponents = tangent_exponents(TimeMap(Driven(), 0.2, 20), states, 50)
    np.testing.assert_allclose(np.sort(exponents), [[-1, 0]] * 6, atol=1e-6)


def test_exponents_of_a_linear_flow_are_its_eigenvalues():
    states = np.random.default_rng(5).normal(size=(4, 3))
    time_map = TimeMap(Triangular(), 0.1)
    exponents = tangent_exponents(time_map, states, 300, alignment=200)
    np.testing.assert_allclose(exponents, [[0.7, -0.2, -1.5]] * 4, atol=1e-6)


def test_alignment_is_what_happened_before_the_average():
    """Without it the average holds the turning of the frame, of the order of 1 / time."""
    states, time_map = np.ones((1, 3)), TimeMap(Triangular(), 0.1)
    turning = np.abs(tangent_exponents(time_map, states, 100) - [0.7, -0.2, -1.5]).max()
    aligned = tangent_exponents(time_map, states, 100, alignment=300) - [0.7, -0.2, -1.5]
    assert np.abs(aligned).max() < 1e-6 < 1e-3 < turning
    # The same orbit and the same frames: sums over time add up.
    long, short = (tangent_exponents(time_map, states, n) * n for n in (150, 50))
    np.testing.assert_allclose(
        tangent_exponents(time_map, states, 100, alignment=50) * 100, long - short, atol=1e-10
    )


@pytest.fixture(scope="module")
def exponents():
    """Exponents of 24 orbits of either system, at the parameters of the published facts."""
    found = {}
    for system, n_steps in ((Lorenz(beta=8 / 3), 1500), (Rossler(), 1000)):
        time_map = TimeMap(system, TAU[type(system)])
        initial = system.initial_states(24, np.random.default_rng(6))
        start = simulate(time_map, initial, 1, transient=2000)[:, 0]
        found[type(system)] = tangent_exponents(time_map, start, n_steps, alignment=200)
    return found


@pytest.mark.parametrize("kind", [Lorenz, Rossler])
def test_the_largest_exponent_is_the_published_one(exponents, kind):
    largest, fact = exponents[kind][:, 0], kind.published["lyapunov"]
    error = largest.std(ddof=1) / np.sqrt(len(largest))
    assert error < 0.05 * fact.value  # else the test could not fail
    assert abs(largest.mean() - fact.value) < fact.tolerance + 3 * error


@pytest.mark.parametrize("kind", [Lorenz, Rossler])
def test_the_second_exponent_of_a_flow_is_zero(exponents, kind):
    second = exponents[kind][:, 1]
    assert abs(second.mean()) < 4 * second.std(ddof=1) / np.sqrt(len(second)) + 1e-3


def test_exponents_add_up_to_the_divergence(exponents):
    """Lorenz contracts volume at one rate everywhere, Rössler at a + x - c."""
    np.testing.assert_allclose(exponents[Lorenz].sum(axis=1), -(10 + 1 + 8 / 3), atol=1e-3)
    # At Rössler's strongest contraction, far from the centre, 5 substeps err by 2e-3.
    time_map, n = TimeMap(Rossler(), 0.1, substeps=10), 300
    initial = Rossler().initial_states(8, np.random.default_rng(6))
    start = simulate(time_map, initial, 1, transient=1000)[:, 0]
    x = simulate(time_map, start, n + 1)[..., 0]
    divergence = 0.15 - 10 + np.trapezoid(x, axis=1) / n
    sums = tangent_exponents(time_map, start, n).sum(axis=1)
    np.testing.assert_allclose(sums, divergence, atol=1e-3)


@pytest.mark.parametrize("kind", [Lorenz, Rossler])
def test_facts_are_sourced(kind):
    assert all(fact.source and fact.tolerance > 0 for fact in kind.published.values())


def test_facts_are_those_of_the_parameters():
    assert set(Lorenz().facts) == {"inverse_lyapunov_printed"}  # beta is the paper's 2.67
    assert set(Lorenz(beta=8 / 3).facts) == {"lyapunov"}
    assert set(Rossler().facts) == set(Rossler.published)
    assert Rossler(c=5.7).facts == {}
    with pytest.raises(KeyError, match=r"'lyapunov' for these parameters \(known: none\)"):
        Lorenz(rho=10).facts["lyapunov"]


def test_the_printed_initial_states():
    rng = np.random.default_rng(7)
    lorenz, rossler = (kind().initial_states(2000, rng) for kind in (Lorenz, Rossler))
    assert lorenz.shape == rossler.shape == (2000, 3)
    for states, centre, radius in ((lorenz, [0, 0, 0], 0.1), (rossler, [5, 0, 0], 1)):
        away = np.abs(states - centre)
        assert (away <= radius).all()
        assert (away.max(axis=0) > 0.99 * radius).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TimeMap(Lorenz(), 0.0), "tau must be .* above 0, got 0.0"),
        (lambda: TimeMap(Lorenz(), -0.1), "tau must be .* above 0, got -0.1"),
        (lambda: TimeMap(Lorenz(), np.nan), "tau must be .* above 0, got nan"),
        (lambda: TimeMap(Lorenz(), np.inf), "tau must be .* above 0, got inf"),
        (lambda: TimeMap(Lorenz(), 0.1, 0), "substeps must be .*, got 0"),
        (lambda: Lorenz(rho=np.nan), "rho of Lorenz must be .*, got nan"),
        (lambda: Lorenz(beta=np.inf), "beta of Lorenz .*, got inf"),
        (lambda: Rossler(c=-np.inf), "c of Rossler .*, got -inf"),
        (lambda: simulate(TimeMap(Lorenz(), 0.1), np.zeros((2, 2)), 3), r"\(batch, 3\)"),
        (lambda: simulate(TimeMap(Lorenz(), 0.1), np.zeros((2, 3)), 0), "n_steps"),
        (lambda: simulate(TimeMap(Lorenz(), 0.1), np.zeros((2, 3)), 1, transient=-1), "transient"),
        (
            lambda: simulate(TimeMap(Explosion(), 0.5), np.array([[-1.0], [0.25], [1.5]]), 20),
            r"2 of 3 orbits diverge, .* \[0\.25\] \(index 1\)",
        ),
        (
            lambda: simulate(TimeMap(Explosion(), 0.5), np.array([[0.25]]), 1, transient=1500),
            r"1 of 1 orbits diverge, .* \[0\.25\] \(index 0\)",
        ),
        (lambda: tangent_exponents(TimeMap(Lorenz(), 0.1), np.ones((1, 3)), 0), "n_steps"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Lorenz().velocity(np.ones((5, 4))), r"\(\.\.\., 3\), got \(5, 4\)"),
        (lambda: Lorenz().jacobian(np.ones(2)), r"\(\.\.\., 3\), got \(2,\)"),
        (lambda: TimeMap(Lorenz(), 0.1).step(np.ones((5, 4))), r"\(batch, 3\), got \(5, 4\)"),
        (lambda: TimeMap(Lorenz(), 0.1).orbits(np.ones(3), 2), r"got \(3,\); .*states\[None\]"),
        (lambda: TimeMap(Lorenz(), 0.1).orbits(np.ones((2, 5, 3)), 2), r"got \(2, 5, 3\)"),
        (lambda: TimeMap(Lorenz(), 0.1).push(np.ones(3), np.eye(3)), r"got \(3,\)"),
        (
            lambda: TimeMap(Lorenz(), 0.1).push(np.ones((3, 3)), np.eye(3)),
            r"frames must have shape .* got \(3, 3\); .*frame\[None\]",
        ),
    ],
)
def test_wrong_axes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_flow_whose_parameters_can_change_is_refused():
    class Decay(Flow):
        dim = 1
        rate = 1.0

        def equations(self):
            rate = self.rate
            return lambda x: (-rate * x,)

    with pytest.raises(TypeError, match=r"a frozen dataclass, got Decay.*@dataclass\(frozen"):
        TimeMap(Decay(), 0.1)
