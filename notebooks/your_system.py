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
# one that a polynomial already knows? Write it down in ten lines of Python, or name a file of
# measurements, and run this notebook: it shows your system as tokens and as a map.
#
# This page is an executed notebook. [The chapter](../beyond/your_system.md) explains how to use it,
# what came out for the default system, and what to expect of another.

# %% tags=["parameters", "hide-input"]
system: str = "own"  # {own, lorenz, rossler, henon, dysts} what to study
data: str = ""  # {a file} measurements to study instead: .csv, .npy or .npz; empty: equations
tau: float = 0.0  # [0..1000] time between two states of a flow; 0: that of the system
n_cells: int = 20  # [2..1000] cells per axis
steps: int = 60  # [1..] optimiser steps of GPT-2
# advanced
network_steps: int = 40  # [1..10000000] steps of the networks
dysts_name: str = "Thomas"  # {any text} which flow of dysts, for system = dysts
resample: bool = False  # whether measurements at uneven times are interpolated
train_trajectories: int = 12  # [4..] trajectories to learn from, those held out included
test_trajectories: int = 5  # [1..] test trajectories
trajectory_length: int = 1500  # [300..] states per trajectory
transient: int = 500  # [0..1000000] steps passed over (none if the system comes to rest)
data_seed: int = 0  # [0..] seed of the initial states
reference_orbits: int = 8  # [8..100000] orbits for the exponents
reference_steps: int = 1000  # [100..] steps of each
longest_ngram: int = 6  # [1..32] longest memory of the n-grams
layers: int = 1  # [1..] self-attention layers
heads: int = 2  # [1..] attention heads per layer
width: int = 32  # [1..] width of the representation
context: int = 16  # [2..] longest input in tokens
batch_size: int = 16  # [1..] windows per step
learning_rate: float = 8e-3  # [1e-9..1] peak learning rate
test_windows: int = 256  # [64..1000000] windows of test tokens for the cross-entropies
prompt: int = 60  # [5..600] true tokens before each token rollout
rollouts: int = 20  # [2..10000] token rollouts of a batch
rollout_steps: int = 150  # [130..100000] tokens of each
prompt_batches: int = 2  # [1..50] batches of them, from prompts of their own
degree: int = 5  # [1..9] degree of the polynomial map
branches: int = 2  # [1..100] branches of the structured network
pairs_learnt: int = 1000  # [50..10000000] pairs of states for the one-step models
pairs_batch: int = 200  # [10..1000000] pairs per step of the networks
initial_weights: int = 2  # [1..1000] initial weights tried per seed
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

# %% [markdown]
# ## Your ten lines
#
# A differential equation is a function from the coordinates to their rates of change. For a map,
# write a function from the coordinates to the next ones, and `OwnMap`. The coordinates are numbers,
# and numba compiles the function: use arithmetic, functions of `math` and `np`, `if`. A function
# `f(t, y)` of an array, as for SciPy, will do too. The start lies about where trajectories begin.
# The default is Halvorsen's attractor, a flow that neither paper has.

# %%
import math

import numpy as np
from dynlib.dynamics.own import OwnFlow, OwnMap


def rates(x, y, z):
    a, b = 1.4, 4.0
    return (
        -a * x - b * y - b * z - y * y,
        -a * y - b * z - b * x - z * z,
        -a * z - b * x - b * y - x * x,
    )


yours = OwnFlow(rates, names=("x", "y", "z"), start=(-6.0, -2.0, 1.0))
your_tau = 0.03

# %% tags=["hide-input"]
import torch
from dynlib.measure.distribution import Reference
from dynlib.networks.recipes import Recipe
from dynlib.networks.scores import rollout
from dynlib.report import own as own_report
from dynlib.report import own_models, record, studied, style
from dynlib.report import tokens as report
from dynlib.report.figures import own as figures
from dynlib.tokens.gpt import generate
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order, context_curves
from dynlib.tokens.parroting import recall
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.windows import windows
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
# an error stops the notebook here and says what to change. A motion that still decays or grows
# after the transient is not an attractor, and the page says so. If the system comes to rest,
# everything below starts at the initial states instead. A file of measurements is checked too.

# %%
studied.check_source(data, system)
if data:
    found = studied.measured(data, resample=resample)
else:
    chosen, own_tau = yours, your_tau
    if system != "own":
        chosen, own_tau = studied.named(system, dysts_name)
    sizes = {"length": trajectory_length, "transient": transient}
    own = studied.Equations(chosen, tau or own_tau, seed=data_seed, **sizes)
    found = studied.simulated(own, train_trajectories, test_trajectories)
equations, names, dim, tau = found.equations, found.names, found.dim, found.tau
found.record()

# %% tags=["hide-input", "view"]
for note in found.notes:
    print(note)

# %% [markdown]
# ## Lyapunov exponents
#
# The exponents are measured in the tangent space, in nats per unit of time (per iteration of a
# map), over eight groups of orbits. Where the largest is positive, its inverse is the *Lyapunov
# time*, the unit of valid times below. By Pesin's formula the sum of the positive ones is the
# entropy per unit of time.

# %%
lyapunov = entropy = None
if equations:
    exponents = equations.exponents(reference_orbits, reference_steps)
    chaotic = own_report.grows(exponents[:, 0], reference_steps, tau)
    groups = np.stack([part.mean(0) for part in np.array_split(exponents, 8)])
    exponent_words = own_report.exponents(groups)
    lyapunov, entropy = own_report.record_chaos(groups, chaotic, tau)

# %% tags=["hide-input", "view"]
if not equations:
    print("Exponents need the equations, and here are none. So there is no")
    print("entropy rate to compare with, and forecasts have no valid times.")
own_report.exponent_table(exponent_words) if equations else None

# %% [markdown]
# ## Tokens
#
# The grid runs from the smallest to the largest value of the training data on each axis; a
# *token* is a cell that they visit. A quarter of the training data is held out.

# %%
targets = context - context // 2  # the second half of the context is predicted
cells, lacking = studied.tokenised(
    found, n_cells, context=context, memory=longest_ngram, prompt=prompt
)
if cells:
    grid, learn, held_out, test = cells
    record.metric("vocabulary", grid.vocabulary, tolerance=0.02)
    record.metric("train_tokens", sum(map(len, learn)), tolerance=0.0)
    print(f"{grid.vocabulary} of {n_cells**dim} cells are visited")
else:
    print(f"Tokens, n-grams and GPT-2 are left out: {lacking}.")

# %% [markdown]
# GPT-2 learns to predict the next token. Its embedding is factorised: cells in the same row of the
# grid share what they learn. Its rivals only count: an *n-gram* predicts what followed the last
# tokens in the training data. The length of its memory is chosen on the held-out trajectories.

# %%
best = None
if cells:
    shape, training = own_models.gpt(
        grid.vocabulary,
        (layers, heads, width, context),
        *(steps, batch_size, learning_rate),
    )
    trained = train_seeds(
        *(learn, grid.cells, shape, training, seeds[:1]),
        name="your-data" if data else f"your-{system}",
        validation=held_out,
        device=device,
    )
    model = trained[0].model
    report.training(trained, seeds[:1])
    counts = NGram(learn, longest_ngram, grid.vocabulary)
    best = best_order(counts, held_out, targets, test_windows)
    report.prediction([model], counts, best, test, test_windows, first=0)
    curves = context_curves([model], counts, test, test_windows // 4)

# %% tags=["hide-input", "view"]
own_report.prediction_table(best) if cells else None

# %% tags=["hide-input", "view"]
figures.context(*curves, entropy) if cells else None

# %% [markdown]
# ## Text that the models write
#
# Every method continues the same prompts, each from a new trajectory. Distances are Wasserstein
# distances between cell centres, over the distance between two batches of fresh true trajectories
# of the same size. The *training replay* copies training trajectories, so its ratio is chance
# alone.

# %%
if cells and equations:
    matched = equations.fresh(
        grid, prompt_batches * rollouts, prompt + rollout_steps
    )
    prompts, continuations = matched[:, :prompt], matched[:, prompt:]
    one, some = counts.shorter(1), counts.shorter(best)
    written = {
        "model": generate(model, prompts, rollout_steps, seed=seed),
        "markov": one.generate(prompts, rollout_steps, seed=seed),
        "best_ngram": some.generate(prompts, rollout_steps, seed=seed),
        "recall": recall(learn, prompts, rollout_steps),
    }
    true = equations.fresh(grid, 2 * prompt_batches * rollouts, rollout_steps)
    batches = true.reshape(2 * prompt_batches, rollouts, rollout_steps)
    own_report.record_distances(
        {name: np.split(w, prompt_batches) for name, w in written.items()},
        Reference(batches, grid.centres),
        np.stack(np.split(continuations, prompt_batches)),
        np.stack(learn),
    )
elif cells:
    prompts = windows(test, prompt, 10)[:10]
    written = {"model": generate(model, prompts, rollout_steps, seed=seed)}
    print("Distances from truth need fresh true trajectories, which only")
    print("equations give. GPT-2 continues prompts from the test data.")

# %% tags=["hide-input", "view"]
if cells:
    text = [grid.decode(row) for row in written["model"][:10]]
    longest = max(found.test, key=len)
figures.attractor(longest, text, names, found.flow) if cells else None

# %% tags=["hide-input", "view"]
solid = cells and dim == 3 and found.flow
figures.scene(longest, text[0], names) if solid else None

# %% [markdown]
# ## One-step models
#
# Four models learn to predict the next state. A polynomial map is fitted by least squares. A
# structured network (StNN) and a plain one of equal size are trained by Levenberg–Marquardt steps
# on the same pairs of states. A reservoir with its standard settings is fitted on one trajectory.
# The structured network needs a power of two: states are padded with zeros, to four coordinates or
# more. Measurements that vary smoothly are also given to SINDy, which looks for equations of degree
# two without small coefficients, and to HAVOK, a linear model of delays.

# %%
learnt = found.learnt_pairs(pairs_learnt, pairs_batch, data_seed)
recipe = Recipe(
    network_steps, pairs_batch, starts=initial_weights, start_steps=start_steps
)
trained, lost = own_models.networks(
    found, learnt, branches, recipe, seeds, device
)
models, unfit = own_models.fits(found, learnt, degree, reservoir_units)

# %% tags=["hide-input", "view"]
for note in (*lost, *unfit):
    print(note)
if "sindy_smoothed" in models:
    print(own_report.equations(models["sindy_smoothed"], names))

# %% [markdown]
# ## Forecasts from fresh starts
#
# Every model feeds on its own predictions. A forecast is valid until it is off by 0.4 of the
# spread. If no exponent is positive, there is no unit for the time until then, and only errors
# count. Measurements give starts from the test data, whose forecasts do not overlap.

# %%
warm = 100  # states that the reservoir hears first
heard, truth = found.starts(n_starts, warm, horizon)
horizon, predictions = truth.shape[1], {}
if len(heard):
    now = heard[:, -1]
    for name, each in trained.items():
        paths = [rollout(network.model, now, horizon) for network in each]
        predictions[name] = np.stack(paths)
    for name, fit in models.items():
        predictions[name] = fit.rollout(heard, horizon)[None]
    predictions["persistence"] = np.repeat(now[:, None], horizon, axis=1)[None]
    scale = {"spread": found.spread, "dt": tau, "exponent": lyapunov}
    for name, each in predictions.items():
        own_report.record_forecast(name, each, truth, **scale)
else:
    print("Forecasts are left out: they need a test trajectory of 110 states.")
labels = own_report.labels(predictions, branches)

# %% tags=["hide-input", "view"]
if data and predictions:
    print(f"{len(heard)} starts in the test data, {horizon} steps from each")
own_report.forecast_table(labels, horizon) if predictions else None

# %% tags=["hide-input", "view"]
if predictions:
    some = predictions, truth[0], np.concatenate(found.learn)
figures.series(*some, labels, tau, lyapunov, names[0]) if predictions else None

# %% [markdown]
# ## In words
#
# [The chapter](../beyond/your_system.md) discusses these results for the default system.

# %% tags=["hide-input", "view"]
settling = equations.settling if equations else ""
for line in own_report.summary(best, labels, horizon, tau, lyapunov, settling):
    print(line)
