"""The ledger: every claim can be judged, and only by metrics that some run records."""

import json
import re
from pathlib import Path

import pytest

from dynlib.report import stages
from workflow.errors import Refused
from workflow.ledger.claims import (
    Claim,
    by_common_rule,
    expanded,
    holds,
    read_claims,
    verdict,
)
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
        ({"untested": "no reason", "erratum": True}, "erratum"),
        ({"criterion": "r:a > 3", "scope": "printed-model"}, "not tested here"),
        ({"criterion": "r:a < 3", "by_construction": True}, "holds by construction"),
        ({"criterion": "r:a > 3", "by_construction": True}, "does not hold"),
        ({"criterion": "r:a > 3", "erratum": True}, "erratum"),
        ({"criterion": "r:a < 3", "erratum": True}, "holds"),
        ({"criterion": "abs(r:a - r:b) == 4 and r:b / 5 == r:a"}, "holds"),
    ],
)
def test_verdicts(fields, expected):
    assert verdict(claim(**fields), OURS, NOTHING) == expected


@pytest.mark.parametrize(
    ("common", "expected"),
    [
        ("", ""),
        ("r:a.high <= 1.5", "does not hold"),
        ("r:a.high <= 2", "holds"),
        ("r:missing > 1", "not tested here"),
    ],
)
def test_the_common_rule_has_its_own_verdict(common, expected):
    """The condition belongs to the claim's own criterion."""
    one = claim(criterion="r:a > 3", condition="r:b > 3", only_if="b", common=common)
    assert verdict(one, OURS, NOTHING) == "holds only if b"
    assert by_common_rule(one, OURS, NOTHING) == expected
    printed = claim(criterion="r:a > 3", common=common, scope="printed-model")
    assert by_common_rule(printed, NOTHING, OURS) == expected


def test_like_claims_on_distributions_share_their_rule():
    claims = {each.id: each for each in read_claims(ROOT / "book" / "claims.yml")}
    for name, each in claims.items():
        if re.search(r"-distribution(-matched|-printed-model)?$", name):
            first = each.criterion.replace(".high", "").partition(" <=")[0]
            assert each.common == f"{first}.high <= 1.5"


def test_merged_claims_keep_their_ids(tmp_path):
    entry = {
        "id": "x", "paper": "tokens", "place": "p", "claim": "c", "printed": "1 and 2",
        "scope": "method", "criterion": "r:a > 1", "merged": {"y": 1, "z": "2"},
    }  # fmt: skip
    path = tmp_path / "claims.yml"
    path.write_text(json.dumps([entry]), encoding="utf-8")
    assert read_claims(path)[0].merged == {"y": "1", "z": "2"}
    path.write_text(json.dumps([entry, entry | {"id": "z", "merged": {}}]), encoding="utf-8")
    with pytest.raises(Refused, match="claim 'z': the id is used twice"):
        read_claims(path)


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


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"metric": "r:a", "within": [1, 1.0]}, True),
        ({"metric": "r:a", "within": [1.1, 2]}, False),
        ({"metric": "r:a", "within": [0, 0.9]}, False),
        ({"metric": "r:a.high", "within": ["0.4 * r:b", "r:b"]}, True),
        ({"any_of": ["r:a > 1", "r:b > 1 and r:b < 9"]}, True),
        ({"any_of": ["r:a > 1", "r:b > 9"]}, False),
        ({"all_of": ["r:a > 1 or r:b > 1", "r:a > 0"]}, True),
        ({"all_of": ["r:a > 0", {"metric": "r:b", "within": [0, 1]}]}, False),
        ({"for_any": ["a", "b"], "metric": "r:{}", "within": [5, 5]}, True),
        ({"for_any": ["a", "b"], "all_of": ["r:{} > 1", "r:{} < 5"]}, False),
        ({"for_any": ["a", "a.high"], "all_of": ["r:{} > 1", "r:b > 1"]}, True),
    ],
)
def test_forms_of_criteria(form, expected):
    assert holds(expanded(form), OURS) == expected


@pytest.mark.parametrize(
    "form",
    [
        None, 3, [], {}, {"any_of": []}, {"all_of": "r:a > 1"}, {"metric": "r:a"},
        {"metric": "r:a", "within": [1]}, {"within": [1, 2]}, {"for_any": ["a"]},
        {"for_any": ["a"], "all_of": ["r:{} > 1"], "any_of": ["r:{} > 1"]},
        {"any_of": ["r:a > 1"], "note": "x"}, {"none_of": ["r:a > 1"]},
    ],
)  # fmt: skip
def test_a_criterion_of_no_form_is_refused(form):
    with pytest.raises(Refused, match="must be a comparison, or have metric and within"):
        expanded(form)


def test_a_short_form_is_judged_as_the_comparison_that_it_stands_for(tmp_path):
    entry = {
        "id": "x", "paper": "tokens", "place": "p", "claim": "c", "printed": "1", "reading": True,
        "scope": "method", "criterion": {"for_any": ["a", "b"], "all_of": ["r:{} > 1", "r:b > 2"]},
    }  # fmt: skip
    path = tmp_path / "claims.yml"
    path.write_text(json.dumps([entry]), encoding="utf-8")
    (claim,) = read_claims(path)
    assert claim.criterion == "((r:a > 1) and (r:b > 2)) or ((r:b > 1) and (r:b > 2))"
    assert claim.rule == "for one of `a`, `b` in place of `{}`: all of: `r:{} > 1`; `r:b > 2`"
    assert claim.reading
    assert set(claim.metrics) == {("r", "a"), ("r", "b")}


def test_what_calls_itself_our_reading_is_marked_so():
    for each in read_claims(ROOT / "book" / "claims.yml"):
        words = re.search(r"\bour reading\b", each.claim, re.I)
        assert each.reading == bool(words), each.id


def test_a_claim_is_understood_without_the_one_before_it():
    """A filter or a link shows it alone."""
    lost = (
        r"^(What it|The same)|our reading[:,] it (does|is) |the same, against|as before|as above"
        r"|\bthat (ratio|exponent|error)\b"
    )
    for each in read_claims(ROOT / "book" / "claims.yml"):
        assert not re.search(lost, each.claim), each.id
        before = r"claim (above|before it)|next (claim|two)|, as above"
        assert not re.search(before, each.note), each.id


def test_all_claims_name_metrics_that_runs_record():
    claims = read_claims(ROOT / "book" / "claims.yml")
    assert claims
    for each in claims:
        assert each.criterion or each.untested
        for run, metric in each.metrics:
            given, _, run = run.rpartition("/")
            declared = declared_runs()[run]
            presets = ("cpu", "paper") if each.scope == "printed-model" else ("cpu",)
            places = [
                ROOT / "results" / preset / f"{run}.json"
                for preset in ([given] if given else presets)
            ]
            if declared_runs()[run].optional and not any(place.exists() for place in places):
                continue  # not run
            recorded = {
                name
                for place in places if place.exists()
                for name in json.loads(place.read_text(encoding="utf-8"))["metrics"]
            }  # fmt: skip
            if each.scope == "printed-model":  # its runs record stages, those of other presets not
                recorded |= of_stages(run)
            waits = declared.optional and not recorded  # for its first reference
            assert waits or metric in recorded, f"{each.id} names {metric}"


def of_stages(run: str) -> set[str]:
    """What a run of the printed model records of its stages, by ``test_stages_report.py``."""
    added = {"henon_tokens": ("greedy_lyapunov", "copied")}
    others = ("divergence_time", "divergence_time_mean")
    measures = [*stages.UNITS, *added.get(run, others if "tokens" in run else ())]
    near = {f"stages_nearest_{m}" for m in stages.PRINTED.get(run.partition("_")[0], ())}
    places = ("kept", "stages_least", "stages_most")
    return near | {f"{name}_{m}" for m in measures for name in places}


def test_what_depends_on_the_steps_is_said_so():
    """A printed model that fails where the held-out loss is least is not refuted by that alone."""
    claims = {each.id: each for each in read_claims(ROOT / "book" / "claims.yml")}
    printed = claims["lorenz-20-distribution-printed-model"]
    run = "lorenz_tokens_20"

    def judged(kept, least):
        known = {
            f"{run}:kept_greedy_w1_ratio_matched.value": kept,
            f"{run}:stages_least_greedy_w1_ratio_matched.value": least,
        }
        return verdict(printed, NOTHING, table(known))

    assert judged(1.2, 1.2) == "holds"
    assert "it depends on steps" in judged(2.0, 1.2)
    assert judged(2.0, 2.0) == "does not hold"
    assert verdict(printed, NOTHING, NOTHING) == "not tested here"


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
        ({"reading": "yes"}, "reading must be true or false, got 'yes'"),
        ({"erratum": 1}, "erratum must be true or false, got 1"),
        ({"merged": ["y"]}, "merged must be what was printed by id"),
        ({"common": "r:a > x"}, "claim 'x': criterion .* uses 'x'"),
        ({"criterion": {"any_of": ["r:a > x"]}}, "claim 'x': criterion .* uses 'x'"),
        ({"criterion": {"one_of": ["r:a > 1"]}}, "claim 'x': criterion .* must be a comparison"),
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
