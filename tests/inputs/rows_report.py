"""The public names of ``dynlib.report``, with right values of their arguments."""

from __future__ import annotations

import numpy as np
from kinds import SCALED, SIZE, A, Array, Flag, Number, Thing, row

from dynlib.report import record

COMPUTED = "records or tabulates what a run has computed"
DRAWN = "draws what a run has computed"
#: What has no input to refuse, and why.
EXEMPT = dict.fromkeys(
    (
        "report.begin.*", "report.costs.*", "report.environments.*", "report.flows.*",
        "report.forecasts.*",
        "report.networks.*", "report.operators.*", "report.own.*", "report.own_models.*",
        "report.studied.*", "report.stages.*", "report.tokens.*",
    ),
    COMPUTED,
) | dict.fromkeys(
    (
        "report.figures.*", "report.playground.*", "report.record.number", "report.scene.*",
        "report.style.*",
    ),
    DRAWN,
)  # fmt: skip

TEXTS = dict.fromkeys(("text", "unicode digits"), "a text like others")
NUMBERS = {"numbers": [1, 2], "longer": ["a", "b", "c"], "one text": "ab"}


def recorded(call):
    """A call in a run that has recorded one metric."""

    def run(options):
        record.clear()
        record.metric("known", 2.0)
        try:
            return call(**options)
        finally:
            record.clear()

    return lambda **options: run(options)


ROWS = [
    row(
        "report.record.metric", recorded(record.metric),
        name=Thing("loss", others={"again": "known", "upper case": "Loss", "none": ""}),
        samples=Array(
            A[:3], SIZE | SCALED | {"None": "no value exists", "axis too few": "a single value"}
        ),
        over=Thing("seeds", TEXTS), unit=Thing("s", TEXTS),
        tolerance=Number(0.5, low=0, reaches=True), timing=Flag(True),
    ),
    row(
        "report.record.context", recorded(record.context),
        facts=Thing(
            [0, 1], TEXTS | dict.fromkeys(("None", "number"), "a fact"),
            {"nan": np.nan, "array": np.ones(2)},
        ),
    ),
    row(
        "report.record.named", record.named,
        method=Thing("markov", TEXTS), measure=Thing("loss", TEXTS),
    ),
    row(
        "report.record.show", recorded(record.show),
        name=Thing("known"), form=Thing(".2f", TEXTS, {"of texts": "s", "of counts": "d"}),
    ),
    row(
        "report.record.Table", lambda header, rows: repr(record.Table(header, rows)),
        header=Thing(["a", "b"], others=NUMBERS),
        rows=Thing([["x", "1"]], others=NUMBERS | {"short": [["x"]], "of numbers": [[1, 2]]}),
    ),
    row(
        "report.record.metrics_table",
        recorded(lambda **options: repr(record.metrics_table(**options))),
        methods=Thing({"model": "GPT-2"}, others={"list": ["model"], "number": {"model": 1}}),
        columns=Thing(
            {"size": "known:.1f"},
            others={"list": ["known"], "part": {"size": "known.high"}, "form": {"size": "known:s"}},
        ),
        head=Thing("method", TEXTS),
    ),
]  # fmt: skip
