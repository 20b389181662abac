"""The best-fit operator of Proposition 3.1, against the printed proximal gradient."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import Bench, Side, close
from benchmarks.data import lorenz
from dynlib.operators.bestfit import BestFit, largest_penalty, nuclear_fit
from dynlib.operators.hankel import delay_vectors

#: The duality gap at which both stop, over the objective; how often they look at it.
GAP, LOOK = 1e-8, 10


def printed(
    x: np.ndarray, y: np.ndarray, penalty: float, *, gap: float = GAP, most: int = 10**6
) -> tuple[np.ndarray, int]:
    """Equation (8) as printed: gradient steps on all snapshots, with shrunken singular values."""
    operator, step = np.zeros((len(y), len(x))), 1 / np.linalg.norm(x, 2) ** 2
    for iteration in range(1, most + 1):
        gradient = (operator @ x - y) @ x.T
        u, values, v = np.linalg.svd(operator - step * gradient, full_matrices=False)
        operator = (u * np.maximum(values - step * penalty, 0)) @ v
        if iteration % LOOK == 0 and relative_gap(x, y, operator, penalty) <= gap:
            break
    return operator, iteration


def relative_gap(x: np.ndarray, y: np.ndarray, operator: np.ndarray, penalty: float) -> float:
    """How much lower the minimum may be, as a share of the objective."""
    residual = y - operator @ x
    nuclear = np.linalg.svd(operator, compute_uv=False).sum()
    objective = 0.5 * (residual**2).sum() + penalty * nuclear
    dual = min(1.0, penalty / np.linalg.norm(residual @ x.T, 2)) * residual
    return float((objective - (dual * y).sum() + 0.5 * (dual**2).sum()) / objective)


def snapshots(length: int, delays: int) -> tuple[np.ndarray, np.ndarray]:
    """Delay vectors of the first coordinate of the Lorenz system, and what follows them."""
    return delay_vectors(lorenz(1, length)[0, :, 0], delays)


def measure(bench: Bench) -> None:
    delays, length = 4, bench.size(2000, 60)
    share = bench.size(1e-3, 0.1)
    x, y = snapshots(length, delays)
    penalty = share * largest_penalty(x, y)

    def ours(method: str = "restart") -> BestFit:
        return nuclear_fit(x, y, penalty, method=method, tolerance=GAP, check_every=LOOK)

    what = f"best fit of {delays} delays to {x.shape[1]} snapshots, to a gap of {GAP:.0e}"

    def same(mine: BestFit, other: tuple[np.ndarray, int]) -> None:
        close(1e-3)(mine.operator, other[0])

    fit, (_, plain) = ours(), printed(x, y, penalty)
    bench.compare(
        what, "equation (8) as printed, on all snapshots", ours, lambda: printed(x, y, penalty),
        same, aim=10.0, seconds=8,
    )  # fmt: skip
    bench.compare(
        what, "equation (8), the same code but for the extrapolation", ours,
        lambda: ours("plain"), lambda mine, other: close(1e-3)(mine.operator, other.operator),
        seconds=5,
    )  # fmt: skip
    bench.add(
        f"{what}: iterations", "equation (8)", np.array([[fit.iterations, plain]], float), aim=10.0,
        note=f"{fit.iterations} against {plain} iterations; they do not vary", timed=False,
    )  # fmt: skip

    steps = bench.size(100, 20)
    data = {n: snapshots(4 * n + length, n) for n in bench.size([8, 16, 32, 64, 128], [2, 4, 6])}
    bench.curve(
        f"best fit, {steps} iterations", "delays n", list(data),
        [
            Side(
                "few columns", lambda n: lambda: iterations(*data[n], share, steps), "n³",
                lambda n: n**3,
            ),
            Side(
                "all snapshots", lambda n: lambda: printed_iterations(*data[n], share, steps),
                "n³ + n² k", lambda n: n**3 + n**2 * data[n][0].shape[1],
            ),
        ],
        close(1e-6), seconds=1.5,
    )  # fmt: skip


def iterations(x: np.ndarray, y: np.ndarray, share: float, steps: int) -> np.ndarray:
    """The plain method after so many iterations."""
    return nuclear_fit(
        x, y, share * largest_penalty(x, y), method="plain", tolerance=1e-300,
        max_iterations=steps, check_every=LOOK,
    ).operator  # fmt: skip


def printed_iterations(x: np.ndarray, y: np.ndarray, share: float, steps: int) -> np.ndarray:
    return printed(x, y, share * largest_penalty(x, y), gap=-np.inf, most=steps)[0]
