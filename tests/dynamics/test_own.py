"""A reader's own system: Jacobians against exact ones, and what is refused before anything runs."""

import importlib
import importlib.util
import math
import sys
from types import ModuleType

import dysts_table
import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.own import OwnFlow, OwnMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.catalogue import from_dysts, refused
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.dynamics.trial import prepared


def lorenz(x, y, z):
    return 10 * (y - x), x * (28 - z) - y, x * y - 2.67 * z


def henon(x, y):
    return 1 - 1.4 * x * x + y, 0.3 * x


def test_a_flow_is_the_flow_written_by_hand():
    own = OwnFlow(lorenz, ("x", "y", "z"), (1, 1, 1), scale=(8, 9, 8))
    states = np.random.default_rng(0).uniform(-20, 20, (4, 50, 3))
    np.testing.assert_array_equal(own.velocity(states), Lorenz().velocity(states))
    np.testing.assert_allclose(own.jacobian(states), Lorenz().jacobian(states), atol=1e-8)
    np.testing.assert_allclose(
        TimeMap(own, 0.03).orbits(states[0], 20), TimeMap(Lorenz(), 0.03).orbits(states[0], 20)
    )


def test_a_map_is_the_map_written_by_hand():
    own = OwnMap(henon, ("x", "y"), (0.1, 0.1))
    states = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    np.testing.assert_array_equal(own.step(states), Henon().step(states))
    np.testing.assert_allclose(own.jacobian(states), Henon().jacobian(states), atol=1e-9)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_jacobian_knows_the_scale_of_the_coordinates(size):
    """A step of the wrong size would miss the cube's slope or drown it in rounding."""
    own = OwnMap(lambda x: ((x / size) ** 3 * size,), ("x",), (0.5 * size,), scale=(size,))
    states = np.linspace(0.3, 2, 9)[:, None] * size
    np.testing.assert_allclose(
        own.jacobian(states)[:, 0, 0], 3 * (states[:, 0] / size) ** 2, rtol=1e-8
    )


def test_the_function_may_branch():
    def tent(x):
        if x < 0.5:
            return (1.9 * x,)
        return (1.9 * (1 - x),)

    own = OwnMap(tent, ("x",), (0.3,))
    np.testing.assert_allclose(own.step(np.array([[0.2], [0.9]])), [[0.38], [0.19]])


SHIFT = 0.0


def test_constants_are_those_of_the_moment(monkeypatch):
    """numba reads globals and closures once: a changed one was ignored, or known to half of it."""
    rate, ends = 1.0, np.array([2.0, 0.0])

    def decay(x):
        return (-rate * x + ends[1] + SHIFT,)

    state, exact = np.ones((1, 1)), np.exp(-1.0)
    before = OwnFlow(decay, ("x",), (1.0,))
    found = TimeMap(before, 1.0, 50).step(state)[0, 0]
    assert found == pytest.approx(exact, rel=1e-7)
    assert OwnFlow(decay, ("x",), (1.0,)) == before  # which is compiled once

    rate, ends[1] = 2.0, 4.0
    monkeypatch.setitem(globals(), "SHIFT", 2.0)
    after = OwnFlow(decay, ("x",), (1.0,))
    found = TimeMap(after, 1.0, 50).step(state)[0, 0]
    assert found == pytest.approx(3 - 2 * np.exp(-2.0), rel=1e-6)
    assert after.velocity(state)[0, 0] == 4.0
    assert after.jacobian(state)[0, 0, 0] == pytest.approx(-2.0)
    assert after.equations()(1.0) == (4.0,)
    # the first is what it was
    assert TimeMap(before, 1.0, 50).step(state)[0, 0] == pytest.approx(exact, rel=1e-7)
    assert before.velocity(state)[0, 0] == -1.0
    assert before.equations()(1.0) == (-1.0,)


def test_initial_states_lie_about_the_start():
    own = OwnFlow(lorenz, ("x", "y", "z"), (1, 2, 3), scatter=0.5)
    states = own.initial_states(400, np.random.default_rng(0))
    assert (np.abs(states - [1, 2, 3]) <= 0.5).all()
    assert (np.ptp(states, axis=0) > 0.9).all()


def test_preparing_measures_the_scale_and_the_substeps():
    ready = prepared(OwnFlow(lorenz, ("x", "y", "z"), (1, 1, 1)), 0.03)
    assert ready.substeps == 5
    assert all(5 < scale < 12 for scale in ready.flow.scale)
    longer = prepared(OwnFlow(lorenz, ("x", "y", "z"), (1, 1, 1)), 0.3)
    assert longer.substeps > 5
    own = OwnMap(henon, ("x", "y"), (0.1, 0.1))
    assert prepared(own).scale[1] == pytest.approx(0.3 * prepared(own).scale[0], rel=0.05)
    assert prepared(Henon()) == Henon()


t = 0.0  # read by a function below, which is refused for it


def wrong(function, names, start, **options):
    return lambda: OwnFlow(function, names, start, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (wrong(lambda x, y: (y,), "xy", (0, 1)), "return 2 numbers.*got 1 numbers"),
        (wrong(lambda x: [x, x], "x", (1,)), "return 1 numbers.*got 2 numbers"),
        (wrong(lambda x: {x}, "x", (1,)), "return 1 numbers.*got set"),
        (wrong(lambda t, y: -y[0], "x", (1,)), "return 1 numbers.*got float"),
        (wrong(lambda t, y: -t * y, "ab", (1, 2)), "parameter t,.*give the period of a driven"),
        (wrong(lambda x, t: (-t * x,), "x", (1,)), "parameter t,.*give the period of a driven"),
        (wrong(lambda x: (x,), "x", (1,), period=2.0), "have a parameter t.*leave the period out"),
        (wrong(lambda x, t: (x,), "x", (1,), period=0.0), "period must be .* above 0"),
        (wrong(lambda x: (x,), "x", (1,), scatter=(1.0, 2.0)), r"scatter must have shape \(1,\)"),
        (wrong(lambda x, y: (x, y), "xy", (1, 1), scatter=(0.1, -1.0)), "scatter above 0"),
        (wrong(lambda x: (x,), "xy", (1, 1)), "must return 2 numbers"),
        (wrong(lambda x, y: (x, y, 1), "xyz", (1, 1, 1)), "must take the 3 coordinates x, y, z"),
        (wrong(lambda x: (x,), "x", (1, 2)), "as many as there are coordinates"),
        (wrong(lambda x: (1 / x,), "x", (0,)), "ZeroDivisionError.*where it is defined"),
        (wrong(lambda x: (math.inf * x,), "x", (1,)), "choose a start where it is finite"),
        (wrong(lambda x: (x,), "x", (math.nan,)), "start must be finite"),
        (wrong(lambda x: (x,), "x", (1,), scatter=-1.0), "scatter above 0"),
        (wrong(lambda x: (x,), "x", (1,), scatter=0.0), "scatter above 0.*scatter=0.0.*try scat"),
        (wrong(lambda x: (x,), "x", (1e20,)), "scatter=0.1, which is lost.*choose a larger one"),
        (wrong(lambda x, t=0.0: (math.cos(t) - x,), "x", (1,)), "parameter t=0.0.*give the period"),
        (wrong(lambda x: (math.cos(1.2 * t) - x,), "x", (1,)), "reads t=0.0 from outside.*period"),
        (wrong(lambda x, Time=3: (x,), "x", (1,)), "parameter Time=3.*leave time out"),
        (wrong(lambda x, a=1.4: (a * x,), "x", (1,)), "parameter a=1.4.*write a constant into"),
        (wrong(lambda v, x: (x, v), "xv", (1, 1)), "takes v, x, but names are x, v"),
    ],
)
def test_a_function_that_does_not_fit_is_refused_at_once(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def of_state(t, y):
    u, v, w = y
    return [10 * (v - u), u * (28 - w) - v, u * v - 2.67 * w]


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, z: [10 * (y - x), x * (28 - z) - y, x * y - 2.67 * z],
        lambda x, y, z: np.array([10 * (y - x), x * (28 - z) - y, x * y - 2.67 * z]),
        of_state,
        lambda y: np.array(
            [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 2.67 * y[2]]
        ),
        lambda s, t: np.array(
            [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 2.67 * s[2]]
        ),
        lambda t, s: MATRIX @ s + np.array([0.0, -s[0] * s[2], s[0] * s[1]]),
    ],
)
def test_equations_are_taken_in_the_forms_that_people_bring(function):
    """Lists, arrays, and f(t, y) as for SciPy, against the flow written by hand."""
    flow = OwnFlow(function, ("x", "y", "z"), (1, 1, 1))
    states = np.random.default_rng(0).uniform(-20, 20, (20, 3))
    np.testing.assert_allclose(flow.velocity(states), Lorenz().velocity(states), rtol=1e-12)
    found = prepared(flow, 0.03).orbits(states, 5)
    np.testing.assert_allclose(found, TimeMap(Lorenz(), 0.03).orbits(states, 5), rtol=1e-8)
    np.testing.assert_allclose(flow.equations()(*states[0]), Lorenz().velocity(states[0]))
    assert OwnFlow(function, ("x", "y", "z"), (1, 1, 1)) == flow  # compiled once


MATRIX = np.array([[-10.0, 10.0, 0.0], [28.0, -1.0, 0.0], [0.0, 0.0, -2.67]])


def test_a_map_takes_the_same_forms():
    own = OwnMap(lambda s: [1 - 1.4 * s[0] * s[0] + s[1], 0.3 * s[0]], ("x", "y"), (0.1, 0.1))
    states = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    np.testing.assert_allclose(own.step(states), Henon().step(states), rtol=1e-15)


def test_what_numba_cannot_compile_is_said_in_other_forms_too():
    flow = OwnFlow(lambda t, y: [-y[0] * math.comb(3, 1)], ("a",), (1.0,))
    with pytest.raises(ValueError, match=r"(?s)must be one that numba can .*got: .*; write"):
        prepared(flow, 0.1)


def test_scatter_is_one_number_or_one_a_coordinate():
    flow = OwnFlow(lorenz, ("x", "y", "z"), (1, 2, 3), scatter=(0.5, 0.0, 2.0))
    states = flow.initial_states(400, np.random.default_rng(0))
    np.testing.assert_allclose(np.ptp(states, axis=0), [1, 0, 4], rtol=0.05)
    assert set(states[:, 1]) == {2.0}


def test_a_sampler_draws_initial_states():
    def ring(n, rng):
        angle = rng.uniform(0, 6, n)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    flow = OwnFlow(lambda x, y: (y, -x), ("x", "y"), (1, 0), sampler=ring)
    states = flow.initial_states(50, np.random.default_rng(0))
    np.testing.assert_allclose((states**2).sum(axis=1), 1)
    assert prepared(flow, 0.1).tau == 0.1
    wrong_shape = OwnFlow(lambda x, y: (y, -x), ("x", "y"), (1, 0), sampler=lambda n, rng: [1.0])
    with pytest.raises(ValueError, match=r"what the sampler returns must have shape \(5, 2\)"):
        wrong_shape.initial_states(5, np.random.default_rng(0))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, v, t: (v, math.cos(1.2 * t) - x - 0.5 * v),
        lambda t, y: [y[1], math.cos(1.2 * t) - y[0] - 0.5 * y[1]],
    ],
)
def test_a_driven_system_follows_its_drive_and_keeps_the_phase(function):
    flow = OwnFlow(function, ("x", "v"), (1.0, 0.0), period=2 * math.pi / 1.2)
    assert flow.names == ("x", "v", "cos phase", "sin phase")
    initial = flow.initial_states(200, np.random.default_rng(0))
    np.testing.assert_allclose((initial[:, 2:] ** 2).sum(axis=1), 1)
    assert np.abs(initial[:, 2:].mean(axis=0)).max() < 0.2
    ready = prepared(flow, 0.1)
    late = simulate(ready, initial[:2], 500, transient=20000)
    times = 0.1 * (20000 + np.arange(500))
    phase = np.arctan2(initial[:2, 3], initial[:2, 2])[:, None] + 1.2 * times
    np.testing.assert_allclose(late[:, :, 2], np.cos(phase), atol=1e-9)
    response = 1 / (1 - 1.2**2 + 0.5j * 1.2)
    np.testing.assert_allclose(late[:, :, 0], (response * np.exp(1j * phase)).real, atol=1e-5)
    pushed, _ = ready.push(initial, np.zeros((200, 4, 1)))
    np.testing.assert_allclose(pushed, ready.step(initial), atol=1e-5)
    np.testing.assert_allclose((pushed[:, 2:] ** 2).sum(axis=1), 1, rtol=1e-14)


def test_a_drive_may_be_two_coordinates():
    """An oscillator driven by cos(1.2 t), against its solution."""

    def driven(x, v, c, s):
        pull = 1 - c * c - s * s
        return v, c - x - 0.5 * v, c * pull - 1.2 * s, s * pull + 1.2 * c

    ready = prepared(OwnFlow(driven, ("x", "v", "c", "s"), (1, 0, 1, 0)), 0.1)
    late = ready.orbits(np.array([[0.9, 0.1, 1.05, -0.05]]), 1500)[0, 1000:]
    np.testing.assert_allclose(late[:, 2] ** 2 + late[:, 3] ** 2, 1, atol=1e-6)
    response = 1 / (1 - 1.2**2 + 0.5j * 1.2)
    exact = (response * (late[:, 2] + 1j * late[:, 3])).real
    np.testing.assert_allclose(late[:, 0], exact, atol=1e-4)


@pytest.mark.parametrize("function", [lambda x: (min(2 * x, 2 - 2 * x),), lambda x: (2 * x % 1,)])
def test_a_map_whose_orbits_rounding_ends_is_refused(function):
    with pytest.raises(ValueError, match=r"orbits stop at \(0\.0,\).*write 1\.999999 instead of 2"):
        prepared(OwnMap(function, ("x",), (0.3,)))
    near = prepared(OwnMap(lambda x: (1.999999 * min(x, 1 - x),), ("x",), (0.3,)))
    assert np.ptp(simulate(near, near.initial_states(2, np.random.default_rng(0)), 3000)) > 0.9


@pytest.mark.parametrize(
    ("function", "start", "tau", "words"),
    [
        (lambda a: (a * a,), (1,), 0.1, r"leave every bounded set.*tau=0.1.*a shorter tau"),
        (lambda a, b: (b, 0.0), (0, 1), 0.1, "got b, which stays constant; leave it out"),
        (lambda a, b: (2.0 + b, -math.sin(a)), (0, 0), 0.1, r"coordinate a goes.*cos\(a\)"),
        (lambda a, b: (300 * b, -300 * a), (1, 0), 9.0, "a shorter tau"),
        (lambda a: (-a * math.comb(3, 1),), (1,), 0.1, "one that numba can compile"),
    ],
)
def test_a_system_that_cannot_be_tokenised_is_refused_by_its_trial(function, start, tau, words):
    own = OwnFlow(function, ("a", "b")[: len(start)], start)
    with pytest.raises(ValueError, match=words):
        prepared(own, tau)


def test_a_slow_decay_is_not_taken_for_an_angle_alone():
    own = OwnFlow(lambda a: (-0.005 * a,), ("a",), (1.0,))
    with pytest.raises(ValueError, match=r"more time a step \(tau\) if it settles slowly"):
        prepared(own, 0.1)
    assert prepared(own, 1.0).tau == 1.0  # as it says


def test_a_map_that_escapes_is_refused_without_a_word_on_tau():
    with pytest.raises(ValueError, match="leave every bounded set") as error:
        prepared(OwnMap(lambda x: (2 * x,), ("x",), (1,)))
    assert "tau" not in str(error.value)


@pytest.fixture
def fake_dysts(monkeypatch):
    """The part of dysts that the adaptor reads, with one system of every kind."""
    module = ModuleType("dysts.flows")

    class Lorenz:
        period, unbounded_indices = 1.5, ()
        ic = np.array([1.0, 2.0, 20.0])
        param_list = (np.array(2.67), 28, 10)

        @staticmethod
        def _rhs(x, y, z, t, beta, rho, sigma):
            return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    class Driven(Lorenz):
        ic, param_list, unbounded_indices = np.array([1.0, 0.0, 0.5]), (1.2,), (2,)

        @staticmethod
        def _rhs(x, y, z, t, omega):
            return y, -x - 0.5 * y + np.cos(z), omega

    class Arrays(Lorenz):
        param_list = (np.ones(3), 28, 10)
        _rhs = Lorenz.__dict__["_rhs"]

    class Angle(Lorenz):
        unbounded_indices = (2,)
        _rhs = Lorenz.__dict__["_rhs"]

    class Timed(Lorenz):
        @staticmethod
        def _rhs(x, y, z, t, beta, rho, sigma):
            return sigma * (y - x) + t, x * (rho - z) - y, x * y - beta * z

    class Child(Lorenz):
        """Inherits its right-hand side."""

    class Bare(Lorenz):
        def rhs(self, X, t):
            return -X

    class Uncompiled(Lorenz):
        @staticmethod
        def _rhs(x, y, z, t, beta, rho, sigma):
            return np.heaviside(x, 0), y, z

    class Delayed:
        param_list, delay = (), True

        @staticmethod
        def _rhs(x, xt, t):
            return x

    for each in (Lorenz, Driven, Arrays, Angle, Timed, Child, Bare, Uncompiled, Delayed):
        each.__module__ = "dysts.flows"
        setattr(module, each.__name__, each)
    monkeypatch.setitem(sys.modules, "dysts", ModuleType("dysts"))
    monkeypatch.setitem(sys.modules, "dysts.flows", module)


def test_a_flow_of_dysts_is_adapted(fake_dysts):
    flow, tau = from_dysts("Lorenz", per_period=50)
    assert tau == pytest.approx(0.03)
    assert flow.names == ("x", "y", "z")
    assert flow.start == (1.0, 2.0, 20.0)
    states = np.random.default_rng(0).uniform(-20, 20, (50, 3))
    np.testing.assert_allclose(flow.velocity(states), Lorenz().velocity(states))
    start = states[:4]
    np.testing.assert_allclose(
        prepared(flow, tau).orbits(start, 10), TimeMap(Lorenz(), 0.03).orbits(start, 10)
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Lorentz", "did you mean Lorenz"),
        ("Angle", "an angle that grows without bound"),
        ("Timed", "depends on the time otherwise than through one phase"),
        ("Uncompiled", "numba cannot compile it"),
        ("Arrays", "parameters are arrays"),
        ("Bare", "right-hand side is written for arrays"),
        ("Delayed", "delay"),
    ],
)
def test_what_cannot_be_adapted_is_said(fake_dysts, name, words):
    with pytest.raises(ValueError, match=words):
        from_dysts(name)


def test_a_driven_flow_of_dysts_keeps_its_phase(fake_dysts):
    flow, tau = from_dysts("Driven")
    assert flow.names == ("x", "y", "cos phase", "sin phase")
    assert flow.period == pytest.approx(2 * np.pi / 1.2)
    states = np.array([[0.3, 0.7, np.cos(5.0), np.sin(5.0)]])
    expected = [0.7, -0.3 - 0.35 + np.cos(5.0)]
    np.testing.assert_allclose(flow.velocity(states)[0, :2], expected)
    assert prepared(flow, tau).orbits(states, 3).shape == (1, 3, 4)


def test_a_flow_of_dysts_may_inherit_its_equations(fake_dysts):
    assert from_dysts("Child")[0].dim == 3
    assert sum(map(len, refused().values())) == 6


def test_without_dysts_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "dysts", None)
    monkeypatch.setitem(sys.modules, "dysts.flows", None)
    with pytest.raises(ImportError, match="make setup EXTRA=dysts"):
        from_dysts("Thomas")


if importlib.util.find_spec("dysts"):  # optional by design: it is no part of the lock

    def test_the_real_dysts_agrees():
        system = importlib.import_module("dysts.flows").Halvorsen()
        flow, tau = from_dysts("Halvorsen")
        states = np.random.default_rng(0).normal(size=(20, 3))
        np.testing.assert_allclose(flow.velocity(states), [system.rhs(x, 0.0) for x in states])
        np.testing.assert_allclose(
            flow.jacobian(states), [system.jac(x, 0.0) for x in states], atol=1e-8
        )
        assert prepared(flow, tau).tau == pytest.approx(system.period / 40)

    def test_the_chapter_lists_what_is_refused():
        assert dysts_table.table() in dysts_table.CHAPTER.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["step", "jacobian"])
def test_coordinates_are_not_taken_for_states(method):
    """Five states of four coordinates are not ten of two."""
    system = OwnMap(lambda x, y: (y, 0.5 * x), ("x", "y"), start=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"states must have shape \(\.\.\., 2\), got \(5, 4\)"):
        getattr(system, method)(np.ones((5, 4)))


def refusal(system, tau):
    with pytest.raises(ValueError, match=r"must .*, got .*; ") as error:
        prepared(system, tau)
    return str(error.value)


def test_a_scatter_too_large_is_the_cause_where_the_start_itself_stays():
    """Hénon and Heiles (1964): bounded below the energy 1/6, which a scatter of 0.9 exceeds."""

    def henon_heiles(x, y, u, v):
        return u, v, -x - 2 * x * y, -y - x * x + y * y

    def system(scatter):
        return OwnFlow(henon_heiles, ("x", "y", "u", "v"), (0.1, 0.1, 0.1, 0.1), scatter)

    words = refusal(system(0.9), 0.1)
    assert "scatter=0.9" in words
    assert "choose a smaller scatter" in words
    assert "basin" not in words
    assert prepared(system(0.1), 0.1).tau == 0.1


def test_a_stiff_equation_is_not_called_unbounded():
    def van_der_pol(x, v):
        return v, 1000 * (1 - x * x) * v - x

    words = refusal(OwnFlow(van_der_pol, ("x", "v"), (2.0, 0.0)), 1.0)
    assert "stiff" in words
    assert "choose a shorter tau" in words
    assert "bounded" not in words


def test_a_tau_too_short_is_not_called_an_angle():
    words = refusal(Rossler(), 1e-4)
    assert "tau=0.0001" in words
    assert "cos(" not in words
    longer = float(words.rpartition("such as tau=")[2])
    assert prepared(Rossler(), longer).tau == longer


def ring(dim):
    """Lorenz-96 with as many coordinates, at the usual forcing of 8."""
    names = tuple(f"x{i}" for i in range(dim))
    terms = [
        f"(x{(i + 1) % dim} - x{i - 2 if i > 1 else i - 2 + dim}) * x{(i - 1) % dim} - x{i} + 8.0"
        for i in range(dim)
    ]
    space = {}
    exec(f"def lorenz96({', '.join(names)}):\n    return {', '.join(terms)}", space)
    return OwnFlow(space["lorenz96"], names, (1.0,) * dim)


def test_24_coordinates_work_and_more_are_refused_by_number():
    assert TimeMap(ring(24), 0.05).orbits(np.ones((1, 24)), 3).shape == (1, 3, 24)
    with pytest.raises(ValueError, match=r"must have at most 24 coordinates, got 40: .*; take"):
        TimeMap(ring(40), 0.05)
