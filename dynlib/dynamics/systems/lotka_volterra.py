r"""The Lotka–Volterra equations in the ten environments of LEADS."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.integrate import solve_ivp

from dynlib.dynamics.checks import check_array, check_count, check_flag, check_times
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.facts import check_parameters


@dataclass(frozen=True)
class LotkaVolterra(Flow):
    r"""Prey x and predators y.

    .. math:: \dot x = \alpha x - \beta x y, \qquad \dot y = \delta x y - \gamma y

    Parameters
    ----------
    alpha, beta, gamma, delta : float
        Rates per unit time, positive: growth of the prey, predation, death of the predators,
        their growth on prey.

    Raises
    ------
    ValueError
        If a rate is not a positive number.

    Examples
    --------
    >>> LotkaVolterra(alpha=1.0, gamma=0.25).velocity(np.array([2.0, 1.0]))
    array([1.  , 0.75])

    References
    ----------
    Lotka (1925), Elements of Physical Biology; Volterra (1926), Nature 118, 558-560.
    """

    alpha: float = 0.5
    beta: float = 0.5
    gamma: float = 0.5
    delta: float = 0.5

    dim: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("x", "y")

    def __post_init__(self) -> None:
        check_parameters(self, above=0)

    def equations(self):
        """Right-hand side as a function of x, y."""
        alpha, beta, gamma, delta = self.alpha, self.beta, self.gamma, self.delta
        return lambda x, y: (alpha * x - beta * x * y, delta * x * y - gamma * y)

    def linearisation(self):
        """Jacobian as a function of x, y."""
        alpha, beta, gamma, delta = self.alpha, self.beta, self.gamma, self.delta
        return lambda x, y: ((alpha - beta * y, -beta * x), (delta * y, delta * x - gamma))

    def conserved(self, states: np.ndarray) -> np.ndarray:
        r"""The quantity that every solution keeps, at positive states of shape (..., 2).

        .. math:: V = \delta x - \gamma \ln x + \beta y - \alpha \ln y
        """
        _check_populations(states)
        x, y = np.moveaxis(np.asarray(states, dtype=np.float64), -1, 0)
        return self.delta * x - self.gamma * np.log(x) + self.beta * y - self.alpha * np.log(y)


def _check_populations(states: np.ndarray) -> None:
    check_array("states", states, (..., 2))
    if not (np.asarray(states) > 0).all():
        raise ValueError(
            f"states must be above 0, got {np.min(states)}; prey and predators are both alive"
        )


#: Ten pairs of :math:`\alpha` and :math:`\gamma`, the environments of LEADS.
ENVIRONMENTS = tuple(
    LotkaVolterra(alpha=alpha, gamma=gamma)
    for alpha, gamma in (
        (0.5, 0.5), (0.25, 0.5), (0.75, 0.5), (1, 0.5), (0.5, 0.25),
        (0.5, 0.75), (0.5, 1), (0.25, 0.25), (0.75, 0.75), (1, 1),
    )
)  # fmt: skip

#: Twenty points, 0.5 apart.
TIMES = 0.5 * np.arange(20)


def initial_states(count: int, *, test: bool = False) -> np.ndarray:
    r"""Initial states of LEADS, uniform in :math:`[1, 2]^2`, shape (count, 2).

    The i-th is the first draw of numpy's generator with seed i, or of one with seed
    :math:`2^{31} - 1 - i` for a test. All environments start from the same states.

    Examples
    --------
    >>> initial_states(1).round(4)
    array([[1.5488, 1.7152]])
    """
    check_count("count", count, most=2**30)
    check_flag("test", test)
    seeds = [2**31 - 1 - i if test else i for i in range(count)]
    return 1 + np.array([np.random.RandomState(seed).random_sample(2) for seed in seeds])


def trajectories(
    environments: Sequence[LotkaVolterra],
    initial: np.ndarray,
    times: np.ndarray = TIMES,
    *,
    official: bool = False,
) -> np.ndarray:
    """Solutions in all environments from the same initial states.

    Parameters
    ----------
    environments : sequence of LotkaVolterra
        E systems.
    initial : numpy.ndarray
        States at ``times[0]``, shape (n, 2).
    times : numpy.ndarray
        Increasing times, shape (T,).
    official : bool
        Integrate as the code of LEADS does, by RK45 of scipy with its default relative
        tolerance of 1e-3; otherwise by LSODA to 1e-12.

    Returns
    -------
    numpy.ndarray
        Shape (E, n, T, 2).

    Examples
    --------
    >>> trajectories(ENVIRONMENTS, initial_states(3)).shape
    (10, 3, 20, 2)

    References
    ----------
    Yin, Ayed, de Bézenac, Baskiotis & Gallinari (2021), LEADS, NeurIPS 34; data as in their
    code (yuan-yin/LEADS, commit 9104d7d).
    """
    _check_environments(environments)
    check_array("initial states", initial, ("n", 2), scale=True)
    check_times("times", times)
    check_flag("official", official)
    if not official:
        return np.stack([integrate(system, initial, times) for system in environments])
    span = (times[0], times[-1])
    found = [
        [
            solve_ivp(lambda _, s, e=e: e.velocity(s), span, start, t_eval=times).y.T
            for start in initial
        ]
        for e in environments
    ]
    return np.array(found)


def _check_environments(environments: Sequence[LotkaVolterra]) -> None:
    kind = isinstance(environments, Sequence) and len(environments)
    if not kind or not all(isinstance(each, LotkaVolterra) for each in environments):
        raise TypeError(
            "environments must be one or more LotkaVolterra systems, got "
            f"{reprlib.repr(environments)}; one alone is [system]"
        )
