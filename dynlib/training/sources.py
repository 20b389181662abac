"""What a piece of code depends on, read from its source without importing anything.

Stamps of runs and keys of trained artefacts are made from this. They change when code changes
that can change a number. They stay the same when comments, docstrings, annotations, the order of
imports, the messages of exceptions, or lines of progress change.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]

# Modules that only draw. No number depends on them: a module that computes may import them, but
# what they return is only shown.
VIEW = frozenset(
    {
        "dynlib.report.figures", "dynlib.report.figures.across",
        "dynlib.report.figures.anatomy", "dynlib.report.figures.environments",
        "dynlib.report.figures.forecasts", "dynlib.report.figures.learning",
        "dynlib.report.figures.networks", "dynlib.report.figures.operators",
        "dynlib.report.figures.own", "dynlib.report.figures.tokens", "dynlib.report.playground",
        "dynlib.report.scene", "dynlib.report.style", "dynlib.report.writer",
    }
)  # fmt: skip
# Modules that store trained weights without changing them.
PLUMBING = frozenset({"dynlib.training.artefacts", "dynlib.training.checkpoint"})
# Modules that distribute, name and announce computations, and compute nothing themselves. The
# loop is not one of them: it decides how many steps are taken, and calls what takes them.
NEUTRAL = frozenset(
    {"dynlib.training.parallel", "dynlib.training.progress", "dynlib.training.sources"}
)
# Calls into this module announce progress: their text changes no number.
PROGRESS = frozenset({"dynlib.training.progress", "dynlib.progress"})  # its old name too

# Decorators that do not register a function anywhere: it can only be reached by its name.
DECORATORS = frozenset(
    {
        "cache", "cached_property", "classmethod", "contextmanager", "lru_cache", "njit", "no_grad",
        "property", "staticmethod",
    }
)  # fmt: skip

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


def module_file(name: str, package: Path = PACKAGE) -> Path | None:
    """File of a dynlib module, None for a name that is not one."""
    base = package.joinpath(*name.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name.split(".")[0] == "dynlib" and path.is_file():
            return path
    return None


def imports(tree: ast.AST, package: Path = PACKAGE) -> tuple[set[str], set[str]]:
    """Names imported anywhere in a syntax tree.

    Returns
    -------
    modules : set of str
        dynlib modules, the packages that hold them included.
    others : set of str
        Top-level names of everything else outside the standard library.

    Examples
    --------
    >>> imports(ast.parse("import numpy as np, os; from dynlib.tokens import grid"))[1]
    {'numpy'}
    """
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            named.add(node.module)
            named |= {f"{node.module}.{alias.name}" for alias in node.names}
    modules = {name for name in named if module_file(name, package)}
    for name in list(modules):
        parts = name.split(".")
        modules |= {".".join(parts[:i]) for i in range(1, len(parts))}
    others = {name.split(".")[0] for name in named} - {"dynlib"} - set(sys.stdlib_module_names)
    return modules, others


def canonical(node: object) -> object:
    """A syntax tree as plain lists, without what cannot change a number.

    It leaves out comments, positions, docstrings, annotations (except ``ClassVar``, ``InitVar``,
    and the fact that a line of a class is a field), the message of an exception that is raised,
    the order of a module's imports, and lines of progress. ``ast.dump`` cannot be used: it prints
    differently in different versions of Python.
    """
    if isinstance(node, ast.Module):
        first = {
            json.dumps(each)
            for statement in node.body
            if isinstance(statement, IMPORTS)
            for each in _imported(statement)
        }
        rest = [s for s in node.body if not isinstance(s, IMPORTS)]
        return ["Module", sorted(first), _body(rest, worded(node))]
    return _canonical(node, frozenset())


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[list[object]]:
    module = statement.module if isinstance(statement, ast.ImportFrom) else None
    if module != "__future__":
        for alias in statement.names:
            yield [module, alias.name, alias.asname]


def worded(tree: ast.AST) -> frozenset[str]:
    """Names through which a module announces progress, including its meters."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if PROGRESS & {node.module, f"{node.module}.{alias.name}"}:
                    found.add(alias.asname or alias.name)
        elif isinstance(node, ast.Import):
            found |= {a.asname or a.name for a in node.names if a.name in PROGRESS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _announces(node.value, found):
            found |= {ast.unparse(target) for target in node.targets}
    return frozenset(found)


def _announces(node: ast.AST, names: Iterable[str]) -> bool:
    """Whether an expression is a call of one of these names, or of an attribute of one."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return any(called == name or called.startswith(name + ".") for name in names)


def matters(statement: ast.stmt, words: frozenset[str], first: bool = False) -> bool:
    """Whether a statement can change a number; the `first` of a body may be a docstring."""
    if isinstance(statement, ast.Expr):
        value = statement.value
        return not (first and _is_text(value)) and not _announces(value, words)
    if isinstance(statement, ast.ImportFrom):
        return statement.module != "__future__"
    return not (isinstance(statement, ast.Assign) and _announces(statement.value, words))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _body(statements: list[ast.stmt], words: frozenset[str], of: object = None) -> list[object]:
    kept: list[object] = []
    for number, statement in enumerate(statements):
        if not matters(statement, words, first=number == 0):
            continue
        if not isinstance(statement, ast.AnnAssign) or isinstance(of, ast.ClassDef):
            kept.append(_canonical(statement, words))
        elif statement.value is not None:
            plain = ast.Assign([statement.target], statement.value)
            kept.append(_canonical(plain, words))
    return kept


def _canonical(node: object, words: frozenset[str]) -> object:
    if isinstance(node, ast.AnnAssign):  # of a class: the field stays one, without its type
        kind = next((k for k in ("ClassVar", "InitVar") if k in ast.unparse(node.annotation)), "")
        return ["Field", kind, *(_canonical(each, words) for each in (node.target, node.value))]
    if isinstance(node, ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ["Raise", _canonical(raised, words)]
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "kind", "type_comment", "type_params", "annotation", "returns"):
                continue
            if isinstance(node, ast.JoinedStr):  # Python 3.12 adds empty texts to {x:{y}}
                value = [v for v in value if not (isinstance(v, ast.Constant) and v.value == "")]
            if name in ("body", "orelse", "finalbody") and isinstance(value, list):
                found: object = _body(value, words, node)
            else:
                found = _canonical(value, words)
            if value is not None and value != []:
                fields.append([name, found])
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_canonical(item, words) for item in node]
    return repr(node)


def digest(source: str) -> str:
    """Checksum of a source text, equal for texts that differ in what changes no number.

    Examples
    --------
    >>> digest("x: int = 1  # one") == digest("x=1")
    True
    """
    tree = json.dumps(canonical(ast.parse(source)))
    return hashlib.sha256(tree.encode()).hexdigest()


class _Source(NamedTuple):
    tree: ast.Module
    checksum: str
    modules: frozenset[str]
    others: frozenset[str]


@functools.cache
def _parsed(path: Path, package: Path, stamp: tuple[int, int]) -> _Source:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    modules, others = imports(tree, package)
    return _Source(tree, digest(text), frozenset(modules), frozenset(others))


def _read(name: str, package: Path = PACKAGE) -> _Source:
    path = module_file(name, package)
    if path is None:
        raise ValueError(f"{name!r} is not a module of dynlib; give one like 'dynlib.tokens.grid'")
    status = path.stat()
    return _parsed(path, package, (status.st_mtime_ns, status.st_size))


def tree_of(name: str, package: Path = PACKAGE) -> ast.Module:
    """The syntax tree of a dynlib module."""
    return _read(name, package).tree


def closure(
    modules: Iterable[str], *, without: Iterable[str] = (), package: Path = PACKAGE
) -> dict[str, str]:
    """All dynlib modules that the named ones import, at any depth, with their checksums.

    Modules in `without` are skipped, and so are modules that only these import.
    """
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found and name not in without:
            source = _read(name, package)
            found[name] = source.checksum
            todo.extend(source.modules)
    return found


def distributions(modules: Iterable[str]) -> set[str]:
    """Top-level names of the third-party packages that these modules import themselves."""
    return set().union(*(_read(name).others for name in modules))


class Mentions:
    """The names through which code could reach a definition.

    A plain name counts in the module of the code, where Python looks it up, unless it is a
    variable of a function. An attribute counts everywhere. So does a text constant, since
    ``getattr`` may use it. A constant at the start of a formatted text stands for all names that
    start with it.
    """

    def __init__(self) -> None:
        self.names: set[tuple[str, str]] = set()  # (module, name)
        self.attributes: set[str] = set()
        self.beginnings: set[str] = set()

    def add(self, module: str, node: ast.AST, own: frozenset[str] = frozenset()) -> None:
        """Note what a piece of code mentions; `own` are variables of the functions around it."""
        if isinstance(node, (*FUNCTIONS, ast.Lambda)):
            own = own | _variables(node)
        if isinstance(node, ast.Name):
            if node.id not in own:
                self.names.add((module, node.id))
        elif isinstance(node, ast.Attribute):
            self.attributes.add(node.attr)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value.isidentifier():
                self.attributes.add(node.value)
        elif isinstance(node, ast.JoinedStr) and node.values:
            first = node.values[0]
            if isinstance(first, ast.Constant) and str(first.value).isidentifier():
                self.beginnings.add(str(first.value))
        divides = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for child in ast.iter_child_nodes(node):
            if not (divides and isinstance(child, ast.Constant)):  # a part of a path, or a number
                self.add(module, child, own)

    def has(self, module: str, name: str, *, method: bool) -> bool:
        """Whether one of the names may stand for this function of a module, or this method."""
        if name in self.attributes or any(name.startswith(each) for each in self.beginnings):
            return True
        return not method and (module, name) in self.names


def _variables(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> frozenset[str]:
    """The local variables of a function."""
    found = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    shared: set[str] = set()
    todo: list[ast.AST] = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        if isinstance(node, DEFINITIONS):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Global):
            shared |= set(node.names)
        if not isinstance(node, (*DEFINITIONS, ast.Lambda)):
            todo += ast.iter_child_nodes(node)
    return frozenset(found - shared)


class Reach:
    """The functions that code can reach by name, found without running it.

    A function is reached if its name is mentioned by code that runs at import, by `roots`, or by a
    function that is reached. A function that a decorator may register (any except ``DECORATORS``)
    is always reached. So are, if its class is mentioned, a special method (``__call__``) and
    every method of a class that inherits from a class of another library, which may call it
    (``forward`` of a torch module). A function that is not reached cannot change a number.

    Parameters
    ----------
    trees : dict
        Syntax trees of modules, by the names of the modules.
    roots : dict
        Lists of syntax trees that are executed, by the name of the module whose imports they use.
    """

    def __init__(self, trees: dict[str, ast.Module], roots: dict[str, list[ast.AST]]) -> None:
        self.mentions = Mentions()
        self.units: list[tuple[str, tuple[str, ...], Any]] = []  # module, classes, function
        self._always: set[int] = set()
        self._imported: dict[tuple[str, str], tuple[str, str]] = {}
        self._classes = {
            (module, node.name): node
            for module, tree in trees.items()
            for node in tree.body
            if isinstance(node, ast.ClassDef)
        }
        for module, tree in trees.items():
            self._note_imports(module, [tree])
        for module, tree in trees.items():
            self._collect(module, tree, ())
        for module, nodes in roots.items():
            self._note_imports(module, nodes)
            for node in nodes:
                self.mentions.add(module, node)
        self.reached: list[Any] = []
        waiting = list(self.units)
        while grown := [unit for unit in waiting if self._is_live(*unit)]:
            waiting = [unit for unit in waiting if unit not in grown]
            for module, _, node in grown:
                self.reached.append(node)
                self.mentions.add(module, node)
            self._follow_imports()

    def _note_imports(self, module: str, nodes: Iterable[ast.AST]) -> None:
        for node in (inner for each in nodes for inner in ast.walk(each)):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    here = (module, alias.asname or alias.name)
                    self._imported[here] = (node.module, alias.name)

    def _follow_imports(self) -> None:
        """A name that was imported stands for the name in the module that it comes from."""
        todo = [name for name in self.mentions.names if name in self._imported]
        while todo:
            there = self._imported[todo.pop()]
            if there not in self.mentions.names:
                self.mentions.names.add(there)
                if there in self._imported:
                    todo.append(there)

    def _collect(self, module: str, node: Any, classes: tuple[str, ...]) -> None:
        """Note the functions of a module or class; the code outside them runs at import."""
        for child in node.body:
            if isinstance(child, FUNCTIONS):
                self.units.append((module, classes, child))
                defaults = [*child.args.defaults, *filter(None, child.args.kw_defaults)]
                for each in (*child.decorator_list, *defaults):
                    self.mentions.add(module, each)
            elif isinstance(child, ast.ClassDef):
                if self._is_foreign(module, child):
                    self._always |= {id(each) for each in child.body}
                for each in (*child.bases, *child.decorator_list):
                    self.mentions.add(module, each)
                self._collect(module, child, (*classes, child.name))
            else:
                self.mentions.add(module, child)

    def _is_foreign(self, module: str, node: ast.ClassDef) -> bool:
        """Whether a class inherits, at any depth, from one that is not in these modules."""
        for base in node.bases:
            place = (module, base.id) if isinstance(base, ast.Name) else ("", "")
            for _ in range(len(self._imported)):  # an import may pass on another one
                place = self._imported.get(place, place)
            if place not in self._classes or self._is_foreign(place[0], self._classes[place]):
                return True
        return False

    def _is_live(self, module: str, classes: tuple[str, ...], node: Any) -> bool:
        self._follow_imports()
        if not all(self.mentions.has(module, name, method=False) for name in classes):
            return False
        special = node.name.startswith("__") or any(map(_registers, node.decorator_list))
        return (
            special
            or id(node) in self._always
            or self.mentions.has(module, node.name, method=bool(classes))
        )


def _registers(decorator: ast.AST) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2] not in DECORATORS


def fingerprint(roots: Iterable[str]) -> str:
    """One checksum of the code that determines what these functions compute.

    It covers the functions that they can reach (:class:`Reach`) in the modules that they import,
    at any depth, and the code that these modules run at import. Modules that only draw or store
    weights (``VIEW``, ``PLUMBING``) are left out, and so are names of modules: the checksum stays
    the same when a module moves.

    Parameters
    ----------
    roots : sequence of str
        Functions, such as ``"dynlib.tokens.training.train"``, or whole modules.
    """
    asked: dict[str, list[ast.AST]] = {}
    for root in roots:
        if module_file(root):
            asked.setdefault(root, []).extend(
                ast.Name(node.name) for node in ast.walk(tree_of(root))
                if isinstance(node, DEFINITIONS)
            )  # fmt: skip
        else:
            module, _, name = root.rpartition(".")
            asked.setdefault(module, []).append(ast.Name(name))
    found = closure(asked, without=VIEW | NEUTRAL | (PLUMBING - set(asked)))
    trees = {name: tree_of(name) for name in found}
    kept = {id(node) for node in Reach(trees, asked).reached}
    pieces = sorted(json.dumps(_pruned(tree, kept)) for tree in trees.values())
    return hashlib.sha256(json.dumps(pieces).encode()).hexdigest()


def _pruned(tree: ast.Module, kept: set[int]) -> object:
    """A module's canonical form without imports and without functions that are not reached."""
    words = worded(tree)

    def prune(statements: list[ast.stmt], of: object) -> list[object]:
        found = []
        for number, statement in enumerate(statements):
            if isinstance(statement, IMPORTS):
                continue
            if isinstance(statement, FUNCTIONS):
                if id(statement) in kept:
                    found.append(_canonical(statement, words))
            elif isinstance(statement, ast.ClassDef):
                bases = [_canonical(each, words) for each in statement.bases]
                inner = prune(statement.body, statement)
                marks = [_canonical(each, words) for each in statement.decorator_list]
                found.append(["ClassDef", statement.name, bases, marks, inner])
            elif number or not isinstance(statement, ast.Expr):
                found += _body([statement], words, of)
        return found

    return prune(tree.body, tree)
