"""The environment's bootstrap: what it writes, what it keeps, what it says when pip fails."""

import sys
from pathlib import Path

import pytest

from workflow import bootstrap

FROZEN = """numpy==2.4.6
nvidia-cublas==13.1
pip==26.0
torch==2.13.0+cpu
triton==3.8.0
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A project of two files, in which nothing is installed."""
    for name in ("requirements.lock", "pyproject.toml", bootstrap.CLUSTER):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n", encoding="utf-8")
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    return tmp_path


def fake_python(folder: Path, script: str) -> None:
    """A `python` of a virtual environment that is a shell script."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    python.chmod(0o755)


@pytest.fixture
def created(monkeypatch) -> list[tuple]:
    """Environments asked for, none of which is made."""
    calls: list[tuple] = []

    def create(folder, arguments, *words):
        calls.append((Path(folder).name, arguments))
        Path(folder).mkdir(exist_ok=True)

    monkeypatch.setattr(bootstrap, "create", create)
    return calls


def test_the_lock_leaves_cuda_and_pip_to_the_machine(root, created):
    fake_python(root / "venv", f"cat <<'END'\n{FROZEN}END")
    bootstrap.main(["--lock", str(root / "venv")])
    assert created == [("venv", ["-e", ".[book,dev]"])]
    first, *pins = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert first.startswith("#")
    assert pins == ["numpy==2.4.6", "torch==2.13.0"]


def test_an_environment_is_made_anew_only_when_lock_or_project_change(root, created):
    folder = root / "venv"
    for _ in range(2):
        bootstrap.main([str(folder)])
    assert created == [("venv", ["-c", "requirements.lock", "-e", ".[book,dev]"])]
    for name in ("requirements.lock", "pyproject.toml"):
        (root / name).write_text("changed\n", encoding="utf-8")
        bootstrap.main([str(folder)])
    assert len(created) == 3


def test_the_clusters_environment_has_a_lock_of_its_own(root, created):
    bootstrap.main(["--cluster", str(root / "cluster")])
    (root / "requirements.lock").write_text("changed\n", encoding="utf-8")
    bootstrap.main(["--cluster", str(root / "cluster")])
    assert created == [("cluster", ["-r", bootstrap.CLUSTER])]
    (root / bootstrap.CLUSTER).write_text("changed\n", encoding="utf-8")
    bootstrap.main(["--cluster", str(root / "cluster")])
    assert len(created) == 2


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: No matching distribution found for x==1", "has no build for Python"),
        ("ERROR: x: requires a different Python: 3.11", "has no build for Python"),
        ("ERROR: something else", "pip failed: ERROR: something else."),
    ],
)
def test_what_pip_says_ends_in_one_sentence(root, capsys, said, words):
    fake_python(root / "venv", f'case "$*" in *download*) exit 0;; esac\necho "{said}"\nexit 1')
    with pytest.raises(SystemExit) as end:
        bootstrap.pip(str(root / "venv"), ["x"], str(root / "log"))
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert words in text
    assert str(root / "log") in text
    assert text.count("\n") == 1


def test_an_index_that_does_not_answer_is_told_apart_from_a_package_that_is_missing(root, capsys):
    fake_python(root / "venv", 'echo "ERROR: No matching distribution found for x==1"\nexit 1')
    with pytest.raises(SystemExit):
        bootstrap.pip(str(root / "venv"), ["x"], str(root / "log"))
    assert capsys.readouterr().err.startswith("No package index can be reached")


def test_pip_that_succeeds_says_nothing(root, capsys):
    fake_python(root / "venv", 'echo "$@"')
    bootstrap.pip(str(root / "venv"), ["-e", "."], str(root / "log"))
    assert (root / "log").read_text(encoding="utf-8").endswith("install -e .\n")
    assert capsys.readouterr().err == ""


def test_a_place_where_nothing_can_be_made_is_named(root, capsys):
    (root / "file").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit):
        bootstrap.create(str(root / "file" / "venv"), [])
    text = capsys.readouterr().err
    assert text.startswith("The virtual environment cannot be created in")
    assert text.count("\n") == 1


def test_a_made_environment_leaves_no_log(root, monkeypatch):
    asked = []
    monkeypatch.setattr("venv.EnvBuilder.create", lambda _, folder: asked.append(folder))
    monkeypatch.setattr(
        bootstrap, "pip", lambda folder, arguments, log: Path(log).write_text("", encoding="utf-8")
    )
    bootstrap.create(str(root / "venv"), [])
    assert asked == [str(root / "venv")]
    assert not (root / ".setup.log").exists()


def test_a_python_without_venv_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit):
        bootstrap.check()
    assert "apt install python3-venv" in capsys.readouterr().err


def test_an_old_python_is_told_its_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 0, "final", 0))
    with pytest.raises(SystemExit):
        bootstrap.check()
    assert "Python 3.9 is too old" in capsys.readouterr().err
