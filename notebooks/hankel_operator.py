# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Hankel operators: the run
#
# This page is an executed notebook. It multiplies by Hankel operators in the three ways of the
# paper and compares results, counts and clocks; it fits operators to delay vectors of the Lorenz
# system by Proposition 3.1 and looks at what they are; and it tests what the layers of the
# network can represent once activations are taken away. What the numbers mean is told in
# [the chapter](../structure/hankel.md).

# %% tags=["parameters", "hide-input"]
# fmt: off
largest: int = 512  # [64..65536] largest size of an operator that is timed
large_batch: int = 256  # [2..100000] vectors multiplied at once, beside a single one
seconds: float = 0.02  # [0.001..10] shortest time of one timing
repeats: int = 3  # [1..1000] timings of which the median counts
delays: int = 4  # [2..64] delays of the operator that is fitted
penalty: float = 1e-3  # [1e-12..1] nuclear-norm penalty, as a share of the largest
gap: float = 1e-10  # [1e-14..1] relative duality gap at which solvers stop
iterations: int = 30000  # [10..10000000] steps that a solver may take
starts: int = 4  # [1..1000] initial weights of every linear branch that is fitted
steps: int = 100  # [1..100000] Levenberg-Marquardt steps from each
noise: float = 0.1  # [0..10] noise in the test of the fit with control
seed: int = 0  # [0..] seed of all random numbers
# require: largest % 64 == 0
# fmt: on

# %% tags=["hide-input"]

import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
import torch
from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.measure.timing import microseconds
from dynlib.networks.levenberg import LevenbergMarquardt
from dynlib.networks.stnn import StNN
from dynlib.operators.bestfit import (
    fit_with_control,
    largest_penalty,
    least_squares_fit,
    nuclear_fit,
    shrink,
)
from dynlib.operators.hankel import Hankel, nearest, operations
from dynlib.report import networks as network_report
from dynlib.report import record, style
from matplotlib.colors import ListedColormap

style.use_style()
record.clear()
torch.set_num_threads(1)
record.context(device="cpu", threads=1, seeds=[seed])
rng = np.random.default_rng(seed)

# %% [markdown]
# ## What a Hankel operator is
#
# A measurement, here the first coordinate of the Lorenz system, is read through a window that
# moves by one step from row to row. The matrix of these windows is constant along its
# anti-diagonals: {math}`H_{ij} = h_{i+j}`.

# %%
system = Lorenz(beta=8 / 3)
dt = 0.01
start = integrate(system, np.array([[0.0, 1.0, 20.0]]), np.array([0.0, 20.0]))
trajectory = integrate(system, start[:, -1], np.arange(4001) * dt)[0]
series = trajectory[:, 0]

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-windows", "caption": "A delay series and the Hankel operator that it fills. Above: the coordinate x of a Lorenz trajectory; the bars are the first, the middle and the last row below. Below: the operator, one window a row; equal colours run along anti-diagonals."}, "image": {"alt": "Above, an oscillating curve with three horizontal bars, each shifted to the right of the one before. Below, a square heat map with stripes along the anti-diagonals."}}
n_shown = 60
shown = torch.from_numpy(series[::2][: 2 * n_shown - 1].copy())
figure, (above, below) = style.figure(5.6, 2, 1, height_ratios=[1, 2.6])
times = 2 * dt * np.arange(len(shown))
above.plot(times, shown, color=style.INK)
for row in (0, n_shown // 2, n_shown - 1):
    span = times[[row, row + n_shown - 1]]
    above.plot(
        span,
        [float(shown.min()) - 3 - row / 12] * 2,
        linewidth=3,
        color=style.COLOURS["model"],
    )
above.set(xlabel="time", ylabel="x")
picture = below.imshow(Hankel(shown).dense(), cmap="RdBu_r", vmin=-20, vmax=20)
below.set(xlabel="column j", ylabel="row i")
figure.colorbar(picture, ax=below, label="measurement")
plt.show()

# %% [markdown]
# ## Three products that agree
#
# Dense, by shifted columns (Proposition 2.1) and by two fast Fourier transforms (Proposition
# 2.5), against `scipy.linalg.hankel`, for sizes that are powers of two, odd and prime.


# %%
def worst_error(
    method: str,
    dtype: torch.dtype,
    sizes=(1, 2, 3, 4, 5, 7, 8, 16, 17, 64, 97, 128, 251),
) -> float:
    """Largest relative error of a product over sizes."""
    errors = []
    for n in sizes:
        symbol, states = rng.normal(size=2 * n - 1), rng.normal(size=(8, n))
        truth = states @ scipy.linalg.hankel(symbol[:n], symbol[n - 1 :])
        operator = Hankel(torch.tensor(symbol, dtype=dtype))
        ours = getattr(operator, f"multiply_{method}")(
            torch.tensor(states, dtype=dtype)
        )
        errors.append(np.abs(ours.numpy() - truth).max() / np.abs(truth).max())
    return max(errors)


rows = []
for method in ("dense", "shift", "fft"):
    for dtype, suffix in ((torch.float64, ""), (torch.float32, "_float32")):
        record.metric(
            f"{method}_error{suffix}",
            worst_error(method, dtype),
            tolerance=10.0,
        )
    rows.append(
        [
            network_report.LABELS[method],
            record.show(f"{method}_error", ".1e"),
            record.show(f"{method}_error_float32", ".1e"),
        ]
    )
exact = []
for n in (4, 8, 16, 64):
    symbol, states = (
        torch.tensor(rng.normal(size=2 * n - 1)),
        torch.tensor(rng.normal(size=(8, n))),
    )
    truth = Hankel(symbol).multiply_dense(states)
    with torch.no_grad():
        layers = StNN.from_hankel(symbol)(states)
    exact.append(float((layers - truth).abs().max() / truth.abs().max()))
record.metric("layers_error", max(exact), tolerance=10.0)
rows.append(
    [
        "the network's layers, complex weights",
        record.show("layers_error", ".1e"),
        "",
    ]
)
record.Table(["product", "largest relative error, float64", "float32"], rows)

# %% [markdown]
# ## What counts say and what a clock says
#
# Multiplications and additions of one product, and measured times, for one vector and for
# {res}`:large_batch` at once. The spectrum of the operator is stored, as its matrix is.

# %%
sizes = [
    n
    for n in (
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        512,
        1024,
        2048,
        4096,
        8192,
        16384,
        32768,
        65536,
    )
    if n <= largest
]
count_kinds = ("dense", "first_column", "fft", "complex_fft")
counts = {kind: [operations(n, kind) for n in sizes] for kind in count_kinds}


def timed(call) -> float:
    """Median microseconds of a call."""
    return microseconds(call, repeats=repeats, at_least=seconds)


def time_products(n: int, batch: int) -> dict[str, float]:
    """Microseconds of each way to multiply."""
    symbol = rng.normal(size=2 * n - 1)
    operator = Hankel(torch.tensor(symbol, dtype=torch.float32))
    matrix = operator.dense().contiguous()
    states = torch.tensor(rng.normal(size=(batch, n)), dtype=torch.float32)
    if batch == 1:
        states = states[0]
    found = {
        "dense": timed(lambda: states @ matrix),
        "fft": timed(lambda: operator.multiply_fft(states)),
    }
    if n <= 256:  # a loop over n vectors
        found["shift"] = timed(lambda: operator.multiply_shift(states))
    return found


clocks: dict[tuple[str, int], list[float]] = {}
for batch in (1, large_batch):
    for n in sizes:
        for method, clock in time_products(n, batch).items():
            clocks.setdefault((method, batch), []).append(clock)


# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-@run-cost", "caption": "Cost of one product against the size of the operator. Above: multiplications and additions, the FFT counted for real data. Middle and below: time on one core, for one vector and for many. Where the curves cross, two FFTs begin to pay: by the clock much later than by the count."}, "image": {"alt": "Three log-log panels. Counts of dense products grow with slope two and cross those of the FFT below one hundred; measured times of the FFT stay flat at first and cross the dense ones at a larger size."}}
def crossover(fast: list[float], slow: list[float]) -> int | None:
    """The first size from which on the fast way is always faster."""
    wins = np.array(fast) < np.array(slow)
    return (
        sizes[len(wins) - int(np.argmin(wins[::-1])) if not wins.all() else 0]
        if wins[-1]
        else None
    )


record.metric("large_batch", large_batch)
record.metric(
    "fft_crossover_count",
    crossover(counts["fft"], counts["dense"]),
    tolerance=0.0,
)
record.metric(
    "fft_crossover_count_complex",
    crossover(counts["complex_fft"], counts["dense"]),
    tolerance=0.0,
)
for batch, suffix in ((1, "batch1"), (large_batch, f"batch{large_batch}")):
    record.metric(
        f"fft_crossover_n_{suffix}",
        crossover(clocks["fft", batch], clocks["dense", batch]),
        tolerance=1.0,
    )
    for n in (4, sizes[-1]):
        at = sizes.index(n)
        ratio = clocks["fft", batch][at] / clocks["dense", batch][at]
        record.metric(
            f"fft_time_ratio_{'n4' if n == 4 else 'largest'}_{suffix}",
            ratio,
            tolerance=2.0,
        )
record.metric("largest_n", sizes[-1])
record.metric(
    "fft_count_ratio_n4", counts["fft"][0] / counts["dense"][0], tolerance=0.0
)
record.metric(
    "shift_count_ratio_n4",
    operations(4, "shift") / operations(4, "dense"),
    tolerance=0.0,
)
record.metric(
    "first_column_count_ratio_n4",
    operations(4, "first_column") / operations(4, "dense"),
    tolerance=0.0,
)
for kind in ("dense", "fft"):
    growth = np.log2(operations(4096, kind) / operations(256, kind)) / 4
    record.metric(f"{kind}_count_exponent", growth, tolerance=0.0)

figure, panels = style.figure(6.4, 3, 1, sharex=True)
for kind in ("dense", "fft"):
    panels[0].plot(
        sizes,
        counts[kind],
        "o-",
        markersize=3,
        color=network_report.COLOURS[kind],
    )
for axes, batch in zip(panels[1:], (1, large_batch), strict=True):
    for method in ("dense", "fft", "shift"):
        here = clocks[method, batch]
        axes.plot(
            sizes[: len(here)],
            here,
            "o-",
            markersize=3,
            color=network_report.COLOURS[method],
        )
network_report.label(
    panels[0],
    sizes[-1],
    counts["dense"][-1],
    "dense",
    offset=(-6, 2),
    ha="right",
)
network_report.label(
    panels[0], sizes[-1], counts["fft"][-1], "fft", offset=(-2, -14), ha="right"
)
shifted = clocks["shift", 1]
network_report.label(panels[1], sizes[len(shifted) - 1], shifted[-1], "shift")
panels[0].set(xscale="log", yscale="log", title="operations")
panels[1].set(yscale="log", title="microseconds, one vector")
panels[2].set(
    yscale="log", title=f"microseconds, {large_batch} vectors", xlabel="size n"
)
panels[2].set_xticks(sizes[::2], [str(n) for n in sizes[::2]])
panels[2].minorticks_off()
plt.show()

# %% tags=["hide-input", "view"]
ratio = {
    batch: [
        f / d
        for f, d in zip(
            clocks["fft", batch], clocks["dense", batch], strict=True
        )
    ]
    for batch in (1, large_batch)
}
record.Table(
    [
        "n",
        "dense",
        "first column only",
        "FFT, real",
        "FFT, complex",
        "time FFT / dense, 1 vector",
        f"{large_batch} vectors",
    ],
    [
        [
            str(n),
            *(
                f"{counts[kind][i]:,}".replace(",", "\u2009")
                for kind in count_kinds
            ),
            f"{ratio[1][i]:.2g}",
            f"{ratio[large_batch][i]:.2g}",
        ]
        for i, n in enumerate(sizes)
    ],
)

# %% [markdown]
# ## An operator that advances delay vectors
#
# Vectors of {res}`:delays` delays of x, and the same a step later. Four operators that might
# advance them: any matrix (least squares); the best of all Hankel matrices, also by least
# squares; the minimiser of Proposition 3.1 with a small penalty; and the Hankel matrix of the
# measurements themselves. Fitted on the first half of a trajectory, tested on the second.


# %%
def delay_vectors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows as columns, and those a step later."""
    windows = np.lib.stride_tricks.sliding_window_view(values, delays).T
    return windows[:, :-1], windows[:, 1:]


half = len(series) // 2
states, successors = delay_vectors(series[:half])
test_states, test_successors = delay_vectors(series[half:])


def hankel_fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The Hankel matrix with the smallest error: least squares for its anti-diagonals."""
    basis = [
        Hankel(torch.eye(2 * delays - 1, dtype=torch.float64)[k])
        .dense()
        .numpy()
        for k in range(2 * delays - 1)
    ]
    design = np.stack([(each @ x).ravel() for each in basis], axis=1)
    return np.tensordot(
        np.linalg.lstsq(design, y.ravel(), rcond=None)[0], basis, 1
    )


def far_from_hankel(operator: np.ndarray) -> float:
    """Relative distance from the nearest Hankel matrix."""
    near = Hankel(nearest(torch.tensor(operator))).dense().numpy()
    return float(np.linalg.norm(operator - near) / np.linalg.norm(operator))


limit = largest_penalty(states, successors)
fits = {
    method: nuclear_fit(
        states,
        successors,
        penalty * limit,
        method=method,
        tolerance=gap,
        max_iterations=iterations,
    )
    for method in ("plain", "accelerated", "restart")
}
best = fits["restart"]
operators = {
    "least_squares": least_squares_fit(states, successors),
    "nuclear": best.operator,
    "hankel_fit": hankel_fit(states, successors),
    "reversed_hankel_fit": hankel_fit(states[::-1], successors)
    @ np.eye(delays)[::-1],
    "delay_matrix": Hankel.from_series(torch.tensor(series[:half]), delays)
    .dense()
    .numpy(),
    "persistence": np.eye(delays),
}
titles = {
    "least_squares": "any matrix, least squares",
    "nuclear": "nuclear norm, Proposition 3.1",
    "hankel_fit": "best Hankel matrix",
    "reversed_hankel_fit": "best Hankel matrix, window reversed",
    "delay_matrix": "Hankel matrix of the measurements",
    "persistence": "identity: nothing changes",
}
rows = []
for name, operator in operators.items():
    error = np.linalg.norm(
        test_successors - operator @ test_states
    ) / np.linalg.norm(test_successors)
    record.metric(f"{name}_advance_error", error, tolerance=0.05)
    rows.append(
        [
            titles[name],
            record.show(f"{name}_advance_error", ".2g"),
            f"{far_from_hankel(operator):.2g}",
        ]
    )
record.metric(
    "distance_from_hankel", far_from_hankel(best.operator), tolerance=0.05
)
record.metric(
    "least_squares_distance_from_hankel",
    far_from_hankel(operators["least_squares"]),
    tolerance=0.05,
)
record.metric("nuclear_rank", best.rank, tolerance=0.0)
record.metric("delays", delays, tolerance=0.0)
record.Table(
    ["operator", "relative error of the next vector", "distance from Hankel"],
    rows,
)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-operators", "caption": "Four operators for the same delay vectors. The matrix of least squares is a shift with a row of extrapolation below; with the nuclear norm it becomes a smooth projection of low rank. Neither is constant along anti-diagonals, as a Hankel matrix is."}, "image": {"alt": "Four small heat maps: least squares with ones above the diagonal and large entries of both signs in the last row, nuclear norm smooth, best Hankel, and the Hankel matrix of the data."}}
figure, panels = style.figure(4.9, 2, 2)
for axes, name in zip(
    panels.flat,
    ("least_squares", "nuclear", "hankel_fit", "delay_matrix"),
    strict=True,
):
    bound = np.abs(operators[name]).max()
    if name == "delay_matrix":  # measurements that differ little
        image = axes.imshow(operators[name], cmap="Blues_r")
    else:
        image = axes.imshow(
            operators[name], cmap="RdBu_r", vmin=-bound, vmax=bound
        )
    axes.set_title(titles[name], fontsize=9)
    axes.set(xticks=[], yticks=[])
    if delays <= 6:
        for (i, j), entry in np.ndenumerate(operators[name]):
            pale = np.mean(image.cmap(image.norm(entry))[:3]) > 0.5
            axes.text(
                j, i, f"{round(entry, 2) + 0.0:.2f}", ha="center", va="center", fontsize=8,
                color="#1f2428" if pale else "#ffffff",
            )  # fmt: skip
plt.show()

# %% [markdown]
# ## How fast the nuclear-norm solvers converge
#
# All three shrink singular values after a step along the gradient. The paper's equation (8)
# is the plain method; the others extrapolate. The duality gap proves how close they are.

# %%
record.metric("ista_iterations", fits["plain"].iterations, tolerance=0.2)
record.metric("ista_gap", fits["plain"].gap, tolerance=10.0)
record.metric(
    "accelerated_iterations", fits["accelerated"].iterations, tolerance=0.2
)
record.metric("nuclear_iterations", best.iterations, tolerance=0.2)
record.metric("nuclear_gap", best.gap, tolerance=10.0)
record.metric("condition", np.linalg.cond(states @ states.T), tolerance=0.5)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-convergence", "caption": "Relative duality gap, an upper bound of how far the objective is above its minimum, against steps."}, "image": {"alt": "Three curves of the duality gap on logarithmic axes; plain proximal gradient needs more than ten times the steps of the accelerated method with restart."}}
figure, axes = style.figure(3.2)
places = {"plain": (1e-2, 5), "accelerated": (1e-8, -18), "restart": (1e-5, -6)}
for method, fit in fits.items():
    axes.plot(*fit.history.T, color=network_report.COLOURS[method])
    height, offset = places[method]
    x, y = fit.history[np.argmin(np.abs(np.log(fit.history[:, 1] / height)))]
    side = "left" if offset > 0 else "right"
    network_report.label(axes, x, y, method, offset=(offset, 0), ha=side)
axes.set(
    xscale="log", yscale="log", xlabel="steps", ylabel="relative duality gap"
)
plt.show()

# %% tags=["hide-input"]
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
}
a_true, b_true = rng.normal(size=(3, 3)) / 3, rng.normal(size=(3, 1))
u = rng.normal(size=(1, 400))
x = np.zeros((3, 401))
for k in range(400):
    x[:, k + 1] = a_true @ x[:, k] + b_true @ u[:, k]
a_fit, b_fit = fit_with_control(x[:, :-1], x[:, 1:], u)
noisy = x + noise * rng.normal(size=x.shape)
record.metric("special_cases_error", max(special.values()), tolerance=100.0)
record.metric(
    "dmdc_error",
    max(np.abs(a_fit - a_true).max(), np.abs(b_fit - b_true).max()),
    tolerance=100.0,
)
record.metric(
    "dmd_error",
    np.abs(least_squares_fit(x[:, :-1], x[:, 1:]) - a_true).max(),
    tolerance=0.05,
)
record.metric(
    "dmdc_noise_error",
    np.abs(fit_with_control(noisy[:, :-1], noisy[:, 1:], u)[0] - a_true).max(),
    tolerance=0.05,
)
record.Table(
    ["case with a known answer", "largest error"],
    [
        *([name, f"{error:.1e}"] for name, error in special.items()),
        ["control input known, equation (9)", record.show("dmdc_error", ".1e")],
        ["the same data without their input", record.show("dmd_error", ".1e")],
        [
            f"input known, states with noise {noise}",
            record.show("dmdc_noise_error", ".1e"),
        ],
    ],
)

# %% [markdown]
# ## Factors and layers
#
# The first layer of one branch for n = 4, factor by factor: what is free to learn and what is
# frozen.


# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-factors", "caption": "The first layer of a branch for n = 4 as a product of sparse factors, applied from left to right: pad with zeros and scale, a butterfly of length eight, two of length four, blocks of two, and a permutation. Blue entries are free to learn (equal for both halves of a level), grey ones are frozen, the rest is zero."}, "image": {"alt": "Five small matrix patterns. Grey ones sit on identities and permutations, blue ones on diagonals and two-by-two blocks."}}
def butterfly(n: int) -> np.ndarray:
    """Pattern of [[I, I], [D, -D]]: 1 is frozen, 2 is free."""
    one = np.eye(n // 2)
    return np.block([[one, one], [2 * one, 2 * one]])


def permutation(n: int) -> np.ndarray:
    """Pattern of the even-odd permutations of all levels, undone: where each entry goes."""
    identity = torch.eye(n)
    values = identity.unsqueeze(-2).unflatten(-1, (-1, 2)).squeeze(-3)
    while values.shape[-1] < n:
        values = values.unflatten(-2, (-1, 2)).transpose(-1, -2).flatten(-2)
    return values.squeeze(-2).T.numpy()


factors = {
    "pad": np.vstack([2 * np.eye(4), np.zeros((4, 4))]),
    "butterfly": butterfly(8),
    "butterflies": scipy.linalg.block_diag(butterfly(4), butterfly(4)),
    "blocks": scipy.linalg.block_diag(*[2 * np.ones((2, 2))] * 4),
    "permutation": permutation(8),
}
palette = ListedColormap(["#00000000", "#9aa4ae", "#2f81c1"])
figure, panels = style.figure(1.7, 1, 5, width_ratios=[1, 2, 2, 2, 2])
for axes, (name, pattern) in zip(panels, factors.items(), strict=True):
    axes.imshow(pattern, cmap=palette, vmin=0, vmax=2)
    axes.set_title(name, fontsize=8)
    axes.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## What real weights can represent
#
# With complex weights one branch holds any Hankel operator exactly (first table). The network
# is trained with real ones. Here a branch without activations is fitted, from
# {res}`:linear_starts` initial weights, to a random Hankel matrix and to a random matrix without
# structure; the best error counts.


# %%
def representation_error(n: int, branches: int, target: torch.Tensor) -> float:
    """Smallest relative error of a linear network of the given shape, over several starts."""
    model = StNN(n, branches, linear=True, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    initial = []
    for _ in range(starts):
        model.draw_alive(generator)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.startswith("bias"):
                    weight.zero_()
                elif name.startswith("diagonal_4"):
                    weight.fill_(1)
        initial.append(
            torch.cat([w.detach().flatten() for w in model.parameters()])
        )
    states = torch.cat(
        [torch.eye(n), torch.zeros(n, 1), -torch.eye(n)], 1
    ).double()
    columns = states.expand(starts, *states.shape).contiguous()
    truth = (target @ states).expand(starts, -1, -1).contiguous()
    optimizer = LevenbergMarquardt(model, torch.stack(initial), attempts=8)
    for _ in range(steps):
        optimizer.step(columns, truth)
    with torch.no_grad():
        error = model.evaluate(optimizer.theta, columns) - truth
    return float((error.flatten(1).norm(dim=1) / truth[0].norm()).min())


record.metric("linear_starts", starts, tolerance=0.0)
generator = torch.Generator().manual_seed(seed)
rows = []
for n, branches in ((4, 1), (8, 1), (8, 2)):
    symbol = torch.randn(2 * n - 1, generator=generator, dtype=torch.float64)
    loose = torch.randn(n, n, generator=generator, dtype=torch.float64)
    for kind, target in (("hankel", Hankel(symbol).dense()), ("dense", loose)):
        record.metric(
            f"linear_n{n}_p{branches}_{kind}_error",
            representation_error(n, branches, target),
            tolerance=100.0,
        )
    size = sum(
        w.numel()
        for name, w in StNN(n, branches).named_parameters()
        if not name.startswith("bias")
    )
    rows.append(
        [
            str(n),
            str(branches),
            str(size),
            str(n * n),
            *(
                record.show(f"linear_n{n}_p{branches}_{kind}_error", ".1e")
                for kind in ("hankel", "dense")
            ),
        ]
    )
record.Table(
    [
        "n",
        "branches",
        "weights",
        "entries of a matrix",
        "error: Hankel",
        "error: any matrix",
    ],
    rows,
)
