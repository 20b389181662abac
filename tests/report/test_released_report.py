"""The run on the released networks, with stand-ins in their place."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pytest

from dynlib.report import record
from workflow.ledger.claims import read_claims
from workflow.runs.experiments import load, read_cells

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "cpu" / "released_networks.json"
TINY = """
horizon, long_horizon, n_starts, attractor_steps, trajectories, points = 20, 30, 2, 40, 2, 21
record_steps, window, transient = 500, 3, 1.0
"""


@pytest.fixture
def run(monkeypatch):
    """Executes the notebook's cells with tiny settings, and returns what it has recorded."""
    monkeypatch.delenv("DYNLIB_RECORD", raising=False)

    def execute(released: str = "") -> dict:
        space: dict = {}
        path = ROOT / "notebooks" / "released_networks.py"
        with mpl.rc_context():
            for kind, tags, source in read_cells(path):
                if kind == "code":
                    exec(compile(source, str(path), "exec"), space)
                if "parameters" in tags:
                    exec(f"{TINY}\nreleased = {released!r}", space)
        return record.metrics()

    yield execute
    record.clear()


def test_stand_ins_prove_every_metric_that_claims_name(run):
    found = run()
    claims = read_claims(ROOT / "book" / "claims.yml")
    named = {name for claim in claims for run, name in claim.metrics if "released_networks" in run}
    assert len(named) >= 10
    assert named <= set(found)
    if REFERENCE.exists():
        assert set(json.loads(REFERENCE.read_text(encoding="utf-8"))["metrics"]) == set(found)


def test_without_a_clone_the_run_says_where_it_is(run):
    (cpu,) = load("cpu", ["released_networks"])
    assert cpu.declaration.optional
    with pytest.raises(
        ValueError, match=r"git clone https://github\.com/Hansaka006/.* nowhere, or"
    ):
        run("nowhere")
