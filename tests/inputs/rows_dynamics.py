"""The public names of ``dynlib.dynamics``, with right values of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kinds import (
    ANY_AXES,
    FLAT,
    FORECAST,
    PROPAGATES,
    SCALED,
    SIZE,
    TIMES,
    A,
    Array,
    Count,
    Flag,
    Number,
    Row,
    Seed,
    Span,
    Thing,
    Times,
    row,
)

from dynlib.dynamics import data, lyapunov, own, pairs, simulate, taylor, trial
from dynlib.dynamics.flows import TimeMap, marcher
from dynlib.dynamics.systems import catalogue, facts, lotka_volterra
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler

#: What has no input to refuse, and why.
EXEMPT = {
    "dynamics.data.Trajectories": "made by read_trajectories",
    "dynamics.flows.Flow": "a base class without fields",
    "dynamics.own.Driven": "a TimeMap, made by prepared",
    "dynamics.own.Driven.orbits": "as of TimeMap",
    "dynamics.own.Driven.push": "as of TimeMap",
    "dynamics.own.Driven.step": "as of TimeMap",
    "dynamics.forms.*": "given what OwnFlow and OwnMap have checked",
    "dynamics.simulate.Map": "a protocol",
    "dynamics.simulate.Map.step": "a protocol",
    "dynamics.systems.facts.Fact": "written in the source of a system alone",
    "dynamics.systems.facts.Facts": "made by holding",
}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pendulum(angle, speed):
    return speed, -np.sin(angle)


def swap(x, y):
    return 0.5 * y, x


LEADING = ANY_AXES | {"empty": "no states, no values"}
BATCH = {"empty": "no states, no values", "tiny": "a right value"}
STATES = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 5.0]])
LOTKA = lotka_volterra.LotkaVolterra()
SYSTEM = Thing(Lorenz(), others={"class": Lorenz})
MAP = Thing(Henon(), others={"class": Henon, "flow": Lorenz()})
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
NONE = Thing(None, {"None": "there need not be one"})
SAMPLE = str(Path(__file__).with_name("sample.csv"))
OWN = {
    "function": Thing(
        pendulum,
        others={
            "a set returned": lambda angle, speed: {speed, angle},
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
    "sampler": NONE,
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
    row("dynamics.flows.marcher", lambda flow: bool(marcher(flow)), flow=SYSTEM),
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
    row(
        "dynamics.data.read_trajectories", data.read_trajectories, path=Thing(SAMPLE),
        resample=Flag(True),
    ),
    row(
        "dynamics.data.hold_out", data.hold_out,
        parts=Thing(
            [A[:, None]], others={"none": [], "one axis": [A], "nan": [A[:, None] * np.nan]}
        ),
        origin=Thing([0], others={"none": [], "two": [0, 1]}), share=Number(0.25, low=0),
    ),
    row("dynamics.own.OwnFlow", own.OwnFlow, **OWN, period=NONE),
    row("dynamics.own.OwnMap", own.OwnMap, **OWN),
    states_of("dynamics.own.OwnFlow.velocity", ONE_FLOW.velocity, FLAT),
    states_of("dynamics.own.OwnFlow.jacobian", ONE_FLOW.jacobian, FLAT),
    states_of("dynamics.own.OwnMap.step", ONE_MAP.step, FLAT),
    states_of("dynamics.own.OwnMap.jacobian", ONE_MAP.jacobian, FLAT),
    draws("dynamics.own.OwnFlow.initial_states", ONE_FLOW),
    draws("dynamics.own.OwnMap.initial_states", ONE_MAP),
    row(
        "dynamics.trial.prepared", trial.prepared,
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
        "dynamics.taylor.lorenz_series", taylor.lorenz_series,
        system=Thing(Lorenz(), others={"class": Lorenz, "map": Henon()}),
        initial=Array(STATES), n_steps=Count(3), dt=Number(0.01, low=0),
        order=Count(12), substeps=Count(1),
    ),
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
]  # fmt: skip
