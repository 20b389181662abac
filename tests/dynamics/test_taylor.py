"""The Lorenz system by Taylor series, against mpmath's own solver and against itself."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.taylor import lorenz_series

SYSTEM = Lorenz(beta=8 / 3)
STARTS = np.array([[0.0, 1.0, 20.0], [3.0, -2.0, 15.0]])


def test_it_solves_the_equations_as_mpmath_does():
    with mpmath.workdps(25):
        solved = mpmath.odefun(
            lambda _, s: [
                10 * (s[1] - s[0]),
                s[0] * (28 - s[2]) - s[1],
                s[0] * s[1] - mpmath.mpf(8 / 3) * s[2],
            ],
            0,
            [0, 1, 20],
        )
        wanted = [[float(each) for each in solved(k * mpmath.mpf(0.01))] for k in (1, 50)]
    found = lorenz_series(SYSTEM, STARTS, 50, 0.01)[0, [0, 49]]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_it_agrees_with_another_solver():
    times = np.arange(201) * 0.01
    wanted = integrate(SYSTEM, STARTS, times, tolerance=1e-13)[:, 1:]
    np.testing.assert_allclose(lorenz_series(SYSTEM, STARTS, 200, 0.01), wanted, atol=1e-9)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="longdouble is double here")
def test_two_series_agree_for_longer_than_double_precision_can():
    one = lorenz_series(SYSTEM, STARTS, 3200, 0.01)
    other = lorenz_series(SYSTEM, STARTS, 3200, 0.01, order=16, substeps=2)
    assert np.abs(one - other).max() < 1e-2


def test_what_grows_without_bound_is_refused():
    with pytest.raises(ValueError, match=r"dt must let the series converge, got 1000\.0"):
        lorenz_series(SYSTEM, STARTS, 3, 1000.0, order=100)


def test_other_systems_are_refused():
    with pytest.raises(TypeError, match="system must be a Lorenz system"):
        lorenz_series("lorenz", STARTS, 3, 0.01)
