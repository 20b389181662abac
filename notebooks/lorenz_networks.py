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
# # Structured networks on the Lorenz system: the run
#
# This page is an executed notebook. It integrates the Lorenz system as the paper does, trains
# the structured network (StNN) with one, two, four and six branches, the paper's feed-forward
# network, and plain networks as small as the structured ones, in the printed setting and in
# ours, and measures their one-step errors. What the numbers mean is told in
# [the chapter](../structure/lorenz.md).

# %% tags=["parameters", "hide-input"]
# fmt: off
trajectories: int = 15  # [5..100000] trajectories
points: int = 201  # [50..1000000] states a trajectory
dt: float = 0.01  # [1e-6..1] time between two states
share: float = 0.8  # [0.1..0.95] share of the data to learn from
fresh_trajectories: int = 4  # [1..10000] further trajectories, for tests only
data_seed: int = 123  # [0..4294967295] seed of the initial states, the authors' by default
batch_size: int = 200  # [10..1000000] pairs a step in our setting
steps: int = 20  # [1..10000000] steps in our setting
small_steps: int = 40  # [1..10000000] steps of networks below 200 parameters
starts: int = 2  # [1..1000] initial weights tried a seed
start_steps: int = 10  # [1..100000] steps of each try
large_steps: int = 2  # [1..10000000] steps of the 3-30-30-30-3 network in our setting
large_starts: int = 1  # [1..1000] initial weights tried for it
large_batch: int = 800  # [10..1000000] pairs a step for it; three residuals each, 2073 weights
printed_steps: int = 10  # [1..10000000] steps in the printed setting
printed_batch: int = 800  # [10..1000000] pairs a step in the printed setting
printed_large_steps: int = 4  # [0..10000000] steps of 3-30-30-30-3 as printed, 0 for none
n_seeds: int = 2  # [1..64] training seeds in our setting
printed_seeds: int = 2  # [1..64] training seeds in the printed setting
seed: int = 0  # [0..] first training seed
rollout_steps: int = 200  # [10..100000] steps of the rollouts shown
device: str = "auto"  # {auto, cpu, cuda} where to train; these networks prefer a CPU
# require: printed_large_steps == 0 or printed_large_steps >= 4
# fmt: on

# %% tags=["hide-input"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from dynlib.dynamics.pairs import integrate, pairs, split_at_random
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.measure.timing import microseconds
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.count import layers, saving, total
from dynlib.networks.ensembles import Networks, train_all
from dynlib.networks.ffnn import FFNN, widths_of_size
from dynlib.networks.recipes import Architecture, Recipe
from dynlib.networks.scores import (
    active_directions,
    one_step_errors,
    rollout,
)
from dynlib.peers.released import ReleasedStNN
from dynlib.report import networks as network_report
from dynlib.report import record, style
from dynlib.report.forecasts import apart
from dynlib.training.device import resolve_device

style.use_style()
record.clear()
torch.set_num_threads(1)
device = resolve_device(device)
seeds = list(range(seed, seed + n_seeds))
printed_seeds = list(range(seed, seed + printed_seeds))
record.context(device=device, threads=1, seeds=seeds)

# %% [markdown]
# ## Data
#
# As printed: trajectories from $(0, 1, 20) + U(-1, 1)^3$ by LSODA with a tolerance of
# $10^{-12}$, the very initial states of the authors' code. A pair is a state and the next one.
# The data are split in two ways: *pairs at random*, as in the paper, where a validation pair has
# neighbours on its own trajectory in the training set; and *by trajectory*, where it has not.
# Fresh trajectories, which nobody has trained on, judge both.

# %%
system = Lorenz(beta=8 / 3)
times = np.arange(points) * dt


def draw(n: int, seed: int) -> np.ndarray:
    """Trajectories from the paper's distribution of initial states."""
    scatter = np.random.RandomState(seed).uniform(-1, 1, (n, 3))
    return integrate(system, np.array([0.0, 1.0, 20.0]) + scatter, times)


data = draw(trajectories, data_seed)
fresh_trajectory = draw(fresh_trajectories, data_seed + 1)
n_learn = round(share * trajectories)
learn, held_out = pairs(data[:n_learn]), pairs(data[n_learn:])
learn_pairs, held_out_pairs = split_at_random(pairs(data), share, 0)
fresh = pairs(fresh_trajectory)
variance = learn[1].var(0)
record.metric("pairs", len(learn[0]), tolerance=0.0)
persistence = np.square(held_out[1] - held_out[0]).mean()
record.metric("persistence_mse_validation", persistence, tolerance=0.05)
print(
    f"{len(learn[0])} pairs to learn from, {len(held_out[0])} to validate with"
)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-data", "caption": "The training data (their Figure 3): trajectories from initial states (dots) scattered about (0, 1, 20)."}, "image": {"alt": "The two-lobed Lorenz attractor in the x-z plane, made of many thin trajectories, with a cloud of dots where they start."}}
figure, axes = style.figure(3.6)
for states in data[:100]:
    axes.plot(
        states[:, 0],
        states[:, 2],
        linewidth=0.3,
        color=style.MUTED,
        alpha=0.5,
        rasterized=True,
    )
axes.plot(
    data[:, 0, 0],
    data[:, 0, 2],
    ".",
    markersize=3,
    color=style.COLOURS["greedy"],
)
axes.set(xlabel="x", ylabel="z")
plt.show()

# %% [markdown]
# ## Networks, and what they cost
#
# The structured network with p branches has $64p + 4$ parameters; the paper's peer, 3-30-30-30-3,
# has 2073. For every structured network there is a *control*: a plain network of the same size, with the
# same activations and hidden widths as equal as possible.

# %%
branches = (1, 2, 4, 6)
architectures = {f"stnn_p{p}": Architecture(branches=p) for p in branches}
architectures |= {
    f"control_p{p}": Architecture(widths=widths_of_size(64 * p + 4))
    for p in branches
}
architectures["ffnn"] = Architecture(widths=(3, 30, 30, 30, 3))
peer = FFNN()
networks = {name: each.build() for name, each in architectures.items()}
for name, network in networks.items():
    record.metric(f"{name}_parameters", total(network), tolerance=0.0)
    record.metric(f"{name}_flops", total(network, "flops"), tolerance=0.0)
for p in branches:
    network = networks[f"stnn_p{p}"]
    record.metric(
        f"stnn_p{p}_parameter_saving",
        saving(network, peer),
        unit="%",
        tolerance=0.0,
    )
    record.metric(
        f"stnn_p{p}_weight_saving",
        saving(network, peer, "weights"),
        unit="%",
        tolerance=0.0,
    )
    record.metric(
        f"stnn_p{p}_flop_saving",
        saving(network, peer, "flops"),
        unit="%",
        tolerance=0.0,
    )
    record.metric(
        f"stnn_p{p}_flop_saving_coded",
        saving(network, peer, "flops_coded"),
        unit="%",
        tolerance=0.0,
    )
record.metric(
    "stnn_p6_dense_flops",
    total(networks["stnn_p6"], "flops_dense"),
    tolerance=0.0,
)

# %% tags=["hide-input", "view"]
rows = []
for name, title in (
    ("stnn_p6", "StNN, p = 6"),
    ("ffnn", "FFNN 3-30-30-30-3"),
    ("control_p6", "plain, same size"),
):
    for layer in layers(networks[name]):
        rows.append(
            [
                f"{title}: {layer.name}",
                *map(
                    str,
                    (
                        layer.weights,
                        layer.biases,
                        layer.flops,
                        layer.flops_coded,
                        layer.flops_dense,
                    ),
                ),
            ]
        )
    sums = [
        total(networks[name], what)
        for what in ("weights", "biases", "flops", "flops_coded", "flops_dense")
    ]
    rows.append([f"**{title}**", *(f"**{value}**" for value in sums)])
record.Table(
    ["layer", "weights", "biases", "flops", "as coded", "multiplied out"], rows
)

# %% [markdown]
# ## Training
#
# *Ours*: standardised units, initial weights that leave no ReLU dead, float64, several starts of
# which the one with the lowest training error goes on, damping by the gain ratio; trajectories
# held out. *As printed*: raw units, the authors' initial weights, float32, damping by factors of
# ten, random pairs held out. Both by Levenberg–Marquardt steps on mini-batches.


# %%
def recipe(name: str) -> Recipe:
    """Our setting for a network."""
    if name == "ffnn":
        return Recipe(
            large_steps,
            large_batch,
            starts=large_starts,
            start_steps=start_steps,
        )
    small = total(networks[name]) < 200
    return Recipe(
        small_steps if small else steps,
        batch_size,
        starts=starts,
        start_steps=start_steps,
    )


order = sorted(architectures, key=lambda name: -total(networks[name]))
trained = train_all(
    {
        name: (
            architectures[name],
            recipe(name),
            seeds[:1] if name == "ffnn" else seeds,
        )
        for name in order
    },
    learn,
    held_out,
    device=device,
)
on_pairs = train_all(
    {"stnn_p6": (architectures["stnn_p6"], recipe("stnn_p6"), seeds[:3])},
    learn_pairs,
    held_out_pairs,
    device=device,
)["stnn_p6"]

printed = Recipe(printed_steps, printed_batch, printed=True, marks=200)
as_printed = {
    f"printed_stnn_p{p}": (
        Architecture(branches=p, released=True),
        printed,
        printed_seeds,
    )
    for p in branches[::-1]
}
if printed_large_steps:
    as_printed["printed_ffnn"] = (
        architectures["ffnn"],
        Recipe(printed_large_steps, printed_batch, printed=True, marks=200),
        printed_seeds[:1],
    )
as_printed = train_all(as_printed, learn_pairs, held_out_pairs, device=device)

Networks(  # for the comparison, which forecasts with them
    data,
    n_learn,
    seeds,
    {name: recipe(name) for name in order},
    trained,
).hand_over("lorenz_networks")

# %% tags=["hide-input"]
for name, found in trained.items():
    network_report.record_network(name, found, learn, held_out, variance)
    record.metric(
        f"{name}_mse_fresh",
        [one_step_errors(each.model, fresh).mean() for each in found],
        over="seeds",
        tolerance=3.0,
    )
for name, found in as_printed.items():
    network_report.record_network(name, found, learn_pairs, fresh, variance)
    record.metric(
        f"{name}_mse_validation_pairsplit",
        [one_step_errors(each.model, held_out_pairs).mean() for each in found],
        over="seeds", tolerance=3.0,
    )  # fmt: skip
record.metric(
    "stnn_p6_mse_validation_pairsplit",
    [one_step_errors(each.model, held_out_pairs).mean() for each in on_pairs],
    over="seeds",
    tolerance=3.0,
)
record.metric(
    "stnn_p6_mse_fresh_pairsplit",
    [one_step_errors(each.model, fresh).mean() for each in on_pairs],
    over="seeds",
    tolerance=3.0,
)
metrics = record.metrics()


def table(names, titles) -> record.Table:
    """One row a network: size, errors, failures."""
    rows = []
    for name in names:
        size = total(
            (
                networks
                | {k: networks[k.removeprefix("printed_")] for k in as_printed}
            )[name]
        )
        rows.append([
            titles[name], str(size), record.show(f"{name}_mse_train", ".1e"), record.show(f"{name}_mse_validation", ".1e"),
            *(record.show(f"{name}_mse_validation_{axis}", ".0e").split(" ")[0] for axis in system.names),
            record.show(f"{name}_nmse_validation", ".1e").split(" ")[0],
            f"{record.show(f'{name}_failed_seeds')} of {metrics[f'{name}_mse_train']['n']}",
        ])  # fmt: skip
    return record.Table(
        [
            "network",
            "parameters",
            "training MSE",
            "validation MSE",
            "x",
            "y",
            "z",
            "over variance",
            "failed seeds",
        ],
        rows,
    )


titles = {f"stnn_p{p}": f"StNN, p = {p}" for p in branches}
titles |= {f"control_p{p}": f"plain, size of p = {p}" for p in branches}
titles |= {"ffnn": "FFNN 3-30-30-30-3"}
titles |= {
    name: f"{titles[name.removeprefix('printed_')]}, as printed"
    for name in as_printed
}
table(trained, titles)

# %% [markdown]
# The authors' public repository holds the losses of their trainings (StNN-Dynamical-Systems,
# commit a45f246): means over the last epoch, of validation where there is one. Those of structured networks
# are means over four outputs, one of them always zero; times 4/3 they compare with ours.

# %% tags=["hide-input"]
released = {
    "stnn_p1": 1.496e-4 * 4 / 3,
    "stnn_p4": 2.880e-6 * 4 / 3,
    "stnn_p6": 2.331e-6 * 4 / 3,
    "ffnn": 4.315e-6,
}
for name, error in released.items():
    record.metric(f"released_{name}_mse", error, tolerance=0.0)
record.Table(
    ["network", "released, last epoch"],
    [
        [titles[name], record.show(f"released_{name}_mse", ".1e")]
        for name in released
    ],
)

# %% [markdown]
# The same in the printed setting, after {res}`:printed_stnn_p6_steps` steps. These networks were
# trained on random pairs; the validation error is on fresh trajectories.

# %% tags=["hide-input"]
table(as_printed, titles)

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-size", "caption": "One-step error on trajectories that were held out against the number of parameters: structured networks, plain networks of the same size, and the paper's 3-30-30-30-3 (one seed). Bars are seeds, lines join medians. Trained alike, at equal size, in our setting."}, "image": {"alt": "Log-log plot. Validation error falls steeply with the number of parameters for both the structured and the plain networks."}}
figure, axes = style.figure(3.6)
names = {
    "stnn": [f"stnn_p{p}" for p in branches],
    "control": [f"control_p{p}" for p in branches],
    "ffnn": ["ffnn"],
}
sizes = {
    family: [total(networks[name]) for name in group]
    for family, group in names.items()
}
network_report.against_size(axes, sizes, "mse_validation", names)
for family, group in names.items():
    x, y = sizes[family][-1], metrics[f"{group[-1]}_mse_validation"]["value"]
    low = family == "control"
    network_report.label(
        axes,
        x,
        y,
        family,
        offset=(10, -8 if low else 6),
        ha="left" if family != "ffnn" else "right",
    )
axes.set(ylabel="validation MSE", xlim=(55, 3000))
axes.set_xticks([68, 132, 260, 388, 2073], ["68", "132", "260", "388", "2073"])
axes.minorticks_off()
plt.show()

# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-curves", "caption": "Training (thin) and validation (thick) error against steps (their Figure 4). Above: as printed, every seed; a plateau near 10 is a coordinate whose last ReLUs are all dead. Below: in our setting, one and six branches and the feed-forward network."}, "image": {"alt": "Two panels of error against steps, both axes logarithmic. Above, several curves stay on plateaus of the order of ten; below, all curves fall."}}
figure, panels = style.figure(5.8, 2, 1)
groups = (
    {**as_printed},
    {
        "stnn_p1": trained["stnn_p1"],
        "stnn_p6": trained["stnn_p6"],
        "ffnn": trained["ffnn"],
    },
)
shades = {
    "stnn_p1": "#8fc1e8",
    "stnn_p2": "#62a5da",
    "stnn_p4": "#3a86c4",
    "stnn_p6": "#1f6aa8",
    "ffnn": network_report.COLOURS["ffnn"],
}
for axes, group in zip(panels, groups, strict=True):
    ends = {}
    for name, found in group.items():
        colour = shades[name.removeprefix("printed_")]
        for each in found:
            done, training, *coordinates = each.history.T
            axes.plot(done, training, color=colour, linewidth=0.5, alpha=0.7)
            axes.plot(
                done, np.mean(coordinates, axis=0), color=colour, linewidth=1.4
            )
        ends[name] = done[-1], np.mean(coordinates, axis=0)[-1]
    gap = 0.7 if len({x for x, _ in ends.values()}) == 1 else 0.0
    heights = apart(np.array([y for _, y in ends.values()]), gap)
    for (name, (x, _)), y in zip(ends.items(), heights, strict=True):
        axes.annotate(
            titles[name].replace(", as printed", "").replace(" 3-30-30-30-3", ""), (x, y), xytext=(4, 0),
            textcoords="offset points", color=shades[name.removeprefix("printed_")], fontsize=9,
            va="center", annotation_clip=False,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", ylabel="MSE")
    axes.margins(x=0.0)
panels[1].set_xlabel("Levenberg-Marquardt steps")
plt.show()

# %% tags=["hide-input"]
for name in ("printed_stnn_p6", "printed_ffnn"):
    if name in as_printed:
        curve = np.log10(as_printed[name][0].history[:, 1])
        tail = np.diff(curve[len(curve) // 2 :])
        record.metric(
            f"{name}_roughness",
            np.abs(tail).mean(),
            unit="decades",
            tolerance=1.0,
        )

# %% [markdown]
# ## What a random split hides
#
# The same six-branch networks, trained on random pairs: their error on the pairs left out, and on
# fresh trajectories.

# %% tags=["hide-input", "view"]
record.Table(
    ["trained on", "error on what was held out", "on fresh trajectories"],
    [
        [
            "random pairs",
            record.show("stnn_p6_mse_validation_pairsplit", ".1e"),
            record.show("stnn_p6_mse_fresh_pairsplit", ".1e"),
        ],
        [
            "whole trajectories",
            record.show("stnn_p6_mse_validation", ".1e"),
            record.show("stnn_p6_mse_fresh", ".1e"),
        ],
    ],
)

# %% [markdown]
# ## What the weights do
#
# Not every parameter can change the output: some multiply padding, others only rescale what a
# later one scales back. The number of *active directions* is the rank of the derivative of all
# outputs by all weights, at the trained weights.

# %%
few = learn[0][:: max(1, len(learn[0]) // 2000)]
for name in order:
    if name != "ffnn":
        directions = [
            active_directions(each.model, few) for each in trained[name]
        ]
        record.metric(
            f"{name}_active_directions", directions, over="seeds", tolerance=0.1
        )
record.Table(
    ["network", "parameters", "active directions"],
    [
        [
            titles[name],
            record.show(f"{name}_parameters"),
            record.show(f"{name}_active_directions"),
        ]
        for name in trained
        if name != "ffnn"
    ],
)

# %% [markdown]
# ## Time of one step
#
# Microseconds of one evaluation on one core, float32, without gradients: *as released*, branch by
# branch; *factors each time*, as our network computes while it learns; *assembled*, the factors
# multiplied out once; and the feed-forward network. Few states pass the assembled network in
# NumPy, whose calls cost less than torch's: so the feed-forward network is timed that way too.


# %%
def in_numpy(network: FFNN) -> Callable[[torch.Tensor], torch.Tensor]:
    """The feed-forward network in NumPy, with sigmoid(z) = (1 + tanh(z/2))/2 folded in."""
    w = {
        name: each.detach().numpy() for name, each in network.named_parameters()
    }
    (a1, a2, a3, a4), (b1, b2, b3, b4) = (
        [w[f"{kind}_{layer}"] for layer in (1, 2, 3, 4)]
        for kind in ("weight", "bias")
    )
    a1, a2, a3, a4 = (
        np.ascontiguousarray(a.T) for a in (a1, a2 / 2, a3 / 2, a4)
    )
    b2, b3 = b2 / 2, b3 + a3.sum(0)

    def step(states: torch.Tensor) -> torch.Tensor:
        h = states.numpy().dot(a1)
        h += b1
        np.tanh(h, out=h)
        h = h.dot(a2)
        h += b2
        np.tanh(h, out=h)
        h = h.dot(a3)
        h += b3
        np.maximum(h, 0, out=h)
        h = h.dot(a4)
        h += b4
        return torch.from_numpy(h)

    return step


@torch.no_grad()
def evaluation_time(model, n: int, batch: int) -> float:
    """Median microseconds of one evaluation."""
    states = torch.randn(batch, n)
    calls = 3 if batch > 1000 else 30
    return microseconds(lambda: model(states), repeats=9, calls=calls)


structured = trained["stnn_p6"][0].at(-1).float()
plain = trained["ffnn"][0].at(-1).float()
one = torch.ones(1, 3)
torch.testing.assert_close(
    in_numpy(plain)(one), plain(one).detach(), rtol=1e-4, atol=1e-3
)
timed = {
    "released": (ReleasedStNN(structured), 4),
    "factors": (structured, 4),
    "assembled": (AssembledStNN(structured), 4),
    "ffnn": (plain, 3),
    "ffnn_numpy": (in_numpy(plain), 3),
}
rows, kinds = (
    [],
    {
        "released": "StNN, p = 6, as released",
        "factors": "StNN, factors each time",
        "assembled": "StNN, assembled",
        "ffnn": "FFNN 3-30-30-30-3",
        "ffnn_numpy": "FFNN 3-30-30-30-3, in NumPy",
    },
)
clock = {
    (name, batch): evaluation_time(model, n, batch)
    for name, (model, n) in timed.items()
    for batch in (1, 10_000)
}
for name in timed:
    for batch in (1, 10_000):
        record.metric(
            f"{name}_time_ratio_batch{batch}",
            clock[name, batch] / clock["ffnn", batch],
            tolerance=2.0,
        )
    rows.append(
        [
            kinds[name],
            *(f"{clock[name, batch]:.3g}" for batch in (1, 10_000)),
            *(
                record.show(f"{name}_time_ratio_batch{batch}", ".2g")
                for batch in (1, 10_000)
            ),
        ]
    )
record.metric(
    "assembled_time_ratio_batch1_numpy",
    clock["assembled", 1] / clock["ffnn_numpy", 1],
    tolerance=2.0,
)
record.metric(
    "assembled_gain_batch1",
    clock["released", 1] / clock["assembled", 1],
    tolerance=2.0,
)
record.Table(
    [
        "",
        "µs, one state",
        "µs, 10 000 states",
        "over FFNN, one state",
        "10 000 states",
    ],
    rows,
)

# %% [markdown]
# ## Two rollouts
#
# The networks with the median validation error continue two fresh trajectories step by step, each
# fed its own output (their Figure 5).


# %% tags=["hide-input", "view"] mystnb={"figure": {"name": "fig-@run-rollouts", "caption": "The coordinate x of two fresh trajectories (without colour) and their continuation by the structured network with six branches and by the feed-forward network, each from one true state (their Figure 5)."}, "image": {"alt": "Two panels of an oscillating coordinate against time, the truth in black and two networks in colour on top of it."}}
def typical(name: str):
    """The seed with the median validation error."""
    order = np.argsort(metrics[f"{name}_mse_validation"]["samples"])
    return trained[name][order[(len(order) - 1) // 2]].model


figure, panels = style.figure(4.4, 2, 1, sharex=True)
shown = fresh_trajectory[:2, : rollout_steps + 1]
steps_shown = shown.shape[1] - 1
for axes, truth in zip(panels, shown, strict=True):
    axes.plot(
        times[: steps_shown + 1], truth[:, 0], color=style.INK, linewidth=2.5
    )
    for name in ("ffnn", "stnn"):
        model = typical("stnn_p6" if name == "stnn" else name)
        following = rollout(model, truth[:1], steps_shown)[0]
        path = np.concatenate([truth[:1], following])
        axes.plot(
            times[: steps_shown + 1],
            path[:, 0],
            color=network_report.COLOURS[name],
            linewidth=1.1,
        )
    axes.set_ylabel("x")
panels[1].set_xlabel("time")
for i, name in enumerate(("true", "stnn", "ffnn")):
    panels[0].annotate(
        network_report.LABELS[name],
        (0.02 + 0.2 * i, 1.04),
        xycoords="axes fraction",
        color=network_report.COLOURS[name],
        fontsize=10,
    )
plt.show()
