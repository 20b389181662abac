"""The form of experiments.yml, checked before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from workflow.errors import Refused

NAME = re.compile(r"[a-z][a-z0-9_]*")  # of runs and notebooks: they become names of files


def check_declarations(content: Any, presets: Sequence[str]) -> None:
    """Refuse what is no declaration of runs, naming the run and the field.

    Raises
    ------
    Refused
        For a missing field, a field of the wrong type, a need that no run meets, or needs that
        go round in a circle.
    """
    if not isinstance(content, Mapping) or not content:
        raise Refused("experiments.yml declares no runs: it must map names to runs")
    for name, entry in content.items():
        _name(name, "a run")
        where = f"experiments.yml, {name}"
        fields = _mapping(entry, where)
        _name(fields.get("notebook"), f"{where}: notebook")
        if not isinstance(fields.get("title"), str):
            raise Refused(f"{where}: title must be text, got {fields.get('title')!r}")
        needs = fields.get("needs")
        if not isinstance(needs, list):
            raise Refused(f"{where}: needs must be a list of runs, got {needs!r}")
        for needed in needs:
            if needed not in content:
                raise Refused(f"{where}: needs {needed!r}, which is not declared")
        declared = _mapping(fields.get("presets"), f"{where}: presets")
        for preset in presets:
            settings = _mapping(declared.get(preset), f"{where}: preset {preset}")
            cores = settings.get("cores")
            if type(cores) is not int or cores < 1:
                raise Refused(f"{where}: cores of {preset} must be 1 or more, got {cores!r}")
            _mapping(settings.get("parameters"), f"{where}: parameters of {preset}")
            _mapping(settings.get("witness", {}), f"{where}: witness of {preset}")
    for name in content:
        _follow(name, content, ())


def _mapping(value: Any, where: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise Refused(f"{where} must map names to values, got {value!r:.60}")
    return value


def _name(value: Any, what: str) -> None:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Refused(f"{what} must be named in lower case letters, digits and _, got {value!r}")


def _follow(name: str, content: Mapping, before: tuple[str, ...]) -> None:
    if name in before:
        raise Refused(f"experiments.yml: {' needs '.join([*before, name])}, which never ends")
    for needed in content[name]["needs"]:
        _follow(needed, content, (*before, name))
