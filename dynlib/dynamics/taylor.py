r"""The Lorenz system by Taylor series, in more digits than those of double precision."""

from __future__ import annotations

import numpy as np

from dynlib.dynamics.checks import check_array, check_count, check_is, check_number, check_room
from dynlib.dynamics.simulate import ONE
from dynlib.dynamics.systems.lorenz import Lorenz


def lorenz_series(
    system: Lorenz,
    initial: np.ndarray,
    n_steps: int,
    dt: float,
    *,
    order: int = 20,
    substeps: int = 1,
) -> np.ndarray:
    r"""States of the Lorenz system at equal times, by Taylor series in ``numpy.longdouble``.

    With :math:`x(t + h) = \sum_k x_k h^k` the equations give

    .. math:: (k + 1)\, x_{k+1} = \sigma (y_k - x_k), \quad
              (k + 1)\, y_{k+1} = \rho x_k - y_k - \sum_{j \le k} x_j z_{k-j}, \quad
              (k + 1)\, z_{k+1} = \sum_{j \le k} x_j y_{k-j} - \beta z_k.

    Chaos makes every rounding larger by :math:`e^{\lambda t}`. With the 64 bits of an x86
    processor two series of other steps agree to about 40 time units; where ``numpy.longdouble``
    is double precision they agree to about 32. Compare two before you trust one.

    Parameters
    ----------
    system : Lorenz
        The system.
    initial : numpy.ndarray
        Initial states, shape (batch, 3).
    n_steps : int
        Number of states after the initial one.
    dt : float
        Time between two states.
    order : int
        Degree of the series.
    substeps : int
        Series between two states.

    Returns
    -------
    numpy.ndarray
        States after 1, 2, …, `n_steps` times `dt`, shape (batch, n_steps, 3), float64.

    Raises
    ------
    ValueError
        If a shape or a number is impossible, or the series do not converge.

    Examples
    --------
    >>> lorenz_series(Lorenz(), np.zeros((2, 3)), 4, 0.01).shape
    (2, 4, 3)

    References
    ----------
    Jorba & Zou (2005), Exp. Math. 14, 99-117.
    """
    check_is("system", system, Lorenz, "a Lorenz system", "other flows have integrate(...)")
    check_array("initial states", initial, ("batch", 3), scale=True, remedy=ONE)
    check_count("n_steps", n_steps)
    check_number("dt", dt, above=0)
    check_count("order", order, most=100)
    check_count("substeps", substeps)
    check_room("the trajectories", len(initial), n_steps, 3)
    sigma, rho, beta = (np.longdouble(each) for each in (system.sigma, system.rho, system.beta))
    step = np.longdouble(dt) / int(substeps)
    states = np.asarray(initial, dtype=np.float64).T.astype(np.longdouble)
    series = np.zeros((order + 1, *states.shape), np.longdouble)  # (order + 1, 3, batch)
    path = np.empty((n_steps, *states.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(n_steps):
            for _ in range(substeps):
                series[0] = states
                for k in range(order):
                    x, y, z = series[k]
                    xy, xz = (series[: k + 1, :1] * series[k::-1, 1:]).sum(0)
                    series[k + 1] = sigma * (y - x), rho * x - y - xz, xy - beta * z
                    series[k + 1] /= k + 1
                states = series[order]
                for coefficients in series[-2::-1]:
                    states = states * step + coefficients
            path[number] = states
    if not np.isfinite(path).all():
        raise ValueError(f"dt must let the series converge, got {dt}; take a smaller one")
    return np.ascontiguousarray(path.transpose(2, 0, 1))
