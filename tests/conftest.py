"""Shared fixtures: a small tokenised Hénon set, and how a missing outside tool is treated."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

if "PYTEST_XDIST_WORKER" in os.environ:  # two tests at a time, with a thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests of the machinery start it in copies of the clone, where the current folder must be found.
os.environ.pop("PYTHONSAFEPATH", None)

import numpy as np
import pytest
import single_node
import torch

import workflow.cluster.engine
from dynlib.dynamics.simulate import simulate
from dynlib.dynamics.systems.henon import Henon
from dynlib.tokens.grid import Grid
from dynlib.training import checkpoint, parallel
from workflow.errors import Refused

#: Doctests are looked for in every module, but several of this name cannot be imported as modules.
collect_ignore_glob = ["*conftest.py"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Where tests run two at a time, those of a module stay together, and those of the book do.

    A module's tests share fixtures; those of the book, and of the project, this clone's files.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::")[0]
            shared = path.startswith("tests/book/") or path == "tests/test_project.py"
            return "clone" if shared else path

    return ByModule(config, log)


@pytest.fixture(scope="session")
def henon_states() -> np.ndarray:
    system = Henon()
    return simulate(system, system.initial_states(12, np.random.default_rng(5)), 3000)


@pytest.fixture(scope="session")
def henon_grid(henon_states) -> Grid:
    return Grid.fit(henon_states, 20)


@pytest.fixture(scope="session")
def henon_tokens(henon_states, henon_grid) -> np.ndarray:
    return henon_grid.encode(henon_states)


@pytest.fixture
def one_thread():
    """Sums are bitwise equal for equal threads only."""
    before = torch.get_num_threads()
    parallel.set_threads(1)
    yield
    parallel.set_threads(before)


@pytest.fixture
def artefacts_folder(tmp_path, monkeypatch) -> Path:
    """Trained artefacts go to a folder of the test's own."""
    monkeypatch.setenv("DYNLIB_ARTEFACTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def stopping(monkeypatch) -> Callable[[int], AbstractContextManager[None]]:
    """Stops the training inside ``with stopping(step)`` once that step's checkpoint is written."""

    class Stopped(Exception):
        pass

    @contextmanager
    def stop(at: int) -> Iterator[None]:
        original = checkpoint.save_step

        def save_and_stop(folder, step, tensors, state) -> None:
            original(folder, step, tensors, state)
            if step >= at:
                raise Stopped

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save_step", save_and_stop)
            with pytest.raises(Stopped):
                yield

    return stop


def absent(sentence: str) -> None:
    """Skip for want of an outside tool, or fail under STRICT=1."""
    if os.environ.get("STRICT") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        absent("Chromium is not installed (Debian: apt install chromium), so no page is opened")
    return path


@pytest.fixture(scope="session")
def snakemake() -> Path:
    """Snakemake, installed beside the environment that runs the tests."""
    try:
        return workflow.cluster.engine.snakemake()
    except Refused as error:
        absent(str(error))


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """The environment in which the commands of a SLURM of one node work."""
    if lacking := single_node.missing():
        absent(
            f"{', '.join(lacking)} not installed (Debian: apt install slurmctld slurmd munge "
            "slurm-client), so nothing goes through SLURM"
        )
    if os.geteuid() != 0:
        absent("a SLURM of one node is started by root alone, so nothing goes through SLURM")
    folder = tempfile.TemporaryDirectory(prefix="slurm-")  # short: it holds a socket
    with folder as name, single_node.cluster(Path(name)) as environment:
        yield environment


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Linux namespaces of our own: to mount a small disk, to cut the network off."""
    for option in ("-m", "-n"):
        try:
            code = subprocess.call(["unshare", option, "true"], stderr=subprocess.DEVNULL)
        except OSError:
            code = 1
        if code:
            absent(
                f"`unshare {option}` is not permitted here (it takes root), so nothing is cut off"
            )


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which axe-playwright-python carries."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None:
        absent("axe-playwright-python is not installed (pip install -e .[dev]): no page is checked")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def peer_levenberg() -> ModuleType:
    """torch-levenberg-marquardt's module of the algorithm.

    Its package imports Lightning first, for other modules: seconds that no test needs.
    """
    name = "torch_levenberg_marquardt"
    spec = importlib.util.find_spec(name)
    if spec is None:
        absent(f"{name} is not installed (pip install -e .[dev]), so no peer is compared with")
    if name not in sys.modules:
        bare = ModuleType(name)
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules[name] = bare
    return importlib.import_module(f"{name}.training")
