r"""One number from several independent ones: the median and its interval.

Units are batches of prompts or starts, or seeds where nothing else varies. Each of several
training seeds may be measured on the same units; then the interval covers both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dynlib.dynamics.checks import check_array, check_flag

#: The confidence of intervals, and the number of units below which a range stands in their place.
LEVEL, FEWEST = 0.95, 6
#: Where the ends of an interval may lie, for values that are shares and for others.
BOUNDS = {True: (0.0, 1.0), False: (-np.inf, np.inf)}
#: Draws of a bootstrap; a variance needs fewer than the ends of an interval.
DRAWS, FEW_DRAWS = 4000, 200


@dataclass(frozen=True)
class Summary:
    """A median over `n` units, `low` to `high` around it.

    They are an interval of confidence `level`; without a level, a range of the values.
    """

    value: float
    low: float | None
    high: float | None
    level: float | None
    n: int


def summarise(
    samples: Sequence[float] | np.ndarray,
    per: Sequence[float] | np.ndarray | None = None,
    *,
    share: bool = False,
) -> Summary:
    r"""Median over independent units, with an interval that suits their number.

    - Below six units: the range of all values, with no level; of one value, nothing.
    - One value a unit: two order statistics, interpolated so that the level is 0.95
      (Hettmansperger & Sheather). The coverage is 0.94 to 0.96 for 6 to 64 units of normal,
      log-normal and heavy-tailed values; that of the percentile bootstrap is 0.91 to 0.94 for 6
      to 10.
    - Several seeds, or denominators: the units are drawn again with replacement, numerators of
      all seeds and denominators together. To each of these draws comes the effect of the seeds,
      :math:`t\,s/\sqrt S` with Student's t of S - 1 degrees of freedom. Here s² is the variance
      of the S seeds' own statistics, without the part which the draws of units cover already.
      The interval holds 95 % of these sums, on logarithms if all values are positive.

    For three seeds that differ more than the units, a bootstrap of seeds and units covers 0.76
    where 0.95 is stated, and this 0.95. The tests hold the coverage between 0.90 and 0.98 for 1
    to 5 seeds and 20 or 64 units. It is up to 0.99 for a ratio of correlated units: the bootstrap
    of a median is slightly too wide, and the correlation does not remove this.

    Parameters
    ----------
    samples : array_like, shape (B,) or (S, B)
        Values of B independent units (seeds, starts, batches), finite; never correlated windows
        of one trajectory. With S rows, the same units measured with each of S training seeds:
        the value is the median over units of the mean over seeds.
    per : array_like, shape (B,), optional
        Denominators of the same units, none 0. The value is divided by their median.
    share : bool
        Whether the values are shares of a whole. Then the interval ends at 0 and at 1, which
        their true value cannot pass.

    Raises
    ------
    ValueError
        If there is no sample, one is not finite, a denominator is 0, or a share is not in [0, 1].

    Examples
    --------
    >>> summarise([1.0, 2.0, 4.0])
    Summary(value=2.0, low=1.0, high=4.0, level=None, n=3)
    >>> summarise([[1.0, 2.0, 4.0], [3.0, 4.0, 4.0]], per=[1.0, 2.0, 3.0])
    Summary(value=1.5, low=0.5, high=2.0, level=None, n=3)

    References
    ----------
    Hettmansperger & Sheather (1986), Stat. Probab. Lett. 4, 75-79; Efron & Tibshirani (1993), An
    Introduction to the Bootstrap.
    """
    table = by_unit(samples)
    check_flag("share", share)
    lowest, highest = BOUNDS[share]
    outside = table[(table < lowest) | (table > highest)]
    if share and per is not None:
        raise ValueError("per must be None for shares, got denominators; leave out one of the two")
    if outside.size:
        raise ValueError(
            f"samples must be shares, in [0, 1], got {outside[0]:g}; leave out share=True if not"
        )
    below = np.ones(1) if per is None else denominators(per, table.shape[1])
    units, n = table.mean(axis=0), table.shape[1]
    value = float(np.median(units) / np.median(below))
    if table.size == 1:
        return Summary(value, None, None, None, 1)
    if n < FEWEST:
        ends, level = np.quantile(table / np.median(below), [0, 1]), None
    elif len(table) == 1 and per is None:
        ends, level = _order_statistics(units), LEVEL
    else:
        ends, level = _two_levels(table, below), LEVEL
    ends = np.clip(ends, lowest, highest)
    return Summary(value, float(ends.min()), float(ends.max()), level, n)


def paired(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> np.ndarray:
    """Ratios of two methods on the same units, seed by seed, to be summarised or recorded.

    What the units share cancels: where one batch of prompts is hard for both methods, the
    ratio does not show it. The order of the two methods is beyond chance where the interval of
    the ratios is on one side of 1.

    Parameters
    ----------
    a, b : array_like, shape (B,) or (S, B)
        The same units in the same order. A method without seeds has one row or none.

    Examples
    --------
    >>> paired([[2.0, 6.0], [3.0, 9.0]], [2.0, 3.0])
    array([[1. , 2. ],
           [1.5, 3. ]])
    """
    numerators, below = by_unit(a), by_unit(b)
    denominators(below.ravel(), below.size)
    if numerators.shape[1] != below.shape[1] or 1 != len(below) != len(numerators) != 1:
        raise ValueError(
            "a and b must have the same units and the same number of seeds (or one), got shapes "
            f"{numerators.shape} and {below.shape}; measure both on the same batches"
        )
    return numerators / below


def by_unit(samples: Sequence[float] | np.ndarray) -> np.ndarray:
    """Samples as an array of shape (S, B); one seed where none are given."""
    check_array("samples", samples, (...,), allow="any", empty=True)  # which has a shape
    axes = ("S", "B") if np.ndim(samples) > 1 else ("n",)
    remedy = "they are a finite number a unit, or a row of them a training seed"
    check_array("samples", samples, axes, remedy=remedy)
    return np.atleast_2d(np.asarray(samples, dtype=np.float64))


def denominators(per: Sequence[float] | np.ndarray, n: int) -> np.ndarray:
    """Denominators of `n` units as an array."""
    check_array("per", per, (n,), remedy="give one denominator for each unit of the samples")
    found = np.asarray(per, dtype=np.float64)
    if not found.all():
        raise ValueError("per must be without zeros, got 0; leave out these units")
    return found


def _order_statistics(values: np.ndarray) -> np.ndarray:
    """Two order statistics of six or more values, interpolated to the level."""
    ordered, n = np.sort(values), len(values)
    covered = 1 - 2 * stats.binom.cdf(np.arange(n // 2 + 1), n, 0.5)  # by those at d and n - d - 1
    d = int(np.flatnonzero(covered >= LEVEL)[-1])
    excess = (covered[d] - LEVEL) / (covered[d] - covered[d + 1])
    inward = (n - d - 1) * excess / (d + 1 + (n - 2 * d - 2) * excess)
    return ordered[[d, -d - 1]] * (1 - inward) + ordered[[d + 1, -d - 2]] * inward


def _two_levels(table: np.ndarray, per: np.ndarray) -> np.ndarray:
    """The interval of a median over units of the mean over seeds, over the median of `per`."""
    n_seeds, n = table.shape
    rng = np.random.default_rng(0)
    drawn = rng.integers(n, size=(DRAWS, n))
    below = np.median(per[drawn] if len(per) > 1 else per, axis=-1)
    positive = table.min() > 0 and per.min() > 0
    scale, back = (np.log, np.exp) if positive else (np.asarray, np.asarray)
    found = scale(np.median(table.mean(axis=0)[drawn], axis=-1) / below)
    if n_seeds > 1:
        middle = np.median(per)
        seeds = scale(np.median(table, axis=1) / middle).var(ddof=1)
        again = np.median(table[:, drawn[:FEW_DRAWS]], axis=-1)
        with_units = scale(again / middle).var(axis=0, ddof=1).mean()
        alone = max(0.0, seeds - max(0.0, with_units - seeds))
        found = found + rng.standard_t(n_seeds - 1, DRAWS) * np.sqrt(alone / n_seeds)
    tail = (1 - LEVEL) / 2
    return back(np.quantile(found, [tail, 1 - tail]))
