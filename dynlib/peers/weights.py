"""The weights that the authors of the structured network released, read into our networks.

Of their repository only the checksums of the files are kept here, so that only known files are
read. Reading a file creates tensors and no other objects (``weights_only``).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dynlib.dynamics.checks import check_array
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import check_network
from dynlib.networks.scores import rollout
from dynlib.networks.stnn import StNN

REPOSITORY = "https://github.com/Hansaka006/StNN-Dynamical-Systems"
#: Folder of the weights in their repository.
FOLDER = "Trained_Models"
#: The file of each network and its number of branches, which is 0 for the feed-forward network. The
#: file of two branches is not the one that is called so, which has the weights of one branch.
FILES = {
    "stnn_p1": ("SNN_model_p_1.pth", 1),
    "stnn_p2": ("SNN_model.pth", 2),
    "stnn_p2_so_called": ("SNN_model_p_2.pth", 1),
    "stnn_p4": ("SNN_model_p_4.pth", 4),
    "stnn_p6": ("SNN_model_p_6.pth", 6),
    "stnn_p6_new": ("SNN_model_p_6_new.pth", 6),
    "ffnn": ("ANN_model.pth", 0),
    "ffnn_new": ("ANN_model_new.pth", 0),
}
#: SHA-256 of each file at commit a45f246.
CHECKSUMS = {
    "SNN_model_p_1.pth": "ba2f847bcc523ae4ed2cad899b86798490890286ca07ea88ea5fc7897f2c74fd",
    "SNN_model.pth": "aed9d333f24921fc165e70f290bf4b16b5cc125803e612ababb184bfbde43417",
    "SNN_model_p_2.pth": "5d645e2b6d384221f40de3c632e52c43392883dec148d5cd5087f7afa84f0326",
    "SNN_model_p_4.pth": "bc4425fd0767bf1cdf37989f9f962b3d16385b077dc7feb8e899c70e2281cdf1",
    "SNN_model_p_6.pth": "06764da4638e7da40b973a91a1b7f9956a04054e911518f1064193703350e67a",
    "SNN_model_p_6_new.pth": "c2eee6234e3c2c8d6ca1be3dfd60334d8b6440c241c52d86f00e980b3ea07002",
    "ANN_model.pth": "965ef51cb14c31bbc2ca1eafa414e9802ae4be3cdc1b8f1304542ac2590a366a",
    "ANN_model_new.pth": "3db28d875823018ad3361ea8719f85a64026dddb866b3fe3c57c1c91dfb5558a",
}


def released_names(model: StNN | FFNN) -> dict[str, Tensor]:
    """The weights of a network under the names of the authors' layers, as views of the model's.

    Examples
    --------
    >>> list(released_names(FFNN()))[:3]
    ['0.weight', '0.bias', '2.weight']
    """
    check_network("model", model)
    w = {name: weight.detach() for name, weight in model.named_parameters()}
    if isinstance(model, FFNN):
        return {
            f"{2 * layer}.{kind}": w[f"{kind}_{layer + 1}"]
            for layer in range(4)
            for kind in ("weight", "bias")
        }
    found: dict[str, Tensor] = {}
    for k in range(model.branches):
        number = f"{k + 1}" if k else ""  # of the first branch only one has a number
        end = f"_{number}" if k else ""
        for at, layer in ((0, 1), (2, 2)):
            found |= {
                f"{at}.weights_D{end}": w[f"diagonal_{layer}"][k],
                f"{at}.F1_1{end}": w[f"blocks_{layer}"][k, 0],
                f"{at}.F1_2{end}": w[f"blocks_{layer}"][k, 1],
                f"{at}.d_dash{k + 1}": w[f"twiddles_{layer}"][k],
                f"{at}.bias{number}": w[f"bias_{layer}"][k],
            }
        found |= {f"4.weights_D{end}": w["diagonal_3"][k], f"4.bias{number}": w["bias_3"][k]}
        found |= {f"6.weights_D{end}": w["diagonal_4"][k]}
    return found | {"6.bias": w["bias_4"]}


def _built(branches: int) -> StNN | FFNN:
    """A network of the authors, with our initial weights; none: the feed-forward network."""
    if branches:
        return StNN(4, branches, released=True, dtype=torch.float64)
    return FFNN(dtype=torch.float64)


def read_released(
    clone: str | Path, checksums: Mapping[str, str] = CHECKSUMS
) -> dict[str, StNN | FFNN]:
    """The networks of a clone of the authors' repository, by the names of :data:`FILES`.

    Raises
    ------
    ValueError
        If a file is missing or another than the one that `checksums` knows, or if its weights have
        other names or shapes than those of the network.
    """
    remedy = f"git clone {REPOSITORY} {clone}, or name another clone: -p released PATH"
    found = {}
    for name, (file, branches) in FILES.items():
        path = Path(clone).expanduser() / FOLDER / file
        if not path.is_file():
            raise ValueError(f"{path} must be a file of weights, got none; {remedy}")
        if (got := hashlib.sha256(path.read_bytes()).hexdigest()) != checksums[file]:
            raise ValueError(
                f"{path} must have the checksum {checksums[file][:12]}, got {got[:12]}; check out "
                "the commit a45f246 there"
            )
        state = torch.load(path, weights_only=True, map_location="cpu")
        model = _built(branches)
        names = released_names(model)
        shapes, given = (
            {key: tuple(weight.shape) for key, weight in each.items()} for each in (names, state)
        )
        if shapes != given:
            odd = sorted(k for k in {*shapes, *given} if shapes.get(k) != given.get(k))
            raise ValueError(
                f"{path} must hold the weights of {name}, got another {', '.join(odd[:3])}; "
                "name it in FILES as what it is"
            )
        for key, weight in names.items():
            weight.copy_(state[key])
        found[name] = model
    return found


def write_stand_ins(clone: str | Path) -> dict[str, str]:
    """Write our initial weights as if they had been released, and return the files' checksums."""
    folder = Path(clone) / FOLDER
    folder.mkdir(parents=True)
    checksums = {}
    for file, branches in FILES.values():
        state = {key: each.float() for key, each in released_names(_built(branches)).items()}
        torch.save(state, folder / file)
        checksums[file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    return checksums


def rollout_as_released(model: StNN | FFNN, starts: np.ndarray, n_steps: int) -> np.ndarray:
    """States at steps 1 to `n_steps`, (S, n_steps, d), as the authors compute them.

    In single precision, and every output is the next input: a padded coordinate, which
    :func:`dynlib.networks.scores.rollout` sets to zero before each step, is fed back too. The
    `starts` are (S, d).

    Examples
    --------
    >>> rollout_as_released(StNN(4, 2, released=True), np.zeros((5, 3)), 10).shape
    (5, 10, 3)
    """
    check_network("model", model)
    check_array("starts", starts, ("S", "d"))
    d = np.shape(starts)[1]
    padded = np.pad(starts, ((0, 0), (0, max(model.n - d, 0))))
    return rollout(copy.deepcopy(model).float(), padded, n_steps)[..., :d]
