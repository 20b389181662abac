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
# Can a language model learn a chaotic map of the plane if we write its orbits as text?
#
# 1. simulate the map, and cut the plane into cells; each visited cell becomes a *token*;
# 2. train GPT-2 to predict the next token, from several seeds;
# 3. let GPT-2 and its rivals continue the same prompts;
# 4. compare what they write with true orbits.
#
# [The chapter](../tokens/henon.md) explains what the numbers mean.

# %% tags=["parameters", "hide-input"]
n_cells: int = 50  # [2..1000] cells per axis, N
context: int = 16  # [2..] longest input in tokens
steps: int = 60  # [1..] optimiser steps, at most
n_seeds: int = 2  # [1..64] training seeds
temperature: float = 1.0  # [0.05..10] temperature of sampling (greedy decoding runs beside it)
# advanced: data
vocabulary: str = "occupied"  # {occupied, grid} tokens for the cells seen, or for all N^2
train_trajectories: int = 20  # [2..] training trajectories, those held out included
test_trajectories: int = 5  # [1..] test trajectories
trajectory_length: int = 2000  # [700..] states per trajectory
validation_trajectories: int = 1  # [0..] training trajectories held out for choices
data_seed: int = 0  # [0..] seed of the initial states
# advanced: model and training
embedding: str = "plain"  # {plain, factorised} token embedding
layers: int = 1  # [1..] self-attention layers
heads: int = 2  # [1..] attention heads per layer
width: int = 32  # [1..] width of the representation
dropout: float = 0.0  # [0..0.9] dropout
batch_size: int = 64  # [1..] windows per step
learning_rate: float = 8e-3  # [1e-9..1] peak learning rate
optimizer: str = "muon"  # {adamw, muon} optimiser
beta2: float = 0.95  # [0.5..0.99999] second-moment decay of AdamW
epsilon: float = 1e-8  # [1e-12..1e-3] epsilon of AdamW
weight_decay: float = 0.01  # [0..1] decoupled weight decay
schedule: str = "cosine"  # {constant, cosine} learning-rate schedule
clip: float = 1.0  # [0..] largest norm of the gradient, 0 for no limit
precision: str = "auto"  # {auto, fp32, bf16} arithmetic of training
study: bool = True  # look at the model after 1/2, 1, 2, 3, 5, … passes, keep the best held-out one
minutes: float = 0.0  # [0..] a study ends at the last stage that fits, 0 for no limit
patience: int = 3  # [0..] a study ends when the held-out loss rose so many times, 0 for never
seed: int = 0  # [0..] first training seed
device: str = "auto"  # {auto, cpu, cuda} where to train and generate
# advanced: measuring
prompt: int = 100  # [5..600] true tokens before each rollout
rollouts: int = 20  # [2..10000] rollouts per method
rollout_steps: int = 200  # [130..100000] states generated per rollout
stage_rollouts: int = 20  # [2..10000] rollouts per batch at each stage of a study
prompt_batches: int = 5  # [2..50] batches of so many rollouts, each with its own prompts and truth
sampling_pairs: int = 5  # [2..100] pairs of samples behind each distance of true from true
lyapunov_rollouts: int = 4  # [1..1000] rollouts for the exponent
lyapunov_steps: int = 400  # [100..1000000] states of each
test_windows: int = 256  # [64..1000000] windows of test tokens for the cross-entropies
reference_steps: int = 2000  # [100..] iterations of 64 orbits for the reference exponent
longest_ngram: int = 12  # [4..32] longest memory of the n-grams
products: int = 15  # [8..100] longest product of Jacobians
# require: validation_trajectories < train_trajectories
# require: width % heads == 0
# require: stage_rollouts <= rollouts
# require: prompt + rollout_steps + 100 <= trajectory_length
# require: context + context // 2 + longest_ngram + prompt < trajectory_length
# require: 10 * products <= lyapunov_steps

# %% tags=["hide-input"]
import numpy as np
from dynlib.dynamics.lyapunov import product_growth
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.report import record, stages
from dynlib.report import tokens as report
from dynlib.report.figures import learning
from dynlib.report.figures import tokens as figures
from dynlib.report.writer import Writer
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.seeds import train_seeds
from dynlib.tokens.stages import passes
from dynlib.tokens.windows import windows

device, workers, seeds = report.begin(device, seed, n_seeds)

# %% [markdown]
# ## From states to tokens
#
# The training set is the paper's: trajectories that start in
# $(-0.95, 0.35) + U(-0.05, 0.05)^2$, the transient included. The grid has {res}`:vocabulary_grid`
# cells. It runs from the smallest to the largest value of the training data on each axis, and
# a token is a cell that the training data visit: {res}`:vocabulary` of them.
#
# Some training trajectories are held out. Settings are chosen on these, never on the test set.

# %%
system = Henon()
streams = np.random.default_rng(data_seed).spawn(3)
start = system.initial_states(train_trajectories, streams[0])
train_states = simulate(system, start, trajectory_length)
start = system.initial_states(test_trajectories, streams[1])
test_states = simulate(system, start, trajectory_length)

grid = Grid.fit(train_states, n_cells, vocabulary)
tokens = grid.encode(train_states)
learn, held_out = report.hold_out(tokens, validation_trajectories)
test = grid.encode(test_states, unseen="nearest")
report.cells(grid, learn)

# %% tags=["hide-input", "view"]
figures.cells(grid, test_states[0, 100:4100])

# %% [markdown]
# This is what the model reads: tokens of a test trajectory, one after the other, here sixteen that
# follow the first hundred. The numbers of the cells carry no geometry. Which cells are neighbours,
# the model has to learn.

# %% tags=["hide-input", "view"]
print(*test[0, 100:116])

# %% [markdown]
# ## The truth to compare with
#
# True orbits from new initial states, which neither the training nor the test set holds, show
# what a perfect model would write. Their largest Lyapunov exponent is measured in the tangent
# space: nearby orbits separate by this rate, in nats per iteration.


# %%
def fresh_states(n: int, length: int) -> np.ndarray:
    """New true orbits, after the transient."""
    start = system.initial_states(n, streams[2])
    return simulate(system, start, length, transient=1000)


fresh_tokens = report.encoded(grid, fresh_states)
exponents = report.exponents(
    system, fresh_states(64, 1)[:, 0], reference_steps
)
lyapunov = record.metric(
    "lyapunov_reference", exponents[:, 0], over="trajectories",
    unit="nats/iteration", tolerance=0.005,
)
shown = record.show("lyapunov_reference", ".4f")
record.Table(["", "nats per iteration"], [["Lyapunov exponent", shown]])

# %% [markdown]
# ## Training
#
# A small GPT-2 is trained from {res}`:n_seeds` seeds, to see how much depends on chance
# ({func}`dynlib.tokens.training.train`). Losses are in nats per token: the training loss over all
# positions of the context, the validation loss over its second half. The cross-entropy further down
# is that of test trajectories, also over the second half: these sets differ more than the seeds.

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
    name="henon", validation=held_out, device=device,
    stages=passes(learn, training, context) if study else (),
    minutes=minutes, patience=patience)
models = [each.model for each in trained]
report.training(trained, seeds)

# %% [markdown]
# ## What a longer memory buys
#
# The simplest rival of GPT-2 is an *n-gram*: it looks up what followed the last n tokens in the
# training set; n = 1 is a Markov chain. All models predict the same test tokens from the last 1, 2,
# 3, … before them. The *best* n-gram is the one of least loss on the held-out trajectories.
#
# How good can a prediction be? By Pesin's formula the entropy rate of the map is its positive
# Lyapunov exponent. If different orbits always wrote different tokens, no model could have a
# lower cross-entropy. The figure draws the exponent as a line. The gap between a curve and this
# line is what is left to learn, or what the rounding to cells has lost.

# %%
counts = NGram(learn, longest_ngram, grid.vocabulary)
targets = context - context // 2  # the second half of the context is predicted
best = 4
if held_out is not None:
    best = best_order(counts, held_out, targets, test_windows, first=prompt)
curves = report.memory(models, counts, best, test, n=test_windows, first=prompt)

# %% tags=["hide-input", "view"]
figures.context(*curves, floor=lyapunov["value"], kind="map")

# %% [markdown]
# ## Rollouts
#
# All methods and all seeds continue the same {res}`:prompt_batches` batches of prompts. Each is
# {param}`@run:prompt` fresh true tokens, of which GPT-2 sees the last {res}`:context`:
#
# - **GPT-2**, which draws each token from its probabilities (temperature 1), and decoded
#   *greedily*, as the paper does: it always takes the likeliest token (T → 0);
# - **n-grams** with one token of memory (the Markov chain), with four, and the best one;
# - two copyists that learn nothing. The *context parrot* copies what followed the longest match
#   in its own past. The *training replay* does so in the training data. Its states are true
#   ones, so its distance from the truth is chance alone.

# %%
matched = fresh_tokens(prompt_batches * rollouts, prompt + rollout_steps)
prompts, continuations = matched[:, :prompt], matched[:, prompt:]
generators = report.rivals(models, counts, best, learn, grid, seeds, workers)
temperatures = {"model": temperature, "greedy": 0.0}
short = generators.in_batches(
    prompts, rollout_steps, prompt_batches, temperatures)

# %% tags=["hide-input", "remove-output", "view"]
Writer(models[0], grid, prompts[:5], "henon")

# %% [markdown]
# ## Distributions: Table I of the paper
#
# Do generated orbits visit the cells as often as true ones? The measure is the exact Wasserstein
# distance W1 between cell centres: how far, on average, states must be moved to turn one sample
# into the other. Two true samples differ as well, by chance. So every distance is divided by that
# between two batches of *fresh* true orbits of the same size. A ratio of one means that generated
# states are as far from true ones as true ones are from each other. Each batch has a true pair of
# its own; the divisor is the median over the pairs. *Matched* compares with the true continuations
# of the prompts, as the paper may have done; *squared cost* is the square of the distance moved.

# %%
batches = fresh_tokens(2 * prompt_batches * rollouts, rollout_steps)
batches = batches.reshape(-1, rollouts, rollout_steps)
references = report.references(batches, grid)
truths = continuations.reshape(-1, rollouts, rollout_steps)
report.rollouts(
    short, *references, truths, learn, ["model", "greedy", "recall"])

# %% tags=["hide-input", "view"]
methods = ("model", "greedy", "markov")
visits = {"true": batches[0], **{name: short[name][0, 0] for name in methods}}
figures.density(visits, grid)

# %% tags=["hide-input", "view"]
figures.ratio(
    list(short),
    finding="Decoding greedily and copying one's own past stray far "
    "from the truth.",
)

# %% [markdown]
# Can rollouts be recognised among true orbits? A small network learns to do so, from short windows
# of half of the batches, and is tried on the others. Half of its answers are right by chance.

# %%
report.told_apart(short, references[0])

# %% [markdown]
# ## How far apart are two true samples?
#
# That depends on their size, and on how many independent orbits they come from. The paper gives
# the size only as a range, not the number of orbits nor the cost. *Cells* measures lengths in cells. See
# how much the rows differ: a printed distance may belong to any of them.

# %%
report.sampling(
    fresh_tokens, grid, report.DESIGNS, sampling_pairs, report.READ, references
)

# %% [markdown]
# ## The Lyapunov exponent
#
# The paper estimates the exponent from generated states. It takes products of n Jacobians along
# an orbit, and $\lambda_n$, the mean logarithm of their norm, divided by n. It then fits
# $\lambda + c_1/n + c_2/n^2$ over $n = 1, \dots, 15$.
#
# Generated states are centres of cells, not points of an orbit. So the same estimator is
# applied to true orbits and to true tokens, with as many states: this shows its own bias. A
# second fit drops the shortest products ($n \ge 5$), to see how much of the bias they cause.

# %%
n, steps_each = lyapunov_rollouts, lyapunov_steps
long_prompts = windows(test, prompt, n, first=100)[:n]
written = generators.networks(long_prompts, steps_each, (temperature, 0.0))
true_long = np.stack([fresh_states(n, steps_each) for _ in range(8)])
sampled = {
    "tokens": grid.encode(true_long, unseen="nearest"),
    **dict(zip(temperatures, written, strict=True)),
    **generators.counting(long_prompts, steps_each),
}
sources = {
    name: [grid.decode(sample) for sample in samples]
    for name, samples in sampled.items()
}
growth = {
    method: [product_growth(system.jacobian(each), products) for each in states]
    for method, states in ({"orbit": true_long} | sources).items()
}
report.estimated_exponents(growth, products)

# %% tags=["hide-input", "view"]
figures.lyapunov(list(growth), lyapunov["value"])

# %% [markdown]
# How many states does that need? True orbits again, at cell centres.

# %%
size = {"n": n, "length": steps_each, "products": products}
report.exponent_by_size(fresh_tokens, grid, system, **size)

# %% [markdown]
# ## Cycles and steps never seen
#
# A greedy model must end in a cycle sooner or later. A sampled one can take steps that no training
# trajectory took, and so can smoothed counts. The last row is that of true orbits.

# %% tags=["hide-input", "view"]
report.cycles(short)

# %% [markdown]
# ## How long to train
#
# How many steps the paper takes is not printed. With the parameter `study` the model is looked at
# after ½, 1, 2, 3, 5, … passes over the training tokens; that of least held-out loss is then used.
# Without it, as at the `cpu` preset, a run takes a fixed number of steps, and nothing follows here.
# *Copied* is the share of stretches of 32 tokens that stand word for word in the training data.
# [The chapter on the printed model](../tokens/printed-model.md) discusses the curves.

# %%
stages.study("henon", trained[0], test[:, 100:], references[0], learn,
    prompt=prompt, rollouts=stage_rollouts, batches=prompt_batches,
    seed=data_seed, copies=32, more=stages.exponents(system, grid, products))

# %% tags=["hide-input", "view"]
learning.curve(record.metrics())
