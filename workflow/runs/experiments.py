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
from workflow.runs.declarations import PRESETS, Declaration, Preset, read_declarations
from workflow.runs.expressions import check, is_true
from workflow.runs.parameters import Parameter, parse_parameters, shown

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def read_notebook(path: Path) -> Any:
    """A py:percent notebook, as jupytext reads it."""
    import jupytext

    return jupytext.reads(read_text(path), fmt={"extension": ".py"})


def number_cells(notebook: Any) -> None:
    """Give the cells of a notebook ids that do not change when it is written again."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"


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


def _output(path: str) -> Any:
    """A file that a run writes, in the folder of its outputs."""
    return property(lambda run: run.folder / path.format(run.name))


@dataclass(frozen=True, eq=False)
class Run:
    """A notebook with the complete parameters of one preset."""

    name: str
    preset: str  # with a suffix of the parameters in `own`
    declaration: Declaration
    own: dict[str, Any]  # parameters that replace the preset's

    @property
    def notebook(self) -> str:
        """The name of its notebook."""
        return self.declaration.notebook

    @property
    def needs(self) -> list[str]:
        """The names of the runs that it needs."""
        return self.declaration.needs

    @property
    def settings(self) -> Preset:
        """What is declared for its preset."""
        return getattr(self.declaration.presets, self.base_preset)

    @property
    def gpus(self) -> int:
        """How many GPUs it asks for: what is declared, unless its device says otherwise."""
        device = self.parameters.get("device")
        return 0 if device == "cpu" else max(self.settings.gpus, int(device == "cuda"))

    @property
    def given(self) -> list[str]:
        """The given parameters, as a command takes them."""
        return [word for name, value in self.own.items() for word in ("-p", name, str(value))]

    @property
    def label(self) -> str:
        """The name and the given parameters."""
        return " ".join([self.name, *self.given])

    @property
    def base_preset(self) -> str:
        """The preset without the suffix of given parameters."""
        return self.preset.split("+")[0]

    @property
    def needed(self) -> list[Run]:
        """The runs that it needs, of the preset itself."""
        return load(self.base_preset, self.needs) if self.needs else []

    @property
    def source(self) -> Path:
        """The notebook's source."""
        return ROOT / "notebooks" / f"{self.notebook}.py"

    @functools.cached_property
    def cell(self) -> str:
        """The source of the cell that declares its parameters."""
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
        return parse_parameters(self.cell, f"notebooks/{self.notebook}.py")

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with its value, checked."""
        return self._checked({})

    @functools.cached_property
    def witness_parameters(self) -> dict[str, Any]:
        """The parameters of the short run (:mod:`workflow.carry.carry`)."""
        if self.settings.witness is None:
            raise Refused(
                f"{self.name} ({self.preset}) has no witness: declare `witness:` beside its "
                "parameters in experiments.yml, with the few parameters that make it short"
            )
        return self._checked(self.settings.witness)

    def _checked(self, more: dict[str, Any]) -> dict[str, Any]:
        values = {name: each.default for name, each in self.declared.items()}
        for name, value in {**self.settings.parameters, **self.own, **more}.items():
            if name not in self.declared:
                hint = _hint(str(name), self.declared, "it has")
                raise Refused(f"{self.name} has no parameter {shown(name)}; {hint}")
            values[name] = self.declared[name].check(value)
        for rule in re.findall(r"^# require: (.+)$", self.cell, re.M):
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

    executed = _output("notebooks/{}.ipynb")
    part = _output("notebooks/{}.part.ipynb")  #: that is being executed; papermill wants the ending
    failed = _output("failed/{}.ipynb")  #: the last that failed
    log = _output("logs/{}.log")  #: what the runs printed
    results = _output("results/{}.json")

    @property
    def reference(self) -> Path:
        """The committed reference results."""
        return ROOT / "results" / self.preset / f"{self.name}.json"


def _hint(name: str, known: Iterable[str], words: str) -> str:
    """What may be meant by an unknown name: the one that is near, else all."""
    near = get_close_matches(name[:80], known, n=1)
    return f"did you mean {near[0]}?" if near else f"{words} {', '.join(known)}"


def declared_runs() -> dict[str, Declaration]:
    """The content of experiments.yml."""
    try:
        return _declared(read_text(ROOT / "experiments.yml"))
    except Refused:
        raise
    except (OSError, ValueError, yaml.YAMLError) as error:
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


def check_preset(preset: str) -> None:
    """Refuse a preset that does not exist."""
    if preset not in PRESETS:
        raise Refused(f"there is no preset {shown(preset)}; presets are {', '.join(PRESETS)}")


def load(
    preset: str,
    names: list[str] | None = None,
    own: dict[str, Any] | None = None,
    *,
    optional: bool = False,
) -> list[Run]:
    """Runs of a preset, all or the named ones, in the order of experiments.yml.

    Without names, optional runs are left out unless `optional` is true. The runs that they need
    are not added. Parameters in `own` replace the preset's; the outputs
    then go to another folder, with the name of the preset and a suffix made of the parameters.

    Raises Refused for an unknown preset or run, or a parameter that its notebook refuses.
    """
    check_preset(preset)
    everything = declared_runs()
    for name in names or []:
        if name not in everything:
            raise Refused(f"there is no run {shown(name)}; {_hint(name, everything, 'runs are')}")
    label = preset
    if own:
        label = file_name(f"{preset}+" + ",".join(f"{k}={v}" for k, v in sorted(own.items())))
    wanted = [
        name
        for name, each in everything.items()
        if (name in names if names else optional or not each.optional)
    ]
    runs = [Run(name, label, everything[name], own or {}) for name in wanted]
    for run in runs:  # refuses what is wrong, here and now
        _ = run.parameters
        if run.settings.witness is not None and not own:
            _ = run.witness_parameters
    return runs
