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
# # A system of your own: the run
#
# Is your system one that a language model reads well, one that a small network learns to step, or
# one that a polynomial already knows? Write it down in ten lines of Python and run this notebook:
# it shows your system as tokens and as a map.
#
# This page is an executed notebook. [The chapter](../beyond/your_system.md) explains how to use it,
# what came out for the default system, and what to expect of another.

# %% tags=["parameters", "hide-input"]
# fmt: off
system: str = "own"  # {own, lorenz, rossler, henon, dysts} what to study
tau: float = 0.0  # [0..1000] time between two states of a flow; 0: that of the system
n_cells: int = 20  # [2..1000] cells per axis
steps: int = 60  # [1..] optimiser steps of GPT-2
network_steps: int = 40  # [1..10000000] steps of the networks
# advanced
train_trajectories: int = 12  # [4..] trajectories to learn from, those held out included
test_trajectories: int = 5  # [1..] test trajectories
trajectory_length: int = 1500  # [300..] states a trajectory
transient: int = 500  # [0..1000000] steps passed over (none if the system comes to rest)
data_seed: int = 0  # [0..] seed of the initial states
reference_orbits: int = 8  # [8..100000] orbits for the exponents
reference_steps: int = 1000  # [100..] steps of each
longest_ngram: int = 6  # [1..32] longest memory of the n-grams
layers: int = 1  # [1..] self-attention layers
heads: int = 2  # [1..] attention heads a layer
width: int = 32  # [1..] width of the representation
context: int = 16  # [2..] longest input in tokens
batch_size: int = 16  # [1..] windows a step
learning_rate: float = 8e-3  # [1e-9..1] peak learning rate
test_windows: int = 256  # [64..1000000] windows of test tokens for the cross-entropies
prompt: int = 60  # [5..600] true tokens before each token rollout
rollouts: int = 20  # [2..10000] token rollouts of a batch
rollout_steps: int = 150  # [130..100000] tokens of each
prompt_batches: int = 2  # [1..50] batches of them, from prompts of their own
degree: int = 5  # [1..9] degree of the polynomial map
branches: int = 2  # [1..100] branches of the structured network
pairs_learnt: int = 1000  # [50..10000000] pairs of states for the one-step models
pairs_batch: int = 200  # [10..1000000] pairs a step of the networks
initial_weights: int = 2  # [1..1000] initial weights tried a seed
start_steps: int = 10  # [1..100000] steps of each try
n_seeds: int = 2  # [1..64] training seeds of the networks (GPT-2 has one)
seed: int = 0  # [0..] first training seed
reservoir_units: int = 100  # [10..10000] units of the reservoir
n_starts: int = 8  # [2..100000] fresh starts of forecasts
horizon: int = 150  # [10..100000] steps of a forecast
device: str = "auto"  # {auto, cpu, cuda} where networks train
# require: width % heads == 0
# require: prompt + rollout_steps <= trajectory_length
# require: context + context // 2 + longest_ngram < trajectory_length
# require: longest_ngram <= prompt
# require: pairs_learnt % pairs_batch == 0
# require: pairs_learnt <= (train_trajectories - train_trajectories // 4) * (trajectory_length - 1)
# fmt: on

# %% [markdown]
# ## Your ten lines
#
# A differential equation is a function from the coordinates to their rates of change. For a map,
# write a function from the coordinates to the next ones, and `OwnMap`. The coordinates are numbers,
# and numba compiles the function: use arithmetic, functions of `math` and `numpy`, `if`. The start
# lies about where trajectories begin. The default is Halvorsen's attractor, a flow that neither
# paper has.

# %%
from dynlib.dynamics.own import OwnFlow, OwnMap, prepared  # noqa: F401
from dynlib.dynamics.systems.catalogue import from_dysts


def rates(x, y, z):
    a, b = 1.4, 4.0
    return (
        -a * x - b * y - b * z - y * y,
        -a * y - b * z - b * x - z * z,
        -a * z - b * x - b * y - x * x,
    )


yours = OwnFlow(rates, names=("x", "y", "z"), start=(-6.0, -2.0, 1.0))
your_tau = 0.03
dysts_name = "Thomas"  # for system = "dysts", where dysts is installed

# %% tags=["hide-input"]
import numpy as np
import torch
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.pairs import pairs
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.reservoir import fit_reservoir
from dynlib.measure.distribution import Reference
from dynlib.measure.rollout import spread as rms_spread
from dynlib.networks.count import total
from dynlib.networks.ensembles import train_all
from dynlib.networks.ffnn import widths_of_size
from dynlib.networks.recipes import Architecture, Recipe
from dynlib.networks.scores import rollout
from dynlib.report import own as own_report
from dynlib.report import record, style
from dynlib.report import tokens as report
from dynlib.report.figures import own as figures
from dynlib.tokens.gpt import GPTConfig, generate
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order, context_curves
from dynlib.tokens.parroting import recall
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.training.device import resolve_device

style.use_style()
record.clear()
torch.set_num_threads(1)
device = resolve_device(device)
seeds = list(range(seed, seed + n_seeds))
record.context(device=device, threads=1, seeds=seeds)

# %% [markdown]
# ## Trajectories
#
# The system is tried out first. If a trajectory grows without bound, is not finite or is constant,
# an error stops the notebook here and says what to change.

# %%
known = {
    "own": lambda: (yours, your_tau),
    "lorenz": lambda: (Lorenz(), 0.03),
    "rossler": lambda: (Rossler(), 0.1),
    "henon": lambda: (Henon(), 1.0),
    "dysts": lambda: from_dysts(dysts_name),
}
chosen, own_tau = known[system]()
flow = not hasattr(chosen, "step")
step_map = prepared(chosen, tau or own_tau)
tau = step_map.tau if flow else 1.0
dim, names = step_map.dim, chosen.names
streams = np.random.default_rng(data_seed).spawn(6)


def trajectories(n: int, length: int, stream: int, skip: int) -> np.ndarray:
    """`n` new trajectories (n, length, dim), `skip` steps after their initial states."""
    initial = chosen.initial_states(n, streams[stream])
    return simulate(step_map, initial, length, transient=skip)


# %% [markdown]
# A motion that still decays or grows after the transient is not an attractor, and the page says so.
# If the system comes to rest, everything below starts at the initial states instead.

# %%
first = trajectories(8, trajectory_length, 5, 0)
late = trajectories(24, 2 * trajectory_length, 5, transient)
at_rest = own_report.rests(late[:8, :trajectory_length], first)
settling = "" if at_rest else own_report.settling(late, names)
skip = 0 if at_rest else transient
states = trajectories(train_trajectories, trajectory_length, 0, skip)
test_states = trajectories(test_trajectories, trajectory_length, 1, skip)
n_learn = train_trajectories - train_trajectories // 4
spread = rms_spread(states)
own_report.record_system(dim, tau, spread, at_rest, settling)

# %% tags=["hide-input", "view"]
if at_rest:
    print("It comes to rest: everything below starts at the initial states.")
if settling:
    print(f"This is not an attractor yet: {settling}.")

# %% [markdown]
# ## Lyapunov exponents
#
# The exponents are measured in the tangent space, in nats per unit of time (per iteration of a
# map), over eight groups of orbits. Where the largest is positive, its inverse is the *Lyapunov
# time*, the unit of valid times below, and by Pesin's formula the positive ones together are the
# entropy per unit of time.

# %%
orbits = trajectories(reference_orbits, 1, 2, skip)[:, 0]
exponents = tangent_exponents(
    step_map, orbits, reference_steps, alignment=0 if at_rest else 100
)
chaotic = own_report.grows(exponents[:, 0], reference_steps, tau)
groups = np.stack([part.mean(0) for part in np.array_split(exponents, 8)])
record.metric("chaotic", int(chaotic), tolerance=0.0)
exponent_words = own_report.exponents(groups)
lyapunov = record.metrics()["lyapunov_1"]["value"] if chaotic else None
inverse = 1 / groups[:, 0] if chaotic else None
record.metric(
    "lyapunov_time", inverse, over="trajectories", unit="time", tolerance=0.05
)
if not chaotic:
    record.metric("lyapunov_time_failures", len(groups), tolerance=0.0)
entropy = tau * np.median(groups, axis=0).clip(min=0).sum() if chaotic else 0
record.metric("entropy_rate", float(entropy), unit="nats/token")

# %% tags=["hide-input", "view"]
own_report.exponent_table(exponent_words)

# %% [markdown]
# ## Tokens
#
# The grid runs from the smallest to the largest value of the training data on each axis; a
# *token* is a cell that they visit. A quarter of the training trajectories is held out.

# %%
grid = Grid.fit(states, n_cells)
tokens = grid.encode(states)
learn, held_out = tokens[:n_learn], tokens[n_learn:]
test = grid.encode(test_states, unseen="nearest")
record.metric("vocabulary", grid.vocabulary, tolerance=0.02)
record.metric("train_tokens", learn.size, tolerance=0.0)
print(f"{grid.vocabulary} of {n_cells**dim} cells are visited")

# %% [markdown]
# GPT-2 learns to predict the next token. Its embedding is factorised: cells in the same row of the
# grid share what they learn.

# %%
shape = GPTConfig(
    grid.vocabulary, layers, heads, width, context, embedding="factorised"
)
training = TrainingConfig(
    steps,
    batch_size,
    learning_rate,
    optimizer="muon",
    beta2=0.95,
    epsilon=1e-8,
    weight_decay=0.01,
    schedule="cosine",
    clip=1.0,
)
trained = train_seeds(
    learn,
    grid.cells,
    shape,
    training,
    seeds[:1],
    name=f"your-{system}",
    validation=held_out,
    device=device,
)
model = trained[0].model
report.training(trained, seeds[:1])

# %% [markdown]
# Its rivals only count: an *n-gram* predicts what followed the last tokens in the training data.
# The length of its memory is chosen on the held-out trajectories.

# %%
counts = NGram(learn, longest_ngram, grid.vocabulary)
targets = context - context // 2  # the second half of the context is predicted
best = best_order(counts, held_out, targets, test_windows)
report.prediction([model], counts, best, test, test_windows, first=0)
curves = context_curves([model], counts, test, test_windows // 4)

# %% tags=["hide-input", "view"]
own_report.prediction_table(best)

# %% tags=["hide-input", "view"]
figures.context(*curves, float(entropy))

# %% [markdown]
# ## Text that the models write
#
# Every method continues the same prompts, each from a new trajectory. Distances are Wasserstein
# distances between cell centres, over the distance between two batches of fresh true trajectories
# of the same size. The *training replay* copies training trajectories, so its ratio is chance
# alone.


# %%
def fresh(n: int, length: int) -> np.ndarray:
    """Tokens (n, length) of new trajectories, each from a random time on."""
    paths = trajectories(n, trajectory_length, 3, skip)
    begin = streams[3].integers(0, trajectory_length - length + 1, n)
    parts = [row[b : b + length] for row, b in zip(paths, begin, strict=True)]
    return grid.encode(np.stack(parts), unseen="nearest")


matched = fresh(prompt_batches * rollouts, prompt + rollout_steps)
prompts, continuations = matched[:, :prompt], matched[:, prompt:]
one, some = counts.shorter(1), counts.shorter(best)
written = {
    "model": generate(model, prompts, rollout_steps, seed=seed),
    "markov": one.generate(prompts, rollout_steps, seed=seed),
    "best_ngram": some.generate(prompts, rollout_steps, seed=seed),
    "recall": recall(learn, prompts, rollout_steps),
}
true = fresh(2 * prompt_batches * rollouts, rollout_steps)
batches = true.reshape(2 * prompt_batches, rollouts, rollout_steps)
own_report.record_distances(
    {name: np.split(each, prompt_batches) for name, each in written.items()},
    Reference(batches, grid.centres),
    np.stack(np.split(continuations, prompt_batches)),
    learn,
)

# %% tags=["hide-input", "view"]
text = [grid.decode(row) for row in written["model"][:10]]
figures.attractor(test_states[0], text, names, flow)

# %% tags=["hide-input", "view"]
figures.scene(test_states[0], text[0], names) if dim == 3 and flow else None

# %% [markdown]
# ## One-step models
#
# Four models learn to predict the next state. A polynomial map is fitted by least squares. A
# structured network (StNN) and a plain one of equal size are trained by Levenberg–Marquardt steps
# on the same pairs of states. A reservoir with its standard settings is fitted on one trajectory.
# The structured network needs a power of two: states are padded with zeros, to four coordinates or
# more.

# %%
inputs, successors = pairs(states[:n_learn])
some = streams[4].permutation(len(inputs))[:pairs_learnt]
learnt = inputs[some], successors[some]
padded_to = max(4, 1 << (dim - 1).bit_length())
structured = Architecture(branches=branches, n=padded_to)
size = total(structured.build())
plain = Architecture(widths=widths_of_size(size, n=dim, within=0.1))
recipe = Recipe(
    network_steps, pairs_batch, starts=initial_weights, start_steps=start_steps
)
trained = train_all(
    {"stnn": (structured, recipe, seeds), "control": (plain, recipe, seeds)},
    learnt,
    tuple(each[::10] for each in pairs(states[n_learn:])),
    device=device,
)
polynomial = PolynomialMap.fit(*learnt, degree)
reservoir = fit_reservoir(states[0], reservoir_units)
for name, parameters in {
    "stnn": size,
    "control": total(plain.build()),
    f"polynomial_{degree}": polynomial.parameters,
    "reservoir": reservoir.parameters,
}.items():
    record.metric(f"{name}_parameters", parameters, tolerance=0.0)

# %% [markdown]
# ## Forecasts from fresh starts
#
# Every model feeds on its own predictions. A forecast is valid until it is off by 0.4 of the
# spread. If no exponent is positive, there is no unit for the time until then, and only errors
# count.

# %%
warm = 100  # states that the reservoir hears first
paths = trajectories(n_starts, warm + horizon, 2, skip)
windows, truth = paths[:, :warm], paths[:, warm:]
starts = windows[:, -1]
predictions = {
    name: np.stack([rollout(each.model, starts, horizon) for each in found])
    for name, found in trained.items()
}
predictions[f"polynomial_{degree}"] = polynomial.rollout(windows, horizon)[None]
predictions["reservoir"] = reservoir.rollout(windows, horizon)[None]
predictions["persistence"] = np.broadcast_to(starts[:, None], truth.shape)[None]
for name, found in predictions.items():
    own_report.record_forecast(
        name, found, truth, spread=spread, dt=tau, exponent=lyapunov
    )

# %% tags=["hide-input", "view"]
labels = own_report.labels(predictions, branches)
own_report.forecast_table(labels, horizon)

# %% tags=["hide-input", "view"]
figures.series(predictions, truth[0], states, labels, tau, lyapunov, names[0])

# %% [markdown]
# ## In words
#
# [The chapter](../beyond/your_system.md) discusses these results for the default system.

# %% tags=["hide-input", "view"]
for line in own_report.summary(best, labels, horizon, tau, lyapunov, settling):
    print(line)
