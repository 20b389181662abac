"""The ledger: every claim can be judged, and only by metrics that some run records."""

import json
import re
from pathlib import Path

import pytest

from workflow.errors import Refused
from workflow.ledger.claims import Claim, holds, read_claims, verdict
from workflow.runs.experiments import declared_runs

ROOT = Path(__file__).resolve().parents[2]


def claim(**fields) -> Claim:
    base = dict.fromkeys(Claim.__dataclass_fields__, "")
    return Claim(**base | {"id": "x", "scope": "method"} | fields)


def table(values):
    def lookup(run, metric, part):
        return values[f"{run}:{metric}.{part}"]

    return lookup


OURS = table({"r:a.value": 1.0, "r:a.high": 2.0, "r:b.value": 5.0})
NOTHING = table({})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"criterion": "r:a.high <= 2"}, "holds"),
        ({"criterion": "r:a.high < 2"}, "does not hold"),
        ({"criterion": "r:a > 3", "condition": "r:b > 3", "only_if": "b"}, "holds only if b"),
        ({"criterion": "r:a > 3", "condition": "r:b > 9", "only_if": "b"}, "does not hold"),
        ({"criterion": "r:missing > 3"}, "not tested here"),
        ({"untested": "no reason"}, "not tested here"),
        ({"criterion": "r:a > 3", "scope": "printed-model"}, "not tested here"),
        ({"criterion": "abs(r:a - r:b) == 4 and r:b / 5 == r:a"}, "holds"),
    ],
)
def test_verdicts(fields, expected):
    assert verdict(claim(**fields), OURS, NOTHING) == expected


def test_a_printed_model_is_judged_from_paper_results_alone():
    printed = claim(criterion="r:a > 3", scope="printed-model")
    assert verdict(printed, NOTHING, OURS) == "does not hold"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('ls') > r:a",
        "r:a",
        "1 > 2",
        "r:a > (lambda: 1)()",
        "r:a > abs",
        "r:a > 'x'",
        "abs(r:a, 1) > 0",
        "r:a > x",
        "r:a >",
    ],
)
def test_a_criterion_is_nothing_but_a_comparison(text):
    with pytest.raises(Refused, match="criterion"):
        holds(text, OURS)


def test_all_claims_name_metrics_that_runs_record():
    claims = read_claims(ROOT / "book" / "claims.yml")
    assert claims
    for each in claims:
        assert each.criterion or each.untested
        for run, metric in each.metrics:
            assert run in declared_runs()
            presets = ("cpu", "paper") if each.scope == "printed-model" else ("cpu",)
            places = [ROOT / "results" / preset / f"{run}.json" for preset in presets]
            recorded = [
                json.loads(place.read_text(encoding="utf-8")) for place in places if place.exists()
            ]
            assert any(metric in each["metrics"] for each in recorded), f"{each.id} names {metric}"


def test_metrics_that_notes_name_are_recorded():
    places = (ROOT / "results").glob("*/*.json")
    recorded = {
        name
        for place in places
        for name in json.loads(place.read_text(encoding="utf-8"))["metrics"]
    }
    for each in read_claims(ROOT / "book" / "claims.yml"):
        for name in re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`", each.note):
            assert name in recorded, f"{each.id} names {name}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"criterion": ""}, "either a criterion"),
        ({"scope": "everything"}, "scope"),
        ({"printed": ""}, "printed missing"),
        ({"verdict": "holds"}, "unknown field"),
        ({"condition": "r:a > 1"}, "only_if"),
    ],
)
def test_a_sloppy_claim_is_refused(tmp_path, change, words):
    entry = {
        "id": "x", "paper": "tokens", "place": "p", "claim": "c", "printed": "1",
        "scope": "method", "criterion": "r:a > 1",
    }  # fmt: skip
    path = tmp_path / "claims.yml"
    path.write_text(json.dumps([entry | change]), encoding="utf-8")
    with pytest.raises(Refused, match=words):
        read_claims(path)
