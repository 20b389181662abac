"""What a piece of code depends on, read from its source without importing anything.

Stamps and keys of trained artefacts are made of this: they change when code that is used
changes, and not when a comment or a docstring does.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def module_file(name: str) -> Path | None:
    """File of a dynlib module, None for a name that is not one."""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name.split(".")[0] == "dynlib" and path.is_file():
            return path
    return None


def imports(tree: ast.AST) -> tuple[set[str], set[str]]:
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
    modules = {name for name in named if module_file(name)}
    for name in list(modules):
        parts = name.split(".")
        modules |= {".".join(parts[:i]) for i in range(1, len(parts))}
    others = {name.split(".")[0] for name in named} - {"dynlib"} - set(sys.stdlib_module_names)
    return modules, others


def canonical(node: object) -> object:
    """A syntax tree as plain lists, without comments, docstrings, positions or types of use.

    It is spelled out here because ``ast.dump`` prints differently in different Pythons.
    """
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "kind", "type_comment", "type_params"):
                continue
            if name == "body" and isinstance(value, list) and value and _is_docstring(value[0]):
                value = value[1:]
            if value is not None and value != []:
                fields.append([name, canonical(value)])
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [canonical(item) for item in node]
    return repr(node)


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def digest(source: str) -> str:
    """Checksum of a source text, equal for texts that differ in comments and docstrings only.

    Examples
    --------
    >>> digest("x = 1  # one") == digest("x=1")
    True
    """
    tree = json.dumps(canonical(ast.parse(source)))
    return hashlib.sha256(tree.encode()).hexdigest()


@functools.cache
def _parsed(path: Path, stamp: tuple[int, int]) -> tuple[str, frozenset[str], frozenset[str]]:
    source = path.read_text(encoding="utf-8")
    modules, others = imports(ast.parse(source))
    return digest(source), frozenset(modules), frozenset(others)


def _read(name: str) -> tuple[str, frozenset[str], frozenset[str]]:
    path = module_file(name)
    if path is None:
        raise ValueError(f"{name!r} is no module of dynlib; name one such as 'dynlib.tokens.grid'")
    status = path.stat()
    return _parsed(path, (status.st_mtime_ns, status.st_size))


def closure(modules: Iterable[str]) -> dict[str, str]:
    """All dynlib modules that the named ones import, at any depth, with their checksums."""
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            checksum, inner, _ = _read(name)
            found[name] = checksum
            todo.extend(inner)
    return found


def distributions(modules: Iterable[str]) -> set[str]:
    """Top-level names of the third-party packages that the modules import, at any depth."""
    return set().union(*(_read(name)[2] for name in closure(modules)))


def fingerprint(modules: Iterable[str]) -> str:
    """One checksum of the sources of the named modules and of all that they import."""
    listed = sorted(closure(modules).items())
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
