"""The public names of ``dynlib.operators``, with right values of their arguments."""

from __future__ import annotations

import numpy as np
import torch
from kinds import POINT, SCALED, SIZE, A, Array, Choice, Count, Number, Tensor, row

from dynlib.operators import bestfit, hankel

#: What has no input to refuse, and why.
EXEMPT = {
    "operators.bestfit.BestFit": "made by nuclear_fit",
}

SQUARE = np.array([[1.0, 2.0], [3.0, 5.0]])
TENSOR = {"nan": POINT, "inf": POINT}
H = hankel.Hankel(torch.arange(1.0, 6.0, dtype=torch.float64))
X = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
MATRIX = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])

ROWS = [
    row(
        "operators.bestfit.largest_penalty", bestfit.largest_penalty,
        states=Array(MATRIX), successors=Array(MATRIX[:1] + 1),
    ),
    row(
        "operators.bestfit.shrink", bestfit.shrink,
        matrix=Array(MATRIX, SIZE), threshold=Number(0.5, low=0, reaches=True),
    ),
    row(
        "operators.bestfit.nuclear_fit", bestfit.nuclear_fit,
        states=Array(MATRIX), successors=Array(MATRIX + 1), penalty=Number(1.0, low=0),
        method=Choice("plain"), tolerance=Number(1e-3, low=0), max_iterations=Count(50),
        check_every=Count(10),
    ),
    row(
        "operators.bestfit.least_squares_fit", bestfit.least_squares_fit,
        states=Array(MATRIX), successors=Array(MATRIX + 1),
    ),
    row(
        "operators.bestfit.fit_with_control", bestfit.fit_with_control,
        states=Array(MATRIX), successors=Array(MATRIX + 1), inputs=Array(MATRIX[:1] * 2),
    ),
    row("operators.hankel.Hankel", hankel.Hankel, symbol=Tensor(H.symbol, TENSOR)),
    row(
        "operators.hankel.Hankel.from_series", hankel.Hankel.from_series,
        series=Tensor(H.symbol, TENSOR | {"longer": "more than enough values"}), n=Count(2),
    ),
    *(
        row(f"operators.hankel.Hankel.{way}", getattr(H, way), states=Tensor(X, TENSOR))
        for way in ("multiply_dense", "multiply_shift", "multiply_fft", "__matmul__")
    ),
    row(
        "operators.hankel.operations", hankel.operations, n=Count(4), method=Choice("fft"),
    ),
    row(
        "operators.bestfit.hankel_fit", bestfit.hankel_fit,
        states=Array(MATRIX), successors=Array(MATRIX + 1),
    ),
    row("operators.hankel.delay_vectors", hankel.delay_vectors,
        values=Array(A, SIZE | SCALED), delays=Count(3),
    ),
    row("operators.hankel.distance_from_hankel", hankel.distance_from_hankel,
        operator=Array(SQUARE),
    ),
    row("operators.hankel.nearest", hankel.nearest, matrix=Tensor(X[:, :2], TENSOR)),
]  # fmt: skip
