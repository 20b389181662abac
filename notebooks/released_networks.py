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
# # The released networks in the arena: the run
#
# The authors released weights of their networks. How well do these forecast, by the rule of
# [our comparison](lorenz_comparison.ipynb)? Our own networks have much smaller errors of one step.
# So what ours can do says little about the printed ones.
#
# This run is optional. It needs a clone of the authors' repository, which stands under the MIT
# licence. Nothing of it is copied into this project:
#
# ```console
# $ git clone https://github.com/Hansaka006/StNN-Dynamical-Systems build/released
# $ make run RUN=released_networks
# ```
#
# [The chapter](../structure/arena.md) discusses the numbers.

# %% tags=["parameters", "hide-input"]
released: str = ""  # {any text} clone of the authors' repository; none: random weights instead
horizon: int = 120  # [10..100000] steps of a forecast
long_horizon: int = 240  # [10..3200] steps of the forecasts that rank the best methods
n_starts: int = 6  # [2..100000] fresh starts
attractor_steps: int = 1000  # [10..1000000] steps in which a network may leave the attractor
# advanced
record_steps: int = 1200  # [500..1000000] states of the record; the printed forecast starts behind
window: int = 21  # [1..1001] states of a window, as in the comparison
trajectories: int = 15  # [1..1000] trajectories that the networks were trained on
points: int = 201  # [10..100000] states of each of them
dt: float = 0.01  # [1e-6..1] time between two states
transient: float = 5.0  # [0..1000] time dropped before a start
start_seed: int = 999  # [0..4294967295] seed of the fresh starts
# require: horizon <= long_horizon

# %% tags=["hide-input"]
import tempfile

import numpy as np
from dynlib.dynamics.pairs import integrate, pairs
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.sindy import fit_sindy
from dynlib.measure.forecaster import forecasts
from dynlib.measure.rollout import spread
from dynlib.networks.forecaster import NetworkForecaster
from dynlib.peers import weights
from dynlib.report import forecasts as report
from dynlib.report import released as tables
from dynlib.report.begin import begin

device = begin("cpu")

# %% [markdown]
# ## The weights
#
# Each file is known by its checksum, and only tensors are read from it. Their names and shapes must
# be those of the network. There are some surprises:
#
# - The file that is called "p 2" holds the weights of one branch. They are those of the file "p 1":
#   the largest difference is {res}`:stnn_p2_so_called_difference`. Two branches are in a file
#   without a number.
# - Of six branches, and of the feed-forward network, there are two files. The later one is called
#   *new*.

# %%
if released:
    networks = weights.read_released(released)
else:
    print("No clone was named: random weights stand in for the released ones.")
    with tempfile.TemporaryDirectory() as folder:
        known_files = weights.write_stand_ins(folder)
        networks = weights.read_released(folder, known_files)

# %% [markdown]
# ## Are they what the authors measured?
#
# Two numbers can be compared. The first is the error of one step on the training pairs. The authors
# drew their initial states from a seed, so we have the same pairs.
#
# The second is the accumulated error from one start, by which the paper compares methods. Here it is
# computed as the authors do. That is in single precision, and the padded output is fed back too.
# The truth comes from the same solver, with their tolerances. Each prediction is compared with the
# true state of the step before, as they do.

# %%
system = Lorenz(beta=8 / 3)
origin = np.array([0.0, 1.0, 20.0])


def scattered(n: int, seed: int) -> np.ndarray:
    """Initial states about (0, 1, 20)."""
    return origin + np.random.RandomState(seed).uniform(-1, 1, (n, 3))


data = integrate(system, scattered(trajectories, 123), np.arange(points) * dt)
tables.record_weights(networks, pairs(data))
tables.record_again(networks, system, origin, record_steps, horizon, dt)
del networks["stnn_p2_so_called"]

# %% tags=["hide-input", "view"]
tables.weights_table(networks)

# %% [markdown]
# ## The arena
#
# Now the rule of the comparison, with its starts, its truth and its measures. As everywhere in this
# book, the padded coordinate is set to zero before each step. For two networks there is a second
# row, where the padded output is fed back.
#
# Polynomial maps and SINDy learn from one record, as in the comparison. They and the *mean state*
# are here to compare with.

# %%
known = integrate(system, origin[None], np.arange(record_steps) * dt)[0]
before = transient + dt * np.arange(-window + 1, horizon + 1)
clock = np.concatenate([[0.0], before])
paths = integrate(system, scattered(n_starts, start_seed), clock)[:, 1:]
windows, truth = paths[:, :window], paths[:, window:]
starts = windows[:, -1]
sigma = spread(known[min(1000, record_steps // 2) :])
exponent = system.facts["lyapunov"].value
rule = {"spread": sigma, "dt": dt, "exponent": exponent}
far = report.long_truth(system, starts, long_horizon, **rule)
report.record_rule(truth, far[:, :horizon], **rule)

# %%
nets = {name: [NetworkForecaster(each)] for name, each in networks.items()}
fitted = {f"sindy_{k}": fit_sindy(known, dt, k) for k in ("fd2", "fd6")}
for n in range(2, 6):
    fitted[f"polynomial_{n}"] = PolynomialMap.fit(known[:-1], known[1:], n)
methods = nets | {name: [model] for name, model in fitted.items()}
longest = forecasts(methods, windows, long_horizon)
predictions = {name: found[:, :, :horizon] for name, found in longest.items()}
for name in ("stnn_p4", "stnn_p6"):
    path = weights.rollout_as_released(networks[name], starts, horizon)
    predictions[f"{name}_fed"] = path[None]
mean = np.broadcast_to(known.mean(0), truth.shape)
predictions["climatology"] = mean[None]
errors = report.record_rollouts(predictions, truth, **rule)

# %% [markdown]
# The longer horizon ranks what stays to the end of the printed one. The networks go on for longer
# still. We count the rollouts that leave the box of their training states, widened by a fifth of
# its size on every side, or come to rest.

# %%
report.record_long(longest, far, **rule)
report.record_left(nets, starts, data, attractor_steps)

# %% tags=["hide-input", "view"]
tables.arena_table(predictions)
