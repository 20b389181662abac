"""Commands that only print or write a file, called in this process."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from workflow import files
from workflow.__main__ import main
from workflow.book import readme, render
from workflow.book.thumbnail import SIZE, thumbnail
from workflow.runs.experiments import load


def test_parameters_are_shown_with_what_is_allowed(capsys):
    assert main(["parameters", "henon_tokens", "--preset", "smoke"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "henon_tokens (smoke)"
    (run,) = load("smoke", ["henon_tokens"])
    assert [line.split(":")[0].strip() for line in lines] == list(run.declared)
    for line in lines:
        name = line.split(":")[0].strip()
        assert f"= {run.parameters[name]!r}  ({run.declared[name].allowed})" in line


#: A locale whose encoding is ASCII; any other narrow one, such as Latin-1, takes the same way.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_in_an_ascii_locale_the_same_is_read_and_printed(made):
    made.edit("experiments.yml", "title: Plain", "title: Gewöhnlich – «plain»")
    made.edit("notebooks/plain.py", "how many", "wie viele, größer als ½")
    code, text = made("parameters", "plain", "--preset", "smoke", **ASCII)
    assert code == 0, text
    assert r"wie viele, gr\xf6\xdfer als \xbd" in text
    code, text = made("status", "--preset", "smoke", **ASCII)
    assert code == 0, text
    assert made.status()["plain"].split()[2] == "fresh"
    code, text = made("run", "tiny", "plain", "--preset", "smoke", "--force", **ASCII)
    assert code == 0, text
    assert made.status()["tiny"].split()[2] == "fresh"


def test_in_an_ascii_locale_the_readme_is_written_in_utf8(tmp_path):
    for name in ("workflow", "dynlib", "results", "notebooks"):
        shutil.copytree(readme.ROOT / name, tmp_path / name)
    for name in ("experiments.yml", "requirements.lock"):
        shutil.copy(readme.ROOT / name, tmp_path)
    right = (readme.ROOT / "README.md").read_bytes()
    begin, end = (right.index(mark.encode()) for mark in (readme.BEGIN, readme.END))
    (tmp_path / "README.md").write_bytes(right[:begin] + readme.BEGIN.encode() + right[end:])
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "readme"],
        cwd=tmp_path, env=os.environ | ASCII, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "README.md").read_bytes() == right


@pytest.mark.parametrize("command", ["pdf", "links"])
def test_without_a_book_a_command_is_refused(capsys, command, tmp_path, monkeypatch):
    monkeypatch.setattr("workflow.book.pdf.ROOT", tmp_path)
    monkeypatch.setattr(render, "ROOT", tmp_path)
    assert main([command, "--preset", "smoke"]) == 2
    assert "make book PRESET=smoke first" in capsys.readouterr().err


def test_a_full_disk_is_said_with_its_place(capsys, monkeypatch):
    def full():
        raise OSError(28, "No space left on device", "README.md.part")

    monkeypatch.setattr("workflow.__main__.write_readme", full)
    assert main(["readme"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("stopped: README.md.part: No space left on device;")
    assert text.count("\n") == 1


def test_an_interrupt_is_130(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("workflow.__main__.write_readme", interrupted)
    assert main(["readme"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_has_gone_is_no_error(capsys, monkeypatch):
    def gone():
        raise BrokenPipeError

    monkeypatch.setattr("workflow.__main__.write_readme", gone)
    replaced = []
    monkeypatch.setattr(os, "dup2", lambda _, number: replaced.append(number))
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    assert main(["readme"]) == 1
    assert replaced == [1]
    assert capsys.readouterr().err == ""


def test_the_readme_is_written_once(capsys, tmp_path, monkeypatch):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(readme, "ROOT", tmp_path)  # without results: a table of no rows
    assert main(["readme"]) == 0
    assert main(["readme"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "README.md: results table written", "README.md is up to date"
    ]  # fmt: skip
    assert path.read_text(encoding="utf-8") == (
        f"before\n{readme.BEGIN}\n| | printed | ours | interval |\n| :--- | ---: | ---: | ---: |\n"
        f"{readme.END}\nafter\n"
    )


@pytest.fixture
def staged(tmp_path, monkeypatch):
    """A staged book whose links Sphinx does not ask: what it would say is given."""
    (tmp_path / "build" / "smoke" / "book").mkdir(parents=True)
    for module in (render, files):
        monkeypatch.setattr(module, "ROOT", tmp_path)

    def say(links):
        def jupyter_book(preset, staged, output, *options, log):
            assert options == ("--builder", "linkcheck")
            if links is not None:
                found = output / "_build" / "linkcheck" / "output.json"
                found.parent.mkdir(parents=True)
                found.write_text(
                    "".join(json.dumps(each) + "\n" for each in links), encoding="utf-8"
                )
            return 0

        monkeypatch.setattr(render, "jupyter_book", jupyter_book)

    return say


def link(status: str) -> dict[str, str]:
    return {"filename": "index.md", "uri": f"https://{status}.org", "status": status, "info": "404"}


@pytest.mark.parametrize(("status", "code"), [("broken", 1), ("timeout", 1), ("redirected", 0)])
def test_links_that_lead_nowhere_are_named(staged, capsys, status, code):
    staged([link("working"), link(status)])
    assert main(["links", "--preset", "smoke"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [f"index.md: https://{status}.org (404)"] * code
    assert lines[-1] == f"{2 - code} of 2 links work"


def test_no_answer_about_links_is_a_failure(staged, capsys):
    staged(None)
    assert main(["links", "--preset", "smoke"]) == 1
    assert "no link was checked; log: build/smoke/logs/links.log" in capsys.readouterr().out


def panel(top: str, bottom: str) -> str:
    """A picture of two halves as a figure holds it, in SVG."""
    picture = Image.new("RGB", (10, 10), top)
    picture.paste(Image.new("RGB", (10, 5), bottom), (0, 5))
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<image xlink:href="data:image/png;base64,\n{data}"/>'


def test_the_thumbnail_shows_the_first_panels_upright():
    svg = panel("red", "blue") + panel("lime", "black") + panel("gray", "gray")
    with Image.open(io.BytesIO(thumbnail(svg, panels=2))) as picture:
        shown = picture.convert("RGB")
    assert shown.size == SIZE
    width, height = SIZE
    for x, top, bottom in ((width // 4, "blue", "red"), (3 * width // 4, "black", "lime")):
        for y, name in ((height // 4, top), (3 * height // 4, bottom)):
            want = Image.new("RGB", (1, 1), name).getpixel((0, 0))
            assert shown.getpixel((x, y)) == pytest.approx(want, abs=2)
    assert shown.getpixel((2, 2)) == (255, 255, 255)
