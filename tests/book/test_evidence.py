"""One click to the evidence: which numbers pages quote, where each comes from, and its claims."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from workflow.book import readme, staging
from workflow.ledger.verify import compare, in_words
from workflow.runs import experiments
from workflow.runs.experiments import load
from workflow.runs.integrity import checksum

ROOT = Path(__file__).resolve().parents[2]
RUN = "henon_tokens"


@pytest.fixture
def rebuilt(tmp_path, monkeypatch) -> Path:
    """A staged cpu book of a clone whose own run gives another ratio than its reference."""
    (run,) = load("cpu", [RUN])
    reference = json.loads((ROOT / "results" / "cpu" / f"{RUN}.json").read_text(encoding="utf-8"))
    for module in (staging, experiments, readme):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    rows = [row for row in readme.ROWS if row[0] == RUN]
    monkeypatch.setattr(readme, "ROWS", rows)
    text = "".join(f"- §{{res}}`{name}:{metric}:{form}`§\n" for name, metric, *_, form in rows)
    page = f"# Title\n\n{text}\n```{{agreement}}\n```\n\n```{{run-card}} {RUN}\n```\n"
    configuration = 'extensions = ["myst_parser", "sphinx_design", "companion"]\n'
    configuration += 'myst_enable_extensions = ["colon_fence"]\nexclude_patterns = ["runs"]\n'
    for name, content in {
        "results/cpu/henon_tokens.json": json.dumps(reference),
        "book/index.md": page,
        "book/conf.py": configuration,
        "_config.yml": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    for metric in ("w1_ratio", "vocabulary"):
        reference["metrics"][metric]["value"] *= 2
    reference["provenance"]["checksum"] = checksum(reference)
    run.results.parent.mkdir(parents=True)
    run.results.write_text(json.dumps(reference), encoding="utf-8")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Page")])
    monkeypatch.setattr(staging, "readable", lambda run: True)
    monkeypatch.setattr(staging, "merged", lambda run, stale: notebook)
    return staging.stage("cpu", [run], {})


def text_of(source: Path) -> str:
    """A staged page as text."""
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "text", source, source / "out"],
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}:{ROOT / 'book' / '_ext'}", "COMPANION_PRESET": "cpu"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "result" not in done.stderr
    return " ".join((source / "out" / "index.txt").read_text(encoding="utf-8").split())


def test_pages_quote_the_reference_as_the_readme_does_and_say_what_differs(rebuilt):
    text = text_of(rebuilt)
    printed = [line.split("|")[3].strip() for line in readme.table().splitlines()[2:]]
    quoted = text.split("§")[1::2]
    assert len(printed) == 8
    assert quoted == printed
    assert '"vocabulary" (moved, ' in text
    assert "What differs, run by run" in text
    assert "| Numbers " in text


def test_what_was_made_here_is_staged_beside_what_is_quoted(rebuilt):
    quoted, made = (
        json.loads((rebuilt / "results" / folder / f"{RUN}.json").read_text(encoding="utf-8"))
        for folder in ("cpu", "build")
    )
    committed = json.loads((ROOT / "results" / "cpu" / f"{RUN}.json").read_text(encoding="utf-8"))
    assert quoted == committed
    assert made["metrics"]["w1_ratio"]["value"] == 2 * quoted["metrics"]["w1_ratio"]["value"]
    rows = compare(made["metrics"], quoted["metrics"])
    odd = [row for row in rows if row.verdict in ("moved", "differs")]
    count = sum(row.verdict in ("agrees", "moved", "differs") for row in rows)
    words = f"{count - len(odd)} of {count} metrics agree, within tolerance or chance"
    assert in_words(rows).startswith(words)
    assert "vocabulary" in {row.name for row in odd}
