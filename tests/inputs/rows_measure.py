"""The public names of ``dynlib.measure``, with right values of their arguments."""

from __future__ import annotations

import numpy as np
from kinds import (
    ANY_AXES,
    FLAT,
    FORECAST,
    PROPAGATES,
    SCALED,
    SIZE,
    A,
    Array,
    Choice,
    Count,
    Flag,
    Number,
    Seed,
    Thing,
    Tokens,
    row,
)

from dynlib.identify.polynomial import PolynomialMap
from dynlib.measure import (
    blind,
    context,
    distribution,
    environments,
    forecaster,
    intervals,
    rollout,
    separation,
    sequences,
    timing,
    transport,
)

#: What has no input to refuse, and why.
EXEMPT = {
    "measure.forecaster.Forecaster": "a protocol",
    "measure.forecaster.Forecaster.rollout": "a protocol",
    "measure.intervals.Summary": "made by summarise",
    "measure.intervals.by_unit": "the check of summarise and paired",
    "measure.intervals.denominators": "the check of summarise",
}

FOUR = A.reshape(2, 3, 1, 2)
MANY = np.tile(A[:4].reshape(1, 1, 4, 1), (2, 3, 1, 1))
STACKED = dict.fromkeys(PROPAGATES, "trajectories are put together, not read")
POLYNOMIAL = PolynomialMap.fit(A.reshape(6, 2), A.reshape(6, 2) ** 1.5, 1)
SERIES = np.tile([0, 1, 2, 1], (2, 40))
CENTRES = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 7.0]])
NOT_COUNTS = {
    "floats": [4.0, 9.0], "nan": [np.nan], "none": [], "zero": [0], "too large": [10],
    "bool": [True],
    "texts": ["４"], "huge": [10**30], "ragged": [[1, 2], [3]], "complex": [1j],
}  # fmt: skip
#: Units of one seed or of several.
BY_SEED = {"axis too many": "one seed"}
WINDOWS = np.arange(20).reshape(2, 10) % 3
REFERENCE = distribution.Reference(np.stack([WINDOWS, 2 - WINDOWS]), CENTRES)

ROWS = [
    row(
        "measure.blind.classifier_accuracy", blind.classifier_accuracy,
        generated=Array(MANY), true=Array(MANY + 1), window=Count(2, least=2),
        each=Count(2), seed=Seed(3),
    ),
    row(
        "measure.context.context_curve", context.context_curve,
        score=Thing(lambda windows: windows[:, -1] / -2.0),
        sentences=Tokens(WINDOWS, {"out of range": "any tokens"}),
        lengths=Thing([1, 2], others=NOT_COUNTS), columns=Thing([4, 9], others=NOT_COUNTS),
    ),
    row(
        "measure.distribution.Reference", distribution.Reference,
        batches=Tokens(np.stack([WINDOWS, WINDOWS[::-1]])),
        centres=Array(CENTRES, {"longer": "any number of coordinates"}), cost=Choice("squared"),
    ),
    row(
        "measure.distribution.Reference.distance", REFERENCE.distance,
        generated=Tokens(WINDOWS, ANY_AXES), batch=Count(0, {"None": "all pairs"}, least=0),
    ),
    row(
        "measure.distribution.Reference.ratio", REFERENCE.ratio,
        generated=Tokens(WINDOWS, ANY_AXES), matched=Tokens(WINDOWS, ANY_AXES | {"None": "true"}),
        batch=Count(0, {k: "not used with matched" for k in dict(Count(0).odd())}, least=0),
    ),
    row(
        "measure.distribution.rollout_measures", distribution.rollout_measures,
        samples=Thing(
            [SERIES], others={"none": [], "axis too few": SERIES, "floats": [SERIES * 1.0]}
        ),
        euclidean=Thing(REFERENCE), squared=Thing(REFERENCE, {"None": "is left out"}),
        matched=Tokens(SERIES, {"axis too many": "one set a sample"}), training=Tokens(SERIES),
    ),
    row(
        "measure.environments.with_start", environments.with_start,
        starts=Array(FOUR[:, :, 0], STACKED), following=Array(FOUR, STACKED),
    ),
    row(
        "measure.environments.trajectory_errors", environments.trajectory_errors,
        predictions=Array(FOUR, dict.fromkeys(PROPAGATES, "a lost rollout ranks last")),
        truth=Array(FOUR + 1),
    ),
    row(
        "measure.environments.time_to", environments.time_to,
        seconds=Array(A[:4], SCALED),
        errors=Array(A[3::-1], dict.fromkeys(PROPAGATES, "an error of any size")),
        target=Number(2.0),
    ),
    row(
        "measure.environments.cases", environments.cases,
        errors=Array(FLAT + 1, SIZE | SCALED | {"inf": "ranks last", "-inf": "ranks first"}),
    ),
    row(
        "measure.forecaster.last_states", forecaster.last_states,
        windows=Array(FORECAST, SCALED), n_steps=Count(5), dim=Count(2), count=Count(1, least=0),
    ),
    row(
        "measure.forecaster.forecasts", forecaster.forecasts,
        methods=Thing(
            {"a": [POLYNOMIAL]}, others={"none": {}, "no model": {"a": []}, "a list": [POLYNOMIAL]}
        ),
        windows=Array(FORECAST, SCALED), n_steps=Count(2),
    ),
    row(
        "measure.intervals.summarise", intervals.summarise,
        samples=Array(A[:3], SCALED | BY_SEED),
        per=Array(A[:3], SCALED | {"None": "no denominators"}),
        share=Flag(False),
    ),
    row(
        "measure.intervals.paired", intervals.paired,
        a=Array(A[:3], SCALED | BY_SEED), b=Array(A[:3], SCALED | BY_SEED),
    ),
    row(
        "measure.rollout.step_errors", rollout.step_errors,
        prediction=Array(
            FORECAST, dict.fromkeys(PROPAGATES, "a prediction may fail, and is infinitely wrong")
        ),
        truth=Array(FORECAST + 1),
    ),
    row(
        "measure.rollout.accumulated_mse", rollout.accumulated_mse,
        errors=Array(
            A.reshape(3, 4), SIZE | SCALED | {"inf": "the error of a failed rollout"}, degree=1
        ),
        steps=Count(2),
    ),
    row(
        "measure.rollout.valid_time", rollout.valid_time,
        prediction=Array(FORECAST, dict.fromkeys(PROPAGATES, "a prediction may fail")),
        truth=Array(FORECAST + 1),
        **dict.fromkeys(("spread", "dt", "exponent", "threshold"), Number(1.0, low=0)),
    ),
    row(
        "measure.rollout.spread", rollout.spread,
        states=Array(FORECAST, SIZE | {"axis too many": "any", "axis too few": "any"}, degree=1),
    ),
    row(
        "measure.rollout.failures", rollout.failures,
        prediction=Array(FORECAST, SIZE | dict.fromkeys(PROPAGATES, "they are counted")),
    ),
    row(
        "measure.separation.mean_separation", separation.mean_separation,
        a=Array(FORECAST), b=Array(FORECAST[::-1].copy()),
    ),
    row(
        "measure.separation.growth_rate", separation.growth_rate,
        separation=Array(2.0 ** np.arange(6), SIZE | SCALED | {"empty": "no slope"}),
        tau=Number(1.0, low=0), low=Number(1.0, low=0), high=Number(20.0, low=0),
    ),
    row(
        "measure.sequences.transitions", sequences.transitions,
        tokens=Tokens(WINDOWS), vocabulary=Count(3),
    ),
    row(
        "measure.sequences.unseen_transitions", sequences.unseen_transitions,
        seen=Tokens(np.array([1, 5, 6]), {"empty": "all are unseen"}), generated=Tokens(WINDOWS),
        vocabulary=Count(3),
    ),
    row(
        "measure.sequences.copied_fraction", sequences.copied_fraction,
        generated=Tokens(WINDOWS, {"out of range": "any tokens"}),
        training=Tokens(WINDOWS, {"out of range": "any tokens"}), length=Count(4),
    ),
    row(
        "measure.sequences.periods", sequences.periods,
        tokens=Tokens(WINDOWS, {"out of range": "any tokens"}), tail=Count(9, least=8),
        longest=Count(4),
    ),
    row(
        "measure.timing.microseconds",
        lambda **options: timing.microseconds(**options) >= 0,
        call=Thing(lambda: None), repeats=Count(1), calls=Count(1),
        at_least=Number(1e-4, low=0, reaches=True),
    ),
    row(
        "measure.timing.rounds", lambda **options: timing.rounds(**options) >= 0,
        timed=Thing([lambda: None], others={"not callable": [3]}), repeats=Count(2),
        calls=Count(1), at_least=Number(1e-4, low=0, reaches=True),
    ),
    *(
        row(
            "measure.transport.wasserstein", transport.wasserstein,
            points_a=Array(CENTRES), weights_a=Array(A[:3]), points_b=Array(CENTRES[:2] + 1),
            weights_b=Array(A[:2]), cost=Choice(cost),
        )
        for cost in transport.COSTS
    ),
    row(
        "measure.transport.token_distance", transport.token_distance,
        tokens_a=Tokens(np.array([[0, 1, 2, 2]]), ANY_AXES),
        tokens_b=Tokens(np.array([[0, 0, 2]]), ANY_AXES),
        centres=Array(CENTRES, {"longer": "any number of coordinates"}), cost=Choice("euclidean"),
    ),
]  # fmt: skip
