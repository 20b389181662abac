"""Several architectures, each from several seeds, in parallel, each kept as a trained artefact."""

from __future__ import annotations

import dataclasses
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dynlib.dynamics.checks import check_is
from dynlib.networks.recipes import Architecture, Pairs, Recipe, Trained
from dynlib.networks.training import check_wanted, train
from dynlib.training import artefacts
from dynlib.training.device import resolve_device


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
    """
    device = resolve_device(device)
    check_is("wanted", wanted, Mapping, "trainings by name", "write {'name': (what, how, seeds)}")
    for each in wanted.values():
        if not isinstance(each, tuple) or len(each) != 3:
            raise TypeError(
                "each of wanted must be an architecture, a recipe and seeds, got "
                f"{reprlib.repr(each)}; write {{'name': (what, how, seeds)}}"
            )
    for name, (architecture, recipe, seeds) in wanted.items():
        try:
            check_wanted(architecture, recipe, seeds, pairs, validation)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    given = (*pairs, *validation)
    data = artefacts.digest(*(np.asarray(part, dtype=np.float64) for part in given))
    jobs = []
    for name, (architecture, recipe, seeds) in wanted.items():
        key = {
            "data": data,
            "architecture": dataclasses.asdict(architecture),
            "recipe": dataclasses.asdict(recipe),
            "seeds": list(map(int, seeds)),
        }
        arguments = {
            "architecture": architecture,
            "recipe": recipe,
            "pairs": pairs,
            "seeds": list(seeds),
            "validation": validation,
            "label": f"training {name}",
        }
        jobs.append(("stnn" if architecture.branches else "ffnn", key, arguments))
    return dict(zip(wanted, artefacts.each_trained(train, jobs, device), strict=True))


@dataclass(frozen=True)
class Networks:
    """Trained networks with what they learnt from: what one run hands over to another.

    Parameters
    ----------
    trajectories : numpy.ndarray
        Shape (N, T, d).
    n_learn : int
        So many of them, the first, were learnt from; the others were held out.
    recipes : dict of str to Recipe
        How each network was trained, by name.
    trained : dict of str to list of Trained
        The networks, one a seed.
    seeds : list of int
        Their seeds; a network of which fewer were trained has the first of them.
    """

    trajectories: np.ndarray
    n_learn: int
    seeds: list[int]
    recipes: dict[str, Recipe]
    trained: dict[str, list[Trained]]

    def hand_over(self, run: str) -> None:
        """Leave them under the name of the run that trained them."""
        tensors = {"trajectories": torch.as_tensor(self.trajectories)}
        state: dict[str, Any] = {"n_learn": self.n_learn, "seeds": self.seeds, "networks": {}}
        for name, found in self.trained.items():
            listed = []
            for number, each in enumerate(found):
                tensors[f"{name}.{number}"] = each.weights
                listed.append(
                    {
                        "units": [[array.tolist() for array in unit] for unit in each.units],
                        "history": each.history.tolist(),
                        "seconds": each.seconds.tolist(),
                        "dead": each.dead,
                        "solves": each.solves,
                    }
                )
            state["networks"][name] = {
                "architecture": dataclasses.asdict(found[0].architecture),
                "recipe": dataclasses.asdict(self.recipes[name]),
                "trained": listed,
            }
        artefacts.hand_over(run, "networks", tensors, state)

    @classmethod
    def handed(cls, run: str, otherwise: Callable[[], Networks] | None = None) -> Networks:
        """The networks that a run has handed over.

        Where a notebook is executed by hand and the run has left none, `otherwise` makes others.
        """
        by_hand = "DYNLIB_HANDED" not in os.environ
        if by_hand and otherwise and not artefacts.handed_folder(run, "networks").exists():
            return otherwise()
        tensors, state = artefacts.handed(run, "networks")
        recipes, trained = {}, {}
        for name, each in state["networks"].items():
            shape = each["architecture"]
            architecture = Architecture(**shape | {"widths": tuple(shape["widths"])})
            given = each["recipe"]
            recipes[name] = Recipe(**given | {"swapped": tuple(given["swapped"])})
            trained[name] = [
                Trained(
                    architecture,
                    tuple(tuple(map(np.array, unit)) for unit in one["units"]),
                    tensors[f"{name}.{number}"],
                    np.array(one["history"]),
                    np.array(one["seconds"]),
                    one["dead"],
                    one["solves"],
                )
                for number, one in enumerate(each["trained"])
            ]
        data, n_learn, seeds = tensors["trajectories"].numpy(), state["n_learn"], state["seeds"]
        return cls(data, n_learn, seeds, recipes, trained)
