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
# Can a language model learn a chaotic flow from text? This notebook cuts the space of a flow into
# cells, and trains GPT-2 to predict the next cell. GPT-2 and its rivals then continue the same
# prompts. The chapters on [Lorenz](../tokens/lorenz.md), [Rössler](../tokens/rossler.md) and
# [the tables](../tokens/tables.md) explain the numbers.

# %% tags=["parameters", "hide-input"]
system: str = "lorenz"  # {lorenz, rossler} the flow
tau: float = 0.03  # [1e-6..10] time between two states
n_cells: int = 20  # [2..1000] cells per axis, N
context: int = 16  # [2..] longest input in tokens
steps: int = 60  # [1..] optimiser steps, at most
# advanced: data
vocabulary: str = "occupied"  # {occupied, grid} tokens for the cells seen, or for all N^3
train_trajectories: int = 12  # [2..] training trajectories, those held out included
test_trajectories: int = 5  # [5..] test trajectories
trajectory_length: int = 3000  # [700..] states per trajectory
validation_trajectories: int = 2  # [0..] training trajectories held out for choices
transient: int = 300  # [100..] steps passed over before states are taken for measuring
data_seed: int = 0  # [0..] seed of the initial states
# advanced: model and training
embedding: str = "factorised"  # {plain, factorised} token embedding
layers: int = 1  # [1..] self-attention layers
heads: int = 2  # [1..] attention heads per layer
width: int = 32  # [1..] width of the representation
dropout: float = 0.0  # [0..0.9] dropout
batch_size: int = 16  # [1..] windows per step
learning_rate: float = 8e-3  # [1e-9..1] peak learning rate
optimizer: str = "muon"  # {adamw, muon} optimiser
beta2: float = 0.95  # [0.5..0.99999] second-moment decay of AdamW
epsilon: float = 1e-8  # [1e-12..1e-3] epsilon of AdamW
weight_decay: float = 0.01  # [0..1] decoupled weight decay
schedule: str = "cosine"  # {constant, cosine} learning-rate schedule
clip: float = 1.0  # [0..] largest norm of the gradient, 0 for no limit
precision: str = "auto"  # {auto, fp32, bf16} arithmetic of training
study: bool = False  # look at the model after 1/2, 1, 2, 3, 5, … passes, keep the best held-out one
minutes: float = 0.0  # [0..] a study ends at the last stage that fits, 0 for no limit
patience: int = 0  # [0..] a study ends when the held-out loss rose so many times, 0 for never
n_seeds: int = 2  # [1..64] training seeds
seed: int = 0  # [0..] first training seed
device: str = "auto"  # {auto, cpu, cuda} where to train and generate
# advanced: measuring
temperature: float = 1.0  # [0.05..10] temperature of sampling (0.5 and greedy run beside it)
prompt: int = 100  # [5..600] true tokens before each rollout, k
rollouts: int = 20  # [2..10000] rollouts per method
rollout_steps: int = 200  # [130..100000] states generated per rollout
stage_rollouts: int = 20  # [2..10000] rollouts per batch at each stage of a study
prompt_batches: int = 2  # [2..50] batches of so many rollouts, each with its own prompts and truth
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
# require: stage_rollouts <= rollouts
# require: transient + prompt + rollout_steps <= trajectory_length
# require: transient + prompt + horizon <= trajectory_length
# require: transient + prompt + pair_steps <= trajectory_length
# require: transient + context + context // 2 + longest_ngram + prompt < trajectory_length

# %% tags=["hide-input"]
import numpy as np
from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.report import flows, record, stages
from dynlib.report import tokens as report
from dynlib.report.figures import learning
from dynlib.report.figures import tokens as figures
from dynlib.report.writer import Writer
from dynlib.tokens.excerpts import Excerpts
from dynlib.tokens.gpt import GPTConfig, next_probabilities
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.stages import passes

device, workers, seeds = report.begin(device, seed, n_seeds)

# %% [markdown]
# ## From states to tokens
#
# Initial states, the time $\tau$ between two states, and lengths are the paper's, the transient
# included. The grid runs from the smallest to the largest value of the training data on each
# axis. A *token* is a cell: one that the training data visit, or any, as the paper has it. Some
# training trajectories are held out: settings are chosen on these, never on the test set.

# %%
flow = {"lorenz": Lorenz(), "rossler": Rossler()}[system]
time_map = TimeMap(flow, tau)
streams = np.random.default_rng(data_seed).spawn(6)
start = flow.initial_states(train_trajectories, streams[0])
train_states = simulate(time_map, start, trajectory_length)
start = flow.initial_states(test_trajectories, streams[1])
test_states = simulate(time_map, start, trajectory_length)

grid = Grid.fit(train_states, n_cells, vocabulary)
tokens = grid.encode(train_states)
learn, held_out = report.hold_out(tokens, validation_trajectories)
test = grid.encode(test_states, unseen="nearest")
del train_states
flows.cells(grid, learn, test)

# %% [markdown]
# ## The truth to compare with
#
# Fresh trajectories, from initial states that no other set holds, show what a perfect model would
# write. They begin at random times. Their Lyapunov exponents are measured in the tangent space, in
# nats per unit of time, as means over sixteen groups of orbits. The paper prints two parameters of
# the Lorenz system swapped; a run of that system records the exponent for these too.

# %%
fresh_states = flows.fresh(time_map, transient, streams[2])
fresh_tokens = report.encoded(grid, fresh_states)
if system == "lorenz":
    flows.printed_exponent(tau, streams[4])
start = fresh_states(reference_orbits // 16 * 16, 1)[:, 0]
exponents = report.exponents(time_map, start, reference_steps, alignment=100)
flows.exponents(exponents.reshape(16, -1, flow.dim), tau)

# %% [markdown]
# ## Training
#
# Losses ({func}`dynlib.tokens.training.train`) are in nats per token: the training loss over all
# positions of the context, the validation loss over its second half.

# %%
model_config = GPTConfig(
    vocabulary=grid.vocabulary, layers=layers, heads=heads, width=width,
    context=context, dropout=dropout, embedding=embedding,
)
training = TrainingConfig(
    steps=steps, batch_size=batch_size, learning_rate=learning_rate,
    optimizer=optimizer, beta2=beta2, epsilon=epsilon, clip=clip,
    weight_decay=weight_decay, schedule=schedule, precision=precision,
)
trained = train_seeds(
    learn, grid.cells, model_config, training, seeds,
    name=f"{system}-{n_cells}", validation=held_out, device=device,
    stages=passes(learn, training, context) if study else (),
    minutes=minutes, patience=patience)
models = [each.model for each in trained]
report.training(trained, seeds)

# %% [markdown]
# ## What a longer memory buys
#
# All models predict the same test tokens from the last 1, 2, 3, … tokens before them. An *n-gram*
# looks up what followed the last n tokens in the training set; the *best* one is chosen on the
# held-out trajectories. By Pesin's formula the entropy of the flow per token is its positive
# exponent times $\tau$. If the cells separate all trajectories, no model can do better.

# %%
counts = NGram(learn, longest_ngram, grid.vocabulary)
targets = context - context // 2  # the second half of the context is predicted
best = 4
if held_out is not None:
    best = best_order(counts, held_out, targets, test_windows, first=prompt)
curves = report.memory(models, counts, best, test, n=test_windows, first=prompt)

# %% tags=["hide-input", "view"]
rate = record.metrics()["entropy_rate"]["value"]
figures.context(*curves, floor=rate, kind="flow")

# %% [markdown]
# ## Rollouts
#
# Every method continues the same {res}`:prompt_batches` batches of prompts, {param}`@run:prompt`
# tokens each of fresh true trajectories (GPT-2 sees the last {res}`:context` of them):
#
# - **GPT-2**, every seed, at temperature 1; at 0.5 and greedily, as the paper does (T → 0), the seeds
#   take turns, a batch each;
# - **n-grams** with one token of memory (the Markov chain), with four, and the best one;
# - two copyists that learn nothing. The *context parrot* copies what followed the longest match
#   in its own past. The *training replay* does so in the training data. Its states are true
#   ones, so its distance from the truth is chance alone.

# %%
matched = fresh_tokens(prompt_batches * rollouts, prompt + rollout_steps)
prompts, continuations = matched[:, :prompt], matched[:, prompt:]
rivals = report.rivals(models, counts, best, learn, grid, seeds, workers)
heat, cold = (
    {"model": temperature, "half": 0.5, "greedy": 0.0}, ["half", "greedy"])
short = rivals.in_batches(prompts, rollout_steps, prompt_batches, heat, cold)

# %% tags=["hide-input", "remove-output", "view"]
Writer(models[0], grid, prompts[:5], system)

# %% [markdown]
# ## Trajectories: Figure 2 of the paper
#
# One prompt, continued step by step, and then by the system and by GPT-2, sampled and greedy.

# %% tags=["hide-input", "view"]
plane = [0, 2] if system == "lorenz" else [0, 1]  # from the side, from above
row = figures.lively(grid, prompts[:rollouts])
likely = next_probabilities(models[0], prompts[[row]])[0]
written = {name: short[name][0, 0, row] for name in ("model", "greedy")}
paths = {"true": continuations[row], **written}
figures.scheme(grid, plane, prompt=prompts[row], paths=paths, following=likely)

# %% tags=["hide-input", "view"]
figures.trajectories(grid, plane, paths, flow.names)

# %% tags=["hide-input", "view"]
figures.scene(grid, paths, flow.names)

# %% [markdown]
# ## Distributions: Table I of the paper
#
# Do the generated states fill the attractor as true ones do? The measure is the exact Wasserstein
# distance W1 between cell centres. Two true samples differ as well, by chance. So every distance
# is divided by that between two *fresh* true batches of the same size. Each batch has a true pair of
# its own, the same for all methods; the divisor is their median. *Matched* compares with true continuations of the same prompts.

# %%
batches = fresh_tokens(2 * prompt_batches * rollouts, rollout_steps)
references = report.references(
    batches.reshape(-1, rollouts, rollout_steps), grid)
truths = continuations.reshape(-1, rollouts, rollout_steps)
report.rollouts(short, *references, truths, learn, with_squared=[])

# %% tags=["hide-input", "view"]
figures.ratio(list(short))

# %% [markdown]
# Can a small network, which learns from short windows of half of the batches, tell rollouts from
# true trajectories in the others? Half of its answers are right by chance.

# %%
report.told_apart(short, references[0])

# %% [markdown]
# ## How far apart are two true samples?
#
# That depends on size and number of trajectories. The paper gives the size only as a range, and not
# the number or the cost. One row compares two halves of our test set. *Cells*: lengths in cells.

# %%
half = (max(1, test_trajectories // 2), trajectory_length)
flows.sampling(fresh_tokens, grid, half, sampling_pairs, references)

# %% [markdown]
# ## Cycles and steps never seen
#
# A greedy model must end in a cycle sooner or later. A sampled one can take steps that no training
# trajectory took, and so can smoothed counts. The last row is that of true trajectories.

# %% tags=["hide-input", "view"]
report.cycles(short)

# %% [markdown]
# ## Divergence times
#
# How long could a continuation come from a true trajectory? A model continues *a b* by *c d e*. Of
# two true trajectories that write *a b*, one goes on with *c d x*, the other with *c y z*. So the
# continuation diverges after two steps. {func}`dynlib.tokens.shadowing.find_shadows` draws states
# around the first one of each prompt, and keeps those whose trajectories write the whole prompt.

# %%
lyapunov = record.metrics()["lyapunov_reference"]["value"]
length, options = prompt + horizon, {"first": transient, "rng": streams[3]}
pieces = Excerpts.cut(test_states, test, conditions, length, **options)
drawing = {"samples": shadow_samples}
shadows = pieces.shadows(time_map, grid, prompt, lyapunov, **drawing)
orbits = [s.continuations(time_map, grid, prompt, horizon) for s in shadows]

# %% [markdown]
# All decode greedily, except where it says T = 1. *True pair* puts a kept trajectory in the place of
# the continuation. All times are lower bounds: more draws find closer trajectories.

# %%
asked = pieces.tokens[:, :prompt]
continued, counting = flows.continuations(rivals, counts, asked, horizon)
found, times = [continued, orbits, shadows], {"excerpts": pieces, "tau": tau}
drawn = flows.by_draws(*found, **drawing, **times)
flows.divergence(*found, **times)

# %% tags=["hide-input", "view"]
figures.draws(drawn, inverse=1 / lyapunov)

# %% [markdown]
# If every guess of the next token were right with the same probability, the accuracy alone would
# fix the divergence time: the line.

# %% tags=["hide-input", "view"]
figures.accuracy(orbits, counting=counting, networks=continued["model"])

# %% [markdown]
# ## How long to train
#
# How many steps the paper takes is not printed. With the parameter `study` the model is looked at
# after ½, 1, 2, 3, 5, … passes over the training tokens; that of least held-out loss is used here.
# Without it, as at the `cpu` preset, a run takes a fixed number of steps, and nothing follows
# ([the chapter on the printed model](../tokens/printed-model.md)).

# %%
more = stages.times(asked, orbits, excerpts=pieces, tau=tau)
stages.study(system, trained[0], test[:, transient:], references[0], learn,
    prompt=prompt, rollouts=stage_rollouts, batches=prompt_batches,
    seed=data_seed, more=more)

# %% tags=["hide-input", "view"]
learning.curve(record.metrics())

# %% [markdown]
# ## The growth of differences: Figure 3 of the paper
#
# GPT-2 continues test trajectories greedily, as in the paper. How fast does the distance from the
# truth grow? *True pairs*, which write the same prompt, should part at the Lyapunov exponent.

# %%
length, samples = prompt + pair_steps, max(shadow_samples // 10, 1000)
real = Excerpts.cut(test_states, test, pairs, length, **options)
written = flows.written_on(models[0], grid, real.tokens, prompt)
twins, paired = real.twins(time_map, grid, prompt, lyapunov, samples=samples)
growth = flows.separation(
    real, written, twins, fresh_states(pairs, length), paired=paired,
    prompt=prompt, tau=tau, cell=grid.cell_size.max())

# %% tags=["hide-input", "view"]
figures.separation(growth, exponent=lyapunov, prompt=prompt, tau=tau)

# %% tags=["hide-input", "view"]
flows.slopes()
