"""Damaged files are noticed, named with their remedy, and never trusted."""

import copy
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.runs.integrity import check_results, checksum, parse, read_sound

ROOT = Path(__file__).resolve().parents[2]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit_value(path):
    path.write_text(
        path.read_text(encoding="utf-8").replace('"value": 4', '"value": 5', 1), encoding="utf-8"
    )


def edit_notebook(path):
    path.write_text(
        path.read_text(encoding="utf-8").replace("# Plain", "# Plane", 1), encoding="utf-8"
    )


RESULTS, NOTEBOOK = "build/smoke/results/plain.json", "build/smoke/notebooks/plain.ipynb"


@pytest.mark.parametrize(
    ("path", "spoil", "words"),
    [
        (RESULTS, truncate, "build/smoke/results/plain.json is cut short or not a results file"),
        (RESULTS, edit_value, "build/smoke/results/plain.json was changed after the run wrote it"),
        (NOTEBOOK, truncate, "build/smoke/notebooks/plain.ipynb is not the notebook that"),
        (NOTEBOOK, edit_notebook, "build/smoke/notebooks/plain.ipynb is not the notebook that"),
    ],
)
def test_damage_is_named_everywhere_and_mended_by_the_next_run(made, path, spoil, words):
    assert " fresh" in made.status()["plain"]
    before = made.values("plain")
    spoil(made.root / path)
    found = made.status()["plain"]
    assert " damaged " in found
    assert words in found
    code, text = made("verify", "plain", "--preset", "smoke")
    assert code == 1
    assert words in text
    assert "run it again: `make run RUN=plain PRESET=smoke`" in text
    code, text = made("accept", "plain", "--preset", "smoke")
    assert code == 2
    assert words in text
    code, text = made("run", "plain", "--preset", "smoke")
    assert code == 0, text
    assert f"plain (smoke): damaged, {words}" in text
    assert " fresh " in made.status()["plain"]
    assert made.values("plain") == before


def test_a_results_file_without_checksum_is_damaged(made):
    content = made.results("plain")
    del content["provenance"]["checksum"]
    (made.root / RESULTS).write_text(json.dumps(content), encoding="utf-8")
    assert re.search(r" damaged .* provenance, checksum: Field required", made.status()["plain"])


@pytest.mark.parametrize("spoil", [truncate, edit_value])
def test_a_damaged_reference_is_named_with_the_command_that_restores_it(made, spoil):
    reference = made.root / "results" / "smoke" / "plain.json"
    reference.parent.mkdir()
    shutil.copy(made.root / RESULTS, reference)
    assert made("verify", "plain", "--preset", "smoke")[0] == 0
    spoil(reference)
    remedy = "bring it back: git checkout -- results/smoke/plain.json"
    code, text = made("verify", "plain", "--preset", "smoke")
    assert code == 1
    assert remedy in text
    code, text = made("book", "--preset", "smoke")
    assert (code, text.count("\n")) == (2, 1)
    assert remedy in text


def test_a_torn_training_checkpoint_is_named_and_the_one_before_it_is_used(clone, tmp_path):
    clone.edit("experiments.yml", "steps: 600", "steps: 200")
    assert clone("run", "tiny", DYNLIB_ARTEFACTS=str(tmp_path / "apart"))[0] == 0
    expected = clone.values("tiny", "cpu")
    clone.edit(  # 0: after every step, whatever it costs, so that a slow disk skips none
        "dynlib/tokens/training.py",
        "checkpoint_seconds: float = 15.0",
        "checkpoint_seconds: float = 0.0",
    )
    (clone.root / "build/cpu/results/tiny.json").unlink()

    process = clone.start("run", "tiny")
    artefacts = clone.root / "build" / "artefacts"
    clone.until(lambda: len(list(artefacts.glob("tiny-*/checkpoints/step-?????????"))) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    held = clone.root / "build/cpu/locks/tiny.lock"  # free once nothing writes any more
    clone.until(lambda: not Path(f"/proc/{held.read_text(encoding='utf-8') or 0}").exists())
    newest = sorted(artefacts.glob("tiny-*/checkpoints/step-?????????"))[-1]
    truncate(newest / "tensors.safetensors")

    code, text = clone("verify", "tiny")
    assert code == 1
    assert f"{newest.relative_to(clone.root)} does not match its checksums" in text
    code, text = clone("run", "tiny")
    assert code == 0, text
    assert clone.values("tiny", "cpu") == expected


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*/*.json")), ids=str)
def test_every_committed_reference_keeps_the_contract(path):
    assert read_sound(path) is not None


REFERENCE = parse(min((ROOT / "results").glob("*/*.json")).read_bytes())


def changed(where, value):
    content = copy.deepcopy(REFERENCE)
    *path, last = where
    inner = content
    for name in path:
        inner = inner[name]
    inner[last] = value
    return content


METRIC = min(REFERENCE["metrics"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "valid dictionary"),
        (changed(["run"], 3), "run: .* a valid string, got 3"),
        (changed(["metrics"], {}), "metrics: Dictionary should have at least 1 item"),
        (changed(["metrics", "Bad name"], {}), "String should match"),
        (changed(["metrics", METRIC], {"value": 1}), f"{METRIC}, low: Field required"),
        (changed(["metrics", METRIC, "more"], 1), f"{METRIC}, more: Extra inputs"),
        (
            changed(["metrics", METRIC, "value"], "1"),
            "value: .* a valid number, got '1'",
        ),
        (
            changed(["metrics", METRIC, "value"], True),
            "value: .* a valid number, got True",
        ),
        (changed(["metrics", METRIC, "n"], 1.5), "n: .* a valid integer"),
        (
            changed(["metrics", METRIC, "samples"], ["a"]),
            "samples, 0: .* valid number",
        ),
        (
            changed(["metrics", METRIC, "tolerance"], None),
            "tolerance: .* a valid number",
        ),
        (changed(["metrics", METRIC, "unit"], None), "unit: .* a valid string"),
        (changed(["metrics", METRIC, "over"], 1), "over: .* a valid string"),
        (changed(["provenance", "stamp"], None), "stamp: .* a valid string"),
    ],
)
def test_what_breaks_the_contract_is_no_results_file(content, words):
    check_results(REFERENCE)
    with pytest.raises(ValueError, match=words):
        check_results(content)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", "[" * 100_000, "{"])
def test_json_is_read_strictly(text):
    with pytest.raises(ValueError, match=r"JSON|finite|nested|Expecting"):
        parse(text)


@given(st.data())
def test_a_checksum_sees_every_change_of_a_metric(data):
    name = data.draw(st.sampled_from(sorted(REFERENCE["metrics"])))
    value = data.draw(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
    other = changed(["metrics", name, "value"], value)
    same = json.dumps(value) == json.dumps(REFERENCE["metrics"][name]["value"])
    assert (checksum(other) == checksum(REFERENCE)) == same
