"""Stamps: what a run depends on, as one checksum that is the same on every clone."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from dynlib.training import sources
from workflow.errors import Refused
from workflow.files import ROOT, cached_by_file, checksum
from workflow.runs.experiments import Run, read_cells

#: Import names that differ from the name of their distribution in the lock.
DISTRIBUTIONS = {"ot": "pot", "IPython": "ipython", "yaml": "pyyaml", "sklearn": "scikit-learn"}


@functools.cache
def locked() -> dict[str, str]:
    """Versions in requirements.lock by the name that package indexes compare."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name.strip()): version.strip() for name, version in pins}


def versions(imported: set[str]) -> dict[str, str]:
    """Locked versions of the distributions that give these top-level import names."""
    names = {canonicalize_name(DISTRIBUTIONS.get(name, name)): name for name in sorted(imported)}
    for distribution, name in names.items():
        if distribution not in locked():
            raise Refused(
                f"{name!r} is imported but not in requirements.lock; add it to pyproject.toml and "
                "run `make lock` (or add its distribution's name to workflow/runs/stamps.py)"
            )
    return {distribution: locked()[distribution] for distribution in names}


Cells = Iterable[tuple[str, tuple[str, ...], str]]

#: Tag of a cell that only draws or describes what other cells computed.
VIEW = "view"


def split(cells: Cells) -> tuple[ast.Module, ast.Module]:
    """A notebook's code that computes, and its code that only shows.

    The setup cell belongs to neither: it only checks the installation. An import belongs to the
    code that computes if that code uses its name, else to the other.

    Raises Refused if a cell tagged ``view`` records a metric, or sets a name that computing code
    reads afterwards: then numbers could depend on it.
    """
    computing: list[ast.stmt] = []
    showing: list[ast.stmt] = []
    imported: list[ast.stmt] = []
    shown: set[str] = set()  # names whose last value a view cell has set
    later: set[str] = set()  # names that computing functions read whenever they are called
    for kind, tags, text in cells:
        if kind != "code" or "setup" in tags:
            continue
        tree = ast.parse(text)
        named = [s for s in tree.body if isinstance(s, (ast.Import, ast.ImportFrom))]
        tree.body = [s for s in tree.body if not isinstance(s, (ast.Import, ast.ImportFrom))]
        imported += [single for statement in named for single in _singly(statement)]
        bound = {name for statement in tree.body for name in _bound(statement)}
        if VIEW in tags:
            calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
            if found := calls & {"record.metric", "record.context"}:
                raise Refused(
                    f"a cell tagged 'view' calls {min(found)}; remove the tag: {text:.60}"
                )
            if bound & later:
                raise _unsafe(bound & later, text)
            shown |= bound
            showing += tree.body
        else:
            for statement in tree.body:
                if read := shown & _read(statement):
                    raise _unsafe(read, text)
                shown -= _bound(statement)
                for each in _functions(statement):
                    later |= _read(each)
            computing += tree.body
    mine = used_imports(imported, computing)
    theirs = [each for each in imported if each not in mine]
    return (
        ast.Module(body=[*mine, *computing], type_ignores=[]),
        ast.Module(body=[*theirs, *showing], type_ignores=[]),
    )


def used_imports(imported: list[ast.stmt], code: list[ast.stmt]) -> list[ast.stmt]:
    """The imports, each of one name, whose name some code uses."""
    used = {n.id for each in code for n in ast.walk(each) if isinstance(n, ast.Name)}

    def name(statement: Any) -> str:
        (alias,) = statement.names
        return alias.asname or alias.name.split(".")[0]

    return [each for each in imported if name(each) in used]


def _unsafe(names: set[str], text: str) -> Refused:
    return Refused(
        f"code that computes reads {min(names)}, which a cell tagged 'view' sets; remove that tag, "
        f"or set the name in a cell that computes (seen at the cell {text[:60]!r})"
    )


def _singly(statement: ast.Import | ast.ImportFrom) -> Iterable[ast.stmt]:
    """An import of several names as one statement per name."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            yield ast.copy_location(ast.Import(names=[alias]), statement)
        else:
            single = ast.ImportFrom(statement.module, [alias], statement.level)
            yield ast.copy_location(single, statement)


def _functions(node: ast.AST) -> Iterable[ast.AST]:
    """The outermost functions in a piece of code; what is inside them sees their variables."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _functions(child)


def _bound(statement: ast.AST) -> set[str]:
    """Names that a statement sets, its own loops' and functions' included."""
    names = {n.id for n in ast.walk(statement)
             if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
    defined = {n.name for n in ast.walk(statement) if isinstance(n, sources.DEFINITIONS)}
    return names | defined


def _read(statement: ast.AST) -> set[str]:
    """Names that a statement reads and that were set before it."""
    names = {n.id for n in ast.walk(statement)
             if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}  # fmt: skip
    own = {n.arg for n in ast.walk(statement) if isinstance(n, ast.arg)}
    scoped = [n for n in ast.walk(statement) if not isinstance(n, (ast.Assign, ast.AugAssign))]
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)):
        scoped = [n.target for n in scoped if isinstance(n, ast.comprehension)]
    return names - own - {name for each in scoped for name in _bound(each)}


def code_checksum(cells: Cells) -> str:
    """Checksum of the code of a notebook's cells that compute."""
    return checksum(sources.canonical(split(cells)[0]))


@cached_by_file
def read_notebook(path: Path) -> list[tuple[str, set[str], set[str]]]:
    """Checksum, dynlib modules and other imports of a notebook's two kinds of code."""
    trees = split(read_cells(path))
    return [(checksum(sources.canonical(tree)), *sources.imports(tree)) for tree in trees]


def inputs(run: Run) -> dict[str, Any]:
    """Everything that a run's numbers depend on, named, so that a changed stamp can be explained.

    The notebook's code that computes, its parameters, the sources of the dynlib modules that
    this imports at any depth, the locked versions of what these import, and the stamps of the
    runs that it needs. What changes no number is left out
    (:func:`dynlib.training.sources.canonical`).
    """
    code, modules, others = read_notebook(run.source)[0]
    used = _closure(run, modules, sources.VIEW | sources.NEUTRAL)
    return {
        "notebook": code,
        "parameters": _with_contents(run),
        "modules": used,
        "versions": versions(set(others) | sources.distributions(used)),
        "needs": {each.name: stamp(each) for each in run.needed},
    }


def _with_contents(run: Run) -> dict[str, Any]:
    """The parameters of a run, that of a file with the checksum of what it holds."""
    values = dict(run.parameters)
    for name, parameter in run.declared.items():
        if parameter.file and values[name]:
            content = Path(parameter.path(values[name])).read_bytes()
            values[name] = [values[name], hashlib.sha256(content).hexdigest()]
    return values


def _closure(run: Run, modules: set[str], without: Iterable[str] = ()) -> dict[str, str]:
    try:
        return sources.closure(modules, without=without)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise Refused(
            f"a module of dynlib that {run.name} imports: {error.msg} in {line!r}"
        ) from None


def view_inputs(run: Run) -> dict[str, Any]:
    """What a run's page shows besides its numbers: the code that only draws or describes."""
    (_, computing, _), (code, modules, others) = read_notebook(run.source)
    everything = _closure(run, modules | computing)
    drawing = {name: everything[name] for name in sources.VIEW & set(everything)}
    return {
        "notebook": code,
        "modules": drawing,
        "versions": versions(set(others) | sources.distributions(drawing)),
    }


def stamp(run: Run) -> str:
    """The checksum of :func:`inputs`."""
    return checksum(inputs(run))


def view_stamp(run: Run) -> str:
    """The checksum of :func:`view_inputs`."""
    return checksum(view_inputs(run))


def marks(run: Run) -> dict[str, str]:
    """The metadata of an executed notebook about its run."""
    return {"run": run.name, "stamp": stamp(run), "view": view_stamp(run)}


def changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs between two :func:`inputs` (or :func:`view_inputs`), as a list."""
    reasons = ["code of the notebook"] if old.get("notebook") != new["notebook"] else []
    words = {"parameters": "", "modules": "", "versions": "version of ", "needs": "run "}
    for part, word in words.items():
        before, after = old.get(part, {}), new.get(part, {})
        names = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
        reasons += [f"{word}{name}" for name in names]
    shown = ", ".join(reasons[:6]) + (f" and {len(reasons) - 6} more" if len(reasons) > 6 else "")
    return shown or "stamp of an older version of the runner"
