"""What is published about a system, and checks that systems share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynlib.dynamics.checks import check_number


@dataclass(frozen=True)
class Fact:
    """A published invariant of a system, with the place where it is printed.

    Parameters
    ----------
    value, tolerance : float
        The number, and how far a measured one may be from it.
    source : str
        Where it is printed.
    at : dict of str to float
        The parameters of the system for which it holds.
    """

    value: float
    tolerance: float
    source: str
    at: Mapping[str, float]


class Facts(dict[str, Fact]):
    """Facts by name; the error for an unknown name lists the known ones."""

    def __missing__(self, name: str) -> Fact:
        known = ", ".join(self) or "none"
        raise KeyError(
            f"nothing is published here under {name!r} for these parameters (known: {known}); "
            "see the system's `published` for the parameters of each fact, or measure it with "
            "dynlib.dynamics.lyapunov"
        )


def check_system(system: Any) -> None:
    """Raise TypeError for what is not a system about which something is published."""
    if isinstance(system, type) or not hasattr(system, "published"):
        raise TypeError(
            f"system must be one of dynlib.dynamics.systems, got {system!r}; make one with its "
            "parameters, such as Lorenz()"
        )


def holding(system: Any) -> Facts:
    """The facts among ``system.published`` that hold for the system's own parameters."""
    check_system(system)
    return Facts(
        (name, fact)
        for name, fact in system.published.items()
        if all(np.isclose(getattr(system, each), at, 1e-9) for each, at in fact.at.items())
    )


def check_parameters(system: Any, *, above: float = -np.inf) -> None:
    """Raise if a parameter of the system is not a finite number, or not above the given limit."""
    for name, value in vars(system).items():
        check_number(f"{name} of {type(system).__name__}", value, above=above)
