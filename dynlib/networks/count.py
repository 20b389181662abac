r"""Parameters and operations of the networks, layer by layer: the paper's Table 1."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields

from dynlib.dynamics.checks import check_choice
from dynlib.networks.ffnn import FFNN
from dynlib.networks.recipes import check_network
from dynlib.networks.stnn import StNN


@dataclass(frozen=True)
class Layer:
    """What one layer holds, and what one evaluation of it costs.

    Parameters
    ----------
    name : str
        The weight matrix, as the paper numbers it.
    weights, biases : int
        Learned numbers.
    flops : int
        Multiplications and additions, adding biases included, activations apart, where the
        structure is used: nothing is done with entries that are known to be zero, or for
        outputs that are dropped.
    flops_coded : int
        As the authors' code computes, which transforms the padding too.
    flops_dense : int
        With the layer's factors multiplied out, branch by branch.
        (:class:`dynlib.networks.assembled.AssembledStNN` does more: it multiplies by zeros too,
        in fewer calls.)
    activations : int
        Evaluations of the activation function.
    """

    name: str
    weights: int
    biases: int
    flops: int
    flops_coded: int
    flops_dense: int
    activations: int


#: What is counted of every layer.
COUNTS = tuple(each.name for each in fields(Layer) if each.name != "name")


def layers(model: StNN | FFNN) -> list[Layer]:
    r"""Count a network layer by layer; its weights do not matter.

    A butterfly transform of length M costs :math:`\tfrac32 M \log_2 M + \tfrac32 M`
    operations: three for every two values at each of :math:`\log_2 M - 1` levels, and six for
    each block of two.

    Examples
    --------
    >>> [layer.flops for layer in layers(StNN(4, branches=1))]
    [52, 56, 8, 8]
    """
    check_network("model", model)
    if isinstance(model, FFNN):
        return [
            Layer(f"W({i},{i + 1})", a * b, b, 2 * a * b, 2 * a * b, 2 * a * b, b if i < 3 else 0)
            for i, (a, b) in enumerate(itertools.pairwise(model.widths))
        ]
    n, p, m = model.n, model.branches, 2 * model.n
    learned = m - 2 + 8  # a transform's twiddles and two blocks
    transform = 3 * m * (m.bit_length() - 1) // 2 + 3 * m // 2
    dense = 2 * m * n
    return [
        Layer(
            "W(0,1)", p * (n + learned), p * m, p * (n + transform - m + m),
            p * (n + transform + m), p * dense, p * m,
        ),
        Layer(
            "W(1,2)", p * (m + learned), p * n, p * (m + transform - n + n),
            p * (m + transform + n), p * dense, p * n,
        ),
        Layer("W(2,3)", p * n, p * n, 2 * p * n, 2 * p * n, 2 * p * n, p * n),
        Layer("W(3,4)", p * n, n, 2 * p * n, 2 * p * n, 2 * p * n, 0),
    ]  # fmt: skip


def total(model: StNN | FFNN, what: str = "parameters") -> int:
    """Sum a count over the layers: ``"parameters"``, or a field of :class:`Layer`.

    Examples
    --------
    >>> total(StNN(4, 6)), total(StNN(4, 6), "flops"), total(FFNN(), "flops")
    (388, 744, 3960)
    """
    check_choice("what", what, ("parameters", *COUNTS))
    if what == "parameters":
        return sum(layer.weights + layer.biases for layer in layers(model))
    return sum(getattr(layer, what) for layer in layers(model))


def saving(model: StNN | FFNN, peer: StNN | FFNN, what: str = "parameters") -> float:
    r"""What a network saves of another's count, in percent: :math:`100\,(1 - a/b)`, eq. (12).

    Examples
    --------
    >>> round(saving(StNN(4, 6), FFNN()), 2)
    81.28
    """
    return 100 * (1 - total(model, what) / total(peer, what))
