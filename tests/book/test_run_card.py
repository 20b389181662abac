"""The run card names the GPU of a run that used one, and nothing where there was none."""

import copy
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
ON_CPU = json.loads((ROOT / "results" / "cpu" / "henon_tokens.json").read_text(encoding="utf-8"))
ON_GPU = copy.deepcopy(ON_CPU)
ON_GPU["provenance"]["device"] = "cuda"
ON_GPU["provenance"]["machine"]["gpus"] = [
    {"name": "NVIDIA H200", "driver": "580.65.06", "memory_mb": 143771}
]


@pytest.fixture
def card(monkeypatch):
    """The Markdown of the run card of some results."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "book" / "_ext"), *sys.path])
    from companion import cards

    def text(results: dict) -> str:
        monkeypatch.setattr(cards, "Results", lambda _: SimpleNamespace(load=lambda *_: results))
        directive = SimpleNamespace(
            arguments=["henon_tokens"], env=None, parse_text_to_nodes=str,
            config=SimpleNamespace(html_theme_options={}),
        )  # fmt: skip
        return cards.RunCard.run(directive)

    return text


def test_a_run_card_names_the_gpu(card):
    text = card(ON_GPU)
    assert "minutes on NVIDIA H200\n" in text
    assert "| GPU | NVIDIA H200, driver 580.65.06, 140 GiB |" in text


def test_a_run_on_a_cpu_has_no_row_for_a_gpu(card):
    text = card(ON_CPU)
    assert "minutes on cpu\n" in text
    assert "GPU" not in text
