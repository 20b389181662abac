"""Every generator of the book on the same prompts: GPT-2, counting and copying.

The names of the methods are those of the results: ``model`` (GPT-2 at T = 1), ``greedy``
(T = 0), ``markov``, ``ngram4``, ``best_ngram``, ``parrot``, ``recall``.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    check_tokens,
)
from dynlib.tokens.gpt import TokenGPT, check_models, check_temperature, generate
from dynlib.tokens.markov import NGram, check_chain, check_chain_temperature
from dynlib.tokens.parroting import parrot, recall
from dynlib.tokens.windows import Trajectories, check_trajectories
from dynlib.training import parallel


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

    def all(
        self, prompts: np.ndarray, n_steps: int, temperatures: dict[str, float]
    ) -> dict[str, list[np.ndarray]]:
        """Continuations by every method, GPT-2 at the named temperatures."""
        self._check(prompts, n_steps, temperatures)
        written = self.networks(prompts, n_steps, list(temperatures.values()))
        return {
            **dict(zip(temperatures, written, strict=True)),
            **self.counting(prompts, n_steps),
            **self.copying(prompts, n_steps),
        }

    def in_batches(
        self, prompts: np.ndarray, n_steps: int, batches: int, temperatures: dict[str, float]
    ) -> dict[str, list[np.ndarray]]:
        """Continuations of independent batches of prompts, as one array (B / batches, T) each.

        The first of the temperatures, the n-grams and the training replay continue all batches;
        the models take turns, a batch each. At the other temperatures the first model continues
        the first batch only, as the context parrot does.

        Parameters
        ----------
        prompts : numpy.ndarray
            Tokens, shape (B, k), B a multiple of `batches`.
        n_steps : int
            Tokens to generate, T.
        batches : int
            Equal parts of the prompts.
        temperatures : dict of str to float
            Temperature of GPT-2 by the name of the method.

        Returns
        -------
        dict of str to list of numpy.ndarray
            By method, as :meth:`all`.

        """
        self._check(prompts, n_steps, temperatures, batches)
        prompts = np.asarray(prompts)
        parts, seed = np.split(prompts, batches), self.seeds[0]
        (name, first), *others = temperatures.items()
        found = {
            name: [
                generate(
                    self.models[p % len(self.models)], part, n_steps, temperature=first,
                    seed=seed + p,
                )
                for p, part in enumerate(parts)
            ]
        }  # fmt: skip
        for name, temperature in others:
            found[name] = [
                generate(self.models[0], parts[0], n_steps, temperature=temperature, seed=seed)
            ]
        for name, chain in self.chains.items():
            found[name] = np.split(chain.generate(prompts, n_steps, seed=seed), batches)
        found["parrot"] = [parrot(parts[0], n_steps, self.centres)]
        found["recall"] = np.split(recall(self.training, prompts, n_steps), batches)
        return found
