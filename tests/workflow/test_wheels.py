"""The wheels for a machine without a network: all that a run imports, in the locked versions."""

import subprocess
import sys
from pathlib import Path

import pytest

from workflow.__main__ import main
from workflow.cluster import wheels
from workflow.files import ROOT

#: What a run imports, in a process of its own: the modules of this test do not count.
IMPORTS = """
import importlib, importlib.metadata, pkgutil, sys
import dynlib, ipykernel.kernelapp, nbclient, papermill, workflow.__main__, workflow.runs.execute
for each in pkgutil.walk_packages(dynlib.__path__, "dynlib."):
    importlib.import_module(each.name)
owners = importlib.metadata.packages_distributions()
found = {name for module in list(sys.modules) for name in owners.get(module.split(".")[0], [])}
print(*(name.lower().replace("_", "-") for name in found))
"""


@pytest.mark.slow
def test_everything_that_a_run_imports_is_among_them(monkeypatch):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORTS], cwd=ROOT, capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip
    ours = set(wheels.needed())
    monkeypatch.setattr(wheels, "RUNNER", ("torch",))
    monkeypatch.setattr(wheels, "THERE", ())
    beside = {*wheels.needed(), "coverage", "linkify-it-py"}  # used where they are installed
    assert {*done.stdout.split()} <= ours | beside
    assert {"dynlib", "papermill", "pot", "transformers"} <= ours
    assert not [name for name in ours if name.startswith(("torch", "nvidia", "triton", "sphinx"))]


def test_they_have_the_versions_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower().replace("_", "-")
    pinned = dict(line.split("==") for line in lock.splitlines() if "==" in line)
    assert {name: pinned.get(name) for name in wheels.needed() if name != "dynlib"} == {
        name: version for name, version in wheels.needed().items() if name != "dynlib"
    }


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A clone's root elsewhere, and the arguments of pip, which is not started."""
    (tmp_path / "dynlib").mkdir()
    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).touch()
    calls = []

    def run(command, **_):
        calls.append(command)
        folder = Path(command[-1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(calls)}.whl").write_bytes(b"x" * 10**6)
        return subprocess.CompletedProcess(command, run.code, "Looking\nERROR: no index\n")

    run.code = 0
    monkeypatch.setattr(wheels, "ROOT", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    return tmp_path, calls, run


def test_pip_downloads_them_for_the_python_there(pip, capsys):
    root, calls, _ = pip
    old = root / "build" / "wheels" / "of-another-python.whl"
    old.parent.mkdir(parents=True)
    old.touch()
    assert main(["wheels", "--python", "3.13"]) == 0
    download, build = calls
    assert {"--only-binary=:all:", "--python-version=3.13", "--no-deps"} <= {*download}
    assert f"scipy=={wheels.needed()['scipy']}" in download
    assert not [word for word in download if word.startswith(("dynlib", "torch"))]
    assert build[build.index("pip") + 2] == "wheel"
    assert not old.exists()
    text = capsys.readouterr().out
    assert f"{len(wheels.needed())} packages, 2 MB" in text
    assert "--no-index --no-deps WHEELS/*.whl" in text


def test_what_pip_cannot_do_is_refused(pip, capsys):
    pip[2].code = 1
    assert main(["wheels"]) == 2
    assert capsys.readouterr().err == "pip could not make the wheels: ERROR: no index\n"
    assert main(["wheels", "--python", "python3"]) == 2
    assert "must be a version such as 3.12, got 'python3'" in capsys.readouterr().err
    assert len(pip[1]) == 1
