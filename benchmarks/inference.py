"""A step of a trained network: multiplied out, by a loop over branches, and FFNN-2073."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.compare import Bench, Different, close, seconds_of
from dynlib.networks.assembled import AssembledStNN
from dynlib.networks.ffnn import FFNN, in_numpy
from dynlib.networks.stnn import StNN
from dynlib.peers.released import ReleasedStNN
from workflow.book.speed import clock

CLOSE = close(1e-4)
MANY = (
    "for many states the operations take the time, no longer the calls, and both sides need the "
    "same activations"
)
TWIN = "the fair twin: both in torch"
OURS_IN_NUMPY = "ours is NumPy here and the peer torch, whose calls take longer to start"


def by_torch(model: StNN) -> AssembledStNN:
    """The network multiplied out, as torch computes it for any number of states.

    Tensors that were made in inference mode do not count their changes, so NumPy is not used.
    """
    with torch.inference_mode():
        return AssembledStNN(model)


@torch.no_grad()
def measure(bench: Bench) -> None:
    branches = bench.size(6, 2)
    torch.manual_seed(0)
    model, ffnn = StNN(4, branches, released=True), FFNN()
    loop, fast, plain, slow = ReleasedStNN(model), AssembledStNN(model), in_numpy(ffnn), ffnn
    in_torch = by_torch(model)
    for batch in bench.size((1, 10_000), (1, 5000)):
        padded, states = torch.randn(batch, 4), torch.randn(batch, 3)
        numpy = batch == 1  # AssembledStNN computes in torch for many states
        what = f"StNN p={branches} multiplied out, {batch} state{'s' * (batch > 1)}"

        def finite(_: torch.Tensor, other: torch.Tensor, states: torch.Tensor = states) -> None:
            """Another network: it need only compute what it should."""
            if not torch.allclose(plain(states), slow(states), atol=1e-4):
                raise Different("FFNN-2073 differs between NumPy and torch")
            if not torch.isfinite(other).all():
                raise Different("FFNN-2073 gives no number")

        def compare(ours, against: str, peer, same=CLOSE, what: str = what, **options) -> None:
            bench.compare(what, against, ours, peer, same, seconds=1.5, **options)

        here = {"note": OURS_IN_NUMPY} if numpy else {}
        compare(
            lambda x=padded: fast(x), "loop over branches", lambda x=padded: loop(x),
            aim=100.0, limit=calls() if numpy else MANY, **here,
        )  # fmt: skip
        if numpy:
            compare(
                lambda x=padded: in_torch(x), "loop over branches", lambda x=padded: loop(x),
                note=TWIN, what=f"{what}, in torch",
            )  # fmt: skip
        compare(lambda x=padded: fast(x), "StNN by its layers", lambda x=padded: model(x), **here)
        if numpy:
            compare(
                lambda x=padded: in_torch(x), "StNN by its layers", lambda x=padded: model(x),
                note=TWIN, what=f"{what}, in torch",
            )  # fmt: skip
            compare(
                lambda x=padded: fast(x), "FFNN-2073 in torch", lambda x=states: slow(x), finite,
                **here,
            )  # fmt: skip
        twin = plain if numpy else slow
        compare(
            lambda x=padded: fast(x), "FFNN-2073, the same library", lambda x=states, f=twin: f(x),
            finite, aim=1.5,
            note="both in NumPy" if numpy else "both in torch",
            limit="both are three or four small products, whose calls are most of the time"
            if numpy else activations(branches, batch, seconds_of(lambda x=padded: fast(x))),
        )  # fmt: skip


def calls() -> str:
    """What one call of NumPy on a few numbers takes."""
    few = torch.randn(1, 48).numpy()
    taken = seconds_of(lambda: np.tanh(few, out=few))
    return f"a state takes nine calls of NumPy, of which one on so few numbers takes {clock(taken)}"


def activations(branches: int, batch: int, whole: float) -> str:
    """The share of our time that the activations alone take."""
    hidden = torch.randn(8 * branches, batch), torch.randn(4 * branches, batch)
    share = seconds_of(lambda: (hidden[0].tanh(), hidden[1].sigmoid())) / whole
    return (
        f"the activations of our {12 * branches} hidden units, which no rearrangement saves, take "
        f"{share:.0%} of our time"
    )
