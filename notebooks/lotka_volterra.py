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
# # Ten Lotka–Volterra systems: the run
#
# Ten ecosystems obey the same equations with different rates. Can one model learn all ten of
# them? The paper compares two answers. Its structured network (StNN) reads the number of the
# environment as one more input. LEADS is a vector field that all environments share, plus one for
# each.
#
# This page is an executed notebook. It makes the data of LEADS, trains both methods and plain
# networks of the same size, fits polynomial maps and the true equations, and compares their
# rollouts. [The chapter](../structure/leads.md) discusses what the numbers mean.

# %% tags=["parameters", "hide-input"]
train_trajectories: int = 2  # [2..1000] training trajectories per environment
steps: int = 10  # [1..100000] Levenberg-Marquardt steps on pairs, our setting
refine_steps: int = 2  # [1..100000] further steps on whole trajectories
leads_full: int = 2  # [1..10000000] steps of LEADS on whole trajectories
n_seeds: int = 2  # [1..64] training seeds of the small networks
# advanced
test_trajectories: int = 4  # [1..100000] test trajectories per environment
official: bool = False  # integrate the data with the loose tolerance of LEADS' own code
starts: int = 2  # [1..1000] initial weights tried per seed
start_steps: int = 3  # [1..100000] steps of each try
printed_steps: int = 10  # [1..100000] steps on pairs, the paper's setting as far as it is known
leads_one: int = 10  # [0..10000000] steps of LEADS on single steps
leads_four: int = 2  # [0..10000000] steps of LEADS on windows of four
leads_rate: float = 1e-3  # [1e-6..1] learning rate of LEADS, falling to zero
leads_seeds: int = 1  # [1..64] training seeds of LEADS
printed_leads_steps: int = 4  # [1..10000000] steps of LEADS as its authors train it
n_new: int = 1  # [1..64] training seeds in a new environment
new_steps: int = 4  # [2..1000000] steps for the own field of a new environment
seed: int = 0  # [0..] first training seed
device: str = "auto"  # {auto, cpu, cuda} where to train; these networks prefer a CPU

# %% tags=["hide-input"]
from functools import partial

import numpy as np
from dynlib.dynamics.systems.lotka_volterra import (
    ENVIRONMENTS,
    TIMES,
    LotkaVolterra,
    initial_states,
    trajectories,
)
from dynlib.identify.environments import fit_equations, fit_maps
from dynlib.networks.count import total
from dynlib.networks.ensembles import train_all
from dynlib.networks.environments import (
    as_constants,
    as_pairs,
    best_code,
    follow,
)
from dynlib.networks.ffnn import widths_of_size
from dynlib.networks.leads_training import LeadsRecipe, train_leads
from dynlib.networks.recipes import Architecture, Recipe
from dynlib.peers.unrolled import refine
from dynlib.report import environments as report
from dynlib.report.begin import begin
from dynlib.report.figures import environments as figures

seeds = list(range(seed, seed + n_seeds))
device = begin(device, seeds)

# %% [markdown]
# ## Data
#
# Prey x grow and are eaten, predators y live on them:
#
# $$\dot x = \alpha x - \beta x y, \qquad \dot y = \delta x y - \gamma y,$$
#
# with $\beta = \delta = 1/2$ and ten pairs of $\alpha$ and $\gamma$, the *environments*. In every
# environment the same initial states are followed, drawn uniformly from $[1, 2]^2$. A trajectory
# has twenty points, half a time unit apart.
#
# Every solution keeps the quantity $V = \delta x - \gamma \ln x + \beta y - \alpha \ln y$. Its
# drift along a computed trajectory shows how well the data are integrated. We record it for our
# tolerance and for the loose one of LEADS' own code.

# %%
learn = trajectories(
    ENVIRONMENTS, initial_states(train_trajectories), official=official
)
test_starts = initial_states(test_trajectories, test=True)
test = trajectories(ENVIRONMENTS, test_starts, official=official)
count, n_steps, dt = len(ENVIRONMENTS), len(TIMES) - 1, TIMES[1] - TIMES[0]
report.record_integration(test[0, :, 0])

# %% tags=["hide-input", "view"]
figures.data(learn)

# %% [markdown]
# ## The plainest methods
#
# Before any training we ask what an error is worth. *No change* predicts the initial state for
# ever; the *mean of the environment* predicts the average training state.

# %%
mean = learn.mean((1, 2))[:, None, None]
predictions = {
    "persistence": [np.broadcast_to(test[:, :, :1], test.shape)],
    "mean": [np.broadcast_to(mean, test.shape)],
}
for name, parameters in (("persistence", 0), ("mean", 2 * count)):
    report.record_method(name, predictions[name], test, parameters, None)

# %% [markdown]
# Two more methods fit each environment by itself. *Polynomial maps* take a state to the next one;
# their coefficients follow from the pairs of states by linear least squares. The *true equations*
# are known, and their four rates are fitted to the trajectories.

# %%
fits = {f"polynomial_{n}": fit_maps(learn, test, degree=n) for n in (2, 3, 4)}
fits["equations"] = fit_equations(
    LotkaVolterra, learn, test, TIMES, guess=np.full(4, 0.5)
)
for name, fit in fits.items():
    predictions[name] = [fit.predictions]
    cost = fit.parameters, fit.seconds
    report.record_method(name, predictions[name], test, *cost)

# %% [markdown]
# ## Small networks
#
# One network serves all environments: its input is the state and the number of the environment,
# 0 to 9, its output the next state. It is trained in two settings:
#
# - *As printed*: raw units, the authors' initial weights, float32, Levenberg–Marquardt steps on all
#   pairs. The paper does not say how it trained here.
# - *Ours*: standardised units, initial weights that leave no ReLU dead, float64, several starts.
#   Then further steps reduce the error of rollouts over whole training trajectories, since the test
#   measures rollouts.
#
# For comparison we train two plain networks of the same size in our setting. One reads the number
# of the environment too; the other reads it *one-hot*: as ten inputs of which one is 1. No
# trajectory is held out, so the training data serve as validation data too.

# %%
batch = count * train_trajectories * n_steps
ours = Recipe(steps, batch, starts=starts, start_steps=start_steps, marks=25)
printed = Recipe(printed_steps, batch, printed=True, marks=25)
number, one_hot = np.arange(count, dtype=float)[:, None], np.eye(count)
plain = Architecture(widths=widths_of_size(388, 3, 2))
wide = Architecture(widths=widths_of_size(388, 2 + count, 2))
settings = {
    "stnn": (Architecture(branches=6), ours, number),
    "control": (plain, ours, number),
    "control_onehot": (wide, ours, one_hot),
    "printed_stnn": (Architecture(branches=6, released=True), printed, number),
}

# %% [markdown]
# Each of them is trained on the pairs of all environments at once, from several seeds. Then
# `follow` starts it at the first state of every test trajectory and feeds back its own outputs.

# %%
networks, follows = {}, {}
for name, (architecture, recipe, codes) in settings.items():
    data = as_pairs(learn, codes)
    wanted = {name: (architecture, recipe, seeds)}
    found = train_all(wanted, data, data, device=device)[name]
    if recipe is ours:
        whole = learn.reshape(-1, *learn.shape[2:])
        constants = as_constants(learn, codes)
        found = [refine(each, whole, constants, refine_steps) for each in found]
    networks[name], follows[name] = found, partial(follow, codes=codes)
    predictions[name] = report.record_trained(
        name, found, follows[name], learn, test, total(found[0].model)
    )

# %% [markdown]
# ## LEADS
#
# LEADS learns a vector field that all environments share and one for each, and integrates their sum
# by Runge–Kutta steps of half a time unit. It too is trained in two settings:
#
# - *Ours*: the published model, loss and penalty, all environments at once. It learns single steps
#   first, then windows of four, then whole trajectories; the learning rate falls to zero.
# - *As published*: one trajectory of every environment per step, restarts from the truth with a
#   probability that falls, a constant learning rate. Their code takes 120 000 steps and keeps the
#   model that is best on the test set. Here it stops after {param}`:printed_leads_steps` steps, so
#   no verdict rests on it.

# %%
falling = {"learning_rate": leads_rate, "decay": True, "rounds": 1}
full = (leads_one, leads_four, leads_full)
windows = (1, 4, n_steps)
curriculum = LeadsRecipe(steps=full, windows=windows, marks=100, **falling)
published = LeadsRecipe(steps=(printed_leads_steps,), windows=(0,))
for name, recipe, its_seeds in (
    ("leads", curriculum, range(seed, seed + leads_seeds)),
    ("printed_leads", published, [seed]),
):
    label = f"training {name}"
    networks[name] = [
        train_leads(recipe, learn, dt, each, device=device, label=label)
        for each in its_seeds
    ]
    follows[name] = report.follow_field
    predictions[name] = report.record_leads(name, networks[name], learn, test)

# %% [markdown]
# ## Errors and times: their Table 2
#
# Size, training time and errors of every method. An error is the mean square over times and
# coordinates; entries are medians over seeds, with intervals in brackets. The last two columns show
# the environment and the trajectory on which a method does worst.

# %% tags=["hide-input", "view"]
report.methods()

# %% [markdown]
# ## Error against training time
#
# The paper compares two points: 53 seconds of training for the structured network, 615 for LEADS.
# Two such points say little if the errors differ. So we follow every training from its first step
# to its last, on one core and with every environment at once. We compare times at *equal* error: at
# several targets, and at the larger of the two final errors. A ratio is the time that the
# structured network needs over the time that LEADS needs, for all pairs of their seeds. The time of
# LEADS is that of the processor, which others on the machine do not change; that of the small
# networks is by the clock.
#
# LEADS' own code handles one environment after the other. How much that costs is recorded too.

# %%
curves = {
    name: report.error_curves(found, follows[name], test)
    for name, found in networks.items()
}
report.record_time_ratios(curves)
report.record_loop_slowdown(networks["leads"][0].model, learn, dt)

# %% tags=["hide-input", "view"]
report.ratios()

# %% tags=["hide-input", "view"]
figures.curves(curves)

# %% [markdown]
# ## Rollouts
#
# How do these errors grow along a rollout? We show the median over all test trajectories, the
# largest, and for each method the trajectory with its largest error.

# %% tags=["hide-input", "view"]
figures.rollouts(predictions, test)

# %% [markdown]
# And is one environment harder than another? Here are the errors in each of them.

# %% tags=["hide-input", "view"]
figures.errors(predictions, test)

# %% [markdown]
# ## Another time step
#
# Can a method forecast at a time step on which it was not trained? LEADS is a vector field, so we
# integrate it with steps of a quarter of a time unit and of a whole one. A map has one step only;
# between its points we interpolate by a cubic spline.

# %%
field = networks["leads"][0].model
maps = {name: predictions[name] for name in ("stnn", "polynomial_3")}
for label, factor in (("half", 0.5), ("double", 2.0)):
    starts = test[0, :, 0]
    report.record_time_step(label, factor * dt, starts, field=field, maps=maps)

# %% [markdown]
# ## A new environment
#
# Now one trajectory is known of an eleventh environment, $\alpha = 0.6$ and $\gamma = 0.4$. LEADS
# keeps its shared field and learns a new field of its own; we also train it without the shared
# field, to see what sharing is worth. Both are trained from several seeds.

# %%
new = LotkaVolterra(alpha=0.6, gamma=0.4)
seen = trajectories([new], learn[0, :1, 0])
unseen = trajectories([new], test[0, :, 0])
halves = (new_steps // 2, new_steps - new_steps // 2)
short = LeadsRecipe(steps=halves, windows=(1, n_steps), **falling)
new_seeds = range(seed, seed + n_new)
for name, shared in (("leads", field), ("leads_alone", None)):
    own = [
        train_leads(
            short, seen, dt, each, shared=shared, device=device, label=name
        )
        for each in new_seeds
    ]
    report.record_new_leads(name, own, unseen)

# %% [markdown]
# The structured network has no weights of its own for an environment. The best that it can do is to
# look for a number of the environment that explains the known trajectory. Polynomial maps and the
# true equations are fitted anew.

# %%
numbers, paths = np.linspace(-1, count, 441)[:, None], []
for network in (each.model for each in networks["stnn"]):
    paths.append(follow(network, unseen, best_code(network, seen, numbers)))
report.record_new("stnn", paths, unseen)
for degree in (2, 3):
    fit = fit_maps(seen, unseen, degree)
    report.record_new(f"polynomial_{degree}", [fit.predictions], unseen)
fit = fit_equations(LotkaVolterra, seen, unseen, TIMES, guess=np.full(4, 0.5))
report.record_new("equations", [fit.predictions], unseen)
unchanged = np.broadcast_to(unseen[:, :, :1], unseen.shape)
report.record_new("persistence", [unchanged], unseen)

# %% tags=["hide-input", "view"]
report.abilities()

# %% [markdown]
# [The chapter](../structure/leads.md) discusses these results.
