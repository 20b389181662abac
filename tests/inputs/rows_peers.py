"""The public names of ``dynlib.peers``, with right values of their arguments."""

from __future__ import annotations

import tempfile
from unittest import mock

import numpy as np
import torch
from kinds import POINT, A, Array, Count, Number, Tensor, Thing, row

from dynlib.networks.leads import LEADS
from dynlib.networks.recipes import Architecture, Trained
from dynlib.networks.stnn import StNN
from dynlib.peers import leads_loop, released, unrolled, weights

INNER = "tensors of the inner loop of LevenbergMarquardt, for which the row is Unrolled's own"
#: What has no input to refuse, and why.
EXEMPT = {
    "peers.leads_loop.Swish": "an activation inside LoopedLEADS, which makes it",
    "peers.leads_loop.Swish.forward": "an activation inside LoopedLEADS, which calls it",
    "peers.weights.read_released": "reads files, and refuses others: test_weights.py",
    "peers.weights.write_stand_ins": "writes files, for the runner",
    "peers.unrolled.Unrolled.evaluate": INNER,
    "peers.unrolled.Unrolled.jacobian": INNER,
}

STARTS = {
    "longer": "there is room for a fourth coordinate",
    "huge": "the units saturate",
    "tiny": "a state near the origin",
}
TENSOR = {"nan": POINT, "inf": POINT}
LOOPED = leads_loop.LoopedLEADS(LEADS(2, width=3, dtype=torch.float64))
STATES = torch.arange(1.0, 13.0, dtype=torch.float64).reshape(2, 3, 2) / 8
STNN = StNN(4, 1, dtype=torch.float64)
ARCHITECTURE = Architecture(widths=(3, 2, 2, 2, 2))
UNIT = np.zeros(3), np.ones(3)
TRAINED = Trained(
    ARCHITECTURE, (UNIT, (UNIT[0][:2], UNIT[1][:2])),
    torch.nn.utils.parameters_to_vector(ARCHITECTURE.build().parameters()).detach()[None] + 0.25,
    np.zeros((1, 4)), np.zeros(1), 0, 1.0,
)  # fmt: skip
FOLDER = tempfile.TemporaryDirectory()


def refined(trained, trajectories, constants, steps) -> torch.Tensor:
    with mock.patch.dict("os.environ", DYNLIB_ARTEFACTS=FOLDER.name):
        return unrolled.refine(trained, trajectories, constants, steps).weights


ROWS = [
    row(
        "peers.leads_loop.LoopedLEADS",
        lambda model: leads_loop.LoopedLEADS(model)(STATES, 1, 0.5).detach(),
        model=Thing(LEADS(2, width=3, dtype=torch.float64), others={"another": STNN}),
    ),
    row(
        "peers.leads_loop.LoopedLEADS.forward", lambda **options: LOOPED(**options).detach(),
        states=Tensor(STATES, TENSOR), steps=Count(2), dt=Number(0.5, low=0),
    ),
    row(
        "peers.leads_loop.LoopedLEADS.loss", lambda **options: LOOPED.loss(**options).detach(),
        trajectories=Tensor(torch.stack([STATES, STATES + 1], 2), TENSOR), dt=Number(0.5, low=0),
        rounds=Count(2, least=0),
    ),
    row(
        "peers.released.ReleasedStNN",
        lambda model: released.ReleasedStNN(model)(STATES.reshape(3, 4)),
        model=Thing(STNN, others={"linear": StNN(4, 1, linear=True), "another": LEADS(2)}),
    ),
    row(
        "peers.released.ReleasedStNN.forward", released.ReleasedStNN(STNN).forward,
        states=Tensor(STATES.reshape(3, 4), TENSOR),
    ),
    row(
        "peers.weights.released_names", weights.released_names,
        model=Thing(STNN, others={"another": LEADS(2)}),
    ),
    row(
        "peers.weights.rollout_as_released", weights.rollout_as_released,
        model=Thing(STNN, others={"another": LEADS(2)}),
        starts=Array(A.reshape(-1, 3)[:2] / 8, STARTS), n_steps=Count(2),
    ),
    row(
        "peers.unrolled.Unrolled", lambda **options: unrolled.Unrolled(**options).steps,
        model=Thing(STNN), steps=Count(2), gain=Tensor(STATES[0, 0], TENSOR),
        shift=Tensor(STATES[0, 1], TENSOR),
    ),
    row(
        "peers.unrolled.refine", refined,
        trained=Thing(TRAINED, others={"several": [TRAINED]}),
        trajectories=Array(A.reshape(2, 3, 2) / 8), constants=Array(A[:2, None] / 8),
        steps=Count(1),
    ),
]  # fmt: skip
