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
# The paper builds its network from the factors of a *Hankel operator*, which is said to advance a
# window of measurements by one step at a low cost. Three questions can be asked before anything is
# trained: is the fast product fast at the size that the network uses? Does a Hankel operator
# advance windows? And which matrices can the network's layers represent once their entries are
# free?
#
# This page is an executed notebook that answers them by measurements.
# [The chapter](../structure/hankel.md) discusses what the numbers mean.

# %% tags=["parameters", "hide-input"]
largest: int = 512  # [64..65536] largest size of an operator that is timed
delays: int = 4  # [2..64] delays of the operator that is fitted
penalty: float = 1e-3  # [1e-12..1] nuclear-norm penalty, as a share of the largest
noise: float = 0.1  # [0..10] noise in the test of the fit with control
seed: int = 0  # [0..] seed of all random numbers
# advanced
large_batch: int = 256  # [2..100000] vectors multiplied at once, beside a single one
seconds: float = 0.02  # [0.001..10] shortest time of one timing
repeats: int = 3  # [1..1000] timings of which the median counts
gap: float = 1e-10  # [1e-14..1] relative duality gap at which solvers stop
iterations: int = 30000  # [10..10000000] steps that a solver may take
starts: int = 4  # [1..1000] initial weights of every linear branch that is fitted
steps: int = 100  # [1..100000] Levenberg-Marquardt steps from each
# require: largest % 64 == 0

# %% tags=["hide-input"]
import numpy as np
import torch
from dynlib.dynamics.pairs import integrate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.networks.representation import representation_error
from dynlib.operators.bestfit import (
    hankel_fit,
    largest_penalty,
    least_squares_fit,
    nuclear_fit,
)
from dynlib.operators.hankel import Hankel, delay_vectors
from dynlib.report import operators as report
from dynlib.report import record, style
from dynlib.report.figures import operators as figures

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
# anti-diagonals: $H_{ij} = h_{i+j}$. An operator of size n is thus given by $2n - 1$ numbers.

# %%
system = Lorenz(beta=8 / 3)
dt = 0.01
start = integrate(system, np.array([[0.0, 1.0, 20.0]]), np.array([0.0, 20.0]))
trajectory = integrate(system, start[:, -1], np.arange(4001) * dt)[0]
series = trajectory[:, 0]

# %% tags=["hide-input", "view"]
figures.windows(series, dt)

# %% [markdown]
# ## Three products that agree
#
# The product $Hx$ can be computed in three ways: by the *dense* matrix, as a sum of *shifted
# columns* (Proposition 2.1), or by *two fast Fourier transforms* (Proposition 2.5). We compare
# each with `scipy.linalg.hankel`, for sizes that are powers of two, odd and prime.
#
# The network consists of *branches*. The layers of a branch follow the third way, factor by factor
# (see *Factors and layers* below). With complex weights that are set accordingly, and without
# activations, a branch gives the same product.

# %%
report.record_agreement(rng)

# %% tags=["hide-input", "view"]
report.agreement_table()

# %% [markdown]
# ## What counts say and what a clock says
#
# Two transforms of length 2n take of the order of $n \log n$ operations, the dense product
# $2n^2 - n$. For large n the transforms win. But where do they begin to win, and does the clock
# agree with the count?
#
# We count multiplications and additions of one product, and measure times for one vector and for
# {res}`:large_batch` at once. The spectrum of the operator is stored, as its matrix is.

# %%
costs = report.measure_costs(
    largest, large_batch, rng, repeats=repeats, seconds=seconds
)
report.record_costs(costs)

# %% tags=["hide-input", "view"]
figures.cost(costs)

# %% tags=["hide-input", "view"]
report.cost_table(costs)

# %% [markdown]
# ## An operator that advances delay vectors
#
# A *delay vector* holds {res}`:delays` successive values of x. Which operator takes it to the one
# a step later? We fit on the first half of the trajectory and test on the second.
#
# Proposition 3.1 chooses the operator that minimises
#
# $$\tfrac12 \lVert X' - HX \rVert_F^2 + \mu \lVert H \rVert_*,$$
#
# where the columns of $X$ and $X'$ are delay vectors and their successors. The nuclear norm, the
# sum of singular values, favours a low rank. The paper's equation (8) is the *plain* method to
# solve this: a step along the gradient, then all singular values shrink. We also run two methods
# that extrapolate from the last steps: *accelerated*, and *with restart*.

# %%
half = len(series) // 2
states, successors = delay_vectors(series[:half], delays)
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
record.metric("nuclear_rank", best.rank, tolerance=0.0)
record.metric("delays", delays, tolerance=0.0)

# %% [markdown]
# We compare this operator with five others:
#
# - *any matrix*, by least squares;
# - the *best of all Hankel matrices*, also by least squares;
# - the same with the entries of the window in reverse order, which makes it a Toeplitz matrix;
# - the Hankel matrix of the *measurements* themselves;
# - the identity, which predicts that nothing changes.

# %%
reverse = np.eye(delays)[::-1]
measured = Hankel.from_series(torch.tensor(series[:half]), delays)
operators = {
    "least_squares": least_squares_fit(states, successors),
    "nuclear": best.operator,
    "hankel_fit": hankel_fit(states, successors),
    "reversed_hankel_fit": hankel_fit(states[::-1], successors) @ reverse,
    "delay_matrix": measured.dense().numpy(),
    "persistence": np.eye(delays),
}
report.record_advance(operators, *delay_vectors(series[half:], delays))

# %% tags=["hide-input", "view"]
report.advance_table(operators)

# %% [markdown]
# Do these operators look like Hankel matrices? A Hankel matrix has equal entries along its
# anti-diagonals.

# %% tags=["hide-input", "view"]
figures.operators(operators)

# %% [markdown]
# ## How fast the nuclear-norm solvers converge
#
# A *duality gap* proves how close a solver is to the minimum, whichever method it uses: the minimum
# is lower than the present objective by this share at most.

# %%
report.record_convergence(fits, states)

# %% tags=["hide-input", "view"]
figures.convergence(fits)

# %% [markdown]
# ## Cases with a known answer
#
# Can we trust these fits? For special states the minimiser is known in closed form: for orthonormal
# states it is the least-squares operator with shrunken singular values, and from some penalty on it
# is zero.
#
# The paper's equation (9) adds a control input, $x_{k+1} = A x_k + B u_k$. On data that were made
# with known A and B the fit finds both. Without the input, or with noise on the states, it does
# not.

# %%
special = report.record_known_answers(rng, noise)

# %% tags=["hide-input", "view"]
report.known_answer_table(special, noise)

# %% [markdown]
# ## Factors and layers
#
# The Fourier transforms of Proposition 2.5 are products of sparse factors. The network keeps the
# pattern of these factors and learns their entries. Here is the first layer of one branch for
# n = 4, factor by factor: what is free to learn and what is frozen.

# %% tags=["hide-input", "view"]
figures.factors()

# %% [markdown]
# ## What real weights can represent
#
# With complex weights one branch holds any Hankel operator exactly, as the table in *Three
# products that agree* shows. But the network is trained with real ones. So we fit a branch without
# activations, from {res}`:linear_starts` initial weights, to a random Hankel matrix and to a random
# matrix without structure. The smallest error counts. If the layers were made for Hankel operators,
# the first should be much smaller than the second.

# %%
record.metric("linear_starts", starts, tolerance=0.0)
generator = torch.Generator().manual_seed(seed)
for n, branches in report.SHAPES:
    symbol = torch.randn(2 * n - 1, generator=generator, dtype=torch.float64)
    loose = torch.randn(n, n, generator=generator, dtype=torch.float64)
    for kind, target in (("hankel", Hankel(symbol).dense()), ("dense", loose)):
        error = representation_error(
            target, branches, starts=starts, steps=steps, seed=seed
        )
        name = f"linear_n{n}_p{branches}_{kind}_error"
        record.metric(name, error, tolerance=100.0)

# %% tags=["hide-input", "view"]
report.linear_table()

# %% [markdown]
# [The chapter](../structure/hankel.md) discusses these results.
