"""Comparison with the reference, metric by metric, and the picture that goes with it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from workflow.carry import carry
from workflow.errors import Refused
from workflow.files import ROOT
from workflow.runs import reference
from workflow.runs.expressions import is_true


def results(**values: float | None) -> dict:
    return {"metrics": {n: {"value": v, "tolerance": 0.1} for n, v in values.items()}}


def test_metrics_agree_differ_come_and_go():
    fresh = results(a=1.05, b=1.2, c=None, d=None, e=0.05, new=1.0)
    rows = reference.compare(fresh, results(a=1.0, b=1.0, c=None, d=1.0, e=0.0, gone=2.0))
    assert [row[:2] for row in rows] == [
        ("a", "agrees"), ("b", "differs"), ("c", "agrees"), ("d", "differs"), ("e", "agrees"),
        ("gone", "gone"), ("new", "new"),
    ]  # fmt: skip
    assert rows[1][2] == "1.2 against 1 (±0.1 relative)"
    assert rows[3][2].startswith("None against 1.0")


def test_a_time_is_reported_and_never_fails_a_verification(monkeypatch):
    fresh, old = results(a=1.0, train_s=9.0, step_us=2.0), results(a=1.0, train_s=1.0, step_us=2.0)
    for name in ("train_s", "step_us"):
        fresh["metrics"][name]["timing"] = True  # the reference is older and does not say
    rows = reference.compare(fresh, old)
    assert [row[:2] for row in rows] == [
        ("a", "agrees"), ("step_us", "time agrees"), ("train_s", "time differs"),
    ]  # fmt: skip
    run = SimpleNamespace(name="r", results="fresh", reference="old")
    monkeypatch.setattr(reference, "load", lambda preset, names: [run])
    monkeypatch.setattr(reference, "state", lambda run: ("fresh", ""))
    monkeypatch.setattr(reference, "read_results", lambda path: fresh)
    monkeypatch.setattr(reference, "read_reference", lambda path: old)
    monkeypatch.setattr(reference, "damaged_artefacts", lambda path: [])
    text, code = reference.verify("cpu", [])
    assert code == 0
    assert text.splitlines() == [
        "r: 1 of 1 metrics agree",
        "  times, reported only: 1 of 2 agree",
        "    train_s: 9 against 1 (±0.1 relative)",
    ]
    fresh["metrics"]["a"]["value"] = 2.0
    assert reference.verify("cpu", [])[1] == 1


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A fresh run with a picture, whose figures are those given."""
    run = SimpleNamespace(
        name="r", declaration=SimpleNamespace(picture="p"),
        results=tmp_path / "r.json", reference=tmp_path / "ref" / "r.json",
    )  # fmt: skip
    content = {"provenance": {"dirty": False, "stamp": "0123456789abcdef"}}
    run.results.write_text(json.dumps(content), encoding="utf-8")
    drawn = {"fig-r-p.svg": b'<svg stroke="#1f2328"/>'}
    monkeypatch.setattr(reference, "load", lambda preset, names: [run])
    monkeypatch.setattr(reference, "state", lambda run: ("fresh", ""))
    monkeypatch.setattr(
        reference, "read_results", lambda path: json.loads(path.read_text(encoding="utf-8"))
    )
    monkeypatch.setattr(reference, "merged", lambda run: None)
    monkeypatch.setattr(reference, "figures", lambda notebook: drawn)
    return run, drawn


def test_the_picture_is_accepted_for_both_grounds(run):
    run, _ = run
    assert reference.accept("cpu", []) == "r: reference for cpu is now 0123456789ab"
    kept = {
        path.name: path.read_text(encoding="utf-8") for path in Path(run.reference.parent).iterdir()
    }
    assert kept == {
        "r.json": run.results.read_text(encoding="utf-8"),
        "r.svg": '<svg stroke="#1f2328"/>',
        "r.dark.svg": '<svg stroke="#e6edf3"/>',
    }


def test_a_run_without_its_picture_is_not_accepted(run):
    run, drawn = run
    drawn.clear()
    with pytest.raises(Refused, match=r"made no figure fig-r-p\.svg"):
        reference.accept("cpu", [])
    assert not run.reference.parent.exists()


@pytest.mark.parametrize("rule", ["a / b > 0", "a / b < 0 or b > 1"])
def test_what_divides_by_zero_is_false(rule):
    assert not is_true(rule, {"a": 1.0, "b": 0.0})


def test_committed_references_are_of_the_present_code():
    """Each was made by this code, or carried to it: `make carry`, or run in full and accept."""
    for preset in carry.CARRIED:
        for result in carry.results(preset, []):
            if "results" in result.path.relative_to(ROOT).parts[:1]:
                assert result.valid(), result.path
