"""The public names of ``dynlib.tokens``, with right values of their arguments."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from kinds import (
    ANY_AXES,
    SIZE,
    WORDS,
    A,
    Argument,
    Array,
    Choice,
    Count,
    Number,
    Seed,
    Thing,
    Tokens,
    row,
)

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.tokens import (
    accelerated,
    excerpts,
    generation,
    gpt,
    grid,
    loss,
    markov,
    memory,
    parroting,
    recipes,
    seeds,
    shadowing,
    stages,
    training,
    windows,
)

#: What has no input to refuse, and why.
EXEMPT = {
    "tokens.accelerated.[!d]*": "what it is given is checked by generate and log_probabilities",
    "tokens.gpt.draw": "what it is given is made by generate",
    "tokens.excerpts.Excerpts": "made by cut",
    "tokens.recipes.Stage": "made by train",
    "tokens.recipes.Trained": "made by train",
    "tokens.stages.Stages": "made by train",
    "tokens.stages.Stages.reach": "called by train",
    "tokens.stages.best_stage": "its stages are made by train",
    "tokens.stages.placed": "its rows are made by train",
    "tokens.stages.unplaced": "its stages are made by train",
    "tokens.loss.in_stretches": "called by NextTokenLoss",
    "tokens.shadowing.Shadows": "made by find_shadows",
    "tokens.windows.joined": "what it is given is checked by its callers",
}


@dataclass(frozen=True)
class TokenTensor(Argument):
    """A tensor (B, T) of tokens."""

    def forms(self):
        yield "not contiguous", self.value.repeat_interleave(2, -1)[..., ::2], "same"

    def odd(self):
        a = self.value
        yield from WORDS.items()
        yield "list", a.tolist()
        yield "array", a.numpy()
        for dtype in (torch.int32, torch.float32, torch.complex64, torch.bool):
            yield str(dtype), a.to(dtype)
        yield "axis too few", a[0]
        yield "axis too many", a[None]
        yield "empty", a[:, :0]
        yield "too long", a.repeat(1, 9)
        yield "negative", a - 1
        yield "out of range", a + 10**6


@dataclass(frozen=True)
class Lists(Tokens):
    """Trajectories of tokens: an array, or a list of rows of unequal length."""

    def odd(self):
        yield from super().odd()
        yield "a list with a short axis", [*self.value, self.value]
        yield "a list of texts", [*self.value, "text"]
        yield "an empty row", [*self.value, self.value[0, :0]]
        yield "no rows", []


CUT = dict.fromkeys(("negative", "out of range"), "tokens are cut, not read")
ANY = {"out of range": "any tokens"}
STATES = np.array([[[0.0, 1.0], [1.0, 3.0], [2.0, 1.0], [0.5, 2.0]]])
GRID = grid.Grid.fit(STATES, 2)
SQUARE = grid.Grid(np.zeros(2), np.ones(2), 3, np.arange(9))
SERIES = np.tile([0, 1, 2, 1], (2, 4))
CHAIN = markov.NGram(SERIES, 2, 3)
CELLS = np.array([[0, 0], [0, 1], [1, 0]])
CENTRES = CELLS + 0.5
CONFIG = gpt.GPTConfig(3, layers=1, heads=1, width=4, context=4)
torch.manual_seed(0)
MODEL = gpt.TokenGPT(CONFIG).eval()
FIXED = copy.deepcopy(MODEL).requires_grad_(False)
BATCH = torch.as_tensor(SERIES[:, :4])
ONE_STEP = recipes.TrainingConfig(1, 2, precision="fp32")
GENERATORS = generation.Generators([MODEL], {"markov": CHAIN}, SERIES, CENTRES, [0])

SYSTEM = TimeMap(Lorenz(), 0.05)
START = Lorenz().initial_states(2, np.random.default_rng(0))
PATHS = SYSTEM.orbits(START, 6)
BOX = grid.Grid.fit(PATHS, 2, "grid")
PIECES = excerpts.Excerpts.cut(
    PATHS, BOX.encode(PATHS), 2, 4, first=0, rng=np.random.default_rng(0)
)
SHADOWS = shadowing.Shadows(START, 1.0, 1, np.zeros(len(START), int))

MODELS = Thing([MODEL], others={"one": MODEL, "none": [], "class": [gpt.TokenGPT]})
ONE = Thing(MODEL, others={"class": gpt.TokenGPT, "config": CONFIG})
GRAM = Thing(CHAIN, others={"class": markov.NGram, "model": MODEL})
SIZES = Thing(CONFIG, others={"class": gpt.GPTConfig, "dict": {"vocabulary": 3}})
RECIPE = Thing(ONE_STEP, others={"class": recipes.TrainingConfig, "dict": {"steps": 1}})
MAP = Thing(SYSTEM, others={"flow": Lorenz(), "class": TimeMap})
OF_MAP = Thing(BOX, others={"other coordinates": GRID, "class": grid.Grid})
PROMPTS = Tokens(SERIES[:, :5], SIZE)
CACHE = Thing(None, {"None": "starts anew"}, {"tuple": ()})
NOT_SEEDS = {"floats": [0.0], "negative": [-1], "none": [], "huge": [2**64], "bool": [True]}
NOT_WARMTHS = {
    "none": [], "texts": ["２"], "nan": [np.nan], "negative": [-1.0], "cold": [1e-40],
    "nested": [[1.0]], "complex": [1j],
}  # fmt: skip
HEAT = Number(1.0, low=0, reaches=True)
OPTIONAL = {"None": "there may be none"}


def cell_argument(**fine: str) -> Tokens:
    return Tokens(CELLS, ANY | SIZE | fine)


def labels(train, jobs, device):
    return [arguments["label"] for _, _, arguments in jobs]


def planned(**arguments):
    """What would be trained; the training itself has a row."""
    with mock.patch.object(seeds.artefacts, "each_trained", labels):
        return seeds.train_seeds(**arguments)


def loaded(trained, stage):
    """What a stage holds; that it was written has tests of its own."""
    with mock.patch.object(stages.checkpoint, "load", return_value=(MODEL.state_dict(), {})):
        return bool(stages.at_stage(trained, stage))


TRAINING = {
    "trajectories": Lists(SERIES),
    "cells": cell_argument(**OPTIONAL),
    "model_config": SIZES,
    "config": RECIPE,
}

STAGED = {
    "stages": Thing([1], others={"count": 1, "zero": [0], "late": [2], "floats": [1.0]}),
    "minutes": Number(1.0, low=0, reaches=True), "patience": Count(0, least=0),
}  # fmt: skip
STAGE = recipes.Stage(1, 8, 1.0, 1.0, None, Path("a"))
KEPT = recipes.Trained(MODEL, 8, 1.0, np.ones((1, 3)), None, (STAGE,))

ROWS = [
    row(
        "tokens.accelerated.decoding_bytes", accelerated.decoding_bytes,
        config=SIZES, prompts=Count(3), tokens=Count(5, least=2),
    ),
    row(
        "tokens.excerpts.Excerpts.cut",
        lambda rng, **others: excerpts.Excerpts.cut(
            rng=np.random.default_rng(0) if rng == "own" else rng, **others
        ).states,
        states=Array(PATHS, SIZE | dict.fromkeys(
            ("nan", "inf", "-inf", "huge", "tiny"), "states are cut, not read"
        )),
        tokens=Tokens(SERIES[:, :6], CUT), n=Count(3), length=Count(4), first=Count(1, least=0),
        rng=Thing("own", others={"seed": 0}),
    ),
    row(
        "tokens.excerpts.Excerpts.shadows",
        lambda **arguments: [each.initial for each in PIECES.shadows(**arguments)],
        system=MAP, grid=OF_MAP, k=Count(2), exponent=Number(0.9), samples=Count(4),
    ),
    row(
        "tokens.excerpts.Excerpts.twins", PIECES.twins,
        system=MAP, grid=OF_MAP, k=Count(2), exponent=Number(0.9), samples=Count(4),
    ),
    row("tokens.excerpts.Excerpts.parts", PIECES.parts, n=Count(2)),
    row(
        "tokens.generation.Generators",
        lambda **arguments: generation.Generators(**arguments).copying(SERIES, 2),
        models=MODELS,
        chains=Thing({"a": CHAIN}, others={"one": CHAIN, "list": [CHAIN], "model": {"a": MODEL}}),
        training=Lists(SERIES), centres=Array(CENTRES, SIZE),
        seeds=Thing([0], others={**NOT_SEEDS, "two": [0, 1]}), workers=Count(1),
    ),
    row(
        "tokens.generation.Generators.networks", GENERATORS.networks,
        prompts=PROMPTS, n_steps=Count(2), temperatures=Thing([1.0, 0.0], others=NOT_WARMTHS),
    ),
    row(
        "tokens.generation.Generators.counting", GENERATORS.counting,
        prompts=PROMPTS, n_steps=Count(2), temperature=HEAT,
    ),
    row(
        "tokens.generation.Generators.copying", GENERATORS.copying,
        prompts=PROMPTS, n_steps=Count(2),
    ),
    row(
        "tokens.generation.Generators.in_batches", GENERATORS.in_batches,
        prompts=PROMPTS, n_steps=Count(2), batches=Count(2),
        temperatures=Thing({"model": 1.0, "greedy": 0.0}, others={"empty": {}}),
        in_turn=Thing(["greedy"], others={"unknown": ["half"]}),
    ),
    row(
        "tokens.generation.continued", generation.continued,
        model=ONE, prompts=PROMPTS, n_steps=Count(2), temperature=HEAT, seed=Seed(3),
    ),
    row(
        "tokens.gpt.GPTConfig", gpt.GPTConfig,
        vocabulary=Count(3), layers=Count(1), heads=Count(2), width=Count(4),
        context=Count(8, least=2), dropout=Number(0.25, low=0, reaches=True),
        embedding=Choice("plain"),
    ),
    *(
        row(
            "tokens.gpt.TokenGPT",
            lambda **arguments: gpt.TokenGPT(**arguments).count_parameters(),
            config=Thing(
                gpt.GPTConfig(3, layers=1, heads=1, width=4, context=4, embedding=embedding),
                others={"class": gpt.GPTConfig, "dict": {"vocabulary": 3}},
            ),
            cells=cell_argument(**fine),
        )
        for embedding, fine in (("plain", OPTIONAL), ("factorised", {}))
    ),
    row("tokens.gpt.TokenGPT.hidden", FIXED.hidden, tokens=TokenTensor(BATCH), cache=CACHE),
    row("tokens.gpt.TokenGPT.forward", FIXED.forward, tokens=TokenTensor(BATCH), cache=CACHE),
    row(
        "tokens.gpt.log_probabilities", gpt.log_probabilities,
        model=ONE, windows=Tokens(SERIES[:, :5]),
        last=Count(2, {"None": "all of them"}),
    ),
    row("tokens.gpt.next_probabilities", gpt.next_probabilities, model=ONE, prompts=PROMPTS),
    row(
        "tokens.gpt.generate", gpt.generate,
        model=ONE, prompts=PROMPTS, n_steps=Count(3),
        temperature=HEAT,
        seed=Seed(3),
    ),
    row(
        "tokens.gpt.generate", gpt.generate,
        model=ONE, prompts=PROMPTS, n_steps=Count(3),
        temperature=Array(np.array([1.0, 0.5]), {"axis too few": "one for all"}), seed=Seed(3),
    ),
    row(
        "tokens.grid.Grid", lambda **arguments: grid.Grid(**arguments).centres,
        low=Array(np.zeros(2), {"huge": "is 0", "tiny": "is 0"}), high=Array(np.ones(2)),
        n_cells=Count(3), occupied=Tokens(np.arange(8)),
    ),
    row(
        "tokens.grid.Grid.fit",
        lambda **arguments: grid.Grid.fit(**arguments).centres,
        trajectories=Array(
            STATES, {"axis too many": "any axes", "axis too few": "one of them"} | SIZE
        ),
        n_cells=Count(2), vocabulary=Choice("grid"),
    ),
    row(
        "tokens.grid.Grid.indices", GRID.indices,
        states=Array(STATES, ANY_AXES | {"empty": "no states", "tiny": "a right value"}),
    ),
    row(
        "tokens.grid.Grid.encode", GRID.encode,
        states=Array(STATES, ANY_AXES | {"empty": "no states", "tiny": "a right value"}),
        unseen=Choice("nearest"),
    ),
    row(
        "tokens.grid.Grid.decode", SQUARE.decode,
        tokens=Tokens(SERIES, ANY_AXES | {"empty": "no tokens, no states"}),
    ),
    row("tokens.loss.NextTokenLoss", lambda model: bool(loss.NextTokenLoss(model)), model=ONE),
    row(
        "tokens.loss.NextTokenLoss.forward", loss.NextTokenLoss(FIXED).forward,
        windows=TokenTensor(torch.as_tensor(SERIES[:, :5])),
    ),
    row(
        "tokens.loss.rows_that_fit", loss.rows_that_fit,
        free_bytes=Count(2**30, least=0), vocabulary=Count(2500),
    ),
    row(
        "tokens.markov.NGram",
        lambda **arguments: markov.NGram(**arguments).likelihood([[0, 1]], [2]),
        trajectories=Lists(SERIES), order=Count(2, least=0), vocabulary=Count(3),
    ),
    row(
        "tokens.markov.NGram.shorter", lambda order: CHAIN.shorter(order).order,
        order=Count(1, least=0),
    ),
    row(
        "tokens.markov.NGram.likelihood", CHAIN.likelihood,
        contexts=PROMPTS, chosen=Tokens(np.array([0, 2])),
    ),
    row("tokens.markov.NGram.probabilities", CHAIN.probabilities, contexts=PROMPTS),
    row("tokens.markov.NGram.likeliest", CHAIN.likeliest, contexts=PROMPTS),
    row(
        "tokens.markov.NGram.log_probabilities", CHAIN.log_probabilities,
        windows=Tokens(SERIES),
    ),
    row(
        "tokens.markov.NGram.generate", CHAIN.generate,
        prompts=PROMPTS, n_steps=Count(3), temperature=HEAT, seed=Seed(3),
    ),
    row(
        "tokens.memory.chain_scores",
        lambda **arguments: list(memory.chain_scores(**arguments).values()),
        chain=GRAM,
        orders=Thing([1, 2], others={"zero": [0], "none": [], "floats": [1.0], "long": [3]}),
        sentences=Tokens(SERIES), targets=Count(3),
    ),
    row(
        "tokens.memory.best_order", memory.best_order,
        chain=GRAM, held_out=Lists(SERIES), targets=Count(3), n=Count(4), first=Count(1, least=0),
    ),
    row(
        "tokens.memory.context_curves",
        lambda **arguments: memory.context_curves(**arguments)[1:],
        models=MODELS, chain=GRAM, test=Lists(SERIES), n=Count(4), first=Count(1, least=0),
    ),
    row(
        "tokens.parroting.parrot", parroting.parrot,
        prompts=PROMPTS, n_steps=Count(3), centres=Array(CENTRES, SIZE),
    ),
    row(
        "tokens.parroting.recall", parroting.recall,
        training=Lists(SERIES, ANY), prompts=Tokens(SERIES[:, :5], ANY), n_steps=Count(3),
    ),
    row(
        "tokens.recipes.TrainingConfig", recipes.TrainingConfig,
        steps=Count(5), batch_size=Count(2), learning_rate=Number(1.0, low=0),
        optimizer=Choice("muon"), beta2=Number(0.5, low=0), epsilon=Number(1.0, low=0),
        weight_decay=HEAT, schedule=Choice("cosine"), clip=HEAT, precision=Choice("bf16"),
        seed=Seed(3),
    ),
    row(
        "tokens.recipes.TrainingConfig.rate",
        recipes.TrainingConfig(9, 1, schedule="cosine").rate, step=Count(4, least=0),
    ),
    row(
        "tokens.recipes.TrainingConfig.autocast", ONE_STEP.autocast,
        model=SIZES, device=Choice("cpu"),
    ),
    row(
        "tokens.recipes.make_optimizers",
        lambda **arguments: len(recipes.make_optimizers(**arguments)), model=ONE, config=RECIPE,
    ),
    row(
        "tokens.seeds.train_seeds",
        lambda **arguments: planned(**arguments),
        **TRAINING, seeds=Thing([0], others=NOT_SEEDS),
        name=Thing("a", {"text": "a name", "unicode digits": "a name"}),
        validation=Lists(np.tile(SERIES, (1, 7)), OPTIONAL), device=Choice("cpu"), **STAGED,
    ),
    row(
        "tokens.stages.passes", stages.passes,
        trajectories=Lists(
            SERIES, dict.fromkeys(("negative", "out of range"), "tokens are counted, not read")
        ),
        config=RECIPE,
        context=Count(2), at=Array(np.array([0.5, 1.0]), {
            "tiny": "at once", "huge": "at the end", "longer": "any number of them",
        }),
    ),
    row(
        "tokens.stages.at_stage", loaded,
        trained=Thing(KEPT, others={"model": MODEL}), stage=Thing(
            STAGE, others={"number": 1, "nowhere": dataclasses.replace(STAGE, folder=None)}
        ),
    ),
    row(
        "tokens.shadowing.Shadows.continuations", SHADOWS.continuations,
        system=MAP, grid=OF_MAP, k=Count(2), horizon=Count(3),
    ),
    row(
        "tokens.shadowing.find_shadows",
        lambda **arguments: shadowing.find_shadows(**arguments).initial,
        system=MAP, grid=OF_MAP, start=Array(START[0]), k=Count(2), exponent=Number(0.9),
        samples=Count(5), wanted=Count(2), seed=Seed(3),
    ),
    row(
        "tokens.shadowing.longest_match", shadowing.longest_match,
        orbits=Tokens(SERIES[:, :6], CUT), generated=Tokens(SERIES[0, :6], CUT),
    ),
    row(
        "tokens.shadowing.divergence_steps", shadowing.divergence_steps,
        orbits=Thing([SERIES], others={"axis too few": SERIES, "none": [], "floats": [A]}),
        generated=Tokens(SERIES[:1], CUT),
    ),
    row(
        "tokens.shadowing.true_divergence_steps", shadowing.true_divergence_steps,
        orbits=Thing([SERIES], others={"axis too few": SERIES, "none": [], "floats": [A]}),
    ),
    row(
        "tokens.training.train",
        lambda **arguments: training.train(**arguments).history[:, 1],
        **TRAINING, folder=Thing(None, {"None": "nothing is kept"}, {"number": 3}),
        validation=Lists(np.tile(SERIES, (1, 7)), OPTIONAL), device=Choice("cpu"),
        checkpoint_seconds=Number(15.0, low=0, reaches=True),
        label=Thing("a", {"text": "a name", "unicode digits": "a name"}), **STAGED,
    ),
    row(
        "tokens.windows.windows", windows.windows,
        trajectories=Lists(SERIES, CUT), length=Count(3), n=Count(4), first=Count(1, least=0),
    ),
    row(
        "tokens.windows.random_windows", windows.random_windows,
        trajectories=Lists(SERIES, CUT), length=Count(3), n=Count(4),
        seed=Thing([0, 1], others=NOT_SEEDS),
    ),
]  # fmt: skip
