"""The declared runs, each with the complete parameters of a preset."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from workflow.errors import Refused
from workflow.files import ROOT, cached_by_file, read_text
from workflow.runs.declarations import PRESETS, Declaration, read_declarations
from workflow.runs.expressions import check, is_true
from workflow.runs.parameters import Parameter, parse_parameters, shown


def read_notebook(path: Path) -> Any:
    """A py:percent notebook, as jupytext reads it."""
    import jupytext

    return jupytext.reads(read_text(path), fmt={"extension": ".py"})


@cached_by_file
def read_cells(path: Path) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    """Cells of a py:percent notebook as (kind, tags, source), markdown unwrapped by jupytext.

    Raises Refused if a code cell is not Python.
    """
    cells = read_notebook(path).cells
    for number, cell in enumerate(cells):
        if cell.cell_type == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                line = (error.text or "").strip()
                raise Refused(
                    f"notebooks/{path.name}, cell {number}: {error.msg} in {line!r}"
                ) from None
    return tuple(
        (cell.cell_type, tuple(cell.metadata.get("tags", ())), cell.source) for cell in cells
    )


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
    witness: tuple[tuple[str, Any], ...] | None = None

    @property
    def label(self) -> str:
        """The name and the given parameters."""
        return " ".join([self.name, *self.given])

    @property
    def given(self) -> list[str]:
        """The given parameters, as a command takes them."""
        return [word for name, value in self.own for word in ("-p", name, str(value))]

    @property
    def base_preset(self) -> str:
        """The preset without the suffix of given parameters."""
        return self.preset.split("+")[0]

    @property
    def needed(self) -> list[Run]:
        """The runs that it needs, of the preset itself."""
        return load(self.base_preset, list(self.needs)) if self.needs else []

    @property
    def source(self) -> Path:
        """The notebook's source."""
        return ROOT / "notebooks" / f"{self.notebook}.py"

    @functools.cached_property
    def _cell(self) -> str:
        if not self.source.exists():
            missing = f"{self.name} needs notebooks/{self.notebook}.py, which is missing"
            if self.source.with_suffix(".ipynb").exists():
                command = f"python -m workflow pairs --from ipynb {self.notebook}"
                missing += f"; to make it from the .ipynb beside it: {command}"
            raise Refused(missing)
        for kind, tags, source in read_cells(self.source):
            if kind == "code" and "parameters" in tags:
                return source
        raise Refused(f"notebooks/{self.notebook}.py has no cell tagged 'parameters'")

    @functools.cached_property
    def declared(self) -> dict[str, Parameter]:
        """Parameters that the notebook declares."""
        return parse_parameters(self._cell, f"notebooks/{self.notebook}.py")

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with its value, checked."""
        return self._checked(self.overrides)

    @functools.cached_property
    def witness_parameters(self) -> dict[str, Any]:
        """The parameters of the short run (:mod:`workflow.carry.carry`)."""
        if self.witness is None:
            raise Refused(
                f"{self.name} ({self.preset}) has no witness: declare `witness:` beside its "
                "parameters in experiments.yml, with the few parameters that make it short"
            )
        return self._checked((*self.overrides, *self.witness))

    def _checked(self, overrides: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        values = {name: each.default for name, each in self.declared.items()}
        for name, value in overrides:
            if name not in self.declared:
                near = get_close_matches(str(name)[:80], self.declared, n=1)
                hint = f"did you mean {near[0]}?" if near else "it has " + ", ".join(self.declared)
                raise Refused(f"{self.name} has no parameter {shown(name)}; {hint}")
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
        """Where the outputs go: the preset's folder, or another one for given parameters."""
        return ROOT / "build" / self.preset

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / "notebooks" / f"{self.name}.ipynb"

    @property
    def part(self) -> Path:
        """The notebook that is being executed."""
        return self.executed.with_suffix(".part.ipynb")  # papermill wants the ending

    @property
    def failed(self) -> Path:
        """The last notebook that failed."""
        return self.folder / "failed" / f"{self.name}.ipynb"

    @property
    def log(self) -> Path:
        """What the runs printed."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def results(self) -> Path:
        """The results file."""
        return self.folder / "results" / f"{self.name}.json"

    @property
    def reference(self) -> Path:
        """The committed reference results."""
        return ROOT / "results" / self.preset / f"{self.name}.json"


def declared_runs() -> dict[str, Declaration]:
    """The content of experiments.yml."""
    path = ROOT / "experiments.yml"
    try:
        return _declared(read_text(path))
    except (OSError, ValueError, yaml.YAMLError) as error:
        if isinstance(error, Refused):
            raise
        words = " ".join(str(error).split())
        raise Refused(f"experiments.yml cannot be read: {words}") from None


@functools.lru_cache(maxsize=1)
def _declared(text: str) -> dict[str, Declaration]:
    return read_declarations(yaml.safe_load(text))


def file_name(text: str) -> str:
    """A text as a name of a file, short and without special characters."""
    name = re.sub(r"[^\w.,=+-]", "_", text)
    if len(name) > 80:
        name = f"{name[:68]}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:11]}"
    return name


def load(
    preset: str, names: list[str] | None = None, own: dict[str, Any] | None = None
) -> list[Run]:
    """Runs of a preset, all or the named ones, in the order of experiments.yml.

    The runs that they need are not added. Parameters in `own` replace the preset's; the outputs
    then go to another folder, with the name of the preset and a suffix made of the parameters.

    Raises Refused for an unknown preset or run, or a parameter that its notebook refuses.
    """
    if preset not in PRESETS:
        raise Refused(f"there is no preset {shown(preset)}; presets are {', '.join(PRESETS)}")
    everything = declared_runs()
    for name in names or []:
        if name not in everything:
            near = get_close_matches(name[:80], everything, n=1)
            hint = f"did you mean {near[0]}?" if near else f"runs are {', '.join(everything)}"
            raise Refused(f"there is no run {shown(name)}; {hint}")
    label = preset
    if own:
        label = file_name(f"{preset}+" + ",".join(f"{k}={v}" for k, v in sorted(own.items())))
    runs = []
    for name, entry in everything.items():
        if names and name not in names:
            continue
        settings = getattr(entry.presets, preset)
        values = {**settings.parameters, **(own or {})}
        run = Run(
            name=name,
            notebook=entry.notebook,
            preset=label,
            title=entry.title,
            needs=tuple(entry.needs),
            cores=settings.cores,
            picture=entry.picture,
            overrides=tuple(values.items()),
            own=tuple((own or {}).items()),
            gpus=settings.gpus,
            witness=None if settings.witness is None else tuple(settings.witness.items()),
        )
        runs.append(run)
    for run in runs:  # refuses what is wrong, here and now
        _ = run.parameters
        if run.witness is not None and not own:
            _ = run.witness_parameters
    return runs
