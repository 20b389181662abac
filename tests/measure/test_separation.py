"""The growth of differences against curves whose slope is known, and all ways to have none."""

import numpy as np
import pytest
from scipy import stats

from dynlib.measure.separation import growth_rate, mean_separation


def test_mean_separation_is_the_mean_of_norms():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 11, 3))
    by_hand = [
        np.mean([np.sqrt(sum((a[p, t, i] - b[p, t, i]) ** 2 for i in range(3))) for p in range(7)])
        for t in range(11)
    ]
    np.testing.assert_allclose(mean_separation(a, b), by_hand, rtol=1e-12)


def test_a_translation_is_everywhere_its_length_away():
    a = np.random.default_rng(1).normal(size=(5, 9, 3))
    shift = np.array([2.0, 3.0, 6.0])
    np.testing.assert_allclose(mean_separation(a, a + shift), 7, rtol=1e-12)
    np.testing.assert_array_equal(mean_separation(a, a), 0)


@pytest.mark.parametrize("tau", [0.03, 1.0, 7.0])
@pytest.mark.parametrize("rate", [0.9, 0.05])
def test_an_exponential_has_its_rate(tau, rate):
    separation = 1e-3 * np.exp(rate * tau * np.arange(80))
    low, high = separation[3] * 1.01, separation[60] * 1.01
    assert growth_rate(separation, tau, low, high) == pytest.approx(rate, rel=1e-9)


def test_only_what_lies_between_the_bounds_counts():
    """Slow before, saturated after; a rise past the bound and a fall back come too late."""
    t = np.arange(60)
    growing = 0.01 * np.exp(0.3 * t)
    separation = np.concatenate([0.01 * np.exp(0.01 * t), growing, np.full(50, 2.0), growing])
    # From 0.05 to 1: the last value below 0.05 before 1 is first reached is in `growing`.
    assert growth_rate(separation, 0.1, 0.05, 1.0) == pytest.approx(3.0, rel=1e-9)


def test_it_is_the_least_squares_line():
    rng = np.random.default_rng(2)
    inside = np.exp(np.linspace(0, 2, 30) + 0.1 * rng.normal(size=30)) + 0.5
    separation = np.r_[0.1, 0.2, inside, 50.0, 0.3]
    slope = stats.linregress(0.2 * np.arange(2, 32), np.log(inside)).slope
    assert growth_rate(separation, 0.2, 0.4, 40.0) == pytest.approx(slope, rel=1e-9)


def test_it_begins_after_the_last_dip_below_the_bound():
    separation = np.r_[2.0, 3.0, 0.5, np.exp(np.arange(1, 6)), 1e4]
    assert growth_rate(separation, 1.0, 1.0, 1e3) == pytest.approx(1.0, rel=1e-12)


def test_a_decay_has_a_negative_rate():
    assert growth_rate(np.exp(-0.5 * np.arange(9)), 1.0, 1e-9, 2.0) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("separation", "low", "high"),
    [
        (np.exp(np.arange(9.0)), 10.0, 10.0),  # the cells are as wide as the range
        (np.exp(np.arange(9.0)), 10.0, 1.0),
        (np.exp(np.arange(9.0)), 2.0, 15.0),  # two values between: e, e^2
        (np.exp(np.arange(9.0)), 0.5, 1.0),  # at the upper bound from the start
        (np.full(9, 0.1), 0.5, 1.0),  # never so far apart
        (np.empty(0), 0.5, 1.0),
    ],
)
def test_no_slope_without_three_values_between_the_bounds(separation, low, high):
    assert growth_rate(separation, 1.0, low, high) is None


def test_three_values_are_enough():
    assert growth_rate(np.exp(np.arange(9.0)), 1.0, 2.0, 21.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_separation(np.zeros((2, 3, 1)), np.zeros((2, 4, 1))), r"\(2, 4, 1\)"),
        (lambda: mean_separation(np.zeros((2, 3)), np.zeros((2, 3))), r"\(pairs, time, d\)"),
        (lambda: growth_rate(np.ones(5), 1.0, 0.0, 1.0), "above 0"),
        (lambda: growth_rate(np.ones(5), 1.0, 1.0, -1.0), "above 0"),
        (lambda: growth_rate(np.ones(5), 1.0, np.nan, 1.0), "above 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("offset", [1e4, 1e6, 1e8])
def test_separations_do_not_depend_on_where_the_states_lie(offset):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 8, 3)), rng.normal(size=(20, 8, 3))
    far = mean_separation(a + offset, b + offset)
    np.testing.assert_allclose(far, mean_separation(a, b), atol=2 * np.spacing(offset))


def test_the_growth_of_one_separation_at_a_time():
    with pytest.raises(ValueError, match=r"shape \(time,\), got \(2, 9\)"):
        growth_rate(np.ones((2, 9)), 1.0, 0.2, 5.0)
