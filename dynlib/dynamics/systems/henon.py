"""The Hénon map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dynlib.dynamics.checks import check_coordinates, check_draw
from dynlib.dynamics.systems.facts import Fact, Facts, check_parameters, holding

AT = {"a": 1.4, "b": 0.3}


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
    published: ClassVar[dict[str, Fact]] = {
        "lyapunov": Fact(
            0.419217, 1e-3, "Sprott (2003), Chaos and Time-Series Analysis, appendix A", AT
        ),
        "lyapunov_printed": Fact(
            0.4192, 1e-3, "Shalova & Oseledets (2020), 'known estimated value'", AT
        ),
    }

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.b == 0:
            raise ValueError(
                f"Henon must have a b other than 0, got a={self.a}, b={self.b}; "
                "the classical attractor has a=1.4, b=0.3"
            )

    @property
    def facts(self) -> Facts:
        """What is published for these parameters, by name."""
        return holding(self)

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, states: np.ndarray) -> np.ndarray:
        """Apply the map once to states of shape (..., 2); not finite where a state is not."""
        check_coordinates(states, self.dim)
        states = np.asarray(states, dtype=np.float64)
        x, y = states[..., 0], states[..., 1]
        return np.stack([1 - self.a * x * x + y, self.b * x], axis=-1)

    @np.errstate(over="ignore", invalid="ignore")
    def jacobian(self, states: np.ndarray) -> np.ndarray:
        """Derivative of :meth:`step` at states of shape (..., 2), as (..., 2, 2)."""
        check_coordinates(states, self.dim)
        states = np.asarray(states, dtype=np.float64)
        jacobian = np.zeros((*states.shape, 2))
        jacobian[..., 0, 0] = -2 * self.a * states[..., 0]
        jacobian[..., 0, 1] = 1
        jacobian[..., 1, 0] = self.b
        return jacobian

    def fixed_points(self) -> np.ndarray:
        r"""Both fixed points, of shape (2, 2), the one on the attractor first.

        .. math:: x^* = \frac{-(1-b) \pm \sqrt{(1-b)^2 + 4a}}{2a}, \qquad y^* = b x^*
        """
        _check_real(self)
        root = np.sqrt((1 - self.b) ** 2 + 4 * self.a)
        x = (np.array([root, -root]) - (1 - self.b)) / (2 * self.a)
        return np.stack([x, self.b * x], axis=-1)

    def initial_states(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `n` initial states (n, 2) as the paper does: (-0.95, 0.35) + U(-0.05, 0.05)^2."""
        check_draw(n, rng)
        return np.array([-0.95, 0.35]) + rng.uniform(-0.05, 0.05, size=(n, 2))


def _check_real(system: Henon) -> None:
    least = -((1 - system.b) ** 2) / 4
    if system.a == 0 or system.a < least:
        raise ValueError(
            f"a must be above {least} and not 0 for two fixed points, got {system.a}; the "
            "classical map has a=1.4, b=0.3"
        )
