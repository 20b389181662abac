"""Median times of calls, by a clock that the tests hold."""

from __future__ import annotations

import numpy as np
import pytest

from dynlib.measure import timing


class Clock:
    """Goes on by so many seconds a call; the seventh takes long."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds, self.calls = 0.0, seconds, 0

    def call(self) -> None:
        self.calls += 1
        self.now += 50.0 if self.calls == 7 else self.seconds

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(2e-6)
    monkeypatch.setattr(timing.time, "perf_counter", clock.perf_counter)
    return clock


def test_the_median_of_single_calls_after_one_that_is_not_counted(clock):
    assert timing.microseconds(clock.call, repeats=9) == pytest.approx(2.0)
    assert clock.calls == 10


def test_several_calls_a_timing(clock):
    assert timing.microseconds(clock.call, repeats=5, calls=30) == pytest.approx(2.0)
    assert clock.calls == 1 + 5 * 30


def test_timings_are_long_enough(clock):
    clock.calls = 7
    assert timing.microseconds(clock.call, repeats=3, at_least=1e-3) == pytest.approx(2.0)
    assert clock.calls - 8 >= 3 * 500


def test_calls_that_are_compared_take_turns(clock):
    order = []

    def slow() -> None:
        order.append("slow")
        clock.now += 4e-6

    def fast() -> None:
        order.append("fast")
        clock.now += 1e-6

    found = timing.rounds([slow, fast], repeats=3, calls=2)
    np.testing.assert_allclose(found, [[4, 1]] * 3)
    assert order == ["slow", "fast"] + ["slow", "slow", "fast", "fast"] * 3


def test_what_slows_a_machine_for_a_while_cancels_in_the_ratios(clock):
    def call(seconds):
        def advance() -> None:
            clock.now += seconds * (1 + clock.now)  # the machine is slower and slower

        return advance

    found = timing.rounds([call(2e-2), call(1e-2)], repeats=20)
    assert found[-1, 0] > 1.5 * found[0, 0]
    np.testing.assert_allclose(found[:, 0] / found[:, 1], 2, rtol=0.03)
