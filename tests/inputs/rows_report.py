"""The public names of ``dynlib.report``, with right values of their arguments."""

from __future__ import annotations

import numpy as np
from kinds import SCALED, A, Array, Count, Flag, Number, Thing, row

from dynlib.report import prices, record
from dynlib.tokens.gpt import GPTConfig

COMPUTED = "records or tabulates what a run has computed"
DRAWN = "draws what a run has computed"
#: What has no input to refuse, and why.
EXEMPT = dict.fromkeys(
    (
        "report.begin.*", "report.costs.*", "report.counting.*", "report.environments.*",
        "report.equations.*", "report.flows.*", "report.forecasts.*", "report.forecast_tables.*",
        "report.protocol.*", "report.step_costs.*",
        "report.networks.*", "report.operators.*", "report.own.*", "report.own_models.*",
        "report.released.*", "report.studied.*", "report.stages.*", "report.tokens.*",
    ),
    COMPUTED,
) | dict.fromkeys(
    (
        "report.figures.*", "report.playground.*", "report.record.number", "report.scene.*",
        "report.style.*", "report.writer.*",
    ),
    DRAWN,
) | {"report.prices.Price": "holds what prices computes"}  # fmt: skip

TEXTS = dict.fromkeys(("text", "unicode digits"), "a text like others")
SMALL, CARD = GPTConfig(5, 1, 1, 8, 4), prices.Card("small", 10.0, 8.0, 0.5)
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
        samples=Array(A[:3], SCALED | {"None": "no value exists", "axis too many": "one seed"}),
        per=Array(A[:3], SCALED | {"None": "no denominators"}),
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
    row(
        "report.prices.Card", prices.Card,
        name=Thing("small", TEXTS), tflops=Number(10.0, low=0), memory=Number(8.0, low=0),
        dollars=Number(0.5, low=0),
    ),
    row("report.prices.flops_per_token", prices.flops_per_token, config=Thing(SMALL)),
    row(
        "report.prices.share_of_peak", prices.share_of_peak,
        config=Thing(SMALL), batch_size=Count(2), seconds=Number(1.0, low=0),
        tflops=Number(10.0, low=0),
    ),
    row(
        "report.prices.prices",
        lambda **options: [each.dollars for each in prices.prices(**options)],
        config=Thing(SMALL), tokens=Count(100), share=Number(0.5, low=0),
        cards=Thing((CARD,), others={"one": CARD, "names": ["H100"]}),
    ),
]  # fmt: skip
