"""The Lorenz system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynlib.dynamics.checks import check_draw
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.systems.facts import Fact, Facts, check_parameters, holding


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
    published: ClassVar[dict[str, Fact]] = {
        "lyapunov": Fact(
            0.9056,
            3e-3,
            "Sprott (2003), Chaos and Time-Series Analysis, appendix A",
            {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3},
        ),
        "inverse_lyapunov_printed": Fact(
            1.04,
            5e-3,
            "Shalova & Oseledets (2020), inverse Lyapunov exponent",
            {"sigma": 10.0, "rho": 28.0, "beta": 2.67},
        ),
    }

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def facts(self) -> Facts:
        """What is published for these parameters, by name."""
        return holding(self)

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
        check_draw(n, rng)
        return rng.uniform(-0.1, 0.1, size=(n, 3))
