"""The ledger as data: verdicts counted, numbers kept, and the same in JSON and CSV."""

import csv
import io
import json
from dataclasses import replace

import pytest

from workflow.ledger.claims import VERDICTS, Claim, kind
from workflow.ledger.ledger import as_csv, as_json, counts, firmness, ledger


def claim(name: str, **fields) -> Claim:
    base = dict.fromkeys(Claim.__dataclass_fields__, "")
    return Claim(**base | {"id": name, "paper": "one", "scope": "method"} | fields)


def metrics(preset: str, run: str, name: str) -> dict:
    """Results of one run at `cpu`: a = 1 (0.5 to 2), b = 5 without an interval."""
    if (preset, run) != ("cpu", "r"):
        raise LookupError("no such run")
    known = {
        "a": {"value": 1.0, "low": 0.5, "high": 2.0, "level": 0.95},
        "b": {"value": 5.0, "low": None, "high": None, "over": "seeds", "tolerance": 0.1},
    }
    return known[name]


CLAIMS = [
    claim("small", criterion="r:a <= 1", common="r:a.high <= 1"),
    claim("large", criterion="r:a > 3", condition="r:b > 3", only_if="b, say, is large"),
    claim("interval", criterion="r:b.high > 3"),
    claim("printed", criterion="r:a > 3 and r:b > 3", scope="printed-model"),
    claim("false", criterion="r:b < 3", paper="two"),
    claim("both", criterion="cpu/r:a < cpu/r:b", scope="printed-model", paper="three"),
    claim("vague", untested="it names no measure", paper="two"),
]
ENTRIES = ledger(CLAIMS, metrics, "cpu")


NONE = dict.fromkeys(VERDICTS, 0)


def test_every_claim_has_its_verdict_and_is_counted_once():
    assert [each.kind for each in ENTRIES] == [
        "holds",
        "holds only if",
        "not tested here",  # b has no interval
        "not tested here",  # the printed model was not run
        "does not hold",
        "holds",  # each metric at the preset that it names
        "not tested here",
    ]
    assert ENTRIES[1].verdict == "holds only if b, say, is large"
    assert counts(ENTRIES) == {
        "one": NONE | {"holds": 1, "holds only if": 1, "not tested here": 2},
        "two": NONE | {"does not hold": 1, "not tested here": 1},
        "three": NONE | {"holds": 1},
    }


def test_numbers_come_with_the_verdict_and_absent_runs_are_named():
    assert [(each.metric, each.value, each.low) for each in ENTRIES[1].ours] == [
        ("a", 1.0, 0.5),
        ("b", 5.0, None),
    ]
    printed = ENTRIES[3].ours
    assert [(each.preset, each.recorded, each.value) for each in printed] == [
        ("paper", False, None),
        ("paper", False, None),
    ]


def test_json_and_csv_hold_the_same_ledger():
    content = json.loads(as_json(ENTRIES, "cpu"))
    assert content["preset"] == "cpu"
    assert content["counts"] == counts(ENTRIES)
    rows = list(csv.DictReader(io.StringIO(as_csv(ENTRIES))))
    assert len(rows) == len(content["claims"]) == len(CLAIMS)
    for row, entry in zip(rows, content["claims"], strict=True):
        assert row["id"] == entry["id"]
        assert row["verdict"] == entry["verdict"]
        assert row["criterion"] == entry["criterion"]
    assert rows[0]["ours"] == "r:a=1.0 (0.5 to 2.0)"
    assert rows[1]["ours"] == "r:a=1.0 (0.5 to 2.0); r:b=5.0"
    assert rows[3]["ours"] == ""
    assert content["claims"][1]["ours"][0] == {
        "run": "r", "metric": "a", "preset": "cpu", "recorded": True,
        "value": 1.0, "low": 0.5, "high": 2.0, "level": 0.95, "band": None,
    }  # fmt: skip


def test_each_verdict_that_was_judged_has_a_margin_and_a_flag():
    found = {each.claim.id: (each.margin, each.flag, each.common) for each in ENTRIES}
    # a, at 1, turns just above it; 1.1 half-widths are not far enough for a > 3, but 2 are.
    assert found["small"] == (pytest.approx(0, abs=0.001), "within chance", "does not hold")
    assert found["large"] == (pytest.approx(2, abs=0.002), "one seed", "")
    assert found["interval"] == (None, "", "")  # not judged
    assert found["false"] == (None, "one seed", "")
    assert found["both"] == (pytest.approx(4, abs=0.01), "one seed", "")
    counted = firmness(ENTRIES)
    assert counted["judged"] == 4
    flags = {"firm": 0, "within chance": 1, "one seed": 3, "one batch": 0, "one timing": 0}
    assert counted["flags"] == flags
    assert counted["common_rule"] == {"judged": 1, "other": 1, "lost": 1}
    assert counted["seen"] == 0
    seen = [replace(each, claim=replace(each.claim, seen=True)) for each in ENTRIES]
    assert firmness(seen)["seen"] == 4  # of those that were judged
    assert [each.claim.id for each in ENTRIES if each.split] == ["small"]
    assert counted["expected"] == 0.5  # all others are two half-widths away or more
    content = json.loads(as_json(ENTRIES, "cpu"))
    assert content["firmness"] == counted
    assert content["claims"][0]["common_verdict"] == "does not hold"
    first = next(csv.DictReader(io.StringIO(as_csv(ENTRIES))))
    assert (first["flag"], first["common_verdict"]) == ("within chance", "does not hold")


def test_a_verdict_that_the_common_rule_turns_is_not_firm():
    far = "r:a <= 9"  # eight half-widths away
    rules = {"": "firm", "r:a.high <= 9": "firm", "r:a.high <= 1": "within chance"}
    found = ledger([claim("far", criterion=far, common=rule) for rule in rules], metrics, "cpu")
    assert [each.flag for each in found] == list(rules.values())
    assert {each.verdict for each in found} == {"holds"}


@pytest.mark.parametrize("each", VERDICTS)
def test_the_kind_of_a_verdict_is_its_beginning(each):
    assert kind(each) == each
    assert kind("holds only if it rains") == "holds only if"
