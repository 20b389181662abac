"""Every generator of the book on the same prompts: GPT-2, counting and copying.

The names of the methods are those of the results: ``model`` (GPT-2 at T = 1), ``greedy``
(T = 0), ``markov``, ``ngram4``, ``best_ngram``, ``parrot``, ``recall``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dynlib.dynamics.checks import (
    MOST,
    SEEDS,
    check_array,
    check_count,
    check_counts,
    check_is,
    check_number,
    check_seed,
    check_tokens,
)
from dynlib.tokens.accelerated import continue_in_parts
from dynlib.tokens.gpt import TokenGPT, check_model, check_models, check_temperature, generate
from dynlib.tokens.markov import NGram, check_chain, check_chain_temperature
from dynlib.tokens.parroting import parrot, recall
from dynlib.tokens.windows import Trajectories, check_trajectories
from dynlib.training import parallel
from dynlib.training.device import on_gpu

#: Room in bytes for prompts that a CPU continues at once, so that keys and values stay near it.
ROOM = 2 * 10**8


@dataclass(frozen=True)
class Generators:
    """What continues prompts, and from what it learned or copies.

    Parameters
    ----------
    models : sequence of dynlib.tokens.gpt.TokenGPT
        The same model from several training seeds.
    chains : dict of str to dynlib.tokens.markov.NGram
        n-grams by name.
    training : numpy.ndarray or sequence of numpy.ndarray
        Training tokens, shape (M, T), or a list of rows, for the training replay.
    centres : numpy.ndarray
        Cell centres, shape (V, d), for the context parrot.
    seeds : sequence of int
        Seeds of the draws, as many as models.
    workers : int
        Processes that share the models' work.

    """

    models: Sequence[TokenGPT]
    chains: dict[str, NGram]
    training: Trajectories
    centres: np.ndarray
    seeds: Sequence[int]
    workers: int = 1

    def __post_init__(self) -> None:
        check_models("models", self.models)
        vocabulary = self.models[0].config.vocabulary
        check_is("chains", self.chains, dict, "n-grams by name", "one is {'markov': chain}")
        for name, chain in self.chains.items():
            check_chain(f"chain {name!r}", chain, vocabulary=vocabulary)
        check_trajectories("training", self.training, vocabulary=vocabulary, shortest=2)
        remedy = "give Grid.centres of the grid that made the tokens"
        check_array("centres", self.centres, (vocabulary, "d"), scale=True, remedy=remedy)
        check_counts("seeds", self.seeds, least=0, most=SEEDS - MOST)
        if len(self.models) != len(self.seeds):
            raise ValueError(
                f"seeds must be {len(self.models)}, one a model, got {len(self.seeds)}; give as "
                "many as there are models"
            )
        check_count("workers", self.workers)

    def _check(
        self,
        prompts: np.ndarray,
        n_steps: int,
        temperatures: Sequence[float] | dict[str, float],
        batches: int = 1,
    ) -> None:
        shortest = max([2, *(chain.order for chain in self.chains.values())])
        vocabulary = self.models[0].config.vocabulary
        check_tokens("prompts", prompts, ("B", "P"), vocabulary=vocabulary, shortest=shortest)
        check_count("n_steps", n_steps)
        check_count("batches", batches)
        if len(prompts) % batches:
            raise ValueError(
                f"prompts must be a multiple of the {batches} batches, got {len(prompts)}; leave "
                "some out"
            )
        if isinstance(temperatures, dict):
            temperatures = list(temperatures.values())
        check_is("temperatures", temperatures, (list, tuple), "a list", "one is [1.0]")
        if not len(temperatures):
            raise ValueError("temperatures must be one or more, got none; [1.0] is the usual one")
        for temperature in temperatures:
            check_number("each of temperatures", temperature)
            check_temperature("each of temperatures", temperature, 1)

    def networks(
        self, prompts: np.ndarray, n_steps: int, temperatures: Sequence[float]
    ) -> list[list[np.ndarray]]:
        """Continuations (B, n_steps) by each model, a list for each temperature.

        A model continues the prompts at all temperatures at once, which costs little more
        than at one where there are few prompts.
        """
        self._check(prompts, n_steps, temperatures)
        jobs = [
            {
                "model": model,
                "prompts": np.tile(prompts, (len(temperatures), 1)),
                "n_steps": n_steps,
                "temperature": np.repeat(np.asarray(temperatures, float), len(prompts)),
                "seed": seed,
            }
            for seed, model in zip(self.seeds, self.models, strict=True)
        ]
        done = parallel.map_processes(generate, jobs, self.workers)
        split = [np.split(tokens, len(temperatures)) for tokens in done]
        return [list(each) for each in zip(*split, strict=True)]

    def counting(
        self, prompts: np.ndarray, n_steps: int, temperature: float = 1.0
    ) -> dict[str, list[np.ndarray]]:
        """Continuations by each n-gram, as many as seeds; at temperature 0 one, for all alike."""
        self._check(prompts, n_steps, [temperature])
        check_chain_temperature("temperature", temperature)
        copies = len(self.seeds) if temperature else 1
        many = np.tile(prompts, (copies, 1))
        return {
            name: np.split(
                chain.generate(many, n_steps, temperature=temperature, seed=self.seeds[0]), copies
            )
            for name, chain in self.chains.items()
        }

    def copying(self, prompts: np.ndarray, n_steps: int) -> dict[str, list[np.ndarray]]:
        """Continuations by the context parrot and the training replay, one each."""
        self._check(prompts, n_steps, [1.0])
        return {
            "parrot": [parrot(prompts, n_steps, self.centres)],
            "recall": [recall(self.training, prompts, n_steps)],
        }

    def in_batches(
        self,
        prompts: np.ndarray,
        n_steps: int,
        batches: int,
        temperatures: dict[str, float],
        in_turn: Collection[str] = (),
    ) -> dict[str, np.ndarray]:
        """Continuations of independent batches of prompts by every method.

        All methods continue all batches.

        Parameters
        ----------
        prompts : numpy.ndarray
            Tokens, shape (B, k), B a multiple of `batches`.
        n_steps : int
            Tokens to generate, T.
        batches : int
            Equal parts of the prompts, P.
        temperatures : dict of str to float
            Temperature of GPT-2 by the name of the method.
        in_turn : sequence of str
            Those of these names at which the models take turns, a batch each. At the others
            every model continues every batch.

        Returns
        -------
        dict of str to numpy.ndarray
            By method: tokens (S, P, B / P, T); S is the number of models, or 1 where they take
            turns and for the other methods.
        """
        self._check(prompts, n_steps, temperatures, batches)
        remedy = "leave it out for none"
        check_is("in_turn", in_turn, Collection, "a list of names", remedy)
        if set(in_turn) - set(temperatures):
            raise ValueError(
                f"in_turn must hold names of temperatures, got {list(in_turn)}; {remedy}"
            )
        prompts, both = np.asarray(prompts), list(zip(self.models, self.seeds, strict=True))
        parts = np.split(prompts, batches)
        asked = {
            name: [(*both[p % len(both)], part) for p, part in enumerate(parts)]
            if name in in_turn else [(model, seed, prompts) for model, seed in both]
            for name in temperatures
        }  # fmt: skip
        jobs = [
            {
                "model": model, "prompts": given, "n_steps": n_steps,
                "temperature": temperatures[name], "seed": seed,
            }
            for name, each in asked.items() for model, seed, given in each
        ]  # fmt: skip
        done = iter(parallel.map_processes(continued, jobs, self.workers))
        written = {name: [next(done) for _ in each] for name, each in asked.items()}
        for number, (name, chain) in enumerate(self.chains.items()):
            written[name] = [chain.generate(prompts, n_steps, seed=self.seeds[0] + number)]
        written["parrot"] = [parrot(prompts, n_steps, self.centres)]
        written["recall"] = [recall(self.training, prompts, n_steps)]
        return {
            name: np.concatenate(each).reshape(-1, batches, len(parts[0]), n_steps)
            for name, each in written.items()
        }


def continued(
    model: TokenGPT, prompts: np.ndarray, n_steps: int, temperature: float, seed: int
) -> np.ndarray:
    """As :func:`dynlib.tokens.gpt.generate`, with the memory for keys and values from the start.

    Where there are many prompts, that takes two thirds of the time on a CPU; draws are others.
    """
    check_model("model", model)
    if on_gpu(model.device):
        return generate(model, prompts, n_steps, temperature=temperature, seed=seed)
    check_tokens("prompts", prompts, ("B", "P"), vocabulary=model.config.vocabulary)
    check_count("n_steps", n_steps)
    check_number("temperature", temperature)
    check_temperature("temperature", temperature, 1)
    check_seed("seed", seed)
    model.eval()
    given = np.array(prompts, dtype=np.int64)
    return continue_in_parts(model, given, n_steps, float(temperature), int(seed), ROOM)
