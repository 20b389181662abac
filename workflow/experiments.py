"""The declared runs, and the parameters that their notebooks accept.

A notebook declares its parameters in the cell tagged ``parameters``, one a line::

    n_cells: int = 50  # [2..1000] cells per axis

name, type, default, what is allowed (an interval, or ``{a, b}`` for text) and help. What
parameters must satisfy together stands in the same cell::

    # require: width % heads == 0

All of it is read here without starting a kernel, and everything else is refused.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from workflow.expressions import Refused, check, is_true

ROOT = Path(__file__).resolve().parents[1]
PRESETS = ("smoke", "cpu", "paper")
TYPES = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook, as its cell declares it."""

    name: str
    type: str
    default: Any
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    help: str

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.type == "bool":
            return "true or false"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = {"int": "a whole number", "float": "a number", "str": "text"}[self.type]
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:g} to {self.high:g}"
        return f"{kind} of {self.low:g} or more" if self.low is not None else kind

    def check(self, value: Any) -> Any:
        """The value in the declared type, or :class:`Refused`.

        Text (from a command line) is read strictly: ``"hot"``, ``"1_0"`` and ``"1e3"`` are
        no int, ``"yes"`` is no bool.
        """
        problem = Refused(f"parameter {self.name}={value!r}: it must be {self.allowed}")
        if isinstance(value, str) and self.type != "str":
            patterns = {"int": r"[+-]?\d+", "float": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"}
            if self.type == "bool":
                if value not in ("true", "false"):
                    raise problem
                return value == "true"
            if not re.fullmatch(patterns[self.type], value):
                raise problem
            value = int(value) if self.type == "int" else float(value)
        if self.type == "float" and type(value) is int:
            value = float(value)
        if type(value) is not TYPES[self.type]:
            raise problem
        if self.choices and value not in self.choices:
            raise problem
        if self.type in ("int", "float"):
            low, high = self.low, self.high
            outside = (low is not None and value < low) or (high is not None and value > high)
            if not math.isfinite(value) or outside:
                raise problem
        return value


def read_cells(path: Path) -> list[tuple[str, tuple[str, ...], str]]:
    """Cells of a py:percent notebook as (kind, tags, source), markdown unwrapped by jupytext."""
    import jupytext

    notebook = jupytext.read(path)
    return [
        (cell.cell_type, tuple(cell.metadata.get("tags", ())), cell.source)
        for cell in notebook.cells
    ]


def parse_parameters(source: str, where: str) -> dict[str, Parameter]:
    """Parameters declared by the source of a ``parameters`` cell.

    Raises
    ------
    Refused
        If a line is not of the form ``name: type = default  # [low..high] help``.
    """
    lines = source.splitlines()
    found: dict[str, Parameter] = {}
    for node in ast.parse(source).body:
        line = lines[node.lineno - 1]
        comment = line.partition("  # ")[2].strip()
        try:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                raise ValueError("no annotated assignment")
            kind = ast.unparse(node.annotation)
            default = ast.literal_eval(node.value)
            if kind not in TYPES:
                raise ValueError(f"type {kind} is none of {', '.join(TYPES)}")
            interval = re.match(r"\[([^\].]*(?:\.\d+)?)\.\.([^\]]*)\]\s*(.*)", comment)
            listed = re.match(r"\{([^}]*)\}\s*(.*)", comment)
            low = high = None
            choices: tuple[str, ...] = ()
            if kind in ("int", "float"):
                if not interval:
                    raise ValueError("no interval [low..high] in its comment")
                low = float(interval[1]) if interval[1] else None
                high = float(interval[2]) if interval[2] else None
                help_text = interval[3]
            elif kind == "str":
                if not listed:
                    raise ValueError("no choices {a, b} in its comment")
                choices = tuple(item.strip() for item in listed[1].split(","))
                help_text = listed[2]
            else:
                help_text = comment
            if not help_text:
                raise ValueError("no help in its comment")
            name = node.target.id
            parameter = Parameter(name, kind, default, low, high, choices, help_text)
            found[name] = Parameter(
                name, kind, parameter.check(default), low, high, choices, help_text
            )
        except (ValueError, TypeError) as error:
            raise Refused(f"{where}: the parameters cell says {line.strip()!r}: {error}") from None
    return found


@dataclass(frozen=True)
class Run:
    """A notebook with the complete parameters of one preset."""

    name: str
    notebook: str
    preset: str
    title: str
    needs: tuple[str, ...]
    cores: int
    picture: str
    overrides: tuple[tuple[str, Any], ...]
    own: tuple[tuple[str, Any], ...] = ()
    gpus: int = 0

    @property
    def label(self) -> str:
        """The name, with the parameters of one's own."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.own)])

    @property
    def source(self) -> Path:
        """The notebook's source."""
        return ROOT / "notebooks" / f"{self.notebook}.py"

    @cached_property
    def _cell(self) -> str:
        if not self.source.exists():
            raise Refused(f"{self.name} needs notebooks/{self.notebook}.py, which is missing")
        for kind, tags, source in read_cells(self.source):
            if kind == "code" and "parameters" in tags:
                return source
        raise Refused(f"notebooks/{self.notebook}.py has no cell tagged 'parameters'")

    @cached_property
    def declared(self) -> dict[str, Parameter]:
        """Parameters that the notebook declares."""
        return parse_parameters(self._cell, f"notebooks/{self.notebook}.py")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with its value, checked."""
        values = {name: each.default for name, each in self.declared.items()}
        for name, value in self.overrides:
            if name not in self.declared:
                near = get_close_matches(name, self.declared, n=1)
                hint = f"did you mean {near[0]}?" if near else "it has " + ", ".join(self.declared)
                raise Refused(f"{self.name} has no parameter {name!r}; {hint}")
            values[name] = self.declared[name].check(value)
        for rule in re.findall(r"^# require: (.+)$", self._cell, re.M):
            check(rule, values)
            if not is_true(rule, values):
                given = ", ".join(
                    f"{n}={v}" for n, v in values.items() if re.search(rf"\b{n}\b", rule)
                )
                raise Refused(f"{self.name} requires {rule}; got {given}")
        return values

    @property
    def folder(self) -> Path:
        """Where the outputs go: the preset's own folder, or one apart for own parameters."""
        return ROOT / "build" / self.preset

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / "notebooks" / f"{self.name}.ipynb"

    @property
    def results(self) -> Path:
        """The results file."""
        return self.folder / "results" / f"{self.name}.json"

    @property
    def reference(self) -> Path:
        """The committed reference results."""
        return ROOT / "results" / self.preset / f"{self.name}.json"


def declared_runs() -> dict[str, dict[str, Any]]:
    """The content of experiments.yml."""
    path = ROOT / "experiments.yml"
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Refused(f"experiments.yml cannot be read: {error}") from None
    return content


def load(
    preset: str, names: list[str] | None = None, own: dict[str, Any] | None = None
) -> list[Run]:
    """Runs of a preset, all or the named ones, in the order of experiments.yml.

    Parameters
    ----------
    preset : str
        One of :data:`PRESETS`.
    names : list of str, optional
        Runs wanted; all by default. What they need is not added.
    own : dict, optional
        Parameters that replace the preset's; such runs get the preset's name with a suffix
        made of the parameters, and never touch the preset's outputs.

    Raises
    ------
    Refused
        For an unknown preset or run, or a parameter that its notebook refuses.
    """
    if preset not in PRESETS:
        raise Refused(f"there is no preset {preset!r}; presets are {', '.join(PRESETS)}")
    everything = declared_runs()
    for name in names or []:
        if name not in everything:
            near = get_close_matches(name, everything, n=1)
            hint = f"did you mean {near[0]}?" if near else f"runs are {', '.join(everything)}"
            raise Refused(f"there is no run {name!r}; {hint}")
    label = preset
    if own:
        text = ",".join(f"{key}={value}" for key, value in sorted(own.items()))
        label += "+" + re.sub(r"[^\w.,=-]", "_", text)
        if len(label) > 80:
            label = f"{label[:68]}-{hashlib.sha256(text.encode()).hexdigest()[:11]}"
    runs = []
    for name, entry in everything.items():
        if names and name not in names:
            continue
        settings = entry["presets"][preset]
        values = {**settings["parameters"], **(own or {})}
        run = Run(
            name=name,
            notebook=entry["notebook"],
            preset=label,
            title=entry["title"],
            needs=tuple(entry["needs"]),
            cores=settings["cores"],
            picture=entry.get("picture", ""),
            overrides=tuple(values.items()),
            own=tuple((own or {}).items()),
            gpus=settings.get("gpus", 0),
        )
        runs.append(run)
    _ = [run.parameters for run in runs]  # refuses what is wrong, here and now
    return runs
