"""Several architectures, each from several seeds, in parallel, each kept as a trained artefact."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dynlib import artefacts, checkpoint, parallel
from dynlib.device import resolve_device
from dynlib.networks.recipes import Architecture, Pairs, Recipe, Trained
from dynlib.networks.training import train


def train_all(
    wanted: Mapping[str, tuple[Architecture, Recipe, Sequence[int]]],
    pairs: Pairs,
    validation: Pairs,
    *,
    device: str = "cpu",
) -> dict[str, list[Trained]]:
    """Train every architecture that is wanted, in worker processes, each kept as an artefact.

    The key of an artefact covers the data themselves, the architecture, the recipe, the seeds,
    the device and the code: what is there already is loaded, what was interrupted goes on,
    and nothing else is ever reused.

    Parameters
    ----------
    wanted : mapping of str to (Architecture, Recipe, sequence of int)
        By name: what to train, how, and from which seeds. The costliest first.
    pairs, validation, device
        As for :func:`dynlib.networks.training.train`.

    Returns
    -------
    dict of str to list of dynlib.networks.recipes.Trained
        By the same names, a network a seed.

    Raises
    ------
    ValueError
        If a recipe cannot be followed with these pairs; nothing is trained then.
    """
    device = resolve_device(device)
    for name, (_, recipe, _) in wanted.items():
        try:
            recipe.check(pairs)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    data = artefacts.digest(*pairs, *validation)
    jobs = {}
    for name, (architecture, recipe, seeds) in wanted.items():
        parameters = {
            "data": data,
            "architecture": dataclasses.asdict(architecture),
            "recipe": dataclasses.asdict(recipe),
            "seeds": list(seeds),
            "device": device,
        }
        jobs[name] = {
            "architecture": architecture,
            "recipe": recipe,
            "pairs": pairs,
            "seeds": list(seeds),
            "validation": validation,
            "folder": checkpoint.artefact_folder(
                "stnn" if architecture.branches else "ffnn", parameters, [train.__module__]
            ),
            "device": device,
            "label": f"training {name}",
        }
    unfinished = [job for job in jobs.values() if not (job["folder"] / "model").exists()]
    parallel.map_processes(_train_alone, unfinished, parallel.default_workers(device))
    return {name: train(**job) for name, job in jobs.items()}


def _train_alone(**job: Any) -> None:
    """Train and return nothing: the networks come back through their artefact.

    Another run may want the same artefact at the same time; it waits here, and then loads.
    """
    with checkpoint.exclusive(job["folder"]):
        train(**job)
