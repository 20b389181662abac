"""Results survive a change of code that changes no number, and only such a change."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from clones import ROOT
from projects import Project

from workflow.book.provenance import carried


def renamed(project: Project) -> None:
    """A function has another name."""
    project.edit("dynlib/toy.py", "def spread(", "def scaled_deviation(")
    project.edit("notebooks/toy.py", "longest, spread", "longest, scaled_deviation")
    project.change("notebooks/toy.py", "spread(values)", "scaled_deviation(values)")


def moved(project: Project) -> None:
    """A module has moved into a room."""
    project.git("mv", "dynlib/toy.py", "dynlib/measure/toy.py")
    project.change("notebooks/toy.py", "dynlib.toy", "dynlib.measure.toy")


def drawn_by_the_library(project: Project) -> None:
    """A figure's code has moved from the notebook into the library."""
    file = project.root / "dynlib" / "report" / "style.py"
    file.write_text(
        file.read_text(encoding="utf-8") + "\n\ndef values(values):\n    _, axes = figure(2.0)\n"
        "    axes.plot(values)\n    plt.show()\n",
        encoding="utf-8",
    )
    project.change(
        "notebooks/toy.py",
        "import matplotlib.pyplot as plt\n\nfigure, axes = style.figure(2.0)\naxes.plot(values)\n"
        "plt.show()\n",
        "style.values(values)\n",
    )
    project.change("dynlib/toy.py", "SCALE * float(", "float(SCALE) * float(")


@pytest.mark.parametrize("change", [renamed, moved, Project.split, drawn_by_the_library])
def test_a_change_that_changes_no_number_is_carried(project, change):
    change(project)
    assert "stale" in project.status("cpu")["toy"]
    before = project.reference()
    code, text = project.carry()
    assert code == 0, text
    assert "results/cpu/toy.json: carried from" in text
    assert "build/cpu/results/toy.json: carried from" in text
    assert project.status("cpu")["toy"].split()[2] == "carried"
    after = project.reference()
    assert after["metrics"] == before["metrics"]
    (link,) = after["provenance"]["carried"]
    assert link["from"]["stamp"] == before["provenance"]["stamp"]
    assert link["to"] == {
        "stamp": after["provenance"]["stamp"], "commit": project.git("rev-parse", "HEAD").strip()
    }  # fmt: skip
    assert link["evidence"]["witness"] == {"n": 20}
    assert link["evidence"]["metrics"] == 3
    assert "a short run gives the same 3 metrics with both" in carried(after["provenance"])
    assert "nothing to do" in project("run", "toy")[1]  # the page too: it shows the same
    code, text = project("verify", "toy")
    assert code == 0, text
    project.commit()
    assert "2 of 2 results are valid as they are" in project.carry()[1]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("dynlib/toy.py", "def longest(values, limit=1000):",
         "def longest(values: np.ndarray, limit: int = 1000) -> float:"),
        ("dynlib/toy.py", "values must not be empty", "there must be values"),
        ("dynlib/toy.py", '"""Scaled standard deviation."""', '"""Deviation, scaled."""'),
        ("notebooks/toy.py", "record, style\nfrom dynlib.toy import longest, spread",
         "style, record\nfrom dynlib.toy import spread, longest"),
    ],
    ids=["annotation", "message", "docstring", "imports"],
)  # fmt: skip
def test_what_changes_no_number_needs_no_proof(project, path, old, new):
    project.change(path, old, new)
    line = project.status("cpu")["toy"].split()
    assert line[2] == "fresh"
    assert "current" in line


def test_another_colour_executes_the_page_again_and_leaves_the_reference(project):
    project.change("notebooks/toy.py", "axes.plot(values)", 'axes.plot(values, color="red")')
    line = project.status("cpu")["toy"]
    assert "stale" in line
    assert "changed only in how it is shown" in line
    assert "current" in line


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("dynlib/toy.py", "SCALE = 2.0", "SCALE = 2.5", r"metric spread moved: value 1\.\d+, now"),
        ("dynlib/toy.py", "values = values + 0.0", "values = values + 0.5",
         r"dynlib/toy\.py:16 \(spread\) is removed or changed, and the witness does not execute"),
        ("dynlib/toy.py", "if device else 0.0", "if device else 1.0",
         r"dynlib/toy\.py:18 \(spread\) is removed or changed, and the witness does not execute"),
        ("dynlib/toy.py", "values = values[:limit]", "values = values[-limit:]",
         r"dynlib/toy\.py:24 \(longest\) is removed or changed"),
        ("dynlib/toy.py", "if len(values) > 1000:", "if len(values) > 100:",
         r"dynlib/toy\.py:23 \(longest\): a number in the test of a branch changed"),
        ("experiments.yml", "{n: 500}", "{n: 501}", r"parameters changed: n \(500, now 501\)"),
        ("requirements.lock", "numpy==", "numpy==9.", r"the lock changed: numpy \("),
        ("notebooks/toy.py", 'record.metric("n", n)', 'record.metric("m", n)',
         "metric m is new"),
    ],
    ids=["constant", "gpu-branch", "arm", "not-run", "threshold", "parameter", "lock", "name"],
)  # fmt: skip
def test_a_change_that_may_change_a_number_is_refused_by_name(project, path, old, new, words):
    project.change(path, old, new)
    before = project.reference()
    code, text = project.carry()
    assert code == 1
    assert re.search(f"results/cpu/toy.json: refused: .*{words}", text), text
    assert "in full: make run RUN=toy PRESET=cpu" in text
    assert project.reference() == before


def test_a_metric_is_renamed_on_purpose_and_described_otherwise(project):
    project.edit("notebooks/toy.py", '"spread", spread', '"toy_spread", spread')
    project.edit("notebooks/toy.py", '"longest", longest', '"toy_longest", longest')
    project.change("notebooks/toy.py", '"n", n)', '"n", n, unit="values", tolerance=0.5)')
    before = project.reference()
    code, text = project.carry()
    assert code == 1
    assert "metric longest is not recorded any more" in text
    for rename, words in (
        ("spread", "a rename is OLD=NEW, names of metrics, each with one * or none"),
        ("*spread=toy_spread", "a rename is OLD=NEW"),
        ("spraed=toy_spread", "no result records a metric spraed"),
    ):
        code, text = project.carry(rename)
        assert code == 2
        assert words in text
    code, text = project.carry("longest=n")
    assert code == 1
    assert "two metrics would be named n" in text
    assert project.reference() == before
    code, text = project.carry("spread=toy_spread", "long*=toy_long*")
    assert code == 0, text
    after, old = project.reference(), before["metrics"]
    assert after["metrics"] == {
        "toy_spread": old["spread"],
        "toy_longest": old["longest"],
        "n": old["n"] | {"unit": "values", "tolerance": 0.5},
    }
    evidence = after["provenance"]["carried"][0]["evidence"]
    assert evidence["renamed"] == {"spread": "toy_spread", "longest": "toy_longest"}
    assert evidence["described"] == ["n: unit '1', now 'values'", "n: tolerance 0.05, now 0.5"]
    project.commit()
    assert project.carry("spread=toy_spread")[0] == 0  # nothing is left to rename


def test_the_metrics_of_an_older_record_are_times_where_the_new_code_says_so(project):
    project.edit("dynlib/report/record.py", '    entry["timing"] = timing\n', "")
    project.change("notebooks/toy.py", '"n", n)', '"clock", time.perf_counter())')
    project.change("notebooks/toy.py", "import numpy", "import time\n\nimport numpy")
    for arguments in (("run", "toy"), ("accept", "toy")):
        code, text = project(*arguments)
        assert code == 0, text
    before = project.reference()["metrics"]
    assert "timing" not in before["clock"]
    project.git("checkout", "-q", "HEAD~2", "dynlib/report/record.py")
    project.commit()
    assert "metric clock moved: value" in project.carry()[1]
    project.change("notebooks/toy.py", "perf_counter())", "perf_counter(), timing=True)")
    code, text = project.carry()
    assert code == 0, text
    after = project.reference()["metrics"]
    assert after["clock"] == before["clock"] | {"timing": True}
    assert after["spread"] == before["spread"] | {"timing": False}


def test_what_the_run_cannot_reach_needs_no_execution(project):
    project.change("dynlib/toy.py", "    return 1\n", "    return 2\n")
    code, text = project.carry()
    assert code == 0, text
    evidence = project.reference()["provenance"]["carried"][0]["evidence"]
    assert evidence["regions"] == [0, 0]


def test_a_longer_chain_and_what_has_no_name_are_refused(project):
    project.edit("dynlib/toy.py", "SCALE = 2.0", "SCALE = 1.0 + 1.0")
    code, text = project.carry()
    assert code == 2
    assert "there are uncommitted changes; commit them first" in text
    project.commit()
    content = project.reference()
    facts = content["provenance"]
    facts["carried"] = [{"to": {"commit": facts["commit"]}}] * 10
    project.write(content)
    code, text = project.carry()
    assert "it was carried 10 times, 10 at most" in text
    facts["carried"], facts["commit"] = [], "0" * 40
    project.write(content)
    code, text = project.carry()
    assert "commit 0000000000, which made it, is not in this clone" in text
    facts["dirty"] = True
    project.write(content)
    assert "made from uncommitted changes" in project.carry()[1]


def test_a_reference_that_the_named_commit_did_not_make_is_refused(project):
    project.change("dynlib/toy.py", "SCALE = 2.0", "SCALE = 1.0 + 1.0")
    content = project.reference()
    content["provenance"]["commit"] = project.git("rev-parse", "HEAD").strip()
    project.write(content)
    assert re.search(r"commit \w{10}, which it names, has another stamp", project.carry()[1])


def test_every_run_has_a_witness_that_its_notebook_accepts():
    from workflow.runs.experiments import load

    for preset in ("cpu", "paper"):
        for run in load(preset, optional=True):
            short = run.settings.witness
            assert short, run.name
            assert run.witness_parameters == run.parameters | {
                name: type(run.parameters[name])(value) for name, value in short.items()
            }


@pytest.mark.slow
def test_a_real_reference_is_carried_over_a_change_of_name_and_not_of_a_constant(tmp_path):
    """What this repository keeps, in a clone with its history."""
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    project = Project(tmp_path / "clone")
    paths = [
        path for part in ("dynlib", "notebooks") for path in (project.root / part).rglob("*.py")
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    users = [path for path, text in texts.items() if "nuclear_fit" in text]
    assert len(users) > 1
    for path in users:
        new = texts[path].replace("nuclear_fit", "best_fit_of_low_rank")
        path.write_text(new, encoding="utf-8")
    project.commit()
    before = (project.root / "results" / "cpu" / "hankel_operator.json").read_text(encoding="utf-8")
    code, text = project("carry", "hankel_operator", "--preset", "cpu")
    assert code == 0, text
    assert "results/cpu/hankel_operator.json: carried from" in text
    after = json.loads(
        (project.root / "results" / "cpu" / "hankel_operator.json").read_text(encoding="utf-8")
    )
    assert after["metrics"] == {  # an older reference does not say which metrics are times
        name: entry | {"timing": name.startswith(("fft_time_ratio", "fft_crossover_n"))}
        for name, entry in json.loads(before)["metrics"].items()
    }
    project.commit()
    project.change("dynlib/operators/bestfit.py", "/ 2", "/ 2.5")
    code, text = project("carry", "hankel_operator", "--preset", "cpu")
    assert code == 1
    assert re.search(r"hankel_operator.json: refused: metric \w+ moved: value", text), text
