"""Speed: the sides of every comparison agree, at tiny sizes; rows are kept by subject.

No test asserts a time.
"""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks import compare
from benchmarks.compare import Bench, Different, Side

ROOT = Path(__file__).resolve().parents[1]
ROW = {
    "name", "against", "ratio", "low", "high", "aim", "reached", "note", "subject", "limit",
    "level", "turns", "seconds",
}  # fmt: skip
#: What must be compared, and the least ratio that is wanted, by the subject.
WANTED = {
    "trajectories": [100, 100], "tokenising": [5, 5], "counting": [20, 3], "training": [2.5],
    "generation": [3], "transport": [20], "shadowing": [10], "exponents": [20], "levenberg": [5],
    "inference": [100, 1.5, 100, 1.5], "hankel": [1 / 1.2, 1 / 1.2], "bestfit": [10, 10],
    "leads": [20], "forecasts": [10, 10], "learning": [], "book": [1, 1],
}  # fmt: skip
CURVES = {
    "trajectories": 1, "counting": 1, "generation": 1, "transport": 1, "hankel": 2, "bestfit": 1,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("subject", bench.SUBJECTS)
def test_both_sides_of_every_comparison_agree(subject):
    found, facts = bench.measured(subject, tiny=True, long=subject == "counting")
    assert "failed" not in facts, facts["failed"]
    assert facts["threads"] == 1
    for row in found.rows:
        assert set(row) == ROW
        assert 0 < row["low"] <= row["ratio"] <= row["high"] if row["turns"] > 1 else row["ratio"]
        assert (row["reached"] is None) == (row["aim"] is None)
        assert not row["note"].endswith(".")  # pages add it
        assert not row["limit"].endswith(".")
    aims = [row["aim"] for row in found.rows if row["aim"] and row["turns"] > 1]
    if subject == "bestfit":  # iterations do not vary
        aims.append(next(row["aim"] for row in found.rows if row["turns"] == 1))
    once = {"learning": [4, 4], "book": [1]}  # timed once
    if subject in once:
        assert [row["aim"] for row in found.rows if row["turns"] == 1] == once[subject]
    assert aims == WANTED[subject]
    assert len(found.curves) == CURVES.get(subject, 0)
    for curve in found.curves:
        assert set(curve) == {"subject", "name", "label", "fitted_from", "lines"}
        for line in curve["lines"]:
            assert len(line["sizes"]) == len(line["seconds"]) >= 1
            assert np.isfinite(line["exponent"])
            assert line["theory"] > 0
    json.dumps([found.rows, found.curves, facts], allow_nan=False)


def test_every_module_with_a_comparison_is_a_subject():
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    others = {"__init__", "__main__", "compare", "data", "gpu_check"}
    assert modules - others == set(bench.SUBJECTS)


def test_every_subject_is_on_the_page():
    text = (ROOT / "book" / "performance.md").read_text(encoding="utf-8")
    for kind, wanted in (("table", bench.SUBJECTS), ("curves", CURVES)):
        named = re.findall(rf"\{{bench-{kind}\}} (.*)", text)
        assert sorted(" ".join(named).split()) == sorted(wanted)


def test_sides_that_differ_are_not_timed():
    found, calls = Bench("transport", tiny=True), []

    def ours() -> float:
        calls.append(1)
        return 1.0

    with pytest.raises(Different, match=r"1\.0e-01 apart"):
        found.compare("a", "b", ours, lambda: 1.0 / 0.9, compare.close(1e-9))
    assert len(calls) == 1
    assert not found.rows
    side = Side("x", lambda n: lambda: np.ones(n), "n", float)
    other = Side("y", lambda n: lambda: np.zeros(n), "n", float)
    with pytest.raises(Different):
        found.curve("c", "n", [1, 2], [side, other], compare.close(1e-9))
    assert not found.curves


@pytest.mark.parametrize(
    ("check", "given"),
    [
        (compare.check_close, (np.ones(3), np.ones(2), 1e-9)),
        (compare.check_close, (np.array([1.0, np.nan]), np.ones(2), 1e-9)),
        (compare.check_share, (np.ones(3), np.ones(2))),
        (compare.check_share, (np.arange(4), np.array([0, 1, 2, 4]), 0.9)),
        (compare.check_same, ("the loss", float("nan"), 1.0)),
    ],
)
def test_a_check_refuses_what_is_not_the_same(check, given):
    with pytest.raises(Different):
        check(*given)


def test_calls_take_turns_and_short_ones_are_repeated():
    order = []
    calls = [lambda name=name: order.append(name) for name in "ab"]
    found = compare.turns(calls, 0.0, 4)
    assert found.shape == (4, 2)
    assert (found > 0).all()
    assert order == list("abbaabba")
    order.clear()
    compare.turns(calls, 1e-3)
    assert len(order) > 100  # to last long enough for the clock


def test_the_peers_time_is_scaled_where_it_did_a_part():
    found = Bench("transport", tiny=True)
    times = iter([0.1, 0.1, 0.2, 0.2])
    found.turns = lambda *_: np.array([[next(times), next(times)] for _ in range(2)])
    found.compare("a", "b", lambda: 1, lambda: 1, compare.check_share, times=10.0, aim=11.0)
    (row,) = found.rows
    assert row["ratio"] == pytest.approx(10.0)
    assert row["seconds"] == pytest.approx([0.15, 1.5])
    assert row["reached"] is False


@pytest.fixture
def quick(monkeypatch):
    """Two subjects that take no time, the second of which can be made to fail."""

    class Quick:
        ratios = {"transport": 2.0, "hankel": 3.0}  # noqa: RUF012
        fails = ""

        def module(self, name):
            subject = name.rpartition(".")[2]

            def measure(found):
                if self.fails == subject:
                    raise Different("they\ndiffer")
                found.add("one", "peer", np.array([[1.0, self.ratios[subject]]] * 2), aim=2.5)

            return type("Module", (), {"measure": staticmethod(measure)})

    made = Quick()
    monkeypatch.setattr(bench, "SUBJECTS", ("transport", "hankel"))
    monkeypatch.setattr(importlib, "import_module", made.module)
    return made


def rows(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    return {row["subject"]: row["ratio"] for row in content["rows"]}


def test_one_subject_replaces_only_its_rows_and_what_a_gpu_gave_stays(quick, tmp_path, capsys):
    file = tmp_path / "results" / "bench.json"
    file.parent.mkdir()
    old = {"subject": "gone", "name": "one"}  # of a subject that is no more
    file.write_text(json.dumps({"gpu": {"rows": []}, "rows": [old]}), encoding="utf-8")
    assert bench.main(["--out", str(file)]) == 0
    assert rows(file) == {"transport": 2.0, "hankel": 3.0}
    first = json.loads(file.read_text(encoding="utf-8"))
    assert first["gpu"] == {"rows": []}
    assert {"machine", "threads", "commit", "date", "rows", "curves"} <= set(first)
    assert first["threads"] == 1
    quick.ratios = {"transport": 5.0, "hankel": 7.0}
    assert bench.main(["transport", "--out", str(file)]) == 0
    assert rows(file) == {"transport": 5.0, "hankel": 3.0}  # in the order of the subjects
    second = json.loads(file.read_text(encoding="utf-8"))
    assert second["subjects"]["hankel"] == first["subjects"]["hankel"]
    assert second["gpu"] == {"rows": []}
    assert not list(file.parent.glob("*.part"))
    assert "one / peer: 5.00 [5.00, 5.00] (wanted: 2.5, reached); 1 s against 5 s" in (
        capsys.readouterr().out
    )


def test_a_subject_that_fails_says_so_and_stops_no_other(quick, tmp_path):
    file = tmp_path / "bench.json"
    quick.fails = "transport"
    assert bench.main(["--out", str(file)]) == 1
    assert rows(file) == {"transport": None, "hankel": 3.0}
    note = json.loads(file.read_text(encoding="utf-8"))["rows"][0]["note"]
    assert note == "not measured: Different: they differ"


def test_a_tiny_bench_leaves_the_committed_file_alone(quick, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "FILE", bench.ROOT / "build" / "never" / "bench.json")
    assert bench.main(["--tiny"]) == 0
    assert not bench.FILE.exists()


def test_an_unknown_subject_is_refused_by_name(quick, capsys):
    with pytest.raises(SystemExit):
        bench.main(["transprt"])
    assert "no subject transprt; there are transport, hankel" in capsys.readouterr().err
