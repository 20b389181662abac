"""Other Pythons: how they are found, what is said of them, and that stamps are theirs too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import pythons

ROOT = Path(__file__).resolve().parents[1]
DIGESTS = """
import json
from pathlib import Path
from dynlib.training import sources
found = {
    str(path): sources.digest(path.read_text(encoding="utf-8"))
    for folder in ("dynlib", "notebooks", "workflow")
    for path in sorted(Path(folder).rglob("*.py"))
}
print(json.dumps(found))
"""


def digests(python: str) -> dict[str, str]:
    done = subprocess.run(
        [python, "-c", DIGESTS], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "python"), pythons.found().items())
def test_stamps_are_the_same_on_every_python(version, python):
    ours, theirs = digests(sys.executable), digests(python)
    differ = [name for name in ours if ours[name] != theirs[name]]
    assert differ == []


def fake(folder: Path, name: str, answer: str) -> str:
    """A program that answers as a Python does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return str(folder / name)


def test_one_python_of_each_minor_version_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(pythons, "MINORS", range(30, 33))
    monkeypatch.setattr(pythons, "OLDEST", (3, 30, 2))
    pyenv = tmp_path / "pyenv" / "versions"
    too_old = fake(pyenv / "3.30.1" / "bin", "python", "echo 3 30 1 /a")
    new = fake(pyenv / "3.30.9" / "bin", "python", "echo 3 30 9 /a")
    fake(pyenv / "3.31.0" / "bin", "python", "echo 3 31 0 /a")
    on_path = fake(tmp_path / "bin", "python3.31", "echo 3 31 4 /b")
    fake(tmp_path / "bin", "python3.32", "echo not set; exit 127")  # as a shim of pyenv
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert pythons.found() == {"3.30.9": new, "3.31.4": on_path}
    assert pythons.named([too_old]) == {"3.30.1": too_old}
    with pytest.raises(SystemExit, match=r"python3\.32 is not a Python that answers"):
        pythons.named(["python3.32"])


@pytest.mark.parametrize("fails", [False, True])
def test_a_line_a_python_says_how_it_went(tmp_path, monkeypatch, capsys, fails):
    monkeypatch.setattr(pythons, "ROOT", tmp_path)
    monkeypatch.setattr(pythons, "clone", lambda root: root.mkdir(parents=True))
    calls = []

    def call(command, **options):
        calls.append(command)
        if "pytest" in command:
            options["stdout"].write(b"12 passed, 1 skipped in 3.2s\n")
        return int(fails and command[-1] == "book")

    monkeypatch.setattr(subprocess, "call", call)
    assert pythons.main([sys.executable]) == int(fails)
    version = ".".join(map(str, sys.version_info[:3]))
    last = capsys.readouterr().out.splitlines()[-1]
    if fails:
        assert last == (
            f"Python {version}: FAILED (set-up 0 s, runs 0 s, book 0 s); "
            f"see build/pythons/{version}/log.txt"
        )
        assert len(calls) == 3
    else:
        assert last.startswith(f"Python {version}: passed (set-up 0 s, runs 0 s, book 0 s, quick")
        assert last.endswith(": 12 passed, 1 skipped in 3.2s)")
        assert f"VENV={tmp_path}/build/pythons/{version}/venv" in calls[0]
        assert calls[-1][-1] == "not slow and not slurm"


def test_the_clone_holds_the_working_tree(tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()

    def git(*arguments):
        author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)

    for name in ("kept", "edited", "removed"):
        (root / name).write_text("old", encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    (root / "edited").write_text("new", encoding="utf-8")
    (root / "removed").unlink()
    (root / "untracked").write_text("", encoding="utf-8")
    monkeypatch.setattr(pythons, "ROOT", root)
    pythons.clone(tmp_path / "clone")
    files = sorted(path.name for path in (tmp_path / "clone").iterdir())
    assert files == [".git", "edited", "kept"]
    assert (tmp_path / "clone" / "edited").read_text(encoding="utf-8") == "new"


def test_without_git_it_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(pythons, "ROOT", tmp_path / "nothing")
    with pytest.raises(SystemExit, match="needs a git repository"):
        pythons.clone(tmp_path / "clone")
