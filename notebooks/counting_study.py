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
# # When does the network overtake counting?
#
# GPT-2 and an n-gram learn from the same tokens. The n-gram counts: one look at the data is enough,
# and nothing is trained. How many data, and how many passes over them, does GPT-2 need to predict
# better? This notebook trains it on parts of the data of every grid, for few and for many passes.
# [The page on the baselines](../beyond/baselines.md) discusses what follows.

# %% tags=["parameters", "hide-input"]
fractions: str = "1/100 1/10 1"  # {any text} shares of the training trajectories, ascending
passes: str = "1/3 1 3 10 30"  # {any text} numbers of passes over them, ascending
fewest_steps: int = 2  # [1..] a training of fewer steps is not run
most_steps: int = 100  # [1..] a training of more steps is not run
most_operations: float = 0.01  # [0..] 10^12 operations; one of more is not run
n_seeds: int = 2  # [1..64] training seeds
# advanced: how
shrink: int = 25  # [1..1000] trajectories, their length and test windows are divided by this
seed: int = 0  # [0..] first training seed
data_seed: int = 0  # [0..] seed of the initial states
device: str = "auto"  # {auto, cpu, cuda} where to train

# %% tags=["hide-input"]
from dynlib.report import counting, tokens
from dynlib.report.figures import counting as figures

shares = counting.numbers("fractions", fractions)
repeats = counting.numbers("passes", passes)
device, _, seeds = tokens.begin(device, seed, n_seeds)

# %% [markdown]
# ## The data
#
# Training, held-out and test trajectories are those of the five runs at the `cpu` preset, and so
# are the cells. A part of the data is the first so many training trajectories, at least one: every
# smaller part is in the larger ones. All parts use the vocabulary of the whole, so that their
# losses can be compared. A token that a part does not hold is new to both models.

# %%
grids = [
    counting.prepared(case, shrink=shrink, data_seed=data_seed)
    for case in counting.CASES
]

# %% [markdown]
# ## What is trained
#
# The network and its recipe are those of the run of the same grid. The number of steps alone is
# another one: passes times tokens, over the tokens of a step. The learning rate falls to the last
# step, so that a training of three passes is not the beginning of one of ten. {param}`@run:n_seeds` seeds each.
#
# A training of fewer than {param}`@run:fewest_steps` steps is not run: it would end before it has
# warmed up. One of more than {param}`@run:most_steps` steps or {param}`@run:most_operations`·10¹²
# operations is not run either, for its cost. These are the passes, by share of the data, that were
# not run.

# %%
plan = counting.planned(grids, shares, repeats)
run = [
    each for each in plan
    if fewest_steps <= each.steps <= most_steps
    and each.operations <= most_operations
]
counting.left_out(plan, run, seeds)

# %% [markdown]
# Trainings start in the order of their cost. Each is kept when it ends, so that a run that was
# interrupted goes on where it stopped.

# %%
networks = counting.trained(run, seeds, device)

# %% [markdown]
# ## Counting
#
# The n-grams count the same parts. How many tokens of memory they use is chosen on the held-out
# training trajectories, for each part anew, as in the runs. Longer contexts are mixed with shorter
# ones by the rule of Witten and Bell ({class}`dynlib.tokens.markov.NGram`).

# %%
counts = counting.counted(grids, shares, shrink)

# %% [markdown]
# ## The difference
#
# Both predict the same test tokens, those of the runs: the second half of the context in windows at
# even distances. The difference of their cross-entropies, GPT-2 minus counting, is taken on each test
# trajectory and for each seed. What makes one trajectory hard for both cancels. The value is the
# median over trajectories of the mean over seeds. The interval covers both
# ({func}`dynlib.measure.intervals.summarise`). GPT-2 is *ahead* where all of it is below zero.

# %%
counting.compared(networks, counts, plan, shrink=shrink, device=device)

# %% tags=["hide-input", "view"]
figures.differences(plan)

# %% [markdown]
# *Memory* is that of the best n-gram, in tokens. Cross-entropies are in nats a token. *At its best*
# means after the number of passes, of those run, that is best on the test set. This favours GPT-2.
# The entropy rate is the Lyapunov exponent times the time of a token, measured where the test
# trajectories go on. If the cells separate all trajectories, no model can be better. The last
# column is the smallest number of passes after which GPT-2 is ahead, or *none*.

# %% tags=["hide-input", "view"]
counting.table(plan)
