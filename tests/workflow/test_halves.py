"""Edits in either half of a notebook travel to the other, and none is ever lost."""

import json
import re
import subprocess
from pathlib import Path

import jupytext
import nbformat
import pytest

from workflow.files import read_text
from workflow.runs.experiments import read_cells, read_notebook
from workflow.runs.pairs import HEADER, rewritten, settled
from workflow.runs.pairs import plain as cells_of
from workflow.runs.stamps import code_checksum
from workflow.runs.status import executed_stamps

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = {"output_type": "stream", "name": "stdout", "text": ["dear output\n"]}
COMMANDS = (("run", "plain", "--preset", "smoke"), ("status", "--preset", "smoke"), ("pairs",))


class Notebook:
    """A clone's notebook `plain`, as text and as Jupyter has it."""

    def __init__(self, clone):
        self.clone = clone
        self.py = clone.root / "notebooks" / "plain.py"
        self.ipynb = self.py.with_suffix(".ipynb")

    def edit_py(self, old, new):
        self.clone.edit("notebooks/plain.py", old, new)

    def edit_ipynb(self, old="", new="", *, outputs=False):
        """Open, edit and save as Jupyter does: other ids, metadata, counts, an empty cell."""
        notebook = nbformat.read(self.ipynb, as_version=4)
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"other-{number}"
            cell.metadata["collapsed"] = True
            cell.source = cell.source.replace(old, new) if old else cell.source
            if cell.cell_type == "code":
                cell.execution_count = number
                cell.outputs = [nbformat.from_dict(OUTPUT)] if outputs else []
        if notebook.cells[-1].source:
            notebook.cells.append(nbformat.v4.new_code_cell(""))
        notebook.metadata["language_info"] = {"name": "python", "version": "3.12.1"}
        nbformat.write(notebook, self.ipynb)

    @property
    def kept(self):
        """The contents of all copies that were kept."""
        folder = self.clone.root / "build" / "pairs"
        return [p.read_text(encoding="utf-8") for p in folder.glob("plain-*")]


@pytest.fixture
def plain(clone):
    code, text = clone("pairs")
    assert code == 0, text
    return Notebook(clone)


@pytest.fixture
def run_plain(made):
    code, text = made("pairs")
    assert code == 0, text
    return Notebook(made)


def test_the_run_is_of_the_edited_ipynb(run_plain):
    clone, before = run_plain.clone, run_plain.py.read_text(encoding="utf-8")
    run_plain.edit_ipynb("n)", "n + 38)", outputs=True)
    saved = run_plain.ipynb.read_bytes()
    code, text = clone("run", "plain", "--preset", "smoke")
    assert code == 0, text
    first = text.splitlines()[0]
    assert first.startswith("notebooks/plain.py: taken over from the edited .ipynb: cell 2 ('from")
    assert clone.values("plain")["n"] == 42
    # Header, other cells and markers stay; the old text is kept; Jupyter's file is not touched.
    assert run_plain.py.read_text(encoding="utf-8") == before.replace('"n", n)', '"n", n + 38)')
    assert run_plain.kept == [before]
    assert run_plain.ipynb.read_bytes() == saved
    code, text = clone("run", "plain", "--preset", "smoke")
    assert text == "plain (smoke): fresh, nothing to do\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_every_command_takes_an_edited_ipynb_over(run_plain, command):
    run_plain.edit_ipynb("# Plain", "# Plain words")
    code, text = run_plain.clone(*command)
    assert code == 0, text
    assert "taken over from the edited .ipynb: cell 0 ('# Plain words')" in text
    assert "# # Plain words\n" in run_plain.py.read_text(encoding="utf-8")
    assert "Plain words" in run_plain.ipynb.read_text(encoding="utf-8")


def test_status_calls_the_run_of_an_edited_ipynb_stale(run_plain):
    run_plain.edit_ipynb("n)", "n + 1)")
    code, text = run_plain.clone("status", "--preset", "smoke")
    assert code == 0, text
    assert re.search(r"^plain +smoke +stale .*changed: code of the notebook$", text, re.M)


def test_edits_follow_each_other_while_jupyter_stays_open(plain):
    # Jupyter writes the metadata that it read at first, so the checksum in the pair stays old.
    for old, new in (("n)", "n + 1)"), ("n + 1)", "n + 2)"), ("n + 2)", "n)"), ("n)", "n + 3)")):
        plain.edit_ipynb(old, new)
        code, text = plain.clone("parameters", "plain")
        assert code == 0, text
        assert "taken over" in text
        assert f'"n", {new}' in plain.py.read_text(encoding="utf-8")
    plain.edit_py("n + 3)", "n + 4)")  # and then one of the text
    code, text = plain.clone("pairs")
    assert (code, text) == (0, "notebooks/plain.ipynb\n")
    assert "n + 4)" in plain.ipynb.read_text(encoding="utf-8")


def test_cells_are_added_moved_tagged_and_removed(plain):
    notebook = nbformat.read(plain.ipynb, as_version=4)
    title, setup, parameters, code = notebook.cells
    assert setup.metadata.tags == ["setup", "remove-cell"]
    extra = nbformat.v4.new_code_cell("answer = 42\n\n", metadata={"tags": ["hide-input"]})
    word = nbformat.v4.new_markdown_cell("Ünïcode\n\n- and *lists*")
    notebook.cells = [setup, parameters, extra, word, title]
    nbformat.write(notebook, plain.ipynb)
    done, text = plain.clone("parameters", "plain")
    assert done == 0, text
    assert "cell 1 ('answer = 42'), cell 2 ('Ünïcode')" in text
    assert "in place of cell 2 ('from dynlib.report import record') (" in text
    assert "from dynlib.report import record" in text
    assert read_cells(plain.py) == (
        ("code", ("parameters",), parameters.source),
        ("code", ("hide-input",), "answer = 42"),
        ("markdown", (), word.source),
        ("markdown", (), title.source),
    )
    assert code.source in plain.kept[0]


def test_an_edited_py_is_run_and_gives_the_pair(run_plain):
    clone = run_plain.clone
    run_plain.edit_ipynb(outputs=True)  # run in Jupyter, not edited
    run_plain.edit_py('"n", n)', '"n", n + 38)')
    code, text = clone("run", "plain", "--preset", "smoke")
    assert code == 0, text
    assert "taken over" not in text
    assert clone.values("plain")["n"] == 42
    code, text = clone("pairs")
    assert code == 0, text
    assert text.startswith("notebooks/plain.ipynb (the outputs before are in build/pairs/plain-")
    assert "n + 38)" in run_plain.ipynb.read_text(encoding="utf-8")
    assert ["dear output" in each for each in run_plain.kept] == [True]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_where_both_are_edited_nothing_is_overwritten(run_plain, command):
    run_plain.edit_py('"n", n)', '"n", n + 1)')
    run_plain.edit_ipynb("# Plain", "# Plain words")
    files = (run_plain.py, run_plain.ipynb)
    before = [path.read_bytes() for path in files]
    code, text = run_plain.clone(*command)
    assert [path.read_bytes() for path in files] == before
    assert code == (0 if command[0] == "status" else 2)
    assert "plain.py and notebooks/plain.ipynb were both edited; nothing is overwritten" in text
    assert "the .py has cell 0 ('# Plain'), cell 2 ('from dynlib.report import record')" in text
    assert "the .ipynb has cell 0 ('# Plain words'), cell 2 (" in text
    for half in ("py", "ipynb"):
        assert f"  python -m workflow pairs --from {half} plain\n" in text


def test_another_run_does_not_mind(run_plain):
    run_plain.edit_py('"n", n)', '"n", n + 1)')
    run_plain.edit_ipynb("# Plain", "# Plain words")
    code, text = run_plain.clone("parameters", "tiny", "--preset", "smoke")
    assert code == 0, text
    assert "plain" not in text


@pytest.mark.parametrize("half", ["py", "ipynb"])
def test_a_conflict_is_settled_by_hand(plain, half):
    plain.edit_py('"n", n)', '"n", n + 1)')
    plain.edit_ipynb("# Plain", "# Plain words")
    halves = {
        "py": plain.py.read_text(encoding="utf-8"),
        "ipynb": plain.ipynb.read_text(encoding="utf-8"),
    }
    code, text = plain.clone("pairs", "--from", half, "notebooks/plain.ipynb")
    assert code == 0, text
    assert plain.kept == [halves["ipynb" if half == "py" else "py"]]
    for path in (plain.py, plain.ipynb):
        assert ("Plain words" in path.read_text(encoding="utf-8")) == (half == "ipynb")
        assert ("n + 1)" in path.read_text(encoding="utf-8")) == (half == "py")
    assert plain.clone("pairs") == (0, "all pairs are up to date\n")


def test_outputs_are_no_edit_and_are_kept(run_plain):
    run_plain.edit_ipynb(outputs=True)
    before, saved = run_plain.py.read_bytes(), run_plain.ipynb.read_bytes()
    code, text = run_plain.clone("run", "plain", "--preset", "smoke")
    assert (code, text) == (0, "plain (smoke): fresh, nothing to do\n")
    code, text = run_plain.clone("pairs")
    assert code == 0
    assert "left as it is, with its outputs" in text
    assert "python -m workflow pairs --strip plain" in text
    assert (run_plain.py.read_bytes(), run_plain.ipynb.read_bytes()) == (before, saved)
    code, text = run_plain.clone("pairs", "--strip", "plain")
    assert code == 0
    assert "the outputs before are in build/pairs/plain-" in text
    assert "dear output" in run_plain.kept[0]
    assert "dear output" not in run_plain.ipynb.read_text(encoding="utf-8")
    assert run_plain.clone("pairs") == (0, "all pairs are up to date\n")


def test_a_pair_saved_without_outputs_is_stripped_again(plain):
    before = plain.ipynb.read_bytes()
    plain.edit_ipynb()
    assert plain.ipynb.read_bytes() != before
    assert plain.clone("pairs") == (0, "notebooks/plain.ipynb\n")
    assert plain.ipynb.read_bytes() == before


@pytest.mark.parametrize("name", ["plain.py", "plain.ipynb"])
@pytest.mark.parametrize("kind", ["BOM", "CRLF", "both"])
def test_files_of_windows_editors_are_read_alike(run_plain, name, kind):
    clone, path = run_plain.clone, run_plain.py.parent / name
    stripped = run_plain.ipynb.read_bytes()
    content = path.read_bytes()
    if kind != "BOM":
        content = content.replace(b"\n", b"\r\n")
    if kind != "CRLF":
        content = b"\xef\xbb\xbf" + content
    path.write_bytes(content)
    code, text = clone("run", "plain", "--preset", "smoke")
    assert (code, text) == (0, "plain (smoke): fresh, nothing to do\n")
    code, text = clone("run", "plain", "--preset", "smoke", "--force")
    assert code == 0, text
    assert " fresh " in clone.status()["plain"]
    assert clone("pairs")[0] == 0
    assert run_plain.ipynb.read_bytes() == stripped
    run_plain.edit_ipynb("# Plain", "# Plain words")
    code, text = clone("pairs")
    assert code == 0, text
    assert "cell 0 ('# Plain words') in place of cell 0 ('# Plain') (" in text
    assert run_plain.py.read_bytes() == run_plain.py.read_bytes().lstrip(b"\xef\xbb\xbf")
    assert "# # Plain words\n" in run_plain.py.read_text(encoding="utf-8")


def test_declarations_and_claims_with_a_bom_are_read(clone, tmp_path):
    from workflow.ledger.claims import read_claims

    path = clone.root / "experiments.yml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    code, text = clone("parameters", "plain")
    assert code == 0, text
    claims = tmp_path / "claims.yml"
    claims.write_bytes(
        b"\xef\xbb\xbf- id: a\r\n  paper: tokens\r\n  place: p. 1\r\n  claim: It.\r\n"
        b"  printed: 1\r\n  scope: method\r\n  criterion: plain:n <= 5\r\n"
    )
    assert [claim.id for claim in read_claims(claims)] == ["a"]


def test_another_encoding_is_refused_in_words(clone):
    path = clone.root / "notebooks" / "plain.py"
    path.write_bytes(path.read_bytes().replace(b"# Plain", b"# Pl\xe4n"))
    before = path.read_bytes()
    for command in COMMANDS:
        code, text = clone(*command)
        assert code == 2, text
        assert re.search(
            r"^notebooks/plain.py is not UTF-8 text \(byte \d+ is 0xe4\); save", text, re.M
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ['{"cells": [', "", "[1, 2]", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}', "{}",
     '{"cells": [{"source": "x"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
     "<<<<<<< HEAD\n{}\n=======\n"],
)  # fmt: skip
def test_a_broken_pair_is_refused_in_words(run_plain, content):
    run_plain.ipynb.write_text(content, encoding="utf-8")
    before = run_plain.py.read_bytes()
    for command in (("run", "plain", "--preset", "smoke"), ("pairs",)):
        code, text = run_plain.clone(*command)
        assert code == 2, text
        assert text.startswith("notebooks/plain.ipynb is not a notebook (")
        assert "python -m workflow pairs --from py plain" in text
        assert "Traceback" not in text
    assert run_plain.ipynb.read_text(encoding="utf-8") == content
    code, text = run_plain.clone("pairs", "--from", "py", "plain")
    assert code == 0, text
    assert run_plain.py.read_bytes() == before
    assert run_plain.kept == [content]
    assert "# Plain" in run_plain.ipynb.read_text(encoding="utf-8")


def test_a_notebook_that_is_only_an_ipynb(plain):
    clone, cells = plain.clone, read_cells(plain.py)
    plain.edit_ipynb(outputs=True)
    plain.py.unlink()
    saved = plain.ipynb.read_bytes()
    way_out = "python -m workflow pairs --from ipynb plain"
    code, text = clone("run", "plain", "--preset", "smoke")
    assert code == 2
    assert (
        f"notebooks/plain.py, which is missing; to make it from the .ipynb beside it: {way_out}"
        in text
    )
    code, text = clone("pairs")
    assert code == 0
    assert f"notebooks/plain.ipynb has no .py: {way_out}" in text
    assert plain.ipynb.read_bytes() == saved
    code, text = clone("pairs", "--from", "ipynb", "plain")
    assert code == 0, text
    assert "notebooks/plain.py: written from the .ipynb" in text
    assert read_cells(plain.py) == cells
    assert "dear output" not in plain.py.read_text(encoding="utf-8")
    assert plain.ipynb.read_bytes() == saved
    plain.edit_py('"n", n)', '"n", n + 1)')  # it now has a past to compare with
    assert clone("pairs")[0] == 0
    assert "n + 1)" in plain.ipynb.read_text(encoding="utf-8")


def test_a_pair_without_a_checksum_is_never_guessed_at(plain):
    notebook = json.loads(plain.ipynb.read_text(encoding="utf-8"))
    del notebook["metadata"]["companion"]
    plain.ipynb.write_text(json.dumps(notebook), encoding="utf-8")
    plain.edit_ipynb("# Plain", "# Plain words")
    before = plain.py.read_bytes(), plain.ipynb.read_bytes()
    code, text = plain.clone("pairs")
    assert code == 2
    assert "differ, and nothing says which was edited; nothing is overwritten" in text
    assert (plain.py.read_bytes(), plain.ipynb.read_bytes()) == before


def test_pasted_pictures_stay(plain):
    notebook = nbformat.read(plain.ipynb, as_version=4)
    notebook.cells[0]["attachments"] = {"a.png": {"image/png": "aGVsbG8="}}
    nbformat.write(notebook, plain.ipynb)
    code, text = plain.clone("pairs")
    assert code == 0, text
    assert "aGVsbG8=" in plain.ipynb.read_text(encoding="utf-8")


def test_a_stamp_knows_nothing_of_pairs(run_plain):
    stamp = executed_stamps(run_plain.clone.root / "build/smoke/notebooks/plain.ipynb")[0]
    assert stamp
    code = code_checksum(read_cells(run_plain.py))
    run_plain.edit_ipynb(outputs=True)
    run_plain.edit_ipynb("# Plain", "# Plain words")
    line = run_plain.clone.status()["plain"]
    assert " fresh " in line
    assert code_checksum(read_cells(run_plain.py)) == code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "py"), "name the notebooks it is for"),
        (("plane",), "there is no notebook 'plane'; notebooks are plain, tiny"),
        (("--from", "ipynb", "tiny"), "notebooks/tiny.ipynb does not exist"),
    ],
)
def test_wrong_requests_are_refused(clone, arguments, words):
    code, text = clone("pairs", *arguments)
    assert code == 2
    assert words in text
    assert not (clone.root / "notebooks" / "tiny.ipynb").exists()


@pytest.mark.parametrize(
    "source",
    ["x = 1\n\n\n", "\n\nx = 1\r\ny = 2\r\n", "# %% no marker\nx = 1", "'''\n# %%\n'''", "\t",
     "%matplotlib inline", "!ls", "%%bash\nls", "a\x0cb", "é\u2028ü", "---\na: b\n---", "# # T"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["code", "markdown", "raw"])
@pytest.mark.parametrize("place", [0, 2, -1])
def test_any_cell_travels_and_leaves_the_others_as_they_were(source, kind, place):
    path = ROOT / "notebooks" / "your_system.py"
    text, old = read_text(path), settled(cells_of(read_notebook(path)))
    new = settled([*old[:place], (kind, source, {}), *old[place:]][: len(old)])
    content, _ = rewritten(text, old, new)
    assert settled(cells_of(jupytext.reads(content, fmt="py:percent"))) == new
    before, after = text.split("\n# %%"), content.split("\n# %%")
    assert after[0] == before[0]
    lost = {part.strip() for part in before[1:]} - {part.strip() for part in after[1:]}
    assert len(lost) <= 1
    assert rewritten(text, old, old)[0] == text


def test_the_title_of_a_cell_travels_with_it():
    text = HEADER + '# %% A step tags=["a"]\nx = 1\n'
    old = settled(cells_of(jupytext.reads(text, fmt="py:percent")))
    content, _ = rewritten(text, old, [("code", "x = 2", old[0][2])])
    assert content == text.replace("1", "2")


def test_make_passes_on_what_is_asked(tmp_path):
    spy = tmp_path / "venv" / "bin" / "python"
    spy.parent.mkdir(parents=True)
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/seen\n', encoding="utf-8")
    spy.chmod(0o755)
    for given, seen in (
        ([], []),
        (["NOTEBOOK=a b", "STRIP=1"], ["a", "b", "--strip"]),
        (["NOTEBOOK=a", "FROM=ipynb"], ["a", "--from", "ipynb"]),
    ):
        subprocess.run(
            ["make", "pairs", f"VENV={tmp_path}/venv", "PYTHON=true", *given], cwd=ROOT, check=True
        )
        assert (tmp_path / "seen").read_text(encoding="utf-8").splitlines() == [
            "-m",
            "workflow",
            "pairs",
            *seen,
        ]
