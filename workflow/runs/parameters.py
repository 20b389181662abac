"""The parameters that a notebook declares, and the check of every value given for one.

A notebook declares its parameters in the cell tagged ``parameters``, one a line::

    n_cells: int = 50  # [2..1000] cells per axis

name, type, default, what is allowed (an interval, or ``{a, b}`` for text) and help. ``{any text}``
allows every text, ``{a file}`` the path of one, or none. What parameters must satisfy together
stands in the same cell::

    # require: width % heads == 0

All of it is read without starting a kernel. Everything else is refused.
"""

from __future__ import annotations

import ast
import functools
import json
import math
import os
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from workflow.errors import Refused
from workflow.files import ROOT

#: What is allowed, an interval or choices, and help.
ALLOWED = re.compile(r"(?:\[([^\].]*(?:\.\d+)?)\.\.([^\]]*)\]|\{([^}]*)\})?\s*(.*)")
TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
FREE = ("any text", "a file")  #: choices that name none
LARGEST = 2**63 - 1  #: what numpy and torch can hold as a whole number


def shown(value: Any) -> str:
    """A value as messages quote it: on one line, and cut if it is long."""
    if type(value) is int and abs(value) > LARGEST:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


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
    file: bool = False

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.type == "bool":
            return "true or false"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.file:
            return "the path of a file that is there, from this project's folder or from /"
        kind = {"int": "a whole number", "float": "a number", "str": "text"}[self.type]
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:g} to {self.high:g}"
        return f"{kind} of {self.low:g} or more" if self.low is not None else kind

    def check(self, value: Any) -> Any:
        """The value in the declared type, or :class:`Refused`.

        Text (from a command line) is read as JSON and so strictly: ``hot``, ``1_0`` and ``1e3``
        are not an int, ``yes`` is not a bool.
        """
        problem = Refused(f"parameter {self.name}={shown(value)}: it must be {self.allowed}")
        try:
            if isinstance(value, str) and self.type != "str":
                value = json.loads(value)
            if type(value) is int and abs(value) > LARGEST:
                raise problem
            value = adapter(self.type, self.low, self.high).validate_python(value)
        except (ValueError, RecursionError):  # a ValidationError is a ValueError
            raise problem from None
        if self.choices and value not in self.choices:
            raise problem
        if self.file and value and not os.path.isfile(self.path(value)):
            raise problem
        return value

    @staticmethod
    def path(value: str) -> str:
        """The file that a value names."""
        return os.path.join(ROOT, os.path.expanduser(value))


@functools.cache
def adapter(kind: str, low: float | None, high: float | None) -> TypeAdapter:
    """What takes values of a type, strictly, and within an interval of numbers."""
    if kind == "int":
        least = -LARGEST if low is None else math.ceil(low)
        most = LARGEST if high is None else min(LARGEST, math.floor(high))
        return TypeAdapter(Annotated[int, Field(strict=True, ge=least, le=most)])
    if kind == "float":
        limits = Field(strict=True, ge=low, le=high, allow_inf_nan=False)
        return TypeAdapter(Annotated[float, limits])
    return TypeAdapter(TYPES[kind], config=ConfigDict(strict=True))


def parse_parameters(source: str, where: str) -> dict[str, Parameter]:
    """Parameters declared by the source of a ``parameters`` cell.

    Raises Refused if a line is not of the form ``name: type = default  # [low..high] help``.
    """
    lines = source.splitlines()
    found: dict[str, Parameter] = {}
    for node in ast.parse(source).body:
        line = lines[node.lineno - 1]
        try:
            parameter = _declared(node, line.partition("  # ")[2].strip())
        except (ValueError, TypeError) as error:
            raise Refused(f"{where}: the parameters cell says {line.strip()!r}: {error}") from None
        found[parameter.name] = parameter
    return found


def _declared(node: ast.stmt, comment: str) -> Parameter:
    """The parameter that a line declares; ValueError if it does not declare one."""
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        raise ValueError("it is not an annotated assignment")
    kind = ast.unparse(node.annotation)
    if node.value is None:
        raise ValueError("no default")
    if kind not in TYPES:
        raise ValueError(f"type {kind} is not one of {', '.join(TYPES)}")
    low, high, choices, words = ALLOWED.fullmatch(comment).groups()  # type: ignore[union-attr]
    if kind in ("int", "float") and low is None:
        raise ValueError("no interval [low..high] in its comment")
    if kind == "str" and choices is None:
        raise ValueError("no choices {a, b} in its comment")
    if not words:
        raise ValueError("no help in its comment")
    listed = tuple(item.strip() for item in choices.split(",")) if kind == "str" else ()
    file, listed = listed == ("a file",), () if ", ".join(listed) in FREE else listed
    least, most = (float(limit) if limit else None for limit in (low, high))
    default = ast.literal_eval(node.value)
    parameter = Parameter(node.target.id, kind, default, least, most, listed, words, file)
    return replace(parameter, default=parameter.check(default))


def split_parameters(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """The parameters of ``-p NAME VALUE``, and the other arguments.

    They are taken out before argparse sees them, which reads a value like ``-1e-3`` as an option.
    """
    own: dict[str, str] = {}
    rest = []
    given = iter(arguments)
    for argument in given:
        if argument != "-p":
            rest.append(argument)
            continue
        name, value = next(given, None), next(given, None)
        if value is None or name is None:
            raise Refused(f"-p takes a name and a value, got only {name!r}")
        if name in own:
            raise Refused(f"parameter {shown(name)} is given twice")
        own[name] = value
    return own, rest
