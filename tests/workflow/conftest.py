"""Fixtures: the tiny clone, with and without a run made, and the two ways to schedule."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from clones import ROOT, Clone, make_clone
from projects import Project, make_project


@dataclass(frozen=True)
class Scheduler:
    """A profile, as ``--profile`` takes it, and the environment in which it works."""

    profile: str
    environment: dict[str, str]


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def scheduler(request, tmp_path, snakemake) -> Scheduler:
    """Snakemake here, and through SLURM with the profile that we ship.

    Of that, the line for clusters without accounting is made active, and it asks more often.
    """
    if request.param == "local":
        return Scheduler("local", {})
    text = (ROOT / "workflow" / "cluster" / "profiles" / "slurm" / "config.yaml").read_text(
        encoding="utf-8"
    )
    for old, new in (
        ("# slurm-status-command: squeue", "slurm-status-command: squeue"),
        ("before-status-checks: 20", "before-status-checks: 2"),
    ):
        assert old in text
        text = text.replace(old, new)
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return Scheduler(str(folder), request.getfixturevalue("slurm"))


@pytest.fixture
def clone(tmp_path) -> Clone:
    return make_clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def _with_plain(tmp_path_factory) -> Clone:
    once = make_clone(tmp_path_factory.mktemp("once") / "clone")
    code, text = once("run", "plain", "--preset", "smoke")
    assert code == 0, text
    return once


@pytest.fixture
def made(_with_plain, tmp_path) -> Clone:
    """A clone whose run `plain` is done at smoke."""
    return _with_plain.copy(tmp_path / "clone")


@pytest.fixture(scope="session")
def _with_reference(tmp_path_factory) -> Project:
    return make_project(tmp_path_factory.mktemp("carried") / "clone")


@pytest.fixture
def project(_with_reference, tmp_path) -> Project:
    """A clone under git whose run `toy` has a reference."""
    return Project(_with_reference.copy(tmp_path / "clone").root)
