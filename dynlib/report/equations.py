"""Whether SINDy finds the equations of the Lorenz system."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dynlib.identify.sindy import SparseField
from dynlib.report import record
from dynlib.report.forecasts import LABELS

#: Coefficients of the Lorenz system, of 1, x, y, z, xx, xy, xz, yy, yz and zz.
TRUE_COEFFICIENTS = np.array(
    [
        [0, -10, 10, 0, 0, 0, 0, 0, 0, 0],
        [0, 28, -1, 0, 0, 0, -1, 0, 0, 0],
        [0, 0, 0, -8 / 3, 0, 1, 0, 0, 0, 0],
    ]
)


def record_equations(name: str, model: SparseField) -> tuple[bool, float]:
    """Record whether SINDy found the terms of the Lorenz system, and how far off it is.

    Metrics: ``_terms_right`` (1 or 0) and ``_coefficient_error``, the largest of a coefficient.
    Both are returned.
    """
    right = bool((model.active == (TRUE_COEFFICIENTS != 0)).all())
    error = float(np.abs(model.coefficients - TRUE_COEFFICIENTS).max())
    record.metric(f"{name}_terms_right", int(right), tolerance=0.0)
    record.metric(f"{name}_coefficient_error", error, tolerance=2.0)
    return right, error


def equation_table(
    models: Mapping[str, SparseField], found: Mapping[str, tuple[bool, float]]
) -> record.Table:
    """The equations that SINDy found, one below the other, so that a phone can show them.

    Both arguments are by the names of the methods; `found` holds what :func:`record_equations`
    returned.
    """
    return record.Table(
        [
            "derivatives", "equations found", "the seven true terms",
            "largest error of a coefficient",
        ],
        [
            [
                LABELS[name].removeprefix("SINDy, "),
                "<br>".join(f"`{each}`" for each in model.equations(4)),
                "yes" if found[name][0] else "no",
                f"{found[name][1]:.1e}",
            ]
            for name, model in models.items()
        ],
    )  # fmt: skip


def true_field(dt: float) -> SparseField:
    """The true equations, in the form of SINDy's."""
    return SparseField(TRUE_COEFFICIENTS, dt)
