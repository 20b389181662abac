"""What pages say of the printed model: its values where a run was made, and that it was not."""

import json
import shutil
from pathlib import Path

import pytest
from pages import as_text

ROOT = Path(__file__).resolve().parents[2]
PARTIAL = "lorenz_tokens_20_2000_steps"
TEXT = """# Page

Value {printed}`henon_tokens:kept_w1_ratio:.2f`.
Steps {param}`other/lorenz_tokens_20_2000_steps:steps`.

```{learning-curves} paper
```

```{prices} other/lorenz_tokens_20_2000_steps
```
"""


@pytest.fixture
def read(tmp_path):
    """The text of a page that is made from given results of the paper preset."""
    source = tmp_path / "book"
    for folder in ("results/other", "results/paper", "figures"):
        (source / folder).mkdir(parents=True)
    shutil.copy(ROOT / "results" / "other" / f"{PARTIAL}.json", source / "results" / "other")
    (source / "conf.py").write_text('extensions = ["myst_parser", "companion"]', encoding="utf-8")

    def page(metrics=None, text=TEXT):
        (source / "index.md").write_text(text, encoding="utf-8")
        if metrics is not None:
            facts = {"training_ended": "patience"}
            found = {"run": "henon_tokens", "metrics": metrics, "provenance": facts}
            path = source / "results" / "paper" / "henon_tokens.json"
            path.write_text(json.dumps(found), encoding="utf-8")
        return as_text(source, tmp_path / "out")

    return page


def entry(value, low=None, high=None):
    level = None if low is None else 0.95
    return {"value": value, "low": low, "high": high, "level": level}


@pytest.fixture
def metrics():
    """What a run of two stages records, as far as pages read it."""
    measures = {"tokens": 1000, "cross_entropy_train": 0.5, "cross_entropy_held_out": 0.6}
    found = {f"stage_{k}_{name}": entry(k * v) for name, v in measures.items() for k in (1, 2)}
    for name in ("w1_ratio", "greedy_w1_ratio"):
        found |= {f"stage_{k}_{name}": entry(1.25, 1.0, 2.0) for k in (1, 2)}
        found[f"kept_{name}"] = entry(1.25, 1.0, 2.0)
    sizes = {"stages": 2, "kept_stage": 1, "kept_tokens": 1000, "train_tokens": 2000}
    return found | {n: entry(v) for n, v in sizes.items()} | {"lyapunov_reference": entry(0.419)}


def test_where_no_run_was_made_the_page_says_so(read):
    text, warnings = read()
    assert not warnings
    assert "Value not run. Steps 2\u202f000." in text
    assert "No run of the printed model has been made to its end yet." in text
    assert "H200 SXM" in text  # the prices need the partial run alone
    assert "of the published peak" in text


def test_a_run_fills_in_its_values_and_its_curve(read, metrics, tmp_path):
    text, warnings = read(metrics)
    assert not warnings
    assert "Value 1.25 (1.00 to 2.00)" in text
    assert "**henon_tokens**, ended by patience:" in text
    assert "0.5 (kept)" in text
    assert "What the model is worth after more and more training." in " ".join(text.split())
    picture = tmp_path / "book" / "figures" / "fig-paper-henon_tokens-learning.svg"
    assert picture.read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_a_metric_that_a_run_does_not_record_is_a_warning(read, metrics):
    text, warnings = read(metrics, "# Page\n\n{printed}`henon_tokens:missing`\n")
    assert "?" in text
    assert "records no metric 'missing'" in warnings
