r"""Lyapunov exponents: from the tangent space, and from short products of Jacobians.

The tangent-space estimate is the reference. The short-product estimate is the paper's: it
needs no long orbit, only the states' own Jacobians, so it can be applied to *generated*
sequences whose Jacobians are taken at the centres of grid cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dynlib.dynamics.checks import check_array, check_count
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import ONE, check_map


@np.errstate(over="ignore", invalid="ignore")
def tangent_exponents(
    system, states: np.ndarray, n_steps: int, *, alignment: int = 0
) -> np.ndarray:
    r"""All Lyapunov exponents of a map or a flow, one estimate per initial state.

    A frame :math:`Q` of tangent vectors is carried along each orbit and re-orthonormalised
    at every step, :math:`J(x_k) Q_k = Q_{k+1} R_{k+1}`; then

    .. math:: \lambda_i = \frac1n \sum_{k=1}^{n} \ln |R_{k,ii}|,

    divided by :math:`\tau` for a flow, whose frames follow the variational equation
    :math:`\dot Q = f'(x) Q` over each :math:`\tau`.

    Parameters
    ----------
    system : object
        A map with ``step`` and ``jacobian``, such as :class:`dynlib.dynamics.systems.henon.Henon`,
        or a flow as :class:`dynlib.dynamics.flows.TimeMap`.
    states : numpy.ndarray
        States on the attractor, shape (batch, dim), where the orbits start. Drop the
        transient first.
    n_steps : int
        Length of each orbit in steps of the map, at least 1.
    alignment : int
        Steps before the average begins, in which the frames turn into their directions.

    Returns
    -------
    numpy.ndarray
        Exponents in nats per iteration of a map, per unit of time of a flow, shape
        (batch, dim), in descending order of the average. The spread over the batch gives the
        interval. Minus infinity where a step of a map takes a direction to zero, because the map
        folds or because the orbit meets a critical point: where a :math:`|R_{k,ii}|` cannot be
        told from the Jacobian's rounding, about 1e-14 of its largest norm (1e-10 for a Jacobian
        by differences), and more where the states are large in units of their spread.

    Raises
    ------
    ValueError
        If `n_steps` is smaller than 1 or `alignment` than 0, or if a flow contracts so much
        within :math:`\tau` that rounding hides how much.

    Examples
    --------
    >>> from dynlib.dynamics.systems.henon import Henon
    >>> exponents = tangent_exponents(Henon(), np.full((1, 2), 0.1), 1000)
    >>> bool(np.isclose(exponents.sum(), np.log(0.3)))    # ln |det J|, exactly
    True
    >>> from dynlib.dynamics.own import OwnMap
    >>> folds = OwnMap(lambda x, y: (3.9 * x * (1 - x), x), ("x", "y"), (0.4, 0.4))
    >>> tangent_exponents(folds, np.full((1, 2), 0.4), 1000).round(1)
    array([[ 0.5, -inf]])

    References
    ----------
    Benettin, Galgani, Giorgilli & Strelcyn (1980), Meccanica 15, 9-20.
    """
    check_map(system, *(["push"] if isinstance(system, TimeMap) else ["step", "jacobian"]))
    check_count("n_steps", n_steps)
    check_count("alignment", alignment, least=0)
    check_array("states", states, ("batch", system.dim), remedy=ONE)
    states = np.asarray(states, dtype=np.float64)
    frame = np.broadcast_to(np.eye(system.dim), (len(states), system.dim, system.dim))
    total, smallest = np.zeros(states.shape), np.full(states.shape, np.inf)
    largest = np.ones(len(states))
    flow = isinstance(system, TimeMap)
    units = np.ones(system.dim) if flow else np.array(getattr(system, "scale", 1.0))
    for step in range(-alignment, n_steps):
        if flow:
            states, pushed = system.push(states, frame)
        else:
            jacobian = system.jacobian(states) * units / np.reshape(units, (-1, 1))
            states, pushed = system.step(states), jacobian @ frame
        frame, triangle = np.linalg.qr(pushed)
        stretch = np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))
        if flow and (stretch <= np.finfo(np.float64).eps * np.linalg.norm(pushed, axis=1)).any():
            raise ValueError(
                f"the contraction within one tau must be above 2e-16, got less in "
                f"tau={system.tau}, where neighbours come closer by a factor that rounding hides; "
                "choose a shorter tau"
            )
        if step >= 0:
            with np.errstate(divide="ignore"):
                total += np.log(stretch)
            smallest = np.minimum(smallest, stretch)
            offset = np.abs(states / units).max(axis=1).clip(min=1)  # its rounding hides slopes
            largest = np.maximum(largest, offset * np.linalg.norm(pushed, axis=(1, 2)))
    if not np.isfinite(states).all():
        raise ValueError(
            f"orbits must stay finite for {alignment + n_steps} steps, got "
            f"{int((~np.isfinite(states)).any(axis=1).sum())} of {len(states)} that diverge; start "
            "on the attractor"
        )
    if not flow:
        resolution = getattr(system, "resolution", 1e-14)
        total[smallest <= resolution * largest[:, None]] = -np.inf
    return total / (n_steps * (system.tau if flow else 1))


def _check_square(name: str, matrices: np.ndarray, *axes: Any) -> None:
    remedy = "those along one trajectory are jacobians[None]" if len(axes) == 2 else ""
    check_array(name, matrices, (*axes, "d", "d"), scale=True, remedy=remedy)
    size = np.shape(matrices)[-1]
    check_array(name, matrices, (*axes, size, size), remedy=remedy)


def spectral_norm(matrices: np.ndarray) -> np.ndarray:
    r"""Largest singular value of each matrix in (..., d, d).

    For d = 2 in closed form, half of

    .. math:: \sqrt{(m_{11}+m_{22})^2 + (m_{12}-m_{21})^2} +
              \sqrt{(m_{11}-m_{22})^2 + (m_{12}+m_{21})^2};

    otherwise by a batched singular value decomposition.

    Examples
    --------
    >>> float(spectral_norm(np.diag([3.0, -4.0])))
    4.0
    """
    _check_square("matrices", matrices, ...)
    matrices = np.asarray(matrices, dtype=np.float64)
    if matrices.shape[-2:] != (2, 2):
        return np.linalg.norm(matrices, 2, axis=(-2, -1))
    m11, m12 = matrices[..., 0, 0], matrices[..., 0, 1]
    m21, m22 = matrices[..., 1, 0], matrices[..., 1, 1]
    return (np.hypot(m11 + m22, m12 - m21) + np.hypot(m11 - m22, m12 + m21)) / 2


def _check_products(jacobians: np.ndarray, n_max: int) -> None:
    """Raise ValueError where a product may be too large or too small for a number."""
    sizes = np.abs(jacobians).max(axis=(-2, -1))
    least, most = 10.0 ** (-300 / n_max), 10.0 ** (300 / n_max)
    if ((sizes > most) | ((sizes < least) & (sizes > 0))).any():
        raise ValueError(
            f"jacobians must be 0 or between {least:.0e} and {most:.0e} in size for products of "
            f"{n_max}, got {sizes[sizes > 0].min():.0e} to {sizes.max():.0e}; take a smaller n_max"
        )


def product_growth(jacobians: np.ndarray, n_max: int = 15) -> np.ndarray:
    r"""Mean logarithmic growth of products of up to `n_max` consecutive Jacobians.

    .. math:: \lambda_n = \Big\langle \tfrac1n \ln \| J_{t+n-1} \cdots J_t \|_2 \Big\rangle_t

    averaged over all trajectories and all start positions t.

    Parameters
    ----------
    jacobians : numpy.ndarray
        Jacobians along trajectories, shape (batch, time, d, d).
    n_max : int
        Longest product, at least 1 and at most the number of time steps.

    Returns
    -------
    numpy.ndarray
        :math:`\lambda_1, \dots, \lambda_{n_{max}}`, in nats per iteration; minus infinity where a
        product is zero.

    Raises
    ------
    ValueError
        If `n_max` does not fit the trajectories.

    Examples
    --------
    >>> product_growth(np.full((1, 5, 1, 1), np.e), n_max=3)    # every product grows like e^n
    array([1., 1., 1.])

    References
    ----------
    Shalova & Oseledets (2020), definition of :math:`\lambda_n`.
    """
    _check_square("jacobians", jacobians, "batch", "time")
    jacobians = np.asarray(jacobians, dtype=np.float64)
    check_count("n_max", n_max, most=jacobians.shape[1], remedy="or take longer trajectories")
    _check_products(jacobians, n_max)
    growth = np.empty(n_max)
    product = jacobians
    for n in range(1, n_max + 1):
        with np.errstate(divide="ignore"):
            growth[n - 1] = np.log(spectral_norm(product)).mean() / n
        if n < n_max:
            product = jacobians[:, n:] @ product[:, :-1]
    return growth


def _check_growth(growth: np.ndarray, first: int) -> None:
    check_array("growth", growth, ("n_max",), allow="infinite", remedy="fit each row by itself")
    check_count("first", first)
    if len(growth) - first < 2:
        raise ValueError(
            f"growth must have three values or more for the fit, got first={first}, which leaves "
            f"{max(len(growth) - first + 1, 0)} of {len(growth)}; choose first between 1 and "
            f"{len(growth) - 2}, or take longer products"
        )
    if np.isposinf(growth).any():
        raise ValueError(
            "growth must be finite or minus infinity, got inf; leave products that overflow out"
        )


def fit_exponent(growth: np.ndarray, first: int = 1) -> float:
    r"""Extrapolate :math:`\lambda_n` to infinite n, by the paper's expansion.

    Least squares of

    .. math:: \lambda_n = \lambda + \frac{c_1}{n} + \frac{c_2}{n^2}

    over :math:`n = \mathtt{first}, \dots,` ``len(growth)``.

    Parameters
    ----------
    growth : numpy.ndarray
        :math:`\lambda_1, \lambda_2, \dots` from :func:`product_growth`.
    first : int
        First n used. The paper uses 1; the expansion is asymptotic, and dropping the
        shortest products (``first=5``) removes most of its bias on the Hénon map.

    Returns
    -------
    float
        The exponent :math:`\lambda`, in nats per iteration; minus infinity where a
        :math:`\lambda_n` is.

    Raises
    ------
    ValueError
        If fewer than three values are left for the three unknowns.

    Examples
    --------
    >>> n = np.arange(1, 16)
    >>> round(fit_exponent(0.42 + 0.3 / n - 0.01 / n**2), 12)
    0.42

    References
    ----------
    Shalova & Oseledets (2020), the equation after "modeled in the following form".
    """
    _check_growth(growth, first)
    growth = np.asarray(growth, dtype=np.float64)
    n = np.arange(first, len(growth) + 1)
    if np.isneginf(growth[n - 1]).any():
        return -np.inf
    design = np.stack([np.ones(len(n)), 1 / n, 1 / n**2], axis=1)
    return float(np.linalg.lstsq(design, growth[n - 1], rcond=None)[0][0])
