"""The results contract: names, units of repetition, intervals, files."""

import json

import numpy as np
import pytest

from dynlib.report import record


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    record.clear()
    monkeypatch.setenv("DYNLIB_RECORD", str(tmp_path / "record.json"))
    yield tmp_path / "record.json"
    record.clear()


def test_a_metric_is_its_median_and_range(empty):
    record.metric("w1_ratio", [1.0, 3.0, 1.5], over="seeds", tolerance=0.3)
    record.metric("vocabulary", 344, tolerance=0.0)
    record.metric("half", np.float32(0.5))
    record.metric("missing", None)
    record.context(device="cpu", seeds=[0, 1, 2])
    content = json.loads(empty.read_text(encoding="utf-8"))
    ratio = content["metrics"]["w1_ratio"]
    assert (ratio["value"], ratio["low"], ratio["high"], ratio["n"]) == (1.5, 1.0, 3.0, 3)
    assert ratio["level"] is None  # a range
    assert "by_seed" not in ratio
    assert ratio["tolerance"] == pytest.approx(2 / 1.5)  # twice the half-range over the seeds
    assert content["metrics"]["vocabulary"]["value"] == 344
    assert content["metrics"]["vocabulary"]["low"] is None
    assert content["metrics"]["half"]["value"] == 0.5
    assert content["metrics"]["missing"]["value"] is None
    assert content["context"]["seeds"] == [0, 1, 2]


def test_seeds_on_the_same_batches_are_kept_beside_the_batches():
    entry = record.metric("r", [[1.0, 2, 6], [3.0, 4, 10]], per=[1.0, 2, 4], over="batches")
    assert entry["samples"] == [1.0, 1.5, 4.0]  # means over seeds, over the median of `per`
    assert entry["by_seed"] == [1.0, 2.0]
    assert (entry["value"], entry["n"], entry["over"]) == (1.5, 3, "batches")
    assert (entry["low"], entry["high"], entry["level"]) == (0.5, 5.0, None)
    assert entry["tolerance"] == pytest.approx(3 / 1.5)
    with pytest.raises(ValueError, match=r"per must have shape \(3,\), got \(2,\)"):
        record.metric("q", [[1.0, 2, 6]], per=[1.0, 2], over="batches")


def test_a_time_says_so():
    assert record.metric("train_s", 3.0, unit="s", timing=True)["timing"] is True
    assert record.metric("steps", 3)["timing"] is False


def test_a_zero_has_an_absolute_tolerance():
    assert record.metric("share", [0.0, 0.0, 0.5], over="seeds")["tolerance"] == 0.5


def test_tables_show_text_and_markdown():
    table = record.Table(["a", "b"], [["x", "1"]])
    assert repr(table).splitlines() == ["a  b", "x  1"]
    assert table._repr_markdown_().splitlines()[1] == "| :--- | ---: |"


def test_a_table_of_recorded_metrics():
    record.metric("w1_ratio", [1.0, 3.0, 2.0], over="seeds")
    record.metric("markov_w1_ratio", 4.0)
    record.metric("markov_parameters", 12)
    record.metric("markov_time", None)
    table = record.metrics_table(
        {"model": "GPT-2", "markov": "Markov chain"},
        {"ratio": "w1_ratio:.1f", "middle": "w1_ratio.value", "size": "parameters:d", "s": "time"},
        "method",
    )
    assert table.header == ["method", "ratio", "middle", "size", "s"]
    assert table.rows == [
        ["GPT-2", "2.0 [1.0, 3.0]", "2", "", ""],
        ["Markov chain", "4.0", "4", "12", "none"],
    ]
    with pytest.raises(ValueError, match=r"measure\[\.value\]\[:format\], got 'w1_ratio\.high'"):
        record.metrics_table({"model": "GPT-2"}, {"ratio": "w1_ratio.high"})


@pytest.mark.parametrize(
    ("name", "samples", "over", "words"),
    [
        ("W1", 1.0, None, "lower case"),
        ("a", [1.0, 2.0], None, "over"),
        ("a", [1.0, float("nan")], "seeds", "finite"),
        ("a", float("inf"), None, "finite"),
        ("a", [], "seeds", "samples"),
    ],
)
def test_bad_metrics_are_named(name, samples, over, words):
    with pytest.raises(ValueError, match=words):
        record.metric(name, samples, over=over)


def test_a_name_is_recorded_once():
    record.metric("a", 1.0)
    with pytest.raises(ValueError, match="once"):
        record.metric("a", 2.0)
