"""Lyapunov exponents: all orbits at once, against a plain loop over orbits."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import Bench, close
from benchmarks.data import TAU, lorenz
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import spectral_norm, tangent_exponents
from dynlib.dynamics.systems.lorenz import Lorenz


def an_orbit(state: np.ndarray, steps: int, system: TimeMap) -> np.ndarray:
    """Exponents of one orbit as one writes them first: NumPy on one state, a QR a step."""
    flow, h = system.flow, system.tau / system.substeps
    sigma, rho, beta = flow.sigma, flow.rho, flow.beta

    def slope(x: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        velocity = np.array(
            [sigma * (x[1] - x[0]), x[0] * (rho - x[2]) - x[1], x[0] * x[1] - beta * x[2]]
        )
        jacobian = np.array([[-sigma, sigma, 0], [rho - x[2], -1, -x[0]], [x[1], x[0], -beta]])
        return velocity, jacobian @ q

    frame, total = np.eye(3), np.zeros(3)
    for _ in range(steps):
        for _ in range(system.substeps):
            a, p = slope(state, frame)
            b, q = slope(state + h / 2 * a, frame + h / 2 * p)
            c, r = slope(state + h / 2 * b, frame + h / 2 * q)
            d, s = slope(state + h * c, frame + h * r)
            state = state + h / 6 * (a + 2 * b + 2 * c + d)
            frame = frame + h / 6 * (p + 2 * q + 2 * r + s)
        frame, triangle = np.linalg.qr(frame)
        total += np.log(np.abs(np.diag(triangle)))
    return total / (steps * system.tau)


def measure(bench: Bench) -> None:
    orbits, steps, part = bench.size((512, 200, 8), (6, 5, 2))
    starts = np.ascontiguousarray(lorenz(orbits, 1)[:, 0])
    system = TimeMap(Lorenz(), TAU)
    bench.compare(
        f"tangent-space exponents, {orbits} orbits of {steps} steps", "NumPy, an orbit at a time",
        lambda: tangent_exponents(system, starts, steps),
        lambda: np.stack([an_orbit(start, steps, system) for start in starts[:part]]),
        lambda ours, theirs: close(1e-6)(ours[:part], theirs),
        aim=20.0, times=orbits / part, seconds=10,
        note=f"timed: {part} of {orbits} orbits; the time is scaled",
    )  # fmt: skip
    n = bench.size(100_000, 100)
    matrices = np.random.default_rng(0).normal(size=(n, 2, 2))
    bench.compare(
        f"spectral norms of {n} matrices, 2 × 2", "NumPy's SVD",
        lambda: spectral_norm(matrices),
        lambda: np.linalg.norm(matrices, 2, axis=(-2, -1)), close(1e-12), seconds=3,
    )  # fmt: skip
