"""The form of experiments.yml: what a run or preset takes from another, then a check of it all."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workflow.errors import Refused, first_problem

#: Names of runs and notebooks become names of files.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Declared(BaseModel):
    """What takes the declared types and fields only."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Preset(Declared):
    """The settings of a run at one preset."""

    cores: int = Field(ge=1)
    gpus: int = Field(0, ge=0)
    parameters: dict[str, Any] = {}
    witness: dict[str, Any] | None = None


class Presets(Declared):
    """The settings of a run at every preset."""

    smoke: Preset
    cpu: Preset
    paper: Preset


class Declaration(Declared):
    """One run."""

    notebook: Name
    title: str
    picture: str = ""
    needs: list[Name] = []
    optional: bool = False  # made only by name
    presets: Presets


PRESETS = tuple(Presets.model_fields)


def read_declarations(content: Any) -> dict[str, Declaration]:
    """The declared runs by name, each with all that it takes from others.

    Raises Refused for a missing field, one of the wrong type, a need that no run meets, or runs
    that need or extend each other in a circle. The run and the field are named.
    """
    if not isinstance(content, Mapping) or not content:
        raise Refused("experiments.yml declares no runs: it must map names to runs")
    entries = {}
    for name, entry in _extended(content, "").items():
        if isinstance(entry, Mapping) and isinstance(presets := entry.get("presets"), Mapping):
            entry = {**entry, "presets": _extended(presets, f"{name}: ")}
        entries[name] = entry
    try:
        runs = TypeAdapter(dict[Name, Declaration]).validate_python(entries, strict=True)
    except ValidationError as error:
        raise Refused(f"experiments.yml, {first_problem(error)}") from None
    for name, run in runs.items():
        if unknown := {*run.needs} - {*runs}:
            raise Refused(f"experiments.yml, {name}: needs {min(unknown)}, which is not declared")
        if not run.optional and (left := [each for each in run.needs if runs[each].optional]):
            raise Refused(f"experiments.yml, {name}: needs {left[0]}, which is optional")
    _ordered({name: run.needs for name, run in runs.items()}, "need")
    return runs


def _extended(entries: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Entries with what they take from the one that they extend."""
    bases = {
        name: entry["extends"]
        for name, entry in entries.items()
        if isinstance(entry, Mapping) and "extends" in entry
    }
    for name, base in bases.items():
        if base not in list(entries):  # a list: what was given may not be hashable
            raise Refused(
                f"experiments.yml: {where}{name} extends {base!r:.50}, which is not there"
            )
    found = dict(entries)
    for name in _ordered({name: [base] for name, base in bases.items()}, "extend"):
        if name in bases:
            own = {key: value for key, value in entries[name].items() if key != "extends"}
            found[name] = _merged(found[bases[name]], own)
    return found


def _merged(base: Any, own: Any) -> Any:
    """What `own` gives, and of mappings also what the base gives."""
    if not isinstance(base, Mapping) or not isinstance(own, Mapping):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _ordered(graph: Mapping[str, list[str]], verb: str) -> list[str]:
    """The names, each after those that it needs or extends; Refused for a circle."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = ", ".join(reversed(error.args[1]))
        raise Refused(f"experiments.yml: runs {verb} each other in a circle: {circle}") from None
