"""Margins and flags of verdicts, with values computed by hand."""

import math

import pytest

from workflow.ledger.claims import Claim
from workflow.ledger.margin import expected, flag, margin

METRICS = {
    "a": {"value": 1.0, "low": 0.5, "high": 2.0, "over": "seeds", "tolerance": 0.1},
    "like_a": {"value": 1.0, "low": 0.5, "high": 2.0, "over": "seeds", "tolerance": 0.1},
    "b": {"value": 3.0, "low": 1.5, "high": 4.0, "over": "starts", "tolerance": 0.1},
    "c_mean": {"value": 10.0, "low": None, "high": None, "over": None, "tolerance": 0.1},
    "c": {"value": 4.0, "low": 2.0, "high": 5.0, "over": "batches", "tolerance": 0.1},
    "d": {"value": 8.0, "low": None, "high": None, "over": None, "tolerance": 1.0},
    "zero": {"value": 0.0, "low": None, "high": None, "over": None, "tolerance": 1.0},
    "count": {"value": 388, "low": None, "high": None, "over": None, "tolerance": 0.0},
    "seed": {"value": 2.0, "low": None, "high": None, "over": "seeds", "tolerance": 0.1},
    "batch": {"value": 2.0, "low": None, "high": None, "over": "batches", "tolerance": 0.1},
    "time": {
        "value": 2.0, "low": None, "high": None, "over": None, "tolerance": 1.0, "timing": True,
    },
    "times": {
        "value": 2.0, "low": 1.0, "high": 3.0, "over": "repeats", "tolerance": 1.0, "timing": True,
    },
}  # fmt: skip


def judged(criterion, condition=""):
    """Margin and flag of a claim."""
    fields = {"scope": "method", "criterion": criterion, "condition": condition, "only_if": "b"}
    claim = Claim(**dict.fromkeys(Claim.__dataclass_fields__, "") | fields)
    metrics = {key: METRICS[key[1]] for key in claim.deciding}
    distance = margin(claim, metrics, {"r": METRICS})
    return distance, flag(metrics, distance)


@pytest.mark.parametrize(
    ("criterion", "distance", "word"),
    [
        ("r:a <= 1.5", 0.5, "within chance"),  # (1.5 - 1) / (2 - 1)
        ("r:a <= 2.5", 1.5, "firm"),
        ("r:a >= 0.75", 0.5, "within chance"),  # below, a half-width is 0.5
        ("r:a <= 0.25", 1.5, "firm"),  # does not hold
        # An end of the interval is compared: the whole interval decides, counted once.
        ("r:a.high <= 2.5", 1.5, "firm"),
        ("r:a.high <= 1.5", 0.0, "within chance"),  # not met; the value itself meets it
        ("r:a.high <= 0.8", 0.4, "within chance"),  # not met; the lower end meets it
        ("r:a.high <= 0.4", 1.2, "firm"),  # not met, nor at any place of the interval
        # Disjoint: from 1 up to the other's lower end, 1.5, or from 3 down to 2.
        ("r:a.high < r:b.low", 0.0, "within chance"),  # they overlap; at its value b is above a
        # Two metrics move by k/sqrt(2) each: 1 + k/sqrt(2) is 3 - 1.5 k/sqrt(2).
        ("r:a.low > r:b.high", 2 * math.sqrt(2) / 2.5, "firm"),
        ("r:a.low <= r:b.high and r:a.high >= r:b.low", 0.0, "within chance"),  # an overlap
        # Neither order of two equal metrics is shown.
        ("r:a.high < r:like_a.low", 0.0, "within chance"),
        ("r:a.low > r:like_a.high", 0.0, "within chance"),
        # A width stays: 3 - 1 > 1.5 is met until b - a has fallen by 0.5.
        ("r:b - r:a > r:a.high - r:a.low", 0.5 * math.sqrt(2) / 2.5, "within chance"),
        # 3 - 1.5 k/sqrt(2) is twice 1 + k/sqrt(2).
        ("r:b >= 2 * r:a", math.sqrt(2) / 3.5, "within chance"),
        ("abs(r:a - 50) <= 4", 45.0, "firm"),  # a window between two powers of two
        ("r:c_mean <= 12", 2.0, "firm"),  # the half-width of c, above, is 1
        ("r:c_mean >= 9", 0.5, "within chance"),  # below it is 2
        ("r:d <= 12", 0.5, "within chance"),  # its tolerance lets it be 16
        ("r:d >= 3", 1.25, "firm"),  # and 4
        ("r:zero <= 0.5", 0.5, "within chance"),
        ("r:count == 388", math.inf, "firm"),
        ("r:seed <= 3", math.inf, "one seed"),
        ("r:batch <= 3", math.inf, "one batch"),
        ("r:time <= 3", math.inf, "one timing"),
        ("r:times <= 2.5", 0.5, "within chance"),
        ("r:a <= 2 * r:seed", 3.0, "one seed"),
        ("r:a <= 0.6 * r:seed", 0.2, "within chance"),
    ],
)
def test_margins(criterion, distance, word):
    found, flagged = judged(criterion)
    assert found == pytest.approx(distance, abs=0.005)
    assert flagged == word


def test_a_condition_that_is_met_instead_is_a_turn():
    assert judged("r:a <= 0.75", "r:b > 2")[0] == pytest.approx(0.5, abs=0.005)


def test_what_chance_would_turn():
    """Phi(-1.96 / sqrt 2) = 0.0829 at one half-width, and half of those at 0."""
    assert expected([0.0, 0.0, 1.0, math.inf]) == pytest.approx(1.0829, abs=1e-4)
