"""The same model from several seeds, in parallel, each kept as a trained artefact."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynlib.tokens.gpt import GPTConfig
from dynlib.tokens.recipes import Trained, TrainingConfig
from dynlib.tokens.training import train
from dynlib.training import artefacts
from dynlib.training.device import resolve_device


def train_seeds(
    trajectories: np.ndarray,
    cells: np.ndarray,
    model_config: GPTConfig,
    config: TrainingConfig,
    seeds: Sequence[int],
    *,
    name: str,
    validation: np.ndarray | None = None,
    device: str = "auto",
) -> list[Trained]:
    """Train the same model from several seeds, in worker processes, each kept as an artefact.

    The key of an artefact covers the data themselves, both configurations, the device and
    the code (:func:`dynlib.training.checkpoint.artefact_folder`): what is there already is loaded,
    what was interrupted goes on, and nothing else is ever reused.

    Parameters
    ----------
    trajectories, cells, model_config, config, validation, device
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
    device = resolve_device(device)
    held_out = np.empty(0) if validation is None else validation
    data = artefacts.digest(trajectories, cells, held_out)
    jobs: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for seed in seeds:
        seeded = dataclasses.replace(config, seed=seed)
        key = {
            "data": data,
            "model": dataclasses.asdict(model_config),
            "training": dataclasses.asdict(seeded),
        }
        arguments = {
            "trajectories": trajectories,
            "cells": cells,
            "model_config": model_config,
            "config": seeded,
            "validation": validation,
            "label": f"training, seed {seed}",
        }
        jobs.append((name, key, arguments))
    return artefacts.each_trained(train, jobs, device)
