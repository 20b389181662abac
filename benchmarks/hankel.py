"""Products with Hankel operators, against the better of a matrix and scipy's Toeplitz product."""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg
import torch

from benchmarks.compare import Bench, Side, close
from dynlib.operators.hankel import Hankel

#: The largest matrix that is multiplied by many vectors: beyond it a product takes seconds.
LARGEST = 8192


class Products:
    """An operator of size n and vectors, and three ways to multiply them, all in float32."""

    def __init__(self, n: int, batch: int) -> None:
        generator = torch.Generator().manual_seed(n)
        symbol = torch.randn(2 * n - 1, generator=generator)
        self.operator = Hankel(symbol)
        self.states = torch.randn(batch, n, generator=generator)
        self.matrix: torch.Tensor | None = None
        # H x is the Toeplitz matrix of the reversed columns times the reversed vector.
        h = symbol.numpy()
        self.column, self.row = h[n - 1 :].copy(), h[n - 1 :: -1].copy()
        self.reversed = np.ascontiguousarray(self.states.numpy()[:, ::-1].T)

    def ours(self) -> np.ndarray:
        return (self.operator @ self.states).numpy()

    def dense(self) -> np.ndarray:
        if self.matrix is None:
            self.matrix = self.operator.dense().contiguous()
        return (self.states @ self.matrix).numpy()

    def toeplitz(self) -> np.ndarray:
        return scipy.linalg.matmul_toeplitz(
            (self.column, self.row), self.reversed, check_finite=False
        ).T


def measure(bench: Bench) -> None:
    sizes = [2**k for k in bench.size(range(2, 15), range(2, 6))]
    for batch in bench.size((1, 256), (1, 5)):
        made: dict[int, Products] = {}

        def products(n: int, batch: int = batch, made: dict[int, Products] = made) -> Products:
            if n not in made:
                made.clear()  # the matrices are large
                made[n] = Products(n, batch)
            return made[n]

        many = f"{batch} vector{'s' * (batch > 1)}"
        largest = math.inf if batch == 1 else LARGEST
        fast = ("n log n", lambda n: n * math.log(n))
        found = bench.curve(
            f"Hankel product, {many}", "size n", sizes,
            [
                Side("ours", lambda n: products(n).ours, *fast),
                Side("matrix", lambda n: products(n).dense, "n²", lambda n: n**2, largest=largest),
                Side("matmul_toeplitz", lambda n: products(n).toeplitz, *fast),
            ],
            close(1e-4), fitted_from=bench.size(1024, 8), seconds=0.6,
        )  # fmt: skip
        slowest, at = None, 0
        for i, n in enumerate(sizes):
            peers = [
                found[name][i] for name in ("matrix", "matmul_toeplitz") if i < len(found[name])
            ]
            best = min(peers, key=np.median)
            both = np.stack([found["ours"][i], best], axis=1)
            if slowest is None or ratio(both) < ratio(slowest):
                slowest, at = both, n
        bench.add(
            f"Hankel product, {many}, n = {sizes[0]} to {sizes[-1]}, the worst size",
            "the better of matrix and matmul_toeplitz", slowest, aim=1 / 1.2,
            note=f"the worst is n = {at}; the aim is at most 1.2 times the better one. Ours and "
            "the matrix are torch, matmul_toeplitz is NumPy",
            limit="checks of the operator and the vectors take longer than so small a product"
            if at < 64 else "",
        )  # fmt: skip
    n, batch = bench.size((1024, 256), (16, 3))
    one = Products(n, batch)
    bench.compare(
        f"Hankel product, n = {n}, {batch} vectors: two transforms", "matrix, a view",
        lambda: one.operator.multiply_fft(one.states),
        lambda: one.operator.multiply_dense(one.states), close(1e-4), seconds=2,
    )  # fmt: skip


def ratio(both: np.ndarray) -> float:
    return float(np.median(both[:, 1] / both[:, 0]))
