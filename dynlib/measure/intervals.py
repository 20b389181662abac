r"""One number from several independent ones: the median and an honest interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dynlib.dynamics.checks import check_array


@dataclass(frozen=True)
class Summary:
    """A median with its interval: `low` to `high` at confidence `level`, over `n` units."""

    value: float
    low: float | None
    high: float | None
    level: float | None
    n: int


def summarise(samples: Sequence[float]) -> Summary:
    r"""Median of independent samples, with an interval that suits their number.

    With six samples or more, the 95 % percentile bootstrap of the median (10 000 resamples,
    fixed seed). With two to five, the smallest and the largest, which enclose the
    distribution's median with probability :math:`1 - 2^{1-n}` whatever the distribution.
    With one, no interval.

    Parameters
    ----------
    samples : sequence of float
        Values of independent units (seeds, starts, batches), finite. Never correlated
        windows of one trajectory.

    Raises
    ------
    ValueError
        If there is no sample or one is not finite.

    Examples
    --------
    >>> summarise([1.0, 2.0, 4.0])
    Summary(value=2.0, low=1.0, high=4.0, level=0.75, n=3)

    References
    ----------
    Thompson (1936), Ann. Math. Stat. 7, 122-128 (order statistics); Efron & Tibshirani
    (1993), An Introduction to the Bootstrap.
    """
    check_array(
        "samples", samples, ("n",),
        remedy="they are a sequence of finite numbers, one for each independent unit",
    )  # fmt: skip
    values = np.asarray(samples, dtype=np.float64)
    median, n = float(np.median(values)), len(values)
    if n == 1:
        return Summary(median, None, None, None, 1)
    if n < 6:
        return Summary(median, float(values.min()), float(values.max()), 1 - 2.0 ** (1 - n), n)
    resampled = stats.bootstrap(
        (values,), np.median, n_resamples=10_000, method="percentile", rng=0
    )
    low, high = resampled.confidence_interval
    return Summary(median, float(low), float(high), 0.95, n)
