r"""Dynamical systems: equations, Jacobians and the reference facts that tests hold them to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynlib.dynamics.flows import Flow, check_coordinates


@dataclass(frozen=True)
class Fact:
    """A published invariant of a system, with the place where it is printed."""

    value: float
    tolerance: float
    source: str


@dataclass(frozen=True)
class Henon:
    r"""The Hénon map.

    .. math:: x_{n+1} = 1 - a x_n^2 + y_n, \qquad y_{n+1} = b x_n

    Its Jacobian has the determinant :math:`-b` everywhere, so the two Lyapunov exponents
    add up to :math:`\ln|b|`.

    Parameters
    ----------
    a, b : float
        Parameters of the map, dimensionless; the classical 1.4 and 0.3 by default.

    Raises
    ------
    ValueError
        If a parameter is not finite, or `b` is 0 (the map would not be invertible).

    Examples
    --------
    >>> Henon().step(np.array([[0.0, 0.0]]))
    array([[1., 0.]])

    References
    ----------
    Hénon (1976), Commun. Math. Phys. 50, 69-77; Shalova & Oseledets (2020), eq. (4).
    """

    a: float = 1.4
    b: float = 0.3

    dim: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("x", "y")
    facts: ClassVar[dict[str, Fact]] = {
        "lyapunov": Fact(
            0.419217, 1e-3, "Sprott (2003), Chaos and Time-Series Analysis, appendix A"
        ),
        "lyapunov_printed": Fact(
            0.4192, 1e-3, "Shalova & Oseledets (2020), 'known estimated value'"
        ),
    }

    def __post_init__(self) -> None:
        if not (np.isfinite(self.a) and np.isfinite(self.b)) or self.b == 0:
            raise ValueError(
                f"Henon needs finite a and a finite b other than 0, got a={self.a}, b={self.b}; "
                "the classical attractor has a=1.4, b=0.3"
            )

    def step(self, states: np.ndarray) -> np.ndarray:
        """Apply the map once to states of shape (..., 2)."""
        check_coordinates(states, self.dim)
        x, y = states[..., 0], states[..., 1]
        return np.stack([1 - self.a * x * x + y, self.b * x], axis=-1)

    def jacobian(self, states: np.ndarray) -> np.ndarray:
        """Derivative of :meth:`step` at states of shape (..., 2), as (..., 2, 2)."""
        check_coordinates(states, self.dim)
        jacobian = np.zeros((*states.shape, 2))
        jacobian[..., 0, 0] = -2 * self.a * states[..., 0]
        jacobian[..., 0, 1] = 1
        jacobian[..., 1, 0] = self.b
        return jacobian

    def fixed_points(self) -> np.ndarray:
        r"""Both fixed points, of shape (2, 2), the one on the attractor first.

        .. math:: x^* = \frac{-(1-b) \pm \sqrt{(1-b)^2 + 4a}}{2a}, \qquad y^* = b x^*
        """
        root = np.sqrt((1 - self.b) ** 2 + 4 * self.a)
        x = (np.array([root, -root]) - (1 - self.b)) / (2 * self.a)
        return np.stack([x, self.b * x], axis=-1)

    def initial_states(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` initial states (n, 2) as the paper does: (-0.95, 0.35) + U(-0.05, 0.05)^2."""
        return np.array([-0.95, 0.35]) + rng.uniform(-0.05, 0.05, size=(n, 2))


def _check_finite(system: Flow) -> None:
    values = vars(system)
    if not all(np.isfinite(value) for value in values.values()):
        raise ValueError(f"{type(system).__name__} needs finite parameters, got {values}")


@dataclass(frozen=True)
class Lorenz(Flow):
    r"""The Lorenz system.

    .. math:: \dot x = \sigma (y - x), \qquad \dot y = x (\rho - z) - y, \qquad
              \dot z = x y - \beta z

    Its divergence is :math:`-(\sigma + 1 + \beta)` everywhere, to which the three Lyapunov
    exponents add up.

    Parameters
    ----------
    sigma, rho, beta : float
        Parameters, dimensionless. The default is the paper's 10, 28 and 2.67 (the classical
        value is 8/3); it prints sigma = 28 and rho = 10, at which there is no chaos.

    Raises
    ------
    ValueError
        If a parameter is not finite.

    Examples
    --------
    >>> Lorenz().velocity(np.array([1.0, 2.0, 3.0])).round(2)
    array([10.  , 23.  , -6.01])

    References
    ----------
    Lorenz (1963), J. Atmos. Sci. 20, 130-141; Shalova & Oseledets (2020), eq. (2).
    """

    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 2.67

    dim: ClassVar[int] = 3
    names: ClassVar[tuple[str, ...]] = ("x", "y", "z")
    facts: ClassVar[dict[str, Fact]] = {
        "lyapunov": Fact(
            0.9056, 3e-3, "Sprott (2003), Chaos and Time-Series Analysis, appendix A (beta = 8/3)"
        ),
        "inverse_lyapunov_printed": Fact(
            1.04, 5e-3, "Shalova & Oseledets (2020), inverse Lyapunov exponent"
        ),
    }

    def __post_init__(self) -> None:
        _check_finite(self)

    def equations(self):
        """Velocity as a function of x, y and z."""
        sigma, rho, beta = self.sigma, self.rho, self.beta
        return lambda x, y, z: (sigma * (y - x), x * (rho - z) - y, x * y - beta * z)

    def linearisation(self):
        """Jacobian as a function of x, y and z."""
        sigma, rho, beta = self.sigma, self.rho, self.beta
        return lambda x, y, z: ((-sigma, sigma, 0), (rho - z, -1, -x), (y, x, -beta))

    def initial_states(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` initial states (n, 3) as the paper does: U(-0.1, 0.1) in each coordinate."""
        return rng.uniform(-0.1, 0.1, size=(n, 3))


@dataclass(frozen=True)
class Rossler(Flow):
    r"""The Rössler system.

    .. math:: \dot x = -y - z, \qquad \dot y = x + a y, \qquad \dot z = b + z (x - c)

    Parameters
    ----------
    a, b, c : float
        Parameters, dimensionless; the paper's 0.15, 0.2 and 10 by default.

    Raises
    ------
    ValueError
        If a parameter is not finite.

    Examples
    --------
    >>> Rossler().velocity(np.array([1.0, 2.0, 0.0]))
    array([-2. ,  1.3,  0.2])

    References
    ----------
    Rössler (1976), Phys. Lett. A 57, 397-398; Shalova & Oseledets (2020), eq. (3).
    """

    a: float = 0.15
    b: float = 0.2
    c: float = 10.0

    dim: ClassVar[int] = 3
    names: ClassVar[tuple[str, ...]] = ("x", "y", "z")
    facts: ClassVar[dict[str, Fact]] = {
        "lyapunov": Fact(
            0.09, 5e-3,
            "Wolf et al. (1985), Physica D 16, table 1 (0.13 bits per unit of time; there z has "
            "a = 0.15, b = 0.2, c = 10)",
        ),
        "inverse_lyapunov_printed": Fact(
            5.33, 5e-3, "Shalova & Oseledets (2020), inverse Lyapunov exponent"
        ),
    }  # fmt: skip

    def __post_init__(self) -> None:
        _check_finite(self)

    def equations(self):
        """Velocity as a function of x, y and z."""
        a, b, c = self.a, self.b, self.c
        return lambda x, y, z: (-y - z, x + a * y, b + z * (x - c))

    def linearisation(self):
        """Jacobian as a function of x, y and z."""
        a, c = self.a, self.c
        return lambda x, y, z: ((0, -1, -1), (1, a, 0), (z, 0, x - c))

    def initial_states(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` initial states (n, 3) as the paper does: (5, 0, 0) + U(-1, 1)^3."""
        return np.array([5.0, 0.0, 0.0]) + rng.uniform(-1, 1, size=(n, 3))
