"""The Rössler system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynlib.dynamics.checks import check_draw
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.systems.facts import Fact, Facts, check_parameters, holding

AT = {"a": 0.15, "b": 0.2, "c": 10.0}


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
    published: ClassVar[dict[str, Fact]] = {
        "lyapunov": Fact(
            0.09, 5e-3,
            "Wolf et al. (1985), Physica D 16, table 1 (0.13 bits per unit of time; there z has "
            "a = 0.15, b = 0.2, c = 10)", AT,
        ),
        "inverse_lyapunov_printed": Fact(
            5.33, 5e-3, "Shalova & Oseledets (2020), inverse Lyapunov exponent", AT
        ),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def facts(self) -> Facts:
        """What is published for these parameters, by name."""
        return holding(self)

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
        check_draw(n, rng)
        return np.array([5.0, 0.0, 0.0]) + rng.uniform(-1, 1, size=(n, 3))
