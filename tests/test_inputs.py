"""Every public function against every kind of input: a right value, or a refusal in words.

``ROWS`` is the table: a function, a method or a constructor, with a small right value for each
argument. The kinds of input follow from what an argument is (``Array``, ``Tokens``, ``Count`` …).
A cell is right if the call gives the value of the plain call (another form of the same numbers),
or raises a ValueError or TypeError of dynlib's own, whose message says what must be, what was got
and, after a semicolon, what to do. Where an odd input makes sense, ``fine`` says why.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import pkgutil
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import dynlib
from dynlib.dynamics import lyapunov, own, pairs, simulate
from dynlib.dynamics.flows import Flow, TimeMap, stepper
from dynlib.dynamics.systems import catalogue, facts, lotka_volterra
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.identify.polynomial import PolynomialMap
from dynlib.measure import (
    context,
    distribution,
    environments,
    forecaster,
    intervals,
    rollout,
    separation,
    sequences,
    timing,
    transport,
)
from dynlib.operators import bestfit, hankel

#: Rooms that the table covers, and those that it does not yet.
COVERED = {"dynamics", "measure", "operators"}
PENDING = {"identify", "networks", "peers", "report", "tokens", "training"}

#: What has no input to refuse, and why.
EXEMPT = {
    "dynamics.flows.Flow": "a base class without fields",
    "dynamics.simulate.Map": "a protocol",
    "dynamics.simulate.Map.step": "a protocol",
    "dynamics.systems.facts.Fact": "written in the source of a system alone",
    "dynamics.systems.facts.Facts": "made by holding",
    "measure.forecaster.Forecaster": "a protocol",
    "measure.forecaster.Forecaster.rollout": "a protocol",
    "measure.intervals.Summary": "made by summarise",
    "operators.bestfit.BestFit": "made by nuclear_fit",
}

# --- kinds of input: each yields (name of the kind, the input, what is expected)

SAME, CLOSE, REFUSED, ANY = "same", "close", "refused", "any"
Cell = tuple[str, Any, str]
WORDS = {"text": "2", "unicode digits": "２", "None": None, "object": object()}


@dataclass(frozen=True)
class Argument:
    """A right value, and kinds of input that are fine though odd, each with the reason."""

    value: Any
    fine: dict[str, str] = field(default_factory=dict)

    def odd(self) -> Iterator[tuple[str, Any]]:
        """Inputs that are refused, unless `fine` says otherwise."""
        yield from WORDS.items()

    def forms(self) -> Iterator[Cell]:
        """Other forms of the right value."""
        return iter(())

    def cells(self) -> Iterator[Cell]:
        yield from self.forms()
        for kind, value in self.odd():
            yield kind, value, ANY if kind in self.fine else REFUSED


@dataclass(frozen=True)
class Array(Argument):
    """Real numbers; `degree` if a factor s of the input is s**degree of the output."""

    degree: int | None = None
    values: ClassVar[dict[str, float]] = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}

    def forms(self):
        a = self.value
        yield "list", a.tolist(), SAME
        yield "Fortran order", np.asfortranarray(a), SAME
        yield "not contiguous", np.repeat(a, 2, axis=-1)[..., ::2], SAME
        fixed = a.copy()
        fixed.flags.writeable = False
        yield "read-only", fixed, SAME
        yield "float32", a.astype(np.float32), CLOSE
        if (a == a.astype(np.int64)).all():
            yield "integers", a.astype(np.int64), SAME
            yield "short integers", a.astype(np.int8), SAME

    def odd(self):
        a = self.value
        yield from WORDS.items()
        for kind, value in self.values.items():
            changed = a.copy()
            changed.flat[-1] = value
            yield kind, changed
        yield "empty", a[:0]
        yield "axis too many", a[None]
        yield "axis too few", a[0]
        yield "longer", np.concatenate([a, a[..., :1]], axis=-1)
        yield "complex", a.astype(complex)
        yield "texts", a.astype(str)
        yield "objects", np.full(a.shape, None)
        yield "ragged", [[1.0, 2.0], [3.0]]
        yield "huge", a * 1e300
        yield "tiny", a * 1e-300


@dataclass(frozen=True)
class Tokens(Argument):
    """Whole numbers from 0 to below the vocabulary."""

    def forms(self):
        a = self.value
        yield "list", a.tolist(), SAME
        yield "Fortran order", np.asfortranarray(a), SAME
        yield "not contiguous", np.repeat(a, 2, axis=-1)[..., ::2], SAME
        yield "short integers", a.astype(np.uint8), SAME
        yield "int32", a.astype(np.int32), SAME

    def odd(self):
        a = self.value
        yield from WORDS.items()
        for kind, value in (("negative", -1), ("out of range", 10**6)):
            changed = a.copy()
            changed.flat[-1] = value
            yield kind, changed
        yield "floats", a.astype(float)
        yield "nan", np.full(a.shape, np.nan)
        yield "complex", a.astype(complex)
        yield "bool", a.astype(bool)
        yield "texts", a.astype(str)
        yield "empty", a[:0]
        yield "axis too many", a[None]
        yield "axis too few", a[0]


@dataclass(frozen=True)
class Times(Array):
    """Increasing times."""

    def odd(self):
        yield from super().odd()
        a = self.value
        yield "not increasing", a[::-1]
        yield "repeated", np.concatenate([a[:1], a])
        yield "with a gap", np.delete(a, 1)
        yield "one time", a[:1]


TIMES = {"with a gap": "uneven times are as good as even ones"}


@dataclass(frozen=True)
class Tensor(Argument):
    """A tensor of float32 or float64, whose values are not looked at."""

    def forms(self):
        a = self.value
        yield "not contiguous", a.repeat_interleave(2, -1)[..., ::2], SAME

    def odd(self):
        a = self.value
        yield from WORDS.items()
        yield "list", a.tolist()
        yield "array", a.numpy()
        for dtype in (torch.int64, torch.complex128, torch.float16, torch.bool):
            yield str(dtype), a.to(dtype)
        yield "longer", torch.cat([a, a[..., :1]], -1)
        yield "no axis", a.sum()
        yield "empty", a[..., :0]
        yield "nan", a * torch.nan
        yield "inf", a * torch.inf


@dataclass(frozen=True)
class Number(Argument):
    """A finite number, above `low` (or from it on, with `reaches`)."""

    low: float = -np.inf
    reaches: bool = False

    def forms(self):
        yield "numpy's", np.float64(self.value), SAME
        if self.value == int(self.value):
            yield "integer", int(self.value), SAME

    def odd(self):
        yield from WORDS.items()
        yield from Array.values.items()
        yield "bool", True
        yield "complex", 1j
        yield "list", [self.value]
        yield "beyond numbers", 10**400
        if self.low > -np.inf:
            yield "negative", -1.0
        if self.low == 0 and not self.reaches:
            yield "zero", 0.0

    def cells(self):
        yield from super().cells()
        yield "huge", 1e30, "safe"
        yield "tiny", 1e-30, "safe"
        if self.low < 0 or self.reaches:
            yield "zero", 0.0, "safe"


@dataclass(frozen=True)
class Span(Number):
    """A number whose size decides how long a call takes: tests of its own have small and large."""

    def cells(self):
        yield from Argument.cells(self)


@dataclass(frozen=True)
class Count(Argument):
    """A whole number from `least` on."""

    least: int = 1

    def forms(self):
        yield "numpy's", np.int64(self.value), SAME

    def odd(self):
        yield from WORDS.items()
        yield from Array.values.items()
        yield "float", 2.7
        yield "whole float", float(self.value)
        yield "bool", True
        yield "list", [self.value]
        yield "too small", self.least - 1
        yield "negative", -1
        yield "huge", 10**30


@dataclass(frozen=True)
class Seed(Count):
    least: int = 0

    def odd(self):
        yield from super().odd()
        yield "above torch's", 2**64


@dataclass(frozen=True)
class Flag(Argument):
    def odd(self):
        yield from WORDS.items()
        yield from {"no": "no", "number": 1, "nan": np.nan}.items()


@dataclass(frozen=True)
class Choice(Argument):
    def odd(self):
        yield from WORDS.items()
        yield from {"number": 1, "list": [self.value], "upper case": self.value.upper()}.items()


@dataclass(frozen=True)
class Thing(Argument):
    """A system, a function, a generator: other inputs that are refused may be given."""

    others: dict[str, Any] = field(default_factory=dict)

    def odd(self):
        yield from WORDS.items()
        yield "number", 3
        yield from self.others.items()


# --- the table


@dataclass(frozen=True)
class Row:
    """A public name below ``dynlib``, its call, and its arguments."""

    name: str
    call: Callable[..., Any]
    arguments: dict[str, Argument]
    needs: bool = False  # something optional: the plain call cannot be made

    @cache  # noqa: B019 (a table of the test's own)
    def plain(self) -> Any:
        return self.run()

    def run(self, **changed: Any) -> Any:
        return self.call(**{k: a.value for k, a in self.arguments.items()} | changed)

    __hash__ = object.__hash__


def row(
    name: str, call: Callable[..., Any], /, *, needs: bool = False, **arguments: Argument
) -> Row:
    return Row(name, call, arguments, needs)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pendulum(angle, speed):
    return speed, -np.sin(angle)


def swap(x, y):
    return 0.5 * y, x


A = np.arange(1.0, 13.0)
POINT = "the values of a state are not looked at in inner loops: what is not finite goes through"
PROPAGATES = dict.fromkeys(("nan", "inf", "-inf", "huge"), POINT) | {"tiny": "a right value"}
ANY_AXES = {"axis too many": "any leading axes", "axis too few": "any leading axes"}
LEADING = ANY_AXES | {"empty": "no states, no values"}
BATCH = {"empty": "no states, no values", "tiny": "a right value"}
SIZE = {"longer": "any size of this axis"}
SCALED = {"huge": "a right value", "tiny": "a right value"}
STATES = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 5.0]])
FLAT = np.array([[0.0, 1.0], [1.0, 1.0]])
FORECAST = A.reshape(2, 3, 2)
FOUR = A.reshape(2, 3, 1, 2)
SQUARE = np.array([[1.0, 2.0], [3.0, 5.0]])
STACKED = dict.fromkeys(PROPAGATES, "trajectories are put together, not read")
POLYNOMIAL = PolynomialMap.fit(A.reshape(6, 2), A.reshape(6, 2) ** 1.5, 1)
SERIES = np.tile([0, 1, 2, 1], (2, 40))
CENTRES = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 7.0]])
SHAPES = {"longer": "another shape is refused with the other argument; see below"}
LOTKA = lotka_volterra.LotkaVolterra()
NOT_COUNTS = {
    "floats": [4.0, 9.0], "nan": [np.nan], "none": [], "zero": [0], "too large": [10],
    "bool": [True],
    "texts": ["４"], "huge": [10**30], "ragged": [[1, 2], [3]], "complex": [1j],
}  # fmt: skip
WINDOWS = np.arange(20).reshape(2, 10) % 3
REFERENCE = distribution.Reference(np.stack([WINDOWS, 2 - WINDOWS]), CENTRES)
SYSTEM = Thing(Lorenz(), others={"class": Lorenz})
MAP = Thing(Henon(), others={"class": Henon, "flow": Lorenz()})
TENSOR = {"nan": POINT, "inf": POINT}
H = hankel.Hankel(torch.arange(1.0, 6.0, dtype=torch.float64))
X = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
ODD = {"longer": "an even length is refused, an odd one is another operator"}
MATRIX = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
FREE = {"-inf": "minus infinity is the growth of products that are zero"}


def states_of(name: str, method: Callable, value: np.ndarray = STATES) -> Row:
    return row(name, lambda states: method(states), states=Array(value, PROPAGATES | LEADING))


def draws(name: str, system: Any) -> Row:
    return row(
        name,
        lambda n, rng: system.initial_states(n, np.random.default_rng(0) if rng == "own" else rng),
        n=Count(3),
        rng=Draw("own", others={"seed": 0}),
    )


@dataclass(frozen=True)
class Draw(Thing):
    """A generator, made anew in each call."""


ONE_FLOW = own.OwnFlow(pendulum, ("angle", "speed"), (1.0, 0.0))
ONE_MAP = own.OwnMap(swap, ("x", "y"), (0.3, 0.2))
OWN = {
    "function": Thing(
        pendulum,
        others={
            "a list returned": lambda angle, speed: [speed, angle],
            "one number": lambda angle, speed: speed,
            "three numbers": lambda angle, speed: (speed, speed, angle),
            "texts returned": lambda angle, speed: ("1", "２"),
            "raises": lambda angle, speed: (1 / speed, angle),
            "other names": lambda a: (a,),
        },
    ),
    "names": Thing(
        ("angle", "speed"), {}, {"one": ("angle",), "twice": ("a", "a"), "numbers": (1, 2)}
    ),
    "start": Array(
        np.array([1.0, 0.0]), {"tiny": "all near 0", "huge": "the other is scattered"},
    ),
    "scatter": Number(0.5, low=0),
    "scale": Array(np.array([1.0, 2.0]), {"empty": "is measured", **SCALED}),
}  # fmt: skip

ROWS = [
    states_of("dynamics.flows.Flow.velocity", Lorenz().velocity),
    states_of("dynamics.flows.Flow.jacobian", Lorenz().jacobian),
    row(
        "dynamics.flows.TimeMap", TimeMap,
        flow=Thing(Lorenz(), others={"class": Lorenz, "map": Henon()}),
        tau=Number(0.5, low=0), substeps=Count(3),
    ),
    row(
        "dynamics.flows.TimeMap.orbits", TimeMap(Lorenz(), 0.1).orbits,
        states=Array(STATES, PROPAGATES | BATCH), n_steps=Count(3),
    ),
    row(
        "dynamics.flows.TimeMap.step", TimeMap(Lorenz(), 0.1).step,
        states=Array(STATES, PROPAGATES | BATCH),
    ),
    row(
        "dynamics.flows.TimeMap.push", TimeMap(Lorenz(), 0.1).push,
        states=Array(STATES, PROPAGATES),
        frames=Array(np.ones((2, 3, 2)), PROPAGATES | {"longer": "any number of vectors"}),
    ),
    row("dynamics.flows.stepper", lambda flow: bool(stepper(flow)), flow=SYSTEM),
    row(
        "dynamics.lyapunov.tangent_exponents", lyapunov.tangent_exponents,
        system=MAP, states=Array(FLAT * 0.25, {"tiny": "a right value"}),
        n_steps=Count(5), alignment=Count(2, least=0),
    ),
    row(
        "dynamics.lyapunov.spectral_norm", lyapunov.spectral_norm,
        matrices=Array(A.reshape(3, 2, 2), ANY_AXES, degree=1),
    ),
    row(
        "dynamics.lyapunov.product_growth", lyapunov.product_growth,
        jacobians=Array(A.reshape(1, 3, 2, 2)), n_max=Count(2),
    ),
    row(
        "dynamics.lyapunov.fit_exponent", lyapunov.fit_exponent,
        growth=Array(A[:6], {**SIZE, **FREE, **SCALED}, degree=1), first=Count(2),
    ),
    row("dynamics.own.OwnFlow", own.OwnFlow, **OWN),
    row("dynamics.own.OwnMap", own.OwnMap, **OWN),
    states_of("dynamics.own.OwnFlow.velocity", ONE_FLOW.velocity, FLAT),
    states_of("dynamics.own.OwnFlow.jacobian", ONE_FLOW.jacobian, FLAT),
    states_of("dynamics.own.OwnMap.step", ONE_MAP.step, FLAT),
    states_of("dynamics.own.OwnMap.jacobian", ONE_MAP.jacobian, FLAT),
    draws("dynamics.own.OwnFlow.initial_states", ONE_FLOW),
    draws("dynamics.own.OwnMap.initial_states", ONE_MAP),
    row(
        "dynamics.own.prepared", own.prepared,
        system=Thing(Lorenz(), others={"class": Lorenz}), tau=Span(0.0625, low=0),
        trial=Count(200, least=2),
    ),
    row(
        "dynamics.pairs.integrate", pairs.integrate,
        flow=Thing(Lorenz(), others={"class": Lorenz, "map": Henon()}),
        initial=Array(STATES), times=Times(np.array([0.0, 1.0, 2.0]), TIMES),
        tolerance=Number(1e-6, low=0),
    ),
    row(
        "dynamics.pairs.pairs", pairs.pairs,
        trajectories=Array(
            FORECAST, SIZE | dict.fromkeys(PROPAGATES, "states are cut, not read"), degree=1
        ),
    ),
    row("dynamics.pairs.constant", pairs.constant, states=Array(FLAT, SIZE | SCALED)),
    row(
        "dynamics.pairs.split_at_random", pairs.split_at_random,
        states=Thing((A, -A), others={"one": (A,), "unequal": (A, A[:3]), "texts": (["a"], ["b"])}),
        share=Number(0.5, low=0, reaches=True), seed=Seed(3),
    ),
    row(
        "dynamics.simulate.simulate", simulate.simulate,
        system=MAP, initial=Array(FLAT * 0.25, {"tiny": "a right value"}),
        n_steps=Count(3), transient=Count(1, least=0),
    ),
    row(
        "dynamics.simulate.from_random_times",
        lambda rng, **others: simulate.from_random_times(
            rng=np.random.default_rng(0) if rng == "own" else rng, **others
        ),
        system=MAP, initial=Array(FLAT * 0.25, {"tiny": "a right value"}),
        n_steps=Count(3), transient=Count(2), rng=Draw("own", others={"seed": 0}),
    ),
    row(
        "dynamics.systems.catalogue.from_dysts", catalogue.from_dysts, needs=True,
        name=Thing("Thomas", dict.fromkeys(("text", "unicode digits"), "a name")),
        per_period=Count(40),
    ),
    row("dynamics.systems.facts.holding", facts.holding, system=SYSTEM),
    row("dynamics.systems.henon.Henon", Henon, a=Number(1.0), b=Number(0.5)),
    states_of("dynamics.systems.henon.Henon.step", Henon().step, FLAT),
    states_of("dynamics.systems.henon.Henon.jacobian", Henon().jacobian, FLAT),
    draws("dynamics.systems.henon.Henon.initial_states", Henon()),
    row(
        "dynamics.systems.lorenz.Lorenz", Lorenz,
        sigma=Number(10.0), rho=Number(28.0), beta=Number(2.0),
    ),
    draws("dynamics.systems.lorenz.Lorenz.initial_states", Lorenz()),
    row("dynamics.systems.rossler.Rossler", Rossler, a=Number(1.0), b=Number(1.0), c=Number(9.0)),
    draws("dynamics.systems.rossler.Rossler.initial_states", Rossler()),
    row(
        "dynamics.systems.lotka_volterra.LotkaVolterra", lotka_volterra.LotkaVolterra,
        **dict.fromkeys(("alpha", "beta", "gamma", "delta"), Number(1.0, low=0)),
    ),
    row(
        "dynamics.systems.lotka_volterra.LotkaVolterra.conserved", LOTKA.conserved,
        states=Array(FLAT + 1, SCALED | ANY_AXES),
    ),
    row(
        "dynamics.systems.lotka_volterra.initial_states", lotka_volterra.initial_states,
        count=Count(3), test=Flag(True),
    ),
    *(
        row(
            "dynamics.systems.lotka_volterra.trajectories", lotka_volterra.trajectories,
            environments=Thing([LOTKA], others={"one": LOTKA, "none": [], "other": [Lorenz()]}),
            initial=Array(FLAT + 1),
            times=Times(np.array([0.0, 1.0, 2.0]), TIMES), official=Flag(official),
        )
        for official in (False, True)
    ),
    row(
        "measure.context.context_curve", context.context_curve,
        score=Thing(lambda windows: windows[:, -1] / -2.0),
        sentences=Tokens(WINDOWS, {"out of range": "any tokens"}),
        lengths=Thing([1, 2], others=NOT_COUNTS), columns=Thing([4, 9], others=NOT_COUNTS),
    ),
    row(
        "measure.distribution.Reference", distribution.Reference,
        batches=Tokens(np.stack([WINDOWS, WINDOWS[::-1]])),
        centres=Array(CENTRES, {"longer": "any number of coordinates"}), cost=Choice("squared"),
    ),
    row(
        "measure.distribution.Reference.distance", REFERENCE.distance,
        generated=Tokens(WINDOWS, ANY_AXES), batch=Count(0, {"None": "all pairs"}, least=0),
    ),
    row(
        "measure.distribution.Reference.ratio", REFERENCE.ratio,
        generated=Tokens(WINDOWS, ANY_AXES), matched=Tokens(WINDOWS, ANY_AXES | {"None": "true"}),
        batch=Count(0, {k: "not used with matched" for k in dict(Count(0).odd())}, least=0),
    ),
    row(
        "measure.distribution.rollout_measures", distribution.rollout_measures,
        samples=Thing(
            [SERIES], others={"none": [], "axis too few": SERIES, "floats": [SERIES * 1.0]}
        ),
        euclidean=Thing(REFERENCE), squared=Thing(REFERENCE, {"None": "is left out"}),
        matched=Tokens(SERIES, {"axis too many": "one set a sample"}), training=Tokens(SERIES),
    ),
    row(
        "measure.environments.with_start", environments.with_start,
        starts=Array(FOUR[:, :, 0], STACKED), following=Array(FOUR, STACKED),
    ),
    row(
        "measure.environments.trajectory_errors", environments.trajectory_errors,
        predictions=Array(FOUR, dict.fromkeys(PROPAGATES, "a lost rollout ranks last")),
        truth=Array(FOUR + 1),
    ),
    row(
        "measure.environments.time_to", environments.time_to,
        seconds=Array(A[:4], SCALED),
        errors=Array(A[3::-1], dict.fromkeys(PROPAGATES, "an error of any size")),
        target=Number(2.0),
    ),
    row(
        "measure.environments.cases", environments.cases,
        errors=Array(FLAT + 1, SIZE | SCALED | {"inf": "ranks last", "-inf": "ranks first"}),
    ),
    row(
        "measure.forecaster.last_states", forecaster.last_states,
        windows=Array(FORECAST, SCALED), n_steps=Count(5), dim=Count(2), count=Count(1, least=0),
    ),
    row(
        "measure.forecaster.forecasts", forecaster.forecasts,
        methods=Thing(
            {"a": [POLYNOMIAL]}, others={"none": {}, "no model": {"a": []}, "a list": [POLYNOMIAL]}
        ),
        windows=Array(FORECAST, SCALED), n_steps=Count(2),
    ),
    row(
        "measure.intervals.summarise", intervals.summarise,
        samples=Array(A[:3], SIZE | SCALED),
    ),
    row(
        "measure.rollout.step_errors", rollout.step_errors,
        prediction=Array(
            FORECAST, dict.fromkeys(PROPAGATES, "a prediction may fail, and is infinitely wrong")
        ),
        truth=Array(FORECAST + 1),
    ),
    row(
        "measure.rollout.accumulated_mse", rollout.accumulated_mse,
        errors=Array(
            A.reshape(3, 4), SIZE | SCALED | {"inf": "the error of a failed rollout"}, degree=1
        ),
        steps=Count(2),
    ),
    row(
        "measure.rollout.valid_time", rollout.valid_time,
        prediction=Array(FORECAST, dict.fromkeys(PROPAGATES, "a prediction may fail")),
        truth=Array(FORECAST + 1),
        **dict.fromkeys(("spread", "dt", "exponent", "threshold"), Number(1.0, low=0)),
    ),
    row(
        "measure.rollout.spread", rollout.spread,
        states=Array(FORECAST, SIZE | {"axis too many": "any", "axis too few": "any"}, degree=1),
    ),
    row(
        "measure.rollout.failures", rollout.failures,
        prediction=Array(FORECAST, SIZE | dict.fromkeys(PROPAGATES, "they are counted")),
    ),
    row(
        "measure.separation.mean_separation", separation.mean_separation,
        a=Array(FORECAST), b=Array(FORECAST[::-1].copy()),
    ),
    row(
        "measure.separation.growth_rate", separation.growth_rate,
        separation=Array(2.0 ** np.arange(6), SIZE | SCALED | {"empty": "no slope"}),
        tau=Number(1.0, low=0), low=Number(1.0, low=0), high=Number(20.0, low=0),
    ),
    row(
        "measure.sequences.transitions", sequences.transitions,
        tokens=Tokens(WINDOWS), vocabulary=Count(3),
    ),
    row(
        "measure.sequences.unseen_transitions", sequences.unseen_transitions,
        seen=Tokens(np.array([1, 5, 6]), {"empty": "all are unseen"}), generated=Tokens(WINDOWS),
        vocabulary=Count(3),
    ),
    row(
        "measure.sequences.periods", sequences.periods,
        tokens=Tokens(WINDOWS, {"out of range": "any tokens"}), tail=Count(9, least=8),
        longest=Count(4),
    ),
    row(
        "measure.timing.microseconds",
        lambda **options: timing.microseconds(**options) >= 0,
        call=Thing(lambda: None), repeats=Count(1), calls=Count(1),
        at_least=Number(1e-4, low=0, reaches=True),
    ),
    *(
        row(
            "measure.transport.wasserstein", transport.wasserstein,
            points_a=Array(CENTRES), weights_a=Array(A[:3]), points_b=Array(CENTRES[:2] + 1),
            weights_b=Array(A[:2]), cost=Choice(cost),
        )
        for cost in transport.COSTS
    ),
    row(
        "measure.transport.token_distance", transport.token_distance,
        tokens_a=Tokens(np.array([[0, 1, 2, 2]]), ANY_AXES),
        tokens_b=Tokens(np.array([[0, 0, 2]]), ANY_AXES),
        centres=Array(CENTRES, {"longer": "any number of coordinates"}), cost=Choice("euclidean"),
    ),
    row(
        "operators.bestfit.largest_penalty", bestfit.largest_penalty,
        states=Array(MATRIX), successors=Array(MATRIX[:1] + 1),
    ),
    row(
        "operators.bestfit.shrink", bestfit.shrink,
        matrix=Array(MATRIX, SIZE), threshold=Number(0.5, low=0, reaches=True),
    ),
    row(
        "operators.bestfit.nuclear_fit", bestfit.nuclear_fit,
        states=Array(MATRIX), successors=Array(MATRIX + 1), penalty=Number(1.0, low=0),
        method=Choice("plain"), tolerance=Number(1e-3, low=0), max_iterations=Count(50),
        check_every=Count(10),
    ),
    row(
        "operators.bestfit.least_squares_fit", bestfit.least_squares_fit,
        states=Array(MATRIX), successors=Array(MATRIX + 1),
    ),
    row(
        "operators.bestfit.fit_with_control", bestfit.fit_with_control,
        states=Array(MATRIX), successors=Array(MATRIX + 1), inputs=Array(MATRIX[:1] * 2),
    ),
    row("operators.hankel.Hankel", hankel.Hankel, symbol=Tensor(H.symbol, TENSOR)),
    row(
        "operators.hankel.Hankel.from_series", hankel.Hankel.from_series,
        series=Tensor(H.symbol, TENSOR | {"longer": "more than enough values"}), n=Count(2),
    ),
    *(
        row(f"operators.hankel.Hankel.{way}", getattr(H, way), states=Tensor(X, TENSOR))
        for way in ("multiply_dense", "multiply_shift", "multiply_fft", "__matmul__")
    ),
    row(
        "operators.hankel.operations", hankel.operations, n=Count(4), method=Choice("fft"),
    ),
    row(
        "operators.bestfit.hankel_fit", bestfit.hankel_fit,
        states=Array(MATRIX), successors=Array(MATRIX + 1),
    ),
    row("operators.hankel.delay_vectors", hankel.delay_vectors,
        values=Array(A, SIZE | SCALED), delays=Count(3),
    ),
    row("operators.hankel.distance_from_hankel", hankel.distance_from_hankel,
        operator=Array(SQUARE),
    ),
    row("operators.hankel.nearest", hankel.nearest, matrix=Tensor(X[:, :2], TENSOR)),
]  # fmt: skip

# --- the tests


def refused(error: BaseException) -> bool:
    """Whether it is a refusal in the three parts, raised by dynlib's own code."""
    home = Path(dynlib.__file__).parent
    last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    form = re.search(r"must .*, got .*; .", str(error), flags=re.DOTALL)
    return type(error) in (ValueError, TypeError) and form is not None and home in last.parents


def same(found: Any, plain: Any, tolerance: float) -> bool:
    if isinstance(plain, hankel.Hankel):
        found, plain = found.symbol, plain.symbol
    if isinstance(plain, (bestfit.BestFit, distribution.Reference)):
        names = [each.name for each in dataclasses.fields(plain)]
        found, plain = ([getattr(x, n) for n in names] for x in (found, plain))
    if isinstance(plain, dict):
        return list(found) == list(plain) and same(
            list(found.values()), list(plain.values()), tolerance
        )
    if isinstance(plain, (tuple, list)):
        pairs = itertools.zip_longest(found, plain)
        return all(same(a, b, tolerance) for a, b in pairs)
    if isinstance(plain, (np.ndarray, torch.Tensor, float, int)):
        return np.allclose(found, plain, rtol=tolerance, atol=tolerance, equal_nan=True)
    return found == plain


def outcome(one: Row, argument: str, value: Any) -> tuple[Any, BaseException | None]:
    """The value of a call with one argument changed, or what it raises; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return one.run(**{argument: value}), None
        except Exception as error:
            return None, error


def table() -> Iterator[Any]:
    for one in ROWS:
        for name, argument in one.arguments.items():
            for kind, value, expected in argument.cells():
                label = f"{one.name}-{name}-{kind}"
                yield pytest.param(one, name, kind, value, expected, id=label.replace(" ", "_"))


@pytest.mark.parametrize(("one", "argument", "kind", "value", "expected"), list(table()))
def test_a_cell_is_a_right_value_or_a_refusal(one, argument, kind, value, expected):
    if one.needs and (expected != REFUSED or kind == "number's"):
        return
    found, error = outcome(one, argument, value)
    if error is not None:
        assert expected in (REFUSED, "safe", SAME, CLOSE), f"{kind} is fine, but {error!r}"
        assert refused(error), "".join(traceback.format_exception(error))
        return
    assert expected != REFUSED, f"{kind} is taken: {found!r}"
    if expected in (SAME, CLOSE):
        plain = one.plain()
        assert same(found, plain, 1e-12 if expected == SAME else 1e-4), f"{found!r} != {plain!r}"
    degree = getattr(one.arguments[argument], "degree", None)
    if kind in ("huge", "tiny") and degree is not None:
        factor = (1e300 if kind == "huge" else 1e-300) ** degree
        flat = [np.asarray(each).ravel() for each in (found, one.plain())]
        np.testing.assert_allclose(flat[0], flat[1] * factor, rtol=1e-9)


@pytest.mark.parametrize("one", [one for one in ROWS if not one.needs], ids=lambda one: one.name)
def test_the_plain_call_is_taken(one):
    one.plain()


def fuzzed() -> Iterator[Any]:
    for one in ROWS:
        for name, argument in one.arguments.items():
            if isinstance(argument, (Array, Tokens)):
                yield pytest.param(one, name, id=f"{one.name}-{name}")


ANY_SHAPE = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ANY_ARRAY = st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16"]).flatmap(
    lambda dtype: arrays.arrays(dtype, ANY_SHAPE)
)


@pytest.mark.parametrize(("one", "argument"), list(fuzzed()))
@settings(
    max_examples=12, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(value=ANY_ARRAY)
def test_any_array_is_taken_without_a_warning_or_refused(one, argument, value):
    _, error = outcome(one, argument, value)
    assert error is None or refused(error), "".join(traceback.format_exception(error))


def test_every_public_function_has_a_row():
    rooms = {each.name for each in pkgutil.iter_modules(dynlib.__path__) if each.ispkg}
    assert rooms == COVERED | PENDING
    assert not COVERED & PENDING
    public = set()
    for room in COVERED:
        package = importlib.import_module(f"dynlib.{room}")
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(each.name)
            public |= {f"{each.name.removeprefix('dynlib.')}.{n}" for n in names_of(module)}
    assert public - EXEMPT.keys() == {one.name for one in ROWS}
    assert EXEMPT.keys() <= public


def names_of(module: Any) -> Iterator[str]:
    """Public functions, classes, and methods that take something; checks refuse on purpose."""
    for name, thing in vars(module).items():
        if getattr(thing, "__module__", "") != module.__name__ or name.startswith(("_", "check")):
            continue
        if inspect.isclass(thing):
            yield name
            for method, each in inspect.getmembers(thing, callable):
                inherited = issubclass(thing, Flow) and hasattr(Flow, method) and thing is not Flow
                kept = vars(thing).get(method) is each or not inherited
                public = not method.startswith("_") or method == "__matmul__"
                if public and kept and inspect.isroutine(each) and takes(each):
                    yield f"{name}.{method}"
        elif callable(thing) and inspect.signature(thing).parameters:
            yield name


def takes(method: Callable) -> bool:
    try:
        parameters = list(inspect.signature(method).parameters)
    except ValueError:
        return False
    ours = (getattr(method, "__module__", "") or "").startswith("dynlib.")
    return ours and parameters not in ([], ["self"])


def test_the_arguments_of_a_row_are_all_of_the_function():
    for one in ROWS:
        if "<lambda>" in getattr(one.call, "__qualname__", ""):
            continue
        assert list(one.arguments) == list(inspect.signature(one.call).parameters), one.name


def test_nothing_is_called_before_a_refusal():
    def never(*_):
        raise AssertionError("called")

    with pytest.raises(ValueError, match="columns"):
        context.context_curve(never, WINDOWS, [1], [10])
    with pytest.raises(TypeError, match="repeats"):
        timing.microseconds(never, repeats=2.0)
