"""The committed references, and the picture that goes with each."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from workflow.carry import carry
from workflow.errors import Refused
from workflow.files import ROOT
from workflow.runs import reference
from workflow.runs.expressions import is_true


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
