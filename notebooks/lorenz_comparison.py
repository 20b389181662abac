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
# # Forecasts of the Lorenz system: the run
#
# A model that was *learned* from data is a little wrong, and the Lorenz system makes a small error
# twice as large in less than a time unit. How long does a learned model stay with the truth?
#
# Here the methods of the paper, and baselines that it omits, answer under one rule. They forecast
# from the same fresh states. Each is given one state, or a window of past states. Every prediction
# is compared with the truth *of the same step*. [The chapter](../structure/arena.md) discusses them.

# %% tags=["parameters", "hide-input"]
horizon: int = 120  # [10..100000] steps of a forecast
long_horizon: int = 240  # [10..3200] steps of the forecasts that rank the best methods
n_starts: int = 6  # [2..100000] fresh starts
record_steps: int = 1200  # [500..1000000] states of the record that most methods are fitted on
reservoir_units: int = 100  # [10..10000] units of the reservoir
seed: int = 0  # [0..] seed of the noise on the data
# advanced
search_from: int = 900  # [200..1000000] the record from here on judges the searches
largest_delays: int = 20  # [10..1000] longest window in the search of HAVOK and DMD
dt: float = 0.01  # [1e-6..1] time between two states
transient: float = 5.0  # [0..1000] time dropped before a start
attractor_steps: int = 1000  # [10..1000000] steps in which a network may leave the attractor
start_seed: int = 999  # [0..4294967295] seed of the fresh starts
device: str = "auto"  # {auto, cpu, cuda} where networks train on noisy data
# require: horizon <= long_horizon
# require: search_from < record_steps - horizon
# require: largest_delays * 4 <= search_from

# %% tags=["hide-input"]
from functools import partial

import numpy as np
from dynlib.dynamics.pairs import integrate, pairs
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.identify.havok import DelayDMD, Havok
from dynlib.identify.polynomial import PolynomialMap
from dynlib.identify.reservoir import fit_reservoir
from dynlib.identify.search import grid, search
from dynlib.identify.sindy import DERIVATIVES, fit_sindy
from dynlib.measure.forecaster import forecasts
from dynlib.measure.rollout import spread
from dynlib.networks.ensembles import Networks
from dynlib.networks.forecaster import forecasters
from dynlib.networks.handed import briefly_trained, trained_again
from dynlib.report import equations, protocol, record, step_costs
from dynlib.report import forecast_tables as tables
from dynlib.report import forecasts as report
from dynlib.report.begin import begin
from dynlib.report.figures import forecasts as figures
from dynlib.report.playground import Playground

device = begin(device)

# %% [markdown]
# ## The record, the starts and the rule
#
# Most methods learn from one trajectory, *the record*: it begins at $(0, 1, 20)$, like the one
# that the authors released. The forecasts begin elsewhere. Each start is a state of a trajectory
# of its own, after a transient, and has the true *window* of states before it.
#
# A forecast is *valid* until it differs from the truth by a share of the *spread*, the root mean
# square distance of the attractor from its mean. Valid times are given in Lyapunov times: in one
# of them a small error grows by the factor $e$.
#
# The truth is computed too, by LSODA. A second solver shows how far it can be trusted: Taylor series
# in extended precision. Over the whole horizon, the two differ by {res}`:truth_difference:.0e` at
# most. For the longer horizon the truth is the Taylor series itself. It ends where two such series,
# of another order and another step, differ by a thousandth of the spread, at the latest. Here the
# two differ by {res}`:long_truth_difference:.0e` at most.

# %%
system = Lorenz(beta=8 / 3)
exponent = system.facts["lyapunov"].value
origin = np.array([0.0, 1.0, 20.0])
clock = np.arange(record_steps + horizon + 1) * dt
long = integrate(system, origin[None], clock)[0]
known = long[:record_steps]


def scattered(n: int, seed: int) -> np.ndarray:
    """Initial states about (0, 1, 20)."""
    return origin + np.random.RandomState(seed).uniform(-1, 1, (n, 3))


window = largest_delays + 1
before = transient + dt * np.arange(-window + 1, horizon + 1)
clock = np.concatenate([[0.0], before])
paths = integrate(system, scattered(n_starts, start_seed), clock)[:, 1:]
windows, truth = paths[:, :window], paths[:, window:]
starts = windows[:, -1]
sigma = spread(known[min(1000, record_steps // 2) :])
rule = {"spread": sigma, "dt": dt, "exponent": exponent}
far = report.long_truth(system, starts, long_horizon, **rule)
report.record_rule(truth, far[:, :horizon], **rule)

# %% [markdown]
# ## Settings are searched on the record alone
#
# HAVOK and DMD need a window length and a rank, the reservoir four numbers. Each combination is
# fitted on the first part of the record, and forecasts from eight places in the rest. The longest
# mean valid time wins. Polynomials and SINDy are not searched: all degrees and derivatives are shown.

# %%
lengths = sorted({10, largest_delays // 2, largest_delays})
delays = grid(delays=lengths, rank=(8, 15, 30, 60))
delays = [each for each in delays if each["rank"] < 3 * each["delays"]]
reservoirs = grid(
    spectral_radius=(0.4, 0.9), leak=(0.5, 1.0),
    input_scaling=(0.05, 0.2), ridge=(1e-8, 1e-6),
)
havok, dmd = partial(Havok.fit, dt=dt), DelayDMD.fit
reservoir = partial(fit_reservoir, units=reservoir_units)
where = {"split": search_from, "window": window, "horizon": horizon} | rule
searches = {
    "havok": search(havok, delays, known, **where),
    "dmd": search(dmd, delays, known, **where),
    "reservoir": search(reservoir, reservoirs, known, **where),
}
best = {name: settings for name, (settings, _) in searches.items()}
report.record_settings({name: best[name] for name in ("havok", "dmd")})

# %% tags=["hide-input", "view"]
tables.search_table(searches)

# %% [markdown]
# ## The methods
#
# **The networks** come from [the run that trains them](lorenz_networks.ipynb), one for each seed,
# with the trajectories that they were trained on. If you execute this notebook alone, it trains
# small networks for a few seconds instead.

# %%
instead = partial(briefly_trained, system, scattered, dt, device)
networks = Networks.handed("lorenz_networks", otherwise=instead)
record.context(seeds=networks.seeds)
data, n_learn = networks.trajectories, networks.n_learn
handed = {"stnn": "stnn_p6", "control": "control_p6", "ffnn": "ffnn"}
nets = forecasters({n: networks.trained[each] for n, each in handed.items()})

# %% [markdown]
# **The other methods** learn from one record, and each fit is one line.
#
# - *SINDy* regresses an estimate of $\dot x$ on all products of up to two coordinates, and drops
#   small terms. It never sees $\dot x$, so the estimate matters. We try finite differences of order
#   two (the default of `pysindy`), four and six, and differences of smoothed data. The *weak form*
#   integrates by parts and differentiates nothing.
# - A *polynomial map* takes a state to the next one: $x_{t+1} = x_t + C\,m(x_t)$ with all monomials
#   $m$ up to a degree.
# - A *reservoir* is a large random network that follows the states. A ridge regression reads the
#   next state from its units.
# - *DMD on delays* is the best linear map from a window to the next one, in the leading directions
#   of all windows. *HAVOK* writes a linear differential equation for such coordinates, and treats
#   the last of them as a *forcing* from outside.

# %%
degrees = range(2, 8)


def fitted(x: np.ndarray) -> dict:
    """The methods that learn from one record: name -> [its model]."""
    models = {f"sindy_{each}": fit_sindy(x, dt, each) for each in DERIVATIVES}
    for n in degrees:
        models[f"polynomial_{n}"] = PolynomialMap.fit(x[:-1], x[1:], n)
    models["reservoir"] = reservoir(x, **best["reservoir"])
    models["dmd"] = dmd(x, **best["dmd"])
    models["havok"] = havok(x, **best["havok"])
    return {name: [model] for name, model in models.items()}


methods = nets | fitted(known)
longest = forecasts(methods, windows, long_horizon)
predictions = {name: found[:, :, :horizon] for name, found in longest.items()}

# %% [markdown]
# **HAVOK needs to know its forcing**, and in a forecast the forcing lies in the future. The
# forecast above sets the forcing to zero. One variant holds it at its last value. Another takes it
# from the true future, as only an oracle could, and a third takes twenty such forcings. With an
# oracle it is not a forecast: these rows show what the linear part is worth.
#
# Two answers need no model: *no change*, and the *mean state* of the record.

# %%
(plain,) = methods["havok"]
rank = min(60, 3 * largest_delays - 1)
forced = havok(known, delays=largest_delays, rank=rank, num_chaos=20)
variants = {
    "havok_held": plain.rollout(windows, horizon, "held"),
    "havok_oracle": plain.rollout(windows, horizon, "oracle", truth),
    "havok_oracle20": forced.rollout(windows, horizon, "oracle", truth),
    "persistence": np.broadcast_to(starts[:, None], truth.shape),
    "climatology": np.broadcast_to(known.mean(0), truth.shape),
}
predictions |= {name: path[None] for name, path in variants.items()}
errors = report.record_rollouts(predictions, truth, **rule)
report.record_starts_above(nets, predictions, truth)

# %% [markdown]
# ## All methods, one rule
#
# Errors are *accumulated*: the mean squared error over all steps so far. Each cell is the median
# over the starts, with its interval.

# %% tags=["hide-input", "view"]
learned_from = dict.fromkeys(nets, f"{n_learn} trajectories")
tables.errors_table(predictions, horizon, fitted_on=learned_from)

# %% [markdown]
# At the level of the mean state, the forecasts have lost the truth.

# %% tags=["hide-input", "view"]
figures.accumulated(errors)

# %% tags=["hide-input", "view"]
figures.coordinates(predictions, truth, system.names)

# %% tags=["hide-input", "view"]
figures.series(predictions, truth, **rule)

# %% [markdown]
# ## A longer horizon
#
# Within the printed horizon most forecasts never leave the truth, and a valid time that is not
# reached cannot rank. So all methods go on until {res}`:long_horizon_lyapunov:.0f` Lyapunov times.
# A time that at least half of the forecasts do not reach is written ≥. All begin at the same
# starts, and some methods are compared start by start.
#
# Do the networks leave the attractor? They go on for much longer. We count the rollouts that leave
# the box of their training states, widened by a fifth of its size on every side, or come to rest.

# %%
report.record_paired(report.record_long(longest, far, **rule))
report.record_left(nets, starts, data[:n_learn], attractor_steps)

# %% tags=["hide-input", "view"]
tables.long_table(longest)

# %% tags=["hide-input", "view"]
figures.ranks(list(longest))

# %% [markdown]
# ## The same data for all
#
# Do the data decide? Here SINDy and polynomial maps are fitted on the networks' own trajectories.

# %%
many = data[:n_learn]
same_data = {f"sindy_{k}": [fit_sindy(many, dt, k)] for k in ("fd2", "fd6")}
for n in degrees:
    same_data[f"polynomial_{n}"] = [PolynomialMap.fit(*pairs(many), n)]
report.record_forecasts(same_data, windows, truth, suffix="_100traj", **rule)

# %% tags=["hide-input", "view"]
tables.errors_table(same_data, horizon, suffix="_100traj")

# %% [markdown]
# ## The equations that SINDy finds
#
# The true equations are
#
# $$\dot x = -10x + 10y, \qquad \dot y = 28x - y - xz, \qquad \dot z = -\tfrac83 z + xy.$$
#
# Does a better derivative give better coefficients? The regression is the same in all rows.

# %%
sindy = {f"sindy_{kind}": methods[f"sindy_{kind}"][0] for kind in DERIVATIVES}
found = {name: equations.record_equations(name, sindy[name]) for name in sindy}

# %% tags=["hide-input", "view"]
equations.equation_table(sindy, found)

# %% [markdown]
# ## Noise on the data
#
# Data without noise favour methods that fit exactly. Now every state of the record gets normal
# noise, a share of the spread. Every method is fitted again and forecasts from the clean starts.
# The networks are trained again at one level only, with one seed.

# %%
rng = np.random.default_rng(seed)
levels = {"_noise1e4": 1e-4, "_noise1e3": 1e-3, "_noise1e2": 1e-2}
for suffix, level in levels.items():
    noisy = fitted(known + level * sigma * rng.normal(size=known.shape))
    report.record_forecasts(noisy, windows, truth, suffix=suffix, **rule)

blurred = data + 1e-3 * sigma * rng.normal(size=data.shape)
two = {name: handed[name] for name in ("stnn", "control")}
noisy = forecasters(trained_again(networks, two, blurred, device=device))
report.record_forecasts(noisy, windows, truth, suffix="_noise1e3", **rule)

# %% tags=["hide-input", "view"]
tables.noise_table(predictions, levels)

# %% [markdown]
# ## What a step costs
#
# The operations are additions and multiplications, without activation functions. SINDy's are those
# of one classical Runge–Kutta step. Its forecasts above take finer steps, so here it forecasts by
# single steps too. One core is timed: a network by its bare evaluation, the others as above.

# %%
step_costs.record_costs(methods, nets, windows)
report.record_single_steps(sindy, windows, truth, **rule)

# %% tags=["hide-input", "view"]
step_costs.cost_table(methods)

# %% tags=["hide-input", "view"]
figures.pareto(degrees)

# %% [markdown]
# ## The released protocol, on purpose
#
# The authors released errors of one start, the state after the record. Each prediction of a network
# is compared with the true state of the step before. HAVOK's row, of 500 points, is a
# reconstruction of its own data, driven by the true forcing. The first rows are the truth, scored
# as the released networks were: the error that the scoring makes by itself. Each network has a
# truth of its own, as its notebook integrates it.

# %%
protocol.record_one_start(methods, long[record_steps:])
rebuilt = havok(known, delays=min(100, largest_delays), rank=16).reconstruct()
protocol.record_single("havok_insample_accumulated", rebuilt[:500], known[:500])
protocol.record_released(system, origin, record_steps, dt)

# %% tags=["hide-input", "view"]
protocol.protocol_table()

# %% [markdown]
# In {ref}`the arena <sec-arena-playground>` you choose another start for these models.

# %% tags=["hide-input", "remove-output", "view"]
names = ("stnn", "control", "sindy_fd2", "sindy_fd6", "polynomial_4")
few = {name: methods[name] for name in names}
Playground.of(few, predictions, truth, starts, equations.true_field(dt), **rule)
