"""Pictures of the structured network, from the matrices of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from scipy.linalg import block_diag

from dynlib.networks.stnn import StNN
from dynlib.operators.hankel import Hankel
from dynlib.report import style

# Entries that are frozen: a grey that is legible by day and by night.
FROZEN = "#8b959f"
TRAINED = style.COLOURS["stnn"]
#: The anti-diagonals of the operator that is drawn.
SYMBOL = torch.tensor([0.9, -0.4, 0.2, 1.0, -0.8, 0.5, -0.2], dtype=torch.float64)


class Factor(NamedTuple):
    """A sparse matrix that maps columns, and which of its entries are trained."""

    name: str
    matrix: np.ndarray
    free: np.ndarray


def factors(model: StNN, branch: int = 0) -> tuple[list[Factor], list[Factor]]:
    """Factors of the first and of the second layer of a branch, in the order of application.

    Their products are the matrices of :func:`dynlib.networks.stnn.multiplied_out`.
    """
    size, n = 2 * model.n, model.n
    order = _permutation(size)
    still = np.zeros((size, size), bool)

    def inner(layer: int) -> list[Factor]:
        twiddles, blocks = (
            model.get_parameter(f"{name}_{layer}")[branch].detach().numpy()
            for name in ("twiddles", "blocks")
        )
        found, half = [], n
        while half > 1:
            found.append(_butterflies(size, np.diag(twiddles[size - 2 * half :][:half]), layer))
            half //= 2
        pairs = [block.T for block in blocks] * (size // 4)
        full = block_diag(*[np.ones((2, 2))] * n) > 0
        return [*found, Factor("blocks", block_diag(*pairs), full)]

    first, second = (
        model.get_parameter(f"diagonal_{layer}")[branch].detach().numpy() for layer in (1, 2)
    )
    pad, scale, crop = np.eye(size, n) * first, np.diag(second), np.eye(n, size)
    return (
        [Factor("pad, scale", pad, np.eye(size, n) > 0), *inner(1), Factor("order", order, still)],
        [
            Factor("scale", scale, np.eye(size) > 0), Factor("order", order.T, still),
            *inner(2)[::-1], Factor("crop", crop, crop < 0),
        ],
    )  # fmt: skip


def _butterflies(size: int, turn: np.ndarray, layer: int) -> Factor:
    """All butterflies of one length, side by side."""
    one, none = np.eye(len(turn)), np.zeros_like(turn, float)
    flow, free = [[one, one], [turn, -turn]], [[none, none], [one, one]]
    if layer == 2:
        flow, free = [[one, turn], [one, -turn]], [[none, one], [none, one]]
    count = size // (2 * len(turn))
    matrix, mask = (block_diag(*[np.block(each)] * count) for each in (flow, free))
    return Factor("butterfly" if count == 1 else "butterflies", matrix, mask > 0)


def _permutation(n: int) -> np.ndarray:
    """The even-odd permutations of all levels, undone: where each entry goes."""
    values = torch.eye(n).unsqueeze(-2).unflatten(-1, (-1, 2)).squeeze(-3)
    while values.shape[-1] < n:
        values = values.unflatten(-2, (-1, 2)).transpose(-1, -2).flatten(-2)
    return values.squeeze(-2).T.numpy()


def sparse(axes: Axes, factor: Factor, left: float = 0) -> None:
    """The pattern of a factor, one square an entry: trained ones in colour."""
    frozen = (factor.matrix != 0) & ~factor.free
    for mask, colour in ((factor.free, TRAINED), (frozen, FROZEN)):
        squares = [Rectangle((left + j, i), 1, 1) for i, j in np.argwhere(mask)]
        axes.add_collection(PatchCollection(squares, facecolor=colour, linewidth=0))
    _frame(axes, factor.matrix, left, 0)


def _heat(axes: Axes, matrix: np.ndarray, left: float, top: float) -> None:
    """The entries of a matrix: blue above zero, orange below, stronger where larger."""
    strength = np.abs(matrix) / np.abs(matrix).max()
    for (i, j), value in np.ndenumerate(matrix):
        if strength[i, j] > 1e-9:
            colour = style.COLOURS["model" if value > 0 else "greedy"]
            axes.add_patch(
                Rectangle((left + j, top + i), 1, 1, fc=colour, alpha=strength[i, j], lw=0)
            )
    _frame(axes, matrix, left, top)


def _frame(axes: Axes, matrix: np.ndarray, left: float, top: float) -> None:
    height, width = matrix.shape
    frame = Rectangle((left, top), width, height, fill=False, edgecolor=style.MUTED, lw=0.8)
    axes.add_patch(frame)


def _words(axes: Axes, x: float, y: float, text: str, **options) -> None:
    axes.text(x, y, text, fontsize=style.SMALL, ha="center", va="center", **options)


def _bare(axes: Axes, title: str, width: float, height: float) -> None:
    """Leave only what is drawn, in a box of this size, and a title."""
    axes.set(xlim=(-0.1, width), ylim=(height, -0.2), aspect="equal", anchor="W")
    axes.set_axis_off()
    axes.set_title(title)


def operator(axes: Axes) -> None:
    """A Hankel operator as the product of two transforms and a scaling."""
    exact = StNN.from_hankel(SYMBOL)
    n, size = exact.n, 2 * exact.n
    first, (scale, *second) = factors(exact)
    products = (
        (_product(second), "back"), (scale.matrix, "scale"), (_product(first), "transform"),
    )  # fmt: skip
    _heat(axes, Hankel(SYMBOL).dense().numpy(), 0, n / 2)
    _words(axes, n / 2, size + 0.9, "operator")
    _words(axes, n + 0.7, n, "=")
    left = n + 1.4
    for matrix, text in products:
        height, width = matrix.shape
        _heat(axes, matrix.real, left, (size - height) / 2)
        _words(axes, left + width / 2, size + 0.9, text)
        left += width + 0.8
    _bare(axes, "A Hankel operator: two transforms and a scaling", left, size + 1.5)


def _product(layer: Sequence[Factor]) -> np.ndarray:
    """The matrix of a layer from its factors."""
    return np.linalg.multi_dot([each.matrix for each in layer[::-1]])


def transform(axes: Axes, layer: Sequence[Factor]) -> None:
    """The factors of a layer, the first applied on the right."""
    left, size = 0.0, len(layer[-1].matrix)
    for factor in layer[::-1]:
        sparse(axes, factor, left)
        width = factor.matrix.shape[1]
        _words(axes, left + width / 2, size + 0.9, factor.name.replace("pad, scale", "pad"))
        left += width + 0.9
    _bare(axes, "A transform: sparse factors", left, size + 1.5)


#: After which factor an activation follows, for n = 4, and how far its name is below the middle.
ACTIVATIONS = {5: ("tanh", 4.9), 11: ("sigmoid", 2.5), 12: ("relu", -2.5)}


def flow(axes: Axes, model: StNN, branch: int, x: float, y: float, step: float, gap: float) -> None:
    """A branch as a graph: a line for every entry of every factor, trained ones in colour.

    `x`, `y` is the middle of its left end, `step` the width of a factor, `gap` that of two nodes.
    """
    first, second = factors(model, branch)
    scale = np.eye(model.n)
    last = [Factor("scale", scale, scale > 0)] * 2
    lines: dict[str, list[np.ndarray]] = {FROZEN: [], TRAINED: []}
    for k, factor in enumerate([*first, *second, *last]):
        heights = [y + gap * (np.arange(m) - (m - 1) / 2) for m in factor.matrix.shape]
        for i, j in np.argwhere((factor.matrix != 0) | factor.free):
            ends = [(x + k * step, heights[1][j]), (x + (k + 1) * step, heights[0][i])]
            lines[TRAINED if factor.free[i, j] else FROZEN].append(np.array(ends))
        if k + 1 in ACTIVATIONS:
            column = np.full(len(heights[0]), x + (k + 1) * step)
            axes.plot(column, heights[0], "o", color=style.COLOURS["ffnn"], markersize=4 * gap)
    for colour, found in lines.items():
        path = Path(np.concatenate(found), [Path.MOVETO, Path.LINETO] * len(found))
        axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=0.4 + 0.6 * gap))


def branch(axes: Axes, model: StNN, left: float = 0.0, title: str = "") -> float:
    """One branch with the names of its layers; returns where it ends."""
    step, size = 2.2, 2 * model.n
    count = sum(map(len, factors(model))) + 2
    flow(axes, model, 0, left + 0.3, size / 2, step, 1.0)
    for k, (name, below) in ACTIVATIONS.items():
        x, y = left + 0.3 + k * step, size / 2 + below
        _words(axes, x, y, name, color=style.WORDS["ffnn"])
    end = left + 0.6 + count * step
    _bare(axes, title, end, size + 1.5)
    return end


def branches(axes: Axes, model: StNN) -> None:
    """All branches side by side, from the state to the next one."""
    gap, step, apart = 0.28, 1.5, 2.6
    height = apart * model.branches
    left, count = 5.0, sum(map(len, factors(model))) + 2
    right = left + count * step
    middles = apart * (np.arange(model.branches) + 0.5)
    for k, middle in enumerate(middles):
        flow(axes, model, k, left, middle, step, gap)
        for start, end in ((1.6, left), (right + 3.4, right)):
            axes.plot([start, end], [height / 2, middle], color=FROZEN, linewidth=0.8)
    names = ("x", "y", "z", "0")[: model.n]
    for column in (0.8, right + 4.2):
        for i, name in enumerate(names):
            _words(axes, column, height / 2 + 1.4 * (i - (len(names) - 1) / 2), name)
    _bare(axes, "Six branches: a state becomes the next", right + 5, height + 0.2)


def anatomy(model: StNN) -> style.Shown:
    """The network from the operator to all branches, in four rows."""
    figure, rows = style.figure(7.6, 4, 1, height_ratios=[9.7 / 27, 9.7 / 41, 9.7 / 29, 15.8 / 30])
    operator(rows[0])
    transform(rows[1], factors(model)[0])
    branch(rows[2], model, title="A branch: the factors, one after the other")
    branches(rows[3], model)
    return style.shown(
        figure,
        "anatomy",
        caption="The structured network, drawn from its matrices. A Hankel operator is the product "
        "of a transform (a discrete Fourier transform with zeros appended, here its real part), a "
        "scaling and the transform back; blue entries are positive, orange ones negative. Each "
        "transform is a product of sparse factors. In the network the blue entries are trained, "
        "and the grey ones stay frozen. A branch applies all factors in turn, from left to right; "
        "each line is one entry, and an activation (dots) follows each of three groups of factors. "
        "Six branches side by side, added, make the network.",
        alt="Four rows. A small square matrix equals a product of three matrices. Five sparse "
        "patterns in blue and grey. A graph of lines that cross like butterflies between columns "
        "of nodes, with tanh, sigmoid and relu. Six such graphs fan out from x, y, z and come "
        "together again.",
    )


def small(model: StNN) -> style.Shown:
    """The operator and one branch, in one row."""
    figure, axes = style.figure(1.75)
    n = model.n
    _heat(axes, Hankel(SYMBOL).dense().numpy(), 0, n / 2)
    _words(axes, n / 2, 2 * n + 0.9, "operator")
    _words(axes, n + 1.1, n, "→")
    branch(axes, model, left=n + 2.0)
    return style.shown(
        figure,
        "branch",
        caption="A Hankel operator, and its factors as a branch of the network: blue entries are "
        "trained, grey ones are frozen, dots are activations. Six branches make the network.",
        alt="A small square matrix with equal colours along anti-diagonals, and beside it a graph "
        "of lines that cross like butterflies between columns of nodes.",
    )
