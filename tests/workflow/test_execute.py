"""What a run asks of the machine: git's word on the commit, a short folder, an environment."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from workflow import files
from workflow.errors import Refused
from workflow.files import ROOT
from workflow.runs import execute, schedule
from workflow.runs.experiments import load


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A git repository of one commit in the clone's place."""
    root = tmp_path / "a folder"
    (root / "dynlib").mkdir(parents=True)
    (root / "dynlib" / "a.py").write_text("x = 1\n", encoding="utf-8")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    monkeypatch.setattr(files, "ROOT", root)
    return root


def test_a_clean_clone_names_its_commit(repository):
    assert files.no_commit() == ""
    assert len(files.commit()) == 40
    assert not files.is_dirty()
    assert files.unclean({"dirty": False, "commit": files.commit()}) == ""
    (repository / "dynlib" / "a.py").write_text("x = 2\n", encoding="utf-8")
    assert files.is_dirty()
    said = files.unclean({"dirty": True, "commit": files.commit()})
    assert said.startswith("was run from a tree with uncommitted changes; commit them")


def test_a_folder_without_git_is_said_to_be_one(repository):
    shutil.rmtree(repository / ".git")
    assert files.commit() is None
    assert files.is_dirty()
    said = files.unclean({"dirty": True, "commit": None})
    assert "not a git repository" in said
    assert "git clone" in said
    assert "uncommitted" not in said


def test_the_commit_of_a_repository_around_it_is_not_its_own(repository, monkeypatch):
    """An unpacked ZIP may lie, ignored, in somebody's repository."""
    (repository / ".gitignore").write_text("inner\n", encoding="utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "two")
    (repository / "inner" / "dynlib").mkdir(parents=True)
    monkeypatch.setattr(files, "ROOT", repository / "inner")
    assert files.commit() is None
    assert files.is_dirty()
    assert "not a git repository" in files.no_commit()


def test_a_clone_of_another_user_says_what_git_wants(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert files.commit() is None
    assert files.is_dirty()
    said = files.unclean({"dirty": True, "commit": None})
    assert "belongs to another user" in said
    assert f"git config --global --add safe.directory '{repository}'" in said


def test_a_machine_without_git_says_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert files.commit() is None
    assert files.is_dirty()
    assert "git is not installed" in files.unclean({"dirty": True, "commit": None})


def test_a_repository_without_a_commit_gives_gits_words(repository):
    shutil.rmtree(repository / ".git")
    git(repository, "init", "-q")
    assert files.commit() is None
    assert files.no_commit().startswith("fatal: ")


def test_a_run_made_without_git_is_run_again_where_there_is_git(repository):
    said = files.unclean({"dirty": True, "commit": None})
    assert said == "was run where git named no commit; run it again"


@pytest.mark.parametrize("length", [10, 86, 87, 100, 200])
def test_the_folder_of_sockets_is_short_enough(tmp_path, monkeypatch, length):
    base = Path(tempfile.mkdtemp(dir="/tmp", prefix="s"))
    try:
        place = base / ("x" * max(1, length - len(str(base)) - 1))
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        folder = execute.scratch_folder()
        assert len(os.fsencode(folder / "k-99999")) <= 107
        assert (folder.parent == place) == (length <= 86)
        folder.rmdir()
    finally:
        shutil.rmtree(base)


def test_without_a_short_folder_a_run_is_refused(tmp_path, monkeypatch):
    def nowhere(**_):
        raise PermissionError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    with pytest.raises(Refused, match="set TMPDIR to a folder of at most 80 characters"):
        execute.scratch_folder()


def test_processes_that_we_start_import_this_clone_and_speak_utf8(monkeypatch, tmp_path):
    """Even where Python does not look into the current folder, or the locale is plain ASCII."""
    for name, value in (
        ("PYTHONSAFEPATH", "1"), ("PYTHONPATH", "elsewhere"), ("LC_ALL", "C"),
        ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONIOENCODING", "ascii"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    (run,) = load("smoke", ["henon_tokens"])
    started = {}

    def keep(command, **options):
        started.update(options, command=command)

    monkeypatch.setattr(subprocess, "Popen", keep)
    monkeypatch.setattr(type(run), "folder", tmp_path)
    schedule.start(run, 1, tmp_path)
    monkeypatch.undo()
    code = "import workflow, sys; print(workflow.__file__, sys.flags.utf8_mode, 'ö')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=started["cwd"], env=started["env"], capture_output=True
    )
    assert done.stdout.decode("utf-8") == f"{ROOT / 'workflow' / '__init__.py'} 1 ö\n", done.stderr


def test_seconds_of_a_notebook_are_kept_by_section():
    """A section without code is not in it; two of one name are one; an error has no duration."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    def code(seconds):
        return new_code_cell("1", metadata={"papermill": {"duration": seconds}} if seconds else {})

    cells = [
        new_markdown_cell("# Title\n\nWords."), code(1.0),
        new_markdown_cell("## Empty\n\n## Training ##2  \n\nWords."), code(60.3), code(None),
        new_markdown_cell("### Below it"), code(2.0),
        new_markdown_cell("## Rollouts"), code(30.0),
        new_markdown_cell("## Training ##2"), code(0.5),
    ]  # fmt: skip
    found = execute.sections(new_notebook(cells=cells))
    assert found == {"start": 1.0, "Training ##2": 62.8, "Rollouts": 30.0}
