"""The public names of ``dynlib.networks``, with right values of their arguments."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from unittest import mock

import numpy as np
import torch
from kinds import (
    FORECAST,
    POINT,
    SCALED,
    SIZE,
    A,
    Array,
    Choice,
    Count,
    Flag,
    Number,
    Seed,
    Tensor,
    Thing,
    row,
)

from dynlib.networks import (
    count,
    ensembles,
    environments,
    ffnn,
    forecaster,
    handed,
    leads,
    leads_training,
    recipes,
    representation,
    scores,
    stnn,
    training,
)
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.levenberg import LevenbergMarquardt

INNER = "an inner loop: what calls it has checked"
MADE = "made by this library, not by a user"
#: What has no input to refuse, and why.
EXEMPT = {
    "networks.butterflies.decimate_in_frequency": INNER,
    "networks.butterflies.decimate_in_time": INNER,
    "networks.count.Layer": MADE,
    "networks.ensembles.Networks": MADE,
    "networks.ensembles.Networks.hand_over": "writes an artefact of the runner",
    "networks.ensembles.Networks.handed": "reads an artefact of the runner",
    "networks.ffnn.FFNN.layers": INNER,
    "networks.handed.briefly_trained": "takes seconds; integrate and train_all refuse its input",
    "networks.leads.evaluate": INNER,
    "networks.leads.field": INNER,
    "networks.leads.runge_kutta": INNER,
    "networks.leads_training.TrainedLeads": MADE,
    "networks.levenberg.Copies": "a base class without arguments",
    "networks.levenberg.Copies.evaluate": "has rows in FFNN and StNN",
    "networks.levenberg.Copies.split": "has rows in FFNN and StNN",
    "networks.levenberg.LevenbergMarquardt.restore": "takes what its state returned",
    "networks.levenberg.Stacked": "a protocol",
    "networks.levenberg.Stacked.evaluate": "a protocol",
    "networks.levenberg.Stacked.jacobian": "a protocol",
    "networks.levenberg.gram": INNER,
    "networks.recipes.Trained": MADE,
    "networks.stnn.StNN.first_matrix": INNER,
    "networks.stnn.StNN.layers": INNER,
    "networks.stnn.StNN.second_matrix": INNER,
}

VALUES = {"nan": POINT, "inf": POINT}
PLAIN, STRUCTURED = (
    ffnn.FFNN((3, 4, 4, 4, 3), dtype=torch.float64),
    stnn.StNN(4, 2, dtype=torch.float64),
)
ONE = np.random.default_rng(0).normal(size=(2, 3))
STATES = torch.tensor(ONE)
NETWORK = Thing(PLAIN, others={"class": ffnn.FFNN, "layer": torch.nn.Linear(3, 3)})
SOURCE = {"seed": 0, "numpy's": np.random.default_rng(0)}
FIELDS = leads.LEADS(2, 4, 2, dtype=torch.float64)
FOUR = np.stack([FORECAST, FORECAST + 1])  # (2, 2, 3, 2)
ROLLOUT = {"huge": "a rollout may go to infinity", "tiny": "a right value"}
MARK = {"negative": "counts from the last"}
DTYPE = Thing(
    torch.float64,
    others={"text": "float64", "numpy's": np.float64, "half": torch.float16, "int": torch.int64},
)


class Source(Thing):
    """A generator of torch, made anew in each call."""


def generator(given):
    return torch.Generator().manual_seed(0) if given == "own" else given


def weights(model) -> list:
    return [weight.detach() for weight in model.parameters()]


def flat(model) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in weights(model)])


def drawn(method: str, model: type):
    """Rows of a way to draw weights."""

    def call(generator_, **options):
        made = model(dtype=torch.float64)
        getattr(made, method)(generator(generator_), **options)
        return weights(made)

    return lambda **options: call(**options)


def rescaled(model, **units) -> list:
    return (made := model(dtype=torch.float64)).rescale(**units) or weights(made)


def copies(name: str, model, m: int, states: torch.Tensor):
    """Rows of many copies of the weights of a network."""
    theta, columns = flat(model)[None], states.mT[None].contiguous()
    batch = {"longer": "any batch", "empty": "any batch"}
    both = {"theta": Tensor(theta, VALUES), "columns": Tensor(columns, VALUES | batch)}
    out = torch.zeros(1, theta.shape[1], m, len(states), dtype=torch.float64)
    return [
        row(f"{name}.split", lambda theta: list(model.split(theta).values()), theta=both["theta"]),
        row(f"{name}.evaluate", lambda **o: model.evaluate(**o).detach(), **both),
        row(
            f"{name}.jacobian",
            lambda out, **o: [
                x.detach() for x in model.jacobian(out=getattr(out, "clone", lambda: out)(), **o)
            ],
            theta=both["theta"], columns=Tensor(columns, VALUES), out=Tensor(out, VALUES),
            fresh=Flag(True),
        ),
    ]  # fmt: skip


def alone(call):
    """A call whose artefacts are kept in a folder of its own."""

    def in_folder(options):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.dict(os.environ, DYNLIB_ARTEFACTS=folder),
        ):
            return call(**options)

    return lambda **options: in_folder(options)


@cache
def trained() -> recipes.Trained:
    recipe = recipes.Recipe(2, 5, marks=2)
    found = training.train(
        recipes.Architecture(widths=(2, 3, 3, 3, 2)), recipe, LEARN, [0], validation=LEARN
    )
    return found[0]


def outcome(each: recipes.Trained) -> list:
    return [each.weights, each.history, each.dead]


LEARN = (A[:10].reshape(5, 2), np.sin(A[:10]).reshape(5, 2))
MANY = {
    "inputs": Array(LEARN[0]), "targets": Array(LEARN[1]),
    "held_inputs": Array(LEARN[0] + 1), "held_targets": Array(LEARN[1]),
}  # fmt: skip
SEEDS = Thing(
    [0],
    others={
        "none": [], "floats": [0.0], "negative": [-1], "above torch's": [2**64], "texts": ["0"],
        "above torch's, times 1000": [2**60], "bool": [True], "ragged": [[0, 1], [2]],
    },
)  # fmt: skip
WHAT = Thing(recipes.Architecture(widths=(2, 3, 3, 3, 2)), others={"class": recipes.Architecture})
HOW = Thing(recipes.Recipe(2, 5, marks=2), others={"class": recipes.Recipe})


def train(architecture, recipe, inputs, targets, held_inputs, held_targets, seeds, **options):
    held = (held_inputs, held_targets)
    found = training.train(
        architecture, recipe, (inputs, targets), seeds, validation=held, **options
    )
    return [outcome(each) for each in found]


def train_all(architecture, recipe, inputs, targets, held_inputs, held_targets, seeds, device):
    wanted = {"one": (architecture, recipe, seeds)}
    held = (held_inputs, held_targets)
    found = ensembles.train_all(wanted, (inputs, targets), held, device=device)
    return [outcome(each) for each in found["one"]]


def again(names, trajectories, device):
    networks = ensembles.Networks(
        FORECAST, 1, [0], {"plain": recipes.Recipe(1, 2)}, {"plain": [trained()]}
    )
    found = handed.trained_again(networks, names, trajectories, device=device)
    return [outcome(each) for each in found["own"]]


def train_leads(recipe, trajectories, dt, seed, shared, device, **options):
    found = leads_training.train_leads(
        recipe, trajectories, dt, seed, shared=shared, device=device, **options
    )
    return found.weights


LEADS_RECIPE = leads_training.LeadsRecipe((2,), (1,), marks=1)
PHASES = {
    "none": (), "floats": (1.0,), "negative": (-1,), "texts": ("2",), "number": 2, "two": (1, 1),
    "huge": (10**30,),
}  # fmt: skip
DEVICE = Choice("cpu")
SAMPLE = FOUR / 10

ROWS = [
    row(
        "networks.assembled.AssembledStNN",
        lambda model: AssembledStNN(model)(torch.ones(1, 4, dtype=torch.float64)),
        model=Thing(STRUCTURED, others={"plain": PLAIN, "class": stnn.StNN}),
    ),
    row(
        "networks.assembled.AssembledStNN.forward",
        np.errstate(invalid="ignore")(lambda states: AssembledStNN(STRUCTURED)(states)),
        states=Tensor(torch.ones(2, 4, dtype=torch.float64), VALUES),
    ),
    row(
        "networks.count.layers", count.layers, model=NETWORK,
    ),
    row(
        "networks.count.total", count.total, model=NETWORK, what=Choice("flops"),
    ),
    row(
        "networks.count.saving", count.saving,
        model=NETWORK, peer=NETWORK, what=Choice("parameters"),
    ),
    row(
        "networks.ensembles.train_all", alone(train_all),
        architecture=WHAT, recipe=HOW, **MANY, seeds=SEEDS, device=DEVICE,
    ),
    row(
        "networks.environments.as_constants", environments.as_constants,
        trajectories=Array(FOUR, SIZE | SCALED), codes=Array(np.eye(2), SIZE | SCALED),
    ),
    row(
        "networks.environments.as_pairs", environments.as_pairs,
        trajectories=Array(FOUR, SIZE | SCALED), codes=Array(np.eye(2), SIZE | SCALED),
    ),
    row(
        "networks.environments.follow", environments.follow,
        model=Thing(PLAIN), trajectories=Array(FOUR, ROLLOUT), codes=Array(A[:2, None], ROLLOUT),
    ),
    row(
        "networks.environments.best_code", environments.best_code,
        model=Thing(PLAIN), seen=Array(FOUR[:1]), candidates=Array(A[:2, None], ROLLOUT),
    ),
    row(
        "networks.ffnn.FFNN", lambda **o: weights(ffnn.FFNN(**o)),
        widths=Thing(
            (3, 4, 4, 4, 3),
            others={
                "four": (3, 4, 4, 3), "floats": (3, 4.0, 4, 4, 3), "zero": (3, 0, 4, 4, 3),
                "huge": (3, 10**9, 10**9, 4, 3), "beyond": (3, 10**30, 4, 4, 3),
                "bool": (3, True, 4, 4, 3), "ragged": [[3], [4, 4]],
            },
        ),
        dtype=DTYPE,
    ),
    row(
        "networks.ffnn.FFNN.draw", drawn("draw", ffnn.FFNN),
        generator_=Source("own", others=SOURCE),
    ),
    row(
        "networks.ffnn.FFNN.draw_alive", drawn("draw_alive", ffnn.FFNN),
        generator_=Source("own", others=SOURCE), used=Count(3, {"None": "all"}, least=3),
    ),
    row(
        "networks.ffnn.FFNN.forward", lambda states: PLAIN(states).detach(),
        states=Tensor(STATES, VALUES),
    ),
    *copies("networks.ffnn.FFNN", PLAIN, 3, STATES),
    row(
        "networks.ffnn.FFNN.rescale", lambda **units: rescaled(ffnn.FFNN, **units),
        **{
            name: Tensor(torch.ones(3, dtype=torch.float64), VALUES)
            for name in ("mean", "scale", "out_mean", "out_scale")
        },
    ),
    row(
        "networks.ffnn.widths_of_size", ffnn.widths_of_size,
        parameters=Count(388), n=Count(3), n_out=Count(2, {"None": "as many as n"}),
        within=Number(0.02, low=0, reaches=True),
    ),
    row(
        "networks.ffnn.in_numpy", lambda network: ffnn.in_numpy(network)(STATES),
        network=Thing(PLAIN, others={"structured": STRUCTURED}),
    ),
    row(
        "networks.forecaster.NetworkForecaster",
        lambda model: forecaster.NetworkForecaster(model).flops, model=NETWORK,
    ),
    row(
        "networks.forecaster.NetworkForecaster.rollout",
        forecaster.NetworkForecaster(STRUCTURED).rollout,
        windows=Array(FORECAST, ROLLOUT | SIZE), n_steps=Count(2),
    ),
    row(
        "networks.forecaster.forecasters", forecaster.forecasters,
        trained=Thing({}, others={"a list": []}),
    ),
    row(
        "networks.forecaster.feed_back", lambda **o: forecaster.feed_back(**o),
        model=NETWORK, batch=Count(2), n_steps=Count(2),
    ),
    row(
        "networks.handed.trained_again", alone(again),
        names=Thing({"own": "plain"}, others={"unknown": {"own": "none"}, "list": ["plain"]}),
        trajectories=Array(FORECAST[[0, 1, 1]] / 10), device=DEVICE,
    ),
    row(
        "networks.leads.LEADS",
        lambda generator_, **o: weights(leads.LEADS(generator=generator(generator_), **o)),
        environments=Count(2), width=Count(4), dim=Count(2),
        generator_=Source("own", {"None": "torch's own"}, SOURCE), dtype=DTYPE,
    ),
    row(
        "networks.leads.LEADS.weights",
        lambda part: [x.detach() for pair in FIELDS.weights(part) for x in pair],
        part=Choice("own"),
    ),
    row(
        "networks.leads.LEADS.forward", lambda **o: FIELDS(**o).detach(),
        states=Tensor(torch.ones(2, 3, 2, dtype=torch.float64), VALUES),
        steps=Count(2), dt=Number(0.5),
    ),
    row(
        "networks.leads.penalty", lambda **o: leads.penalty(**o).detach(),
        model=Thing(FIELDS, others={"plain": PLAIN}),
        states=Tensor(torch.ones(2, 3, 2, dtype=torch.float64), VALUES), rounds=Count(5),
    ),
    row(
        "networks.leads_training.LeadsRecipe", leads_training.LeadsRecipe,
        steps=Thing((3,), others=PHASES | {"zero": (0,)}), windows=Thing((0,), others=PHASES),
        learning_rate=Number(1e-3, low=0), decay=Flag(False), rounds=Count(5), marks=Count(4),
    ),
    row(
        "networks.leads_training.TrainedLeads.at",
        lambda mark: weights(
            leads_training.TrainedLeads(
                2, 4, 2, torch.zeros(2, len(flat(FIELDS))), A[:2], A[:2]
            ).at(mark)
        ),
        mark=Count(1, MARK, least=-2),
    ),
    row(
        "networks.leads_training.rollout", leads_training.rollout,
        model=Thing(FIELDS, others={"plain": PLAIN}), starts=Array(FOUR[:, :, 0], ROLLOUT),
        steps=Count(2), dt=Number(0.1),
    ),
    row(
        "networks.leads_training.train_leads", alone(train_leads),
        recipe=Thing(LEADS_RECIPE, others={"other": recipes.Recipe(1, 1)}),
        trajectories=Array(SAMPLE, SIZE), dt=Number(0.5, low=0), seed=Seed(3),
        shared=Thing(
            None, {"None": "all is trained"}, {"plain": PLAIN, "other": leads.LEADS(2, 4, 3)}
        ),
        device=DEVICE,
    ),
    row(
        "networks.levenberg.LevenbergMarquardt",
        lambda **o: LevenbergMarquardt(**o).step(STATES.mT[None], STATES.mT[None]),
        model=Thing(PLAIN, others={"layer": torch.nn.Linear(3, 3)}),
        theta=Tensor(flat(PLAIN)[None], VALUES),
        damping=Number(1e-3, low=0), rule=Choice("gain"), attempts=Count(5),
        smallest=Number(1e-10, low=0), largest=Number(1e10, low=0),
    ),
    row(
        "networks.levenberg.LevenbergMarquardt.step",
        lambda **o: LevenbergMarquardt(PLAIN, flat(PLAIN)[None]).step(**o),
        columns=Tensor(STATES.mT[None], VALUES), targets=Tensor(STATES.mT[None], VALUES),
    ),
    row(
        "networks.recipes.Architecture", recipes.Architecture,
        branches=Count(2), widths=Thing((), others={"both": (3, 4, 4, 4, 3), "a list": [3]}),
        n=Count(4, least=2), released=Flag(False),
    ),
    row(
        "networks.recipes.Architecture.build",
        lambda dtype: weights(recipes.Architecture(2).build(dtype)), dtype=DTYPE,
    ),
    row(
        "networks.recipes.Recipe", recipes.Recipe,
        steps=Count(3), batch_size=Count(5), printed=Flag(False), starts=Count(2),
        start_steps=Count(1, least=0), marks=Count(3),
        swapped=Thing(("units",), others={"unknown": ("size",), "a list": ["units"]}),
    ),
    row(
        "networks.recipes.Recipe.as_printed", HOW.value.as_printed, part=Choice("units"),
    ),
    row(
        "networks.recipes.Recipe.check",
        lambda inputs, targets: HOW.value.check((inputs, targets)),
        inputs=Array(LEARN[0], SIZE), targets=Array(LEARN[1], SIZE),
    ),
    row(
        "networks.recipes.Trained.at", lambda mark: weights(trained().at(mark)),
        mark=Count(1, MARK, least=-2),
    ),
    row(
        "networks.representation.representation_error", representation.representation_error,
        target=Tensor(torch.eye(2, dtype=torch.float64)), branches=Count(1), starts=Count(2),
        steps=Count(2), seed=Seed(3),
    ),
    row(
        "networks.scores.one_step_errors",
        lambda model, inputs, targets: scores.one_step_errors(model, (inputs, targets)),
        model=NETWORK, inputs=Array(A[:6].reshape(2, 3)), targets=Array(A[6:12].reshape(2, 3)),
    ),
    row(
        "networks.scores.failed", scores.failed,
        errors=Array(A[:2], dict.fromkeys(("nan", "inf", "-inf", "huge", "tiny"), "any error")),
        variance=Array(10 * A[:2], SCALED),
    ),
    row(
        "networks.scores.active_directions", scores.active_directions,
        model=NETWORK, states=Array(ONE), tolerance=Number(1e-9, low=0, reaches=True),
    ),
    row(
        "networks.scores.rollout", scores.rollout,
        model=NETWORK, starts=Array(A[:4].reshape(2, 2), ROLLOUT), n_steps=Count(2),
        constants=Array(A[:2, None], ROLLOUT | {"None": "there are none"}),
    ),
    row(
        "networks.stnn.StNN", lambda **o: weights(stnn.StNN(**o)),
        n=Count(4, least=2), branches=Count(2), released=Flag(False), linear=Flag(False),
        dtype=DTYPE,
    ),
    row("networks.stnn.StNN.shapes", stnn.StNN.shapes, n=Count(4, least=2)),
    row(
        "networks.stnn.StNN.draw", drawn("draw", stnn.StNN),
        generator_=Source("own", others=SOURCE),
    ),
    row(
        "networks.stnn.StNN.draw_alive", drawn("draw_alive", stnn.StNN),
        generator_=Source("own", others=SOURCE), used=Count(3, {"None": "all"}, least=0),
    ),
    row(
        "networks.stnn.StNN.from_hankel", lambda symbol: weights(stnn.StNN.from_hankel(symbol)),
        symbol=Tensor(torch.ones(3, dtype=torch.float64), VALUES),
    ),
    row(
        "networks.stnn.StNN.forward", lambda states: STRUCTURED(states).detach(),
        states=Tensor(torch.ones(2, 4, dtype=torch.float64), VALUES),
    ),
    *copies("networks.stnn.StNN", STRUCTURED, 2, torch.ones(2, 4, dtype=torch.float64)),
    row(
        "networks.stnn.StNN.rescale", lambda **units: rescaled(stnn.StNN, **units),
        **{
            name: Tensor(torch.ones(3, dtype=torch.float64), VALUES)
            for name in ("mean", "scale", "out_mean", "out_scale")
        },
    ),
    row(
        "networks.stnn.multiplied_out", stnn.multiplied_out,
        model=Thing(STRUCTURED, others={"plain": PLAIN}),
    ),
    row(
        "networks.training.train", lambda **o: train(**o),
        architecture=WHAT, recipe=HOW, **MANY, seeds=SEEDS, device=DEVICE,
        folder=Thing(None, {"None": "nothing is kept"}), checkpoint_seconds=Number(15.0),
        label=Thing("training", {k: "any text" for k in ("text", "unicode digits")}),
    ),
]  # fmt: skip
