"""What is published about a system, and checks that systems share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Fact:
    """A published invariant of a system, with the place where it is printed."""

    value: float
    tolerance: float
    source: str


def check_finite(system: Any) -> None:
    """Refuse a system one of whose parameters is not a finite number."""
    values = vars(system)
    if not all(np.isfinite(value) for value in values.values()):
        raise ValueError(f"{type(system).__name__} needs finite parameters, got {values}")
