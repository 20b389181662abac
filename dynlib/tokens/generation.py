"""Every generator of the book on the same prompts: GPT-2, counting and copying.

The names of the methods are those of the results: ``model`` (GPT-2 at T = 1), ``greedy``
(T = 0), ``markov``, ``ngram4``, ``best_ngram``, ``parrot``, ``recall``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynlib.tokens.gpt import TokenGPT, generate
from dynlib.tokens.markov import NGram
from dynlib.tokens.parroting import parrot, recall
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
    training : numpy.ndarray
        Training tokens, shape (M, T), for the training replay.
    centres : numpy.ndarray
        Cell centres, shape (V, d), for the context parrot.
    seeds : sequence of int
        Seeds of the draws, as many as models.
    workers : int
        Processes that share the models' work.

    Raises
    ------
    ValueError
        If there are not as many seeds as models.
    """

    models: Sequence[TokenGPT]
    chains: dict[str, NGram]
    training: np.ndarray
    centres: np.ndarray
    seeds: Sequence[int]
    workers: int = 1

    def __post_init__(self) -> None:
        if len(self.models) != len(self.seeds):
            raise ValueError(
                f"every model needs a seed of its own, got {len(self.models)} models and "
                f"{len(self.seeds)} seeds"
            )

    def networks(
        self, prompts: np.ndarray, n_steps: int, temperatures: Sequence[float]
    ) -> list[list[np.ndarray]]:
        """Continuations (B, n_steps) by each model, a list for each temperature.

        A model continues the prompts at all temperatures at once, which costs little more
        than at one where there are few prompts.
        """
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
        return {
            "parrot": [parrot(prompts, n_steps, self.centres)],
            "recall": [recall(self.training, prompts, n_steps)],
        }

    def all(
        self, prompts: np.ndarray, n_steps: int, temperatures: dict[str, float]
    ) -> dict[str, list[np.ndarray]]:
        """Continuations by every method, GPT-2 at the named temperatures."""
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

        Raises
        ------
        ValueError
            If the prompts cannot be split evenly.
        """
        if batches < 1 or len(prompts) % batches:
            raise ValueError(
                f"cannot split {len(prompts)} prompts into {batches} equal batches; take a multiple"
            )
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
