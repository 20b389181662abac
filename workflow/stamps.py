"""Stamps: what a run depends on, as one checksum that is the same on every clone."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dynlib import sources
from workflow.experiments import ROOT, Refused, Run, load, read_cells

#: Import names that differ from the name of their distribution in the lock.
DISTRIBUTIONS = {"ot": "pot", "IPython": "ipython", "yaml": "pyyaml", "sklearn": "scikit-learn"}


def normalise(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def locked() -> dict[str, str]:
    """Versions in requirements.lock by normalised name."""
    path = ROOT / "requirements.lock"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Refused(f"requirements.lock cannot be read: {error}") from None
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {normalise(name.strip()): version.strip() for name, version in pins}


def versions(imported: set[str]) -> dict[str, str]:
    """Locked versions of the distributions that give these top-level import names."""
    found = {}
    for name in sorted(imported):
        distribution = normalise(DISTRIBUTIONS.get(name, name))
        if distribution in locked():
            found[distribution] = locked()[distribution]
        else:
            raise Refused(
                f"{name!r} is imported but not in requirements.lock; add it to pyproject.toml and "
                "run `make lock` (or add its distribution's name to workflow/stamps.py)"
            )
    return found


def code_checksum(cells: Iterable[tuple[str, tuple[str, ...], str]]) -> str:
    """Checksum of the code of a notebook's cells, given as (kind, tags, source)."""
    text = json.dumps([sources.canonical(tree) for tree in _trees(cells)])
    return hashlib.sha256(text.encode()).hexdigest()


def _trees(cells: Iterable[tuple[str, tuple[str, ...], str]]) -> list[ast.Module]:
    # The setup cell only checks the installation; like markdown, it changes no result.
    return [ast.parse(text) for kind, tags, text in cells if kind == "code" and "setup" not in tags]


@functools.cache
def _notebook(path: Path, stamp: tuple[int, int]) -> tuple[str, frozenset[str], frozenset[str]]:
    cells = read_cells(path)
    named = [sources.imports(tree) for tree in _trees(cells)]
    modules = frozenset().union(*(each[0] for each in named))
    others = frozenset().union(*(each[1] for each in named))
    return code_checksum(cells), modules, others


def inputs(run: Run) -> dict[str, Any]:
    """Everything a run depends on, named, so that a changed stamp can be explained.

    The notebook's code, its parameters, the sources of the dynlib modules that it imports at
    any depth, the locked versions of what these import, and the stamps of the runs that it
    needs. Comments, docstrings and markdown are no part of it.
    """
    status = run.source.stat()
    code, modules, others = _notebook(run.source, (status.st_mtime_ns, status.st_size))
    needed = load(run.preset.split("+")[0], list(run.needs)) if run.needs else []
    try:
        used, named = sources.closure(modules), sources.distributions(modules)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise Refused(
            f"a module of dynlib that {run.name} imports: {error.msg} in {line!r}"
        ) from None
    return {
        "notebook": code,
        "parameters": run.parameters,
        "modules": used,
        "versions": versions(set(others) | named),
        "needs": {each.name: stamp(each) for each in needed},
    }


def stamp(run: Run) -> str:
    """The checksum of :func:`inputs`."""
    return hashlib.sha256(json.dumps(inputs(run), sort_keys=True).encode()).hexdigest()


def changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In words, what differs between two :func:`inputs`."""
    reasons = []
    if old.get("notebook") != new["notebook"]:
        reasons.append("code of the notebook")
    for part, word in (
        ("parameters", ""),
        ("modules", ""),
        ("versions", "version of "),
        ("needs", "run "),
    ):
        before, after = old.get(part, {}), new[part]
        names = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
        reasons += [f"{word}{name}" for name in names]
    shown = ", ".join(reasons[:6]) + (f" and {len(reasons) - 6} more" if len(reasons) > 6 else "")
    return shown or "stamp of an older version of the runner"
