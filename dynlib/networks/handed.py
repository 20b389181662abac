"""Networks of the Lorenz runs: stand-ins where none were handed over, and the same ones again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dynlib.dynamics.checks import check_array, check_choice, check_is
from dynlib.dynamics.flows import Flow
from dynlib.dynamics.pairs import integrate, pairs
from dynlib.networks.ensembles import Networks, train_all
from dynlib.networks.ffnn import widths_of_size
from dynlib.networks.recipes import Architecture, Recipe, Trained


def briefly_trained(
    system: Flow, scattered: Callable[[int, int], np.ndarray], dt: float, device: str
) -> Networks:
    """Small stand-ins, where a notebook is executed by hand and alone.

    `scattered` draws as many initial states as its first argument says, from a seed.
    """
    print("lorenz_networks has not run here: its networks are trained for seconds")
    paths = integrate(system, scattered(15, 123), np.arange(201) * dt)
    recipe = Recipe(20, 200, starts=2, start_steps=10)
    shapes = {
        "ffnn": Architecture(widths=(3, 30, 30, 30, 3)),
        "stnn_p6": Architecture(branches=6),
        "control_p6": Architecture(widths=widths_of_size(388)),
    }
    found = train_all(
        {name: (each, recipe, [0]) for name, each in shapes.items()},
        pairs(paths[:12]),
        pairs(paths[12:]),
        device=device,
    )
    return Networks(paths, 12, [0], dict.fromkeys(shapes, recipe), found)


def trained_again(
    networks: Networks, names: Mapping[str, str], trajectories: np.ndarray, *, device: str
) -> dict[str, list[Trained]]:
    """Train some of the networks again, on other trajectories, from the first seed.

    Architectures, recipes, seeds and the number of training trajectories are those of `networks`.
    `names` maps the name of each network in the result to its name in `networks`. The
    trajectories are (N, T, d).
    """
    check_is("networks", networks, Networks, "Networks", "Networks.handed has those of a run")
    check_is("names", names, Mapping, "names by names", "write {'stnn': 'stnn_p6'}")
    for each in names.values():
        check_choice("each of names", each, list(networks.trained))
    check_array("trajectories", trajectories, ("N", "T", "d"))
    first, n_learn = networks.seeds[:1], networks.n_learn
    wanted = {
        name: (networks.trained[each][0].architecture, networks.recipes[each], first)
        for name, each in names.items()
    }
    learn, held_out = pairs(trajectories[:n_learn]), pairs(trajectories[n_learn:])
    return train_all(wanted, learn, held_out, device=device)
