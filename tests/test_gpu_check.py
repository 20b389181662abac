"""The check of a GPU goes through every line without one, and keeps what it finds."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.compare import Different
from workflow.runs.cards import Card, Cards

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A machine on which torch sees no GPU, and nvidia-smi lists none or, if asked, one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu_check, "FILE", gpu_check.ROOT / "build" / "never" / "bench.json")

    def lists(*cards: Card) -> None:
        monkeypatch.setattr("workflow.runs.cards.listed", lambda: list(cards))

    lists()
    return lists


@pytest.mark.slow
def test_every_line_is_tried_on_a_cpu(tmp_path):
    out = tmp_path / "bench.json"
    out.write_text('{"another": 1}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--tiny", "--device=cpu", f"--out={out}"],
        cwd=ROOT, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["another"] == 1  # what others have measured stays
    rows = content["gpu"]["rows"]
    assert len(rows) == 14
    for row in rows:
        assert list(row) == ["name", "against", "ratio", "low", "high", "aim", "reached", "note"]
        assert row["ratio"] > 0 or "train()" in row["name"]
        assert (row["reached"] is None) == (row["aim"] is None)
        assert "not measured" not in row["note"]
        assert row["name"].split(",")[0] in done.stdout
    aims = {row["against"]: row["aim"] for row in rows if row["aim"]}
    assert aims == {
        "plain transformers, AdamW, same autocast": 1.8, "22 ms": 1.0, "40 ms": 1.0,
        "22 ms a step": 1.0, "without": 0.98, "3 ms": 1.0, "12 GB": 1.0,
    }  # fmt: skip
    assert {"gpu", "driver", "processor", "versions", "cuda", "commit"} <= {
        *content["gpu"]["machine"]
    }


def test_without_a_gpu_it_says_so_in_one_line(here, capsys):
    assert gpu_check.main([]) == 2
    text = capsys.readouterr().err
    assert text.startswith("gpu-check: torch sees no CUDA GPU here; to try every line")
    assert text.count("\n") == 1


def test_while_a_run_uses_the_gpu_it_waits_for_no_one(here, capsys):
    here(Card("GPU-a", "NVIDIA H200", 0, "GPU-a"))
    lent = Cards().lend(1, Counter())
    assert gpu_check.main([]) == 2
    assert "a run uses the GPU, so times would be wrong" in capsys.readouterr().err
    assert lent


def test_a_section_that_fails_stops_no_other(here, monkeypatch, tmp_path, capsys):
    def fails(*_):
        raise torch.OutOfMemoryError("too\nlarge")

    for name in ("step", "training", "generation"):
        monkeypatch.setattr(gpu_check, name, fails)
    good = gpu_check.row("scoring", "plain transformers", [2.0, 3.0], 2.0, "fine")
    monkeypatch.setattr(gpu_check, "scoring", lambda *_: [good])
    out = tmp_path / "bench.json"
    assert gpu_check.main(["--tiny", "--device", "cpu", "--out", str(out)]) == 1
    rows = json.loads(out.read_text(encoding="utf-8"))["gpu"]["rows"]
    assert [row["ratio"] for row in rows] == [None, None, None, None, 2.5, None, 2.5]
    assert rows[0]["note"] == "not measured: OutOfMemoryError: too large"
    assert "scoring / plain transformers: 2.50 [2.00, 3.00], reached; fine" in (
        capsys.readouterr().out
    )


def test_a_tiny_check_leaves_the_committed_file_alone(here, monkeypatch):
    monkeypatch.setattr(gpu_check, "step", lambda *_: [])
    for name in ("training", "generation", "scoring"):
        monkeypatch.setattr(gpu_check, name, lambda *_: [])
    assert gpu_check.main(["--tiny", "--device", "cpu"]) == 0
    assert not gpu_check.FILE.exists()


def test_sides_that_differ_are_not_compared():
    gpu_check.check_same("the loss", 2.0, 2.01)
    for wrong in (2.1, float("nan")):
        with pytest.raises(Different, match=r"the loss is .* here and 2\.0000 there"):
            gpu_check.check_same("the loss", wrong, 2.0)
