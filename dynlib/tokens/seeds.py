"""The same model from several seeds, in parallel, each kept as a trained artefact."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynlib.dynamics.checks import SEEDS, check_counts, check_is
from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.recipes import Trained, TrainingConfig
from dynlib.tokens.stages import check_stages
from dynlib.tokens.training import check_training, train
from dynlib.tokens.windows import Trajectories
from dynlib.training import artefacts
from dynlib.training.device import resolve_device


def train_seeds(
    trajectories: Trajectories,
    cells: np.ndarray,
    model_config: GPTConfig,
    config: TrainingConfig,
    seeds: Sequence[int],
    *,
    name: str,
    validation: Trajectories | None = None,
    device: str = "auto",
    stages: Sequence[int] = (),
    minutes: float = 0.0,
    patience: int = 0,
) -> list[Trained]:
    """Train the same model from several seeds, in worker processes, each kept as an artefact.

    The key of an artefact covers the data themselves, both configurations, the device and
    the code (:func:`dynlib.training.checkpoint.artefact_folder`): what is there already is loaded,
    what was interrupted goes on, and nothing else is ever reused.

    Parameters
    ----------
    trajectories, cells, model_config, config, validation, device, stages, minutes, patience
        As for :func:`dynlib.tokens.training.train`; the seed of `config` is replaced.
    seeds : sequence of int
        One training each.
    name : str
        What the artefacts and the lines of progress are called.

    Returns
    -------
    list of Trained
        In the order of the seeds.
    """
    check_training(trajectories, cells, model_config, config, validation, device)
    check_stages(stages, minutes, patience, config, validation)
    check_counts("seeds", seeds, least=0, most=SEEDS)
    check_is("name", name, str, "a text", "write it in quotes")
    device = resolve_device(device)
    held_out = np.empty(0) if validation is None else validation
    places = np.asarray(cells, dtype=np.float64)  # of no cells, NaN
    data = artefacts.digest(*map(np.asarray, [*trajectories, places, *held_out]))
    jobs: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for seed in seeds:
        seeded = dataclasses.replace(config, seed=int(seed))
        key = {
            "data": data,
            "model": dataclasses.asdict(model_config),
            "training": dataclasses.asdict(seeded),
            "stages": [list(map(int, stages)), minutes, patience],
        }
        arguments = {
            "trajectories": trajectories,
            "cells": cells,
            "model_config": model_config,
            "config": seeded,
            "validation": validation,
            "label": f"training, seed {seed}",
            "stages": stages,
            "minutes": minutes,
            "patience": patience,
        }
        jobs.append((name, key, arguments))
    return artefacts.each_trained(train, jobs, device)
