"""Optional runs: made by name only, and quoted from their committed reference."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from clones import ROOT

from workflow.errors import Refused
from workflow.runs import experiments
from workflow.runs.declarations import read_declarations

PRESETS = {preset: {"cores": 1} for preset in ("smoke", "cpu", "paper")}
RUN = {"notebook": "henon_tokens", "title": "A", "presets": PRESETS}
OPTIONAL = RUN | {"optional": True}


def test_without_names_optional_runs_are_left_out(monkeypatch):
    content = {"a": RUN, "b": OPTIONAL, "c": {"extends": "b", "needs": ["a", "b"]}}
    monkeypatch.setattr(experiments, "declared_runs", lambda: read_declarations(content))

    def names(*given, **options):
        return [run.name for run in experiments.load("smoke", *given, **options)]

    assert names() == names(None) == names([]) == ["a"]
    assert names(optional=True) == ["a", "b", "c"]
    assert names(["b"]) == ["b"]
    assert [run.name for run in experiments.load("smoke", ["c"])[0].needed] == ["a", "b"]


def test_what_is_always_made_needs_no_optional_run():
    with pytest.raises(Refused, match="a: needs b, which is optional"):
        read_declarations({"a": RUN | {"needs": ["b"]}, "b": OPTIONAL})
    with pytest.raises(Refused, match="a, optional: Input should be a valid boolean"):
        read_declarations({"a": RUN | {"optional": "yes"}})


STAGE = """
from workflow.book.staging import stage
from workflow.runs.experiments import load
stage("cpu", load("cpu", optional=True), {})
"""


def staged(project) -> tuple[str, dict[str, str]]:
    """The page of the run and the other files, as the book gets them."""
    done = subprocess.run(
        [sys.executable, "-c", STAGE], cwd=project.root, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    book = project.root / "build" / "cpu" / "book"
    cells = json.loads((book / "runs" / "toy.ipynb").read_text(encoding="utf-8"))["cells"]
    files = {
        str(path.relative_to(book)): path.read_text(encoding="utf-8")
        for path in book.rglob("*") if path.suffix in (".json", ".svg")
    }  # fmt: skip
    text = "".join(cells[0]["source"])
    assert any(cell.get("outputs") for cell in cells) == ("was not made" not in text)
    return text, files


def test_an_optional_run_is_made_by_name_and_quoted_from_its_reference(project):
    (project.root / "book").mkdir()
    figures = "/figures/fig-toy-picture.svg /figures/fig-toy-other.svg /figures/fig-toys-x.svg"
    (project.root / "book" / "index.md").write_text(f"# Book\n\n{figures}\n", encoding="utf-8")
    for name in ("_config.yml", "CITATION.cff"):
        (project.root / name).write_text("", encoding="utf-8")
    (project.root / "results" / "cpu" / "toy.svg").write_text("<svg/>", encoding="utf-8")
    project.change(
        "experiments.yml", "title: Toy\n", "title: Toy\n  optional: true\n  picture: picture\n"
    )

    # made: its page is executed
    text, files = staged(project)
    assert "was not made" not in text
    assert json.loads(files["results/cpu/toy.json"])["metrics"] == project.reference()["metrics"]
    assert project("verify", "toy")[0] == 0

    # stale: no command without its name makes or compares it, and its reference is carried
    project.split()
    line = project.status("cpu")["toy"]
    assert "stale" in line
    assert "optional, made only by name" in line
    for command in ("run", "verify"):
        assert project(command) == (0, "")
    text, files = staged(project)
    assert "optional, and was not made for this book" in text
    assert "committed reference" in text
    assert "{run-card} toy" in text
    assert json.loads(files["results/cpu/toy.json"]) == project.reference()
    assert files["figures/fig-toy-picture.svg"] == "<svg/>"
    assert "has not been made" in files["figures/fig-toy-other.svg"]
    assert "figures/fig-toys-x.svg" not in files  # of another run: a warning of the book
    code, text = project("carry")
    assert (code, "results/cpu/toy.json: carried" in text) == (0, True), text

    # without a reference
    for folder in ("results", "build"):
        (
            project.root / folder / "cpu" / ("" if folder == "results" else "results") / "toy.json"
        ).unlink()
    (project.root / "results" / "cpu" / "toy.svg").unlink()
    assert "missing" in project.status("cpu")["toy"]
    text, files = staged(project)
    assert "optional, and was not made for this book" in text
    assert "reference" not in text
    assert "run-card" not in text
    assert "results/cpu/toy.json" not in files
    assert "has not been made" in files["figures/fig-toy-picture.svg"]
    assert "there is no reference" in project("verify", "toy")[1]


def test_pages_say_not_run_of_an_optional_run_alone_and_know_its_parameters(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(ROOT / "book" / "_ext"), *sys.path])
    from companion import results

    declared = {"a": SimpleNamespace(optional=False), "b": SimpleNamespace(optional=True)}
    monkeypatch.setattr(results, "declared_runs", lambda: declared)
    parameters = [SimpleNamespace(parameters={"n": 47})]
    monkeypatch.setattr(results, "load", lambda preset, names: parameters)
    monkeypatch.setattr(results, "STALE_ALLOWED", False)
    warnings: list[str] = []
    monkeypatch.setattr(results.log, "warning", lambda *words, **_: warnings.append(str(words)))
    page = {"env": SimpleNamespace(srcdir=tmp_path), "get_location": lambda: ""}

    def text(role, words):
        return role.run(SimpleNamespace(text=words, **page))[0][0].astext()

    for role, words in (
        (results.ResultRole, "b:x:.2f"),
        (results.ResultRole, "cpu/b:x.interval"),
        (results.PrintedRole, "b:x"),
    ):
        assert text(role, words) == "not run"
        assert not warnings
    assert text(results.ParameterRole, "b:n") == "47"
    assert not warnings
    assert text(results.ParameterRole, "b:x") == "?"
    assert warnings.pop()
    for role in (results.ResultRole, results.ParameterRole):
        assert text(role, "a:x") == "?"
        assert warnings.pop()
