"""Sweeps: all is checked before anything starts, nothing is repeated, and one table is made."""

import csv
import json

import pytest

from workflow.cluster import sweep
from workflow.cluster.sweep import accept_seeds, as_page, groups, points, read_grid, title
from workflow.errors import Refused
from workflow.runs import reference
from workflow.runs.integrity import read_reference


def table(clone, name, ending):
    return (clone.root / "build/smoke/sweeps" / f"{name}.{ending}").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({}, "a sweep needs a parameter with its values"),
        ({"n_cells": ""}, "-p n_cells '': give value,value"),
        ({"n_cells": "20,,35"}, "-p n_cells '20,,35': give value,value"),
    ],
)
def test_a_grid_that_cannot_be_read_is_refused(own, words):
    with pytest.raises(Refused, match=words):
        read_grid(own)


def test_a_sweep_says_what_it_would_run(clone):
    code, text = clone("sweep", "plain", "-p", "n", "1,2", "--preset", "smoke", "--dry-run")
    assert (code, text) == (0, "plain (smoke+n=1): missing\nplain (smoke+n=2): missing\n")
    code, text = clone("sweep", "plane", "-p", "n", "1,2", "--preset", "smoke")
    assert (code, text) == (2, "there is no run 'plane'; did you mean plain?\n")


def test_points_are_the_product_with_the_preset_beneath():
    runs = points("cpu", "henon_tokens", {"n_cells": ["20", "35"], "seed": ["0", "1", "2"]})
    assert [(run.parameters["n_cells"], run.parameters["seed"]) for run in runs] == [
        (20, 0), (20, 1), (20, 2), (35, 0), (35, 1), (35, 2)
    ]  # fmt: skip
    assert {run.parameters["steps"] for run in runs} == {3000}
    assert len({run.folder for run in runs}) == 6


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"n_cells": ["20", "1"]}, "a whole number from 2 to 1000"),
        ({"n_cells": ["20"], "seeds": ["0"]}, "did you mean seed?"),
        ({"heads": ["4", "3"]}, "requires width % heads == 0; got heads=3"),
        ({"seed": ["0", "1", "-0"]}, "a value of seed twice: 0,1,-0"),
    ],
)
def test_one_bad_point_stops_the_sweep_before_it_starts(grid, words):
    with pytest.raises(Refused) as refused:
        points("smoke", "henon_tokens", grid)
    assert words in str(refused.value)


def test_names_of_files_are_short_and_differ():
    long = [title("x", {"value": [str(0.1 * k + last) for k in range(40)]}) for last in (0, 1)]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 80
    assert title("x", {"a": ["1", "2"], "b": ["../c"]}) == "x+a=1,2+b=.._c"


def point(value, low=None, **parameters):
    entry = {
        "value": value,
        "low": low,
        "high": low and low + 9,
        "level": None,
        "n": 1,
        "unit": "1",
    }
    metrics = {} if value == "failed" else {"loss": entry}
    state = "failed see x" if value == "failed" else "fresh"
    return {"parameters": parameters, "state": state, "metrics": metrics}


def test_seeds_make_an_interval_and_other_parameters_a_column():
    listed = [point(v, n=n, seed=k) for n in (20, 35) for k, v in enumerate([n, n + 4, n + 1])]
    summary = groups(listed)
    assert [group["parameters"] for group in summary] == [{"n": 20}, {"n": 35}]
    assert summary[0]["metrics"]["loss"] == {
        "value": 21.0, "low": 20.0, "high": 24.0, "level": None, "n": 3
    }  # fmt: skip
    page = as_page("x", listed, summary)
    assert "| metric | n=20 (n=3) | n=35 (n=3) |" in page
    assert "| `loss` | 21 [20, 24] | 36 [35, 39] |" in page


def test_without_seeds_a_point_keeps_its_own_interval():
    listed = [point(5.0, 4.0, n=1), point(None, n=2), point("failed", n=3)]
    page = as_page("x", listed, groups(listed))
    assert "| `loss` | 5 [4, 13] |  |  |" in page
    assert "Not in the table: n=3 (failed see x)." in page


def test_a_metric_without_a_value_at_every_seed():
    listed = [point(None, seed=0), point(None, seed=1)]
    assert groups(listed)[0]["metrics"]["loss"]["value"] is None
    listed = [point(None, seed=0), point(3.0, seed=1)]
    assert groups(listed)[0]["metrics"]["loss"] == {
        "value": 3.0, "low": None, "high": None, "level": None, "n": 1
    }  # fmt: skip


@pytest.mark.parametrize("profile", [(), ("--profile", "local")])
def test_a_failed_point_stops_no_other_and_only_it_is_repeated(clone, request, profile):
    if profile:
        request.getfixturevalue("snakemake")
    clone.edit("notebooks/plain.py", '("n", n)', '("n", n); 1 / (n - 7)')
    command = ("sweep", "plain", "-p", "n", "6,7,8", "--preset", "smoke", *profile)
    code, text = clone(*command)
    assert code == 1
    assert "plain -p n 7: FAILED: cell" in text
    assert "ZeroDivisionError" in text
    assert "2 of 3 points" in text
    assert "Traceback" not in text
    rows = list(csv.DictReader(table(clone, "plain+n=6,7,8", "csv").splitlines()))
    assert [row["parameters.n"] for row in rows] == ["6", "7", "8"]
    assert [row["n"] for row in rows] == ["6", "", "8"]
    content = json.loads(table(clone, "plain+n=6,7,8", "json"))
    assert [p["parameters"] for p in content["points"]] == [{"n": 6}, {"n": 7}, {"n": 8}]
    assert content["points"][1]["state"].startswith("failed")
    page = table(clone, "plain+n=6,7,8", "md")
    assert "| metric | n=6 | n=7 | n=8 |" in page
    assert "Not in the table: n=7 (failed" in page

    clone.edit("notebooks/plain.py", "1 / (n - 7)", "1 / n")  # code, so that all are stale
    assert clone(*command)[0] == 0
    code, text = clone(*command)
    assert code == 0
    assert text.count("fresh, nothing to do") == 3
    # A point is the very run that `run -p` makes.
    code, text = clone("run", "plain", "--preset", "smoke", "-p", "n", "7")
    assert "fresh, nothing to do" in text


def fabricated(value, dirty=False):
    """A results file with one metric that exists and one that does not."""
    entry = {
        "value": value, "low": None, "high": None, "level": None, "n": 1, "over": None,
        "samples": [], "unit": "1", "tolerance": 0.1,
    }  # fmt: skip
    facts = {
        "stamp": f"s{value}", "dirty": dirty, "commit": "a" * 40,
        "started": "2026-01-01T00:00:00Z", "wall_s": 2.0,
        "cpu_s": 1.0, "peak_rss_mb": value, "machine": {}, "python": "3", "versions": {},
        "inputs": {}, "notebook_sha256": "0",
    }  # fmt: skip
    return {
        "run": "henon_tokens", "notebook": "henon_tokens", "preset": "smoke",
        "parameters": {"seed": value}, "provenance": facts,
        "metrics": {"loss": entry, "never": entry | {"value": None}},
    }  # fmt: skip


@pytest.fixture
def finished(monkeypatch, tmp_path):
    """Three seeds whose results are given; what `accept_seeds` writes goes elsewhere."""
    runs = points("smoke", "henon_tokens", {"seed": ["0", "1", "2"]})
    given = {run.results: fabricated(run.parameters["seed"]) for run in runs}
    monkeypatch.setattr(reference, "state", lambda run: ("fresh", ""))
    monkeypatch.setattr(reference, "read_results", given.get)
    monkeypatch.setattr(sweep, "ROOT", tmp_path)
    return runs, given, tmp_path / "results" / "sweeps" / "henon_tokens_seeds.json"


def test_a_sweep_over_seeds_becomes_a_reference_that_pages_read(finished):
    runs, _, place = finished
    assert "over seeds 0, 1, 2" in accept_seeds(runs)
    found = read_reference(place)
    assert set(found["metrics"]) == {"loss"}
    loss = found["metrics"]["loss"]
    assert (loss["value"], loss["low"], loss["high"], loss["n"]) == (1, 0, 2, 3)
    assert (loss["samples"], loss["over"], loss["tolerance"]) == ([0, 1, 2], "seeds", 2.0)
    facts = found["provenance"]
    assert (facts["wall_s"], facts["peak_rss_mb"], facts["seeds"]) == (6.0, 2, [0, 1, 2])
    place.write_text(
        place.read_text(encoding="utf-8").replace('"value": 1.0', '"value": 3.0'), encoding="utf-8"
    )
    with pytest.raises(Refused, match="changed after"):
        read_reference(place)


def test_no_reference_of_another_sweep_or_of_changed_code(finished, monkeypatch):
    runs, given, place = finished
    other = points("smoke", "henon_tokens", {"seed": ["0"], "n_cells": ["20", "35"]})
    with pytest.raises(Refused, match="varies the seed and nothing else"):
        accept_seeds(other)
    given[runs[1].results] = fabricated(1, dirty=True)
    with pytest.raises(Refused, match=r"seed 1 \(smoke\+seed=1\) was run from a tree"):
        accept_seeds(runs)
    monkeypatch.setattr(reference, "state", lambda run: ("stale", "code"))
    with pytest.raises(Refused, match=r"seed 0 \(smoke\+seed=0\) is stale code; sweep first"):
        accept_seeds(runs)
    assert not place.exists()
