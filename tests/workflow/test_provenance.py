"""The provenance tables: every run, every machine, and a version that differs."""

import copy
import json
from pathlib import Path

from workflow.book.provenance import (
    costs,
    device,
    duration,
    graphics,
    loaded_seconds,
    machines,
    origins,
    provenance,
    trained,
    versions,
)

ROOT = Path(__file__).resolve().parents[2]
ONE = json.loads((ROOT / "results" / "cpu" / "henon_tokens.json").read_text(encoding="utf-8"))
OTHER = copy.deepcopy(ONE)
OTHER["run"] = "other"
OTHER["provenance"] |= {"dirty": True, "commit": None, "device": "cuda", "wall_s": 8000.0}
OTHER["provenance"]["machine"] = {"system": "Linux", "processor": "Another", "cores": 64}
OTHER["provenance"]["versions"] = ONE["provenance"]["versions"] | {"numpy": "1.0"}


def test_times_come_in_the_unit_that_suits_them():
    assert [duration(each) for each in (44.1, 600.0, 8000.0)] == ["44 s", "10.0 min", "2.2 h"]


def test_every_run_has_its_cost_and_origin():
    text = costs([ONE, OTHER])
    assert "[other](/runs/other.ipynb) | cuda | 1 | 2.2 h" in text
    rows = origins([ONE, OTHER]).splitlines()[2:]
    assert ONE["provenance"]["stamp"][:16] in rows[0]
    assert ONE["provenance"]["commit"][:10] in rows[0]
    assert "`none` and changes" in rows[1]


def test_training_is_told_also_where_models_were_loaded():
    run = {"metrics": {"a_train_s": {"value": 50.0, "samples": [40.0, 50.0, 90.0]}}}
    run["metrics"] |= {"train_s": {"value": 10.0, "samples": None, "n": 2}, "steps": {"value": 7}}
    assert trained(run) == "3.3 min"
    assert trained({"metrics": {"mse": {"value": 1.0}}}) == "not recorded"


def test_models_that_a_run_has_loaded_are_told_from_those_that_it_trained():
    """Two trainings of 100 s: in a run of 250 s they were trained, in one of 60 s loaded."""
    times = {"samples": [100.0, 100.0], "n": 2, "value": 100.0}
    run = {"metrics": {"train_s": times}, "provenance": {"wall_s": 250.0, "cpu_s": 240.0}}
    assert loaded_seconds(run) == 0
    assert loaded_seconds(run | {"provenance": {"wall_s": 60.0, "cpu_s": 50.0}}) == 200
    assert loaded_seconds(run | {"metrics": {}}) == 0


def test_machines_and_versions_are_named_once_and_differences_are_told():
    assert machines([ONE, ONE]).splitlines()[2:] == [machines([ONE]).splitlines()[2]]
    assert machines([ONE]).endswith("| all |")
    assert "| Another | 64 | Linux" in machines([ONE, OTHER])
    assert "| numpy | 2.4.6 (henon_tokens); 1.0 (other) |" in versions([ONE, OTHER])
    assert f"| scipy | {ONE['provenance']['versions']['scipy']} |" in versions([ONE, OTHER])


def test_all_committed_results_can_be_told():
    for preset in ("cpu", "paper"):
        paths = sorted((ROOT / "results" / preset).glob("*.json"))
        text = provenance([json.loads(path.read_text(encoding="utf-8")) for path in paths])
        assert all(path.stem in text for path in paths)


def test_a_card_is_named_with_its_driver_and_memory_and_where_there_is_none_nothing_is():
    run = copy.deepcopy(OTHER)
    run["provenance"]["machine"]["gpus"] = [
        {"name": "NVIDIA H200", "driver": "580.65.06", "memory_mb": 143771},
        {"name": "NVIDIA H200", "driver": "580.65.06"},
    ]
    facts = run["provenance"]
    assert device(facts) == "2 × NVIDIA H200"
    assert graphics(facts) == (
        "NVIDIA H200, driver 580.65.06, 140 GiB; NVIDIA H200, driver 580.65.06"
    )
    assert "[other](/runs/other.ipynb) | 2 × NVIDIA H200 | 1 | 2.2 h" in costs([run])
    assert "| Another; NVIDIA H200, driver 580.65.06, 140 GiB; NVIDIA" in machines([run])
    assert graphics(ONE["provenance"]) == ""
    assert (device(ONE["provenance"]), device(OTHER["provenance"])) == ("cpu", "cuda")


def test_profiles_leave_out_runs_that_kept_no_sections():
    """As references that were made before sections were kept."""
    from workflow.book.provenance import profiles

    old = {"run": "old", "provenance": {}}
    new = {"run": "new", "provenance": {"sections_s": {"start": 0.2, "Training": 79.8, "A": 20.0}}}
    assert profiles([old]) == ""
    head, _, line = profiles([old, new]).splitlines()
    assert head.startswith("| run |")
    assert line == "| [new](/runs/new.ipynb) | Training 80\u00a0%, A 20\u00a0% |"
