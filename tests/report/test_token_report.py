"""What the report of the token runs computes by itself."""

import numpy as np
import pytest

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.report import tokens as report
from dynlib.training import parallel


def serial(function, jobs, workers):
    assert 1 < len(jobs) <= workers
    return [function(**job) for job in jobs]


@pytest.mark.parametrize("system", [Henon(), TimeMap(Lorenz(), 0.03)])
@pytest.mark.parametrize("workers", [2, 3, 7, 20])
def test_exponents_do_not_depend_on_the_number_of_processes(system, workers, monkeypatch):
    """To the last bit, also where each has one orbit."""
    start = getattr(system, "flow", system).initial_states(7, np.random.default_rng(0))
    expected = tangent_exponents(system, start, 60, alignment=5)
    monkeypatch.setenv("DYNLIB_WORKERS", str(workers))
    monkeypatch.setattr(parallel, "map_processes", serial)
    np.testing.assert_array_equal(report.exponents(system, start, 60, alignment=5), expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_exponents_come_from_processes(workers, monkeypatch):
    start = Henon().initial_states(5, np.random.default_rng(0))
    monkeypatch.setenv("DYNLIB_WORKERS", str(workers))
    expected = tangent_exponents(Henon(), start, 50)
    np.testing.assert_array_equal(report.exponents(Henon(), start, 50), expected)
