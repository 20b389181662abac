"""What differs between two states of a run's code, and whether an execution went through it.

Code is compared function by function and statement by statement, in the form that stamps use
(:func:`dynlib.training.sources.canonical`): comments, annotations and messages of exceptions do not
count. A function is found again by its name, in any module, or by its body. Differences are
narrowed to *regions*, which may be skipped while the code around them is executed: a statement, an
arm of a conditional expression, the body of a lambda, a later part of ``and`` or ``or``.
"""

from __future__ import annotations

import ast
import copy
import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from dynlib.training import sources

#: Names of functions that raise or return nothing, and change nothing.
CHECK = re.compile(r"_?check(_\w+)?")
#: In the test of a branch that only a resumed training takes, or one that writes a checkpoint.
#: It changes no number: tests stop trainings at any step, and find the same digits.
KEEPS = re.compile(r"\b(resumed|checkpoint_seconds)\b")
#: A function that asks for a GPU. What was made on a CPU was made without what it guards.
ON_GPU = "on_gpu"
#: Fields of a statement that hold other statements.
BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True)
class Region:
    """A piece of source that may be executed or not, in one tree."""

    path: str
    node: Any
    definition: str  # the function or class that it belongs to, empty outside
    functions: tuple[int, ...] = ()  # first lines of the functions around it
    branch: bool = False  # it may be skipped when the innermost function is called
    threshold: bool = False  # it is the test of a branch, and a number in it differs

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line."""
        return self.node.lineno, self.node.end_lineno or self.node.lineno

    def __str__(self) -> str:
        place = f"{self.path}:{self.lines[0]}"
        return f"{place} ({self.definition})" if self.definition else place

    def executed(self, spans: list[list[int]], compiled: set[tuple[str, int]]) -> bool:
        """Whether one of these spans is inside it, or numba compiled its function."""
        if any((self.path, line) in compiled for line in self.functions):
            return not self.branch
        low = (self.node.lineno, self.node.col_offset)
        high = (self.node.end_lineno, self.node.end_col_offset)
        return any(
            low <= (first, left) and (last, right) <= high for first, left, last, right in spans
        )


@dataclass(frozen=True)
class Statement:
    """A statement without the statements inside it."""

    key: str
    parts: tuple[ast.AST, ...]  # the expressions that it evaluates
    where: Region  # its place; the node is set for each part
    exempt: bool  # it cannot change a number: it is in a block that raises, or it only checks
    is_test: bool  # it is the test of a branch or a loop that does not raise


@dataclass(frozen=True)
class Unit:
    """A function with everything inside it, or the code of a file outside its functions."""

    name: str
    path: str
    statements: tuple[Statement, ...]
    reached: bool = True

    @property
    def keys(self) -> list[str]:
        """The forms of its statements."""
        return [each.key for each in self.statements]


class Code:
    """All code that a run can reach in one tree: the notebook's, and that of modules of dynlib.

    `notebook` is its path in the tree, and its code that computes; `gpu` is whether the run uses
    one.
    """

    def __init__(
        self,
        root: Path,
        notebook: tuple[str, ast.Module],
        modules: Iterable[str],
        *,
        gpu: bool = True,
    ) -> None:
        files = {name: _file(root, name, gpu) for name in modules}
        trees = {name: each.tree for name, each in files.items()}
        reached = sources.Reach(trees, {"__main__": [notebook[1]]}).reached
        within = {id(node) for node in reached}
        own = File.read(*notebook)
        self.notebook = own.outside
        self.functions = [unit for _, unit in own.functions]
        self.outside: list[Statement] = []
        for each in files.values():
            self.functions += [
                replace(unit, reached=id(node) in within) for node, unit in each.functions
            ]
            self.outside += each.outside.statements


@dataclass(frozen=True)
class File:
    """The syntax tree of a file, its functions with their nodes, and the code outside them."""

    tree: ast.Module
    functions: list[tuple[ast.AST, Unit]]
    outside: Unit

    @classmethod
    def read(cls, path: str, tree: ast.Module) -> File:
        """Take a file apart."""
        words = sources.worded(tree)
        functions: list[tuple[ast.AST, Unit]] = []
        outside: list[Statement] = []

        def visit(node: Any, name: str) -> None:
            for each in node.body:
                if isinstance(each, sources.FUNCTIONS):
                    place = Region(path, each, name + each.name)
                    listed = tuple(flatten([each], place, words))
                    functions.append((each, Unit(place.definition, path, listed)))
                elif isinstance(each, ast.ClassDef):
                    visit(each, f"{name}{each.name}.")
            rest = [each for each in node.body if not isinstance(each, sources.FUNCTIONS)]
            of = name.rstrip(".")
            place = Region(path, node, of)
            outside.extend(flatten(rest, place, words, depth=of, of_class=bool(of), outer=True))

        visit(tree, "")
        return cls(tree, functions, Unit("", path, tuple(outside)))


@functools.cache
def _file(root: Path, name: str, gpu: bool) -> File:
    """A module of a tree, which many runs reach; a carry reads every tree once."""
    package = root / "dynlib"
    path = sources.module_file(name, package).relative_to(root)  # type: ignore[union-attr]
    tree = _Taken(gpu).visit(copy.deepcopy(sources.tree_of(name, package)))
    return File.read(path.as_posix(), tree)


class _Nothing(ast.Pass):
    """Stands where something was left out."""


class _Taken(ast.NodeTransformer):
    """Leaves out what only a training executes that resumes or writes a checkpoint (``KEEPS``).

    Without a GPU also what only a run on a GPU executes (``ON_GPU``).
    """

    def __init__(self, gpu: bool) -> None:
        self.gpu = gpu

    def visit_If(self, node: ast.If) -> ast.If:
        """Keep the test and the other branch."""
        if KEEPS.search(ast.unparse(node.test)) or self._needs_gpu(node.test):
            node.body = [ast.copy_location(_Nothing(), node.body[0])]
        self.generic_visit(node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """Keep the other arm."""
        if self._needs_gpu(node.test):
            return self.visit(node.orelse)
        self.generic_visit(node)
        return node

    def _needs_gpu(self, test: ast.expr) -> bool:
        """Whether a test is false for certain, because there is no GPU."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            return any(map(self._needs_gpu, test.values))
        called = ast.unparse(test.func) if isinstance(test, ast.Call) else ""
        return not self.gpu and called.rpartition(".")[2] == ON_GPU

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler | None:
        """A damaged checkpoint is treated as a missing one."""
        if node.type and "DamagedCheckpoint" in ast.unparse(node.type):
            return None
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        """The name that says whether there is a checkpoint."""
        if KEEPS.search(ast.unparse(node.targets[0])):
            return ast.copy_location(_Nothing(), node)
        self.generic_visit(node)
        return node


def flatten(
    body: list[Any],
    place: Region,
    words: frozenset[str],
    *,
    depth: str = "",
    exempt: bool = False,
    of_class: bool = False,
    outer: bool = False,
) -> Iterator[Statement]:
    """The statements of a body and of all bodies in it, in order."""
    exempt = exempt or _raises(body)
    checks = CHECK.fullmatch(place.definition.rpartition(".")[2]) is not None
    for number, each in enumerate(body):
        first = number == 0 and (of_class or depth.endswith("Def.body") or not depth)
        if isinstance(each, ast.stmt) and not sources.matters(each, words, first=first):
            continue
        if isinstance(each, _Nothing):
            continue
        if isinstance(each, ast.AnnAssign) and not of_class:
            if each.value is None:
                continue
            each = ast.copy_location(ast.Assign([each.target], each.value), each)
        form, parts = _header(each)
        is_test = isinstance(each, (ast.If, ast.While)) and not _raises(each.body)
        free = exempt or checks or _only_checks(each)
        yield Statement(json.dumps([depth, form]), tuple(parts), place, free, is_test)
        inside = place
        if isinstance(each, sources.FUNCTIONS):
            lines = (each.lineno, *(mark.lineno for mark in each.decorator_list))
            inside = replace(place, functions=place.functions + lines, branch=False)
        elif isinstance(each, (ast.If, ast.While, ast.Try, ast.Match)):
            inside = replace(place, branch=True)
        elif isinstance(each, ast.ClassDef) and outer:
            continue  # its body is visited on its own
        for name in BODIES:
            yield from flatten(
                getattr(each, name, None) or [], inside, words,
                depth=f"{depth}/{type(each).__name__}.{name}", exempt=exempt,
                of_class=isinstance(each, ast.ClassDef),
            )  # fmt: skip


def _raises(body: list[Any]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise)


def _only_checks(statement: ast.AST) -> bool:
    """Whether a statement can only end the run: a guard, ``if ...: raise``, or a call of ``CHECK``.

    A guard whose test sets a name is not one. A run that a new guard stops ends with its message.
    """
    if isinstance(statement, ast.If) and _raises(statement.body) and not statement.orelse:
        return not any(isinstance(node, ast.NamedExpr) for node in ast.walk(statement.test))
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    called = ast.unparse(statement.value.func).rpartition(".")[2]
    return CHECK.fullmatch(called) is not None


def _header(node: Any) -> tuple[Any, list[ast.AST]]:
    """A statement's form without inner statements, and the expressions that it evaluates."""
    if isinstance(node, sources.IMPORTS):
        names = sorted([alias.name, alias.asname or ""] for alias in node.names)
        return ["Import", getattr(node, "module", None), names], [node]
    if isinstance(node, sources.FUNCTIONS):
        marks = list(node.decorator_list)
        special = node.name if node.name.startswith("__") else ""
        form: Any = ["def", special, sources.canonical(node.args), sources.canonical(marks)]
        defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        evaluated = [each for each in defaults if not _is_constant(each)]
        return form, [*marks, *evaluated]
    fields = {k: [] if k in BODIES else v for k, v in ast.iter_fields(node)}
    form = sources.canonical(ast.copy_location(type(node)(**fields), node))
    if not any(name in node._fields for name in BODIES):
        return form, [node]
    listed = [e for v in fields.values() for e in (v if isinstance(v, list) else [v])]
    listed = [each.context_expr if isinstance(each, ast.withitem) else each for each in listed]
    test = fields.get("test")  # Python compiles that of ``while True`` away
    constant = test if isinstance(test, ast.Constant) else None
    return form, [e for e in listed if isinstance(e, ast.expr) and e is not constant]


def _is_constant(node: ast.AST) -> bool:
    return not any(isinstance(n, (ast.Name, ast.Call, ast.Lambda)) for n in ast.walk(node))


def compare(old: Code, new: Code) -> tuple[list[Region], list[Region]]:
    """The regions of the old code that the new does not have, and the reverse.

    If both are empty, nothing that the run can reach changed.
    """
    pairs, lone_old, lone_new = _matched(old.functions, new.functions)
    removed = [r for u in lone_old if u.reached for each in u.statements for r in _regions(each)]
    added = [r for u in lone_new if u.reached for each in u.statements for r in _regions(each)]
    for before, after in [*pairs, (old.notebook, new.notebook)]:
        matcher = SequenceMatcher(None, before.keys, after.keys, autojunk=False)
        for kind, i, j, k, m in matcher.get_opcodes():
            gone, come = before.statements[i:j], after.statements[k:m]
            if kind != "equal":
                twins = len(gone) == len(come)
                for n, each in enumerate(gone if before.reached else ()):
                    removed += _regions(each, come[n] if twins else None)
                for n, each in enumerate(come if after.reached else ()):
                    added += _regions(each, gone[n] if twins else None)
    # A statement outside functions may move from file to file.
    keys_old, keys_new = (Counter(each.key for each in side.outside) for side in (old, new))
    for side, found, surplus in (
        (old, removed, keys_old - keys_new),
        (new, added, keys_new - keys_old),
    ):
        for each in side.outside:
            if surplus[each.key] > 0:
                surplus[each.key] -= 1
                found += _regions(each)
    removed.sort(key=lambda region: (region.path, *region.lines))
    added.sort(key=lambda region: (region.path, *region.lines))
    return removed, added


def _matched(
    old: list[Unit], new: list[Unit]
) -> tuple[list[tuple[Unit, Unit]], list[Unit], list[Unit]]:
    """Pairs of the same function, and the functions without a partner."""
    pairs, left = [], list(old)
    rules: list[Callable[[Unit, Unit], bool]] = [
        lambda a, b: (a.name, a.path) == (b.name, b.path),
        lambda a, b: a.name == b.name and a.keys == b.keys,
        lambda a, b: a.name == b.name,
        lambda a, b: a.keys == b.keys,
    ]
    for same in rules:
        unmatched = []
        for unit in new:
            partner = next((each for each in left if same(each, unit)), None)
            if partner is None:
                unmatched.append(unit)
            else:
                left.remove(partner)
                pairs.append((partner, unit))
        new = unmatched
    return pairs, left, new


def _regions(statement: Statement, twin: Statement | None = None) -> Iterator[Region]:
    """The regions of a statement that differ from those of its twin; without one, all of them."""
    if statement.exempt:
        return
    paired = twin is not None and len(twin.parts) == len(statement.parts)
    for number, part in enumerate(statement.parts):
        other = twin.parts[number] if twin is not None and paired else None
        threshold = statement.is_test and other is not None and _numbers(part) != _numbers(other)
        nodes = _narrowed(part, other)
        for node in nodes:
            branch = statement.where.branch or node is not part
            yield replace(statement.where, node=node, branch=branch, threshold=threshold)


def _narrowed(new: ast.AST, old: ast.AST | None) -> list[ast.AST]:
    """The regions of a piece of code that differ from those of another."""
    arms, others = list(_arms(new)), [] if old is None else list(_arms(old))
    if old is None or len(arms) != len(others):
        return [new, *(each for arm in arms for each in _narrowed(arm, None))]
    if sources.canonical(new) == sources.canonical(old):
        return []
    changed = [each for a, b in zip(arms, others, strict=True) for each in _narrowed(a, b)]
    same = changed and _without(new, arms) == _without(old, others)
    return changed if same else [new, *changed]


def _arms(node: ast.AST) -> Iterator[ast.expr]:
    """The outermost parts of a piece of code that may be skipped while the rest is executed."""
    if isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
        yield from _arms(node.test)
    elif isinstance(node, ast.BoolOp):
        yield from node.values[1:]
        yield from _arms(node.values[0])
    elif isinstance(node, ast.Lambda):
        yield node.body
    else:
        for child in ast.iter_child_nodes(node):
            yield from _arms(child)


def _without(node: ast.AST, arms: list[ast.expr]) -> str:
    text = json.dumps(sources.canonical(node))
    for arm in arms:
        text = text.replace(json.dumps(sources.canonical(arm)), "", 1)
    return text


def _numbers(node: ast.AST) -> list[str]:
    constants = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return sorted(repr(value) for value in constants if isinstance(value, (int, float)))
