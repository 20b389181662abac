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
# # A chaotic flow as text: the run
#
# This page is an executed notebook: it simulates the flow, cuts its space into cells, trains
# GPT-2 on the resulting sentences, lets it and its rivals continue the same prompts, and
# measures. What the numbers mean is told in [the Lorenz chapter](../tokens/lorenz.md), in
# [the Rössler chapter](../tokens/rossler.md) and under [what the tables say](../tokens/tables.md).

# %% tags=["parameters", "hide-input"]
# fmt: off
system: str = "lorenz"  # {lorenz, rossler} the flow
tau: float = 0.03  # [1e-6..10] time between two states
n_cells: int = 20  # [2..1000] cells per axis, N
vocabulary: str = "occupied"  # {occupied, grid} tokens for the cells seen, or for all N^3
train_trajectories: int = 12  # [2..] training trajectories, those held out included
test_trajectories: int = 5  # [5..] test trajectories
trajectory_length: int = 3000  # [700..] states a trajectory
validation_trajectories: int = 2  # [0..] training trajectories held out for choices
transient: int = 300  # [100..] steps passed over before states are taken for measuring
data_seed: int = 0  # [0..] seed of the initial states
embedding: str = "factorised"  # {plain, factorised} token embedding
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
n_seeds: int = 1  # [1..64] training seeds
seed: int = 0  # [0..] first training seed
device: str = "auto"  # {auto, cpu, cuda} where to train and generate
temperature: float = 1.0  # [0.05..10] temperature of sampling (0.5 and greedy run beside it)
prompt: int = 100  # [5..600] true tokens before each rollout, k
rollouts: int = 20  # [2..10000] rollouts a method
rollout_steps: int = 200  # [130..100000] states generated a rollout
prompt_batches: int = 2  # [1..50] batches of so many rollouts, from prompts of their own
true_batches: int = 10  # [2..100] batches of fresh true trajectories, used in pairs
sampling_pairs: int = 2  # [2..100] pairs of samples behind each distance of true from true
conditions: int = 10  # [5..10000] test prompts for the divergence time
shadow_samples: int = 5000  # [100..] states drawn around each prompt's first state
horizon: int = 150  # [10..100000] longest divergence time, in steps
pairs: int = 10  # [10..100000] test trajectories for the growth of differences
pair_steps: int = 200  # [20..100000] states after each prompt for it
test_windows: int = 256  # [64..1000000] windows of test tokens for the cross-entropies
reference_orbits: int = 16  # [16..100000] orbits for the reference exponents
reference_steps: int = 300  # [100..] steps of each
longest_ngram: int = 6  # [4..32] longest memory of the n-grams
# require: validation_trajectories < train_trajectories
# require: width % heads == 0
# require: 2 * prompt_batches <= true_batches
# require: transient + prompt + rollout_steps <= trajectory_length
# require: transient + prompt + horizon <= trajectory_length
# require: transient + prompt + pair_steps <= trajectory_length
# require: transient + context + context // 2 + longest_ngram + prompt < trajectory_length
# fmt: on

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.measure.distribution import Reference
from dynlib.measure.separation import growth_rate, mean_separation
from dynlib.report import record, style
from dynlib.report import tokens as report
from dynlib.report.figures import tokens as figures
from dynlib.report.scene import Scene
from dynlib.tokens.generation import Generators
from dynlib.tokens.gpt import GPTConfig, generate, next_probabilities
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order, context_curves
from dynlib.tokens.parroting import parrot, recall
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.shadowing import (
    divergence_steps,
    find_shadows,
    true_divergence_steps,
)
from dynlib.tokens.windows import random_windows
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
# Initial states, $\tau$ and lengths are the paper's, the transient included; the preset says
# how many trajectories. The grid runs from the smallest to the largest value of the training
# data on each axis; a *token* is a cell that the training data visit. Some training
# trajectories are held out: settings were chosen on them, never on the test set.

# %%
flow = {"lorenz": Lorenz(), "rossler": Rossler()}[system]
time_map = TimeMap(flow, tau)
streams = np.random.default_rng(data_seed).spawn(6)
train_states = simulate(
    time_map,
    flow.initial_states(train_trajectories, streams[0]),
    trajectory_length,
)
test_states = simulate(
    time_map,
    flow.initial_states(test_trajectories, streams[1]),
    trajectory_length,
)
grid = Grid.fit(train_states, n_cells, vocabulary)
tokens = grid.encode(train_states)
n_learn = train_trajectories - validation_trajectories
learn = tokens[:n_learn]
held_out = tokens[n_learn:] if validation_trajectories else None
test = grid.encode(test_states, unseen="nearest")
del train_states
print(f"{grid.vocabulary} of {n_cells**grid.dim} cells are visited")


def fresh_states(n: int, length: int) -> np.ndarray:
    """True trajectories that nobody has seen, the start dropped at random times."""
    start = simulate(
        time_map, flow.initial_states(n, streams[2]), transient + 1
    )
    later = simulate(time_map, start[:, -1], length + transient)
    first = streams[2].integers(0, transient, n)
    return np.stack(
        [row[s : s + length] for row, s in zip(later, first, strict=True)]
    )


def fresh(n: int, length: int) -> np.ndarray:
    """The same as tokens."""
    return grid.encode(fresh_states(n, length), unseen="nearest")


# %% tags=["hide-input"]
record.metric("vocabulary", grid.vocabulary, tolerance=0.02)
record.metric("vocabulary_grid", n_cells**grid.dim, tolerance=0.0)
record.metric("train_tokens", learn.size, tolerance=0.0)
record.metric(
    "stay_fraction", (test[:, 1:] == test[:, :-1]).mean(), tolerance=0.05
)

# %% [markdown]
# ## Exponents
#
# All Lyapunov exponents from the tangent space, in nats per unit of time. Every value is the
# mean over a group of orbits; there are sixteen groups.

# %%
exponents = tangent_exponents(
    time_map,
    fresh_states(reference_orbits // 16 * 16, 1)[:, 0],
    reference_steps,
    alignment=100,
).reshape(16, -1, flow.dim)

# %% tags=["hide-input"]
lyapunov = record.metric(
    "lyapunov_reference",
    exponents[..., 0].mean(axis=1),
    over="trajectories",
    unit="nats/time",
    tolerance=0.02,
)
record.metric(
    "inverse_lyapunov",
    1 / exponents[..., 0].mean(axis=1),
    over="trajectories",
    unit="time",
    tolerance=0.02,
)
record.metric("entropy_rate", lyapunov["value"] * tau, unit="nats/token")
if system == "lorenz":  # sigma and rho as the paper prints them
    swapped = TimeMap(Lorenz(sigma=28.0, rho=10.0), tau)
    start = simulate(
        swapped, flow.initial_states(16, streams[4]), 1, transient=2000
    )
    record.metric(
        "printed_parameters_lyapunov",
        tangent_exponents(swapped, start[:, 0], 1000, alignment=100)[:, 0],
        over="trajectories",
        unit="nats/time",
        tolerance=0.05,
    )
record.Table(
    ["", "exponent"],
    [
        ["largest", record.show("lyapunov_reference", ".4f")],
        *[
            [name, f"{np.median(exponents[..., i].mean(axis=1)):.4f}"]
            for name, i in (("second", 1), ("third", 2))
        ],
        [
            "inverse of the largest, time units",
            record.show("inverse_lyapunov", ".3f"),
        ],
    ],
)

# %% [markdown]
# ## Training
#
# The loop is {func}`dynlib.tokens.training.train`. Losses are in nats per token: the training
# loss over all positions of the context, the validation loss over its second half.

# %%
model_config = GPTConfig(
    grid.vocabulary, layers, heads, width, context, dropout, embedding
)
trained = train_seeds(
    learn, grid.cells, model_config, training, seeds,
    name=f"{system}-{n_cells}", validation=held_out, device=device,
)  # fmt: skip
models = [each.model for each in trained]

# %% tags=["hide-input"]
report.training(trained, seeds)

# %% [markdown]
# ## What a longer memory buys
#
# Tokens of test trajectories, predicted from the last 1, 2, 3, … tokens before them. The
# n-grams count what followed in the training set; their memory is chosen on the held-out
# trajectories. By Pesin's formula the entropy of the flow per token is its positive exponent
# times $\tau$: what no model with the whole past could beat, if the cells told all orbits apart.

# %%
counts = NGram(learn, longest_ngram, grid.vocabulary)
targets = context - context // 2  # the second half of the context is predicted
best = 4
if held_out is not None:
    best = best_order(counts, held_out, targets, test_windows, first=prompt)
report.prediction(models, counts, best, test, test_windows, first=prompt)
lengths, networks, ngrams = context_curves(
    models, counts, test, test_windows // 4, first=prompt
)
report.context(lengths, networks)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-context", "caption": "Cross-entropy of the next token against the number of tokens seen, all on the same test targets. Both go on improving far beyond four tokens; counting stops when its contexts become too rare."}, "image": {"alt": "Curves of cross-entropy against context length on a logarithmic axis, falling, for n-grams and for GPT-2, far above a horizontal line, the Pesin entropy rate."}}
figure, axes = style.figure(3.4)
figures.context_curves(
    axes, lengths, networks, ngrams, record.metrics()["entropy_rate"]["value"]
)
axes.set_ylim(bottom=0)
plt.show()

# %% [markdown]
# ## Rollouts
#
# Every method continues the same prompts of true tokens, taken at random times of the test
# trajectories (GPT-2 sees the last {res}`:context` of them). GPT-2 decodes at temperature 1,
# at 0.5, and greedily, as the paper does (T → 0). Beside it stand n-grams with one token of
# memory (the Markov chain), with four, and with as many as predict best, and two copyists that
# learn nothing: the *context parrot* copies what followed the longest match in its own past,
# the *training replay* does so in the training data. The replay's states are true ones, so its
# distance from the truth is chance alone.

# %%
chains = {
    "markov": counts.shorter(1),
    "ngram4": counts.shorter(4),
    "best_ngram": counts.shorter(best),
}
generators = Generators(models, chains, learn, grid.centres, seeds, workers)
matched = random_windows(
    test[:, transient:],
    prompt + rollout_steps,
    prompt_batches * rollouts,
    [data_seed, 1],
)
prompts, continuations = matched[:, :prompt], matched[:, prompt:]


def in_batches(tokens: np.ndarray) -> list[np.ndarray]:
    """Rollouts of all prompts as one array a batch."""
    return np.split(tokens, prompt_batches)


# Each batch of prompts is continued by one of the seeds, in turn.
sampled = [
    generate(
        models[p % n_seeds],
        batch,
        rollout_steps,
        temperature=temperature,
        seed=seed + p,
    )
    for p, batch in enumerate(in_batches(prompts))
]
first = prompts[:rollouts]
half_way, greedy = (
    [generate(models[0], first, rollout_steps, temperature=t, seed=seed)]
    for t in (0.5, 0.0)
)
short = {
    "model": sampled,
    "half": half_way,
    "greedy": greedy,
    **{
        name: in_batches(chain.generate(prompts, rollout_steps, seed=seed))
        for name, chain in chains.items()
    },
    "parrot": [parrot(first, rollout_steps, grid.centres)],
    "recall": in_batches(recall(learn, prompts, rollout_steps)),
}

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-scheme", "caption": "The scheme, with cells, probabilities and continuation of this run. A trajectory (upper left) becomes the row of cells that it visits, a sentence of tokens (upper right, later is stronger). GPT-2 gives each token a probability to come next (lower left, likelier is stronger; the cross is where the trajectory does go). One of them is taken, its centre is the next state, and so on (lower right: the trajectory without colour, the centres that GPT-2 writes in colour)."}, "image": {"alt": "Four panels of the same stretch of a trajectory: as a curve over a grid, as shaded cells, with the probabilities of the next cell, and with its continuation."}}
plane = (
    [0, 2] if system == "lorenz" else [0, 1]
)  # seen from the side, from above
side, low = grid.cell_size[plane], grid.low[plane]
row = int(np.argmax(np.abs(np.diff(grid.decode(first)[:, -9:, 0])).sum(axis=1)))
past, future = grid.decode(prompts[row, -12:]), continuations[row, :18]


def shade(axes, cells: np.ndarray, strength: np.ndarray, method: str) -> None:
    """Fill cells, given by their centres, the stronger the darker."""
    corners = cells[:, plane] - side / 2
    squares = [Rectangle(corner, *side) for corner in corners]
    axes.add_collection(
        PatchCollection(
            squares,
            facecolor=style.COLOURS[method],
            alpha=strength,
            linewidth=0,
        )
    )


following = next_probabilities(models[0], prompts[[row]])[0]
likely = np.argsort(following)[-8:]
before = grid.decode(prompts[row, -12:])[:, plane]
figure, panels = style.figure(5.0, 2, 2, sharex=True, sharey=True)
panels[0, 0].plot(*before.T, ".-", color=style.INK)
panels[0, 0].set_title("a trajectory …")
shade(panels[0, 1], past, np.linspace(0.2, 0.9, len(past)), "model")
panels[0, 1].set_title("… is a sentence of cells")
panels[1, 0].plot(*before.T, ".-", color=style.MUTED, linewidth=1)
strength = following[likely] / following[likely[-1]]
shade(
    panels[1, 0], grid.centres[likely], np.clip(strength, 0.08, 0.9), "greedy"
)
panels[1, 0].plot(*grid.decode(future[:1])[:, plane].T, "x", color=style.INK)
panels[1, 0].set_title("what comes next?")
panels[1, 1].plot(*before.T, ".-", color=style.MUTED, linewidth=1)
panels[1, 1].plot(*grid.decode(future)[:, plane].T, ".-", color=style.INK)
written = grid.decode(short["model"][0][row, : len(future)])[:, plane]
panels[1, 1].plot(*written.T, "o", color=style.COLOURS["model"], markersize=4)
panels[1, 1].set_title("one after the other")
seen = np.concatenate([before, grid.decode(future)[:, plane], written])
for axes in panels.flat:
    for i, ticks in enumerate((axes.set_xticks, axes.set_yticks)):
        first, last = (
            seen[:, i].min() - 2.5 * side[i],
            seen[:, i].max() + 2.5 * side[i],
        )
        lines = low[i] + side[i] * np.arange(n_cells + 1)
        ticks(lines[(lines > first) & (lines < last)], [])
    axes.tick_params(length=0)
    axes.grid(linewidth=0.4)
panels[0, 0].set_xlim(
    seen[:, 0].min() - 2.5 * side[0], seen[:, 0].max() + 2.5 * side[0]
)
panels[0, 0].set_ylim(
    seen[:, 1].min() - 2.5 * side[1], seen[:, 1].max() + 2.5 * side[1]
)
plt.show()

# %% [markdown]
# ## Trajectories: their Figure 2
#
# One prompt, continued by the system, by GPT-2 sampled, and by GPT-2 decoded greedily.

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-trajectories", "caption": "The continuation of one prompt, seen from one side: the true one and those that GPT-2 writes, sampled and greedily. All start from the same tokens; chaos parts them. Sampled, the shape stays."}, "image": {"alt": "Three panels, projections of three trajectories: the true continuation, GPT-2 sampled at temperature one, and GPT-2 decoded greedily."}}
paths = {
    "true": grid.decode(continuations[row]),
    "model": grid.decode(short["model"][0][row]),
    "greedy": grid.decode(short["greedy"][0][row]),
}
figure, panels = style.figure(2.4, 1, 3, sharex=True, sharey=True)
for axes, (method, path) in zip(panels, paths.items(), strict=True):
    axes.plot(*path[:, plane].T, color=style.COLOURS[method], linewidth=0.8)
    axes.set_title(style.LABELS[method])
    axes.set_xlabel("x")
panels[0].set_ylabel(flow.names[plane[1]])
plt.show()

# %% tags=["hide-input", "view"]
Scene(
    paths,
    axes=flow.names,
    alt="The true continuation of a prompt and two by GPT-2",
)

# %% [markdown]
# ## Distributions: their Table I
#
# Exact Wasserstein distances between cell centres, one weight a cell. The reference is the
# distance between two batches of *fresh* true trajectories of the same size; a ratio of one
# means that generated states are as far from true ones as true ones are from each other.
# Every batch of prompts gives one value; batches are independent of each other.
# *Matched* compares with the true continuations of the very prompts instead, which is most
# likely what the paper did.

# %%
batches = np.stack(
    [fresh(rollouts, rollout_steps) for _ in range(true_batches // 2 * 2)]
)
euclidean = Reference(batches, grid.centres, "euclidean")
squared = Reference(batches, grid.centres, "squared")

# %% tags=["hide-input"]
true_continuations = np.stack(in_batches(continuations))
report.rollouts(
    short, euclidean, squared, true_continuations, learn, with_squared=["model"]
)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-ratio", "caption": "Distance from the truth, over the distance between two true samples of the same size (dashed: equal). The training replay copies true trajectories: its distance from one is chance. Where the Markov chain is near one as well, this measure does not show that a network has learned more than one token of memory."}, "image": {"alt": "Dot plot on a logarithmic axis of Wasserstein ratios for eight methods with a dashed line at one."}}
figure, axes = style.figure(3.1)
figures.ratios(axes, list(short))
plt.show()

# %% [markdown]
# ## What a distance of true from true can mean
#
# Two true samples differ by chance, and by how much depends on their size and on how many
# independent trajectories they come from. The paper prints neither, nor the cost. The last
# row but one is two halves of a test set as long as ours. *Cells* measures lengths in cells instead of
# state units.

# %%
half = (max(1, test_trajectories // 2), trajectory_length)
designs = [(1, 10_000), (10, 1000), (200, 50), (1, 100_000), half]
sampled = report.sampling(
    fresh, grid, designs, sampling_pairs, [(10, 1000)], (euclidean, squared)
)
record.metric(
    "sampling_half_test_w1",
    record.metrics()[f"sampling_{half[0]}x{half[1]}_w1"]["samples"],
    over="batches",
    tolerance=0.5,
)
sampled

# %% [markdown]
# ## Cycles and forbidden steps
#
# A greedy model is a deterministic map of its context, so it must end in a cycle; the question
# is when. No method can leave the cells seen in training, but a sampled model can take steps
# between them that no training trajectory took; the last row says how often fresh true
# trajectories do.

# %% tags=["hide-input", "view"]
report.cycles(short)

# %% [markdown]
# ## Divergence times
#
# How long does a continuation stay one that a true trajectory writes? For each test prompt,
# states are drawn around its first state, and those whose trajectories write the whole prompt
# are kept ({func}`dynlib.tokens.shadowing.find_shadows`). The divergence time is that of the
# longest match between the continuation and any of them. Everything is decoded greedily, as in
# the paper, except where it says T = 1. *True pair* is one of the kept trajectories in place of
# the continuation: what a perfect writer of true trajectories would reach.

# %%
rng = streams[3]
origin = np.arange(conditions) % test_trajectories
begin = rng.integers(
    transient, trajectory_length - prompt - horizon + 1, conditions
)
shadows = [
    find_shadows(
        time_map, grid, test_states[o, b], prompt, lyapunov["value"],
        samples=shadow_samples, seed=c,
    )
    for c, (o, b) in enumerate(zip(origin, begin, strict=True))
]  # fmt: skip
orbits = [s.continuations(time_map, grid, prompt, horizon) for s in shadows]
asked = test[origin[:, None], begin[:, None] + np.arange(prompt)]

greedy, drawn = generators.networks(asked, horizon, (0.0, 1.0))
orders = {1, 2, 3, 4, 6, 8, 12, 16, best} & set(range(1, longest_ngram + 1))
orders = sorted(orders)
counting = {
    k: counts.shorter(k).generate(asked, horizon, temperature=0) for k in orders
}
continued = {
    "model": greedy,
    "sampled": drawn,
    "markov": [counting[1]],
    "ngram4": [counting[4]],
    "best_ngram": [counting[best]],
    **generators.copying(asked, horizon),
}
matches = {
    method: [divergence_steps(orbits, sample) for sample in samples]
    for method, samples in continued.items()
}
matches["true"] = [true_divergence_steps(orbits)]

# %% tags=["hide-input"]
record.metric("conditions", conditions, tolerance=0.0)
record.metric(
    "conditions_without_shadow",
    sum(s.accepted == 0 for s in shadows),
    tolerance=1.0,
)
record.metric(
    "conditions_shrunk", sum(s.clouds > 1 for s in shadows), tolerance=1.0
)
record.metric(
    "acceptance_rate",
    [s.rate for s in shadows],
    over="conditions",
    tolerance=1.0,
)
record.metric(
    "acceptance_rate_mean", np.mean([s.rate for s in shadows]), tolerance=1.0
)
groups = np.array_split(np.arange(test_trajectories), 5)
for method, samples in matches.items():
    name = record.named(method, "divergence_time")
    steps_matched = np.nanmean(samples, axis=0)  # over training seeds
    record.metric(
        name,
        [
            tau * np.nanmean(steps_matched[np.isin(origin, group)])
            for group in groups
        ],
        over="batches",
        unit="time",
        tolerance=0.6,
    )
    record.metric(
        f"{name}_mean",
        tau * np.nanmean(steps_matched),
        unit="time",
        tolerance=0.6,
    )
    record.metric(
        f"{name}_censored",
        int(np.nansum(steps_matched >= horizon)),
        tolerance=1.0,
    )
labels = style.LABELS | {"model": "GPT-2, greedy", "sampled": "GPT-2, T = 1"}
labels["true"] = "true pair"
record.Table(
    ["", "divergence time", "mean over all prompts", "never diverged"],
    [
        [
            labels[method],
            record.show(record.named(method, "divergence_time")),
            record.show(record.named(method, "divergence_time_mean")),
            record.show(record.named(method, "divergence_time_censored")),
        ]
        for method in matches
    ],
)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-accuracy", "caption": "Mean number of steps until a greedy continuation matches no true trajectory that was found, against the accuracy a of predicting the next token: n-grams with 1, 2, 3, … tokens of memory, and GPT-2. The line is a / (1 - a), the mean number of right guesses in a row if each were right with probability a."}, "image": {"alt": "Scatter of mean matched steps against accuracy for n-grams and GPT-2, rising along the curve a over one minus a."}}
figure, axes = style.figure(3.2)
accuracy = np.linspace(0.4, 0.97, 200)
axes.plot(accuracy, accuracy / (1 - accuracy), color=style.MUTED, linewidth=1)
metrics = record.metrics()
right = [metrics[f"ngram{k}_top1_accuracy"]["value"] for k in orders]
reached = [np.mean(divergence_steps(orbits, counting[k])) for k in orders]
axes.plot(right, reached, "s", color=style.COLOURS["ngram4"], markersize=5)
for k, x, y in zip(orders, right, reached, strict=True):
    if right[-1] - x > 0.03 or k == orders[-1]:  # the others crowd there
        style.note(axes, x, y, str(k), "ngram4", offset=(-4, 8), ha="right")
for each, steps_matched in zip(
    metrics["top1_accuracy"]["samples"], matches["model"], strict=True
):
    axes.plot(
        each,
        np.mean(steps_matched),
        "o",
        color=style.COLOURS["model"],
        markersize=7,
    )
style.note(
    axes,
    each,
    np.mean(steps_matched),
    "GPT-2",
    "model",
    offset=(9, -26),
    ha="left",
)
axes.set(
    xlabel="accuracy a of the next token", ylabel="steps until divergence",
    yscale="log",
)  # fmt: skip
plt.show()

# %% [markdown]
# ## The growth of differences: their Figure 3
#
# Test trajectories and their continuations by GPT-2, decoded greedily as in the paper, from the
# first {param}`@run:prompt` states; and *true pairs*, the trajectories of other initial states
# that write the same prompt.

# %%
origin = np.arange(pairs) % test_trajectories
begin = rng.integers(
    transient, trajectory_length - prompt - pair_steps + 1, pairs
)
span = begin[:, None] + np.arange(prompt + pair_steps)
real = test_states[origin[:, None], span]
written = generate(
    models[0],
    test[origin[:, None], span[:, :prompt]],
    pair_steps,
    temperature=0.0,
)
written = grid.decode(
    np.concatenate([test[origin[:, None], span[:, :prompt]], written], axis=1)
)
found = [
    find_shadows(
        time_map, grid, states[0], prompt, lyapunov["value"],
        samples=max(shadow_samples // 10, 1000), wanted=1, seed=c,
    )
    for c, states in enumerate(real)
]  # fmt: skip
paired = np.array([s.accepted > 0 for s in found])
twins = time_map.orbits(
    np.stack([s.initial[-1] for s in found]), prompt + pair_steps
)
others = fresh_states(pairs, prompt + pair_steps)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-@run-separation", "caption": "Mean distance between two trajectories with the same first tokens (up to the dotted line): continued by GPT-2 and the truth, and a true pair. The dashed line is the mean distance of independent trajectories; shaded is the range in which slopes are measured, and the thin straight line grows at the Lyapunov exponent. True pairs start far closer than a cell is wide, so that it takes them longer to be as far apart."}, "image": {"alt": "Two curves of mean distance against time on a logarithmic axis: that of GPT-2 rises right after the prompt, that of true pairs much later; both approach a dashed line."}}
spread = mean_separation(real, others).mean()
bounds = (2 * grid.cell_size.max(), spread / 5)
times = tau * np.arange(prompt + pair_steps)
curves = {
    "model": mean_separation(written, real),
    "pair": mean_separation(twins[paired], real[paired]),
}
record.metric("pair_failures", int((~paired).sum()), tolerance=1.0)
record.metric("pair_spread", spread, unit="state", tolerance=0.1)
for method, (a, kept) in {
    "model": (written, np.arange(pairs)),
    "true": (twins, np.flatnonzero(paired)),
}.items():
    parts = [kept[np.isin(origin[kept], group)] for group in groups]
    rates = [
        growth_rate(mean_separation(a[part], real[part])[prompt:], tau, *bounds)
        for part in parts
        if len(part)
    ]
    rates = [rate for rate in rates if rate is not None]
    name = record.named(method, "separation_slope")
    record.metric(
        name, rates or None, over="batches", unit="1/time", tolerance=1.0
    )
    record.metric(f"{name}_failures", len(groups) - len(rates), tolerance=5.0)

figure, axes = style.figure(3.4)
axes.axhspan(*sorted(bounds), color=style.GRID, alpha=0.4, linewidth=0)
axes.axhline(spread, color=style.MUTED, linestyle="--", linewidth=1)
axes.axvline(prompt * tau, color=style.MUTED, linestyle=":", linewidth=1)
for method, curve in curves.items():
    axes.plot(times, curve, color=style.COLOURS[method])
for height, text, method in (
    (0.14, "GPT-2 and truth", "model"),
    (0.05, "a true pair", "pair"),
):
    axes.text(
        0.98, height, text, transform=axes.transAxes, ha="right",
        color=style.COLOURS[method], fontsize=10,
    )  # fmt: skip
late = np.flatnonzero(curves["pair"] > bounds[0])
if len(late):
    guide = times[
        max(0, late[0] - int(2 / lyapunov["value"] / tau)) : late[0] + 1
    ]
    axes.plot(
        guide,
        0.4 * bounds[0] * np.exp(lyapunov["value"] * (guide - guide[-1])),
        color=style.INK,
        linewidth=1,
    )
axes.set(yscale="log", xlabel="time", ylabel="mean distance")
axes.set_ylim(top=3 * spread)
plt.show()

# %% tags=["hide-input", "view"]
record.Table(
    ["", "slope, 1/time", "groups without one"],
    [
        [
            label,
            record.show(record.named(method, "separation_slope"), ".3f"),
            record.show(record.named(method, "separation_slope_failures")),
        ]
        for method, label in (
            ("model", "GPT-2 and truth"),
            ("true", "true pair"),
        )
    ]
    + [["Lyapunov exponent", record.show("lyapunov_reference", ".3f"), ""]],
)
