"""A second set of results: kept from another processor, and what it does to a verdict."""

from __future__ import annotations

import json

import pytest
from test_ledger import CLAIMS, claim, metrics

from workflow.ledger.ledger import SECOND, as_csv, as_json, ledger
from workflow.runs.integrity import read_reference


def test_runs_of_another_processor_are_kept_small_and_with_what_differs(project):
    reference = project.reference()
    reference["metrics"]["n"] |= {"value": 900.0, "samples": [900.0], "tolerance": 0.0}
    project.write(reference)
    code, text = project("verify", "toy", "--keep", "Another processor")
    assert code == 0, text
    assert "toy: kept for Another processor; 2 of 3 metrics agree" in text
    content = read_reference(project.root / "results" / "second" / "toy.json")
    kept = content["metrics"]["n"]
    assert (kept["value"], kept["samples"], kept["unit"]) == (500.0, [], "1")
    facts = content["provenance"]
    assert facts["machine"]["processor"] == "Another processor"
    assert facts["agreement"] == {"agrees": 2, "moved": 1}
    assert facts["odd"] == ["`n`: moved, 500 against 900 (tolerance 0)"]


def test_the_same_processor_another_preset_and_a_stale_run_are_refused(project):
    code, text = project("verify", "toy", "--keep", "")
    assert code == 2
    assert "its reference was made on" in text
    code, text = project("verify", "toy", "--preset", "smoke", "--keep", "Another processor")
    assert code == 2
    assert "preset must be cpu for the second set, got smoke" in text
    project.change("dynlib/toy.py", "SCALE = 2.0", "SCALE = 3.0")
    code, text = project("verify", "toy", "--keep", "Another processor")
    assert code == 2
    assert "toy (cpu) is stale" in text
    assert not (project.root / "results" / "second").exists()


def there(preset: str, run: str, name: str) -> dict:
    """Beside the results of test_ledger.py: a = 4 in the second set, which has no b."""
    if preset == SECOND:
        known = {"a": {"value": 4.0, "low": 3.5, "high": 4.5, "level": 0.95}}
        return known[name]
    if (preset, run, name) == ("cpu", "r", "tight"):
        return {"value": 1.0, "low": 0.9, "high": 1.1, "level": 0.95}
    return metrics(preset, run, name)


def test_a_verdict_that_turns_in_the_second_set_is_not_firm():
    claims = [*CLAIMS, claim("distant", criterion="r:a < 3.9"), claim("b-too", criterion="r:b > 3")]
    found = {each.claim.id: each for each in ledger(claims, there, "cpu")}
    firm = {each.claim.id: each for each in ledger(claims, metrics, "cpu")}
    assert firm["distant"].flag == "firm"
    assert (found["distant"].flag, found["distant"].second) == ("within chance", "does not hold")
    assert found["distant"].turned
    assert found["distant"].margin == firm["distant"].margin
    assert (found["b-too"].second, found["b-too"].turned) == ("", False)
    assert (firm["distant"].second, firm["distant"].turned) == ("", False)
    exported = {
        each["id"]: each for each in json.loads(as_json([*found.values()], "cpu"))["claims"]
    }
    assert exported["distant"]["second_verdict"] == "does not hold"
    assert "does not hold" in as_csv([found["distant"]])


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_other_presets_have_no_second_set(preset):
    def everywhere(which: str, run: str, name: str) -> dict:
        return there("cpu" if which == preset else which, run, name)

    assert all(not each.second for each in ledger(CLAIMS, everywhere, preset))
