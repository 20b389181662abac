r"""Exact Wasserstein distances between weighted point sets."""

from __future__ import annotations

import numpy as np
import ot
from scipy.spatial.distance import cdist

from dynlib.dynamics.checks import check_array, check_choice, check_room, check_tokens

#: Costs of moving a point onto another, by name.
COSTS = ("euclidean", "squared")
#: What to do about centres of another shape.
CENTRES = "those of one coordinate are centres[:, None]"


def _check_side(points_name: str, points: np.ndarray, name: str, weights: np.ndarray) -> None:
    remedy = "those of one coordinate are points[:, None]"
    check_array(points_name, points, ("n", "d"), scale=True, remedy=remedy)
    check_array(name, weights, (len(points),), scale=True, remedy="give one weight a point")
    if (np.asarray(weights) < 0).any() or not np.any(weights):
        raise ValueError(
            f"{name} must be non-negative and not all zero, got {np.min(weights)} to "
            f"{np.max(weights)}; count how often each point occurs"
        )


def _check_dimensions(points_a: np.ndarray, points_b: np.ndarray) -> None:
    if np.shape(points_a)[1] != np.shape(points_b)[1]:
        raise ValueError(
            f"both point sets must have the same dimension, got {np.shape(points_a)[1]} and "
            f"{np.shape(points_b)[1]}; leave the same coordinates out of both"
        )


def wasserstein(
    points_a: np.ndarray,
    weights_a: np.ndarray,
    points_b: np.ndarray,
    weights_b: np.ndarray,
    *,
    cost: str = "euclidean",
) -> float:
    r"""Minimal cost of moving one weighted point set onto another, solved exactly.

    .. math:: W = \min_{\gamma \ge 0} \sum_{ij} \gamma_{ij}\, c(x_i, y_j), \qquad
              \sum_j \gamma_{ij} = a_i, \; \sum_i \gamma_{ij} = b_j

    with :math:`c = \|x-y\|_2` (``"euclidean"``: the 1-Wasserstein distance, in state units)
    or :math:`c = \|x-y\|_2^2` (``"squared"``: POT's default, the *square* of the
    2-Wasserstein distance, in squared state units).

    Parameters
    ----------
    points_a, points_b : numpy.ndarray
        Points, shapes (n, d) and (m, d).
    weights_a, weights_b : numpy.ndarray
        Non-negative weights, shapes (n,) and (m,); each is divided by its sum.
    cost : str
        ``"euclidean"`` or ``"squared"``.

    Returns
    -------
    float
        The distance.

    Raises
    ------
    ValueError
        For another `cost`, shapes that do not fit, or weights that are negative or all zero.
    RuntimeError
        If the network simplex stops before optimality.

    Examples
    --------
    >>> a, b = np.array([[0.0], [1.0]]), np.array([[2.0]])
    >>> wasserstein(a, np.ones(2), b, np.ones(1))
    1.5
    >>> wasserstein(a, np.ones(2), b, np.ones(1), cost="squared")
    2.5

    References
    ----------
    Bonneel et al. (2011), ACM Trans. Graph. 30(6), the network simplex of POT; Flamary et
    al. (2021), J. Mach. Learn. Res. 22(78).
    """
    metrics = {"euclidean": "euclidean", "squared": "sqeuclidean"}
    check_choice("cost", cost, COSTS)
    _check_side("points_a", points_a, "weights_a", weights_a)
    _check_side("points_b", points_b, "weights_b", weights_b)
    _check_dimensions(points_a, points_b)
    sides = []
    for points, weights in ((points_a, weights_a), (points_b, weights_b)):
        points, weights = np.asarray(points, float), np.asarray(weights, float)
        kept = weights > 0
        sides.append((points[kept], weights[kept] / weights.sum()))
    (points_a, weights_a), (points_b, weights_b) = sides
    check_room("the costs of moving", len(points_a), len(points_b))
    # From differences: |x|² + |y|² − 2xy, as ot.dist has it, cancels far from the origin.
    costs = cdist(points_a, points_b, metrics[cost])
    value, log = ot.emd2(weights_a, weights_b, costs, numItermax=100_000_000, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"optimal transport did not reach optimality: {log['warning']}")
    return float(value)


def token_distance(
    tokens_a: np.ndarray, tokens_b: np.ndarray, centres: np.ndarray, *, cost: str = "euclidean"
) -> float:
    """Wasserstein distance between two sets of tokens, each state at the centre of its cell.

    With the Euclidean cost, which obeys the triangle inequality, what both sides have in common
    stays where it is; leaving it out changes nothing and makes the problem several times
    smaller.

    Parameters
    ----------
    tokens_a, tokens_b : numpy.ndarray
        Tokens of any shape; only how often each occurs matters.
    centres : numpy.ndarray
        Cell centres, shape (V, d).
    cost : str
        As for :func:`wasserstein`.

    Returns
    -------
    float
        The distance.

    Examples
    --------
    >>> token_distance(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([[0.0], [3.0]]))
    1.0
    """
    check_choice("cost", cost, COSTS)
    check_array("centres", centres, ("V", "d"), scale=True, remedy=CENTRES)
    check_tokens("tokens_a", tokens_a, (...,), vocabulary=len(centres))
    check_tokens("tokens_b", tokens_b, (...,), vocabulary=len(centres))
    a, b = (np.bincount(np.ravel(t), minlength=len(centres)) for t in (tokens_a, tokens_b))
    a, b = a / a.sum(), b / b.sum()
    if cost == "euclidean":
        common = np.minimum(a, b)
        a, b = a - common, b - common
    moved = float(a.sum())
    if moved == 0:
        return 0.0
    return moved * wasserstein(centres, a, centres, b, cost=cost)
