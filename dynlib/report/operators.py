"""What the run on Hankel operators records and tabulates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch

from dynlib.measure.timing import rounds
from dynlib.networks.stnn import StNN
from dynlib.operators.bestfit import (
    BestFit,
    fit_with_control,
    largest_penalty,
    least_squares_fit,
    nuclear_fit,
    shrink,
)
from dynlib.operators.hankel import Hankel, distance_from_hankel, operations
from dynlib.report import record
from dynlib.report.style import LABELS

#: The operators that may advance a vector of delays.
TITLES = {
    "least_squares": "any matrix, least squares",
    "nuclear": "nuclear norm, Proposition 3.1",
    "hankel_fit": "best Hankel matrix",
    "reversed_hankel_fit": "best Hankel matrix, window reversed",
    "delay_matrix": "Hankel matrix of the measurements",
    "persistence": "identity: nothing changes",
}

#: Size and branches of networks without activations that are fitted to a matrix.
SHAPES = ((4, 1), (8, 1), (8, 2))


def worst_error(
    method: str,
    dtype: torch.dtype,
    rng: np.random.Generator,
    sizes: Sequence[int] = (1, 2, 3, 4, 5, 7, 8, 16, 17, 64, 97, 128, 251),
) -> float:
    """Largest relative error of a product, against scipy's matrix, over sizes."""
    errors = []
    for n in sizes:
        symbol, states = rng.normal(size=2 * n - 1), rng.normal(size=(8, n))
        truth = states @ scipy.linalg.hankel(symbol[:n], symbol[n - 1 :])
        operator = Hankel(torch.tensor(symbol, dtype=dtype))
        ours = getattr(operator, f"multiply_{method}")(torch.tensor(states, dtype=dtype))
        errors.append(np.abs(ours.numpy() - truth).max() / np.abs(truth).max())
    return max(errors)


def record_agreement(rng: np.random.Generator) -> None:
    """Record how far each product is from scipy's matrix.

    Metrics: ``_error`` and ``_error_float32`` of ``dense``, ``shift`` and ``fft``;
    ``layers_error`` of the network's layers with complex weights.
    """
    for method in ("dense", "shift", "fft"):
        for dtype, suffix in ((torch.float64, ""), (torch.float32, "_float32")):
            error = worst_error(method, dtype, rng)
            record.metric(f"{method}_error{suffix}", error, tolerance=10.0)
    exact = []
    for n in (4, 8, 16, 64):
        symbol = torch.tensor(rng.normal(size=2 * n - 1))
        states = torch.tensor(rng.normal(size=(8, n)))
        truth = Hankel(symbol).multiply_dense(states)
        with torch.no_grad():
            layers = StNN.from_hankel(symbol)(states)
        exact.append(float((layers - truth).abs().max() / truth.abs().max()))
    record.metric("layers_error", max(exact), tolerance=10.0)


def agreement_table() -> record.Table:
    """Errors of the products."""
    rows = [
        [
            LABELS[method],
            record.show(f"{method}_error", ".1e"),
            record.show(f"{method}_error_float32", ".1e"),
        ]
        for method in ("dense", "shift", "fft")
    ]
    layers = ["the network's layers, complex weights", record.show("layers_error", ".1e"), ""]
    return record.Table(["product", "largest relative error, float64", "float32"], [*rows, layers])


@dataclass(frozen=True)
class Costs:
    """What a product costs at each size.

    Parameters
    ----------
    sizes : list of int
        Sizes of the operator, powers of two from 4 on.
    counts : dict
        Operations by method (:func:`dynlib.operators.hankel.operations`), a number a size.
    clocks : dict
        Microseconds by method and number of vectors, a number a size; ``"shift"`` only to 256.
    large_batch : int
        The number of vectors that are multiplied at once, beside a single one.
    ratios : dict
        By size and number of vectors: time of two FFTs over that of the matrix, a number a round.
    """

    sizes: list[int]
    counts: dict[str, list[int]]
    clocks: dict[tuple[str, int], list[float]]
    large_batch: int
    ratios: dict[tuple[int, int], np.ndarray]


def measure_costs(
    largest: int, large_batch: int, rng: np.random.Generator, *, repeats: int, seconds: float
) -> Costs:
    """Count and time products by all methods.

    Parameters
    ----------
    largest : int
        Largest size.
    large_batch : int
        Number of vectors multiplied at once.
    rng : numpy.random.Generator
        Draws operators and vectors.
    repeats, seconds : int, float
        Rounds in which all ways to multiply are timed, and the shortest time of a timing.
    """
    sizes = [2**k for k in range(2, 17) if 2**k <= largest]
    kinds = ("dense", "first_column", "fft", "complex_fft")
    counts = {kind: [operations(n, kind) for n in sizes] for kind in kinds}

    def time_products(n: int, batch: int) -> dict[str, np.ndarray]:
        """Microseconds of each way to multiply, round by round."""
        symbol = rng.normal(size=2 * n - 1)
        operator = Hankel(torch.tensor(symbol, dtype=torch.float32))
        matrix = operator.dense().contiguous()
        states = torch.tensor(rng.normal(size=(batch, n)), dtype=torch.float32)
        if batch == 1:
            states = states[0]
        calls = {"dense": lambda: states @ matrix, "fft": lambda: operator.multiply_fft(states)}
        if n <= 256:  # a loop over n vectors
            calls["shift"] = lambda: operator.multiply_shift(states)
        found = rounds(list(calls.values()), repeats=repeats, at_least=seconds)
        return dict(zip(calls, found.T, strict=True))

    clocks: dict[tuple[str, int], list[float]] = {}
    ratios = {}
    for batch in (1, large_batch):
        for n in sizes:
            times = time_products(n, batch)
            ratios[n, batch] = times["fft"] / times["dense"]
            for method, clock in times.items():
                clocks.setdefault((method, batch), []).append(float(np.median(clock)))
    return Costs(sizes, counts, clocks, large_batch, ratios)


def crossover(sizes: Sequence[int], fast: Sequence[float], slow: Sequence[float]) -> int | None:
    """The first size from which on the fast way is always faster.

    Examples
    --------
    >>> crossover([4, 8, 16], [5, 6, 7], [1, 9, 10])
    8
    """
    wins = np.array(fast) < np.array(slow)
    return (
        sizes[len(wins) - int(np.argmin(wins[::-1])) if not wins.all() else 0]
        if wins[-1]
        else None
    )  # fmt: skip


def record_costs(costs: Costs) -> None:
    """Record where the transforms begin to pay, and the ratios of costs.

    Metrics: ``fft_crossover_count`` (``_complex``), ``fft_crossover_n_batch<n>``,
    ``fft_time_ratio_n4_batch<n>`` and ``_largest_``, ``<method>_count_ratio_n4``,
    ``<method>_count_exponent``, ``large_batch`` and ``largest_n``.
    """
    sizes, counts, clocks = costs.sizes, costs.counts, costs.clocks
    record.metric("large_batch", costs.large_batch)
    record.metric("largest_n", sizes[-1])
    for kind, suffix in (("fft", ""), ("complex_fft", "_complex")):
        first = crossover(sizes, counts[kind], counts["dense"])
        record.metric(f"fft_crossover_count{suffix}", first, tolerance=0.0)
    for batch in (1, costs.large_batch):
        fast, slow = clocks["fft", batch], clocks["dense", batch]
        first = crossover(sizes, fast, slow)
        record.metric(f"fft_crossover_n_batch{batch}", first, tolerance=1.0, timing=True)
        for place, n in (("n4", sizes[0]), ("largest", sizes[-1])):
            name, paired = f"fft_time_ratio_{place}_batch{batch}", costs.ratios[n, batch]
            record.metric(name, paired, over="rounds", tolerance=2.0, timing=True)
    for kind in ("fft", "shift", "first_column"):
        ratio = operations(4, kind) / operations(4, "dense")
        record.metric(f"{kind}_count_ratio_n4", ratio, tolerance=0.0)
    for kind in ("dense", "fft"):
        growth = np.log2(operations(4096, kind) / operations(256, kind)) / 4
        record.metric(f"{kind}_count_exponent", growth, tolerance=0.0)


def cost_table(costs: Costs) -> record.Table:
    """Counts at every size, and times of two FFTs over those of the matrix."""
    header = ["n", "dense", "first column only", "FFT, real", "FFT, complex"]
    rows = []
    for i, n in enumerate(costs.sizes):
        counts = [record.number(each[i], "d") for each in costs.counts.values()]
        ratios = [np.median(costs.ratios[n, batch]) for batch in (1, costs.large_batch)]
        rows.append([str(n), *counts, *(f"{ratio:.2g}" for ratio in ratios)])
    times = ["time FFT / dense, 1 vector", f"{costs.large_batch} vectors"]
    return record.Table([*header, *times], rows)


def record_advance(
    operators: Mapping[str, np.ndarray], states: np.ndarray, successors: np.ndarray
) -> None:
    """Record how well operators advance test vectors, and how far they are from Hankel.

    Metrics: ``_advance_error``; ``distance_from_hankel`` (of ``nuclear``) and
    ``least_squares_distance_from_hankel``.
    """
    for name, operator in operators.items():
        error = np.linalg.norm(successors - operator @ states) / np.linalg.norm(successors)
        record.metric(f"{name}_advance_error", float(error), tolerance=0.05)
    for prefix, name in (("", "nuclear"), ("least_squares_", "least_squares")):
        distance = distance_from_hankel(operators[name])
        record.metric(f"{prefix}distance_from_hankel", distance, tolerance=0.05)


def advance_table(operators: Mapping[str, np.ndarray]) -> record.Table:
    """Errors of the operators, and their distances from Hankel matrices."""
    return record.Table(
        ["operator", "relative error of the next vector", "distance from Hankel"],
        [
            [
                TITLES[name],
                record.show(f"{name}_advance_error", ".2g"),
                f"{distance_from_hankel(operator):.2g}",
            ]
            for name, operator in operators.items()
        ],
    )


def record_convergence(fits: Mapping[str, BestFit], states: np.ndarray) -> None:
    """Record the steps of the solvers, the gaps that they reach, and the data's condition.

    Metrics: ``ista_iterations``, ``ista_gap``, ``accelerated_iterations``,
    ``nuclear_iterations``, ``nuclear_gap``, ``condition``.
    """
    best = fits["restart"]
    record.metric("ista_iterations", fits["plain"].iterations, tolerance=0.2)
    record.metric("ista_gap", fits["plain"].gap, tolerance=10.0)
    record.metric("accelerated_iterations", fits["accelerated"].iterations, tolerance=0.2)
    record.metric("nuclear_iterations", best.iterations, tolerance=0.2)
    record.metric("nuclear_gap", best.gap, tolerance=10.0)
    record.metric("condition", np.linalg.cond(states @ states.T), tolerance=0.5)


def record_known_answers(rng: np.random.Generator, noise: float) -> dict[str, float]:
    """Record errors of fits whose answers are known: special penalties, and control.

    Metrics: ``special_cases_error``, ``dmdc_error``, ``dmd_error``, ``dmdc_noise_error``.

    Returns
    -------
    dict
        The error of each special case, in words.
    """
    x = np.linalg.qr(rng.normal(size=(40, 5)))[0].T  # orthonormal rows
    y = rng.normal(size=(4, 40))
    mu = 0.4 * largest_penalty(x, y)
    special = {
        "orthonormal states: shrink the least-squares operator": np.abs(
            nuclear_fit(x, y, mu).operator - shrink(y @ x.T, mu)
        ).max(),
        "states of equal variance c: shrink by the penalty over c": np.abs(
            nuclear_fit(3 * x, y, 3 * mu).operator - shrink(y @ x.T / 3, mu / 3)
        ).max(),
        "largest penalty: zero": np.abs(
            nuclear_fit(x, y, largest_penalty(x, y)).operator
        ).max(),
    }  # fmt: skip
    a_true, b_true = rng.normal(size=(3, 3)) / 3, rng.normal(size=(3, 1))
    u = rng.normal(size=(1, 400))
    x = np.zeros((3, 401))
    for k in range(400):
        x[:, k + 1] = a_true @ x[:, k] + b_true @ u[:, k]
    a_fit, b_fit = fit_with_control(x[:, :-1], x[:, 1:], u)
    noisy = x + noise * rng.normal(size=x.shape)
    with_noise = fit_with_control(noisy[:, :-1], noisy[:, 1:], u)[0]
    without_input = least_squares_fit(x[:, :-1], x[:, 1:])
    controlled = max(np.abs(a_fit - a_true).max(), np.abs(b_fit - b_true).max())
    record.metric("special_cases_error", max(special.values()), tolerance=100.0)
    record.metric("dmdc_error", controlled, tolerance=100.0)
    record.metric("dmd_error", np.abs(without_input - a_true).max(), tolerance=0.05)
    record.metric("dmdc_noise_error", np.abs(with_noise - a_true).max(), tolerance=0.05)
    return special


def known_answer_table(special: Mapping[str, float], noise: float) -> record.Table:
    """Errors of the fits with known answers."""
    cases = {
        "control input known, equation (9)": "dmdc_error",
        "the same data without their input": "dmd_error",
        f"input known, states with noise {noise}": "dmdc_noise_error",
    }
    return record.Table(
        ["case with a known answer", "largest error"],
        [
            *([words, f"{error:.1e}"] for words, error in special.items()),
            *([words, record.show(name, ".1e")] for words, name in cases.items()),
        ],
    )


def linear_table() -> record.Table:
    """Errors of networks without activations, fitted to a matrix."""
    rows = []
    for n, branches in SHAPES:
        weights = [
            weight.numel()
            for name, weight in StNN(n, branches).named_parameters()
            if not name.startswith("bias")
        ]
        errors = [f"linear_n{n}_p{branches}_{kind}_error" for kind in ("hankel", "dense")]
        shown = [record.show(name, ".1e") for name in errors]
        rows.append([str(n), str(branches), str(sum(weights)), str(n * n), *shown])
    header = ["n", "branches", "weights", "entries of a matrix"]
    return record.Table([*header, "error: Hankel", "error: any matrix"], rows)
