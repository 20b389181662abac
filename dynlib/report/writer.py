r"""A trained token model as plain numbers, for a page of the book that writes with it by itself.

The book's ``playground/gpt.js`` evaluates the network in single precision. What is exported here
can be compared with it: next-token probabilities, and a greedy continuation.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dynlib.dynamics.checks import check_choice
from dynlib.report.playground import MIME
from dynlib.tokens.gpt import TokenGPT, generate, next_probabilities
from dynlib.tokens.grid import Grid

#: Bytes of weights that a page should load at most.
LARGEST = 1_500_000
#: Tokens of the greedy continuation that the page's own arithmetic is compared with.
CHECKED = 50


def layers_of(model: TokenGPT) -> dict[str, torch.Tensor]:
    """The weights of a model by short names, in the order of a forward pass.

    ``table`` (V, width) is the embedding of input and output, with the vectors of a cell's places
    added; matrices are (in, out).

    Examples
    --------
    >>> from dynlib.tokens.gpt import GPTConfig
    >>> model = TokenGPT(GPTConfig(vocabulary=5, layers=1, heads=1, width=8, context=4))
    >>> found = layers_of(model)
    >>> len(found), tuple(found["table"].shape), tuple(found["0.attention"].shape)
    (16, (5, 8), (8, 24))
    """
    body = model.gpt2.transformer
    found = {"table": model.embeddings(), "positions": body.wpe.weight}
    for number, block in enumerate(body.h):
        parts = {
            "norm1": block.ln_1, "attention": block.attn.c_attn, "projection": block.attn.c_proj,
            "norm2": block.ln_2, "wide": block.mlp.c_fc, "narrow": block.mlp.c_proj,
        }  # fmt: skip
        for name, part in parts.items():
            found[f"{number}.{name}"] = part.weight
            found[f"{number}.{name}_bias"] = part.bias
    found |= {"norm": body.ln_f.weight, "norm_bias": body.ln_f.bias}
    return {name: weight.detach().cpu().float() for name, weight in found.items()}


def rounded(model: TokenGPT) -> TokenGPT:
    """A copy whose weights are those that half precision holds; it computes in single precision."""
    found = copy.deepcopy(model).cpu()
    with torch.no_grad():
        table = found.embeddings().half().float()
        for axis in found.axes:
            axis.weight.zero_()
        for weight in found.parameters():
            weight.copy_(weight.half())
        found.gpt2.transformer.wte.weight.copy_(table)
    return found


@dataclass(frozen=True, repr=False)
class Writer:
    """A token model, its grid and prompts, as a page needs them to write by itself.

    A notebook displays it as an output of the type :data:`dynlib.report.playground.MIME`; anywhere
    else it is one line of text. Models with more than :data:`LARGEST` bytes are not exported.

    Parameters
    ----------
    model : TokenGPT
        The model.
    grid : Grid
        The cells of its tokens.
    prompts : numpy.ndarray
        True tokens, shape (n, k), the first of them for comparison.
    system : str
        ``"henon"``, ``"lorenz"`` or ``"rossler"``: what the page simulates beside it.
    precision : str
        ``"half"``, which is enough for a page, or ``"single"``.

    Raises
    ------
    ValueError
        For another system or precision.

    Examples
    --------
    >>> from dynlib.tokens.gpt import GPTConfig
    >>> grid = Grid.fit(np.array([[[0.0, 0.0], [1.0, 2.0]]]), n_cells=2)
    >>> model = TokenGPT(GPTConfig(grid.vocabulary, layers=1, heads=1, width=8, context=4))
    >>> Writer(model, grid, np.zeros((1, 6), dtype=int), "henon")
    a token model of 2 kB for a page
    """

    model: TokenGPT
    grid: Grid
    prompts: np.ndarray
    system: str
    precision: str = "half"

    def __post_init__(self) -> None:
        check_choice("system", self.system, ("henon", "lorenz", "rossler"))
        check_choice("precision", self.precision, ("half", "single"))

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        each = 2 if self.precision == "half" else 4
        return each * sum(weight.numel() for weight in layers_of(self.model).values())

    def __repr__(self) -> str:
        if self.size > LARGEST:
            return f"a token model of {self.size / 1000:.0f} kB, too large for a page"
        return f"a token model of {self.size / 1000:.0f} kB for a page"

    def data(self) -> dict[str, Any]:
        """What the page reads, in the types of JSON.

        ``reference`` holds the probabilities of the next token after the first prompt, and a greedy
        continuation of it, both by the weights as exported.
        """
        half = self.precision == "half"
        model = rounded(self.model) if half else copy.deepcopy(self.model).cpu()
        weights = layers_of(model)
        kind = np.float16 if half else np.float32
        binary = b"".join(weight.numpy().astype(kind).tobytes() for weight in weights.values())
        config, first = model.config, np.asarray(self.prompts)[:1]
        return {
            "kind": "gpt2",
            "system": self.system,
            "layers": config.layers,
            "heads": config.heads,
            "width": config.width,
            "context": config.context,
            "vocabulary": config.vocabulary,
            "precision": self.precision,
            "shapes": {name: list(weight.shape) for name, weight in weights.items()},
            "weights": base64.b64encode(binary).decode(),
            "low": self.grid.low.tolist(),
            "high": self.grid.high.tolist(),
            "n_cells": self.grid.n_cells,
            "cells": self.grid.cells.tolist(),
            "prompts": np.asarray(self.prompts).tolist(),
            "reference": {
                "probabilities": next_probabilities(model, first)[0].tolist(),
                "greedy": generate(model, first, CHECKED, temperature=0.0)[0].tolist(),
            },
        }

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        words = {"text/plain": repr(self)}
        return words if self.size > LARGEST else {MIME: self.data(), **words}
