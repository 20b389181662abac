"""Where GPT-2 overtakes counting: both learn from the same data, few to many, for more passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from dynlib.dynamics.flows import TimeMap
from dynlib.dynamics.lyapunov import tangent_exponents
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.dynamics.systems.lorenz import Lorenz
from dynlib.dynamics.systems.rossler import Rossler
from dynlib.report import prices, record
from dynlib.report.tokens import per_trajectory
from dynlib.tokens.gpt import GPTConfig, TokenGPT, log_probabilities
from dynlib.tokens.grid import Grid
from dynlib.tokens.markov import NGram
from dynlib.tokens.memory import best_order
from dynlib.tokens.recipes import TrainingConfig
from dynlib.tokens.training import train
from dynlib.tokens.windows import windows
from dynlib.training import artefacts, parallel

#: Trajectories held out for choices, and true tokens before all that is predicted.
HELD_OUT, FIRST = 5, 100
#: Tokens after each test trajectory along which its exponent is measured.
STEPS = 5000


@dataclasses.dataclass(frozen=True)
class Case:
    """A grid, with the data and the recipe of its run at the preset ``cpu``."""

    name: str
    title: str
    system: Any
    tau: float
    n_cells: int
    trajectories: int = 100
    length: int = 33334
    test: int = 20
    width: int = 128
    context: int = 64
    batch_size: int = 32
    learning_rate: float = 1.2e-2
    embedding: str = "factorised"
    test_windows: int = 2048
    longest_ngram: int = 24

    @property
    def dynamics(self) -> Any:
        """The map from one token's state to the next one's."""
        return self.system if hasattr(self.system, "step") else TimeMap(self.system, self.tau)

    def model(self, vocabulary: int) -> GPTConfig:
        """The network."""
        return GPTConfig(vocabulary, 1, 4, self.width, self.context, embedding=self.embedding)

    def recipe(self, steps: int, seed: int) -> TrainingConfig:
        """How it is trained; the learning rate falls to the last step, however many there are."""
        return TrainingConfig(
            steps, self.batch_size, self.learning_rate, "muon",
            beta2=0.95, epsilon=1e-8, weight_decay=0.01, schedule="cosine", clip=1.0, seed=seed,
        )  # fmt: skip


#: The grids of the paper, the cheapest first.
CASES = (
    Case(
        "henon", "Hénon", Henon(), 1.0, 50, length=10000, test=10, width=64, context=32,
        batch_size=64, embedding="plain", test_windows=4096, longest_ngram=12,
    ),
    Case("lorenz_20", "Lorenz, 20", Lorenz(), 0.03, 20),
    Case("lorenz_35", "Lorenz, 35", Lorenz(), 0.03, 35),
    Case(
        "rossler", "Rössler", Rossler(), 0.1, 50,
        trajectories=300, length=10000, learning_rate=1e-2,
    ),
    Case("lorenz_50", "Lorenz, 50", Lorenz(), 0.03, 50),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """The tokens of a grid: to learn from, held out for choices, and the test; how that ends."""

    case: Case
    grid: Grid
    learn: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    last: np.ndarray

    def part(self, fraction: Fraction) -> np.ndarray:
        """The first trajectories, so many of them and at least one: smaller parts are nested."""
        return self.learn[: max(1, round(fraction * len(self.learn)))]


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """One size of the data and one number of passes over it."""

    data: Data
    fraction: Fraction
    passes: Fraction
    steps: int

    @property
    def model(self) -> GPTConfig:
        """The network."""
        return self.data.case.model(self.data.grid.vocabulary)

    @property
    def operations(self) -> float:
        """What it costs, in units of 10¹² (:func:`dynlib.report.prices.flops_per_token`)."""
        case = self.data.case
        return (
            1e-12 * self.steps * case.batch_size * case.context * prices.flops_per_token(self.model)
        )

    @property
    def name(self) -> str:
        """How its metrics end."""
        return f"{sized(self.data, self.fraction)}_passes_{_word(self.passes)}"


def numbers(name: str, text: str) -> list[Fraction]:
    """Ascending numbers from a text such as ``"1/3 1 3"``."""
    try:
        found = [Fraction(word) for word in text.split()]
    except (ValueError, ZeroDivisionError):
        found = []
    if not found or found != sorted(set(found)) or found[0] <= 0:
        raise ValueError(
            f"{name} must be ascending numbers above 0 with spaces between, got {text!r}; "
            "such as '1/3 1 3'"
        )
    return found


def _word(value: Fraction) -> str:
    return str(value).replace("/", "_")


def sized(data: Data, fraction: Fraction) -> str:
    """How the metrics of a grid and a size of the data end."""
    return f"{data.case.name}_data_{_word(fraction)}"


def prepared(case: Case, *, shrink: int, data_seed: int) -> Data:
    """The data of a case: those of its run, or a `shrink`-th of them in number and in length."""
    count, length = max(8, case.trajectories // shrink), max(700, case.length // shrink)
    streams = np.random.default_rng(data_seed).spawn(2)
    states, test = (
        simulate(case.dynamics, case.system.initial_states(n, rng), length)
        for n, rng in zip((count, case.test), streams, strict=True)
    )
    grid = Grid.fit(states, case.n_cells)
    learned = grid.encode(states)
    seen = grid.encode(test, unseen="nearest")
    return Data(case, grid, learned[:-HELD_OUT], learned[-HELD_OUT:], seen, test[:, -1])


def planned(
    grids: Sequence[Data], fractions: Sequence[Fraction], passes: Sequence[Fraction]
) -> list[Training]:
    """Every training, those of the fewest operations first."""
    found = []
    for data in grids:
        a_step = data.case.batch_size * data.case.context
        for fraction in fractions:
            size = data.part(fraction).size
            found += [Training(data, fraction, p, round(p * size / a_step)) for p in passes]
    return sorted(found, key=lambda each: each.operations)


def trained(
    plan: Sequence[Training], seeds: Sequence[int], device: str
) -> dict[str, list[TokenGPT]]:
    """The networks of every training by its name, one a seed, each kept as an artefact.

    Worker processes take them in the order of the plan, as many at a time as there are cores.
    """
    jobs: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for each in plan:
        part, cells = each.data.part(each.fraction), each.data.grid.cells
        data, model = artefacts.digest(part, cells), each.model
        for seed in seeds:
            recipe = each.data.case.recipe(each.steps, seed)
            key = {
                "data": data,
                "model": dataclasses.asdict(model),
                "training": dataclasses.asdict(recipe),
            }
            arguments = {
                "trajectories": part, "cells": cells, "model_config": model, "config": recipe,
                "label": f"{each.name}, seed {seed}",
            }  # fmt: skip
            jobs.append((f"counting-{each.data.case.name}", key, arguments))
    found = iter(artefacts.each_trained(train, jobs, device))
    return {each.name: [next(found).model for _ in seeds] for each in plan}


def _surprise(model: TokenGPT | NGram, sentences: np.ndarray, targets: int, n: int) -> np.ndarray:
    """Cross-entropy of a model on windows of `n` trajectories, nats a token, one a trajectory."""
    if isinstance(model, NGram):
        scores, _ = model.log_probabilities(sentences[:, -targets - model.order :])
    else:
        scores, _ = log_probabilities(
            model, sentences[:, -model.config.context - 1 :], last=targets
        )
    return per_trajectory(scores, n)


def _sentences(data: Data, shrink: int) -> tuple[np.ndarray, int]:
    """The test windows of the run of this grid, and how many tokens of each are predicted."""
    context, targets = data.case.context, data.case.context - data.case.context // 2
    length = max(context, data.case.longest_ngram + targets) + 1
    return windows(data.test, length, data.case.test_windows // shrink, first=FIRST), targets


def counted(
    grids: Sequence[Data], fractions: Sequence[Fraction], shrink: int
) -> dict[str, np.ndarray]:
    """Record the best n-grams of every grid and size, and entropy rates.

    Returns
    -------
    dict of str to numpy.ndarray
        Their cross-entropies, one a test trajectory, by grid and size.
    """
    found = {}
    for data in grids:
        case, (sentences, targets) = data.case, _sentences(data, shrink)
        for fraction in fractions:
            part, name = data.part(fraction), sized(data, fraction)
            chain = NGram(part, case.longest_ngram, data.grid.vocabulary)
            best = best_order(
                chain, data.held_out, targets, case.test_windows // shrink, first=FIRST
            )
            found[name] = _surprise(chain.shorter(best), sentences, targets, len(data.test))
            record.metric(f"train_tokens_{name}", part.size, unit="tokens", tolerance=0.0)
            record.metric(f"best_ngram_order_{name}", best, unit="tokens", tolerance=0.3)
            record.metric(
                f"best_ngram_cross_entropy_{name}", found[name],
                over="trajectories", unit="nats/token",
            )  # fmt: skip
        exponents = tangent_exponents(case.dynamics, data.last, STEPS // shrink, alignment=100)
        record.metric(
            f"entropy_rate_{case.name}", case.tau * exponents[:, 0],
            over="trajectories", unit="nats/token",
        )  # fmt: skip
    return found


def compared(
    networks: dict[str, list[TokenGPT]],
    counting: dict[str, np.ndarray],
    plan: Sequence[Training],
    *,
    shrink: int,
    device: str,
) -> None:
    """Record by how much GPT-2 is more surprised than counting, and after how many passes less.

    A difference is below 0 where the network predicts better. It has no value where the network
    was not trained: `networks` holds a part of the `plan`.
    """
    jobs = []
    for each in plan:
        sentences, targets = _sentences(each.data, shrink)
        common = {"sentences": sentences, "targets": targets, "n": len(each.data.test)}
        jobs += [{"model": model, **common} for model in networks.get(each.name, ())]
    scores = iter(parallel.map_processes(_surprise, jobs, parallel.default_workers(device)))
    kept: dict[str, Any] = {"over": "trajectories", "unit": "nats/token"}
    ahead: dict[str, list[float]] = {}
    for each in plan:
        size = sized(each.data, each.fraction)
        found = np.array([next(scores) for _ in networks.get(each.name, ())])
        gaps = found - counting[size] if len(found) else None
        entry = record.metric(f"difference_{each.name}", gaps, **kept)
        record.metric(f"cross_entropy_{each.name}", found if len(found) else None, **kept)
        ahead.setdefault(size, [])
        if entry["high"] is not None and entry["high"] < 0:
            ahead[size].append(float(each.passes))
    for size, passes in ahead.items():
        record.metric(f"overtakes_{size}", min(passes, default=None), unit="passes", tolerance=0.5)


def table(plan: Sequence[Training]) -> record.Table:
    """The best of counting and of the network on every grid and size of the data."""
    found = record.metrics()
    rows = []
    by_size: dict[str, list[Training]] = {}
    for each in sorted(plan, key=lambda each: (CASES.index(each.data.case), each.fraction)):
        by_size.setdefault(sized(each.data, each.fraction), []).append(each)
    for size, trainings in by_size.items():
        data, fraction = trainings[0].data, trainings[0].fraction
        losses = [found[f"cross_entropy_{each.name}"]["value"] for each in trainings]
        tried = [loss for loss in losses if loss is not None]
        rows.append([
            data.case.title, str(fraction),
            record.number(found[f"train_tokens_{size}"]["value"], "d"),
            record.show(f"best_ngram_order_{size}", "d"),
            f"{found[f'best_ngram_cross_entropy_{size}']['value']:.3f}",
            f"{min(tried):.3f}" if tried else "not run",
            f"{found[f'entropy_rate_{data.case.name}']['value']:.3f}",
            record.show(f"overtakes_{size}"),
        ])  # fmt: skip
    header = [
        "grid", "share of the data", "tokens", "best memory", "counting", "GPT-2 at its best",
        "entropy rate", "ahead after, passes",
    ]  # fmt: skip
    return record.Table(header, rows)


def left_out(
    plan: Sequence[Training], done: Sequence[Training], seeds: Sequence[int]
) -> record.Table:
    """Record how many trainings there are; the passes, by grid and size, that are not run."""
    record.metric("n_seeds", len(seeds), tolerance=0.0)
    record.metric("trainings", len(done), tolerance=0.0)
    record.metric("trainings_left_out", len(plan) - len(done), tolerance=0.0)
    columns = sorted({each.fraction for each in plan})
    rows = []
    for case in CASES:
        missing = [each for each in plan if each.data.case == case and each not in done]
        words = [
            ", ".join(str(p) for p in sorted(each.passes for each in missing if each.fraction == f))
            for f in columns
        ]
        rows.append([case.title, *(word or "none" for word in words)])
    return record.Table(["passes not run", *map(str, columns)], rows)
