"""The public names of ``dynlib.identify``, with right values of their arguments."""

from __future__ import annotations

import numpy as np
from kinds import (
    ANY_AXES,
    FORECAST,
    SCALED,
    SIZE,
    A,
    Array,
    Choice,
    Count,
    Number,
    Seed,
    Span,
    Thing,
    Times,
    row,
)

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lotka_volterra import LotkaVolterra
from dynlib.identify import environments, havok, parameters, polynomial, reservoir, search, sindy

#: What has no input to refuse, and why.
EXEMPT = {
    "identify.environments.Fitted": "made by fit_maps and fit_equations",
    "identify.havok.DelayDMD": "made by its fit",
    "identify.havok.Havok": "made by its fit",
    "identify.polynomial.PolynomialMap": "made by its fit",
    "identify.reservoir.EchoState": "made by fit_reservoir",
}


def exact(values: np.ndarray) -> np.ndarray:
    """The nearest values that float32 holds: then a fit to float32 is the same."""
    return values.astype(np.float32).astype(float)


T = 0.25 * np.arange(36)
CIRCLE = exact(np.stack([np.cos(T), np.sin(T)], axis=1))
TONES = exact(np.stack([np.cos(T) + np.sin(2.7 * T), np.sin(T) - np.cos(2.7 * T)], axis=1))
TURNED = np.random.default_rng(0).normal(size=(2, 3, 5, 2))
TIMES = np.array([0.0, 0.5, 1.0, 2.5])
PATHS = exact(integrate(LotkaVolterra(1.0, 0.5, 0.25, 0.5), np.array([[1.0, 2.0]]), TIMES))
RATES = {
    "system": Thing(LotkaVolterra, others={"two rates": lambda a, b: a, "no flow": lambda *p: 3}),
    "times": Times(TIMES),
    "guess": Array(np.full(4, 0.5)),
}
WINDOWS = TONES[None, :4]
HAVOK = havok.Havok.fit(TONES, 0.25, 3, 4)
DMD = havok.DelayDMD.fit(TONES, 3, 4)
POLYNOMIAL = polynomial.PolynomialMap.fit(TONES[:-1], TONES[1:], 1)
ECHO = reservoir.fit_reservoir(CIRCLE, 4, washout=2)
FIELD = sindy.SparseField(np.array([[0, 0, -1.0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0]]), 0.25)


class Still:
    """A forecast that nothing moves."""

    parameters = flops = 0

    def rollout(self, windows: np.ndarray, n_steps: int) -> np.ndarray:
        return np.repeat(windows[:, -1:], n_steps, axis=1)


def forecast(fit):
    """A fit to a trajectory, and what it forecasts after it."""

    def model(trajectory, options):
        return fit(trajectory, **options).rollout(np.asarray(trajectory, dtype=float)[None], 2)

    return lambda trajectory, **options: model(trajectory, options)


ROWS = [
    row(
        "identify.environments.fit_maps",
        lambda **options: environments.fit_maps(**options).predictions,
        learn=Array(TURNED), test=Array(TURNED[:, :2]), degree=Count(1),
    ),
    row(
        "identify.environments.fit_equations",
        lambda **options: environments.fit_equations(**options).predictions,
        learn=Array(PATHS[None]), test=Array(PATHS[None] + 1), **RATES,
    ),
    row(
        "identify.parameters.fit_parameters", parameters.fit_parameters,
        system=RATES["system"], trajectories=Array(PATHS), times=RATES["times"],
        guess=RATES["guess"], tolerance=Number(1e-6, low=0),
    ),
    row(
        "identify.havok.Havok.fit", forecast(havok.Havok.fit),
        trajectory=Array(TONES, SIZE), dt=Number(0.25, low=0), delays=Count(3), rank=Count(4),
        num_chaos=Count(1),
    ),
    row("identify.havok.Havok.encode", HAVOK.encode, windows=Array(WINDOWS, SCALED)),
    row(
        "identify.havok.Havok.rollout",
        lambda **options: HAVOK.rollout(**options, true_future=None),
        windows=Array(WINDOWS, SCALED), n_steps=Count(2), forcing=Choice("held"),
    ),
    row(
        "identify.havok.Havok.rollout", HAVOK.rollout,
        windows=Array(WINDOWS, SCALED), n_steps=Count(2), forcing=Choice("oracle"),
        true_future=Array(TONES[None, 4:6]),
    ),
    row(
        "identify.havok.DelayDMD.fit", forecast(havok.DelayDMD.fit),
        trajectory=Array(TONES, SIZE), delays=Count(3), rank=Count(4),
    ),
    row(
        "identify.havok.DelayDMD.rollout", DMD.rollout,
        windows=Array(WINDOWS, SCALED), n_steps=Count(2),
    ),
    row("identify.polynomial.Monomials", polynomial.Monomials, dim=Count(2), degree=Count(2)),
    row(
        "identify.polynomial.Monomials.names", polynomial.Monomials(2, 2).names,
        coordinates=Thing("xy", others={"numbers": [0, 1], "three": "xyz"}),
    ),
    row(
        "identify.polynomial.PolynomialMap.fit",
        lambda **options: polynomial.PolynomialMap.fit(**options).coefficients,
        states=Array(TONES[:-1]), successors=Array(TONES[1:]), degree=Count(2),
    ),
    row(
        "identify.polynomial.PolynomialMap.step", POLYNOMIAL.step,
        states=Array(TONES[:2], ANY_AXES),
    ),
    row(
        "identify.polynomial.PolynomialMap.rollout", POLYNOMIAL.rollout,
        windows=Array(FORECAST, SCALED), n_steps=Count(2),
    ),
    row(
        "identify.reservoir.fit_reservoir", forecast(reservoir.fit_reservoir),
        trajectory=Array(CIRCLE, SIZE), units=Count(4, least=3),
        spectral_radius=Number(0.5, low=0), leak=Number(0.5, low=0),
        input_scaling=Number(0.5, low=0), ridge=Number(0.25, low=0, reaches=True),
        washout=Count(2, least=0), seed=Seed(0),
    ),
    row(
        "identify.reservoir.EchoState.rollout", ECHO.rollout,
        windows=Array(FORECAST, SCALED), n_steps=Count(2),
    ),
    row(
        "identify.search.grid", search.grid,
        choices=Thing([1, 2], others={"none": []}),
    ),
    row(
        "identify.search.search", search.search,
        fit=Thing(lambda record: Still()), options=Thing([{}], others={"none": [], "no": [3]}),
        record=Array(A.reshape(6, 2) ** 2, SIZE), split=Count(3, least=2), window=Count(2),
        horizon=Count(1),
        **dict.fromkeys(("spread", "dt", "exponent"), Number(1.0, low=0)),
    ),
    row(
        "identify.sindy.SparseField",
        lambda coefficients, dt: sindy.SparseField(coefficients, dt).rollout(FORECAST, 2),
        coefficients=Array(FIELD.coefficients, SCALED), dt=Number(0.25, low=0),
    ),
    row("identify.sindy.SparseField.equations", FIELD.equations, digits=Count(3, least=0)),
    row(
        "identify.sindy.SparseField.rollout", FIELD.rollout,
        windows=Array(FORECAST, SCALED), n_steps=Count(2), substeps=Count(1),
    ),
    row(
        "identify.sindy.SparseField.runge_kutta", FIELD.runge_kutta,
        windows=Array(FORECAST, SCALED), n_steps=Count(2),
    ),
    row(
        "identify.sindy.fit_sindy",
        lambda **options: sindy.fit_sindy(**options).coefficients,
        trajectories=Array(CIRCLE, SIZE | {"axis too many": "several trajectories"}),
        dt=Span(0.25, low=0), derivative=Choice("fd2"),
        threshold=Span(0.0625, low=0, reaches=True), seed=Count(0, least=0),
    ),
]  # fmt: skip
