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
# # The Hénon map as text: the run
#
# This page is an executed notebook: it simulates the map, cuts the plane into cells, trains
# GPT-2 on the resulting sentences from several seeds, lets every model continue the same
# prompts, and measures. What the numbers mean is told in [the chapter](../tokens/henon.md);
# every measure is defined there or in the docstring of the function that computes it.

# %% tags=["parameters", "hide-input"]
# fmt: off
n_cells: int = 50  # [2..1000] cells per axis, N
vocabulary: str = "occupied"  # {occupied, grid} tokens for the cells seen, or for all N^2
train_trajectories: int = 20  # [2..] training trajectories, those held out included
test_trajectories: int = 5  # [1..] test trajectories
trajectory_length: int = 2000  # [700..] states a trajectory
validation_trajectories: int = 1  # [0..] training trajectories held out for choices
data_seed: int = 0  # [0..] seed of the initial states
embedding: str = "plain"  # {plain, factorised} token embedding
layers: int = 1  # [1..] self-attention layers
heads: int = 2  # [1..] attention heads a layer
width: int = 32  # [1..] width of the representation
context: int = 16  # [2..] longest input in tokens
dropout: float = 0.0  # [0..0.9] dropout
steps: int = 60  # [1..] optimiser steps
batch_size: int = 16  # [1..] windows a step
learning_rate: float = 8e-3  # [1e-9..1] peak learning rate
optimizer: str = "muon"  # {adamw, muon} optimiser
beta2: float = 0.95  # [0.5..0.99999] second-moment decay of AdamW
epsilon: float = 1e-8  # [1e-12..1e-3] epsilon of AdamW
weight_decay: float = 0.01  # [0..1] decoupled weight decay
schedule: str = "cosine"  # {constant, cosine} learning-rate schedule
clip: float = 1.0  # [0..] largest norm of the gradient, 0 for no limit
precision: str = "auto"  # {auto, fp32, bf16} arithmetic of training
n_seeds: int = 2  # [1..64] training seeds
seed: int = 0  # [0..] first training seed
device: str = "auto"  # {auto, cpu, cuda} where to train and generate
temperature: float = 1.0  # [0.05..10] temperature of sampling (greedy decoding runs beside it)
prompt: int = 100  # [5..600] true tokens before each rollout
rollouts: int = 20  # [2..10000] rollouts a method
rollout_steps: int = 200  # [130..100000] states generated a rollout
true_batches: int = 10  # [2..100] batches of fresh true trajectories, used in pairs
sampling_pairs: int = 5  # [2..100] pairs of samples behind each distance of true from true
lyapunov_rollouts: int = 4  # [1..1000] rollouts for the exponent
lyapunov_steps: int = 400  # [100..1000000] states of each
test_windows: int = 256  # [64..1000000] windows of test tokens for the cross-entropies
reference_steps: int = 2000  # [100..] iterations of 64 orbits for the reference exponent
longest_ngram: int = 12  # [4..32] longest memory of the n-grams
products: int = 15  # [8..100] longest product of Jacobians
# require: validation_trajectories < train_trajectories
# require: width % heads == 0
# require: prompt + rollout_steps + 100 <= trajectory_length
# require: context + context // 2 + longest_ngram + prompt < trajectory_length
# require: products <= lyapunov_steps
# fmt: on

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from dynlib.dynamics.lyapunov import (
    fit_exponent,
    product_growth,
    tangent_exponents,
)
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.measure.distribution import Reference
from dynlib.report import record, style
from dynlib.report import tokens as report
from dynlib.report.figures import tokens as figures
from dynlib.tokens.generation import Generators
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order, context_curves
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.windows import windows
from dynlib.training import parallel
from dynlib.training.device import resolve_device
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

style.use_style()
record.clear()
device = resolve_device(device)
workers = parallel.default_workers(device)
seeds = list(range(seed, seed + n_seeds))
training = TrainingConfig(
    steps, batch_size, learning_rate, optimizer, beta2, epsilon, weight_decay, schedule, clip,
    precision,
)  # fmt: skip
record.context(device=device, threads=1, seeds=seeds)

# %% [markdown]
# ## Data and cells
#
# The training set is the paper's: trajectories from $(-0.95, 0.35) + U(-0.05, 0.05)^2$, the
# transient included. The grid runs from the smallest to the largest value of the training
# data on each axis; a *token* is a cell that the training data visit. Some training
# trajectories are held out: settings were chosen on them, never on the test set.

# %%
system = Henon()
streams = np.random.default_rng(data_seed).spawn(3)
train_states = simulate(
    system,
    system.initial_states(train_trajectories, streams[0]),
    trajectory_length,
)
test_states = simulate(
    system,
    system.initial_states(test_trajectories, streams[1]),
    trajectory_length,
)
grid = Grid.fit(train_states, n_cells, vocabulary)
tokens = grid.encode(train_states)
n_learn = train_trajectories - validation_trajectories
learn = tokens[:n_learn]
held_out = tokens[n_learn:] if validation_trajectories else None
test = grid.encode(test_states, unseen="nearest")
print(f"{grid.vocabulary} of {n_cells**grid.dim} cells are visited")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-@run-cells", "caption": "The attractor of the Hénon map and the cells that training trajectories visit: each of these cells is one token, and its centre stands for every state in it. The block at the upper left is where the trajectories start."}, "image": {"alt": "Scatter of the Hénon attractor, a folded curve, over shaded grid cells along it."}}
record.metric("vocabulary", grid.vocabulary, tolerance=0.02)
record.metric("vocabulary_grid", n_cells**grid.dim, tolerance=0.0)
record.metric("train_tokens", learn.size, tolerance=0.0)

figure, axes = style.figure(3.6)
extent = (grid.low[0], grid.high[0], grid.low[1], grid.high[1])
corners = grid.centres - grid.cell_size / 2
squares = [Rectangle(corner, *grid.cell_size) for corner in corners]
axes.add_collection(PatchCollection(squares, facecolor=style.GRID))
shown = test_states[0, 100:4100]
axes.plot(
    *shown.T, ".", markersize=1.2, color=style.COLOURS["model"], rasterized=True
)
axes.set(xlabel="x", ylabel="y", xlim=extent[:2], ylim=extent[2:])
plt.show()

# %% [markdown]
# ## Training
#
# The same model from {res}`:n_seeds` seeds; the loop is
# {func}`dynlib.tokens.training.train`. Losses are in nats per token: the training loss over all
# positions of the context, the validation loss over its second half.

# %%
model_config = GPTConfig(
    grid.vocabulary, layers, heads, width, context, dropout, embedding
)
trained = train_seeds(
    learn, grid.cells, model_config, training, seeds,
    name="henon", validation=held_out, device=device,
)  # fmt: skip
models = [each.model for each in trained]

# %% tags=["hide-input"]
report.training(trained, seeds)

# %% [markdown]
# ## What a longer memory buys
#
# Tokens of test trajectories, predicted from the last 1, 2, 3, … tokens before them. The
# n-grams count what followed in the training set; their memory is chosen on the held-out
# trajectories. By Pesin's formula the entropy rate of the map is its positive Lyapunov
# exponent. If the cells told all orbits apart, no model could predict better than that.

# %%
counts = NGram(learn, longest_ngram, grid.vocabulary)
targets = context - context // 2  # the second half of the context is predicted
best = (
    4
    if held_out is None
    else best_order(counts, held_out, targets, test_windows, first=prompt)
)
report.prediction(models, counts, best, test, test_windows, first=prompt)
lengths, networks, ngrams = context_curves(
    models, counts, test, test_windows // 4, first=prompt
)
report.context(lengths, networks)

start = simulate(
    system, system.initial_states(64, streams[2]), 1, transient=1000
)[:, 0]
exponents = tangent_exponents(system, start, reference_steps)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-@run-context", "caption": "Cross-entropy of the next token against the number of tokens seen, all on the same test targets. Counting predicts as well as the network from few tokens and goes on improving until its contexts become too rare; the network levels off where counting is at its best."}, "image": {"alt": "Curves of cross-entropy against context length on a logarithmic axis. The n-grams fall, reach a minimum and rise again; GPT-2 falls and stays flat near that minimum, above a horizontal line, the Pesin entropy rate."}}
lyapunov = record.metric(
    "lyapunov_reference",
    exponents[:, 0],
    over="trajectories",
    unit="nats/iteration",
    tolerance=0.005,
)
figure, axes = style.figure(3.4)
figures.context_curves(axes, lengths, networks, ngrams, lyapunov["value"])
plt.show()

# %% [markdown]
# ## Rollouts
#
# Every method continues the same prompts of true tokens (GPT-2 sees the last
# {res}`:context` of them). GPT-2 decodes at temperature 1 and greedily, as the paper does
# (T → 0); beside it stand n-grams with one token of memory (the Markov chain), with four, and
# with as many as predict best, and two copyists that learn nothing: the *context parrot* copies
# what followed the longest match in its own past, the *training replay* does so in the training
# data. The replay's states are true ones, so its distance from the truth is chance alone.

# %%
matched = windows(test, prompt + rollout_steps, rollouts, first=100)[:rollouts]
prompts, continuations = matched[:, :prompt], matched[:, prompt:]
long_prompts = windows(test, prompt, lyapunov_rollouts, first=100)[
    :lyapunov_rollouts
]

chains = {
    "markov": counts.shorter(1),
    "ngram4": counts.shorter(4),
    "best_ngram": counts.shorter(best),
}
generators = Generators(models, chains, learn, grid.centres, seeds, workers)
warmth = {"model": temperature, "greedy": 0.0}
short = generators.all(prompts, rollout_steps, warmth)
written = generators.networks(
    long_prompts, lyapunov_steps, list(warmth.values())
)
long = {
    **dict(zip(warmth, written, strict=True)),
    **generators.counting(long_prompts, lyapunov_steps),
}

# %% [markdown]
# ## Distributions: their Table I
#
# Exact Wasserstein distances between cell centres, one weight a cell. The reference is the
# distance between two batches of *fresh* true trajectories of the same size; a ratio of one
# means that generated states are as far from true ones as true ones are from each other.
# *Matched* compares with the true continuations of the very prompts instead, which is most
# likely what the paper did.

# %%
fresh = simulate(
    system,
    system.initial_states(true_batches * rollouts, streams[2]),
    rollout_steps,
    transient=1000,
)
fresh = grid.encode(fresh, unseen="nearest").reshape(
    true_batches, rollouts, rollout_steps
)
batches = fresh[: true_batches // 2 * 2]
euclidean = Reference(batches, grid.centres, "euclidean")
squared = Reference(batches, grid.centres, "squared")

# %% tags=["hide-input"]
report.rollouts(short, euclidean, squared, continuations, learn)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-density", "caption": "How often each cell is visited, on one logarithmic scale. GPT-2 sampled at temperature 1 cannot be told from the truth by eye, and nor can a Markov chain that remembers a single token."}, "image": {"alt": "Four maps of the Hénon attractor coloured by visits per cell: truth, GPT-2 at temperature one, GPT-2 greedy, Markov chain."}}
figure, panels = style.figure(4.6, 2, 2, sharex=True, sharey=True)
shown = {
    "true": batches[0],
    "model": short["model"][0],
    "greedy": short["greedy"][0],
}
shown["markov"] = short["markov"][0]
for axes, (method, sample) in zip(panels.flat, shown.items(), strict=True):
    share = np.bincount(sample.ravel(), minlength=grid.vocabulary) / sample.size
    density = np.full((n_cells, n_cells), np.nan)
    density[tuple(grid.cells.T)] = np.where(share > 0, share, np.nan)
    picture = axes.imshow(
        density.T,
        origin="lower",
        extent=extent,
        aspect="auto",
        norm="log",
        cmap="viridis",
    )
    picture.set_clim(1e-5, 3e-2)
    axes.set_title(style.LABELS[method])
for axes in panels[1]:
    axes.set_xlabel("x")
for axes in panels[:, 0]:
    axes.set_ylabel("y")
figure.colorbar(picture, ax=panels, label="share of states", shrink=0.8)
plt.show()

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-ratio", "caption": "Distance from the truth, over the distance between two true samples of the same size (dashed: equal). Bars span the seeds. Every method that samples is near the reference, the Markov chain included, so this measure alone does not show that a network has learned more than one token of memory. Decoding greedily and copying one's own past stray far from the truth."}, "image": {"alt": "Dot plot on a logarithmic axis of Wasserstein ratios for seven methods with intervals and a dashed line at one."}}
figure, axes = style.figure(2.9)
figures.ratios(axes, list(short))
plt.show()

# %% [markdown]
# ## What a distance of true from true can mean
#
# Two true samples differ by chance, and by how much depends on their size and on how many
# independent orbits they come from. The paper prints neither, nor the cost. *Cells* measures
# lengths in cells instead of state units.


# %%
def fresh_tokens(n: int, length: int) -> np.ndarray:
    """True orbits that nobody has seen, as tokens."""
    states = simulate(
        system, system.initial_states(n, streams[2]), length, transient=1000
    )
    return grid.encode(states, unseen="nearest")


designs = [(1, 10_000), (10, 1000), (200, 50), (1, 100_000)]
report.sampling(
    fresh_tokens,
    grid,
    designs,
    sampling_pairs,
    [(10, 1000)],
    (euclidean, squared),
)

# %% [markdown]
# ## The Lyapunov exponent
#
# The paper's estimate: mean logarithmic growth $\lambda_n$ of products of n Jacobians, taken
# at the centres of the generated cells, extrapolated by $\lambda + c_1/n + c_2/n^2$ over
# $n = 1, \dots, 15$. The same estimator is applied to true orbits and to true tokens, with
# as many states, so that what it loses by itself is known. Dropping the shortest products
# ($n \ge 5$) removes most of its own bias.

# %%
true_long = simulate(
    system,
    system.initial_states(5 * lyapunov_rollouts, streams[2]),
    lyapunov_steps,
    transient=1000,
).reshape(5, lyapunov_rollouts, lyapunov_steps, system.dim)
growth = {
    "orbit": [
        product_growth(system.jacobian(batch), products) for batch in true_long
    ],
    "tokens": [
        product_growth(
            system.jacobian(grid.decode(grid.encode(batch, unseen="nearest"))),
            products,
        )
        for batch in true_long
    ],
}
for method, samples in long.items():
    jacobians = (system.jacobian(grid.decode(sample)) for sample in samples)
    growth[method] = [product_growth(j, products) for j in jacobians]

# %% tags=["hide-input"]
for method, samples in growth.items():
    name = "lyapunov_model" if method == "model" else f"{method}_lyapunov"
    over = "batches" if method in ("orbit", "tokens") else "seeds"
    for suffix, first in (("", 1), ("_fit5", 5)):
        record.metric(
            name + suffix,
            [fit_exponent(each, first) for each in samples],
            over=over,
            unit="nats/iteration",
            tolerance=0.02,
        )

names = {
    "orbit_lyapunov": "true orbits",
    "tokens_lyapunov": "true tokens",
    "lyapunov_model": "GPT-2, T = 1",
    "greedy_lyapunov": "GPT-2, greedy",
    "markov_lyapunov": "Markov chain",
    "ngram4_lyapunov": "4-gram",
    "best_ngram_lyapunov": "best n-gram",
}
header = ["", f"n = 1 … {products}, as printed", f"n = 5 … {products}"]
rows = [
    [label, record.show(name, ".4f"), record.show(f"{name}_fit5", ".4f")]
    for name, label in names.items()
]
record.Table(
    header,
    [*rows, ["tangent space", record.show("lyapunov_reference", ".4f"), ""]],
)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-lyapunov", "caption": "The exponent that the paper's estimator finds, with products of all lengths as printed (filled) and without the shortest (open); one mark a seed or batch. The vertical line is the exponent of the map. Rounding true orbits to cell centres moves the estimate about as much as replacing them by the sampled network; decoded greedily, the network's seeds scatter far more widely."}, "image": {"alt": "Dot plot of estimated Lyapunov exponents by source of the states: true orbits, true tokens, GPT-2 sampled and greedy, and n-grams, with a vertical line at the map's exponent."}}
figure, axes = style.figure(3.0)
order = ["orbit", "tokens", *long]
labels = ["true orbits", "true tokens", *(style.LABELS[m] for m in order[2:])]
axes.axvline(lyapunov["value"], color=style.MUTED, linewidth=1)
for row, method in enumerate(order):
    colour = style.COLOURS["true" if method == "orbit" else method]
    name = "lyapunov_model" if method == "model" else f"{method}_lyapunov"
    for suffix, shift, face in (("", -0.15, colour), ("_fit5", 0.15, "none")):
        values = record.metrics()[name + suffix]["samples"]
        axes.plot(
            values, [row + shift] * len(values), "o", markersize=5, color=colour,
            markerfacecolor=face, alpha=0.8,
        )  # fmt: skip
axes.set_yticks(range(len(order)), labels)
axes.invert_yaxis()
axes.set(xlabel="estimated exponent, nats per iteration")
plt.show()

# %% [markdown]
# ## Cycles and forbidden steps
#
# A greedy model is a deterministic map of its context, so it must end in a cycle; the
# question is when. And a sampled model can take steps that no training trajectory took; the
# last row says how often fresh true orbits do.

# %% tags=["hide-input", "view"]
report.cycles(short)
